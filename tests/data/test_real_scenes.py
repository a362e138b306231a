"""Real recordings laid out as scenes: what another reader says of them, and truth that lies inside the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import trivox
from trivox.data.panoptic import pictures_of
from trivox.data.picture_reading import PictureReader
from trivox.data.prepare_panoptic import bodies_in, boxes_of_joints, find_sequences, panoptic_labels
from trivox.data.scenes import read_scenes
from trivox.dataset_check import check_dataset
from trivox.files.images import write_image


def needed(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


def test_panoptic_as_a_scene_is_what_its_own_reader_says(data: Path, tmp_path: Path) -> None:
    """The official tree in the general layout: only the pose file has to be written anew."""
    raw = needed(data / "panoptic_171026_pose1")
    name, scene = "171026_pose1", tmp_path / "171026_pose1"
    scene.mkdir()
    for file in ("hdImgs", f"calibration_{name}.json"):
        (scene / file).symlink_to((raw / name / file).resolve())
    bodies = bodies_in(raw / name / "hdPose3d_stage1_coco19" / "body3DScene_00012200.json")
    people = [{"id": i, "joints": joints.tolist()} for i, joints in bodies]
    (scene / "3DKeypoints_00012200.json").write_text(json.dumps(people))
    (tmp_path / "dataset.yaml").write_text("truth_units: cm\n")
    labels, theirs = read_scenes(tmp_path), panoptic_labels(find_sequences(raw), pictures_of(raw), boxes_of_joints)
    assert labels.camera_names == theirs.camera_names and labels.skeleton == theirs.skeleton
    for field in ("frames", "people", "points_mm", "valid", "confidence", "boxes_px", "has_camera"):
        np.testing.assert_allclose(getattr(labels, field), getattr(theirs, field), rtol=1e-6)
    torch.testing.assert_close(labels.cameras.pixel_from_world, theirs.cameras.pixel_from_world)
    assert labels.up is not None and theirs.up is not None and labels.up.tolist() == theirs.up.tolist()
    place = (labels.recordings[0], "00_24", 12200, labels.cameras[0, 1], 1.0)
    ours, other = (PictureReader(table.pictures, False).read(*place).picture for table in (labels, theirs))
    assert (ours == other).all()
    assert check_dataset(tmp_path, out=tmp_path / "check.png").findings.faults == ()


@pytest.mark.parametrize(
    ("folder", "calibration", "truth", "image_hw", "frames"),
    [
        ("campus_mmpose_3frames", "calibration_campus.json", "actorsGT.mat", (288, 360), range(3)),
        ("shelf_mmpose_3frames", "calibration_shelf.json", "actorsGT.mat", (776, 1032), range(3)),
        ("mvor", "camma_mvor_2018_days123.json", "camma_mvor_2018_days123.json", (480, 640), range(0, 610, 30)),
    ],
)
def test_truth_of_known_datasets_lies_in_their_pictures(
    data: Path, tmp_path: Path, folder: str, calibration: str, truth: str, image_hw: tuple[int, int], frames: range
) -> None:
    """No pictures came along; gray ones of the right size stand for them."""
    source = needed(data / folder)
    if truth.endswith(".mat"):
        pytest.importorskip("scipy")
    scene = tmp_path / "scene"
    scene.mkdir()
    (scene / "calibration.json").symlink_to((source / calibration).resolve())
    (scene / f"truth{Path(truth).suffix}").symlink_to((source / truth).resolve())
    rig = trivox.load_rig(source / calibration)
    for camera in rig.names:
        (scene / "images" / camera).mkdir(parents=True)
        for frame in frames:
            write_image(scene / "images" / camera / f"{frame:04}.jpg", np.full((*image_hw, 3), 60, np.uint8))
    report = check_dataset(tmp_path)
    assert report.findings.faults == ()
    labels = read_scenes(tmp_path)
    assert len(labels) > 2 and labels.present.sum(1).min() >= 1 and set(labels.frames) <= set(frames)
