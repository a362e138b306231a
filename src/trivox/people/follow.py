"""Keep each person in view: reproject the last pose, crop, find the joints, lift them, and go on.

The pose of one frame tells where to look in the next, so whole pictures are searched only when a person is lost.
The survey's anchors start each person, and decide whenever following and survey disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from trivox.data.crops import cut, square_boxes
from trivox.geometry.cameras import Cameras
from trivox.geometry.tensors import TensorDataclass
from trivox.geometry.triangulated import Triangulated
from trivox.lift import Method, lift
from trivox.people.candidates import CROP_MARGIN, centres_mm, find_candidates
from trivox.people.networks import CROP_HW, Joints2D, Networks
from trivox.people.survey import Survey

# A person with fewer valid joints than this is lost.
_LEAST_JOINTS = 6
# Another try at finding a lost person, this often.
_RETRIES_PER_S = 5.0
# An anchor this far from the followed person is another person, or the following went astray.
_ASTRAY_MM = 700.0
# Followed people whose joints are this close on average are one person, followed twice.
_SAME_PERSON_MM = 150.0
# A person who left the middle of the crop by this share of its side is cut again, once.
_OFF_CENTRE = 0.15
# Motion allowed between an anchor and a person found anew.
_FASTEST_MM_PER_S = 5000.0
_SLACK_MM = 500.0


@dataclass(frozen=True)
class Followed(TensorDataclass):
    """P people at one frame, or at F frames with a leading axis; joints in pixels of the upright pictures.

    A joint that is not valid, and a person who is lost, has zeros.
    """

    points_mm: Float[Tensor, "*f P J 3"]
    valid: Bool[Tensor, "*f P J"]
    confidence: Float[Tensor, "*f P J"]
    covariance_mm2: Float[Tensor, "*f P J 3 3"]
    points_px: Float[Tensor, "*f P V J 2"]
    scores: Float[Tensor, "*f P V J"]
    inliers: Bool[Tensor, "*f P V J"]
    reprojection_px: Float[Tensor, "*f P V J"]


@dataclass
class Follower:
    """Follows the people of a survey through the frames, which must come in order.

    The state is the last frame's poses alone (`points_mm`, `valid`), so following can be interrupted and resumed.
    """

    networks: Networks
    cameras: Cameras
    survey: Survey
    fps: float
    method: Method
    points_mm: Tensor
    valid: Tensor

    @classmethod
    def start(
        cls, networks: Networks, cameras: Cameras, survey: Survey, fps: float, method: Method, last: Followed | None
    ) -> Follower:
        """Begin at the first frame, or after the frame whose result is `last`."""
        if last is None:
            shape = survey.points_mm.shape[1:]
            return cls(
                networks, cameras, survey, fps, method, torch.zeros(shape).double(), torch.zeros(shape[:2]).bool()
            )
        return cls(networks, cameras, survey, fps, method, last.points_mm.double(), last.valid)

    def step(self, frame: int, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Followed:
        """Poses at the next frame."""
        self._take_anchors(frame)
        if not self._found().all() and frame % max(1, round(self.fps / _RETRIES_PER_S)) == 0:
            self._search(frame, pictures)
        boxes = self._boxes()
        result = self._look(pictures, boxes)
        self._remember(result)
        if _moved_off_centre(boxes, moved := self._boxes()):
            result = self._look(pictures, moved)
            self._remember(result)
        kept = self._found()
        return result.map(lambda t: t * kept.reshape(-1, *(1,) * (t.ndim - 1)))

    def _found(self) -> Bool[Tensor, "P"]:
        return self.valid.sum(-1) >= _LEAST_JOINTS

    def _take_anchors(self, frame: int) -> None:
        """Where the survey has this frame: start from it if lost; believe it, if it is sure, when far from it."""
        at = (self.survey.frames == frame).nonzero()
        if len(at) == 0:
            return
        anchor, anchor_valid = self.survey.points_mm[at[0, 0]], self.survey.valid[at[0, 0]]
        far = (centres_mm(anchor, anchor_valid) - centres_mm(self.points_mm, self.valid)).norm(dim=-1) > _ASTRAY_MM
        take = anchor_valid.any(-1) & (~self._found() | (far & self.survey.linked[at[0, 0]]))
        self.points_mm = torch.where(take[:, None, None], anchor, self.points_mm)
        self.valid = torch.where(take[:, None], anchor_valid, self.valid)

    def _search(self, frame: int, pictures: Sequence[np.ndarray]) -> None:
        """Give each lost person the nearest candidate that nobody has and that its nearest anchor can have reached."""
        detections = self.networks.find_people(pictures)
        candidates = find_candidates(detections.map(lambda t: t[None]), self.cameras, detections.scores.shape[1])
        centres, free = candidates.centres_mm[0], candidates.worth[0] > 0
        found = self._found()
        taken = centres_mm(self.points_mm, self.valid)[found]
        free &= (torch.cdist(centres, taken) > _ASTRAY_MM).all(-1)
        expected, reach_mm = self._expected_centres(frame)
        distances = torch.cdist(expected, centres)
        for person in (~found).nonzero()[:, 0].tolist():
            distance = torch.where(free, distances[person], torch.inf)
            if len(distance) == 0 or distance.min() > reach_mm[person]:
                continue
            best = int(distance.argmin())
            free[best] = False
            self.points_mm[person], self.valid[person] = candidates.points_mm[0, best], candidates.valid[0, best]

    def _expected_centres(self, frame: int) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P"]]:
        """Centre of each person's anchor nearest in time, and how far the person may be from it by now."""
        present = self.survey.valid.any(-1)
        away = (self.survey.frames - frame).abs()[:, None].expand_as(present)
        nearest = torch.where(present, away, torch.iinfo(torch.int64).max).argmin(0)
        person = torch.arange(present.shape[1])
        centres = centres_mm(self.survey.points_mm[nearest, person], self.survey.valid[nearest, person])
        reach_mm = away[nearest, person] / self.fps * _FASTEST_MM_PER_S + _SLACK_MM
        return centres, torch.where(present.any(0), reach_mm, -1.0)

    def _boxes(self) -> Int[Tensor, "P V 4"]:
        """Where each view should see each person; empty where it does not."""
        P, J = self.valid.shape
        V = self.cameras.batch_shape[0]
        flat = self.points_mm.reshape(1, P * J, 3).expand(V, -1, -1)
        points_px = self.cameras.project(flat).reshape(V, P, J, 2).transpose(0, 1)
        in_front = (self.cameras.depth_mm(flat) > 0).reshape(V, P, J).transpose(0, 1)
        boxes = square_boxes(points_px, self.valid[:, None] & in_front, CROP_MARGIN)
        assert self.cameras.image_hw is not None
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        inside = ((centre > 0) & (centre < self.cameras.image_hw.flip(-1))).all(-1)
        return boxes * inside[..., None]

    def _look(self, pictures: Sequence[np.ndarray], boxes: Int[Tensor, "P V 4"]) -> Followed:
        joints, sides = self._joints(pictures, boxes)
        found: Triangulated = lift(joints.points_px, joints.scores, self.cameras, sides, self.method)
        return Followed(
            found.points_mm,
            found.valid,
            found.confidence,
            found.covariance_mm2,
            joints.points_px,
            joints.scores,
            found.inliers,
            found.reprojection_px,
        )

    def _joints(self, pictures: Sequence[np.ndarray], boxes: Tensor) -> tuple[Joints2D, Float[Tensor, "P V"]]:
        """Joints in pixels of the upright pictures, and the sides of the crops they were found in."""
        P, V, _ = boxes.shape
        sides = (boxes[..., 2] - boxes[..., 0]).double()
        J = self.valid.shape[1]
        points, scores = torch.zeros(P, V, J, 2).double(), torch.zeros(P, V, J).double()
        person, view = (sides > 0).nonzero(as_tuple=True)
        if len(person) > 0:
            crops = [cut(pictures[v], boxes[p, v].numpy(), CROP_HW) for p, v in zip(person, view, strict=True)]
            found = self.networks.find_joints(np.stack(crops))
            scale = (sides[person, view] / CROP_HW[0])[:, None, None]
            points[person, view] = found.points_px * scale + boxes[person, view, None, :2]
            scores[person, view] = found.scores.double()
        return Joints2D(points, scores), sides

    def _remember(self, result: Followed) -> None:
        self.points_mm, self.valid = result.points_mm, result.valid.clone()
        self.valid &= self._found()[:, None]
        self.valid &= ~_followed_twice(self.points_mm, self.valid)[:, None]


def _moved_off_centre(before: Int[Tensor, "P V 4"], after: Int[Tensor, "P V 4"]) -> bool:
    """Whether somebody left the middle of a crop, so that a second look is worth its time."""
    sides = (before[..., 2] - before[..., 0]).clamp_min(1)
    shift = ((before[..., :2] + before[..., 2:]) - (after[..., :2] + after[..., 2:])).abs().amax(-1) / 2
    in_both = (before[..., 2] > before[..., 0]) & (after[..., 2] > after[..., 0])
    return bool((in_both & (shift > _OFF_CENTRE * sides)).any())


def _followed_twice(points_mm: Tensor, valid: Tensor) -> Bool[Tensor, "P"]:
    """People whose joints coincide with those of a person before them."""
    both = valid[:, None] & valid[None]
    distances = (points_mm[:, None] - points_mm[None]).norm(dim=-1)
    mean_mm = (distances * both).sum(-1) / both.sum(-1).clamp_min(1)
    same = (mean_mm < _SAME_PERSON_MM) & (both.sum(-1) >= _LEAST_JOINTS)
    return same.tril(-1).any(-1)
