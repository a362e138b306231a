"""Write a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trivox.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name, on any failure it is removed.

    The temporary name keeps the suffix, because some writers choose their format by it. Raises `InputError`
    where the folder cannot be written or the disk is full; what stood at `path` before is then untouched.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write {path}: {reason}; free the space or choose another folder") from error
    finally:
        with suppress(OSError):  # the folder may never have been one
            temporary.unlink(missing_ok=True)
