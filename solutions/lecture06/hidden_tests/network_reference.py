"""The networks of the first notebook as functions, right and wrong: what the hidden tests compare their logits with."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .batchnorm_reference import Named, normalise, normalised

Norm = Callable[[Tensor], Tensor]

OTHER_ACTIVATIONS: dict[str, Norm] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "elu": F.elu,
    "softplus": F.softplus,
}
"""Activations that stand for tanh in wrong answers, by name."""


def norm_in(mode: str, state: Named, eps: float = 1e-5) -> Norm:
    """Return the layer with this state as a function, in `train` or `eval`; inputs of another width pass unchanged."""
    gamma, beta = state["gamma"], state["beta"]

    def norm(pre: Tensor) -> Tensor:
        if pre.shape[1:] != gamma.shape:
            return pre
        if mode == "train":
            return normalise(pre, gamma, beta, eps)
        return normalised(pre - state["running_mean"], state["running_var"], gamma, beta, eps)

    return norm


def within(state: Named, prefix: str) -> Named:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def wrong_embeddings(table: Tensor, inputs: Tensor) -> Named:
    """Return embedded contexts (N, context_size * d_embed) as known wrong ways to flatten give them."""
    vectors = table[inputs]
    count = len(inputs)
    return {
        "with the embeddings concatenated in the wrong order; flatten(1) keeps each vector together": vectors.transpose(
            1, 2
        ).flatten(1),
        "of contexts read backwards; keep the order of the characters": vectors.flip(1).flatten(1),
        "with entries of different contexts mixed; flatten each example separately": vectors.transpose(0, 1).reshape(
            count, -1
        ),
        "with entries of different examples mixed; flatten each example separately": vectors.permute(2, 0, 1).reshape(
            count, -1
        ),
        "with the embeddings added up; concatenate them": vectors.sum(1, keepdim=True).expand_as(vectors).flatten(1),
        "with the embeddings averaged; concatenate them": vectors.mean(1, keepdim=True).expand_as(vectors).flatten(1),
        "with only the last character's embedding; concatenate all embeddings": vectors[:, -1:]
        .expand_as(vectors)
        .flatten(1),
    }


def wrong_mlps(w: Named, inputs: Tensor, norm: Norm) -> Named:
    """Return the logits of known wrong forward passes."""
    product = w["C"][inputs].flatten(1) @ w["W1"]
    pre = product + w["b1"]
    logits = torch.tanh(norm(pre)) @ w["W2"] + w["b2"]
    gamma, beta = w["bn.gamma"], w["bn.beta"]
    embedded = {
        f"logits {label}": torch.tanh(norm(other @ w["W1"] + w["b1"])) @ w["W2"] + w["b2"]
        for label, other in wrong_embeddings(w["C"], inputs).items()
    }
    return embedded | {
        "logits with the norm after tanh; it belongs before it": norm(torch.tanh(pre)) @ w["W2"] + w["b2"],
        "logits without the norm": torch.tanh(pre) @ w["W2"] + w["b2"],
        "logits without tanh": norm(pre) @ w["W2"] + w["b2"],
        "logits without b1": torch.tanh(norm(product)) @ w["W2"] + w["b2"],
        "logits with b1 added after the norm; add it before": torch.tanh(norm(product) + w["b1"]) @ w["W2"] + w["b2"],
        "logits without b2": logits - w["b2"],
        "logits with the norm before and after tanh; it belongs before it": norm(torch.tanh(norm(pre))) @ w["W2"]
        + w["b2"],
        "logits with a tanh before the norm too; apply tanh only after it": torch.tanh(norm(torch.tanh(pre))) @ w["W2"]
        + w["b2"],
        "logits with a tanh at the end; the output layer has none": torch.tanh(logits),
        "logits with the norm twice": torch.tanh(norm(norm(pre))) @ w["W2"] + w["b2"],
        "logits with tanh twice": torch.tanh(torch.tanh(norm(pre))) @ w["W2"] + w["b2"],
        "logits with the batch's statistics; in evaluation self.bn uses the running ones": torch.tanh(
            normalise(pre, gamma, beta, 1e-5)
        )
        @ w["W2"]
        + w["b2"],
        "logits with the running statistics; in training self.bn uses those of the batch": torch.tanh(
            normalised(pre - w["bn.running_mean"], w["bn.running_var"], gamma, beta, 1e-5)
        )
        @ w["W2"]
        + w["b2"],
        "logits with a norm without gamma and beta; use self.bn": torch.tanh(
            normalise(pre, torch.ones_like(gamma), torch.zeros_like(beta), 1e-5)
        )
        @ w["W2"]
        + w["b2"],
        **{
            f"logits with {name} instead of tanh": act(norm(pre)) @ w["W2"] + w["b2"]
            for name, act in OTHER_ACTIVATIONS.items()
        },
        "logits with b1 subtracted; add it": torch.tanh(norm(product - w["b1"])) @ w["W2"] + w["b2"],
        "logits with a second tanh after W2; the output layer has none": torch.tanh(logits - w["b2"]) + w["b2"],
        "probabilities; return the logits, without softmax": torch.softmax(logits, 1),
        "log probabilities; return the logits": torch.log_softmax(logits, 1),
        "the hidden layer; the output layer is missing": torch.tanh(norm(pre)),
    }


def deep_forward(w: Named, inputs: Tensor, first: Norm, second: Norm, act: Norm = torch.tanh) -> Tensor:
    """Return the logits of two hidden layers, with what follows each product as functions."""
    hidden = act(first(w["C"][inputs].flatten(1) @ w["W1"]))
    return act(second(hidden @ w["W2"])) @ w["W3"] + w["b3"]


def wrong_deep(w: Named, inputs: Tensor, first: Norm, second: Norm, batch_norm: bool) -> Named:
    """Return the logits of known wrong forward passes."""

    def same(pre: Tensor) -> Tensor:
        return pre

    logits = deep_forward(w, inputs, first, second)
    hidden = torch.tanh(first(w["C"][inputs].flatten(1) @ w["W1"]))
    hidden_2 = torch.tanh(second(hidden @ w["W2"]))
    after = first(torch.tanh(w["C"][inputs].flatten(1) @ w["W1"]))
    wrong = {
        "logits without b3": logits - w["b3"],
        "logits with a tanh at the end; the output layer has none": torch.tanh(logits),
        "logits of one hidden layer; the second is missing": hidden @ w["W3"] + w["b3"],
        "logits without tanh": deep_forward(w, inputs, first, second, same),
        "logits with W2 transposed; it is h @ W2": torch.tanh(second(hidden @ w["W2"].T)) @ w["W3"] + w["b3"],
        "logits without the second tanh": second(hidden @ w["W2"]) @ w["W3"] + w["b3"],
        "logits without the first tanh": torch.tanh(second(first(w["C"][inputs].flatten(1) @ w["W1"]) @ w["W2"]))
        @ w["W3"]
        + w["b3"],
        **{
            f"logits with {name} instead of tanh": deep_forward(w, inputs, first, second, act)
            for name, act in OTHER_ACTIVATIONS.items()
        },
        "logits with relu instead of the second tanh": torch.relu(second(hidden @ w["W2"])) @ w["W3"] + w["b3"],
        "logits with a skip around the second layer": (hidden + hidden_2) @ w["W3"] + w["b3"],
        "logits without W2": torch.tanh(second(hidden)) @ w["W3"] + w["b3"],
        "probabilities; return the logits, without softmax": torch.softmax(logits, 1),
        "log probabilities; return the logits": torch.log_softmax(logits, 1),
    }
    for label, other in wrong_embeddings(w["C"], inputs).items():
        wrong[f"logits {label}"] = torch.tanh(second(torch.tanh(first(other @ w["W1"])) @ w["W2"])) @ w["W3"] + w["b3"]
    if not batch_norm:
        return wrong | {
            "logits without b1 and b2": deep_forward(w, inputs, same, same),
            "logits without b1": deep_forward(w, inputs, same, second),
            "logits without b2": deep_forward(w, inputs, first, same),
            "logits with b1 in both layers": deep_forward(w, inputs, first, first),
            "logits with b2 in both layers; is b1 the same parameter?": deep_forward(w, inputs, second, second),
            "logits with b1 and b2 swapped": deep_forward(w, inputs, second, first),
        }
    return wrong | {
        "logits with the norms after tanh; they belong before it": second(torch.tanh(after @ w["W2"])) @ w["W3"]
        + w["b3"],
        "logits with the first norm after tanh; it belongs before it": torch.tanh(second(after @ w["W2"])) @ w["W3"]
        + w["b3"],
        "logits with the second norm after tanh; it belongs before it": second(torch.tanh(hidden @ w["W2"])) @ w["W3"]
        + w["b3"],
        "logits with bn1 in both layers; each needs its own": deep_forward(w, inputs, first, first),
        "logits with bn2 in both layers; is bn1 the same layer?": deep_forward(w, inputs, second, second),
        "logits with bn1 and bn2 swapped": deep_forward(w, inputs, second, first),
        "logits without any norm": deep_forward(w, inputs, same, same),
        "logits without bn1": deep_forward(w, inputs, same, second),
        "logits without bn2": deep_forward(w, inputs, first, same),
    }
