"""Which rows belong to a part of a dataset: the protocol's own parts, or a file that splits frames.

A split file is YAML. Every part lists recordings, whole or with half-open ranges of frames:

    train:
      - 171026_pose1: [[96, 102], [108, 115]]
      - 171204_pose2
    val:
      - 171204_pose5: [[201, 207]]

`val` is another name of `test`. A frame stands in one part only: ranges that overlap are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from trivox.data.labels import Labels
from trivox.errors import InputError
from trivox.files.text import read_text

Part = Literal["train", "test"]
_PARTS: dict[str, Part] = {"train": "train", "test": "test", "val": "test"}
_ALWAYS = (0, 2**62)
_LARGEST_FILE = 4_000_000


@dataclass(frozen=True)
class FrameRange:
    """Frames `start` to before `stop` of a recording, in a part of the dataset."""

    part: Part
    recording: str
    start: int
    stop: int


def read_split(path: Path) -> tuple[FrameRange, ...]:
    """The ranges of a split file, in its order. Raises `InputError` where it is none, or lets frames leak."""
    if path.is_file() and path.stat().st_size > _LARGEST_FILE:
        raise InputError(f"{path} is far larger than any split of frames; give another file")
    text = read_text(path)
    try:
        # Aliases let a small file describe an endless one; splits need none.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise _malformed(path, "it uses aliases (*name)")
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path} is not valid YAML ({str(error)[:200]}); correct it") from error
    if not isinstance(content, dict) or not content or not set(content) <= set(_PARTS):
        raise _malformed(path, "its top level should be train, and test or val")
    found = [
        FrameRange(_PARTS[part], recording, *frames)
        for part, entries in content.items()
        for recording, ranges in _entries(path, entries)
        for frames in ranges
    ]
    _refuse_leaks(path, found)
    return tuple(found)


def rows_of_parts(
    labels: Labels,
    parts: Sequence[Part],
    *,
    split: Sequence[FrameRange] | None = None,
    with_damaged_actions: bool = False,
    retain_every_n_frames_in_test: int = 1,
) -> np.ndarray:
    """Rows of the training part, then of the test part, each in the order of the table.

    Damaged recordings are left out of the test unless asked for; of what remains of the test every n-th row is taken,
    beginning with the first. Raises `InputError` where a part has no row.
    """
    chosen = []
    for part in ("train", "test"):
        if part not in parts:
            continue
        belongs = _in_part(labels, part) if split is None else _in_ranges(labels, [r for r in split if r.part == part])
        if part == "test" and not with_damaged_actions:
            belongs &= ~np.array([recording.damaged for recording in labels.recordings], bool)[labels.recording]
        rows = np.flatnonzero(belongs)
        if not len(rows):
            raise _empty(labels, part, split)
        chosen.append(rows[::retain_every_n_frames_in_test] if part == "test" else rows)
    return np.concatenate(chosen)


def _in_part(labels: Labels, part: Part) -> np.ndarray:
    return np.array([recording.part == part for recording in labels.recordings], bool)[labels.recording]


def _in_ranges(labels: Labels, ranges: Sequence[FrameRange]) -> np.ndarray:
    """Recording and frame of each row are tested together."""
    numbers = {recording.name: i for i, recording in enumerate(labels.recordings)}
    inside = np.zeros(len(labels), bool)
    for r in ranges:
        is_of = labels.recording == numbers.get(r.recording, -1)
        inside |= is_of & (labels.frames >= r.start) & (labels.frames < r.stop)
    return inside


def _empty(labels: Labels, part: Part, split: Sequence[FrameRange] | None) -> InputError:
    have = ", ".join(recording.name for recording in labels.recordings[:10]) or "none"
    if split is None:
        return InputError(
            f"no recording of {labels.name} belongs to the {part}ing part of its protocol (there are {have}); "
            "give a file that splits frames"
        )
    return InputError(f"no frame of {labels.name} is in the {part}ing part of the split (there are {have}); correct it")


def _entries(path: Path, entries: Any) -> list[tuple[str, list[tuple[int, int]]]]:
    """Recordings of one part with their ranges."""
    if isinstance(entries, dict):
        entries = [{name: ranges} for name, ranges in entries.items()]
    if not isinstance(entries, list):
        raise _malformed(path, "a part should be a list of recordings")
    found = []
    for entry in entries:
        pairs = [(entry, None)] if not isinstance(entry, dict) else list(entry.items())
        for name, ranges in pairs:
            found.append((str(name), [_ALWAYS] if ranges is None else [_range(path, r) for r in _listed(path, ranges)]))
    return found


def _listed(path: Path, ranges: Any) -> list[Any]:
    if not isinstance(ranges, list):
        raise _malformed(path, f"{str(ranges)[:40]!r} is no list of ranges")
    return ranges


def _range(path: Path, frames: Any) -> tuple[int, int]:
    whole = isinstance(frames, list) and len(frames) == 2 and all(type(f) is int for f in frames)
    if not whole or not 0 <= frames[0] < frames[1] < 2**62:
        raise _malformed(path, f"{str(frames)[:40]} is no range [first, past the last]")
    return frames[0], frames[1]


def _refuse_leaks(path: Path, ranges: list[FrameRange]) -> None:
    reached: dict[tuple[str, Part], int] = {}
    for r in sorted(ranges, key=lambda r: r.start):
        other: Part = "test" if r.part == "train" else "train"
        if r.start < reached.get((r.recording, other), 0):
            raise InputError(
                f"{path} puts frames of {r.recording} from {r.start} on into both training and test; "
                "keep the ranges apart"
            )
        reached[r.recording, r.part] = max(r.stop, reached.get((r.recording, r.part), 0))


def _malformed(path: Path, said: str) -> InputError:
    return InputError(
        f"{path} is no split of frames: {said}; write 'train: [RECORDING: [[first, past the last], ...]]'"
    )
