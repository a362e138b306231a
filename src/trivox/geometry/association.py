"""Which detections in the views are the same person? Decided by geometry alone, for many instants at once.

Every pair of detections from two views is a hypothesis: its joints are triangulated and projected into all views,
and each view contributes the detection that agrees best. People are then taken greedily, best supported first.
Bystanders seen by a single camera, empty views and false detections simply find no partner.

Agreement of a detection with a hypothesis is the weighted share of joints that lie near its projection, from 0 to
1: sum of w max(0, 1 - (distance / (tolerance x person size))^2) / sum of w. The person's own size in the picture
sets the scale, so that near and far people, and large and small pictures, are judged alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.bones import at_endless_bone
from trivox.geometry.cameras import Cameras
from trivox.geometry.tensors import TensorDataclass
from trivox.geometry.triangulation import triangulate

# A joint may miss its projection by this share of the person's size: twice the error of a coarse detector.
_TOLERANCE = 0.10
# How much of its agreement a detection loses for joints it does not show: a pair of legs that a detector reports beside
# the whole person agrees as well, and must not come first.
_EVIDENCE_SHARE = 0.25
# Below this agreement a detection is somebody else.
_LEAST_AGREEMENT = 0.35
# Fewer joints than this cannot tell two people apart.
_LEAST_JOINTS = 4
_LEAST_SCORE = 0.15
# A person's detected joints span this much in the world; other sizes are accidental intersections of rays.
_PERSON_EXTENT_MM = (250.0, 3500.0)
# Pairs kept as hypotheses, the best agreeing first: bounds the work for dozens of cameras.
_MOST_HYPOTHESES = 96


@dataclass(frozen=True)
class AssociatedPeople(TensorDataclass):
    """`members[f, p, v]` is the detection in view v that belongs to person p of instant f, or -1 for none.

    People come best supported first; `support` is the sum over views of their agreement, each a
    little less for the joints it does not show; 0 where there is no further person.
    """

    members: Int[Tensor, "F P V"]
    support: Float[Tensor, "F P"]

    @property
    def view_counts(self) -> Int[Tensor, "F P"]:
        return (self.members >= 0).sum(-1)


@dataclass(frozen=True)
class _Hypotheses(TensorDataclass):
    """H candidate people per instant: their joints, the joints' weights, and the two detections they came from."""

    points_mm: Float[Tensor, "F H J 3"]
    weights: Float[Tensor, "F H J"]
    views: Int[Tensor, "F H 2"]
    detections: Int[Tensor, "F H 2"]
    plausible: Bool[Tensor, "F H"]


def associate(
    points_px: Float[Tensor, "F V D J 2"],
    scores: Float[Tensor, "F V D J"],
    cameras: Cameras,
    most_people: int,
    bones: Int[Tensor, "B 2"] | None = None,
) -> AssociatedPeople:
    """Group the D detections of each of V views into at most `most_people` people per instant.

    Two detections that together have `bones` (pairs of joints) longer than any person's speak of two people.

    `scores` 0 marks an absent joint or detection; `cameras` has batch shape (V,). Returns people with at least
    two views. Views, detections and joints may come in any order.
    """
    points_px, scores = points_px.double(), scores.double()
    scores = torch.where(scores >= _LEAST_SCORE, scores, 0.0)
    sizes_px = person_sizes_px(points_px, scores)
    hypotheses = _pair_hypotheses(points_px, scores, sizes_px, cameras, bones)
    agreement = _agreement_with_detections(hypotheses, points_px, scores, sizes_px, cameras)
    return _take_greedily(agreement, hypotheses, most_people)


def person_sizes_px(points_px: Float[Tensor, "*b J 2"], scores: Float[Tensor, "*b J"]) -> Float[Tensor, "*b"]:
    """Longer side of the box around the joints that have a score, at least 1 pixel."""
    seen = (scores > 0)[..., None]
    high = torch.where(seen, points_px, -torch.inf).amax(-2)
    low = torch.where(seen, points_px, torch.inf).amin(-2)
    return (high - low).amax(-1).clamp_min(1.0)


