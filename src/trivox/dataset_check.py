"""What a dataset holds, and what is wrong with it: `trivox dataset check`.

    report = check_dataset("my-dataset", out="check.jpg")
    report.facts, report.findings.faults, report.findings.remarks

Of scenes each folder is looked at by itself, so that one that cannot be read hides nothing of the others. What holds of
every table of labels (truth inside the pictures, sizes of people, boxes, readable pictures) is asked of prepared
datasets and label files as well. Faults look wrong; remarks are what a sound dataset may have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trivox.calibration_report import Findings
from trivox.calibration_report import check as check_rig
from trivox.data.labels import Labels
from trivox.data.pictures import FrameRange
from trivox.data.scene_folders import SceneFolder, Stated, open_scene, read_stated, scene_paths
from trivox.data.scenes import Known, frames_with_pictures, labels_of_scenes, read_known, split_of
from trivox.data.splits import rows_of_parts
from trivox.dataset_drawing import draw_instant, instant_to_draw
from trivox.dataset_faults import faults_of_labels
from trivox.errors import InputError
from trivox.evaluation_inputs import labels_of
from trivox.files.images import write_image
from trivox.files.matching import size_text

# Videos that differ by no more frames were stopped a little apart.
_FRAMES_APART = 2
_RATES_APART = 1.01


@dataclass(frozen=True)
class DatasetReport:
    """`facts` are lines to read; `drawn` says what was drawn, where something was."""

    facts: tuple[str, ...]
    findings: Findings
    drawn: str | None = None


def check_dataset(
    path: Path | str,
    *,
    pictures: Path | str | None = None,
    out: Path | str | None = None,
    recording: str | None = None,
    frame: int | None = None,
) -> DatasetReport:
    """Look at a folder of scenes, a prepared dataset, or a label table (with the folder of its `pictures`).

    `out` is a picture to write: one instant in all its cameras, with truth and boxes drawn. `recording` and `frame`
    choose the instant; unless given it is the one with most people in most views. Raises `InputError` where there is
    nothing that could be looked at.
    """
    path, out = Path(path), None if out is None else Path(out)
    if out is not None and out.exists():
        raise InputError(f"{out} exists and is not overwritten; remove it, or choose another name")
    is_scenes = path.is_dir() and not (path / "labels.json").is_file()
    faults: list[str] = []
    remarks: list[str] = []
    if is_scenes:
        labels = _scenes(path, faults, remarks)
    else:
        labels = labels_of(path, None if pictures is None else Path(pictures))
    drawn = None
    if labels is not None:
        found = faults_of_labels(labels)
        faults += found.faults
        remarks += found.remarks
        if out is not None:
            drawn = _draw(labels, out, recording, frame)
    findings = Findings(tuple(dict.fromkeys(faults)), tuple(dict.fromkeys(remarks)))
    return DatasetReport(() if labels is None else tuple(_facts(labels)), findings, drawn)


def _draw(labels: Labels, out: Path, recording: str | None, frame: int | None) -> str:
    rows = instant_to_draw(labels, recording, frame)
    write_image(out, draw_instant(labels, rows))
    key = labels.key(int(rows[0])).rsplit("/", 1)[0]
    return f"drew {key} with {len(rows)} {'person' if len(rows) == 1 else 'people'} into {out}"


# ---- facts


def _facts(labels: Labels) -> Iterator[str]:
    frames = len(np.unique(np.stack([labels.recording, labels.frames], 1), axis=0))
    at = f"{_count(frames, 'frame')} in {_count(len(labels.recordings), 'recording')}"
    yield f"{labels.name}: {_count(len(labels), 'row')}, one for each person at {at}"
    if labels.valid.any():
        known = labels.valid.any(-1)
        people = len(np.unique(np.stack([labels.recording, labels.people], 1)[known], axis=0))
        joints = labels.valid[known].mean()
        yield f"truth: {_count(people, 'person', 'people')}, {labels.skeleton.name}, {joints:.1%} of the joints valid"
    else:
        yield "truth: none"
    yield "up: " + ("unknown" if labels.up is None else " ".join(f"{value:+z.3f}" for value in labels.up.tolist()))
    parts = {part: _rows_in(labels, part) for part in ("train", "test")}
    yield "parts: " + ", ".join(f"{part} {_count(count, 'row')}" for part, count in parts.items())
    yield from _recording_lines(labels)


def _recording_lines(labels: Labels) -> Iterator[str]:
    """A line for each of the first recordings."""
    shown = 20
    sizes = None if labels.cameras.image_hw is None else labels.cameras.image_hw.numpy()
    for r, recording in list(enumerate(labels.recordings))[:shown]:
        rows = labels.recording == r
        cameras = np.flatnonzero(labels.has_camera[r])
        views = int(labels.present[rows].sum())
        frames = labels.frames[rows]
        span = f"frames {frames.min()} to {frames.max()}" if len(frames) else "no row"
        pictures = (
            "" if sizes is None else " of " + ", ".join(sorted({size_text(sizes[r, c].tolist()) for c in cameras}))
        )
        yield (
            f"  {recording.name}: {_count(int(rows.sum()), 'row')}, {span}, {views} views; "
            f"{_count(len(cameras), 'camera')}{pictures}: {_listed([labels.camera_names[c] for c in cameras])}"
        )
    if len(labels.recordings) > shown:
        yield f"  and {len(labels.recordings) - shown} more"


def _rows_in(labels: Labels, part: str) -> int:
    try:
        return len(rows_of_parts(labels, ["train" if part == "train" else "test"], with_damaged_actions=True))
    except InputError:  # none
        return 0


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


# ---- scenes


def _scenes(root: Path, faults: list[str], remarks: list[str]) -> Labels | None:
    """The labels of all scenes that can be read, and what is to be said of each; None where none can."""
    stated, paths = read_stated(root), scene_paths(root)
    readable: list[tuple[SceneFolder, Known]] = []
    opened: list[SceneFolder] = []
    for path in paths:
        try:
            scene = open_scene(path, root, stated)
            opened.append(scene)
            faults += scene.problems
            _of_scene(scene, faults, remarks)
            readable.append((scene, _known(scene, stated, faults, remarks)))
        except InputError as error:
            faults.append(str(error))
    split = _split(root, opened, len(opened) == len(paths), faults, remarks)
    if not readable:
        return None
    try:
        return labels_of_scenes(root, readable, split)
    except InputError as error:
        faults.append(str(error))
        return None


def _split(
    root: Path, scenes: list[SceneFolder], is_complete: bool, faults: list[str], remarks: list[str]
) -> tuple[FrameRange, ...] | None:
    try:
        split = split_of(root, scenes)
    except InputError as error:
        if is_complete:  # else a scene may be named that could not be opened
            faults.append(str(error))
        return None
    if split is None:
        remarks.append(f"{root} has no splits.yaml: all scenes are for testing")
    elif unsaid := [scene.name for scene in scenes if scene.name not in {r.recording for r in split}]:
        remarks.append(f"{root / 'splits.yaml'} gives no part to {_listed(unsaid)}")
    return split


def _of_scene(scene: SceneFolder, faults: list[str], remarks: list[str]) -> None:
    """Calibration and pictures of one scene."""
    found = check_rig(scene.rig)
    faults += [f"{scene.calibration}: {said}" for said in found.faults]
    if scene.rig.up is None:
        remarks.append(f"{scene.calibration} does not say which way is up; write 'up: z' or the like into dataset.yaml")
    if absent := [name for name in scene.calibrated if name not in scene.sources]:
        remarks.append(f"{scene.calibration} has cameras without pictures in {scene.path}: {_listed(absent)}")
    _of_videos(scene, faults, remarks)
    _of_images(scene, faults, remarks)


def _of_videos(scene: SceneFolder, faults: list[str], remarks: list[str]) -> None:
    videos = [source for source in scene.sources.values() if source.names is None]
    if len(videos) < 2:
        return
    shortest, longest = (side(videos, key=lambda v: len(v.frames)) for side in (min, max))
    apart = len(longest.frames) - len(shortest.frames)
    said = f"{shortest.path} has {len(shortest.frames)} frames, {longest.path} {len(longest.frames)}"
    if apart > _FRAMES_APART:
        faults.append(f"{said}; synchronized videos have the same, so cut them to the same instants")
    elif apart:
        remarks.append(f"{said}: the last ones are missing views")
    rated = [video for video in videos if video.fps]
    slow, fast = (side(rated, key=lambda v: v.fps or 0) if rated else None for side in (min, max))
    if slow and fast and slow.fps and fast.fps and fast.fps > _RATES_APART * slow.fps:
        faults.append(
            f"{slow.path} has {slow.fps:.5g} frames/s, {fast.path} {fast.fps:.5g}; synchronized views need one rate"
        )


def _of_images(scene: SceneFolder, faults: list[str], remarks: list[str]) -> None:
    folders = [source for source in scene.sources.values() if source.names is not None]
    pictured = frames_with_pictures(scene)
    if len(folders) > 1 and not set.intersection(*(set(f.frames.tolist()) for f in folders)):
        spans = ", ".join(f"{f.path.name} {f.frames[0]} to {f.frames[-1]}" for f in folders[:8])
        faults.append(
            f"the images of {scene.path} share no frame number ({spans}); give the pictures of one instant one number"
        )
        return
    for folder in folders:
        if lacking := sorted(set(pictured.tolist()) - set(folder.frames.tolist())):
            remarks.append(
                f"{folder.path} lacks {_count(len(lacking), 'frame')} that other cameras have "
                f"({_listed([str(f) for f in lacking])})"
            )


def _known(scene: SceneFolder, stated: Stated, faults: list[str], remarks: list[str]) -> Known:
    """Truth and boxes of a scene, and what is to be said of their frames. A file that cannot be read is a fault."""
    known = read_known(scene, stated)
    pictured = frames_with_pictures(scene)
    if known.truth is None:
        remarks.append(f"{scene.path} has no truth (truth.npz, truth.csv or 3DKeypoints_FRAME.json)")
    else:
        without = int((~np.isin(np.unique(known.truth.frames), pictured)).sum())
        if without and without == len(np.unique(known.truth.frames)):
            faults.append(
                f"{known.truth.path}: no frame of the truth has a picture (it has {known.truth.frames.min()} to "
                f"{known.truth.frames.max()}, the pictures {pictured[0]} to {pictured[-1]}); number both alike"
            )
        elif without:
            remarks.append(f"{known.truth.path}: {_count(without, 'frame')} of the truth without a picture left out")
    if known.boxes is not None:
        _of_boxes(scene, known, faults, remarks)
    return known


def _of_boxes(scene: SceneFolder, known: Known, faults: list[str], remarks: list[str]) -> None:
    assert known.boxes is not None
    for camera, boxes in known.boxes.boxes_px.items():
        flat = (boxes[:, 2:] <= boxes[:, :2]).any(1)
        if flat.any():
            frame, person = known.boxes.keys[camera][flat][0].tolist()
            faults.append(
                f"{known.boxes.path}: {_count(int(flat.sum()), 'box', 'boxes')} of camera {camera} without area, first "
                f"of person {person} in frame {frame}; leave out who is not seen"
            )
        if camera not in scene.sources:
            remarks.append(f"{known.boxes.path} has boxes of camera {camera}, which has no pictures")
    if known.truth is not None:
        truly = set(zip(known.truth.frames.tolist(), known.truth.people.tolist(), strict=True))
        boxed = {tuple(key) for keys in known.boxes.keys.values() for key in keys.tolist()}
        if strangers := len(boxed - truly):
            remarks.append(
                f"{known.boxes.path}: boxes of {_count(strangers, 'person', 'people')} at instants without truth of "
                "them are left out"
            )
