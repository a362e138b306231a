"""The public names: there when asked for, not before, whatever was imported first. In a process without the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

FIRST = ("pass", "import trivox.evaluate_model", "from trivox.predict import predict", "import trivox.geometry.rig")
# Everything that is to be seen, told in one process: to load torch takes longer than all the rest.
PROGRAM = f"""
import json, sys
import trivox, trivox.cli

told = {{"loaded before": "torch" in sys.modules}}
trivox.Rig
told["loaded after"] = "torch" in sys.modules

import torch
from trivox.geometry.association import associate
eye = torch.eye(3).double().expand(2, 3, 3)
t_mm = torch.tensor([[0.0, 0, 3000], [500, 0, 3000]]).double()
cameras = trivox.Cameras(eye, eye, t_mm, torch.zeros(2, 5).double())
associate(torch.rand(1, 2, 3, 17, 2), torch.ones(1, 2, 3, 17), cameras, 2)
told["symbolic algebra"] = "sympy" in sys.modules

told["errors"] = []
for name in ("nothing", "_nothing", "__wrapped__"):
    try:
        getattr(trivox, name)
    except AttributeError as error:
        told["errors"].append(str(error))
told["all"] = trivox.__all__

def forgotten():
    for name in [name for name in sys.modules if name.partition(".")[0] == "trivox"]:
        del sys.modules[name]

for first in {FIRST!r}:
    forgotten()
    here = {{}}
    exec(first, here)
    import trivox
    told[first] = {{
        "no functions": [
            name
            for name in ("evaluate", "evaluate_model", "export", "import_weights", "predict", "triangulate_files")
            if getattr(trivox, name) is not getattr(sys.modules["trivox." + name], name)
        ]
    }}
    exec("from trivox import *", here)
    told[first]["other by star"] = [n for n in trivox.__all__ if here[n] is not getattr(trivox, n)]
    told[first]["not in dir"] = sorted(set(trivox.__all__) - set(dir(trivox)))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("first", FIRST)
def test_a_name_is_the_function_and_never_its_file(told: dict[str, Any], first: str) -> None:
    assert told[first] == {"no functions": [], "other by star": [], "not in dir": []}


def test_nothing_is_loaded_before_a_name_is_used(told: dict[str, Any]) -> None:
    assert (told["loaded before"], told["loaded after"]) == (False, True)


def test_associating_imports_no_symbolic_algebra(told: dict[str, Any]) -> None:
    """It would take longer than associating a whole video's survey."""
    assert not told["symbolic algebra"]


def test_other_names_are_an_error(told: dict[str, Any]) -> None:
    assert told["errors"] == [
        f"module 'trivox' has no attribute {name!r}" for name in ("nothing", "_nothing", "__wrapped__")
    ]


def test_what_people_look_for_is_there_and_nothing_twice(told: dict[str, Any]) -> None:
    names = told["all"]
    assert {"load_rig", "predict", "triangulate", "triangulate_ransac", "Rig", "InputError"} <= set(names)
    assert len(set(names)) == len(names)
