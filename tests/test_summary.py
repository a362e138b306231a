"""A summary says what plain NumPy says of the same numbers, and survives its file."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from dots import rig_of  # pyright: ignore[reportMissingImports]  # tests/people
from hypothesis import given
from hypothesis import strategies as st
from rigs import STANDING_MM

from trivox.errors import InputError
from trivox.files.results import Result, load_result, load_summary, save_result
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, skeleton_of
from trivox.summary import bone_spread_mm, doubts, read_summary, summarise, summary_table

F, P, V, J = 7, 2, 3, 17
NAMES = ("left", "middle", "right")


def poses_of(points_mm: torch.Tensor, valid: torch.Tensor, skeleton=COCO_17) -> Poses:
    frames = torch.arange(len(points_mm))
    return Poses(points_mm * valid[..., None], valid, valid.double(), frames, skeleton, 25.0)


def random_result(seed: int, share: float = 0.7):
    """Poses, inliers and reprojection errors; what is invalid has no inliers."""
    torch.manual_seed(seed)
    valid = torch.rand(F, P, J) < share
    inliers = (torch.rand(F, P, V, J) < share) & valid[:, :, None]
    errors_px = torch.rand(F, P, V, J).double() * 10 * valid[:, :, None]
    return poses_of(torch.rand(F, P, J, 3).double() * 500, valid), inliers, errors_px


def plain_bone_spread(poses: Poses) -> float | None:
    """One bone of one person at a time."""
    spreads = []
    for p in range(poses.points_mm.shape[1]):
        for bone in poses.skeleton.limb_bones:
            a, b = poses.skeleton.indices(bone)
            lengths = [
                math.dist(poses.points_mm[f, p, a].tolist(), poses.points_mm[f, p, b].tolist())
                for f in range(len(poses.frames))
                if poses.valid[f, p, a] and poses.valid[f, p, b]
            ]
            if len(lengths) >= 2:
                spreads.append(np.std(lengths))
    return float(np.mean(spreads)) if spreads else None


@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.7, 1.0]))
def test_it_is_what_numpy_says(seed, share):
    poses, inliers, errors_px = random_result(seed, share)
    summary = summarise(poses, NAMES, inliers, errors_px)
    seen, errors = inliers.numpy(), errors_px.numpy()
    assert (summary.frames, summary.people, summary.fps) == (F, P, 25.0)
    assert summary.joints_valid == pytest.approx(np.mean(poses.valid.numpy()))
    assert summary.median_reprojection_px == pytest.approx(np.median(errors[seen]))
    assert summary.bone_spread_mm == pytest.approx(plain_bone_spread(poses))
    assert tuple(camera.name for camera in summary.cameras) == NAMES
    for v, camera in enumerate(summary.cameras):
        assert camera.joints_used == pytest.approx(seen[:, :, v].sum() / poses.valid.sum().item())
        assert camera.median_reprojection_px == pytest.approx(np.median(errors[:, :, v][seen[:, :, v]]))


@given(st.lists(st.tuples(*[st.floats(-3000, 3000)] * 3, st.floats(-4, 4)), min_size=2, max_size=6))
def test_a_rigid_body_has_no_spread(motions):
    moved = []
    for x, y, z, turn in motions:
        c, s = math.cos(turn), math.sin(turn)
        about_z = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]]).double()
        moved.append(STANDING_MM @ about_z.T + torch.tensor([x, y, z]).double())
    points_mm = torch.stack(moved)[:, None]
    assert bone_spread_mm(poses_of(points_mm, torch.ones(len(motions), 1, J).bool())) == pytest.approx(0, abs=1e-6)


def test_invalid_joints_count_for_nothing():
    """Whatever stands in their place."""
    poses, inliers, errors_px = random_result(3)
    wild = Poses(
        torch.where(poses.valid[..., None], poses.points_mm, 1e6),
        *(poses.valid, poses.confidence, poses.frames, poses.skeleton, poses.fps),
    )
    wild_errors = torch.where(inliers, errors_px, 1e6)
    assert summarise(wild, NAMES, inliers, wild_errors) == summarise(poses, NAMES, inliers, errors_px)


def test_who_is_lost_is_said_with_the_frames():
    """In the summary, and in a sentence; who is never found is another sentence."""
    everywhere = torch.ones(20, 3, J, dtype=torch.bool)
    everywhere[:4, 0] = False
    everywhere[7:10, 0, :] = False
    everywhere[12, 0] = False
    everywhere[15, 0, 1:] = False
    everywhere[:, 2] = False
    poses = poses_of(torch.rand(20, 3, J, 3).double(), everywhere)
    summary = summarise(poses, NAMES, everywhere[:, :, None].expand(-1, -1, V, -1), torch.zeros(20, 3, V, J).double())
    assert [(loss.person, loss.first, loss.last, loss.inside) for loss in summary.losses] == [
        (0, 0, 3, False),
        (0, 7, 9, True),
        (0, 12, 12, True),
    ]
    assert summary.longest_loss_s == 3 / 25
    said = " ".join(doubts(summary, poses))
    assert "person 0 has no joints in frames 0 to 3, 7 to 9, 12" in said
    assert "person 1" not in said and "person 2" not in said and "only 2 of 3 people" in said


@given(st.floats(0.01, 100.0))
def test_people_of_another_size_are_said(factor):
    """Infants and the tallest are people; a tenth of an adult is a calibration in centimetres taken for millimetres."""
    poses = poses_of(STANDING_MM.expand(F, 1, J, 3) * factor, torch.ones(F, 1, J).bool())
    seen = torch.ones(F, 1, V, J).bool()
    said = " ".join(doubts(summarise(poses, NAMES, seen, torch.zeros(F, 1, V, J).double()), poses))
    if factor < 0.28 or factor > 1.6:
        assert "times an adult's: the calibration's lengths are in another unit" in said
    elif 0.4 < factor < 1.3:
        assert "an adult's" not in said


def test_nothing_seen_is_none_not_nan():
    poses = poses_of(torch.zeros(F, P, J, 3).double(), torch.zeros(F, P, J).bool())
    summary = summarise(poses, NAMES, torch.zeros(F, P, V, J).bool(), torch.zeros(F, P, V, J).double())
    assert summary.median_reprojection_px is None and summary.bone_spread_mm is None
    assert all(camera.joints_used == 0 and camera.median_reprojection_px is None for camera in summary.cameras)
    assert "0.0% of joints found" in summary_table(summary) and "nan" not in summary_table(summary)


def test_one_sight_of_a_bone_has_no_spread():
    poses, _, _ = random_result(0, share=1.0)
    assert bone_spread_mm(poses[:1]) is None


def test_a_skeleton_without_limbs_has_no_spread():
    skeleton = skeleton_of(("snout", "tail"))
    points = torch.rand(F, P, 2, 3).double()
    assert bone_spread_mm(poses_of(points, torch.ones(F, P, 2).bool(), skeleton)) is None


def test_it_survives_the_result_folder(tmp_path):
    poses, inliers, errors_px = random_result(5)
    summary = summarise(poses, NAMES, inliers, errors_px)
    rig = rig_of(3)
    views = [Keypoints2D(poses.points_mm[..., :2].nan_to_num(), poses.confidence, poses.frames, COCO_17)] * 3
    save_result(Result(poses, rig, views, {"command": "test"}, asdict(summary)), tmp_path / "out")
    loaded = load_result(tmp_path / "out")
    assert read_summary(loaded.summary, tmp_path) == summary
    assert load_summary(tmp_path / "out") == loaded.summary
    torch.testing.assert_close(loaded.poses.points_mm, poses.points_mm, equal_nan=True)
    assert loaded.job == {"command": "test"} and loaded.rig.names == rig.names
    assert [torch.equal(view.scores, poses.confidence) for view in loaded.keypoints] == [True] * 3


@pytest.mark.parametrize(
    "saved", [{}, {"frames": 3}, {"frames": "x"}, {"cameras": [{}]}, {"cameras": 4, "frames": None}], ids=str
)
def test_another_dictionary_is_no_summary(tmp_path, saved):
    with pytest.raises(InputError, match=r"summary\.json is not a summary"):
        read_summary(saved, tmp_path / "summary.json")


def test_the_table_names_people_cameras_and_units():
    poses, inliers, errors_px = random_result(1)
    summary = summarise(poses, NAMES, inliers, errors_px)
    rows = summary_table(summary).splitlines()
    assert rows[0].startswith(f"{F} frames at 25 frames/s, 2 people, {summary.joints_valid:.1%}")
    for row, camera in zip(rows[2:], summary.cameras, strict=False):
        assert row.split() == [
            *(camera.name, f"{camera.joints_used:.1%}"),
            *(f"{camera.median_reprojection_px:.1f}", "px"),
        ]
    assert f"{summary.bone_spread_mm:.1f} mm" in rows[-1]
