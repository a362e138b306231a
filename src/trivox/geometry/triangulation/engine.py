"""From tensors to the kernels and back: what goes in is checked, flattened, and spread over threads.

The kernels want (B, V, J) observations and C rigs, C being 1 (one rig for all) or B.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import LENS_COLUMNS, inverse_2x2
from trivox.geometry.rig import Rig
from trivox.geometry.tensors import as_tensor
from trivox.geometry.triangulated import FARTHEST_MM, Triangulated
from trivox.geometry.triangulation.arrays import CameraArrays, Results, Settings, scratch
from trivox.geometry.triangulation.joint_kernel import triangulate_joints
from trivox.geometry.triangulation.limits import MAX_SEARCH_VIEWS

# Below this many joints a second thread costs more than it saves.
_JOINTS_PER_THREAD = 500


@dataclass(frozen=True)
class Task:
    """Observations in float64 with one batch axis, and C rigs: 1 or B."""

    points_px: Float[Tensor, "B V J 2"]
    weights: Float[Tensor, "B V J"]
    cameras: Cameras
    batch_shape: torch.Size
    dtype: torch.dtype

    @property
    def in_kernel(self) -> bool:
        """Whether the machine code can do it all: on the CPU, and nobody asks for a gradient."""
        return self.points_px.device.type == "cpu" and not self.wants_gradient

    @property
    def wants_gradient(self) -> bool:
        """Whether there is a gradient to compute; nothing at all needs no computing, see `_tied`."""
        return self._is_asked_for_gradient and self.weights.numel() > 0

    @property
    def _inputs(self) -> tuple[Tensor, ...]:
        cameras = self.cameras
        return self.points_px, self.weights, cameras.K, cameras.R, cameras.t_mm, cameras.distortion

    @property
    def _is_asked_for_gradient(self) -> bool:
        return torch.is_grad_enabled() and any(t.requires_grad for t in self._inputs)

    def restored(self, result: Triangulated) -> Triangulated:
        """The caller's batch axes, device and precision."""
        if self._is_asked_for_gradient and self.weights.numel() == 0:
            result = self._tied(result)
        result = result.map(lambda t: t.reshape(*self.batch_shape, *t.shape[1:]))
        return result.to(self.points_px.device, self.dtype)

    def _tied(self, result: Triangulated) -> Triangulated:
        """The result of no observations: its gradient is zero, but it has one, so that a training step goes on."""
        nothing = torch.stack([t.sum() for t in self._inputs]).sum() * 0
        return result.map(lambda t: t + nothing if t.is_floating_point() else t)


def prepared(points_px: Any, cameras: Any, weights: Any) -> Task:
    """Check that the pieces fit together and bring them to one shape; arrays and lists become tensors, a rig cameras.

    Raises `InputError` for anything else, in the words of the public functions.
    """
    points_px = as_tensor("points_px", points_px, "(*b, V, J, 2)")
    cameras = _checked_cameras(cameras)
    if points_px.ndim < 3 or points_px.shape[-1] != 2:
        raise InputError(
            f"points_px has shape {tuple(points_px.shape)}, expected (*b, V, J, 2): x and y of J joints in V views"
        )
    *batch, views, joints, _ = points_px.shape
    if cameras.batch_shape[-1:] != (views,):
        raise InputError(
            f"points_px has {views} views (shape {tuple(points_px.shape)}), the cameras have batch shape "
            f"{tuple(cameras.batch_shape)}: expected (*b, V, J, 2) for V cameras; give one camera per view"
        )
    if weights is None:
        weights = points_px.new_ones(()).expand(points_px.shape[:-1])
    weights = as_tensor("weights", weights, "(*b, V, J)")
    if weights.shape != points_px.shape[:-1]:
        raise InputError(
            f"weights have shape {tuple(weights.shape)}, expected {tuple(points_px.shape[:-1])}, "
            "one number per observation of points_px; give them that shape"
        )
    size = prod(batch)
    cameras = cameras[None] if cameras.batch_shape == (views,) else _flat_rigs(cameras, points_px.shape)
    double = torch.float64
    cameras, sound = _without_broken(cameras.to(points_px.device, double))
    weights = weights.to(points_px.device, double).reshape(size, views, joints)
    if not bool(sound.all()):
        weights = torch.where(sound[..., None], weights, 0.0)
    # Half precision would round metres to millimetres or worse.
    dtype = torch.promote_types(points_px.dtype, torch.float32) if points_px.is_floating_point() else double
    points_px = points_px.to(double).reshape(size, views, joints, 2)
    return Task(points_px, weights, cameras, torch.Size(batch), dtype)


def _checked_cameras(cameras: Any) -> Cameras:
    cameras = cameras.cameras if isinstance(cameras, Rig) else cameras
    if not isinstance(cameras, Cameras):
        raise InputError(
            f"cameras is of type {type(cameras).__name__}, expected trivox.Cameras or a trivox.Rig; trivox.load_rig "
            "reads one from a file"
        )
    return cameras


