"""Robust triangulation from all pairs of views (after the RANSAC baseline of Iskakov et al., ICCV 2019).

Every pair of usable views proposes the point that fits its four equations best; the views that see it in
front of them and within `threshold_px` agree. The pair with the largest total weight of agreeing views wins,
ties going to the smaller weighted squared error, then to the first pair. A pair must agree with its own
point, and one that does so within half the threshold goes before any that does not: where two rays miss each
other, the point is a compromise that says little. The published method draws ten pairs at random and trusts
each; on its own test cases the sets found are the same.

With more than 16 usable views only pairs among 16 of them are tried: the heaviest, ties going to those
spread widest in space (farthest-point order of the camera centres). Agreement is still counted over all
views.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Real
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import engine
from trivox.geometry.triangulation.arrays import Settings
from trivox.geometry.triangulation.linear import solved
from trivox.geometry.triangulation.refinement import HUBER_PX, checked_positive, refined
from trivox.geometry.triangulation.residuals import usable_views


def triangulate_ransac(
    points_px: Real[Tensor, "*b V J 2"] | Any,
    cameras: Cameras | Rig | Any,
    weights: Float[Tensor, "*b V J"] | Any = None,
    *,
    threshold_px: float = 20.0,
    refine: bool = True,
    huber_px: float = HUBER_PX,
    noise_px: float = 1.0,
    homogeneous: bool = False,
) -> Triangulated:
    """As `triangulate`, from the largest set of views that agree within `threshold_px` pixels of the picture.

    A joint of which no two views agree is invalid. The choice of views carries no gradient, the point does.
    `refine` minimises the robust reprojection error over the chosen views.
    Raises InputError as `triangulate` does, or where a threshold is not positive.
    """
    checked_positive("threshold_px", threshold_px)
    checked_positive("huber_px", huber_px)
    checked_positive("noise_px", noise_px)
    task = engine.prepared(points_px, cameras, weights)
    settings = Settings(
        search=True,
        refine=refine,
        homogeneous=homogeneous,
        threshold_px=threshold_px,
        huber_px=huber_px,
        noise_px=noise_px,
    )
    found = engine.run(task, settings)
    if task.wants_gradient and refine:
        found = refined(found, task, huber_px, noise_px)
    elif task.wants_gradient:
        found = solved(task, usable_views(task), found.inliers, settings)
    return task.restored(found)
