"""Shared by all tests: shape and type checks, and where the real recordings lie."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
from filelock import FileLock
from hypothesis import settings
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from trivox.demo import DemoScore

# Every annotation in trivox is checked where this is set (`make shapes`), which takes nearly twice the time.
CHECKS_SHAPES = bool(os.environ.get("TRIVOX_CHECK_SHAPES"))
if CHECKS_SHAPES:
    install_import_hook("trivox", "checker.checked")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that run side by side, and the programs they start, compute on one core each.

    Threads of torch and NumPy that wait for each other do so by computing nothing as fast as they can.
    """
    if config.getoption("numprocesses", None):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


# Nobody pulls the plug while the tests run, and a disk takes its time to promise that it would not matter.
os.fsync = lambda _: None

# A slow machine is not a failing test.
settings.register_profile("trivox", deadline=None, max_examples=5 if CHECKS_SHAPES else 50)
settings.load_profile("trivox")

pytest_plugins = ["bodies_cache"]
PROJECT = Path(__file__).parent.parent


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The types of arguments as callers outside of the tests meet them."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with real recordings (`TRIVOX_DATA`, default `../shared/data`); tests that need it skip without it."""
    folder = Path(os.environ.get("TRIVOX_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; set TRIVOX_DATA")
    return folder


@pytest.fixture(scope="session")
def cases() -> Path:
    """Folder with inputs that once failed and their right answers (`TRIVOX_CASES`, default `../shared/cases`)."""
    folder = Path(os.environ.get("TRIVOX_CASES", PROJECT.parent / "shared" / "cases"))
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}; set TRIVOX_CASES")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder with inputs and outputs of the reference system (`TRIVOX_GOLDEN`, default `../shared/golden`)."""
    folder = Path(os.environ.get("TRIVOX_GOLDEN", PROJECT.parent / "shared" / "golden"))
    if not folder.is_dir():
        pytest.skip(f"no golden data at {folder}; set TRIVOX_GOLDEN")
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> tuple[Path, DemoScore]:
    """The result folder of the demo and its score: many seconds of work, done once for all processes."""
    from trivox.demo import DemoScore, run_demo

    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out, score = folder / "demo", folder / "demo_score.json"
    with FileLock(folder / "demo.lock"):
        if not score.is_file():
            score.write_text(json.dumps(asdict(run_demo(out))))
    return out, DemoScore(**json.loads(score.read_text()))
