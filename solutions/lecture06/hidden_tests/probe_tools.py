"""What probes share: recording operators, gradients, weights by name, training. Runs inside the sandbox."""

import contextlib
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

Seen = dict[str, Any]


class Operators(TorchDispatchMode):
    """Record the names of the operators that torch runs, by whatever name the code called them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def empty_is_nan() -> Iterator[None]:
    """Let torch.empty return NaN, and not by chance zeros."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextlib.contextmanager
def tracked_by_autograd() -> Iterator[list[bool]]:
    """Yield a list that gets an entry for each tensor that autograd saves for a backward pass meanwhile."""
    kept: list[bool] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(True)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def gradients(output: Any, inputs: Sequence[Tensor], cotangent: Tensor) -> list[Tensor | None]:
    """Return the gradient of sum(output * cotangent) with respect to each input; None where nothing flows."""
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    if not isinstance(output, Tensor) or not output.requires_grad or not wanted:
        return [None for _ in inputs]
    found = iter(torch.autograd.grad(output, wanted, cotangent, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]


def slope(function: Callable[[Tensor], Any], x: Tensor, cotangent: Tensor, width: float = 1e-5) -> Tensor | None:
    """Return the derivative of sum(function(x) * cotangent) along the cotangent, by differences, without autograd."""
    with torch.no_grad():
        above, below = function(x + width * cotangent), function(x - width * cotangent)
        if not isinstance(above, Tensor) or not isinstance(below, Tensor) or above.shape != cotangent.shape:
            return None
        return ((above - below) * cotangent).sum() / (2 * width)


def side_effects(given: dict[str, Tensor]) -> Seen:
    """Return which inputs that needed no gradient need one now, and whether autograd is on."""
    return {
        "need_grad": [name for name, one in given.items() if one.requires_grad],
        "recording": torch.is_grad_enabled(),
    }


def set_values(module: nn.Module, values: dict[str, Tensor]) -> None:
    """Set parameters and buffers by name, in the shape that the module keeps them in."""
    with torch.no_grad():
        for name, value in values.items():
            owner: Any = module
            *path, last = name.split(".")
            for part in path:
                owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
            kept = getattr(owner, last)
            kept.copy_(value.reshape(kept.shape))


def misfits(module: nn.Module, values: dict[str, Tensor]) -> dict[str, list[int] | None]:
    """Return the names of values that do not fit into the module: the shape that it has there, None for no tensor."""
    found: dict[str, list[int] | None] = {}
    for name, value in values.items():
        try:
            kept: Any = operator.attrgetter(name)(module)
        except AttributeError:
            kept = None
        if not isinstance(kept, Tensor):
            found[name] = None
        elif kept.numel() != value.numel():
            found[name] = list(kept.shape)
    return found


_PRESCRIBED = re.compile(
    r"C|[Wb][123]|(bn[12]?\.)?(gamma|beta|running_mean|running_var|num_batches_tracked)"
    r"|(embedding|inp|norm_f|head|(blocks\.\d+\.)?(norm|fc1|fc2))\."
    r"(weight|bias|running_mean|running_var|num_batches_tracked)"
)
"""The names of parameters and buffers that the questions prescribe."""


def one_name_each(pairs: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors by name, each only once: by its first prescribed name, or by its first name if it has none.

    An answer may keep a layer under further names, in any order, for instance within an nn.Sequential.
    """
    every = list(pairs)
    names: dict[int, str] = {}
    for name, tensor in sorted(every, key=lambda pair: not _PRESCRIBED.fullmatch(pair[0])):
        names.setdefault(id(tensor), name)
    return {name: tensor for name, tensor in every if names[id(tensor)] == name}


def named_parameters(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of a module itself, not copies, by name."""
    return one_name_each(module.named_parameters(remove_duplicate=False))


def parameters_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in named_parameters(module).items()}


def repeated(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """Return the names of tensors that are equal in two new modules, but for those with one number throughout."""
    same = [name for name, value in one.items() if name in other and torch.equal(value, other[name])]
    return [name for name in same if not bool((one[name] == one[name].flatten()[:1]).all())]


def buffers_of(module: nn.Module) -> dict[str, Tensor]:
    buffers = one_name_each(module.named_buffers(remove_duplicate=False))
    return {name: buffer.detach().clone() for name, buffer in buffers.items()}


def modes_of(module: nn.Module) -> list[bool]:
    """Return whether the module and each of its parts is in training mode."""
    return [one.training for one in module.modules()]


SETTINGS = ("eps", "momentum", "track_running_stats")


def settings_of(module: nn.Module) -> dict[str, float | bool | None]:
    """Return the attributes of the norms in a module that decide what they compute, by name."""
    found: dict[str, float | bool | None] = {}
    for name, part in module.named_modules():
        for key in SETTINGS:
            value = getattr(part, key, 0.0)
            if hasattr(part, key) and (value is None or isinstance(value, float | int)):
                found[f"{name}.{key}".lstrip(".")] = value
    return found


def in_half(logits: Any) -> Any:
    """Return logits in float16, which is enough to tell a loss, and half of what has to be sent and kept."""
    return logits.half() if isinstance(logits, Tensor) and logits.is_floating_point() else logits


def train_sgd(model: nn.Module, contexts: Tensor, targets: Tensor, lr: float) -> None:
    """Train with plain SGD, one step per batch of contexts (steps, N, 3) and targets (steps, N)."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    model.train()
    for inputs, following in zip(contexts, targets, strict=True):
        loss = F.cross_entropy(model(inputs), following)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fill(module: nn.Module, values: dict[str, Tensor]) -> list[str]:
    """Set what the module has of these parameters and buffers, and its other biases to zero.

    Returns the names of values that it has no place for.
    """
    state = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    fitting = {name: value for name, value in values.items() if name in state and state[name].numel() == value.numel()}
    set_values(module, fitting)
    known = {id(state[name]) for name in fitting}
    with torch.no_grad():
        for name, kept in state.items():
            if name.endswith("bias") and id(kept) not in known:
                kept.zero_()
    return sorted(set(values) - set(fitting))


def can_run(absent: list[str]) -> bool:
    """Return whether a model can be called that has no place for these values: it can without biases and norms."""
    return all(name.endswith(("bias", "running_mean", "running_var")) or "norm" in name for name in absent)


def residual_mlp(student: Any, sizes: list[int], start: dict[str, Tensor], training: bool) -> Any:
    """Return the student's ResidualMLP in float64 with these weights, in this mode."""
    model = student.ResidualMLP(*sizes).double()
    set_values(model, start)
    return model.train(training)


_HOOKS = tuple(
    f"_{kind}_hooks" for kind in ("forward", "forward_pre", "backward", "backward_pre", "post_accumulate_grad")
)


_GLOBAL_HOOKS = tuple(f"_global{kind}" for kind in _HOOKS)


def hooks_of(module: nn.Module) -> int:
    """Return how many hooks a module, its parts and its parameters have, and how many there are for all modules."""
    owners: list[Any] = [*module.modules(), *module.parameters()]
    own = sum(len(getattr(one, name, None) or ()) for one in owners for name in _HOOKS)
    return own + sum(len(getattr(nn.modules.module, name, None) or ()) for name in _GLOBAL_HOOKS)


_FIRST_SEEN: WeakKeyDictionary[nn.Module, dict[str, Tensor]] = WeakKeyDictionary()
"""The parameters by name that a module had when its condition was first asked for."""


def condition_of(module: nn.Module) -> Seen:
    """Return copies of all that a call could change about a module, and whether autograd is on.

    replaced: the names of parameters that are other objects than when this module's condition was first asked for
    patched: the names of parts with a forward of their own, which is not that of their class
    """
    parameters = named_parameters(module)
    first = _FIRST_SEEN.setdefault(module, parameters)
    return {
        "parameters": parameters_of(module),
        "buffers": buffers_of(module),
        "modes": modes_of(module),
        "settings": settings_of(module),
        "frozen": sorted(name for name, one in parameters.items() if not one.requires_grad),
        "gradients": {name: one.grad.detach().clone() for name, one in parameters.items() if one.grad is not None},
        "hooks": hooks_of(module),
        "recording": torch.is_grad_enabled(),
        "replaced": sorted(name for name, one in parameters.items() if first.get(name, one) is not one),
        "patched": sorted(name for name, part in module.named_modules() if "forward" in vars(part)),
    }


def change_of(module: nn.Module, before: Seen) -> Seen:
    """Return the condition of a module now; of its tensors only those that are not as before.

    same: for each kind of tensors the names of the others
    """
    now: Seen = condition_of(module)
    now["same"] = {}
    for kind in ("parameters", "buffers", "gradients"):
        was, found = before[kind], now[kind]
        same = [name for name, one in found.items() if name in was and _equal(one, was[name])]
        now["same"][kind] = same
        now[kind] = {name: one for name, one in found.items() if name not in same}
    return now


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype is other.dtype and torch.equal(one, other)
