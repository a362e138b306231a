"""What is known of the people of a scene: where they truly are (`truth.*`, 3DKeypoints_FRAME.json), and their boxes.

`truth.npz` and `truth.csv` are files of poses (files/poses); the truth of Shelf and Campus (`truth.mat`) and of MVOR
(`truth.json`) is read as well. 3DKeypoints_FRAME.json, one file a frame, is the general JSON:

    [{"id": 0, "joints": [[x, y, z], ...]}, ...]        or [x, y, z, confidence]; or all numbers in one list

It says neither unit nor joints: `dataset.yaml` states the unit, and the joints where their number is not that of
Human3.6M (17, or its first 16) or Panoptic (19) in the order of the published system. A joint is absent where a number
is missing (null, NaN) or its confidence is not above 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from trivox.data.scene_folders import SceneFolder, Stated
from trivox.errors import InputError
from trivox.files.calibrations.records import MM_PER_UNIT
from trivox.files.poses import load_poses
from trivox.files.text import check_places, read_json, whole
from trivox.geometry.skeletons import H36M_17, MPII_16, PANOPTIC_19, Skeleton, skeleton_named

_SUFFIXES = (".npz", ".csv", ".mat", ".json")
_PUBLISHED = {len(skeleton): skeleton for skeleton in (H36M_17, MPII_16, PANOPTIC_19)}
_POSE_FILE = re.compile(r"3DKeypoints_.*\d.*\.json")
_LARGEST_PX = 1_000_000


@dataclass(frozen=True)
class SceneTruth:
    """N poses: `people[i]` at frame `frames[i]`; `up` as the file says, if it does. Frames rise."""

    path: Path
    skeleton: Skeleton
    frames: Int64[np.ndarray, "N"]
    people: Int64[np.ndarray, "N"]
    points_mm: Float[np.ndarray, "N J 3"]
    valid: Bool[np.ndarray, "N J"]
    confidence: Float[np.ndarray, "N J"]
    up: tuple[float, ...] | None = None


def read_truth(scene: SceneFolder, stated: Stated) -> SceneTruth | None:
    """The truth of a scene, or None where it has none. Raises `InputError` where it cannot be read."""
    files = [path for path in sorted(scene.path.glob("truth.*")) if path.suffix in _SUFFIXES]
    pose_files = [
        path
        for pattern in ("3DKeypoints_*.json", "*/3DKeypoints_*.json")
        for path in sorted(scene.path.glob(pattern))
        if _POSE_FILE.fullmatch(path.name)
    ]
    if len(files) + bool(pose_files) > 1:
        both = [*files, *pose_files][:2]
        raise InputError(f"{both[0]} and {both[1].name} both hold truth; keep one of them")
    if files:
        return _of_poses(files[0])
    return _of_pose_files(pose_files, stated) if pose_files else None


def _of_poses(path: Path) -> SceneTruth:
    poses = load_poses(path)
    frame, person = np.nonzero(poses.valid.any(-1).numpy())
    points_mm = torch.where(poses.valid[..., None], poses.points_mm, 0.0).double().numpy()
    return SceneTruth(
        path,
        poses.skeleton,
        poses.frames.numpy()[frame],
        person.astype(np.int64),
        points_mm[frame, person],
        poses.valid.numpy()[frame, person],
        poses.confidence.double().numpy()[frame, person],
        None if poses.up is None else tuple(poses.up.tolist()),
    )


def _of_pose_files(paths: list[Path], stated: Stated) -> SceneTruth:
    folder = paths[0].parent
    if stated.truth_units is None:
        raise InputError(
            f"{paths[0]} does not say the unit of its joints; write 'truth_units: mm' (or cm, m) into dataset.yaml "
            "beside the scenes"
        )
    numbers = [_frame_of(path) for path in paths]
    frames = dict(zip(numbers, paths, strict=True))
    if len(frames) < len(paths):
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise InputError(f"{folder} has more than one 3DKeypoints file of frame {twice}; keep one of them")
    known = None if stated.skeleton is None else skeleton_named(stated.skeleton)
    bodies = [(frame, *body) for frame in sorted(frames) for body in _bodies(frames[frame], known)]
    if not bodies:
        raise InputError(f"{folder} has 3DKeypoints files, but nobody in them; remove them where nobody is known")
    skeleton = bodies[0][2]
    for frame, _, other, _ in bodies:
        if other != skeleton:
            raise InputError(f"{frames[frame]} has {len(other)} joints, files before it {len(skeleton)}; make them one")
    joints = np.array([body[3] for body in bodies])
    valid = np.isfinite(joints).all(-1) & (joints[..., 3] > 0)
    joints = np.where(valid[..., None], joints, 0.0)
    check_places(joints[..., :3], folder, MM_PER_UNIT[stated.truth_units])
    keep = valid.any(-1)
    return SceneTruth(
        folder,
        skeleton,
        np.array([body[0] for body in bodies], dtype=np.int64)[keep],
        np.array([body[1] for body in bodies], dtype=np.int64)[keep],
        joints[keep, :, :3] * MM_PER_UNIT[stated.truth_units],
        valid[keep],
        joints[keep, :, 3],
    )


def _frame_of(path: Path) -> int:
    return whole(re.findall(r"\d+", path.stem)[-1], path, "the frame in its name")


def _bodies(path: Path, known: Skeleton | None) -> list[tuple[int, Skeleton, Float[np.ndarray, "J 4"]]]:
    """(id, skeleton, joints with confidence) of everybody in a file."""
    content = read_json(path)
    people = [content] if isinstance(content, dict) else content
    if not isinstance(people, list) or not all(isinstance(p, dict) and {"id", "joints"} <= p.keys() for p in people):
        raise InputError(f"{path} should be a list of people, each with 'id' and 'joints'; write it again")
    ids = [whole(person["id"], path, "'id'") for person in people]
    if len(set(ids)) < len(ids):
        raise InputError(f"{path} has one id for two people; give everybody their own")
    return [(i, *_joints(person["joints"], path, known)) for i, person in zip(ids, people, strict=True)]


def _joints(value: Any, path: Path, known: Skeleton | None) -> tuple[Skeleton, Float[np.ndarray, "J 4"]]:
    try:
        numbers = np.array(value, dtype=np.float64)  # null becomes NaN
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: 'joints' should be a list of [x, y, z]; write it again") from error
    if numbers.ndim == 1:
        fits = [s for s in ([known] if known else _PUBLISHED.values()) if numbers.size in (3 * len(s), 4 * len(s))]
        numbers = numbers.reshape(len(fits[0]), -1) if fits else numbers
    skeleton = known or _PUBLISHED.get(len(numbers) if numbers.ndim else 0)
    if numbers.ndim != 2 or numbers.shape[1] not in (3, 4) or skeleton is None or len(numbers) != len(skeleton):
        expected = f"the {len(known)} of {known.name}" if known else f"{', '.join(map(str, sorted(_PUBLISHED)))}"
        raise InputError(
            f"{path}: joints of shape {numbers.shape} are not {expected}, each [x, y, z] or [x, y, z, confidence]; "
            "name the right joints with 'skeleton: NAME' in dataset.yaml"
        )
    if numbers.shape[1] == 3:
        numbers = np.concatenate([numbers, np.ones_like(numbers[:, :1])], 1)
    return skeleton, numbers


@dataclass(frozen=True)
class SceneBoxes:
    """Boxes of a scene by camera: `keys` (N, 2) are frame and person, `boxes_px` left, top, right, bottom."""

    path: Path
    keys: dict[str, Int64[np.ndarray, "N 2"]]
    boxes_px: dict[str, Int64[np.ndarray, "N 4"]]


def read_boxes(scene: SceneFolder) -> SceneBoxes | None:
    """`boxes.json` of a scene: {"CAM": [[frame, person, left, top, right, bottom], ...]}, pixels of the stored picture.

    None where there is no such file; raises `InputError` for anything else. Fractions are rounded outwards.
    """
    path = scene.path / "boxes.json"
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise _no_boxes(path, "it is no mapping of cameras")
    keys, boxes = {}, {}
    for camera, rows in content.items():
        if camera not in scene.calibrated:
            raise InputError(f"{path} has boxes of a camera {camera[:80]!r} that {scene.calibration} lacks; rename it")
        keys[camera], boxes[camera] = _box_rows(rows, camera, path)
    return SceneBoxes(path, keys, boxes)


def _box_rows(rows: Any, camera: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        table = np.array(rows, dtype=np.float64).reshape(-1, 6) if rows == [] else np.array(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _no_boxes(path, f"the rows of camera {camera} are not six numbers each") from error
    if table.ndim != 2 or table.shape[1] != 6 or not (np.abs(table[:, 2:]) <= _LARGEST_PX).all():
        raise _no_boxes(path, f"the rows of camera {camera} are not six numbers each, in pixels")
    key = table[:, :2]
    if not ((key >= 0) & (key < 2**53) & (key == np.floor(key))).all():
        raise _no_boxes(path, f"camera {camera} has frames or people that are no whole numbers from 0")
    if len(np.unique(key, axis=0)) < len(key):
        raise _no_boxes(path, f"camera {camera} has two boxes of one person in one frame")
    corners = np.concatenate([np.floor(table[:, 2:4]), np.ceil(table[:, 4:])], 1)
    return key.astype(np.int64), corners.astype(np.int64)


def _no_boxes(path: Path, said: str) -> InputError:
    return InputError(
        f'{path}: {said}; expected {{"CAMERA": [[frame, person, left, top, right, bottom], ...]}}, write it again'
    )
