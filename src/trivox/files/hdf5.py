"""HDF5 files of strangers, opened so that nothing outside of the file is read and no size is believed.

Such a file may say that a part of it is another file: by an external link, by a data set whose numbers are stored
elsewhere, by a virtual data set made of others. None of these is followed: groups are walked by hard links only, and
data sets hold their own numbers. Source: HDF5 User's Guide, "External Links", "External Storage", "Virtual Dataset".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trivox.base.reading import check_regular

# What h5py raises on files that are damaged, or not laid out as their attributes say.
BROKEN = (OSError, KeyError, ValueError, RuntimeError, TypeError, IndexError, AttributeError, MemoryError)
BROKEN += (ArithmeticError, NotImplementedError)

# Packed numbers unpack to no more than so many times the file, or to this in any case.
_MOST_SHRUNK, _ALWAYS_READ = 1000, 2**27


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """The file, to be read. Raises `InputError` where it is no regular file, and what `BROKEN` lists where it is none
    of HDF5."""
    check_regular(path)
    with h5py.File(path, "r") as file:
        yield file


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """What a group holds under a name. Raises `ValueError` for links, whether to another file or within this one."""
    if "/" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link, which is not followed")
    found = group[name]
    if not isinstance(found, h5py.Group | h5py.Dataset):
        raise ValueError(f"{name} is neither a group nor a data set")
    return found


def array_of(data: object, most: int | None = None) -> np.ndarray:
    """The numbers of a data set, at most so many bytes. Raises `ValueError` where they are not its own, or too many."""
    if not isinstance(data, h5py.Dataset):
        raise ValueError("a data set is missing")
    if data.external or data.is_virtual:
        raise ValueError(f"{data.name} takes its numbers from another file, which is not opened")
    if data.shape is None or (data.dtype.hasobject and h5py.check_ref_dtype(data.dtype) is None):
        raise ValueError(f"{data.name} holds what is of no fixed size")
    most = most or max(_ALWAYS_READ, _MOST_SHRUNK * data.id.get_storage_size())
    if int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize > most:
        raise ValueError(f"{data.name} claims to hold more than {most} bytes")
    return np.asarray(data[()])


def text_of(value: Any) -> str:
    """An attribute as text."""
    return value.decode() if isinstance(value, bytes) else str(value)
