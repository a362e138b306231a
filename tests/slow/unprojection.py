"""Unprojection and its gradient the plain way: a loop over items and views, one `grid_sample` each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from trivox.geometry.cameras import Cameras


def unproject_by_views(
    maps: Tensor, cameras: Cameras | Tensor, grid_mm: Tensor, aggregation: str, confidences: Tensor | None = None
) -> Tensor:
    """What `unproject` computes, without masks, sampled exactly."""
    volumes = []
    for b, (item_maps, points_mm) in enumerate(zip(maps, grid_mm.flatten(1, 3), strict=True)):
        samples = []
        for v, view_maps in enumerate(item_maps):
            pixels, depth = _project(cameras[b, v], points_mm)
            h, w = view_maps.shape[-2:]
            places = (2 * pixels / pixels.new_tensor([w, h]) - 1).to(maps.dtype)
            seen = F.grid_sample(view_maps[None], places[None, :, None], align_corners=False)[0, :, :, 0]
            samples.append(torch.where(depth > 0, seen, 0.0))
        weights = None if confidences is None else confidences[b]
        volumes.append(_joined(torch.stack(samples), aggregation, weights))
    return torch.stack(volumes).unflatten(-1, grid_mm.shape[1:4])


def _project(camera: Cameras | Tensor, points_mm: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(camera, Cameras):
        return camera.project(points_mm.to(camera.K)), camera.depth_mm(points_mm.to(camera.K))
    rows = points_mm.to(camera) @ camera[:, :3].T + camera[:, 3]
    return rows[:, :2] / rows[:, 2:], rows[:, 2]


def _joined(samples: Tensor, aggregation: str, confidences: Tensor | None) -> Tensor:
    """Samples (V, C, N) over the views."""
    if aggregation == "max":
        return samples.amax(0)
    if aggregation == "softmax":
        return (samples * samples.softmax(0)).sum(0)
    if aggregation == "sum":
        return samples.sum(0)
    assert confidences is not None
    if aggregation == "conf_norm":
        confidences = confidences / confidences.sum(0)
    return (samples * confidences[..., None]).sum(0)
