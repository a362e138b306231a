"""Reading text and JSON from strangers: whatever the bytes are, the answer is a value or an `InputError`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from trivox.errors import InputError

_LARGEST_YAML = 4_000_000


def read_text(path: Path) -> str:
    """The file as UTF-8, without a byte-order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the path") from error
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
    if path.is_file() and path.stat().st_size > _LARGEST_YAML:
        raise InputError(f"{path} is far larger than any file of this kind; give another file")
    text = read_text(path)
    try:
        # Aliases let a small file describe an endless one.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise InputError(f"{path} uses aliases (*name), which are not followed; write out what they stand for")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())  # the parser shows the place in lines of their own
        raise InputError(f"{path} is not valid YAML ({said[:200]}); correct it") from error


def numbers(value: Any, path: Path, what: str) -> np.ndarray:
    """`value`, a rectangular nest of lists of numbers, as a float64 array. Refuses text and ragged lists."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "iufb" or array.size == 0:
            return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        pass  # ragged
    raise InputError(f"{path}: {what} should be a rectangular list of numbers; write the file again")


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
