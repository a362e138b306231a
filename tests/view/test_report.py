"""The page of a report: its numbers are those of plain computations, and it loads nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from rigs import ring, standing_people

from trivox.errors import InputError
from trivox.files.poses import save_poses
from trivox.files.results import Result, load_result, save_result
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17
from trivox.summary import summarise
from trivox.view.measures import bone_lengths_mm, reprojection
from trivox.view.plots import lines, nice_top
from trivox.view.report import write_report

FRAMES, LENS = 30, (-0.1, 0.02, 1e-3, -5e-4, 0.0)


def result_of(off_px: tuple[float, float, float]) -> Result:
    """One walking person whose 2D joints are `off_px` away to the right in each of three cameras."""
    rig = Rig(("a", "b", "c"), ring(3, distortion=LENS), torch.tensor([0.0, 0, 1]).double())
    steps = torch.arange(FRAMES).double()[:, None, None, None] * torch.tensor([10.0, 0, 0]).double()
    points = standing_people([(0.0, 0.0)]) + steps
    valid = torch.ones(FRAMES, 1, 17, dtype=torch.bool)
    poses = Poses(points, valid, valid.double(), torch.arange(FRAMES), COCO_17, 25.0, rig.up)
    exact = rig.cameras.project(points.reshape(-1, 3).expand(3, -1, -1)).reshape(3, FRAMES, 1, 17, 2)
    scores = torch.ones(FRAMES, 1, 17).double()
    scores[: FRAMES // 2, :, 3] = 0.05  # the left ear is not seen half of the time
    shifts = [torch.tensor([px, 0.0]).double() for px in off_px]
    keypoints = [Keypoints2D(exact[v] + shifts[v], scores, poses.frames, COCO_17) for v in range(3)]
    used = torch.ones(FRAMES, 1, 3, 17, dtype=torch.bool)
    missed = torch.tensor(off_px).double()[:, None].expand(used.shape)
    from dataclasses import asdict

    return Result(poses, rig, keypoints, {}, asdict(summarise(poses, rig.names, used, missed)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("result") / "out"
    save_result(result_of((1.0, 2.0, 4.0)), out)
    return out


def test_reprojection_is_the_distance_of_each_2d_joint(folder):
    seen = reprojection(load_result(folder))
    assert seen is not None
    for view, off_px in enumerate((1.0, 2.0, 4.0)):
        values = seen.missed_px[:, 0, view]
        np.testing.assert_allclose(values[np.isfinite(values)], off_px, atol=1e-6)
        assert seen.quantiles_px(view) == pytest.approx([off_px] * 5)
    shares = seen.seen_by_joint()
    assert shares[:, 3] == pytest.approx([0.5] * 3) and shares[:, 4] == pytest.approx([1.0] * 3)
    assert np.isnan(seen.missed_px[0, 0, :, 3]).all()


def test_bone_lengths_are_plain_distances(folder):
    poses = load_result(folder).poses
    shank = bone_lengths_mm(poses)["left_knee-left_ankle"]
    a, b = (poses.points_mm[:, 0, COCO_17.names.index(name)].numpy() for name in ("left_knee", "left_ankle"))
    np.testing.assert_allclose(shank[:, 0], np.sqrt(((a - b) ** 2).sum(-1)))


class Page(HTMLParser):
    """Open tags, in order; fails on a tag that is closed and was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "line", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag


def test_the_page_is_whole_loads_nothing_and_tells_the_numbers(folder, tmp_path):
    poses = load_result(folder).poses
    moved = replace(poses, points_mm=poses.points_mm + torch.tensor([3.0, 0.0, 4.0]), covariance_mm2=None)
    save_poses(moved, tmp_path / "truth.npz")
    judged = write_report(folder, tmp_path / "r.html", truth=tmp_path / "truth.npz")
    text = (tmp_path / "r.html").read_text("utf-8")
    page = Page()
    page.feed(text)
    assert page.open == [] and page.seen.count("svg") >= 8
    assert not {"script", "link", "img", "iframe"} & set(page.seen)
    assert not re.search(r"https?:|url\(|@import|src=", text)
    assert judged.grade == "consistent" and "Consistent: cameras, joints and bones agree" in text
    assert "measured against the truth" in text
    assert "5.0 mm" in text and "MPJPE 5.00 mm" in text
    assert "a: half of the joints are within 1.0 px" in text and "c: half of the joints are within 4.0 px" in text
    assert "nan" not in text.lower().replace("nanmedian", "")


