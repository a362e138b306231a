"""How badly a rig and 2D joints contradict each other.

All views together place every point, and its distance from where each view saw it is measured in pixels of a crop
around the person. One bad camera must neither hide behind good ones nor spoil them, so the loss of a distance e is
log(1 + (e / scale)^2) (Cauchy's): quadratic near zero, while a gross error still costs more than a large one. A point
is placed where its loss over all views is least: from the best pair of views, then by reweighted Gauss-Newton steps.
A point behind a camera that sees it costs as much as the grossest error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.doctor.evidence import Evidence
from trivox.doctor.placing_kernel import NEAREST_MM, SCALE_PX, place, undo_lenses
from trivox.geometry.cameras import Cameras

# Pairs of views that propose a point; of dozens of cameras only some.
_MOST_PAIRS = 45


@dataclass(frozen=True)
class Rays:
    """M points as V views see them: undistorted, on the plane at depth 1.

    `gain` converts a distance there into crop pixels; `weights` are 0 where a view does not see the point.
    """

    directions: Float[Tensor, "M V 2"]
    gain: Float[Tensor, "M V"]
    weights: Float[Tensor, "M V"]

    @property
    def seen(self) -> Bool[Tensor, "M V"]:
        """Only points that two views see can contradict anything."""
        seen = self.weights > 0
        return seen & (seen.sum(-1, keepdim=True) >= 2)

    def with_view(self, view: int, own: Rays) -> Rays:
        """`own`, of one view, in place of those of `view`."""
        mixed = {name: getattr(self, name).clone() for name in ("directions", "gain", "weights")}
        for name, value in mixed.items():
            value[:, view] = getattr(own, name)[:, 0]
        return Rays(**mixed)


@dataclass(frozen=True)
class Fit:
    """The points in world mm, and their distances in crop pixels from where the views saw them."""

    points_mm: Float[Tensor, "M 3"]
    errors_px: Float[Tensor, "M V"]
    seen: Bool[Tensor, "M V"]

    @property
    def view_losses(self) -> Float[Tensor, " V"]:
        return _view_means(losses_of(self.errors_px), self.seen)

    @property
    def loss(self) -> float:
        """Mean over the views of the mean loss in each: no view is outvoted by the number of its joints."""
        looking = self.seen.any(0)
        return float(self.view_losses[looking].mean()) if looking.any() else 0.0


def losses_of(errors_px: Tensor) -> Tensor:
    return torch.log1p((errors_px / SCALE_PX) ** 2)


def _view_means(values: Tensor, seen: Tensor) -> Tensor:
    return (values * seen).sum(0) / seen.sum(0).clamp_min(1)


def rays_of(evidence: Evidence, cameras: Cameras) -> Rays:
    """What the views see, with the lens and K undone: M = F N points, instant by instant.

    A lens that bends much, a fisheye's most of all, shows a distance on the plane at depth 1 larger or smaller.
    """
    points_px = evidence.points_px.movedim(1, 0).flatten(1, 2)
    normalised = cameras.normalised_from_pixels(points_px)
    # Pixels are squares, nearly; a mean focal length serves both axes, and a mean magnification all directions.
    gain = (cameras.K[:, 0, 0] * cameras.K[:, 1, 1]).abs().sqrt()[:, None].repeat(1, normalised.shape[1])
    if cameras.has_distortion:
        normalised = normalised.contiguous()
        undo_lenses(normalised.numpy(), cameras.lens_rows.numpy(), gain.numpy())
    gain = gain / evidence.crop_px.movedim(1, 0).flatten(1, 2)
    return Rays(normalised.movedim(0, 1), gain.T, evidence.weights.movedim(1, 0).flatten(1, 2).T)


def fit(rays: Rays, cameras: Cameras, start_mm: Float[Tensor, "M 3"] | None = None) -> Fit:
    """Place the points, from `start_mm` or else from the best pair of views, and measure."""
    seen = rays.seen
    M, V = seen.shape
    first, second = torch.triu_indices(V, V, 1)
    if len(first) > _MOST_PAIRS:
        chosen = torch.linspace(0, len(first) - 1, _MOST_PAIRS).long()
        first, second = first[chosen], second[chosen]
    along = torch.cat([rays.directions, torch.ones(M, V, 1, dtype=torch.float64)], -1)
    along = (along[:, :, None] @ cameras.R)[:, :, 0]
    points = torch.zeros(M, 3, dtype=torch.float64) if start_mm is None else start_mm.clone()
    errors = torch.empty(M, V, dtype=torch.float64)
    given = (rays.directions, rays.gain, seen, cameras.R, cameras.t_mm, cameras.position_mm, along, first, second)
    place(*(g.contiguous().numpy() for g in given), start_mm is None, points.numpy(), errors.numpy())
    return Fit(points, errors, seen)


def seen_from(points_mm: Float[Tensor, "M 3"], cameras: Cameras) -> Float[Tensor, "M V 3"]:
    """Camera coordinates of the points in every view."""
    return torch.einsum("vij,mj->mvi", cameras.R, points_mm) + cameras.t_mm


def residuals(X: Float[Tensor, "M 3"], rays: Rays, cameras: Cameras) -> Float[Tensor, "M V 2"]:
    """From where the views saw the points to where they are, in crop pixels."""
    in_cam = seen_from(X, cameras)
    return (in_cam[..., :2] / in_cam[..., 2:].clamp_min(NEAREST_MM) - rays.directions) * rays.gain[..., None]


def linearised(
    X: Float[Tensor, "M 3"], rays: Rays, cameras: Cameras, seen: Bool[Tensor, "M V"]
) -> tuple[Float[Tensor, "M V 2"], Float[Tensor, "M V 2 3"], Float[Tensor, "M V"]]:
    """Residuals in crop pixels, their slope per mm of the point, and Cauchy's weights."""
    in_cam = seen_from(X, cameras)
    depth = in_cam[..., 2].clamp_min(NEAREST_MM)
    at = in_cam[..., :2] / depth[..., None]
    residual = residuals(X, rays, cameras)
    slope = (cameras.R[:, :2] - at[..., None] * cameras.R[:, 2:]) * (rays.gain / depth)[..., None, None]
    weights = seen * (in_cam[..., 2] > NEAREST_MM) / (1 + residual.square().sum(-1) / SCALE_PX**2)
    return residual, slope, weights


def of_views(rays: Rays, cameras: Cameras, views: list[int]) -> tuple[Rays, Cameras]:
    """Rays and cameras of some views only."""
    return replace(
        rays, directions=rays.directions[:, views], gain=rays.gain[:, views], weights=rays.weights[:, views]
    ), cameras[torch.tensor(views)]
