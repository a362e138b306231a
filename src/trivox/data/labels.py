"""Labels: the table of a dataset in memory, the same for Human3.6M, CMU Panoptic and anyone's own scenes.

One row is one person at one instant. Rows point to a recording, recordings have cameras; a camera that took no part in
a recording is absent there (`has_camera`) without moving any other. Whatever a file says of units, pixel origin or
which way is up, here it is millimetres, corners, and `up`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64
from torch import Tensor

from trivox.data.pictures import FrameRange, Pictures, Recording
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import Skeleton, conversion, converted


@dataclass(frozen=True)
class Labels:
    """N rows of R recordings with C cameras and J joints.

    recording   which of `recordings` a row belongs to; `frames` its frame number, `people` the person's id in it.
    points_mm   truth in the world; 0 where not `valid`. Scenes without truth have no valid joint.
    confidence  of the truth, 1 where the dataset gives none; 0 where not valid.
    boxes_px    left, top, right, bottom, the last two exclusive; without area where the view is missing.
    cameras     batch (R, C), of the pictures as recorded; `image_hw` may be unknown (None), and 0 where absent.
    up          unit vector in world axes, or None where nobody knows.
    turned_by   rotations (R, 3, 3) from the world of each recording's own files to the one here, where that is another
                (`turned`).
    split       the dataset's own parts as ranges of frames; None where recordings belong to parts as a whole.
    """

    name: str
    skeleton: Skeleton
    recordings: tuple[Recording, ...]
    camera_names: tuple[str, ...]
    cameras: Cameras
    has_camera: Bool[np.ndarray, "R C"]
    recording: Int64[np.ndarray, "N"]
    frames: Int64[np.ndarray, "N"]
    people: Int64[np.ndarray, "N"]
    points_mm: Float32[np.ndarray, "N J 3"]
    valid: Bool[np.ndarray, "N J"]
    confidence: Float32[np.ndarray, "N J"]
    boxes_px: Int64[np.ndarray, "N C 4"]
    pictures: Pictures
    up: Float[Tensor, "3"] | None = None
    split: tuple[FrameRange, ...] | None = None
    turned_by: Float[Tensor, "R 3 3"] | None = None

    def __post_init__(self) -> None:
        rows, joints = len(self.recording), len(self.skeleton)
        shape = (len(self.recordings), len(self.camera_names))
        assert tuple(self.cameras.batch_shape) == shape == self.has_camera.shape, "a camera per recording and name"
        assert self.points_mm.shape == (rows, joints, 3), "a point per row and joint"
        assert self.valid.shape == self.confidence.shape == (rows, joints)
        assert self.boxes_px.shape == (rows, len(self.camera_names), 4), "a box per row and camera"
        assert self.frames.shape == self.people.shape == (rows,)
        assert rows == 0 or 0 <= self.recording.min() <= self.recording.max() < len(self.recordings)

    def __len__(self) -> int:
        return len(self.recording)

    @property
    def present(self) -> Bool[np.ndarray, "N C"]:
        """Views that have a picture of the person: the camera was there and the box has an area."""
        sizes = self.boxes_px[..., 2:] - self.boxes_px[..., :2]
        return (sizes > 0).all(-1) & self.has_camera[self.recording]

    @property
    def subjects(self) -> np.ndarray:
        """Name of the subject of every row, (N,) of text."""
        return self._of_rows([recording.subject for recording in self.recordings])

    @property
    def actions(self) -> np.ndarray:
        """Name of the action of every row, its trials merged, (N,) of text."""
        return self._of_rows([recording.action for recording in self.recordings])

    def _of_rows(self, values: list[str]) -> np.ndarray:
        return np.array(values, dtype=np.str_)[self.recording]

    def key(self, row: int) -> str:
        """What a row is called: "S9/Walking-1/000123/p0"."""
        recording = self.recordings[self.recording[row]]
        return f"{recording.name}/{self.frames[row]:06d}/p{self.people[row]}"

    def row_cameras(self, row: int) -> Cameras:
        """The cameras (C,) of the recording of one row."""
        return self.cameras[int(self.recording[row])]

    def selected(self, rows: Int[np.ndarray, "M"] | Bool[np.ndarray, "N"]) -> Labels:
        """The labels of these rows, in this order; recordings and cameras stay as they are."""
        return replace(
            self,
            recording=self.recording[rows],
            frames=self.frames[rows],
            people=self.people[rows],
            points_mm=self.points_mm[rows],
            valid=self.valid[rows],
            confidence=self.confidence[rows],
            boxes_px=self.boxes_px[rows],
        )

    def with_cameras(self, cameras: Cameras) -> Labels:
        """The labels with changed cameras, for networks of other conventions:

        `labels.with_cameras(profile.recorded(labels.cameras))`.
        """
        return replace(self, cameras=cameras)

    def turned(self, new_from_world: Float[Tensor, "R 3 3"], up: Float[Tensor, "3"]) -> Labels:  # noqa: UP037
        """The labels in worlds turned about their origins, one for each recording, in which `up` points up."""
        world_from_new = torch.eye(4, dtype=torch.float64).repeat(len(new_from_world), 1, 1)
        world_from_new[:, :3, :3] = new_from_world.mT
        turned_by = new_from_world if self.turned_by is None else new_from_world @ self.turned_by
        return replace(
            self,
            cameras=self.cameras.moved(world_from_new.to(self.cameras.R)),
            points_mm=_turned(self.points_mm, new_from_world.numpy()[self.recording]),
            up=up,
            turned_by=turned_by,
        )

    def in_own_worlds(self, points_mm: Float32[np.ndarray, "N J 3"]) -> Float32[np.ndarray, "N J 3"]:
        """Points of the rows in the worlds of their own files."""
        if self.turned_by is None:
            return points_mm
        return _turned(points_mm, self.turned_by.mT.numpy()[self.recording])

    def from_own_worlds(self, points_mm: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        """A point of each row, given in the world of its own files."""
        if self.turned_by is None:
            return points_mm
        return _turned(points_mm[:, None], self.turned_by.numpy()[self.recording])[:, 0]

    def converted(self, skeleton: Skeleton) -> Labels:
        """Truth in the joints of another skeleton, by name; a joint that cannot be had is not valid.

        A joint made of others has the least of their confidences.
        """
        if skeleton == self.skeleton:
            return self
        valid = torch.from_numpy(self.valid)
        points = converted(torch.from_numpy(self.points_mm), valid, self.skeleton, skeleton)
        least = _least_of_parts(torch.from_numpy(self.confidence), self.skeleton, skeleton)
        return replace(
            self,
            skeleton=skeleton,
            points_mm=points.points.numpy(),
            valid=points.valid.numpy(),
            confidence=torch.where(points.valid, least, 0).numpy(),
        )


def cameras_of_rigs(rigs: Sequence[Rig], names: tuple[str, ...]) -> Cameras:
    """Cameras (R, C) of the rigs, by name, in float64; an absent one looks along z from the origin, its size 0.

    All or none of the rigs know the size of their pictures.
    """
    sizes = rigs[0].cameras.image_hw
    size = None if sizes is None else torch.zeros(2, dtype=sizes.dtype)
    eye = torch.eye(3, dtype=torch.float64)
    absent = Cameras(eye, eye, eye[0] * 0, eye[0, :0], rigs[0].cameras.distortion_models[0], size)
    return Cameras.stack(
        [Cameras.stack([r.cameras[r.names.index(name)] if name in r.names else absent for name in names]) for r in rigs]
    )


def _turned(points_mm: Float32[np.ndarray, "N J 3"], turns: Float[np.ndarray, "N 3 3"]) -> Float32[np.ndarray, "N J 3"]:
    return (points_mm.astype(np.float64) @ turns.transpose(0, 2, 1)).astype(np.float32)


def _least_of_parts(values: Float[Tensor, "N S"], source: Skeleton, target: Skeleton) -> Float[Tensor, "N T"]:
    """The least value of the joints that each target joint is made of; infinity where it is made of none."""
    made_of = conversion(source, target).weights > 0
    return torch.where(made_of, values[..., None, :], torch.inf).amin(-1)
