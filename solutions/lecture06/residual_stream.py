# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# init_cell: false
# check_all_cell: false
# export_cell: false
# generate: false
# run_tests: false
# tests:
#   files: true
#   ok_format: false

# %%
try:
    from src.grader import Grader
except ModuleNotFoundError:
    raise SystemExit(
        "The folder src is not here. Open this notebook in the unzipped folder of the assignment; "
        "in Colab, open colab/residual_stream.ipynb instead, which works alone."
    ) from None

grader = Grader("residual_stream")

# %% [markdown]
# # Lecture 6, notebook 2: Residual Streams
#
# A deep plain network barely learns, because hardly any gradient reaches its first layers. You will measure this, and
# then build the architecture that most deep models use today: a **residual stream** that runs from the input to the
# output, and blocks that read from it and write to it. Then you will look into the stream and see what each block
# contributes to a prediction.
#
# | part | questions | points |
# |---|---|---|
# | 1. The names | none, just read and run | 0 |
# | 2. What depth does to a plain network | R1 | 4 |
# | 3. The residual stream | R2, R3 | 12 |
# | 4. Initialization | R4, R5 | 9 |
# | 5. Where the norm goes | R6 | 5 |
# | 6. Reading the stream | R7, R8 | 12 |
# | 7. Training and inference | R9, R10 | 8 |
# | 8. Lab: what matters? | not graded | 0 |
# | **total** | | **50** |
#
# Three more questions, W4 to W6, are answered in a few words. People grade them, and their points are a bonus: 2 each,
# on top of the 100 of both notebooks.
#
# Expect three to four hours. Once everything is written, the whole notebook runs in about a minute. It uses PyTorch's
# own `nn.BatchNorm1d`, so nothing here depends on your answers to the first notebook.

# %% [markdown]
# ## How to work
#
# 1. **Run** the cells from top to bottom. Each question has one code cell with a block that starts with `TODO`.
# 2. **Fill** the block between the lines `START OF YOUR CODE` and `END OF YOUR CODE`, replacing `raise
#    NotImplementedError(...)`. Do not change those two lines or the line with `def` or `class`. You may write helper
#    functions inside the block or in new cells.
# 3. **Run** your cell, then **check** it with the cell `grader.check("...")` below it. A check tells you what it
#    compared and where the first difference is. Checks are quick and catch only common mistakes; grading is more
#    thorough.
# 4. **Look** at the plot or table that follows. A demonstration that needs a question you have not answered yet is
#    skipped with a message, so you can always run the whole notebook.
#
# Each question says how difficult it is and how important for what follows (● to ●●●●), and how long it takes. If you
# get stuck, unfold the hints one at a time: the first gives the idea, the second the shapes, and the third nearly
# gives the code away. A mistake in one question costs points in that question only.

# %%
import copy
import functools
import math
import string
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.model_selection import train_test_split

from src import figures
from src.utils import configure_device, load_text, set_seed, sparkline

# The layers here are so small that a second thread costs more time than it saves.
torch.set_num_threads(1)

# Colours that remain distinguishable with colour blindness.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

# %% [markdown]
# # 1. The names
#
# **Goal:** know the data, which are those of the first notebook, and the helpers of this one.
#
# ## The settings
#
# All settings are in one place.


# %%
@dataclass
class MLPConfig:
    """The settings of the model, the data and the training run."""

    context_size: int = 3  # characters that the model sees
    d_embed: int = 16  # numbers per character
    d_hidden: int = 256  # units in a hidden layer
    val_size: float = 0.1  # share of the names kept for validation
    batch_size: int = 32  # examples per training step
    max_steps: int = 1000  # training steps
    lr: float = 0.01  # learning rate
    val_interval: int = 100  # steps between two validations
    log_interval: int = 100  # steps between two entries in the log
    seed: int = 101


config = MLPConfig()
set_seed(config.seed)
device = configure_device()
print("\n".join(f"{name:<13}{value}" for name, value in vars(config).items()))
print(f"running on: {device}")

# %% [markdown]
# ## The names
#
# The data are first names, one per line. A tenth of them is held out for validation.

# %%
text = load_text()
names = text.splitlines()
train_names, val_names = train_test_split(names, test_size=config.val_size, random_state=config.seed)
print(f"{len(names):,} names: {len(train_names):,} for training, {len(val_names):,} for validation")
print("examples:", ", ".join(train_names[:8]))

# %% [markdown]
# ## The tokenizer
#
# There are 27 tokens: the dot, which marks the beginning and the end of a name, and the letters a to z.

# %%
chars = [".", *string.ascii_lowercase]
vocab_size = len(chars)
str2idx = {char: index for index, char in enumerate(chars)}
idx2str = dict(enumerate(chars))
print(f"{vocab_size} tokens: {''.join(chars)}")

# %% [markdown]
# ## The examples
#
# An example is a context of three characters and the character that comes next. The name `ada` gives four of them:
# `... → a`, `..a → d`, `.ad → a`, `ada → .`
#
# The examples are stored as two tensors, so that drawing a batch is a single indexing operation. A `DataLoader` would
# fetch the examples one by one, which takes longer than a training step of a network as small as ours.


# %%
class NamesDataset:
    """All contexts and next characters in a list of names.

    inputs (N, context_size) and targets (N,), both int64, on `device`.
    """

    def __init__(self, names, context_size):
        inputs, targets = [], []
        for name in names:
            tokens = [0] * context_size + [str2idx[char] for char in name] + [0]
            for end in range(context_size, len(tokens)):
                inputs.append(tokens[end - context_size : end])
                targets.append(tokens[end])
        self.inputs = torch.tensor(inputs, dtype=torch.int64, device=device)
        self.targets = torch.tensor(targets, dtype=torch.int64, device=device)

    def __len__(self):
        return len(self.targets)


train_data = NamesDataset(train_names, config.context_size)
val_data = NamesDataset(val_names, config.context_size)
print(f"{len(train_data):,} examples for training, {len(val_data):,} for validation")
for row in range(4):
    context = "".join(idx2str[token] for token in train_data.inputs[row].tolist())
    print(f"{context} → {idx2str[train_data.targets[row].item()]}")

# %% [markdown]
# ## Sizes and helpers of this notebook
#
# The deep networks below have a stream of `d_model` numbers per example; inside a block, the computation uses `d_ff`
# units. Three helpers are given. `eval_mode` is useful in R7, R8 and R10: inside `with eval_mode(model):` the model
# is in evaluation mode, and afterwards every module is back in its former mode, even if the code inside raised an
# exception.
#
# (Of the settings above, this notebook uses `context_size`, `d_embed`, `val_size` and `seed`; the others are for the
# first notebook.)


# %%
@dataclass
class StreamConfig:
    """The sizes of the deep networks."""

    d_model: int = 64  # width of the stream
    d_ff: int = 128  # units inside a block
    n_layers: int = 12  # blocks, unless stated otherwise


stream_config = StreamConfig()

# One run proves little, so every comparison of trainings below uses three seeds.
SEEDS = (101, 102, 103)

# A fixed batch for inspecting the networks.
look_inputs, look_targets = train_data.inputs[:512], train_data.targets[:512]


@contextmanager
def eval_mode(model):
    """Put the model into evaluation mode inside a `with` block and restore every module's mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def demonstration(what):
    """Skip a demonstration, with a message, while a question that it needs is unanswered."""
    try:
        yield
    except NotImplementedError as error:
        print(f"{what}: skipped. Answer {error} first, run its cell, then re-run this one.")


def spread(values, digits=2):
    """Format values as their mean and range; "diverged" if one of them is not finite."""
    if not np.isfinite(values).all():
        return f"diverged ({sum(not math.isfinite(value) for value in values)} of {len(values)})"
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def unigram_cross_entropy(targets):
    """Return the cross-entropy in nats of predicting by letter frequency alone, ignoring the context."""
    shares = torch.bincount(targets, minlength=vocab_size) / len(targets)
    return -torch.special.xlogy(shares, shares).sum().item()


unigram = unigram_cross_entropy(train_data.targets)
print(f"cross-entropy of a uniform guess: {math.log(vocab_size):.3f} nats, of letter frequency only: {unigram:.3f}")

# %% [markdown]
# # 2. What depth does to a plain network
#
# **Goal:** measure how much gradient reaches each layer of a deep network.
#
# Here is a plain deep network: an embedding, a linear layer to the width `d_model`, then `n_layers` blocks $h_{l+1} =
# \tanh(W_l h_l + b_l)$ one after the other, then a linear layer to 27 logits. All layers have PyTorch's default initialization.


# %%
class PlainBlock(nn.Module):
    """A plain tanh layer: (N, d_model) -> (N, d_model)."""

    def __init__(self, d_model):
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_model)

    def forward(self, h):
        return torch.tanh(self.fc1(h))


class PlainMLP(nn.Module):
    """A plain deep network: (N, context_size) tokens -> (N, vocab_size) logits."""

    def __init__(self, vocab_size, context_size, d_embed, d_model, n_layers):
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings=vocab_size, embedding_dim=d_embed)
        self.inp = nn.Linear(in_features=context_size * d_embed, out_features=d_model)
        self.blocks = nn.Sequential(*[PlainBlock(d_model) for _ in range(n_layers)])
        self.head = nn.Linear(in_features=d_model, out_features=vocab_size)

    def forward(self, tokens):
        h = self.inp(self.embedding(tokens).flatten(1))  # (N, d_model)
        return self.head(self.blocks(h))


def make_plain(n_layers=stream_config.n_layers):
    """Build a PlainMLP of this notebook's sizes."""
    sizes = vocab_size, config.context_size, config.d_embed, stream_config.d_model
    return PlainMLP(*sizes, n_layers).to(device)


# %% [raw]
# # BEGIN QUESTION
# name: R1
# points: 4

# %% [markdown]
# ## R1. How much gradient reaches each layer? (4 points)
#
# Difficulty ●○○○ · importance ●●●○ · 15 minutes
#
# A layer learns from the gradient that reaches its weights. On its way from the loss back to the first layer, the
# gradient passes through every layer above, and each one may shrink or amplify it. So before we fix anything, we
# measure.
#
# Write `grad_norms`. With the cross-entropy $\mathcal L$ of the model's logits on the batch (averaged over the
# examples, as `F.cross_entropy` does), and $W^{(i)}$ the weight `model.blocks[i].fc1.weight`, it returns
#
# $$ g_i = \left\lVert \frac{\partial \mathcal L}{\partial W^{(i)}} \right\rVert_2 , \qquad i = 0, \dots, L-1, $$
#
# the square root of the sum of all squared entries, as a tensor of shape `(L,)`.
#
# - It must work for every model with `blocks` whose items have an `fc1`: for `PlainMLP` here, and for the network you
#   will write in part 3.
# - Measuring must have no side effects. Afterwards the weights, the model's mode and the `.grad` of **every**
#   parameter are as before (a `.grad` that was `None` is `None` again). Use the model in the mode it is in.
#
# <details><summary>Hint 1: the concept</summary>
#
# `loss.backward()` stores gradients in `.grad`, where the next training step would find them. There is a function in
# `torch.autograd` that returns the gradients without storing them.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# The gradient at a weight has the weight's shape, `(out, in)`. Each gives one number, so L weights give L numbers,
# which `torch.stack` turns into a tensor `(L,)`.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# Put the L weights into a list. `torch.autograd.grad(<the loss>, <the list>)` returns their gradients in the same
# order; take `.norm()` of each.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def grad_norms(model, inputs, targets):
    """Return the norm of the loss gradient at each block's first weight.

    model: has `blocks`, each with `fc1`; inputs (N, context_size), targets (N,): int64
    Returns a tensor (L,); leaves weights, mode and every `.grad` as they were.
    """
    ############################################################################
    # TODO R1 (4 points): compute the cross-entropy, then the norm of its      #
    # gradient at fc1.weight of each block. Leave no trace in .grad.           #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    loss = F.cross_entropy(model(inputs), targets)
    weights = [block.fc1.weight for block in model.blocks]
    gradients = torch.autograd.grad(loss, weights)
    return torch.stack([gradient.norm() for gradient in gradients])  # (L,)
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("R1")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_gradient_norms_of_a_plain_network(env):
    import torch
    from torch.func import functional_call, grad
    from torch.nn.functional import cross_entropy

    from src.checks import answer, checking, compare, require

    with checking("R1"):
        grad_norms = answer(env, "R1", "grad_norms")
        require("PlainMLP" in env, "PlainMLP is not defined; run the given cell that defines it, then re-run this check")
        torch.manual_seed(0)
        model = env["PlainMLP"](27, 3, 4, 8, 5).double()
        inputs, targets = torch.randint(27, (40, 3)), torch.randint(27, (40,))
        start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        slopes = grad(lambda w: cross_entropy(functional_call(model, w, (inputs,)), targets))(start)
        each = [slopes[f"blocks.{i}.fc1.weight"] for i in range(5)]
        target = torch.stack([slope.square().sum().sqrt() for slope in each])
        slips = {
            "leaving out the square root": target.square(),
            "the largest entry instead of the norm": torch.stack([slope.abs().max() for slope in each]),
            "adding up the absolute values": torch.stack([slope.abs().sum() for slope in each]),
            "averaging the squares; add them up": target / 8,
            "summing the loss over the examples; average": 40 * target,
            "the order from the last block to the first": target.flip(0),
        }

        yours = grad_norms(model, inputs, targets)
        require(isinstance(yours, torch.Tensor), f"grad_norms returned a {type(yours).__name__}; it should return a tensor (L,)")
        compare("grad_norms(model, inputs, targets)", yours, target, rtol=1e-6, atol=1e-9, slips=slips)
        require(
            all(weight.grad is None for weight in model.parameters()),
            "the call left gradients in `.grad`; the next training step would use them",
        )
        require(model.training, "the model was in training mode before the call and is in evaluation mode now")
        require(
            all(torch.equal(weight, start[name]) for name, weight in model.named_parameters()),
            "the call changed the model's weights; it should only measure",
        )
        kept = {}
        for number, (name, weight) in enumerate(model.named_parameters()):
            kept[name] = torch.full_like(weight, float(number))
            weight.grad = kept[name].clone()
        again = grad_norms(model, inputs, targets)
        for name, weight in model.named_parameters():
            require(
                weight.grad is not None and torch.equal(weight.grad, kept[name]),
                f"the call changed a `.grad` that was there before (of {name})",
            )
        compare("grad_norms with old gradients in `.grad`", again, target, rtol=1e-6, atol=1e-9)


