"""The examples run as their first lines say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

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
