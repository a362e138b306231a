"""Write a file whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trivox.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name, on any failure it is removed.

    The temporary name keeps the suffix, because some writers choose their format by it. Raises `InputError`
    where the file cannot be written, with what to do about it; what stood at `path` before is then untouched.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write {path}: {reason}; {_advice(error)}") from error
    finally:
        with suppress(OSError):  # the folder may never have been one
            temporary.unlink(missing_ok=True)


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "free the space or choose another folder"
        case errno.EEXIST | errno.ENOTDIR:
            return "a file stands where a folder is needed, so choose another"
        case errno.EISDIR:
            return "a folder has that name, so choose another"
        case errno.ENAMETOOLONG:
            return "choose a shorter name"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "choose a folder that you may write to"
        case _:
            return "choose another folder"
