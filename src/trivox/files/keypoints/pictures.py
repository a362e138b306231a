"""A folder with a JSON for every picture of one view, as many programs write them:

- OpenPose, AlphaPose `--format open`, Pose2Sim: `{people: [{pose_keypoints_2d: [x, y, score, ...]}]}`;
- AlphaPose `--format cmu`: `{bodies: [{joints: [x, y, score, ...]}]}`;
- MMPose's inferencer: a list of `{keypoints: [[x, y], ...], keypoint_scores: [...]}`, its demo the same list as
  `instance_info` beside `meta_info`;
- EasyMocap: `{filename, annots: [{keypoints: [[x, y, score], ...]}]}`, or that list on its own.

The frame number is the one that varies in the file names. (0, 0, 0) is a missing joint; people come in no order, and a
frame may have none. Other files lie in such folders as well: what macOS adds (`._name`), settings beside the frames,
and the file that a program had only begun when it was ended. These are skipped with a note; a file that is named like
the frames and holds something else is refused. One that holds `null`, `{}` or `[]` is a picture of nobody if it is
named like the frames, or if there are no others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trivox.base.reading import open_regular
from trivox.errors import InputError
from trivox.files.frame_numbers import frame_numbers
from trivox.files.keypoints.detections import Detections, person_joints
from trivox.files.text import read_json


@dataclass(frozen=True)
class Picture:
    """The people of one picture, each `(J, 3)`, and the names of their joints where the file has them."""

    people: list[np.ndarray]
    names: list[str] | None = None


# What tells a plain list of people from any other list.
_IN_LISTS = {"keypoints", "keypoints2d", "bbox"}


def picture_of(document: Any, path: Path) -> Picture | None:
    """The people in a parsed file of one picture; None where it is nothing of that kind."""
    names = None
    if isinstance(document, dict):
        key = next(
            (key for key in ("people", "bodies", "annots", "instance_info", "instances") if key in document), None
        )
        if key is None:
            return None
        names, listed = meta_names(document, path), document[key]
    else:
        listed = document
    if listed is not document and is_blank(listed):
        return Picture([], names)
    if not isinstance(listed, list):
        return None
    if listed is document and not all(is_blank(entry) or _is_person(entry) for entry in listed):
        return None
    found = (person_joints(person, path) for person in listed)
    return Picture([joints for joints in found if joints is not None], names)


def is_blank(document: Any) -> bool:
    """Whether it is what programs write where there is nobody: null, {} or []."""
    return document is None or document == {} or document == []


def _is_person(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(_IN_LISTS & set(entry))


def meta_names(document: dict[str, Any], path: Path) -> list[str] | None:
    """`keypoint_id2name` of MMPose's meta_info: {"0": "nose", ...}."""
    meta = document.get("meta_info")
    by_id = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(by_id, dict):
        return None
    return names_of([by_id.get(str(i)) for i in range(len(by_id))], path)


def names_of(names: Any, path: Path) -> list[str]:
    """`names`, the names of a file's joints. Raises `InputError` where they are no list of texts."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: the names of its keypoints are not a list of texts; write the file again")
    return names


def read_pictures(folder: Path) -> Detections:
    """Read a folder of JSON files, one for each picture. Raises `InputError` for anything else."""
    pictures, skipped = _pictures(folder)
    told = frame_numbers([path.name for path in pictures])
    frames: dict[int, Path] = {}
    for path, frame in zip(pictures, told.numbers, strict=True):
        if frame is None:
            raise InputError(f"{path} has no frame number in its name; name it like video_000000000012_keypoints.json")
        if frame in frames:
            raise InputError(f"{frames[frame]} and {path} are both frame {frame}; keep one view per folder")
        frames[frame] = path
    people = [person for path in frames.values() for person in pictures[path].people]
    of_frame = [frame for frame, path in frames.items() for _ in pictures[path].people]
    all_names = {tuple(picture.names) for picture in pictures.values() if picture.names}
    if len(all_names) > 1:
        raise InputError(f"{folder} has pictures whose joints have different names; keep one view per folder")
    return Detections(people, of_frame, list(frames), next(iter(all_names), None), _notes(folder, skipped, told.doubt))


def _pictures(folder: Path) -> tuple[dict[Path, Picture], dict[str, list[str]]]:
    """The files of pictures, and the names of the skipped ones by the reason."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json")
    skipped: dict[str, list[str]] = {"are hidden": [p.name for p in files if p.name.startswith(".")]}
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise InputError(f"{folder} has no .json files; give a folder with one JSON per picture")
    unfinished = _unfinished(files)
    documents = {path: read_json(path) for path in files if path not in unfinished}
    pictures = {path: picture_of(document, path) for path, document in documents.items() if not is_blank(document)}
    found = {path: picture for path, picture in pictures.items() if picture is not None}
    shapes = {_shape(path) for path in found or files}
    found |= {path: Picture([]) for path in documents if path not in pictures and _shape(path) in shapes}
    foreign = [path for path in documents if path not in found]
    for path in foreign:
        if _shape(path) in shapes:
            raise InputError(
                f"{path} has no list 'people' of OpenPose, 'bodies' of AlphaPose, 'annots' of EasyMocap or of MMPose's "
                "instances; give a folder of such files only"
            )
    skipped["are empty or cut off"] = [path.name for path in unfinished]
    skipped["hold no people and are named otherwise"] = [path.name for path in foreign]
    return found, skipped


def _unfinished(files: Sequence[Path]) -> list[Path]:
    """Files without content, and the last of a series where it is cut off."""
    empty = [path for path in files if path.is_file() and _is_empty(path)]
    if len(empty) == len(files):
        raise InputError(f"{files[0]} is empty, as is every .json file in its folder; run the detector again")
    return [*empty, *(path for path in _last_of_series(files) if path not in empty and not _is_json(path))]


def _is_empty(path: Path) -> bool:
    """Whether it begins with nothing but the zeros or spaces of a file that was never written."""
    with open_regular(path) as file:
        return not file.read(2**16).strip(b"\0 \t\r\n")


def _last_of_series(files: Sequence[Path]) -> list[Path]:
    series: dict[str, list[Path]] = {}
    for path in files:
        series.setdefault(_shape(path), []).append(path)
    numbers = [frame_numbers([path.name for path in paths]).numbers for paths in series.values()]
    return [
        max(zip(own, paths, strict=True), key=lambda pair: pair[0] or 0)[1]
        for own, paths in zip(numbers, series.values(), strict=True)
        if len(paths) > 1
    ]


def _is_json(path: Path) -> bool:
    try:
        read_json(path)
    except InputError:
        return False
    return True


def _shape(path: Path) -> str:
    """The name without its numbers: what the files of one series have in common."""
    return re.sub(r"[0-9]+", "#", path.stem)


def _notes(folder: Path, skipped: dict[str, list[str]], doubt: str | None) -> tuple[str, ...]:
    def listed(names: Sequence[str]) -> str:
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    left_out = (f"{folder}: skipped {listed(names)}, which {why}" for why, names in skipped.items() if names)
    return (*left_out, *([f"{folder}: {doubt}"] if doubt else []))