# %%
def test_gradient_norms_of_a_network_with_a_norm(env):
    import copy

    import torch
    from torch.nn.functional import cross_entropy

    from src.checks import answer, checking, compare, require

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.fc1 = torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 8)

        def forward(self, x):
            return x + self.fc1(self.norm(x)).tanh()

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = torch.nn.Embedding(27, 8), torch.nn.Linear(8, 27)
            self.blocks = torch.nn.Sequential(Block(), Block(), Block())

        def forward(self, tokens):
            return self.head(self.blocks(self.embedding(tokens).sum(1)))

    with checking("R1"):
        grad_norms = answer(env, "R1", "grad_norms")
        torch.manual_seed(0)
        model = Net().double()
        inputs, targets = torch.randint(27, (40, 3)), torch.randint(27, (40,))
        model(inputs)
        for training in (True, False):
            found = {}
            for mode in (training, not training):
                twin = copy.deepcopy(model).train(mode)
                cross_entropy(twin(inputs), targets).backward()
                found[mode] = torch.stack([block.fc1.weight.grad.square().sum().sqrt() for block in twin.blocks])
            mode, other = ("training", "evaluation") if training else ("evaluation", "training")
            slips = {f"using the model in {other} mode; use it in the mode it is in": found[not training]}
            yours = grad_norms(model.train(training), inputs, targets)
            compare(f"the norms of a network in {mode} mode", yours, found[training], rtol=1e-6, atol=1e-9, slips=slips)
            require(model.training == training, f"the model was in {mode} mode before the call and is not now")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **The effect.** The vertical axis is logarithmic: a straight line falling to the left means that every layer shrinks
# the gradient by the same factor.

# %% tags=["demo"]
with demonstration("The gradients of plain networks"):
    set_seed(config.seed)
    measured = {}
    for n_layers in (8, 16, 32):
        measured[n_layers] = grad_norms(make_plain(n_layers), look_inputs, look_targets).cpu()
    fig, ax = plt.subplots(figsize=(7, 3))
    for (n_layers, norms), color in zip(measured.items(), (GREEN, BLUE, ORANGE), strict=True):
        ax.semilogy(range(n_layers), norms, "o-", color=color, markersize=3, label=f"{n_layers} layers")
        print(f"{n_layers:2d} layers: first {norms[0]:.1e}, last {norms[-1]:.1e}, last / first {norms[-1] / norms[0]:.0e}")
    ax.set(xlabel="layer (0 is nearest to the input)", ylabel="gradient norm")
    ax.set_title("In a plain network the gradient vanishes towards the input")
    ax.legend()
    plt.show()
    factors = [(norms[-1] / norms[0]).item() ** (1 / (len(norms) - 1)) for norms in measured.values()]
    print("every layer shrinks the gradient by a factor of about", ", ".join(f"{factor:.1f}" for factor in factors))
# CLAIM: all(1.3 < factor < 4 for factor in factors)
# CLAIM: measured[32][-1] / measured[32][0] > 1000 * measured[16][-1] / measured[16][0]

# %% [markdown]
# # 3. The residual stream
#
# **Goal:** build a network whose blocks read from a stream and write to it.
#
# The remedy is to stop passing the signal *through* the layers. Instead, a **stream** of `d_model` numbers per example
# runs straight from the input to the output, and every block **reads** from it, **computes** something, and **writes**
# the result by adding it to the stream (He et al. 2015, 2016):

# %% tags=["demo"]
figures.residual_stream()

# %% [markdown]
# Because of the additions, a change in the stream has a direct path to the output, and so does the gradient on the way
# back:
#
# $$ x_{l+1} = x_l + F_l(x_l) \quad\Longrightarrow\quad
#    \frac{\partial \mathcal L}{\partial x_l} = \frac{\partial \mathcal L}{\partial x_{l+1}}
#    \left( I + \frac{\partial F_l}{\partial x_l} \right). $$

# %% [raw]
# # BEGIN QUESTION
# name: R2
# points: 6

# %% [markdown]
# ## R2. A residual block (6 points)
#
# Difficulty ●●○○ · importance ●●●● · 25 minutes
#
# Write the block, with the norm where it *reads* (this is called pre-norm):
#
# $$ \mathrm{block}(x) = x + W_2 \tanh\big(W_1\, \mathrm{BN}(x)\big) , $$
#
# with the stream $x$ of shape `(N, d_model)`.
#
# | name | what it is | initial value |
# |---|---|---|
# | `norm` | `nn.BatchNorm1d(d_model)` | PyTorch's default |
# | `fc1` | linear, `d_model` to `d_ff`, no bias | each weight from $\mathcal N(0, 1/\text{fan-in})$ |
# | `fc2` | linear, `d_ff` to `d_model`, no bias | each weight from $\mathcal N(0, 1/\text{fan-in})$, times `scale` |
#
# Here $1/\text{fan-in}$ is the variance, and the fan-in of a layer is the number of its inputs. `scale` only affects
# the initial weights of `fc2`; `forward` does not use it. The block must not modify its input `x` in place, because
# the stream is read elsewhere too.
#
# <details><summary>Hint 1: the concept</summary>
#
# The skip path carries the stream itself, unchanged: neither normalised nor scaled nor passed through tanh. Only the
# branch is.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# stream `(N, d_model)` → norm `(N, d_model)` → fc1 `(N, d_ff)` → tanh → fc2 `(N, d_model)`, which can be added to the
# stream. `fc1` has fan-in `d_model`; `fc2` has fan-in `d_ff`. A variance of 1/fan-in is a standard deviation of
# 1/√fan-in.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# `nn.init.normal_(tensor, std=...)` fills a weight in place. In `forward`, compute the branch from the inside out,
# and return the sum of `x` and the branch.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
class ResidualBlock(nn.Module):
    """Read from the stream, compute, write to it: (N, d_model) -> (N, d_model).

    norm: nn.BatchNorm1d(d_model); fc1: d_model -> d_ff and fc2: d_ff -> d_model, linear without bias
    scale: factor on the initial weights of fc2
    """

    ############################################################################
    # TODO R2 (6 points): the layers with their initial weights, and the       #
    # forward pass x + fc2(tanh(fc1(norm(x)))).                                #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    def __init__(self, d_model, d_ff, scale=1.0):
        super().__init__()
        self.norm = nn.BatchNorm1d(d_model)
        self.fc1 = nn.Linear(d_model, d_ff, bias=False)
        self.fc2 = nn.Linear(d_ff, d_model, bias=False)
        nn.init.normal_(self.fc1.weight, std=d_model**-0.5)
        nn.init.normal_(self.fc2.weight, std=scale * d_ff**-0.5)

    def forward(self, x):
        hidden = torch.tanh(self.fc1(self.norm(x)))  # (N, d_ff)
        return x + self.fc2(hidden)
    # END SOLUTION
    """ # BEGIN PROMPT
    def __init__(self, d_model, d_ff, scale=1.0):
        raise NotImplementedError("R2")

    def forward(self, x):
        raise NotImplementedError("R2")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_block_adds_its_branch_to_the_stream(env):
    import torch
    from torch.nn.functional import batch_norm, linear

    from src.checks import FLOAT64, answer, checking, compare, compare_gradients, require

    with checking("R2"):
        ResidualBlock = answer(env, "R2", "ResidualBlock")
        torch.manual_seed(0)
        block = ResidualBlock(6, 10, scale=0.5).double()
        for name in ("norm", "fc1", "fc2"):
            require(hasattr(block, name), f"the block has no `{name}`; the table in the question names the three layers")
        require(block.norm.momentum == 0.1, f"norm has momentum {block.norm.momentum}; keep PyTorch's default, 0.1")
        require(block.norm.eps == 1e-5, f"norm has eps {block.norm.eps}; keep PyTorch's default, 1e-5")
        compare("the shape of fc1.weight", torch.tensor(block.fc1.weight.shape), torch.tensor([10, 6]))
        compare("the shape of fc2.weight", torch.tensor(block.fc2.weight.shape), torch.tensor([6, 10]))
        biases = [getattr(layer, "bias", None) for layer in (block.fc1, block.fc2)]
        require(biases == [None, None], "fc1 and fc2 should have no bias; use bias=False")
        with torch.no_grad():
            block.norm.weight.uniform_(0.5, 1.5)
            block.norm.bias.uniform_(-0.5, 0.5)
        norm, w1, w2 = block.norm, block.fc1.weight, block.fc2.weight
        stream = (2 + 3 * torch.randn(32, 6, dtype=torch.float64)).requires_grad_()
        read = batch_norm(stream, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
        branch = linear(linear(read, w1).tanh(), w2)
        given = stream.detach().clone()
        after = block(given)
        require(torch.equal(given, stream), "the block modified its input in place; create a new tensor instead")
        slips = {
            "leaving out the skip path": branch,
            "adding the branch to the normalised stream": read + branch,
            "leaving out the norm": stream + linear(linear(stream, w1).tanh(), w2),
            "applying tanh after the sum": (stream + linear(linear(read, w1), w2)).tanh(),
            "applying tanh to the branch, after fc2": stream + linear(linear(read, w1), w2).tanh(),
            "leaving out tanh": stream + linear(linear(read, w1), w2),
            "using `scale` in forward, too": stream + 0.5 * branch,
            "averaging the stream and the branch; add them": (stream + branch) / 2,
            "subtracting the branch": stream - branch,
        }
        compare("block(x)", after, stream + branch, **FLOAT64, slips=slips)
        average = stream.detach().mean(0)
        slips = {"not updating it in training mode": 0 * average, "calling the norm twice": 0.19 * average}
        compare("norm.running_mean after one call", norm.running_mean, 0.1 * average, **FLOAT64, slips=slips)
        cotangent = torch.randn(32, 6, dtype=torch.float64)
        places = {"x": (stream, stream), "fc1.weight": (w1, w1), "fc2.weight": (w2, w2), "norm.weight": (norm.weight,) * 2}
        (by_skip,) = torch.autograd.grad((branch * cotangent).sum(), stream, retain_graph=True)
        slips = {"x": {"a detached skip path": by_skip, "a branch that reads a detached stream": cotangent}}
        compare_gradients(block(stream), stream + branch, places, cotangent, slips)

        block.eval()
        mean, var = norm.running_mean, norm.running_var
        read = batch_norm(stream, mean, var, norm.weight, norm.bias, training=False, eps=norm.eps)
        target = stream + linear(linear(read, w1).tanh(), w2)
        compare("block(x) in evaluation mode", block(stream), target, **FLOAT64)
        compare("block(x) in evaluation mode, one example", block(stream[:1]), target[:1], **FLOAT64)
        as_built = ResidualBlock(6, 10)(stream.detach().float())
        kind = as_built.dtype
        require(kind == torch.float32, f"for a float32 stream, a new block returns {kind}; its weights should be float32")


# %%
def test_block_starts_with_the_right_spread(env):
    import torch

    from src.checks import answer, checking, compare, require

    with checking("R2"):
        ResidualBlock = answer(env, "R2", "ResidualBlock")
        torch.manual_seed(0)
        block, other = ResidualBlock(100, 400, scale=0.25), ResidualBlock(100, 400)
        for name, fan_in, scale in (("fc1", 100, 1), ("fc2", 400, 0.25)):
            weight = getattr(block, name).weight.detach()
            slips = {
                "scaling fc1 as well; scale belongs to fc2": 0.025 if name == "fc1" else 0.0125,
                "not applying scale": fan_in**-0.5,
                "the variance where the standard deviation is asked for": scale / fan_in,
                "the number of outputs instead of the number of inputs": scale * (500 - fan_in) ** -0.5,
                "PyTorch's default initialization": (3 * fan_in) ** -0.5,
            }
            what = f"the standard deviation of {name}.weight (d_model 100, d_ff 400, scale 0.25)"
            compare(what, weight.std(), scale * fan_in**-0.5, rtol=0.05, atol=0, slips=slips)
            require(weight.abs().max() > 2.5 * weight.std(), f"{name}.weight is not normally distributed")
        compare("the standard deviation of fc2.weight without `scale`", other.fc2.weight.std(), 0.05, rtol=0.05, atol=0)
        require(
            not torch.equal(block.fc1.weight, other.fc1.weight),
            "two blocks start with the same weights; do not set a seed inside the block",
        )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **The effect.** One block applied to 24 examples (rows). It reads the stream through the norm, computes with `d_ff`
# units, and writes `d_model` numbers back. The stream afterwards is the stream before plus what was written, so it
# still looks much the same.

# %% tags=["demo"]
with demonstration("The picture of one block"), torch.no_grad():
    set_seed(config.seed)
    block = ResidualBlock(stream_config.d_model, stream_config.d_ff, scale=0.5)
    before = 1 + 1.5 * torch.randn(24, stream_config.d_model)
    after = block(before)
    read = F.batch_norm(before, None, None, training=True)
    panels = {
        "stream before": before,
        "read: norm": read,
        "compute: tanh": (read @ block.fc1.weight.T).tanh(),
        "write: fc2": after - before,
        "stream after": after,
    }
    fig, axes = plt.subplots(1, len(panels), figsize=(10, 2.8), sharey=True, layout="constrained")
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        limit = 2 * values.square().mean().sqrt().item()  # each panel has its own colour scale
        ax.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        ax.set(title=f"{title}\nstd {values.std():.2f}", xlabel=f"feature (colours: ±{limit:.1f})")
    axes[0].set_ylabel("example")
    plt.show()
    kept = torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1].item()
    print(f"correlation of the stream before and after: {kept:.2f}")
# CLAIM: kept > 0.9

# %% [raw]
# # BEGIN QUESTION
# name: R3
# points: 6

# %% [markdown]
# ## R3. A network around the stream (6 points)
#
# Difficulty ●●○○ · importance ●●●● · 20 minutes
#
# Now build a whole network. The embedding writes the initial content of the stream, every block adds to it, and the
# head reads the end of the stream through a final norm:
#
# $$ x_0 = \mathrm{inp}(\mathrm{embed}(\text{tokens})), \qquad x_{l+1} = \mathrm{block}_l(x_l), \qquad
#    \text{logits} = \mathrm{head}(\mathrm{norm_f}(x_L)) . $$
#
# | name | what it is |
# |---|---|
# | `embedding` | `nn.Embedding(vocab_size, d_embed)`; the vectors of one context are concatenated |
# | `inp` | `nn.Linear(context_size * d_embed, d_model)` |
# | `blocks` | an `nn.ModuleList` of `n_layers` separate `ResidualBlock`s, `scale` $= 1/\sqrt{2\,n_{\text{layers}}}$ |
# | `norm_f` | `nn.BatchNorm1d(d_model)` |
# | `head` | `nn.Linear(d_model, vocab_size)` |
#
# The table lists everything that has parameters; add no others. Everything except the blocks keeps PyTorch's default
# initialization. (R5 shows where the scale comes from.)
#
# <details><summary>Hint 1: the concept</summary>
#
# Blocks in a plain Python list are invisible to `model.parameters()`, so they would never be trained. And `[block] *
# 12` is a list with the same block twelve times.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# tokens `(N, 3)` → embedding `(N, 3, d_embed)` → concatenated `(N, 3 * d_embed)` → stream `(N, d_model)`, which keeps
# this shape through all blocks → logits `(N, vocab_size)`.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# Build the list with a comprehension that calls `ResidualBlock(d_model, d_ff, ...)` once for each of the `n_layers`
# blocks. In `forward`, `.flatten(1)` concatenates the vectors; then pass a variable `x` through the blocks in turn.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
class ResidualMLP(nn.Module):
    """A deep network around a residual stream: (N, context_size) tokens -> (N, vocab_size) logits.

    embedding: vocab_size tokens of d_embed numbers; inp: context_size * d_embed -> d_model
    blocks: n_layers times ResidualBlock(d_model, d_ff); norm_f; head: d_model -> vocab_size
    """

    ############################################################################
    # TODO R3 (6 points): the parts of the network, and the forward pass from  #
    # tokens through the stream to logits.                                     #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    def __init__(self, vocab_size, context_size, d_embed, d_model, d_ff, n_layers):
        super().__init__()
        scale = (2 * n_layers) ** -0.5
        self.embedding = nn.Embedding(vocab_size, d_embed)
        self.inp = nn.Linear(context_size * d_embed, d_model)
        self.blocks = nn.ModuleList([ResidualBlock(d_model, d_ff, scale) for _ in range(n_layers)])
        self.norm_f = nn.BatchNorm1d(d_model)
        self.head = nn.Linear(d_model, vocab_size)

    def forward(self, inputs):
        x = self.inp(self.embedding(inputs).flatten(1))  # (N, d_model)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm_f(x))  # (N, vocab_size)
    # END SOLUTION
    """ # BEGIN PROMPT
    def __init__(self, vocab_size, context_size, d_embed, d_model, d_ff, n_layers):
        raise NotImplementedError("R3")

    def forward(self, inputs):
        raise NotImplementedError("R3")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_network_has_the_right_parts(env):
    import torch

    from src.checks import answer, checking, compare, require

    with checking("R3"):
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(29, 4, 16, 40, 90, 8)
        for name in ("embedding", "inp", "blocks", "norm_f", "head"):
            require(hasattr(model, name), f"the network has no `{name}`; the table in the question lists its parts")
        require(isinstance(model.blocks, torch.nn.Module), "`blocks` is not an nn.ModuleList")
        require(len(model.blocks) == 8, f"for n_layers=8 the network has {len(model.blocks)} block(s)")
        require(len({id(block) for block in model.blocks}) == 8, "the blocks are not all different objects")
        count = sum(weight.numel() for weight in model.parameters())
        target = 29 * 16 + (64 * 40 + 40) + 8 * (2 * 40 + 2 * 40 * 90) + 2 * 40 + (40 * 29 + 29)
        require(
            count == target,
            f"model.parameters() has {count:,} numbers; the target is {target:,}. "
            "Is `blocks` an nn.ModuleList, and has the model parameters that the table does not list?",
        )
        spread = torch.stack([block.fc2.weight.detach().std() for block in model.blocks]).mean()
        slips = {
            "not passing the scale 1/sqrt(2 n_layers) to the blocks": 90**-0.5,
            "the scale 1/sqrt(n_layers); it is 1/sqrt(2 n_layers)": (8 * 90) ** -0.5,
            "the scale 1/(2 n_layers); take the square root": 90**-0.5 / 16,
        }
        compare("the standard deviation of fc2.weight", spread, 0.25 / 90**0.5, rtol=0.05, atol=0, slips=slips)
        first, last = model.embedding.weight.detach(), model.head.weight.detach()
        require(0.8 < first.std() < 1.2, f"embedding starts with standard deviation {first.std():.2f}; PyTorch's default is 1")
        require(first[0].any(), "the vector of token 0 is zero; keep PyTorch's default and set no padding_idx")
        require(0.05 < last.std() < 0.15, f"head starts with standard deviation {last.std():.2f}; keep PyTorch's default")


