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

from trivox.data.crops import cut
from trivox.geometry.cameras import Cameras
from trivox.lift import Method, lift
from trivox.models.views import in_views
from trivox.people.boxes import boxes_around
from trivox.people.candidates import LEAST_JOINTS, centres_mm, find_candidates
from trivox.people.followed import Followed, Seen
from trivox.people.networks import CROP_HW, Joints2D, Networks
from trivox.people.survey import Survey

# Another try at finding a lost person, this often.
_RETRIES_PER_S = 5.0
# An anchor this far from the followed person is another person, or the following went astray.
_ASTRAY_MM = 700.0
# Followed people whose joints are this close on average are one person, followed twice.
_SAME_PERSON_MM = 150.0
# A person who left the middle of the crop by this share of its side is cut again, once.
_OFF_CENTRE = 0.15
# Between two frames a person moves no faster than this, give or take the noise; who does is somebody else.
_FASTEST_MM_PER_S = 5000.0
_NOISE_MM = 250.0
# A lost person is looked for this far from the straight line between two anchors, half a second apart.
_REACH_MM = 1000.0
# One who is about to enter: this far from the first anchor, and farther by this much for each second until then.
_ENTRY_REACH_MM = 300.0
_ENTRY_MM_PER_S = 2000.0


@dataclass
class Follower:
    """Follows the people of a survey through the frames, which must come in order.

    The state is the last frame's poses alone (`points_mm`, `valid`), so following can be interrupted and resumed.
    `seen` is what the network saw of the last frame, where it keeps that for a model.
    """

    networks: Networks
    cameras: Cameras
    survey: Survey
    fps: float
    method: Method
    points_mm: Tensor
    valid: Tensor
    seen: Seen | None = None

    @classmethod
    def start(
        cls,
        networks: Networks,
        cameras: Cameras,
        survey: Survey,
        fps: float,
        method: Method,
        last: Followed | None,
    ) -> Follower:
        """Begin at the first frame, or after the frame whose result is `last`."""
        if last is None:
            shape = survey.points_mm.shape[1:]
            return cls(
                networks,
                cameras,
                survey,
                fps,
                method,
                torch.zeros(shape).double(),
                torch.zeros(shape[:2]).bool(),
            )
        before = last.followed
        return cls(networks, cameras, survey, fps, method, before.points_mm.double(), before.valid)

    def step(self, frame: int, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None]) -> Followed:
        """Poses at the next frame; nobody where fewer than two views have a picture, and then following waits."""
        if sum(picture is not None for picture in pictures) < 2:
            return self._look([None] * len(pictures), self._boxes())
        self._take_anchors(frame)
        if not self._found().all() and frame % max(1, round(self.fps / _RETRIES_PER_S)) == 0:
            self._search(frame, pictures)
        before_mm, seen_before = self.points_mm, self.valid
        boxes = self._boxes()
        result = self._look(pictures, boxes)
        self._remember(result)
        if _moved_off_centre(boxes, moved := self._boxes()):
            result = self._look(pictures, moved)
            self._remember(result)
        steps_mm = _distances_mm(self.points_mm, self.valid, before_mm, seen_before).diagonal()
        too_fast = steps_mm.isfinite() & (steps_mm > _FASTEST_MM_PER_S / self.fps + _NOISE_MM)
        self.valid = self.valid & ~too_fast[:, None]
        kept = self._found()
        return result.map(lambda t: t * kept.reshape(-1, *(1,) * (t.ndim - 1)))

    def _found(self) -> Bool[Tensor, "P"]:
        return self.valid.sum(-1) >= LEAST_JOINTS

    def _take_anchors(self, frame: int) -> None:
        """Where the survey has this frame: start from it if lost; believe it if far from it, or on somebody else."""
        at = (self.survey.frames == frame).nonzero()
        if len(at) == 0:
            return
        anchor, anchor_valid = self.survey.points_mm[at[0, 0]], self.survey.valid[at[0, 0]]
        apart_mm = _distances_mm(self.points_mm, self.valid, anchor, anchor_valid)
        own_mm = apart_mm.diagonal()
        astray = own_mm.isfinite() & ((own_mm > _ASTRAY_MM) | (apart_mm.amin(1) < own_mm))
        take = anchor_valid.any(-1) & (~self._found() | astray)
        self.points_mm = torch.where(take[:, None, None], anchor, self.points_mm)
        self.valid = torch.where(take[:, None], anchor_valid, self.valid)

    def _search(self, frame: int, pictures: Sequence[np.ndarray | None]) -> None:
        """Give each lost person who must be there the nearest candidate that nobody has or is nearer to."""
        places_mm, reach_mm = self._places(frame)
        missing = ~self._found() & (reach_mm >= 0)
        if not missing.any():
            return
        detections = self.networks.find_people(pictures)
        candidates = find_candidates(detections.map(lambda t: t[None]), self.cameras, detections.scores.shape[1])
        centres = candidates.centres_mm[0]
        taken = centres_mm(self.points_mm, self.valid)[self._found()]
        free = (candidates.worth[0] > 0) & (torch.cdist(centres, taken) > _ASTRAY_MM).all(-1)
        distances_mm = torch.cdist(places_mm, centres)
        distances_mm = torch.where(free & (distances_mm <= reach_mm[:, None]), distances_mm, torch.inf)
        belongs_to = distances_mm.argmin(0)
        for person in missing.nonzero()[:, 0].tolist():
            distance_mm = torch.where(belongs_to == person, distances_mm[person], torch.inf)
            best = int(distance_mm.argmin())
            if distance_mm[best].isfinite():
                self.points_mm[person], self.valid[person] = candidates.points_mm[0, best], candidates.valid[0, best]

    def _anchors_around(self, frame: int) -> tuple[int, int]:
        """Indices of the survey's instants before (or at) this frame and after it."""
        before = int((self.survey.frames <= frame).sum()) - 1
        return before, min(before + 1, len(self.survey.frames) - 1)

    def _places(self, frame: int) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P"]]:
        """Where each person should be at this frame, and how far from there to look; negative for who is not there.

        Between two anchors: on the line between them. Before the first of them: near it, the nearer in time the
        nearer in space. After the last one the person is gone: whoever stands there is somebody else.
        """
        before, after = self._anchors_around(frame)
        centres = centres_mm(self.survey.points_mm, self.survey.valid)
        start, end = int(self.survey.frames[before]), int(self.survey.frames[after])
        between = torch.lerp(centres[before], centres[after], min((frame - start) / max(1, end - start), 1.0))
        both = self.survey.present[before] & self.survey.present[after]
        reach_mm = torch.where(both, _REACH_MM, _ENTRY_REACH_MM + _ENTRY_MM_PER_S * (end - frame) / self.fps)
        places = torch.where(both[:, None], between, centres[after])
        return places, torch.where(self.survey.present[after], reach_mm.double(), -1.0)

    def _boxes(self) -> Int[Tensor, "P V 4"]:
        """Where each view should see each person; empty where it does not."""
        return boxes_around(self.points_mm, self.valid, self.cameras)

    def _look(self, pictures: Sequence[np.ndarray | None], boxes: Int[Tensor, "P V 4"]) -> Followed:
        boxes = boxes * torch.tensor([picture is not None for picture in pictures])[:, None]
        joints, sides = self._joints(pictures, boxes)
        found = lift(joints.points_px, joints.scores, self.cameras, sides, self.method)
        return Followed.from_lifted(joints, found)

    def _joints(self, pictures: Sequence[np.ndarray | None], boxes: Tensor) -> tuple[Joints2D, Float[Tensor, "P V"]]:
        """Joints in pixels of the upright pictures, and the sides of the crops they were found in."""
        self.seen = None
        P, V, _ = boxes.shape
        sides = (boxes[..., 2] - boxes[..., 0]).double()
        J = self.valid.shape[1]
        points, scores = torch.zeros(P, V, J, 2).double(), torch.zeros(P, V, J).double()
        person, view = (sides > 0).nonzero(as_tuple=True)
        if len(person) > 0:
            crops = [
                cut(picture, boxes[p, v].numpy(), CROP_HW)
                for p, v in zip(person.tolist(), view.tolist(), strict=True)
                if (picture := pictures[v]) is not None
            ]
            found = self.networks.find_joints(np.stack(crops))
            scale = (sides[person, view] / CROP_HW[0])[:, None, None]
            points[person, view] = found.points_px * scale + boxes[person, view, None, :2]
            scores[person, view] = found.scores.double()
            if found.views is not None:
                self.seen = Seen(boxes, found.views.map(lambda t: in_views(t, (sides > 0).to(t.device))))
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


def _distances_mm(
    points_mm: Float[Tensor, "P J 3"],
    valid: Bool[Tensor, "P J"],
    others_mm: Float[Tensor, "Q J 3"],
    others_valid: Bool[Tensor, "Q J"],
) -> Float[Tensor, "P Q"]:
    """Mean distance over the joints that both have; infinite where those are too few to tell."""
    both = valid[:, None] & others_valid[None]
    distances = (points_mm[:, None] - others_mm[None]).norm(dim=-1)
    mean_mm = (distances * both).sum(-1) / both.sum(-1).clamp_min(1)
    return torch.where(both.sum(-1) >= LEAST_JOINTS, mean_mm, torch.inf)


def _followed_twice(points_mm: Float[Tensor, "P J 3"], valid: Bool[Tensor, "P J"]) -> Bool[Tensor, "P"]:
    """People whose joints coincide with those of a person before them."""
    return (_distances_mm(points_mm, valid, points_mm, valid) < _SAME_PERSON_MM).tril(-1).any(-1)
