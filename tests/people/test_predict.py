"""Following people from pictures to files, in a world whose truth is known: see dots.py."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from dots import DotNetworks, draw, rig_of, walk

import trivox
from trivox.files.results import load_result
from trivox.people.follow import Follower
from trivox.people.networks import Networks

FRAMES = 16
# Dots are drawn on whole pixels, 4 m away at a focal length of 700 pixels; now and then one hides another.
TOLERANCE_MM = 12.0
HIDDEN_TOLERANCE_MM = 100.0


@pytest.fixture(autouse=True)
def dot_networks(monkeypatch):
    networks = DotNetworks()
    monkeypatch.setattr(Networks, "load", classmethod(lambda cls: networks))
    return networks


def everywhere(frames: int, views: int, people: int) -> torch.Tensor:
    return torch.ones(frames, views, people, dtype=torch.bool)


def assert_follows(poses, truth_mm):
    assert poses.valid.double().mean() > 0.98
    errors_mm = (poses.points_mm.double() - truth_mm).norm(dim=-1)[poses.valid]
    assert errors_mm.quantile(0.9) < TOLERANCE_MM
    assert errors_mm.amax() < HIDDEN_TOLERANCE_MM


@pytest.mark.parametrize("method", ["ransac", "linear"])
def test_one_person_is_followed(tmp_path, method):
    rig, truth = rig_of(4), walk(FRAMES, 1)
    folders = draw(truth, everywhere(FRAMES, 4, 1), rig, tmp_path)
    assert_follows(trivox.predict(rig, folders, method=method, fps=30), truth)


def test_the_person_of_most_views_is_followed_not_the_first_one_seen(tmp_path):
    """Person 0 is a bystander in two views from the start; person 1 enters at frame 6, in all views."""
    rig, truth = rig_of(4), walk(FRAMES, 2)
    visible = everywhere(FRAMES, 4, 2)
    visible[:, 2:, 0] = False
    visible[:6, :, 1] = False
    poses = trivox.predict(rig, draw(truth, visible, rig, tmp_path), fps=6)
    assert not poses.valid[:6].any()
    assert_follows(poses[6:], truth[6:, 1:])


def test_two_people_keep_their_rows(tmp_path):
    rig, truth = rig_of(5), walk(FRAMES, 2)
    poses = trivox.predict(rig, draw(truth, everywhere(FRAMES, 5, 2), rig, tmp_path), people=2, fps=30)
    swapped = (poses.points_mm[0, 0].double() - truth[0, 0]).norm() > 1000
    assert_follows(poses, truth.flip(1) if swapped else truth)


def test_whole_pictures_are_searched_at_survey_instants_only(tmp_path, dot_networks):
    rig, truth = rig_of(3), walk(FRAMES, 1)
    trivox.predict(rig, draw(truth, everywhere(FRAMES, 3, 1), rig, tmp_path), fps=8)
    assert dot_networks.looks_at_whole_pictures == [3] * 4  # every half second of two


def test_a_person_who_leaves_and_comes_back_is_found_again(tmp_path):
    rig, truth = rig_of(4), walk(FRAMES, 1)
    visible = everywhere(FRAMES, 4, 1)
    visible[5:9] = False
    poses = trivox.predict(rig, draw(truth, visible, rig, tmp_path), fps=6)
    assert not poses.valid[5:9].any()
    assert_follows(poses[9:], truth[9:])
    assert_follows(poses[:5], truth[:5])


def test_an_empty_view_is_normal(tmp_path):
    rig, truth = rig_of(4), walk(FRAMES, 1)
    visible = everywhere(FRAMES, 4, 1)
    visible[:, 1] = False
    assert_follows(trivox.predict(rig, draw(truth, visible, rig, tmp_path), fps=30), truth)


def test_cameras_mounted_sideways_give_the_same_poses(tmp_path):
    """The calibration and the 2D joints in files speak of the stored pictures, whichever way those are turned."""
    upright, truth = rig_of(4), walk(6, 1)
    sideways = dataclasses.replace(upright, cameras=upright.cameras.turned(torch.tensor([3, 1, 2, 0])))
    sideways = dataclasses.replace(sideways, quarter_turns=(1, 3, 2, 0))
    folders = draw(truth, everywhere(6, 4, 1), sideways, tmp_path / "in")
    assert_follows(trivox.predict(sideways, folders, out=tmp_path / "out", fps=30), truth)
    result = load_result(tmp_path / "out")
    for v, view in enumerate(result.keypoints):
        expected = sideways.cameras[v].project(truth.reshape(-1, 3)).reshape(6, 1, 17, 2)
        seen = view.scores > 0
        assert seen.double().mean() > 0.8
        assert ((view.points_px - expected).norm(dim=-1)[seen] < 3).all()


def test_interrupted_work_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    rig, truth = rig_of(3), walk(FRAMES, 1)
    folders = draw(truth, everywhere(FRAMES, 3, 1), rig, tmp_path / "in")
    whole = trivox.predict(rig, folders, out=tmp_path / "whole", fps=30)
    step = Follower.step
    looked: list[int] = []

    def interrupted(self, frame, pictures):
        if frame == 10 and 10 not in looked:
            looked.append(frame)
            raise KeyboardInterrupt
        looked.append(frame)
        return step(self, frame, pictures)

    monkeypatch.setattr(Follower, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trivox.predict(rig, folders, out=tmp_path / "cut", fps=30)
    resumed = trivox.predict(rig, folders, out=tmp_path / "cut", fps=30)
    assert looked == [*range(11), *range(10, FRAMES)]
    assert torch.equal(whole.points_mm, resumed.points_mm) and torch.equal(whole.valid, resumed.valid)
    assert not (tmp_path / "cut" / "unfinished").exists()


def test_a_finished_result_is_kept(tmp_path):
    rig, truth = rig_of(3), walk(4, 1)
    folders = draw(truth, everywhere(4, 3, 1), rig, tmp_path / "in")
    first = trivox.predict(rig, folders, out=tmp_path / "out", fps=30)
    stamp = (tmp_path / "out" / "poses.npz").stat().st_mtime_ns
    again = trivox.predict(rig, folders, out=tmp_path / "out", fps=30)
    assert torch.equal(first.points_mm, again.points_mm)
    with pytest.raises(trivox.InputError, match="already holds the result of other"):
        trivox.predict(rig, folders, out=tmp_path / "out", fps=30, method="linear")
    assert (tmp_path / "out" / "poses.npz").stat().st_mtime_ns == stamp


def test_an_unfinished_job_is_not_mixed_with_another(tmp_path, monkeypatch):
    rig, truth = rig_of(3), walk(4, 1)
    folders = draw(truth, everywhere(4, 3, 1), rig, tmp_path / "in")

    def stopped(self, frame, pictures):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Follower, "step", stopped)
        trivox.predict(rig, folders, out=tmp_path / "out", fps=30)
    with pytest.raises(trivox.InputError, match="unfinished job with other videos or options"):
        trivox.predict(rig, folders, out=tmp_path / "out", fps=30, people=2)


def test_the_result_folder_feeds_triangulate(tmp_path):
    """`triangulate` on the 2D joints of a result gives the same people again."""
    rig, truth = rig_of(4), walk(6, 1)
    trivox.predict(rig, draw(truth, everywhere(6, 4, 1), rig, tmp_path / "in"), out=tmp_path / "out", fps=30)
    keypoints = [tmp_path / "out" / "keypoints" / f"{name}.npz" for name in rig.names]
    poses = trivox.triangulate_files(trivox.load_rig(tmp_path / "out" / "rig.toml"), keypoints, fps=30)
    assert_follows(poses, truth)


def test_nobody_in_the_pictures_is_one_sentence(tmp_path):
    rig, truth = rig_of(3), walk(4, 1)
    folders = draw(truth, ~everywhere(4, 3, 1), rig, tmp_path)
    with pytest.raises(trivox.InputError, match="no person found in any of the 3 videos"):
        trivox.predict(rig, folders, fps=30)


def test_a_person_in_one_view_only_is_one_sentence(tmp_path):
    rig, truth = rig_of(3), walk(4, 1)
    visible = everywhere(4, 3, 1)
    visible[:, 1:] = False
    with pytest.raises(trivox.InputError, match="never the same person in two of the 3 views"):
        trivox.predict(rig, draw(truth, visible, rig, tmp_path), fps=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"people": 0}, "0 people"), ({"skeleton": "coco"}, "no skeleton 'coco'")],
)
def test_options_that_do_not_exist_are_one_sentence(tmp_path, options, message):
    with pytest.raises(trivox.InputError, match=message):
        trivox.predict(rig_of(2), [tmp_path, tmp_path], **options)
