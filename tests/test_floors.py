"""The house has floors: imports only go down. The tables are the plan; the sources are read, not run."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "src" / "trivox"

# From the ground up. A room is a file or folder directly in src/trivox. A room imports rooms of its own floor
# and of lower ones, never in a circle. A new room has to be given its floor here.
FLOORS: list[set[str]] = [
    {"errors"},
    {"base"},
    {"geometry"},
    {"models"},
    {"files"},
    {"data", "synthetic"},
    {"losses", "metrics"},
    {
        "benchmark",
        "calibration_report",
        "dataset_check",
        "dataset_drawing",
        "dataset_faults",
        "demo",
        "doctor",
        "drawing",
        "evaluate",
        "evaluate_model",
        "evaluation_doubts",
        "evaluation_inputs",
        "evaluation_report",
        "export",
        "import_weights",
        "kept_predictions",
        "lift",
        "options",
        "people",
        "predict",
        "prepare",
        "progress",
        "recording",
    }
    | {"smooth", "summary", "synth", "train", "training", "triangulate_files"},
    {"view"},
    {"cli"},
    {"public", "__init__", "__main__"},
]

# What a room must not import although its floor would let it. Files and data have no weights.
NOT_FOR: dict[str, set[str]] = {
    "geometry": {"cv2", "av", "viser", "matplotlib", "simplejpeg", "h5py", "yaml", "safetensors"},
    "models": {"cv2", "av", "viser", "matplotlib", "simplejpeg", "h5py", "yaml"},
    "files": {"trivox.models", "viser", "matplotlib"},
    "data": {"trivox.models", "viser", "matplotlib"},
}

# Rooms that read no files, and the files in them that do.
READS_NO_FILES: dict[str, set[str]] = {"geometry": set(), "models": {"models/weights.py"}}
READERS = {
    "open",
    "read_text",
    "read_bytes",
    "safe_open",
    "load_file",
    "fromfile",
    "memmap",
    "genfromtxt",
    "loadtxt",
}
LOADERS = {"np", "numpy", "torch", "json", "yaml", "tomllib", "pickle"}  # whose `load` reads a file

Sources = Mapping[str, str]
"""Path inside src/trivox -> text."""


def module_of(path: str) -> str:
    return ".".join(["trivox", *path.removesuffix(".py").removesuffix("/__init__").split("/")]).removesuffix(
        ".__init__"
    )


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(sources: Sources, path: str) -> Iterator[str]:
    """Every module that a file imports anywhere in it; `from package import module` is that module."""
    modules = {module_of(known) for known in sources}
    for node in ast.walk(ast.parse(sources[path])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports are written in full"
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else node.module for name in named)


def faults_of_floors(sources: Sources) -> list[str]:
    floor = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
    faults = []
    for path in sources:
        room = room_of(module_of(path))
        if room not in floor:
            faults.append(f"{path}: the room {room} has no floor")
            continue
        for imported in imports_of(sources, path):
            top = imported.split(".")[0]
            if top in NOT_FOR.get(room, ()) or ".".join(imported.split(".")[:2]) in NOT_FOR.get(room, ()):
                faults.append(f"{path}: {room} must not import {imported}")
            elif top == "trivox" and floor.get(room_of(imported), 99) > floor[room]:
                faults.append(f"{path}: {imported} is on a higher floor")
    return faults


def circle_of(sources: Sources) -> list[str]:
    graph = {module_of(path): set(imports_of(sources, path)) - {module_of(path)} for path in sources}
    # A package may gather the names of its modules, and these may name each other through it.
    packages = {module_of(path) for path in sources if path.endswith("__init__.py")}
    edges = {module: imported & graph.keys() - packages for module, imported in graph.items()}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def faults_of_reading(sources: Sources) -> list[str]:
    faults = []
    for path, text in sources.items():
        room = room_of(module_of(path))
        if room not in READS_NO_FILES or path in READS_NO_FILES[room]:
            continue
        for call in (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            name = call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "")
            owner = getattr(getattr(call, "value", None), "id", "")
            if name in READERS or (name == "load" and owner in LOADERS):
                faults.append(f"{path}:{call.lineno}: {name} reads a file")
    return faults


@pytest.fixture(scope="module")
def house() -> dict[str, str]:
    return {path.relative_to(SOURCES).as_posix(): path.read_text("utf-8") for path in SOURCES.rglob("*.py")}


def test_imports_only_go_down(house: Sources) -> None:
    assert faults_of_floors(house) == []


def test_nothing_imports_in_a_circle(house: Sources) -> None:
    assert circle_of(house) == []


def test_ground_floors_read_no_files(house: Sources) -> None:
    assert faults_of_reading(house) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"geometry/a.py": "from trivox.files import npz", "files/npz.py": ""}, "is on a higher floor"),
        ({"files/a.py": "def f():\n    import trivox.predict", "predict.py": ""}, "is on a higher floor"),
        ({"models/a.py": "import cv2.dnn"}, "models must not import cv2.dnn"),
        (
            {"files/a.py": "from trivox.models.movenet import x", "models/movenet.py": ""},
            "files must not import",
        ),
        ({"garage/a.py": ""}, "the room garage has no floor"),
        ({"errors.py": "from trivox import predict", "predict.py": ""}, "is on a higher floor"),
    ],
)
def test_a_broken_floor_is_found(broken: Sources, said: str) -> None:
    (fault,) = faults_of_floors(broken)
    assert said in fault


def test_a_circle_is_found() -> None:
    two = {"files/a.py": "from trivox.files import b", "files/b.py": "from trivox.files.a import x"}
    assert set(circle_of(two)) == {"trivox.files.a", "trivox.files.b"}
    assert circle_of({**two, "files/b.py": ""}) == []


@pytest.mark.parametrize("call", ["open('x')", "Path('x').read_text()", "np.load('x')", "torch.load('x')"])
def test_a_reader_is_found(call: str) -> None:
    assert len(faults_of_reading({"models/a.py": call})) == 1
    assert faults_of_reading({"models/weights.py": call, "files/a.py": call}) == []


def test_ground_floors_run_without_the_libraries_of_upper_ones() -> None:
    """Import all of geometry and models past trivox/__init__.py, which gathers names of every floor."""
    program = f"""
import importlib, pkgutil, sys, types
house = types.ModuleType("trivox")
house.__path__ = [{str(SOURCES)!r}]
sys.modules["trivox"] = house
for room in ("geometry", "models"):
    package = importlib.import_module("trivox." + room)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
        print(module.name)
upper = {{"cv2", "av", "viser", "matplotlib", "simplejpeg", "h5py", "trivox.files", "trivox.predict"}}
assert not upper & sys.modules.keys(), upper & sys.modules.keys()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert {"trivox.geometry.cameras", "trivox.models.weights"} <= set(ran.stdout.split())
