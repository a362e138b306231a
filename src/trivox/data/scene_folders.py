"""Scenes on disk, anyone's own data: which folders are scenes, their calibrations and their pictures.

    ROOT/                                  or one SCENE alone
      dataset.yaml                         optional: what files leave open (see `Stated`)
      splits.yaml                          optional (data/splits.py); without it all scenes are for testing
      SCENE/
        calibration.*                      any format of `load_rig`, also a folder; or ROOT/calibration.* for all
        images/CAM/FRAME.jpg               the frame is the last number of the name; or videos/CAM.mp4
        truth.*  boxes.json                optional (data/scene_truth.py)

The general layout of the published system's fork is read as it is: hdImgs/ for images/, calibration_SCENE.json,
3DKeypoints_FRAME.json. A scene folder is listed here with what is wrong with its pictures (`problems`); `scenes.py`
refuses it then, `trivox dataset check` tells all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from trivox.data.picture_files import PictureSource, open_source
from trivox.errors import InputError
from trivox.files.calibrations import Units, UpAxis, load_rig
from trivox.files.matching import ImageFit, camera_of, fit_rig, size_text
from trivox.files.text import read_yaml
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import skeleton_named

_IMAGES, _VIDEOS = ("images", "hdImgs"), "videos"
_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".ts", ".wmv")
_LAYOUT = "SCENE/calibration.* and SCENE/images/CAMERA/FRAME.jpg or SCENE/videos/CAMERA.mp4"


class Stated(BaseModel):
    """`dataset.yaml`: what the user says where files leave it open.

    calibration_units  of calibrations that do not say their unit.
    truth_units        of 3DKeypoints_FRAME.json; needed where there are some.
    up                 world axis that points up.
    skeleton           joints of 3DKeypoints_FRAME.json, where their number does not tell.
    image_fit          how pictures of another size than the calibrated one sit in it (`files/matching.py`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    calibration_units: Units | None = None
    truth_units: Literal["mm", "cm", "m"] | None = None
    up: UpAxis | None = None
    skeleton: str | None = None
    image_fit: ImageFit | None = None


def read_stated(root: Path) -> Stated:
    """The content of `root/dataset.yaml`, or nothing stated. Raises `InputError` for a file of another form."""
    path = root / "dataset.yaml"
    if not path.is_file():
        return Stated()
    content = read_yaml(path)
    try:
        stated = Stated.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{path}: {'.'.join(map(str, first['loc'])) or 'its content'} cannot be read ({first['msg']}); write "
            f"lines such as 'truth_units: cm' with some of {', '.join(Stated.model_fields)}"
        ) from error
    if stated.skeleton is not None:
        skeleton_named(stated.skeleton)
    return stated


@dataclass(frozen=True)
class SceneFolder:
    """One scene. `rig` has the cameras with pictures, for the pictures as they are stored, their size known.

    `calibrated` are the names of all cameras of the calibration. `sources` are in the order of `rig`; one of them
    carries the quarter turns of its camera. `problems` are sentences about pictures that had to be left aside.
    """

    name: str
    path: Path
    calibration: Path
    calibrated: tuple[str, ...]
    rig: Rig
    sources: dict[str, PictureSource]
    problems: tuple[str, ...]


def scene_paths(root: Path) -> list[Path]:
    """The scene folders below `root`, by name, or `root` itself where it is one. Raises `InputError` for none."""
    if not root.is_dir():
        raise InputError(f"there is no folder {root}; check the path")
    if _has_pictures(root):
        return [root]
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [path for path in folders if _has_pictures(path) or _calibrations(path, path.name)]
    if not found:
        raise InputError(f"{root} holds no scene; expected {_LAYOUT} (docs/own-data.md)")
    return found


def open_scene(path: Path, root: Path, stated: Stated) -> SceneFolder:
    """Find the calibration and all pictures of a scene. Raises `InputError` where there is no usable pair."""
    name = path.resolve().name
    if not _has_pictures(path):
        raise InputError(f"{path} has no pictures; put them into images/CAMERA/FRAME.jpg or videos/CAMERA.mp4")
    calibration = _calibration(path, root, name)
    rig = load_rig(calibration, units=stated.calibration_units, up=stated.up)
    sources: dict[str, PictureSource] = {}
    problems: list[str] = []
    for place in _picture_places(path):
        camera = camera_of(place, rig.names)
        if camera is None:
            problems.append(
                f"{place} belongs to none of the cameras of {calibration} ({_listed(rig.names)}); name it after its "
                "camera, or take it out of the scene"
            )
            continue
        try:
            source = _fitting(place, rig, camera, calibration, stated.image_fit)
        except InputError as error:
            problems.append(str(error))
            continue
        if camera not in sources:
            sources[camera] = source
        elif sources[camera].names is None or source.names is not None:  # images go before the video they are from
            problems.append(f"{sources[camera].path} and {place} both belong to camera {camera}; keep one of them")
    if not sources:
        raise InputError(problems[0] if problems else f"{path} has no picture of any camera; add some")
    names = [camera for camera in rig.names if camera in sources]
    fitted = fit_rig(rig.selected(names), [sources[camera].image_hw for camera in names], stated.image_fit)
    return SceneFolder(
        name, path, calibration, rig.names, fitted, {camera: sources[camera] for camera in names}, tuple(problems)
    )


def _fitting(place: Path, rig: Rig, camera: str, calibration: Path, image_fit: ImageFit | None) -> PictureSource:
    """The pictures in a place. They have the size that the calibration says, if it says one, or sit in it as stated."""
    index = rig.names.index(camera)
    source = replace(open_source(place), quarter_turns=rig.quarter_turns[index])
    other = rig.cameras.image_hw is not None and tuple(rig.cameras.image_hw[index].tolist()) != source.image_hw
    if other and image_fit is None:
        assert rig.cameras.image_hw is not None
        raise InputError(
            f"{place} has pictures of {size_text(source.image_hw)}, but {calibration} is for "
            f"{size_text(rig.cameras.image_hw[index].tolist())}; give the pictures that were calibrated, or say how "
            f"these sit in it with 'image_fit: {'|'.join(get_args(ImageFit))}' in dataset.yaml"
        )
    fit_rig(rig.selected([camera]), [source.image_hw], image_fit)  # refuses what no fit explains
    return source


def _has_pictures(path: Path) -> bool:
    return any((path / folder).is_dir() for folder in (*_IMAGES, _VIDEOS))


def _picture_places(path: Path) -> Iterator[Path]:
    """Folders of images, then videos."""
    for folder in (path / name for name in _IMAGES if (path / name).is_dir()):
        yield from sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    if (path / _VIDEOS).is_dir():
        videos = (path / _VIDEOS).iterdir()
        yield from sorted(v for v in videos if v.suffix.lower() in _VIDEO_SUFFIXES and not v.name.startswith("."))


def _calibration(path: Path, root: Path, name: str) -> Path:
    for folder in (path, root):
        found = _calibrations(folder, name)
        if len(found) > 1:
            raise InputError(f"{found[0]} and {found[1].name} are both calibrations of {path.name}; keep one of them")
        if found:
            return found[0]
    raise InputError(f"{path} has no calibration; put it there as calibration.* (formats: docs/formats.md)")


def _calibrations(folder: Path, name: str) -> list[Path]:
    """Files calibration.* or calibration_NAME.*, or a folder calibration."""
    starts = ("calibration.", f"calibration_{name}.")
    return sorted(p for p in folder.iterdir() if p.name.startswith(starts) or (p.name == "calibration" and p.is_dir()))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
