"""torch as one of the libraries shared by all code of a child; imported only if an assignment uses it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils._device
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _SingleProcessDataLoaderIter

from autograder.sandbox.libraries import Libraries


class TorchLibraries(Libraries):
    """Python's own modules, NumPy and torch."""

    shared = (
        *Libraries.shared,
        torch,
        torch.Tensor,
        torch.autograd,
        nn,
        nn.Module,
        nn.functional,
        nn.init,
        torch.optim,
    )
    leaves = (*Libraries.leaves, torch.dtype, torch.device, torch.layout)
    arrays = (*Libraries.arrays, torch.Tensor)

    def seed(self, seed: int) -> None:
        # torch.manual_seed also seeds all other devices, which takes ten times as long
        torch.default_generator.manual_seed(seed)
        super().seed(seed)

    def one_thread(self) -> None:
        torch.set_num_threads(1)

    def switches(self) -> dict[str, Any]:
        return {"dtype": torch.get_default_dtype(), "grad": torch.is_grad_enabled()}

    @contextlib.contextmanager
    def put_back(self) -> Iterator[None]:
        dtype, grad, threads = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
        anomaly, deterministic = torch.is_anomaly_enabled(), torch.are_deterministic_algorithms_enabled()
        try:
            yield
        finally:
            self.default_device()
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            if torch.is_anomaly_enabled() != anomaly:
                torch.autograd.set_detect_anomaly(anomaly)
            if torch.are_deterministic_algorithms_enabled() != deterministic:
                torch.use_deterministic_algorithms(deterministic)

    def default_device(self) -> None:
        if torch.utils._device.CURRENT_DEVICE is not None:
            torch.set_default_device(None)

    def watch(self, array: Any) -> tuple[int, Callable[[], bool], list[Any]] | None:
        if not isinstance(array, torch.Tensor):
            return super().watch(array)
        try:
            copy = array.detach().clone()
            size = copy.nbytes
        except (RuntimeError, NotImplementedError):  # for instance a lazy module's parameter, or one on `meta`
            return None
        gradient = array.grad if array.is_leaf else None

        def is_as_it_was() -> bool:
            same = array.shape == copy.shape and torch.equal(array.detach(), copy)
            return same and (not array.is_leaf or array.grad is gradient)

        return size, is_as_it_was, [gradient]

    def generator_state(self, generator: Any) -> Callable[[], Any] | None:
        if isinstance(generator, torch.Generator):
            return lambda: generator.get_state().numpy().tobytes()
        return super().generator_state(generator)

    def prepare(self) -> None:
        super().prepare()
        DataLoader._get_iterator = _batches_in_this_process  # type: ignore[assignment, method-assign]
        weight = torch.ones(1, requires_grad=True)
        torch.autograd.grad(weight * weight, weight, torch.ones(1))  # imports SymPy

    def warm_up(self) -> None:
        super().warm_up()
        weight = torch.randn(8, 8, requires_grad=True)
        for optimizer in (torch.optim.SGD([weight], 0.1), torch.optim.AdamW([weight])):
            hidden = nn.BatchNorm1d(8)(torch.tanh(nn.Linear(8, 8)(nn.Embedding(27, 8)(torch.arange(8))) @ weight))
            F.cross_entropy(hidden, torch.arange(8)).backward()
            optimizer.step()
        torch.multinomial(torch.ones(3), 1)
        repr(torch.randn(3))


def _batches_in_this_process(loader: DataLoader[Any]) -> _SingleProcessDataLoaderIter:
    """Let a DataLoader load its batches itself, because no process can be started here; they are the same batches."""
    loader.num_workers, loader.timeout, loader.pin_memory = 0, 0, False
    return _SingleProcessDataLoaderIter(loader)
