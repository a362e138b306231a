"""caliscope's `camera_array.toml`: metres, `x_cam = R x + t`, OpenCV's distortion, `fisheye` or not.

`rotation_count` says how the camera is mounted: that many quarter turns, clockwise where positive, make its
picture upright (looked at in real recordings); videos and calibration stay unturned. Cameras are numbered;
their videos are called cam_0.mp4 (port_0.mp4 in older versions), and so are the cameras here. Rotations are
matrices, in some versions vectors. The world is wherever the user put it; no axis is up.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomli_w

from trivox.errors import InputError
from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import lens_of
from trivox.files.calibrations.records import NO_LENS, NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.rotations import matrix_from_vector
from trivox.files.calibrations.tables import Table

_NAME = re.compile(r"(cam|port)_(0|[1-9]\d{0,8})")
# What tells a camera among the tables of old files, which stand beside others.
_CAMERA_KEYS = {"rotation_count", "matrix", "port", "cam_id"}


def _recognises(document: Document) -> bool:
    return document.kind == "toml" and any("rotation_count" in table for _, table in _camera_tables(document))


def _camera_tables(document: Document) -> list[tuple[str, dict[str, Any]]]:
    """Tables under `cameras`, or in old files those at the top that hold a camera."""
    inner = document.content.get("cameras")
    tables = inner if isinstance(inner, dict) else document.content
    found = [(key, value) for key, value in tables.items() if isinstance(value, dict)]
    return found if tables is inner else [(key, value) for key, value in found if _CAMERA_KEYS & value.keys()]


def _read(document: Document) -> FileRig:
    cameras = [
        _camera(key, Table(value, f"{document.where}, camera {key[:80]!r}"), document.content)
        for key, value in _camera_tables(document)
    ]
    return FileRig.of(cameras, units="m")


def _camera(key: str, table: Table, shared: dict[str, Any]) -> FileCamera | Uncalibrated:
    name = _name(key, table)
    if table.flag("ignore"):
        return Uncalibrated(name, "is marked with ignore = true")
    for lacks, keys in ((NO_LENS, ("matrix",)), (NO_POSE, ("rotation", "translation"))):
        if table.lacks(*keys):
            return Uncalibrated(name, lacks)
    rotation = table.get("rotation")
    is_vector = isinstance(rotation, list) and len(rotation) == 3 and not isinstance(rotation[0], list)
    return FileCamera(
        name=name,
        K=table.matrix("matrix"),
        R=matrix_from_vector(table.vector("rotation", length=3)) if is_vector else table.matrix("rotation"),
        t=table.vector("translation", length=3),
        lens=lens_of(table, "distortions", shared=shared),
        image_hw=table.size_hw("size"),
        quarter_turns=0 if table.lacks("rotation_count") else table.whole("rotation_count"),
    )


def _name(key: str, table: Table) -> str:
    number = re.search(r"\d{1,9}$", key)
    if table.lacks("port", "cam_id") and number is not None:
        return f"cam_{int(number[0])}"
    return f"{'port' if 'port' in table else 'cam'}_{table.whole('port', 'cam_id')}"


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    cameras = dict(_camera_table(camera) for camera in rig.cameras)
    return {path: tomli_w.dumps({"cameras": cameras})}


def _camera_table(camera: FileCamera) -> tuple[str, dict[str, Any]]:
    assert camera.image_hw is not None, "refuse_unsayable asks for the size"
    number = _NAME.fullmatch(camera.name)
    if number is None:
        raise InputError(
            f"caliscope files number their cameras and cannot hold the name {camera.name!r}; rename the "
            "cameras cam_0, cam_1, ... or write the native .toml"
        )
    height, width = camera.image_hw
    return number[2], {
        "port" if number[1] == "port" else "cam_id": int(number[2]),
        "rotation_count": camera.quarter_turns if camera.quarter_turns < 3 else -1,
        "ignore": False,
        "size": [width, height],
        "matrix": camera.K.tolist(),
        "fisheye": camera.lens.model == "fisheye",
        "distortions": camera.lens.terms.tolist(),
        "translation": camera.t.tolist(),
        "rotation": camera.R.tolist(),
    }


CALISCOPE = Format(
    name="caliscope",
    title="caliscope .toml",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="m",
    needs_size=True,
    keeps_turns=True,
    lens_models=("opencv", "fisheye"),
)
