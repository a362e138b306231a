"""Truth as programs save it: an .npz with `points_mm` (F, P, J, 3), `joint_names` (J), perhaps `fps` and `frames`.

NaN marks a joint that is not there. Other arrays are ignored. It is read only; what trivox writes is native.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.npz import Archive, read_npz
from trivox.files.text import check_places
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import skeleton_of

_FPS = 30.0  # where the file tells none: frames are counted, not timed


def load_plain(path: Path) -> Poses | None:
    """The poses of such a file; None where it is not of this kind. Raises `InputError` where its arrays do not fit."""
    archive = Archive(path)
    if "format" in archive or not {"points_mm", "joint_names"} <= archive.names:
        return None
    head, heads = archive.head("points_mm"), archive.head("joint_names")
    if head.dtype.kind != "f" or len(head.shape) != 4 or head.shape[2:] != (*heads.shape, 3) or not head.nbytes:
        raise InputError(
            f"{path}: points_mm is {head.dtype} of shape {head.shape} for {heads.shape} joint_names, expected "
            "floats (frames, people, joints, 3); write it again"
        )
    arrays = read_npz(path, "points_mm", "joint_names", "frames", "fps")
    points, names = arrays["points_mm"], arrays["joint_names"]
    if names.dtype.kind != "U" or len(set(names.tolist())) < len(names):
        raise InputError(f"{path}: joint_names should be different texts; write it again")
    frames: np.ndarray = arrays.get("frames", np.arange(len(points)))
    fps: np.ndarray = arrays.get("fps", np.array(_FPS))
    is_rate = fps.dtype.kind in "iuf" and fps.size == 1 and 0 < fps.item() < np.inf
    are_frames = frames.dtype.kind in "iu" and frames.shape == points.shape[:1]
    if not is_rate or not are_frames or not np.all(np.r_[-1, frames[:-1]] < frames):
        raise InputError(
            f"{path}: frames should be rising numbers from 0, one per pose, and fps a rate; write it again"
        )
    valid = np.all(np.isfinite(points), axis=-1)
    check_places(points[valid], path)
    return Poses(
        torch.from_numpy(points),
        torch.from_numpy(valid),
        torch.from_numpy(valid.astype(points.dtype)),
        torch.from_numpy(frames.astype(np.int64)),
        skeleton_of(tuple(names.tolist())),
        fps.item(),
    )
