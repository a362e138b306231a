"""Maps of several views brought into one volume: every voxel looks up its own pixels and joins what it finds.

Source: Iskakov et al. 2019, "Learnable Triangulation of Human Pose". On the CPU a kernel does it in one pass, in
float32; its twin of plain torch operations serves other devices and float64.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.volumes import kernel
from trivox.geometry.volumes.fused import Views, unproject_fused
from trivox.geometry.volumes.sampling import Sampling, cells_of_points, sample

Aggregation = Literal["sum", "max", "softmax", "conf", "conf_norm"]

_KINDS: dict[Aggregation, int] = {
    "sum": kernel.SUM,
    "max": kernel.MAX,
    "softmax": kernel.SOFTMAX,
    "conf": kernel.CONF,
    "conf_norm": kernel.CONF,
}


def unproject(
    maps: Float[Tensor, "B V C h w"],
    cameras: Cameras | Float[Tensor, "B V 3 4"],
    grid_mm: Float[Tensor, "B X Y Z 3"],
    aggregation: Aggregation,
    *,
    confidences: Float[Tensor, "B V C"] | None = None,
    view_mask: Bool[Tensor, "B V"] | None = None,
    sampling: Sampling = "exact",
) -> Float[Tensor, "B C X Y Z"]:
    """The volume of `maps` at the voxels `grid_mm`, differentiable in maps and confidences (only).

    `cameras` (B, V) are those of the maps, in map pixels, lens included; or plain projections of world points to
    map pixels. A voxel that a view does not see, or that does not lie in front of it, has the sample 0 there.
    Views outside `view_mask` take no part at all. Over the views, per voxel and channel:

        "sum"        sum.
        "max"        largest sample; a view that does not see the voxel counts, with its 0.
        "softmax"    mean under the softmax of the samples; the same.
        "conf"       sum of sample times confidence of the view and channel.
        "conf_norm"  the same with confidences divided by their sum over views.

    Raises InputError where sizes do not fit together, confidences are missing, or an item has no view.
    """
    view_mask = _checked(maps, cameras, grid_mm, aggregation, sampling, confidences, view_mask)
    cameras = cameras.map(Tensor.detach) if isinstance(cameras, Cameras) else cameras.detach()
    points_mm, weights = grid_mm.detach().flatten(1, 3), None
    if confidences is not None and aggregation in ("conf", "conf_norm"):
        weights = _weights(confidences, view_mask, normalised=aggregation == "conf_norm")
    if maps.device.type == "cpu" and maps.dtype != torch.float64:
        views = Views.of(cameras, (maps.shape[-2], maps.shape[-1]), sampling)
        volume = unproject_fused(maps, weights, points_mm, views, view_mask, _KINDS[aggregation])
    else:
        # Places in the world have no room in the half precision of an autocast.
        with torch.autocast(maps.device.type, enabled=False):
            volume = unproject_plain(maps, weights, points_mm, cameras, view_mask, aggregation, sampling)
    return volume.unflatten(-1, grid_mm.shape[1:4])


def unproject_plain(
    maps: Float[Tensor, "B V C h w"],
    weights: Float[Tensor, "B V C"] | None,
    points_mm: Float[Tensor, "B N 3"],
    cameras: Cameras | Float[Tensor, "B V 3 4"],
    view_mask: Bool[Tensor, "B V"],
    aggregation: Aggregation,
    sampling: Sampling,
) -> Float[Tensor, "B C N"]:
    """The same by operations of torch: the kernel's twin.

    The voxels go through in V parts whose samples are no more than one volume, and which are computed anew for the
    gradient: the samples of all views never exist at once.
    """

    def part(maps: Tensor, weights: Tensor | None, points_mm: Tensor) -> Tensor:
        cells = cells_of_points(points_mm, cameras, (maps.shape[-2], maps.shape[-1]), sampling)
        return _joined(sample(maps, cells), weights, view_mask, aggregation)

    size = -(-points_mm.shape[1] // maps.shape[1])
    parts = [checkpoint(part, maps, weights, p, use_reentrant=False) for p in points_mm.split(size, dim=1)]
    return torch.cat(parts, dim=-1)


def _joined(samples: Tensor, weights: Tensor | None, view_mask: Tensor, aggregation: Aggregation) -> Tensor:
    """Samples (B, V, C, N) over the views."""
    masked = ~view_mask[..., None, None]
    samples = samples.masked_fill(masked, 0)
    if aggregation == "max":
        return samples.masked_fill(masked, -torch.inf).max(1).values
    if aggregation == "softmax":
        return (samples * samples.masked_fill(masked, -torch.inf).softmax(1)).sum(1)
    if weights is not None:
        samples = samples * weights[..., None].to(samples.dtype)
    return samples.sum(1)


def _weights(confidences: Tensor, view_mask: Tensor, *, normalised: bool) -> Tensor:
    confidences = confidences.masked_fill(~view_mask[..., None], 0)
    if normalised:
        confidences = confidences / confidences.sum(1, keepdim=True).clamp_min(torch.finfo(confidences.dtype).tiny)
    return confidences


def _checked(
    maps: Tensor,
    cameras: Cameras | Tensor,
    grid_mm: Tensor,
    aggregation: str,
    sampling: str,
    confidences: Tensor | None,
    view_mask: Tensor | None,
) -> Tensor:
    """The view mask, made where there is none. The kernel trusts these sizes."""
    _check_word("aggregation", aggregation, get_args(Aggregation))
    _check_word("sampling", sampling, get_args(Sampling))
    batch = cameras.batch_shape if isinstance(cameras, Cameras) else cameras.shape[:-2]
    if aggregation.startswith("conf") and confidences is None:
        raise InputError(f"the aggregation {aggregation!r} was given without confidences; give them, shape (B, V, C)")
    if view_mask is None:
        view_mask = torch.ones(maps.shape[:2], dtype=torch.bool, device=maps.device)
    _check_shape("cameras", batch, maps, maps.shape[:2])
    _check_shape("grid_mm", grid_mm.shape, maps, (len(maps), *grid_mm.shape[1:4], 3))
    _check_shape("view_mask", view_mask.shape, maps, maps.shape[:2])
    if confidences is not None:
        _check_shape("confidences", confidences.shape, maps, maps.shape[:3])
    if not bool(view_mask.any(1).all()):
        raise InputError("view_mask leaves an item of the batch without any view; give each at least one")
    return view_mask


def _check_word(what: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise InputError(f"the {what} {word!r} was given; give one of {', '.join(words)}")


def _check_shape(what: str, shape: tuple[int, ...], maps: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(shape) != tuple(expected):
        raise InputError(
            f"{what} has shape {tuple(shape)}, expected {tuple(expected)} for maps of shape (B, V, C, h, w) = "
            f"{tuple(maps.shape)}; give it that shape"
        )
