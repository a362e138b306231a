"""VoxelPose's camera JSON, as used for Campus and Shelf: `x_cam = R (X - T)`, so T is the camera's centre.

    {"0": {"R": 3x3, "T": 3x1, "fx", "fy", "cx", "cy", "k": [k1, k2, k3], "p": [p1, p2]}, "1": ...}

Millimetres, z up; no image size, no skew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import FileLens, lens_of
from trivox.files.calibrations.records import AXES, NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.tables import Table


def _recognises(document: Document) -> bool:
    if document.kind != "json" or not isinstance(document.content, dict):
        return False
    return any(isinstance(value, dict) and {"fx", "T"} & value.keys() for value in document.content.values())


def _read(document: Document) -> FileRig:
    top = Table(document.content, document.where)
    cameras = [_camera(name, top.table(name)) for name in top.content]
    return FileRig.of(cameras, units="mm", up=AXES["z"], habit="VoxelPose (Campus, Shelf)")


def _camera(name: str, table: Table) -> FileCamera | Uncalibrated:
    if table.lacks("R", "T"):
        return Uncalibrated(name, NO_POSE)
    R = table.matrix("R")
    K = np.eye(3)
    K[0] = table.number("fx"), 0.0, table.number("cx")
    K[1] = 0.0, table.number("fy"), table.number("cy")
    return FileCamera(name, K, R, -R @ table.vector("T", length=3), _lens(table))


def _lens(table: Table) -> FileLens:
    if table.lacks("k", "p"):
        return lens_of(table)
    (k1, k2, k3), (p1, p2) = table.vector("k", length=3), table.vector("p", length=2)
    return lens_of(Table({**table.content, "dist": [k1, k2, p1, p2, k3]}, table.where))


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    return {path: json.dumps({camera.name: _camera_table(camera) for camera in rig.cameras}, indent=2)}


def _camera_table(camera: FileCamera) -> dict[str, Any]:
    k1, k2, p1, p2, k3 = camera.lens.terms.tolist()
    return {
        "R": camera.R.tolist(),
        # Solved, not transposed: a rounded R is not quite orthonormal, and t must come back exactly.
        "T": np.linalg.solve(camera.R, -camera.t)[:, None].tolist(),
        "fx": float(camera.K[0, 0]),
        "fy": float(camera.K[1, 1]),
        "cx": float(camera.K[0, 2]),
        "cy": float(camera.K[1, 2]),
        "k": [[k1], [k2], [k3]],
        "p": [[p1], [p2]],
    }


VOXELPOSE = Format(
    name="voxelpose",
    title="VoxelPose .json",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="mm",
    up=AXES["z"],
    keeps_skew=False,
    most_terms=5,
)
