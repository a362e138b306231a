"""Scenes read back as the numbers they were written from, whichever layout says them; what is wrong is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import number_in, write_clip
from hypothesis import given
from hypothesis import strategies as st
from scene_trees import HW, LENS, NAMES, Told, small_ring, write_general, write_scene
from torch.utils.data import DataLoader

import trivox
from trivox.data.dataset import DatasetOptions, PoseDataset
from trivox.data.labels import Labels
from trivox.data.open_labels import save_labels
from trivox.data.picture_files import open_source
from trivox.data.picture_reading import PictureReader
from trivox.data.samples import collate
from trivox.data.scene_truth import _bodies, _box_rows
from trivox.data.scenes import read_scenes, upright_boxes
from trivox.data.splits import rows_of_parts
from trivox.errors import InputError
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17, PANOPTIC_19

FIELDS = ("frames", "people", "recording", "points_mm", "valid", "confidence", "boxes_px", "has_camera")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one scene, `walk`; copies of it are broken."""
    root = tmp_path_factory.mktemp("sound")
    write_scene(root / "walk")
    return root


@pytest.fixture
def copied(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "copied")


def test_a_scene_reads_back_as_it_was_written(sound: Path) -> None:
    told, labels = Told(), read_scenes(sound)
    assert labels.camera_names == NAMES and labels.skeleton == COCO_17 and labels.has_camera.all()
    assert labels.frames.tolist() == [3, 3, 4, 4, 7, 7] and labels.people.tolist() == [0, 1] * 3
    np.testing.assert_allclose(labels.points_mm, told.points_mm.flatten(0, 1).numpy(), rtol=1e-6)
    assert labels.valid.all() and (labels.confidence == 1).all() and labels.up is None
    for name in ("K", "R", "t_mm", "distortion", "image_hw"):
        torch.testing.assert_close(getattr(labels.cameras, name)[0], getattr(told.cameras, name))
    assert labels.key(5) == "walk/000007/p1"


def test_boxes_lie_around_the_projected_truth(sound: Path) -> None:
    """Person by person with OpenCV's projection: a tenth of the longer side wider, whole pixels, inside the picture."""
    labels, told = read_scenes(sound), Told()
    for row in range(len(labels)):
        for c in range(3):
            camera = told.cameras[c]
            K = camera.K.numpy().copy()
            rotation = cv2.Rodrigues(camera.R.numpy())[0]
            points = labels.points_mm[row].astype(np.float64)
            pixels = cv2.projectPoints(points, rotation, camera.t_mm.numpy(), K, np.array(LENS))[0][:, 0]
            low, high = pixels.min(0), pixels.max(0)
            margin = (high - low).max() / 10
            expected = [*np.floor(low - margin).clip(0), *np.minimum(np.ceil(high + margin), HW[::-1])]
            assert labels.boxes_px[row, c].tolist() == expected


@pytest.mark.parametrize("joints", ["rows", "flat"])
def test_both_layouts_say_the_same(sound: Path, tmp_path: Path, joints: str) -> None:
    write_general(tmp_path / "walk", joints=joints)
    ours, general = read_scenes(sound), read_scenes(tmp_path)
    assert general.recordings == ours.recordings and general.camera_names == ours.camera_names
    for name in FIELDS:
        np.testing.assert_allclose(getattr(general, name), getattr(ours, name), rtol=1e-5, err_msg=name)
    for name in ("K", "R", "t_mm", "distortion"):
        torch.testing.assert_close(getattr(general.cameras, name), getattr(ours.cameras, name))


def test_one_scene_is_a_dataset_of_one(sound: Path) -> None:
    alone, of_root = read_scenes(sound / "walk"), read_scenes(sound)
    assert alone.recordings == of_root.recordings
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(alone, name), getattr(of_root, name))


def test_truth_of_every_kind_is_the_same(sound: Path, tmp_path: Path) -> None:
    told, expected = Told(), read_scenes(sound)
    valid = torch.ones(told.points_mm.shape[:3], dtype=torch.bool)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    frames = torch.tensor(told.frames)
    poses = Poses(told.points_mm, valid, valid.double(), frames, COCO_17, 25.0, up)
    for suffix in ("npz", "csv"):
        folder = shutil.copytree(sound, tmp_path / suffix)
        (folder / "walk" / "truth.npz").unlink()
        trivox.save_poses(poses, folder / "walk" / f"truth.{suffix}")
        labels = read_scenes(folder)
        for name in FIELDS:
            np.testing.assert_allclose(getattr(labels, name), getattr(expected, name), atol=1e-3, err_msg=name)
        assert (labels.up is not None) == (suffix == "npz")


