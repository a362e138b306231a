"""A folder that one run has to itself: locked while it works there, and claimed for one thing that is made in it.

The lock is that of the operating system on a hidden file, so that it ends with its process, however that ends; the file
goes when the run does. What a killed run leaves of it hinders nobody.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from trivox.base.atomic import atomic_write
from trivox.base.reading import read_bytes
from trivox.errors import InputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK = ".trivox.lock"
_LARGEST_NOTE = 2**26


def alone_in(folder: Path | None) -> AbstractContextManager[None]:
    """Have `folder` to oneself; it is made where it is not there. None is no folder, and nothing is locked.

    Raises `InputError` at once where another run works there. Where no lock can be had, because the folder cannot be
    written to or its file system has none, work goes on: what it cannot write, it will say.
    """
    return nullcontext() if folder is None else _alone(folder, folder / _LOCK)


def alone_with(file: Path | None) -> AbstractContextManager[None]:
    """The same for one file: other runs may write other files beside it."""
    return nullcontext() if file is None else _alone(file, file.with_name(f".{file.name}.lock"))


@contextmanager
def _alone(what: Path, lock: Path) -> Iterator[None]:
    made = _made(lock.parent)
    descriptor = _locked(lock, what)
    try:
        yield
    finally:
        if descriptor is not None:
            _unlock(descriptor, lock)
        for path in made:  # those that got no content
            with suppress(OSError):
                path.rmdir()


def is_free(folder: Path) -> bool:
    """Whether a folder is not there, or holds nothing but a lock."""
    return not folder.exists() or (folder.is_dir() and all(path.name == _LOCK for path in folder.iterdir()))


def claim(note: Path, made: Mapping[str, Any]) -> None:
    """Note in a folder what is made in it, as plain JSON values by name, in mappings of any depth.

    What is noted already has to be the same; names that are new are added. Raises `InputError` where it is not, and
    where the folder holds something without such a note, so that nothing is mixed or lost.
    """
    old = _noted(note)
    if old is None and not is_free(note.parent):
        raise InputError(f"{note.parent} already holds something else; give a new folder, or the same options to go on")
    merged = deepcopy(old or {})
    if other := _merge(merged, made):
        raise InputError(
            f"{note.parent} already holds something else: it was made with another {other}; give a new folder, or the "
            "same options to go on"
        )
    if merged != old:
        with atomic_write(note) as temporary:
            temporary.write_text(json.dumps(merged, indent=1) + "\n", "utf-8")


def _noted(note: Path) -> dict[str, Any] | None:
    if not note.exists():
        return None
    try:
        old = json.loads(read_bytes(note, _LARGEST_NOTE))
        return deepcopy(old) if isinstance(old, dict) else None  # what can be parsed may still be too deep to copy
    except (ValueError, RecursionError):
        return None


def _merge(old: dict[str, Any], new: Mapping[str, Any]) -> str | None:
    """Add to `old` what it lacks of `new`; the name of the first thing that differs."""
    for name, value in new.items():
        value = json.loads(json.dumps(value))
        if name in old and isinstance(old[name], dict) and isinstance(value, dict):
            if other := _merge(old[name], value):
                return f"{name} {other}"
        elif old.setdefault(name, value) != value:
            return name
    return None


def _made(folder: Path) -> list[Path]:
    """Make the folder; those that were not there, the innermost first."""
    missing = []
    with suppress(OSError):
        for path in (folder, *folder.parents):
            if path.exists():
                break
            missing.append(path)
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _locked(lock: Path, what: Path) -> int | None:
    """A descriptor that holds the lock; None where there are no locks."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError:
            return None
        try:
            is_ours = _try_lock(descriptor)
        except OSError:
            os.close(descriptor)
            return None
        if not is_ours:
            os.close(descriptor)
            raise InputError(f"another run works in {what} just now; wait until it has ended, or choose another name")
        with suppress(OSError):  # the file that was locked may have been removed by the run that ended just then
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Whether the lock is had. Raises `OSError` where the file system has none."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(descriptor: int, lock: Path) -> None:
    """Remove the file while it is still locked, where that can be done: nobody takes a lock on what is gone."""
    if sys.platform == "win32":
        os.close(descriptor)
        with suppress(OSError):
            lock.unlink()
    else:
        with suppress(OSError):
            lock.unlink()
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # processes that were forked meanwhile have the descriptor too
        os.close(descriptor)
