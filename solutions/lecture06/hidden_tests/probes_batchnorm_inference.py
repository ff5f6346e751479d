"""Probes of the batch normalization notebook, part 5: evaluation, folding, new names.

They run beside the student's code on given inputs and return what they saw; none holds an expected value. `student`
has the notebook's names as attributes; every other argument comes from a hidden test. Tensors are float64 unless a
docstring says otherwise.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .probe_tools import Seen, condition_of, misfits, modes_of, set_values, settings_of, side_effects


class _OnPurpose(Exception):
    """What a model raises that is to fail in a later batch; of no kind that an answer would expect."""


class _Diary(list[dict[str, Any]]):
    """The log of a model's calls, and the error that it raised. A copy of the model writes to the same one."""

    raised: Exception | None = None

    def __copy__(self) -> "_Diary":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Diary":
        return self


# --- B8 ---------------------------------------------------------------------------------------------------------------


class _Watched(nn.Module):
    """Looks up its logits by the last token of a context; with `normed`, applies a batch norm. Logs its calls.

    It has a part with a mode of its own, and a parameter that is not trained.
    fail_at: the call, counted from 1, that raises; 0 for none.
    """

    def __init__(self, table: Tensor, normed: bool, fail_at: int = 0) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())
        self.fixed = nn.Parameter(torch.ones(1, dtype=table.dtype), requires_grad=False)
        self.norm = nn.BatchNorm1d(table.shape[1], dtype=table.dtype) if normed else None
        self.part = nn.Identity()
        self.fail_at = fail_at
        self.diary = _Diary()

    def forward(self, x: Tensor) -> Tensor:
        logits = self.table[x[:, -1]]
        training = any(modes_of(self))
        self.diary.append({"rows": len(x), "training": training, "graph": logits.requires_grad})
        if len(self.diary) == self.fail_at:
            kind = RuntimeError if self.fail_at == 1 else _OnPurpose
            self.diary.raised = kind("this model fails on purpose")
            raise self.diary.raised
        return logits if self.norm is None else self.norm(logits)

    def state(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.state_dict().items()}


def evaluated(
    student: Any,
    table: Tensor,
    normed: bool,
    start: dict[str, Tensor],
    inputs: Tensor,
    targets: Tensor,
    sizes: list[int],
) -> Seen:
    """Call `evaluate` with a model in training mode and each of the batch sizes `sizes` (0: its default).

    For each: what it returned, whether that is a plain number, the model's calls. And the state before and after all.
    later: what it returned after all, once the model's table of logits has the opposite sign
    held: the gradient that the table of logits has before the first call; gradient: the one that it has after the last
    """
    model = _Watched(table, normed)
    set_values(model, start)
    held = torch.full_like(table, 0.5)
    model.table.grad = held.clone()
    before, settings = model.state(), settings_of(model)
    runs = []
    for size in sizes:
        model.train()
        model.diary = _Diary()
        options = {"batch_size": size} if size else {}
        returned = student.evaluate(model, inputs.clone(), targets.clone(), **options)
        runs.append({"returned": returned, "plain": isinstance(returned, float), "calls": model.diary})
    recording, after, gradient = torch.is_grad_enabled(), model.state(), model.table.grad
    frozen = [not model.table.requires_grad, not model.fixed.requires_grad]
    with torch.no_grad():
        model.table.neg_()
    model.diary = _Diary()
    later = student.evaluate(model, inputs.clone(), targets.clone(), batch_size=sizes[-1] or 1024)
    return {
        "runs": runs,
        "later": later,
        "before": before,
        "after": after,
        "settings": settings,
        "settings after": settings_of(model),
        "held": held,
        "gradient": gradient,
        "frozen": frozen,
        "grad_enabled": recording,
    }


def evaluated_modes(
    student: Any, table: Tensor, inputs: Tensor, targets: Tensor, batch_size: int, fail_at: int
) -> Seen:
    """Call `evaluate` with a model in training, then in evaluation mode, whose call `fail_at` raises an error.

    after: the modes of the model and its parts
    raised: the type of the error that `evaluate` raised, empty for none; same: whether it is the model's own
    """
    modes = []
    for training in (True, False):
        model = _Watched(table, False, fail_at)
        model.train(training)
        diary, raised, same = model.diary, "", False
        try:
            student.evaluate(model, inputs.clone(), targets.clone(), batch_size)
        except Exception as error:
            raised, same = type(error).__name__, error is diary.raised
            if diary.raised is None:
                raise
        modes.append({"calls": diary, "after": modes_of(model), "raised": raised, "same": same})
    return {"modes": modes}


