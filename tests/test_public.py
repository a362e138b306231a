"""The public names: there when asked for, not before, whatever was imported first. Each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST = ("pass", "import trivox.evaluate_model", "from trivox.predict import predict", "import trivox.geometry.rig")


def said_by(program: str) -> str:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("first", FIRST)
def test_a_name_is_the_function_and_never_its_file(first: str) -> None:
    program = f"""
{first}
import trivox
for name in ("evaluate", "evaluate_model", "export", "import_weights", "predict", "triangulate_files"):
    assert getattr(trivox, name) is getattr(__import__("sys").modules["trivox." + name], name), name
from trivox import *
assert trivox.__all__ and all(globals()[name] is getattr(trivox, name) for name in trivox.__all__)
assert set(trivox.__all__) <= set(dir(trivox))
"""
    said_by(program)


def test_nothing_is_loaded_before_a_name_is_used() -> None:
    program = """
import sys, trivox, trivox.cli
print("torch" in sys.modules, end=" ")
trivox.Rig
print("torch" in sys.modules)
"""
    assert said_by(program) == "False True\n"


def test_other_names_are_an_error() -> None:
    program = """
import trivox
for name in ("nothing", "_nothing", "__wrapped__"):
    try:
        getattr(trivox, name)
    except AttributeError as error:
        print(error)
"""
    assert said_by(program).splitlines() == [
        f"module 'trivox' has no attribute {name!r}" for name in ("nothing", "_nothing", "__wrapped__")
    ]
