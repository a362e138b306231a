"""Joints that a volume found, placed more exactly by the peaks of the heatmaps.

The volume tells which peak of a heatmap is the joint and which is not; the peaks know better where exactly it is. Two
places are tried for every joint: where the views that agree with the volume put it, and where the views that agree
among themselves do. The second is taken where the peaks speak for it by more than the volume speaks against it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate, triangulate_ransac

_AGREED_MM = 300.0  # a place further off than this was not what the volume meant
# Of the distance within which views agree with the volume: where a robust error turns from square to straight, which is
# also the width of a peak's say, and within which views agree with each other; 8 and 12 pixels of 20.
_WIDTH_SHARE, _THRESHOLD_SHARE = 0.4, 0.6
_VOLUME_MM = 30.0  # what a volume's mean is off by, besides its spread


@torch.no_grad()
def agreed(found: Triangulated, cameras: Cameras, within_px: float) -> Triangulated:
    """Joints placed by the peaks of the views where that can be done; the others as they were."""
    assert found.points_px is not None and found.scores is not None
    by_volume = _agreeing_with(found, cameras, within_px)
    weights = torch.where(found.inliers, found.scores, 0.0)
    among = triangulate_ransac(
        found.points_px,
        cameras,
        weights,
        threshold_px=_THRESHOLD_SHARE * within_px,
        huber_px=_WIDTH_SHARE * within_px,
    )
    told = (found.points_px, weights, cameras, _WIDTH_SHARE * within_px)
    gain = _support(among.points_mm.to(found.points_mm), *told) - _support(by_volume.points_mm, *told)
    taken = found.valid & among.valid & (gain > _squared_distance(among.points_mm, found) / 2)
    placed = _exchanged(by_volume, among, taken)
    off_px = missed_px(placed.points_mm, found.points_px, cameras)
    return replace(placed, reprojection_px=torch.where(placed.inliers & (found.scores > 0), off_px, 0.0))


def _agreeing_with(found: Triangulated, cameras: Cameras, within_px: float) -> Triangulated:
    """Joints triangulated from the views whose peaks are near them."""
    assert found.points_px is not None and found.scores is not None
    off_px = missed_px(found.points_mm, found.points_px, cameras)
    agrees = found.inliers & _in_front(found.points_mm, cameras) & (off_px < within_px) & (found.scores > 0)
    weights = torch.where(agrees, found.scores, 0.0)
    again = triangulate(found.points_px, cameras, weights, refine=True, huber_px=_WIDTH_SHARE * within_px)
    stays = (again.points_mm - found.points_mm).norm(dim=-1) < _AGREED_MM
    sound = again.valid & stays & (agrees.sum(1) >= 2)
    return _exchanged(found, replace(again, inliers=agrees), sound)


def _exchanged(found: Triangulated, other: Triangulated, where: Bool[Tensor, "B J"]) -> Triangulated:
    """Another's places, the views that made them, and their covariances, where that is said."""
    return replace(
        found,
        points_mm=torch.where(where[..., None], other.points_mm.to(found.points_mm), found.points_mm),
        inliers=torch.where(where[:, None], other.inliers, found.inliers),
        covariance_mm2=torch.where(
            where[..., None, None], other.covariance_mm2.to(found.covariance_mm2), found.covariance_mm2
        ),
    )


def _support(
    points_mm: Float[Tensor, "B J 3"],
    peaks_px: Float[Tensor, "B V J 2"],
    weights: Float[Tensor, "B V J"],
    cameras: Cameras,
    width_px: float,
) -> Float[Tensor, "B J"]:
    """How much the peaks speak for a place: each its weight where the place hits it, and less with the distance."""
    off = missed_px(points_mm, peaks_px, cameras) / width_px
    says = torch.where(_in_front(points_mm, cameras), weights * torch.exp(-(off**2) / 2), 0.0)
    return says.sum(1)


def _squared_distance(points_mm: Float[Tensor, "B J 3"], found: Triangulated) -> Float[Tensor, "B J"]:
    """From the mean of a volume, in its own standard deviations (Mahalanobis')."""
    own = found.covariance_mm2 + _VOLUME_MM**2 * torch.eye(3).to(found.covariance_mm2)
    off = (points_mm.to(own) - found.points_mm.to(own))[..., None]
    return (off * torch.linalg.solve(own, off)).sum((-2, -1))


def missed_px(
    points_mm: Float[Tensor, "B J 3"], peaks_px: Float[Tensor, "B V J 2"], cameras: Cameras
) -> Float[Tensor, "B V J"]:
    """Distance from each peak to the projection of its joint; 0 for a joint behind the camera."""
    distance = (cameras.to(dtype=points_mm.dtype).project(points_mm[:, None]) - peaks_px).norm(dim=-1)
    return torch.where(_in_front(points_mm, cameras), distance, 0.0)


def _in_front(points_mm: Float[Tensor, "B J 3"], cameras: Cameras) -> Bool[Tensor, "B V J"]:
    return cameras.to(dtype=points_mm.dtype).depth_mm(points_mm[:, None]) > 0
