"""Following people from pictures to files, in a world whose truth is known: see dots.py."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip
from dots import QUICK_PNG, DotNetworks, draw, rig_of, walk

import trivox
from trivox.cli import main
from trivox.files.results import load_result
from trivox.files.views import Views
from trivox.geometry.skeletons import COCO_17, H36M_17, converted
from trivox.options import Method
from trivox.people.follow import Follower
from trivox.people.networks import Networks

FRAMES = 16
# Dots are drawn on whole pixels, 4 m away at a focal length of 700 pixels; now and then one hides another.
TOLERANCE_MM = 12.0
HIDDEN_TOLERANCE_MM = 100.0


@pytest.fixture(autouse=True)
def dot_networks(monkeypatch):
    networks = DotNetworks()
    monkeypatch.setattr(Networks, "load", classmethod(lambda cls, *_: networks))
    return networks


def predicted(rig, folders, method: Method = "ransac", **options):
    """What the dots' own networks say: a model that comes along knows people, not dots."""
    return trivox.predict(rig, folders, method=method, **options)


def assert_same(one: torch.Tensor, other: torch.Tensor):
    """Bit for bit; a joint that is not valid is NaN in both."""
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


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
    assert_follows(predicted(rig, folders, method=method, fps=30), truth)


def test_the_person_of_most_views_is_followed_not_the_first_one_seen(tmp_path):
    """Person 0 is a bystander in two views from the start; person 1 enters at frame 6, in all views."""
    rig, truth = rig_of(4), walk(FRAMES, 2)
    visible = everywhere(FRAMES, 4, 2)
    visible[:, 2:, 0] = False
    visible[:6, :, 1] = False
    poses = predicted(rig, draw(truth, visible, rig, tmp_path), fps=6)
    assert not poses.valid[:6].any()
    assert_follows(poses[6:], truth[6:, 1:])


def test_two_people_keep_their_rows(tmp_path):
    rig, truth = rig_of(5), walk(FRAMES, 2)
    poses = predicted(rig, draw(truth, everywhere(FRAMES, 5, 2), rig, tmp_path), people=2, fps=30)
    swapped = (poses.points_mm[0, 0].double() - truth[0, 0]).norm() > 1000
    assert_follows(poses, truth.flip(1) if swapped else truth)


def test_whole_pictures_are_searched_at_survey_instants_only(tmp_path, dot_networks):
    rig, truth = rig_of(3), walk(FRAMES, 1)
    predicted(rig, draw(truth, everywhere(FRAMES, 3, 1), rig, tmp_path), fps=8)
    assert dot_networks.looks_at_whole_pictures == [3] * 8  # so many instants at least


def test_a_person_who_leaves_and_comes_back_is_found_again(tmp_path):
    rig, truth = rig_of(4), walk(FRAMES, 1)
    visible = everywhere(FRAMES, 4, 1)
    visible[5:9] = False
    poses = predicted(rig, draw(truth, visible, rig, tmp_path), fps=6)
    assert not poses.valid[5:9].any()
    assert_follows(poses[9:], truth[9:])
    assert_follows(poses[:5], truth[:5])


def test_an_empty_view_is_normal(tmp_path):
    rig, truth = rig_of(4), walk(FRAMES, 1)
    visible = everywhere(FRAMES, 4, 1)
    visible[:, 1] = False
    assert_follows(predicted(rig, draw(truth, visible, rig, tmp_path), fps=30), truth)


def test_cameras_mounted_sideways_give_the_same_poses(tmp_path):
    """The calibration and the 2D joints in files speak of the stored pictures, whichever way those are turned."""
    upright, truth = rig_of(4), walk(6, 1)
    sideways = dataclasses.replace(upright, cameras=upright.cameras.turned(torch.tensor([3, 1, 2, 0])))
    sideways = dataclasses.replace(sideways, quarter_turns=(1, 3, 2, 0))
    folders = draw(truth, everywhere(6, 4, 1), sideways, tmp_path / "in")
    assert_follows(predicted(sideways, folders, out=tmp_path / "out", fps=30), truth)
    result = load_result(tmp_path / "out")
    for v, view in enumerate(result.keypoints):
        expected = sideways.cameras[v].project(truth.reshape(-1, 3)).reshape(6, 1, 17, 2)
        seen = view.scores > 0
        assert seen.double().mean() > 0.8
        assert ((view.points_px - expected).norm(dim=-1)[seen] < 3).all()


