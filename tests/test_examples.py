"""The examples run as their first lines say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from trivox.data.scenes import read_scenes
from trivox.files.images import read_image

EXAMPLES = Path(__file__).parent.parent / "examples"
COLOUR = (0, 230, 255)  # of the first person


def ran(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)


def test_a_result_is_drawn_over_its_pictures(demo, tmp_path):
    out, _ = demo
    done = ran(EXAMPLES / "draw_result.py", out, 40, tmp_path / "drawn.png")
    assert (done.returncode, done.stderr) == (0, "")
    picture = read_image(tmp_path / "drawn.png")
    assert picture.shape == (480, 4 * 480, 3)
    drawn = (np.abs(picture.astype(int) - COLOUR) < 20).all(-1)
    assert all(view.sum() > 100 for view in np.split(drawn, 4, axis=1))


def test_what_cannot_be_drawn_is_said(demo, tmp_path):
    out, _ = demo
    done = ran(EXAMPLES / "draw_result.py", out, 72, tmp_path / "drawn.png")
    assert done.returncode == 1 and done.stderr == f"{out} has no frame 72; give one from 0 to 71\n"
    copied = shutil.copytree(out, tmp_path / "of keypoints")
    job = json.loads((copied / "job.json").read_text())
    job["keypoints"] = job.pop("videos")
    (copied / "job.json").write_text(json.dumps(job))
    done = ran(EXAMPLES / "draw_result.py", copied, 40, tmp_path / "drawn.png")
    assert done.returncode == 1 and "made from 2D keypoints" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "drawn.png").exists()


def test_the_demo_recording_becomes_a_dataset(tmp_path):
    done = ran(EXAMPLES / "demo_dataset.py", tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "")
    labels = read_scenes(tmp_path / "data")
    assert [recording.name for recording in labels.recordings] == ["stills", "walk"]
    assert labels.has_camera.tolist() == [[True, True, True, False], [True] * 4]
    assert labels.frames[labels.recording == 0].tolist() == list(range(0, 72, 6))
    done = ran(EXAMPLES / "demo_dataset.py", tmp_path / "data")
    assert done.returncode == 1 and "exists" in done.stderr and done.stderr.count("\n") == 1
