"""Scenes as `Labels`: anyone's own data, without code. The layout: `scene_folders.py`, docs/own-data.md.

    labels = read_scenes(Path("my-dataset"))

Rows are the people of the truth at the frames that have a picture in some camera; a camera without a picture there is a
missing view. Without truth they are the people of boxes.json, else one person, 0, at every frame. Boxes are those of
boxes.json, else lie around the projected truth (a tenth of the longer side wider on each side; `data/boxes.py`), else
are whole pictures, which `people/detected_boxes.py` narrows to a person.

Cameras and boxes are those of upright pictures: where a calibration says that a camera is mounted sideways, reading
turns its pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from trivox.data.boxes import boxes_around_joints
from trivox.data.labels import Labels, cameras_of_rigs
from trivox.data.picture_files import PictureFiles
from trivox.data.pictures import FrameRange, Recording
from trivox.data.scene_folders import SceneFolder, Stated, open_scene, read_stated, scene_paths
from trivox.data.scene_truth import SceneBoxes, SceneTruth, read_boxes, read_truth
from trivox.data.splits import read_split
from trivox.errors import InputError
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17, Skeleton


def read_scenes(root: Path) -> Labels:
    """The labels of all scenes below `root`, or of `root` where it is a scene. Raises `InputError`."""
    stated = read_stated(root)
    scenes = [open_scene(path, root, stated) for path in scene_paths(root)]
    for scene in scenes:
        if scene.problems:
            raise InputError(scene.problems[0])
    known = [(scene, read_known(scene, stated)) for scene in scenes]
    return labels_of_scenes(root, known, split_of(root, scenes))


@dataclass(frozen=True)
class Known:
    """What is known of a scene's people."""

    truth: SceneTruth | None
    boxes: SceneBoxes | None


def read_known(scene: SceneFolder, stated: Stated) -> Known:
    """Truth and boxes of a scene. Raises `InputError` where a file cannot be read."""
    return Known(read_truth(scene, stated), read_boxes(scene))


def split_of(root: Path, scenes: Sequence[SceneFolder]) -> tuple[FrameRange, ...] | None:
    """`splits.yaml`, or None where there is none. Raises `InputError` where it names scenes that are not there."""
    path = root / "splits.yaml"
    if not path.exists():
        return None
    split, names = read_split(path), {scene.name for scene in scenes}
    for part in split:
        if part.recording not in names:
            raise InputError(f"{path} names a scene {part.recording!r} that {root} lacks; correct it")
    return split


def labels_of_scenes(
    root: Path, scenes: Sequence[tuple[SceneFolder, Known]], split: tuple[FrameRange, ...] | None
) -> Labels:
    """One table of these scenes below `root`. Raises `InputError` where they cannot be one dataset."""
    skeleton, up = _skeleton(scenes), _up(scenes)
    camera_names = tuple(sorted({name for scene, _ in scenes for name in scene.rig.names}))
    rigs = [replace(scene.rig, cameras=scene.rig.upright_cameras) for scene, _ in scenes]
    placed = cameras_of_rigs(rigs, camera_names)
    rows = [_rows(scene, known, rig, camera_names, skeleton) for (scene, known), rig in zip(scenes, rigs, strict=True)]
    sources = {(scene.name, camera): source for scene, _ in scenes for camera, source in scene.sources.items()}
    part = "test" if split is None else ""
    return Labels(
        name="scenes",
        skeleton=skeleton,
        recordings=tuple(Recording(scene.name, action=scene.name, part=part) for scene, _ in scenes),
        camera_names=camera_names,
        cameras=placed,
        has_camera=np.array([[name in scene.sources for name in camera_names] for scene, _ in scenes]),
        recording=np.repeat(np.arange(len(rows)), [len(part.frames) for part in rows]).astype(np.int64),
        frames=np.concatenate([part.frames for part in rows]),
        people=np.concatenate([part.people for part in rows]),
        points_mm=np.concatenate([part.points_mm for part in rows]).astype(np.float32),
        valid=np.concatenate([part.valid for part in rows]),
        confidence=np.concatenate([part.confidence for part in rows]).astype(np.float32),
        boxes_px=np.concatenate([part.boxes_px for part in rows]),
        pictures=PictureFiles(root, sources=sources),
        up=up,
        split=split,
    )


def _skeleton(scenes: Sequence[tuple[SceneFolder, Known]]) -> Skeleton:
    truths = [known.truth for _, known in scenes if known.truth is not None]
    for truth in truths:
        if truth.skeleton != truths[0].skeleton:
            raise InputError(
                f"{truth.path} holds the joints of {truth.skeleton.name}, {truths[0].path} those of "
                f"{truths[0].skeleton.name}; convert them to one skeleton, or make two datasets"
            )
    return truths[0].skeleton if truths else COCO_17