# %%
def test_stream_runs_through_all_blocks(env):
    import torch
    from torch.nn.functional import batch_norm, linear

    from src.checks import FLOAT64, answer, checking, compare, require

    with checking("R3"):
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(29, 2, 4, 8, 10, 5).double()
        inputs, targets = torch.randint(29, (40, 2)), torch.randint(29, (40,))
        norm, head, averages = model.norm_f, model.head, {}

        def watched(index, forward, seen):
            def run(stream, *rest, **named):
                seen[index] = stream, forward(stream, *rest, **named)
                return seen[index][1]

            return run

        for training in (True, False):
            model.train(training)
            seen = {}
            usual = [block.forward for block in model.blocks]
            for index, block in enumerate(model.blocks):
                block.forward = watched(index, usual[index], seen)
            logits = model(inputs)
            for index, block in enumerate(model.blocks):
                block.forward = usual[index]
            modes = {part.training for part in model.modules()}
            require(modes == {training}, "a call of forward changed the mode of the network or of one of its parts")
            require(set(seen) == set(range(5)), f"of the blocks 0 to 4, forward called only {sorted(seen)}")
            concatenated = model.embedding.weight[inputs].reshape(40, 8)
            start = linear(concatenated, model.inp.weight, model.inp.bias)
            compare("what block 0 reads", seen[0][0], start, **FLOAT64, slips={"applying tanh after inp": start.tanh()})
            for index in range(1, 5):
                compare(f"what block {index} reads", seen[index][0], seen[index - 1][1], **FLOAT64)
            stream = seen[4][1]
            mean, var = (None, None) if training else (norm.running_mean, norm.running_var)
            last = batch_norm(stream, mean, var, norm.weight, norm.bias, training=training)
            slips = {
                "leaving out norm_f": linear(stream, head.weight, head.bias),
                "applying tanh after norm_f": linear(last.tanh(), head.weight, head.bias),
            }
            mode = "training" if training else "evaluation"
            target = linear(last, head.weight, head.bias)
            compare(f"the logits in {mode} mode", logits, target, **FLOAT64, slips=slips)
            norms = {"norm_f": (norm, stream)}
            norms |= {f"blocks[{i}].norm": (block.norm, seen[i][0]) for i, block in enumerate(model.blocks)}
            for name, (part, read) in norms.items():
                average = read.detach().mean(0) if training else averages[name]
                averages[name] = average
                slips = {"not updating it in training mode": 0 * average, "calling the norm twice": 0.19 * average}
                what = f"{name}.running_mean after one call in training mode{'' if training else ' and one in evaluation mode'}"
                compare(what, part.running_mean, 0.1 * average, **FLOAT64, slips=slips)
        compare("the logits of one example in evaluation mode", model(inputs[:1]), target[:1], **FLOAT64)
        torch.nn.functional.cross_entropy(model.train()(inputs), targets).backward()
        for name, parameter in model.named_parameters():
            require(parameter.grad is not None, f"no gradient reaches {name}; is something detached?")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %%
def make_residual(n_layers=stream_config.n_layers):
    """Build your ResidualMLP in this notebook's sizes."""
    sizes = vocab_size, config.context_size, config.d_embed, stream_config.d_model, stream_config.d_ff
    return ResidualMLP(*sizes, n_layers).to(device)


# %% [markdown]
# **The effect.** Where the parameters are, and the plot of R1 again, with your network added.

# %% tags=["demo"]
with demonstration("The parameter table"):
    model = make_residual()
    print(f"{'part':<12}{'parameters':>12}{'share':>9}")
    total = sum(weight.numel() for weight in model.parameters())
    for name, part in model.named_children():
        count = sum(weight.numel() for weight in part.parameters())
        print(f"{name:<12}{count:>12,}{count / total:>9.1%}")
    print(f"{'total':<12}{total:>12,}")

# %% tags=["demo"]
with demonstration("The gradients of residual networks"):
    set_seed(config.seed)
    measured = {}
    for kind, make, color in (("plain", make_plain, BLUE), ("residual", make_residual, ORANGE)):
        for n_layers, line in ((16, "-"), (32, "--")):
            norms = grad_norms(make(n_layers), look_inputs, look_targets).cpu()
            measured[f"{kind}, {n_layers} layers"] = norms, color, line
    fig, ax = plt.subplots(figsize=(7, 3))
    for name, (norms, color, line) in measured.items():
        ax.semilogy(range(len(norms)), norms, line, color=color, label=name)
        print(f"{name:<19}  first {norms[0]:.1e}, last {norms[-1]:.1e}, last / first {norms[-1] / norms[0]:.1g}")
    ax.set(xlabel="layer (0 is nearest to the input)", ylabel="gradient norm")
    ax.set_title("With a residual stream, the gradient reaches every block")
    ax.legend()
    plt.show()
# CLAIM: all(0.3 < norms[-1] / norms[0] < 3 for name, (norms, *_) in measured.items() if name.startswith("residual"))
# CLAIM: all(norms[-1] / norms[0] > 100 for name, (norms, *_) in measured.items() if name.startswith("plain"))

# %% [markdown]
# # 4. Initialization
#
# **Goal:** start a network of any depth so that its blocks do no harm.
#
# A residual network can be very deep and still start out simple. This part looks at two ways: blocks that write
# nothing at first, and blocks whose writes are scaled down.

# %% [raw]
# # BEGIN QUESTION
# name: R4
# points: 4

# %% [markdown]
# ## R4. Start as the identity (4 points)
#
# Difficulty ●○○○ · importance ●●●○ · 10 minutes
#
# If every block writes zero at initialization, then a network with 64 blocks computes the same as a network without
# blocks, so the depth does no harm at first. Training then brings the blocks in gradually (Zhang et al. 2019; De and
# Smith 2020).
#
# Write `zero_init_`: change the model in place such that **every block starts as the identity** and can still learn,
# and return the same model. Zero only the weight with which each block *writes* to the stream; leave everything else
# exactly as it is.
#
# <details><summary>Hint 1: the concept</summary>
#
# Which of the two layers of a block decides what is written? If both were zero, both gradients would be zero too,
# because each contains the other layer's weight or output as a factor, and the block could never learn.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# No shapes change. There are L blocks, and one weight `(d_model, d_ff)` in each becomes zero.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# `nn.init` has a function that fills a tensor with zeros in place; call it on the weight of the writing layer of each
# block. Return the model at the end.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def zero_init_(model):
    """Initialize every block of the model to the identity, in place.

    Returns the same model.
    """
    ############################################################################
    # TODO R4 (4 points): zero the layer with which each block writes, and     #
    # nothing else. Return the model.                                          #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    for block in model.blocks:
        nn.init.zeros_(block.fc2.weight)
    return model
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("R4")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_every_block_starts_as_the_identity(env):
    import torch

    from src.checks import answer, checking, require

    with checking("R4"):
        zero_init_ = answer(env, "R4", "zero_init_")
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5)
        model(torch.randint(27, (40, 3)))
        start = {name: value.detach().clone() for name, value in model.state_dict().items()}
        require(zero_init_(model) is model, "zero_init_ should return the model it was given")
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, start[name])]
        require(
            not any("fc1" in name for name in changed),
            "fc1.weight changed; it does not write to the stream, and with both layers at zero a block cannot learn",
        )
        for name in changed:
            require("fc2" in name, f"{name} changed; zero only the weight that writes to the stream")
        stream = torch.randn(40, 8)
        for index, block in enumerate(model.blocks):
            require(torch.equal(block(stream), stream), f"block {index} still changes the stream")
        own = {block.fc2.weight.data_ptr() for block in model.blocks}
        require(len(own) == 5, "the blocks share one fc2.weight; each needs its own")
        require(
            all(weight.requires_grad for weight in model.parameters()),
            "a parameter no longer requires gradients, so it cannot learn",
        )
        model(torch.randint(27, (40, 3))).square().mean().backward()
        require(model.blocks[0].fc2.weight.grad.abs().sum() > 0, "no gradient reaches fc2 of block 0; it cannot learn")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **The effect.** How much do the logits of a deep network differ from those of the same network without its blocks?
# As built in R3 they differ, by about the same amount at every depth, because the scale $1/\sqrt{2L}$ makes the
# writes of more blocks smaller. With `zero_init_` they do not differ at all.

# %% tags=["demo"]
with demonstration("Depth at the start"), torch.no_grad():
    print("largest difference from the network without blocks, mean and range over 3 seeds")
    print(f"{'blocks':>6}{'as built':>24}{'zero_init_':>24}")
    largest = {}
    for n_layers in (4, 16, 64):
        rows = []
        for seed in SEEDS:
            set_seed(seed)
            row = []
            for model in (make_residual(n_layers), zero_init_(make_residual(n_layers))):
                bare = copy.deepcopy(model)
                bare.blocks = nn.ModuleList(nn.Identity() for _ in range(n_layers))
                row.append((model(look_inputs) - bare(look_inputs)).abs().max().item())
            rows.append(row)
        largest[n_layers] = as_built, zeroed = list(zip(*rows, strict=True))
        print(f"{n_layers:>6}{spread(as_built):>24}{spread(zeroed):>24}")
# CLAIM: all(value == 0 for _, zeroed in largest.values() for value in zeroed)
# CLAIM: max(np.mean(as_built) for as_built, _ in largest.values()) < 1.4 * min(np.mean(as_built) for as_built, _ in largest.values())