def test_smooth_is_the_smoothing_of_the_same_joints_with_short_gaps_filled(tmp_path):
    """Somebody who is hidden from all views for two instants, by the command line."""
    rig, truth = rig_of(4), walk(FRAMES, 1)
    visible = everywhere(FRAMES, 4, 1)
    visible[7:9] = False
    folders = draw(truth, visible, rig, tmp_path / "in")
    trivox.save_rig(rig, tmp_path / "rig.toml")
    command = ["predict", str(tmp_path / "rig.toml"), *map(str, folders), "--method", "ransac", "--fps", "30"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--skeleton", "h36m17", "--smooth", "--out", str(tmp_path / "out")])
    assert ended.value.code == 0
    own = predicted(rig, folders, fps=30)
    result, raw, found = load_result(tmp_path / "out"), own.converted(H36M_17), trivox.smoothed(own).converted(H36M_17)
    assert result.raw is not None
    assert_same(result.raw.points_mm, raw.points_mm)
    assert torch.equal(result.raw.valid, raw.valid)
    torch.testing.assert_close(result.poses.points_mm, found.points_mm, equal_nan=True)
    assert not raw.valid[7:9].any() and torch.equal(result.poses.valid[7:9], raw.valid[5:7])
    assert not result.poses.confidence[7:9].any()
    expected = converted(truth, torch.ones_like(truth[..., 0], dtype=torch.bool), COCO_17, H36M_17).points
    errors_mm = (result.poses.points_mm - expected).norm(dim=-1)
    assert errors_mm[7:9][result.poses.valid[7:9]].amax() < TOLERANCE_MM
    assert errors_mm[raw.valid].mean() < 0.8 * (raw.points_mm - expected).norm(dim=-1)[raw.valid].mean()


def test_interrupted_work_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    rig, truth = rig_of(3), walk(FRAMES, 1)
    folders = draw(truth, everywhere(FRAMES, 3, 1), rig, tmp_path / "in")
    whole = predicted(rig, folders, out=tmp_path / "whole", fps=30)
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
        predicted(rig, folders, out=tmp_path / "cut", fps=30)
    resumed = predicted(rig, folders, out=tmp_path / "cut", fps=30)
    assert looked == [*range(11), *range(10, FRAMES)]
    assert_same(whole.points_mm, resumed.points_mm)
    assert torch.equal(whole.valid, resumed.valid)
    assert not (tmp_path / "cut" / "unfinished").exists()


def test_a_finished_result_is_kept(tmp_path):
    rig, truth = rig_of(3), walk(4, 1)
    folders = draw(truth, everywhere(4, 3, 1), rig, tmp_path / "in")
    first = predicted(rig, folders, out=tmp_path / "out", fps=30)
    stamp = (tmp_path / "out" / "poses.npz").stat().st_mtime_ns
    again = predicted(rig, folders, out=tmp_path / "out", fps=30)
    assert_same(first.points_mm, again.points_mm)
    with pytest.raises(trivox.InputError, match="already holds the result of other"):
        predicted(rig, folders, out=tmp_path / "out", fps=30, method="linear")
    assert (tmp_path / "out" / "poses.npz").stat().st_mtime_ns == stamp


def test_an_unfinished_job_is_not_mixed_with_another(tmp_path, monkeypatch):
    rig, truth = rig_of(3), walk(4, 1)
    folders = draw(truth, everywhere(4, 3, 1), rig, tmp_path / "in")

    def stopped(self, frame, pictures):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Follower, "step", stopped)
        predicted(rig, folders, out=tmp_path / "out", fps=30)
    with pytest.raises(trivox.InputError, match="unfinished job with other videos or options"):
        predicted(rig, folders, out=tmp_path / "out", fps=30, people=2)


