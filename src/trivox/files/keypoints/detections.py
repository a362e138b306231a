"""Loose detections, in whatever order and number per frame, put into the padded arrays of `Keypoints2D`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.joint_names import MatchedJoints
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import SKELETONS, Skeleton

# From an index, which is whole at the centre of a pixel, to our coordinates, which are whole at its corner.
CORNER_FROM_CENTRE_PX = 0.5

# Which skeleton a list of so many joints without names holds.
BY_COUNT = {17: SKELETONS["coco17"], 18: SKELETONS["coco18"], 19: SKELETONS["panoptic19"]}


def skeleton_by_count(joints: int, given: Skeleton | None, path: Path) -> MatchedJoints:
    """The skeleton of a file that has `joints` nameless joints: the given one where the number fits."""
    skeleton = given or BY_COUNT.get(joints)
    if skeleton is None:
        known = ", ".join(f"{n} ({s.name})" for n, s in BY_COUNT.items())
        raise InputError(f"{path} has {joints} joints without names; known are {known}; choose a skeleton")
    if len(skeleton) != joints:
        other = f"skeleton {skeleton.name} has {len(skeleton)}"
        raise InputError(f"{path} has {joints} joints, {other}; choose the skeleton it was made with")
    return MatchedJoints(skeleton, np.arange(joints))


def assembled(
    detections: np.ndarray, of_frame: Sequence[int], frames: Sequence[int], joints: MatchedJoints, path: Path
) -> Keypoints2D:
    """Pad N detections `(N, file joints, 3)` of x, y (pixel *indices*) and score, one of each `of_frame`.

    `frames` lists every frame of the recording, also those without a detection. A joint with a score of zero
    or less, or without finite coordinates, is absent. Raises `InputError` for coordinates that are not
    pixels.
    """
    numbers = np.unique(np.asarray([*frames, *of_frame], dtype=np.int64))
    row = np.searchsorted(numbers, np.asarray(of_frame, dtype=np.int64))
    slot = _rank_among_equals(row)
    padded = np.zeros((len(numbers), slot.max(initial=0) + 1, len(joints.skeleton), 3))
    padded[row, slot] = _cleaned(joints.picked(detections, axis=1), path)
    return Keypoints2D(
        torch.from_numpy(padded[..., :2].copy()),
        torch.from_numpy(padded[..., 2].copy()),
        torch.from_numpy(numbers),
        joints.skeleton,
    )


def _rank_among_equals(row: np.ndarray) -> np.ndarray:
    """How many earlier entries have the same value."""
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], row[order])
    rank = np.empty(len(row), dtype=np.int64)
    rank[order] = np.arange(len(row)) - starts
    return rank


def _cleaned(joints: np.ndarray, path: Path) -> np.ndarray:
    present = np.isfinite(joints).all(-1) & (joints[..., 2] > 0)
    xy = joints[present][:, :2]
    # A single point may well lie in the first pixel; a whole recording does not.
    if len(xy) >= 10 and np.abs(xy).max() <= 1.0:
        raise InputError(f"{path} has coordinates between -1 and 1, expected pixels; write it without normalising")
    shifted = joints + np.array([CORNER_FROM_CENTRE_PX, CORNER_FROM_CENTRE_PX, 0])
    return np.where(present[..., None], shifted, 0)
