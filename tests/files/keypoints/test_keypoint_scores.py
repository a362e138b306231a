"""Scores of joints under any name and in any scale weigh as they should."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keypoint_files import (
    ANIMAL,
    Found,
    as_keypoints,
    assert_same,
    people,
    write_dlc_csv,
    write_json,
    write_openpose,
)

from trivox.errors import InputError
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.files.keypoints.load import read_view, read_views
from trivox.geometry.skeletons import COCO_17

FOUND = people(COCO_17, {0: 1, 1: 2})

NAMES = (
    *(
        "keypoint_scores",
        "keypoints_scores",
        "keypoint_score",
        "keypointScores",
        "scores",
        "score",
        "Score",
        "joint_scores",
    ),
    *(
        "confidence",
        "confidences",
        "conf",
        "keypoint_confidence",
        "keypoints_conf",
        "kpt_scores",
        "probabilities",
        "prob",
    ),
    *("likelihood", "visibility", "visible", "keypoints_visible", "keypoints_visibility", "presence", "CONFIDENCE"),
)


def in_lists(found: Found, flat: bool = False, **lists: str) -> list[Any]:
    """MMPose's layout with the scores under other names."""

    def points(joints: np.ndarray) -> Any:
        return joints[:, :2].ravel().tolist() if flat else joints[:, :2].tolist()

    return [
        {
            "frame_id": frame,
            "instances": [
                {"keypoints": points(joints), **{name: joints[:, 2].tolist() for name in lists.values()}}
                for joints in listed
            ],
        }
        for frame, listed in found.items()
    ]


@pytest.mark.parametrize("flat", (False, True))
@pytest.mark.parametrize("name", NAMES)
def test_scores_are_known_by_any_of_their_names(tmp_path: Path, name: str, flat: bool) -> None:
    path = write_json(tmp_path / "m.json", in_lists(FOUND, flat, scores=name))
    assert_same(load_keypoints(path), as_keypoints(FOUND, COCO_17))


@pytest.mark.parametrize("score", (0.7, None, [0.7]))
@pytest.mark.parametrize("name", ("score", "confidence", "keypoint_score"))
def test_one_number_is_the_score_of_the_person(tmp_path: Path, name: str, score: Any) -> None:
    joints = FOUND[0][0]
    entries = [{"image_id": 0, "keypoints": joints.ravel().tolist(), name: score}]
    read = load_keypoints(write_json(tmp_path / "r.json", entries))
    assert_same(read, as_keypoints({0: [joints]}, COCO_17))


def test_scores_go_before_visibility_and_third_numbers_before_visibility(tmp_path: Path) -> None:
    joints = FOUND[0][0]
    person = {"keypoints": joints[:, :2].tolist(), "visibility": [1.0] * 17, "confidences": joints[:, 2].tolist()}
    expected = as_keypoints({0: [joints]}, COCO_17)
    assert_same(load_keypoints(write_json(tmp_path / "0.json", [person])), expected)
    person = {"keypoints": joints.tolist(), "visible": [1] * 17, "area": 3, "bbox": [1, 2, 3, 4]}
    assert_same(load_keypoints(write_json(tmp_path / "0.json", [person])), expected)


def test_visibilities_of_coco_are_no_scores(tmp_path: Path) -> None:
    joints = FOUND[0][0]
    seen = [0, 0, *([1, 2] * 7), 2]
    person = {"keypoints": joints[:, :2].tolist(), "keypoints_visible": seen}
    read = load_keypoints(write_json(tmp_path / "0.json", [person]))
    assert read.scores[0, 0].tolist() == [min(v, 1) for v in seen]


@pytest.mark.parametrize(
    ("key", "listed", "sentence"),
    [
        ("certain", [0.5] * 17, "'certain' has one number per keypoint.*call it 'keypoint_scores'"),
        ("scores", [0.5] * 16, "'scores' should be one number per keypoint"),
        ("Confidences", ["high"] * 17, "'Confidences' should be a rectangular list of numbers"),
        ("confidence", "high", "'confidence' should be one number per keypoint"),
    ],
)
def test_what_may_be_scores_is_not_dropped(tmp_path: Path, key: str, listed: Any, sentence: str) -> None:
    person = {"keypoints": FOUND[0][0][:, :2].tolist(), key: listed}
    with pytest.raises(InputError, match=sentence):
        load_keypoints(write_json(tmp_path / "0.json", [person]))


