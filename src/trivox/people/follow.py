"""Keep each person in view: predict where they will be, crop, find the joints, lift them, and go on.

The poses of the last frames tell where to look in the next, so whole pictures are searched only when a person is lost:
at once, and a few times a second from then on. Of several looks at a person the one on whose joints the views agree
most is kept. The survey's anchors start each person, and undo a swap of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from trivox.data.crops import cut
from trivox.geometry.bones import at_endless_bone
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17
from trivox.geometry.tensors import TensorDataclass
from trivox.lift import LEAST_SCORE, REFERENCE_PX, THRESHOLD_PX, Method, lift
from trivox.models.views import in_views
from trivox.people.boxes import boxes_around
from trivox.people.candidates import LEAST_JOINTS, centres_mm, distances_mm, find_candidates
from trivox.people.followed import Followed, Seen, Track
from trivox.people.networks import CROP_HW, Joints2D, Networks
from trivox.people.survey import Survey

# A lost person is searched for at once, and then this often.
_SEARCHES_PER_S = 5.0
# So long a lost person is looked for where they were heading, in every frame, ...
_COAST_S = 0.5
# ... and so long around there in whole pictures, also where the survey has no later anchor.
_MEMORY_S = 2.0
# An anchor this far from the followed person is another person, or the following went astray. It is believed if its
# look is nearly as good.
_ASTRAY_MM = 700.0
_NEARLY = 0.8
# Joints this close on average are one person's: followed twice, or close enough to be taken for one another.
_SAME_PERSON_MM = 150.0
_SAME_PLACE_MM = 300.0
# A person who left the middle of the crop by this share of its side is cut again, once.
_OFF_CENTRE = 0.15
# From one frame to the next a person is found no farther from the prediction than a sprint takes, plus the noise of the
# joints; farther by a walk for each frame without them.
_FASTEST_MM_PER_S = 5000.0
_NOISE_MM = 250.0
_WALK_MM_PER_S = 1000.0
# A velocity is the mean of about this time; the joints of single frames jitter.
_VELOCITY_S = 0.1
# A lost person is searched for this far from the straight line between two anchors, half a second apart.
_REACH_MM = 1000.0
# One who is about to enter, or was just lost: this far from there, and farther by this much for each second between.
_ENTRY_REACH_MM = 300.0
_LOST_REACH_MM = 600.0
_ENTRY_MM_PER_S = 2000.0

_BONES = torch.tensor(COCO_17.bone_indices)


@dataclass(frozen=True)
class _Look(TensorDataclass):
    """What the crops of P people in `boxes` gave.

    `agreement` is the mean score of all joints in all views that made a point of the person, 0 where what was found is
    not the person looked for.
    """

    boxes: Int[Tensor, "*looks P V 4"]
    result: Followed
    agreement: Float[Tensor, "*looks P"]
    seen: Seen | None


@dataclass
class Follower:
    """Follows the people of a survey through the frames, which must come in order.

    The state follows from the poses of the last seconds, so following can be interrupted and resumed: where each
    person was last (`points_mm`, `valid`), how they moved (`velocity_mm` per frame), and for how many frames they
    have been missing. `seen` is what the network saw of the last frame, where it keeps that for a model.
    """

    networks: Networks
    cameras: Cameras
    survey: Survey
    fps: float
    method: Method
    points_mm: Float[Tensor, "P J 3"]
    valid: Bool[Tensor, "P J"]
    velocity_mm: Float[Tensor, "P 3"]
    missing: Int[Tensor, "P"]
    seen: Seen | None = None

    @classmethod
    def start(
        cls,
        networks: Networks,
        cameras: Cameras,
        survey: Survey,
        fps: float,
        method: Method,
        earlier: Followed | None,
    ) -> Follower:
        """Begin at the first frame, or after those whose results are `earlier` (at least the last `frames_needed`)."""
        P, J = survey.valid.shape[1:]
        points, valid = torch.zeros(P, J, 3).double(), torch.zeros(P, J).bool()
        follower = cls(
            networks, cameras, survey, fps, method, points, valid, points[:, 0], torch.zeros(P, dtype=torch.long)
        )
        if earlier is not None:
            for frame in range(len(earlier.valid)):
                track = earlier.followed[frame]
                follower._remember(Track(track.points_mm.double(), track.valid))
        return follower

    @staticmethod
    def frames_needed(fps: float) -> int:
        """How many of the last frames decide how following goes on."""
        return round((_MEMORY_S + 20 * _VELOCITY_S) * fps) + 2

    def step(self, frame: int, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None]) -> Followed:
        """Poses at the next frame; nobody where fewer than two views have a picture."""
        anchors = self._anchors(frame)
        expected = self._expected(anchors)
        bystanders = self._bystanders(frame)
        best = self._look(pictures, expected, expected, bystanders)
        again = self._off_centre(best)
        if again.valid.any():
            best = _better(best, self._look(pictures, again, expected, bystanders))
        doubted = self._doubted(best, anchors)
        if doubted.valid.any():
            best = _better(best, self._look(pictures, doubted, doubted, bystanders), _NEARLY)
        due = (best.agreement == 0) & self._search_is_due(frame)
        if due.any() and sum(picture is not None for picture in pictures) >= 2:
            sighted = self._search(frame, pictures, due, best, bystanders)
            best = _better(best, self._look(pictures, sighted, sighted, bystanders))
        found = (best.agreement > 0) & ~_followed_twice(best.result, expected, self.missing)
        result = best.result.map(lambda t: t * found.reshape(-1, *(1,) * (t.ndim - 1)))
        self._remember(Track(result.points_mm, result.valid))
        self.seen = best.seen
        return result

    def _remember(self, track: Track) -> None:
        """Take the poses of one more frame. A joint at a bone that nobody has would lead astray."""
        valid = track.valid & ~at_endless_bone(track.points_mm, track.valid, _BONES)
        found = valid.sum(-1) >= LEAST_JOINTS
        both = valid & self.valid
        step_mm = ((track.points_mm - self.points_mm) * both[..., None]).sum(-2) / both.sum(-1, keepdim=True).clamp_min(
            1
        )
        share = min(1.0, 1 / (_VELOCITY_S * self.fps))
        velocity = torch.lerp(self.velocity_mm, step_mm / (self.missing + 1)[:, None], share)
        known = found & (both.sum(-1) >= LEAST_JOINTS) & (self.missing <= _COAST_S * self.fps)
        self.velocity_mm = torch.where(known[:, None], velocity, self.velocity_mm * ~found[:, None])
        self.points_mm = torch.where(found[:, None, None], track.points_mm, self.points_mm)
        self.valid = torch.where(found[:, None], valid, self.valid)
        self.missing = torch.where(found, 0, self.missing + 1)

    def _anchors(self, frame: int) -> Track:
        """The survey's poses of this frame, nobody's where it has none."""
        at = (self.survey.frames == frame).nonzero()
        if len(at) == 0:
            return Track(torch.zeros_like(self.points_mm), torch.zeros_like(self.valid))
        return Track(self.survey.points_mm[at[0, 0]], self.survey.valid[at[0, 0]])

    def _expected(self, anchors: Track) -> Track:
        """Where each person should be now: moved on, or at the anchor where they are not known or on somebody else."""
        remembered = self.missing <= _COAST_S * self.fps
        ahead = (self.missing + 1).clamp_max(max(1, round(_VELOCITY_S * self.fps)))
        points = self.points_mm + (self.velocity_mm * ahead[:, None])[:, None]
        valid = self.valid & remembered[:, None]
        apart_mm = distances_mm(points, valid, anchors.points_mm, anchors.valid)
        nearest_mm = apart_mm.amin(1)
        swapped = (nearest_mm < apart_mm.diagonal()) & apart_mm.diagonal().isfinite() & (nearest_mm < _SAME_PLACE_MM)
        take = anchors.valid.any(-1) & (swapped | ~valid.any(-1))
        return Track(
            torch.where(take[:, None, None], anchors.points_mm, points),
            torch.where(take[:, None], anchors.valid, valid),
        )

    def _off_centre(self, look: _Look) -> Track:
        """The people who left the middle of a crop, where they were found: worth a second look."""
        usable = look.result.valid & ~at_endless_bone(look.result.points_mm, look.result.valid, _BONES)
        now = boxes_around(look.result.points_mm, usable, self.cameras)
        return Track(look.result.points_mm, usable & _moved_off_centre(look.boxes, now)[:, None])

    def _doubted(self, look: _Look, anchors: Track) -> Track:
        """Anchors of people who were not found, or far from there."""
        apart_mm = distances_mm(look.result.points_mm, look.result.valid, anchors.points_mm, anchors.valid).diagonal()
        astray = (look.agreement == 0) | (apart_mm.isfinite() & (apart_mm > _ASTRAY_MM))
        return Track(anchors.points_mm, anchors.valid & astray[:, None])

    def _search_is_due(self, frame: int) -> Bool[Tensor, "P"]:
        """In the first frame without a person and every so often from then on, where they may be."""
        every = max(1, int(self.fps / _SEARCHES_PER_S))
        places = [reach_mm for _, reach_mm in self._places(frame)]
        return (self.missing % every == 0) & (torch.stack(places) > 0).any(0)

    def _search(
        self,
        frame: int,
        pictures: Sequence[np.ndarray | None],
        due: Bool[Tensor, "P"],
        look: _Look,
        bystanders_mm: Float[Tensor, "M 3"],
    ) -> Track:
        """Give each lost person the nearest candidate in whole pictures that nobody has or is nearer to."""
        detections = self.networks.find_people(pictures)
        instant = find_candidates(detections.map(lambda t: t[None]), self.cameras, detections.scores.shape[1])
        candidates, centres = Track(instant.points_mm[0], instant.valid[0]), instant.centres_mm[0]
        if len(centres) == 0:
            return Track(self.points_mm, torch.zeros_like(self.valid))
        found = look.result.valid & (look.agreement > 0)[:, None]
        to_found = distances_mm(candidates.points_mm, candidates.valid, look.result.points_mm, found)
        free = (instant.worth[0] > 0) & (to_found > _SAME_PLACE_MM).all(1)
        share = torch.stack(
            [
                torch.cdist(places, centres) / reach_mm.clamp_min(1e-9)[:, None]
                for places, reach_mm in self._places(frame)
            ]
        ).amin(0)
        share = torch.where(free & (share <= 1) & due[:, None], share, torch.inf)
        if len(bystanders_mm) > 0:
            to_bystander_mm = torch.cdist(centres, bystanders_mm).amin(1)
            share = torch.where(share < to_bystander_mm / _SAME_PLACE_MM, share, torch.inf)
        belongs = (share == share.amin(0)) & share.isfinite()
        best = torch.where(belongs, share, torch.inf).argmin(1)
        person = torch.arange(len(due))
        return Track(candidates.points_mm[best], candidates.valid[best] & belongs[person, best][:, None])

    def _places(self, frame: int) -> tuple[tuple[Float[Tensor, "P 3"], Float[Tensor, "P"]], ...]:
        """Where each person may be at this frame, and how far from there to search; 0 for who is not there.

        By the survey: between two anchors on the line between them, before the first of them near it, the nearer in
        time the nearer in space. By the following: where the person was lost, for a while.
        """
        before = int((self.survey.frames <= frame).sum()) - 1
        after = min(before + 1, len(self.survey.frames) - 1)
        centres = centres_mm(self.survey.points_mm, self.survey.valid)
        start, end = int(self.survey.frames[before]), int(self.survey.frames[after])
        between = torch.lerp(centres[before], centres[after], min((frame - start) / max(1, end - start), 1.0))
        both = self.survey.present[before] & self.survey.present[after]
        reach_mm = torch.where(both, _REACH_MM, _ENTRY_REACH_MM + _ENTRY_MM_PER_S * (end - frame) / self.fps)
        by_survey = torch.where(both[:, None], between, centres[after])
        lost_mm = _LOST_REACH_MM + _ENTRY_MM_PER_S * self.missing.double() / self.fps
        remembered = self.valid.any(-1) & (self.missing <= _MEMORY_S * self.fps)
        return (
            (by_survey, torch.where(self.survey.present[after], reach_mm, 0.0).double()),
            (centres_mm(self.points_mm, self.valid), torch.where(remembered, lost_mm.clamp_max(_REACH_MM), 0.0)),
        )

    def _bystanders(self, frame: int) -> Float[Tensor, "M 3"]:
        """Where people who are not followed stand: on the line between two anchors."""
        others, frames = self.survey.bystanders, self.survey.frames
        if others is None:
            return torch.zeros(0, 3).double()
        before = int((frames <= frame).sum()) - 1
        after = min(before + 1, len(frames) - 1)
        centres = centres_mm(others.points_mm, others.valid)
        part = (frame - int(frames[before])) / max(1, int(frames[after]) - int(frames[before]))
        both = others.present[before] & others.present[after]
        return torch.lerp(centres[before], centres[after], min(part, 1.0))[both]

    def _look(
        self, pictures: Sequence[np.ndarray | None], at: Track, expected: Track, bystanders_mm: Float[Tensor, "M 3"]
    ) -> _Look:
        """Crops around the people `at`; who is not where they are expected is somebody else."""
        boxes = boxes_around(at.points_mm, at.valid, self.cameras)
        boxes = boxes * torch.tensor([picture is not None for picture in pictures])[:, None]
        joints, sides, seen = self._joints(pictures, boxes)
        result = self._lifted(joints, sides)
        if (others := _views_of_others(result, sides)).any():
            joints = Joints2D(
                joints.points_px * ~others[..., None, None], joints.scores * ~others[..., None], joints.views
            )
            result = self._lifted(joints, sides)
            seen = None if seen is None else replace(seen, boxes=seen.boxes * ~others[..., None])
        usable = result.valid & ~at_endless_bone(result.points_mm, result.valid, _BONES)
        agreement = (joints.scores * result.inliers * usable[:, None]).mean((-2, -1))
        apart_mm = distances_mm(result.points_mm, usable, expected.points_mm, expected.valid).diagonal()
        reach_mm = _NOISE_MM + (_FASTEST_MM_PER_S + _WALK_MM_PER_S * self.missing) / self.fps
        theirs = (usable.sum(-1) >= LEAST_JOINTS) & ~(apart_mm.isfinite() & (apart_mm > reach_mm))
        if len(bystanders_mm) > 0:
            to_bystander_mm = torch.cdist(centres_mm(result.points_mm, usable), bystanders_mm).amin(1)
            theirs &= ~((apart_mm > _NOISE_MM) & apart_mm.isfinite() & (to_bystander_mm < apart_mm / 2))
        return _Look(boxes, result, agreement * theirs, seen)

    def _lifted(self, joints: Joints2D, sides: Float[Tensor, "P V"]) -> Followed:
        found = lift(joints.points_px, joints.scores, self.cameras, sides, self.method)
        return Followed.from_lifted(joints, found)

    def _joints(
        self, pictures: Sequence[np.ndarray | None], boxes: Int[Tensor, "P V 4"]
    ) -> tuple[Joints2D, Float[Tensor, "P V"], Seen | None]:
        """Joints in pixels of the upright pictures, the sides of the crops they were found in, and what was seen."""
        P, V, _ = boxes.shape
        sides = (boxes[..., 2] - boxes[..., 0]).double()
        J = self.valid.shape[1]
        points, scores = torch.zeros(P, V, J, 2).double(), torch.zeros(P, V, J).double()
        person, view = (sides > 0).nonzero(as_tuple=True)
        seen = None
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
                seen = Seen(boxes, found.views.map(lambda t: in_views(t, (sides > 0).to(t.device))))
        return Joints2D(points, scores), sides, seen


def _views_of_others(result: Followed, sides_px: Float[Tensor, "P V"]) -> Bool[Tensor, "P V"]:
    """Views most of whose joints are not where the other views have them: their crops show somebody else.

    The few that agree do so by chance, and would draw the joint there. Two views are always left.
    """
    told = (result.scores >= LEAST_SCORE) & result.valid[:, None]
    agree = told & (result.reprojection_px <= THRESHOLD_PX * sides_px[..., None] / REFERENCE_PX)
    others = (told.sum(-1) >= LEAST_JOINTS) & (2 * agree.sum(-1) < told.sum(-1))
    left = (told.any(-1) & ~others).sum(-1)
    return others & (left >= 2)[:, None]


def _better(first: _Look, second: _Look, share: float = 1.0) -> _Look:
    """Of each person the second look where it is better than this share of the first."""
    take = second.agreement > share * first.agreement
    if not take.any():
        return first
    if first.seen is None and second.seen is not None:
        return second  # nobody was looked at before
    return _Look.stack([first, second])[take.long(), torch.arange(len(take))]


def _moved_off_centre(before: Int[Tensor, "P V 4"], after: Int[Tensor, "P V 4"]) -> Bool[Tensor, "P"]:
    """Who left the middle of a crop, so that a second look is worth its time."""
    sides = (before[..., 2] - before[..., 0]).clamp_min(1)
    shift = ((before[..., :2] + before[..., 2:]) - (after[..., :2] + after[..., 2:])).abs().amax(-1) / 2
    in_both = (before[..., 2] > before[..., 0]) & (after[..., 2] > after[..., 0])
    return (in_both & (shift > _OFF_CENTRE * sides)).any(-1)


def _followed_twice(result: Followed, expected: Track, missing: Int[Tensor, "P"]) -> Bool[Tensor, "P"]:
    """People whose joints coincide with those of somebody who was expected there with more right."""
    same = distances_mm(result.points_mm, result.valid, result.points_mm, result.valid) < _SAME_PERSON_MM
    apart_mm = distances_mm(result.points_mm, result.valid, expected.points_mm, expected.valid).diagonal()
    claim = torch.where(missing > 0, torch.inf, apart_mm)
    order = torch.arange(len(claim))
    stronger = (claim[None] < claim[:, None]) | ((claim[None] == claim[:, None]) & (order[None] < order[:, None]))
    return (same & stronger).any(1)
