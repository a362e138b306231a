"""People in 3D over time: what `predict` returns, and viewers, exporters and metrics take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.skeletons import Skeleton, conversion, converted
from trivox.geometry.tensors import TensorDataclass, as_tensor
from trivox.geometry.triangulated import FARTHEST_MM


@dataclass(frozen=True)
class Poses(TensorDataclass):
    """F frames of P people with the J joints of `skeleton`; world millimetres.

    `frames[f]` is the number of the video frame that row f came from, counted from 0; time is `frames / fps`.
    Row p is the same person throughout. A joint that is not `valid` has coordinates and covariance NaN, confidence 0,
    whatever was given for it; one that is nowhere (not finite, or a thousand kilometres away) is not valid.

    `covariance_noise_px` says what `covariance_mm2` is: what a noise of so many pixels of the recorded pictures does to
    the joint (see `Triangulated`), or, if None, how well the joint is known, as a volumetric model or smoothing
    estimated it.

    Arrays and lists of numbers are taken as well. Raises InputError for numbers in half precision, which rounds
    metres to millimetres or worse, and where shapes do not fit together.
    """

    points_mm: Float[Tensor, "F P J 3"]
    valid: Bool[Tensor, "F P J"]
    confidence: Float[Tensor, "F P J"]
    frames: Int[Tensor, "F"]
    skeleton: Skeleton
    fps: float
    up: Float[Tensor, "3"] | None = None
    covariance_mm2: Float[Tensor, "F P J 3 3"] | None = None
    covariance_noise_px: float | None = None

    def __post_init__(self) -> None:
        points_mm, valid = _reals("points_mm", self.points_mm, "(F, P, J, 3)"), _flags(self.valid)
        confidence = _reals("confidence", self.confidence, "(F, P, J)")
        frames = as_tensor("frames", self.frames, "(F)")
        covariance_mm2 = self.covariance_mm2
        if covariance_mm2 is not None:
            covariance_mm2 = _reals("covariance_mm2", covariance_mm2, "(F, P, J, 3, 3)")
        up = None if self.up is None else _reals("up", self.up, "(3)")
        _check_shapes(self.skeleton, points_mm, valid, confidence, frames, covariance_mm2, up)
        if not isinstance(self.fps, Real) or not 0 < self.fps < float("inf"):
            raise InputError(
                f"fps is {self.fps!r}, expected a positive number of frames per second; give for example 30.0"
            )
        valid = valid & (points_mm.abs() <= FARTHEST_MM).all(-1)
        own = {
            "points_mm": torch.where(valid[..., None], points_mm, torch.nan),
            "valid": valid,
            "confidence": torch.where(valid, confidence, 0.0),
            "frames": frames,
            "up": up,
            "covariance_mm2": covariance_mm2,
            "covariance_noise_px": self.covariance_noise_px if covariance_mm2 is not None else None,
        }
        if covariance_mm2 is not None:
            own["covariance_mm2"] = torch.where(valid[..., None, None], covariance_mm2, torch.nan)
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @classmethod
    def concatenated(cls, items: Sequence[Poses]) -> Poses:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The frames of all `items` after each other: the same people, in the same world.

        Raises `InputError` where skeleton, frame rate, people, `up` or the kind of covariance differ.
        """
        if not items:
            raise InputError("there are no poses to put together; give at least one")
        kinds = [_kind(item) for item in items]
        for kind in kinds[1:]:
            for name, value in kind.items():
                if value != kinds[0][name]:
                    raise InputError(
                        f"poses with {name} {kinds[0][name]} and {value} cannot be put together; give parts of one "
                        "result"
                    )
        joined = super().concatenated([replace(item, up=None) for item in items])
        return replace(joined, up=items[0].up)

    def __getitem__(self, index: Any) -> Poses:
        """The poses of some frames."""
        return replace(super(Poses, replace(self, up=None)).__getitem__(index), up=self.up)

    def converted(self, skeleton: Skeleton) -> Poses:
        """The same people with the joints of `skeleton`, by name; a joint that cannot be had is invalid."""
        if skeleton == self.skeleton:
            return self
        points = converted(self.points_mm, self.valid, self.skeleton, skeleton)
        confidence = converted(self.confidence[..., None], self.valid, self.skeleton, skeleton).points[..., 0]
        covariance = self.covariance_mm2
        if covariance is not None:
            # A mean of joints with independent errors: variances add with the squares of the weights.
            squares = conversion(self.skeleton, skeleton).weights.to(covariance) ** 2
            known = torch.where(self.valid[..., None, None], covariance, 0.0)
            covariance = (squares @ known.flatten(-2)).unflatten(-1, (3, 3))
        return replace(
            self,
            points_mm=points.points,
            valid=points.valid,
            confidence=confidence,
            skeleton=skeleton,
            covariance_mm2=covariance,
        )


def _reals(name: str, value: Any, shape: str) -> Tensor:
    numbers = as_tensor(name, value, shape)
    if not numbers.is_floating_point():
        return numbers.double()
    if numbers.dtype.itemsize < 4:
        raise InputError(
            f"{name} is in {numbers.dtype}, which rounds metres to millimetres or worse; give float32 or float64"
        )
    return numbers


def _flags(value: Any) -> Tensor:
    flags = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value)) if _are_flags(value) else None
    if flags is None or flags.dtype != torch.bool:
        raise InputError("valid should be true or false for every joint, of shape (F, P, J); give such flags")
    return flags


def _are_flags(value: Any) -> bool:
    try:
        return np.asarray(value).dtype == np.bool_
    except ValueError:
        return False


def _check_shapes(
    skeleton: Skeleton,
    points_mm: Tensor,
    valid: Tensor,
    confidence: Tensor,
    frames: Tensor,
    covariance_mm2: Tensor | None,
    up: Tensor | None,
) -> None:
    if not isinstance(skeleton, Skeleton):
        raise InputError(f"skeleton is a {type(skeleton).__name__}, expected one of trivox.SKELETONS or a Skeleton")
    if frames.ndim != 1 or frames.is_floating_point():
        raise InputError(f"frames is {frames.dtype} of shape {tuple(frames.shape)}, expected whole numbers (F)")
    people = valid.shape[1] if valid.ndim == 3 else 1
    joints = (len(frames), people, len(skeleton))
    expected = {
        "points_mm": (points_mm, (*joints, 3)),
        "valid": (valid, joints),
        "confidence": (confidence, joints),
        "covariance_mm2": (covariance_mm2, (*joints, 3, 3)),
        "up": (up, (3,)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and tensor.shape != shape:
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)}, expected {shape}: frames, people and the {len(skeleton)} "
                f"joints of {skeleton.name}"
                if name != "up"
                else f"up has shape {tuple(tensor.shape)}, expected a vector of 3"
            )


def _kind(poses: Poses) -> dict[str, Any]:
    """What has to be the same in poses that are put together."""
    return {
        "joints of skeleton": poses.skeleton.names,
        "fps": poses.fps,
        "people": poses.valid.shape[1],
        "up": None if poses.up is None else tuple(poses.up.tolist()),
        "covariance": "none" if poses.covariance_mm2 is None else f"for noise_px {poses.covariance_noise_px}",
    }