# %% [raw]
# # BEGIN QUESTION
# name: R5
# points: 5

# %% [markdown]
# ## R5. Keep the stream from growing (5 points)
#
# Difficulty ●●○○ · importance ●●●○ · 20 minutes
#
# At initialization, the blocks' writes are nearly independent of each other and of the stream, so their variances add
# up. If each write has variance $s^2$, the stream's variance after $L$ blocks is about $v_0 + L s^2$: it grows with
# depth, and the writes of later blocks become smaller and smaller relative to it. With a factor of $1/\sqrt{2L}$ on
# every `fc2`, the total is the same at any depth: $L \cdot s^2 / (2L) = s^2/2$. (The 2 comes from transformers, where
# each layer writes twice.)
#
# Write two functions:
#
# - `stream_variance(model, inputs)` returns a tensor `(L+1,)`. Item $l$ is the variance of the stream $x_l$ after $l$
#   blocks (item 0: before the first block): per feature over the batch, with $N$ in the denominator, then averaged
#   over the features,
#
#   $$ v_l = \frac{1}{d_{\text{model}}} \sum_{d} \frac1N \sum_{n} \big( x_{l,nd} - \mu_{l,d} \big)^2 ,
#   \qquad \mu_{l,d} = \frac1N \sum_n x_{l,nd} . $$
#
#   Measure in **training mode**, as in the first step of training, regardless of the mode the model is in. Leave the
#   model unchanged: weights, mode, and the running statistics of its norms.
# - `scale_residual_init_(model)` multiplies every block's `fc2.weight` by $1/\sqrt{2L}$ in place, where $L$ is the
#   number of blocks, and returns the same model. Calling it twice scales twice.
#
# Your `ResidualMLP` already has this factor built in. The helper `unscale_` below the question redraws every `fc2`
# without it, so that you can compare the two.
#
# <details><summary>Hint 1: the concept</summary>
#
# In training mode, a forward pass updates the running statistics. The simplest way to leave the model unchanged is to
# measure on a `copy.deepcopy` of it.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# The stream is `(N, d_model)` at each of L+1 places; each gives one number. `tensor.var(dim, correction=...)` reduces
# the batch dimension; the mean over the features is the number.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# Start with the output of `inp`, record its variance, and record the variance again after each block; `torch.stack`
# the results. For the second function, multiply in place (`mul_` with `(2 * L) ** -0.5`) inside `torch.no_grad()`.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION

# %%
############################################################################
# TODO R5 (5 points): measure the variance of the stream after each block, #
# and scale down what the blocks initially write.                          #
############################################################################
# *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
# BEGIN SOLUTION NO PROMPT
@torch.no_grad()
def stream_variance(model, inputs):
    """Return the variance of the stream before the first and after each block, in training mode.

    inputs (N, context_size); returns a tensor (L+1,) and leaves the model unchanged.
    """
    model = copy.deepcopy(model).train()
    x = model.inp(model.embedding(inputs).flatten(1))
    variances = [x.var(0, correction=0).mean()]
    for block in model.blocks:
        x = block(x)
        variances.append(x.var(0, correction=0).mean())
    return torch.stack(variances)


@torch.no_grad()
def scale_residual_init_(model):
    """Multiply every fc2.weight by 1 / sqrt(2 L), in place.

    Returns the same model.
    """
    for block in model.blocks:
        block.fc2.weight.mul_((2 * len(model.blocks)) ** -0.5)
    return model
# END SOLUTION
""" # BEGIN PROMPT
def stream_variance(model, inputs):
    '''Return the variance of the stream before the first and after each block, in training mode.

    inputs (N, context_size); returns a tensor (L+1,) and leaves the model unchanged.
    '''
    raise NotImplementedError("R5")


def scale_residual_init_(model):
    '''Multiply every fc2.weight by 1 / sqrt(2 L), in place.

    Returns the same model.
    '''
    raise NotImplementedError("R5")
""" # END PROMPT
# *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_stream_variance(env):
    import torch

    from src.checks import answer, checking, compare, require

    with checking("R5"):
        stream_variance = answer(env, "R5", "stream_variance")
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        inputs = torch.randint(27, (12, 3))
        model(torch.randint(27, (40, 3)))
        model.eval()
        start = {name: value.clone() for name, value in model.state_dict().items()}
        yours = stream_variance(model, inputs)
        require(not model.training, "the model was in evaluation mode before the call and is not now")
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f"the call changed `{name}`; it should only measure")
        norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm1d)]
        require(
            all(part.momentum == 0.1 for part in norms), "the call changed the momentum of a norm; measure on a copy"
        )
        require(
            isinstance(yours, torch.Tensor), f"stream_variance returned a {type(yours).__name__}; it should return a tensor"
        )
        streams = []
        for part in (*model.blocks, model.norm_f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        model(inputs)
        in_evaluation = torch.stack(streams)
        streams.clear()
        model.train()(inputs)
        x = torch.stack(streams)  # (L+1, N, d_model)
        target = (x.square().mean(1) - x.mean(1).square()).mean(1)

        def spread(dims, streams=x):
            return (streams - streams.mean(dims, keepdim=True)).square().mean((1, 2))

        slips = {
            "measuring in evaluation mode": spread(1, in_evaluation),
            "dividing by N - 1; divide by N": target * 12 / 11,
            "one variance over all entries; take it per feature over the batch": spread((1, 2)),
            "the variance over the features; take it over the batch": spread(2),
            "the mean square; subtract the mean": x.square().mean((1, 2)),
            "the square root; return the variance": target.sqrt(),
            "summing over the features; average": 8 * target,
            "measuring what each block writes; measure the stream": spread(1, torch.diff(x, dim=0, prepend=0 * x[:1])),
        }
        compare("stream_variance(model, inputs)", yours, target, rtol=1e-6, atol=1e-6, slips=slips)


# %%
def test_scaled_start(env):
    import torch

    from src.checks import FLOAT64, answer, checking, compare, require

    with checking("R5"):
        scale_residual_init_ = answer(env, "R5", "scale_residual_init_")
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 8).double()
        start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        require(scale_residual_init_(model) is model, "scale_residual_init_ should return the model it was given")
        for name, weight in model.named_parameters():
            if name.endswith("fc2.weight"):
                slips = {
                    "not scaling it": start[name],
                    "the factor 1/sqrt(L); it is 1/sqrt(2 L)": start[name] * 8**-0.5,
                    "the factor 1/(2 L); take the square root": start[name] / 16,
                    "scaling twice in one call": start[name] / 16,
                }
                compare(f"{name}, 8 blocks", weight, start[name] / 4, **FLOAT64, slips=slips)
            else:
                require(torch.equal(weight, start[name]), f"{name} changed; scale only fc2.weight of each block")
            require(weight.requires_grad, f"{name} no longer requires gradients")
        scale_residual_init_(model)
        again = model.blocks[0].fc2.weight
        compare("blocks.0.fc2.weight after a second call", again, start["blocks.0.fc2.weight"] / 16, **FLOAT64)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %%
def unscale_(model):
    """Redraw every fc2 from N(0, 1/fan-in), as in a block with scale 1, in place."""
    with torch.no_grad():
        for weight in [block.fc2.weight for block in model.blocks]:
            weight.copy_(torch.randn_like(weight) / math.sqrt(weight.shape[1]))
    return model


# %% [markdown]
# **The effect.** Without the factor, the variance grows with every block; with it, the final variance is about the
# same at any depth.

# %% tags=["demo"]
with demonstration("The variance of the stream"), torch.no_grad():
    set_seed(config.seed)
    table = ["final variance divided by initial variance"]
    table.append(f"{'blocks':>6}{'without':>10}{'with factor':>14}")
    curves = {}
    for n_layers in (4, 16, 64):
        wild = stream_variance(unscale_(make_residual(n_layers)), look_inputs).cpu()
        tame = stream_variance(scale_residual_init_(unscale_(make_residual(n_layers))), look_inputs).cpu()
        table.append(f"{n_layers:>6}{wild[-1] / wild[0]:>10.1f}{tame[-1] / tame[0]:>14.2f}")
        curves[n_layers] = wild, tame
    print("\n".join(table))
    fig, ax = plt.subplots(figsize=(7, 3))
    for (n_layers, (wild, tame)), line in zip(curves.items(), (":", "--", "-"), strict=True):
        ax.semilogy(wild / wild[0], line, color=BLUE, label=f"{n_layers} blocks, without")
        ax.semilogy(tame / tame[0], line, color=ORANGE, label=f"{n_layers} blocks, with")
    ax.set(xlabel="blocks passed", ylabel="variance, relative to the start")
    ax.set_title("The factor 1/√(2L) keeps the stream from growing")
    ax.legend(ncols=2, fontsize=8, loc="center right")
    plt.show()
    ends = {n_layers: [(curve[-1] / curve[0]).item() for curve in pair] for n_layers, pair in curves.items()}
# CLAIM: ends[4][0] < ends[16][0] / 2 < ends[64][0] / 4
# CLAIM: max(tame for _, tame in ends.values()) < 1.15 * min(tame for _, tame in ends.values())

# %% [markdown]
# # 5. Where the norm goes
#
# **Goal:** tell pre-norm from post-norm by experiment.

# %% [raw]
# # BEGIN QUESTION
# name: R6
# points: 5

# %% [markdown]
# ## R6. Post-norm, and a test for the identity path (5 points)
#
# Difficulty ●●○○ · importance ●●●○ · 25 minutes
#
# The first residual networks and the first transformers had the norm *on* the stream, after the addition:
#
# $$ \mathrm{postblock}(x) = \mathrm{BN}\big(x + W_2 \tanh(W_1 x)\big) . $$
#
# It looks like a detail, but now every block rescales the whole stream, and no unmodified path is left from one end
# to the other. Write two things:
#
# - `PostNormBlock(d_model, d_ff, scale=1.0)`, with `norm`, `fc1`, `fc2` and initial weights as in R2, and the forward
#   pass above.
# - `is_identity_path(block)`, which finds out by experiment whether a block leaves the stream unchanged when it
#   writes nothing: with `fc2.weight` at zero, does the block return its input **exactly**? It returns `True` or
#   `False` (a one-element boolean tensor is fine too). Experiment on a copy, so that the block (its weights, running
#   statistics and mode) stays as it is. Run the copy in **training mode** on a random batch of at least 8 examples,
#   with the dtype and device of the block's weights. Numbers with mean 1 and standard deviation 3, for example, make
#   the result clear. (Why would mean 0 and standard deviation 1 be a poor choice?)
#
# <details><summary>Hint 1: the concept</summary>
#
# A norm in evaluation mode, before any training, subtracts 0 and divides by almost exactly 1, so it looks like the
# identity. Training mode shows what it really does. `copy.deepcopy` copies a block.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# The block's width is `block.fc1.in_features`, so the batch is `(N, d_model)` with N at least 8; the output has the
# same shape and can be compared entry by entry.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# For the batch: `torch.randn(...)` times 3 plus 1. For the comparison: `torch.equal` tells whether two tensors are
# equal in every entry.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION

# %%
############################################################################
# TODO R6 (5 points): the block with its norm on the stream, and the test  #
# whether a block that writes nothing returns its input.                   #
############################################################################
# *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
# BEGIN SOLUTION NO PROMPT
class PostNormBlock(nn.Module):
    """norm(x + fc2(tanh(fc1(x)))): (N, d_model) -> (N, d_model).

    norm, fc1, fc2, scale: as in ResidualBlock
    """

    def __init__(self, d_model, d_ff, scale=1.0):
        super().__init__()
        self.norm = nn.BatchNorm1d(d_model)
        self.fc1 = nn.Linear(d_model, d_ff, bias=False)
        self.fc2 = nn.Linear(d_ff, d_model, bias=False)
        nn.init.normal_(self.fc1.weight, std=d_model**-0.5)
        nn.init.normal_(self.fc2.weight, std=scale * d_ff**-0.5)

    def forward(self, x):
        hidden = torch.tanh(self.fc1(x))  # (N, d_ff)
        return self.norm(x + self.fc2(hidden))


@torch.no_grad()
def is_identity_path(block):
    """Return whether the block, with fc2 at zero, returns exactly its input.

    Leaves the block unchanged.
    """
    silent = copy.deepcopy(block).train()
    silent.fc2.weight.zero_()
    weight = silent.fc1.weight
    x = 3 * torch.randn(16, silent.fc1.in_features, dtype=weight.dtype, device=weight.device) + 1
    return torch.equal(silent(x), x)
