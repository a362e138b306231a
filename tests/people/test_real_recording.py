"""A man who is plainly visible beside a second person is followed without a gap."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch

import trivox
from trivox.files.films import Film
from trivox.files.videos import Video

FIRST, END = 36, 62
HALF_HW = (960, 544)


@pytest.fixture
def videos(data: Path, tmp_path: Path) -> list[Path]:
    """The part in which the second person steps before him, at half the size."""
    for video in sorted((data / "pose2sim_multi_videos" / "videos").glob("*.mp4")):
        with Film(tmp_path / video.name, HALF_HW, 60.0, crf=20) as film:
            for picture in Video(video).frames(FIRST, END):
                film.add(cv2.resize(picture, HALF_HW[::-1], interpolation=cv2.INTER_AREA))
    return sorted(tmp_path.glob("*.mp4"))


def test_who_is_visible_is_never_lost(data: Path, videos: list[Path]) -> None:
    """Against the set's triangulation of him alone, whose frames are one later (benchmarks/pose2sim_multi.py)."""
    rig = trivox.load_rig(data / "pose2sim_multi_videos" / "calibration" / "Calib.qca.txt")
    poses = trivox.predict(rig, videos, method="ransac", image_fit="scale")
    truth = trivox.load_poses(data / "pose2sim_single" / "pose-3d" / "BalancingTrial_0-100.trc")
    limbs = poses.skeleton.limb_joints
    ours, theirs = list(poses.skeleton.indices(limbs)), list(truth.skeleton.indices(limbs))
    expected_mm = truth.points_mm[FIRST - 1 : END - 1, 0, theirs][..., [2, 0, 1]]  # Y up, the calibration is Z up
    distances_mm = (poses.points_mm[:, 0, ours] - expected_mm).norm(dim=-1)
    assert (distances_mm.nan_to_num(torch.inf).median(-1).values < 120).all()
    assert poses.valid[:, 0, ours].double().mean() > 0.98
    assert distances_mm.nanmedian() < 45
