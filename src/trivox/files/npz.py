"""Our own arrays in NumPy's .npz: named arrays and text, no pickle in either direction."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
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


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write compressed arrays atomically."""
    with atomic_write(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the archive. Arrays of objects (pickles) are refused unread."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}; check the path") from error
    except BROKEN as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays; write it again") from error


def read_npz_of(path: Path, expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    """Exactly the arrays named in `expected`, each of this dtype and shape.

    The heads of all arrays, and what the archive says of their sizes, are compared first: an archive that would unpack
    to more than was expected takes no memory. Raises `InputError`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(archive.infolist()) != len(expected) or found.keys() != expected.keys():
                raise InputError(f"{path} holds {sorted(found)[:20]}, expected {sorted(expected)}; write it again")
            for name, (dtype, shape) in expected.items():
                _check_head(path, archive, found[name], dtype, shape)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}; check the path") from error
    except BROKEN as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays; write it again") from error
    return read_npz(path)


def _check_head(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, dtype: str, shape: tuple[int, ...]
) -> None:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        have, _, kind = np.lib.format.read_array_header_1_0(file)
        head = file.tell()
    if have != shape or kind != np.dtype(dtype):
        raise InputError(f"{path}: {info.filename} is {kind} of shape {have}, expected {dtype} of {shape}")
    if info.file_size != head + math.prod(shape) * np.dtype(dtype).itemsize:
        raise InputError(f"{path}: {info.filename} has not the size that it claims; write it again")


class Fields:
    """The arrays of one file, asked for by name, kind and shape; a letter is one size in all shapes."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.arrays = path, read_npz(path)
        self.sizes: dict[str, int] = {}
        if "format" not in self.arrays or self.text("format") != kind:
            raise InputError(f"{path} is not a file of {kind!r}; give one that trivox wrote")

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def array(self, name: str, kinds: str, shape: str) -> np.ndarray:
        """Field `name` with a dtype kind among `kinds` ("f", "iu", "b", "U") and a shape such as "F J 3"."""
        if name not in self.arrays:
            raise InputError(f"{self.path} lacks the array {name!r}; write it again with trivox")
        array = self.arrays[name]
        if array.dtype.kind not in kinds or not self._fits(array.shape, shape.split()):
            have = f"{array.dtype} of shape {array.shape}"
            raise InputError(f"{self.path}: {name!r} is {have}, expected ({shape}); write it again")
        return array

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
        names = tuple(str(name) for name in self.array("joints", "U", "J"))
        bones = self.array("bones", "iu", "B 2")
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
