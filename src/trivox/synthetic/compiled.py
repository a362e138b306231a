"""Plain functions over arrays, turned into machine code by numba: one thread each, free of Python's lock.

No function here splits its work among threads. Threads are given whole pictures instead (`renderer.py`), so the bytes
do not depend on how many there are, and processes can be forked at any time. As in geometry's kernels, reference
counting is switched off and pieces are pasted into their callers: no function here may make or slice an array.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "_nrt": False}


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of a compiled function."""
    return numba.njit(forceinline=True, **_OPTIONS)(inspect.unwrap(function))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function to call from Python. Where no folder can hold the cache, each process compiles anew."""
    bare = inspect.unwrap(function)
    try:
        result = numba.njit(cache=True, **_OPTIONS)(bare)
    except RuntimeError:
        return numba.njit(**_OPTIONS)(bare)
    cache = result.stats.cache_path
    assert cache is not None, "asked for a cache"
    _forget_outdated(Path(cache), bare.__name__)
    return result


def _forget_outdated(cache: Path, name: str) -> None:
    """numba notices changes in the function's own file only; pieces come from other files of this folder too."""
    newest = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
    for index in cache.glob(f"*.{name}-*.nbi"):
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()