# --- B9 ---------------------------------------------------------------------------------------------------------------


def fold_batchnorm(
    student: Any, weight: Tensor, bias: Tensor | None, start: dict[str, Tensor], eps: float, training: bool
) -> Seen:
    """Call `fold_batchnorm` with a `BatchNorm1d` of the state `start`: the result, and all inputs afterwards."""
    bn = student.BatchNorm1d(weight.shape[1], eps=eps).double()
    if not misfits(bn, start):
        set_values(bn, start)
    bn.train(training)
    before, settings = condition_of(bn), settings_of(bn)
    count = copy.deepcopy(getattr(bn, "num_batches_tracked", None))
    given = weight.clone(), None if bias is None else bias.clone()
    returned = student.fold_batchnorm(*given, bn)
    after = condition_of(bn)
    return {
        "returned": returned,
        "weight": given[0],
        "bias": given[1],
        "state": {name: getattr(bn, name) for name in start},
        "counts": [count, getattr(bn, "num_batches_tracked", None)],
        "frozen": [before["frozen"], after["frozen"]],
        "training": bn.training,
        "settings": settings,
        "settings after": settings_of(bn),
        **side_effects({name: one for name, one in zip(("weight", "bias"), given, strict=True) if one is not None}),
    }


# --- B10 --------------------------------------------------------------------------------------------------------------


class _Speaker(nn.Module):
    """Has the logits of `known` for some contexts and `otherwise` for all others, in float32. Logs its calls.

    Where nothing is known, the context and its shape do not matter.
    talk: number of calls after which only the dot is possible; patience: number of calls after which it raises, so
    that an endless loop does not use up the time
    """

    def __init__(
        self, known: dict[tuple[int, ...], Tensor], otherwise: Tensor, context_size: int, talk: int, patience: int
    ) -> None:
        super().__init__()
        self.known, self.otherwise = known, otherwise
        self.context_size, self.talk, self.patience = context_size, talk, patience
        self.parameter = nn.Parameter(torch.zeros(1))
        self.part = nn.Identity()
        self.diary = _Diary()

    def forward(self, x: Tensor) -> Tensor:
        if self.known and tuple(x.shape) != (1, self.context_size):
            raise ValueError(
                f"the model expects one context of shape (1, {self.context_size}), but got {tuple(x.shape)}"
            )
        if len(self.diary) >= self.patience:
            raise RuntimeError(
                f"the model was called {self.patience} times: does the loop end at a dot, and at max_len?"
            )
        row = self.known.get(tuple(x.flatten().tolist()), self.otherwise) if self.known else self.otherwise
        if len(self.diary) >= self.talk:
            row = torch.full_like(row, -1e4)
            row[0] = 0.0
        logits = row[None] + 0.0 * self.parameter
        self.diary.append({"training": self.training or self.part.training, "graph": logits.requires_grad})
        return logits


def spelled(student: Any, contexts: Tensor, logits: Tensor, otherwise: Tensor, options: dict[str, Any]) -> Seen:
    """Call `generate` with a model of these logits (K, 27) for the contexts (K, C), and `otherwise` for all others."""
    context_size = contexts.shape[1]
    known = {tuple(context.tolist()): row for context, row in zip(contexts, logits, strict=True)}
    model = _Speaker(known, otherwise, context_size, talk=200, patience=200)
    generator = torch.Generator().manual_seed(1)
    return {"name": student.generate(model, context_size, generator, **options)}


def sampled(student: Any, logits: Tensor, seeds: list[int | None], temperature: float, length: int) -> Seen:
    """Call `generate` with a model of the same logits for every context, once for each seed of a generator.

    Seed None continues with the generator of the run before. The model is in training mode in every other run. For
    each run: the name, which random states moved (the generator's, torch's global one), the modes during and after.
    calls: what was logged of the model's calls, the same thing once
    """
    runs = []
    generator, training = torch.Generator(), True
    model = _Speaker({}, logits, 3, talk=length, patience=2 * length + 10)
    for seed in seeds:
        model.train(training)
        model.diary = _Diary()
        generator = generator if seed is None else torch.Generator().manual_seed(seed)
        before, outside = generator.get_state(), torch.get_rng_state()
        name = student.generate(model, 3, generator, temperature, length)
        runs.append(
            {
                "name": name,
                "moved": not torch.equal(before, generator.get_state()),
                "outside_moved": not torch.equal(outside, torch.get_rng_state()),
                "calls": [dict(one) for one in {tuple(call.items()) for call in model.diary}],
                "before": training,
                "after": modes_of(model),
                "recording": torch.is_grad_enabled(),
            }
        )
        training = not training
    return {"runs": runs}
