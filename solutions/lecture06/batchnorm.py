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
        "in Colab, open colab/batchnorm.ipynb instead, which works alone."
    ) from None

grader = Grader("batchnorm")

# %% [markdown]
# # Lecture 6, notebook 1: Batch Normalization
#
# You will take a small network that predicts the next letter of a name, look at what goes wrong inside it when
# training starts, and fix it in two ways: with better initial weights, and with **batch normalization**, which you
# write yourself, forward and backward. At the end your network makes up new names.
#
# | part | questions | points |
# |---|---|---|
# | 1. The names and a first model | none, just read and run | 0 |
# | 2. A look inside | B1, B2 | 7 |
# | 3. Batch normalization | B3, B4, B5 | 19 |
# | 4. Batch normalization in a network | B6, B7 | 10 |
# | 5. Evaluation and inference | B8, B9, B10 | 14 |
# | **total** | | **50** |
#
# Three more questions, W1 to W3, are answered in a few words. People grade them, and their points are a bonus: 2 each,
# on top of the 100 of both notebooks.
#
# Expect three to four hours. Once everything is written, the whole notebook runs in about a minute.

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
import os
import string
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from src import figures
from src.utils import cmp_table, configure_device, load_text, numerical_gradient, set_seed, sparkline, tanh_outputs

# The layers here are so small that a second thread costs more time than it saves.
torch.set_num_threads(1)

# Colours that remain distinguishable with colour blindness.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

# %% [markdown]
# # 1. The names and a first model
#
# **Goal:** know the data, the model, and the two numbers with which every loss is compared.
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
# ## Two numbers to compare with
#
# A model that knows nothing gives each of the 27 tokens the same probability; its loss is $\ln 27$. A model that only
# knows how often each character occurs does better; its loss is called the *unigram* cross-entropy. A useful model
# has a lower loss than either.

# %%
uniform_loss = math.log(vocab_size)
share = torch.bincount(train_data.targets, minlength=vocab_size).cpu().double() / len(train_data)
unigram_loss = -(share * share.clamp_min(1e-12).log()).sum().item()
print(f"uniform guess:         {uniform_loss:.3f}")
print(f"letter frequency only: {unigram_loss:.3f}")

# %% [markdown]
# ## The model of the lecture
#
# Each of the three characters is looked up in a table `C`, the three rows are concatenated, and a hidden layer with
# $\tanh$ and an output layer follow. All weights are drawn from the standard normal distribution, as in the lecture.


# %%
class MLP(nn.Module):
    """Map contexts (N, context_size) to logits (N, vocab_size) with one hidden layer."""

    def __init__(self, vocab_size, context_size, d_embed, d_hidden):
        super().__init__()
        n_inputs = context_size * d_embed
        self.C = nn.Parameter(torch.randn((vocab_size, d_embed)))
        self.W1 = nn.Parameter(torch.randn((n_inputs, d_hidden)))
        self.b1 = nn.Parameter(torch.randn((d_hidden,)))
        self.W2 = nn.Parameter(torch.randn((d_hidden, vocab_size)))
        self.b2 = nn.Parameter(torch.randn((vocab_size,)))

    def forward(self, x):
        embedded = self.C[x].view(x.shape[0], -1)  # (N, context_size * d_embed)
        hidden = torch.tanh(embedded @ self.W1 + self.b1)  # (N, d_hidden)
        return hidden @ self.W2 + self.b2  # logits (N, vocab_size)


def count_parameters(model):
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def new_model(model_class, seed=None, **options):
    """Build a model of the configured size from a seed (default: that of the config)."""
    set_seed(config.seed if seed is None else seed)
    sizes = vocab_size, config.context_size, config.d_embed, config.d_hidden
    return model_class(*sizes, **options).to(device)


print(f"MLP has {count_parameters(new_model(MLP)):,} parameters")

# %% [markdown]
# ## Training
#
# `train` takes plain gradient steps on random batches and measures the validation loss every `val_interval` steps, on
# the **whole** validation set, with the model in evaluation mode. This set is small enough to go through the model in
# one batch, so each example has the same weight. (In question B8 you write a version for larger sets.)
#
# If you use [Weights & Biases](https://wandb.ai) and have set `WANDB_API_KEY`, the losses are sent there as well.
# Otherwise nothing is sent.


# %%
@torch.no_grad()
def validation_loss(model, data):
    """Return the mean cross-entropy over all examples of `data`, in one batch and in evaluation mode."""
    model.eval()
    loss = F.cross_entropy(model(data.inputs), data.targets)
    model.train()
    return loss.item()


def wandb_run(settings):
    """Return a Weights & Biases run if it is set up, else None."""
    if not os.environ.get("WANDB_API_KEY"):
        return None
    try:
        import wandb
    except ImportError:
        return None
    return wandb.init(project="lecture06", config=settings)


