"""Of scenes without truth and boxes the bundled networks find the person: the boxes are those of the hidden truth."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

import trivox
from trivox.data.labels import Labels
from trivox.data.scenes import read_scenes
from trivox.geometry.boxes import overlap
from trivox.people.detected_boxes import with_boxes_where_unknown

DEMO = Path(trivox.__file__).parent / "demo_scene"


def few(labels: Labels, frames: tuple[int, ...]) -> Labels:
    return labels.selected(np.isin(labels.frames, frames))


def test_the_person_is_found_where_the_truth_is(tmp_path: Path) -> None:
    hidden = tmp_path / "demo"
    hidden.mkdir()
    shutil.copy(DEMO / "calibration.json", hidden)
    shutil.copytree(DEMO / "videos", hidden / "videos")
    unknown, known = (few(read_scenes(root), (40,)) for root in (hidden, DEMO))
    assert not unknown.valid.any() and (unknown.boxes_px == [0, 0, 640, 640]).all()
    found = with_boxes_where_unknown(unknown)
    assert found.present.all()
    for ours, true in zip(found.boxes_px.reshape(-1, 1, 4), known.boxes_px.reshape(-1, 1, 4), strict=True):
        shared = overlap(torch.from_numpy(ours).double(), torch.from_numpy(true).double())
        # Detected boxes are square; of a standing person that is at least a third more.
        assert float(shared) > 0.3
        middle = (true[0, :2] + true[0, 2:]) / 2
        assert (ours[0, :2] < middle).all() and (middle < ours[0, 2:]).all()


def test_what_is_known_stays(tmp_path: Path) -> None:
    known = few(read_scenes(DEMO), (10,))
    assert with_boxes_where_unknown(known) is known