def _up(scenes: Sequence[tuple[SceneFolder, Known]]) -> torch.Tensor | None:
    """Which way is up: as the calibrations say, else the truths."""
    of_rigs = {tuple(s.rig.up.tolist()): s.calibration for s, _ in scenes if s.rig.up is not None}
    of_truths = {k.truth.up: k.truth.path for _, k in scenes if k.truth is not None and k.truth.up is not None}
    found = of_rigs or of_truths
    if len(found) > 1:
        (first, path), (second, other) = list(found.items())[:2]
        raise InputError(
            f"up is {first} in {path} and {second} in {other}; scenes of one dataset have one up axis, so turn some"
        )
    return torch.tensor(next(iter(found)), dtype=torch.float64) if found else None


@dataclass(frozen=True)
class _Rows:
    frames: Int64[np.ndarray, "N"]
    people: Int64[np.ndarray, "N"]
    points_mm: Float[np.ndarray, "N J 3"]
    valid: Bool[np.ndarray, "N J"]
    confidence: Float[np.ndarray, "N J"]
    boxes_px: Int64[np.ndarray, "N C 4"]


def _rows(scene: SceneFolder, known: Known, rig: Rig, camera_names: tuple[str, ...], skeleton: Skeleton) -> _Rows:
    """Rows of a scene; `rig` has the cameras of its upright pictures."""
    pictured = frames_with_pictures(scene)
    frames, people, points_mm, valid, confidence = _people(known, pictured, len(skeleton))
    boxes = np.zeros((len(frames), len(camera_names), 4), np.int64)
    for camera, source in scene.sources.items():
        lens = rig.cameras[rig.names.index(camera)]
        if known.boxes is not None:
            found = upright_boxes(_given(known.boxes, camera, frames, people), source.quarter_turns, source.image_hw)
        elif known.truth is not None:
            found = boxes_around_joints(lens, points_mm, valid)
        else:
            assert lens.image_hw is not None
            found = np.tile([0, 0, *lens.image_hw.flip(-1).tolist()], (len(frames), 1))
        boxes[:, camera_names.index(camera)] = np.where(np.isin(frames, source.frames)[:, None], found, 0)
    return _Rows(frames, people, points_mm, valid, confidence, boxes)


def frames_with_pictures(scene: SceneFolder) -> Int64[np.ndarray, "F"]:
    """Frames that at least one camera has a picture of, rising."""
    return np.unique(np.concatenate([source.frames for source in scene.sources.values()]))


def _people(known: Known, pictured: np.ndarray, joints: int) -> tuple[np.ndarray, ...]:
    """Frames, people, points, valid and confidence of the rows."""
    if (truth := known.truth) is not None:
        keep = np.isin(truth.frames, pictured)
        return tuple(a[keep] for a in (truth.frames, truth.people, truth.points_mm, truth.valid, truth.confidence))
    keys = np.stack([pictured, np.zeros_like(pictured)], 1)
    if known.boxes is not None:
        keys = np.unique(np.concatenate([*known.boxes.keys.values(), np.zeros((0, 2), np.int64)]), axis=0)
        keys = keys[np.isin(keys[:, 0], pictured)]
    shape = (len(keys), joints)
    return keys[:, 0], keys[:, 1], np.zeros((*shape, 3)), np.zeros(shape, bool), np.zeros(shape)


def _given(boxes: SceneBoxes, camera: str, frames: np.ndarray, people: np.ndarray) -> Int64[np.ndarray, "N 4"]:
    """The given box of every row; 0 where there is none, or one without area."""
    result = np.zeros((len(frames), 4), np.int64)
    if camera in boxes.keys:
        place = {(int(f), int(p)): i for i, (f, p) in enumerate(boxes.keys[camera])}
        index = np.array([place.get(key, -1) for key in zip(frames.tolist(), people.tolist(), strict=True)], np.int64)
        result[index >= 0] = boxes.boxes_px[camera][index[index >= 0]]
    return np.where((result[:, 2:] > result[:, :2]).all(1, keepdims=True), result, 0)


def upright_boxes(
    boxes: Int64[np.ndarray, "N 4"], quarter_turns: int, image_hw: tuple[int, int]
) -> Int64[np.ndarray, "N 4"]:
    """Boxes of a stored picture of size `image_hw` in the picture turned clockwise; those of no area stay 0."""
    height, width = image_hw
    turned = boxes
    for _ in range(quarter_turns % 4):
        left, top, right, bottom = turned.T
        turned = np.stack([height - bottom, left, height - top, right], 1)
        height, width = width, height
    return np.where((boxes[:, 2:] > boxes[:, :2]).all(1, keepdims=True), turned, 0)
