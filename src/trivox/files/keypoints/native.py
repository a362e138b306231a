"""Our own keypoints.npz: the fields of `Keypoints2D` as they are, plain arrays without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.npz import Fields, skeleton_arrays, to_numpy, write_npz
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import Skeleton

FORMAT = "trivox keypoints 1"


def save_keypoints(keypoints: Keypoints2D, path: Path | str) -> None:
    """Write `keypoints` to an .npz file, atomically. Raises `InputError` for another suffix."""
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"cannot write keypoints to {path}; name the file .npz")
    arrays = {
        "format": np.array(FORMAT),
        "points_px": to_numpy(keypoints.points_px),
        "scores": to_numpy(keypoints.scores),
        "frames": to_numpy(keypoints.frames),
    }
    write_npz(path, {**arrays, **skeleton_arrays(keypoints.skeleton)})


def load_native(path: Path, skeleton: Skeleton | None) -> Keypoints2D:
    """Read what `save_keypoints` wrote. It knows its skeleton; another one is refused."""
    fields = Fields(path, FORMAT)
    own = fields.skeleton()
    if skeleton is not None and skeleton.names != own.names:
        raise InputError(f"{path} holds skeleton {own.name}, not {skeleton.name}; leave the skeleton out")
    frames = fields.frames()
    points = fields.array("points_px", "f", "F D J 2")
    scores = fields.array("scores", "f", "F D J")
    if not np.isfinite(points).all() or not np.isfinite(scores).all() or (scores < 0).any():
        raise InputError(f"{path} has coordinates or scores that are not finite; write it again")
    return Keypoints2D(*map(torch.from_numpy, (points, scores, frames)), skeleton=own)
