"""The residual block and network in known wrong forms: what the hidden tests name when an answer matches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .network_reference import OTHER_ACTIVATIONS
from .residual_reference import SCALE, block_forward, mlp_head, mlp_stream, norm


def wrong_blocks(w: dict[str, Tensor], x: Tensor, training: bool) -> dict[str, Tensor]:
    """Return what known wrong forms of ResidualBlock give, created with scale SCALE."""
    read, other = norm(w, x, training), norm(w, x, not training)
    fc1, fc2 = w["fc1.weight"].T, w["fc2.weight"].T
    write, raw = torch.tanh(read @ fc1) @ fc2, torch.tanh(x @ fc1) @ fc2
    return {
        "a block that multiplies by `scale` in forward; `scale` only affects the initial fc2": x + SCALE * write,
        "the branch without the skip; add x to it": write,
        "a skip from the normalised value; add x itself": read + write,
        "the average of x and the branch; add them": (x + write) / 2,
        "tanh of the sum; apply nothing to the stream after the addition": torch.tanh(x + write),
        "relu of the sum; apply nothing to the stream after the addition": F.relu(x + write),
        "a block without its norm": x + raw,
        "a block with the norm after the addition; normalise the input of the branch instead": norm(
            w, x + raw, training
        ),
        "a block with the norm between the branch and the addition; normalise the input of the branch": x
        + norm(w, raw, training),
        "a block that normalises twice, before the branch and after the addition": norm(w, x + write, training),
        "the normalised branch without the skip; add x before the norm": norm(w, raw, training),
        "tanh of the norm's output; tanh belongs between fc1 and fc2": torch.tanh(norm(w, x + raw, training)),
        "a block without tanh": x + (read @ fc1) @ fc2,
        "a norm of the sum without tanh between fc1 and fc2": norm(w, x + x @ fc1 @ fc2, training),
        **{
            f"a block with {name} instead of tanh": x + act(read @ fc1) @ fc2 for name, act in OTHER_ACTIVATIONS.items()
        },
        "a block with tanh before fc1; it belongs between fc1 and fc2": x + torch.tanh(read) @ fc1 @ fc2,
        "a block that normalises twice before the branch": x + torch.tanh(norm(w, read, training) @ fc1) @ fc2,
        "a block whose branch is normalised before and after; normalise only its input": x + norm(w, write, training),
        "a block that adds x twice; add it once": 2 * x + write,
        "a block with tanh after fc2 too": x + torch.tanh(write),
        "a block with tanh after fc2; it belongs between fc1 and fc2": x + torch.tanh(read @ fc1 @ fc2),
        "x minus the branch; add it": x - write,
        "x times the branch; add it": x * write,
        "a block whose norm is in the other mode; leave the mode to train() and eval()": x
        + torch.tanh(other @ fc1) @ fc2,
        "the branch without the skip or the norm": raw,
        "x alone: the branch is not added": x,
    }


def wrong_networks(weights: dict[str, Tensor], inputs: Tensor, training: bool) -> dict[str, Tensor]:
    """Return the logits of known wrong forward passes of three blocks."""
    stream, head = mlp_stream(weights, inputs, 3, training), weights["head.weight"].T
    bias = weights.get("head.bias", torch.tensor(0.0))
    first = block_forward(weights, stream[0], training, "blocks.0.")
    same, reverse, apart = stream[0], stream[0], stream[0]
    for layer in range(3):
        same = block_forward(weights, same, training, "blocks.0.")
        reverse = block_forward(weights, reverse, training, f"blocks.{2 - layer}.")
        apart = apart + block_forward(weights, stream[0], training, f"blocks.{layer}.") - stream[0]
    backwards = weights["embedding.weight"][inputs].transpose(1, 2).flatten(1) @ weights["inp.weight"].T
    swapped = backwards + weights.get("inp.bias", 0.0)
    for layer in range(3):
        swapped = block_forward(weights, swapped, training, f"blocks.{layer}.")
    right = mlp_head(weights, stream[-1], training)
    normed, twice = stream[0], stream[0]
    for layer in range(3):
        normed = block_forward(weights, norm(weights, normed, training, "norm_f."), training, f"blocks.{layer}.")
        for _ in range(2):
            twice = block_forward(weights, twice, training, f"blocks.{layer}.")
    early, squashed = norm(weights, stream[0], training, "norm_f."), torch.tanh(stream[0])
    for layer in range(3):
        early = block_forward(weights, early, training, f"blocks.{layer}.")
        squashed = block_forward(weights, squashed, training, f"blocks.{layer}.")
    return {
        "logits with norm_f before the blocks; apply it to the end of the stream": early @ head + bias,
        "logits with tanh applied to inp's output; the stream begins with that output itself": mlp_head(
            weights, squashed, training
        ),
        "logits without norm_f": stream[-1] @ head + bias,
        "logits without the blocks": mlp_head(weights, stream[0], training),
        "logits without the last block": mlp_head(weights, stream[-2], training),
        "logits without the first block": mlp_head(weights, skipped(weights, stream[0], training), training),
        "logits with tanh before norm_f; apply nothing to the stream": mlp_head(
            weights, torch.tanh(stream[-1]), training
        ),
        "logits with tanh after norm_f; the head reads norm_f's output directly": torch.tanh(
            norm(weights, stream[-1], training, "norm_f.")
        )
        @ head
        + bias,
        "logits with relu between the blocks; apply nothing to the stream": mlp_head(
            weights, through_relu(weights, stream[0], training), training
        ),
        "logits with norm_f applied twice": norm(
            weights, norm(weights, stream[-1], training, "norm_f."), training, "norm_f."
        )
        @ head
        + bias,
        "logits with norm_f in the other mode; leave the mode to train() and eval()": norm(
            weights, stream[-1], not training, "norm_f."
        )
        @ head
        + bias,
        "logits with a norm without the weight and bias of norm_f": norm(
            weights | {"norm_f.weight": torch.tensor(1.0), "norm_f.bias": torch.tensor(0.0)},
            stream[-1],
            training,
            "norm_f.",
        )
        @ head
        + bias,
        "logits of the last block only; apply the blocks one after the other": mlp_head(
            weights, block_forward(weights, stream[0], training, "blocks.2."), training
        ),
        "logits with a second skip around the last block; the block contains its skip": mlp_head(
            weights, stream[-1] + stream[-2], training
        ),
        "logits with norm_f before every block too; apply it to the end of the stream only": mlp_head(
            weights, normed, training
        ),
        "logits with the last block applied twice; apply each block once": mlp_head(
            weights, block_forward(weights, stream[-1], training, "blocks.2."), training
        ),
        "logits with the first block applied twice; apply each block once": mlp_head(
            weights, skipped(weights, block_forward(weights, first, training, "blocks.0."), training), training
        ),
        "logits with every block applied twice; apply each block once": mlp_head(weights, twice, training),
        "logits with a skip around all blocks; each block contains its skip": mlp_head(
            weights, stream[-1] + stream[0], training
        ),
        "logits with a second skip around every block; the block contains its skip": mlp_head(
            weights, doubled(weights, stream[0], training), training
        ),
        "logits of the first block applied three times; apply each block once": mlp_head(weights, same, training),
        "logits of the first block only": mlp_head(weights, first, training),
        "logits of the blocks in reverse order": mlp_head(weights, reverse, training),
        "logits of blocks that all read the initial stream; each reads the output of the one before": mlp_head(
            weights, apart, training
        ),
        "logits of embeddings concatenated in the wrong order; flatten(1) keeps each vector together": mlp_head(
            weights, swapped, training
        ),
        "probabilities; return the logits": torch.softmax(right, 1),
        "log-probabilities; return the logits": torch.log_softmax(right, 1),
    }


def skipped(weights: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    for layer in (1, 2):
        x = block_forward(weights, x, training, f"blocks.{layer}.")
    return x


def through_relu(weights: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    for layer in range(3):
        x = torch.relu(block_forward(weights, x, training, f"blocks.{layer}."))
    return x


def doubled(weights: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    for layer in range(3):
        x = x + block_forward(weights, x, training, f"blocks.{layer}.")
    return x
