"""Labels in the open form: `NAME.npz` with the arrays and `NAME.json` beside it with the names. No pickle.

The JSON holds the format, the number of rows, skeleton, camera names, recordings, picture templates, which way is up,
the lens model, and the CRC-32 of the npz, so that halves of two tables are never taken for one. Both parts are written
whole or not at all, the JSON last. `docs/formats.md` lists the arrays.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from trivox.base.atomic import atomic_write
from trivox.base.reading import open_regular
from trivox.data.labels import Labels
from trivox.data.picture_files import PictureFiles
from trivox.data.pictures import Pictures, Recording
from trivox.errors import InputError
from trivox.files.npz import read_npz_of, write_npz
from trivox.files.text import check_places, read_json
from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import DISTORTION_MODELS, DistortionModel
from trivox.geometry.skeletons import Skeleton

_FORMAT = "trivox labels 1"
# (dtype, shape) of every array: N rows, R recordings, C cameras, J joints.
_ARRAYS: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "recording": ("int64", ("N",)),
    "frames": ("int64", ("N",)),
    "people": ("int64", ("N",)),
    "points_mm": ("float32", ("N", "J", 3)),
    "valid": ("bool", ("N", "J")),
    "confidence": ("float32", ("N", "J")),
    "boxes_px": ("int64", ("N", "C", 4)),
    "K": ("float64", ("R", "C", 3, 3)),
    "R": ("float64", ("R", "C", 3, 3)),
    "t_mm": ("float64", ("R", "C", 3)),
    "distortion": ("float64", ("R", "C", "T")),
    "image_hw": ("int64", ("R", "C", 2)),
    "has_camera": ("bool", ("R", "C")),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Skeleton(_Strict):
    name: str
    joints: list[str] = Field(min_length=1)
    bones: list[tuple[str, str]]
    root: str


class _Recording(_Strict):
    name: str
    subject: str
    action: str
    part: str
    damaged: bool


class _Pictures(_Strict):
    folder: str
    template: str
    undistorted: str | None
    first_file: int


class _Described(_Strict):
    format: str
    name: str
    rows: int = Field(ge=0)
    npz_crc32: int
    skeleton: _Skeleton
    recordings: list[_Recording]
    cameras: list[str]
    # One model, or one for each camera of each recording.
    distortion_model: DistortionModel | list[list[DistortionModel]]
    distortion_terms: int = Field(default=5, ge=4, le=14)
    image_sizes_known: bool
    up: tuple[float, float, float] | None
    pictures: _Pictures


def save_labels(labels: Labels, path: Path) -> None:
    """Write `path` (`.json`) and the `.npz` of the same name. The folder of the pictures is stored relative to it.

    Raises `InputError` for labels of scenes, which are read from their folder.
    """
    pictures = labels.pictures
    if isinstance(pictures, PictureFiles) or labels.split is not None:
        raise InputError(f"{path}: labels of scenes are not written, they are read from their folder; give the folder")
    npz = path.with_suffix(".npz")
    write_npz(npz, _arrays_of(labels))
    described = {
        "format": _FORMAT,
        "name": labels.name,
        "rows": len(labels),
        "npz_crc32": _crc32(npz),
        "skeleton": {
            "name": labels.skeleton.name,
            "joints": labels.skeleton.names,
            "bones": labels.skeleton.bones,
            "root": labels.skeleton.root,
        },
        "recordings": [asdict(recording) for recording in labels.recordings],
        "cameras": labels.camera_names,
        "distortion_model": _models_of(labels.cameras),
        "distortion_terms": labels.cameras.distortion.shape[-1],
        "image_sizes_known": labels.cameras.image_hw is not None,
        "up": None if labels.up is None else labels.up.tolist(),
        "pictures": {
            "folder": Path(os.path.relpath(pictures.root, path.parent)).as_posix(),
            "template": pictures.template,
            "undistorted": pictures.undistorted,
            "first_file": pictures.first_file,
        },
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(described, indent=1), encoding="utf-8")


def load_labels(path: Path) -> Labels:
    """Read what `save_labels` wrote; `path` is either file. Raises `InputError` for anything else, before memory is
    taken for it."""
    path = path.with_suffix(".json") if path.suffix == ".npz" else path
    described = _described(path)
    npz = path.with_suffix(".npz")
    sizes = {"N": described.rows, "R": len(described.recordings), "C": len(described.cameras)}
    sizes |= {"J": len(described.skeleton.joints), "T": described.distortion_terms}
    shapes = {
        name: (dtype, tuple(n if isinstance(n, int) else sizes[n] for n in shape))
        for name, (dtype, shape) in _ARRAYS.items()
    }
    arrays = read_npz_of(npz, shapes)
    if _crc32(npz) != described.npz_crc32:
        raise InputError(f"{npz} and {path} were not written together; prepare the dataset again")
    _check_rows(arrays, sizes["R"], npz)
    return _labels_of(described, arrays, path)


def _crc32(path: Path) -> int:
    with open_regular(path) as file:
        crc = 0
        while block := file.read(2**20):
            crc = zlib.crc32(block, crc)
        return crc


def _described(path: Path) -> _Described:
    try:
        described = _Described.model_validate_json(json.dumps(read_json(path)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its content"
        raise InputError(
            f"{path}: {where} is not as labels have it ({first['msg']}); prepare the dataset again"
        ) from error
    if described.format != _FORMAT:
        raise InputError(f"{path} is {described.format[:40]!r}, not {_FORMAT!r}; prepare the dataset again")
    return described


def _check_rows(arrays: dict[str, np.ndarray], recordings: int, npz: Path) -> None:
    recording = arrays["recording"]
    if recording.size and not 0 <= recording.min() <= recording.max() < recordings:
        raise InputError(f"{npz} has rows of recordings that it does not name; prepare the dataset again")
    for name in ("points_mm", "confidence", "K", "R", "t_mm", "distortion"):
        if not np.isfinite(arrays[name]).all():
            raise InputError(f"{npz} has numbers in {name!r} that are not finite; prepare the dataset again")
    check_places(arrays["points_mm"], npz)


def _arrays_of(labels: Labels) -> dict[str, np.ndarray]:
    cameras = labels.cameras.to("cpu", torch.float64)
    sizes = cameras.image_hw
    tensors = {"K": cameras.K, "R": cameras.R, "t_mm": cameras.t_mm, "distortion": cameras.distortion}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    arrays["image_hw"] = np.zeros((*labels.has_camera.shape, 2), np.int64) if sizes is None else sizes.numpy()
    of_rows = ("recording", "frames", "people", "points_mm", "valid", "confidence", "boxes_px", "has_camera")
    return arrays | {name: getattr(labels, name) for name in of_rows}


def _models_of(cameras: Cameras) -> DistortionModel | list[list[DistortionModel]]:
    """The lens model of all cameras (R, C), or of each."""
    if isinstance(cameras.distortion_model, str):
        return cameras.distortion_model
    return [[DISTORTION_MODELS[code] for code in row] for row in cameras.distortion_model.tolist()]


def _cameras_of(described: _Described, tensors: dict[str, Tensor], path: Path) -> Cameras:
    model = described.distortion_model
    if isinstance(model, list):
        model = torch.tensor([[DISTORTION_MODELS.index(name) for name in row] for row in _rectangle(model, path)])
    try:
        return Cameras(**tensors, distortion_model=model)
    except InputError as error:
        raise InputError(f"{path}: {error}; prepare the dataset again") from error


def _rectangle(rows: list[list[DistortionModel]], path: Path) -> list[list[DistortionModel]]:
    if len({len(row) for row in rows}) > 1:
        raise InputError(f"{path}: distortion_model has rows of different lengths; prepare the dataset again")
    return rows


def _labels_of(described: _Described, arrays: dict[str, np.ndarray], path: Path) -> Labels:
    of_cameras = ("K", "R", "t_mm", "distortion", *(("image_hw",) if described.image_sizes_known else ()))
    tensors = {name: torch.from_numpy(arrays[name]) for name in of_cameras}
    pictures = described.pictures
    try:
        skeleton = described.skeleton
        made = Skeleton(skeleton.name, tuple(skeleton.joints), tuple(skeleton.bones), skeleton.root)
    except AssertionError as error:
        raise InputError(f"{path}: {error}; prepare the dataset again") from error
    return Labels(
        name=described.name,
        skeleton=made,
        recordings=tuple(Recording(**recording.model_dump()) for recording in described.recordings),
        camera_names=tuple(described.cameras),
        cameras=_cameras_of(described, tensors, path),
        has_camera=arrays["has_camera"],
        recording=arrays["recording"],
        frames=arrays["frames"],
        people=arrays["people"],
        points_mm=arrays["points_mm"],
        valid=arrays["valid"],
        confidence=arrays["confidence"],
        boxes_px=arrays["boxes_px"],
        pictures=Pictures(path.parent / pictures.folder, pictures.template, pictures.undistorted, pictures.first_file),
        up=None if described.up is None else torch.tensor(described.up, dtype=torch.float64),
    )
