"""A steady rate of frames, for formats that count frames and know no gaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.poses import Poses

# Rows that gaps may be filled with, for every frame that is there.
_MOST_GAPS = 100


def steady(poses: Poses, path: Path, *, from_zero: bool = False) -> Poses:
    """The same poses with a row for every frame of a steady rate; in rows between them nobody is seen.

    Of every fifth frame of a video the rate is a fifth: `frames` and `fps` come out so that times stay the same. With
    `from_zero` the rate also meets frame 0, for formats that write the number of the first frame. Raises `InputError`
    where far more rows would be gaps than poses.
    """
    frames = poses.frames.cpu().numpy()
    step = max(int(np.gcd.reduce(np.diff(frames, prepend=0) if from_zero else np.diff(frames))), 1)
    rows = (frames - frames[0]) // step
    count = int(rows[-1]) + 1
    if count > _MOST_GAPS * len(frames):
        raise InputError(
            f"{path}: {len(frames)} frames between {frames[0]} and {frames[-1]} would be {count} at the steady rate "
            "that this format has; choose a format that keeps frame numbers (csv, json, parquet, trc)"
        )
    return replace(
        poses,
        points_mm=_spread(poses.points_mm, rows, count),
        valid=_spread(poses.valid, rows, count),
        confidence=_spread(poses.confidence, rows, count),
        covariance_mm2=None,
        frames=torch.arange(count) + int(frames[0]) // step,
        fps=poses.fps / step,
    )


def _spread(values: Tensor, rows: np.ndarray, count: int) -> Tensor:
    spread = values.new_zeros(count, *values.shape[1:])
    spread[torch.from_numpy(rows)] = values
    return spread
