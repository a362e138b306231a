"""Pictures and views of nobody, in whatever way they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from keypoint_files import (
    as_keypoints,
    assert_same,
    coco_annotations,
    coco_results,
    instance_info,
    people,
    write_json,
    write_openpose,
)

from trivox.errors import InputError
from trivox.files.keypoints import load_keypoints
from trivox.files.keypoints.load import read_view, read_views
from trivox.geometry.skeletons import COCO_17

FOUND = people(COCO_17, {0: 1, 1: 2, 2: 0, 3: 1})
NOTHING = (None, {}, [], [None], [{}], [None, {}], {"people": {}}, {"people": None}, {"people": [None]})
ZEROS = ({"people": [[0, 0, 0]]}, {"people": [{"pose_keypoints_2d": [0, 0, 0]}]}, {"people": [[[0, 0, 0], [0, 0, 0]]]})
OTHERS = ({"bodies": {}}, {"instances": None}, {"instance_info": {}}, {"people": [{"pose_keypoints_2d": [0] * 51}]})
BLANK = (*NOTHING, *ZEROS, *OTHERS)


@pytest.mark.parametrize("blank", BLANK, ids=str)
def test_a_picture_of_nobody(tmp_path: Path, blank: Any) -> None:
    folder = write_openpose(tmp_path / "o", FOUND)
    write_json(folder / "cam_000000000002_keypoints.json", blank)
    view = read_view(folder)
    assert_same(view.keypoints, as_keypoints(FOUND, COCO_17))
    assert all("read as" in note for note in view.notes)


@pytest.mark.parametrize("blank", ({}, None, [], {"bodies": None}, {"bodies": []}, {"people": {}}), ids=str)
def test_a_picture_of_nobody_among_alphapose_pictures(tmp_path: Path, blank: Any) -> None:
    pictures: dict[str, Any] = {
        f"{frame}.jpg": {"people": [{"pose_keypoints_2d": joints.ravel().tolist()} for joints in listed]}
        for frame, listed in FOUND.items()
    }
    path = write_json(tmp_path / "all.json", pictures | {"2.jpg": blank})
    assert_same(load_keypoints(path), as_keypoints(FOUND, COCO_17))


@pytest.mark.parametrize("blank", (None, {}, [], [None], [{}]), ids=str)
@pytest.mark.parametrize("demo", (False, True))
def test_instances_of_nobody(tmp_path: Path, blank: Any, demo: bool) -> None:
    entries = instance_info(FOUND)
    entries[2]["instances"] = blank
    path = write_json(tmp_path / "m.json", {"instance_info": entries} if demo else entries)
    assert_same(load_keypoints(path), as_keypoints(FOUND, COCO_17))


@pytest.mark.parametrize("blank", (None, {}), ids=str)
def test_entries_of_nothing_are_left_out(tmp_path: Path, blank: Any) -> None:
    seen = {frame: listed for frame, listed in FOUND.items() if listed}
    path = coco_results(tmp_path / "r.json", seen)
    write_json(path, [blank, *json.loads(path.read_text()), blank])
    assert_same(load_keypoints(path), as_keypoints(seen, COCO_17))
    entries: list[Any] = instance_info(FOUND)
    assert_same(load_keypoints(write_json(path, [*entries, blank])), as_keypoints(FOUND, COCO_17))


def blank_views(folder: Path) -> dict[str, Path]:
    """Views that see nobody in any picture, of each program."""
    frames = dict.fromkeys(range(4), [])
    openpose = write_openpose(folder / "openpose", frames)
    objects = write_openpose(folder / "objects", frames)
    for path in objects.iterdir():
        path.write_text("{}")
    return {
        "openpose": openpose,
        "objects": objects,
        "mmpose": write_json(folder / "mmpose.json", instance_info(frames)),
        "alphapose": write_json(folder / "alphapose.json", {f"{frame}.jpg": {} for frame in frames}),
        "annotations": coco_annotations(folder / "annotations.json", frames),
        "results": write_json(folder / "results.json", []),
    }


@pytest.mark.parametrize("name", ("openpose", "objects", "mmpose", "alphapose", "annotations", "results"))
def test_a_view_of_nobody_has_the_joints_of_the_others(tmp_path: Path, name: str) -> None:
    other = write_openpose(tmp_path / "other", FOUND)
    path = blank_views(tmp_path)[name]
    seen, blank = read_views([other, path])
    assert_same(seen.keypoints, as_keypoints(FOUND, COCO_17))
    assert blank.keypoints.skeleton == COCO_17 and not blank.keypoints.scores.any()
    assert torch.equal(blank.keypoints.frames, torch.arange(4))
    where = "it" if name == "results" else "any of its 4 frames"
    assert f"{path} has nobody in {where}" in blank.notes
    with pytest.raises(InputError, match=f"{path.name} has no person in"):
        read_views([path, path])


def test_settings_that_hold_nothing_are_no_picture(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "o", FOUND)
    write_json(folder / "config.json", {})
    view = read_view(folder)
    assert_same(view.keypoints, as_keypoints(FOUND, COCO_17))
    assert "skipped config.json" in view.notes[0]


def test_what_is_something_else_stays_refused(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "o", FOUND)
    for content in ({"a": {}}, [0], 0, False, "", [1, None], {"people": 3}, {"people": "x"}):
        write_json(folder / "cam_000000000002_keypoints.json", content)
        with pytest.raises(InputError, match=r"000002_keypoints\.json has no list 'people'"):
            load_keypoints(folder)
    with pytest.raises(InputError, match="not COCO, MMPose or AlphaPose"):
        load_keypoints(write_json(tmp_path / "a.json", {"settings": {}, "model": None}))
