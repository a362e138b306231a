"""Values out of other people's files, each with one clear sentence when it is not what was expected.

A `Table` is one mapping of a file together with the words that name it ("rig.toml, camera 'left'"). Whatever
is missing, of another type or shape, not a number or not finite ends in an `InputError` that begins with
those words.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivox.errors import InputError

_LARGEST = 1e12
# How programs without a word for nothing write it.
_NOTHING = {
    *("", "null", "none", "n/a", "~"),
    *("nan", "-nan", ".nan", "-.nan", "nan(ind)", "-nan(ind)", "1.#qnan", "-1.#ind"),
}


class Table:
    """A mapping from a file and where it stands in that file."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, dict):
            raise InputError(f"{where}: expected named values, got {_short(content)}; check the file's format")
        self.content: dict[Any, Any] = content
        self.where = where

    def error(self, said: str) -> InputError:
        return InputError(f"{self.where}: {said}")

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def get(self, *keys: str) -> Any:
        """The value under the first of `keys` that is there; raises `InputError` naming them if none is."""
        for key in keys:
            if key in self.content:
                return _matrix_rows(self.content[key])
        raise self.error(f"{' or '.join(repr(key) for key in keys)} is missing; add it to the file")

    def lacks(self, *keys: str) -> bool:
        """Whether none of `keys` is there with a value: see `is_nothing`."""
        return all(is_nothing(self.content.get(key)) for key in keys)

    def table(self, key: str) -> Table:
        return Table(self.get(key), f"{self.where}, {key}")

    def tables(self, key: str) -> list[Table]:
        """A list of mappings."""
        return [Table(item, f"{self.where}, {key}[{i}]") for i, item in enumerate(self.sequence(key))]

    def sequence(self, key: str) -> list[Any]:
        value = self.get(key)
        if not isinstance(value, list):
            raise self.error(f"{key!r} must be a list, got {_short(value)}; correct the file")
        return value

    def text(self, *keys: str) -> str:
        """A text; a whole number is taken as its digits, since cameras are often numbered."""
        value = self.get(*keys)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self.error(f"{keys[0]!r} must be a text, got {_short(value)}; correct the file")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where the key is absent."""
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"{key!r} must be true or false, got {_short(value)}; correct the file")
        return value

    def number(self, *keys: str) -> float:
        return self._finite(self.get(*keys), keys[0])

    def whole(self, *keys: str) -> int:
        value = self.number(*keys)
        if not value.is_integer():
            raise self.error(f"{keys[0]!r} must be a whole number, got {value:g}; correct the file")
        return int(value)

    def vector(self, *keys: str, length: int) -> NDArray[np.float64]:
        """`length` numbers, as a row, a column, or a plain list."""
        values = self._flat(self.get(*keys), keys[0])
        if len(values) != length:
            raise self.error(f"{keys[0]!r} must hold {length} numbers, got {len(values)}; correct the file")
        return np.array(values)

    def matrix(self, *keys: str, rows: int = 3, columns: int = 3) -> NDArray[np.float64]:
        """`rows` lists of `columns` numbers, or all of them in one list, row by row."""
        value = self.get(*keys)
        values = self._flat(value, keys[0])
        lengths = [len(row) if isinstance(row, list) else 1 for row in value] if isinstance(value, list) else []
        if lengths not in ([columns] * rows, [1] * rows * columns):
            raise self.error(f"{keys[0]!r} must be {rows} x {columns} numbers, got {_short(value)}; correct it")
        return np.array(values).reshape(rows, columns)

    def numbers(self, key: str) -> NDArray[np.float64]:
        """However many numbers, as a row, a column, or a plain list; none where nothing stands there."""
        return np.array([] if self.lacks(key) else self._flat(self.get(key), key))

    def size_hw(self, *keys: str) -> tuple[int, int]:
        """(height, width) from a list [width, height]."""
        width, height = self.vector(*keys, length=2)
        if not (float(width).is_integer() and float(height).is_integer()):
            raise self.error(f"{keys[0]!r} must be whole pixels, got {width:g} x {height:g}; correct the file")
        return int(height), int(width)

    def _flat(self, value: Any, key: str) -> list[float]:
        """Numbers nested at most two lists deep. Never walks further: a hostile file may nest without end."""
        rows = value if isinstance(value, list) else [value]
        flat = [item for row in rows[:64] for item in (row[:64] if isinstance(row, list) else [row])]
        return [self._finite(item, key) for item in flat]

    def _finite(self, value: Any, key: str) -> float:
        try:
            number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
        except (ValueError, OverflowError):
            number = None
        if number is None:
            raise self.error(f"{key!r} must be numbers, got {_short(value)}; correct the file")
        if not math.isfinite(number) or abs(number) > _LARGEST:
            raise self.error(f"{key!r} holds {_short(value)}, which is no usable number; calibrate again")
        return number


def _matrix_rows(value: Any) -> Any:
    """The numbers of a matrix that nothing marks as one: ROS writes rows, cols and data, OpenCV sizes and data for
    arrays of one axis."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        return value
    data, sizes = value["data"], value.get("sizes", [value.get("rows"), value.get("cols")])
    sizes = sizes if isinstance(sizes, list) else [sizes]
    if not all(str(size).isdecimal() and len(str(size)) < 6 for size in sizes):
        return value
    rows, width = (int(sizes[0]), int(sizes[1])) if len(sizes) == 2 else (0, 0)
    return [data[row * width : (row + 1) * width] for row in range(rows)] if rows * width == len(data) else data


def is_nothing(value: Any, depth: int = 2) -> bool:
    """Whether a value only says that there is none: null, its word, NaN, lists of nothing else, a matrix of zeros."""
    if isinstance(value, list):
        return depth > 0 and (_is_zero_matrix(value) or all(is_nothing(item, depth - 1) for item in value[:64]))
    return value is None or (isinstance(value, (str, float)) and str(value).strip().casefold() in _NOTHING)


def _is_zero_matrix(value: list[Any]) -> bool:
    """Whether these are at least 3 x 3 zeros, which neither lens nor pose can be."""
    rows = [row for row in value[:64] if isinstance(row, list) and 3 <= len(row) <= 64]
    return 3 <= len(rows) == len(value) and all(_is_zero(item) for row in rows for item in row)


def _is_zero(item: Any) -> bool:
    try:
        return isinstance(item, (int, float, str)) and not isinstance(item, bool) and float(item) == 0
    except (ValueError, OverflowError):
        return False


def _short(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a table of {len(value)}"
    if value is None:
        return "nothing"
    text = str(value)[:40] if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
    return repr(text) if isinstance(value, str) else text
