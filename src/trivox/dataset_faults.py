"""What looks wrong in a table of labels, whatever dataset it is of: truth and boxes against cameras and pictures.

At most some thousand rows of a recording, evenly taken, are looked at, and a few of its pictures are read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from trivox.calibration_report import Findings
from trivox.data.labels import Labels
from trivox.data.picture_reading import PictureReader
from trivox.errors import InputError
from trivox.progress import progress

_ROWS = 2000
_PICTURES = 24
_RECORDINGS_READ = 50
# Extent of a person, crouched or stretched, child or adult.
_SMALLEST_MM, _LARGEST_MM = 300.0, 3500.0
# A person has fewer joints than this share inside their own box only where the two do not belong together.
_LEAST_INSIDE = 0.5
_BOX_SLACK = 0.25


def faults_of_labels(labels: Labels) -> Findings:
    """Faults and remarks, a sentence each."""
    faults: list[str] = []
    remarks: list[str] = []
    for r in range(len(labels.recordings)):
        rows = _evenly(np.flatnonzero(labels.recording == r), _ROWS)
        if not len(rows):
            remarks.append(f"{labels.recordings[r].name} has no row")
            continue
        faults += _of_truth(labels, r, rows)
        faults += _of_boxes(labels, r, rows)
    faults += _unreadable(labels)
    remarks += _of_joints(labels)
    return Findings(tuple(faults), tuple(remarks))


def _evenly(rows: Int[np.ndarray, "N"], most: int) -> Int[np.ndarray, "M"]:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _of_truth(labels: Labels, r: int, rows: np.ndarray) -> Iterator[str]:
    """Units, then where the truth lies in the pictures."""
    name, valid = labels.recordings[r].name, labels.valid[rows]
    if not valid.any():
        return
    several = valid.sum(-1) > 1
    extent = float(np.median(_extents_mm(labels.points_mm[rows], valid)[several])) if several.any() else None
    if extent is not None and not _SMALLEST_MM <= extent <= _LARGEST_MM:
        yield f"{name}: the people of the truth measure {extent:.3g} mm; its unit is probably another one"
    cameras = np.flatnonzero(labels.has_camera[r])
    in_front, inside = _seen(labels, r, rows, cameras)
    frontal = [int((in_front[c] & valid).sum()) for c in range(len(cameras))]
    seen = [None if inside is None else int((inside[c] & valid).sum()) for c in range(len(cameras))]
    if not any(frontal):
        yield (
            f"{name}: the truth lies behind all cameras; truth and calibration are of two worlds, or R and t are those "
            "of the inverse transform"
        )
    elif not any(count is None or count for count in seen):
        yield (
            f"{name}: the truth lies outside the pictures of all cameras; truth and calibration are of two worlds, or "
            "their units differ"
        )
    else:
        for c, front, count in zip(cameras, frontal, seen, strict=True):
            if not front:
                yield f"{name}: the truth lies behind camera {labels.camera_names[c]} throughout; check its calibration"
            elif count == 0:
                yield (
                    f"{name}: camera {labels.camera_names[c]} never has the truth in its picture; check its calibration"
                )


def _extents_mm(points_mm: Float[np.ndarray, "N J 3"], valid: Bool[np.ndarray, "N J"]) -> Float[np.ndarray, "N"]:
    """Diagonal of the box around the valid joints of each person."""
    low = np.where(valid[..., None], points_mm, np.inf).min(1)
    high = np.where(valid[..., None], points_mm, -np.inf).max(1)
    return np.linalg.norm(np.where(np.isfinite(high - low), high - low, 0), axis=-1)


def _seen(
    labels: Labels, r: int, rows: np.ndarray, cameras: np.ndarray
) -> tuple[Bool[np.ndarray, "C N J"], Bool[np.ndarray, "C N J"] | None]:
    """Which joints lie in front of each camera, and inside its picture; None where its size is unknown."""
    lenses = labels.cameras[r, torch.from_numpy(cameras)].to(torch.float64)
    points = torch.from_numpy(labels.points_mm[rows]).double().flatten(0, 1)
    shape = (len(cameras), len(rows), len(labels.skeleton))
    in_front = (lenses.depth_mm(points) > 0).reshape(shape)
    if lenses.image_hw is None:
        return in_front.numpy(), None
    pixels = lenses.project(points)
    inside = ((pixels >= 0) & (pixels < lenses.image_hw.flip(-1)[:, None])).all(-1).reshape(shape)
    return in_front.numpy(), (in_front & inside).numpy()


def _of_boxes(labels: Labels, r: int, rows: np.ndarray) -> Iterator[str]:
    """Boxes outside the picture, or around somebody else."""
    name, sizes = labels.recordings[r].name, labels.cameras.image_hw
    present = labels.present[rows]
    if not present.any():
        yield f"{name}: nobody has a box in any camera; the rows have no picture to be cut"
    for c in np.flatnonzero(labels.has_camera[r]):
        boxes, camera = labels.boxes_px[rows, c][present[:, c]], labels.camera_names[c]
        if sizes is not None and len(boxes):
            h, w = sizes[r, int(c)].tolist()
            outside = (boxes[:, 0] >= w) | (boxes[:, 1] >= h) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
            if h and outside.any():
                yield f"{name}: {outside.sum()} of {len(boxes)} boxes of camera {camera} lie outside its picture"
        elsewhere = _around_others(labels, r, int(c), rows[present[:, c]])
        if elsewhere > len(boxes) / 2:
            yield (
                f"{name}: {elsewhere} of {len(boxes)} boxes of camera {camera} are not around the projected truth; "
                "truth, boxes and calibration do not belong together, or are not synchronized"
            )


def _around_others(labels: Labels, r: int, c: int, rows: np.ndarray) -> int:
    """Boxes that have less than half of the person's joints in them or close by."""
    rows = rows[labels.valid[rows].any(-1)]
    if not len(rows):
        return 0
    points = torch.from_numpy(labels.points_mm[rows]).double()
    pixels = labels.cameras[r, c].to(torch.float64).project(points.flatten(0, 1)).reshape(*points.shape[:2], 2).numpy()
    boxes = labels.boxes_px[rows, c].astype(np.float64)
    slack = _BOX_SLACK * (boxes[:, 2:] - boxes[:, :2]).max(-1)[:, None, None]
    near = ((pixels >= boxes[:, None, :2] - slack) & (pixels <= boxes[:, None, 2:] + slack)).all(-1)
    valid = labels.valid[rows]
    return int(((near & valid).sum(-1) < _LEAST_INSIDE * valid.sum(-1)).sum())


def _unreadable(labels: Labels) -> Iterator[str]:
    """Pictures of every recording, evenly taken over rows and cameras, that cannot be read."""
    reader = PictureReader(labels.pictures, undistorted=False)
    recordings = _evenly(np.unique(labels.recording), _RECORDINGS_READ)
    with progress("reading pictures", len(recordings), unit="recordings") as advance:
        for r in recordings.tolist():
            places = np.argwhere(labels.present & (labels.recording == r)[:, None])
            for row, c in places[_evenly(np.arange(len(places)), _PICTURES)].tolist():
                try:
                    frame, camera = int(labels.frames[row]), labels.cameras[r, c]
                    reader.read(labels.recordings[r], labels.camera_names[c], frame, camera, 8.0)
                except InputError as error:
                    yield str(error)
            advance(1)


def _of_joints(labels: Labels) -> Iterator[str]:
    if labels.valid.any():
        never = [labels.skeleton.names[j] for j in np.flatnonzero(~labels.valid.any(0))]
        if never:
            yield f"the truth never has {', '.join(never)}"
