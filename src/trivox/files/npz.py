"""Our own arrays in NumPy's .npz: named arrays and text, no pickle in either direction.

A file is believed only as far as its size goes: what its arrays would unpack to is read from their heads, before memory
is taken, and arrays that nobody asks for are not unpacked.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from trivox.base.atomic import atomic_write
from trivox.base.reading import check_regular, open_regular
from trivox.errors import InputError
from trivox.files.pickled_arrays import check_text
from trivox.geometry.skeletons import Skeleton

# What NumPy and zipfile raise on damaged archives.
BROKEN = (
    ValueError,
    KeyError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    SyntaxError,
)
BROKEN += (MemoryError, TypeError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)

# Numbers that were measured shrink by half, gaps by a thousand. What shrinks by more than this is written as it is.
_MOST_SHRUNK, _ALWAYS_READ = 50, 2**27
_READ_HEAD = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MOST_JOINTS, _MOST_BONES = 1000, 10_000


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of numbers and text atomically, compressed unless they would shrink further than readers believe."""
    assert not any(array.dtype.hasobject for array in arrays.values()), "objects would be pickled"
    with atomic_write(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # pyright: ignore[reportArgumentType]
        if sum(array.nbytes for array in arrays.values()) > _most_bytes(temporary.stat().st_size) // 2:
            np.savez(temporary, **arrays)  # pyright: ignore[reportArgumentType]


def _most_bytes(file_bytes: int) -> int:
    """How much the arrays of a file of this size may hold in all."""
    return max(_ALWAYS_READ, _MOST_SHRUNK * file_bytes)


def read_npz(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Those arrays of the archive that are asked for, as far as it has them. Arrays of objects are refused unread."""
    archive = Archive(path)
    return {name: archive.array(name) for name in names if name in archive}


def read_npz_of(path: Path, expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    """Exactly the arrays named in `expected`, each of this dtype and shape.

    The heads of all arrays are compared first: an archive that would unpack to more than was expected takes no memory.
    Raises `InputError`.
    """
    archive = Archive(path)
    if archive.names != expected.keys():
        raise InputError(f"{path} holds {sorted(archive.names)[:20]}, expected {sorted(expected)}; write it again")
    for name, (dtype, shape) in expected.items():
        head = archive.head(name)
        if head.shape != shape or head.dtype != np.dtype(dtype):
            raise InputError(f"{path}: {name} is {head.dtype} of shape {head.shape}, expected {dtype} of {shape}")
    return {name: archive.array(name) for name in expected}


@dataclass(frozen=True)
class Head:
    """What stands before the numbers of an array."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Archive:
    """An .npz file, opened to see which arrays it has; each is unpacked when it is asked for.

    Raises `InputError` for what is no such file, for arrays of objects, and where an array has other bytes than its
    head says, or all that were asked for together would be far more than the file can hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = _most_bytes(check_regular(path).st_size)
        with _unpacking(path), open_regular(path) as file, zipfile.ZipFile(file) as archive:
            self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(self._members) < len(archive.infolist()):
                raise ValueError("two arrays of one name")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def names(self) -> set[str]:
        return set(self._members)

    def head(self, name: str) -> Head:
        with _unpacking(self.path), open_regular(self.path) as file, zipfile.ZipFile(file) as archive:
            return self._head(archive, name)[0]

    def array(self, name: str) -> np.ndarray:
        with _unpacking(self.path), open_regular(self.path) as file, zipfile.ZipFile(file) as archive:
            head, length = self._head(archive, name)
            if self._members[name].file_size != length + head.nbytes:
                raise InputError(f"{self.path}: {name} has not the size that it claims; write it again")
            self._left -= max(head.nbytes, math.prod(head.shape))
            if self._left < 0:
                raise InputError(f"{self.path}: {name} would unpack to more than such a file holds; write it again")
            with archive.open(self._members[name]) as member:
                array = np.lib.format.read_array(member, allow_pickle=False)
            check_text(array)
            return array

    def _head(self, archive: zipfile.ZipFile, name: str) -> tuple[Head, int]:
        """The head, and how many bytes it takes."""
        info = self._members[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("packed in a way that NumPy does not use")
        with archive.open(info) as member:
            shape, _, dtype = _READ_HEAD[np.lib.format.read_magic(member)](member)
            length = member.tell()
        if dtype.hasobject or not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError("not an array of plain values")
        return Head(dtype, shape), length


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays; write it again") from error


class Fields:
    """The arrays of one file, asked for by name, kind and shape; a letter is one size in all shapes."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.archive = path, Archive(path)
        self.sizes: dict[str, int] = {}
        if "format" not in self.archive or self.text("format") != kind:
            raise InputError(f"{path} is not a file of {kind!r}; give one that trivox wrote")

    def __contains__(self, name: str) -> bool:
        return name in self.archive

    def array(self, name: str, kinds: str, shape: str, most: int | None = None) -> np.ndarray:
        """Field `name` with a dtype kind among `kinds` ("f", "iu", "b", "U") and a shape such as "F J 3".

        It is unpacked only where its head fits, and it has no more than `most` rows.
        """
        if name not in self.archive:
            raise InputError(f"{self.path} lacks the array {name!r}; write it again with trivox")
        head = self.archive.head(name)
        if head.dtype.kind not in kinds or not self._fits(head.shape, shape.split()):
            have = f"{head.dtype} of shape {head.shape}"
            raise InputError(f"{self.path}: {name!r} is {have}, expected ({shape}); write it again")
        if most is not None and head.shape[0] > most:
            raise InputError(f"{self.path}: {name!r} has {head.shape[0]} rows, more than {most}; write it again")
        return self.archive.array(name)

    def _fits(self, shape: tuple[int, ...], names: list[str]) -> bool:
        if len(shape) != len(names):
            return False
        return all(
            size == (int(n) if n.isdigit() else self.sizes.setdefault(n, size))
            for size, n in zip(shape, names, strict=True)
        )

    def text(self, name: str) -> str:
        return str(self.array(name, "U", ""))

    def skeleton(self) -> Skeleton:
        """The skeleton that `skeleton_arrays` wrote; its joints are axis J."""
        names = tuple(str(name) for name in self.array("joints", "U", "J", _MOST_JOINTS))
        bones = self.array("bones", "iu", "B 2", _MOST_BONES)
        inside = not bones.size or 0 <= bones.min() <= bones.max() < len(names)
        if not names or len(set(names)) < len(names) or not inside:
            raise InputError(f"{self.path}: 'joints' or 'bones' are not those of a skeleton; write it again")
        pairs = tuple((names[int(parent)], names[int(child)]) for parent, child in bones)
        return Skeleton(self.text("skeleton"), names, pairs, self.text("root"))

    def frames(self) -> np.ndarray:
        """Frame numbers, axis F, at least one, rising from 0 or later."""
        frames = self.array("frames", "iu", "F").astype(np.int64)
        if not frames.size or frames[0] < 0 or (np.diff(frames) <= 0).any():
            raise InputError(f"{self.path}: 'frames' should be rising numbers from 0; write it again")
        return frames


def skeleton_arrays(skeleton: Skeleton) -> dict[str, np.ndarray]:
    """The fields that describe a skeleton in a file."""
    return {
        "skeleton": np.array(skeleton.name),
        "joints": np.array(skeleton.names),
        "bones": np.array(skeleton.bone_indices, dtype=np.int64).reshape(-1, 2),
        "root": np.array(skeleton.root),
    }


def to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
