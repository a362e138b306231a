"""The doctor on perfect projections: every fault is named, with its camera and its size, and nothing else is."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rigs import STANDING_MM, ring
from scipy.optimize import minimize
from torch import Tensor

from trivox.cli.main import main
from trivox.doctor import examination
from trivox.doctor.case import Case
from trivox.doctor.corrections import Correction, alternatives
from trivox.doctor.diagnosis import _is_possible, best_step, diagnose, gain_of, holds, unit_factor
from trivox.doctor.evidence import Evidence, evidence_of, jitter_px, read_at, sampled
from trivox.doctor.examination import doctor, examined
from trivox.doctor.findings import weak_views
from trivox.doctor.fits import fitted, moved_midway
from trivox.doctor.pose import pose_from_points, turned_by
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.keypoints import save_keypoints
from trivox.geometry.distortion import undistort
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17
from trivox.triangulate_files import triangulate_files

FPS, INSTANTS = 15.0, 24


def person(times_s: Tensor) -> Tensor:
    """Somebody who walks a bow and swings arms and legs: points (F, 17, 3) in mm at any times."""
    swing = torch.sin(2 * torch.pi * 0.9 * times_s)[:, None] * torch.linspace(-250, 250, 17).double()[None]
    place = torch.stack([900 * torch.cos(times_s), 700 * torch.sin(1.3 * times_s), torch.zeros_like(times_s)], -1)
    return STANDING_MM + place[:, None] + torch.stack([swing, 0.5 * swing.flip(-1), 0.2 * swing], -1)


def seen(views: int = 4, late_frames: tuple[float, ...] = (0.0,) * 4) -> Evidence:
    """What `ring(views)` sees of the person, view v that many frames late."""
    frames, cameras = torch.arange(INSTANTS), ring(views)
    points = [
        cameras[[v]].project(person((frames - late) / FPS).reshape(1, -1, 3)).reshape(INSTANTS, 17, 2)
        for v, late in enumerate(late_frames[:views])
    ]
    points_px = torch.stack(points, 1)[:, :, None]
    scores = torch.ones(points_px.shape[:-1]).double()
    return evidence_of(points_px, scores, frames, torch.zeros_like(frames), COCO_17, FPS, cameras.image_hw)


@pytest.fixture(scope="module")
def good() -> Case:
    return Case.of(seen(), ring(4))


def named(case: Case) -> tuple[str, tuple[int, ...]]:
    step = best_step(case)
    return ("", ()) if step is None else (step.correction.kind, step.correction.views)


def noisy(case: Case, view: int, sigma_px: float) -> Case:
    """The detector of one view wrong by white noise, in crop pixels."""
    points = case.evidence.points_px.clone()
    noise = torch.randn(points[:, view].shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    points[:, view] += sigma_px * case.evidence.crop_px[:, view, :, None] * noise
    return replace(case, evidence=replace(case.evidence, points_px=points))


def test_points_lie_where_an_independent_minimiser_puts_them(good: Case):
    """Cauchy's loss of every point, its lowest over several starts found by scipy from differences alone."""
    R, t_mm = turned_by(good.cameras.R[3], good.cameras.t_mm[3], torch.tensor([0.02, -0.02, 0, 20.0, 0, 0]).double())
    case = noisy(good, 1, 5.0).with_camera(3, R=R, t_mm=t_mm)
    camera_matrices = torch.cat([case.cameras.R, case.cameras.t_mm[..., None]], -1).numpy()
    losses = torch.log1p((case.fit.errors_px / 4.0) ** 2).sum(-1)
    for m in range(0, len(losses), 29):
        rays, gain = case.rays.directions[m].numpy(), case.rays.gain[m].numpy()

        def loss(x: np.ndarray, rays: np.ndarray = rays, gain: np.ndarray = gain) -> float:
            seen = camera_matrices @ np.append(x, 1.0)
            return float(np.log1p((np.linalg.norm(seen[:, :2] / seen[:, 2:] - rays, axis=-1) * gain / 4) ** 2).sum())

        starts = case.fit.points_mm[m].numpy() + 60 * np.random.default_rng(m).normal(size=(2, 3))
        best = min(minimize(loss, start, method="Nelder-Mead").fun for start in starts)
        assert float(losses[m]) <= best + 1e-3