def train(model, train_data, val_data, config, *, lr=None, steps=None, seed=None, label="model", quiet=False):
    """Train with plain SGD and return the history.

    `lr`, `steps` and `seed` override the config; `quiet` turns off the progress bar, the text and W&B.
    Returns {"train": loss of each step, "val_step": steps, "val": validation loss at those steps}.
    """
    lr = config.lr if lr is None else lr
    steps = config.max_steps if steps is None else steps
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    draw = torch.Generator().manual_seed(config.seed if seed is None else seed)  # the same batches for each model
    settings = {**asdict(config), "lr": lr, "max_steps": steps, "label": label}
    run = None if quiet else wandb_run(settings)
    history = {"train": [], "val_step": [0], "val": [validation_loss(model, val_data)]}

    model.train()
    bar = tqdm(total=steps, desc=label, file=sys.stdout, ncols=90, mininterval=0.5, disable=quiet)
    for step in range(1, steps + 1):
        rows = torch.randint(len(train_data), (config.batch_size,), generator=draw).to(device)
        loss = F.cross_entropy(model(train_data.inputs[rows]), train_data.targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history["train"].append(loss.item())
        bar.update()

        if step % config.val_interval == 0 or step == steps:
            history["val_step"].append(step)
            history["val"].append(validation_loss(model, val_data))
        if step % config.log_interval == 0 or step == steps:
            recent = float(np.mean(history["train"][-config.log_interval :]))
            bar.set_postfix(train=recent, val=history["val"][-1], refresh=False)
            if run is not None:
                run.log({"train": recent, "val": history["val"][-1]}, step=step)
    bar.close()
    if run is not None:
        run.finish()
    if not quiet:
        print(f"training loss, step 1 to {steps}: {sparkline(history['train'])}")
        print(f"mean training loss over all steps: {np.mean(history['train']):.2f}")
        print(f"final validation loss: {history['val'][-1]:.2f}")
    return history


# %% [markdown]
# Helpers for the demonstrations. One training run proves little, so every comparison below trains three models from
# three seeds and shows the mean and the range of the results.


# %%
def plot_losses(histories, title, colours=(ORANGE, BLUE, GREEN, GREY)):
    """Plot the training loss (thin line, mean of ten steps) and validation loss (dots) of each history."""
    _, ax = plt.subplots(figsize=(7, 3))
    for (label, history), colour in zip(histories.items(), colours, strict=False):
        losses = np.asarray(history["train"])
        tens = losses[: len(losses) // 10 * 10].reshape(-1, 10).mean(1)
        ax.plot(np.arange(len(tens)) * 10 + 5, tens, color=colour, linewidth=0.8, alpha=0.6)
        ax.plot(history["val_step"], history["val"], "o-", color=colour, markersize=4, label=label)
    guess = f"uniform guess, ln 27 = {uniform_loss:.2f}"
    ax.axhline(uniform_loss, color=GREY, linestyle="--", linewidth=1, label=guess)
    ax.set(xlabel="step", ylabel="cross-entropy (nats)", title=title)
    ax.legend(frameon=False)
    plt.show()


SEEDS = (101, 102, 103)


def train_seeds(build, **options):
    """Train `build(seed)` for each of SEEDS, quietly; return the histories."""
    return [train(build(seed), train_data, val_data, config, seed=seed, quiet=True, **options) for seed in SEEDS]


def final(histories):
    """Return the final validation losses of these histories."""
    return [history["val"][-1] for history in histories]


def spread(losses, digits=2):
    """Format losses as their mean and range."""
    return f"{np.mean(losses):.{digits}f} ({min(losses):.{digits}f} to {max(losses):.{digits}f})"


@contextmanager
def demonstration():
    """Skip a demonstration, with a message, while a question that it needs is unanswered."""
    try:
        yield
    except NotImplementedError as missing:
        print(f"Skipped: answer {missing} first, run its cell, then re-run this one.")
    except NameError as missing:
        if missing.name != "final_model":
            raise
        print("Skipped: run the cell that trains `final_model` first, then re-run this one.")


# %% tags=["demo"]
model = new_model(MLP)
history = train(model, train_data, val_data, config, lr=0.1, label="MLP")
plot_losses({"MLP (dots: validation)": history}, "A hockey stick: a steep drop, then a slow decline (learning rate 0.1)")
# CLAIM: history["train"][0] > 5 * uniform_loss
# CLAIM: np.mean(history["train"][:10]) - np.mean(history["train"][95:105]) > np.mean(history["train"][95:105]) - np.mean(history["train"][-50:])
# CLAIM: history["val"][-1] > uniform_loss

# %% [markdown]
# This is the **hockey stick** of the lecture. The initial loss is many times that of a uniform guess, so the network
# starts out *confidently wrong*. The first hundred steps reduce the loss by more than the next nine hundred do, and
# they only unlearn this confidence: after a thousand steps the model is still worse than guessing. Where does this
# come from?

# %% [markdown]
# # 2. A look inside
#
# **Goal:** recognise a saturated network from its activations, and start a network at the right scale.
#
# The hidden layer computes $h = \tanh(a)$ with the *pre-activation* $a = x W_1 + b_1$. The slope of $\tanh$ is $1 -
# \tanh^2(a)$: where $|h|$ is close to 1, the slope is close to 0, and so is the gradient that flows back through that
# unit. Such an entry is called **saturated**.

# %% [raw]
# # BEGIN QUESTION
# name: B1
# points: 3

# %% [markdown]
# ## B1. Measure the activations (3 points)
#
# Difficulty ●○○○ · importance ●●○○ · 10 minutes
#
# Before you fix a network, measure it. Write `activation_stats(pre)`, which takes pre-activations of shape $(N, D)$,
# applies $h = \tanh(a)$ and returns a dictionary with three Python floats, each taken over all $N \cdot D$ entries of
# $h$:
#
# | key | value |
# |---|---|
# | `"mean"` | the mean |
# | `"std"` | the standard deviation; dividing by the number of entries minus one (torch's default) or by the number of entries (NumPy's) are both accepted |
# | `"saturated"` | the fraction of entries with $\lvert h \rvert > 0.97$ (strictly greater), between 0 and 1 |
#
# `pre` itself must not change, and the values must be plain Python floats, detached from the autograd graph.
#
# <details><summary>Hint 1: the concept</summary>
#
# The fraction of entries that satisfy a condition is the mean of a tensor of zeros and ones. What saturates is $h$, not
# $a$, and it does so at both ends.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# `tanh` keeps the shape (N, D); without a `dim`, `mean` and `std` reduce everything to one number. `.item()` turns a
# one-element tensor into a Python float, which carries no graph.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Compare the absolute value with the threshold, convert the booleans to floats, take their mean, then `.item()`.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def activation_stats(pre):
    """Return statistics of tanh(pre).

    pre: pre-activations (N, D).
    Returns {"mean": float, "std": float, "saturated": float}, each over all entries of tanh(pre).
    """
    ############################################################################
    # TODO B1 (3 points): apply tanh, then return its mean, its standard       #
    # deviation and the fraction of entries with an absolute value above 0.97. #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    h = torch.tanh(pre.detach())
    return {
        "mean": h.mean().item(),
        "std": h.std().item(),
        "saturated": (h.abs() > 0.97).float().mean().item(),
    }
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("B1")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_activation_statistics(env):
    import numpy as np
    import torch
    from src.checks import answer, checking, compare, require

    with checking("B1"):
        activation_stats = answer(env, "B1", "activation_stats")
        wide = torch.tensor(
            [[0.0, 3.0, -3.0, 1.0], [2.0, -2.2, 0.5, 9.0], [1.5, -1.0, 0.1, -0.4]], dtype=torch.float64
        )
        before = wide.clone()
        stats = activation_stats(wide)
        keys = "mean", "std", "saturated"
        require(
            isinstance(stats, dict) and not set(keys) - set(stats),
            'the result should be a dictionary with the keys "mean", "std" and "saturated"',
        )
        single = activation_stats(wide.float() + 1.0)
        for key in keys:
            for value in (stats[key], single[key]):
                kind = type(value).__name__
                require(isinstance(value, float), f"{key} has type {kind}; it should be a Python float")
        require(torch.equal(wide, before), "pre was modified; leave the input unchanged")
        require(stats["saturated"] <= 1, "saturated should be a fraction between 0 and 1, not a count or a percentage")
        values = wide.numpy()
        slips = {
            "counting only the positive side; take the absolute value": 3 / 12,
            "comparing pre instead of tanh(pre) with 0.97": 8 / 12,
        }
        compare("saturated (12 entries, 4 of them saturated)", stats["saturated"], 1 / 3, slips=slips)
        slips = {"not applying tanh": values.mean(), "taking the absolute value first": np.abs(np.tanh(values)).mean()}
        compare("mean", stats["mean"], float(np.mean(np.tanh(values))), slips=slips)
        right = [float(np.std(np.tanh(values), ddof=d)) for d in (1, 0)]
        require(
            min(abs(stats["std"] - r) for r in right) < 2e-4,
            f"std is {stats['std']:.4f}; the standard deviation of tanh(pre) over all entries is {right[0]:.4f}",
        )
        edge = torch.atanh(torch.full((1, 2), 0.97, dtype=torch.float64))
        while (edge.tanh() > 0.97).any():
            edge = torch.nextafter(edge, torch.zeros_like(edge))
        on_edge = activation_stats(edge)
        require(
            on_edge["mean"] != 0.97 or on_edge["saturated"] == 0,
            "an entry of exactly 0.97 counts as saturated; the comparison should be strict",
        )
        recorded = activation_stats(wide.clone().requires_grad_() * 1.0)  # as in a model, whose weights need gradients
        require(
            all(isinstance(recorded[key], float) for key in keys),
            "if pre requires gradients, the values are not Python floats; use .item()",
        )
        compare("mean (pre requires gradients)", recorded["mean"], stats["mean"])
        require(single["mean"] != stats["mean"], "other values of the same shape give the mean of the call before")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# Now look at the hidden layer of the untrained model of the lecture.


# %%
def pre_activations(model, inputs):
    """Return the pre-activations of an MLP, detached: (N, d_hidden)."""
    with torch.no_grad():
        return F.linear(F.embedding(inputs, model.C).flatten(1), model.W1.T, model.b1)


def plot_activations(panels):
    """Plot a histogram of tanh(pre) for each panel, with the saturated fraction in the title."""
    width = 7 if len(panels) > 1 else 4
    fig, axes = plt.subplots(1, len(panels), figsize=(width, 3), sharey=True, squeeze=False)
    for ax, (label, pre) in zip(axes[0], panels.items(), strict=True):
        stats = activation_stats(pre)
        values = torch.tanh(pre).flatten().cpu().numpy()
        ax.hist(values, bins=50, range=(-1, 1), density=True, color=BLUE)
        ax.set(title=f"{label}\n{stats['saturated']:.0%} saturated", xlabel="activation tanh(a)")
    axes[0][0].set_ylabel("density")
    fig.tight_layout()
    plt.show()


# %% tags=["demo"]
with demonstration():
    pre = pre_activations(new_model(MLP), train_data.inputs[:2000])
    stats = activation_stats(pre)
    print({name: round(value, 3) for name, value in stats.items()})
    print(f"standard deviation of the pre-activations: {pre.std().item():.1f}")
    plot_activations({"weights from randn": pre})
# CLAIM: 0.7 < stats["saturated"] < 0.8
# CLAIM: 6 < pre.std() < 8

# %% [markdown]
# About three quarters of the activations sit at the two ends, where $\tanh$ is flat. Each pre-activation is a sum of
# 48 products of standard normal numbers, so its variance is about 48 and its standard deviation about 7.

# %% [raw]
# # BEGIN QUESTION
# name: B2
# points: 4

# %% [markdown]
# ## B2. Better initial weights (4 points)
#
# Difficulty ●○○○ · importance ●●●○ · 10 minutes
#
# If inputs and weights are independent with mean 0, a sum of `fan_in` products has `fan_in` times the variance of one
# product. Drawing the weights with a smaller standard deviation cancels this factor (He et al., 2015):
#
# $$W_{ij} \sim \mathcal{N}\left(0,\ \sigma^2\right), \qquad \sigma = \frac{\text{gain}}{\sqrt{n_\text{in}}}, \qquad
# n_\text{in} = \text{number of inputs (fan-in)}$$
#
# The gain compensates for the activation function, which shrinks its input: PyTorch recommends $5/3$ for $\tanh$ and
# $1$ for a layer without an activation.
#
# Write `kaiming_(weight, gain)`, where `weight` has shape (fan_in, fan_out). As the underscore says, it works **in
# place**: it fills the given tensor with new random numbers and returns that same tensor. Autograd must not record
# any of this, and the function must work on an `nn.Parameter`. Draw from torch's global random number generator, so
# that `torch.manual_seed` makes the result reproducible.
#
# <details><summary>Hint 1: the concept</summary>
#
# Only the number of inputs per unit matters, not the number of units. In-place tensor methods end in an underscore.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# In this notebook layers compute `x @ W`, so the first dimension of `weight` is fan_in. (`nn.Linear` stores the
# transpose.)
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Inside `with torch.no_grad():` call the in-place tensor method that fills a tensor with normal random numbers; its
# arguments are a mean and a standard deviation. Then return `weight`.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def kaiming_(weight, gain=5 / 3):
    """Fill weight (fan_in, fan_out) in place from N(0, (gain / sqrt(fan_in))^2) and return it.

    Source: He et al. (2015), section 2.2.
    """
    ############################################################################
    # TODO B2 (4 points): fill the tensor itself with normal random numbers    #
    # with the right std, not recorded by autograd, and return it.             #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    fan_in = weight.shape[0]
    with torch.no_grad():
        return weight.normal_(0.0, gain / math.sqrt(fan_in))
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("B2")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_deviation_in_place(env):
    import torch
    from src.checks import answer, checking, require

    with checking("B2"):
        kaiming_ = answer(env, "B2", "kaiming_")
        state = torch.get_rng_state()
        try:
            for shape, options, target in (((400, 100), {}, 1 / 12), ((64, 900), {"gain": 1.0}, 1 / 8)):
                weight = torch.nn.Parameter(torch.full(shape, 5.0))
                torch.manual_seed(6)
                result = kaiming_(weight, **options)
                require(result is weight, "return the given tensor itself, filled in place, not a new one")
                require(
                    weight.grad_fn is None and weight.requires_grad,
                    "autograd recorded the operation; use torch.no_grad()",
                )
                std, gain = weight.detach().std().item(), options.get("gain", 5 / 3)
                for slip, wrong in (
                    ("fan_out; fan_in is the first dimension here", gain / shape[1] ** 0.5),
                    ("the variance where the standard deviation is asked for", gain**2 / shape[0]),
                    ("fan_in without its square root", gain / shape[0]),
                    ("no gain", 1 / shape[0] ** 0.5),
                    ("the gain without the fan-in", gain),
                ):
                    require(
                        abs(std / wrong - 1) > 0.05 or abs(wrong / target - 1) < 0.05,
                        f"for shape {shape}, the standard deviation {std:.4f} is that of {slip}",
                    )
                require(
                    abs(std / target - 1) < 0.05,
                    f"for shape {shape} and gain {options.get('gain', '5/3')}, the weights have a standard deviation of "
                    f"{std:.4f}; it should be about {target:.4f}",
                )
                mean = weight.detach().mean().item()
                require(abs(mean) < target / 20, f"the mean of the weights is {mean:.4f}; it should be about 0")
                require(
                    weight.detach().abs().max() > 3.2 * std,
                    f"all {weight.numel():,} weights are within 3.2 standard deviations; draw from a normal distribution",
                )
        finally:
            torch.set_rng_state(state)


# %%
def test_seed_decides(env):
    import torch
    from src.checks import answer, checking, require

    with checking("B2"):
        kaiming_ = answer(env, "B2", "kaiming_")
        state = torch.get_rng_state()
        try:
            drawn = []
            for seed in (1, 1, 2):
                torch.manual_seed(seed)
                drawn.append(kaiming_(torch.zeros(9, 8)).clone())
            require(
                torch.equal(drawn[0], drawn[1]),
                "the same torch.manual_seed gave different weights; draw from torch's global generator",
            )
            require(
                not torch.equal(drawn[0], drawn[2]),
                "different seeds gave the same weights; do not set a seed inside the function",
            )
        finally:
            torch.set_rng_state(state)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# What does this do for the lecture's model? We take the same architecture, fill `W1` and `W2` with `kaiming_` (gain 1
# for the output layer), and set the biases to zero.


# %%
def rescale(mlp):
    """Give an MLP scaled weights and zero biases; return the model."""
    kaiming_(mlp.W1)
    kaiming_(mlp.W2, gain=1.0)
    with torch.no_grad():
        mlp.b1.zero_()
        mlp.b2.zero_()
    return mlp


# %% tags=["demo"]
with demonstration():
    inits = {
        "weights from randn": lambda seed: new_model(MLP, seed),
        "weights by kaiming_": lambda seed: rescale(new_model(MLP, seed)),
    }
    panels = {label: pre_activations(build(config.seed), train_data.inputs[:2000]) for label, build in inits.items()}
    runs = {label: train_seeds(build, lr=0.1) for label, build in inits.items()}
    print(f"validation loss, mean and range over {len(SEEDS)} seeds (learning rate 0.1)")
    for label, histories in runs.items():
        before = [history["val"][0] for history in histories]
        print(f"{label}: {spread(before)} before training, {spread(final(histories))} after")
    plot_activations(panels)
    plot_losses({label: histories[0] for label, histories in runs.items()}, "With scaled weights there is no hockey stick")
# CLAIM: all(abs(history["val"][0] - uniform_loss) < 0.5 for history in runs["weights by kaiming_"])
# CLAIM: all(history["val"][1] < history["val"][0] - 0.5 for history in runs["weights by kaiming_"])
# CLAIM: max(final(runs["weights by kaiming_"])) < unigram_loss < uniform_loss < min(final(runs["weights from randn"]))

# %% [markdown]
# The scaled model starts close to a uniform guess and learns from the first step. A good initialization is worth a
# lot, but somebody has to work out the right scale for each layer, and training then moves the weights away from it.
# Batch normalization takes a different approach: it *measures* the scale, in every batch.

# %% [markdown]
# # 3. Batch normalization
#
# **Goal:** write batch normalization forward, backward and as a layer with state, and know which statistics it uses
# when.
#
# Ioffe and Szegedy (2015) normalise each feature over the batch, then let the network learn a new scale and shift.
# For one feature with the values $x_1, \dots, x_N$ in the batch $\mathcal{B}$:
#
# $$\mu_\mathcal{B} = \frac{1}{N} \sum_{i=1}^{N} x_i \qquad
# \sigma^2_\mathcal{B} = \frac{1}{N} \sum_{i=1}^{N} (x_i - \mu_\mathcal{B})^2 \qquad
# \hat{x}_i = \frac{x_i - \mu_\mathcal{B}}{\sqrt{\sigma^2_\mathcal{B} + \epsilon}} \qquad
# y_i = \gamma \hat{x}_i + \beta$$
#
# Three details are easy to get wrong: the variance divides by $N$, not by $N - 1$; $\epsilon$ is **inside** the
# square root; and every feature has its own mean, variance, $\gamma$ and $\beta$.

# %% [raw]
# # BEGIN QUESTION
# name: B3
# points: 6

# %% [markdown]
# ## B3. Normalise a batch (6 points)
#
# Difficulty ●●○○ · importance ●●●● · 20 minutes
#
# Write `batchnorm_forward(x, gamma, beta, eps)` with the four formulas above. `x` has shape $(N, D)$, `gamma` and
# `beta` have shape $(D,)$. Return three tensors: `y` of shape $(N, D)$, and the batch `mean` and `var` with $D$
# elements each.
#
# Do not change `x`. Write it with elementary tensor operations: in B3, B4 and B5 a built-in batch normalization
# (`nn.BatchNorm1d`, `F.batch_norm`, `torch.native_batch_norm` and the like) is not allowed. Gradients must flow
# through everything, including the mean and the variance, so do not use `detach` or `no_grad` here.
#
# <details><summary>Hint 1: the concept</summary>
#
# A feature is a column. "Over the batch" means averaging over the rows. torch's `var` divides by $N - 1$ by default:
# look for `correction` in its documentation.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# `mean` and `var` have shape (D,). In `x - mean` the shapes (N, D) and (D,) are broadcast: the vector is subtracted
# from each row. `gamma` and `beta` work the same way.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# The normalised value is the centred `x` divided by the square root of (variance plus eps). First multiply by
# `gamma`, then add `beta`.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    """Normalise a batch with its own statistics.

    x: (N, D); gamma, beta: (D,); eps: added to the variance.
    Returns (y, mean, var): y (N, D), mean and var with D elements; var divides by N (biased).
    Source: Ioffe and Szegedy (2015), algorithm 1.
    """
    ############################################################################
    # TODO B3 (6 points): normalise each feature over the batch, then scale    #
    # and shift. Return (y, mean, var).                                        #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    mean = x.mean(dim=0)  # (D,)
    var = x.var(dim=0, correction=0)  # (D,)
    x_hat = (x - mean) / torch.sqrt(var + eps)  # (N, D)
    return gamma * x_hat + beta, mean, var
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("B3")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_forward_values(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, no_built_in_batch_norm, require

    with checking("B3"):
        batchnorm_forward = answer(env, "B3", "batchnorm_forward")
        draw = torch.Generator().manual_seed(3)
        for n, eps in ((32, 0.1), (8, 1e-7)):
            x = 3 * torch.randn(n, 5, dtype=torch.float64, generator=draw) + 2
            gamma, beta = torch.randn(2, 5, dtype=torch.float64, generator=draw)
            before = x.clone()
            with no_built_in_batch_norm():
                result = batchnorm_forward(x, gamma, beta, eps)
            require(
                isinstance(result, tuple | list) and len(result) == 3,
                "return three things: the normalised batch, the mean and the variance",
            )
            y, mean, var = result
            require(torch.equal(x, before), "x was modified in place; leave the input unchanged")
            judge = torch.nn.BatchNorm1d(5, eps=eps, momentum=1.0, dtype=torch.float64)
            judge.load_state_dict({"weight": gamma, "bias": beta}, strict=False)
            target = judge(x)  # with momentum 1 it keeps the statistics of this batch; its variance divides by N - 1
            average, unbiased = judge.running_mean, judge.running_var
            biased = unbiased * (n - 1) / n

            def scaled(divisor, x=x, average=average, gamma=gamma, beta=beta):
                return torch.addcmul(beta, x - average, gamma / divisor)

            slips = {"averaging over all entries; each feature has its own mean": x.mean().expand(5)}
            compare("mean", mean, average, **FLOAT64, slips=slips)
            slips = {
                "dividing by N - 1; divide by N": unbiased,
                "returning the standard deviation; return the variance": biased.sqrt(),
                "returning var + eps; return the variance itself": biased + eps,
            }
            compare("var", var, biased, **FLOAT64, slips=slips)
            root = biased.sqrt()
            slips = {
                "adding eps to the standard deviation; eps belongs inside the square root": scaled(root + eps),
                "normalising with the variance over N - 1": scaled((unbiased + eps).sqrt()),
                "leaving out eps": scaled(root),
                "squaring eps": scaled((biased + eps**2).sqrt()),
                "dividing by the variance; divide by its square root": scaled(biased + eps),
                "not applying gamma and beta": (target - beta) / gamma,
                "swapping gamma and beta": torch.addcmul(gamma, (target - beta) / gamma, beta),
                "adding beta before multiplying by gamma": target - beta + beta * gamma,
                "not subtracting the mean": scaled(-(biased + eps).sqrt(), x=-x, average=torch.zeros(5)),
                "clamping or hard-coding eps": scaled((biased + 1e-5).sqrt()),
            }
            compare(f"y (with eps = {eps})", y, target, **FLOAT64, slips=slips)
        constant = torch.full((4, 5), 2.5, dtype=torch.float64)
        y = batchnorm_forward(constant, gamma, beta)[0]
        compare("y of a batch without variance", y, beta.expand(4, 5), **FLOAT64)


# %%
def test_gradient_reaches_x(env):
    import torch
    from src.checks import answer, checking, compare_gradients, no_built_in_batch_norm, require

    with checking("B3"):
        batchnorm_forward = answer(env, "B3", "batchnorm_forward")
        draw = torch.Generator().manual_seed(4)
        x, cotangent = torch.randn(2, 8, 5, dtype=torch.float64, generator=draw)
        gamma, beta = torch.randn(2, 5, dtype=torch.float64, generator=draw)
        given = [tensor.requires_grad_() for tensor in (x, gamma, beta)]
        with no_built_in_batch_norm():
            y = batchnorm_forward(*given)[0]
        judge = torch.nn.BatchNorm1d(5, dtype=torch.float64)
        judge.weight.data, judge.bias.data = gamma.detach(), beta.detach()
        centred = (x - x.mean(0)).detach()
        share = cotangent * gamma.detach() * (centred.square().mean(0) + 1e-5).rsqrt()
        slips = {
            "x": {
                "treating the mean and the variance as constants; gradients must flow through them": share,
                "treating the variance as a constant; gradients must flow through it": share - share.mean(0),
            }
        }
        places = {"x": (x, x), "gamma": (gamma, judge.weight), "beta": (beta, judge.bias)}
        compare_gradients(y, judge(x), places, cotangent, slips)
        for place, name, its in ((1, "mean", x.mean(0)), (2, "var", x.var(0, correction=0))):
            mine = batchnorm_forward(*given)[place]
            require(getattr(mine, "requires_grad", False), f"the returned {name} is cut off from the autograd graph; do not detach it")
            compare_gradients(mine, its, {f"x through the returned {name}": (x, x)}, cotangent[0])


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# First, the effect on one batch: the mean and standard deviation of 40 hidden units, before and after.

# %% tags=["demo"]
with demonstration():
    pre = pre_activations(new_model(MLP), train_data.inputs[:256])
    ones = torch.ones(config.d_hidden, device=device)
    zeros = torch.zeros(config.d_hidden, device=device)
    y, _, _ = batchnorm_forward(pre, ones, zeros)
    fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharex=True, layout="constrained")
    for ax, name in zip(axes, ("mean", "std"), strict=True):
        for label, values, colour in (("before", pre, ORANGE), ("after", y, BLUE)):
            statistic = getattr(values, name)(0)[:40].cpu()
            ax.plot(statistic, "o", color=colour, markersize=4, label=label)
        ax.set(xlabel="hidden unit", ylabel=f"{name} over the batch")
    fig.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    fig.suptitle("After normalization, each unit has mean 0 and standard deviation 1")
    plt.show()
# CLAIM: y.mean(0).abs().max() < 1e-4
# CLAIM: (y.std(0, correction=0) - 1).abs().max() < 1e-2

# %% [markdown]
# A batch shares its mean and variance, so its examples are no longer independent. Below, one of eight examples (orange)
# is moved: its own output changes, and so do the outputs of the seven others, although their inputs stay where they are.
# Move it yourself with the slider (if it does not appear: it needs the package `ipywidgets`, a part of Jupyter).


# %% tags=["demo"]
def move_one_example(shift=4.0):
    """Plot one feature of eight examples before and after normalization, the first example moved by `shift`."""
    x = torch.linspace(-1.5, 1.5, 8, dtype=torch.float64)[:, None]
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    moved = x + shift * torch.eye(8, 1, dtype=torch.float64)
    rows = {"input": x, "output": batchnorm_forward(x, one, zero)[0]}
    rows |= {"moved input": moved, "its output": batchnorm_forward(moved, one, zero)[0]}
    _, ax = plt.subplots(figsize=(7, 2.4))
    for height, values in enumerate(reversed(rows.values())):
        ax.plot(values[1:], [height] * 7, "o", color=BLUE)
        ax.plot(values[:1], [height], "o", color=ORANGE)
    ax.set_yticks(range(4), reversed(rows))
    ax.set(xlim=(-7, 7), ylim=(-0.5, 3.5), xlabel="value", title=f"One example moved by {shift:.1f}")
    plt.show()
    return rows


def play():
    """Show a slider that moves the example, where the package ipywidgets is installed."""
    try:
        from ipywidgets import FloatSlider, interact
    except ImportError:
        return

    def move(shift):
        move_one_example(shift)

    interact(move, shift=FloatSlider(value=0.0, min=-5.0, max=5.0, step=0.5, description="shift"))


with demonstration():
    rows = move_one_example()
    play()
# CLAIM: all(abs(a - b) > 0.1 for a, b in zip(rows["output"][1:], rows["its output"][1:]))

# %% [markdown]
# Next, the histogram of the activations, next to those for the two initializations. Batch normalization is applied to
# the *badly scaled* weights here.

# %% tags=["demo"]
with demonstration():
    inputs = train_data.inputs[:2000]
    pre = pre_activations(new_model(MLP), inputs)
    ones = torch.ones(config.d_hidden, device=device)
    zeros = torch.zeros(config.d_hidden, device=device)
    panels = {
        "weights from randn": pre,
        "weights by kaiming_": pre_activations(rescale(new_model(MLP)), inputs),
        "randn, then BN": batchnorm_forward(pre, ones, zeros)[0],
    }
    plot_activations(panels)
    saturated = [activation_stats(panel)["saturated"] for panel in panels.values()]
# CLAIM: saturated[2] < saturated[1] < saturated[0]

# %% [raw]
# # BEGIN QUESTION
# name: B4
# points: 9

# %% [markdown]
# ## B4. A layer with running statistics (9 points)
#
# Difficulty ●●●○ · importance ●●●● · 35 minutes
#
# During training, the output for one example depends on which other examples happen to be in the batch. At inference
# there may be only one. So the layer keeps **running statistics** during training and uses them in evaluation mode:
#
# $$\mu_\text{run} \leftarrow (1 - m)\, \mu_\text{run} + m\, \mu_\mathcal{B} \qquad
# \sigma^2_\text{run} \leftarrow (1 - m)\, \sigma^2_\text{run} + m\, \frac{N}{N - 1}\, \sigma^2_\mathcal{B}$$
#
# with the momentum $m$. The factor $N / (N - 1)$ makes the variance *unbiased*: the running variance estimates the
# variance of the population, while the batch itself is still normalised with the biased variance.
#
# Write the class `BatchNorm1d` so that it behaves like `nn.BatchNorm1d`:
#
# | | name | initial value |
# |---|---|---|
# | parameters | `gamma`, `beta`, each (D,) | ones, zeros |
# | buffers | `running_mean`, `running_var`, each (D,) | zeros, ones |
# | buffer | `num_batches_tracked` | 0, incremented by 1 for each training batch |
# | attributes | `eps`, `momentum` | as given |
#
# - In training mode (`self.training` is true) normalise with the statistics of the batch, let gradients flow through
#   them, and update the buffers. The update must not be part of the autograd graph. A single example has no variance:
#   raise a `ValueError`.
# - In evaluation mode use the running statistics, at any batch size, and change no buffer. Gradients still flow, to the
#   input and to both parameters; the running statistics are constants.
# - The mode decides, not autograd: in training mode, the batch statistics are used under `torch.no_grad()` too.
#
# You may call your `batchnorm_forward`, but no built-in batch normalization.
#
# <details><summary>Hint 1: the concept</summary>
#
# A parameter is learned by the optimizer; a buffer is state that is saved and moved with the module but not learned.
# See `register_buffer`. `forward` has two branches, and only one of them updates the buffers.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# All statistics have shape (D,); `num_batches_tracked` is a single number. The batch size is the first dimension of
# the input.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Under `torch.no_grad()`: new running value = old value plus momentum times (batch value minus old value), for both
# buffers; the batch value of the variance is first multiplied by $N / (N - 1)$. The tensor method `lerp_` does
# exactly this, in place.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
class BatchNorm1d(nn.Module):
    """Batch normalization of (N, D) inputs with running statistics.

    Parameters gamma, beta (D,); buffers running_mean, running_var (D,) and num_batches_tracked
    (a single number); attributes eps and momentum. forward: (N, D) -> (N, D).
    """

    ############################################################################
    # TODO B4 (9 points): write __init__ (parameters, buffers) and forward     #
    # (batch statistics and updates in training, running statistics in         #
    # evaluation).                                                             #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x):
        if not self.training:
            x_hat = (x - self.running_mean) / torch.sqrt(self.running_var + self.eps)
            return self.gamma * x_hat + self.beta
        n = x.shape[0]
        if n < 2:
            raise ValueError("a single example has no variance: training needs a batch of at least two")
        y, mean, var = batchnorm_forward(x, self.gamma, self.beta, self.eps)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
            self.num_batches_tracked += 1
        return y

    # END SOLUTION
    """ # BEGIN PROMPT
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        raise NotImplementedError("B4")

    def forward(self, x):
        raise NotImplementedError("B4")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_parameters_and_buffers(env):
    import torch
    from src.checks import answer, checking, compare, parameters_of, require

    with checking("B4"):
        BatchNorm1d = answer(env, "B4", "BatchNorm1d")
        bn = BatchNorm1d(5)
        parameters = parameters_of(bn, ("gamma", "beta"))
        buffers = dict(bn.named_buffers(remove_duplicate=False))
        require(
            set(parameters) == {"gamma", "beta"},
            f"the parameters are {sorted(parameters)}; they should be exactly beta and gamma",
        )
        require(hasattr(bn, "num_batches_tracked"), "num_batches_tracked is missing; it should count the training batches")
        for name in ("running_mean", "running_var"):
            require(
                name in buffers, f"{name} is not a buffer, so it would not be saved with the model; use register_buffer"
            )
        for name in {"running_mean", "running_var", "num_batches_tracked"} & set(buffers):
            require(name in bn.state_dict(), f"{name} is not in the state_dict; register it as a persistent buffer")
        compare("the initial gamma", bn.gamma, torch.ones(5))
        compare("the initial beta", bn.beta, torch.zeros(5))
        compare("the initial running_mean", bn.running_mean, torch.zeros(5))
        compare("the initial running_var", bn.running_var, torch.ones(5))
        for name, default, other in (("eps", 1e-5, 1e-3), ("momentum", 0.1, 0.3)):
            for layer, target in ((bn, default), (BatchNorm1d(5, **{name: other}), other)):
                found = getattr(layer, name, None)
                require(found == target, f"the attribute {name} is {found}; it should be {target}")
        twin = BatchNorm1d(5)
        twin(torch.randn(6, 5, generator=torch.Generator().manual_seed(1)))
        compare("running_mean of one layer after training another", bn.running_mean, torch.zeros(5))


# %%
def test_as_torch_on_one_batch(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, no_built_in_batch_norm, require

    with checking("B4"):
        draw = torch.Generator().manual_seed(5)
        bn = answer(env, "B4", "BatchNorm1d")(5, eps=1e-3, momentum=0.3).double()
        judge = torch.nn.BatchNorm1d(5, eps=1e-3, momentum=0.3, dtype=torch.float64)
        with torch.no_grad():
            for mine, its in ((bn.gamma, judge.weight), (bn.beta, judge.bias)):
                its.copy_(torch.randn(5, dtype=torch.float64, generator=draw))
                mine.copy_(its.reshape(mine.shape))
        x = (2 * torch.randn(6, 5, dtype=torch.float64, generator=draw) + 1).requires_grad_()
        with no_built_in_batch_norm():
            mine = bn(x)
        compare("the output in training mode", mine, judge(x), **FLOAT64)
        require(
            not (bn.running_mean.requires_grad or bn.running_var.requires_grad),
            "the running statistics are attached to the autograd graph; update them under torch.no_grad()",
        )
        start, batch = torch.zeros(5, dtype=torch.float64), x.detach().mean(0)
        slips = {
            "not updating it in training mode": start,
            "swapping the momentum and 1 - momentum": 0.7 * batch,
            "ignoring the given momentum": 0.1 * batch,
        }
        compare("running_mean after one batch", bn.running_mean, judge.running_mean, **FLOAT64, slips=slips)
        unbiased = (judge.running_var - 0.7) / 0.3
        slips = {
            "not updating it in training mode": start + 1,
            "storing the biased variance; multiply by N / (N - 1)": 0.7 + 0.3 * unbiased * 5 / 6,
            "swapping the momentum and 1 - momentum": 0.3 + 0.7 * unbiased,
            "storing the standard deviation": 0.7 + 0.3 * unbiased.sqrt(),
            "starting from 0": 0.3 * unbiased,
        }
        compare("running_var after one batch", bn.running_var, judge.running_var, **FLOAT64, slips=slips)
        require(int(bn.num_batches_tracked) == 1, f"num_batches_tracked is {bn.num_batches_tracked} after one batch")

        bn.eval()
        with no_built_in_batch_norm():
            mine = bn(x)
        judge.eval()
        of_batch = torch.nn.functional.batch_norm(x, None, None, judge.weight, judge.bias, training=True, eps=judge.eps)
        slips = {"using the statistics of the batch; use the running ones": of_batch}
        compare("the output in evaluation mode", mine, judge(x), **FLOAT64, slips=slips)
        compare("the output for one example in evaluation mode", bn(x[:1]), judge(x[:1]), **FLOAT64)
        compare("running_mean after an evaluation", bn.running_mean, judge.running_mean, **FLOAT64)
        compare("running_var after an evaluation", bn.running_var, judge.running_var, **FLOAT64)
        require(int(bn.num_batches_tracked) == 1, "num_batches_tracked changed in evaluation mode")

        bn.train()
        judge.train()
        with torch.no_grad():
            compare("the output in training mode under torch.no_grad()", bn(x), judge(x), **FLOAT64)
        slips = {"not updating it under torch.no_grad(); the mode decides": 0.3 * batch}
        compare("running_mean after two batches", bn.running_mean, judge.running_mean, **FLOAT64, slips=slips)
        compare("running_var after two batches", bn.running_var, judge.running_var, **FLOAT64)
        require(int(bn.num_batches_tracked) == 2, f"num_batches_tracked is {bn.num_batches_tracked} after two batches")
        for n in (2, 3):
            compare(f"the output in training mode for a batch of {n}", bn(x[:n]), judge(x[:n]), **FLOAT64)
        try:
            bn(x[:1])
        except Exception:
            return
        require(False, "training mode accepted a batch of one example, which has no variance; raise a ValueError")


# %%
def test_gradients_of_the_layer(env):
    import torch
    from src.checks import answer, checking, compare_gradients

    with checking("B4"):
        draw = torch.Generator().manual_seed(15)
        bn = answer(env, "B4", "BatchNorm1d")(4, eps=1e-7).double()
        judge = torch.nn.BatchNorm1d(4, eps=1e-7, dtype=torch.float64)
        x, cotangent = torch.randn(2, 7, 4, dtype=torch.float64, generator=draw)
        x.requires_grad_()
        share = cotangent * (x.detach().var(0, unbiased=False) + judge.eps).rsqrt()
        slips = {
            "x": {
                "detaching the statistics of the batch; gradients must flow through them": share,
                "detaching the variance of the batch": share - share.mean(0),
            }
        }
        for training in (True, False):
            places = {"x": (x, x), "gamma": (bn.gamma, judge.weight), "beta": (bn.beta, judge.bias)}
            compare_gradients(
                bn.train(training)(x), judge.train(training)(x), places, cotangent, slips if training else None
            )


# %%
def test_layer_follows_its_attributes_and_buffers(env):
    import contextlib

    import torch
    from src.checks import answer, checking, compare

    with checking("B4"):
        layer = answer(env, "B4", "BatchNorm1d")(3).double()
        x = torch.tensor([[1.0, -2.0, 0.5], [2.0, 0.0, 4.0], [-1.0, 5.0, 1.0], [0.5, 1.0, 2.5]], dtype=torch.float64)
        first = layer.eval()(x).detach()
        layer.requires_grad_(False)
        for name, value in (("eps", 0.2), ("momentum", 0.5)):
            with contextlib.suppress(AttributeError):  # an answer may make it a property
                setattr(layer, name, value)
        eps, momentum = layer.eps, layer.momentum
        mean, var = x.mean(0), x.var(0, correction=0)
        slips = {
            "using the eps passed to __init__; use self.eps": (x - mean) / torch.sqrt(var + 1e-5),
            "using the running statistics because nothing requires a gradient": x / (1 + eps) ** 0.5,
        }
        what = "the training output where eps has changed and nothing requires a gradient"
        compare(what, layer.train()(x), (x - mean) / torch.sqrt(var + eps), slips=slips)
        running_mean, running_var = momentum * mean, 1 - momentum + momentum * x.var(0)
        slips = {"using the momentum passed to __init__; use self.momentum": 0.1 * mean}
        compare("running_mean after a change of momentum", layer.running_mean, running_mean, slips=slips)
        target = (x - running_mean) / torch.sqrt(running_var + eps)
        slips = {"using the statistics of an earlier evaluation": x / (1 + eps) ** 0.5, "repeating a result": first}
        compare("the output of a second evaluation, after a training batch", layer.eval()(x), target, slips=slips)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# Do the running statistics converge to those of the population? Here the population is the validation set, and the
# layer sees 150 batches of its pre-activations in the untrained model. The dots are the means and variances of single
# batches, for one hidden unit.

# %% tags=["demo"]
with demonstration():
    population = pre_activations(new_model(MLP), val_data.inputs)
    draw = torch.Generator().manual_seed(config.seed)
    rows = torch.randint(len(population), (150, config.batch_size), generator=draw).to(device)
    tracks = {}
    for momentum in (0.1, 0.01):
        bn = BatchNorm1d(config.d_hidden, momentum=momentum).to(device)
        tracks[momentum] = []
        for row in rows:
            bn(population[row])
            running = bn.running_mean, bn.running_var
            tracks[momentum].append([statistic.flatten()[0].item() for statistic in running])
    fig, axes = plt.subplots(1, 2, figsize=(9, 3))
    for (momentum, track), colour in zip(tracks.items(), (BLUE, GREEN), strict=True):
        for ax, values in zip(axes, zip(*track, strict=True), strict=True):
            ax.plot(values, color=colour, label=f"running, momentum {momentum}")
    batches = population[rows][:, :, 0]  # (150, batch_size)
    for ax, name in zip(axes, ("mean", "var"), strict=True):
        target = getattr(population[:, 0], name)().item()
        ax.plot(getattr(batches, name)(1).cpu(), ".", color=GREY, alpha=0.4, label="one batch")
        ax.axhline(target, color=ORANGE, linestyle="--", label="population")
        ax.set(xlabel="batch", ylabel=f"{name} of hidden unit 0")
    axes[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    fig.suptitle("A large momentum is fast but noisy, a small one slow but smooth")
    fig.tight_layout()
    plt.show()
    steps = {momentum: np.abs(np.diff(np.array(track), axis=0)).mean(0) for momentum, track in tracks.items()}
    early = {momentum: abs(track[20][1] - target) for momentum, track in tracks.items()}
# CLAIM: (steps[0.1] > 2 * steps[0.01]).all()
# CLAIM: early[0.1] < early[0.01]

# %% [markdown]
# ## The backward pass through the graph (not graded)
#
# Before the closed formula of B5, do the backward pass one arrow at a time. The figure shows the forward pass as a
# graph. Going from right to left, each box turns the gradient of its output into the gradients of its inputs; where two
# arrows leave a box, the two gradients are added.

# %% tags=["demo"]
figures.batchnorm_graph()

# %% [markdown]
# The next cell computes each box. Replace `None` by an expression, from top to bottom, and run the cell again: each
# line compares your gradient with autograd's. A gradient has the shape of its tensor, so the gradients of `average`,
# `var` and `r` are summed over the batch. (The matrix `m` has shape $(1, N)$ and entries $1/N$: multiplying by it from
# the left takes the mean over the batch, and `m.T @` distributes a gradient over the batch.)

# %% tags=["demo"]
draw = torch.Generator().manual_seed(config.seed)
x, dout = torch.randn(2, 8, 5, dtype=torch.float64, generator=draw)
gamma, beta = torch.randn(2, 1, 5, dtype=torch.float64, generator=draw)
m = torch.full((1, 8), 1 / 8, dtype=torch.float64)

graph = {"x": x.requires_grad_(), "gamma": gamma.requires_grad_(), "beta": beta.requires_grad_()}
graph["average"] = average = m @ x  # (1, D), as are var, r, gamma and beta
graph["c"] = c = x - average  # (N, D)
graph["var"] = var = m @ c**2
graph["r"] = r = (var + 1e-5) ** -0.5
graph["x_hat"] = x_hat = c * r  # (N, D)
graph["y"] = y = x_hat * gamma + beta  # (N, D)
slopes = dict(zip(graph, torch.autograd.grad((y * dout).sum(), list(graph.values())), strict=True))

with torch.no_grad():
    dy = dout
    dbeta = None
    dgamma = None
    dx_hat = None
    dr = None
    dvar = None
    dc = None  # two arrows leave c: to x_hat and to var
    daverage = None
    dx = None  # two arrows leave x: to c and to average

yours = {"y": dy, "beta": dbeta, "gamma": dgamma, "x_hat": dx_hat, "r": dr, "var": dvar, "c": dc, "average": daverage}
print(cmp_table({name: (value, slopes[name]) for name, value in (yours | {"x": dx}).items()}, tolerance=1e-9))

# %% [markdown]
# A second way to check any gradient needs no autograd: move one entry of the input a little up and down, and divide the
# difference of the outputs by the difference of the inputs. `numerical_gradient(function, x)` does this for every entry
# of a float64 tensor and works on any scalar function. Here it confirms the gradient that autograd found above.

# %% tags=["demo"]
with torch.no_grad():
    numerical = numerical_gradient(
        lambda x: ((x - m @ x) * (m @ (x - m @ x) ** 2 + 1e-5) ** -0.5 * gamma * dout).sum(), graph["x"]
    )
print(cmp_table({"x": (numerical, slopes["x"])}, tolerance=1e-6))
# CLAIM: (numerical - slopes["x"]).abs().max() < 1e-6

# %% [raw]
# # BEGIN QUESTION
# name: B5
# points: 6

# %% [markdown]
# ## B5. The backward pass (6 points)
#
# Difficulty ●●●● · importance ●●●○ · 40 minutes
#
# So far autograd has done the backward pass for you. Doing it once by hand shows why batch normalization makes a
# layer insensitive to the scale of its input. You are given $\partial \ell / \partial y_i$ (called `dout`), and the
# values $\hat{x}_i$, $\gamma$ and $\sigma^2_\mathcal{B}$ from the forward pass. Compute
#
# $$\frac{\partial \ell}{\partial x_i}, \qquad
# \frac{\partial \ell}{\partial \gamma} = \sum_{i=1}^{N} \frac{\partial \ell}{\partial y_i}\, \hat{x}_i,
# \qquad \frac{\partial \ell}{\partial \beta} = \sum_{i=1}^{N} \frac{\partial \ell}{\partial y_i}.$$
#
# The first is the hard one, because $x_i$ affects the loss along **three** paths: directly through $\hat{x}_i$,
# through the mean $\mu_\mathcal{B}$, and through the variance $\sigma^2_\mathcal{B}$. Section 3 of the paper gives
# the chain rule for each; combine them on paper, and much of it cancels.
#
# Write `batchnorm_backward(dout, x_hat, gamma, var, eps)` and return `(dx, dgamma, dbeta)`, of shapes $(N, D)$,
# $(D,)$, $(D,)$. `var` is the biased batch variance. Use elementary operations only: no autograd and no built-in
# batch normalization. Do not modify the inputs.
#
# <details><summary>Hint 1: the concept</summary>
#
# Start with $g_i = \gamma\, \partial \ell / \partial y_i$, the gradient at $\hat{x}_i$. The path through the mean
# removes the average of $g$: adding the same number to all $x_i$ changes nothing, so the gradient cannot point in
# that direction. The path through the variance removes the component of $g$ along $\hat{x}$: stretching all $x_i$
# changes (almost) nothing either.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# All sums run over the batch, so they reduce (N, D) to (D,), which broadcasts against (N, D). For the path through
# the variance,
#
# $$\frac{\partial \ell}{\partial \sigma^2_\mathcal{B}} =
# -\frac{1}{2} \cdot \frac{1}{\sigma^2_\mathcal{B} + \epsilon} \sum_{i=1}^{N} g_i\, \hat{x}_i, \qquad
# \frac{\partial \sigma^2_\mathcal{B}}{\partial x_i} = \frac{2}{N} (x_i - \mu_\mathcal{B}).$$
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# From each $g_i$ subtract two things: the batch mean of $g$, and $\hat{x}_i$ times the batch mean of $g\, \hat{x}$.
# Divide the result by the standard deviation used in the forward pass (with eps inside the square root).
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def batchnorm_backward(dout, x_hat, gamma, var, eps=1e-5):
    """Return the gradients of batch normalization in training mode.

    dout: gradient with respect to y, (N, D); x_hat: normalised input, (N, D); gamma: (D,);
    var: biased variance of the batch, (D,); eps: as in the forward pass.
    Returns (dx, dgamma, dbeta) of shapes (N, D), (D,), (D,).
    Source: Ioffe and Szegedy (2015), section 3.
    """
    ############################################################################
    # TODO B5 (6 points): return the gradients with respect to x, gamma and    #
    # beta, along all three paths from x to the loss.                          #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    dgamma = (dout * x_hat).sum(dim=0)  # (D,)
    dbeta = dout.sum(dim=0)  # (D,)
    g = gamma * dout  # gradient with respect to x_hat, (N, D)
    through_mean = g.mean(dim=0)  # (D,)
    through_var = x_hat * (g * x_hat).mean(dim=0)  # (N, D)
    dx = (g - through_mean - through_var) / torch.sqrt(var + eps)
    return dx, dgamma, dbeta
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("B5")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_against_autograd(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, no_autograd, no_built_in_batch_norm, require

    with checking("B5"):
        batchnorm_backward = answer(env, "B5", "batchnorm_backward")
        draw = torch.Generator().manual_seed(6)
        eps = 1e-2
        x, dout = torch.randn(2, 7, 5, dtype=torch.float64, generator=draw)
        gamma = torch.randn(5, dtype=torch.float64, generator=draw).requires_grad_()
        beta = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        x = (3 * x + 1).requires_grad_()
        y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)
        targets = torch.autograd.grad((y * dout).sum(), (x, gamma, beta))

        x_hat = ((y - beta) / gamma).detach()
        var = x.detach().sub(x.detach().mean(0)).square().mean(0)
        given = [dout, x_hat, gamma.detach(), var]
        before = [tensor.clone() for tensor in given]
        with no_built_in_batch_norm(), no_autograd():
            result = batchnorm_backward(*given, eps)
        require(isinstance(result, tuple | list) and len(result) == 3, "return three things: dx, dgamma and dbeta")
        direct = torch.addcdiv(torch.zeros_like(dout), dout * gamma.detach(), (var + eps).sqrt())
        along = x_hat * (direct * x_hat).sum(0) / 7
        slips = {
            "dbeta": {"averaging over the batch; sum": targets[2] / 7},
            "dgamma": {
                "leaving out x_hat": targets[2],
                "averaging over the batch; sum": targets[1] / 7,
            },
            "dx": {
                "the direct path only; two more paths are missing": direct,
                "leaving out the path through the variance": direct - direct.mean(0),
                "leaving out the path through the mean": direct - along,
                "leaving out gamma": targets[0] / gamma.detach(),
                "leaving out eps": targets[0] * ((var + eps) / var).sqrt(),
                "adding eps outside the square root": targets[0] * (var + eps).sqrt() / (var.sqrt() + eps),
                "dividing by the variance instead of its square root": targets[0] / (var + eps).sqrt(),
                "multiplying by the standard deviation; divide": targets[0] * (var + eps),
                "summing over the batch where the mean belongs": direct - 7 * (direct.mean(0) + along),
                "adding the paths through the mean and the variance; subtract them": direct + direct.mean(0) + along,
            },
        }
        for name, mine, target in zip(("dbeta", "dgamma", "dx"), reversed(result), reversed(targets), strict=True):
            compare(name, mine, target, **FLOAT64, slips=slips[name])
        for name, now, then in zip(("dout", "x_hat", "gamma", "var"), given, before, strict=True):
            require(torch.equal(now, then), f"{name} was modified in place; leave the inputs unchanged")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# Here is the comparison on a real batch in single precision, as in training. Two correct formulas may add the same
# numbers in a different order and then differ in the last digits, so *exact* may be true or false; what matters is
# that they are *close*. The last line shows that `dx` sums to zero over the batch: adding the same number to all
# $x_i$ changes nothing. Between the two stands a second opinion on `dx`, in double precision: the numerical gradient of
# your own forward pass. You can check any gradient in this way, without autograd and without a check.

# %% tags=["demo"]
with demonstration():
    x = pre_activations(new_model(MLP), train_data.inputs[: config.batch_size]).requires_grad_()
    gamma = torch.ones(config.d_hidden, device=device, requires_grad=True)
    beta = torch.zeros(config.d_hidden, device=device, requires_grad=True)
    y, _, var = batchnorm_forward(x, gamma, beta)
    dout = torch.randn(y.shape, generator=torch.Generator().manual_seed(config.seed)).to(device)
    slopes = torch.autograd.grad((y * dout).sum(), (x, gamma, beta))
    with torch.no_grad():
        mine = batchnorm_backward(dout, y.detach(), gamma, var)  # gamma 1, beta 0: y is x_hat
    print(cmp_table({name: pair for name, *pair in zip(("dx", "dgamma", "dbeta"), mine, slopes, strict=True)}))
    part, slope = x.detach()[:, :4].cpu().double(), dout[:, :4].cpu().double()
    one, zero = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    y, _, var = batchnorm_forward(part, one, zero)
    second = numerical_gradient(lambda x: (batchnorm_forward(x, one, zero)[0] * slope).sum(), part)
    print("\ndx against the numerical gradient")
    print(cmp_table({"dx": (batchnorm_backward(slope, y, one, var)[0], second)}, tolerance=1e-6))
    print(f"\nlargest sum of dx over the batch: {mine[0].sum(0).abs().max().item():.1e}")
# CLAIM: (batchnorm_backward(slope, y, one, var)[0] - second).abs().max() < 1e-6
# CLAIM: all((a - b).abs().max() < 1e-5 for a, b in zip(mine, slopes))
# CLAIM: mine[0].sum(0).abs().max() < 1e-5

# %% [markdown]
# # 4. Batch normalization in a network
#
# **Goal:** put batch normalization in its place in a network, and tell what it improves from what it does not.

# %% tags=["demo"]
figures.mlp_with_norm()

# %% [raw]
# # BEGIN QUESTION
# name: B6
# points: 5

# %% [markdown]
# ## B6. The lecture's model, normalised (5 points)
#
# Difficulty ●●○○ · importance ●●●○ · 10 minutes
#
# `MLPv2` is `MLP` with one extra layer and the same badly scaled weights. Ioffe and Szegedy put the normalization
# **between the linear map and the nonlinearity**:
#
# $$h = \tanh\left(\mathrm{BN}(x W_1 + b_1)\right), \qquad \text{logits} = h W_2 + b_2$$
#
# where $x$ is the embedded context. `__init__` is given and creates a `BatchNorm1d` called `bn`. Write the body of
# `forward`, which takes contexts of shape $(N, 3)$ and returns logits of shape $(N, 27)$. All weights are created in
# `__init__`; `forward` only uses them.
#
# <details><summary>Hint 1: the concept</summary>
#
# Read `MLP.forward` above. Add one step, at the one place where it keeps the tanh out of its flat ends.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# contexts (N, 3) → embedded (N, 3, d_embed) → concatenated (N, 3 · d_embed) → pre-activation and hidden layer (N,
# d_hidden) → logits (N, vocab_size)
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# The hidden layer is tanh of `self.bn(...)`, and the argument is the whole pre-activation, including the bias.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
class MLPv2(nn.Module):
    """MLP with batch normalization before the tanh.

    Contexts (N, context_size) to logits (N, vocab_size).
    """

    def __init__(self, vocab_size, context_size, d_embed, d_hidden):
        super().__init__()
        n_inputs = context_size * d_embed
        self.C = nn.Parameter(torch.randn((vocab_size, d_embed)))
        self.W1 = nn.Parameter(torch.randn((n_inputs, d_hidden)))
        self.b1 = nn.Parameter(torch.randn((d_hidden,)))
        self.W2 = nn.Parameter(torch.randn((d_hidden, vocab_size)))
        self.b2 = nn.Parameter(torch.randn((vocab_size,)))
        self.bn = BatchNorm1d(d_hidden)

    def forward(self, x):
        """x: contexts (N, context_size) of int64. Returns logits (N, vocab_size)."""
        ############################################################################
        # TODO B6 (5 points): embed the context, normalise the pre-activation      #
        # with self.bn, apply tanh, and return the logits.                         #
        ############################################################################
        # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
        # BEGIN SOLUTION NO PROMPT
        pre = self.C[x].flatten(start_dim=1) @ self.W1 + self.b1  # (N, d_hidden)
        h = torch.tanh(self.bn(pre))  # (N, d_hidden)
        return h @ self.W2 + self.b2  # (N, vocab_size)
        # END SOLUTION
        """ # BEGIN PROMPT
        raise NotImplementedError("B6")
        """ # END PROMPT
        # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_logits_of_mlpv2(env):
    import torch
    import torch.nn.functional as F
    from src.checks import answer, checking, compare, require

    with checking("B6"):
        draw = torch.Generator().manual_seed(8)
        model = answer(env, "B6", "MLPv2")(27, 3, 4, 6)
        weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        for value in weights.values():
            value.copy_(torch.randn(value.shape, generator=draw))
        x = torch.randint(27, (40, 3), generator=draw)
        embedded = F.embedding(x, weights["C"]).flatten(1)
        pre = F.linear(embedded, weights["W1"].T, weights["b1"])

        def head(hidden):
            return F.linear(hidden, weights["W2"].T, weights["b2"])

        gamma, beta = weights["bn.gamma"].flatten(), weights["bn.beta"].flatten()

        def normalised(values):
            return F.batch_norm(values, None, None, gamma, beta, training=True)

        logits = model(x)
        require(isinstance(logits, torch.Tensor), "forward did not return a tensor; did you write `return`?")
        tracked = int(model.bn.num_batches_tracked)
        require(tracked <= 1, f"one call of forward uses self.bn {tracked} times; use it once")
        require(model.training and model.bn.training, "a call of forward changed the mode of the model or of self.bn")
        slips = {
            "not using self.bn": head(pre.tanh()),
            "normalising after the tanh; normalise the pre-activation": head(normalised(pre.tanh())),
            "leaving out the tanh": head(normalised(pre)),
            "leaving out b2": head(normalised(pre).tanh()) - weights["b2"],
            "adding b1 after the normalization": head((normalised(pre - weights["b1"]) + weights["b1"]).tanh()),
        }
        compare("the logits in training mode", logits, head(normalised(pre).tanh()), slips=slips)

        model.eval()
        mean, var = model.bn.running_mean.flatten(), model.bn.running_var.flatten()
        in_evaluation = F.batch_norm(pre, mean, var, gamma, beta, training=False)
        slips = {"using the statistics of the batch": head(normalised(pre).tanh())}
        target = head(in_evaluation.tanh())
        compare("the logits in evaluation mode", model(x), target, slips=slips)
        compare("the logits of one example in evaluation mode", model(x[:1]), target[:1])
        modes = {part.training for part in model.modules()}
        require(modes == {False}, "a call of forward in evaluation mode put the model or self.bn into training mode")


# %%
def test_every_parameter_of_mlpv2_learns(env):
    import torch
    from src.checks import answer, checking, require

    with checking("B6"):
        draw = torch.Generator().manual_seed(18)
        model = answer(env, "B6", "MLPv2")(27, 3, 4, 6)
        x, targets = torch.randint(27, (2, 40, 3), generator=draw)
        torch.nn.functional.cross_entropy(model(x), targets[:, 0]).backward()
        for name, parameter in model.named_parameters():
            require(parameter.grad is not None, f"no gradient reaches {name}; is something detached, or not used?")


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# First the untrained models, in evaluation mode and in training mode. Which of these four losses did you expect? (W1
# below asks for the reasons.) Then both models are trained with the same weights, batches and learning rate; the only
# difference is the normalization, with its 512 extra parameters.

# %% tags=["demo"]
with demonstration():
    for kind in (MLP, MLPv2):
        print(f"{kind.__name__} has {count_parameters(new_model(kind)):,} parameters")
    with torch.no_grad():
        at_start = {
            f"{kind.__name__} in {mode} mode": F.cross_entropy(
                new_model(kind).train(mode == "training")(val_data.inputs), val_data.targets
            ).item()
            for kind in (MLP, MLPv2)
            for mode in ("evaluation", "training")
        }
    for label, loss in at_start.items():
        print(f"loss before training, {label}: {loss:.2f}")
    runs = {
        "MLP, without BN": train(new_model(MLP), train_data, val_data, config, lr=0.1, quiet=True),
        "MLPv2, with BN": train(new_model(MLPv2), train_data, val_data, config, lr=0.1, label="MLPv2"),
    }
    plot_losses(runs, "Bad weights hurt less with BN (learning rate 0.1)")
# CLAIM: abs(at_start["MLPv2 in evaluation mode"] - at_start["MLP in evaluation mode"]) < 0.01
# CLAIM: at_start["MLPv2 in training mode"] < at_start["MLPv2 in evaluation mode"] - 5
# CLAIM: abs(at_start["MLP in evaluation mode"] - 29.6) < 0.1
# CLAIM: abs(at_start["MLPv2 in training mode"] - 20.2) < 0.1
# CLAIM: count_parameters(new_model(MLPv2)) - count_parameters(new_model(MLP)) == 512
# CLAIM: runs["MLPv2, with BN"]["val"][-1] < runs["MLP, without BN"]["val"][-1] - 1

# %% [markdown]
# Batch normalization fixes the hidden layer. It cannot fix the output layer, whose weights are as badly scaled as
# before: the loss still starts far above that of a uniform guess. The table below compares three learning rates, each
# with three seeds. At every rate the normalised model is clearly better.

# %% tags=["demo"]
with demonstration():
    losses = {}
    print("validation loss after 300 steps, mean and range over 3 seeds\n")
    print(f"{'learning rate':<15}{'MLP':>26}{'MLPv2':>26}")
    for lr in (0.01, 0.1, 1.0):
        for kind in (MLP, MLPv2):
            losses[lr, kind] = final(train_seeds(lambda seed, kind=kind: new_model(kind, seed), lr=lr, steps=300))
        print(f"{lr:<15}{spread(losses[lr, MLP]):>26}{spread(losses[lr, MLPv2]):>26}")
# CLAIM: all(max(losses[lr, MLPv2]) < min(losses[lr, MLP]) - 3 for lr in (0.01, 0.1, 1.0))

# %% [raw]
# # BEGIN QUESTION
# name: W1
# points: 2
# manual: true
# bonus: true

# %% [markdown]
# ## W1. In words: before the first step (2 bonus points)
#
# Difficulty ●●○○ · importance ●●●○ · 5 minutes
#
# Before training, `MLP` and `MLPv2` have the same loss in evaluation mode, although only one of them normalises its hidden
# layer. In training mode the loss of `MLPv2` is clearly lower, but still far above that of a uniform guess. Explain the
# same loss in evaluation mode and the lower one in training mode.
#
# Answer in two to four sentences. A person reads your answer; the points are a bonus on top of the 100.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# In a layer that has seen no batch yet the running mean is 0, the running variance is 1, $\gamma$ is 1 and $\beta$ is 0.
# In evaluation mode batch normalization then returns its input (up to $\epsilon$), so `MLPv2` computes the same function
# as `MLP`, and both start at 29.6.
#
# In training mode it uses the mean and the variance of the batch. The pre-activations, whose standard deviation was
# around 7, now have standard deviation 1, so `tanh` is hardly saturated, its outputs are smaller, and so are the logits:
# 20.2. They are still much too large, because the output weights `W2` are as badly scaled as before.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: B7
# points: 5

# %% [markdown]
# ## B7. Deeper, with and without (5 points)
#
# Difficulty ●●●○ · importance ●●●○ · 25 minutes
#
# Now build a model with two hidden layers and good initial weights yourself, in which batch normalization can be
# switched on:
#
# $$h_1 = \tanh\left(\mathrm{norm}_1(x W_1)\right), \qquad
# h_2 = \tanh\left(\mathrm{norm}_2(h_1 W_2)\right), \qquad
# \text{logits} = h_2 W_3 + b_3$$
#
# With batch normalization, $\mathrm{norm}_l$ is a separate `BatchNorm1d` for each layer. Without it,
# $\mathrm{norm}_l$ only adds a bias: $a \mapsto a + b_l$.
#
# | parameter | shape | initial value | present |
# |---|---|---|---|
# | `C` | (vocab_size, d_embed) | standard normal | always |
# | `W1`, `W2` | (context_size · d_embed, d_hidden), (d_hidden, d_hidden) | `kaiming_` with its default gain | always |
# | `W3` | (d_hidden, vocab_size) | `kaiming_` with gain 1 | always |
# | `b3` | (vocab_size,) | zeros | always |
# | `b1`, `b2` | (d_hidden,) | zeros | only without BN |
# | `bn1`, `bn2` | `BatchNorm1d(d_hidden)` | | only with BN |
#
# With BN there is no `b1` and no `b2`. Subtracting the mean cancels any constant, so such a bias would have no
# effect, and $\beta$ takes over its role. You will see this below the check.
#
# <details><summary>Hint 1: the concept</summary>
#
# A tensor becomes a parameter of the module when you wrap it in `nn.Parameter` and store it on `self`. Create only
# those that the setting needs, and store the setting so that `forward` can use it. Each layer has its own statistics,
# hence two layers `bn1` and `bn2`.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# contexts (N, 3) → (N, 3 · d_embed) → (N, d_hidden) → (N, d_hidden) → logits (N, vocab_size). `kaiming_` needs a
# tensor to fill: `torch.empty` creates one of a given shape.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# In `forward`: multiply by the weights; then, with an `if`, either apply this layer's BN or add this layer's bias;
# then tanh. Do this twice, then apply the output layer.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
class MLPv3(nn.Module):
    """Map contexts (N, context_size) to logits (N, vocab_size) with two hidden tanh layers.

    Parameters C, W1, W2, W3, b3 always; b1, b2 only without batch normalization; layers bn1, bn2
    only with it.
    """

    ############################################################################
    # TODO B7 (5 points): write __init__ (parameters as in the table above)    #
    # and forward.                                                             #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    def __init__(self, vocab_size, context_size, d_embed, d_hidden, batch_norm=False):
        super().__init__()
        self.batch_norm = batch_norm
        self.C = nn.Parameter(torch.randn(vocab_size, d_embed))
        self.W1 = nn.Parameter(kaiming_(torch.empty(context_size * d_embed, d_hidden)))
        self.W2 = nn.Parameter(kaiming_(torch.empty(d_hidden, d_hidden)))
        self.W3 = nn.Parameter(kaiming_(torch.empty(d_hidden, vocab_size), gain=1.0))
        self.b3 = nn.Parameter(torch.zeros(vocab_size))
        if batch_norm:
            self.bn1 = BatchNorm1d(d_hidden)
            self.bn2 = BatchNorm1d(d_hidden)
        else:
            self.b1 = nn.Parameter(torch.zeros(d_hidden))
            self.b2 = nn.Parameter(torch.zeros(d_hidden))

    def forward(self, x):
        h = self.C[x].flatten(start_dim=1) @ self.W1  # (N, d_hidden)
        h = torch.tanh(self.bn1(h) if self.batch_norm else h + self.b1)
        h = h @ self.W2  # (N, d_hidden)
        h = torch.tanh(self.bn2(h) if self.batch_norm else h + self.b2)
        return h @ self.W3 + self.b3  # (N, vocab_size)

    # END SOLUTION
    """ # BEGIN PROMPT
    def __init__(self, vocab_size, context_size, d_embed, d_hidden, batch_norm=False):
        raise NotImplementedError("B7")

    def forward(self, x):
        raise NotImplementedError("B7")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_parameters_of_mlpv3(env):
    from src.checks import answer, checking, parameters_of, require

    with checking("B7"):
        MLPv3 = answer(env, "B7", "MLPv3")
        shapes = {"C": (30, 5), "W1": (20, 64), "W2": (64, 64), "W3": (64, 30), "b3": (30,)}
        plain, normalised = ("b1", "b2"), ("bn1.gamma", "bn1.beta", "bn2.gamma", "bn2.beta")
        for options, more in (({}, plain), ({"batch_norm": False}, plain), ({"batch_norm": True}, normalised)):
            model = MLPv3(30, 4, 5, 64, **options)
            wanted = set(shapes) | set(more)
            found = parameters_of(model, wanted)
            label = f"with batch_norm={options['batch_norm']}" if options else "without the argument batch_norm"
            require(not wanted - set(found), f"{label}, these parameters are missing: {sorted(wanted - set(found))}")
            require(not set(found) - wanted, f"{label}, these parameters should not exist: {sorted(set(found) - wanted)}")
            for name, shape in shapes.items():
                got = tuple(found[name].shape)
                require(got in (shape, (1, *shape)), f"{label}, {name} has shape {got}; it should have shape {shape}")
            for name in sorted({"b1", "b2", "b3"} & set(found)):
                require(not found[name].any(), f"{label}, {name} does not start at zero")
            for name, parameter in found.items():
                require(parameter.requires_grad, f"{label}, {name} does not require gradients, so it cannot learn")
        for name, deviation in (("C", 1), ("W1", 5 / 3 / 20**0.5), ("W2", 5 / 3 / 8), ("W3", 1 / 8)):
            std = found[name].std().item()
            require(
                abs(std / deviation - 1) < 0.2,
                f"{name} starts with a standard deviation of {std:.3f}; "
                f"{'a standard normal start has 1' if name == 'C' else f'with kaiming_ and the right gain it is {deviation:.3f}'}",
            )
        for name in ("bn1", "bn2"):
            layer = getattr(model, name)
            require(
                (layer.eps, layer.momentum) == (1e-5, 0.1),
                f"{name} has eps {layer.eps} and momentum {layer.momentum}; use the defaults of BatchNorm1d",
            )


# %%
def test_logits_of_mlpv3(env):
    import torch
    import torch.nn.functional as F
    from src.checks import answer, checking, compare, parameters_of, require

    with checking("B7"):
        draw = torch.Generator().manual_seed(9)
        layers = {"bn1.gamma", "bn1.beta", "bn2.gamma", "bn2.beta"}
        for batch_norm in (False, True):
            model = answer(env, "B7", "MLPv3")(30, 4, 5, 6, batch_norm=batch_norm)
            wanted = {"C", "W1", "W2", "W3", "b3"} | (layers if batch_norm else {"b1", "b2"})
            weights = {name: parameter.detach() for name, parameter in parameters_of(model, wanted).items()}
            missing = sorted(wanted - set(weights))
            require(not missing, f"with batch_norm={batch_norm} these parameters are missing: {missing}")
            for value in weights.values():
                value.copy_(torch.randn(value.shape, generator=draw))
            x = torch.randint(30, (40, 4), generator=draw)

            def logits(norms=(1, 2), after_tanh=False, x=x, weights=weights, batch_norm=batch_norm):
                hidden = F.embedding(x, weights["C"]).flatten(1)
                for layer, norm in zip((1, 2), norms, strict=True):
                    hidden = F.linear(hidden, weights[f"W{layer}"].T, None if batch_norm else weights[f"b{layer}"])
                    hidden = hidden.tanh() if after_tanh or not norm else hidden
                    if batch_norm and norm:
                        gamma, beta = weights[f"bn{norm}.gamma"].flatten(), weights[f"bn{norm}.beta"].flatten()
                        hidden = F.batch_norm(hidden, None, None, gamma, beta, training=True)
                    hidden = hidden if after_tanh or not norm else hidden.tanh()
                return F.linear(hidden, weights["W3"].T, weights["b3"])

            slips = {}
            if batch_norm:
                slips = {
                    "using bn1 in both layers": logits((1, 1)),
                    "swapping bn1 and bn2": logits((2, 1)),
                    "normalising after the tanh": logits(after_tanh=True),
                    "not normalising the first layer": logits((0, 2)),
                    "not normalising the second layer": logits((1, 0)),
                    "not normalising": logits((0, 0)),
                }
            yours = model(x)
            compare(f"the logits with batch_norm={batch_norm}", yours, logits(), slips=slips)
            modes = {part.training for part in model.modules()}
            require(modes == {True}, f"with batch_norm={batch_norm}, a call of forward changed the mode of a layer")
            F.cross_entropy(yours, x[:, 0]).backward()
            for name, parameter in model.named_parameters():
                require(parameter.grad is not None, f"no gradient reaches {name}; is something detached?")
            rows = model.eval()(x)
            compare(f"the logits of one example with batch_norm={batch_norm}, in evaluation mode", model(x[:1]), rows[:1])
            flipped, slips = model(x.flip(0)), {"returning the logits of an earlier call": rows}
            compare(f"the logits of other contexts with batch_norm={batch_norm}", flipped, rows.flip(0), slips=slips)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **Why no bias before BN?** `MLPv2` kept the bias from the lecture. Here are the gradients for one batch:

# %% tags=["demo"]
with demonstration():
    model = new_model(MLPv2)
    F.cross_entropy(model(train_data.inputs[:1024]), train_data.targets[:1024]).backward()
    for name, parameter in model.named_parameters():
        print(f"{name:<9} gradient norm {parameter.grad.norm().item():.1e}")
# CLAIM: model.b1.grad.norm() < 1e-6 < 1e-2 < min(w.grad.norm() for name, w in model.named_parameters() if name != "b1")

# %% [markdown]
# The gradient of `b1` is zero up to rounding: whatever $b_1$ is, the mean over the batch contains it, and subtracting
# the mean cancels it. Those 256 parameters never learn anything.
#
# **Is the deeper model better with batch normalization?** With good weights and a suitable learning rate, hardly:

# %% tags=["demo"]
with demonstration():
    runs = {
        label: train_seeds(lambda seed, bn=batch_norm: new_model(MLPv3, seed, batch_norm=bn), lr=0.1)
        for label, batch_norm in (("MLPv3, without BN", False), ("MLPv3, with BN", True))
    }
    print("validation loss after 1000 steps, mean and range over 3 seeds")
    for label, histories in runs.items():
        print(f"{label:<18} {spread(final(histories), 3)}")
    curves = {label: histories[0] for label, histories in runs.items()}
    plot_losses(curves, "With good weights, both learn equally well (learning rate 0.1)")
    gap = np.mean(final(runs["MLPv3, with BN"])) - np.mean(final(runs["MLPv3, without BN"]))
# CLAIM: abs(gap) < 0.02
# CLAIM: max(final(runs["MLPv3, with BN"])) < unigram_loss - 0.3

# %% [markdown]
# **So what is it good for?** It makes training robust. In the next table the initial weights `W1` and `W2` are
# multiplied by a factor, so that they are too small or too large, and the learning rate is either suitable or ten
# times too large.

# %% tags=["demo"]
def badly_scaled(batch_norm, factor, seed):
    """Build an MLPv3 whose initial W1 and W2 are multiplied by a factor."""
    model = new_model(MLPv3, seed, batch_norm=batch_norm)
    with torch.no_grad():
        model.W1.mul_(factor)
        model.W2.mul_(factor)
    return model


with demonstration():
    losses = {}
    print("validation loss after 300 steps, mean and range over 3 seeds\n")
    print(f"{'learning rate':<15}{'W1, W2 times':<14}{'without BN':>26}{'with BN':>26}")
    for lr in (0.1, 1.0):
        for factor in (0.1, 1.0, 10.0):
            pair = []
            for bn in (False, True):
                build = functools.partial(badly_scaled, bn, factor)
                pair.append(final(train_seeds(build, lr=lr, steps=300)))
            losses[lr, factor] = pair
            print(f"{lr:<15}{factor:<14}{spread(pair[0]):>26}{spread(pair[1]):>26}")
    print(f"\nletter frequency only: {unigram_loss:.2f}")
    with_bn = [loss for pair in losses.values() for loss in pair[1]]
# CLAIM: max(with_bn) - min(with_bn) < 0.2
# CLAIM: max(with_bn) < unigram_loss - 0.15
# CLAIM: all(0.05 < np.mean(losses[0.1, 10.0][0]) - np.mean(losses[0.1, f][0]) < 0.3 for f in (0.1, 1.0))
# CLAIM: all(min(losses[1.0, f][0]) > uniform_loss + 2 for f in (1.0, 10.0))
# CLAIM: max(losses[1.0, 0.1][0]) < unigram_loss

# %% [markdown]
# With batch normalization, all rows end close together: the factor is divided out in the forward pass, and the large
# learning rate does no harm. Without it, the scale of the weights matters little at the suitable rate (weights ten
# times too large cost about 0.1). At the large rate it decides: only the small weights survive, the others end far
# above a uniform guess.

# %% [markdown]
# **A look inside while it trains.** Here `W1` and `W2` start ten times too large, as in two rows of the table. For
# every layer, the plots show the activations and the gradients of the weights at the first step, and the size of each
# update relative to the weights. With plain SGD a ratio of about $10^{-3}$ (dashed) is a common rule of thumb: far below
# it, a layer hardly learns; far above, it is thrown about.


# %% tags=["demo"]
def watch(bn, seed, weights=("W1", "W2", "W3")):
    """Train a badly scaled MLPv3 for 200 steps; return activations, gradients at first, and update ratios."""
    model = badly_scaled(bn, 10.0, seed).train()
    draw = torch.Generator().manual_seed(seed)
    activations, first, ratios = [], {}, {name: [] for name in weights}
    for step in range(200):
        rows = torch.randint(len(train_data), (config.batch_size,), generator=draw).to(device)
        if step == 0:
            activations = tanh_outputs(model, train_data.inputs[rows])
        model.zero_grad()
        F.cross_entropy(model(train_data.inputs[rows]), train_data.targets[rows]).backward()
        first = first or {name: getattr(model, name).grad.abs() for name in weights}
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in weights:
                    ratios[name].append((0.1 * weight.grad.norm() / weight.norm()).item())
                weight -= 0.1 * weight.grad
    return activations, first, ratios


with demonstration():
    watched = {bn: [watch(bn, seed) for seed in SEEDS] for bn in (False, True)}
    fig, axes = plt.subplots(2, 3, figsize=(10, 5), sharex="col", layout="constrained")
    for line, (bn, runs) in zip(axes, watched.items(), strict=True):
        activations, first, ratios = runs[0]  # the first seed
        for layer, (values, colour) in enumerate(zip(activations, (BLUE, ORANGE), strict=False), start=1):
            options = {"color": colour, "histtype": "step", "label": f"layer {layer}"}
            line[0].hist(values.flatten().cpu(), bins=40, range=(-1, 1), density=True, **options)
        for name, colour in zip(first, (BLUE, ORANGE, GREEN), strict=True):
            logs = first[name].clamp_min(1e-12).log10().flatten().cpu()
            line[1].hist(logs, bins=40, range=(-8, 0), density=True, color=colour, histtype="step", label=name)
            line[2].semilogy(ratios[name], color=colour, linewidth=0.8, label=name)
        line[2].axhline(1e-3, color=GREY, linestyle="--", linewidth=1)
        line[2].set_ylim(1e-5, 1)
        line[0].set_ylabel("with BN" if bn else "without BN", fontsize=12)
        for ax, loc in zip(line, ("upper center", "upper left", "upper right"), strict=True):
            ax.legend(frameon=False, fontsize=8, loc=loc, ncols=3 if ax is line[2] else 1)
    for ax, title in zip(axes[0], ("activations", "gradients of the weights", "size of update / size of weights"), strict=True):
        ax.set_title(title)
    for ax, label in zip(axes[1], ("tanh(a)", "log10 of the absolute value", "step (learning rate 0.1)"), strict=True):
        ax.set_xlabel(label)
    plt.show()
    saturated = {bn: [(run[0][0].abs() > 0.97).float().mean().item() for run in runs] for bn, runs in watched.items()}
    steps = {}
    print("mean and range over 3 seeds; update / weights is the median of 200 steps\n")
    print(f"{'':<28}{'without BN':>31}{'with BN':>31}")
    print(f"{'saturated in layer 1':<28}" + "".join(f"{spread(saturated[bn]):>31}" for bn in watched))
    for name in ("W1", "W2", "W3"):
        cells = []
        for bn, runs in watched.items():
            steps[bn, name] = values = [float(np.median(ratios[name])) for _, _, ratios in runs]
            cells.append(f"{np.mean(values):.1e} ({min(values):.1e} to {max(values):.1e})")
        print(f"{'update / weights of ' + name:<28}" + "".join(f"{cell:>31}" for cell in cells))
# CLAIM: all(max(steps[bn, name]) < 0.3e-3 for bn in (False, True) for name in ("W1", "W2"))
# CLAIM: all(max(steps[True, name]) < 0.5 * min(steps[False, name]) for name in ("W1", "W2"))
# CLAIM: all(min(steps[bn, "W3"]) > 1e-2 for bn in (False, True))
# CLAIM: max(saturated[True]) < 0.1 < 0.8 < min(saturated[False])

# %% [markdown]
# Without batch normalization most activations are saturated; with it, hardly any are. The updates of `W1` and `W2` are
# small in relation to these large weights, and with batch normalization they are even smaller (W2 below asks why); the
# weights of the output layer, which start at the right scale, move a lot in both networks.

# %% [raw]
# # BEGIN QUESTION
# name: W2
# points: 2
# manual: true
# bonus: true

# %% [markdown]
# ## W2. In words: weights ten times as large (2 bonus points)
#
# Difficulty ●●●○ · importance ●●○○ · 5 minutes
#
# The weights `W1` stand before a batch normalization in training mode. Somebody multiplies them by 10. By which factor does
# this change (a) the output of the normalization, (b) the gradient of the loss with respect to `W1`, and (c) the size of
# one SGD update of `W1` relative to `W1` itself? What does that mean for the effective learning rate? Give reasons, and
# ignore $\epsilon$.
#
# Answer in two to four sentences. A person reads your answer; the points are a bonus on top of the 100.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# (a) It does not change: mean and standard deviation of the pre-activations become ten times as large, too, and are
# divided out. (b) The gradient becomes a tenth: the loss at $10\,W_1$ is the same as at $W_1$, so a step that moves $10\,W_1$ by
# a given amount has the effect of a step of a tenth of that amount at $W_1$. (c) The update, learning rate times gradient,
# is a tenth, and the weights are ten times as large, so the ratio is a hundredth.
#
# The effective learning rate of these weights is therefore a hundredth: with batch normalization their scale no longer
# changes what the layer computes, only how fast it learns.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [markdown]
# # 5. Evaluation and inference
#
# **Goal:** evaluate without side effects, remove the normalization for inference, and sample from the model.

# %% [raw]
# # BEGIN QUESTION
# name: B8
# points: 4

# %% [markdown]
# ## B8. Evaluate without side effects (4 points)
#
# Difficulty ●●○○ · importance ●●●○ · 15 minutes
#
# A validation set is often too large for one batch. Write `evaluate(model, inputs, targets, batch_size)`, which
# returns the mean cross-entropy over all examples as a float, processing them `batch_size` at a time:
#
# - in evaluation mode, so that batch normalization uses its running statistics, and without gradients;
# - each **example** has the same weight. The last batch may be smaller than the others, so the mean of the batch
#   means is wrong;
# - afterwards the model is in the same mode as before, even if an exception was raised; the exception itself
#   propagates to the caller. No parameter or buffer changes.
#
# <details><summary>Hint 1: the concept</summary>
#
# Sum the losses of the examples, not of the batches, and divide once at the end. See the `reduction` argument of
# `F.cross_entropy`. In Python's `try: ... finally: ...`, the `finally` part always runs.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# A slice of the inputs is (n, context_size), its logits are (n, vocab_size), its targets (n,), and n is `batch_size`
# except for the last slice.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Save `model.training` before you call `model.eval()`; in `finally`, pass the saved value to `model.train(...)`.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def evaluate(model, inputs, targets, batch_size=1024):
    """Return the mean cross-entropy over all examples, in evaluation mode.

    inputs: (N, context_size); targets: (N,). Returns a float. The mode of the model is restored.
    """
    ############################################################################
    # TODO B8 (4 points): go through the examples in batches, weight each      #
    # example equally, and restore the mode of the model.                      #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    was_training = model.training
    model.eval()
    total = 0.0
    try:
        with torch.no_grad():
            for x, y in zip(inputs.split(batch_size), targets.split(batch_size), strict=True):
                total += F.cross_entropy(model(x), y, reduction="sum").item()
    finally:
        model.train(was_training)
    return total / len(targets)
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("B8")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_same_loss_at_any_batch_size(env):
    import torch
    from src.checks import answer, checking, compare, require

    with checking("B8"):
        evaluate = answer(env, "B8", "evaluate")
        draw = torch.Generator().manual_seed(10)
        table = torch.randn(27, 27, generator=draw)
        sizes, unused = [], []  # a copy of the model has a parameter of its own

        class Stub(torch.nn.Module):
            """Its logits depend on the last character only; in training mode they are wrong."""

            def __init__(self):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))  # for answers that ask the model for its device
                unused.append(self.unused)
                self.frozen = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

            def forward(self, x):
                sizes.append(len(x))
                tracked = torch.is_grad_enabled() and self.unused is unused[-1] and self.unused.requires_grad
                require(not tracked, "autograd records the evaluation; use torch.no_grad()")
                return table.to(x.device)[x[:, -1]] * (3.0 if self.training else 1.0)

        inputs = torch.randint(27, (103, 3), generator=draw)
        targets = torch.randint(27, (103,), generator=draw)

        def losses(factor):
            logs = (factor * table).log_softmax(1)
            return torch.tensor([-logs[i, t] for i, t in zip(inputs[:, -1].tolist(), targets.tolist(), strict=True)])

        each = losses(1)
        model = Stub()
        for batch_size in (103, 1024, 34, 1):
            batches = each.split(batch_size)
            slips = {
                "averaging the batch means; each example has the same weight": sum(b.mean() for b in batches) / len(batches),
                "using the model in training mode": losses(3).mean(),
                "summing the losses; divide by the number of examples": each.sum(),
                "dividing the sum of the losses by the number of batches": each.sum() / len(batches),
                "leaving out the smaller last batch": torch.cat([b for b in batches if len(b) == batch_size] or [each]).mean(),
            }
            for training in (True, False):
                model.train(training)
                sizes.clear()
                loss = evaluate(model, inputs, targets, batch_size)
                require(isinstance(loss, float), f"the result has type {type(loss).__name__}; it should be a Python float")
                what = f"the loss of 103 examples with batch size {batch_size}"
                compare(what, loss, each.mean(), rtol=1e-5, atol=1e-5, slips=slips)
                require(
                    model.training == training,
                    f"the model had training={training} before and has training={model.training} now; "
                    f"restore what it was",
                )
                require(
                    max(sizes, default=0) <= batch_size,
                    f"the model got {max(sizes, default=0)} examples at once; batch_size is {batch_size}",
                )
                count = -(-103 // batch_size)
                require(
                    len(sizes) <= count,
                    f"the model was called {len(sizes)} times; 103 examples make {count} batches of {batch_size}",
                )
        flags = model.unused.requires_grad, model.frozen.requires_grad
        require(flags == (True, False), "the call changed requires_grad of a parameter; leave it as it is")
        require(model.unused.dtype == torch.float32, "the call changed the dtype of the model; leave it as it is")
        table.neg_()
        slips = {"keeping the loss of an earlier call": each.mean()}
        compare("the loss after the model has changed", evaluate(model, inputs, targets), losses(1).mean(), slips=slips)

        class Fault(Exception):
            pass

        class Failing(Stub):
            """Something goes wrong in the middle of the examples."""

            def forward(self, x):
                raise Fault

        model, went_on = Failing(), False
        try:
            evaluate(model, inputs, targets, 25)
        except Fault:
            went_on = True
        require(went_on, "an exception raised by the model was swallowed; let it propagate to the caller")
        require(model.training, "after an exception in the model, its mode is not restored; use try: ... finally: ...")


# %%
def test_the_norm_stays_as_it_is(env):
    import torch
    from src.checks import answer, checking, compare, require

    class Normed(torch.nn.Module):
        """Logits by character, normalised."""

        def __init__(self):
            super().__init__()
            self.table, self.norm = torch.nn.Embedding(27, 27), torch.nn.BatchNorm1d(27)

        def forward(self, x):
            return self.norm(self.table(x[:, -1]))

    with checking("B8"):
        evaluate = answer(env, "B8", "evaluate")
        draw = torch.Generator().manual_seed(20)
        model = Normed()
        with torch.no_grad():
            model.table.weight.copy_(2 * torch.randn(27, 27, generator=draw))
        inputs, targets = torch.randint(27, (40, 3), generator=draw), torch.randint(27, (40,), generator=draw)
        for _ in range(9):
            model(inputs)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        loss = evaluate(model, inputs, targets, 16)
        for name, value in model.state_dict().items():
            require(torch.equal(value, before[name]), f"the call changed {name} of the model; it should only measure")
        require(model.norm.training, "the norm inside the model is not in the mode it was in before")
        require(model.norm.momentum == 0.1, "the call changed the momentum of the norm inside the model; leave it")
        target = torch.nn.functional.cross_entropy(model.eval()(inputs), targets)
        compare("the loss of a model with a norm", loss, target, rtol=1e-5, atol=1e-5)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# From here on we use one model, with batch normalization, trained for a thousand steps. Its validation loss is the same
# at every batch size. In training mode it is not: there the loss of an example depends on the other examples in its
# batch, and the statistics of a small batch are noisy, so the loss is higher. (The examples are shuffled first. In the
# order of the file, a batch would hold the parts of few names, which have much in common.)

# %% tags=["demo"]
with demonstration():
    final_model = new_model(MLPv3, batch_norm=True)
    train(final_model, train_data, val_data, config, lr=0.1, label="MLPv3 with BN")

# %% tags=["demo"]
with demonstration():
    visitor = copy.deepcopy(final_model).train()  # training mode moves the running statistics: of a copy
    order = torch.randperm(len(val_data), generator=torch.Generator().manual_seed(config.seed))
    losses = {}
    for batch_size in (8, 32, 1000, len(val_data)):
        total, count = 0.0, 0
        for rows in order.split(batch_size):
            if len(rows) > 1:  # in training mode a last batch of one is refused
                with torch.no_grad():
                    loss = F.cross_entropy(visitor(val_data.inputs[rows]), val_data.targets[rows])
                total += len(rows) * loss.item()
                count += len(rows)
        losses[batch_size] = evaluate(final_model, val_data.inputs, val_data.targets, batch_size), total / count
    print(f"{'batch size':<12}{'evaluate':>10}{'training mode':>16}")
    for batch_size, (loss, noisy) in losses.items():
        print(f"{batch_size:<12}{loss:>10.4f}{noisy:>16.4f}")
    steady, noisy = ([pair[index] for pair in losses.values()] for index in (0, 1))
# CLAIM: max(steady) - min(steady) < 1e-4
# CLAIM: noisy[0] > noisy[1] > noisy[2]
# CLAIM: noisy[0] - steady[0] > 0.04

# %% [raw]
# # BEGIN QUESTION
# name: W3
# points: 2
# manual: true
# bonus: true

# %% [markdown]
# ## W3. In words: an example and its neighbours (2 bonus points)
#
# Difficulty ●○○○ · importance ●●●○ · 5 minutes
#
# In training mode, the prediction for one example depends on the other examples in its batch. How do they get into the
# prediction, and why do they not in evaluation mode?
#
# Answer in two to four sentences. A person reads your answer; the points are a bonus on top of the 100.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# In training mode every feature is normalised with the mean and the variance of the batch. All examples of the batch are
# part of these two numbers, so when one of them changes, the normalised features of all the others change, and with them
# their logits; the figure with the moved example shows it. In a small batch each example has more weight in the two
# numbers, so they scatter more, and the loss is higher.
#
# In evaluation mode the layer uses its running statistics. They are constants which no example of the batch changes, so
# the prediction depends on its own example alone, and the loss is the same at every batch size.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: B9
# points: 4

# %% [markdown]
# ## B9. Fold the normalization away (4 points)
#
# Difficulty ●●○○ · importance ●●○○ · 20 minutes
#
# In evaluation mode the statistics are constants, so batch normalization is just a multiplication and an addition per
# feature. The layer before it is linear too, and the composition of the two is a single linear layer. This makes
# inference faster, and the normalization disappears:
#
# $$z = \gamma\, \frac{(x W + b) - \mu_\text{run}}{\sqrt{\sigma^2_\text{run} + \epsilon}} + \beta \;=\; x W' + b'$$
#
# Find $W'$ and $b'$ on paper, then write `fold_batchnorm(weight, bias, bn)`. `weight` has shape (in, out), `bias` has
# shape (out,) or is `None` (no bias, as in `MLPv3`), and `bn` is a `BatchNorm1d(out)` in either mode. Return the new
# weight and the new bias, of shapes (in, out) and (out,). The given tensors and the layer must not change.
#
# <details><summary>Hint 1: the concept</summary>
#
# Separate the terms that multiply $x$ from those that do not. What multiplies $x W$ is one factor per output feature.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# The factor has shape (out,). Broadcast against (in, out), it scales the columns, and each column belongs to one
# output.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# With the factor $s = \gamma / \sqrt{\sigma^2_\text{run} + \epsilon}$, the new weight is the old one times $s$; the
# new bias is (old bias minus running mean) times $s$, plus $\beta$.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def fold_batchnorm(weight, bias, bn):
    """Fold an evaluation-mode batch normalization into the linear layer before it.

    weight: (in, out); bias: (out,) or None; bn: BatchNorm1d(out).
    Returns (weight, bias) of shapes (in, out), (out,): one linear layer equivalent to the two.
    """
    ############################################################################
    # TODO B9 (4 points): return the weight and bias of a single linear layer  #
    # that is equivalent to both.                                              #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    with torch.no_grad():
        scale = bn.gamma / torch.sqrt(bn.running_var + bn.eps)  # (out,)
        centred = -bn.running_mean if bias is None else bias - bn.running_mean
        return weight * scale, centred * scale + bn.beta
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("B9")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_folded_layer(env):
    import torch
    import torch.nn.functional as F
    from src.checks import FLOAT64, answer, checking, compare, require

    with checking("B9"):
        fold_batchnorm = answer(env, "B9", "fold_batchnorm")
        draw = torch.Generator().manual_seed(11)

        def random(*shape):
            return torch.randn(*shape, dtype=torch.float64, generator=draw)

        for training in (False, True):
            bn = answer(env, "B4", "BatchNorm1d")(5, eps=0.3).double().train(training)
            with torch.no_grad():
                for tensor, value in (
                    (bn.gamma, random(5)),
                    (bn.beta, random(5)),
                    (bn.running_mean, random(5)),
                    (bn.running_var, random(5).square() + 0.5),
                ):
                    tensor.copy_(value)
            state = {name: torch.as_tensor(value).clone() for name, value in bn.state_dict().items()}
            gamma, beta, mean, var = (state[n].flatten() for n in ("gamma", "beta", "running_mean", "running_var"))
            weight = random(4, 5)
            for bias in (random(5), None):
                given = weight.clone(), None if bias is None else bias.clone()
                result = fold_batchnorm(*given, bn)
                require(
                    isinstance(result, tuple | list) and len(result) == 2,
                    "return two things: the new weight and the new bias",
                )
                require(
                    result[1] is not None, "the new bias is None; even if the layer had no bias, the folded one needs one"
                )
                require(torch.equal(given[0], weight), "the given weight was modified; return a new tensor")
                require(bias is None or torch.equal(given[1], bias), "the given bias was modified; return a new tensor")
                kept = not given[0].requires_grad and all(part.requires_grad for part in bn.parameters())
                require(kept, "the call changed requires_grad of the weight or of the layer; leave it as it is")
                for name, value in bn.state_dict().items():
                    require(
                        torch.equal(torch.as_tensor(value), state[name]),
                        f"{name} of the batch norm was modified; leave it unchanged",
                    )
                require(
                    bn.training == training,
                    f"the batch norm had training={training} before the call and has training={bn.training} now",
                )

                def layer(x, bias=bias, weight=weight, mean=mean, var=var, gamma=gamma, beta=beta):
                    return F.batch_norm(F.linear(x, weight.T, bias), mean, var, gamma, beta, eps=0.3)

                constant = layer(torch.zeros(1, 4, dtype=torch.float64))[0]
                columns = layer(torch.eye(4, dtype=torch.float64)) - constant
                label = f"{'without' if bias is None else 'with'} a bias, batch norm in {'training' if training else 'evaluation'} mode"
                slips = {
                    "dividing by the variance; divide by its square root": columns * (var + 0.3).rsqrt(),
                    "leaving out eps": columns * ((var + 0.3) / var).sqrt(),
                    "leaving out gamma": columns / gamma,
                    "multiplying by the standard deviation": columns * (var + 0.3),
                }
                compare(f"the new weight ({label})", result[0], columns, **FLOAT64, slips=slips)
                scaled = constant - beta
                slips = {
                    "leaving out beta": scaled,
                    "leaving out the running mean": constant + mean * gamma * (var + 0.3).rsqrt(),
                    "adding the running mean; subtract it": constant + 2 * mean * gamma * (var + 0.3).rsqrt(),
                    "subtracting beta; add it": scaled - beta,
                }
                if bias is not None:
                    slips["not scaling the old bias"] = constant + bias - bias * gamma * (var + 0.3).rsqrt()
                    slips["leaving out the old bias"] = constant - bias * gamma * (var + 0.3).rsqrt()
                compare(f"the new bias ({label})", result[1], constant, **FLOAT64, slips=slips)


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# Without its two normalization layers, the trained model gives the same logits up to rounding. The new weights go
# into an `MLPv3` built without batch normalization, which has the two biases that folding needs.

# %% tags=["demo"]
with demonstration():
    trained = copy.deepcopy(final_model).eval()
    folded = new_model(MLPv3, batch_norm=False).eval()
    with torch.no_grad():
        for name in ("C", "W3", "b3"):
            getattr(folded, name).copy_(getattr(trained, name))
        for layer in "12":
            bn = getattr(trained, f"bn{layer}")
            weight, bias = fold_batchnorm(getattr(trained, f"W{layer}"), None, bn)
            getattr(folded, f"W{layer}").copy_(weight)
            getattr(folded, f"b{layer}").copy_(bias)
        gap = (trained(val_data.inputs) - folded(val_data.inputs)).abs().max().item()
    print(f"largest difference between the logits: {gap:.1e}")
    for label, model in (("before", trained), ("folded", folded)):
        size = sum(tensor.numel() for tensor in model.state_dict().values())
        print(f"{label}: {size:,} numbers in parameters and buffers")
# CLAIM: gap < 1e-3

# %% [raw]
# # BEGIN QUESTION
# name: B10
# points: 4

# %% [markdown]
# ## B10. New names (4 points)
#
# Difficulty ●●○○ · importance ●●○○ · 20 minutes
#
# Now let the model generate. Start with a context of dots. Compute the logits of the next character, turn them into
# probabilities
#
# $$p_k = \frac{e^{z_k / T}}{\sum_j e^{z_j / T}}$$
#
# with the *temperature* $T$, **draw** a character from them, append it, shift the context by one, and go on until a
# dot is drawn or the name has `max_len` characters.
#
# Write `generate(model, context_size, generator, temperature, max_len)`, which returns the name without the dot.
#
# - Call the model in evaluation mode, on one context at a time, without gradients; restore its mode afterwards.
# - All randomness comes from `generator`, a `torch.Generator` on the CPU: the same state gives the same name, and
#   torch's global generator is not used.
# - `idx2str` and `device` are defined in part 1. Put the context on `device`, and move the probabilities back to the
#   CPU before you draw.
#
# <details><summary>Hint 1: the concept</summary>
#
# `torch.multinomial` draws an index according to given probabilities and accepts a `generator`. A low temperature
# makes likely characters even likelier.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# The model expects a batch: a context of shape (1, context_size) gives logits (1, vocab_size). Token 0 is the dot.
# The new context is the old one without its first token and with the new token appended.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Draw one sample with `torch.multinomial` from the softmax of (logits divided by the temperature), passing
# `generator=generator`; `.item()` gives the token as an integer.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def generate(model, context_size, generator, temperature=1.0, max_len=50):
    """Sample a name from the model.

    generator: a torch.Generator on the CPU, the only source of randomness.
    Returns the name as a string of at most max_len letters, without the final dot. The mode of
    the model is restored.
    """
    ############################################################################
    # TODO B10 (4 points): draw characters until a dot or until max_len, with  #
    # the context shifted by each, and return the name.                        #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    was_training = model.training
    model.eval()
    context, name = [0] * context_size, ""
    try:
        with torch.no_grad():
            while len(name) < max_len:
                logits = model(torch.tensor([context], device=device))[0].cpu()  # (vocab_size,)
                probabilities = torch.softmax(logits / temperature, dim=-1)
                token = torch.multinomial(probabilities, 1, generator=generator).item()
                if token == 0:
                    break
                name += idx2str[token]
                context = [*context[1:], token]
    finally:
        model.train(was_training)
    return name
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("B10")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_known_transitions(env):
    import torch
    from src.checks import answer, checking, require

    with checking("B10"):
        generate = answer(env, "B10", "generate")

        unused = []  # a copy of the model has a parameter of its own

        class Speller(torch.nn.Module):
            """Knows one word by heart, letter by letter, and answers x to any context that is not in it."""

            def __init__(self, word):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))  # for answers that ask the model for its device
                unused.append(self.unused)
                tokens = [0, 0, 0] + [ord(letter) - 96 for letter in word] + [0]
                self.next = {tuple(tokens[i : i + 3]): tokens[i + 3] for i in range(len(tokens) - 3)}
                self.calls = 0

            def forward(self, x):
                self.calls += 1
                require(not self.training, "the model is in training mode while it generates; call model.eval() first")
                tracked = torch.is_grad_enabled() and self.unused is unused[-1]
                require(not tracked, "autograd is on while the model generates; use torch.no_grad()")
                require(self.calls <= 200, "the model was called 200 times: does the loop stop at a dot and at max_len?")
                logits = torch.full((len(x), 27), -1e4, device=x.device)
                for row, context in enumerate(x.tolist()):
                    logits[row, self.next.get(tuple(context), 24)] = 0.0
                return logits

        draw = torch.Generator().manual_seed(12)
        for word in ("ada", "emmanuel", ""):
            name = generate(Speller(word), 3, draw)
            require(isinstance(name, str), f"the result has type {type(name).__name__}; it should be a string")
            require("." not in name, f"the name {name!r} contains the dot; leave it out")
            require(
                name == word,
                f"a model that can only say {word!r} said {name!r}: does each new context drop its first token "
                f"and append the new one?",
            )
        name = generate(Speller("emmanuel"), 3, draw, max_len=4)
        require(
            name == "emma", f"with max_len=4 a model that can only say 'emmanuel' said {name!r}; 'emma' was expected"
        )


# %%
def test_chance_and_mode(env):
    import torch
    from src.checks import answer, checking, require

    with checking("B10"):
        generate = answer(env, "B10", "generate")

        class Ramp(torch.nn.Module):
            """Later letters are a little likelier, z is the likeliest."""

            def __init__(self):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))  # for answers that ask the model for its device
                self.part = torch.nn.Identity()
                self.calls = 0

            def forward(self, x):
                self.calls += 1
                require(self.calls <= 1500, "a few names took 1500 letters: does the loop stop at a dot and at max_len?")
                return torch.linspace(-1, 1, 27, device=x.device).repeat(len(x), 1)

        model = Ramp()
        state = torch.get_rng_state()
        names = [generate(model, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2, 3)]
        require(
            torch.equal(torch.get_rng_state(), state),
            "torch's global random number generator was used; draw with generator=generator",
        )
        require(names[0] == names[1], "the same generator state gave two different names")
        require(
            len(set(names)) > 1,
            "different generator states gave the same name; sample instead of taking the likeliest letter",
        )
        one = torch.Generator().manual_seed(4)
        require(
            len({generate(model, 3, one, max_len=9) for _ in range(3)}) > 1,
            "calls with one generator repeat the same name; draw from it directly, not from a copy",
        )
        cold = generate(model, 3, torch.Generator().manual_seed(1), temperature=0.001, max_len=6)
        require(
            cold == "zzzzzz", f"at temperature 0.001 only the likeliest letter, z, should be drawn, but the result is {cold!r}"
        )
        for training in (True, False):
            model.train(training)
            generate(model, 3, torch.Generator().manual_seed(1))
            require(
                model.training == training,
                f"the model had training={training} before and has training={model.training} now; restore what it was",
            )
            require(
                model.part.training == training,
                f"a layer of the model had training={training} before and has training={model.part.training} now; "
                f"model.train(...) restores all of them",
            )


# %%
def test_temperature(env):
    import math

    import torch
    from src.checks import answer, checking, require

    with checking("B10"):
        generate = answer(env, "B10", "generate")

        class TwoLetters(torch.nn.Module):
            """Says only a and b; the logit of b is 3 above that of a."""

            def __init__(self):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))  # for answers that ask the model for its device

            def forward(self, x):
                logits = torch.full((len(x), 27), -1e4, device=x.device)
                logits[:, 1], logits[:, 2] = 0.0, 3.0
                return logits

        draw = torch.Generator().manual_seed(13)
        text = "".join(generate(TwoLetters(), 3, draw, temperature=2.0, max_len=150) for _ in range(10))
        share = text.count("b") / 1500
        ways = {
            "dividing the logits by the square root of the temperature": 3 / math.sqrt(2),
            "multiplying the logits by the temperature": 6.0,
            "ignoring the temperature": 3.0,
        }
        for way, logit in ways.items():
            wrong = 1 / (1 + math.exp(-logit))
            require(abs(share - wrong) > 0.03, f"at temperature 2 the shares of the letters are those of {way}")
        target = 1 / (1 + math.exp(-1.5))
        require(
            abs(share - target) < 0.05,
            f"at temperature 2 a letter of probability {target:.2f} makes up {share:.2f} of 1500 letters",
        )

        class AllLetters(TwoLetters):
            """Says every letter with the same probability."""

            def forward(self, x):
                logits = torch.zeros((len(x), 27), device=x.device)
                logits[:, 0] = -1e4
                return logits

        letters = set("".join(generate(AllLetters(), 3, draw, max_len=150) for _ in range(10)))
        require(
            len(letters) == 26,
            f"of 26 equally likely letters only {len(letters)} occur in 1500; draw from all of them",
        )

        class HalfDots(TwoLetters):
            """Says a letter or the dot, each with probability 1/2."""

            def forward(self, x):
                logits = torch.full((len(x), 27), -1e4, device=x.device)
                logits[:, :2] = 0.0
                return logits

        count = sum(len(generate(HalfDots(), 3, draw)) for _ in range(300))
        require(
            200 < count < 400,
            f"300 names have {count} letters, from a model that gives a dot with probability 1/2; about 300 were expected: "
            f"does a name end at its first dot, and can it be empty?",
        )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% tags=["demo"]
with demonstration():
    known, shares = set(names), {}
    for temperature in (0.5, 1.0, 2.0):
        draw = torch.Generator().manual_seed(config.seed)
        made = [generate(final_model, config.context_size, draw, temperature) for _ in range(100)]
        shares[temperature] = sum(name in known for name in made) / len(made)
        print(f"temperature {temperature}: {', '.join(made[:8])}")
        print(f"{'':<17}{shares[temperature]:.0%} of {len(made)} names are in the data")
# CLAIM: shares[0.5] > 0.25 > shares[1.0] > 0.05
# CLAIM: shares[1.0] > shares[2.0] + 0.03

# %% [markdown]
# A low temperature makes the names more ordinary: many are in the data. A high one makes them wilder. The model sees only
# three characters and forgets what it wrote before them, so its names ramble, but it has learned how names begin and end.
#
# Without running statistics none of this would work. In training mode the single context would be a batch of one,
# every centred value would be zero, and the network could not see its input at all. That is why your layer raises an
# error for it.

# %% [markdown]
# ## Optional: norms without a batch, and statistics measured again (not graded)
#
# Two other norms need no batch: **layer norm** subtracts the mean of the example's own 256 numbers and divides by their
# standard deviation; **RMS norm** only divides by the root of their mean square. Both compute the same in training and
# evaluation and keep no running statistics. Below, they replace batch normalization in `MLPv3`. **Predict first:** at
# which batch size does batch normalization lose most against the other two?

# %% tags=["demo"]
NORMS = {"batch norm": None, "layer norm": nn.LayerNorm, "RMS norm": nn.RMSNorm}


def with_norm(kind, seed):
    """Build an MLPv3 with this class of norm; None keeps batch normalization."""
    model = new_model(MLPv3, seed, batch_norm=True)
    if kind is not None:
        model.bn1, model.bn2 = (kind(config.d_hidden).to(device) for _ in range(2))
    return model


with demonstration():
    table = {}
    print("validation loss after 200 steps at learning rate 0.01, mean and range over 3 seeds\n")
    print(f"{'batch size':<12}" + "".join(f"{label:>26}" for label in NORMS))
    for size in (2, 16, 256):
        batches = replace(config, batch_size=size, val_interval=200)
        for label, kind in NORMS.items():
            runs = [
                train(with_norm(kind, seed), train_data, val_data, batches, steps=200, seed=seed, quiet=True)
                for seed in SEEDS
            ]
            table[label, size] = final(runs)
        print(f"{size:<12}" + "".join(f"{spread(table[label, size], 3):>26}" for label in NORMS))
    behind = {size: np.mean(table["batch norm", size]) - np.mean(table["layer norm", size]) for size in (2, 16, 256)}
    print("batch norm behind layer norm:", ", ".join(f"{gap:.3f} at {size}" for size, gap in behind.items()))
# CLAIM: behind[2] > 1.5 * behind[16]
# CLAIM: behind[2] > 1.5 * behind[256]
# CLAIM: all(abs(np.mean(table["layer norm", size]) - np.mean(table["RMS norm", size])) < 0.06 for size in behind)

# %% [markdown]
# (Compare along the rows: down a column, the gradient itself becomes less noisy.) With two examples in a batch, each is
# normalised with a single other one, and batch normalization is furthest behind. Layer norm and RMS norm differ little.
#
# The running statistics are **measured, not learned**, so they can be measured again. Here the momentum was chosen far
# too small, so that after 300 steps the running statistics still remember their initial values. One pass over training
# examples in training mode, with momentum 1, sets them right; no weight changes.

# %% tags=["demo"]
with demonstration():
    before, after = [], []
    for seed in SEEDS:
        model = with_norm(None, seed)
        model.bn1.momentum = model.bn2.momentum = 0.001
        history = train(model, train_data, val_data, config, lr=0.1, steps=300, seed=seed, quiet=True)
        model.bn1.momentum = model.bn2.momentum = 1.0
        with torch.no_grad():
            model(train_data.inputs[:20_000])  # `train` has left the model in training mode
        before.append(history["val"][-1])
        after.append(validation_loss(model, val_data))
    print("validation loss, mean and range over 3 seeds")
    print(f"momentum 0.001, as trained:  {spread(before, 3)}")
    print(f"statistics measured again:   {spread(after, 3)}")
# CLAIM: all(second < first - 0.03 for first, second in zip(before, after))

# %% [markdown]
# # What you learned
#
# - A network with badly scaled weights starts saturated and confidently wrong; the steep part of the hockey stick is
#   the time it takes to unlearn that.
# - With weights of standard deviation gain / √fan_in, it starts close to a uniform guess.
# - Batch normalization gives each unit mean 0 and variance 1 over the batch, then lets it learn a scale and a shift.
#   In training it normalises with the biased variance and stores the unbiased one; in evaluation it uses the running
#   statistics and can be folded into the layer before it.
# - Gradients flow through the statistics. The remaining gradient has no component along "shift all inputs" and almost
#   none along "stretch all inputs".
# - A bias right before batch normalization has no effect.
# - On a shallow, well-initialised network batch normalization does not lower the loss. It makes training robust to
#   bad weights and large learning rates and, as the second notebook shows, depth. *Why* is still debated: Santurkar et al. questioned the paper's
#   "internal covariate shift" and found a smoother loss landscape instead.
#
# The second notebook, on residual streams, turns to depth.
#
# ## References
#
# - S. Ioffe, C. Szegedy: *Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
#   Shift*. ICML 2015. arXiv:1502.03167
# - K. He, X. Zhang, S. Ren, J. Sun: *Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet
#   Classification*. ICCV 2015. arXiv:1502.01852
# - S. Santurkar, D. Tsipras, A. Ilyas, A. Madry: *How Does Batch Normalization Help Optimization?* NeurIPS 2018.
#   arXiv:1805.11604
# - Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin: *A Neural Probabilistic Language Model*. JMLR 3, 2003 (the
#   architecture of `MLP`)
#
# ## Handing in
#
# The next cell runs all checks of this notebook.

# %%
grader.check_all()

# %% [markdown]
# The last cell asks before it does anything. Then it saves the notebook, writes `batchnorm-handin.zip` and runs the
# checks again on a fresh start of the saved notebook. Hand in either the zip file or the notebook itself; they are
# graded the same way. If the cell says that it could not save the notebook, as it does in VS Code, save it yourself and
# run the cell again.

# %%
grader.export()
