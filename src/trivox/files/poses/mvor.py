"""MVOR (Srivastav et al., 2018): people labelled in 3D in an operating room, `annotations3D` of its JSON.

Millimetres in the frame of the first camera, which is the world of `files/calibrations/mvor.py`. Ten joints of the
upper body, x, y, z and whether each is labelled; frame f is the f-th triple of `multiview_images`. Person p of one
frame is nobody in particular in the next: pictures were taken minutes apart. Three people of the file are labelled
twice; the first label stands. There is no frame rate; 1 stands for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.poses.document import FORMAT
from trivox.files.text import check_places, numbers, read_json, whole
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import skeleton_of

MVOR_10 = skeleton_of(
    (
        *("head", "neck", "left_shoulder", "right_shoulder", "left_hip", "right_hip"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    ),
    "mvor10",
)
_MOST_PEOPLE = 1000


def load_mvor(path: Path) -> Poses:
    """All labelled people. Raises `InputError` for another file."""
    document = read_json(path)
    if isinstance(document, dict) and document.get("format") == FORMAT:
        raise InputError(
            f"{path} is what trivox writes for other programs, and does not read; give the .npz or .csv of the result"
        )
    if not isinstance(document, dict) or not {"annotations3D", "multiview_images"} <= document.keys():
        raise _unfit(path, "annotations3D and multiview_images")
    frame_of = {_images(triple, path): f for f, triple in enumerate(_list(document["multiview_images"], path))}
    people = [_person(person, frame_of, path) for person in _list(document["annotations3D"], path)]
    shape = (len(frame_of), max((p for _, p, _ in people), default=0) + 1, len(MVOR_10))
    if not people or shape[1] > _MOST_PEOPLE:
        raise _unfit(path, "people with small numbers")
    points, valid = np.zeros((*shape, 3)), np.zeros(shape, bool)
    for frame, person, joints in people:
        if valid[frame, person].any():
            continue
        valid[frame, person] = joints[:, 3] > 0
        points[frame, person] = np.where(joints[:, 3:] > 0, joints[:, :3], 0)
    check_places(points, path)
    tensors = map(torch.from_numpy, (points, valid, valid.astype(np.float64), np.arange(shape[0])))
    return Poses(*tensors, skeleton=MVOR_10, fps=1.0)


def _images(triple: Any, path: Path) -> str:
    """What annotations call the pictures of an instant: their ids, joined."""
    images = _list(triple.get("images") if isinstance(triple, dict) else None, path)
    if not all(isinstance(image, dict) for image in images):
        raise _unfit(path, "lists of images")
    return "_".join(str(image.get("id")) for image in images)


def _person(person: Any, frame_of: dict[str, int], path: Path) -> tuple[int, int, np.ndarray]:
    if not isinstance(person, dict) or person.get("image_ids") not in frame_of:
        raise _unfit(path, "people in the images that it lists")
    joints = numbers(person.get("keypoints3D"), path, "keypoints3D")
    if joints.ndim != 1 or joints.size % 4 or joints.size < 4 * len(MVOR_10) or not np.isfinite(joints).all():
        raise _unfit(path, f"x, y, z and visibility of {len(MVOR_10)} joints")
    number = whole(person.get("person_id"), path, "person_id")
    return frame_of[person["image_ids"]], number, joints.reshape(-1, 4)[: len(MVOR_10)]


def _list(value: Any, path: Path) -> list[Any]:
    if not isinstance(value, list):
        raise _unfit(path, "lists of images and people")
    return value


def _unfit(path: Path, expected: str) -> InputError:
    return InputError(f"{path} is no file of MVOR's labels: expected {expected}; give camma_mvor_2018.json")
