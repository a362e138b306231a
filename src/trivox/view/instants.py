"""What is drawn: the pictures of one instant with everything known about it, and where instants come from.

Filmed    people found in the videos of a rig: a result folder, a file of poses, or `Poses`
Labelled  predictions for the rows of a dataset: results.pkl of the published system, or of `trivox evaluate`
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from trivox.data.labels import Labels
from trivox.data.picture_reading import PictureReader
from trivox.errors import InputError
from trivox.evaluation_inputs import Predictions
from trivox.files.views import Views
from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.tensors import TensorDataclass

# Datasets do not tell how fast their rows follow each other.
_ROWS_PER_S = 10.0


@dataclass(frozen=True)
class People(TensorDataclass):
    """P people at one instant, in the world."""

    points_mm: Float[Tensor, "*f P J 3"]
    valid: Bool[Tensor, "*f P J"]
    skeleton: Skeleton


@dataclass(frozen=True)
class Detections(TensorDataclass):
    """Joints of the same people and the same skeleton in each view, pixels of the upright picture; score 0: none."""

    points_px: Float[Tensor, "*f P V J 2"]
    scores: Float[Tensor, "*f P V J"]


@dataclass(frozen=True)
class Instant:
    """V views at once. A picture is None where it is missing; `cameras` (V,) are those of the upright pictures.

    `up` is a unit vector in the world, or None where nothing says which way is up.
    """

    title: str
    names: tuple[str, ...]
    cameras: Cameras
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None]
    found: People
    truth: People | None = None
    detections: Detections | None = None
    up: Float[Tensor, "3"] | None = None


@dataclass(frozen=True)
class Filmed:
    """`views` are open; `frames` are the numbers, rising, that instants are asked for by.

    `detections` (F, P, V, J) and the people of `poses` are row by row the same.
    """

    poses: Poses
    views: Views
    detections: Detections | None = None
    truth: Poses | None = None

    @property
    def frames(self) -> list[int]:
        return self.poses.frames.tolist()

    @property
    def fps(self) -> float:
        return self.poses.fps

    @property
    def has_truth(self) -> bool:
        return self.truth is not None

    @property
    def has_detections(self) -> bool:
        return self.detections is not None

    def joints_seen(self) -> list[int]:
        """How many joints were found at each of `frames`."""
        return self.poses.valid.sum((1, 2)).tolist()

    def instants(self, rows: Sequence[int]) -> Iterator[Instant]:
        """Those at these places in `frames`, in rising order. Raises `InputError` where the videos lack one."""
        wanted = {self.frames[row]: row for row in rows}
        first, last = min(wanted), max(wanted)
        if first < 0 or last >= self.views.frame_count:
            raise InputError(
                f"the videos have frames 0 to {self.views.frame_count - 1}, the poses reach from {first} to {last}; "
                "give the videos that the poses were found in, or other --frames"
            )
        step = int(np.gcd.reduce([frame - first for frame in wanted])) or 1
        for seen in self.views.frames(first, last + 1, step):
            if (row := wanted.get(seen.frame)) is not None:
                yield self._instant(row, seen.frame, seen.pictures)

    def _instant(self, row: int, frame: int, pictures: Sequence[np.ndarray | None]) -> Instant:
        poses, rig = self.poses, self.views.rig
        return Instant(
            f"frame {frame}   {frame / poses.fps:.2f} s",
            rig.names,
            rig.upright_cameras,
            pictures,
            People(poses.points_mm[row], poses.valid[row], poses.skeleton),
            self._truth_at(frame),
            None if self.detections is None else self.detections[row],
            poses.up if rig.up is None else rig.up,
        )

    def _truth_at(self, frame: int) -> People | None:
        if self.truth is None:
            return None
        at = (self.truth.frames == frame).nonzero()
        if not len(at):
            return None
        row = int(at[0, 0])
        return People(self.truth.points_mm[row], self.truth.valid[row], self.truth.skeleton)


@dataclass(frozen=True)
class Labelled:
    """Row i of the predictions belongs to row i of `labels`; rows of one recording and frame are one instant."""

    labels: Labels
    predictions: Predictions

    @cached_property
    def _rows(self) -> list[np.ndarray]:
        """Rows of each instant, in the order of the table."""
        keys = np.stack([self.labels.recording, self.labels.frames], 1)
        _, first, where = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        return [np.flatnonzero(where.reshape(-1) == key) for key in np.argsort(first)]

    @property
    def frames(self) -> list[int]:
        return list(range(len(self._rows)))

    @property
    def fps(self) -> float:
        return _ROWS_PER_S

    @property
    def has_truth(self) -> bool:
        return bool(self.labels.valid.any())

    @property
    def has_detections(self) -> bool:
        return False

    def joints_seen(self) -> list[int]:
        found = self.predictions.found.numpy()
        return [int(found[rows].sum()) for rows in self._rows]

    def instants(self, rows: Sequence[int]) -> Iterator[Instant]:
        reader = PictureReader(self.labels.pictures, undistorted=False)
        for row in rows:
            yield self._instant(self._rows[row], reader)

    def _instant(self, rows: np.ndarray, reader: PictureReader) -> Instant:
        labels, at = self.labels, torch.from_numpy(rows)
        recording, frame = labels.recordings[labels.recording[rows[0]]], int(labels.frames[rows[0]])
        cameras = labels.row_cameras(int(rows[0])).to(torch.float64)
        there = labels.has_camera[labels.recording[rows[0]]]
        pictures = [
            _picture(reader, labels, int(rows[0]), camera) if there[camera] else None
            for camera in range(len(labels.camera_names))
        ]
        truth = People(torch.from_numpy(labels.points_mm)[at], torch.from_numpy(labels.valid)[at], labels.skeleton)
        predicted = self.predictions
        points_mm = torch.where(predicted.found[..., None], predicted.points_mm, 0.0)
        return Instant(
            f"{recording.name}   frame {frame}",
            labels.camera_names,
            cameras,
            pictures,
            People(points_mm[at], predicted.found[at], predicted.skeleton),
            truth,
            up=labels.up,
        )


def _picture(reader: PictureReader, labels: Labels, row: int, camera: int) -> np.ndarray | None:
    """The picture of one camera; None where it cannot be read: the tile says so."""
    recording = int(labels.recording[row])
    lens, name = labels.cameras[recording, camera], labels.camera_names[camera]
    try:
        return reader.read(labels.recordings[recording], name, int(labels.frames[row]), lens, 1.0).picture
    except InputError:
        return None


Source = Filmed | Labelled
