"""What the code of a notebook could remember from one call to the next: a snapshot to compare with later.

A reply may be used in another order than that of asking only where no call left anything behind. So everything that the
notebook's names reach is followed: containers, attributes, defaults and closures of functions, tensors with their
gradients, random generators, modules that were handed in, and files in the scratch folder. Whatever is of an unknown
kind counts as changed.
"""

import enum
import functools
import itertools
import os
import re
import types
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from operator import is_
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from autograder.sandbox import libraries

MAX_OBJECTS = 200_000
MAX_BYTES = 128 << 20
"""Of arrays that are copied. What holds more than this or MAX_OBJECTS counts as changed."""
MAX_FILES = 500

PLAIN = (int, float, complex, str, bytes, bool, type(None), range, type(Ellipsis), type(NotImplemented), np.generic)
LEAVES = (
    *PLAIN,
    enum.Enum,
    PurePath,
    date,
    time,
    timedelta,
    re.Pattern,
    types.BuiltinFunctionType,
    types.CodeType,
    types.GenericAlias,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.ModuleType,
    types.UnionType,
    types.WrapperDescriptorType,
    typing.TypeVar,
)
"""Kinds of objects in which calls keep nothing. Modules that were handed in are looked at as roots."""

HEAP_TYPE = 1 << 9
"""The flag of classes that a class statement made (CPython's Py_TPFLAGS_HEAPTYPE)."""

Compare = Callable[[], bool]
"""Whether something is as it was."""


class Snapshot:
    """All that a notebook's names reach, as it is now."""

    def __init__(self, roots: Iterable[types.ModuleType]) -> None:
        """roots: the notebook, and the modules that its author or the release wrote"""
        self._modules = {id(vars(root)): root for root in roots}
        self._names = {root.__name__ for root in self._modules.values()}
        self._seen: dict[int, Any] = {}
        self._checks: list[Compare] = []
        self._bytes = 0
        self._known = True
        waiting: list[Any] = [vars(root) for root in self._modules.values()]
        while waiting and self._known:
            one = waiting.pop()
            if type(one) in PLAIN or id(one) in self._seen:
                continue
            self._seen[id(one)] = one
            self._known = len(self._seen) <= MAX_OBJECTS and self._bytes <= MAX_BYTES
            waiting.extend(self._visit(one))
        self._files = _files()

    def is_as_it_was(self) -> bool:
        """Return whether everything is as it was; False where that cannot be told."""
        try:
            return self._known and all(check() for check in self._checks) and self._files == _files()
        except Exception:  # raised by a method of the notebook's own classes
            return False

    def _visit(self, one: Any) -> Iterator[Any]:
        """Note what can change in an object, and yield what it holds."""
        if isinstance(one, (*LEAVES, *libraries.current.leaves)):
            yield from ()
        elif isinstance(one, type):
            yield from self._class(one)
        elif isinstance(one, types.FunctionType):
            yield from self._function(one)
        elif isinstance(one, libraries.current.arrays):
            yield from self._array(one)
        elif isinstance(one, Mapping | list | tuple | deque | set | frozenset | types.CellType | types.MethodType):
            yield from self._container(one)
        elif isinstance(one, property | staticmethod | classmethod | functools.partial | functools.cached_property):
            yield from _parts(one)
        elif state := libraries.current.generator_state(one):
            before = state()
            self._checks.append(lambda: state() == before)
        elif isinstance(one, functools._lru_cache_wrapper):
            count = one.cache_info()
            self._checks.append(lambda: one.cache_info() == count)
        else:
            yield from self._instance(one)

    def _class(self, one: type) -> Iterator[Any]:
        """Classes of libraries are not followed; those of the notebook and of handed-in modules are."""
        if one.__module__ in self._names:
            held = list(vars(one).items())
            self._checks.append(lambda: _same(held, list(vars(one).items())))
            yield from (value for name, value in held if name not in ("__dict__", "__weakref__"))

    def _function(self, one: types.FunctionType) -> Iterator[Any]:
        if id(one.__globals__) not in self._modules:
            return
        held = [one.__code__, one.__defaults__, one.__kwdefaults__, *(one.__closure__ or ())]
        self._checks.append(
            lambda: _equal(held, [one.__code__, one.__defaults__, one.__kwdefaults__, *(one.__closure__ or ())])
        )
        yield from (*held, one.__dict__)

    def _container(self, one: Any) -> Iterator[Any]:
        if isinstance(one, types.MethodType):
            yield from (one.__self__, one.__func__)
            return
        held = _members(one)
        if not isinstance(one, tuple | frozenset):
            self._checks.append(lambda: _equal(held, _members(one)))
        yield from held
        yield from self._attributes(one)

    def _array(self, one: Any) -> Iterator[Any]:
        watched = libraries.current.watch(one)
        if watched is None:
            self._known = False
            return
        size, is_as_it_was, held = watched
        self._bytes += size
        self._checks.append(is_as_it_was)
        yield from held
        yield from self._attributes(one)

    def _instance(self, one: Any) -> Iterator[Any]:
        """An object of the notebook's own or of a library: its attributes; without any, nobody knows what it keeps."""
        slots = [name for kind in type(one).__mro__ for name in _slots(kind)]
        bare = not hasattr(one, "__dict__") and not slots and type(one) is not object
        if bare or any(map(_in_c, type(one).__mro__)):
            self._known = type(one).__module__ == "typing"
            return
        held = [getattr(one, name, None) for name in slots]
        self._checks.append(lambda: _equal(held, [getattr(one, name, None) for name in slots]))
        yield from (*held, type(one))
        yield from self._attributes(one)

    def _attributes(self, one: Any) -> Iterator[Any]:
        attributes = getattr(one, "__dict__", None)
        if isinstance(attributes, dict):
            yield attributes


def _members(one: Any) -> list[Any]:
    if isinstance(one, Mapping):
        return list(itertools.chain(one.keys(), one.values()))
    if isinstance(one, types.CellType):
        try:
            return [one.cell_contents]
        except ValueError:
            return []
    return sorted(one, key=id) if isinstance(one, set | frozenset) else list(one)


def _parts(one: Any) -> list[Any]:
    if isinstance(one, property):
        return [one.fget, one.fset, one.fdel]
    if isinstance(one, functools.partial):
        return [one.func, one.args, one.keywords]
    return [one.func if isinstance(one, functools.cached_property) else one.__func__]


def _in_c(kind: type) -> bool:
    """Whether objects of a class can hold more than Python's attributes."""
    return kind not in (object, typing.Generic) and not kind.__flags__ & HEAP_TYPE


def _slots(kind: type) -> list[str]:
    found = vars(kind).get("__slots__", ())
    return [found] if isinstance(found, str) else list(found)


def _equal(then: list[Any], now: list[Any]) -> bool:
    return len(then) == len(now) and all(map(is_, then, now))


def _same(then: list[tuple[str, Any]], now: list[tuple[str, Any]]) -> bool:
    return [name for name, _ in then] == [name for name, _ in now] and _equal(
        [value for _, value in then], [value for _, value in now]
    )


def _files() -> list[tuple[str, int, int]]:
    """Return the files in the scratch folder; what is beyond MAX_FILES makes two lists differ."""
    found: list[tuple[str, int, int]] = []
    for folder, _, names in os.walk(os.environ.get("TMPDIR", "/nonexistent")):
        for name in names:
            try:
                status = Path(folder, name).lstat()
            except OSError:
                continue
            found.append((f"{folder}/{name}", status.st_mtime_ns, status.st_size))
            if len(found) > MAX_FILES:
                return [(str(id(found)), os.getpid(), len(found))]
    return sorted(found)
