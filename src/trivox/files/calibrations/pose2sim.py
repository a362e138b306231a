"""Pose2Sim's and anipose's calibration TOML: one table a camera, rotation as a vector.

    [cam_01]    name, size = [width, height], matrix, distortions, translation,
                rotation (Rodrigues vector, world to camera)

Pose2Sim writes metres and z up and marks every camera with `fisheye = false`; anipose (aniposelib) writes the same
tables, marks its fisheye lenses alone (`fisheye = true`, four terms), and is in the unit of its calibration board
and in the world of its first camera. Neither states any of this, so it stays a habit: metres for both, z up only
with Pose2Sim's mark.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomli_w

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import lens_of
from trivox.files.calibrations.records import AXES, NO_LENS, NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.rotations import matrix_from_vector, vector_from_matrix
from trivox.files.calibrations.tables import Table

_CAMERA_KEYS = {"matrix", "distortions", "rotation", "translation", "size"}
_CAMERA_TABLE = re.compile(r"(int_)?cam(era)?[_ -]?\d", re.IGNORECASE)


def _recognises(document: Document) -> bool:
    tables = _camera_tables(document) if document.kind == "toml" else []
    is_caliscope = any("rotation_count" in table for _, table in tables)
    return not is_caliscope and any("matrix" in table for _, table in tables)


def _camera_tables(document: Document) -> list[tuple[str, dict[str, Any]]]:
    """Tables with a camera in them, or named like one; not metadata, which may be of any kind."""
    return [
        (key, value)
        for key, value in document.content.items()
        if isinstance(value, dict) and (_CAMERA_KEYS & value.keys() or _CAMERA_TABLE.match(key))
    ]


def _read(document: Document) -> FileRig:
    tables = _camera_tables(document)
    cameras = [_camera(key, value, document.where, document.content) for key, value in tables]
    marks = [value.get("fisheye") for _, value in tables if "matrix" in value]
    if None not in marks and False in marks:
        return FileRig.of(cameras, units="m", up=AXES["z"], habit="Pose2Sim")
    return FileRig.of(cameras, units="m", habit="Pose2Sim and anipose")


def _camera(key: str, value: dict[str, Any], where: str, shared: dict[str, Any]) -> FileCamera | Uncalibrated:
    table = Table(value, f"{where}, camera {key[:80]!r}")
    name = table.text("name") if "name" in table else key
    for lacks, keys in ((NO_LENS, ("matrix",)), (NO_POSE, ("rotation", "translation"))):
        if table.lacks(*keys):
            return Uncalibrated(name, lacks)
    return FileCamera(
        name=name,
        K=table.matrix("matrix"),
        R=matrix_from_vector(table.vector("rotation", length=3)),
        t=table.vector("translation", length=3),
        lens=lens_of(table, "distortions", shared=shared),
        image_hw=table.size_hw("size"),
    )


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    is_pose2sim = rig.up == AXES["z"] and rig.units == "m"
    digits = max(2, len(str(len(rig.cameras))))
    tables = {f"cam_{i:0{digits}d}": _camera_table(camera, is_pose2sim) for i, camera in enumerate(rig.cameras, 1)}
    return {path: tomli_w.dumps(tables)}


def _camera_table(camera: FileCamera, is_pose2sim: bool) -> dict[str, Any]:
    assert camera.image_hw is not None, "refuse_unsayable asks for the size"
    height, width = camera.image_hw
    # Pose2Sim expects four terms; the fifth is there only where it says something.
    terms = camera.lens.terms if camera.lens.terms[4:].any() else camera.lens.terms[:4]
    is_fisheye = camera.lens.model == "fisheye"
    return {
        "name": camera.name,
        "size": [float(width), float(height)],
        "matrix": camera.K.tolist(),
        "distortions": terms.tolist(),
        "rotation": vector_from_matrix(camera.R).tolist(),
        "translation": camera.t.tolist(),
        **({"fisheye": is_fisheye} if is_fisheye or is_pose2sim else {}),
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
    lens_models=("opencv", "fisheye"),
)
