"""Pinhole cameras with lens distortion: project, undo the lens, and follow what happens to the picture.

Conventions: `x_cam = R x_world + t_mm`, OpenCV axes (x right, y down, z forward), millimetres, pixel origin at the
*corner* of the top-left pixel (its centre is at 0.5, 0.5), so that resizing multiplies `K[:2]` and cropping
subtracts from the principal point. A change of the picture returns a new object, named by a participle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trivox.geometry.distortion import DistortionModel, distort, inverse_2x2, undistort
from trivox.geometry.tensors import TensorDataclass

# Depths are kept this far from zero, where projection has no value.
SMALLEST_DEPTH_MM = 1e-3


@dataclass(frozen=True)
class Cameras(TensorDataclass):
    """Any batch of cameras, `*b`; a rig is `(V,)`, a batch of rigs `(B, V)`.

    `distortion` holds k1, k2, p1, p2, k3 in OpenCV's order, read by `distortion_model`.
    `image_hw` is the size (height, width) of the calibrated picture in pixels, or None where it is unknown.
    """

    K: Float[Tensor, "*b 3 3"]
    R: Float[Tensor, "*b 3 3"]
    t_mm: Float[Tensor, "*b 3"]
    distortion: Float[Tensor, "*b 5"]
    distortion_model: DistortionModel = "opencv"
    image_hw: Int[Tensor, "*b 2"] | None = None

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
        return self.K @ self.cam_from_world

    @property
    def position_mm(self) -> Float[Tensor, "*b 3"]:
        """Centre of each camera in the world."""
        return -(self.R.mT @ self.t_mm[..., None])[..., 0]

    @property
    def has_distortion(self) -> bool:
        """False only where every coefficient of every camera is exactly zero."""
        return bool((self.distortion != 0).any())

    def depth_mm(self, points_mm: Float[Tensor, "*#b N 3"]) -> Float[Tensor, "*b N"]:
        """Distance in front of each camera along its axis; negative behind it."""
        cameras, points_mm = self._promoted(points_mm)
        return (points_mm @ cameras.R[..., 2, :, None])[..., 0] + cameras.t_mm[..., 2, None]

    def project(self, points_mm: Float[Tensor, "*#b N 3"]) -> Float[Tensor, "*b N 2"]:
        """Pixels of world points through lens and K. The same formula holds behind a camera: ask `depth_mm`.

        Points within a micrometre of the camera's plane are projected as if that far in front of it: finite
        points have finite pixels and gradients. The result has the finer precision of points and cameras, here
        and wherever points are given.
        """
        cameras, points_mm = self._promoted(points_mm)
        in_cam = points_mm @ cameras.R.mT + cameras.t_mm[..., None, :]
        depth = in_cam[..., 2:]
        normalised = in_cam[..., :2] / torch.where(depth.abs() < SMALLEST_DEPTH_MM, SMALLEST_DEPTH_MM, depth)
        if self.has_distortion:
            normalised = distort(normalised, cameras.distortion, self.distortion_model)
        return cameras.pixels_from_normalised(normalised)

    def pixels_from_normalised(self, points: Float[Tensor, "*b N 2"]) -> Float[Tensor, "*b N 2"]:
        """Apply K (skew included) to points of the plane at depth 1."""
        cameras, points = self._promoted(points)
        return points @ cameras.K[..., :2, :2].mT + cameras.K[..., None, :2, 2]

    def normalised_from_pixels(self, points_px: Float[Tensor, "*b N 2"]) -> Float[Tensor, "*b N 2"]:
        """Undo K (skew included): points of the plane at depth 1, still distorted."""
        cameras, points_px = self._promoted(points_px)
        return (points_px - cameras.K[..., None, :2, 2]) @ inverse_2x2(cameras.K[..., :2, :2]).mT

    def undistorted_points(self, points_px: Float[Tensor, "*b N 2"]) -> Float[Tensor, "*b N 2"]:
        """Where the same rays would meet the picture of a camera with this K and no lens distortion, in pixels."""
        if not self.has_distortion:
            return points_px
        cameras, points_px = self._promoted(points_px)
        normalised = cameras.normalised_from_pixels(points_px)
        return cameras.pixels_from_normalised(undistort(normalised, cameras.distortion, self.distortion_model))

    def _promoted(self, points: Tensor) -> tuple[Cameras, Tensor]:
        """Cameras and points in the finer precision of the two."""
        dtype = torch.promote_types(points.dtype, self.K.dtype)
        return self if self.K.dtype == dtype else self.to(dtype), points.to(dtype)

    def without_distortion(self) -> Cameras:
        """The ideal cameras that `undistorted_points` speaks of."""
        return replace(self, distortion=torch.zeros_like(self.distortion))

    def cropped(self, boxes_px: Float[Tensor, "*b 4"]) -> Cameras:
        """Cameras of the pictures cut to `boxes_px` (x0, y0, x1, y1); a box may leave the picture."""
        K = self.K.clone()
        K[..., :2, 2] = K[..., :2, 2] - boxes_px[..., :2]
        size = (boxes_px[..., [3, 2]] - boxes_px[..., [1, 0]]).round().long()
        return replace(self, K=K, image_hw=size)

    def expanded(self, *batch_shape: int) -> Cameras:
        """The same cameras repeated (without copying) to a larger batch; `(V,)` becomes `(B, V)`."""
        extra = len(batch_shape) - len(self.batch_shape)
        assert extra >= 0, f"cannot expand a batch of {tuple(self.batch_shape)} to {batch_shape}"
        return self.map(lambda t: t.expand(*batch_shape, *t.shape[len(self.batch_shape) :]))

    def scaled(self, factors: Float[Tensor, "*#b 2"]) -> Cameras:
        """Cameras of the pictures stretched by `factors` (x, y)."""
        factors = factors.to(self.K)
        rows = torch.cat([factors, torch.ones_like(factors[..., :1])], dim=-1)
        hw = self.image_hw
        if hw is not None:
            hw = (hw * factors.flip(-1)).round().long()
        return replace(self, K=self.K * rows[..., None], image_hw=hw)

    def resized(self, image_hw: tuple[int, int]) -> Cameras:
        """Cameras of the pictures resized to `image_hw` (height, width). Needs the present size."""
        assert self.image_hw is not None, "resized needs image_hw; use scaled(factors) where the size is unknown"
        new_hw = torch.tensor(image_hw, device=self.K.device)
        factors = (new_hw / self.image_hw.to(self.K.dtype)).flip(-1)
        return replace(self.scaled(factors), image_hw=new_hw.expand(*self.batch_shape, 2))

    def turned(self, quarter_turns: Int[Tensor, "*#b"]) -> Cameras:
        """Cameras of the pictures turned clockwise by quarter turns. Needs the present size.

        The camera turns about its own axis with the picture, so its position stays; the tangential terms of the
        lens turn like a vector. A clockwise quarter turn sends pixel (x, y) to (h - y, x).
        """
        assert self.image_hw is not None, "turned needs image_hw"
        turns = quarter_turns.to(self.K.device).expand(self.batch_shape) % 4
        result: Cameras = self
        for step in (1, 2, 3):
            result = _where(turns >= step, result._turned_once(), result)
        return result

    def _turned_once(self) -> Cameras:
        assert self.image_hw is not None
        k = self.distortion
        quarter = self.K.new_tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        turned_K = quarter @ self.K @ quarter.mT
        turned_K[..., 0, 2] += self.image_hw[..., 0]
        distortion = torch.stack([k[..., 0], k[..., 1], k[..., 3], -k[..., 2], k[..., 4]], dim=-1)
        return Cameras(
            turned_K,
            quarter @ self.R,
            (quarter @ self.t_mm[..., None])[..., 0],
            distortion,
            self.distortion_model,
            self.image_hw.flip(-1),
        )

    def moved(self, world_from_new: Float[Tensor, "*#b 4 4"]) -> Cameras:
        """The same cameras in a new world, given the rigid transform that takes new coordinates to the old."""
        rotation, shift_mm = world_from_new[..., :3, :3], world_from_new[..., :3, 3]
        t_mm = (self.R @ shift_mm[..., None])[..., 0] + self.t_mm
        return replace(self, R=self.R @ rotation, t_mm=t_mm)


def _where(mask: Tensor, yes: Cameras, no: Cameras) -> Cameras:
    assert yes.image_hw is not None and no.image_hw is not None
    return replace(
        no,
        K=torch.where(mask[..., None, None], yes.K, no.K),
        R=torch.where(mask[..., None, None], yes.R, no.R),
        t_mm=torch.where(mask[..., None], yes.t_mm, no.t_mm),
        distortion=torch.where(mask[..., None], yes.distortion, no.distortion),
        image_hw=torch.where(mask[..., None], yes.image_hw, no.image_hw),
    )
