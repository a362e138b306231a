"""Scenes as folders: our own layout, and those of Human3.6M and CMU Panoptic, with labels as their readers expect them.

Truth and boxes come from the exact cameras; calibrations are those that the scene tells (`Scene.told`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import yaml

from trivox.base.atomic import atomic_write
from trivox.data.human36m import CAMERAS, TRIALS, pictures_in, recording_of, write_human36m_npy
from trivox.data.labels import Labels
from trivox.data.panoptic import MM_PER_CM, UP, pictures_of, write_panoptic_npy
from trivox.data.pictures import Pictures, Recording
from trivox.files.calibrations import save_rig
from trivox.files.poses import save_poses
from trivox.files.text import read_text
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import H36M_17, PANOPTIC_19
from trivox.synthetic.joints import BODY_JOINTS
from trivox.synthetic.outlets import Advance, write_images, write_videos
from trivox.synthetic.scene import Scene

PictureFiles = Literal["videos", "images"]
# Where the label files of a layout are below its folder.
HUMAN36M_LABELS = Path("extra") / "human36m-multiview-labels-GTbboxes.npy"
PANOPTIC_LABELS = Path("cmu-multiview-labels.npy")
# Our world (z up) as Panoptic turns it (y down): x, y, z become x, -z, y.
_PANOPTIC_FROM_WORLD = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, "utf-8")


def described(scene: Scene) -> str:
    """What a scene is, as JSON: written last beside its files, where it stands they are whole."""
    said = {
        "seed": scene.seed,
        "world": scene.world,
        "ingredients": scene.ingredients.numbers,
        "clips": scene.ingredients.clips,
        "time_offsets_s": dict(zip(scene.names, scene.offsets_s.tolist(), strict=True)),
    }
    return json.dumps(said, indent=1) + "\n"


def is_whole(folder: Path, scene: Scene) -> bool:
    path = folder / "scene.json"
    return path.exists() and read_text(path) == described(scene)


def whole_boxes(scene: Scene) -> np.ndarray:
    """Boxes (F, P, V, 4) of whole pixels; all zero where less than a third of the box is in the picture."""
    boxes = scene.boxes_px()
    size = np.array([[view.image_hw[1], view.image_hw[0]] for view in scene.views])
    inside = np.minimum(boxes[..., 2:], size) - np.maximum(boxes[..., :2], 0)
    share = np.prod(np.clip(inside, 0, None), -1) / np.prod(boxes[..., 2:] - boxes[..., :2], -1)
    whole = np.concatenate([np.floor(boxes[..., :2]), np.ceil(boxes[..., 2:])], -1).astype(np.int64)
    # Somebody close to a lens would have a box of any size: numbers that a label file can hold.
    return np.where((share > 1 / 3)[..., None], np.clip(whole, -30_000, 30_000), 0)


# ---- our own


def write_scene(scene: Scene, folder: Path, pictures: PictureFiles, threads: int, advance: Advance) -> None:
    """One scene in our layout: calibration.toml, videos/ or images/, truth.npz, boxes.json."""
    save_rig(scene.told_rig, folder / "calibration.toml")
    save_poses(scene.truth(BODY_JOINTS), folder / "truth.npz")
    boxes = whole_boxes(scene)
    rows = {
        name: [[f, p, *map(int, boxes[f, p, v])] for f, p in np.ndindex(boxes.shape[:2]) if boxes[f, p, v].any()]
        for v, name in enumerate(scene.names)
    }
    write_text(folder / "boxes.json", json.dumps(rows))
    if pictures == "videos":
        write_videos(scene, threads, lambda name: folder / "videos" / f"{name}.mp4", advance)
    else:
        write_images(scene, threads, lambda name, f: folder / "images" / name / f"{f:06d}.jpg", advance)
    write_text(folder / "scene.json", described(scene))


def write_splits(root: Path, worlds: Mapping[str, str]) -> None:
    """splits.yaml of scenes (folder -> world)."""
    parts = {part: [name for name, world in worlds.items() if world == part] for part in ("train", "test")}
    write_text(root / "splits.yaml", yaml.safe_dump({part: names for part, names in parts.items() if names}))


# ---- Human3.6M


def as_human36m(scene: Scene) -> Scene:
    """The scene with lenses of Human3.6M's formula too: it differs from OpenCV's in the tangential terms, here 0."""

    def without(views: Sequence) -> tuple:
        return tuple(replace(view, distortion=view.distortion * [1, 1, 0, 0, 1]) for view in views)

    return replace(scene, views=without(scene.views), told=without(scene.told), names=CAMERAS)


def write_human36m_take(scene: Scene, root: Path, take: str, threads: int, advance: Advance) -> None:
    """The pictures of one subject and trial ("S1/Walking-1") below `processed/`."""
    folder = root / "processed" / take
    write_images(scene, threads, lambda name, f: folder / "imageSequence" / name / f"img_{f + 1:06d}.jpg", advance)
    write_text(folder / "scene.json", described(scene))


def write_human36m_labels(root: Path, takes: dict[str, Scene]) -> None:
    """The label file of all takes, of the person that each rig looks at."""
    recordings = tuple(recording_of(*take.split("/")) for take in takes)
    scenes = list(takes.values())
    boxes = [_squared(whole_boxes(scene)[:, 0]) for scene in scenes]
    points = [scene.truth(H36M_17).points_mm[:, 0].numpy() for scene in scenes]
    cameras = Cameras.stack([scene.told_rig.cameras for scene in scenes])
    frames = [np.arange(len(rows)) for rows in points]
    labels = _labels(
        "human36m", recordings, CAMERAS, replace(cameras, distortion_model="human36m"), frames,
        [np.zeros(len(rows), np.int64) for rows in points], points, boxes, pictures_in(root / "processed"),
    )  # fmt: skip
    write_human36m_npy(labels, root / HUMAN36M_LABELS)


def human36m_take(number: int, subject: str) -> str:
    """The number-th trial of a subject."""
    return f"{subject}/{TRIALS[number]}"


def _squared(boxes: np.ndarray) -> np.ndarray:
    """The dataset's boxes are squares around the same middle."""
    side = (boxes[..., 2:] - boxes[..., :2]).max(-1, keepdims=True)
    low = (boxes[..., :2] + boxes[..., 2:] - side) // 2
    return np.concatenate([low, low + side], -1)


