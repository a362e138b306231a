"""What a file holds of one view, before its joints are told: loose detections in whatever order and number per frame.

Every reader gives `Detections`; here they become the padded arrays of `Keypoints2D`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.frame_numbers import frame_numbers
from trivox.files.joint_names import MatchedJoints
from trivox.files.keypoints.scores import is_score_name, joint_scores
from trivox.files.text import numbers, whole
from trivox.geometry.keypoints import Keypoints2D

# From an index, which is whole at the centre of a pixel, to our coordinates, which are whole at its corner.
CORNER_FROM_CENTRE_PX = 0.5
# No picture is so large, and no detector so sure.
_LARGEST = 1e6


@dataclass(frozen=True)
class Detections:
    """N people `(J, 3)` of x, y (pixel *indices*) and score, one of each `of_frame`.

    `frames` lists every frame of the recording, also those without a detection. `names` are the names of the joints, if
    the file has any. `notes` are sentences for the user: what was skipped, and what was taken how.
    """

    people: Sequence[np.ndarray]
    of_frame: Sequence[int]
    frames: Sequence[int]
    names: Sequence[str] | None = None
    notes: tuple[str, ...] = ()

    def stacked(self, path: Path) -> np.ndarray:
        """All people `(N, J, 3)`. Raises `InputError` for people of different kinds, and for what are no pixels."""
        counts = {len(person) for person in self.people}
        if len(counts) > 1:
            raise InputError(f"{path} mixes people of {sorted(counts)} joints; keep one kind of detection per view")
        stacked = np.stack(self.people)
        largest = np.abs(stacked[_present(stacked)]).max(initial=0.0)
        if largest > _LARGEST:
            raise InputError(f"{path} has the number {largest:g}, expected pixels and scores; write it again")
        return stacked


# Where programs put the joints of a person, the more particular first.
_BODY_KEYS = ("pose_keypoints_2d", "pose_keypoints", "joints", "keypoints", "keypoints2d")


def person_joints(person: Any, path: Path) -> np.ndarray | None:
    """The body joints of one person as `(J, 3)`, however its program lists them; None for a person without a body.

    Joints are a flat list x, y, score, ...; a list of [x, y, score]; or either of x and y alone, with a list of scores
    beside it (`scores.py`). [x, y] without scores count fully. null stands for a joint, or a person, that is absent; so
    do zeros, {}, which Pose2Sim writes for a person that a view does not see, and a person of hands or face only.
    Raises `InputError` for anything else.
    """
    if person is None or (isinstance(person, list) and _is_nothing(person)):
        return None
    if not isinstance(person, dict):
        raise InputError(f"{path} has a person that is no JSON object; write the file again")
    key = next((key for key in _BODY_KEYS if person.get(key) is not None), None)
    if key is None:
        return None
    listed = person[key]
    if not isinstance(listed, list):
        raise InputError(f"{path}: {key!r} should be a list of numbers; write the file again")
    if _is_nothing(listed):
        return None
    nested = any(isinstance(joint, list) for joint in listed)
    points = _nested(listed, path, key) if nested else _flat(listed, person, path, key)
    has_scores = points.shape[1] == 3
    scores = joint_scores(person, len(points), path, needed=not has_scores)
    if scores is None:
        return points if has_scores else np.column_stack([points, np.isfinite(points).all(1)])
    return np.column_stack([points[:, :2], scores])


def _is_nothing(listed: list[Any]) -> bool:
    """Whether there is nothing but null and zeros in a list, or in its lists."""
    flat = [value for entry in listed for value in (entry if isinstance(entry, list) else [entry])]
    return all(value is None or (isinstance(value, int | float) and value == 0) for value in flat)


def _flat(listed: list[Any], person: dict[str, Any], path: Path, key: str) -> np.ndarray:
    values = numbers([np.nan if value is None else value for value in listed], path, f"{key!r}")
    if values.ndim == 1 and values.size % 2 == 0 and _has_scores_for(person, values.size // 2):
        return values.reshape(-1, 2)
    if values.ndim != 1 or values.size % 3:
        raise InputError(f"{path}: {key!r} should be a flat list of x, y, score; write it again")
    return values.reshape(-1, 3)


def _has_scores_for(person: dict[str, Any], count: int) -> bool:
    return any(isinstance(v, list) and len(v) == count and is_score_name(key) for key, v in person.items())


def _nested(listed: list[Any], path: Path, key: str) -> np.ndarray:
    width = max(len(joint) for joint in listed if isinstance(joint, list))
    filled = [[np.nan] * width if joint is None else joint for joint in listed]
    filled = [[np.nan if v is None else v for v in joint] if isinstance(joint, list) else joint for joint in filled]
    points = numbers(filled, path, f"{key!r}")
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise InputError(f"{path}: {key!r} of a person should be a list of [x, y] or [x, y, score]; write it again")
    return points


def numbers_of_images(images: Sequence[Any], path: Path, what: str) -> tuple[list[int], tuple[str, ...]]:
    """The frame of each image, its number, or the one that counts in the names; and notes on what is doubtful.

    Raises `InputError` where different images have one number, or an image none.
    """
    notes: tuple[str, ...] = ()
    if any(isinstance(image, str) for image in images):
        told = frame_numbers([str(image) for image in images])
        of_name = dict(zip(map(str, images), told.numbers, strict=True))
        notes = (f"{path}: {told.doubt}",) if told.doubt else ()
    else:
        of_name = {str(image): image for image in images}
    found = {name: whole(number, path, f"the frame number in {what} {name}") for name, number in of_name.items()}
    if len(set(found.values())) < len(found):
        raise InputError(f"{path} has several images with one frame number; give one file per camera")
    return [found[str(image)] for image in images], notes


def assembled(detections: Detections, people: np.ndarray, joints: MatchedJoints, path: Path) -> Keypoints2D:
    """The `people` of the detections, stacked, as padded arrays in the order of `joints`.

    A joint with a score of zero or less, or without finite coordinates, is absent. Raises `InputError` for coordinates
    that are not pixels.
    """
    frames = np.unique(np.asarray([*detections.frames, *detections.of_frame], dtype=np.int64))
    row = np.searchsorted(frames, np.asarray(detections.of_frame, dtype=np.int64))
    slot = _rank_among_equals(row)
    padded = np.zeros((len(frames), slot.max(initial=0) + 1, len(joints.skeleton), 3))
    padded[row, slot] = _cleaned(joints.picked(people, axis=1), path)
    return Keypoints2D(
        torch.from_numpy(padded[..., :2].copy()),
        torch.from_numpy(padded[..., 2].copy()),
        torch.from_numpy(frames),
        joints.skeleton,
    )


def _rank_among_equals(row: np.ndarray) -> np.ndarray:
    """How many earlier entries have the same value."""
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], row[order])
    rank = np.empty(len(row), dtype=np.int64)
    rank[order] = np.arange(len(row)) - starts
    return rank


def _present(joints: np.ndarray) -> np.ndarray:
    return np.isfinite(joints).all(-1) & (joints[..., 2] > 0)


def _cleaned(joints: np.ndarray, path: Path) -> np.ndarray:
    present = _present(joints)
    xy = joints[present][:, :2]
    # A single point may well lie in the first pixel; a whole recording does not.
    if len(xy) >= 10 and np.abs(xy).max() <= 1.0:
        raise InputError(f"{path} has coordinates between -1 and 1, expected pixels; write it without normalising")
    shifted = joints + np.array([CORNER_FROM_CENTRE_PX, CORNER_FROM_CENTRE_PX, 0])
    return np.where(present[..., None], shifted, 0)