def test_lenses_are_undone_as_geometry_does(good: Case):
    distortion = torch.tensor([[-0.2, 0.05, 0.001, -0.002, 0.01]]).double().expand(4, 5)
    case = good.with_cameras(replace(good.cameras, distortion=distortion))
    normalised = case.cameras.normalised_from_pixels(case.read.points_px.movedim(1, 0).flatten(1, 2))
    expected = undistort(normalised, distortion, "opencv").movedim(0, 1)
    torch.testing.assert_close(case.rays.directions, expected, rtol=0, atol=1e-12)


def test_what_is_known_of_other_views_is_used_again_rightly(good: Case):
    """A camera or an offset changed leaves the other views' rays as they were; all of them anew are the same."""
    assert good.loss < 1e-3  # the rays are known now
    lens = torch.tensor([0.2, 0, 0, 0, 0]).double()
    for changed in (good.with_camera(2, distortion=lens), good.with_camera(1, K=1.1 * good.cameras.K[1])):
        anew = Case(changed.evidence, changed.cameras, changed.offsets)
        torch.testing.assert_close(changed.rays.directions, anew.rays.directions)
    late = good.with_offset(3, 1.3).with_offset(0, -0.4)
    anew = Case(late.evidence, late.cameras, late.offsets)
    for name in ("directions", "gain", "weights"):
        torch.testing.assert_close(getattr(late.rays, name), getattr(anew.rays, name))


def test_jitter_is_the_standard_deviation_of_white_noise_and_none_in_steady_motion():
    frames = torch.arange(300)
    steady = frames[:, None, None, None, None] * torch.tensor([3.0, -2.0]).double() + 200 * STANDING_MM[:, :2] / 1000
    steady = steady.expand(300, 2, 1, 17, 2)
    evidence = evidence_of(steady, torch.ones(300, 2, 1, 17), frames, torch.zeros_like(frames), COCO_17, FPS)
    assert jitter_px(evidence).max() < 1e-9
    case = Case(evidence, ring(2), torch.zeros(2).double())
    jitter = jitter_px(noisy(case, 1, 3.0).evidence)
    assert float(jitter[0]) < 1e-9 and float(jitter[1]) == pytest.approx(3.0, rel=0.05)


def test_a_noisy_detector_is_named_and_the_rig_is_not_blamed(good: Case):
    found = diagnose(noisy(good, 2, 12.0))
    assert found.steps == () and weak_views(found.case) == [2]
    assert weak_views(good) == []


def test_perfect_projections_contradict_nothing(good: Case):
    assert good.loss < 1e-3
    assert unit_factor(good) == 1
    assert named(good) == ("", ())


def test_tracks_of_constant_speed_are_read_exactly_between_frames():
    frames = torch.arange(20)
    line = frames[:, None, None, None, None] * torch.tensor([3.0, -2.0]).double() + torch.zeros(20, 2, 1, 17, 2)
    evidence = evidence_of(line, torch.ones(20, 2, 1, 17), frames, torch.zeros_like(frames), COCO_17, FPS)
    read = read_at(evidence, torch.tensor([0.0, 0.37]).double())
    both = (read.weights > 0).all(1, keepdim=True)[..., None]
    apart = (read.points_px[:, 1:] - read.points_px[:, :1]).masked_select(both).reshape(-1, 2)
    torch.testing.assert_close(apart, (0.37 * torch.tensor([3.0, -2.0]).double()).expand_as(apart), rtol=0, atol=1e-2)


def test_long_recordings_are_sampled_from_begin_to_end():
    frames, stretches = sampled(6000, 60.0)
    assert frames[0] == 0 and 5990 <= frames[-1] < 6000 and len(stretches.unique()) == 3
    assert set(frames.diff()[stretches.diff() == 0].tolist()) == {4}


