"""Which camera of a rig a path belongs to, and how its pictures fit the calibration.

Neither is ever guessed: what does not leave exactly one answer is an error that says how to give it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig, camera_name

ImageFit = Literal["scale", "left", "center", "right"]
# Codecs write whole blocks of 16 pixels: players and decoders show the rest of the last one, or do not (1088 for 1080).
_BLOCK_PX = 16
_PLACES = {"left": 0.0, "center": 0.5, "right": 1.0}


def match_cameras(rig: Rig, paths: Sequence[Path], cameras: Sequence[str] | None = None) -> Rig:
    """The rig's cameras that `paths` (videos, keypoint files, folders of either) belong to, in their order.

    `cameras` names them in order. Without it the name of the file or folder tells: it is the camera's name,
    but for case, separators and leading zeros (`Cam_1`, `cam01`), or it contains that name as whole words
    (`walk_cam1`), or the folder around it has that name. Only what leaves one camera counts. Raises
    `InputError` otherwise, and for a path that does not exist.
    """
    if len(paths) < 2:
        given = f"only {paths[0]}" if paths else "no view"
        raise InputError(f"{given} is given, but 3D needs at least two views; give one path per camera")
    for path in paths:
        if not path.exists():
            raise InputError(f"there is no file or folder {path}; check the path")
    by_name = cameras is None
    names = [_camera_of(path, rig) for path in paths] if by_name else _named_cameras(rig, paths, cameras)
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError(
                f"{paths[names.index(name)]} and {paths[i]} both belong to camera {name}; "
                "give one path per camera, or say in order which they are with --cameras NAME ..."
            )
    return rig.selected(names)


def _named_cameras(rig: Rig, paths: Sequence[Path], cameras: Sequence[str]) -> list[str]:
    if isinstance(cameras, str):
        raise InputError(f"cameras is the text {cameras!r}; give a list of camera names, one per view, in order")
    cameras = [camera_name(name) for name in cameras]
    for name in cameras:
        if name in rig.uncalibrated:
            raise InputError(f"camera {name} {rig.uncalibrated[name]}; leave its view out, or correct the calibration")
        if name not in rig.names:
            raise InputError(f"the rig has no camera {name}; its cameras are {', '.join(rig.names)}")
    if len(cameras) != len(paths):
        raise InputError(f"--cameras names {len(cameras)} cameras for {len(paths)} views; name one per view, in order")
    resolved = [path.resolve() for path in paths]
    for i, path in enumerate(paths):
        if resolved[i] in resolved[:i]:
            raise InputError(f"{path} is given for two cameras; give one path per camera")
    return cameras


def _camera_of(path: Path, rig: Rig) -> str:
    camera = camera_of(path, [*rig.names, *rig.uncalibrated])
    if camera is None:
        raise InputError(
            f"{path} cannot be told to belong to one of the rig's cameras ({', '.join(rig.names)}); "
            "name it after its camera, or say in order which cameras the views are with --cameras NAME ..."
        )
    if camera in rig.uncalibrated:
        raise InputError(
            f"{path} belongs to camera {camera}, which {rig.uncalibrated[camera]}; leave the view out, "
            "or correct the calibration"
        )
    return camera


def camera_of(path: Path, names: Sequence[str]) -> str | None:
    """The one camera that the name of a file or folder tells (see `match_cameras`); None where it tells none."""
    whole = Path(os.path.abspath(path))  # a link has the name that was given to it
    own, parent = camera_name(whole.name if whole.is_dir() else whole.stem), camera_name(whole.parent.name)
    for hits in (
        [name for name in names if name == own],
        [name for name in names if _words(name) == _words(own)],
        [name for name in names if _contains(_words(own), _words(name)) or _words(name) == _words(parent)],
    ):
        if hits:
            return hits[0] if len(hits) == 1 else None
    return None


def _words(name: str) -> list[str | int]:
    """`Walk_cam01` -> ["walk", "cam", 1]."""
    return [int(word) if word.isdecimal() else word.casefold() for word in re.findall(r"[^\W\d_]+|\d+", name)] or [name]


def _contains(words: list[str | int], wanted: list[str | int]) -> bool:
    """Whether the wanted words stand there in a row.

    A short number alone could count anything (takes, people), so it must be the only one.
    """
    numbers = [word for word in words if isinstance(word, int)]
    if all(isinstance(word, int) and word < 10_000 for word in wanted) and numbers != wanted:
        return False
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def check_image_fit(image_fit: str | None) -> None:
    """Refuse a word that is no `ImageFit`, whether or not it is needed."""
    if image_fit is not None and image_fit not in get_args(ImageFit):
        raise InputError(f"there is no image_fit {image_fit!r}; choose one of {', '.join(get_args(ImageFit))}")


def fit_rig(rig: Rig, image_hws: Sequence[tuple[int, int]], image_fit: ImageFit | None = None) -> Rig:
    """The rig for stored pictures of sizes `image_hws` (height, width), one per camera.

    A camera of unknown size takes that of its pictures. Where the sizes differ, `image_fit` says how: the
    picture is the calibrated one stretched ("scale"), or a part of it (or more than it) that sits at its
    left and top, in its middle, or at its right and bottom ("left", "center", "right"). Raises `InputError`
    where it is needed, or no such word.
    """
    check_image_fit(image_fit)
    sizes = torch.tensor(image_hws)
    calibrated = rig.cameras.image_hw
    if calibrated is None:
        return replace(rig, cameras=replace(rig.cameras, image_hw=sizes))
    for name, old, new in zip(rig.names, calibrated.tolist(), image_hws, strict=True):
        _refuse_misfit(name, (old[0], old[1]), new, image_fit)
    if image_fit is None:
        return rig
    return replace(rig, cameras=fitted_cameras(rig.cameras, sizes, image_fit))


def fitted_cameras(cameras: Cameras, image_hw: Int[Tensor, "V 2"], image_fit: ImageFit) -> Cameras:
    """Cameras (V,) of known sizes for pictures of sizes `image_hw`: see `fit_rig`."""
    assert cameras.image_hw is not None, "pictures fit into a frame of known size"
    if torch.equal(cameras.image_hw, image_hw):
        return cameras
    size_xy, calibrated_xy = image_hw.flip(-1).to(cameras.K), cameras.image_hw.flip(-1).to(cameras.K)
    if image_fit == "scale":
        return cameras.scaled(size_xy / calibrated_xy)
    offset = (calibrated_xy - size_xy) * _PLACES[image_fit]
    return cameras.cropped(torch.cat([offset, offset + size_xy], dim=-1))


def differ_by_padding(rig: Rig, image_hws: Sequence[tuple[int, int]]) -> bool:
    """Whether pictures of these sizes, one per camera, differ from the calibrated ones by no more than a codec adds."""
    calibrated, sizes = rig.cameras.image_hw, torch.tensor(image_hws)
    if calibrated is None or torch.equal(calibrated, sizes):
        return False
    turned = (calibrated != sizes).any(-1) & (calibrated == sizes.flip(-1)).all(-1)
    return not bool(turned.any()) and int((calibrated - sizes).abs().max()) <= _BLOCK_PX


def _refuse_misfit(name: str, old_hw: tuple[int, int], new_hw: tuple[int, int], image_fit: ImageFit | None) -> None:
    if old_hw == new_hw:
        return
    said = f"camera {name} is calibrated for {size_text(old_hw)}, but its pictures are {size_text(new_hw)}"
    if old_hw == new_hw[::-1]:
        raise InputError(f"{said}; calibrate on pictures as a player shows them, or turn these back")
    if image_fit is None:
        raise InputError(f"{said}; say how they sit in the calibrated frame with --image-fit scale|left|center|right")


def size_text(image_hw: Sequence[int]) -> str:
    """(height, width) as people write it: `1920x1080`."""
    return f"{image_hw[1]}x{image_hw[0]}"