def test_frames_and_cameras_that_lack_are_missing_views_there_only(tmp_path: Path) -> None:
    write_scene(tmp_path / "a", Told(lacking={"cam2": (4,)}))
    four = Told(small_ring(4), frames=(40_000, 40_001), names=(*NAMES, "cam4"), pictured=("cam1", "cam4"))
    write_scene(tmp_path / "b", four)
    labels = read_scenes(tmp_path)
    assert labels.camera_names == ("cam1", "cam2", "cam3", "cam4")
    assert labels.has_camera.tolist() == [[True, True, True, False], [True, False, False, True]]
    of_a = labels.recording == 0
    missing = ~labels.present[of_a]
    assert missing[:, 1].tolist() == [False, False, True, True, False, False]
    assert missing[:, 3].all() and not missing[:, [0, 2]].any()
    assert labels.frames[~of_a].tolist() == [40_000, 40_000, 40_001, 40_001]
    torch.testing.assert_close(labels.cameras.K[1, 3], four.cameras.K[3])
    sample = PoseDataset(labels, DatasetOptions(image_hw=(32, 32)))[2]
    assert sample.present.tolist() == [True, False, True, False]


def test_rows_need_a_picture(copied: Path) -> None:
    for camera in NAMES:
        (copied / "walk" / "images" / camera / f"{camera}_000004.jpg").unlink()
    assert read_scenes(copied).frames.tolist() == [3, 3, 7, 7]


def test_videos_are_frames_from_0(tmp_path: Path) -> None:
    """The clips carry their frame numbers, so that the pictures of the samples tell which they are."""
    write_scene(tmp_path / "walk", videos=True)
    labels = read_scenes(tmp_path)
    assert labels.frames.tolist() == [3, 3, 4, 4, 7, 7]
    dataset = PoseDataset(labels, DatasetOptions(crop=False, image_hw=None))
    for row in (5, 0, 3, 1):
        for image in dataset[row].images:
            picture = (image.permute(1, 2, 0) * 255).round().byte().numpy()
            assert number_in(picture) == labels.frames[row]


def test_workers_read_videos_that_their_parent_has_open(tmp_path: Path) -> None:
    write_scene(tmp_path / "walk", Told(frames=tuple(range(12))), videos=True)
    dataset = PoseDataset(read_scenes(tmp_path), DatasetOptions(crop=False, image_hw=HW))
    assert number_in((dataset[6].images[0].permute(1, 2, 0) * 255).round().byte().numpy()) == 3
    for batch in DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=collate):
        for row, images in zip(batch.row.tolist(), batch.images, strict=True):
            pictures = (images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
            assert [number_in(picture) for picture in pictures] == [dataset.labels.frames[row]] * 3


def test_images_go_before_the_video_they_were_taken_from(copied: Path) -> None:
    (copied / "walk" / "videos").mkdir()
    write_clip(copied / "walk" / "videos" / "cam1.mp4", 2, image_hw=HW)
    assert read_scenes(copied).frames.tolist() == [3, 3, 4, 4, 7, 7]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_camera_mounted_sideways_is_read_upright(tmp_path: Path, turns: int) -> None:
    """A dot drawn in the stored picture is where the upright camera projects its point, inside the upright box."""
    cameras = small_ring(2)
    point = torch.tensor([[150.0, -90.0, 1200.0]], dtype=torch.float64)
    trivox.save_rig(Rig(("a", "b"), cameras, quarter_turns=(turns, 0)), _made(tmp_path / "s") / "calibration.toml")
    boxes = {}
    for i, name in enumerate("ab"):
        x, y = cameras[i].project(point)[0].tolist()
        picture = np.zeros((*HW, 3), np.uint8)
        picture[int(y), int(x)] = 255
        cv2.imwrite(str(_made(tmp_path / "s" / "images" / name) / "5.png"), picture)
        boxes[name] = [[5, 0, int(x) - 3, int(y) - 2, int(x) + 5, int(y) + 9]]
    (tmp_path / "s" / "boxes.json").write_text(json.dumps(boxes))
    labels = read_scenes(tmp_path)
    camera = labels.cameras[0, 0]
    picture = PictureReader(labels.pictures, False).read(labels.recordings[0], "a", 5, camera, 1.0).picture
    assert picture.shape[:2] == (HW if turns % 2 == 0 else HW[::-1])
    row, column = np.argwhere(picture[..., 0] > 0)[0]
    x, y = camera.project(point)[0].tolist()
    assert (int(x), int(y)) == (column, row)
    left, top, right, bottom = labels.boxes_px[0, 0].tolist()
    assert left <= column < right and top <= row < bottom
    assert sorted((right - left, bottom - top)) == [8, 11]
    torch.testing.assert_close(labels.cameras[0, 1].R, cameras[1].R)


@given(
    box=st.tuples(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 50), st.integers(1, 50)),
    turns=st.integers(-4, 8),
)
def test_four_turns_of_a_box_are_none(box: tuple[int, int, int, int], turns: int) -> None:
    left, top, width, height = box
    boxes = np.array([[left, top, left + width, top + height], [0, 0, 0, 0]], np.int64)
    hw = HW if turns % 2 == 0 else (HW[1], HW[0])
    back = upright_boxes(upright_boxes(boxes, turns, HW), -turns, hw)
    assert (back == boxes).all()


