"""Our own poses.npz: every field of `Poses`, plain arrays without pickle; NaN where a joint is not valid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.npz import Fields, skeleton_arrays, to_numpy, write_npz
from trivox.geometry.poses import Poses

FORMAT = "trivox poses 1"


def save_native(poses: Poses, path: Path) -> None:
    """Write every field. Schema: docs/formats.md."""
    valid = to_numpy(poses.valid)
    arrays = {
        "format": np.array(FORMAT),
        "units": np.array("mm"),
        "points_mm": np.where(valid[..., None], to_numpy(poses.points_mm), np.nan),
        "valid": valid,
        "confidence": to_numpy(poses.confidence),
        "frames": to_numpy(poses.frames),
        "fps": np.array(float(poses.fps)),
        **skeleton_arrays(poses.skeleton),
    }
    if poses.up is not None:
        arrays["up"] = to_numpy(poses.up)
    if poses.covariance_mm2 is not None:
        covariance = to_numpy(poses.covariance_mm2)
        arrays["covariance_mm2"] = np.where(valid[..., None, None], covariance, np.nan)
    write_npz(path, arrays)


def load_native(path: Path) -> Poses:
    """Read what `save_native` wrote. Raises `InputError` for anything else."""
    fields = Fields(path, FORMAT)
    skeleton, frames = fields.skeleton(), fields.frames()
    points = fields.array("points_mm", "f", "F P J 3")
    valid = fields.array("valid", "b", "F P J")
    confidence = fields.array("confidence", "f", "F P J")
    fps = float(fields.array("fps", "f", ""))
    up = fields.array("up", "f", "3") if "up" in fields else None
    covariance = fields.array("covariance_mm2", "f", "F P J 3 3") if "covariance_mm2" in fields else None
    finite = [points[valid], confidence, fps, *([up] if up is not None else [])]
    if covariance is not None:
        finite.append(covariance[valid])
    if not all(np.isfinite(values).all() for values in finite) or fps <= 0:
        raise InputError(f"{path} has numbers that are not finite, or no frame rate; write it again")
    if up is not None and abs(np.linalg.norm(up) - 1) > 1e-3:
        raise InputError(f"{path}: 'up' should be a vector of length 1, not {up.tolist()}; write it again")
    return Poses(
        _zeroed(points, valid),
        torch.from_numpy(valid),
        torch.from_numpy(confidence),
        torch.from_numpy(frames),
        skeleton,
        fps,
        None if up is None else torch.from_numpy(up),
        None if covariance is None else _zeroed(covariance, valid),
    )


def _zeroed(values: np.ndarray, valid: np.ndarray) -> torch.Tensor:
    """NaN lives in files only: zero where not valid."""
    return torch.from_numpy(np.where(valid.reshape(*valid.shape, *[1] * (values.ndim - 3)), values, 0))