def _without_broken(cameras: Cameras) -> tuple[Cameras, Tensor]:
    """Harmless cameras in place of those that are nowhere or map no plane, and which were sound."""
    K, distortion = cameras.K.detach(), cameras.distortion.detach()
    sound = torch.cat([K, cameras.cam_from_world.detach()], dim=-1).isfinite().flatten(-2).all(-1)
    sound &= distortion.isfinite().all(-1) & (K[..., 0, 0] * K[..., 1, 1] != 0)
    sound &= (cameras.t_mm.detach().abs() <= FARTHEST_MM).all(-1)
    if bool(sound.all()):
        return cameras, sound
    eye = torch.eye(3, dtype=K.dtype, device=K.device)
    clean = replace(
        cameras,
        K=torch.where(sound[..., None, None], cameras.K, eye),
        R=torch.where(sound[..., None, None], cameras.R, eye),
        t_mm=torch.where(sound[..., None], cameras.t_mm, 0.0),
        distortion=torch.where(sound[..., None], cameras.distortion, 0.0),
    )
    return clean, sound


def _flat_rigs(cameras: Cameras, given: torch.Size) -> Cameras:
    """A rig for each item of `points_px`, whose shape is `given`, on one batch axis."""
    *batch, views, _, _ = given
    own = cameras.batch_shape
    if len(own) > len(batch) + 1 or any(size not in (1, b) for size, b in zip(own[-2::-1], batch[::-1], strict=False)):
        raise InputError(
            f"points_px has shape {tuple(given)}, the cameras have batch shape {tuple(own)}: expected cameras of batch "
            f"shape {(views,)}{f', or {(*batch, views)}' if batch else ''}; give points_px the cameras' axes, or take "
            "one of the rigs"
        )
    return cameras.expanded(*batch, views).map(lambda t: t.flatten(0, len(batch) - 1))


def run(task: Task, settings: Settings, start: Triangulated | None = None) -> Triangulated:
    """Run the kernel over all joints, without gradient, on the CPU; float64 results on the task's device."""
    with torch.no_grad():
        points_px, weights = _array(task.points_px), _array(task.weights)
        cameras = camera_arrays(task.cameras)
    out = _empty_results(*points_px.shape[:3])
    if start is not None:
        out.points_mm[...] = _array(start.points_mm)
        out.valid[...] = _array(start.valid)
        out.inliers[...] = _array(start.inliers)
    # Whatever kind of numbers the caller has, the machine code is compiled for one.
    flags = (settings.search, settings.refine, start is not None, settings.homogeneous)
    pixels = (settings.threshold_px, settings.huber_px, settings.noise_px)
    settings = Settings(*map(bool, flags), *map(float, pixels))

    def work(first: int, last: int) -> None:
        room = scratch(points_px.shape[1])
        triangulate_joints(points_px, weights, cameras, first, last, settings, room, out)

    _in_threads(points_px.shape[0] * points_px.shape[2], work)
    return Triangulated(*(torch.from_numpy(a) for a in out)).to(task.points_px.device)


def camera_arrays(cameras: Cameras) -> CameraArrays:
    """C rigs of V cameras for the kernels."""
    has_lens = cameras.has_distortion
    lens = _array(cameras.lens_rows) if has_lens else np.zeros((*cameras.batch_shape, LENS_COLUMNS))
    centre_mm = _array(cameras.position_mm)
    return CameraArrays(
        P=_array(cameras.pixel_from_world),
        K=_array(cameras.K[..., :2, :]),
        K_inverse=_array(inverse_2x2(cameras.K[..., :2, :2])),
        R=_array(cameras.R),
        t_mm=_array(cameras.t_mm),
        lens=lens,
        centre_mm=centre_mm,
        spread=farthest_point_order(centre_mm),
        has_lens=has_lens,
    )


def _array(t: Tensor) -> np.ndarray:
    return np.ascontiguousarray(t.detach().cpu().numpy())


def farthest_point_order(centre_mm: np.ndarray) -> np.ndarray:
    """Place of each camera (C, V) when one begins with the camera farthest from the middle, then takes, each
    time, the one farthest from all taken. Only rigs with more views than are searched need it.
    """
    rigs, views = centre_mm.shape[:2]
    place = np.zeros((rigs, views), dtype=np.int64)
    if views <= MAX_SEARCH_VIEWS:
        return place
    distance = np.linalg.norm(centre_mm - centre_mm.mean(axis=1, keepdims=True), axis=-1)
    row = np.arange(rigs)
    for step in range(views):
        nearest = distance.argmax(axis=1)
        place[row, nearest] = step
        to_new = np.linalg.norm(centre_mm - centre_mm[row, nearest][:, None], axis=-1)
        distance = to_new if step == 0 else np.minimum(distance, to_new)
        distance[row, nearest] = -1.0
    return place


def _empty_results(batch: int, views: int, joints: int) -> Results:
    return Results(
        np.zeros((batch, joints, 3)),
        np.zeros((batch, joints), dtype=np.bool_),
        np.zeros((batch, joints)),
        np.zeros((batch, views, joints), dtype=np.bool_),
        np.zeros((batch, views, joints)),
        np.zeros((batch, joints, 3, 3)),
    )


def _in_threads(total: int, work: Callable[[int, int], None]) -> None:
    """Cut the joints into one piece per thread that torch may use."""
    pieces = max(1, min(torch.get_num_threads(), total // _JOINTS_PER_THREAD))
    edges = [total * i // pieces for i in range(pieces + 1)]
    if pieces == 1:
        work(0, total)
        return
    with ThreadPoolExecutor(pieces) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))
