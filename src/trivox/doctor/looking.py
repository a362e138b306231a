"""One person's 2D joints in each view, chosen without believing the rig: what the doctor observes.

People are looked for in whole pictures at a few instants; between them the person is followed in each view by itself,
from one crop to the next. Pictures are tried in all four orientations first, since people who lie on their side are
hardly found. 2D joints of another program's files are taken as they are. The rig is asked only where several people of
similar size are in view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from trivox.data.crops import cut, square_boxes
from trivox.doctor.evidence import Evidence, evidence_of, sampled
from trivox.errors import InputError
from trivox.files.videos import turned_picture
from trivox.files.views import Views, turned_points
from trivox.geometry.association import person_sizes_px
from trivox.geometry.cameras import Cameras
from trivox.geometry.keypoints import Keypoints2D, with_joined_skeleton
from trivox.geometry.skeletons import COCO_17
from trivox.options import DEFAULT_FPS
from trivox.people.boxes import CROP_MARGIN
from trivox.people.candidates import BYSTANDERS, find_candidates, gathered
from trivox.people.networks import CROP_HW, Joints2D, Networks
from trivox.progress import progress
from trivox.triangulate_files import detections_at

# Whole pictures are searched this often, in sampled instants.
_SEARCH_EVERY = 10
# Instants of a glance.
_GLANCES = 12
# Pictures whose orientation is tried, and by how much another must be better than that of the rig.
_TRIALS = 3
_CLEARLY_BETTER = 1.3
_SEEN = 0.2
# Somebody this much of the largest person's height could be meant as well.
_SIMILAR_SIZE = 0.5
_FEWEST_JOINTS = 5


def look_at(views: Views, fps: float, networks: Networks | None = None) -> Evidence:
    """Evidence from videos. Raises `InputError` where fewer than two views show a person."""
    networks = networks or Networks.load()
    frames, stretches = sampled(views.frame_count, fps)
    assert views.rig.cameras.image_hw is not None
    stored_hw = [(int(h), int(w)) for h, w in views.rig.cameras.image_hw.tolist()]
    turns = _orientations(views, frames, networks)
    starts = _searched(views, frames, turns, stored_hw, networks)
    joints = _followed(views, frames, turns, stored_hw, starts, networks)
    if int((joints.scores > _SEEN).any(-1).any(0).sum()) < 2:
        raise InputError(
            f"people are seen in fewer than two of the {len(views.paths)} videos; check that people are in view and "
            "at least a tenth of the picture's height"
        )
    points, scores = joints.points_px[:, :, None], joints.scores[:, :, None]
    return evidence_of(points, scores, frames, stretches, COCO_17, fps, views.rig.cameras.image_hw)


def glance_at(views: Views, networks: Networks) -> Evidence:
    """Evidence from a few instants, far apart, of pictures that are upright as the rig says; nobody may be seen."""
    assert views.rig.cameras.image_hw is not None
    stored_hw = [(int(h), int(w)) for h, w in views.rig.cameras.image_hw.tolist()]
    as_told = [0] * len(views.paths)
    step = max(1, views.frame_count // _GLANCES)
    frames = torch.arange(0, views.frame_count, step)[:_GLANCES]
    joints = []
    with progress("how the pictures fit", len(frames)) as advance:
        for instant in views.frames(stop=int(frames[-1]) + 1, step=step):
            found = networks.find_people(instant.pictures)
            member = _chosen(_stored(found, views, as_told, stored_hw)[None], views.rig.cameras)[0]
            own = _joints_in(instant.pictures, _boxes(found, member), networks)
            joints.append(_stored(own, views, as_told, stored_hw))
            advance(1)
    seen = Joints2D.stack(joints)
    points, scores = seen.points_px[:, :, None], seen.scores[:, :, None]
    # Each instant is a stretch of its own: nothing is read between them.
    alone = torch.arange(len(frames))
    return evidence_of(points, scores, frames, alone, COCO_17, views.fps or DEFAULT_FPS, views.rig.cameras.image_hw)


def read_from_files(views: Sequence[Keypoints2D], cameras: Cameras, fps: float) -> Evidence:
    """Evidence from the 2D keypoint files of the views. Raises `InputError` where fewer than two show a person.

    A result folder has only those joints that agreed with the calibration it was made with: too few to judge it by.
    """
    views = with_joined_skeleton(views)
    numbers = torch.cat([view.frames for view in views]).unique()
    at, stretches = sampled(len(numbers), fps)
    frames = numbers[at]
    detections = detections_at(views, frames)
    joints = gathered(detections, _chosen(detections, cameras)[:, None])
    if int((joints.scores > 0).any(-1).any(0).any(0).sum()) < 2:
        raise InputError(f"people are seen in fewer than two of the {len(views)} files of 2D joints; give other files")
    points, scores = joints.points_px.transpose(1, 2), joints.scores.transpose(1, 2)
    return evidence_of(points, scores, frames, stretches, views[0].skeleton, fps, cameras.image_hw)


def _orientations(views: Views, frames: Tensor, networks: Networks) -> list[int]:
    """Quarter turns, beyond those of the rig, with which people are seen best in each view."""
    at = frames[torch.linspace(0, len(frames) - 1, min(_TRIALS, len(frames))).long()].tolist()
    certainty = np.zeros((len(views.paths), 4))
    with progress("which way up", len(at)) as advance:
        for frame in at:
            pictures = next(iter(views.frames(start=frame, stop=frame + 1))).pictures
            for turn in range(4):
                found = networks.find_people(_pictures(pictures, [turn] * len(pictures)))
                certainty[:, turn] += found.scores.mean(-1).amax(-1).numpy()
            advance(1)
    best = certainty.argmax(1)
    better = certainty.max(1) > _CLEARLY_BETTER * certainty[:, 0]
    return [int(turn) if clear else 0 for turn, clear in zip(best, better, strict=True)]


def _pictures(pictures: Sequence[np.ndarray | None], turns: Sequence[int]) -> list[np.ndarray | None]:
    return [None if p is None else turned_picture(p, turn) for p, turn in zip(pictures, turns, strict=True)]


def _stored(joints: Joints2D, views: Views, turns: Sequence[int], stored_hw: Sequence[tuple[int, int]]) -> Joints2D:
    """Joints (V, ...) in pixels of the stored pictures, as they were before any turning."""
    total = [own + extra for own, extra in zip(views.rig.quarter_turns, turns, strict=True)]
    points = [
        turned_points(points.double(), turn, hw)
        for points, turn, hw in zip(joints.points_px, total, stored_hw, strict=True)
    ]
    return Joints2D(torch.stack(points), joints.scores.double())


def _searched(
    views: Views, frames: Tensor, turns: list[int], stored_hw: list[tuple[int, int]], networks: Networks
) -> dict[int, Int[Tensor, "V 4"]]:
    """Boxes around the person in the turned pictures, at some of the frames; empty where nobody is seen."""
    at = frames[::_SEARCH_EVERY].tolist()
    found: list[Joints2D] = []
    with progress("looking for people", len(at)) as advance:
        for frame in at:
            instant = next(iter(views.frames(start=frame, stop=frame + 1)))
            found.append(networks.find_people(_pictures(instant.pictures, turns)))
            advance(1)
    stored = Joints2D.stack([_stored(joints, views, turns, stored_hw) for joints in found])
    members = _chosen(stored, views.rig.cameras)
    return {frame: _boxes(joints, member) for frame, joints, member in zip(at, found, members, strict=True)}


def _boxes(found: Joints2D, member: Int[Tensor, " V"]) -> Int[Tensor, "V 4"]:
    """Around one of the people found (V, D) in each view; empty where there is none (-1)."""
    seen = (found.scores >= _SEEN) & (member >= 0)[:, None, None]
    return square_boxes(found.points_px, seen, CROP_MARGIN)[torch.arange(len(member)), member.clamp_min(0)]


def _chosen(found: Joints2D, cameras: Cameras) -> Int[Tensor, "S V"]:
    """Which detection (S, V, D) of each view to follow, -1 for none: the largest, or, among several of similar size,
    whom most views see."""
    scores = torch.where(found.scores >= _SEEN, found.scores, 0.0)
    is_person = (scores > 0).sum(-1) >= _FEWEST_JOINTS
    size = person_sizes_px(found.points_px, scores) * scores.mean(-1) * is_person
    largest = torch.where(is_person.any(-1), size.argmax(-1), -1)
    rivals = (size > _SIMILAR_SIZE * size.amax(-1, keepdim=True)).sum(-1).double()
    if bool((rivals.median(0).values <= 1).all()):
        return largest
    candidates = find_candidates(found, cameras, 1 + BYSTANDERS)
    member = candidates.members[:, 0]
    return torch.where(member >= 0, member, largest)


def _followed(
    views: Views,
    frames: Tensor,
    turns: list[int],
    stored_hw: list[tuple[int, int]],
    starts: dict[int, Int[Tensor, "V 4"]],
    networks: Networks,
) -> Joints2D:
    """Joints (F, V) in stored pixels: in crops around those of the instant before, or where a search has just found."""
    boxes = torch.zeros(len(turns), 4, dtype=torch.long)
    joints, wanted = [], frames.tolist()
    with progress("following", len(wanted)) as advance:
        for frame, pictures in _instants(views, wanted):
            if frame in starts:
                boxes = torch.where((starts[frame].sum(-1) > 0)[:, None], starts[frame], boxes)
            found = _joints_in(_pictures(pictures, turns), boxes, networks)
            seen = found.scores >= _SEEN
            boxes = square_boxes(found.points_px, seen & (seen.sum(-1) >= _FEWEST_JOINTS)[:, None], CROP_MARGIN)
            joints.append(_stored(found, views, turns, stored_hw))
            advance(1)
    return Joints2D.stack(joints)


def _instants(views: Views, wanted: list[int]) -> Iterator[tuple[int, list[np.ndarray | None]]]:
    """Pictures at these frames, read in runs of equal steps."""
    start = 0
    while start < len(wanted):
        step = wanted[start + 1] - wanted[start] if start + 1 < len(wanted) else 1
        end = start + 1
        while end < len(wanted) and wanted[end] - wanted[end - 1] == step:
            end += 1
        for instant in views.frames(start=wanted[start], stop=wanted[end - 1] + 1, step=step):
            yield instant.frame, instant.pictures
        start = end


def _joints_in(pictures: list[np.ndarray | None], boxes: Int[Tensor, "V 4"], networks: Networks) -> Joints2D:
    """Joints of the person in each box, in pixels of the picture; score 0 where the box or the picture is missing."""
    V, J = len(pictures), len(COCO_17)
    points, scores = torch.zeros(V, J, 2).double(), torch.zeros(V, J).double()
    boxed = (boxes[:, 2] > boxes[:, 0]).nonzero()[:, 0].tolist()
    crops = {v: cut(p, boxes[v].numpy(), CROP_HW) for v in boxed if (p := pictures[v]) is not None}
    filled = list(crops)
    if filled:
        found = networks.find_joints(np.stack(list(crops.values())))
        side = (boxes[filled, 2] - boxes[filled, 0]).double()[:, None, None] / CROP_HW[0]
        points[filled] = found.points_px.double() * side + boxes[filled, None, :2]
        scores[filled] = found.scores.double()
    return Joints2D(points, scores)
