"""A whole recording of one view in one JSON file; the kinds are told apart by their keys:

- COCO results, AlphaPose: a list of `{image_id, category_id, keypoints, score}`; keypoints = x, y, score, ...
- COCO annotations: `{images, annotations, categories}`; the third number may be a visibility 0, 1 or 2;
- MMPose's demo: `{meta_info, instance_info: [{frame_id, instances: [{keypoints, keypoint_scores}]}]}`;
- MMPose's inferencer: that list of instance_info on its own;
- AlphaPose with `--format cmu` or `open`: `{"0.jpg": {bodies: [...]}, "1.jpg": ...}`, each as in a file of one picture;
- a single picture as in `pictures.py`.

MMPose's demo counts frames from 1: where its frames do not begin at 0, its frame_id 1 is frame 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trivox.errors import InputError
from trivox.files.frame_numbers import frame_numbers
from trivox.files.keypoints.detections import Detections, numbers_of_images, person_joints
from trivox.files.keypoints.pictures import Picture, is_blank, meta_names, names_of, picture_of
from trivox.files.text import read_json, whole

# A name of a picture.
_PICTURE = re.compile(r"\.(jpe?g|png|bmp|tiff?|webp)$", re.IGNORECASE)


def read_coco(path: Path) -> Detections:
    """Read one of the kinds. Raises `InputError` for anything else."""
    document = read_json(path)
    if is_blank(document):
        return Detections([], [], [])
    if isinstance(document, dict):
        info = document.get("instance_info")
        if isinstance(info, list) and all(is_blank(entry) or _has(entry, "instances") for entry in info):
            return _mmpose(info, meta_names(document, path), path, demo=True)
        if isinstance(document.get("annotations"), list):
            return _annotations(document, path)
    entries = document if isinstance(document, list) else []
    first = next((entry for entry in entries if not is_blank(entry)), None)
    if _has(first, "instances"):
        return _mmpose(entries, None, path, demo=False)
    if _has(first, "image_id"):
        return _results(entries, path)
    single = picture_of(document, path)
    pictures = _pictures_by_name(document, path) if single is None else {"0": single}
    if not pictures:
        raise InputError(f"{path} is not COCO, MMPose or AlphaPose JSON with people; see docs/formats.md for these")
    frames, notes = numbers_of_images(list(pictures), path, "the name")
    people = [person for picture in pictures.values() for person in picture.people]
    of_frame = [f for f, picture in zip(frames, pictures.values(), strict=True) for _ in picture.people]
    return Detections(people, of_frame, frames, None if single is None else single.names, notes)


def _has(entry: Any, key: str) -> bool:
    return isinstance(entry, dict) and key in entry


def _pictures_by_name(document: Any, path: Path) -> dict[str, Picture]:
    """AlphaPose's pictures by their names; none where anything else is among them."""
    if not isinstance(document, dict) or not all(isinstance(e, dict) or is_blank(e) for e in document.values()):
        return {}
    pictures = {name: Picture([]) if is_blank(e) else picture_of(e, path) for name, e in document.items()}
    found = {name: picture for name, picture in pictures.items() if picture is not None}
    told = any(not is_blank(entry) for entry in document.values()) or all(map(_PICTURE.search, document))
    return found if told and len(found) == len(document) else {}


def _results(entries: list[Any], path: Path) -> Detections:
    entries = [entry for entry in entries if not is_blank(entry)]
    if not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path} has an entry that is no JSON object; write the file again")
    found = [(entry.get("image_id"), person_joints(entry, path)) for entry in entries]
    frames, notes = numbers_of_images([image for image, _ in found], path, "'image_id'")
    seen = [(joints, frame) for frame, (_, joints) in zip(frames, found, strict=True) if joints is not None]
    return Detections([joints for joints, _ in seen], [frame for _, frame in seen], frames, notes=notes)


def _annotations(document: dict[str, Any], path: Path) -> Detections:
    frames, notes = _frames_of_images(document.get("images"), path)
    entries = [entry for entry in document["annotations"] if isinstance(entry, dict)]
    found = [(whole(e.get("image_id"), path, "'image_id'"), person_joints(e, path)) for e in entries]
    strangers = {image for image, _ in found} - set(frames)
    if strangers:
        raise InputError(f"{path}: image_id {min(strangers)} is not among its 'images'; write the file again")
    people = [joints for _, joints in found if joints is not None]
    if all(np.isin(joints[:, 2], (0, 1, 2)).all() for joints in people):
        # Visibility of COCO: 0 not labelled, 1 hidden, 2 visible; a labelled point is certain.
        people = [np.column_stack([joints[:, :2], joints[:, 2] > 0]) for joints in people]
    of_frame = [frames[image] for image, joints in found if joints is not None]
    return Detections(people, of_frame, list(frames.values()), _category_names(document, path), notes)


def _frames_of_images(images: Any, path: Path) -> tuple[dict[int, int], tuple[str, ...]]:
    """Frame number of each image id, that of its file name, or the id itself where the names have none; and notes."""
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise InputError(f"{path} has no list 'images'; give a COCO annotation file or COCO results")
    ids = [whole(image.get("id"), path, "the 'id' of an image") for image in images]
    told = frame_numbers([str(image.get("file_name", "")) for image in images])
    frames = {key: key if number is None else number for key, number in zip(ids, told.numbers, strict=True)}
    if len(set(frames.values())) < len(images):
        raise InputError(f"{path} has several images with one frame number; give one file per camera")
    return frames, (f"{path}: {told.doubt}",) if told.doubt else ()


def _category_names(document: dict[str, Any], path: Path) -> list[str] | None:
    categories = document.get("categories")
    first = categories[0] if isinstance(categories, list) and categories else None
    names = first.get("keypoints") if isinstance(first, dict) else None
    return names_of(names, path) if names else None


def _mmpose(entries: Sequence[Any], names: list[str] | None, path: Path, *, demo: bool) -> Detections:
    people: list[np.ndarray] = []
    of_frame: list[int] = []
    frames: list[int] = []
    for position, entry in enumerate(entries):
        if is_blank(entry):
            continue
        instances = entry.get("instances", 0) if isinstance(entry, dict) else 0
        instances = [] if is_blank(instances) else instances
        if not isinstance(instances, list):
            raise InputError(f"{path}: entry {position} has no list 'instances'; write the file again")
        frames.append(whole(entry.get("frame_id", position), path, "'frame_id'"))
        found = [joints for joints in (person_joints(person, path) for person in instances) if joints is not None]
        people += found
        of_frame += frames[-1:] * len(found)
    if len(set(frames)) < len(frames):
        raise InputError(f"{path} holds a frame twice; give one view per file")
    # The demo begins at 1 with every recording, the inferencer at 0: a list that begins at 1 is the demo's.
    first = min(frames, default=0)
    if not (first > 0 if demo else first == 1):
        return Detections(people, of_frame, frames, names)
    note = "MMPose's demo counts frames from 1: its frame_id 1 is frame 0 here"
    return Detections(people, [f - 1 for f in of_frame], [f - 1 for f in frames], names, (note,))
