"""Qualisys Track Manager's calibration, `.qca.txt` (XML in spite of its name).

Intrinsics are in 1/64 pixel, counted over the whole sensor: the visible part begins at `fov_video` left and top,
and a `video_resolution` of fewer lines than the sensor has shrinks it. `transform`
holds the camera's axes with y up and z backwards, and its centre in millimetres: R = diag(1, -1, -1) r, t =
-R centre. The distortion terms are OpenCV's k1, k2, k3, p1, p2 as they are; dividing them by 64 too is a bug
of some converters. z is up, as QTM sets up its worlds.

`viewrotation` turns the picture on QTM's screen by 90, 180 or 270 degrees; which way is not documented, so of
the two quarter turns the one is taken that puts the world's up axis up in the picture.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivox.errors import InputError
from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import FileLens
from trivox.files.calibrations.records import AXES, NO_LENS, NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.tables import Table, is_nothing

_SUBPIXELS = 64.0
_NAMED_LINES = (2160, 1440, 1080, 720, 540, 480)
_FLIP = np.diag([1.0, -1.0, -1.0])
_CALIBRATED = {"true", "1", "yes", "y", "on"}
# Models that only ever see markers. Not so an Oqus 310 or 210c (second digit 1, c for color), nor a Miqus Hybrid.
_MARKER_MODEL = re.compile(
    r"(macreflex|proreflex|miqus m\d|arqus a\d)(?!.*(video|hybrid|colou?r))|oqus [13-9](0\d)?( ?plus|\+)?$"
)
_DISTORTION = (
    "radialDistortion1",
    "radialDistortion2",
    "tangentalDistortion1",  # the format's own spelling
    "tangentalDistortion2",
    "radialDistortion3",
)


def _recognises(document: Document) -> bool:
    return document.kind == "xml" and document.content.tag == "calibration"


def _read(document: Document) -> FileRig:
    elements = document.content.findall("cameras/camera")
    # Beside video cameras, those for markers take no pictures.
    is_mixed = any("video" in _model(element) for element in elements)
    cameras = [_camera(element, document.where, is_mixed) for element in elements]
    return FileRig.of(cameras, units="mm", up=AXES["z"], unposed_R=_FLIP)


def _model(element: ET.Element) -> str:
    return " ".join(element.get("model", "").casefold().split())


def _camera(element: ET.Element, where: str, is_mixed: bool) -> FileCamera | Uncalibrated:
    top = Table(dict(element.attrib), f"{where}, camera")
    name = top.text("serial")
    if is_mixed and _MARKER_MODEL.match(_model(element)):
        return Uncalibrated(name, f"is a marker camera ({element.get('model', '')[:40]}) beside video cameras")
    if lacks := _lacks(element):
        return Uncalibrated(name, lacks)
    where = f"{where}, camera {name[:80]!r}"
    scale = _scale(element, where)
    lens, view, place = (_part(element, tag, where) for tag in ("intrinsic", "fov_video", "transform"))
    left, top_px = view.number("left"), view.number("top")
    size = np.array([view.number("bottom") - top_px + 1, view.number("right") - left + 1]) * scale
    r = np.array([[place.number(f"r{row}{column}") for column in (1, 2, 3)] for row in (1, 2, 3)])
    R = _FLIP @ r
    return FileCamera(
        name=name,
        K=_intrinsics(lens, left, top_px, scale),
        R=R,
        t=-R @ np.array([place.number(axis) for axis in "xyz"]),
        lens=FileLens.of("opencv", np.array([lens.number(key) for key in _DISTORTION])),
        image_hw=(round(size[0]), round(size[1])),
        quarter_turns=_turns(element, where, R),
    )


def _part(element: ET.Element, tag: str, where: str) -> Table:
    part = element.find(tag)
    if part is None:
        raise InputError(f"{where}: <{tag}> is missing; export the calibration again")
    return Table(dict(part.attrib), f"{where}, {tag}")


def _lacks(element: ET.Element) -> str | None:
    said = element.get("calibrated", "")
    if not is_nothing(said) and said.strip().casefold() not in _CALIBRATED:
        return "is marked as not calibrated"
    for tag, lacks in (("transform", NO_POSE), ("intrinsic", NO_LENS)):
        part = element.find(tag)
        if part is None or Table(dict(part.attrib), "").lacks(*part.attrib):
            return lacks
    return None


def _scale(element: ET.Element, where: str) -> float:
    """Lines of the picture by lines of the sensor."""
    camera = Table(dict(element.attrib), where)
    if camera.lacks("video_resolution"):
        return 1.0
    said, sides = camera.text("video_resolution").strip(), _sensor_sides(element, where)
    picture, full = _picture_sides(said), _named_lines(min(sides, default=1080))
    if not picture or not 0 < min(picture) < 100_000:
        raise camera.error(f"'video_resolution' is {said[:20]!r}, expected for example '1080p'; correct the file")
    if min(picture) > full:
        raise camera.error(f"'video_resolution' is {said[:20]!r}, but the sensor has {full} lines; correct the file")
    if len(picture) == 2 and sides and abs(max(picture) * full / (max(sides) * min(picture)) - 1) > 0.02:
        raise camera.error(
            f"'video_resolution' is {said[:20]!r}, another shape than that of the sensor, {max(sides):g} x {full}; "
            "correct the file"
        )
    return min(picture) / full


def _picture_sides(said: str) -> list[int]:
    """The numbers of "1080p", "720p (low)" or "1920 x 1440"; none where it is said in another way."""
    number = r"([0-9]{1,5})"
    found = re.fullmatch(rf"{number}\s*p?\s*(?:\([^()]*\))?|{number}\s*[x×*]\s*{number}", said, re.IGNORECASE)
    return [] if found is None else [int(side) for side in found.groups() if side]


def _sensor_sides(element: ET.Element, where: str) -> list[float]:
    """Both sides of the whole sensor; none where nothing tells."""
    lens, view = (element.find(tag) for tag in ("intrinsic", "fov_video_max"))
    if lens is not None and not (table := Table(dict(lens.attrib), where)).lacks("sensorMaxU", "sensorMaxV"):
        return [table.number(f"sensorMax{axis}") / _SUBPIXELS + 1 for axis in "UV"]
    if view is None:
        return []
    table = Table(dict(view.attrib), where)
    return [table.number(high) - table.number(low) + 1 for high, low in (("right", "left"), ("bottom", "top"))]


def _named_lines(shorter: float) -> int:
    """What the resolution of a sensor is called by its shorter side, which cameras mounted in portrait count along,
    too: 1080 for 1088 lines, which are padded to a multiple of 16."""
    lines = round(shorter)
    return next((named for named in _NAMED_LINES if named <= lines <= 1.01 * named), lines)


def _intrinsics(lens: Table, left: float, top: float, scale: float) -> NDArray[np.float64]:
    if "skew" in lens and lens.number("skew") != 0:
        raise lens.error("'skew' is not zero, and its unit is not known; calibrate again without skew")
    fx = lens.number("focalLengthU")
    aspect = 1.0 if "focalLengthV" in lens else max(lens.number("pixelAspectRatio"), 1e-9)
    fy = lens.number("focalLengthV", "focalLengthU") / aspect
    K = np.eye(3)
    K[0] = fx / _SUBPIXELS, 0.0, lens.number("centerPointU") / _SUBPIXELS - left
    K[1] = 0.0, fy / _SUBPIXELS, lens.number("centerPointV") / _SUBPIXELS - top
    K[:2] *= scale
    return K


def _turns(element: ET.Element, where: str, R: NDArray[np.float64]) -> int:
    camera = Table({"viewrotation": "0", **element.attrib}, where)
    degrees = camera.whole("viewrotation")
    if degrees % 90:
        raise camera.error(f"'viewrotation' is {degrees}, expected 0, 90, 180 or 270; correct the file")
    turns = degrees // 90 % 4
    if turns % 2 == 0:
        return turns
    # Up seen to the left of the picture needs a clockwise turn.
    return 1 if R[0, 2] < 0 else 3


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    root = ET.Element("calibration", {"source": "trivox", "type": "regular"})
    cameras = ET.SubElement(root, "cameras")
    for camera in rig.cameras:
        _append(cameras, camera)
    ET.indent(root)
    return {path: "<?xml version='1.0' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode") + "\n"}


def _append(cameras: ET.Element, camera: FileCamera) -> None:
    assert camera.image_hw is not None, "refuse_unsayable asks for the size"
    height, width = camera.image_hw
    top = ET.SubElement(cameras, "camera", active="1", model="none", serial=camera.name, viewrotation="0")
    fov = {"left": "0", "top": "0", "right": str(width - 1), "bottom": str(height - 1)}
    for tag in ("fov_marker", "fov_marker_max", "fov_video", "fov_video_max"):
        ET.SubElement(top, tag, fov)
    r, centre = _FLIP @ camera.R, np.linalg.solve(camera.R, -camera.t)
    place = {axis: repr(float(value)) for axis, value in zip("xyz", centre, strict=True)}
    place |= {f"r{i + 1}{j + 1}": repr(float(r[i, j])) for i in range(3) for j in range(3)}
    ET.SubElement(top, "transform", place)
    lens = {
        "focalLengthU": camera.K[0, 0] * _SUBPIXELS,
        "focalLengthV": camera.K[1, 1] * _SUBPIXELS,
        "centerPointU": camera.K[0, 2] * _SUBPIXELS,
        "centerPointV": camera.K[1, 2] * _SUBPIXELS,
        "skew": 0.0,
        "sensorMinU": 0.0,
        "sensorMinV": 0.0,
        "sensorMaxU": (width - 1) * _SUBPIXELS,
        "sensorMaxV": (height - 1) * _SUBPIXELS,
        **dict(zip(_DISTORTION, camera.lens.terms, strict=True)),
    }
    ET.SubElement(top, "intrinsic", {key: repr(float(value)) for key, value in lens.items()})


QUALISYS = Format(
    name="qualisys",
    title="Qualisys .qca.txt",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="mm",
    up=AXES["z"],
    needs_size=True,
    keeps_skew=False,
    most_terms=5,
)
