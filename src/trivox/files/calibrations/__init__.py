"""Calibrations of other programs, and our own, as a `Rig` in millimetres: `load_rig` and `save_rig`.

A file is known by what it contains, not by its name. What a format does not say (units, up axis, image size)
the caller says or it stays unknown; units are never guessed. `docs/formats.md` has the table of formats.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.calibrations.caliscope import CALISCOPE
from trivox.files.calibrations.camera_list import CAMERA_LIST
from trivox.files.calibrations.checks import check_cameras
from trivox.files.calibrations.conversion import file_rig_from, refuse_unsayable, rig_from
from trivox.files.calibrations.documents import Document, read_document
from trivox.files.calibrations.easymocap import EASYMOCAP
from trivox.files.calibrations.human36m import HUMAN36M, of_subject
from trivox.files.calibrations.mvor import MVOR
from trivox.files.calibrations.native import NATIVE
from trivox.files.calibrations.opencv_storage import OPENCV
from trivox.files.calibrations.panoptic import PANOPTIC
from trivox.files.calibrations.pose2sim import POSE2SIM
from trivox.files.calibrations.qualisys import QUALISYS
from trivox.files.calibrations.records import (
    AXES,
    MM_PER_UNIT,
    FileRig,
    Format,
    Units,
    UpAxis,
)
from trivox.files.calibrations.voxelpose import VOXELPOSE
from trivox.files.calibrations.written_lenses import with_written_lenses
from trivox.geometry.rig import Rig, camera_name, checked_rig

# Asked in this order; each looks for marks that those before it lack.
_FORMATS = {
    form.name: form
    for form in (
        NATIVE,
        CALISCOPE,
        POSE2SIM,
        QUALISYS,
        PANOPTIC,
        HUMAN36M,
        MVOR,
        VOXELPOSE,
        CAMERA_LIST,
        EASYMOCAP,
        OPENCV,
    )
}
FORMAT_NAMES = tuple(_FORMATS)

__all__ = ["FORMAT_NAMES", "Units", "UpAxis", "load_rig", "save_rig"]


def load_rig(
    path: str | os.PathLike[str] | Any,
    *,
    units: Units | None = None,
    up: UpAxis | None = None,
    image_size: tuple[int, int] | None = None,
    subject: str | None = None,
    names: Sequence[str] | None = None,
    format: str | None = None,
) -> Rig:
    """Read a calibration file, or folder, of any known format.

    units       of the translations; needed where neither the file nor its format says, or where the habit of the
                program would make a rig for giants or dwarfs; stronger than a habit, but not than what the file says.
    up          world axis that points up; stronger than what the file implies.
    image_size  (height, width) in pixels of every camera, where the file lacks it.
    subject     for Human3.6M parameters, which hold a rig for each subject.
    names       only these cameras, in this order.
    format      one of `FORMAT_NAMES`, where the file should not be recognised by its content.

    Returns float64 tensors, millimetres, pixels counted from the corner. What was taken for granted, and cameras
    that lack a pose, stand in `notes` of the rig. Raises `InputError` for everything that cannot be read or cannot
    be a camera.
    """
    document = read_document(_as_path(path))
    if subject is not None:
        document = of_subject(document, subject)
    form = _recognised(document) if format is None else _named(format)
    file_rig = _selected(_read(form, document), names, document)
    if up is not None:
        _require(up, AXES, "--up")
    own_units = _units(file_rig, units, document)
    placed = file_rig if up is None else replace(file_rig, up=AXES[up])
    rig = rig_from(placed, document.where, own_units, _positive(image_size))
    notes = (
        *document.notes,
        *_lens_notes(file_rig, document),
        *_uncalibrated(file_rig, document),
        *_zero_pose(file_rig, document),
        *_habits(file_rig, rig, units, up, document),
    )
    return replace(rig, notes=notes)


def save_rig(
    rig: Rig | Any,
    path: str | os.PathLike[str] | Any,
    *,
    units: Units | None = None,
    format: str | None = None,
    fit_lenses: bool = False,
) -> None:
    """Write a calibration, whole or not at all.

    Without `format` the name decides: `.toml` is our own format, `.qca.txt` Qualisys, `.yml`, `.yaml` and
    `.xml` OpenCV, a folder or `intri.yml` EasyMocap. `units` is for formats that leave the unit open. `fit_lenses`
    replaces lenses that the format cannot say by one fitted to them, where that agrees within 0.1 px over the whole
    picture. Raises `InputError` where the format cannot say what the rig holds (nothing is lost silently), or the
    file cannot be written.
    """
    rig, path = checked_rig(rig), _as_path(path)
    form = _by_name(path) if format is None else _named(format)
    if units is not None and units != form.units and not form.other_units:
        raise InputError(f"{form.title} files are always in {form.units}; leave --units out")
    file_rig = file_rig_from(rig, units or form.units, form.first_pixel)
    check_cameras(file_rig, "the rig to write")
    refuse_unsayable(file_rig, form)
    file_rig = with_written_lenses(file_rig, form, fit_lenses)
    for file, text in form.write(file_rig, path).items():
        with atomic_write(file) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _as_path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path is of type {type(path).__name__}, expected a text or a pathlib.Path; give a path")
    return Path(path)


def _recognised(document: Document) -> Format:
    for form in _FORMATS.values():
        if form.recognises(document):
            return form
    raise document.error(f"not a calibration of a known format; known are {_known_formats()}")


def _known_formats() -> str:
    return ", ".join(f"{form.name} ({form.title})" for form in _FORMATS.values())


def _named(name: str) -> Format:
    if name not in _FORMATS:
        raise InputError(f"unknown calibration format {name!r}; choose one of {', '.join(_FORMATS)}")
    return _FORMATS[name]


def _by_name(path: Path) -> Format:
    if path.name.lower().endswith(".qca.txt"):
        return QUALISYS
    if path.name in ("intri.yml", "extri.yml") or path.is_dir() or not path.suffix:
        return EASYMOCAP
    by_suffix = {".toml": NATIVE, ".yml": OPENCV, ".yaml": OPENCV, ".xml": OPENCV}
    if path.suffix.lower() not in by_suffix:
        raise InputError(
            f"{path}: the name does not tell the calibration format; choose one of {', '.join(_FORMATS)} with --format"
        )
    return by_suffix[path.suffix.lower()]


def _read(form: Format, document: Document) -> FileRig:
    if not form.recognises(document):
        raise document.error(f"does not look like {form.title}; leave --format out to have it recognised")
    return form.read(document)


def _selected(file_rig: FileRig, names: Sequence[str] | None, document: Document) -> FileRig:
    if not file_rig.cameras and file_rig.uncalibrated:
        first = file_rig.uncalibrated[0]
        raise document.error(
            f"no camera of it can be used: {first.name[:80]!r} {first.lacks}; a rig needs intrinsics and where each "
            "camera stands, R and t in x_cam = R x + t: calibrate them, too"
        )
    if names is None:
        return file_rig
    names = [camera_name(name) for name in names]
    known = [camera.name for camera in file_rig.cameras]
    lacking = {camera.name: camera.lacks for camera in file_rig.uncalibrated}
    missing = [name for name in names if name not in known]
    if missing:
        if missing[0] in lacking:
            said = f"camera {missing[0]!r} {lacking[missing[0]]}"
            raise document.error(f"{said}; leave it out, or correct the calibration")
        some = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise document.error(f"no camera {missing[0]!r} in it; its cameras are {some}")
    chosen = tuple(camera for name in names for camera in file_rig.cameras if camera.name == name)
    return replace(file_rig, cameras=chosen)


def _units(file_rig: FileRig, given: Units | None, document: Document) -> Units:
    if given is not None:
        _require(given, MM_PER_UNIT, "--units")
    stated = file_rig.units
    if stated is not None and file_rig.units_written and given not in (None, stated):
        raise document.error(f"the file itself says {stated}, --units says {given}; leave --units out")
    units = given or stated
    if units is None:
        raise document.error("the unit of its translations is not known; give --units mm, cm or m")
    return units


def _uncalibrated(file_rig: FileRig, document: Document) -> Iterator[str]:
    """A sentence for each reason."""
    names: dict[str, list[str]] = {}
    for camera in file_rig.uncalibrated:
        names.setdefault(camera.lacks, []).append(camera.name[:80])
    for lacks, cameras in names.items():
        who = f"camera {cameras[0]}" if len(cameras) == 1 else f"each of the cameras {_some(cameras)}"
        yield f"{who} of {document.path.name} {lacks}, and is left out"


def _zero_pose(file_rig: FileRig, document: Document) -> Iterator[str]:
    if file_rig.at_zero in [camera.name for camera in file_rig.cameras]:
        yield (
            f"camera {file_rig.at_zero[:80]} of {document.path.name} has no rotation and no translation: right if the "
            "others are placed relative to it, else its pose is missing"
        )


def _lens_notes(file_rig: FileRig, document: Document) -> list[str]:
    bare = [camera.name[:80] for camera in file_rig.cameras if not camera.lens.stated]
    return [f"{document.path.name} gives no lens terms for {_some(bare)}: read without distortion"] if bare else []


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _habits(file_rig: FileRig, rig: Rig, units: Units | None, up: UpAxis | None, document: Document) -> Iterator[str]:
    """What was taken for granted. Raises `InputError` where the unit cannot be right."""
    if file_rig.habit is None:
        return
    assumed = {"--units": f"lengths in {file_rig.units}"} if units is None else {}
    if units is None and rig.size_doubt is not None:
        raise document.error(
            f"its unit is not stated, and in {file_rig.units}, the habit of {file_rig.habit}, "
            f"the cameras would be at most {rig.baselines_mm.max():.4g} mm apart; give --units mm, cm or m"
        )
    if up is None and file_rig.up is not None:
        assumed["--up"] = f"{next(name for name, axis in AXES.items() if axis == file_rig.up)} up"
    if assumed:
        yield (
            f"{document.path.name} does not say so, but is read with {' and '.join(assumed.values())}, the habit of "
            f"{file_rig.habit} ({' and '.join(assumed)} to say otherwise)"
        )


def _require(given: str, allowed: Iterable[str], what: str) -> None:
    if given not in allowed:
        raise InputError(f"{what} is {given!r}; choose one of {', '.join(allowed)}")


def _positive(image_size: tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is not None and min(image_size) < 1:
        raise InputError(f"an image size of {image_size} is impossible; give --image-size as height and width")
    return image_size
