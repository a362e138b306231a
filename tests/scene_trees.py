"""Scenes written to disk by plain code, in trivox's layout and in the general one, for the tests to read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from clips import write_clip
from rigs import ring, standing_people
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17

HW = (90, 160)
NAMES = ("cam1", "cam2", "cam3")
LENS = (-0.1, 0.02, 1e-3, -5e-4, 0.0)


def small_ring(views: int = 3, distortion: tuple[float, ...] = LENS) -> Cameras:
    return ring(views, distortion=distortion).resized(HW)


@dataclass
class Told:
    """What a scene is made of; `lacking[name]` are frames without a picture of a camera."""

    cameras: Cameras = field(default_factory=small_ring)
    frames: tuple[int, ...] = (3, 4, 7)
    lacking: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: tuple[str, ...] = NAMES
    pictured: tuple[str, ...] = NAMES

    @property
    def points_mm(self) -> Tensor:
        """(F, 2, 17, 3): two people who walk along x, 10 mm a frame."""
        people = standing_people([(0.0, 0.0), (500.0, -400.0)])
        steps = torch.zeros(len(self.frames), 1, 1, 3, dtype=torch.float64)
        steps[:, 0, 0, 0] = 10.0 * torch.tensor(self.frames)
        return people + steps


def camera_list(told: Told, mm_per_unit: float, key: str) -> list[dict[str, object]]:
    """The general JSON list, pixels from the first centre."""
    described = []
    for i, name in enumerate(told.names):
        K = told.cameras.K[i].clone()
        K[:2, 2] -= 0.5
        R, t = told.cameras.R[i].tolist(), (told.cameras.t_mm[i] / mm_per_unit).tolist()
        described.append({"id": name, "R": R, "k": K.tolist(), key: t, "dist": told.cameras.distortion[i].tolist()})
    return described


def write_pictures(folder: Path, told: Told, name: str = "{frame:06}.jpg") -> None:
    for i, camera in enumerate(told.pictured):
        (folder / camera).mkdir(parents=True)
        for frame in told.frames:
            if frame not in told.lacking.get(camera, ()):
                picture = np.full((*HW, 3), 40 + 20 * i, np.uint8)
                cv2.imwrite(str(folder / camera / name.format(camera=camera, frame=frame)), picture)


def write_scene(folder: Path, told: Told | None = None, videos: bool = False) -> Path:
    """trivox's layout, with truth.npz as plain arrays."""
    told = told or Told()
    folder.mkdir(parents=True)
    (folder / "calibration.json").write_text(json.dumps(camera_list(told, 1.0, "t_mm")))
    if videos:
        (folder / "videos").mkdir()
        for camera in told.pictured:
            write_clip(folder / "videos" / f"{camera}.mp4", max(told.frames) + 1, image_hw=HW)
    else:
        write_pictures(folder / "images", told, "{camera}_{frame:06}.jpg")
    points = told.points_mm.numpy()
    np.savez(folder / "truth.npz", points_mm=points, joint_names=np.array(COCO_17.names), frames=np.array(told.frames))
    return folder


def write_general(folder: Path, told: Told | None = None, joints: str = "rows") -> Path:
    """The general layout in centimetres; the unit is stated beside the scene's folder."""
    told = told or Told()
    folder.mkdir(parents=True)
    (folder / f"calibration_{folder.name}.json").write_text(json.dumps(camera_list(told, 10.0, "t")))
    write_pictures(folder / "hdImgs", told, "{frame:08}.jpg")
    for frame, people in zip(told.frames, (told.points_mm / 10).tolist(), strict=True):
        bodies = [{"id": i, "joints": p if joints == "rows" else np.ravel(p).tolist()} for i, p in enumerate(people)]
        (folder / f"3DKeypoints_{frame:08}.json").write_text(json.dumps(bodies))
    (folder.parent / "dataset.yaml").write_text("calibration_units: cm\ntruth_units: cm\nskeleton: coco17\n")
    return folder
