"""Joints that a volume found, placed more exactly by the peaks of the heatmaps that agree with them.

The volume tells which peak of a heatmap is the joint and which is not; the peaks know better where exactly it is.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate

_AGREED_MM = 300.0  # a place further off than this was not what the volume meant
_HUBER_SHARE = 0.4  # of the distance within which views agree: 8 pixels of 20


@torch.no_grad()
def agreed(found: Triangulated, cameras: Cameras, within_px: float) -> Triangulated:
    """Joints triangulated from the views that agree with them, where that can be done; the others as they were."""
    assert found.points_px is not None and found.scores is not None
    off_px = missed_px(found.points_mm, found.points_px, cameras)
    in_front = cameras.to(found.points_mm.dtype).depth_mm(found.points_mm[:, None]) > 0
    agrees = found.inliers & in_front & (off_px < within_px) & (found.scores > 0)
    weights = torch.where(agrees, found.scores, 0.0)
    again = triangulate(found.points_px, cameras, weights, refine=True, huber_px=_HUBER_SHARE * within_px)
    stays = (again.points_mm - found.points_mm).norm(dim=-1) < _AGREED_MM
    sound = again.valid & stays & (agrees.sum(1) >= 2)
    points_mm = torch.where(sound[..., None], again.points_mm.to(found.points_mm), found.points_mm)
    inliers = torch.where(sound[:, None], agrees, found.inliers)
    off_px = torch.where(inliers & (found.scores > 0), missed_px(points_mm, found.points_px, cameras), 0.0)
    covariance_mm2 = torch.where(
        sound[..., None, None], again.covariance_mm2.to(found.covariance_mm2), found.covariance_mm2
    )
    return replace(found, points_mm=points_mm, inliers=inliers, reprojection_px=off_px, covariance_mm2=covariance_mm2)


def missed_px(
    points_mm: Float[Tensor, "B J 3"], peaks_px: Float[Tensor, "B V J 2"], cameras: Cameras
) -> Float[Tensor, "B V J"]:
    """Distance from each peak to the projection of its joint; 0 for a joint behind the camera."""
    cameras = cameras.to(dtype=points_mm.dtype)
    distance = (cameras.project(points_mm[:, None]) - peaks_px).norm(dim=-1)
    return torch.where(cameras.depth_mm(points_mm[:, None]) > 0, distance, 0.0)
