"""actorsGT.mat of Shelf and Campus (Belagiannis et al., CVPR 2014): the true people of these two scenes.

`actor3D` is a cell of (several) actors, each a cell of frames, each 14 x 3 metres, or a number or nothing where the
actor is absent; cells may be wrapped in further cells. Joints are those of the LSP dataset, whose neck lies where it
meets the skull, here some 10 cm above the shoulders. The world has z up. The frame rate is not in the file; both scenes
are of 25 frames/s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from trivox.base.reading import read_bytes
from trivox.errors import InputError
from trivox.files.mat5 import variable_of_mat
from trivox.files.npz import BROKEN
from trivox.files.text import check_places
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import LSP_14

_FPS = 25.0
_LARGEST_FILE = 2**26
_MM_PER_M = 1000.0


def load_actors_mat(path: Path) -> Poses:
    """People of all actors, in millimetres. Raises `InputError` for another file."""
    actors = _actors(_actor3d(path))
    counts = {len(frames) for frames in actors}
    if len(counts) != 1 or counts == {0}:
        raise InputError(f"{path}: actor3D should hold actors with the same number of frames; give the whole file")
    points = np.array([[_joints(frame, path) for frame in frames] for frames in actors]).swapaxes(0, 1)
    valid = np.all(np.isfinite(points), axis=-1)
    check_places(points[valid], path, _MM_PER_M)
    points_mm = points * _MM_PER_M
    return Poses(
        torch.from_numpy(points_mm),
        torch.from_numpy(valid),
        torch.from_numpy(valid.astype(np.float64)),
        torch.arange(len(points_mm)),
        LSP_14,
        _FPS,
        torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
    )


def _actor3d(path: Path) -> Any:
    content = read_bytes(path, _LARGEST_FILE)
    try:
        return variable_of_mat(content, "actor3D")
    except BROKEN as error:
        raise InputError(f"{path} is not a MATLAB file with actor3D, as of Shelf and Campus; give another") from error


def _actors(value: Any) -> list[list[Any]]:
    """Frames of every actor. Actors stand in a row, the frames of one in a column, which tells one from the other
    where a single actor or a single frame is one of the wrapping cells."""
    value = _unwrapped(value)
    cells = _cells(value)
    if all(len(_cells(cell)) == 1 for cell in cells) and isinstance(value, np.ndarray) and value.shape[0] > 1:
        return [cells]
    return [_cells(cell) for cell in cells]


def _unwrapped(value: Any) -> Any:
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.item()
    return value


def _cells(value: Any) -> list[Any]:
    """The cells of a cell array, whatever single cells it is wrapped in."""
    value = _unwrapped(value)
    return list(value.flat) if isinstance(value, np.ndarray) and value.dtype == object else [value]


def _joints(frame: Any, path: Path) -> np.ndarray:
    """Metres (14, 3); NaN where the actor is absent."""
    (joints,) = _cells(frame) if len(_cells(frame)) == 1 else (None,)
    if isinstance(joints, np.ndarray) and joints.dtype.kind in "iuf":
        if joints.shape == (len(LSP_14), 3):
            return joints.astype(np.float64)
        if joints.size <= 1:
            return np.full((len(LSP_14), 3), np.nan)
    raise InputError(f"{path}: actor3D should hold {len(LSP_14)} x 3 numbers per frame, or none; give another file")
