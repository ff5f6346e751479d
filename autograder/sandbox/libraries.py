"""The libraries shared by all code of a child: seeding, warm-up, change detection and restoring their settings.

`current` is the fork server's choice for the assignment: NumPy alone, or torch as well (`with_torch.py`).
"""

import builtins
import contextlib
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


class Libraries:
    """Python's own modules and NumPy."""

    shared: tuple[Any, ...] = (builtins, math, np)
    """Modules and classes whose names other code relies on."""

    leaves: tuple[type, ...] = (np.dtype, np.ufunc)
    """Kinds of objects in which calls keep nothing."""

    arrays: tuple[type, ...] = (np.ndarray,)

    def seed(self, seed: int) -> None:
        """Seed every global random generator."""
        np.random.seed(seed % (1 << 32))
        random.seed(seed)

    def one_thread(self) -> None:
        """Compute with one thread, whatever earlier code has set."""

    def switches(self) -> dict[str, Any]:
        """Return the settings that affect other code, by name."""
        return {}

    @contextlib.contextmanager
    def put_back(self) -> Iterator[None]:
        """Restore the settings changed inside the block."""
        yield

    def default_device(self) -> None:
        """Reset the default device; grading computes on the CPU."""

    def watch(self, array: Any) -> tuple[int, Callable[[], bool], list[Any]] | None:
        """Return the bytes of an array, what tells whether it is as it is now, and what it holds; None if unknown."""
        if array.dtype.hasobject:
            return None
        shape, content = array.shape, array.tobytes()
        return array.nbytes, lambda: array.shape == shape and array.tobytes() == content, []

    def generator_state(self, generator: Any) -> Callable[[], Any] | None:
        """Return what tells the state of a random generator; None for any other object."""
        if isinstance(generator, np.random.Generator):
            return lambda: repr(generator.bit_generator.state)
        if isinstance(generator, np.random.RandomState):
            return lambda: repr(generator.get_state(legacy=False))
        if isinstance(generator, random.Random):
            return generator.getstate
        return None

    def prepare(self) -> None:
        """Trigger the lazy initialisation that hidden tests need as well, and compute with one thread."""
        self.one_thread()

    def warm_up(self) -> None:
        """Trigger the rest of the libraries' lazy initialisation, before student code is forked."""
        np.random.default_rng(0).normal()


current = Libraries()


def choose(libraries: Libraries) -> None:
    """Make these the libraries of this process."""
    global current
    current = libraries
