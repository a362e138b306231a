"""Write a file whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trivox.errors import InputError

# What writing says of no file in particular: the disk is full, or fails.
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name, on any failure it is removed.

    The temporary name keeps the suffix, because some writers choose their format by it. When this returns, the file
    and its name are on the disk, and a power cut costs neither. Raises `InputError` where the file cannot be written,
    with what to do about it; what stood at `path` before is then untouched. An error of the caller that has nothing
    to do with this file, another one that cannot be read, say, goes through as it is.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with _refusing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
        except OSError as error:
            if not _is_of(error, temporary):
                raise
            raise _refusal(path, error) from error
        with _refusing(path):
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
    finally:
        with suppress(OSError):  # the folder may never have been one
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if os.name != "posix" and path.is_dir():  # elsewhere folders are not opened, and names kept without being asked
        return
    # A picture may be a link to one that its owner only reads; elsewhere only files to be written are synced.
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no syncing
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def _is_of(error: OSError, temporary: Path) -> bool:
    """Whether an error tells that the file cannot be written."""
    if error.filename is None:
        return error.errno in _OF_WRITING
    return str(error.filename) == str(temporary)


def _refusal(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot write {path}: {error.strerror or error}; {_advice(error)}")


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
