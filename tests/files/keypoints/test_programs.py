"""What other programs write of the same people reads as the same people: layouts, names of files, nameless joints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keypoint_files import Found, as_keypoints, assert_same, instance_info, people, write_json, write_openpose

from trivox.errors import InputError
from trivox.files.keypoints import load_keypoints
from trivox.files.keypoints.load import read_view
from trivox.geometry.skeletons import BODY_25, BODY_25B, COCO_17, COCO_18, SKELETONS

FOUND = people(COCO_17, {0: 1, 1: 2, 2: 0, 3: 1})


NAMINGS = ("{}_v2", "frame_{:04d}_640x640", "{:06d}_cam1", "clip_{:06d}_keypoints_2d", "{:06d}_pose2d", "img{:06d}-v1")


@pytest.mark.parametrize("naming", NAMINGS)
def test_images_and_files_of_any_naming(tmp_path: Path, naming: str) -> None:
    seen = {frame: listed for frame, listed in FOUND.items() if listed}
    entries = [
        {"image_id": f"{naming.format(f)}.jpg", "keypoints": joints.ravel().tolist()}
        for f, listed in seen.items()
        for joints in listed
    ]
    assert_same(load_keypoints(write_json(tmp_path / "r.json", entries)), as_keypoints(seen, COCO_17))
    folder = write_openpose(tmp_path / "o", FOUND, f"{naming}.json")
    assert_same(load_keypoints(folder), as_keypoints(FOUND, COCO_17))


def coco18(joints: np.ndarray) -> np.ndarray:
    """COCO's joints as AlphaPose reorders them for `--format cmu`, the neck as the middle of the shoulders."""
    neck = joints[[5, 6]].mean(0)
    return np.array([neck if name == "neck" else joints[COCO_17.names.index(name)] for name in COCO_18.names])


def openpose(listed: list[np.ndarray]) -> Any:
    return {"people": [{"pose_keypoints_2d": joints.ravel().tolist()} for joints in listed]}


def alphapose_cmu(listed: list[np.ndarray]) -> Any:
    return {"version": "AlphaPose v0.3", "bodies": [{"joints": coco18(joints).ravel().tolist()} for joints in listed]}


def mmpose(listed: list[np.ndarray]) -> Any:
    return instance_info({0: listed})[0]["instances"]


def mmpose_of_demo(listed: list[np.ndarray]) -> Any:
    names = {str(i): name for i, name in enumerate(COCO_17.names)}
    return {"meta_info": {"keypoint_id2name": names}, "instance_info": mmpose(listed)}


def easymocap(listed: list[np.ndarray]) -> Any:
    annots = [{"personID": i, "bbox": [0, 0, 9, 9, 1], "keypoints": joints.tolist()} for i, joints in enumerate(listed)]
    return {"filename": "images/1/000000.jpg", "height": 9, "width": 9, "annots": annots, "isKeyframe": False}


def easymocap_of_old(listed: list[np.ndarray]) -> Any:
    return [{"bbox": [0, 0, 9, 9, 1], "keypoints2d": joints.tolist()} for joints in listed]


LAYOUTS = (openpose, alphapose_cmu, mmpose, mmpose_of_demo, easymocap, easymocap_of_old)


def expected(layout: Callable[..., Any], found: Found = FOUND) -> Any:
    if layout is alphapose_cmu:
        return as_keypoints({f: [coco18(joints) for joints in listed] for f, listed in found.items()}, COCO_18)
    return as_keypoints(found, COCO_17)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_json_for_every_picture(tmp_path: Path, layout: Callable[..., Any]) -> None:
    for frame, listed in FOUND.items():
        write_json(tmp_path / f"{frame:06d}.json", layout(listed))
    assert_same(load_keypoints(tmp_path), expected(layout))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_one_picture_in_one_file_is_frame_0(tmp_path: Path, layout: Callable[..., Any]) -> None:
    assert_same(load_keypoints(write_json(tmp_path / "cam4.json", layout(FOUND[1]))), expected(layout, {0: FOUND[1]}))


@pytest.mark.parametrize("layout", (openpose, alphapose_cmu), ids=lambda layout: layout.__name__)
def test_alphapose_files_of_all_pictures_by_name(tmp_path: Path, layout: Callable[..., Any]) -> None:
    pictures = {f"{frame}.jpg": layout(listed) for frame, listed in FOUND.items()}
    assert_same(load_keypoints(write_json(tmp_path / "all.json", pictures)), expected(layout))


ABSENT = ({}, None, {"person_id": [-1], "hand_left_keypoints_2d": [1.0] * 63, "face_keypoints_2d": [1.0] * 210})


