"""What the published system keeps in a label file, asked for by name and checked before it is used.

Such a file is a dictionary with names, a structured array `cameras` (R, t, K, dist) and a structured array `table`.
Principal points count from the centre of the first pixel, as everywhere there; here from its corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from trivox.errors import InputError
from trivox.files.safe_pickle import load_npy
from trivox.files.text import check_places
from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import DistortionModel

_LARGEST = 2**31
# Units are still to be changed in float32.
_LARGEST_FLOAT = 1e30
_CAMERA = {"R": (3, 3), "t": (3, 1), "K": (3, 3), "dist": (5,)}


class TableCameras(NamedTuple):
    """`cameras` (R, C) and which of them are there; those that are not look along z from the origin."""

    cameras: Cameras
    has_camera: np.ndarray


class LabelContent:
    """The content of one label file. Every question it cannot answer is an `InputError` that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = load_npy(path)
        if not isinstance(content, dict):
            raise self.error("is no label file: it holds no dictionary")
        self.content: dict[Any, Any] = content

    def error(self, said: str) -> InputError:
        return InputError(f"{self.path} {said}; give a label file as the published system writes it")

    def names(self, key: str) -> tuple[str, ...]:
        """A list of different texts."""
        names = self._value(key)
        names = names.tolist() if isinstance(names, np.ndarray) else names
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise self.error(f"has no list of names under {key!r}")
        if len(set(names)) < len(names) or not names:
            raise self.error(f"has no or repeated names under {key!r}")
        return tuple(str(name) for name in names)

    def has_column(self, name: str) -> bool:
        """Whether `table` has this column."""
        table = self._value("table")
        if not isinstance(table, np.ndarray) or table.ndim != 1:
            raise self.error("has no table of rows")
        return name in (table.dtype.names or ())

    def column(self, name: str, kinds: str, *shape: int) -> np.ndarray:
        """A column of `table`: (rows, *shape), of a dtype kind among `kinds`; numbers are finite."""
        if not self.has_column(name):
            raise self.error(f"has no column {name!r} in its table")
        column = self.content["table"][name]
        if column.dtype.kind not in kinds or column.shape[1:] != shape:
            raise self.error(f"has {column.dtype} of shape {column.shape} in {name!r}, not (rows, {shape}) of numbers")
        if column.dtype.kind == "f" and not (np.abs(column) < _LARGEST_FLOAT).all():
            raise self.error(f"has numbers in {name!r} that are not finite, or beyond all measure")
        return column

    def places(self, name: str, mm_per_unit: float, *shape: int) -> np.ndarray:
        """A column of joints, float32: x, y, z, where somebody can be, and perhaps a confidence, above 0 if known."""
        column = self.column(name, "f", *shape)
        check_places(column[..., :3] if shape[-1] == 3 else column[column[..., 3] > 0, :3], self.path, mm_per_unit)
        return column.astype(np.float32)

    def whole(self, name: str, kinds: str, *shape: int) -> np.ndarray:
        """A column of numbers cut to whole ones, int64; none is larger than pictures and recordings are."""
        column = self.column(name, kinds, *shape)
        if column.size and not -_LARGEST <= column.min() <= column.max() <= _LARGEST:
            raise self.error(f"has numbers in {name!r} that are beyond {_LARGEST}")
        return np.trunc(column).astype(np.int64)

    def indices(self, name: str, count: int) -> np.ndarray:
        """A column of positions in a list of `count` names."""
        column = self.column(name, "iu").astype(np.int64)
        if column.size and not 0 <= column.min() <= column.max() < count:
            raise self.error(f"points with {name!r} beyond its {count} names")
        return column

    def cameras(self, shape: tuple[int, int], mm_per_unit: float, model: DistortionModel) -> TableCameras:
        """The array `cameras` (recordings or subjects, cameras); an entry without a focal length is absent."""
        array = self._value("cameras")
        fields = getattr(array, "dtype", np.dtype("i1")).names or ()
        if not isinstance(array, np.ndarray) or array.shape != shape or not set(_CAMERA) <= set(fields):
            raise self.error(f"has no array of cameras of shape {shape} with R, t, K and dist")
        R, t, K, dist = (self._camera_field(array, name) for name in _CAMERA)
        has_camera = K[..., 0, 0] != 0
        absent = ~has_camera[..., None, None]
        K, R = np.where(absent, np.eye(3), K), np.where(absent, np.eye(3), R)
        K[..., :2, 2] += 0.5 * has_camera[..., None]
        t_mm = np.where(absent[..., 0], 0.0, t[..., 0] * mm_per_unit)
        dist = np.where(absent[..., 0], 0.0, dist)
        tensors = [torch.from_numpy(np.ascontiguousarray(value)) for value in (K, R, t_mm, dist)]
        return TableCameras(Cameras(*tensors, distortion_model=model), has_camera)

    def _camera_field(self, array: np.ndarray, name: str) -> np.ndarray:
        field = array[name]
        if field.dtype.kind not in "fiu" or field.shape[2:] != _CAMERA[name]:
            raise self.error(f"has cameras whose {name} is {field.dtype} of shape {field.shape[2:]}")
        if not np.isfinite(field).all():
            raise self.error(f"has cameras whose {name} is not finite")
        return field.astype(np.float64)

    def _value(self, key: str) -> Any:
        if key not in self.content:
            raise self.error(f"lacks {key!r}")
        return self.content[key]


def has_other_lens(cameras: Cameras, model: DistortionModel) -> bool:
    """Whether a lens is not of the model with five terms: a fisheye, one with more terms, another's tangential ones."""
    tangential = (cameras.distortion[..., 2:4] != 0).flatten(0, -2).any(-1).tolist()
    others = any(name != model and shows for name, shows in zip(cameras.distortion_models, tangential, strict=True))
    return others or "fisheye" in cameras.distortion_models or bool((cameras.distortion[..., 5:] != 0).any())


def camera_array(cameras: Cameras, has_camera: np.ndarray, mm_per_unit: float) -> np.ndarray:
    """Cameras (R, C) as the structured array of a label file, float32; absent ones are zero. A lens has five terms."""
    array = np.zeros(has_camera.shape, [(name, np.float32, shape) for name, shape in _CAMERA.items()])
    K = cameras.K.double().cpu().numpy().copy()
    K[..., :2, 2] -= 0.5
    array["K"], array["R"] = K, cameras.R.cpu().numpy()
    array["t"] = (cameras.t_mm.double().cpu().numpy() / mm_per_unit)[..., None]
    array["dist"] = cameras.distortion[..., :5].cpu().numpy()
    array[~has_camera] = 0
    return array


def smallest_integers(values: np.ndarray) -> type[np.signedinteger[Any]]:
    """int16, as the published files have it, or int32 where that would overflow."""
    limits = np.iinfo(np.int16)
    fits = not values.size or (values.min() >= limits.min and values.max() <= limits.max)
    return np.int16 if fits else np.int32


def positions(names: Sequence[str], among: Sequence[str]) -> np.ndarray:
    """Where each of `names` stands among others."""
    place = {name: i for i, name in enumerate(among)}
    return np.array([place[name] for name in names], dtype=np.int64)
