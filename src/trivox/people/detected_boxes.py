"""Boxes of labelled people as our own person detector sees them, instead of around their projected joints.

In every view detections and labelled people are matched by how much their joints' boxes overlap and how certain the
detection is, the best pair first. A person that no detection overlaps by a tenth is missing in that view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int

from trivox.data.crops import square_boxes
from trivox.data.labels import Labels
from trivox.data.picture_reading import PictureReader
from trivox.geometry.boxes import overlap
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
            recording, frame = int(labels.recording[rows[0]]), int(labels.frames[rows[0]])
            pictures = [
                reader.read(
                    labels.recordings[recording], labels.camera_names[c], frame, labels.cameras[recording, c], 1.0
                ).picture
                for c in views
            ]
            if pictures:
                found = networks.find_people(pictures)
                for view, c in enumerate(views):
                    boxes[rows, c] = _matched(labels.boxes_px[rows, c], found[view])
            advance(len(rows))
    return replace(labels, boxes_px=boxes)


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
