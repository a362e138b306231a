"""Unprojection on the CPU by the kernel: tensors in and out, threads, and the place in torch's gradients."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import LENS_COLUMNS
from trivox.geometry.volumes import kernel
from trivox.geometry.volumes.kernel import Scene
from trivox.geometry.volumes.sampling import Sampling, cell_of_pixel

# Below this many pieces of voxels a second thread costs more than it saves.
_PIECES_PER_THREAD = 16


@dataclass(frozen=True)
class Views:
    """Cameras as the kernel wants them; see `kernel.Scene`."""

    rows: np.ndarray
    cells: np.ndarray
    lens: np.ndarray
    has_lens: bool

    @classmethod
    def of(cls, cameras: Cameras | Tensor, map_hw: tuple[int, int], sampling: Sampling) -> Views:
        scale, shift = cell_of_pixel(map_hw, sampling)
        # The cells of the kernel begin with those of the border.
        cell_of_map_pixel = torch.diag(torch.tensor([*scale, 1.0], dtype=torch.float64))
        cell_of_map_pixel[:2, 2] = torch.tensor(shift, dtype=torch.float64) + 1
        if isinstance(cameras, Cameras):
            cameras = cameras.to(dtype=torch.float64)
            if cameras.has_distortion:
                return cls(
                    _array(cameras.cam_from_world),
                    _array((cell_of_map_pixel @ cameras.K)[..., :2, :]),
                    _array(cameras.lens_rows),
                    True,
                )
            cameras = cameras.pixel_from_world
        rows = cell_of_map_pixel @ cameras.double()
        shape = rows.shape[:2]
        return cls(_array(rows), np.zeros((*shape, 2, 3)), np.zeros((*shape, LENS_COLUMNS)), False)


def unproject_fused(
    maps: Tensor, weights: Tensor | None, points_mm: Tensor, views: Views, view_mask: Tensor, kind: int
) -> Tensor:
    """Volumes (B, C, N), channels innermost in memory, in the precision of the maps."""
    if weights is None:
        weights = maps.new_zeros(*maps.shape[:3])
    return _Unprojection.apply(maps.float(), weights.float(), points_mm, views, view_mask, kind).to(maps.dtype)


class _Unprojection(torch.autograd.Function):
    """The kernels as one differentiable step. Backward computes the samples anew, so nothing of volume size is kept."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, maps: Tensor, weights: Tensor, points_mm: Tensor, views: Views, view_mask: Tensor, kind: int
    ) -> Tensor:
        B, V, C, h, w = maps.shape
        bordered = maps.new_zeros(B, V, h + 2, w + 2, C)
        bordered[:, :, 1:-1, 1:-1] = maps.movedim(2, -1)
        ctx.save_for_backward(bordered, weights, points_mm, view_mask)
        ctx.views, ctx.kind = views, kind
        scene = _scene(bordered, weights, points_mm, view_mask, views)
        volume = maps.new_empty(B, points_mm.shape[1], C)
        out = volume.numpy()

        def work(start: int, end: int) -> None:
            kernel.unproject_pieces(scene, kind, start, end, kernel.room_for(V, C), out)

        _in_threads(B * -(-out.shape[1] // kernel.PIECE), _PIECES_PER_THREAD, work)
        return volume.movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_volume: Tensor
    ) -> tuple[Tensor | None, ...]:
        bordered, weights, points_mm, view_mask = ctx.saved_tensors
        scene = _scene(bordered, weights, points_mm, view_mask, ctx.views)
        B, V, C = weights.shape
        grad = _array(grad_volume.movedim(1, -1))
        grad_maps = torch.zeros_like(bordered)
        maps_out = grad_maps.flatten(2, 3).numpy()
        grad_weights = np.zeros((B, V, C))

        # Items first; channels are split only as far as there are threads left, eight at a time.
        block = 8 * -(-C * B // (8 * max(B, torch.get_num_threads())))

        def work(start: int, end: int) -> None:
            room = kernel.room_for(V, C)
            kernel.gradient_blocks(scene, ctx.kind, block, start, end, room, grad, maps_out, grad_weights)

        _in_threads(B * -(-C // block), 1, work)
        grad_maps = grad_maps[:, :, 1:-1, 1:-1].movedim(-1, 2)
        return grad_maps, torch.from_numpy(grad_weights).to(weights.dtype), None, None, None, None


def _scene(bordered: Tensor, weights: Tensor, points_mm: Tensor, view_mask: Tensor, views: Views) -> Scene:
    height, width = bordered.shape[2] - 2, bordered.shape[3] - 2
    return Scene(
        _array(bordered.flatten(2, 3)),
        _array(points_mm if points_mm.dtype == torch.float64 else points_mm.float()),
        views.rows,
        views.cells,
        views.lens,
        _array(view_mask),
        _array(weights),
        height,
        width,
        views.has_lens,
    )


def _array(t: Tensor) -> np.ndarray:
    return np.ascontiguousarray(t.detach().numpy())


def _in_threads(total: int, least: int, work: Callable[[int, int], None]) -> None:
    """Cut `total` steps of work into ranges for the threads that torch may use, at least `least` in each."""
    threads = torch.get_num_threads()
    # More ranges than threads: a thread that was held up leaves the rest to the others.
    ranges = max(1, min(4 * threads, total // least))
    edges = [total * i // ranges for i in range(ranges + 1)]
    if ranges == 1 or threads == 1:
        work(0, total)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))
