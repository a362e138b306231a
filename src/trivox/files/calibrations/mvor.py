"""MVOR's annotation JSON (operating room, Srivastav et al. 2018): the rig stands in `cameras_info.camParams`.

Millimetres in the first camera's frame. `extrinsics` are 4x4 rows of world_from_cam, so they are inverted
here. The listed distortion does not belong to the published projection (the labels fit worse with it) and is
not used. Up is the room's z axis of `firstCamToRoomRef`, where given. Cameras are called cam1, cam2, ... like
the picture folders where the file numbers them, else by their id.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import NO_LENS_TERMS
from trivox.files.calibrations.records import NO_POSE, ZERO_ROTATION, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.tables import Table
from trivox.geometry.camera_faults import rotation_fault


def _recognises(document: Document) -> bool:
    return document.kind == "json" and isinstance(document.content, dict) and "cameras_info" in document.content


def _read(document: Document) -> FileRig:
    info = Table(document.content, document.where).table("cameras_info").table("camParams")
    lenses, places = info.tables("intrinsics"), info.sequence("extrinsics")
    names = _names(document, info)
    if not len(names) == len(lenses) == len(places):
        raise info.error(
            f"{len(names)} ids, {len(lenses)} intrinsics and {len(places)} extrinsics must be equally many; "
            "repair the file"
        )
    cameras = [
        _camera(name, lens, Table({"extrinsics": place}, f"{document.where}, camera {name[:80]!r}"))
        for name, lens, place in zip(names, lenses, places, strict=True)
    ]
    return FileRig.of(cameras, units="mm", up=_up(info))


def _names(document: Document, info: Table) -> list[str]:
    ids = [Table({"id": value}, info.where).text("id") for value in info.sequence("ids")]
    dataset = document.content.get("dataset_info")
    numbers = dataset.get("camid_2_num") if isinstance(dataset, dict) else None
    if not isinstance(numbers, dict):
        return ids
    numbered = Table(numbers, f"{document.where}, camid_2_num")
    return [f"cam{numbered.whole(camera)}" for camera in ids]


def _up(info: Table) -> tuple[float, float, float] | None:
    if "firstCamToRoomRef" not in info:
        return None
    room_from_world = info.matrix("firstCamToRoomRef", rows=4, columns=4)
    if said := rotation_fault(room_from_world[:3, :3]):
        raise info.error(f"firstCamToRoomRef: {said}")
    x, y, z = room_from_world[2, :3] / np.linalg.norm(room_from_world[2, :3])
    return float(x), float(y), float(z)


def _camera(name: str, lens: Table, place: Table) -> FileCamera | Uncalibrated:
    if place.lacks("extrinsics"):
        return Uncalibrated(name, NO_POSE)
    world_from_cam = place.matrix("extrinsics", rows=4, columns=4)
    if not world_from_cam[:3, :3].any():
        return Uncalibrated(name, ZERO_ROTATION)
    if said := rotation_fault(world_from_cam[:3, :3]):
        raise place.error(said)
    cam_from_world = np.linalg.inv(world_from_cam[:3, :3]).astype(np.float64)
    (fx, fy), (cx, cy) = lens.vector("focallength", length=2), lens.vector("principalpoint", length=2)
    skew = lens.number("skew_value") if "skew_value" in lens else 0.0
    return FileCamera(
        name=name,
        K=np.array([[fx, skew, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
        R=cam_from_world,
        t=-cam_from_world @ world_from_cam[:3, 3],
        lens=NO_LENS_TERMS,
        image_hw=lens.size_hw("imagesize"),
    )


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    parameters = {
        "ids": [camera.name for camera in rig.cameras],
        "intrinsics": [_lens(camera) for camera in rig.cameras],
        "extrinsics": [_extrinsics(camera) for camera in rig.cameras],
    }
    return {path: json.dumps({"cameras_info": {"camParams": parameters}}, indent=1)}


def _lens(camera: FileCamera) -> dict[str, Any]:
    assert camera.image_hw is not None, "refuse_unsayable asks for the size"
    height, width = camera.image_hw
    K = camera.K.tolist()
    return {
        "serialnumber": camera.name,
        "skew_value": K[0][1],
        "distortion": [0.0] * 5,
        "principalpoint": [K[0][2], K[1][2]],
        "focallength": [K[0][0], K[1][1]],
        "imagesize": [width, height],
    }


def _extrinsics(camera: FileCamera) -> list[float]:
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.linalg.inv(camera.R)
    world_from_cam[:3, 3] = np.linalg.solve(camera.R, -camera.t)
    return world_from_cam.reshape(-1).tolist()


MVOR = Format(
    name="mvor",
    title="MVOR .json",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="mm",
    needs_size=True,
    most_terms=0,
)