# END SOLUTION
""" # BEGIN PROMPT
class PostNormBlock(nn.Module):
    '''norm(x + fc2(tanh(fc1(x)))): (N, d_model) -> (N, d_model).

    norm, fc1, fc2, scale: as in ResidualBlock
    '''

    def __init__(self, d_model, d_ff, scale=1.0):
        raise NotImplementedError("R6")

    def forward(self, x):
        raise NotImplementedError("R6")


def is_identity_path(block):
    '''Return whether the block, with fc2 at zero, returns exactly its input.

    Leaves the block unchanged.
    '''
    raise NotImplementedError("R6")
""" # END PROMPT
# *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_post_norm_block(env):
    import torch
    from torch.nn.functional import batch_norm, linear

    from src.checks import FLOAT64, answer, checking, compare, compare_gradients, require

    with checking("R6"):
        PostNormBlock = answer(env, "R6", "PostNormBlock")
        torch.manual_seed(0)
        block = PostNormBlock(20, 80, scale=0.5).double()
        for name in ("norm", "fc1", "fc2"):
            require(hasattr(block, name), f"the block has no `{name}`; it should have the same three layers as ResidualBlock")
        biases = [getattr(layer, "bias", None) for layer in (block.fc1, block.fc2)]
        require(biases == [None, None], "fc1 and fc2 should have no bias; use bias=False")
        wide = PostNormBlock(100, 400)
        for what, weight, target in (
            ("fc1.weight at scale 0.5", block.fc1.weight, 20**-0.5),
            ("fc2.weight at scale 0.5", block.fc2.weight, 0.5 * 80**-0.5),
            ("fc2.weight without `scale`", wide.fc2.weight, 0.05),
        ):
            slips = {"scaling fc1 as well; scale belongs to fc2": target / 2, "not applying scale": 2 * target}
            compare(f"the standard deviation of {what}", weight.std(), target, rtol=0.1, atol=0, slips=slips)
        with torch.no_grad():
            block.norm.weight.uniform_(0.5, 1.5)
            block.norm.bias.uniform_(-0.5, 0.5)
        norm, w1, w2 = block.norm, block.fc1.weight, block.fc2.weight

        def normalised(values):
            return batch_norm(values, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)

        stream = (2 + 3 * torch.randn(32, 20, dtype=torch.float64)).requires_grad_()
        given = stream.detach().clone()
        yours = block(given)
        require(torch.equal(given, stream), "the block modified its input in place; create a new tensor instead")
        total = stream + linear(linear(stream, w1).tanh(), w2)
        slips = {
            "normalising in the branch, as in ResidualBlock": stream + linear(linear(normalised(stream), w1).tanh(), w2),
            "leaving out the norm": total,
            "leaving out the skip path": normalised(total - stream),
            "normalising the branch only; normalise the sum": stream + normalised(total - stream),
            "normalising before the branch and after the sum": normalised(
                stream + linear(linear(normalised(stream), w1).tanh(), w2)
            ),
        }
        compare("block(x)", yours, normalised(total), **FLOAT64, slips=slips)
        require(norm.training, "a call of the block in training mode put its norm into evaluation mode")
        average = total.detach().mean(0)
        slips = {"not updating it in training mode": 0 * average, "calling the norm twice": 0.19 * average}
        compare("norm.running_mean after one call", norm.running_mean, 0.1 * average, **FLOAT64, slips=slips)
        block.eval()
        kept = norm.running_mean, norm.running_var
        target = batch_norm(total, *kept, norm.weight, norm.bias, training=False, eps=norm.eps)
        compare("block(x) in evaluation mode", block(stream), target, **FLOAT64)
        compare("block(x) in evaluation mode, one example", block(stream[:1]), target[:1], **FLOAT64)
        block.train()
        cotangent = torch.randn(32, 20, dtype=torch.float64)
        places = {"x": (stream, stream), "fc1.weight": (w1, w1), "fc2.weight": (w2, w2), "norm.weight": (norm.weight,) * 2}
        compare_gradients(block(stream), normalised(total), places, cotangent)


# %%
def test_identity_path(env):
    import torch

    from src.checks import answer, checking, require

    class Stand(torch.nn.Module):
        """Has the layers of a block; `end` says what it returns."""

        def __init__(self, d_model, d_ff, scale=1.0):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(d_model, eps=1e-30)
            self.fc1, self.fc2 = (torch.nn.Linear(*sizes, bias=False) for sizes in ((d_model, d_ff), (d_ff, d_model)))

        def forward(self, x):
            require(len(x) >= 8, f"is_identity_path uses a batch of {len(x)}; use at least 8 examples")
            require((x.std(0) > 0).all(), "is_identity_path uses a batch of equal numbers; draw them at random")
            return self.end(x, x + self.fc2(self.fc1(x).tanh()))

    def stand(end):
        return type("Block", (Stand,), {"end": end})(6, 10)

    with checking("R6"):
        is_identity_path = answer(env, "R6", "is_identity_path")
        blocks = {
            "a ResidualBlock": (answer(env, "R2", "ResidualBlock")(6, 10), True),
            "a PostNormBlock": (answer(env, "R6", "PostNormBlock")(6, 10), False),
            "a block of another class that returns its input": (stand(lambda block, x, total: total), True),
            "a float64 block that returns its input": (stand(lambda block, x, total: total).double(), True),
            "a block with its norm on the stream": (stand(lambda block, x, total: block.norm(total)), False),
            "a block that returns almost its input": (stand(lambda block, x, total: total * (1 + 1e-6)), False),
            "a block that changes one feature": (stand(lambda block, x, total: total + torch.eye(6)[0]), False),
            "a block that swaps examples": (stand(lambda block, x, total: total.roll(1, 0)), False),
            "a block that swaps features": (stand(lambda block, x, total: total.roll(1, 1)), False),
            "a block with a second branch, without fc2": (stand(lambda block, x, total: total + block.fc1(x)[:, :6]), False),
        }
        for name, (block, target) in blocks.items():
            start = {key: value.clone() for key, value in block.state_dict().items()}
            weight = block.fc2.weight
            for training in (True, False):
                block.train(training)
                yours = is_identity_path(block)
                require(bool(yours) == target, f"is_identity_path of {name} returned {bool(yours)}; it should return {target}")
                require(block.training == training, f"the call changed the mode of {name}; experiment on a copy")
                for key, value in block.state_dict().items():
                    require(torch.equal(value, start[key]), f"the call changed `{key}` of {name}; experiment on a copy")
                kept = block.norm.momentum == 0.1
                require(kept, f"the call changed the momentum of the norm of {name}; experiment on a copy")
                require(block.fc2.weight is weight, f"the call replaced fc2.weight of {name}; experiment on a copy")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **The effect.** Pre-norm and post-norm with 64 blocks at initialization, each with full-size writes (scale 1) and
# with small ones ($1/\sqrt{2L}$, as in R3). Look at the gradient at the first block compared with that at the last
# one: it is the *scale* that decides how even the gradients are, not the place of the norm. With small writes the
# ratio is below 2 for both, with scale 1 it is above 5 for both. What does depend on the place of the norm is the
# identity path; the lab at the end shows what that means for training.

# %% tags=["demo"]
def make_post_norm(n_layers, scale=1.0):
    """Build a ResidualMLP with PostNormBlocks instead of ResidualBlocks."""
    model = make_residual(n_layers)
    for index in range(n_layers):
        model.blocks[index] = PostNormBlock(stream_config.d_model, stream_config.d_ff, scale)
    return model.to(device)


with demonstration("Pre-norm and post-norm"):
    n_layers = 64
    kinds = {
        "pre-norm, scale 1/√(2L)": (lambda: make_residual(n_layers), ORANGE, "-"),
        "post-norm, scale 1/√(2L)": (lambda: make_post_norm(n_layers, (2 * n_layers) ** -0.5), BLUE, "-"),
        "pre-norm, scale 1": (lambda: unscale_(make_residual(n_layers)), ORANGE, "--"),
        "post-norm, scale 1": (lambda: make_post_norm(n_layers), BLUE, "--"),
    }
    fig, ax = plt.subplots(figsize=(7, 3))
    ratios, paths = {}, {}
    print(f"{'':<26}{'identity path':<16}gradient, first / last block (mean and range over 3 seeds)")
    for name, (make, color, line) in kinds.items():
        curves = []
        for seed in SEEDS:
            set_seed(seed)
            model = make()
            curves.append(grad_norms(model, look_inputs, look_targets).cpu())
        paths[name] = bool(is_identity_path(model.blocks[0]))
        ratios[name] = [(norms[0] / norms[-1]).item() for norms in curves]
        ax.semilogy(range(n_layers), curves[0] / curves[0][-1], line, color=color, label=name)
        print(f"{name:<26}{paths[name]!s:<16}{spread(ratios[name], 1)}")
    ax.set(xlabel="block (0 is nearest to the input)", ylabel="relative to the last block")
    ax.set_title("Gradient norms of 64 blocks at initialization")
    ax.legend(fontsize=8)
    plt.show()
# CLAIM: [paths[name] for name in kinds] == [True, False, True, False]
# CLAIM: all(0.8 < ratio < 2 for name in kinds if "√" in name for ratio in ratios[name])
# CLAIM: all(5 < ratio < 15 for name in kinds if "√" not in name for ratio in ratios[name])

# %% [raw]
# # BEGIN QUESTION
# name: W4
# points: 2
# manual: true
# bonus: true

# %% [markdown]
# ## W4. In words: a batch that proves nothing (2 bonus points)
#
# Difficulty ●●○○ · importance ●●○○ · 5 minutes
#
# Suppose that `is_identity_path` used a batch in which every feature has exactly mean 0 and standard deviation 1, and
# compared input and output up to a small tolerance. What would it say about a new `PostNormBlock`, and why? What makes
# mean 1 and standard deviation 3 a better choice?
#
# Answer in two to four sentences. A person reads your answer; the points are a bonus on top of the 100.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# It would say `True`, which is wrong. With `fc2` at zero, a new post-norm block computes $\mathrm{BN}(x)$ with $\gamma = 1$ and
# $\beta = 0$. In training mode this brings every feature of the batch to mean 0 and standard deviation 1. A batch that has
# them already comes back as it was, up to $\epsilon$, so the block looks like the identity although its norm is on the
# stream, and the experiment cannot tell the two kinds of block apart.
#
# With mean 1 and standard deviation 3, the norm subtracts 1 and divides by 3: the output differs clearly from the input,
# while a pre-norm block, which adds zero to the stream, still returns its input exactly.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [markdown]
# # 6. Reading the stream
#
# **Goal:** split a prediction exactly among the parts of the network that made it.
#
# The end of the stream is a sum: what the embedding wrote, plus what each block wrote. So we can ask what each block
# contributed, and because the head is linear and the final norm is fixed in evaluation mode, we can trace each
# contribution to the logits without any approximation (Elhage et al. 2021).

# %% [raw]
# # BEGIN QUESTION
# name: R7
# points: 6