@pytest.mark.parametrize("late", [2.4, -3.7])
def test_a_time_offset_is_measured_within_a_tenth_of_a_frame(late: float):
    case = Case.of(seen(late_frames=(0.0, 0.0, late, 0.0)), ring(4))
    step = best_step(case)
    assert step is not None and (step.correction.kind, step.correction.views) == ("time offset", (2,))
    assert step.correction.numbers["frames"] == pytest.approx(late, abs=0.1)


def test_swapped_cameras_are_named(good: Case):
    assert named(good.with_cameras(good.cameras[torch.tensor([0, 3, 2, 1])])) == ("swapped cameras", (1, 3))


def test_inverted_transforms_are_named(good: Case):
    cameras = replace(good.cameras, R=good.cameras.R.mT, t_mm=good.cameras.position_mm)
    assert named(good.with_cameras(cameras)) == ("inverted transform", ())


@pytest.mark.parametrize("factor", [0.001, 10.0])
def test_the_unit_of_the_whole_rig_shows_in_the_size_of_people(good: Case, factor: float):
    case = good.with_cameras(replace(good.cameras, t_mm=good.cameras.t_mm * factor))
    found = diagnose(case)
    assert found.steps == () and found.unit_factor == pytest.approx(1 / factor)


def test_alternatives_undo_what_was_done_to_one_camera(good: Case):
    """Without the choice among all: the correction of the right kind and camera leaves no contradiction."""
    cameras = good.cameras
    t_mm, position = cameras.t_mm[1], cameras.position_mm[1]
    upside_down = replace(
        good,
        evidence=replace(
            good.evidence,
            points_px=torch.cat(
                [
                    good.evidence.points_px[:, :1],
                    torch.tensor([1280.0, 720.0]) - good.evidence.points_px[:, 1:2],
                    good.evidence.points_px[:, 2:],
                ],
                1,
            ),
        ),
    )
    faults = {
        ("wrong unit", "x 1000"): good.with_camera(1, t_mm=t_mm / 1000),
        ("inverted transform", "t is the camera's position"): good.with_camera(1, t_mm=position),
        ("turned picture", "180 degrees clockwise"): upside_down,
    }
    for (kind, detail), faulty in faults.items():
        assert faulty.loss > 0.5
        (right,) = (c for c in alternatives(faulty) if (c.kind, c.views, c.detail) == (kind, (1,), detail))
        assert right.case.loss < 1e-3


def test_numbers_of_a_fault_are_recovered(good: Case):
    K = good.cameras.K[2] * torch.tensor([[1.5], [1.5], [1.0]])
    found = {c.kind: c for c in fitted(good.with_camera(2, K=K), 2)}
    assert found["wrong image size"].numbers["scale"] == pytest.approx(1 / 1.5, abs=1e-3)
    R, t_mm = turned_by(
        good.cameras.R[2], good.cameras.t_mm[2], torch.tensor([0.05, -0.03, 0.04, 90, -60, 50]).double()
    )
    pose = next(c for c in fitted(good.with_camera(2, R=R, t_mm=t_mm), 2) if c.kind == "wrong pose")
    assert (pose.case.cameras.position_mm[2] - good.cameras.position_mm[2]).norm() < 5
    lens = torch.tensor([0.3, 0, 0, 0, 0]).double()
    found = {c.kind: c for c in fitted(good.with_camera(2, distortion=lens), 2)}
    assert found["wrong distortion"].numbers["k1"] == pytest.approx(0, abs=0.01)


