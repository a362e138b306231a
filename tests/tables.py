"""Small label tables for the tests: two recordings, three cameras of which the second recording lacks one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rigs import ring, standing_people

from trivox.data.human36m import recording_of
from trivox.data.labels import Labels
from trivox.data.panoptic import recording_of as sequence_of
from trivox.data.pictures import Pictures, Recording
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17, H36M_17, PANOPTIC_19

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


def panoptic_labels(root: Path = Path("pictures")) -> Labels:
    """Two sequences, one camera absent in the second, frames past 16 bits, two people, an absent joint."""
    labels = small_labels(root).converted(PANOPTIC_19)
    sequences = (sequence_of("171026_pose1"), sequence_of("171204_pose5"))
    labels.confidence[0, 4] = labels.points_mm[0, 4] = 0
    labels.valid[0, 4] = False
    up = torch.tensor([0.0, -1.0, 0.0]).double()
    boxes = np.where(labels.has_camera[labels.recording][..., None], labels.boxes_px, 0)
    return replace(labels, name="panoptic", recordings=sequences, up=up, boxes_px=boxes)


def human36m_labels(root: Path = Path("pictures")) -> Labels:
    """One person, in a training and in a test recording of the dataset's names; its formula of the lens."""
    labels = small_labels(root).converted(H36M_17)
    labels = labels.selected(labels.people != 7)
    recordings = (recording_of("S1", "Walking-1"), recording_of("S9", "Greeting-2"))
    cameras = replace(labels.cameras, distortion_model="human36m")
    return replace(
        labels,
        recordings=recordings,
        cameras=cameras,
        people=np.zeros_like(labels.people),
        valid=np.ones_like(labels.valid),
        confidence=np.ones_like(labels.confidence),
        has_camera=np.ones_like(labels.has_camera),
    )
