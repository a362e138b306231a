"""Arrays and cells of a MATLAB 5 file (.mat), read without trusting any of its sizes.

Source: MAT-File Format, The MathWorks (Level 5). A file is a header of 128 bytes and elements: a tag (type, number of
bytes) and data, filled up to eight bytes. Read are real numeric arrays and cells of these, compressed or not; other
classes of MATLAB become None. Every element lies within the one that holds it, and what is compressed unpacks to no
more than `LARGEST` bytes in all.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

LARGEST = 2**28
_HEADER, _DEEPEST = 128, 8
_MATRIX, _COMPRESSED = 14, 15
_CELL, _COMPLEX = 1, 0x0800
_NUMERIC_CLASSES = range(6, 16)
# Types of stored numbers.
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}


class _Element(NamedTuple):
    kind: int
    data: memoryview


def variable_of_mat(content: bytes, wanted: str) -> Any:
    """The variable of this name: an array of numbers, or an array of objects for a cell. Raises `ValueError`."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or struct.unpack(f"{order}H", content[124:126])[0] != 0x0100:
        raise ValueError("it is no MATLAB 5 file")
    left = LARGEST
    for element in _elements(memoryview(content)[_HEADER:], order):
        if element.kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(element.data, left)
            left -= len(unpacked)
            if unpacker.unconsumed_tail or left <= 0:
                raise ValueError("it unpacks to more than such a file holds")
            element = next(_elements(memoryview(unpacked), order), _Element(0, memoryview(b"")))
        if element.kind == _MATRIX:
            name, value = _matrix(element.data, order, 0)
            if name == wanted:
                return value
    raise ValueError(f"it has no variable {wanted}")


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack(f"{order}II", data[at : at + 8])
        start, most = at + 8, len(data) - at - 8
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, size, start, most = kind & 0xFFFF, kind >> 16, at + 4, 4
            at += 8
        else:
            at = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if size > most:
            raise ValueError("it is cut off")
        yield _Element(kind, data[start : start + size])


def _matrix(data: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of a miMATRIX element; an empty one is an empty array."""
    parts = list(_elements(data, order))
    if not parts:
        return "", np.empty((0, 0))
    if len(parts) < 3 or depth > _DEEPEST:
        raise ValueError("it has an array without shape, or cells within too many cells")
    flags, shape, name = _numbers(parts[0], order), _numbers(parts[1], order).tolist(), bytes(parts[2].data)
    if not len(flags) or not 2 <= len(shape) <= 8 or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("it has an array of a shape that cannot be")
    return name.decode("latin-1"), _value(int(flags[0]), shape, parts[3:], order, depth)


def _value(flags: int, shape: list[int], parts: list[_Element], order: str, depth: int) -> Any:
    kind, count = flags & 0xFF, math.prod(shape)
    if kind == _CELL:
        if len(parts) != count or any(part.kind != _MATRIX for part in parts):
            raise ValueError("a cell does not have the members it needs")
        cells = np.empty(count, object)
        for i, part in enumerate(parts):
            cells[i] = _matrix(part.data, order, depth + 1)[1]
        return cells.reshape(shape, order="F")
    if kind not in _NUMERIC_CLASSES or flags & _COMPLEX:
        return None
    numbers = _numbers(parts[0], order) if parts else np.empty(0)
    if len(numbers) != count:
        raise ValueError("an array does not have the numbers it needs")
    return numbers.astype(numbers.dtype.newbyteorder("=")).reshape(shape, order="F")


def _numbers(element: _Element, order: str) -> np.ndarray:
    if element.kind not in _TYPES:
        raise ValueError("it has numbers of a type that is not known")
    dtype = np.dtype(_TYPES[element.kind]).newbyteorder("<" if order == "<" else ">")
    if len(element.data) % dtype.itemsize:
        raise ValueError("it has a part of a number")
    return np.frombuffer(element.data, dtype)
