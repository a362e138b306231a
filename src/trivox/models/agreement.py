"""Joints that a volume found, placed more exactly by the peaks of the heatmaps.

The volume tells about where a joint is, also where no view sees it; the peaks know better where exactly, if they are
that joint at all. Both are evidence for one place, the most probable one (maximum a posteriori):

volume  normally distributed about its mean, more narrowly than the volume itself is wide, but one time in ten so widely
peaks   one of score s is the joint with probability 1 - exp(-5 s), and then off by few pixels, the fewer the higher s;
        otherwise it is beside it, off by many, and draws it weakly, in proportion to the distance

The place is found by expectation maximisation from the volume's mean: how far each peak, and each of the volume's two
widths, is to be believed follows from the place, and the place from that by a Gauss-Newton step. The first steps allow
peaks more pixels, so that the nearest peak does not hold the place before the others are heard. A single peak moves a
joint as well: onto its ray, while the volume tells how far along it.

The shares were measured on held-out scenes of the training world: how often peaks of a score are right, by how much
they are off, and how far the means of volumes are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated

# Standard deviations of peaks that are right, as shares of `within_px`: of score 0, less per score, and at least.
_RIGHT_SHARE, _LESS_SHARE, _LEAST_SHARE = 0.375, 0.4, 0.15
_BESIDE_SHARE = 1.5  # of peaks that are not
_RIGHT_RATE = 5.0  # of score s are 1 - exp(-5 s) right
# The volume: variances as shares of its own, how often each is so, and what its mean is off by besides.
_VOLUME_SHARES, _VOLUME_ODDS, _VOLUME_MM = (0.1, 1.0), (0.9, 0.1), 30.0
_STEPS = 6
_WIDER, _NARROWING = 4.0, 0.6  # right peaks in the first step, and what remains of that with every further step
_KNOWN_MM = 80.0
_NEAREST_MM = 50.0


@torch.no_grad()
def agreed(found: Triangulated, cameras: Cameras, within_px: float) -> Triangulated:
    """Joints where volume and peaks together put them, with the covariance of that.

    `inliers` are the views whose peaks are rather the joint than not, `reprojection_px` how far these are off. Peaks up
    to about `within_px` from a joint are taken for it, others for something beside it.
    """
    evidence = _Evidence.of(found, cameras, within_px)
    points_mm = evidence.mean_mm
    for step in range(_STEPS):
        told = evidence.told(points_mm, max(1.0, _WIDER * _NARROWING**step))
        points_mm = points_mm - torch.linalg.solve(told.precision, told.gradient[..., None])[..., 0]
    told = evidence.told(points_mm)
    placed = points_mm.isfinite().all(-1) & found.valid
    points_mm = torch.where(placed[..., None], points_mm.to(found.points_mm), found.points_mm)
    covariance_mm2 = torch.linalg.inv(told.precision).to(found.covariance_mm2)
    inliers = found.inliers & (told.believed > 0.5) & placed[:, None]
    assert found.points_px is not None
    off_px = missed_px(points_mm, found.points_px, cameras)
    return replace(
        found,
        points_mm=points_mm,
        inliers=inliers,
        covariance_mm2=torch.where(placed[..., None, None], covariance_mm2, found.covariance_mm2),
        reprojection_px=torch.where(inliers, off_px, 0.0),
    )


def is_known(agreement: Triangulated) -> Bool[Tensor, "B J"]:
    """Whether the place of a joint is known to a hand's breadth: where it is not, it is off by 200 mm in the median.

    Of joints that heatmaps do not show (a spine, the top of a head) only the volume speaks, and is believed.
    """
    assert agreement.scores is not None
    # MoveNet's scores of joints that it knows are above 0, however low.
    sure = agreement.covariance_mm2.diagonal(dim1=-2, dim2=-1).sum(-1) < _KNOWN_MM**2
    return sure | (agreement.scores <= 0).all(1)


@dataclass(frozen=True)
class _Told:
    """Slope and curvature of the negative log probability at a place, and how far each peak is believed there."""

    gradient: Float[Tensor, "B J 3"]
    precision: Float[Tensor, "B J 3 3"]
    believed: Float[Tensor, "B V J"]


@dataclass(frozen=True)
class _Evidence:
    """What volume and peaks say, in double precision; `cameras` are without lens, as the peaks are."""

    mean_mm: Float[Tensor, "B J 3"]
    precisions: Float[Tensor, "2 B J 3 3"]
    log_volumes: Float[Tensor, "2 B J"]
    cameras: Cameras
    peaks_px: Float[Tensor, "B V J 2"]
    usable: Bool[Tensor, "B V J"]
    right: Float[Tensor, "B V J"]
    right_px: Float[Tensor, "B V J"]
    beside_px: float

    @classmethod
    def of(cls, found: Triangulated, cameras: Cameras, within_px: float) -> _Evidence:
        assert found.points_px is not None and found.scores is not None
        cameras, scores = cameras.to(dtype=torch.float64), found.scores.double()
        shares = torch.tensor(_VOLUME_SHARES).to(scores)[:, None, None, None, None]
        odds = torch.tensor(_VOLUME_ODDS).to(scores)[:, None, None]
        own = _VOLUME_MM**2 * torch.eye(3).to(scores)
        precisions = torch.linalg.inv(shares * found.covariance_mm2.double() + own)
        return cls(
            found.points_mm.double(),
            precisions,
            odds.log() + torch.logdet(precisions) / 2,
            cameras.without_distortion(),
            cameras.undistorted_points(found.points_px.double()),
            found.inliers & (scores > 0),
            -torch.expm1(-_RIGHT_RATE * scores),
            within_px * (_RIGHT_SHARE - _LESS_SHARE * scores).clamp_min(_LEAST_SHARE),
            within_px * _BESIDE_SHARE,
        )

    def told(self, points_mm: Float[Tensor, "B J 3"], wider: float = 1.0) -> _Told:
        """At `points_mm`, with right peaks `wider` than they are."""
        off_px, slope, in_front = self._off(points_mm)
        believed, weights = self._belief(off_px.square().sum(-1), wider * self.right_px, self.usable & in_front)
        off_mm = points_mm - self.mean_mm
        volume = self._volume_precision(off_mm)
        weighted = weights[..., None, None] * slope
        return _Told(
            (weighted * off_px[..., None]).sum((1, -2)) + (volume @ off_mm[..., None])[..., 0],
            (weighted.mT @ slope).sum(1) + volume,
            believed,
        )

    def _off(
        self, points_mm: Tensor
    ) -> tuple[Float[Tensor, "B V J 2"], Float[Tensor, "B V J 2 3"], Bool[Tensor, "B V J"]]:
        """From the peaks to the projections, the slope of these per mm, and whether the point is in front."""
        R, K = self.cameras.R[:, :, None], self.cameras.K[:, :, None]
        in_cam = (R @ points_mm[:, None, :, :, None])[..., 0] + self.cameras.t_mm[:, :, None]
        depth = in_cam[..., 2:].clamp_min(_NEAREST_MM)
        at = torch.cat([in_cam[..., :2] / depth, torch.ones_like(depth)], -1)
        projected = (K[..., :2, :] @ at[..., None])[..., 0]
        slope = K[..., :2, :2] @ (R[..., :2, :] - at[..., :2, None] * R[..., 2:, :]) / depth[..., None]
        return projected - self.peaks_px, slope, in_cam[..., 2] > _NEAREST_MM

    def _belief(
        self, off_px2: Tensor, right_px: Tensor, usable: Bool[Tensor, "B V J"]
    ) -> tuple[Float[Tensor, "B V J"], Float[Tensor, "B V J"]]:
        """Probability that each peak is the joint, and its weight: the expected inverse variance."""
        right = self.right.log() - off_px2 / (2 * right_px**2) - 2 * right_px.log()
        beside = (1 - self.right).log() - off_px2 / (2 * self.beside_px**2) - 2 * math.log(self.beside_px)
        believed = torch.where(usable, torch.sigmoid(right - beside), 0.0)
        weights = believed / right_px**2 + (1 - believed) / self.beside_px**2
        return believed, torch.where(usable, weights, 0.0)

    def _volume_precision(self, off_mm: Tensor) -> Float[Tensor, "B J 3 3"]:
        squared = (off_mm[..., None, :] @ self.precisions @ off_mm[..., None])[..., 0, 0]
        shares = torch.softmax(self.log_volumes - squared / 2, 0)
        return (shares[..., None, None] * self.precisions).sum(0)


def missed_px(
    points_mm: Float[Tensor, "B J 3"], peaks_px: Float[Tensor, "B V J 2"], cameras: Cameras
) -> Float[Tensor, "B V J"]:
    """Distance from each peak to the projection of its joint; 0 for a joint behind the camera."""
    distance = (cameras.to(dtype=points_mm.dtype).project(points_mm[:, None]) - peaks_px).norm(dim=-1)
    return torch.where(_in_front(points_mm, cameras), distance, 0.0)


def _in_front(points_mm: Float[Tensor, "B J 3"], cameras: Cameras) -> Bool[Tensor, "B V J"]:
    return cameras.to(dtype=points_mm.dtype).depth_mm(points_mm[:, None]) > 0
