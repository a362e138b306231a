"""Reading text and JSON from strangers: whatever the bytes are, the answer is a value or an `InputError`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from yaml.composer import Composer

from trivox.base.reading import read_bytes
from trivox.errors import InputError
from trivox.geometry.triangulated import FARTHEST_MM

_LARGEST_TEXT = 2**29  # hours of joints as JSON
_LARGEST_YAML = 1_000_000  # calibrations of hundreds of cameras; it is read at a tenth of a megabyte a second


def read_text(path: Path, most: int = _LARGEST_TEXT) -> str:
    """The file as UTF-8, without a byte-order mark. Raises `InputError` for one of more than `most` bytes."""
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file; give a file in one of the documented formats") from error


def read_json(path: Path) -> Any:
    """The parsed JSON document."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); write it again") from error


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML document: nothing in it is executed."""
    return parse_yaml(read_text(path, _LARGEST_YAML), str(path))[0]


def parse_yaml(text: str, where: str) -> tuple[Any, yaml.Node | None]:
    """The plain data of a YAML text, and the nodes that say in which lines they stand."""
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        return None if node is None else loader.construct_document(node), node
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, LookupError, AttributeError) as error:
        said = " ".join(str(error).split())  # the parser shows the place in lines of their own
        raise InputError(f"{where} is not valid YAML ({said[:200]}); correct it") from error


class GuardedYaml(Composer):
    """Mixed into a loader of PyYAML, it refuses aliases, which let a small file describe an endless one, and texts that
    are larger than any file of this kind. Its errors are `yaml.YAMLError`s."""

    def __init__(self, text: str) -> None:
        if len(text) > _LARGEST_YAML:
            raise yaml.YAMLError(f"it has {len(text)} characters, more than {_LARGEST_YAML}")
        super().__init__(text)  # pyright: ignore[reportCallIssue]

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):  # pyright: ignore[reportAttributeAccessIssue]
            raise yaml.YAMLError("it uses aliases (*name), which must be written out")
        return super().compose_node(parent, index)


class _PlainLoader(GuardedYaml, yaml.SafeLoader):
    pass


def numbers(value: Any, path: Path, what: str) -> np.ndarray:
    """`value`, a rectangular nest of lists of numbers, as a float64 array. Refuses text and ragged lists."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "iufb" or array.size == 0:
            return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        pass  # ragged
    raise InputError(f"{path}: {what} should be a rectangular list of numbers; write the file again")


def check_places(points: np.ndarray, path: Path, mm_per_unit: float = 1.0) -> None:
    """Refuse numbers that no place of a person can have; NaN is no place at all."""
    farthest_mm = float(np.fmax.reduce(np.abs(points), axis=None, initial=0)) * mm_per_unit
    if farthest_mm > FARTHEST_MM:
        raise InputError(
            f"{path} has a joint {farthest_mm:g} mm away, farther than {FARTHEST_MM / 1e6:g} km; correct the file, or "
            "its unit"
        )


def whole(value: Any, path: Path, what: str) -> int:
    """`value` as a whole number from 0 that fits 64 bits; a float or text that holds one is taken."""
    try:
        number = int(value)
        if not isinstance(value, bool) and 0 <= number < 2**63 and float(value) == float(number):
            return number
    except (ValueError, TypeError, OverflowError):
        pass  # not a number at all
    raise InputError(f"{path}: {what} should be a whole number from 0, not {str(value)[:40]!r}; correct the file")


def last_number(text: str) -> int | None:
    """The last run of digits in a file name, ignoring its suffix: where programs put the frame number."""
    stem = re.split(r"[\\/]", text)[-1]
    stem = re.sub(r"\.[A-Za-z]\w*$", "", stem)
    digits = re.findall(r"[0-9]+", stem.removesuffix("_keypoints"))
    return int(digits[-1]) if digits and len(digits[-1]) <= 18 else None