# %% [markdown]
# ## R7. Who wrote what? (6 points)
#
# Difficulty ●●○○ · importance ●●●● · 25 minutes
#
# Write `contributions(model, inputs)`, which returns a tensor `(L+1, N, d_model)` of all writes to the stream:
#
# $$ c_0 = x_0 = \mathrm{inp}(\mathrm{embed}(\text{tokens})), \qquad c_i = x_i - x_{i-1} \quad (i = 1, \dots, L), \qquad
#    \sum_{i=0}^{L} c_i = x_L , $$
#
# with $x_i$ the stream after $i$ blocks: item 0 is the embedding's write, item $i$ the write of block number $i$
# counted from 1, which is `model.blocks[i - 1]`. Measure in **evaluation mode**, regardless of the mode the model is
# in; afterwards the mode and the running statistics must be as before. No gradient is needed.
#
# <details><summary>Hint 1: the concept</summary>
#
# A block returns the stream after it, not what it wrote. What it wrote is the difference between the stream after and
# before the block. `eval_mode` from part 1 takes care of the mode.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# Each write is `(N, d_model)`; there are L+1 of them, stacked along a new first dimension. `norm_f` and `head` are
# not involved.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# Walk along the stream with two variables, `stream` and `after`: call the block, append `after - stream` to a list,
# then set `stream` to `after`.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def contributions(model, inputs):
    """Return what the embedding and each block write to the stream, in evaluation mode.

    inputs (N, context_size); returns a tensor (L+1, N, d_model) and leaves the model unchanged.
    """
    ############################################################################
    # TODO R7 (6 points): walk along the stream and collect what is added to   #
    # it: first the embedding's write, then one write per block.               #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    with torch.no_grad(), eval_mode(model):
        x = model.inp(model.embedding(inputs).flatten(1))  # (N, d_model)
        writes = [x]
        for block in model.blocks:
            following = block(x)
            writes.append(following - x)
            x = following
    return torch.stack(writes)  # (L+1, N, d_model)
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("R7")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_contributions_add_up(env):
    import torch

    from src.checks import FLOAT64, answer, checking, compare, require

    with checking("R7"):
        contributions = answer(env, "R7", "contributions")
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        for training in (False, True):
            yours = contributions(model.train(training), inputs)
            mode = "training" if training else "evaluation"
            require(model.training == training, f"the model was in {mode} mode before the call and is not now")
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f"the call changed `{name}`; was the model in evaluation mode?")
        hooks = [part for part in model.modules() if part._forward_hooks or part._forward_pre_hooks]
        require(not hooks, "the call left hooks on the model; remove them")
        require(
            isinstance(yours, torch.Tensor), f"contributions returned a {type(yours).__name__}; it should return a tensor"
        )
        compare("the shape of contributions(...)", torch.tensor(yours.shape), torch.tensor([6, 12, 8]))
        alone = torch.tensor(contributions(model, inputs[:1]).shape)
        compare("the shape of contributions(...) for one context", alone, torch.tensor([6, 1, 8]))

        streams = []
        for part in (*model.blocks, model.norm_f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        model.eval()(inputs)
        x = torch.stack(streams)
        streams.clear()
        model.train()(inputs)
        writes = torch.diff(x, dim=0, prepend=torch.zeros_like(x[:1]))
        slips = {
            "the streams; return their differences": x,
            "measuring in training mode": torch.diff(torch.stack(streams), dim=0, prepend=torch.zeros_like(x[:1])),
            "the blocks in reverse order": torch.cat([writes[:1], writes[1:].flip(0)]),
            "the wrong sign for the blocks": torch.cat([writes[:1], -writes[1:]]),
        }
        compare("contributions(...)", yours, writes, **FLOAT64, slips=slips)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **The effect.** How much each part writes, as the root mean square of its write. Before training there is not much
# to see: all blocks write about the same amount. Part 7 repeats the plot for a trained network.

# %% tags=["demo"]
def plot_writes(model, title):
    """Plot the size of each write to the stream as a bar; return the sizes."""
    sizes = contributions(model, look_inputs).detach().square().mean((1, 2)).sqrt().cpu()
    _, ax = plt.subplots(figsize=(7, 3))
    ax.bar(range(len(sizes)), sizes, color=[GREY] + [BLUE] * (len(sizes) - 1))
    ax.set_xticks(range(len(sizes)), ["emb"] + [str(i) for i in range(1, len(sizes))])
    ax.set(xlabel="writer: the embedding, then blocks 1 to L", ylabel="root mean square", title=title)
    plt.show()
    return sizes


with demonstration("The sizes of the writes"):
    set_seed(config.seed)
    sizes = plot_writes(make_residual(), "Before training, all blocks write about the same amount")
# CLAIM: sizes[1:].max() < 1.3 * sizes[1:].min()

# %% [raw]
# # BEGIN QUESTION
# name: R8
# points: 6

# %% [markdown]
# ## R8. From writes to logits (6 points)
#
# Difficulty ●●●○ · importance ●●●○ · 35 minutes
#
# Two ways to watch a prediction take shape, both in **evaluation mode** (the model's mode and state must be the same
# afterwards):
#
# **The logit lens** (nostalgebraist 2020) applies the head to earlier stages of the stream. `logit_lens(model,
# inputs)` returns `(L+1, N, V)`:
#
# $$ \mathrm{lens}_i = \mathrm{head}\big(\mathrm{norm_f}(x_i)\big), \qquad i = 0, \dots, L, $$
#
# with $x_i$ the stream after $i$ blocks. The last one, $\mathrm{lens}_L$, is the model's logits.
#
# **Attribution** splits the logits among the writes $c_i$ of R7. In evaluation mode, `norm_f` contains only
# constants, its running mean $m$, running variance $v$, $\gamma$ and $\beta$, so norm and head together are an affine
# map,
#
# $$ \text{logits} = W \left( \gamma \odot \frac{x_L - m}{\sqrt{v + \epsilon}} + \beta \right) + b = A\, x_L + k
#    = \sum_{i=0}^{L} A\, c_i + k, $$
#
# where $W$ and $b$ are the weight and bias of `head`. `attribution(model, inputs)` returns the terms $A\,c_i$, shape
# `(L+1, N, V)`. Everything that does not depend on a write ($m$, $\beta$ and $b$) goes into the constant $k =
# \mathrm{head}(\mathrm{norm_f}(0))$, shape `(V,)`, which belongs to no item and is not returned. So the sum over the items, plus $k$, equals the logits up to rounding. You may use your `contributions`.
#
# <details><summary>Hint 1: the concept</summary>
#
# For the lens you need the streams, for the attribution the writes. The streams are the running sums of the writes.
# And an affine map without its constant is linear, so it can be applied to each write separately.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# `nn.BatchNorm1d` expects `(N, d_model)`, so call it once per stage, not on `(L+1, N, d_model)`. The factor on a
# write is one number per feature, `(d_model,)`; the head then takes `(..., d_model)` to `(..., V)`.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# Lens: `.cumsum(0)` of the writes gives all streams. Attribution: multiply the writes by $\gamma / \sqrt{v +
# \epsilon}$, built from `weight`, `running_var` and `eps` of `norm_f`, and then by the transposed weight of the head,
# without its bias.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION

# %%
############################################################################
# TODO R8 (6 points): the logits read from each stage of the stream, and   #
# the share of each write in the final logits.                             #
############################################################################
# *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
# BEGIN SOLUTION NO PROMPT
def logit_lens(model, inputs):
    """Return the logits that the head gives after each block, in evaluation mode.

    inputs (N, context_size); returns a tensor (L+1, N, V); the last item equals the logits.
    """
    streams = contributions(model, inputs).cumsum(0)  # (L+1, N, d_model)
    with torch.no_grad(), eval_mode(model):
        return torch.stack([model.head(model.norm_f(x)) for x in streams])


@torch.no_grad()
def attribution(model, inputs):
    """Return the share of each write in the final logits, in evaluation mode.

    inputs (N, context_size); returns a tensor (L+1, N, V); its sum over the items, plus the constant
    head(norm_f(0)), is the logits.
    """
    norm = model.norm_f
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # (d_model,)
    return (contributions(model, inputs) * gain) @ model.head.weight.T
# END SOLUTION
""" # BEGIN PROMPT
def logit_lens(model, inputs):
    '''Return the logits that the head gives after each block, in evaluation mode.

    inputs (N, context_size); returns a tensor (L+1, N, V); the last item equals the logits.
    '''
    raise NotImplementedError("R8")


def attribution(model, inputs):
    '''Return the share of each write in the final logits, in evaluation mode.

    inputs (N, context_size); returns a tensor (L+1, N, V); its sum over the items, plus the constant
    head(norm_f(0)), is the logits.
    '''
    raise NotImplementedError("R8")
""" # END PROMPT
# *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_logit_lens(env):
    import torch
    from torch.nn.functional import batch_norm, linear

    from src.checks import FLOAT64, answer, checking, compare, require

    with checking("R8"):
        logit_lens = answer(env, "R8", "logit_lens")
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        yours = logit_lens(model, inputs)
        require(model.training, "the model was in training mode before the call and is not now")
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f"the call changed `{name}`; was the model in evaluation mode?")
        require(isinstance(yours, torch.Tensor), f"logit_lens returned a {type(yours).__name__}; it should return a tensor")
        compare("the shape of logit_lens(...)", torch.tensor(yours.shape), torch.tensor([6, 12, 27]))
        f, head = model.norm_f, model.head
        streams = []
        for part in (*model.blocks, f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        logits = model.eval()(inputs)
        x = torch.stack(streams)
        writes = torch.diff(x, dim=0, prepend=torch.zeros_like(x[:1]))

        def read(values, training=False):
            kept = (None, None) if training else (f.running_mean, f.running_var)
            return torch.stack([linear(batch_norm(v, *kept, f.weight, f.bias, training, eps=f.eps), head.weight, head.bias) for v in values])

        slips = {
            "leaving out norm_f": linear(x, head.weight, head.bias),
            "applying the head to the writes; apply it to the streams": read(writes),
            "normalising each stream with its own batch": read(x, training=True),
            "leaving out the bias of the head": read(x) - head.bias,
            "the order from the end of the stream to its start": read(x).flip(0),
        }
        compare("logit_lens(...)", yours, read(x), **FLOAT64, slips=slips)
        compare("logit_lens(...)[-1], the model's logits,", yours[-1], logits, **FLOAT64)


# %%
def test_attribution_adds_up(env):
    import torch
    from torch.nn.functional import batch_norm, linear

    from src.checks import FLOAT64, answer, checking, compare, require

    with checking("R8"):
        attribution = answer(env, "R8", "attribution")
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        f, head = model.norm_f, model.head
        with torch.no_grad():
            f.weight.uniform_(0.5, 1.5)
            f.bias.uniform_(-0.5, 0.5)
        f.eps = 0.01
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        yours = attribution(model, inputs)
        require(model.training, "the model was in training mode before the call and is not now")
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f"the call changed `{name}`; was the model in evaluation mode?")
        require(isinstance(yours, torch.Tensor), f"attribution returned a {type(yours).__name__}; it should return a tensor")
        compare("the shape of attribution(...)", torch.tensor(yours.shape), torch.tensor([6, 12, 27]))
        streams = []
        for part in (*model.blocks, f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        logits = model.eval()(inputs)
        x = torch.stack(streams)

        def lens(weight=f.weight, eps=f.eps, values=x):
            read = batch_norm(values.flatten(0, 1), f.running_mean, f.running_var, weight, f.bias, eps=eps)
            return linear(read, head.weight, head.bias).view(6, 12, 27)

        constant = lens(values=torch.zeros_like(x))[0]

        def shares(**changes):
            return torch.diff(lens(**changes), dim=0, prepend=lens(**changes, values=torch.zeros_like(x))[:1])

        slips = {
            "adding the constant k to every item; it belongs to none": shares() + constant,
            "adding the bias of the head to every item": shares() + head.bias,
            "adding the constant k to item 0; it belongs to none": torch.diff(lens(), dim=0, prepend=torch.zeros_like(constant[None])),
            "hard-coding eps; use that of norm_f": shares(eps=1e-5),
            "leaving out gamma": shares(weight=None),
            "leaving out norm_f": linear(torch.diff(x, dim=0, prepend=torch.zeros_like(x[:1])), head.weight),
            "the lens; return the differences": lens(),
            "the lens minus k; return the differences": lens() - constant,
        }
        compare("attribution(...)", yours, shares(), **FLOAT64, slips=slips)
        compare("attribution(...).sum(0), the logits minus k,", yours.sum(0), logits - constant[0], **FLOAT64)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **The effect.** The two plotting functions below are used on a trained network in the next part. The printed lines
# show, for the network before training, that the attribution is exact. (A question to think about: why is item $i$ of
# the attribution, for $i \ge 1$, the difference between two successive lenses?)

# %% tags=["demo"]
def to_tokens(contexts):
    """Convert contexts written as text, such as [".an", "ann"], to a tensor (N, context_size)."""
    return torch.tensor([[str2idx[char] for char in context] for context in contexts], device=device)


def plot_lens(model, contexts):
    """Plot the likeliest next character after each block and its probability."""
    sure, top = logit_lens(model, to_tokens(contexts)).detach().softmax(-1).max(-1)  # (L+1, N) each
    fig, ax = plt.subplots(figsize=(7, 0.28 * len(top) + 1))
    shown = ax.imshow(sure.cpu(), cmap="cividis", vmin=0, vmax=1, aspect="auto", origin="lower")
    for layer in range(len(top)):
        for column in range(len(contexts)):
            ink = "black" if sure[layer, column] > 0.5 else "white"
            letter = idx2str[top[layer, column].item()].replace(".", "end")
            ax.text(column, layer, letter, ha="center", va="center", color=ink, fontsize=8)
    ax.set_xticks(range(len(contexts)), contexts, family="monospace")
    ax.set(xlabel="context", ylabel="blocks passed")
    ax.set_title("The likeliest next character at each stage of the stream")
    fig.colorbar(shown, label="probability")
    plt.show()


def plot_attribution(model, context):
    """Plot how much each write favours the predicted character over the average character."""
    tokens = to_tokens([context])
    with eval_mode(model), torch.no_grad():
        winner = model(tokens)[0].argmax().item()
    shares = attribution(model, tokens).detach()[:, 0]  # (L+1, V)
    speaks = (shares[:, winner] - shares.mean(1)).cpu()
    _, ax = plt.subplots(figsize=(7, 3))
    ax.bar(range(len(speaks)), speaks, color=[BLUE if value > 0 else ORANGE for value in speaks])
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xticks(range(len(speaks)), ["emb"] + [str(i) for i in range(1, len(speaks))])
    ax.set(xlabel="writer: the embedding, then blocks 1 to L", ylabel="logit above the average (nats)")
    letter = idx2str[winner].replace(".", "end")
    ax.set_title(f"After “{context}”: the share of each write in the logit of “{letter}”")
    plt.show()


with demonstration("The attribution"), torch.no_grad():
    set_seed(config.seed)
    model = make_residual()
    shares = attribution(model, look_inputs)
    with eval_mode(model):
        constant = model.head(model.norm_f(torch.zeros(1, stream_config.d_model, device=device)))
        logits = model(look_inputs)
    difference = shares.sum(0) + constant - logits
    print(f"largest logit:                                 {logits.abs().max():.3f}")
    print(f"largest difference of sum + k from the logits: {difference.abs().max():.1e}")
# CLAIM: difference.abs().max() < 1e-5

# %% [markdown]
# # 7. Training and inference
#
# **Goal:** train the network, and generate many names at once.

# %% [raw]
# # BEGIN QUESTION
# name: R9
# points: 4

# %% [markdown]
# ## R9. Train it (4 points)
#
# Difficulty ●○○○ · importance ●●○○ · 15 minutes
#
# Write the training loop: plain stochastic gradient descent on the cross-entropy, $w \leftarrow w - \text{lr} \cdot
# \partial \mathcal L / \partial w$ for every parameter, without momentum or weight decay. `train(model, inputs,
# targets, steps, lr, batch_size=64, generator=None)` returns the list of the `steps` losses as Python floats; each is
# the loss of its batch *before* that step's update.
#
# - **The batches.** Each step draws its examples, with replacement, by exactly one call of
#   `torch.randint(len(inputs), (batch_size,), generator=generator)`, and nothing else is drawn from the generator. So
#   the same generator seed gives the same batches in the same order in every correct answer, and the checks can
#   compare your losses exactly. (The generator is on the CPU; move the indices to the device of `inputs` if it
#   differs.)
# - **The mode.** The model is trained in training mode, regardless of the mode it was in, and is left in training mode.
# - How you compute and apply the update is up to you: `torch.optim.SGD` or your own.
#
# <details><summary>Hint 1: the concept</summary>
#
# Gradients accumulate in `.grad` until you clear them. Norms update their running statistics only in training mode.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# The drawn indices are `(batch_size,)`; indexing `inputs` with them gives `(batch_size, context_size)` and `targets`
# `(batch_size,)`. The loss is a zero-dimensional tensor, and `.item()` turns it into a float.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# In each of the `steps` iterations: draw a batch, compute the loss, clear the gradients, backpropagate, step, append
# the loss. Create the optimizer once, before the loop.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def train(model, inputs, targets, steps, lr, batch_size=64, generator=None):
    """Train with plain SGD and leave the model in training mode.

    inputs (M, context_size), targets (M,); returns a list of `steps` floats, the loss of each batch.
    """
    ############################################################################
    # TODO R9 (4 points): in each step draw a batch with the generator,        #
    # compute its loss, update every parameter. Return the losses.             #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    model.train()
    losses = []
    for _ in range(steps):
        batch = torch.randint(len(inputs), (batch_size,), generator=generator).to(inputs.device)
        loss = F.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("R9")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_three_steps_of_training(env):
    import copy

    import torch
    from torch.func import functional_call
    from torch.nn.functional import cross_entropy

    from src.checks import FLOAT64, answer, checking, compare, require

    with checking("R9"):
        train = answer(env, "R9", "train")
        ResidualMLP = answer(env, "R3", "ResidualMLP")
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 2).double()
        inputs, targets = torch.randint(27, (200, 3)), torch.randint(27, (200,))
        draws, generator, third = (torch.Generator().manual_seed(5) for _ in range(3))
        for one in (draws, generator, third):
            torch.rand(2, generator=one)  # a generator that has been used before
        batches = [torch.randint(200, (16,), generator=draws) for _ in range(3)]

        def trained(training=True, accumulate=False, decay=0.0, rate=0.2):
            """Losses and last weights of three steps, by way of functional_call."""
            twin, losses, total = copy.deepcopy(model).train(training), [], None
            weights = dict(twin.named_parameters())
            for rows in batches:
                value = cross_entropy(functional_call(twin, weights, (inputs[rows],)), targets[rows])
                slopes = torch.autograd.grad(value, list(weights.values()))
                total = slopes if total is None or not accumulate else [a + b for a, b in zip(total, slopes, strict=True)]
                pairs = zip(weights.values(), total, strict=True)
                moved = [weight - rate * (slope + decay * weight) for weight, slope in pairs]
                weights = {name: weight.detach().requires_grad_() for name, weight in zip(weights, moved, strict=True)}
                losses.append(value.item())
            return torch.tensor(losses), weights

        wanted, weights = trained()
        slips = {
            "not clearing the gradients between the steps": trained(accumulate=True)[0],
            "training in evaluation mode": trained(training=False)[0],
            "not updating the parameters": trained(rate=0)[0],
            "moving along the gradient; move against it": trained(rate=-0.2)[0],
        }
        second = copy.deepcopy(model)
        losses = train(model.eval(), inputs, targets, 3, 0.2, 16, generator)
        require(isinstance(losses, list), f"train returned a {type(losses).__name__}; it should return a list")
        require(all(isinstance(loss, float) for loss in losses), "the losses are not Python floats; use .item()")
        compare("the number of losses", len(losses), 3)
        compare("the losses of three steps", torch.tensor(losses), wanted, rtol=1e-6, atol=1e-6, slips=slips)
        require(model.training, "the model is in evaluation mode after training")
        require(model.norm_f.running_mean.abs().sum() > 0, "the running statistics of the norms were not updated")
        for name, weight in model.named_parameters():
            compare(f"{name} after three steps", weight, weights[name], **FLOAT64)
        require(
            torch.equal(generator.get_state(), draws.get_state()),
            "the generator was used for something else; draw exactly one torch.randint per step",
        )
        for weight in second.parameters():
            weight.grad = torch.ones_like(weight)
        losses = train(second, inputs, targets, 3, 0.2, 16, third)
        what = "the losses of three steps if `.grad` holds old gradients"
        compare(what, torch.tensor(losses), wanted, rtol=1e-6, atol=1e-6)

        draws.manual_seed(7)
        batches = [torch.randint(200, (16,), generator=draws) for _ in range(3)]
        wanted, _ = trained()
        torch.manual_seed(7)
        losses = train(model, inputs, targets, 3, 0.2, 16)
        what = "the losses of three steps without a generator: torch.randint then uses the global random state"
        compare(what, torch.tensor(losses), wanted, rtol=1e-6, atol=1e-6)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %%
