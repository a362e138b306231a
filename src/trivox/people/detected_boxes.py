"""Boxes of labelled people as our own person detector sees them, instead of around their projected joints.

In every view detections and labelled people are matched by how much their joints' boxes overlap and how certain the
detection is, the best pair first. A person that no detection overlaps by a tenth is missing in that view.

Where nothing is known of anybody (scenes without truth and boxes), the person is the one whom most views see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Int

from trivox.data.crops import square_boxes
from trivox.data.labels import Labels
from trivox.data.picture_reading import PictureReader
from trivox.geometry.boxes import overlap
from trivox.geometry.cameras import Cameras
from trivox.people.candidates import BYSTANDERS, find_candidates, gathered
from trivox.people.networks import Joints2D, Networks
from trivox.progress import progress

_LOWEST_SCORE = 0.2
_FEWEST_JOINTS = 3
_MARGIN = 1.2
_LEAST_OVERLAP = 0.1


def with_detected_boxes(labels: Labels, networks: Networks | None = None) -> Labels:
    """The labels with detected boxes; `labels.boxes_px` say where the people are to be looked for."""
    networks = networks or Networks.load()
    reader = PictureReader(labels.pictures, undistorted=False)
    boxes = np.zeros_like(labels.boxes_px)
    with progress("detecting people", len(labels), unit="people") as advance:
        for rows in _instants(labels):
            views = np.flatnonzero(labels.present[rows].any(0)).tolist()
            if views:
                found = networks.find_people(_pictures(labels, reader, int(rows[0]), views))
                for view, c in enumerate(views):
                    boxes[rows, c] = _matched(labels.boxes_px[rows, c], found[view])
            advance(len(rows))
    return replace(labels, boxes_px=boxes)


def with_boxes_where_unknown(labels: Labels, networks: Networks | None = None) -> Labels:
    """The labels with boxes for rows of which nothing is known: no truth, and whole pictures for boxes.

    One person an instant: of all whom the views see together (`find_candidates`), the one seen by the most views, then
    the largest. Where fewer than two views see anybody together, the row has no view.
    """
    rows = np.flatnonzero(_unknown(labels))
    if not len(rows):
        return labels
    networks = networks or Networks.load()
    reader = PictureReader(labels.pictures, undistorted=False)
    boxes = labels.boxes_px.copy()
    boxes[rows] = 0
    with progress("looking for people", len(rows), unit="instants") as advance:
        for row in rows:
            views = np.flatnonzero(labels.present[row]).tolist()
            if len(views) > 1:
                found = networks.find_people(_pictures(labels, reader, int(row), views))
                boxes[row, views] = _of_the_best_seen(found, labels.row_cameras(int(row))[views])
            advance(1)
    return replace(labels, boxes_px=boxes)


def _unknown(labels: Labels) -> Bool[np.ndarray, "N"]:
    if labels.cameras.image_hw is None:
        return np.zeros(len(labels), bool)
    sizes = labels.cameras.image_hw.numpy()[labels.recording][..., ::-1]
    whole = np.concatenate([np.zeros_like(sizes), sizes], -1)
    are_whole = ((labels.boxes_px == whole).all(-1) | ~labels.present).all(-1)
    return are_whole & labels.present.any(-1) & ~labels.valid.any(-1)


def _of_the_best_seen(found: Joints2D, cameras: Cameras) -> Int[np.ndarray, "V 4"]:
    """Boxes of the candidate that is worth most; 0 in views that do not see it."""
    instant = Joints2D(found.points_px[None].double(), found.scores[None].double())
    best = find_candidates(instant, cameras.to(torch.float64), 1 + BYSTANDERS)
    member = best.members[0, 0]
    seen = gathered(instant, best.members[:, :1])
    usable = (seen.scores[0, 0] >= _LOWEST_SCORE) & (member >= 0)[:, None] & bool(best.worth[0, 0] > 0)
    return square_boxes(seen.points_px[0, 0], usable, _MARGIN).numpy()


def _pictures(labels: Labels, reader: PictureReader, row: int, views: list[int]) -> list[np.ndarray]:
    """The pictures of a row in these cameras."""
    recording, frame = int(labels.recording[row]), int(labels.frames[row])
    take = labels.recordings[recording]
    return [reader.read(take, labels.camera_names[c], frame, labels.cameras[recording, c], 1.0).picture for c in views]


def _instants(labels: Labels) -> Iterator[np.ndarray]:
    """Rows of one recording and frame."""
    keys, where = np.unique(np.stack([labels.recording, labels.frames], 1), axis=0, return_inverse=True)
    order = np.argsort(where.reshape(-1), kind="stable")
    counts = np.bincount(where.reshape(-1), minlength=len(keys))
    yield from np.split(order, np.cumsum(counts)[:-1])


def _matched(expected: Int[np.ndarray, "P 4"], found: Joints2D) -> Int[np.ndarray, "P 4"]:
    """The detected box of each person of one view."""
    seen = found.scores >= _LOWEST_SCORE
    seen &= (seen.sum(-1) >= _FEWEST_JOINTS)[:, None]
    low = torch.where(seen[..., None], found.points_px, torch.inf).amin(-2)
    high = torch.where(seen[..., None], found.points_px, -torch.inf).amax(-2)
    # Of several detections of one person the more certain counts.
    certainty = (found.scores * seen).sum(-1) / found.scores.shape[-1]
    around = torch.where(seen.any(-1)[:, None], torch.cat([low, high], -1), 0.0)
    shared = overlap(torch.from_numpy(expected).double(), around.double())
    shared = torch.where(shared >= _LEAST_OVERLAP, shared * certainty, 0.0)
    detected = square_boxes(found.points_px, seen, _MARGIN)
    result = np.zeros_like(expected)
    while shared.numel() and float(shared.max()) > 0:
        person, detection = divmod(int(shared.argmax()), shared.shape[1])
        result[person] = detected[detection].numpy()
        shared[person], shared[:, detection] = 0, 0
    return result
