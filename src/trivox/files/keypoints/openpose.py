"""OpenPose: a folder with one JSON per frame, `people[].pose_keypoints_2d` = x, y, score, x, y, score, ...

The frame number is the last number in the file name (`cam01.0012.json`, `video_000000000012_keypoints.json`).
(0, 0, 0) is a missing joint; people come in no order, and a frame may have none. Files of 25 joints are
BODY_25 or BODY_25B: only BODY_25 has the middle of the hips as joint 8, between the hips 9 and 12, so that
tells them apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trivox.errors import InputError
from trivox.files.keypoints.detections import assembled, skeleton_by_count
from trivox.files.text import last_number, numbers, read_json
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import BODY_25, BODY_25B, Skeleton


def load_openpose(folder: Path, skeleton: Skeleton | None) -> Keypoints2D:
    """Read a folder of OpenPose JSON files. Raises `InputError` for anything else."""
    files = _frame_files(folder)
    of_frame: list[int] = []
    people: list[np.ndarray] = []
    for frame, path in files.items():
        found = _people(path)
        of_frame += [frame] * len(found)
        people += found
    counts = {len(person) for person in people}
    if len(counts) > 1:
        raise InputError(f"{folder} mixes people of {sorted(counts)} joints; keep one kind of detection per folder")
    if not people:
        raise InputError(f"{folder} has no person in any of its {len(files)} frames; run the detector again")
    detections = np.stack(people)
    given = skeleton or (_body_25(detections) if detections.shape[1] == 25 else None)
    joints = skeleton_by_count(detections.shape[1], given, folder)
    return assembled(detections, of_frame, list(files), joints, folder)


def _frame_files(folder: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json")):
        frame = last_number(path.name)
        if frame is None:
            raise InputError(f"{path} has no frame number in its name; name it like video_000000000012_keypoints.json")
        if frame in files:
            raise InputError(f"{files[frame]} and {path} are both frame {frame}; keep one view per folder")
        files[frame] = path
    if not files:
        raise InputError(f"{folder} has no .json files; give a folder with one OpenPose JSON per frame")
    return files


def _people(path: Path) -> list[np.ndarray]:
    document = read_json(path)
    people = document.get("people") if isinstance(document, dict) else None
    if not isinstance(people, list):
        raise InputError(f"{path} has no list 'people'; give a folder of OpenPose JSON files only")
    found = [_joints(person, path) for person in people]
    return [joints for joints in found if len(joints)]


def _joints(person: Any, path: Path) -> np.ndarray:
    flat = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
    values = numbers(flat, path, "'pose_keypoints_2d'")
    if values.ndim != 1 or values.size % 3:
        raise InputError(f"{path}: 'pose_keypoints_2d' should be a flat list of x, y, score; write it again")
    return values.reshape(-1, 3)


def _body_25(detections: np.ndarray) -> Skeleton:
    """Which of the two 25-joint skeletons these are; BODY_25B where nothing can be seen."""
    neck, mid_hip, right_hip, left_hip = (detections[:, BODY_25.names.index(n)] for n in _TELLING)
    seen = (detections[:, [BODY_25.names.index(n) for n in _TELLING], 2] > 0).all(1)
    off = np.linalg.norm(mid_hip - (right_hip + left_hip) / 2, axis=-1)
    trunk = np.linalg.norm(mid_hip - neck, axis=-1)
    return BODY_25 if seen.any() and np.median((off <= 0.1 * trunk)[seen]) > 0.5 else BODY_25B


_TELLING = ("neck", "pelvis", "right_hip", "left_hip")
