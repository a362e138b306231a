"""Plain Python functions over numbers and arrays, turned into machine code by numba.

`compiled` functions are called from Python: compiled at their first call (a few seconds), kept on disk, free
of Python's lock. `inlined` functions are the pieces they are written in, `called` ones those that are rarely needed.
Reference counting is switched off and every inlined piece is pasted into its caller, which makes them five times
faster; so no function here may make or slice an array (numba refuses to compile one that does, but for views of rows).
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
    # The type checker of a test run may have wrapped the function; numba needs the bare one.
    return numba.njit(forceinline=True, **_OPTIONS)(inspect.unwrap(function))


def called(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece that is rarely needed: called, not pasted, so that it does not make its callers large."""
    return numba.njit(**_OPTIONS)(inspect.unwrap(function))


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
    """numba notices changes in the function's own file only; here any file of geometry/ counts, and any beside it."""
    geometry, beside = Path(__file__).parent.parent, cache.parent
    sources = (*geometry.rglob("*.py"), *beside.glob("*.py"))
    newest = max(source.stat().st_mtime for source in sources)
    for index in cache.glob(f"*.{name}-*.nbi"):
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()
