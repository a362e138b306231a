"""Single pictures, and a folder of them read as if it were a video.

The pictures of a folder are in the natural order of their names (2 before 10). Their numbers are those in the
names that count frames (`frame_numbers.py`): `cam2_0001.jpg, cam2_0002.jpg` are pictures 1 and 2. Where the names
are of different kinds, or no number rises through them, the pictures have none.

Pixels are taken as stored. An EXIF orientation is ignored, because the cameras that write numbered folders
write none and tools that calibrate on such folders read the stored pixels; a camera mounted sideways is a
field of the rig (`quarter_turns`). Gray pictures become RGB, 16-bit ones keep their high byte, transparency
is dropped.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8

from trivox.base.atomic import atomic_write
from trivox.base.reading import read_bytes
from trivox.errors import InputError
from trivox.files.frame_numbers import frame_numbers, natural
from trivox.files.videos import VideoInfo

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_JPEG_SUFFIXES = (".jpg", ".jpeg")
_MOST_PIXELS, _MOST_BYTES = 2**27, 2**29


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The stored pixels as RGB. Raises `InputError` where the file is missing, damaged or no picture."""
    return _decoded(path, read_bytes(path, _MOST_BYTES))


def _decoded(path: Path, data: bytes) -> np.ndarray:
    picture = _decoded_jpeg(data) if data.startswith(b"\xff\xd8") else None
    if picture is None:
        picture = _decoded_other(data)
    if picture is None:
        raise _unreadable(path)
    return picture


class DamagedPicture(InputError):
    """A file is damaged, or no picture."""


def _unreadable(path: Path) -> DamagedPicture:
    return DamagedPicture(
        f"{path} is damaged or no picture that can be read; give a whole JPEG, PNG, BMP, TIFF or WebP"
    )


