"""trivox's own TOML: everything a `Rig` holds, exactly, in its own conventions, for people to read.

    format = "trivox"          version = 1
    units = "mm"               x_cam = R x_world + t_mm
    pixel_origin = "corner"    the centre of the top-left pixel is at 0.5, 0.5
    distortion_model           "opencv", "human36m" or "fisheye"; in each camera where they differ
    up = [0.0, 0.0, 1.0]       left out where unknown
    [[cameras]]                name, image_hw = [height, width] (left out where unknown), quarter_turns
                               (clockwise ones that make the picture upright), K, R, t_mm,
                               distortion = [k1, k2, p1, p2, k3, ...] (OpenCV's order; a fisheye has k1 to k4)

Numbers are written with all their digits; reading gives back the same bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import FileLens, lens_of
from trivox.files.calibrations.records import FileCamera, FileRig, Format
from trivox.files.calibrations.tables import Table
from trivox.geometry.distortion import DISTORTION_MODELS, DistortionModel

_VERSION = 1
_HEAD = """\
# A calibrated rig. x_cam = R x_world + t_mm; x right, y down, z forward; millimetres.
# Pixels count from the corner of the top-left pixel, whose centre is at 0.5, 0.5.
# distortion = [k1, k2, p1, p2, k3, ...], or the four of a fisheye.
# quarter_turns are the clockwise ones that make a picture upright.
"""


def _recognises(document: Document) -> bool:
    return document.kind == "toml" and document.content.get("format") == "trivox"


def _read(document: Document) -> FileRig:
    top = Table(document.content, document.where)
    for key, known in (("version", _VERSION), ("units", "mm"), ("pixel_origin", "corner")):
        if (given := top.get(key)) != known:
            raise top.error(f"{key} is {given!r}, this trivox reads {known!r}; use a matching trivox")
    return FileRig(
        cameras=tuple(_camera(table, top) for table in top.tables("cameras")),
        units="mm",
        units_written=True,
        up=_up(top),
        first_pixel=0.5,
    )


def _up(top: Table) -> tuple[float, float, float] | None:
    if "up" not in top:
        return None
    up = top.vector("up", length=3)
    if abs(np.linalg.norm(up) - 1) > 1e-3:
        raise top.error("'up' must be a vector of length 1; correct it or leave it out")
    return float(up[0]), float(up[1]), float(up[2])


def _lens(camera: Table, top: Table) -> FileLens:
    given = (camera if "distortion_model" in camera else top).get("distortion_model")
    model: DistortionModel | None = next((model for model in DISTORTION_MODELS if model == given), None)
    if model is None:
        raise camera.error(
            f"'distortion_model' must be one of {', '.join(DISTORTION_MODELS)}, got {str(given)[:40]!r}; correct it"
        )
    return lens_of(Table({"distortion": camera.get("distortion")}, camera.where), usual=model)


def _camera(table: Table, top: Table) -> FileCamera:
    name = table.text("name")
    named = Table(table.content, f"{top.where}, camera {name[:80]!r}")
    size = named.vector("image_hw", length=2) if "image_hw" in named else None
    if size is not None and not (size == size.round()).all():
        raise named.error("'image_hw' must be whole pixels [height, width]; correct it")
    return FileCamera(
        name=name,
        K=named.matrix("K"),
        R=named.matrix("R"),
        t=named.vector("t_mm", length=3),
        lens=_lens(named, top),
        image_hw=None if size is None else (int(size[0]), int(size[1])),
        quarter_turns=named.whole("quarter_turns") if "quarter_turns" in named else 0,
    )


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    content: dict[str, Any] = {
        "format": "trivox",
        "version": _VERSION,
        "units": "mm",
        "pixel_origin": "corner",
    }
    models = {camera.lens.model for camera in rig.cameras}
    if len(models) == 1:
        content["distortion_model"] = models.pop()
    if rig.up is not None:
        content["up"] = list(rig.up)
    own_model = "distortion_model" not in content
    content["cameras"] = [_camera_table(camera, own_model) for camera in rig.cameras]
    return {path: _HEAD + tomli_w.dumps(content)}


def _camera_table(camera: FileCamera, own_model: bool) -> dict[str, Any]:
    size = {} if camera.image_hw is None else {"image_hw": list(camera.image_hw)}
    return {
        "name": camera.name,
        **size,
        "quarter_turns": camera.quarter_turns,
        "K": camera.K.tolist(),
        "R": camera.R.tolist(),
        "t_mm": camera.t.tolist(),
        **({"distortion_model": camera.lens.model} if own_model else {}),
        "distortion": camera.lens.terms.tolist(),
    }


NATIVE = Format(
    name="trivox",
    title="trivox .toml",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="mm",
    keeps_turns=True,
    lens_models=DISTORTION_MODELS,
    first_pixel=0.5,
)