def test_numbers_that_hold_only_in_one_half_are_not_believed(good: Case):
    """A camera that is beside its pose all the time, and one that is so half the time."""
    R, t_mm = turned_by(good.cameras.R[2], good.cameras.t_mm[2], torch.tensor([0.03, -0.03, 0, 60, 0, 0]).double())
    turned = good.with_camera(2, R=R, t_mm=t_mm)
    shift_px = turned.cameras[[2]].project(good.fit.points_mm[None]) - good.cameras[[2]].project(
        good.fit.points_mm[None]
    )
    points = good.evidence.points_px.clone()
    points[: INSTANTS // 2, 2] -= shift_px.reshape(INSTANTS, -1, 2)[: INSTANTS // 2]
    half = replace(good, evidence=replace(good.evidence, points_px=points))
    for case, expected in ((turned, True), (half, False)):
        pose = next(c for c in fitted(case, 2) if c.kind == "wrong pose")
        assert pose.case.total < case.total - 0.3
        assert holds(pose, case) == expected
    assert named(half)[0] == "moved camera"


def test_joints_that_an_offset_leaves_out_are_no_gain(good: Case):
    """Where the first instant is wrong, a later one in its place explains nothing, nor does a view without joints."""
    points = good.evidence.points_px[:1].repeat(INSTANTS, 1, 1, 1)  # somebody who stands still
    points[0, 1] += 80.0
    case = replace(good, evidence=replace(good.evidence, points_px=points))
    without_first, without_all = (
        Correction("time offset", (1,), case.with_offset(1, frames), 1) for frames in (-0.6, 1000.0)
    )
    assert not bool(without_first.case.fit.seen[:12, 1].any())
    assert without_first.case.total < case.total - 0.1 and gain_of(case, without_first) < 0.05
    assert gain_of(case, without_all) == 0


def test_a_camera_that_moves_midway_is_found_with_its_frame(good: Case):
    R, t_mm = turned_by(good.cameras.R[0], good.cameras.t_mm[0], torch.tensor([0.05, 0.05, 0, 100, 0, 0]).double())
    moved = good.with_camera(0, R=R, t_mm=t_mm).cameras
    later = moved[[0]].project(person(torch.arange(INSTANTS) / FPS).reshape(1, -1, 3)).reshape(INSTANTS, 17, 2)
    limbs = list(COCO_17.indices(COCO_17.limb_joints))
    points = good.evidence.points_px.clone()
    points[12:, 0] = later[12:, limbs]
    case = replace(good, evidence=replace(good.evidence, points_px=points))
    found = moved_midway(case, 0)
    assert found is not None and abs(found.numbers["frame"] - 12) <= 1
    assert gain_of(case, found) > 0.8 * case.total


def test_a_pose_is_found_from_points_some_of_which_are_wrong():
    camera = ring(3)[1]
    points = person(torch.linspace(0, 3, 12).double()).reshape(-1, 3)
    in_cam = points @ camera.R.T + camera.t_mm
    directions = in_cam[:, :2] / in_cam[:, 2:]
    directions[::9] += 0.2
    found = pose_from_points(points, directions, torch.ones(len(points), dtype=torch.bool))
    assert found is not None
    torch.testing.assert_close(found[0], camera.R, rtol=0, atol=5e-3)
    torch.testing.assert_close(found[1], camera.t_mm, rtol=0, atol=20.0)


def test_another_picture_size_is_a_finding_and_the_fit_is_told():
    evidence = seen(3)
    cameras = ring(3)
    calibrated = replace(cameras, K=cameras.K.clone(), image_hw=torch.tensor([[720, 1280], [720, 1280], [720, 1300]]))
    calibrated.K[2, 0, 2] += 20  # the picture is the right part of the calibrated one
    report = examined(Rig(("a", "b", "c"), calibrated), evidence)
    (finding,) = report.findings
    assert (finding.kind, finding.cameras) == ("wrong image size", ("c",)) and "--image-fit right" in finding.advice
    torch.testing.assert_close(report.rig.cameras.K, cameras.K)


def test_command_on_a_result_folder(demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, _ = demo
    with pytest.raises(SystemExit) as quiet:
        main(["doctor", str(out / "rig.toml"), str(out)])
    assert quiet.value.code == 0 and "nothing found" in capsys.readouterr().out
    rig = load_rig(out / "rig.toml")
    save_rig(replace(rig, cameras=replace(rig.cameras, t_mm=rig.cameras.t_mm / 1000)), tmp_path / "metres.toml")
    corrected, offsets = tmp_path / "corrected.toml", tmp_path / "offsets.json"
    arguments = ["--write-rig", str(corrected), "--write-offsets", str(offsets)]
    with pytest.raises(SystemExit) as found:
        main(["doctor", str(tmp_path / "metres.toml"), str(out), *arguments])
    assert found.value.code == 1 and "wrong unit" in capsys.readouterr().out
    torch.testing.assert_close(load_rig(corrected).cameras.t_mm, rig.cameras.t_mm, rtol=1e-6, atol=1e-3)
    assert json.loads(offsets.read_text())["later_by_frames"] == dict.fromkeys(rig.names, 0.0)


def test_a_result_that_a_camera_did_not_help_with_sends_to_its_videos(demo, tmp_path: Path, monkeypatch, capsys):
    """It keeps only what agreed: of two exchanged cameras nothing, and nothing could be found."""
    out = Path(shutil.copytree(demo[0], tmp_path / "out"))
    summary, job = (json.loads((out / name).read_text()) for name in ("summary.json", "job.json"))
    summary["cameras"][1]["joints_used"] = 0.01
    (out / "summary.json").write_text(json.dumps(summary))
    name = summary["cameras"][1]["name"]
    looked: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(examination, "look_at", lambda views, fps: looked.append([str(path) for path in views.paths]))
        patch.setattr(examination, "examined", lambda rig, evidence: rig)
        doctor(out / "rig.toml", out)
    assert looked == [[file["path"] for file in job["videos"].values()]]
    assert f"{name} hardly helped to make {out}" in (said := capsys.readouterr().err) and "looked at again" in said
    for file in job["videos"].values():
        file["sha256_of_ends"] = "of another file"
    (out / "job.json").write_text(json.dumps(job))
    doctor(out / "rig.toml", out)
    assert "give the videos or 2D files in its place to learn why" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["nowhere"]])
