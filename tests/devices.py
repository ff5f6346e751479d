"""A stand-in for a GPU on a computer that has none: tensors stay on the CPU, and what a GPU refuses is refused.

`python -m tests.devices mps NOTEBOOK` runs the code cells of a notebook file, in its folder, as on a computer whose
only GPU is of this kind ("mps" or "cuda"), and prints the first error.

A tensor is "on the GPU" if it was made there, moved there, or computed from such a tensor. As on the real devices:
tensors on the GPU and on the CPU do not mix, except numbers and indices; NumPy and random generators of the CPU need
the CPU; `mps` has no float64. What happens inside one call of a torch function is not looked at.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name

KINDS = ("mps", "cuda")
MARK = "_stands_on_gpu"
FREE = frozenset({"__repr__", "__format__", "__str__", "item", "tolist", "__len__", "__bool__", "__float__", "__int__"})
"""Methods of which only a number or text comes out, and which copy to the CPU by themselves."""
UNTOUCHED = frozenset({"device", "_parse_to", "_has_compatible_shallow_copy_type"})
"""Functions that only look at names of devices and kinds of tensors."""
TO_NUMPY = frozenset({"numpy", "__array__"})
MIXING = frozenset({"to", "cpu", "copy_", "__getitem__", "__setitem__", "load_state_dict", "type_as"})
"""Methods that may be given a tensor on the CPU and one on the GPU."""


class Gpu(TorchFunctionMode):
    """Refuse what a GPU of this kind refuses, while it is entered."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function.__name__ in UNTOUCHED:
            return function(*args, **kwargs)
        name = function.__name__
        owner = resolve_name(function) or name
        inputs = list(_tensors((args, kwargs)))
        here = [one for one in inputs if on_gpu(one)]
        if name == "__deepcopy__":  # its other input is what was copied before
            return _mark(function(*args), on_gpu(args[0]))
        if owner.endswith("data.__set__"):
            function(*args)
            return _mark(args[0], on_gpu(args[1]))
        if owner.endswith("device.__get__"):
            return torch.device(self.kind) if here else function(*args, **kwargs)
        if owner.endswith(("is_cuda.__get__", "is_mps.__get__")):
            return bool(here) and self.kind in owner
        named = [one for one in (*args, *kwargs.values()) if self._is_ours(one)]
        away = name == "cpu" or (name == "to" and any(_is_cpu(one) for one in (*args[1:], *kwargs.values())))
        self._refuse(name, inputs, here, kwargs, made_here=bool(named))
        args = tuple(self._on_cpu(one) for one in args)
        result = function(*args, **{key: self._on_cpu(one) for key, one in kwargs.items()})
        if name == "copy_" or owner.endswith("__set__") or name in FREE:
            return result
        if away:
            return _copied(result)
        if named or here:
            for one in _tensors(result):
                if name == "to" and not on_gpu(args[0]):
                    result = one = _copied(one) if isinstance(one, torch.nn.Parameter) or one is args[0] else one
                self._refuse_double(one)
                _mark(one, True)
        return result

    def _is_ours(self, one: object) -> bool:
        kind = one.type if isinstance(one, torch.device) else one.split(":")[0] if isinstance(one, str) else ""
        return kind == self.kind

    def _on_cpu(self, one: Any) -> Any:
        return torch.device("cpu") if self._is_ours(one) else one

    def _refuse(
        self,
        name: str,
        inputs: list[torch.Tensor],
        here: list[torch.Tensor],
        kwargs: dict[str, Any],
        *,
        made_here: bool,
    ) -> None:
        if here and name in TO_NUMPY:
            raise TypeError(f"can't convert {self.kind} device type tensor to numpy. Use Tensor.cpu() first")
        if (here or made_here) and kwargs.get("generator") is not None:
            raise RuntimeError(f"Expected a '{self.kind}' device type for generator but found 'cpu'")
        others = [one for one in inputs if not on_gpu(one) and one.dim() > 0]
        if here and others and name not in MIXING:
            raise RuntimeError(f"Expected all tensors to be on the same device ({name}), found {self.kind} and cpu")
        if name == "__getitem__" and here and others and others[0] is inputs[0]:
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")

    def _refuse_double(self, one: torch.Tensor) -> None:
        if self.kind == "mps" and one.dtype in (torch.float64, torch.complex128):
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )


def on_gpu(one: torch.Tensor) -> bool:
    return MARK in vars(one)


def _mark(one: torch.Tensor, on: bool) -> torch.Tensor:
    if on:
        vars(one)[MARK] = True
    else:
        vars(one).pop(MARK, None)
    return one


def _copied(one: torch.Tensor) -> torch.Tensor:
    """Another tensor object with these values, which is not marked; gradients flow as before."""
    with torch._C.DisableTorchFunction():
        return one.view_as(one)


def _is_cpu(one: object) -> bool:
    return one == "cpu" or (isinstance(one, torch.device) and one.type == "cpu")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def pretend(kind: str) -> Gpu:
    """Let torch report that a GPU of this kind is available, and enter its stand-in."""

    def available(answer: bool) -> Callable[[], bool]:
        return lambda: answer

    copy = torch.nn.Parameter.__deepcopy__

    def deepcopy(self: torch.nn.Parameter, memo: dict[int, Any]) -> torch.Tensor:
        return _mark(copy(self, memo), on_gpu(self))  # type: ignore[no-untyped-call]

    setattr(torch.nn.Parameter, "__deepcopy__", deepcopy)  # noqa: B010  # a mode does not see this one
    for module, own in ((torch.cuda, "cuda"), (torch.backends.mps, "mps")):
        setattr(module, "is_available", available(kind == own))  # noqa: B010
    gpu = Gpu(kind)
    gpu.__enter__()  # type: ignore[no-untyped-call]
    return gpu


def main(kind: str, notebook: Path) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    pretend(kind)
    shell = InteractiveShell.instance()
    sys.path.insert(0, "")
    for cell in json.loads(notebook.read_bytes())["cells"]:
        if cell["cell_type"] != "code" or "grader.export" in (source := "".join(cell["source"])):
            continue
        result = shell.run_cell(source)  # type: ignore[no-untyped-call]
        if not result.success:
            print(f"stopped in {cell['id']}: {result.error_in_exec or result.error_before_exec!r}")
            return
    print("ran to the end")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
