"""A folder has one run at a time, and one thing that is made in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rigs import ring

from trivox.base.work import alone_in, alone_with, claim, is_free
from trivox.errors import InputError
from trivox.evaluate import evaluate
from trivox.evaluate_model import evaluate_model
from trivox.geometry.rig import Rig
from trivox.predict import predict
from trivox.prepare import prepare_human36m, prepare_panoptic
from trivox.synth import synth
from trivox.train import train
from trivox.training.config import Experiment
from trivox.triangulate_files import triangulate_files

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes are of POSIX systems")


def test_the_second_is_told_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    with alone_in(folder), alone_in(tmp_path / "another"), alone_with(folder / "file"):
        assert is_free(tmp_path / "another") and not is_free(tmp_path)
        for second in (alone_in(folder), alone_with(folder / "file")):
            with pytest.raises(InputError, match="another run works in"), second:
                pass
    assert not list(tmp_path.iterdir())
    with alone_in(folder):
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]
    with alone_in(None), alone_with(None):
        pass


@posix
def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from trivox.base.work import alone_in
with alone_in(Path({str(tmp_path)!r})):
    print("locked", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == b"locked\n"
    with pytest.raises(InputError, match="another run"), alone_in(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert len(list(tmp_path.iterdir())) == 1  # what it could not tidy up
    with alone_in(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@posix
def test_where_no_lock_can_be_had_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with alone_in(tmp_path / "file"), alone_in(tmp_path / "file" / "below"):
        pass
    (tmp_path / ".trivox.lock").symlink_to(tmp_path / "target")
    with alone_in(tmp_path):
        assert not (tmp_path / "target").exists()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_is_claimed_for_one_thing(tmp_path: Path) -> None:
    note = tmp_path / "out" / "made.json"
    claim(note, {"command": "a", "views": {"first": {"lens": (1.5, 2)}}})
    claim(note, {"command": "a", "views": {"second": {"lens": 3}}})
    (note.parent / "picture").touch()
    claim(note, {"views": {"first": {"lens": [1.5, 2]}, "second": {"lens": 3}}})
    before = note.read_bytes()
    for other in ({"command": "b"}, {"views": {"second": {"lens": 4}}}, {"views": 1}, {"views": {"first": 1}}):
        with pytest.raises(InputError, match="already holds something else"):
            claim(note, other)
    assert note.read_bytes() == before
    for content in (b"", b"[1]", b"\xff", b"[" * 100_000):
        note.write_bytes(content)
        with pytest.raises(InputError, match="already holds something else"):
            claim(note, {"command": "a"})
    note.unlink()
    with pytest.raises(InputError, match="already holds something else"):
        claim(note, {"command": "a"})


RIG = Rig(("a", "b"), ring(2))
RUNS: dict[str, Callable[[Path], object]] = {
    "triangulate": lambda out: triangulate_files(RIG, [], out=out),
    "predict": lambda out: predict(RIG, [], out=out, method="ransac"),
    "evaluate": lambda out: evaluate(out / "none.npz", truth=out / "none.npz", out=out),
    "evaluate a model": lambda out: evaluate_model("ransac-thunder", labels=out / "none.npy", out=out),
    "prepare human36m": lambda out: prepare_human36m(out.parent / "none", out),
    "prepare panoptic": lambda out: prepare_panoptic(out.parent / "none", out),
    "synth": lambda out: synth(out),
    "train": lambda out: train(Experiment.__new__(Experiment), out=out),
}


@pytest.mark.parametrize("run", RUNS)
def test_every_command_has_its_folder_to_itself(tmp_path: Path, run: str) -> None:
    """Whatever else is wrong with what they were given: another run is said first."""
    with alone_in(tmp_path / "out"), pytest.raises(InputError, match="another run works in"):
        RUNS[run](tmp_path / "out")
