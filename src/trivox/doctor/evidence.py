"""What the doctor judges a rig by: 2D joints of people in all views, over time.

Every joint of every person is one of N points. Their distances are measured in pixels of a crop that the person fills
(256 pixels a side), as in `lift.py`: a detector errs by a share of the person's size. Tracks are read at any time,
between frames as well, by local linear regression with a Gaussian window: reading between two frames then averages
over as much noise as reading at one, so that a time offset of half a frame wins nothing by smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.association import person_sizes_px
from trivox.geometry.skeletons import Skeleton, skeleton_of
from trivox.lift import REFERENCE_PX
from trivox.people.boxes import CROP_MARGIN

# Standard deviation of the Gaussian window, in sampled instants.
_WINDOW = 0.7
_LEAST_SCORE = 0.3
_FEWEST_LIMB_JOINTS = 8
# Instants a second that human motion needs, and how many are looked at, in stretches spread over the recording.
_RATE_HZ = 15.0
_STRETCHES = 3
_STRETCH_INSTANTS = 40


@dataclass(frozen=True)
class Evidence:
    """F instants, V views, N points: the J joints of each of N / J people, one person after the other.

    `points_px` are pixels of the stored pictures (corner origin), `weights` scores with 0 for what is not seen,
    `crop_px` the pixels of the picture per pixel of a crop around the person. `frames` rise; those of one `stretch`
    are evenly spaced. `image_hw` are the sizes of the pictures themselves, None where they are not known.
    """

    points_px: Float[Tensor, "F V N 2"]
    weights: Float[Tensor, "F V N"]
    crop_px: Float[Tensor, "F V N"]
    frames: Int[Tensor, " F"]
    stretches: Int[Tensor, " F"]
    skeleton: Skeleton
    fps: float
    image_hw: Int[Tensor, "V 2"] | None = None

    @property
    def spacing(self) -> float:
        """Frames from one instant to the next."""
        steps = self.frames.diff()[self.stretches.diff() == 0]
        return float(steps.double().median()) if len(steps) else 1.0

    def with_view(self, view: int | Sequence[int], other: Evidence) -> Evidence:
        """The views `view` of `other` in place of one's own."""
        index = torch.tensor([view] if isinstance(view, int) else list(view))
        mixed = {
            name: getattr(self, name).index_copy(1, index, getattr(other, name)[:, index])
            for name in ("points_px", "weights", "crop_px")
        }
        return replace(self, **mixed)

    def with_own(self, view: int, own: Evidence) -> Evidence:
        """`own`, of one view, in place of the view `view`."""
        return self.with_view(view, own.of_views([0] * self.points_px.shape[1]))

    def at(self, instants: Bool[Tensor, " F"] | Int[Tensor, " K"]) -> Evidence:
        """Some instants only."""
        return replace(
            self,
            **{
                name: getattr(self, name)[instants]
                for name in ("points_px", "weights", "crop_px", "frames", "stretches")
            },
        )

    def of_views(self, views: Sequence[int]) -> Evidence:
        """Some views only, in this order."""
        index = list(views)
        picked = {name: getattr(self, name)[:, index] for name in ("points_px", "weights", "crop_px")}
        return replace(self, **picked, image_hw=None if self.image_hw is None else self.image_hw[index])


def evidence_of(
    points_px: Float[Tensor, "F V P J 2"],
    scores: Float[Tensor, "F V P J"],
    frames: Int[Tensor, " F"],
    stretches: Int[Tensor, " F"],
    skeleton: Skeleton,
    fps: float,
    image_hw: Int[Tensor, "V 2"] | None = None,
) -> Evidence:
    """Evidence out of people's 2D joints; row p of every view is the same person."""
    points_px, scores = points_px.double(), scores.double()
    weights = torch.where(scores >= _LEAST_SCORE, scores, 0.0).clamp(max=1.0)
    crop_px = person_sizes_px(points_px, weights) * (CROP_MARGIN / REFERENCE_PX)
    # Limbs alone: nose, eyes and ears are guessed from behind.
    limbs = list(skeleton.indices(skeleton.limb_joints))
    if len(limbs) >= _FEWEST_LIMB_JOINTS:
        points_px, weights, skeleton = points_px[..., limbs, :], weights[..., limbs], skeleton_of(skeleton.limb_joints)
    return Evidence(
        points_px.flatten(2, 3),
        weights.flatten(2, 3),
        crop_px[..., None].expand(weights.shape).flatten(2, 3),
        frames,
        stretches,
        skeleton,
        fps,
        image_hw,
    )


