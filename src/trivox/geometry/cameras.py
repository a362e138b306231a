"""Cameras with lens distortion: project, undo the lens, and follow what happens to the picture.

Conventions: `x_cam = R x_world + t_mm`, OpenCV axes (x right, y down, z forward), millimetres, pixel origin at the
*corner* of the top-left pixel (its centre is at 0.5, 0.5), so that resizing multiplies `K[:2]` and cropping
subtracts from the principal point. A change of the picture returns a new object, named by a participle. Points, boxes
and whatever else meets cameras are tensors, NumPy arrays or lists of numbers.

Which points meet which cameras (`*b` are the cameras' batch axes, the last of which is the view axis):

    world points (*b, N, 3)     each camera has points of its own; an axis of 1 broadcasts
    world points (*a, N, 3)     with *a = *b without the view axis: every view sees the points of its item;
                                (B, J, 3) in cameras (B, V) gives (B, V, J, 2)
    world points (N, 3)         every camera sees them
    world points with more axes than *b: those at the cameras' places must be 1, (F, 1, J, 3) in cameras (V,)
    pixels (..., *b, N, 2)      always belong to cameras: never fewer axes, but for (N, 2)

Anything else raises InputError; axes are counted, never guessed from sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry import camera_input
from trivox.geometry.camera_input import (
    BOXES_PX,
    FACTORS,
    IMAGE_HW,
    NORMALISED,
    POINTS_MM,
    POINTS_PX,
    QUARTER_TURNS,
    WORLD_FROM_NEW,
    Given,
)
from trivox.geometry.distortion import (
    DISTORTION_MODELS,
    FISHEYE,
    DistortionModel,
    distort,
    distortion_jacobian,
    inverse_2x2,
    lens_rows,
    tilt_angles,
    tilt_rotation,
    undistort,
)
from trivox.geometry.tensors import TensorDataclass, check_joinable

# Depths are kept this far from zero, where projection has no value.
SMALLEST_DEPTH_MM = 1e-3


@dataclass(frozen=True)
class Cameras(TensorDataclass):
    """Any batch of cameras, `*b`; a rig is `(V,)`, a batch of rigs `(B, V)`.

    `distortion` holds the coefficients of `distortion_model` (their order is in distortion.py): "opencv" with 5, 8, 12
    or 14 of them (0, 1, 2 and 4 are completed by zeros), "human36m" with 5, "fisheye" with 4. Where models differ from
    camera to camera, `distortion_model` is a tensor of places in `DISTORTION_MODELS`, and shorter lenses end in zeros;
    `Cameras.stack` makes such a rig out of single cameras. `image_hw` is the size (height, width) of the calibrated
    picture in pixels, or None where it is unknown.

    Raises InputError where shapes, types or the number of coefficients do not fit.
    """

    # Run-time type checkers leave the fields to `__post_init__`, which says what is wrong with them.
    __no_type_check__ = True

    K: Float[Tensor, "*b 3 3"]
    R: Float[Tensor, "*b 3 3"]
    t_mm: Float[Tensor, "*b 3"]
    distortion: Float[Tensor, "*b K"]
    distortion_model: DistortionModel | Int[Tensor, "*b"] = "opencv"
    image_hw: Int[Tensor, "*b 2"] | None = None

    def __post_init__(self) -> None:
        camera_input.check_fields(self.K, self.R, self.t_mm, self.distortion, self.image_hw)
        lens = camera_input.canonical_lens(self.distortion, self.distortion_model)
        object.__setattr__(self, "distortion", lens[0])
        object.__setattr__(self, "distortion_model", lens[1])

    @classmethod
    def _joined(cls, items: Sequence[Cameras], join: Callable[[list[Tensor]], Tensor]) -> Cameras:  # pyright: ignore[reportIncompatibleMethodOverride]
        _check_joinable(items, 1 if join is torch.cat else 0)
        distortion, model = camera_input.joined_lenses([(c.distortion, c.distortion_model) for c in items], join)
        K, R, t_mm = (join([getattr(c, name) for c in items]) for name in ("K", "R", "t_mm"))
        sizes = [c.image_hw for c in items if c.image_hw is not None]
        return cls(K, R, t_mm, distortion, model, join(sizes) if len(sizes) == len(items) else None)

    @classmethod
    def from_opencv(
        cls,
        K: ArrayLike | Tensor | Sequence[Any],
        R: ArrayLike | Tensor | Sequence[Any],
        t_mm: ArrayLike | Tensor | Sequence[Any],
        dist: ArrayLike | Tensor | Sequence[Any] | None = None,
        image_hw: ArrayLike | Tensor | Sequence[Any] | None = None,
        *,
        distortion_model: DistortionModel | Sequence[DistortionModel] = "opencv",
    ) -> Cameras:
        """Cameras from what OpenCV's calibration gives, one `(3, 3)` K or a batch `(V, 3, 3)`, in float64.

        K has OpenCV's pixel centres at whole numbers: half a pixel is added to its principal point. R are matrices or
        rotation vectors (rvec), world to camera; t_mm is tvec in millimetres. `dist` has 0, 1, 2, 4, 5, 8, 12 or 14
        coefficients of the camera, or a list of such per camera, or None for no distortion; with
        `distortion_model="fisheye"` (one name, or one per camera) the four of cv2.fisheye. `image_hw` is (height,
        width), for all or per camera.

        Raises InputError where something does not fit, and, unlike `Cameras(...)` itself, which is made in hot loops,
        for values that no camera has: what is not finite, another form of K, a matrix that is no rotation to 1e-3.
        """
        return cls(*camera_input.from_opencv(K, R, t_mm, dist, image_hw, distortion_model))

    @property
    def batch_shape(self) -> torch.Size:
        return self.t_mm.shape[:-1]

    @property
    def cam_from_world(self) -> Float[Tensor, "*b 3 4"]:
        """`[R | t_mm]`: camera coordinates in mm of a homogeneous world point."""
        return torch.cat([self.R, self.t_mm[..., None]], dim=-1)

    @property
    def pixel_from_world(self) -> Float[Tensor, "*b 3 4"]:
        """`K [R | t_mm]`: homogeneous *undistorted* pixels of a homogeneous world point."""
        with _full_precision(self.K):
            return self.K @ self.cam_from_world

    @property
    def position_mm(self) -> Float[Tensor, "*b 3"]:
        """Centre of each camera in the world."""
        with _full_precision(self.R):
            return -(self.R.mT @ self.t_mm[..., None])[..., 0]

    @property
    def has_distortion(self) -> bool:
        """False only where every coefficient of every camera is exactly zero, and none is a fisheye."""
        if self.distortion_model not in ("opencv", "human36m"):
            return True
        return bool((self.distortion != 0).any())

    @property
    def distortion_models(self) -> tuple[DistortionModel, ...]:
        """The name of each camera's model, in the order of the flattened batch."""
        if isinstance(self.distortion_model, str):
            return (self.distortion_model,) * self.batch_shape.numel()
        return tuple(DISTORTION_MODELS[i] for i in self.distortion_model.flatten().tolist())

    @property
    def lens_rows(self) -> Float[Tensor, "*b 24"]:
        """The lenses as the kernels read them (`distortion.lens_rows`)."""
        return lens_rows(self.distortion, self.distortion_model)

    def depth_mm(self, points_mm: Float[Tensor, "*p N 3"] | Any) -> Float[Tensor, "*q N"]:
        """Distance in front of each camera along its axis; negative behind it. At least float32."""
        cameras, points_mm = self._met(points_mm, POINTS_MM)
        with _full_precision(points_mm):
            return (points_mm @ cameras.R[..., 2, :, None])[..., 0] + cameras.t_mm[..., 2, None]

    def project(self, points_mm: Float[Tensor, "*p N 3"] | Any) -> Float[Tensor, "*q N 2"]:
        """Pixels of world points through lens and K. The same formula holds behind a camera: ask `depth_mm`.

        Points within a micrometre of the camera's plane are projected as if that far in front of it: finite
        points have finite pixels and gradients. The result has the finer precision of points and cameras, at least
        float32, here and wherever points are given.
        """
        cameras, points_mm = self._met(points_mm, POINTS_MM)
        with _full_precision(points_mm):
            normalised, _ = cameras._normalised(points_mm)
            if self.has_distortion:
                normalised = distort(normalised, cameras.distortion, cameras.distortion_model)
            return cameras._pixels(normalised)

    def project_with_slope(
        self, points_mm: Float[Tensor, "*p N 3"] | Any
    ) -> tuple[Float[Tensor, "*q N 2"], Float[Tensor, "*q N 2 3"]]:
        """`project`, and the derivative of the pixels with respect to the points, per mm."""
        cameras, points_mm = self._met(points_mm, POINTS_MM)
        with _full_precision(points_mm):
            normalised, depth = cameras._normalised(points_mm)
            R = cameras.R[..., None, :, :]
            slope = (R[..., :2, :] - normalised[..., None] * R[..., 2:, :]) / depth[..., None]
            if self.has_distortion:
                lens = cameras.distortion, cameras.distortion_model
                slope = distortion_jacobian(normalised, *lens) @ slope
                normalised = distort(normalised, *lens)
            return cameras._pixels(normalised), cameras.K[..., None, :2, :2] @ slope

    def _normalised(self, points_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Points of the plane at depth 1, and their depths (..., 1), never zero."""
        in_cam = points_mm @ self.R.mT + self.t_mm[..., None, :]
        depth = in_cam[..., 2:]
        depth = torch.where(depth.abs() < SMALLEST_DEPTH_MM, SMALLEST_DEPTH_MM, depth)
        return in_cam[..., :2] / depth, depth

    def _pixels(self, normalised: Tensor) -> Tensor:
        return normalised @ self.K[..., :2, :2].mT + self.K[..., None, :2, 2]

    def pixels_from_normalised(self, points: Float[Tensor, "*p N 2"] | Any) -> Float[Tensor, "*q N 2"]:
        """Apply K (skew included) to points of the plane at depth 1."""
        cameras, points = self._met(points, NORMALISED)
        with _full_precision(points):
            return cameras._pixels(points)

    def normalised_from_pixels(self, points_px: Float[Tensor, "*p N 2"] | Any) -> Float[Tensor, "*q N 2"]:
        """Undo K (skew included): points of the plane at depth 1, still distorted."""
        cameras, points_px = self._met(points_px, POINTS_PX)
        with _full_precision(points_px):
            return (points_px - cameras.K[..., None, :2, 2]) @ inverse_2x2(cameras.K[..., :2, :2]).mT

    def undistorted_points(self, points_px: Float[Tensor, "*p N 2"] | Any) -> Float[Tensor, "*q N 2"]:
        """Where the same rays would meet the picture of a camera with this K and no lens distortion, in pixels."""
        cameras, points_px = self._met(points_px, POINTS_PX)
        if not self.has_distortion:
            shape = torch.broadcast_shapes(points_px.shape[:-2], self.batch_shape)
            return points_px.expand(*shape, *points_px.shape[-2:])
        with _full_precision(points_px):
            normalised = cameras.normalised_from_pixels(points_px)
            return cameras.pixels_from_normalised(undistort(normalised, cameras.distortion, cameras.distortion_model))

    def _met(self, points: Any, given: Given) -> tuple[Cameras, Tensor]:
        """Cameras and points in the finer precision of the two, with axes that broadcast as the module says."""
        return self._in_one_precision(camera_input.met(points, given, self.batch_shape, self.K.device))

    def _in_one_precision(self, numbers: Tensor) -> tuple[Cameras, Tensor]:
        dtype = torch.promote_types(numbers.dtype, self.K.dtype)
        return self if self.K.dtype == dtype else self.to(dtype), numbers.to(dtype)

    def without_distortion(self) -> Cameras:
        """The ideal cameras that `undistorted_points` speaks of."""
        if self.distortion_model == "human36m":
            return replace(self, distortion=torch.zeros_like(self.distortion))
        return replace(self, distortion=self.distortion.new_zeros(*self.batch_shape, 5), distortion_model="opencv")

    def cropped(self, boxes_px: Float[Tensor, "*p 4"] | Any) -> Cameras:
        """Cameras of the pictures cut to `boxes_px` (x0, y0, x1, y1); a box may leave the picture.

        More axes than the cameras', as in boxes (B, V, 4) of cameras (V,), repeat the cameras, here and below. The
        result has the precision and the device of the cameras, here and in what else changes the picture.
        """
        cameras, boxes_px = self._repeated_to(boxes_px, BOXES_PX)
        K = cameras.K.clone()
        K[..., :2, 2] = K[..., :2, 2] - boxes_px[..., :2]
        size = (boxes_px[..., [3, 2]] - boxes_px[..., [1, 0]]).round().long()
        return replace(cameras, K=K, image_hw=size.expand(*cameras.batch_shape, 2))

    def expanded(self, *batch_shape: int) -> Cameras:
        """The same cameras repeated (without copying) to a larger batch; `(V,)` becomes `(B, V)`."""
        camera_input.check_expansion(self.batch_shape, batch_shape)
        return self.map(lambda t: t.expand(*batch_shape, *t.shape[len(self.batch_shape) :]))

    def _repeated_to(self, change: Any, given: Given) -> tuple[Cameras, Tensor]:
        """Cameras with the batch axes of what changes them, and that on their device."""
        change = camera_input.numbers(change, given).to(self.K.device)
        change = camera_input.aligned(change, given, self.batch_shape)
        shape = torch.broadcast_shapes(self.batch_shape, change.shape[: change.ndim - len(given.own)])
        return self if shape == self.batch_shape else self.expanded(*shape), change

    def scaled(self, factors: Float[Tensor, "*p 2"] | Any) -> Cameras:
        """Cameras of the pictures stretched by `factors` (x, y)."""
        cameras, factors = self._repeated_to(factors, FACTORS)
        factors = factors.to(self.K.dtype)
        rows = torch.cat([factors, torch.ones_like(factors[..., :1])], dim=-1)
        hw = cameras.image_hw
        if hw is not None:
            hw = (hw * factors.flip(-1)).round().long()
        return replace(cameras, K=cameras.K * rows[..., None], image_hw=hw)

    def resized(self, image_hw: tuple[int, int] | Int[Tensor, "*p 2"] | Any) -> Cameras:
        """Cameras of the pictures resized to `image_hw` (height, width). Raises InputError without the present size."""
        cameras, new_hw = self._repeated_to(image_hw, IMAGE_HW)
        factors = (new_hw / cameras._present_hw("resized", ", or use scaled(factors)").to(self.K.dtype)).flip(-1)
        return replace(cameras.scaled(factors), image_hw=new_hw.long().expand(*cameras.batch_shape, 2))

    def turned(self, quarter_turns: Int[Tensor, "*p"] | Any) -> Cameras:
        """Cameras of the pictures turned clockwise by quarter turns. Raises InputError without the present size.

        The camera turns about its own axis with the picture, so its position stays; the vectors of the lens turn with
        it. A clockwise quarter turn sends pixel (x, y) to (h - y, x).
        """
        cameras, quarter_turns = self._repeated_to(quarter_turns, QUARTER_TURNS)
        turns = quarter_turns.expand(cameras.batch_shape) % 4
        result = cameras
        with _full_precision(self.K):
            for step in (1, 2, 3):
                result = chosen(turns >= step, result._turned_once(), result)
        return result

    def _present_hw(self, use: str, instead: str = "") -> Tensor:
        if self.image_hw is None:
            raise InputError(
                f"{use} needs the present size of the pictures, and image_hw of these cameras is None; "
                f"give them image_hw{instead}"
            )
        return self.image_hw

    def _turned_once(self) -> Cameras:
        image_hw = self._present_hw("turned")
        quarter = self.K.new_tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        turned_K = quarter @ self.K @ quarter.mT
        turned_K[..., 0, 2] += image_hw[..., 0]
        distortion, turn = self._turned_lens(quarter)
        return Cameras(
            turned_K,
            turn @ self.R,
            (turn @ self.t_mm[..., None])[..., 0],
            distortion,
            self.distortion_model,
            image_hw.flip(-1),
        )

    def _turned_lens(self, quarter: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients once the picture is turned by a quarter, and the turn of the camera that goes with them.

        The rotation of a tilted sensor, seen in the turned axes, is a tilt by other angles after a small turn about the
        optical axis; that turn is the camera's. Everything before the tilt turns as the camera does.
        """
        k = self.distortion
        if self.distortion_model == "fisheye":
            return k, quarter
        turn, columns = quarter, list(k.unbind(-1))
        if len(columns) >= 14:
            angles, small_turn = tilt_angles(quarter @ tilt_rotation(k[..., 12:14]) @ quarter.mT)
            turn = small_turn @ quarter
            columns[12:14] = angles.unbind(-1)
        # Vectors (x, y) among the coefficients; p2 is the x of the tangential one.
        for x, y in ((3, 2), (8, 10), (9, 11)):
            if x < len(columns):
                columns[x] = turn[..., 0, 0] * k[..., x] + turn[..., 0, 1] * k[..., y]
                columns[y] = turn[..., 1, 0] * k[..., x] + turn[..., 1, 1] * k[..., y]
        turned = torch.stack(columns, dim=-1)
        if isinstance(self.distortion_model, Tensor):
            turned = torch.where((self.distortion_model == FISHEYE)[..., None], k, turned)
        return turned, turn

    def moved(self, world_from_new: Float[Tensor, "*p 4 4"] | Any) -> Cameras:
        """The same cameras in a new world, given the rigid transform that takes new coordinates to the old.

        Transforms (B, 4, 4) of cameras (B, V) are one for each rig. The result has the finer precision of the two.
        """
        cameras, transform = self._repeated_to(world_from_new, WORLD_FROM_NEW)
        cameras, transform = cameras._in_one_precision(transform)
        rotation, shift_mm = transform[..., :3, :3], transform[..., :3, 3]
        with _full_precision(cameras.R):
            t_mm = (cameras.R @ shift_mm[..., None])[..., 0] + cameras.t_mm
            return replace(cameras, R=cameras.R @ rotation, t_mm=t_mm)


def _check_joinable(items: Sequence[Any], from_axis: int) -> None:
    """Refuse what is not several cameras whose batch axes are the same from `from_axis` on."""
    check_joinable(items, Cameras)
    shapes = {tuple(item.batch_shape) for item in items}
    if len({shape[from_axis:] for shape in shapes}) > 1:
        said = " and ".join(map(str, sorted(shapes)))
        raise InputError(
            f"cameras of batch shapes {said} cannot be joined, expected the same"
            f"{' but for the first axis' if from_axis else ''}; join those of one shape"
        )


def chosen(mask: Bool[Tensor, "*b"], yes: Cameras, no: Cameras) -> Cameras:
    """The cameras of `yes` where `mask` says so, else those of `no`; their lenses may be of different models."""

    def join(pair: list[Tensor]) -> Tensor:
        return torch.where(mask.reshape(*mask.shape, *(1,) * (pair[0].ndim - mask.ndim)), *pair)

    return Cameras._joined([yes, no], join)


def _full_precision(points: Tensor) -> AbstractContextManager[Any]:
    """World coordinates need float32: the half precision of an autocast rounds metres to millimetres or worse."""
    device = points.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
