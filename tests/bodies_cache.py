"""Bodies of rendered people: on a machine's first use the package anny prepares them, minutes of work for one process.

A test that needs them asks for the fixture `bodies`, and is skipped where anny is not installed. Where tests run side
by side, a process of its own prepares them from the beginning, while other tests run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock

_WORKER = os.environ.get("PYTEST_XDIST_WORKER")
_PREPARE = """
import sys
from filelock import FileLock
from trivox.synthetic import Renderer, SceneOptions, draw_scene
with FileLock(sys.argv[1]):
    Renderer(draw_scene(0, SceneOptions(frames=1, image_hw=(64, 64), cameras=(1, 1))), threads=1).pictures(0)
"""


@pytest.fixture(scope="session")
def bodies_lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return (base.parent if _WORKER else base) / "bodies.lock"


@pytest.fixture(scope="session")
def bodies(bodies_lock: Path) -> None:
    if find_spec("anny") is None:
        pytest.skip("needs anny: pip install 'trivox[synth]'")
    from trivox.synthetic.bodies import template

    with FileLock(bodies_lock):
        template()


@pytest.fixture(scope="session", autouse=True)
def bodies_in_good_time(request: pytest.FixtureRequest, bodies_lock: Path) -> Iterator[None]:
    """The first of several processes has them prepared if any test is going to need them.

    And with them the machine code that draws people, which all processes take from the disk once it is compiled.
    """
    wanted = any("bodies" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if _WORKER != "gw0" or not wanted or find_spec("anny") is None:
        yield
        return
    program = [sys.executable, "-c", _PREPARE, str(bodies_lock)]
    # Silent: where it fails, the test that needs the bodies fails too, and tells why.
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield
    process.wait()  # stopped half-way, it would leave half a file that anny takes for a whole one
