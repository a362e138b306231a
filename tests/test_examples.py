"""The examples run as their first lines say."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trivox.data.scenes import read_scenes
from trivox.files.images import read_image
from trivox.view.colours import LEFT, RIGHT

EXAMPLES = Path(__file__).parent.parent / "examples"


def ran(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)


def refused(monkeypatch, *words: object) -> str:
    """What an example says as it stops. In this process: another would load torch before it comes to that."""
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(words[0]), run_name="__main__")
    assert isinstance(stopped.value.code, str)  # Python prints it and ends with code 1
    return stopped.value.code


def test_a_result_is_drawn_over_its_pictures(demo, tmp_path):
    out, _ = demo
    done = ran(EXAMPLES / "draw_result.py", out, 40, tmp_path / "drawn.png")
    assert (done.returncode, done.stderr) == (0, "")
    picture = read_image(tmp_path / "drawn.png")
    below_the_strip = picture[picture.shape[0] - 2 * (picture.shape[1] // 2) :]
    tiles = [tile for row in np.split(below_the_strip, 2, axis=0) for tile in np.split(row, 2, axis=1)]
    for colour in (LEFT, RIGHT):
        assert all((np.abs(tile.astype(int) - colour) < 20).all(-1).sum() > 100 for tile in tiles)


def test_what_cannot_be_drawn_is_said(demo, tmp_path, monkeypatch):
    out, _ = demo
    said = refused(monkeypatch, EXAMPLES / "draw_result.py", out, 72, tmp_path / "drawn.png")
    assert said == "no frame is among 72; there are 0 to 71"
    copied = shutil.copytree(out, tmp_path / "of keypoints")
    job = json.loads((copied / "job.json").read_text())
    job["keypoints"] = job.pop("videos")
    (copied / "job.json").write_text(json.dumps(job))
    said = refused(monkeypatch, EXAMPLES / "draw_result.py", copied, 40, tmp_path / "drawn.png")
    assert "made from 2D keypoints" in said and "\n" not in said
    assert not (tmp_path / "drawn.png").exists()


def test_the_demo_recording_becomes_a_dataset(tmp_path, monkeypatch):
    done = ran(EXAMPLES / "demo_dataset.py", tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "")
    labels = read_scenes(tmp_path / "data")
    assert [recording.name for recording in labels.recordings] == ["stills", "walk"]
    assert labels.has_camera.tolist() == [[True, True, True, False], [True] * 4]
    assert labels.frames[labels.recording == 0].tolist() == list(range(0, 72, 6))
    said = refused(monkeypatch, EXAMPLES / "demo_dataset.py", tmp_path / "data")
    assert "exists" in said and "\n" not in said