def test_what_cannot_be_used_is_one_sentence(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_rig(Rig(("a", "b"), ring(2)), tmp_path / "rig.toml")
    with pytest.raises(SystemExit) as failed:
        main(["doctor", str(tmp_path / "rig.toml"), *words])
    said = capsys.readouterr().err
    assert failed.value.code == 2 and said.startswith("trivox: ") and said.count("\n") == 1


@pytest.mark.parametrize("late", [6, -6])
def test_a_late_view_is_named_from_the_2d_files_behind_a_result(late, tmp_path, capsys):
    """A result lacks what contradicts the calibration; what is left of a late view looks like a wrong pose."""
    rig = Rig(("a", "b", "c", "d"), ring(4))
    frames, paths = torch.arange(48), [tmp_path / f"{name}.npz" for name in rig.names]
    for v, path in enumerate(paths):
        at = person((frames - (late if v == 3 else 0)) / 30.0)
        points = rig.cameras[[v]].project(at.reshape(1, -1, 3)).reshape(48, 1, 17, 2)
        save_keypoints(Keypoints2D(points, torch.ones(48, 1, 17).double(), frames, COCO_17), path)
    save_rig(rig, tmp_path / "rig.toml")
    triangulate_files(rig, paths, out=tmp_path / "out", fps=30.0)
    for given in ([tmp_path / "out"], paths):
        with pytest.raises(SystemExit) as stop:
            main(["doctor", str(tmp_path / "rig.toml"), *map(str, given)])
        assert stop.value.code == 1
        said = capsys.readouterr().out
        offset = re.search(r"camera d: time offset \(it starts ([\d.]+) frames (before|after) the others\)", said)
        assert offset and "wrong pose" not in said
        assert float(offset[1]) == pytest.approx(6, abs=0.2) and offset[2] == ("before" if late > 0 else "after")


def test_a_lens_that_nobody_makes_explains_nothing(good):
    bent = good.with_camera(1, distortion=torch.tensor([29.0, 0, 0, 0, 0]).double())
    step = Correction("wrong distortion", (1,), bent, 1, "", {"k1": 29.0})
    assert not _is_possible(step, good) and _is_possible(replace(step, numbers={"k1": 0.3}), good)
