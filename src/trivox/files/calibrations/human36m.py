"""Human3.6M camera parameters as JSON: intrinsics per camera, extrinsics per subject and camera.

Millimetres, z up, `x_cam = R X + t`. The five distortion terms belong to the dataset's own projection, whose
tangential part lacks OpenCV's factor 2 (distortion model "human36m"): with it the dataset's 2D joints are
reproduced below 0.001 px, with OpenCV's formula only to 0.2 px. The rig was set up again for every subject,
so a subject must be chosen where the file holds several.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import lens_of
from trivox.files.calibrations.records import AXES, NO_LENS, NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.tables import Table


def _recognises(document: Document) -> bool:
    return (
        document.kind == "json"
        and isinstance(document.content, dict)
        and {"intrinsics", "extrinsics"} <= document.content.keys()
    )


def of_subject(document: Document, subject: str) -> Document:
    """The same file with one subject only. Raises `InputError` naming the subjects if it is none of them."""
    if not _recognises(document):
        raise document.error("has no subjects, which only Human3.6M parameters do; leave --subject out")
    extrinsics = Table(document.content, document.where).table("extrinsics").content
    if subject not in extrinsics:
        raise document.error(f"no subject {subject!r} in it; choose one of {_listed(extrinsics)}")
    content = {**document.content, "extrinsics": {subject: extrinsics[subject]}}
    return Document(document.path, document.kind, content)


def _read(document: Document) -> FileRig:
    top = Table(document.content, document.where)
    extrinsics, intrinsics = top.table("extrinsics"), top.table("intrinsics")
    subjects = list(extrinsics.content)
    if len(subjects) != 1:
        raise document.error(f"a rig per subject; choose one with --subject: {_listed(extrinsics.content)}")
    placed = extrinsics.table(subjects[0])
    cameras = [_camera(name, intrinsics, placed) for name in {**placed.content, **intrinsics.content}]
    return FileRig.of(cameras, units="mm", up=AXES["z"])


def _listed(extrinsics: dict[Any, Any]) -> str:
    return ", ".join(str(name)[:40] for name in list(extrinsics)[:30] if str(name).isprintable()) or "(none)"


def _camera(name: str, intrinsics: Table, placed: Table) -> FileCamera | Uncalibrated:
    if intrinsics.lacks(name):
        return Uncalibrated(name, NO_LENS)
    if placed.lacks(name) or placed.table(name).lacks("R", "t"):
        return Uncalibrated(name, NO_POSE)
    lens, place = intrinsics.table(name), placed.table(name)
    return FileCamera(
        name=name,
        K=lens.matrix("calibration_matrix"),
        R=place.matrix("R"),
        t=place.vector("t", length=3),
        lens=lens_of(lens, "distortion", usual="human36m"),
    )


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    intrinsics = {
        camera.name: {"calibration_matrix": camera.K.tolist(), "distortion": camera.lens.terms.tolist()}
        for camera in rig.cameras
    }
    placed = {camera.name: {"R": camera.R.tolist(), "t": camera.t[:, None].tolist()} for camera in rig.cameras}
    return {path: json.dumps({"intrinsics": intrinsics, "extrinsics": {"S1": placed}}, indent=1)}


HUMAN36M = Format(
    name="human36m",
    title="Human3.6M parameters .json",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="mm",
    up=AXES["z"],
    lens_models=("human36m",),
    most_terms=5,
)
