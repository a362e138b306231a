"""Plain functions over arrays, turned into machine code by numba: one thread each, free of Python's lock.

No function here splits its work among threads. Threads are given whole pictures instead (`renderer.py`), so the bytes
do not depend on how many there are, and processes can be forked at any time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nnan", "ninf"}}


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of a compiled function, in the same file as it: the cache on disk notices changes of one file only."""
    return numba.njit(inline="always", **_OPTIONS)(inspect.unwrap(function))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function to call from Python. Where no folder can hold the cache, each process compiles anew."""
    bare = inspect.unwrap(function)
    try:
        return numba.njit(cache=True, **_OPTIONS)(bare)
    except RuntimeError:
        return numba.njit(**_OPTIONS)(bare)
