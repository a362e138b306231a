"""Small label tables for the tests: two recordings, three cameras of which the second recording lacks one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rigs import ring, standing_people

from trivox.data.labels import Labels
from trivox.data.pictures import Pictures, Recording
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17

CAMERAS = ("left", "middle", "right")
DISTORTION = (-0.1, 0.02, 1e-3, -5e-4, 0.0)
TEMPLATE = "{recording}/{camera}/{file:06}.jpg"


def small_labels(root: Path = Path("pictures"), frames: int = 4) -> Labels:
    """Two people in `walk` at frames 0, 1, ..., one in `sit` at frames past what 16 bits hold, in the training part.

    Camera `middle` took no part in `sit`, and does not see person 7 of `walk` at frame 1.
    """
    ring_of_walk = ring(3, distortion=DISTORTION)
    ring_of_sit = ring(3, radius_mm=4500.0, distortion=DISTORTION)
    walkers = standing_people([(0.0, 0.0), (600.0, -500.0)])
    recording = np.array([0, 0] * frames + [1] * frames)
    points = torch.cat([walkers.repeat(frames, 1, 1), walkers[:1].repeat(frames, 1, 1)])
    cameras = Cameras.stack([ring_of_walk, ring_of_sit])
    boxes = boxes_around(cameras[torch.from_numpy(recording)].project(points[:, None]))
    boxes[3, 1] = 0
    has_camera = np.array([[True, True, True], [True, False, True]])
    return Labels(
        name="small",
        skeleton=COCO_17,
        recordings=(Recording("walk", "A", "Walking", "train"), Recording("sit", "B", "Sitting", "test")),
        camera_names=CAMERAS,
        cameras=cameras,
        has_camera=has_camera,
        recording=recording,
        frames=np.concatenate([np.repeat(np.arange(frames), 2), 40000 + np.arange(frames)]),
        people=np.array([3, 7] * frames + [0] * frames),
        points_mm=points.float().numpy(),
        valid=np.ones(points.shape[:2], bool),
        confidence=np.ones(points.shape[:2], np.float32),
        boxes_px=boxes,
        pictures=Pictures(root, TEMPLATE),
        up=torch.tensor([0.0, 0.0, 1.0]).double(),
    )


def boxes_around(points_px: torch.Tensor) -> np.ndarray:
    """Whole-pixel boxes (*b, 4) around points (*b, J, 2), 20 pixels wider on each side."""
    low, high = points_px.amin(-2).floor() - 20, points_px.amax(-2).ceil() + 20
    return torch.cat([low, high], -1).long().numpy()