def test_the_result_folder_feeds_triangulate(tmp_path):
    """`triangulate` on the 2D joints of a result gives the same people again."""
    rig, truth = rig_of(4), walk(6, 1)
    predicted(rig, draw(truth, everywhere(6, 4, 1), rig, tmp_path / "in"), out=tmp_path / "out", fps=30)
    keypoints = [tmp_path / "out" / "keypoints" / f"{name}.npz" for name in rig.names]
    poses = trivox.triangulate_files(trivox.load_rig(tmp_path / "out" / "rig.toml"), keypoints, fps=30)
    assert_follows(poses, truth)


def test_nobody_in_the_pictures_is_one_sentence(tmp_path):
    rig, truth = rig_of(3), walk(4, 1)
    folders = draw(truth, ~everywhere(4, 3, 1), rig, tmp_path)
    with pytest.raises(trivox.InputError, match="no person found in any of the 3 videos"):
        predicted(rig, folders, fps=30)


def test_a_person_in_one_view_only_is_one_sentence(tmp_path):
    rig, truth = rig_of(3), walk(4, 1)
    visible = everywhere(4, 3, 1)
    visible[:, 1:] = False
    with pytest.raises(trivox.InputError, match="never the same person in two of the 3 views"):
        predicted(rig, draw(truth, visible, rig, tmp_path), fps=30)


def test_a_wrong_unit_is_named_where_it_keeps_the_views_apart(tmp_path):
    rig, truth = rig_of(3), walk(4, 1)
    folders = draw(truth, everywhere(4, 3, 1), rig, tmp_path)
    in_metres = replace(rig, cameras=replace(rig.cameras, t_mm=rig.cameras.t_mm / 1000))
    with pytest.raises(trivox.InputError, match="1000 times too small: the calibration's lengths are in another unit"):
        predicted(in_metres, folders, fps=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"people": 0}, "0 people"), ({"skeleton": "coco"}, "no skeleton 'coco'")],
)
def test_options_that_do_not_exist_are_one_sentence(tmp_path, options, message):
    with pytest.raises(trivox.InputError, match=message):
        predicted(rig_of(2), [tmp_path, tmp_path], **options)


def rows_of(poses, truth_mm) -> list[str]:
    """Per frame, who each row is: the number of the true person, "-" for nobody, "?" for something else."""
    rows = []
    for f in range(len(poses.valid)):
        row = ""
        for p in range(poses.valid.shape[1]):
            seen = poses.valid[f, p]
            errors_mm = (poses.points_mm[f, p].double() - truth_mm[f])[:, seen].norm(dim=-1)
            near = [q for q in range(truth_mm.shape[1]) if seen.any() and errors_mm[q].median() < 100]
            row += str(near[0]) if near else "?" if seen.any() else "-"
        rows.append(row)
    return rows


@pytest.mark.parametrize("people", [1, 2])
def test_when_the_main_person_leaves_the_bystander_does_not_become_it(tmp_path, people):
    rig, truth = rig_of(4), walk(24, 2, step_mm=0.0)
    visible = everywhere(24, 4, 2)
    visible[:, 3, 1] = False
    visible[20:, :, 0] = False
    poses = predicted(rig, draw(truth, visible, rig, tmp_path), people=people, fps=6)
    expected = ["0", "-"] if people == 1 else ["01", "-1"]
    assert rows_of(poses, truth) == [expected[0]] * 20 + [expected[1]] * 4


def test_a_neighbour_does_not_take_the_place_of_somebody_who_vanishes(tmp_path):
    """Between two instants of the survey, with the neighbour in the crop: 600 mm away, at 30 frames a second."""
    rig, truth = rig_of(4), walk(24, 2, step_mm=0.0)
    truth[:, 1] = truth[:, 0] + torch.tensor([600.0, 0.0, 0.0]).double()
    visible = everywhere(24, 4, 2)
    visible[:, 2:, 1] = False
    visible[16:, :, 0] = False
    poses = predicted(rig, draw(truth, visible, rig, tmp_path), fps=30)
    assert rows_of(poses, truth) == ["0"] * 16 + ["-"] * 8


