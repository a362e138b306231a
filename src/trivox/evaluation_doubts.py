"""Whether predictions would fit their truth under another reading: other frame numbers, another unit, another world.

Errors of decimetres rarely come from triangulation. What one change of the whole recording would explain is said.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trivox.geometry.axes import turned_upright
from trivox.geometry.poses import Poses
from trivox.metrics.joints import aligned
from trivox.progress import say

# Predictions are moved by so many frames, a second at most, and compared on so many at least.
_LEAST_REACH, _MOST_REACH = 3, 60
_FEWEST_FRAMES = 5
# Shares of the error that have to be left under another reading.
_SHIFTED, _EXCHANGED, _ALIGNED = 0.8, 0.5, 0.3
# Errors below are nobody's other world.
_LARGE_MM = 100.0
_SAME_SIZE = 1.25


def in_world_of(truth: Poses, predicted: Poses) -> Poses:
    """The truth with the axis up that the predictions have up, where both tell: files of other programs have Y up."""
    if predicted.up is None or truth.up is None or torch.allclose(truth.up.double(), predicted.up.double(), atol=1e-6):
        return truth
    say("the truth and the predictions have different axes up: the truth is turned to the world of the predictions")
    return turned_upright(truth, predicted.up)


def doubts_about_truth(predicted: Poses, truth: Poses, truth_fps: float | None) -> list[str]:
    """Sentences on what one change of the whole recording would explain; for one person.

    `truth_fps` is the frame rate that the truth states, None where it states none.
    """
    if truth.points_mm.shape[1] != 1 or predicted.points_mm.shape[1] != 1:
        return []
    rates = []
    if truth_fps is not None and abs(truth_fps / predicted.fps - 1) > 1e-3:
        rates = [
            f"the truth has {truth_fps:g} frames/s, the predictions {predicted.fps:g}: "
            "their frames are matched by number"
        ]
    ours = predicted.converted(truth.skeleton)
    error_mm = _error_at(ours, truth, 0)
    if error_mm is None:
        return rates
    return rates + (_of_shift(ours, truth, error_mm) or _of_reading(ours, truth, error_mm))


def _of_shift(ours: Poses, truth: Poses, error_mm: float) -> list[str]:
    reach = min(max(_LEAST_REACH, round(ours.fps)), _MOST_REACH)
    errors_mm = {s: e for s in range(-reach, reach + 1) if (e := _error_at(ours, truth, s)) is not None}
    best = min(errors_mm, key=lambda shift: (errors_mm[shift], abs(shift)))
    if best == 0 or errors_mm[best] > _SHIFTED * error_mm:
        return []
    at_end = best + (1 if best > 0 else -1) not in errors_mm
    frames = f"{abs(best)} frame{'s' if abs(best) > 1 else ''} {'or more ' if at_end else ''}"
    cause = "one of the two counts from 1" if abs(best) == 1 else "the two begin at the same instant"
    return [
        f"the predictions would fit the truth better if they were {frames}{'later' if best > 0 else 'earlier'}: "
        f"{errors_mm[best]:.1f} mm in place of {error_mm:.1f} mm; see whether {cause}"
    ]


def _of_reading(ours: Poses, truth: Poses, error_mm: float) -> list[str]:
    if error_mm < _LARGE_MM:
        return []
    exchanged_mm = _error_at(_sides_exchanged(ours), truth, 0)
    if exchanged_mm is not None and exchanged_mm < _EXCHANGED * error_mm:
        return [f"with left and right exchanged the error would be {exchanged_mm:.1f} mm in place of {error_mm:.1f} mm"]
    ours_mm, truth_mm = _both(ours, truth, 0)
    everywhere = torch.ones(1, len(ours_mm), dtype=torch.bool)
    fitted_mm = aligned(ours_mm[None], truth_mm[None], everywhere)[0]
    left_mm = float((fitted_mm - truth_mm).norm(dim=-1).mean())
    if not left_mm < _ALIGNED * error_mm:
        return []
    size = float(_spread(truth_mm) / _spread(ours_mm))
    other = "another world" if 1 / _SAME_SIZE < size < _SAME_SIZE else f"another unit (it is {size:.3g} times as large)"
    return [
        f"the truth is in {other}: moved, turned and scaled as a whole the predictions would be {left_mm:.1f} mm "
        f"from it in place of {error_mm:.1f} mm"
    ]


def _error_at(ours: Poses, truth: Poses, shift: int) -> float | None:
    """Mean error where predictions are taken as `shift` frames later than they are numbered."""
    ours_mm, truth_mm = _both(ours, truth, shift)
    return float((ours_mm - truth_mm).norm(dim=-1).mean()) if len(ours_mm) else None


def _both(ours: Poses, truth: Poses, shift: int) -> tuple[Tensor, Tensor]:
    """Joints (N, 3) that both have in the same frames; none where too few frames are common."""
    frames, at, there = np.intersect1d(ours.frames.numpy() + shift, truth.frames.numpy(), return_indices=True)
    both = ours.valid[at, 0] & truth.valid[there, 0] & (len(frames) >= _FEWEST_FRAMES)
    return ours.points_mm[at, 0][both].double(), truth.points_mm[there, 0][both].double()


def _sides_exchanged(poses: Poses) -> Poses:
    names = poses.skeleton.names
    other = {"left": "right", "right": "left"}
    split = [name.partition("_") for name in names]
    partner = [f"{other[side]}_{part}" if side in other else side + mark + part for side, mark, part in split]
    at = [names.index(name) if name in names else j for j, name in enumerate(partner)]
    return replace(poses, points_mm=poses.points_mm[:, :, at], valid=poses.valid[:, :, at], covariance_mm2=None)


def _spread(points_mm: Tensor) -> Tensor:
    return (points_mm - points_mm.mean(0)).norm()
