"""Why nobody can be placed in 3D, as far as the 2D joints of the views tell.

Scores are too low, no instants are common, the calibration's lengths are in another unit, the pictures are of another
size, or the cameras in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations

import torch
from jaxtyping import Bool
from torch import Tensor

from trivox.geometry.association import associate
from trivox.geometry.cameras import Cameras
from trivox.lift import LEAST_SCORE
from trivox.people.networks import Joints2D

# Fewer joints of a view are no person (as in the association).
_LEAST_JOINTS = 4
# Instants that are tried.
_INSTANTS = 8
# Lengths that a wrong unit makes too small or too large: m, cm and mm taken for each other.
_UNIT_FACTORS = (1000.0, 0.001, 10.0, 0.1, 100.0, 0.01)
# Orders of so many cameras are all tried, of more only exchanges of two.
_FEW_CAMERAS = 4
# Mean agreement per view with which people are there; other orders of the cameras have to reach it.
_AGREES = 0.6
_AS_GOOD = 0.02
# Share of the joints that may lie outside the calibrated picture: detectors guess what is cut off.
_MOST_OUTSIDE = 0.1


def why_nobody(detections: Joints2D, cameras: Cameras, names: Sequence[str]) -> str | None:
    """A clause that names the cause, and what to do; None where the joints tell none.

    `detections` are those of all instants (F, V, D), `cameras` the (V,) cameras called `names`.
    """
    shown = _shown(detections)
    if cause := _low_scores(detections, shown, names):
        return cause
    if int((shown.sum(1) >= 2).sum()) == 0:
        return "no two views show a person at the same frame number; number the frames of one instant alike"
    if cause := _outside(detections, cameras, names):
        return cause
    some = _tried(detections, shown)
    for factor in _UNIT_FACTORS:
        if _agreement(some, replace(cameras, t_mm=cameras.t_mm * factor)) >= _AGREES:
            size, other = ("small", factor) if factor > 1 else ("large", 1 / factor)
            return (
                f"the views agree on people about {other:g} times too {size}: the calibration's lengths are in another "
                "unit; correct it (--units m, cm or mm)"
            )
    if order := _better_order(some, cameras):
        exchanged = [name for i, name in enumerate(names) if order[i] != i]
        return (
            f"the views agree with the cameras in another order: {', '.join(exchanged)} are exchanged; "
            "check the order of the cameras (--cameras)"
        )
    return None


def _shown(detections: Joints2D) -> Bool[Tensor, "F V"]:
    return ((detections.scores >= LEAST_SCORE).sum(-1) >= _LEAST_JOINTS).any(-1)


def _low_scores(detections: Joints2D, shown: Tensor, names: Sequence[str]) -> str | None:
    scores = detections.scores.amax((0, 2, 3))
    low = [name for name, score in zip(names, scores.tolist(), strict=True) if score < LEAST_SCORE]
    if not low or int(shown.any(0).sum()) >= 2:
        return None
    highest = float(scores[scores < LEAST_SCORE].max())
    return (
        f"the scores of {', '.join(low)} are at most {highest:.3g}, and joints below {LEAST_SCORE:g} are not used; "
        "give detections with scores from 0 to 1"
    )


def _outside(detections: Joints2D, cameras: Cameras, names: Sequence[str]) -> str | None:
    if cameras.image_hw is None:
        return None
    size_xy = cameras.image_hw.flip(-1).to(detections.points_px)[:, None, None]
    seen = detections.scores >= LEAST_SCORE
    out = ((detections.points_px > size_xy) | (detections.points_px < 0)).any(-1) & seen
    share = out.sum((0, 2, 3)) / seen.sum((0, 2, 3)).clamp_min(1)
    wide = [name for name, outside in zip(names, share.tolist(), strict=True) if outside > _MOST_OUTSIDE]
    if not wide:
        return None
    worst = int(share.argmax())
    reach = detections.points_px[:, worst][seen[:, worst]].amax(0).round().int().tolist()
    height, width = cameras.image_hw[worst].tolist()
    return (
        f"the joints of {', '.join(wide)} lie outside the calibrated pictures ({names[worst]} reaches x {reach[0]}, "
        f"y {reach[1]} in {width}x{height}): they are of pictures of another size or camera"
    )


def _tried(detections: Joints2D, shown: Tensor) -> Joints2D:
    """A few instants at which the most views show somebody."""
    return detections[shown.sum(1).argsort(descending=True, stable=True)[:_INSTANTS].sort().values]


def _agreement(detections: Joints2D, cameras: Cameras) -> float:
    """Agreement per view that shows somebody with the best person of each instant; its median over the instants."""
    support = associate(detections.points_px, detections.scores, cameras, 1).support
    best = support.amax(-1) if support.shape[1] else torch.zeros(len(support)).double()
    return float((best / _shown(detections).sum(1).clamp_min(2)).median())


def _better_order(detections: Joints2D, cameras: Cameras) -> tuple[int, ...] | None:
    views = detections.scores.shape[1]
    own = tuple(range(views))
    if views <= _FEW_CAMERAS:
        orders = [order for order in permutations(own) if order != own]
    else:
        orders = [tuple({i: j, j: i}.get(v, v) for v in own) for i, j in combinations(own, 2)]
    scored = [(_agreement(detections, cameras[list(order)]), order) for order in orders]
    best = max((agreement for agreement, _ in scored), default=0.0)
    if best < _AGREES:
        return None
    # A ring of cameras has the same geometry from each of them on: what moves the fewest is the likeliest.
    alike = [order for agreement, order in scored if agreement >= best - _AS_GOOD]
    return min(alike, key=lambda order: sum(a != b for a, b in zip(order, own, strict=True)))
