"""CMU Panoptic Studio: `calibration_<sequence>.json` with some 500 VGA, HD and Kinect cameras.

Centimetres, world y down (the floor is near y = 0, heads at negative y), `x_cam = R X + t`, OpenCV's five
distortion terms (Joo et al., Panoptic Studio, 2015). Cameras are named panel_node: HD cameras are 00_00 to
00_30.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import lens_of
from trivox.files.calibrations.records import AXES, NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.tables import Table


def _recognises(document: Document) -> bool:
    if document.kind != "json" or not isinstance(document.content, dict):
        return False
    cameras = document.content.get("cameras")
    first = cameras[0] if isinstance(cameras, list) and cameras else None
    return "calibDataSource" in document.content or (isinstance(first, dict) and "distCoef" in first)


def _read(document: Document) -> FileRig:
    tables = Table(document.content, document.where).tables("cameras")
    return FileRig.of((_camera(table, document) for table in tables), units="cm", up=AXES["-y"])


def _camera(table: Table, document: Document) -> FileCamera | Uncalibrated:
    name = table.text("name")
    if table.lacks("R", "t"):
        return Uncalibrated(name, NO_POSE)
    named = Table(table.content, f"{document.where}, camera {name[:80]!r}")
    return FileCamera(
        name=name,
        K=named.matrix("K"),
        R=named.matrix("R"),
        t=named.vector("t", length=3),
        lens=lens_of(named, "distCoef", shared=document.content),
        image_hw=named.size_hw("resolution"),
    )


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    cameras = [_camera_table(camera) for camera in rig.cameras]
    return {path: json.dumps({"calibDataSource": "trivox", "cameras": cameras}, indent=1)}


def _camera_table(camera: FileCamera) -> dict[str, Any]:
    assert camera.image_hw is not None, "refuse_unsayable asks for the size"
    height, width = camera.image_hw
    panel_node = re.fullmatch(r"(\d+)_(\d+)", camera.name)
    place = {"panel": int(panel_node[1]), "node": int(panel_node[2])} if panel_node else {}
    return {
        "name": camera.name,
        "type": "vga" if (height, width) == (480, 640) else "hd",
        "resolution": [width, height],
        **place,
        "K": camera.K.tolist(),
        "distCoef": camera.lens.terms.tolist(),
        "R": camera.R.tolist(),
        "t": camera.t[:, None].tolist(),
    }


PANOPTIC = Format(
    name="panoptic",
    title="CMU Panoptic .json",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="cm",
    up=AXES["-y"],
    needs_size=True,
    most_terms=5,
)
