"""Plain arrays as truth: read with their names and gaps, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trivox
from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17


def arrays(**changes: Any) -> dict[str, Any]:
    points = np.random.default_rng(0).normal(size=(4, 2, 17, 3)) * 1000
    points[1, 0, 3] = np.nan
    return {"points_mm": points, "joint_names": np.array(COCO_17.names), "other": np.zeros(3)} | changes


def test_plain_arrays_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "truth.npz", **arrays(fps=np.array(24.0)))
    poses, points = trivox.load_poses(tmp_path / "truth.npz"), arrays()["points_mm"]
    assert poses.skeleton == COCO_17 and poses.fps == 24 and poses.frames.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(poses.valid.numpy(), np.isfinite(points).all(-1))
    np.testing.assert_array_equal(poses.points_mm.numpy()[poses.valid.numpy()], points[np.isfinite(points).all(-1)])
    assert poses.points_mm[~poses.valid].isnan().all()


def test_frames_are_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "truth.npz", **arrays(frames=np.array([3, 5, 6, 90])))
    assert trivox.load_poses(tmp_path / "truth.npz").frames.tolist() == [3, 5, 6, 90]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"points_mm": np.zeros((4, 17, 3))}, "expected floats"),
        ({"points_mm": np.zeros((4, 1, 16, 3))}, "expected floats"),
        ({"points_mm": np.zeros((4, 1, 17, 3), int)}, "expected floats"),
        ({"points_mm": np.zeros((0, 1, 17, 3))}, "expected floats"),
        ({"joint_names": np.arange(17)}, "different texts"),
        ({"joint_names": np.array(["nose"] * 17)}, "different texts"),
        ({"frames": np.array([0, 1, 1, 2])}, "rising numbers"),
        ({"frames": np.array([-1, 1, 2, 3])}, "rising numbers"),
        ({"frames": np.array([0.0, 1, 2, 3])}, "rising numbers"),
        ({"frames": np.arange(5)}, "rising numbers"),
        ({"fps": np.array(0.0)}, "fps a rate"),
        ({"fps": np.array("24")}, "fps a rate"),
        ({"fps": np.array(np.nan)}, "fps a rate"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "truth.npz", **arrays(**changes))
    with pytest.raises(InputError, match=said):
        trivox.load_poses(tmp_path / "truth.npz")


def test_other_archives_are_what_they_were(tmp_path: Path) -> None:
    np.savez(tmp_path / "truth.npz", points_mm=np.zeros((1, 1, 17, 3)))
    with pytest.raises(InputError, match="not a file of 'trivox poses 1'"):
        trivox.load_poses(tmp_path / "truth.npz")
