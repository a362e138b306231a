"""Files of strangers, opened: regular files only, and no more bytes than a file of their kind has.

A named pipe would wait for a writer for ever, and a device such as /dev/zero never ends. A link to a regular file is as
good as the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from trivox.errors import InputError


def check_regular(path: Path) -> os.stat_result:
    """What the file system says of a regular file. Raises `InputError` for anything else, and where there is none."""
    try:
        state = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}; check the path") from error
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise InputError(f"cannot read {path}: {_reason(error)}; check the path") from error
    if stat.S_ISDIR(state.st_mode):
        raise InputError(f"cannot read {path}: it is a folder; give a file")
    if not stat.S_ISREG(state.st_mode):
        raise InputError(f"cannot read {path}: it is a pipe or a device; give a regular file")
    return state


def open_regular(path: Path) -> BinaryIO:
    """The file, opened to read its bytes. Raises `InputError` as `check_regular` does, and where it may not be read."""
    check_regular(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {_reason(error)}; check the path") from error


def read_bytes(path: Path, most: int) -> bytes:
    """All bytes of a file. Raises `InputError` as `open_regular` does, and for more than `most` of them."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise InputError(
                f"{path} is larger than {most / 1e6:.0f} MB, the most a file of this kind has; give another"
            )
        try:
            return file.read(size)  # the memory for what is asked for is taken at once
        except OSError as error:
            raise InputError(f"cannot read {path}: {_reason(error)}; check the disk") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