@pytest.mark.parametrize("name", ("score", "Confidence", "prob", "likelihood", "visibility"))
def test_columns_of_scores_are_known_by_their_names(tmp_path: Path, name: str) -> None:
    found = people(ANIMAL, {0: 1, 1: 1})
    path = write_dlc_csv(tmp_path / "d.csv", found, multi=False)
    path.write_text(path.read_text().replace("likelihood", name))
    assert_same(load_keypoints(path), as_keypoints(found, ANIMAL))


@pytest.mark.parametrize("name", ("z", "certain"))
def test_a_third_column_that_is_no_score_is_refused(tmp_path: Path, name: str) -> None:
    path = write_dlc_csv(tmp_path / "d.csv", people(ANIMAL, {0: 1, 1: 1}), multi=False)
    path.write_text(path.read_text().replace("likelihood", name))
    with pytest.raises(InputError, match=f"column '{name}' of Snout, expected x, y and likelihood"):
        load_keypoints(path)


def test_columns_beside_likelihood_are_left_out(tmp_path: Path) -> None:
    """Lightning Pose adds medians and variances."""
    found = people(ANIMAL, {0: 1, 1: 1})
    path = write_dlc_csv(tmp_path / "d.csv", found, multi=False)
    rows = list(csv.reader(path.read_text().splitlines()))
    more = ("net", "Snout", "x_ens_var", "0.5", "0.5")
    path.write_text("\n".join(",".join([*row, cell]) for row, cell in zip(rows, more, strict=True)))
    assert_same(load_keypoints(path), as_keypoints(found, ANIMAL))


def scaled(found: Found, factor: float) -> Found:
    return {frame: [joints * [1, 1, factor] for joints in listed] for frame, listed in found.items()}


@pytest.mark.parametrize("factor", (0.05, 1.0, 1.4, 6.0, 10.0, 19.0))
def test_the_own_scales_of_detectors_are_kept(tmp_path: Path, factor: float) -> None:
    """OpenPose reaches 1.4, AlphaPose 6, RTMPose 10."""
    found = scaled(FOUND, factor)
    view = read_view(write_openpose(tmp_path / "o", found), skeleton="coco17")
    assert_same(view.keypoints, as_keypoints(found, COCO_17))
    assert view.notes == ()


def test_per_cent_are_scores_from_0_to_1_and_said(tmp_path: Path) -> None:
    view = read_view(write_openpose(tmp_path / "o", scaled(FOUND, 100)), skeleton="coco17")
    assert_same(view.keypoints, as_keypoints(FOUND, COCO_17))
    assert "are taken as per cent" in view.notes[0]
    in_per_cent = as_keypoints(scaled(FOUND, 100), COCO_17)
    save_keypoints(in_per_cent, tmp_path / "k.npz")
    assert_same(load_keypoints(tmp_path / "k.npz"), as_keypoints(FOUND, COCO_17))


@pytest.mark.parametrize("factor", (255.0, 1000.0, 30.0))
def test_other_scales_are_refused(tmp_path: Path, factor: float) -> None:
    with pytest.raises(InputError, match=r"scores up to .*expected 0 to 1, .*per cent; write scores"):
        load_keypoints(write_openpose(tmp_path / "o", scaled(FOUND, factor)), skeleton="coco17")


def test_one_wrong_number_makes_no_per_cent(tmp_path: Path) -> None:
    found = scaled(FOUND, 1.0)
    found[0][0][5, 2] = 99
    with pytest.raises(InputError, match="scores up to 99"):
        load_keypoints(write_openpose(tmp_path / "o", found), skeleton="coco17")


def test_a_view_of_poor_scores_is_in_per_cent_where_another_is(tmp_path: Path) -> None:
    good = write_openpose(tmp_path / "cam1", scaled(FOUND, 100))
    poor = write_openpose(tmp_path / "cam2", scaled(FOUND, 9))
    seen, seen_poorly = (view.keypoints for view in read_views([good, poor], skeleton="coco17"))
    torch.testing.assert_close(seen_poorly.scores, seen.scores * 0.09)


def test_a_number_of_a_joint_that_is_not_there_is_absent(tmp_path: Path) -> None:
    joints = FOUND[0][0]
    person = {"keypoints": joints[:, :2].tolist(), "scores": [None, *joints[1:, 2].tolist()]}
    read = load_keypoints(write_json(tmp_path / "0.json", json.loads(json.dumps([person]))))
    assert read.scores[0, 0, 0] == 0 and read.scores[0, 0, 2] == pytest.approx(joints[2, 2])
