"""People whose joints move as bodies do: smoothed without lag, short gaps filled, bones steady."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.poses import Poses
from trivox.geometry.smoothing.bones import bone_misfit, steady_bones
from trivox.geometry.smoothing.splines import smooth_splines

# Within a quarter of a second people rarely turn back unseen.
LONGEST_GAP_S = 0.25
# A gap is filled where its path is known to so many mm (standard deviation along an axis), and where no bone's length
# there is farther from its own than so many standard deviations: measurements around a gap are wrong more often than
# elsewhere, because what hides a joint misleads the detector before and after.
_WORST_KNOWN_MM = 20.0
_WORST_BONE = 2.0


def smoothed(poses: Poses | Any, *, longest_gap_s: float = LONGEST_GAP_S) -> Poses:
    """The same people, smoothed over time as far as the data themselves tell noise from motion; without lag.

    Measurements count by `covariance_mm2` (without it by confidence: the noise is taken as 1 / confidence); a joint of
    confidence 0 counts as missing. Gaps of up to `longest_gap_s` seconds are filled: such a joint is `valid` and has
    the confidence 0, which measured joints never have (`filled`). Longer gaps stay as they are, and so do joints in a
    gap whose place is not known to 20 mm or would change the length of a bone, and pieces of fewer than six
    measurements. `covariance_mm2` of the result is in mm2 as estimated from the recording, and grows in gaps. Not
    differentiable.

    Raises `InputError` for a `longest_gap_s` that is no length of time.
    """
    if not isinstance(poses, Poses):
        raise InputError(f"poses are of type {type(poses).__name__}, expected trivox.Poses, as trivox.load_poses gives")
    if not 0 <= longest_gap_s < float("inf"):
        raise InputError(f"a gap of {longest_gap_s} s cannot be; give seconds from 0 up, for example 0.25")
    measured = poses.valid & (poses.confidence > 0)
    times_s = (poses.frames.double() / poses.fps).cpu().numpy()
    noise = _noise(poses, measured)
    found = smooth_splines(
        _tracks(poses.points_mm), _tracks(measured), _tracks(noise), times_s, longest_gap_s=longest_gap_s
    )
    people, joints = poses.valid.shape[1:]
    points, covariance, known = (
        np.moveaxis(a.reshape(people, joints, *a.shape[1:]), 2, 0)
        for a in (found.points_mm, found.covariance_mm2, found.known)
    )
    bones = np.array(poses.skeleton.bone_indices, dtype=np.int64).reshape(-1, 2)
    known = known & (measured.cpu().numpy() | _believable(points, covariance, known, bones))
    points = steady_bones(points, covariance, known, bones)
    scale = torch.from_numpy(found.noise_scale.reshape(people, joints, 1, 1))
    raw_covariance = torch.where(poses.valid[..., None, None].cpu(), noise * scale, 0)
    like = poses.points_mm
    known_there = torch.from_numpy(known).to(like.device)
    return replace(
        poses,
        points_mm=torch.where(known_there[..., None], torch.from_numpy(points).to(like), like),
        valid=poses.valid | known_there,
        covariance_noise_px=None,
        confidence=torch.where(measured, poses.confidence, 0),
        covariance_mm2=torch.where(
            known_there[..., None, None], torch.from_numpy(covariance).to(like), raw_covariance.to(like)
        ),
    )


def filled(poses: Poses) -> Bool[Tensor, "F P J"]:
    """Joints that smoothing has put into gaps: there, but seen by nobody."""
    return poses.valid & (poses.confidence == 0)


def _believable(
    points_mm: Float[np.ndarray, "F P J 3"],
    covariance_mm2: Float[np.ndarray, "F P J 3 3"],
    known: Bool[np.ndarray, "F P J"],
    bones: Int[np.ndarray, "B 2"],
) -> Bool[np.ndarray, "F P J"]:
    """Joints that may stand in a gap."""
    variance_mm2 = np.trace(covariance_mm2, axis1=-2, axis2=-1) / 3
    misfit = bone_misfit(points_mm, covariance_mm2, known, bones)
    return known & (variance_mm2 <= _WORST_KNOWN_MM**2) & (misfit <= _WORST_BONE)


def _noise(poses: Poses, measured: Bool[Tensor, "F P J"]) -> Float[Tensor, "F P J 3 3"]:
    """Covariance of each measurement, up to a factor, in float64 on the CPU; never negative in any direction."""
    eye = torch.eye(3, dtype=torch.float64)
    if poses.covariance_mm2 is None:
        confidence = torch.where(measured, poses.confidence, 1).double().cpu()
        return eye / confidence[..., None, None].clamp_min(1e-3) ** 2
    covariance = torch.where(measured[..., None, None], poses.covariance_mm2, 0).double().cpu()
    values, axes = torch.linalg.eigh((covariance + covariance.mT) / 2)
    return (axes * values.clamp_min(0)[..., None, :]) @ axes.mT


def _tracks(values: Tensor) -> np.ndarray:
    """(F, P, J, ...) as tracks (P * J, F, ...), contiguous; floats in float64."""
    array = values.cpu().numpy()
    array = np.moveaxis(array, 0, 2)
    array = array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
    return np.ascontiguousarray(array, dtype=np.float64 if array.dtype.kind == "f" else None)
