"""The general JSON list: one object a camera, `x_cam = R X + t`, OpenCV's conventions.

    [{"id": 1, "name": "left", "K" or "k": 3x3, "R": 3x3, "t_mm": 3 numbers, "dist": [k1, k2, p1, p2, k3, ...],
      "fisheye": true, "image_size": [width, height]}, ...]

`name` may be left out (the id is the name then), and so may `image_size`, `dist` (no distortion) and `fisheye` (the
four terms of `dist` are those of a fisheye). A translation under `t` has no
unit: the caller must state it; one under `t_mm` is in millimetres. No axis is up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import lens_of
from trivox.files.calibrations.records import NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.tables import Table


def _recognises(document: Document) -> bool:
    return document.kind == "json" and isinstance(document.content, list)


def _read(document: Document) -> FileRig:
    tables = Table({"cameras": document.content}, document.where).tables("cameras")
    in_mm = ["t_mm" in table for table in tables if not table.lacks("t_mm", "t")]
    if any(in_mm) and not all(in_mm):
        raise document.error("some cameras have 't_mm' and some not; write 't_mm' for all of them")
    cameras = [_camera(table, document.where) for table in tables]
    return FileRig.of(cameras, units="mm" if all(in_mm) else None, units_written=all(in_mm))


def _camera(table: Table, where: str) -> FileCamera | Uncalibrated:
    name = table.text("name", "id")
    if table.lacks("R") and table.lacks("t_mm", "t"):
        return Uncalibrated(name, NO_POSE)
    named = Table(table.content, f"{where}, camera {name[:80]!r}")
    return FileCamera(
        name=name,
        K=named.matrix("K", "k"),
        R=named.matrix("R"),
        t=named.vector("t_mm", "t", length=3),
        lens=lens_of(named, "dist"),
        image_hw=named.size_hw("image_size") if "image_size" in named else None,
    )


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    key = "t_mm" if rig.units == "mm" else "t"
    return {path: json.dumps([_camera_table(i, c, key) for i, c in enumerate(rig.cameras, 1)], indent=1)}


def _camera_table(number: int, camera: FileCamera, translation_key: str) -> dict[str, Any]:
    lens = {"fisheye": True} if camera.lens.model == "fisheye" else {}
    size = {} if camera.image_hw is None else {"image_size": list(camera.image_hw[::-1])}
    return {
        "id": number,
        "name": camera.name,
        "K": camera.K.tolist(),
        "R": camera.R.tolist(),
        translation_key: camera.t.tolist(),
        "dist": camera.lens.terms.tolist(),
        **lens,
        **size,
    }


CAMERA_LIST = Format(
    name="list",
    title="camera list .json",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="mm",
    other_units=True,
    lens_models=("opencv", "fisheye"),
)
