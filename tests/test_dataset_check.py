"""`trivox dataset check` finds each planted fault and nothing in sound datasets; truth is drawn where it projects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip
from scene_trees import HW, NAMES, Told, camera_list, small_ring, write_scene
from tables import small_labels

import trivox
from trivox.cli import main
from trivox.data.open_labels import save_labels
from trivox.data.scenes import read_scenes
from trivox.dataset_check import check_dataset
from trivox.dataset_drawing import COLOURS, draw_instant, instant_to_draw
from trivox.dataset_faults import faults_of_labels
from trivox.errors import InputError
from trivox.evaluate import evaluate
from trivox.files.images import read_image
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sound")
    write_scene(root / "walk")
    write_scene(root / "sit", Told(frames=(3, 4)))
    (root / "splits.yaml").write_text("train: [sit]\ntest: [walk]\n")
    (root / "dataset.yaml").write_text("up: z\n")
    return root


@pytest.fixture
def copied(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "copied")


def test_a_sound_dataset_has_no_faults(sound: Path) -> None:
    report = check_dataset(sound)
    assert report.findings.faults == () == report.findings.remarks and report.drawn is None
    assert report.facts == (
        "scenes: 10 rows, one for each person at 5 frames in 2 recordings",
        "truth: 4 people, coco17, 100.0% of the joints valid",
        "up: +0.000 +0.000 +1.000",
        "parts: train 4 rows, test 6 rows",
        "  sit: 4 rows, frames 3 to 4, 12 views; 3 cameras of 160x90: cam1, cam2, cam3",
        "  walk: 6 rows, frames 3 to 7, 18 views; 3 cameras of 160x90: cam1, cam2, cam3",
    )


def _with_truth(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], object]:
    def write(root: Path) -> None:
        path = root / "walk" / "truth.npz"
        arrays = dict(np.load(path))
        points_mm, names, frames = change(arrays["points_mm"]), arrays["joint_names"], arrays["frames"]
        np.savez(path, points_mm=points_mm, joint_names=names, frames=frames)

    return write


def _with_cameras(change: Callable[[list[dict[str, object]]], object]) -> Callable[[Path], object]:
    def write(root: Path) -> None:
        cameras = camera_list(Told(), 1.0, "t_mm")
        change(cameras)
        (root / "walk" / "calibration.json").write_text(json.dumps(cameras))

    return write


def _with_boxes(of_cam1: list[list[float]]) -> Callable[[Path], object]:
    return lambda root: (root / "walk" / "boxes.json").write_text(json.dumps({"cam1": of_cam1}))


def _turn_round(cameras: list[dict[str, object]]) -> None:
    """Camera 2 looks the other way, from where it stands."""
    back = np.diag([-1.0, 1.0, -1.0])
    cameras[1]["R"] = (back @ np.array(cameras[1]["R"])).tolist()
    cameras[1]["t_mm"] = (back @ np.array(cameras[1]["t_mm"])).tolist()


def _uncounted(root: Path) -> None:
    """Videos in place of images, one of them cut short."""
    shutil.rmtree(root / "walk" / "images")
    (root / "walk" / "videos").mkdir()
    for name, frames in zip(NAMES, (12, 12, 8), strict=True):
        write_clip(root / "walk" / "videos" / f"{name}.mp4", frames, image_hw=HW)


def _two_rates(root: Path) -> None:
    shutil.rmtree(root / "walk" / "images")
    (root / "walk" / "videos").mkdir()
    for name, fps in zip(NAMES, (25, 25, 30), strict=True):
        write_clip(root / "walk" / "videos" / f"{name}.mp4", 10, fps=fps, image_hw=HW)


def _renumbered(root: Path) -> None:
    for path in sorted((root / "walk" / "images" / "cam1").iterdir()):
        path.rename(path.with_name(path.name.replace("cam1_", "cam1_9")))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truth in metres": (_with_truth(lambda p: p / 1000), "walk: the people of the truth measure 1.59 mm"),
    "truth elsewhere": (
        _with_truth(lambda p: p + [0, 0, 5000]),
        "walk: the truth lies outside the pictures of all cameras",
    ),
    "a camera turned round": (_with_cameras(_turn_round), "walk: the truth lies behind camera cam2 throughout"),
    "a camera that looks elsewhere": (
        _with_cameras(lambda c: c[0].update(k=[[87.5, 0, 4000], [0, 87.5, 45], [0, 0, 1]])),
        "walk: camera cam1 never has the truth in its picture",
    ),
    "pictures of no camera": (_with_cameras(lambda c: c.pop(1)), "images/cam2 belongs to none of the cameras"),
    "cameras in metres": (
        _with_cameras(lambda cameras: [c.update(t_mm=(np.array(c["t_mm"]) / 1000).tolist()) for c in cameras]),
        "calibration.json: the cameras are at most",
    ),
    "a cut video": (_uncounted, "cam3.mp4 has 8 frames, "),
    "two frame rates": (_two_rates, "has 25 frames/s, "),
    "no shared frame": (_renumbered, "share no frame number"),
    "a broken picture": (
        lambda root: (root / "walk/images/cam3/cam3_000004.jpg").write_bytes(b"\xff\xd8 no more"),
        "cam3_000004.jpg is damaged",
    ),
    "a box without area": (_with_boxes([[3, 0, 20, 20, 20, 60]]), "boxes.json: 1 box of camera cam1 without area"),
    "a box outside": (_with_boxes([[3, 0, 500, 20, 520, 60]]), "walk: 1 of 1 boxes of camera cam1 lie outside"),
    "somebody else's box": (
        _with_boxes([[3, 0, 2, 2, 10, 10], [3, 1, 2, 2, 10, 10]]),
        "walk: 2 of 2 boxes of camera cam1 are not around the projected truth",
    ),
    "truth of other frames": (
        lambda root: np.savez(
            root / "walk" / "truth.npz",
            points_mm=Told().points_mm.numpy(),
            joint_names=np.array(COCO_17.names),
            frames=np.array([103, 104, 107]),
        ),
        "truth.npz: no frame of the truth has a picture (it has 103 to 107, the pictures 3 to 7)",
    ),
    "truth that cannot be read": (
        lambda root: (root / "walk" / "truth.npz").write_text("x"),
        "truth.npz is not a readable",
    ),
    "a split of strangers": (lambda root: (root / "splits.yaml").write_text("test: [run]"), "names a scene 'run'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_and_the_other_scene_still_read(copied: Path, fault: str) -> None:
    plant, said = FAULTS[fault]
    plant(copied)
    report = check_dataset(copied)
    assert any(said in sentence for sentence in report.findings.faults), report.findings.faults
    assert all("\n" not in sentence for sentence in report.findings.faults)
    assert any(line.startswith("  sit: 4 rows") for line in report.facts)


def test_world_from_camera_in_place_of_its_inverse_is_a_fault(copied: Path) -> None:
    def invert(cameras: list[dict[str, object]]) -> None:
        for camera, centre, R in zip(cameras, small_ring().position_mm, small_ring().R, strict=True):
            camera.update(R=R.T.tolist(), t_mm=centre.tolist())

    _with_cameras(invert)(copied)
    assert check_dataset(copied).findings.faults


def test_what_a_sound_dataset_may_lack_is_remarked(copied: Path) -> None:
    (copied / "dataset.yaml").unlink()
    (copied / "splits.yaml").write_text("train: [walk]\n")
    shutil.rmtree(copied / "walk" / "images" / "cam2")
    (copied / "walk" / "images" / "cam3" / "cam3_000007.jpg").unlink()
    (copied / "sit" / "truth.npz").unlink()
    findings = check_dataset(copied).findings
    assert findings.faults == ()
    for said in (
        "walk/calibration.json has cameras without pictures in",
        "cam3 lacks 1 frame that other cameras have (7)",
        "sit has no truth",
        "does not say which way is up",
        "splits.yaml gives no part to sit",
    ):
        assert any(said in sentence for sentence in findings.remarks), findings.remarks


def test_tables_of_labels_are_checked_too(tmp_path: Path) -> None:
    labels = small_labels(tmp_path / "nowhere")
    save_labels(labels, tmp_path / "labels.json")
    report = check_dataset(tmp_path)
    assert report.facts == check_dataset(tmp_path / "labels.json").facts
    assert report.facts[0] == "small: 12 rows, one for each person at 8 frames in 2 recordings"
    assert all("nowhere" in sentence and "there is no file" in sentence for sentence in report.findings.faults)
    far = replace(labels, points_mm=labels.points_mm / 100)
    assert any("measure 16" in sentence for sentence in faults_of_labels(far).faults)


def test_truth_is_drawn_where_it_projects(sound: Path) -> None:
    """OpenCV's projection of a wrist, in the place of its camera in the mosaic, has the person's colour."""
    labels = read_scenes(sound)
    rows = instant_to_draw(labels, "walk", 7)
    mosaic = draw_instant(labels, rows)
    assert mosaic.shape == (2 * 480, 2 * 853, 3)
    told = Told()
    for c in range(3):
        camera = told.cameras[c]
        rotation, lens = cv2.Rodrigues(camera.R.numpy())[0], camera.distortion.numpy()
        wrist = told.points_mm[2, 1, 9].numpy()
        (x, y) = cv2.projectPoints(wrist, rotation, camera.t_mm.numpy(), camera.K.numpy(), lens)[0][0, 0] * 480 / 90
        row, column = int(y) + 480 * (c // 2), int(x) + 853 * (c % 2)
        assert np.abs(mosaic[row, column].astype(int) - COLOURS[1]).max() < 30
    assert (mosaic[480:, 853:] == 0).all()


def test_the_instant_drawn_is_the_best_seen(copied: Path) -> None:
    labels = read_scenes(copied)
    labels.valid[labels.frames != 4] = False
    labels.valid[(labels.frames == 4) & (labels.recording == 0)] = False
    rows = instant_to_draw(labels, None, None)
    assert [labels.key(int(row)) for row in rows] == ["walk/000004/p0", "walk/000004/p1"]
    with pytest.raises(InputError, match="no row of walk frame 5"):
        instant_to_draw(labels, "walk", 5)


def ran(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as exit:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return exit.value.code, said.out, said.err


def test_the_command_draws_and_exits_with_1_only_for_faults(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "check.png"
    (copied / "dataset.yaml").unlink()
    code, said, _ = ran(capsys, "dataset", "check", copied, "--out", out)
    assert code == 0 and "drew walk/000003 with 2 people" in said or "drew sit/000003 with 2 people" in said
    assert "remark: " in said and "no faults found" in said
    assert read_image(out).shape[0] == 960
    code, _, error = ran(capsys, "dataset", "check", copied, "--out", out)
    assert code == 2 and "is not overwritten" in error
    shutil.rmtree(copied / "walk" / "images")
    (copied / "walk" / "images").mkdir()
    code, said, _ = ran(capsys, "dataset", "check", copied)
    assert code == 1 and "fault: " in said and "no faults found" not in said
    code, _, error = ran(capsys, "dataset", "check", tmp_path / "nothing")
    assert code == 2 and error.count("\n") == 1


def test_predictions_are_scored_against_a_folder_of_scenes(copied: Path, tmp_path: Path) -> None:
    """One person, moved by 30, 0 and 40 mm: 50 mm in the rows of the test scene."""
    told = Told()
    one = _with_truth(lambda points: points[:, :1])
    one(copied)
    points = told.points_mm[:, :1] + torch.tensor([30.0, 0.0, 40.0]).double()
    valid = torch.ones(points.shape[:3], dtype=torch.bool)
    poses = Poses(points, valid, valid.double(), torch.tensor(told.frames), COCO_17, 25.0)
    trivox.save_poses(poses, tmp_path / "predicted.npz")
    report = evaluate(tmp_path / "predicted.npz", labels=copied)
    assert report.choices["rows"] == 3 and report.choices["score_mm"] == pytest.approx(50.0, abs=1e-3)
