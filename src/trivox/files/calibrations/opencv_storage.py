"""OpenCV's FileStorage, YAML or XML. There is no standard layout; these are read:

- a file for one camera, named by the file, with the keys below at the top; a folder of such files is a rig;
- a file with a list `cameras`, whose items carry `name` and the keys below (what is written here);
- a file with a mapping for each camera, named by its key.

    K                camera_matrix, Camera_Matrix, cameraMatrix, K, mtx
    lens             `lenses.lens_of`
    rotation         R, rotation_matrix, rotation (3x3 or a Rodrigues vector), rvec
    translation      T, t, tvec, translation; x_cam = R X + t
    size             image_width and image_height, or image_size / imageSize = [width, height]; may be missing
    units            "mm", "cm" or "m" at the top; not OpenCV's, written here; without it the caller must say
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from trivox.errors import InputError
from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import lens_of
from trivox.files.calibrations.records import NO_LENS, NO_POSE, FileCamera, FileRig, Format, Uncalibrated, Units
from trivox.files.calibrations.rotations import matrix_from_vector
from trivox.files.calibrations.tables import Table, is_nothing

_K = ("camera_matrix", "Camera_Matrix", "cameraMatrix", "K", "mtx")
_ROTATION = ("R", "rotation_matrix", "rotation", "rvec")
_TRANSLATION = ("T", "t", "tvec", "translation")
_SIZE = ("image_size", "imageSize")
_UNITS: dict[Any, Units] = {"mm": "mm", "cm": "cm", "m": "m"}


def _recognises(document: Document) -> bool:
    if document.kind != "storage" or not isinstance(document.content, dict):
        return False
    content = document.content
    mappings = [content, *content.values()]
    cameras = content.get("cameras")
    mappings += cameras if isinstance(cameras, list) else []
    return any(isinstance(item, dict) and any(key in item for key in _K) for item in mappings)


def _read(document: Document) -> FileRig:
    top = Table(document.content, document.where)
    tables = _camera_tables(top, document)
    # In a folder each file states its own units.
    stated = {str(table.content["units"])[:20] for table in (top, *tables) if "units" in table}
    if len(stated) > 1 or not stated <= _UNITS.keys():
        raise top.error(f"'units' says {', '.join(sorted(stated))}; it must be one of mm, cm, m, the same everywhere")
    units = _UNITS[stated.pop()] if stated else None
    cameras = [_camera(table, document) for table in tables]
    return FileRig.of(cameras, units, units_written=units is not None)


def _camera_tables(top: Table, document: Document) -> list[Table]:
    if any(key in top for key in _K):
        return [Table({"name": document.path.stem, **top.content}, document.where)]
    if isinstance(top.content.get("cameras"), list):
        return top.tables("cameras")
    shapes = {_shape(key) for key, value in top.content.items() if isinstance(value, dict)}
    return [
        Table({"name": str(key), **(value if isinstance(value, dict) else {})}, document.where)
        for key, value in top.content.items()
        if isinstance(value, dict) or (is_nothing(value) and _shape(key) in shapes)
    ]


def _shape(name: Any) -> str:
    """What names that are numbered have in common."""
    return re.sub(r"\d+", "#", str(name))


def _camera(table: Table, document: Document) -> FileCamera | Uncalibrated:
    name = table.text("name")
    for lacks, keys in ((NO_LENS, _K), (NO_POSE, (*_ROTATION, *_TRANSLATION))):
        if table.lacks(*keys):
            return Uncalibrated(name, lacks)
    named = Table(table.content, f"{document.where}, camera {name[:80]!r}")
    return FileCamera(
        name=name,
        K=named.matrix(*_K),
        R=rotation_of(named, *_ROTATION),
        t=named.vector(*_TRANSLATION, length=3),
        lens=lens_of(named, shared=document.content),
        image_hw=_size(named),
    )


def rotation_of(table: Table, *keys: str) -> NDArray[np.float64]:
    """The rotation under the first key there is: a 3x3 matrix, or a Rodrigues vector in radians."""
    value = table.get(*keys)
    rows = value if isinstance(value, list) else []
    is_matrix = len(rows) == 9 or (len(rows) == 3 and isinstance(rows[0], list) and len(rows[0]) == 3)
    return table.matrix(*keys) if is_matrix else matrix_from_vector(table.vector(*keys, length=3))


def _size(table: Table) -> tuple[int, int] | None:
    if "image_width" in table or "image_height" in table:
        return table.whole("image_height"), table.whole("image_width")
    return table.size_hw(*_SIZE) if any(key in table for key in _SIZE) else None


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    if path.suffix.lower() not in (".yml", ".yaml", ".xml"):
        raise InputError(f"OpenCV files end in .yml, .yaml or .xml, not {path.name!r}; choose such a name")
    write = _xml if path.suffix.lower() == ".xml" else _yaml
    return {path: write(rig)}


def _fields(camera: FileCamera) -> dict[str, int | NDArray[np.float64]]:
    size: dict[str, int | NDArray[np.float64]] = {}
    if camera.image_hw is not None:
        size = {"image_width": camera.image_hw[1], "image_height": camera.image_hw[0]}
    return {
        **size,
        **({"fisheye_model": 1} if camera.lens.model == "fisheye" else {}),
        "camera_matrix": camera.K,
        "distortion_coefficients": camera.lens.terms[None],
        "R": camera.R,
        "T": camera.t[:, None],
    }


def _yaml(rig: FileRig) -> str:
    lines = ["%YAML:1.0", "---", f'units: "{rig.units}"', "cameras:"]
    for camera in rig.cameras:
        lines += ["   -", f'      name: "{camera.name}"']
        for key, value in _fields(camera).items():
            lines.append(f"      {key}: " + (yaml_matrix(value, 9) if isinstance(value, np.ndarray) else str(value)))
    return "\n".join(lines) + "\n"


def yaml_matrix(matrix: NDArray[np.float64], indent: int = 3) -> str:
    """A two-axis matrix as FileStorage writes it, with all its digits."""
    gap = "\n" + " " * indent
    rows, cols = matrix.shape
    data = ", ".join(_digits(value) for value in matrix.reshape(-1))
    return f"!!opencv-matrix{gap}rows: {rows}{gap}cols: {cols}{gap}dt: d{gap}data: [ {data} ]"


def _digits(value: float) -> str:
    """All digits, and always a point: readers of YAML take 1e-05 for a text."""
    digits = repr(float(value))
    return digits if "." in digits else digits.replace("e", ".e")


def _xml(rig: FileRig) -> str:
    lines = ["<?xml version='1.0'?>", "<opencv_storage>", f"<units>{rig.units}</units>", "<cameras>"]
    for camera in rig.cameras:
        lines += ["  <_>", f'    <name>"{escape(camera.name)}"</name>']
        lines += [f"    {_xml_field(key, value)}" for key, value in _fields(camera).items()]
        lines += ["  </_>"]
    return "\n".join([*lines, "</cameras>", "</opencv_storage>"]) + "\n"


def _xml_field(key: str, value: int | NDArray[np.float64]) -> str:
    if not isinstance(value, np.ndarray):
        return f"<{key}>{value}</{key}>"
    rows, cols = value.shape
    data = " ".join(_digits(number) for number in value.reshape(-1))
    return f'<{key} type_id="opencv-matrix"><rows>{rows}</rows><cols>{cols}</cols><dt>d</dt><data>{data}</data></{key}>'


OPENCV = Format(
    name="opencv",
    title="OpenCV .yml / .xml",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="mm",
    other_units=True,
    lens_models=("opencv", "fisheye"),
)
