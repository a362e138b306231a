"""What a pickle says of NumPy's arrays, data types and scalars, made anew from checked plain values.

NumPy pickles an array as a call of `_reconstruct` followed by a state (version, shape, data type, Fortran order,
bytes), a data type as a call of `dtype` followed by a state of eight, a scalar as a call of `scalar`; from protocol 5
on an array is one call of `_frombuffer`. None of these is called here: NumPy trusts such states, and a false one makes
it read memory that is not its own. Every function raises `ValueError` where the values do not fit each other.
Sources: `array_reduce` and `arraydescr_reduce` in numpy/numpy, `numpy/_core/src/multiarray`.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np

# Booleans, numbers, texts and raw bytes of fixed size, and objects; neither dates nor long doubles.
_CODE = re.compile(r"[<>|=]?(b1|i[1248]|u[1248]|f[248]|c8|c16|[SUV]\d{1,9}|O8?)")
_ORDERS = {"<", ">", "|", "="}
_AXES = 32
_SIDE = 2**48


class Building:
    """An array or data type that a pickle has begun; `value` stands once its state has come."""

    def __init__(self, value: np.dtype | None = None) -> None:
        self.value: Any = value
        self.finished = False

    def build(self, state: Any) -> None:
        """Take the state that follows the call."""
        if self.finished:
            raise ValueError("an array gets a second state")
        self.value = _array(state) if self.value is None else _dtype(self.value, state)
        self.finished = True


def begun_array(arguments: tuple[Any, ...]) -> Building:
    """`_reconstruct(ndarray, (0,), b"b")`: what the placeholder would hold does not matter."""
    if len(arguments) != 3:
        raise ValueError("an array is begun with other than three values")
    return Building()


def begun_dtype(arguments: tuple[Any, ...]) -> Building:
    """`dtype("f4", False, True)`."""
    code = _text(arguments[0]) if 1 <= len(arguments) <= 3 else ""
    if not _CODE.fullmatch(code):
        raise ValueError(f"a data type {code[:20]!r} is not one of plain values")
    return Building(np.dtype("O" if "O" in code else code))


def scalar(arguments: tuple[Any, ...]) -> Any:
    """`scalar(dtype, bytes)`."""
    dtype, data = arguments
    return _filled((), _plain(dtype), False, data)[()]


def array_of_buffer(arguments: tuple[Any, ...]) -> np.ndarray:
    """`_frombuffer(bytes, dtype, shape, order)`."""
    data, dtype, shape, order = arguments
    if order not in ("C", "F"):
        raise ValueError("an array is in neither C nor Fortran order")
    return _filled(shape, _plain(dtype), order == "F", data)


def _array(state: Any) -> np.ndarray:
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError("an array has a state of another form")
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, np.dtype):
        raise ValueError("an array has no data type")
    if dtype == np.dtype(object):
        return _filled_with_objects(shape, fortran is True, data)
    return _filled(shape, _plain(dtype), fortran is True, data)


def _filled(shape: Any, dtype: np.dtype, fortran: bool, data: Any) -> np.ndarray:
    data = data.encode("latin-1") if isinstance(data, str) else data  # Python 2 called bytes text
    size = _size(shape) * dtype.itemsize
    if not isinstance(data, bytes | bytearray) or len(data) != size or (not dtype.itemsize and _size(shape)):
        raise ValueError(f"an array of shape {shape} and type {dtype} does not have the bytes it needs")
    # The bytes are copied: arrays are to be written to, and a pickle may use the same bytes twice.
    array = np.ndarray(shape, dtype, bytearray(data), order="F" if fortran else "C")
    check_text(array)
    return array


def check_text(array: np.ndarray) -> None:
    """Raise `ValueError` for text that is none: NumPy believes that every four bytes are a character, until one is
    looked at."""
    for column in array.dtype.names or ():
        check_text(array[column])
    if array.dtype.kind == "U" and array.size:
        order = {"<": "<", ">": ">"}.get(array.dtype.byteorder, "=")
        if np.frombuffer(array.tobytes(), f"{order}u4").max() > sys.maxunicode:
            raise ValueError("an array of text holds what is no character")


def _filled_with_objects(shape: Any, fortran: bool, items: Any) -> np.ndarray:
    if not isinstance(items, list) or len(items) != _size(shape):
        raise ValueError(f"an array of shape {shape} does not have the objects it needs")
    flat = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        flat[i] = item
    return flat.reshape(shape, order="F" if fortran else "C")


def _size(shape: Any) -> int:
    if not isinstance(shape, tuple) or len(shape) > _AXES or not all(map(_is_side, shape)):
        raise ValueError("an array has a shape that cannot be")
    return math.prod(shape)


def _is_side(side: Any) -> bool:
    return type(side) is int and 0 <= side < _SIDE


def _plain(dtype: Any) -> np.dtype:
    """A data type without objects."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise ValueError("an array holds objects where plain values belong")
    return dtype


def _dtype(begun: np.dtype, state: Any) -> np.dtype:
    """(version, byte order, sub-array, names, fields, item size, alignment, flags)."""
    if not isinstance(state, tuple) or len(state) not in (8, 9) or (len(state) == 9 and state[8] is not None):
        raise ValueError("a data type has a state of another form")
    order, subarray, names, fields, itemsize = (_text(state[1]), *state[2:6])
    if order not in _ORDERS:
        raise ValueError("a data type has no byte order")
    if subarray is not None:
        return _of_subarray(subarray)
    if names is not None:
        return _of_fields(names, fields, itemsize)
    return begun.newbyteorder(order) if order in "<>" else begun  # type: ignore[arg-type]


def _of_subarray(subarray: Any) -> np.dtype:
    base, shape = subarray
    shape = (shape,) if _is_side(shape) else shape
    if _size(shape) * _simple(base).itemsize >= 2**31:
        raise ValueError("a sub-array is too large")
    return np.dtype((base, shape))


def _of_fields(names: Any, fields: Any, itemsize: Any) -> np.dtype:
    if not isinstance(names, tuple) or not isinstance(fields, dict) or len(fields) != len(names):
        raise ValueError("a table has columns without name or place")
    formats, offsets = zip(*(fields[name] for name in names), strict=True) if names else ((), ())
    if not all(map(_is_side, (itemsize, *offsets))):
        raise ValueError("a column lies outside its table")
    for column in formats:
        _simple(column.subdtype[0] if isinstance(column, np.dtype) and column.subdtype else column)
    texts = [_text(name) for name in names]
    # NumPy checks in this form, and only in this, that every column lies within the row.
    return np.dtype({"names": texts, "formats": list(formats), "offsets": list(offsets), "itemsize": itemsize})


def _simple(dtype: Any) -> np.dtype:
    """One plain value: columns hold these or arrays of these, never tables of their own."""
    if _plain(dtype).names is not None or dtype.subdtype is not None:
        raise ValueError("a column of a table is a table itself")
    return dtype


def _text(value: Any) -> str:
    """Text, which Python 2 may have written as bytes."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError("a data type is described by something other than text")
    return text