def test_given_boxes_go_by_frame_and_person(copied: Path) -> None:
    boxes = {"cam1": [[3, 1, 10.2, 5, 40, 60.5], [7, 0, 1, 2, 3, 4], [4, 0, 9, 9, 9, 20]], "cam3": [[9, 0, 1, 1, 2, 2]]}
    (copied / "walk" / "boxes.json").write_text(json.dumps(boxes))
    labels = read_scenes(copied)
    expected = np.zeros((6, 3, 4), int)
    expected[1, 0], expected[4, 0] = (10, 5, 40, 61), (1, 2, 3, 4)
    assert (labels.boxes_px == expected).all()


def test_without_truth_rows_are_those_of_boxes_or_one_person_a_frame(copied: Path) -> None:
    (copied / "walk" / "truth.npz").unlink()
    (copied / "walk" / "images" / "cam2" / "cam2_000007.jpg").unlink()
    labels = read_scenes(copied)
    assert labels.frames.tolist() == [3, 4, 7] and not labels.valid.any() and labels.skeleton == COCO_17
    assert labels.boxes_px[0].tolist() == [[0, 0, 160, 90]] * 3
    assert labels.boxes_px[2].tolist() == [[0, 0, 160, 90], [0] * 4, [0, 0, 160, 90]]
    boxes = {"cam1": [[7, 5, 0, 0, 9, 9], [3, 2, 0, 0, 9, 9]], "cam2": [[7, 5, 0, 0, 9, 9], [100, 1, 0, 0, 9, 9]]}
    (copied / "walk" / "boxes.json").write_text(json.dumps(boxes))
    labels = read_scenes(copied)
    assert list(zip(labels.frames.tolist(), labels.people.tolist(), strict=True)) == [(3, 2), (7, 5)]
    assert labels.present.tolist() == [[True, False, False], [True, False, False]]


