"""Which joints a list without names holds: the skeleton that a program writes with so many.

Most numbers stand for one skeleton. Where several programs use a number, what the joints look like decides: BODY_25
has the middle of the hips as joint 8, between the hips 9 and 12, and so have BODY_21A (21, as many as a hand) and the
first 15 of BODY_25 (EasyMocap); the 15 of OpenPose's MPI model end with the middle of the trunk. Nothing tells the
orders of 14 joints apart, so these are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trivox.errors import InputError
from trivox.files.joint_names import MatchedJoints, matched_joints
from trivox.geometry.skeletons import (
    BLAZEPOSE_33,
    BODY_15,
    BODY_21A,
    BODY_25,
    BODY_25B,
    BODY_135,
    COCO_17,
    COCO_18,
    COCO_WHOLEBODY_133,
    HALPE_26,
    HALPE_68,
    HALPE_136,
    MPI_15,
    PANOPTIC_19,
    SKELETONS,
    Skeleton,
)

_OF_ONE_PROGRAM = (
    *(COCO_17, COCO_18, PANOPTIC_19, HALPE_26, BLAZEPOSE_33, HALPE_68),
    *(COCO_WHOLEBODY_133, BODY_135, HALPE_136),
)
BY_COUNT = {len(skeleton): skeleton for skeleton in _OF_ONE_PROGRAM}


def nameless_joints(people: np.ndarray, given: Skeleton | None, path: Path) -> MatchedJoints:
    """The joints of `people` `(N, J, 3)` of x, y, score.

    A `given` skeleton of J joints says what they are; one of fewer joints is picked by name from the skeleton that they
    are known to be. Raises `InputError` where they are not known, or not those of the given skeleton.
    """
    count = people.shape[1]
    if given is not None and len(given) == count:
        return MatchedJoints(given, np.arange(count))
    own = _skeleton_of(people)
    if own is None:
        raise InputError(f"{path} has {count} joints without names, {_choices(count, given)}")
    if given is None:
        return MatchedJoints(own, np.arange(count))
    lacking = [name for name in given.names if name not in own.names]
    if lacking:
        raise InputError(
            f"{path} has {count} joints, those of {own.name}; skeleton {given.name} has {len(given)}; they lack its "
            f"{', '.join(lacking[:4])}{' ...' if len(lacking) > 4 else ''}; choose the skeleton it was made with"
        )
    return matched_joints(own.names, given, path)


def _choices(count: int, given: Skeleton | None) -> str:
    fitting = [skeleton.name for skeleton in SKELETONS.values() if len(skeleton) == count]
    wrong = f"skeleton {given.name} has {len(given)}; " if given is not None else ""
    if fitting:
        return f"{wrong}which several sets have; say which they are with --skeleton {' or '.join(fitting)}"
    known = ", ".join(f"{n} ({skeleton.name})" for n, skeleton in sorted(BY_COUNT.items()))
    return f"{wrong}known are {known}; choose a skeleton of as many joints with --skeleton, or write names with them"


def _skeleton_of(people: np.ndarray) -> Skeleton | None:
    count = people.shape[1]
    if count == len(BODY_25):
        return BODY_25 if _lies_on_trunk(people, 8, (1, 9, 12), 1.0, 0.1) else BODY_25B
    if count == len(BODY_21A):
        return BODY_21A if _lies_on_trunk(people, 8, (1, 9, 12), 1.0, 0.1) else None
    if count == len(BODY_15):
        if _lies_on_trunk(people, 8, (1, 9, 12), 1.0, 0.1):
            return BODY_15
        return MPI_15 if _lies_on_trunk(people, 14, (1, 8, 11), 0.65, 0.4) else None
    return BY_COUNT.get(count)


def _lies_on_trunk(people: np.ndarray, joint: int, trunk: Sequence[int], place: float, tolerance: float) -> bool:
    """Whether `joint` lies at the share `place` of the way from the neck to the middle of the hips in most detections.

    `trunk` are the places of neck and hips; the tolerance is a share of the trunk's length. False where all are hidden.
    """
    seen = people[(people[:, [joint, *trunk], 2] > 0).all(1)]
    neck, hip, other_hip = np.moveaxis(seen[:, list(trunk), :2], 1, 0)
    length = (hip + other_hip) / 2 - neck
    off = np.linalg.norm(seen[:, joint, :2] - (neck + place * length), axis=-1)
    return bool(len(seen) and np.median(off <= tolerance * np.linalg.norm(length, axis=-1)) > 0.5)
