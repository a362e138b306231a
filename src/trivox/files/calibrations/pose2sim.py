"""Pose2Sim's and anipose's calibration TOML: one table a camera, rotation as a vector.

    [cam_01]    name, size = [width, height], matrix, distortions, translation,
                rotation (Rodrigues vector, world to camera)

Pose2Sim writes metres and z up and marks every camera with `fisheye`; anipose (aniposelib) writes the same
tables without that mark, in the unit of its calibration board and in the world of its first camera. Metres
are the habit of both here, but a rig without Pose2Sim's mark that would then be wider than a playing field is
refused until the caller states the unit, since it is most likely in millimetres.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.records import AXES, FileCamera, FileRig, Format
from trivox.files.calibrations.rotations import matrix_from_vector, vector_from_matrix
from trivox.files.calibrations.tables import Table

_WIDEST_M = 200.0
_CAMERA_KEYS = {"matrix", "distortions", "rotation", "translation"}


def _recognises(document: Document) -> bool:
    tables = _camera_tables(document) if document.kind == "toml" else []
    return any("matrix" in table for _, table in tables)


def _camera_tables(document: Document) -> list[tuple[str, dict[str, Any]]]:
    """Tables with a camera in them; not metadata, which may be of any kind, nor caliscope's cameras."""
    return [
        (key, value)
        for key, value in document.content.items()
        if isinstance(value, dict) and _CAMERA_KEYS & value.keys() and "rotation_count" not in value
    ]


def _read(document: Document) -> FileRig:
    tables = _camera_tables(document)
    cameras = tuple(_camera(key, value, document.where) for key, value in tables)
    if all("fisheye" in value for _, value in tables):
        return FileRig(cameras, units="m", up=AXES["z"])
    return FileRig(cameras, units=None if _too_wide(cameras) else "m")


def _too_wide(cameras: tuple[FileCamera, ...]) -> bool:
    centres = [camera.R.T @ camera.t for camera in cameras]
    return any(np.linalg.norm(a - b) > _WIDEST_M for a, b in combinations(centres, 2))


def _camera(key: str, value: dict[str, Any], where: str) -> FileCamera:
    table = Table(value, f"{where}, camera {key[:80]!r}")
    table.refuse_fisheye()
    return FileCamera(
        name=table.text("name") if "name" in table else key,
        K=table.matrix("matrix"),
        R=matrix_from_vector(table.vector("rotation", length=3)),
        t=table.vector("translation", length=3),
        distortion=table.distortion("distortions"),
        image_hw=table.size_hw("size"),
    )


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    marked = {"fisheye": False} if rig.up == AXES["z"] and rig.units == "m" else {}
    digits = max(2, len(str(len(rig.cameras))))
    tables = {f"cam_{i:0{digits}d}": {**_camera_table(camera), **marked} for i, camera in enumerate(rig.cameras, 1)}
    return {path: tomli_w.dumps(tables)}


def _camera_table(camera: FileCamera) -> dict[str, Any]:
    assert camera.image_hw is not None, "refuse_unsayable asks for the size"
    height, width = camera.image_hw
    # Pose2Sim expects four terms; the fifth is there only where it says something.
    terms = 5 if camera.distortion[4] else 4
    return {
        "name": camera.name,
        "size": [float(width), float(height)],
        "matrix": camera.K.tolist(),
        "distortions": camera.distortion[:terms].tolist(),
        "rotation": vector_from_matrix(camera.R).tolist(),
        "translation": camera.t.tolist(),
    }


POSE2SIM = Format(
    name="pose2sim",
    title="Pose2Sim / anipose .toml",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="m",
    other_units=True,
    needs_size=True,
)
