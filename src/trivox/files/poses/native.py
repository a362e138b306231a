"""Our own poses.npz: every field of `Poses`, plain arrays without pickle; NaN where a joint is not valid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.npz import Fields, skeleton_arrays, to_numpy, write_npz
from trivox.files.text import check_places
from trivox.geometry.poses import Poses

FORMAT = "trivox poses 1"


def save_native(poses: Poses, path: Path) -> None:
    """Write every field. Schema: docs/formats.md."""
    arrays = {
        "format": np.array(FORMAT),
        "units": np.array("mm"),
        "points_mm": to_numpy(poses.points_mm),
        "valid": to_numpy(poses.valid),
        "confidence": to_numpy(poses.confidence),
        "frames": to_numpy(poses.frames),
        "fps": np.array(float(poses.fps)),
        **skeleton_arrays(poses.skeleton),
    }
    if poses.up is not None:
        arrays["up"] = to_numpy(poses.up)
    if poses.covariance_mm2 is not None:
        arrays["covariance_mm2"] = to_numpy(poses.covariance_mm2)
        noise_px = poses.covariance_noise_px
        arrays["covariance_noise_px"] = np.array(np.nan if noise_px is None else float(noise_px))
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
    noise_px = float(fields.array("covariance_noise_px", "f", "")) if "covariance_noise_px" in fields else np.nan
    finite = [points[valid], confidence, fps, *([up] if up is not None else [])]
    if covariance is not None:
        finite.append(covariance[valid])
    if not all(np.isfinite(values).all() for values in finite) or fps <= 0:
        raise InputError(f"{path} has numbers that are not finite, or no frame rate; write it again")
    if up is not None and abs(np.linalg.norm(up) - 1) > 1e-3:
        raise InputError(f"{path}: 'up' should be a vector of length 1, not {up.tolist()}; write it again")
    if noise_px <= 0 or noise_px == np.inf:
        raise InputError(f"{path}: 'covariance_noise_px' is {noise_px}, expected pixels, or NaN; write it again")
    check_places(points[valid], path)
    return Poses(
        torch.from_numpy(points),
        torch.from_numpy(valid),
        torch.from_numpy(confidence),
        torch.from_numpy(frames),
        skeleton,
        fps,
        None if up is None else torch.from_numpy(up),
        None if covariance is None else torch.from_numpy(covariance),
        None if np.isnan(noise_px) else noise_px,
    )