def validation_loss(model):
    """Return the cross-entropy over the whole validation set, in evaluation mode."""
    with eval_mode(model), torch.no_grad():
        return F.cross_entropy(model(val_data.inputs), val_data.targets).item()


# %% [markdown]
# **The effect.** Three networks with 12 layers, each trained for 200 steps at three learning rates from three seeds.
# "No norm" is your network with all its norms removed. The last line gives the loss of predicting by letter frequency
# alone: a network that does no better has learned nothing from the context.

# %% tags=["demo"]
def without_norms(model):
    """Replace every norm of the model by the identity; return the model."""
    model.norm_f = nn.Identity()
    for part in model.blocks:
        part.norm = nn.Identity()
    return model


def trained_losses(make, lr, steps=200):
    """Train `make()` from each of SEEDS; return the validation losses."""
    losses = []
    for seed in SEEDS:
        set_seed(seed)
        model = make()
        train(model, train_data.inputs, train_data.targets, steps, lr, generator=torch.Generator().manual_seed(seed))
        losses.append(validation_loss(model))
    return losses


with demonstration("The learning-rate table"):
    makers = {
        "plain": make_plain,
        "no norm": lambda: without_norms(make_residual()),
        "residual": make_residual,
    }
    table = ["validation loss after 200 steps, mean and range over 3 seeds"]
    table.append(f"{'lr':>5}" + "".join(f"{name:>24}" for name in makers))
    losses = {(name, lr): trained_losses(make, lr) for lr in (0.1, 0.3, 1.0) for name, make in makers.items()}
    for lr in (0.1, 0.3, 1.0):
        table.append(f"{lr:>5}" + "".join(f"{spread(losses[name, lr]):>24}" for name in makers))
    print("\n".join(table))
    chance = unigram_cross_entropy(val_data.targets)
    print(f"letter frequency only: {chance:.2f}")
# CLAIM: all(abs(loss - chance) < 0.02 for lr in (0.1, 0.3) for loss in losses["plain", lr])
# CLAIM: all(loss > chance - 0.1 for loss in losses["plain", 1.0])
# CLAIM: max(losses["no norm", 0.1] + losses["no norm", 0.3]) < chance - 0.1
# CLAIM: not np.isfinite(losses["no norm", 1.0]).any()
# CLAIM: max(max(losses["residual", lr]) for lr in (0.1, 0.3, 1.0)) - min(min(losses["residual", lr]) for lr in (0.1, 0.3, 1.0)) < 0.1

# %% [markdown]
# The plain network hardly does better than letter frequency at any rate. Without norms the residual network learns at
# the two smaller rates and diverges at the largest one. With norms, all three rates end within 0.1 of each other.
#
# Now a longer run of the residual network, followed by the plots of part 6 for the result: the writes, the lens, the
# attribution.

# %% tags=["demo"]
@functools.cache  # trained once, when first needed; re-run this cell to train again
def longer_run():
    """Train a residual network for 2000 steps; return it and its losses."""
    set_seed(config.seed)
    model = make_residual()
    generator = torch.Generator().manual_seed(config.seed)
    return model, train(model, train_data.inputs, train_data.targets, 2000, 0.3, generator=generator)


with demonstration("A longer run"):
    trained, losses = longer_run()
    print(sparkline(losses))
    print(f"validation loss {validation_loss(trained):.3f}, letter frequency only {unigram:.3f}")
    smooth = np.convolve(losses, np.ones(50) / 50, mode="valid")
    fig, ax = plt.subplots(figsize=(7, 3))
    ax.plot(losses, color=GREY, alpha=0.3, label="each batch")
    ax.plot(np.arange(len(smooth)) + 25, smooth, color=BLUE, label="mean of 50 batches")
    ax.axhline(unigram, color=ORANGE, linestyle="--", label="letter frequency only")
    ax.set(xlabel="step", ylabel="training loss (nats)", title="A residual network with 12 blocks starts learning at once")
    ax.set_ylim(top=3.8)
    ax.legend(ncols=3, fontsize=8, loc="upper right")
    plt.show()
# CLAIM: validation_loss(trained) < unigram - 0.3
# CLAIM: np.mean(losses[50:100]) < unigram

# %% tags=["demo"]
with demonstration("The writes of the trained network"):
    sizes = plot_writes(longer_run()[0], "After training, the early blocks write most")
# CLAIM: sizes[1:5].min() > sizes[-4:].max()

# %% [markdown]
# Each column of the lens is one context, read from the bottom (only the embedding has written) to the top (the
# model's prediction). From which block on does the prediction stay the same, and where does it become confident?

# %% tags=["demo"]
with demonstration("The lens on the trained network"):
    plot_lens(longer_run()[0], ["...", "..a", ".an", "ann", "nna", "mar", "ari", "ria", "..q", "joh"])
# CLAIM: (logit_lens(longer_run()[0], val_data.inputs[:1000])[0].argmax(-1) == str2idx["a"]).all()
# CLAIM: 0.1 < logit_lens(longer_run()[0], val_data.inputs[:1000])[0].softmax(-1).max(-1).values.min()
# CLAIM: logit_lens(longer_run()[0], val_data.inputs[:1000])[0].softmax(-1).max(-1).values.max() < 0.26
# CLAIM: logit_lens(longer_run()[0], look_inputs)[0].std(0).mean() < 0.3 * logit_lens(longer_run()[0], look_inputs)[-1].std(0).mean()

# %% [markdown]
# The attribution breaks down one column of the lens. A bar is the logit that a write gives to the predicted
# character, minus what it gives to the average character; a bar below zero (orange) would count against the
# prediction. (Adding the same number to all logits changes no probability.)

# %% tags=["demo"]
with demonstration("The attribution in the trained network"):
    plot_attribution(longer_run()[0], "nna")

# %% [raw]
# # BEGIN QUESTION
# name: W5
# points: 2
# manual: true
# bonus: true

# %% [markdown]
# ## W5. In words: the lens before the first block (2 bonus points)
#
# Difficulty ●●●○ · importance ●●●○ · 5 minutes
#
# Look at the bottom row of the lens, where only the embedding has written. What do its predictions have in common, and why
# does the lens show this there? Think of $\mathrm{lens}_0 = A\,c_0 + k$ from R8: which of the two terms depends on the context,
# and what can the other one know?
#
# Answer in two to four sentences. A person reads your answer; the points are a bonus on top of the 100.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# Every context gets the same prediction, `a`, with a probability between 0.1 and 0.26, close to that of $k$ alone (0.17).
# The constant $k = \mathrm{head}(\mathrm{norm_f}(0))$ is the same for all contexts. All it can hold is how frequent the
# letters are, and `a` is the most frequent one.
#
# The embedding's share $A\,c_0$ does depend on the context, but it is only one of 13 shares, none of them large, and it moves
# the logits too little to change the order that $k$ gives. It is also linear in the three letters, so it knows no combination of
# them. What tells the contexts apart is written by the blocks: row by row the predictions part, and the probabilities grow.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: R10
# points: 4

# %% [markdown]
# ## R10. Many names at once (4 points)
#
# Difficulty ●●●○ · importance ●●○○ · 25 minutes
#
# In evaluation mode the norms use their running statistics, so the rows of a batch are independent of each other, and
# many names can be generated in parallel. Write `generate_batch(model, n, generator, context_size=3, max_len=50)`,
# which returns a list of `n` strings.
#
# So that every correct answer generates the same names from the same `generator` and the checks can compare them
# exactly, letters are chosen as follows:
#
# 1. Every row starts with a context of `context_size` dots (token 0).
# 2. In each step, draw one number per row, for **all n rows**, by exactly one call of `torch.rand(n,
#    generator=generator)`; nothing else is drawn. Row `i` uses number `i`. Finished rows keep their place in the
#    draw; their numbers are discarded. (The generator is on the CPU; the tokens are on `device`.)
# 3. The next token of a row is the first one, in the order of the vocabulary, whose cumulative probability $\sum_{j
#    \le t} p_j$ (with $p$ the softmax of the row's logits) is **greater** than the row's number; if rounding leaves none, it is the last token.
# 4. A row that gets token 0 is finished; its name is the text before it. Any other token is appended to the name, and
#    the context shifts by one character.
# 5. Stop when all rows are finished, or after `max_len` steps; an unfinished row then keeps its `max_len` letters.
#
# So row `i` gets the same name as if it were generated alone with the same numbers. Use the model in evaluation mode
# and restore its mode afterwards. The global random state must not change, and no gradient is needed. The names
# consist of `idx2str` letters, without dots; an empty name is possible.
#
# <details><summary>Hint 1: the concept</summary>
#
# A finished name must not stop the others, and the others must not make it longer. You may let finished rows
# continue, as long as everything after their first dot is discarded.
#
# </details>
#
# <details><summary>Hint 2: the shapes</summary>
#
# contexts `(n, context_size)` → logits `(n, V)` → softmax → `.cumsum(1)` `(n, V)`. Compare with the numbers as `(n,
# 1)`. The new tokens are `(n,)`; the next contexts are the old ones without their first column, with the tokens as
# the new last column.
#
# </details>
#
# <details><summary>Hint 3: nearly the code</summary>
#
# In a sorted row, the index of the first entry greater than $u$ is the number of entries that are at most $u$; so
# count them, and `clamp` to the last token. For the text: collect the tokens of all steps, join the letters of each
# row, and keep what comes before the first dot.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def generate_batch(model, n, generator, context_size=3, max_len=50):
    """Generate n names in parallel, in evaluation mode.

    generator: a torch.Generator on the CPU, the only source of randomness
    Returns a list of n strings of at most max_len letters; leaves the model unchanged.
    """
    ############################################################################
    # TODO R10 (4 points): draw the next letter of all rows by the rule above  #
    # until all are finished. Return the names.                                #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    contexts = torch.zeros(n, context_size, dtype=torch.int64, device=device)
    finished = torch.zeros(n, dtype=torch.bool, device=device)
    written = [""] * n
    with torch.no_grad(), eval_mode(model):
        for _ in range(max_len):
            numbers = torch.rand(n, generator=generator).to(device)
            cumulative = model(contexts).softmax(1).cumsum(1)  # (n, V)
            tokens = (cumulative <= numbers[:, None]).sum(1).clamp(max=cumulative.shape[1] - 1)
            written = [name + idx2str[token] for name, token in zip(written, tokens.tolist(), strict=True)]
            finished |= tokens == 0
            if finished.all():
                break
            contexts = torch.cat([contexts[:, 1:], tokens[:, None]], dim=1)
    return [name.split(".")[0] for name in written]
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("R10")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_names_of_a_known_chain(env):
    import torch

    from src.checks import answer, checking, require

    modes = set()  # outside the model, so that a copy of it is noticed too

    class Chain(torch.nn.Module):
        # The next letter depends on the whole context, by fixed tables.
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.tables = 2 * torch.randn(3, 27, 27)

        def forward(self, contexts):
            modes.add(self.training)
            tables = self.tables.to(contexts.device)
            return sum(tables[place][contexts[:, place]] for place in range(3))

    with checking("R10"):
        generate_batch = answer(env, "R10", "generate_batch")
        model = Chain()
        before = torch.get_rng_state()
        generator = torch.Generator().manual_seed(3)
        yours = generate_batch(model, 6, generator, max_len=12)
        same = torch.equal(torch.get_rng_state(), before)
        require(same, "the call changed the global random state; draw with generator=generator")
        require(modes == {False}, "the model was not in evaluation mode when it was called")
        require(model.training, "the model was in training mode before the call and is not now")
        require(isinstance(yours, list) and len(yours) == 6, "generate_batch should return a list of n names")

        draws = torch.Generator().manual_seed(3)
        numbers = torch.stack([torch.rand(6, generator=draws) for _ in range(12)])  # (step, row)
        longest = 0
        for row in range(6):
            letters, history = "", [0, 0, 0]
            for step in range(12):
                longest = max(longest, step + 1)
                shares = model(torch.tensor([history[-3:]])).softmax(1)
                token = min(int(torch.searchsorted(shares.cumsum(1)[0], numbers[step, row], right=True)), 26)
                if token == 0:
                    break
                letters += chr(96 + token)
                history.append(token)
            require(yours[row] == letters, f"row {row} is {yours[row]!r}; the target for its numbers is {letters!r}")
        expected = torch.Generator().manual_seed(3)
        for _ in range(longest):
            torch.rand(6, generator=expected)
        require(
            torch.equal(generator.get_state(), expected.get_state()),
            f"the generator was not used exactly {longest} times: draw once per step, and stop when all rows are finished",
        )