# ---- CMU Panoptic


def as_panoptic(scene: Scene) -> Scene:
    """The scene with Panoptic's names of cameras."""
    return replace(scene, names=tuple(f"00_{v:02d}" for v in range(len(scene.views))))


def write_panoptic_sequence(scene: Scene, root: Path, sequence: str, threads: int, advance: Advance) -> None:
    """One sequence: calibration (centimetres, y down), a pose file for each frame, and the pictures."""
    folder, frames = root / sequence, scene.options.frames
    save_rig(_panoptic_rig(scene), folder / f"calibration_{sequence}.json", format="panoptic")
    points_cm = _panoptic_points(scene) / MM_PER_CM
    for frame in range(frames):
        joints = np.concatenate([points_cm[frame], np.ones((*points_cm.shape[1:3], 1))], -1)
        bodies = [{"id": p, "joints19": body.round(4).ravel().tolist()} for p, body in enumerate(joints)]
        said = {"version": 0.7, "univTime": frame / scene.options.fps * 1000, "fpsType": "hd_29_97", "bodies": bodies}
        write_text(folder / "hdPose3d_stage1_coco19" / f"body3DScene_{frame:08d}.json", json.dumps(said))
    write_images(scene, threads, lambda name, f: folder / "hdImgs" / name / f"{name}_{f:08d}.jpg", advance)
    write_text(folder / "scene.json", described(scene))


def write_panoptic_labels(root: Path, sequences: dict[str, Scene]) -> None:
    """The label file and the split of all sequences, one row for each person and frame."""
    scenes = list(sequences.values())
    names = tuple(f"00_{v:02d}" for v in range(max(len(scene.views) for scene in scenes)))
    padded = [_padded(_panoptic_rig(scene).cameras, len(names)) for scene in scenes]
    points = [_panoptic_points(scene) for scene in scenes]
    frames, people = zip(*(np.indices(rows.shape[:2]).reshape(2, -1) for rows in points), strict=True)
    boxes = [whole_boxes(scene).reshape(-1, len(scene.views), 4) for scene in scenes]
    boxes = [np.pad(rows, ((0, 0), (0, len(names) - rows.shape[1]), (0, 0))) for rows in boxes]
    labels = _labels(
        "panoptic", tuple(Recording(name, action=name) for name in sequences), names, Cameras.stack(padded),
        list(frames), list(people), [rows.reshape(-1, len(PANOPTIC_19), 3) for rows in points], boxes,
        pictures_of(root), np.stack([np.arange(len(names)) < len(scene.views) for scene in scenes]),
    )  # fmt: skip
    write_panoptic_npy(labels, root / PANOPTIC_LABELS)
    parts = {"train": "train", "val": "test"}
    split = {
        part: [{name: [[0, scene.options.frames]]} for name, scene in sequences.items() if scene.world == world]
        for part, world in parts.items()
    }
    write_text(root / "frames.yaml", yaml.safe_dump(split))


def _panoptic_points(scene: Scene) -> np.ndarray:
    """Truth (F, P, 19, 3) in mm, y down."""
    return (scene.truth(PANOPTIC_19).points_mm @ _PANOPTIC_FROM_WORLD.T).numpy()


def _panoptic_rig(scene: Scene) -> Rig:
    move = torch.eye(4, dtype=torch.float64)
    move[:3, :3] = _PANOPTIC_FROM_WORLD.T
    return Rig(scene.names, scene.told_rig.cameras.moved(move), torch.tensor(UP, dtype=torch.float64))


def _padded(cameras: Cameras, count: int) -> Cameras:
    """The cameras with copies of the first behind them, for places where a sequence has none."""
    return cameras[torch.arange(count) % len(cameras.K) if count > len(cameras.K) else slice(None)]


def _labels(
    name: str,
    recordings: tuple[Recording, ...],
    camera_names: tuple[str, ...],
    cameras: Cameras,
    frames: list[np.ndarray],
    people: list[np.ndarray],
    points_mm: list[np.ndarray],
    boxes_px: list[np.ndarray],
    pictures: Pictures,
    has_camera: np.ndarray | None = None,
) -> Labels:
    """Labels of rows given for each recording; every joint is true."""
    points = np.concatenate(points_mm).astype(np.float32)
    skeleton = PANOPTIC_19 if points.shape[1] == len(PANOPTIC_19) else H36M_17
    return Labels(
        name=name,
        skeleton=skeleton,
        recordings=recordings,
        camera_names=camera_names,
        cameras=cameras,
        has_camera=np.ones((len(recordings), len(camera_names)), bool) if has_camera is None else has_camera,
        recording=np.repeat(np.arange(len(recordings)), [len(rows) for rows in frames]),
        frames=np.concatenate(frames).astype(np.int64),
        people=np.concatenate(people).astype(np.int64),
        points_mm=points,
        valid=np.ones(points.shape[:2], bool),
        confidence=np.ones(points.shape[:2], np.float32),
        boxes_px=np.concatenate(boxes_px).astype(np.int64),
        pictures=pictures,
        up=torch.tensor(UP if skeleton == PANOPTIC_19 else (0.0, 0.0, 1.0), dtype=torch.float64),
    )
