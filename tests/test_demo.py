"""The whole chain with the real networks, once: the bundled scene against its exact truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import trivox
from trivox.demo import run_demo
from trivox.files.npz import read_npz
from trivox.files.results import load_result
from trivox.people.networks import Networks

SCENE = Path(trivox.__file__).parent / "demo_scene"
LIMB_JOINTS = {"shoulder", "elbow", "wrist", "hip", "knee", "ankle"}


def test_every_joint_is_found_near_its_truth(demo):
    _, score = demo
    assert score.joints_valid == 1.0
    assert score.limb_mean_mm < 30 and score.mean_mm < 30 and score.median_mm < 30


def test_the_score_is_that_of_the_files(demo):
    """Computed again from what a user finds in the folder, one joint at a time."""
    out, score = demo
    poses, truth = trivox.load_poses(out / "poses.npz"), read_npz(SCENE / "truth.npz", "joints", "points_mm")
    assert poses.skeleton.names == tuple(truth["joints"])
    errors = (poses.points_mm[:, 0] - torch.from_numpy(truth["points_mm"][:, 0])).norm(dim=-1)
    assert score.mean_mm == pytest.approx(float(errors.mean()))
    limbs = [j for j, name in enumerate(poses.skeleton.names) if name.split("_")[-1] in LIMB_JOINTS]
    assert len(limbs) == 12 and score.limb_mean_mm == pytest.approx(float(errors[:, limbs].mean()))


def test_the_result_folder_is_whole(demo):
    out, _ = demo
    result = load_result(out)
    assert result.rig.names == ("cam1", "cam2", "cam3", "cam4")
    assert result.poses.points_mm.shape == (72, 1, 17, 3) and result.poses.fps == 24
    assert result.job["command"] == "predict" and set(result.job["videos"]) == set(result.rig.names)
    assert not (out / "unfinished").exists()
    for suffix in ("csv", "trc"):
        assert trivox.load_poses(out / f"poses.{suffix}").points_mm.shape == (72, 1, 17, 3)


def test_its_trc_stands_upright(demo):
    """Of each marker X, Y, Z in metres: the nose of a standing person is at half of 3 m, and Y of the ankles near 0."""
    out, _ = demo
    lines = (out / "poses.trc").read_text().splitlines()
    names = [name for name in lines[3].split("\t")[2:] if name]
    rows = [[float(cell) for cell in line.split("\t")] for line in lines[6:]]
    heights_m = {name: [row[2 + 3 * j + 1] for row in rows] for j, name in enumerate(names)}
    assert all(1.3 < height < 1.8 for height in heights_m["nose"])
    assert all(-0.1 < height < 0.5 for height in heights_m["left_ankle"] + heights_m["right_ankle"])


def test_the_2d_joints_lie_on_the_person(demo):
    out, _ = demo
    result, truth_mm = (
        load_result(out),
        torch.from_numpy(read_npz(SCENE / "truth.npz", "points_mm")["points_mm"]).double(),
    )
    for v, view in enumerate(result.keypoints):
        expected = result.rig.cameras[v].project(truth_mm.reshape(-1, 3)).reshape(72, 1, 17, 2)
        seen = view.scores > 0.3
        assert seen.double().mean() > 0.8
        assert (view.points_px - expected).norm(dim=-1)[seen].median() < 8


def test_triangulating_its_2d_joints_gives_the_demo_again(demo):
    out, _ = demo
    keypoints = [out / "keypoints" / f"cam{v}.npz" for v in (1, 2, 3, 4)]
    poses = trivox.triangulate_files(trivox.load_rig(out / "rig.toml"), keypoints, fps=24)
    first = trivox.load_poses(out / "poses.npz")
    both = poses.valid & first.valid
    assert both.double().mean() > 0.98
    assert (poses.points_mm - first.points_mm).norm(dim=-1)[
        both
    ].median() < 8  # RANSAC beside volume and 2D joints together


def test_running_it_twice_changes_nothing(demo, monkeypatch):
    """And looks at no picture: there are no networks the second time."""
    out, score = demo
    monkeypatch.setattr(Networks, "load", classmethod(lambda cls, *_: pytest.fail("the work is done")))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*") if path.is_file()}
    assert run_demo(out) == score
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*") if path.is_file()}


def test_a_folder_of_something_else_is_not_used(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"mine": True}))
    with pytest.raises(trivox.InputError, match=r"summary\.json already"):
        run_demo(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text()) == {"mine": True}