# %%
def test_when_rows_finish(env):
    import torch

    from src.checks import answer, checking, require

    size = [3]

    class Countdown(torch.nn.Module):
        # After "..." a or b with equal probability; a ends the name, b is followed by a, then anything goes on with z.
        def forward(self, contexts):
            logits = torch.full((len(contexts), 27), -1e4, device=contexts.device)
            for row, context in enumerate(contexts.tolist()):
                require(len(context) == size[0], f"the model got contexts of {len(context)} tokens, not of {size[0]}")
                following = {0: (1, 2), 1: (0,), 2: (1,)}.get(context[-1], (26,))
                following = (26,) if context[-1] == 0 and any(context) else following
                logits[row, list(following)] = 0.0
            return logits

    with checking("R10"):
        generate_batch = answer(env, "R10", "generate_batch")
        generator = torch.Generator().manual_seed(8)
        yours = generate_batch(Countdown(), 9, generator)
        first = torch.rand(9, generator=torch.Generator().manual_seed(8))
        wanted = ["a" if number < 0.5 else "ba" for number in first]
        require(yours == wanted, f"a model that can only say 'a' or 'ba' gives {yours}; the target is {wanted}")
        expected = torch.Generator().manual_seed(8)
        for _ in range(3):
            torch.rand(9, generator=expected)
        require(
            torch.equal(generator.get_state(), expected.get_state()),
            "all rows are finished after 3 steps, but the generator was not used exactly 3 times",
        )
        size[0] = 5
        wider = generate_batch(Countdown(), 9, torch.Generator().manual_seed(8), context_size=5)
        require(wider == wanted, f"with context_size=5 the names are {wider}; the target is {wanted}")
        size[0] = 3
        short = generate_batch(Countdown(), 9, torch.Generator().manual_seed(8), max_len=1)
        require(short == ["a" if number < 0.5 else "b" for number in first], f"with max_len=1 the names are {short}")

        class Silent(torch.nn.Module):
            # Ends every name at once.
            def forward(self, contexts):
                logits = torch.full((len(contexts), 27), -1e4, device=contexts.device)
                logits[:, 0] = 0.0
                return logits

        empty = generate_batch(Silent(), 3, torch.Generator().manual_seed(1))
        require(empty == ["", "", ""], f"a model that ends every name at once gives {empty}; the target is ['', '', '']")
        one = torch.Generator().manual_seed(9)
        pair = [generate_batch(Countdown(), 20, one) for _ in range(2)]
        require(pair[0] != pair[1], "two calls with one generator gave the same names; do not seed it or copy it")


# %%
def test_rule_at_the_edges(env):
    import torch

    from src.checks import answer, checking, require

    class Sixteen(torch.nn.Module):
        # The letters k to z with equal probability 1/16, so that every cumulative probability is exact.
        def forward(self, contexts):
            logits = torch.full((len(contexts), 27), -1e4, device=contexts.device)
            logits[:, 11:] = 0.0
            return logits

    class Rounded(torch.nn.Module):
        # In float32 the cumulative probabilities end a little below 1; z is by far the likeliest.
        def forward(self, contexts):
            draw = torch.Generator().manual_seed(143)
            logits = torch.randn(1, 27, generator=draw)
            logits[0, 26] += 3
            return logits.to(contexts.device).repeat(len(contexts), 1)

    with checking("R10"):
        generate_batch = answer(env, "R10", "generate_batch")
        # Of 64 numbers drawn with seed 339, number 16 is exactly 14/16.
        name = generate_batch(Sixteen(), 64, torch.Generator().manual_seed(339), max_len=1)[16]
        require(
            name == "y",
            f"for a number equal to a cumulative probability the token is {name!r}; "
            f"it should be the first one whose cumulative probability is greater",
        )
        # Of 64 numbers drawn with seed 28086, number 45 is the largest below 1.
        name = generate_batch(Rounded(), 64, torch.Generator().manual_seed(28086), max_len=1)[45]
        require(name == "z", f"where rounding leaves no cumulative probability above the number, the token is {name!r}, not the last")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **The effect.** Names generated by the network that you trained. How many of them are already in the data?

# %% tags=["demo"]
with demonstration("The names"):
    new_names = generate_batch(longer_run()[0], 24, torch.Generator().manual_seed(config.seed))
    known = set(names)
    marked = [name + "*" if name in known else name for name in new_names]
    width = max(map(len, marked))
    for start in range(0, len(marked), 4):
        print("  ".join(f"{name:<{width}}" for name in marked[start : start + 4]))
    print(f"{sum(name in known for name in new_names)} of {len(new_names)} are in the data (*)")
# CLAIM: len(new_names) == 24

# %% [markdown]
# # 8. Lab: what matters? (not graded)
#
# **Goal:** tell by experiment which choices matter for training, and where.
#
# Three choices have come up: where the norm goes, how large the first writes are, and how many blocks there are.
# Which of them matter for training? **Predict first.** For each row of the table below, replace `None` by one of
# `"learns"` (below letter frequency), `"does not learn"` or `"diverges"`. Then run both cells. The runner
# trains the network of every row that you have made a prediction for, 150 steps at learning rate 0.1 from three seeds
# (about a second each), fills in the row and compares. You can start with a few rows.

# %% tags=["demo"]
predictions = {
    # (norm, blocks, first writes): your prediction
    ("pre", 4, "scale 1"): None,
    ("pre", 24, "scale 1"): None,
    ("pre", 24, "1/√(2L)"): None,
    ("pre", 24, "zero"): None,
    ("post", 4, "scale 1"): None,
    ("post", 24, "scale 1"): None,
    ("post", 24, "1/√(2L)"): None,
    ("post", 24, "zero"): None,
    ("none", 4, "scale 1"): None,
    ("none", 24, "scale 1"): None,
    ("none", 24, "1/√(2L)"): None,
    ("none", 24, "zero"): None,
}


# %% tags=["demo"]
def make_variant(norm, n_layers, start):
    """Build a network with its norms before the branches ("pre"), on the stream ("post") or nowhere ("none")."""
    small = (2 * n_layers) ** -0.5
    if norm == "post":
        model = make_post_norm(n_layers, small if start == "1/√(2L)" else 1.0)
    else:
        model = make_residual(n_layers)
        model = model if start == "1/√(2L)" else unscale_(model)
    model = zero_init_(model) if start == "zero" else model
    return without_norms(model) if norm == "none" else model


@functools.cache
def lab_losses(norm, n_layers, start, lr=0.1):
    """Return the validation losses of a variant after 150 steps; trained once."""
    return trained_losses(lambda: make_variant(norm, n_layers, start), lr, steps=150)


def verdict(losses):
    """Put the losses of three seeds into one of the three words of the prediction."""
    if not np.isfinite(losses).all():
        return "diverges"
    return "learns" if max(losses) < unigram else "does not learn"


def row_of(key, predicted):
    """Return one row of the table, filled in if there is a prediction, and whether that was right (None without one)."""
    row = f"{key[0]:<6}{key[1]:<8}{key[2]:<14}"
    if predicted not in ("learns", "does not learn", "diverges"):
        return row + ("predict first" if predicted is None else f"{predicted!r} is not one of the three predictions"), None
    found = lab_losses(*key)
    right = predicted == verdict(found)
    return f"{row}{spread(found):<24}{verdict(found):<16}{predicted} ({'right' if right else 'wrong'})", right


with demonstration("The lab"):
    print(f"{'norm':<6}{'blocks':<8}{'first writes':<14}{'validation loss':<24}{'result':<16}your prediction")
    made = []
    for key, predicted in predictions.items():
        row, right = row_of(key, predicted)
        made += [right] * (right is not None)
        print(row)
    print(f"{len(made)} of {len(predictions)} predictions made, {sum(made)} right; 3 seeds per row")
# CLAIM: all(verdict(lab_losses(*key)) == "learns" for key in predictions if key != ("none", 24, "scale 1"))
# CLAIM: verdict(lab_losses("none", 24, "scale 1")) == "diverges"
# CLAIM: (normed := [loss for key in predictions if key[0] != "none" for loss in lab_losses(*key)]) and max(normed) - min(normed) < 0.12
# CLAIM: all(abs(np.mean(lab_losses(norm, 24, "scale 1")) - np.mean(lab_losses(norm, 4, "scale 1"))) < 0.05 for norm in ("pre", "post"))
# CLAIM: all(row_of(key, verdict(lab_losses(*key)))[1] for key in predictions)

# %% [markdown]
# Compare the rows in pairs that differ in one choice only. Explain each difference, or its absence, in a sentence of your
# own, and only then unfold the answer.
#
# <details><summary>What the table says</summary>
#
# **With norms**, none of the three choices matters much here: all rows end within 0.12 of each other, and 24 blocks
# are no better than 4. Contexts of three letters and 150 steps of training do not need depth; it would be wrong to
# claim from this table that depth, zero-init or $1/\sqrt{2L}$ helps. **Without norms** the first writes decide at 24
# blocks: with scale 1 the network diverges, with $1/\sqrt{2L}$ or zero it learns. The norms do the work that a
# careful initialization does otherwise.
#
# </details>
#
# Where, then, does the identity path matter? At a learning rate that is ten times larger, and 24 blocks:

# %% tags=["demo"]
with demonstration("The lab at a large learning rate"):
    fast = {}
    print("validation loss after 150 steps at learning rate 1.0, 24 blocks, mean and range over 3 seeds")
    for start in ("scale 1", "1/√(2L)", "zero"):
        fast[start] = [lab_losses(norm, 24, start, 1.0) for norm in ("pre", "post")]
        print(f"first writes {start:<10} pre-norm {spread(fast[start][0])}   post-norm {spread(fast[start][1])}")
    fig, ax = plt.subplots(figsize=(7, 3))
    for shift, (norm, color) in enumerate((("pre", ORANGE), ("post", BLUE))):
        for place, losses in enumerate(fast.values()):
            label = f"{norm}-norm" if place == 0 else None
            ax.plot([place + 0.1 * shift] * len(SEEDS), losses[shift], "o", color=color, label=label)
    ax.axhline(unigram, color=GREY, linestyle="--", label="letter frequency only")
    ax.set_xticks(range(len(fast)), fast)
    ax.set(xlabel="first writes", ylabel="validation loss", title="24 blocks, learning rate 1.0: each dot is a seed")
    ax.legend(fontsize=8)
    plt.show()
# CLAIM: all(max(pre) < min(post) - 0.05 for pre, post in fast.values())
# CLAIM: (torch.sub(*[(set_seed(1), make_variant(norm, 24, "zero")(look_inputs))[1] for norm in ("pre", "post")]).abs().max() < 1e-3)

# %% [markdown]
# With the norm in the branch, the network learns from all three starts. With the norm on the stream,
# training at this rate is clearly worse from every start, even from zero, where both networks compute nearly the same
# at first.

# %% [raw]
# # BEGIN QUESTION
# name: W6
# points: 2
# manual: true
# bonus: true

# %% [markdown]
# ## W6. In words: layer norm instead of batch norm (2 bonus points)
#
# Difficulty ●●○○ · importance ●●●○ · 5 minutes
#
# Layer normalization computes mean and variance over the features of one example, not over the batch. Name two situations
# in which you would choose it instead of batch normalization, and say for each what is wrong with the statistics of a
# batch there.
#
# Answer in two to four sentences. A person reads your answer; the points are a bonus on top of the 100.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# For example:
#
# - **Small batches**, down to a single example, because memory is short or examples come one at a time: mean and variance
#   over a few examples are noisy, and over one example the variance is 0. Layer norm needs no other example.
# - **Sequences**, as in language models: they have different lengths, positions are not comparable, and one sequence
#   would be normalised with the text of others. When text is generated token by token there is no batch to average over.
# - **The same computation in training and in use**: batch norm switches from batch statistics to running statistics, which
#   go wrong when the data change or the mode is forgotten. Layer norm has no running statistics and no modes.
# - **Batches spread over several machines**, or whose examples are not drawn independently: the statistics depend on how
#   the data were split.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [markdown]
# # What you learned
#
# - In a plain deep network the gradient shrinks from layer to layer, so its first layers learn almost nothing.
# - A residual block reads from a stream and adds to it. The stream itself is left unchanged, and the gradient flows
#   along it to every block.
# - Blocks that initially write nothing, or little ($1/\sqrt{2L}$), let a network of any depth start out simple.
# - Where the norm is placed matters: in the branch it leaves the identity path open, on the stream it closes it.
# - The end of the stream is a sum. In evaluation mode the path from each write to the logits is linear, so a
#   prediction can be split among the blocks exactly.
# - In evaluation mode the rows do not influence each other, so generating a batch of names gives the same result as
#   one name at a time.
#
# ## References
#
# - He, Zhang, Ren, Sun (2015). *Deep Residual Learning for Image Recognition.* arXiv:1512.03385
# - He, Zhang, Ren, Sun (2016). *Identity Mappings in Deep Residual Networks.* arXiv:1603.05027 (pre-norm and the
#   identity path)
# - Veit, Wilber, Belongie (2016). *Residual Networks Behave Like Ensembles of Relatively Shallow Networks.*
#   arXiv:1605.06431
# - Zhang, Dauphin, Ma (2019). *Fixup Initialization: Residual Learning Without Normalization.* arXiv:1901.09321
# - De, Smith (2020). *Batch Normalization Biases Residual Blocks Towards the Identity Function in Deep Networks.*
#   arXiv:2002.10444 (SkipInit)
# - nostalgebraist (2020). *Interpreting GPT: the logit lens.* LessWrong
# - Elhage et al. (2021). *A Mathematical Framework for Transformer Circuits.* transformer-circuits.pub
#
# ## Handing in
#
# The next cell runs all checks of this notebook.

# %%
grader.check_all()

# %% [markdown]
# The last cell asks before it does anything. Then it saves the notebook, writes `residual_stream-handin.zip` and runs
# the checks again on a fresh start of the saved notebook. Hand in either the zip file or the notebook itself; they are
# graded the same way. If the cell says that it could not save the notebook, as it does in VS Code, save it yourself and
# run the cell again.

# %%
grader.export()