@pytest.mark.parametrize("absent", (*ABSENT, {"pose_keypoints_2d": []}, {"pose_keypoints_2d": None}))
@pytest.mark.parametrize("layout", (openpose, easymocap, mmpose), ids=lambda layout: layout.__name__)
def test_a_person_without_a_body_is_absent(tmp_path: Path, layout: Callable[..., Any], absent: Any) -> None:
    for frame, listed in FOUND.items():
        document = layout(listed)
        rows = document if isinstance(document, list) else next(v for v in document.values() if isinstance(v, list))
        if isinstance(document, dict) or (absent and frame):
            rows.insert(0, absent if isinstance(document, dict) else {**absent, "bbox": []})
        write_json(tmp_path / f"{frame}.json", document)
    assert_same(load_keypoints(tmp_path), as_keypoints(FOUND, COCO_17))


@pytest.mark.parametrize("layout", LAYOUTS[:1] + LAYOUTS[2:], ids=lambda layout: layout.__name__)
def test_a_null_joint_is_absent(tmp_path: Path, layout: Callable[..., Any]) -> None:
    """`people` leaves out joint 1: as zeros, which is how programs write it, or as null."""
    for frame, listed in FOUND.items():
        text = json.dumps(layout(listed)).replace("[0.0, 0.0, 0.0]", "null").replace("[0.0, 0.0]", "null")
        text = text.replace(" 0.0, 0.0, 0.0,", " null, null, null,").replace(" 0.0,", " null,")
        assert "null" in text or not listed
        (tmp_path / f"{frame}.json").write_text(text)
    assert_same(load_keypoints(tmp_path), as_keypoints(FOUND, COCO_17))


JOINTS_BY_PLACE: dict[str, dict[int, str]] = {
    # After the tables of the projects that define them.
    "halpe26": {0: "nose", 16: "right_ankle", 17: "head_top", 18: "neck", 19: "pelvis", 21: "right_big_toe"},
    "halpe68": {24: "left_heel", 25: "right_heel", 26: "left_hand_root", 28: "left_thumb2", 49: "right_thumb2"},
    "halpe136": {22: "left_small_toe", 26: "face_0", 93: "face_67", 96: "left_thumb2", 132: "right_pinky_finger1"},
    "coco_wholebody133": {
        **{17: "left_big_toe", 19: "left_heel", 22: "right_heel", 23: "face_0", 90: "face_67"},
        **{91: "left_hand_root", 96: "left_forefinger1", 112: "right_hand_root", 132: "right_pinky_finger4"},
    },
    "body135": {17: "upper_neck", 18: "head_top", 19: "left_big_toe", 25: "left_thumb1", 45: "right_thumb1"},
    "blazepose33": {2: "left_eye", 5: "right_eye", 11: "left_shoulder", 16: "right_wrist", 24: "right_hip"},
    "body21a": {1: "neck", 8: "pelvis", 14: "left_ankle", 15: "right_eye", 19: "upper_neck", 20: "head_top"},
    "body15": {0: "nose", 8: "pelvis", 14: "left_ankle"},
    "mpi15": {0: "head_top", 1: "neck", 2: "right_shoulder", 8: "right_hip", 13: "left_ankle", 14: "mid_trunk"},
    "crowdpose14": {0: "left_shoulder", 1: "right_shoulder", 11: "right_ankle", 12: "head_top", 13: "neck"},
    "aic14": {0: "right_shoulder", 3: "left_shoulder", 11: "left_ankle", 12: "head_top", 13: "neck"},
    "lsp14": {0: "right_ankle", 5: "left_ankle", 6: "right_wrist", 12: "upper_neck", 13: "head_top"},
}


@pytest.mark.parametrize(("name", "places"), JOINTS_BY_PLACE.items())
def test_joints_stand_where_the_projects_that_define_them_say(name: str, places: dict[int, str]) -> None:
    assert {place: SKELETONS[name].names[place] for place in places} == places


@pytest.mark.parametrize("name", ["halpe26", "halpe136", "coco_wholebody133", "body135", "blazepose33", "body25b"])
def test_a_smaller_skeleton_is_picked_by_name(tmp_path: Path, name: str) -> None:
    found = people(SKELETONS[name], {0: 1, 1: 1})
    columns = [SKELETONS[name].names.index(joint) for joint in COCO_17.names]
    picked = {f: [joints[columns] for joints in listed] for f, listed in found.items()}
    folder = write_openpose(tmp_path / "o", found)
    assert_same(load_keypoints(folder, skeleton="coco17"), as_keypoints(picked, COCO_17))
    with pytest.raises(InputError, match="they lack its .*spine"):
        load_keypoints(folder, skeleton="coco_h36m22")


