"""COCO and MMPose JSON, four kinds that are told apart by their keys:

- COCO results: a list of `{image_id, category_id, keypoints, score}`; keypoints = x, y, score, ...
- COCO annotations: `{images, annotations, categories}`; the third number may be a visibility 0, 1 or 2;
- MMPose's demo: `{meta_info, instance_info: [{frame_id, instances: [{keypoints, keypoint_scores}]}]}`;
- MMPose's inferencer: that list of instance_info on its own.

Joints go by name where the file has names (categories, meta_info), by number otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trivox.errors import InputError
from trivox.files.joint_names import matched_joints
from trivox.files.keypoints.detections import assembled, skeleton_by_count
from trivox.files.text import last_number, numbers, read_json, whole
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import Skeleton


@dataclass(frozen=True)
class _Content:
    """What all four kinds hold: detections `(J, 3)` and their frames, all frames, joint names if any."""

    detections: Sequence[np.ndarray]
    of_frame: Sequence[int]
    frames: Sequence[int]
    names: Sequence[str] | None


def load_coco(path: Path, skeleton: Skeleton | None) -> Keypoints2D:
    """Read one of the four kinds. Raises `InputError` for anything else."""
    content = _content(read_json(path), path)
    shapes = {len(joints) for joints in content.detections}
    if len(shapes) != 1:
        what = f"people of {sorted(shapes)} joints" if shapes else "no person"
        raise InputError(f"{path} has {what}; expected detections of one kind in at least one frame")
    count = shapes.pop()
    if content.names is not None and len(content.names) != count:
        raise InputError(f"{path} names {len(content.names)} joints but has {count} per person; write it again")
    by_name = content.names is not None and (skeleton is None or not _is_its_order(content.names, skeleton))
    if by_name and content.names is not None:
        joints = matched_joints(content.names, skeleton, path)
    else:
        joints = skeleton_by_count(count, skeleton, path)
    return assembled(np.stack(content.detections), content.of_frame, content.frames, joints, path)


def _is_its_order(names: Sequence[str], skeleton: Skeleton) -> bool:
    return tuple(names) == skeleton.names


def _content(document: Any, path: Path) -> _Content:
    if isinstance(document, dict) and isinstance(document.get("instance_info"), list):
        return _mmpose(document["instance_info"], _meta_names(document.get("meta_info"), path), path)
    if isinstance(document, dict) and isinstance(document.get("annotations"), list):
        return _annotations(document, path)
    entries = document if isinstance(document, list) else []
    if entries and all(isinstance(entry, dict) for entry in entries):
        if "instances" in entries[0]:
            return _mmpose(entries, None, path)
        if "image_id" in entries[0]:
            return _results(entries, path)
    raise InputError(f"{path} is not COCO or MMPose JSON with people; see docs/formats.md for what these hold")


def _results(entries: list[dict[str, Any]], path: Path) -> _Content:
    detections = [_flat_joints(entry, path) for entry in entries]
    of_frame = [_image_number(entry.get("image_id"), path) for entry in entries]
    return _Content(detections, of_frame, (), None)


def _image_number(image_id: Any, path: Path) -> int:
    """An image id, or the number in an image's file name."""
    found = last_number(image_id) if isinstance(image_id, str) else image_id
    return whole(found, path, f"the frame number in 'image_id' {image_id!r}")


def _flat_joints(entry: dict[str, Any], path: Path) -> np.ndarray:
    values = numbers(entry.get("keypoints"), path, "'keypoints'")
    if values.ndim != 1 or values.size % 3 or not values.size:
        raise InputError(f"{path}: 'keypoints' should be a flat list of x, y, score; write it again")
    return values.reshape(-1, 3)


def _annotations(document: dict[str, Any], path: Path) -> _Content:
    frames = _frames_of_images(document.get("images"), path)
    entries = [e for e in document["annotations"] if isinstance(e, dict) and e.get("keypoints")]
    detections = [_flat_joints(entry, path) for entry in entries]
    ids = [whole(entry.get("image_id"), path, "'image_id'") for entry in entries]
    strangers = set(ids) - set(frames)
    if strangers:
        raise InputError(f"{path}: image_id {min(strangers)} is not among its 'images'; write the file again")
    if all(np.isin(joints[:, 2], (0, 1, 2)).all() for joints in detections):
        # Visibility of COCO: 0 not labelled, 1 hidden, 2 visible; a labelled point is certain.
        detections = [np.column_stack([joints[:, :2], joints[:, 2] > 0]) for joints in detections]
    return _Content(detections, [frames[i] for i in ids], list(frames.values()), _category_names(document, path))


def _frames_of_images(images: Any, path: Path) -> dict[int, int]:
    """Frame number of each image id: the last number of its file name, or the id itself."""
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise InputError(f"{path} has no list 'images'; give a COCO annotation file or COCO results")
    frames: dict[int, int] = {}
    for image in images:
        key = whole(image.get("id"), path, "the 'id' of an image")
        number = last_number(str(image.get("file_name", "")))
        frames[key] = key if number is None else number
    if len(set(frames.values())) < len(images):
        raise InputError(f"{path} has several images with one frame number; give one file per camera")
    return frames


def _category_names(document: dict[str, Any], path: Path) -> list[str] | None:
    categories = document.get("categories")
    first = categories[0] if isinstance(categories, list) and categories else None
    names = first.get("keypoints") if isinstance(first, dict) else None
    return _names(names, path) if names else None


def _meta_names(meta: Any, path: Path) -> list[str] | None:
    """`keypoint_id2name` of MMPose's meta_info: {"0": "nose", ...}."""
    by_id = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(by_id, dict):
        return None
    return _names([by_id.get(str(i)) for i in range(len(by_id))], path)


def _names(names: Any, path: Path) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: the names of its keypoints are not a list of texts; write the file again")
    return names


def _mmpose(entries: list[Any], names: list[str] | None, path: Path) -> _Content:
    detections: list[np.ndarray] = []
    of_frame: list[int] = []
    frames: list[int] = []
    for position, entry in enumerate(entries):
        instances = entry.get("instances") if isinstance(entry, dict) else None
        if not isinstance(instances, list):
            raise InputError(f"{path}: entry {position} has no list 'instances'; write the file again")
        frames.append(whole(entry.get("frame_id", position), path, "'frame_id'"))
        detections += [_instance(instance, path) for instance in instances]
        of_frame += frames[-1:] * len(instances)
    if len(set(frames)) < len(frames):
        raise InputError(f"{path} holds a frame twice; give one view per file")
    return _Content(detections, of_frame, frames, names)


def _instance(instance: Any, path: Path) -> np.ndarray:
    if not isinstance(instance, dict):
        raise InputError(f"{path} has an instance that is not an object; write the file again")
    points = numbers(instance.get("keypoints"), path, "'keypoints'")
    if points.ndim != 2 or points.shape[1] < 2 or not len(points):
        raise InputError(f"{path}: 'keypoints' of an instance should be a list of [x, y]; write it again")
    scores = numbers(instance.get("keypoint_scores", [1.0] * len(points)), path, "'keypoint_scores'")
    if scores.shape != (len(points),):
        raise InputError(f"{path}: 'keypoint_scores' should be one number per keypoint; write it again")
    return np.column_stack([points[:, :2], scores])
