"""The residual block and network in known wrong forms: what the hidden tests name when an answer matches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .network_reference import OTHER_ACTIVATIONS
from .residual_reference import SCALE, block_forward, mlp_head, mlp_stream, mlp_writes, norm


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
        "a block that normalises over the features of each example; call norm itself": x
        + torch.tanh(F.layer_norm(x, x.shape[1:], w.get("norm.weight"), w.get("norm.bias")) @ fc1) @ fc2,
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
    backwards = weights["embedding.weight"][inputs.flip(1)].flatten(1) @ weights["inp.weight"].T
    flipped = backwards + weights.get("inp.bias", 0.0)
    rescaled = stream[0]
    for layer in range(3):
        flipped = block_forward(weights, flipped, training, f"blocks.{layer}.")
        rescaled = norm(weights, block_forward(weights, rescaled, training, f"blocks.{layer}."), training, "norm_f.")
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
        "logits of contexts with their tokens in reverse order; keep the order": mlp_head(weights, flipped, training),
        "logits with norm_f after every block; apply it once, after the last": rescaled @ head + bias,
        "logits with norm_f after every block and at the end; apply it once": mlp_head(weights, rescaled, training),
        "logits of the mean of all streams; read the last one": mlp_head(
            weights, torch.stack(stream).mean(0), training
        ),
        "logits of the sum of all streams; read the last one": mlp_head(weights, torch.stack(stream).sum(0), training),
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


def wrong_sums(w: dict[str, Tensor], stream: list[Tensor]) -> dict[str, Tensor]:
    """Return the sums of known wrong writes to this stream."""
    layers = len(stream) - 1
    return {
        "the writes of blocks that all read the initial stream; each reads the output of the one before": (
            apart(w, stream).sum(0)
        ),
        "the output of norm_f; leave it out": norm(w, stream[-1], False, "norm_f."),
        "the initial stream minus the blocks' writes; add them": stream[0] - (stream[-1] - stream[0]),
        "a sum of streams; add up differences": torch.stack(stream).sum(0),
        "the sum of the blocks' writes without that of the embedding": stream[-1] - stream[0],
        "the stream before the last block": stream[-2],
        "a sum that begins with the end of the stream; item 0 is its beginning": 2 * stream[-1] - stream[0],
        "a sum of writes of blocks without their norm": without_norms(w, stream[0], layers).sum(0),
        "a sum of writes of blocks that read the write before; each reads the stream": on_writes(
            w, stream[0], layers
        ).sum(0),
        "the end of the stream through the blocks from the last to the first": backwards(w, stream[0], layers).sum(0),
        "a sum of writes through norm_f; leave it out": norm(w, mlp_writes(stream), False, "norm_f.").sum(0),
    }


def wrong_writes(w: dict[str, Tensor], stream: list[Tensor]) -> dict[str, Tensor]:
    """Return known wrong writes to this stream. (L+1, N, d_model)."""
    target = mlp_writes(stream)
    read = [norm(w, x, False, f"blocks.{layer}.norm.") for layer, x in enumerate(stream[:-1])]
    normed = norm(w, stream[-1], False, "norm_f.") - stream[-2]
    return {
        "the writes of blocks that all read the initial stream; each reads the output of the one before": (
            apart(w, stream)
        ),
        "the writes with the last one measured after norm_f; norm_f is not part of the stream": torch.cat(
            [target[:-1], normed[None]]
        ),
        "the streams; a write is the stream after a block minus the stream before it": torch.stack(stream),
        "the writes with the wrong sign; subtract the stream before the block from the stream after it": torch.cat(
            [target[:1], -target[1:]]
        ),
        "the absolute values of the writes; keep their signs": target.abs(),
        "the absolute values of the blocks' writes; keep their signs": torch.cat([target[:1], target[1:].abs()]),
        "the writes of blocks without their norm; call the block": without_norms(w, stream[0], len(stream) - 1),
        "the writes in reverse order": target.flip(0),
        "the writes of blocks that read the write before; each reads the stream": on_writes(
            w, stream[0], len(stream) - 1
        ),
        "the writes of blocks that are applied from the last to the first": backwards(w, stream[0], len(stream) - 1),
        "the writes through norm_f; leave it out": norm(w, target, False, "norm_f."),
        "the writes of the blocks in reverse order; item 1 is that of the first block": torch.cat(
            [target[:1], target[1:].flip(0)]
        ),
        "the writes without the bias of inp; it is part of item 0": torch.cat([target[:1] - w["inp.bias"], target[1:]]),
        "the differences to the initial stream; subtract the stream before the block": torch.stack(
            [stream[0], *(x - stream[0] for x in stream[1:])]
        ),
        "zeros in item 0 instead of the embedding's write": torch.cat([0 * target[:1], target[1:]]),
        "the writes with the final stream as item 0; item 0 is the initial stream": torch.cat(
            [stream[-1][None], target[1:]]
        ),
        "the writes with the embedding's last; it is item 0": target.roll(-1, 0),
        "what the blocks read; return what they write": torch.stack([stream[0], *read]),
    }


def apart(w: dict[str, Tensor], stream: list[Tensor]) -> Tensor:
    """Return the writes of blocks that all read the initial stream. (L+1, N, d_model)."""
    first, layers = stream[0], range(len(stream) - 1)
    return torch.stack([first, *(block_forward(w, first, False, f"blocks.{i}.") - first for i in layers)])


def on_writes(w: dict[str, Tensor], first: Tensor, layers: int) -> Tensor:
    """Return the writes of blocks that read the write of the block before instead of the stream. (L+1, N, d_model)."""
    writes = [first]
    for i in range(layers):
        writes.append(block_forward(w, writes[-1], False, f"blocks.{i}.") - writes[-1])
    return torch.stack(writes)


def backwards(w: dict[str, Tensor], first: Tensor, layers: int) -> Tensor:
    """Return the writes of blocks that are applied from the last to the first. (L+1, N, d_model)."""
    stream = [first]
    for i in reversed(range(layers)):
        stream.append(block_forward(w, stream[-1], False, f"blocks.{i}."))
    return mlp_writes(stream)


def without_norms(w: dict[str, Tensor], first: Tensor, layers: int) -> Tensor:
    """Return the writes of blocks whose branch reads the stream without its norm. (L+1, N, d_model)."""
    writes = [first]
    for i in range(layers):
        stream = torch.stack(writes).sum(0)
        writes.append(torch.tanh(stream @ w[f"blocks.{i}.fc1.weight"].T) @ w[f"blocks.{i}.fc2.weight"].T)
    return torch.stack(writes)
