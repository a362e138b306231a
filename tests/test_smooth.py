"""trivox smooth: from result folder to result folder, the raw joints kept."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from rigs import ring, standing_people

from trivox.cli.main import main
from trivox.errors import InputError
from trivox.files.poses import save_poses
from trivox.files.results import Result, load_result, save_result
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17
from trivox.geometry.smoothing import smoothed
from trivox.smooth import smooth_result
from trivox.summary import bone_spread_mm

SUMMARY = {
    "frames": 20,
    "fps": 25.0,
    "people": 1,
    "joints_valid": 1.0,
    "median_reprojection_px": 1.0,
    "bone_spread_mm": 1.0,
    "cameras": [{"name": "a", "joints_used": 1.0, "median_reprojection_px": 1.0}],
}


@pytest.fixture
def result(tmp_path):
    """A folder of somebody who stands before noisy cameras."""
    points = standing_people([(0.0, 0.0)]).expand(20, -1, -1, -1)
    points = points + 10 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    valid = torch.ones(points.shape[:3], dtype=torch.bool)
    poses = Poses(points, valid, valid.double(), torch.arange(20), COCO_17, 25.0, torch.tensor([0.0, 0, 1]).double())
    seen = Keypoints2D(torch.ones(20, 1, 17, 2).double(), valid.double(), torch.arange(20), COCO_17)
    rig = Rig(("a", "b"), ring(2), up=poses.up)
    save_result(Result(poses, rig, [seen, seen], {"command": "test"}, SUMMARY), tmp_path / "result")
    return tmp_path / "result"


def test_the_smoothed_result_keeps_the_raw_joints(result, tmp_path):
    raw = load_result(result).poses
    smooth_result(result, tmp_path / "out")
    found = load_result(tmp_path / "out")
    assert found.raw is not None
    torch.testing.assert_close(found.raw.points_mm, raw.points_mm)
    torch.testing.assert_close(found.poses.points_mm, smoothed(raw).points_mm)
    assert load_result(result).raw is None, "the source stays as it is"


def test_the_same_command_finds_its_result_and_another_is_refused(result, tmp_path):
    first = smooth_result(result, tmp_path / "out")
    again = smooth_result(result, tmp_path / "out")
    torch.testing.assert_close(again.points_mm, first.points_mm)
    with pytest.raises(InputError, match="other inputs or options"):
        smooth_result(result, tmp_path / "out", longest_gap_s=0.1)
    with pytest.raises(InputError, match="other inputs or options"):
        smooth_result(result, result)


def test_a_smoothed_result_is_smoothed_from_its_raw_joints(result, tmp_path):
    once = smooth_result(result, tmp_path / "once")
    twice = smooth_result(tmp_path / "once", tmp_path / "twice")
    torch.testing.assert_close(twice.points_mm, once.points_mm)


def test_the_command_line(result, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["smooth", str(result), "--out", str(tmp_path / "out"), "--longest-gap-s", "0.1"])
    assert ended.value.code == 0 and "poses_raw.npz" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "job.json").read_text())["longest_gap_s"] == 0.1
    with pytest.raises(SystemExit) as ended:
        main(["smooth", str(tmp_path / "nothing"), "--out", str(tmp_path / "out2")])
    assert ended.value.code == 2 and "is no result folder" in capsys.readouterr().err


def test_gaps_are_filled_in_the_file(result, tmp_path):
    given = load_result(result)
    gone = torch.zeros_like(given.poses.valid)
    gone[8:10, 0, 9] = True
    poses = replace(given.poses, valid=~gone, confidence=torch.where(gone, 0, given.poses.confidence))
    save_result(replace(given, poses=poses), result)
    smooth_result(result, tmp_path / "out")
    arrays = np.load(tmp_path / "out" / "poses.npz")
    assert arrays["valid"].all() and np.isfinite(arrays["points_mm"]).all()
    np.testing.assert_array_equal(arrays["confidence"] == 0, gone.numpy())


def test_the_summary_is_of_the_joints_that_are_written(result, tmp_path):
    """A gap is filled: neither a loss nor a missing joint is left to tell of."""
    given = load_result(result)
    valid = given.poses.valid.clone()
    valid[8:10] = False
    gapped = replace(given.poses, valid=valid)
    told = {**SUMMARY, "joints_valid": 0.9, "losses": [{"person": 0, "first": 8, "last": 9, "inside": True}]}
    save_result(replace(given, poses=gapped, summary=told), tmp_path / "gapped")
    poses = smooth_result(tmp_path / "gapped", tmp_path / "out")
    found = load_result(tmp_path / "out").summary
    assert poses.valid.all() and found["joints_valid"] == 1.0 and found["losses"] == []
    assert found["bone_spread_mm"] == pytest.approx(bone_spread_mm(poses)) and found["cameras"] == SUMMARY["cameras"]


def test_a_result_is_known_by_its_joints_wherever_it_lies(result, tmp_path, capsys):
    first = smooth_result(result, tmp_path / "out")
    moved = shutil.copytree(result, tmp_path / "elsewhere" / "moved")
    assert torch.equal(smooth_result(moved, tmp_path / "out").points_mm, first.points_mm)
    assert "nothing to do" in capsys.readouterr().err
    poses = load_result(result).poses
    save_poses(replace(poses, points_mm=poses.points_mm + 1), tmp_path / "other.npz")
    (tmp_path / "other.npz").replace(result / "poses.npz")
    with pytest.raises(InputError, match="other inputs or options"):
        smooth_result(result, tmp_path / "out")