def read_reduced_image(path: Path, largest_factor: float) -> ReducedImage:
    """The picture as RGB, a JPEG at 1/2, 1/4 or 1/8 of its size where that divides it by no more than `largest_factor`.

    Such a JPEG is decoded in a third less time; each pixel is nearly, not exactly, the mean of those it stands for.
    """
    data = read_bytes(path, _MOST_BYTES)
    factor = max((f for f in (2, 4, 8) if f <= largest_factor), default=1)
    if factor == 1 or not data.startswith(b"\xff\xd8"):
        picture = _decoded(path, data)
        return ReducedImage(picture, 1, (picture.shape[0], picture.shape[1]))
    try:
        height, width = (int(side) for side in simplejpeg.decode_jpeg_header(data)[:2])
        if _is_too_large(height, width):
            raise _unreadable(path)
        picture = simplejpeg.decode_jpeg(
            data, colorspace="RGB", min_height=-(-height // factor), min_width=-(-width // factor), min_factor=1
        )
    except ValueError as error:
        raise _unreadable(path) from error
    return ReducedImage(picture, factor, (height, width))


class ReducedImage(NamedTuple):
    """A picture of `image_hw`, of which every `factor` pixels are one."""

    picture: UInt8[np.ndarray, "h w 3"]
    factor: int
    image_hw: tuple[int, int]


def _is_too_large(height: int, width: int) -> bool:
    """Whether a picture claims more pixels than any has; a damaged or false head would take all memory."""
    return height * width > _MOST_PIXELS


def _decoded_jpeg(data: bytes) -> np.ndarray | None:
    try:
        if _is_too_large(*(int(side) for side in simplejpeg.decode_jpeg_header(data)[:2])):
            return None
        return simplejpeg.decode_jpeg(data, colorspace="RGB")
    except ValueError:
        return None


def _decoded_other(data: bytes) -> np.ndarray | None:
    if not data or data.startswith(b"\xff\xd8"):  # OpenCV would fill in what a cut JPEG lacks
        return None
    if data.startswith(b"\x89PNG") and len(data) >= 24 and _is_too_large(*struct.unpack(">II", data[16:24])):
        return None
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def write_image(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write an RGB picture in the format of the suffix; JPEG with quality 95 and full colour resolution."""
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise InputError(f"{path} has no picture format's name; end it in one of {', '.join(IMAGE_SUFFIXES)}")
    if suffix in _JPEG_SUFFIXES:
        contiguous = np.ascontiguousarray(picture)
        data = simplejpeg.encode_jpeg(contiguous, quality=95, colorspace="RGB", colorsubsampling="444")
    else:
        written, encoded = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        assert written, "OpenCV encodes every 8-bit RGB picture"
        data = encoded.tobytes()
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


class ImageFolder:
    """The pictures in a folder, with the interface of `Video`; frame i is the i-th of the sorted pictures.

    `numbers[i]` is the number in the name of picture i, or `numbers` is None where names carry none.
    `doubt` is a sentence where other numbers in the names could count as well.
    `is_sequence`: the names differ in numbers only. `missing` holds the numbers that the sequence skips
    (`missing_numbers`). Raises `InputError` where the folder has no readable picture, or two with one number.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputError(f"there is no folder {path}; check the path")
        images = [p for p in path.iterdir() if is_image(p)]
        if not images:
            raise InputError(f"the folder {path} holds no picture ({', '.join(IMAGE_SUFFIXES)}); check the path")
        self.paths = tuple(sorted(images, key=lambda p: (natural(p.stem), p.name)))
        self.numbers, self.doubt = _numbered(self.paths)
        self.is_sequence = len({re.sub(r"\d+", "0", path.stem) for path in self.paths}) == 1
        self.missing = missing_numbers(self.numbers) if self.numbers else ()
        self._lost: set[str] = set()
        h, w, _ = self._first().shape
        self.info = VideoInfo(path, (h, w), len(self.paths), fps=None)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """RGB pictures `start`, `start + step`, ... before `stop` (None: the end), read when asked for.

        Raises `InputError` where a picture cannot be read or has another size than the first.
        """
        assert start >= 0 and step >= 1, "frames counts forward from 0"
        for path in self.paths[start:stop:step]:
            yield self._read(path)

    def pictures(self, numbers: Sequence[int]) -> Generator[UInt8[np.ndarray, "h w 3"] | None, None, None]:
        """RGB pictures at these places in the folder, read when asked for; None for one that cannot be decoded.

        Raises `InputError` where one has another size than the first.
        """
        for number in numbers:
            try:
                yield self._read(self.paths[number])
            except DamagedPicture:
                self._lost.add(self.paths[number].name)
                yield None

    @property
    def damage(self) -> str | None:
        """Which pictures are known by now to be damaged, as a sentence."""
        if not self._lost:
            return None
        names = sorted(self._lost)
        few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{self.info.path} has pictures that cannot be decoded: {few}"

    def renumbered(self, shift: int) -> ImageFolder:
        """The same folder with `shift` added to its numbers."""
        assert self.numbers is not None, "renumbered needs numbers in the names"
        folder = copy(self)
        folder.numbers = tuple(number + shift for number in self.numbers)
        return folder

    def with_numbers(self, numbers: Sequence[int]) -> ImageFolder:
        """The same folder without the pictures whose number is not among `numbers`."""
        assert self.numbers is not None, "with_numbers needs numbers in the names"
        wanted = set(numbers)
        kept = [(p, n) for p, n in zip(self.paths, self.numbers, strict=True) if n in wanted]
        folder = copy(self)
        folder.paths, folder.numbers = tuple(p for p, _ in kept), tuple(n for _, n in kept)
        folder.info = replace(self.info, frame_count=len(kept))
        return folder

    def _first(self) -> UInt8[np.ndarray, "h w 3"]:
        """The first picture that can be decoded."""
        for path in self.paths:
            with suppress(DamagedPicture):
                return read_image(path)
        raise _unreadable(self.paths[0])

    def _read(self, path: Path) -> UInt8[np.ndarray, "h w 3"]:
        picture = read_image(path)
        if picture.shape[:2] != self.info.image_hw:
            (h, w), (h0, w0) = picture.shape[:2], self.info.image_hw
            raise InputError(
                f"{path} is {w}x{h}, but {self.paths[0].name} is {w0}x{h0}; all pictures of a folder must have one size"
            )
        return picture


def is_image(path: Path) -> bool:
    """Whether this is a file with the name of a picture; hidden ones (`._1.jpg` of a Mac) are not meant."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _numbered(paths: Sequence[Path]) -> tuple[tuple[int, ...] | None, str | None]:
    """The numbers of pictures in natural order, None where they have none, and what is doubtful about them."""
    if len(paths) < 2 or len({re.sub(r"[0-9]+", "#", path.stem) for path in paths}) > 1:
        return None, None
    for first, second in pairwise(paths):
        if natural(first.stem) == natural(second.stem):
            raise InputError(
                f"{first} and {second.name} are the same picture of their folder by their numbers; keep one of them, "
                "and give each camera its own folder"
            )
    told = frame_numbers([path.name for path in paths])
    numbers = tuple(number for number in told.numbers if number is not None)
    rises = len(numbers) == len(paths) and all(a < b for a, b in pairwise(numbers))
    return (numbers, told.doubt) if rises else (None, None)


def missing_numbers(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """What the sequence skips. Every tenth picture is no gap: all distances are multiples of the step.

    Where more are missing than there, the numbers do not count pictures (but time, say), and nothing is missing.
    """
    step = reduce(math.gcd, (b - a for a, b in zip(numbers, numbers[1:], strict=False)), 0)
    if not step or len(range(numbers[0], numbers[-1] + 1, step)) > 2 * len(numbers):
        return ()
    return tuple(sorted(set(range(numbers[0], numbers[-1], step)) - set(numbers)))