def test_somebody_who_enters_is_found_before_the_next_instant_of_the_survey(tmp_path):
    rig, truth = rig_of(4), walk(FRAMES, 1, step_mm=10.0)
    visible = everywhere(FRAMES, 4, 1)
    visible[:5] = False
    poses = predicted(rig, draw(truth, visible, rig, tmp_path), fps=12)
    rows = rows_of(poses, truth)
    assert rows[:5] == ["-"] * 5 and rows[6:] == ["0"] * (FRAMES - 6)


def test_an_interrupted_survey_goes_on(tmp_path, monkeypatch, dot_networks):
    rig, truth = rig_of(3), walk(8, 1)
    folders = draw(truth, everywhere(8, 3, 1), rig, tmp_path / "in")
    whole = predicted(rig, folders, fps=30)
    monkeypatch.setattr("trivox.people.survey._AT_ONCE", 2)
    find_people, looked = DotNetworks.find_people, dot_networks.looks_at_whole_pictures
    looked.clear()

    def interrupted(self, pictures):
        if len(looked) == 5:
            looked.append(0)
            raise KeyboardInterrupt
        return find_people(self, pictures)

    monkeypatch.setattr(DotNetworks, "find_people", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predicted(rig, folders, out=tmp_path / "out", fps=30)
    resumed = predicted(rig, folders, out=tmp_path / "out", fps=30)
    assert looked == [3] * 5 + [0] + [3] * 4  # two parts of two instants were kept, the fifth instant was not
    assert_same(whole.points_mm, resumed.points_mm)


def test_resuming_keeps_two_people_in_their_rows(tmp_path, monkeypatch):
    rig, truth = rig_of(4), walk(FRAMES, 2)
    folders = draw(truth, everywhere(FRAMES, 4, 2), rig, tmp_path / "in")
    whole = predicted(rig, folders, people=2, fps=30)
    step = Follower.step
    stops = [3, 9]

    def interrupted(self, frame, pictures):
        if frame in stops:
            stops.remove(frame)
            raise KeyboardInterrupt
        return step(self, frame, pictures)

    monkeypatch.setattr(Follower, "step", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            predicted(rig, folders, out=tmp_path / "out", people=2, fps=30)
    resumed = predicted(rig, folders, out=tmp_path / "out", people=2, fps=30)
    assert_same(whole.points_mm, resumed.points_mm)


def test_asking_for_more_people_than_there_are_is_said(tmp_path, capsys):
    rig, truth = rig_of(3), walk(4, 1)
    poses = predicted(rig, draw(truth, everywhere(4, 3, 1), rig, tmp_path), people=3, fps=30)
    assert poses.valid.any((0, 2)).tolist() == [True, False, False]
    assert "only 1 of 3 people found" in " ".join(capsys.readouterr().err.split())


def test_cameras_in_the_wrong_order_are_doubted(tmp_path, capsys):
    rig, truth = rig_of(4), walk(6, 1, step_mm=120.0)
    folders = draw(truth, everywhere(6, 4, 1), rig, tmp_path)
    try:
        predicted(rig, folders, cameras=["cam2", "cam1", "cam3", "cam4"], fps=30)
        said = " ".join(capsys.readouterr().err.split())
        assert "trivox doctor" in said
    except trivox.InputError as error:
        assert "belong to the cameras named" in str(error)


def test_a_rate_for_videos_is_refused(tmp_path):
    rig = rig_of(2)
    paths = [tmp_path / f"{name}.mp4" for name in rig.names]
    for path in paths:
        write_clip(path, 4)
    with pytest.raises(trivox.InputError, match="--fps is for image folders"):
        predicted(rig, paths, fps=30, image_fit="scale")


def bordered(picture: np.ndarray, top: int, bottom: int) -> np.ndarray:
    return cv2.copyMakeBorder(picture, top, bottom, 0, 0, cv2.BORDER_REPLICATE)


PADDED = {
    "left": lambda picture: bordered(picture, 0, 16),
    "right": lambda picture: bordered(picture, 16, 0),
    "center": lambda picture: bordered(picture, 8, 8),
    "scale": lambda picture: cv2.resize(picture, (1280, 736), interpolation=cv2.INTER_NEAREST),
}


def padded_walk(folder, fit: str, frames: int = 6):
    """People, their cameras, and pictures of all but the first camera that are 16 rows higher than calibrated."""
    rig, truth = rig_of(3), walk(frames, 1, step_mm=100.0)
    folders = draw(truth, everywhere(frames, 3, 1), rig, folder)
    for path in (path for camera in folders[1:] for path in camera.iterdir()):
        cv2.imwrite(str(path), PADDED[fit](cv2.imread(str(path))), QUICK_PNG)
    return rig, truth, folders


@pytest.mark.parametrize("fit", PADDED)
def test_how_padded_pictures_sit_is_told_by_the_people_in_them_and_said(tmp_path, capsys, fit):
    rig, truth, folders = padded_walk(tmp_path, fit)
    assert_follows(predicted(rig, folders, fps=30), truth)
    said = " ".join(capsys.readouterr().err.split())
    assert f"cam2 is calibrated for 1280x720, its pictures are 1280x736: fitted by {fit}" in said
    assert f"agree best with {fit}; --image-fit scale|left|center|right decides it" in said


def test_a_fit_that_the_people_tell_is_that_of_the_result_and_of_a_job_that_goes_on(tmp_path, monkeypatch):
    rig, truth, folders = padded_walk(tmp_path / "in", "right")
    step = Follower.step
    stops = [3]

    def interrupted(self, frame, pictures):
        if frame in stops:
            stops.remove(frame)
            raise KeyboardInterrupt
        return step(self, frame, pictures)

    monkeypatch.setattr(Follower, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predicted(rig, folders, out=tmp_path / "out", fps=30)
    assert_follows(predicted(rig, folders, out=tmp_path / "out", fps=30), truth)
    result = load_result(tmp_path / "out")
    # The rows above put the calibrated middle 16 pixels lower.
    below = torch.tensor([[0.0, 0], [0, 16], [0, 16]]).double()
    torch.testing.assert_close(result.rig.cameras.K[:, :2, 2], rig.cameras.K[:, :2, 2] + below)
    with Views.open(result.rig, folders) as views:
        assert not views.notes
    given = predicted(rig, folders, out=tmp_path / "out", fps=30, image_fit="right")  # the same work: it stands
    torch.testing.assert_close(given.points_mm, result.poses.points_mm, rtol=0, atol=0, equal_nan=True)


def test_what_the_people_do_not_tell_is_left_and_said(tmp_path, capsys):
    rig, _, folders = padded_walk(tmp_path, "left", frames=1)
    predicted(rig, folders, fps=30)
    said = " ".join(capsys.readouterr().err.split())
    assert "fitted by left" in said and "do not tell clearly how these sit in it" in said


def test_padded_pictures_of_nobody_are_the_sentence_about_nobody(tmp_path):
    rig = rig_of(2)
    paths = [write_clip(tmp_path / f"{name}.mp4", 2, image_hw=(736, 1280)) for name in rig.names]
    with pytest.raises(trivox.InputError, match="no person found in any of the 2 videos"):
        predicted(rig, paths)


def test_more_than_padding_is_refused(tmp_path):
    rig = rig_of(2)
    paths = [write_clip(tmp_path / f"{name}.mp4", 2, image_hw=(738, 1280)) for name in rig.names]
    with pytest.raises(
        trivox.InputError, match=r"1280x738; say how they sit .* --image-fit scale\|left\|center\|right"
    ):
        predicted(rig, paths)
