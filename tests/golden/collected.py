"""Cases of the golden folder as tests of their own: collected from whatever the folder holds.

    @each_case(network_cases("v2v"))
    def test_it(case): ...

Without the folder the test is skipped; a folder without such cases is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.cases import Case, read_cases, read_json

GOLDEN = Path(os.environ.get("TRIVOX_GOLDEN", Path(__file__).parents[2].parent / "shared" / "golden"))

Test = Callable[..., None]


def each_case(cases: dict[str, Case]) -> Callable[[Test], Test]:
    """Run a test once per case, as its argument `case`."""

    def decorated(test: Test) -> Test:
        @wraps(test)
        def nothing(**_: object) -> None:
            pytest.fail(f"{GOLDEN} holds no case for {test.__name__}")

        if not GOLDEN.is_dir():
            absent = pytest.mark.skip(reason=f"no golden data at {GOLDEN}; set TRIVOX_GOLDEN")
            return pytest.mark.parametrize("case", [pytest.param({}, id="absent", marks=absent)])(test)
        if not cases:
            return pytest.mark.parametrize("case", [pytest.param({}, id="nothing")])(nothing)
        return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])(test)

    return decorated


def network_cases(what: str) -> dict[str, Case]:
    """Described cases of one kind of network; `state_dict` is the list of its tensors."""
    found = {}
    for path in sorted((GOLDEN / "networks").glob("cases*.json")):
        tensors = read_json(path.with_name(path.name.replace("cases", "state_dicts", 1)))
        for described in read_json(path):
            if described["what"] == what:
                found[described["case"]] = described | {"state_dict": tensors[described["case"]]}
    return found


def array_cases(folder: str, name: str, needed: str) -> dict[str, Case]:
    """Cases of a file of arrays, those that have the field `needed`."""
    path = GOLDEN / folder / f"{name}.npz"
    found = read_cases(path) if path.is_file() else {}
    return {name: case for name, case in found.items() if needed in case}


def described_cases(folder: str, name: str) -> dict[str, Case]:
    """Cases of a JSON file, each with its arrays of the npz beside it."""
    path = GOLDEN / folder / f"{name}.json"
    if not path.is_file():
        return {}
    arrays = read_cases(path.with_suffix(".npz"))
    return {case["case"]: case | arrays[case["case"]] for case in read_json(path)}


def network_arrays(case: Case) -> dict[str, Any]:
    """The arrays of a network's case."""
    with np.load(GOLDEN / "networks" / f"{case['case']}.npz", allow_pickle=False) as arrays:
        return dict(arrays)