def test_each_of_several_people_has_a_line_of_errors(folder, tmp_path):
    """The second person is 30 mm off in the first half and 50 mm in the second, and the truth lists it first."""
    one = load_result(folder)
    both = torch.cat([one.poses.points_mm, one.poses.points_mm + torch.tensor([0.0, 2000.0, 0.0])], dim=1)
    valid = torch.ones(FRAMES, 2, 17, dtype=torch.bool)
    truth = replace(one.poses, points_mm=both.flip(1), valid=valid, confidence=valid.double(), covariance_mm2=None)
    off_mm = torch.tensor([30.0, 50.0]).repeat_interleave(FRAMES // 2)
    found = both + torch.stack([torch.zeros(FRAMES), off_mm], 1)[..., None, None] * torch.tensor([0.6, 0.0, 0.8])
    poses = replace(truth, points_mm=found)
    twice = [
        replace(k, points_px=torch.cat([k.points_px] * 2, 1), scores=torch.cat([k.scores] * 2, 1))
        for k in one.keypoints
    ]
    save_result(replace(one, poses=poses, keypoints=twice, summary={**one.summary, "people": 2}), tmp_path / "two")
    save_poses(truth, tmp_path / "truth.npz")
    write_report(tmp_path / "two", tmp_path / "r.html", truth=tmp_path / "truth.npz")
    over_time = (tmp_path / "r.html").read_text("utf-8").split("<h2>Error over time")[1].split("</section>")[0]
    assert "person 0: median 0 mm" in over_time and "person 1: median 40 mm" in over_time  # counted as in files
    first, second = re.findall(r'<path d="M([^"]+)"', over_time)
    levels = [sorted({float(point.split()[1]) for point in path.split("L")}) for path in (first, second)]
    assert len(levels[0]) == 1 and levels[0][0] - levels[1][1] == pytest.approx(
        3 / 5 * (levels[0][0] - levels[1][0]), abs=0.2
    )


def test_a_bad_result_is_called_bad(tmp_path):
    good = result_of((40.0, 40.0, 40.0))
    gone = good.poses.valid.clone()
    gone[: FRAMES // 2] = False
    summary = {**good.summary, "joints_valid": 0.5, "bone_spread_mm": 120.0}
    save_result(replace(good, poses=replace(good.poses, valid=gone), summary=summary), tmp_path / "out")
    judged = write_report(tmp_path / "out", tmp_path / "r.html")
    assert judged.grade == "poor" and "Inconsistent" in judged.sentence
    assert any("trivox doctor" in step for step in judged.next_steps)
    assert {check.what: check.grade for check in judged.checks}["joints found"] == "poor"
    assert len(judged.next_steps) >= 4


def test_agreement_is_never_called_good(folder, tmp_path):
    """Without a truth nobody knows the error: a calibration of half the size has the same pixels and steady bones."""
    judged = write_report(folder, tmp_path / "r.html")
    assert judged.grade == "consistent" and "does not measure errors" in judged.caveat
    text = (tmp_path / "r.html").read_text("utf-8")
    assert judged.caveat in text and not re.search(r"\bgood\b", text, re.IGNORECASE)


def test_the_camera_that_helps_least_is_named_and_exchanged_cameras_are_left_to_the_doctor(tmp_path):
    result = result_of((40.0, 40.0, 40.0))
    shares = zip(result.summary["cameras"], (0.9, 0.1, 0.8), strict=True)
    cameras = [{**camera, "joints_used": used} for camera, used in shares]
    summary = {**result.summary, "cameras": cameras, "bone_spread_mm": 120.0}
    save_result(replace(result, summary=summary), tmp_path / "out")
    steps = " ".join(write_report(tmp_path / "out", tmp_path / "r.html").next_steps)
    assert f"{cameras[1]['name']} helps least" in steps and "trivox doctor" in steps
    assert "order of the cameras" not in steps


def test_lines_are_broken_where_there_is_nothing():
    values = np.array([1.0, 2.0, np.nan, 3.0, np.nan, 4.0])
    path = re.findall(r'<path d="([^"]+)"', lines(np.arange(6.0), {"x": values}, [(0, 0, 0)], "px"))[0]
    assert path.count("M") == 3 and path.count("L") == 1


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.3, 1.0, 1.1, 9.5, 10.0, 777.0, float("nan")])
def test_axes_end_at_round_numbers_above_the_values(value):
    top = nice_top(value)
    assert top > 0 and not top < value
    assert value != value or value <= 0 or top <= 2 * value


def test_what_cannot_be_reported_is_one_sentence(folder, tmp_path):
    for result, out, said in (
        (tmp_path / "nothing", "r.html", "is no result folder"),
        (folder, "r.pdf", "the report is a page; name it"),
        (folder, "r.html", "exists and is not overwritten"),
    ):
        (tmp_path / "r.html").write_text("mine")
        with pytest.raises(InputError, match=said):
            write_report(result, tmp_path / ("new.html" if said == "is no result folder" else out))
        assert (tmp_path / "r.html").read_text() == "mine"
