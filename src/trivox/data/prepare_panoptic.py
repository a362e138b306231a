"""CMU Panoptic as downloaded -> labels. The official tree, sequence by sequence:

    SEQUENCE/calibration_SEQUENCE.json
    SEQUENCE/hdPose3d_stage1_coco19/body3DScene_00000123.json     or vgaPose3d_stage1_coco19
    SEQUENCE/hdImgs/00_03/00_03_00000123.jpg                      or vgaImgs
    SEQUENCE/hdVideos/hd_00_03.mp4                                or vgaVideos/vga_01_05.mp4

Frame 0 of a video is frame 0 of the poses. HD and VGA cameras run at different rates and have poses of their own, so a
table holds one kind. Rows: sequences by name, frames rising, of those that have a pose file and a picture in every
camera of the sequence; one row per body, in the order of the file, with its id. A frame without a body has no row. A
camera without pictures in a sequence is absent there, and there only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64

from trivox.data.box_tables import BoxTable, box_at
from trivox.data.boxes import boxes_around_joints
from trivox.data.labels import Labels, cameras_of_rigs
from trivox.data.panoptic import MM_PER_CM, UP, Kind, recording_of
from trivox.data.pictures import Pictures
from trivox.errors import InputError
from trivox.files.calibrations import load_rig
from trivox.files.images import IMAGE_SUFFIXES
from trivox.files.text import check_places, last_number, numbers, read_json, whole
from trivox.files.videos import Video
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import PANOPTIC_19

_POSE_FILE = re.compile(r"body3DScene_(\d{1,12})\.json")


@dataclass(frozen=True)
class RawSequence:
    """One sequence on disk. `sources` are the cameras with pictures: a folder of images or a video each.

    `frames` have a pose file and a picture in every camera.
    """

    name: str
    folder: Path
    rig: Rig
    sources: dict[str, Path]
    frames: Int64[np.ndarray, "F"]
    pose_files: dict[int, Path]

    @property
    def has_videos(self) -> bool:
        return any(source.is_file() for source in self.sources.values())


def find_sequences(
    raw: Path,
    kind: Kind = "hd",
    sequences: Sequence[str] = (),
    cameras: Sequence[str] = (),
    ignore_cameras: Sequence[str] = (),
) -> list[RawSequence]:
    """All sequences below `raw`, or those named. Raises `InputError` that lists by name what is missing."""
    if not raw.is_dir():
        raise InputError(f"there is no folder {raw}; check the path")
    found = {path.parent.name: path.parent for path in sorted(raw.glob("*/calibration_*.json"))}
    missing = [name for name in sequences if name not in found]
    if missing or not found:
        what = ", ".join(f"{name}/calibration_{name}.json" for name in missing) or "SEQUENCE/calibration_SEQUENCE.json"
        raise InputError(f"{raw} lacks {what}; download the sequences, or name those that are there with --sequences")
    names = [name for name in sorted(found) if not sequences or name in sequences]
    rigs = {name: load_rig(found[name] / f"calibration_{name}.json", format="panoptic") for name in names}
    for camera in (*cameras, *ignore_cameras):
        if not any(camera in rig.names for rig in rigs.values()):
            raise InputError(f"{raw} has no camera {camera!r} in any calibration; cameras have names such as 00_03")
    return [_sequence(found[name], rigs[name], kind, cameras, ignore_cameras) for name in names]


def _sequence(folder: Path, rig: Rig, kind: Kind, cameras: Sequence[str], ignored: Sequence[str]) -> RawSequence:
    name = folder.name
    poses = folder / f"{kind}Pose3d_stage1_coco19"
    pose_files = {int(m[1]): path for path in sorted(poses.glob("*.json")) if (m := _POSE_FILE.fullmatch(path.name))}
    if not pose_files:
        raise InputError(f"{poses} holds no body3DScene_FRAME.json; unpack the poses of {name}")
    sources = {
        camera: source
        for camera, source in _sources(folder, kind).items()
        if camera in rig.names and camera not in ignored and (not cameras or camera in cameras)
    }
    if not sources:
        raise InputError(
            f"{folder} has no pictures of the cameras asked for ({kind}Imgs/CAMERA or {kind}Videos/{kind}_CAMERA.mp4); "
            "download its videos, or choose other cameras"
        )
    frames = set(pose_files)
    for source in sources.values():
        frames &= _frames_of(source)
    return RawSequence(name, folder, rig, sources, np.array(sorted(frames), dtype=np.int64), pose_files)


def _sources(folder: Path, kind: Kind) -> dict[str, Path]:
    """Cameras with a folder of images, else with a video; sorted by name."""
    videos = {path.stem.removeprefix(f"{kind}_"): path for path in (folder / f"{kind}Videos").glob(f"{kind}_*.mp4")}
    images = {path.name: path for path in (folder / f"{kind}Imgs").glob("*") if path.is_dir() and any(path.iterdir())}
    return dict(sorted((videos | images).items()))


def _frames_of(source: Path) -> set[int]:
    if source.is_file():
        return set(range(Video(source).info.frame_count))
    files = [path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    return {number for path in files if (number := last_number(path.name)) is not None}


Boxes = Callable[[RawSequence, str, np.ndarray, Cameras, np.ndarray, np.ndarray], np.ndarray]
"""(sequence, camera name, frames (N), camera, points_mm (N, J, 3), valid (N, J)) -> boxes (N, 4)"""


def panoptic_labels(sequences: Sequence[RawSequence], pictures: Pictures, boxes: Boxes, every: int = 1) -> Labels:
    """The table of these sequences, of every n-th of their frames."""
    camera_names = tuple(sorted({camera for sequence in sequences for camera in sequence.sources}))
    rigs = [sequence.rig.selected(list(sequence.sources)) for sequence in sequences]
    parts = [_rows(sequence, camera_names, boxes, every) for sequence in sequences]
    joints = np.concatenate([part.joints for part in parts])
    valid = joints[..., 3] > 0
    return Labels(
        name="panoptic",
        skeleton=PANOPTIC_19,
        recordings=tuple(recording_of(sequence.name) for sequence in sequences),
        camera_names=camera_names,
        cameras=cameras_of_rigs(rigs, camera_names),
        has_camera=np.array([[c in sequence.sources for c in camera_names] for sequence in sequences]),
        recording=np.repeat(np.arange(len(parts)), [len(part.frames) for part in parts]).astype(np.int64),
        frames=np.concatenate([part.frames for part in parts]),
        people=np.concatenate([part.people for part in parts]),
        points_mm=np.where(valid[..., None], joints[..., :3] * np.float32(MM_PER_CM), np.float32(0)),
        valid=valid,
        confidence=np.where(valid, joints[..., 3], np.float32(0)),
        boxes_px=np.concatenate([part.boxes for part in parts]),
        pictures=pictures,
        up=torch.tensor(UP, dtype=torch.float64),
    )


@dataclass(frozen=True)
class _Rows:
    frames: Int64[np.ndarray, "N"]
    people: Int64[np.ndarray, "N"]
    joints: Float32[np.ndarray, "N J 4"]
    boxes: Int64[np.ndarray, "N C 4"]


def _rows(sequence: RawSequence, camera_names: tuple[str, ...], boxes: Boxes, every: int) -> _Rows:
    bodies = [
        (int(frame), *body) for frame in sequence.frames[::every] for body in bodies_in(sequence.pose_files[frame])
    ]
    frames = np.array([frame for frame, _, _ in bodies], dtype=np.int64)
    joints = np.array([joints for _, _, joints in bodies], dtype=np.float32).reshape(-1, len(PANOPTIC_19), 4)
    of_cameras = np.zeros((len(frames), len(camera_names), 4), np.int64)
    for c, name in enumerate(camera_names):
        if name in sequence.sources:
            camera = sequence.rig.cameras[sequence.rig.names.index(name)]
            points_mm = joints[..., :3] * np.float32(MM_PER_CM)
            of_cameras[:, c] = boxes(sequence, name, frames, camera, points_mm, joints[..., 3] > 0)
    return _Rows(frames, np.array([person for _, person, _ in bodies], dtype=np.int64), joints, of_cameras)


def bodies_in(path: Path) -> list[tuple[int, Float32[np.ndarray, "J 4"]]]:
    """(id, joints in cm with confidence) of every body in a pose file, in its order. Raises `InputError`."""
    content = read_json(path)
    bodies = content.get("bodies") if isinstance(content, dict) else None
    if not isinstance(bodies, list):
        raise InputError(f"{path} holds no list of bodies; unpack it again")
    return [(_id_of(body, path), _joints_of(body, path)) for body in bodies]


def _id_of(body: Any, path: Path) -> int:
    person = body.get("id") if isinstance(body, dict) else None
    # Bodies that the tracker could not follow have the id -1.
    return -1 if person == -1 else whole(person, path, "the id of a body")


def _joints_of(body: Any, path: Path) -> Float32[np.ndarray, "J 4"]:
    joints = numbers(body.get("joints19"), path, "joints19")
    if joints.size != 4 * len(PANOPTIC_19) or not np.isfinite(joints).all():
        raise InputError(f"{path}: joints19 should be {len(PANOPTIC_19)} x (x, y, z, confidence); unpack it again")
    joints = joints.reshape(len(PANOPTIC_19), 4)
    check_places(joints[:, :3], path, MM_PER_CM)
    return joints.astype(np.float32)


def boxes_of_joints(
    sequence: RawSequence, name: str, frames: np.ndarray, camera: Cameras, points_mm: np.ndarray, valid: np.ndarray
) -> Int64[np.ndarray, "N 4"]:
    return boxes_around_joints(camera, points_mm, valid)


def boxes_of_table(table: BoxTable) -> Boxes:
    """Boxes as given, by frame: all people of a frame have the one box."""
    return lambda sequence, name, frames, camera, points_mm, valid: box_at(table, sequence.name, name, frames)