def _pair_hypotheses(
    points_px: Tensor, scores: Tensor, sizes_px: Tensor, cameras: Cameras, bones: Tensor | None
) -> _Hypotheses:
    F, V, D, J, _ = points_px.shape
    view_pairs = torch.combinations(torch.arange(V), 2)
    first, second = view_pairs.T
    # (F, pairs of views, D, D, 2, ...): every detection of one view with every detection of the other.
    pair_points = torch.stack(torch.broadcast_tensors(points_px[:, first, :, None], points_px[:, second, None]), dim=4)
    pair_scores = torch.stack(torch.broadcast_tensors(scores[:, first, :, None], scores[:, second, None]), dim=4)
    pair_sizes = torch.stack(torch.broadcast_tensors(sizes_px[:, first, :, None], sizes_px[:, second, None]), dim=4)
    weights = pair_scores.amin(4)
    flat_points = pair_points.permute(1, 4, 0, 2, 3, 5, 6).reshape(len(view_pairs), 2, -1, 2)
    flat_weights = weights.movedim(1, 0).reshape(len(view_pairs), 1, -1).expand(-1, 2, -1)
    found = triangulate(flat_points, cameras[view_pairs], flat_weights)

    shape = (len(view_pairs), F, D, D, J)
    points_mm = found.points_mm.reshape(*shape, 3).movedim(0, 1)
    errors_px = found.reprojection_px.reshape(len(view_pairs), 2, F, D, D, J).permute(2, 0, 3, 4, 1, 5)
    meet = found.valid.reshape(shape).movedim(0, 1)
    if bones is not None:
        meet &= ~at_endless_bone(points_mm, meet & (weights > 0), bones)
    # Joints that both views see, but whose rays do not meet in front of them, or meet too far from their neighbours,
    # speak against the pair.
    relative_errors = torch.where(meet, (errors_px / pair_sizes[..., None]).amax(4), torch.inf)
    agreement = _agreement(relative_errors, weights)
    weights = weights * meet
    plausible = (agreement >= _LEAST_AGREEMENT) & _has_size_of_a_person(points_mm, weights)

    flat = torch.where(plausible, agreement, -1.0).flatten(1)
    best = flat.topk(min(_MOST_HYPOTHESES, flat.shape[1]), dim=1).indices
    # Not torch.unravel_index: its first call imports a symbolic algebra package, for half a second.
    pair, d, e = best // (D * D), best // D % D, best % D
    instant = torch.arange(F)[:, None]
    return _Hypotheses(
        points_mm[instant, pair, d, e],
        weights[instant, pair, d, e],
        view_pairs[pair],
        torch.stack([d, e], dim=-1),
        plausible[instant, pair, d, e],
    )


def _agreement(relative_errors: Tensor, weights: Tensor) -> Tensor:
    """Share of the weighted joints (last axis) that lie within tolerance; 0 with too few joints to tell."""
    close = (1 - (relative_errors / _TOLERANCE) ** 2).clamp_min(0.0)
    enough = (weights > 0).sum(-1) >= _LEAST_JOINTS
    return (weights * close).sum(-1) / weights.sum(-1).clamp_min(1e-9) * enough


def _has_size_of_a_person(points_mm: Tensor, weights: Tensor) -> Tensor:
    seen = (weights > 0)[..., None]
    high = torch.where(seen, points_mm, -torch.inf).amax(-2)
    low = torch.where(seen, points_mm, torch.inf).amin(-2)
    extent_mm = (high - low).amax(-1)
    return (extent_mm >= _PERSON_EXTENT_MM[0]) & (extent_mm <= _PERSON_EXTENT_MM[1])


def _agreement_with_detections(
    hypotheses: _Hypotheses, points_px: Tensor, scores: Tensor, sizes_px: Tensor, cameras: Cameras
) -> Float[Tensor, "F H V D"]:
    F, V, D, J, _ = points_px.shape
    H = hypotheses.points_mm.shape[1]
    flat = hypotheses.points_mm.reshape(1, -1, 3).expand(V, -1, -1)
    projected = cameras.project(flat).reshape(V, F, H, J, 2).permute(1, 2, 0, 3, 4)
    in_front = (cameras.depth_mm(flat) > 0).reshape(V, F, H, J).permute(1, 2, 0, 3)
    distances = (projected[:, :, :, None] - points_px[:, None]).norm(dim=-1)
    weights = hypotheses.weights[:, :, None, None] * scores[:, None] * in_front[:, :, :, None]
    agreement = _agreement(distances / sizes_px[:, None, :, :, None], weights)
    # The two detections behind a hypothesis belong to it whatever else lies near.
    own = torch.zeros_like(agreement, dtype=torch.bool)
    f, h = torch.arange(F)[:, None, None], torch.arange(H)[None, :, None]
    own[f, h, hypotheses.views, hypotheses.detections] = True
    others_in_own_view = own.any(-1, keepdim=True) & ~own
    agreement = torch.where(others_in_own_view | (agreement < _LEAST_AGREEMENT), 0.0, agreement)
    evidence = weights.sum(-1) / J
    return agreement * (1 - _EVIDENCE_SHARE * (1 - evidence)) * hypotheses.plausible[:, :, None, None]


def _take_greedily(agreement: Tensor, hypotheses: _Hypotheses, most_people: int) -> AssociatedPeople:
    F, H, V, D = agreement.shape
    instant = torch.arange(F)
    members, supports = [], []
    free = torch.ones(F, 1, V, D, dtype=torch.bool)
    for _ in range(min(most_people, H)):
        own_free = free[instant[:, None, None], 0, hypotheses.views, hypotheses.detections].all(-1)
        available = agreement * free * own_free[:, :, None, None]
        by_view, detection = available.max(-1)
        support, best = by_view.sum(-1).max(-1)
        seen = by_view[instant, best] > 0
        taken = torch.where(seen & (seen.sum(-1, keepdim=True) >= 2), detection[instant, best], -1)
        members.append(taken)
        supports.append(torch.where((taken >= 0).any(-1), support, 0.0))
        free &= ~torch.nn.functional.one_hot(taken.clamp_min(0), D).bool()[:, None] | (taken < 0)[:, None, :, None]
    if not members:
        return AssociatedPeople(torch.full((F, 0, V), -1), torch.zeros(F, 0, dtype=torch.float64))
    return AssociatedPeople(torch.stack(members, dim=1), torch.stack(supports, dim=1))
