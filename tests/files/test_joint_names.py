"""Joint names of other programs find their joints."""

from pathlib import Path

import numpy as np
import pytest

from trivox.errors import InputError
from trivox.files.joint_names import canonical_name, matched_joints
from trivox.geometry.skeletons import BODY_25B, COCO_17, H36M_17, SKELETONS

HERE = Path("some.csv")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *((n, "left_shoulder") for n in ("LShoulder", "left_shoulder", "l_shoulder", "Left Shoulder", "shoulder_L")),
        *((n, "left_shoulder") for n in ("LSho", "lshoulder", "leftShoulder", "LEFT-SHOULDER", " shoulder left ")),
        *((n, "right_big_toe") for n in ("RBigToe", "right_big_toe", "RBIGTOE", "r_bigtoe")),
        *((n, "right_ear") for n in ("REar", "r_ear", "right_ear")),
        *((n, "pelvis") for n in ("MidHip", "CHip", "root (pelvis)", "BodyCenter", "Pelvis")),
        *(("HeadTop", "head_top"), ("UpperNeck", "upper_neck"), ("Thorax", "neck")),
        # What is no side stays.
        *(("rear", "rear"), ("left", "left"), ("L1A", "l1a"), ("Tail Base", "tail_base"), ("lung", "lung")),
    ],
)
def test_spellings(given: str, expected: str) -> None:
    assert canonical_name(given) == expected


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_our_own_names_are_canonical_and_known_in_any_order(skeleton) -> None:
    assert tuple(map(canonical_name, skeleton.names)) == skeleton.names
    backwards = matched_joints(skeleton.names[::-1], None, HERE)
    # Two skeletons may have the same joints in different orders; one of them is found.
    assert set(backwards.skeleton.names) == set(skeleton.names)
    assert matched_joints(skeleton.names, None, HERE).skeleton == skeleton
    picked = backwards.picked(np.array(skeleton.names[::-1])[None] == np.array(skeleton.names)[:, None], axis=1)
    for row, name in enumerate(skeleton.names):
        assert picked[row].tolist() == [joint == name for joint in backwards.skeleton.names]


def test_absent_joints_are_nan_and_strangers_dropped() -> None:
    joints = matched_joints(["tail", "RAnkle", "Nose"], COCO_17, HERE)
    row = joints.picked(np.array([1.0, 2.0, 3.0]), axis=0)
    assert row[COCO_17.names.index("right_ankle")] == 2 and row[0] == 3 and np.isnan(row[1:16]).all()


def test_plain_neck_and_head_mean_what_the_skeleton_has() -> None:
    """Pose2Sim writes BODY_25B's upper neck and top of the head as Neck and Head."""
    names = ["Neck", "Head", "Nose"]
    there = matched_joints(names, BODY_25B, HERE).columns
    assert [there[BODY_25B.names.index(n)] for n in ("upper_neck", "head_top", "nose")] == [0, 1, 2]
    in_h36m = matched_joints(names, H36M_17, HERE).columns
    assert [in_h36m[H36M_17.names.index(n)] for n in ("neck", "head_top", "head_nose")] == [0, 1, -1]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "no joints"),
        (["LShoulder", "left_shoulder"], "more than one joint that means left_shoulder"),
        (["tail", "snout"], "tail, snout: none of skeleton coco17"),
    ],
)
def test_names_that_cannot_be_used(names: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        matched_joints(names, COCO_17, HERE)