def sampled(frame_count: int, fps: float) -> tuple[Int[Tensor, " F"], Int[Tensor, " F"]]:
    """Frame numbers to look at, and the stretch of the recording that each is in."""
    step = max(1, round(fps / _RATE_HZ))
    most = _STRETCHES * _STRETCH_INSTANTS
    if frame_count <= most * step:
        frames = torch.arange(0, frame_count, step)
        return frames, torch.zeros_like(frames)
    length = _STRETCH_INSTANTS * step
    starts = torch.linspace(0, frame_count - length, _STRETCHES).long()
    frames = (starts[:, None] + torch.arange(0, length, step)).flatten()
    return frames, torch.arange(_STRETCHES).repeat_interleave(_STRETCH_INSTANTS)


def read_at(evidence: Evidence, offsets: Float[Tensor, " V"]) -> Evidence:
    """Every view read `offsets[v]` frames later than its own count says, smoothed alike whatever the offset.

    What lies at the border of a stretch, where nothing was seen on one side, is not seen.
    """
    times = evidence.frames.double()
    shifted = times[None, :] + offsets[:, None]
    distance = times[None, None, :] - shifted[:, :, None]  # view, wanted, seen
    same = evidence.stretches[:, None] == evidence.stretches[None, :]
    kernel = torch.exp(-0.5 * (distance / (_WINDOW * evidence.spacing)) ** 2) * same
    weights = evidence.weights.transpose(0, 1)  # V F N
    crop = evidence.crop_px.transpose(0, 1)
    points = evidence.points_px.transpose(0, 1).flatten(2)  # V F 2N
    twice = _for_xy(weights)
    k0, k1, k2 = kernel, kernel * distance, kernel * distance**2
    s0, s1, s2 = k0 @ weights, k1 @ weights, k2 @ weights
    # A little of the constant fit keeps a lone instant solvable.
    ridge = 1e-3 * s0 * evidence.spacing**2 + 1e-12
    determinant = _for_xy((s0 * (s2 + ridge) - s1 * s1).clamp_min(1e-12))
    m0, m1 = k0 @ (twice * points), k1 @ (twice * points)
    read = (_for_xy(s2 + ridge) * m0 - _for_xy(s1) * m1) / determinant
    seen_share = s0 / k0.sum(-1, keepdim=True).clamp_min(1e-12)
    beyond = 0.51 * evidence.spacing
    inside = (distance.abs() + torch.where(same, 0.0, torch.inf)).amin(-1) <= beyond
    seen = (s0 > 0.15) & inside[..., None]
    size = (k0 @ (weights * crop)) / s0.clamp_min(1e-12)
    return replace(
        evidence,
        points_px=torch.where(_for_xy(seen), read, 0.0).unflatten(-1, (-1, 2)).transpose(0, 1),
        weights=torch.where(seen, seen_share, 0.0).transpose(0, 1),
        crop_px=torch.where(seen, size, 1.0).transpose(0, 1),
    )


def jitter_px(evidence: Evidence) -> Float[Tensor, " V"]:
    """The detector's noise in each view, per axis and in crop pixels: a standard deviation, whatever the rig says.

    A joint is compared with the middle between where it was an instant before and after. For white noise of standard
    deviation s the median of that distance is sqrt(3 / 2) sqrt(2 ln 2) s (a Rayleigh distribution's). It is 0 where
    nothing is seen at three instants.
    """
    points, weights, stretches = evidence.points_px, evidence.weights, evidence.stretches
    if len(points) < 3:
        return points.new_zeros(points.shape[1])
    apart = (points[1:-1] - (points[:-2] + points[2:]) / 2).norm(dim=-1) / evidence.crop_px[1:-1]
    seen = (weights[:-2] > 0) & (weights[1:-1] > 0) & (weights[2:] > 0)
    seen = seen & (stretches[2:] == stretches[:-2])[:, None, None]
    medians = torch.where(seen, apart, torch.nan).movedim(1, 0).flatten(1).nanmedian(-1).values
    return medians.nan_to_num() / math.sqrt(1.5 * 2 * math.log(2))


def _for_xy(values: Tensor) -> Tensor:
    """Every value of the last axis twice: for x and for y."""
    return values.repeat_interleave(2, -1)