def test_splits_are_whole_scenes_or_ranges_of_frames(sound: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(sound / "walk", tmp_path / name)
    assert len(rows_of_parts(read_scenes(tmp_path), ["test"])) == 12
    (tmp_path / "splits.yaml").write_text("train: [a]\ntest: {b: [[0, 4], [7, 8]]}\n")
    labels = read_scenes(tmp_path)
    train, test = (labels.selected(rows_of_parts(labels, [part])) for part in ("train", "test"))
    assert {labels.recordings[r].name for r in train.recording} == {"a"} and len(train) == 6
    assert [test.key(i) for i in range(4)] == ["b/000003/p0", "b/000003/p1", "b/000007/p0", "b/000007/p1"]
    (tmp_path / "splits.yaml").write_text("train: [c]\n")
    with pytest.raises(InputError, match=r"splits\.yaml names a scene 'c'"):
        read_scenes(tmp_path)


def test_one_calibration_serves_all_scenes(sound: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(sound / "walk", tmp_path / name)
        (tmp_path / name / "calibration.json").rename(tmp_path / "calibration.json")
    labels = read_scenes(tmp_path)
    torch.testing.assert_close(labels.cameras.t_mm, Told().cameras.t_mm.expand(2, 3, 3))


def test_up_is_stated_beside_the_scenes(copied: Path) -> None:
    (copied / "dataset.yaml").write_text("up: -y\n")
    up = read_scenes(copied).up
    assert up is not None and up.tolist() == [0, -1, 0]


def test_panoptic_joints_are_known_by_their_number(copied: Path) -> None:
    """19 joints with confidence, some absent, in a subfolder as some write them."""
    (copied / "walk" / "truth.npz").unlink()
    joints = np.c_[np.random.default_rng(0).normal(size=(19, 3)), np.full(19, 0.5)]
    joints[4, 3], joints[5, 1] = -1, np.nan
    folder = _made(copied / "walk" / "keypoints")
    (folder / "3DKeypoints_7.json").write_text(json.dumps([{"id": 12, "joints": joints.tolist()}]))
    (copied / "dataset.yaml").write_text("truth_units: m\n")
    labels = read_scenes(copied)
    assert labels.skeleton == PANOPTIC_19 and labels.people.tolist() == [12] and labels.frames.tolist() == [7]
    assert np.flatnonzero(~labels.valid[0]).tolist() == [4, 5]
    np.testing.assert_allclose(labels.points_mm[0, 6:], joints[6:, :3] * 1000, rtol=1e-6)
    assert (labels.confidence[0, 6:] == 0.5).all() and (labels.points_mm[0, 4:6] == 0).all()


# ---- what is wrong is named


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _without_unit(root: Path) -> None:
    calibration = root / "walk" / "calibration.json"
    calibration.write_text(calibration.read_text().replace("t_mm", "t"))


def _general_without_unit(root: Path) -> None:
    shutil.rmtree(root / "walk")
    write_general(root / "walk")
    (root / "dataset.yaml").write_text("calibration_units: cm\n")


def _other_joints(root: Path) -> None:
    shutil.copytree(root / "walk", root / "zebra")
    truth = root / "zebra" / "truth.npz"
    np.savez(truth, points_mm=np.zeros((1, 1, 2, 3)), joint_names=np.array(["a", "b"]), frames=np.array([3]))


def _writes(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: void(_made((root / name).parent) and (root / name).write_text(text))


def void(_: object) -> None:
    return None


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no scene": (lambda root: shutil.rmtree(root / "walk"), r"holds no scene; expected SCENE/calibration"),
    "no pictures": (lambda root: shutil.rmtree(root / "walk" / "images"), r"walk has no pictures"),
    "no calibration": (lambda root: (root / "walk" / "calibration.json").unlink(), r"walk has no calibration"),
    "two calibrations": (
        _writes("walk/calibration.toml", ""),
        r"calibration\.json and calibration\.toml are both calibrations",
    ),
    "no unit": (_without_unit, r"calibration\.json: the unit of its translations is not known"),
    "no unit of truth": (_general_without_unit, r"3DKeypoints_00000003\.json does not say the unit"),
    "a stranger": (
        lambda root: void((root / "walk/images/cam1").rename(root / "walk/images/kitchen")),
        r"images/kitchen belongs to none of the cameras",
    ),
    "two of one camera": (
        lambda root: void(shutil.copytree(root / "walk/images/cam1", root / "walk/images/cam_01")),
        r"cam1 and .*cam_01 both belong to camera cam1",
    ),
    "an empty folder": (lambda root: void(_made(root / "walk/images/cam_1")), r"cam_1 holds no picture"),
    "no number": (
        lambda root: void((root / "walk/images/cam1/cam1_000003.jpg").rename(root / "walk/images/cam1/first.jpg")),
        r"cam1/first\.jpg has no number",
    ),
    "one number twice": (
        _writes("walk/images/cam1/other_3.jpg", "x"),
        r"cam1_000003\.jpg and other_3\.jpg are both frame 3",
    ),
    "a broken picture": (_writes("walk/images/cam1/cam1_000003.jpg", "x"), r"cam1_000003\.jpg is damaged"),
    "two truths": (_writes("walk/truth.csv", "x"), r"truth\.csv and truth\.npz both hold truth"),
    "broken truth": (_writes("walk/truth.npz", "x"), r"truth\.npz is not a readable"),
    "other joints": (_other_joints, r"zebra.*holds the joints of custom, .*walk.* those of coco17"),
    "boxes are no mapping": (_writes("walk/boxes.json", "[]"), r"boxes\.json: it is no mapping"),
    "boxes of nobody's camera": (_writes("walk/boxes.json", '{"x": []}'), r"boxes\.json has boxes of a camera 'x'"),
    "short boxes": (_writes("walk/boxes.json", '{"cam1": [[1, 2, 3]]}'), r"camera cam1 are not six numbers"),
    "a box twice": (
        _writes("walk/boxes.json", '{"cam1": [[3, 0, 1, 2, 3, 4], [3, 0, 1, 2, 3, 5]]}'),
        r"two boxes of one person",
    ),
    "unknown statement": (_writes("dataset.yaml", "unit: cm"), r"dataset\.yaml: unit cannot be read"),
    "unknown skeleton": (_writes("dataset.yaml", "skeleton: octopus"), r"no skeleton 'octopus'"),
    "a list of statements": (_writes("dataset.yaml", "[1]"), r"dataset\.yaml"),
    "broken splits": (_writes("splits.yaml", "walk"), r"splits\.yaml is no split"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_scene_is_named_by_its_fault(copied: Path, broken: str) -> None:
    breaks, said = BROKEN[broken]
    breaks(copied)
    with pytest.raises(InputError, match=said) as raised:
        read_scenes(copied)
    assert "\n" not in str(raised.value)


def test_pictures_of_another_size_than_calibrated_are_refused(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "walk")
    (folder / "calibration.json").unlink()
    cameras = replace(small_ring(), image_hw=torch.tensor([[90, 160], [90, 161], [90, 160]]))
    trivox.save_rig(Rig(NAMES, cameras), folder / "calibration.toml")
    with pytest.raises(InputError, match=r"images/cam2 has pictures of 160x90, but .*calibration\.toml is for 161x90"):
        read_scenes(tmp_path)


def test_pictures_may_be_stated_to_fit_the_calibration(tmp_path: Path) -> None:
    """Calibrated at twice the size: boxes and cameras are those of a calibration of the pictures themselves."""
    expected = read_scenes(write_scene(tmp_path / "plain" / "walk").parent)
    folder = write_scene(tmp_path / "fitted" / "walk")
    (folder / "calibration.json").unlink()
    cameras = replace(small_ring(), image_hw=torch.tensor(HW).expand(3, 2))
    trivox.save_rig(Rig(NAMES, cameras.resized((2 * HW[0], 2 * HW[1]))), folder / "calibration.toml")
    with pytest.raises(InputError, match=r"image_fit: scale\|left\|center\|right' in dataset.yaml"):
        read_scenes(folder.parent)
    (folder.parent / "dataset.yaml").write_text("image_fit: scale\n")
    labels = read_scenes(folder.parent)
    assert np.array_equal(labels.boxes_px, expected.boxes_px)
    torch.testing.assert_close(labels.cameras.K, expected.cameras.K)
    dataset = PoseDataset(labels, DatasetOptions(image_hw=(32, 32)))
    assert dataset[0].present.any()
    (folder.parent / "dataset.yaml").write_text("image_fit: stretch\n")
    with pytest.raises(InputError, match=r"dataset.yaml: image_fit cannot be read"):
        read_scenes(folder.parent)


def test_scenes_of_one_dataset_may_have_lenses_of_different_models(tmp_path: Path) -> None:
    rigs = [replace(small_ring(distortion=LENS), distortion_model=model) for model in ("opencv", "human36m")]
    for name, cameras in zip("ab", rigs, strict=True):
        folder = write_scene(tmp_path / name, Told(cameras))
        (folder / "calibration.json").unlink()
        trivox.save_rig(Rig(NAMES, cameras), folder / "calibration.toml")
    labels = read_scenes(tmp_path)
    for recording, cameras in enumerate(rigs):
        projected = labels.cameras[recording].project(Told().points_mm[0, 0])
        torch.testing.assert_close(projected, cameras.project(Told().points_mm[0, 0]))


def test_labels_of_scenes_are_not_written_in_the_open_form(sound: Path, tmp_path: Path) -> None:
    labels: Labels = read_scenes(sound)
    with pytest.raises(InputError, match="give the folder"):
        save_labels(labels, tmp_path / "labels.json")
    assert not list(tmp_path.iterdir())


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["id", "joints", "x"]), inner),
    max_leaves=12,
)


@given(content=_JSON)
def test_any_json_is_people_or_one_sentence(content: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "3DKeypoints_1.json"
    path.write_text(json.dumps(content))
    try:
        for _, skeleton, joints in _bodies(path, None):
            assert joints.shape == (len(skeleton), 4)
    except InputError as error:
        assert str(path) in str(error)


@given(rows=_JSON | st.lists(st.lists(st.integers(0, 9) | st.floats(), min_size=6, max_size=6), max_size=3))
def test_any_json_is_boxes_or_one_sentence(rows: object) -> None:
    try:
        keys, boxes = _box_rows(rows, "cam1", Path("boxes.json"))
        assert keys.shape == (len(boxes), 2) and boxes.shape == (len(boxes), 4) and isinstance(rows, list)
    except InputError as error:
        assert re.search(r"boxes\.json: .*cam1", str(error))


def test_a_number_behind_the_frame_is_not_the_frame(tmp_path: Path) -> None:
    """A size, a version or a camera stands there in every name alike."""
    for name in ("000003_cam1_1080.png", "000007_cam1_1080.png", "._000007_cam1_1080.png"):
        (tmp_path / name).write_bytes(b"" if name[0] == "." else picture_bytes())
    assert open_source(tmp_path).frames.tolist() == [3, 7]


def picture_bytes() -> bytes:
    return cv2.imencode(".png", np.zeros((9, 16, 3), np.uint8))[1].tobytes()
