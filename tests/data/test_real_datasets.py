"""Real files of Human3.6M and CMU Panoptic as labels: the truth, projected, is where other programs have it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from trivox.data.dataset import DatasetOptions, PoseDataset
from trivox.data.labels import Labels
from trivox.data.panoptic import pictures_of
from trivox.data.pictures import Pictures, Recording
from trivox.data.prepare_panoptic import bodies_in, boxes_of_joints, find_sequences, panoptic_labels
from trivox.files.calibrations import load_rig
from trivox.files.images import read_image
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import H36M_17, MMPOSE_H36M_17

NAMES = ("S1_Directions_1.54138969", "S5_SittingDown.54138969", "S7_Greeting.55011271", "S8_WalkDog_1.55011271")


def human36m_pictures(folder: Path) -> tuple[Labels, np.ndarray]:
    """Four single pictures with 3D in MMPose's order, as one table; and the 2D joints that belong to them."""
    with np.load(folder / "test_h36m_body3d.npz") as arrays:
        points_m, pixels = arrays["S"], arrays["part"]
    paths = sorted((folder / "images").rglob("*.jpg"))
    assert [path.parent.name for path in paths] == list(NAMES)
    recordings, cameras, points, boxes = [], [], [], []
    for path, in_cam, joints in zip(paths, points_m, pixels, strict=True):
        subject, camera = path.parent.name.split("_")[0], path.parent.name.split(".")[1]
        h, w, _ = read_image(path).shape
        rig = load_rig(folder / "camera-parameters.json", subject=subject, names=[camera], image_size=(h, w))
        cameras.append(rig.cameras)
        # The 3D of the file is in the camera's frame, in metres.
        in_cam_mm = torch.from_numpy(in_cam[:, :3]).double() * 1000
        points.append((in_cam_mm - rig.cameras.t_mm) @ rig.cameras.R[0])
        recordings.append(Recording(path.relative_to(folder).with_suffix("").as_posix(), subject))
        low, high = joints[:, :2].min(0) - 30, joints[:, :2].max(0) + 30
        boxes.append(np.concatenate([low, high]).astype(np.int64))
    points_mm = torch.stack(points).float().numpy()
    labels = Labels(
        name="human36m",
        skeleton=MMPOSE_H36M_17,
        recordings=tuple(recordings),
        camera_names=("camera",),
        cameras=Cameras.stack(cameras),
        has_camera=np.ones((4, 1), bool),
        recording=np.arange(4),
        frames=np.zeros(4, np.int64),
        people=np.zeros(4, np.int64),
        points_mm=points_mm,
        valid=np.ones(points_mm.shape[:2], bool),
        confidence=np.ones(points_mm.shape[:2], np.float32),
        boxes_px=np.array(boxes)[:, None],
        pictures=Pictures(folder, "{recording}.jpg", "{recording}.jpg"),
    )
    return labels, pixels[..., :2]


@pytest.fixture(scope="module")
def human36m(data: Path) -> tuple[Labels, np.ndarray]:
    return human36m_pictures(data / "h36m_mmpose")


def test_human36m_truth_lies_where_its_own_2d_joints_are(human36m: tuple[Labels, np.ndarray]) -> None:
    """Through the dataset's own lens, in either order of the joints; its pixels count from the first centre."""
    labels, pixels = human36m
    order = [MMPOSE_H36M_17.names.index(name) for name in H36M_17.names]
    converted = labels.converted(H36M_17)
    assert converted.valid.all()
    for table, expected in ((labels, pixels), (converted, pixels[:, order])):
        points = torch.from_numpy(table.points_mm).double()
        ours = table.cameras.project(points[:, None])[:, 0].numpy() - 0.5
        assert np.abs(ours - expected).max() < 0.05


def test_human36m_crops_follow_with_and_without_lens(human36m: tuple[Labels, np.ndarray]) -> None:
    """A joint of the crop, undone by hand, is the joint of the picture."""
    labels, _ = human36m
    for undistort in (False, True):
        direct = Labels(**{**vars(labels), "pictures": Pictures(labels.pictures.root, "{recording}.jpg")})
        sample = PoseDataset(direct, DatasetOptions(image_hw=(256, 256), undistort_images=undistort))[0]
        recorded = labels.row_cameras(0).without_distortion() if undistort else labels.row_cameras(0)
        ours = sample.cameras.project(sample.points_mm[None].double())[0]
        left, top, right, bottom = sample.boxes_px[0].tolist()
        there = recorded.project(sample.points_mm[None].double())[0]
        expected = (there - torch.tensor([left, top])) * torch.tensor([256 / (right - left), 256 / (bottom - top)])
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_panoptic_truth_lies_where_opencv_projects_it(data: Path) -> None:
    """With the file's own numbers: centimetres, its K, its five lens terms."""
    raw = data / "panoptic_171026_pose1"
    sequences = find_sequences(raw)
    labels = panoptic_labels(sequences, pictures_of(raw), boxes_of_joints)
    assert labels.camera_names == ("00_00", "00_24") and len(labels) == 1 and labels.present.all()
    (bodies,) = (bodies_in(path) for path in sequences[0].pose_files.values())
    joints_cm = bodies[0][1][:, :3].astype(np.float64)
    for c in range(2):
        camera = labels.cameras[0, c]
        K = camera.K.numpy().copy()
        K[:2, 2] -= 0.5
        rotation = cv2.Rodrigues(camera.R.numpy())[0]
        theirs, _ = cv2.projectPoints(joints_cm, rotation, camera.t_mm.numpy() / 10, K, camera.distortion.numpy())
        points = torch.from_numpy(labels.points_mm[0]).double()
        ours = camera.project(points).numpy() - 0.5
        seen = labels.valid[0]
        assert seen.sum() >= 15 and np.abs(ours[seen] - theirs[seen, 0]).max() < 1e-3


def test_several_people_keep_their_identities(data: Path) -> None:
    folder = data / "panoptic_160906_band1_pose3d" / "160906_band1" / "hdPose3d_stage1_coco19"
    frames = [bodies_in(path) for path in sorted(folder.glob("*.json"))]
    people = [{person for person, _ in bodies} for bodies in frames]
    assert len(frames) == 20 and all(len(ids) == len(bodies) >= 2 for ids, bodies in zip(people, frames, strict=True))
    always = set.intersection(*people)
    assert len(always) >= 2
    for person in always:
        track = np.array([joints[2, :3] for bodies in frames for i, joints in bodies if i == person])
        assert np.linalg.norm(np.diff(track, axis=0), axis=1).max() < 20  # cm from one frame to the next