def test_named_joints_of_halpe_are_halpe(tmp_path: Path) -> None:
    """MMPose calls them head, neck and hip."""
    found = people(SKELETONS["halpe26"], {0: 1, 1: 1})
    names = [{"head_top": "head", "pelvis": "hip"}.get(name, name) for name in SKELETONS["halpe26"].names]
    content = {
        "meta_info": {"keypoint_id2name": {str(i): name for i, name in enumerate(names)}},
        "instance_info": instance_info(found),
    }
    assert_same(load_keypoints(write_json(tmp_path / "m.json", content)), as_keypoints(found, SKELETONS["halpe26"]))


@pytest.mark.parametrize(
    ("demo", "first", "expected_first"),
    [(True, 1, 0), (True, 0, 0), (True, 4, 3), (False, 1, 0), (False, 0, 0), (False, 4, 4)],
)
def test_the_demo_of_mmpose_counts_from_1(tmp_path: Path, demo: bool, first: int, expected_first: int) -> None:
    entries = instance_info({first + f: listed for f, listed in FOUND.items()})
    view = read_view(write_json(tmp_path / "m.json", {"instance_info": entries} if demo else entries))
    assert_same(view.keypoints, as_keypoints({expected_first + f: listed for f, listed in FOUND.items()}, COCO_17))
    assert ("counts frames from 1" in " ".join(view.notes)) == (first != expected_first)


def test_what_lies_beside_the_frames_is_skipped_and_said(tmp_path: Path) -> None:
    found = people(BODY_25B, {f: 1 for f in range(4)})
    folder = write_openpose(tmp_path, found)
    clean = load_keypoints(folder)
    for name in ("._cam_000000000001_keypoints.json", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    write_json(folder / "config.json", {"model": "BODY_25B", "threshold": 0.1})
    write_json(folder / "config_v2_640x480.json", [1, 2])
    (folder / "cam_000000000004_keypoints.json").write_text("")
    view = read_view(folder)
    assert_same(view.keypoints, clean)
    said = " ".join(view.notes)
    assert all(word in said for word in ("._cam_", "config.json", "config_v2", "000004_keypoints.json"))
    (folder / "cam_000000000004_keypoints.json").write_text('{"people": [{"pose_key')
    assert_same(read_view(folder).keypoints, clean)
    (folder / "cam_000000000001_keypoints.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"000001_keypoints\.json has no list 'people'"):
        load_keypoints(folder)
    (folder / "cam_000000000001_keypoints.json").write_text('{"people": [')
    with pytest.raises(InputError, match=r"000001_keypoints\.json is not valid JSON"):
        load_keypoints(folder)


def test_settings_of_one_name_with_no_frames_are_no_view(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"a": 1})
    with pytest.raises(InputError, match=r"config\.json has no list 'people'"):
        load_keypoints(tmp_path)
    (tmp_path / "config.json").write_text("")
    with pytest.raises(InputError, match=r"config\.json is empty"):
        load_keypoints(tmp_path)


@pytest.mark.parametrize(
    ("joint", "sentence"),
    [
        ([1e300, 1.0, 1.0], "the number 1e\\+300"),
        ([1.0, 1.0, 1e9], "the number 1e\\+09"),
        ([1.0, "2", 1.0], "rectangular list of numbers"),
        ([1.0, [2.0], 1.0], "rectangular list of numbers"),
        ({"x": 1.0}, "should be a list of numbers"),
    ],
)
def test_what_is_no_joint_is_one_sentence(tmp_path: Path, joint: Any, sentence: str) -> None:
    flat: Any = [*([5.0, 5.0, 0.9] * 16), *joint] if isinstance(joint, list) else joint
    write_json(tmp_path / "0.json", {"people": [{"pose_keypoints_2d": flat}]})
    with pytest.raises(InputError, match=sentence):
        load_keypoints(tmp_path)


def test_numbers_that_are_none_are_absent_joints(tmp_path: Path) -> None:
    flat = [float("nan"), 5.0, 0.9, float("inf"), 5.0, 0.9, *([50.0, 5.0, 0.9] * 15)]
    write_json(tmp_path / "0.json", {"people": [{"pose_keypoints_2d": flat, "more": {"deep": [[[]]]}}], "extra": None})
    read = load_keypoints(tmp_path)
    assert read.scores[0, 0].count_nonzero() == 15 and torch.equal(read.points_px[0, 0, :2], torch.zeros(2, 2).double())


def test_bodies_of_25_joints_of_easymocap_are_told_apart(tmp_path: Path) -> None:
    found = people(BODY_25, {0: 1, 1: 1})
    for frame, listed in found.items():
        write_json(tmp_path / f"{frame:06d}.json", easymocap(listed))
    assert_same(load_keypoints(tmp_path), as_keypoints(found, BODY_25))
