"""From the numbers of a file to a `Rig` and back: unit, pixel origin and up axis, once for all formats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from trivox.errors import InputError
from trivox.files.calibrations.checks import check_cameras
from trivox.files.calibrations.lenses import FileLens
from trivox.files.calibrations.records import AXES, MM_PER_UNIT, FileCamera, FileRig, Format, Units
from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import GIVEN_TERMS, DistortionModel
from trivox.geometry.rig import Rig


def rig_from(file_rig: FileRig, where: str, units: Units, image_hw: tuple[int, int] | None) -> Rig:
    """The checked rig: millimetres, corner pixels, float64. Raises `InputError` for impossible cameras."""
    cameras = file_rig.cameras
    check_cameras(file_rig, where)
    sizes = _sizes(cameras, where, image_hw)
    single = [_cameras_of(camera, MM_PER_UNIT[units], 0.5 - file_rig.first_pixel) for camera in cameras]
    return Rig(
        names=tuple(camera.name for camera in cameras),
        cameras=replace(Cameras.stack(single), image_hw=sizes),
        up=None if file_rig.up is None else torch.tensor(file_rig.up, dtype=torch.float64),
        quarter_turns=tuple(camera.quarter_turns % 4 for camera in cameras),
        uncalibrated={camera.name: camera.lacks for camera in file_rig.uncalibrated},
    )


def _cameras_of(camera: FileCamera, mm: float, shift_px: float) -> Cameras:
    K = torch.tensor(camera.K)
    K[:2, 2] += shift_px
    lens = camera.lens
    return Cameras(K, torch.tensor(camera.R), torch.tensor(camera.t) * mm, torch.tensor(lens.terms), lens.model)


def _sizes(cameras: tuple[FileCamera, ...], where: str, given_hw: tuple[int, int] | None) -> torch.Tensor | None:
    """The sizes of the file, completed by the caller's; None where nobody says."""
    if given_hw is None and all(camera.image_hw is None for camera in cameras):
        return None
    for camera in cameras:
        if given_hw is None and camera.image_hw is None:
            raise InputError(f"{where}, camera {camera.name!r}: the image size is missing; give --image-size")
        if given_hw is not None and camera.image_hw not in (None, given_hw):
            raise InputError(
                f"{where}, camera {camera.name!r}: the file says height and width {camera.image_hw}, "
                f"--image-size says {given_hw}; leave --image-size out"
            )
    return torch.tensor([camera.image_hw or given_hw for camera in cameras])


def file_rig_from(rig: Rig, units: Units, first_pixel: float) -> FileRig:
    """The rig in the numbers of a file with these units and this pixel origin."""
    cameras = rig.cameras.to("cpu", torch.float64).map(torch.Tensor.detach)
    K = cameras.K.clone()
    K[:, :2, 2] -= 0.5 - first_pixel
    t = cameras.t_mm / MM_PER_UNIT[units]
    sizes = [None] * len(rig) if cameras.image_hw is None else [(h, w) for h, w in cameras.image_hw.tolist()]
    up = None if rig.up is None else rig.up.detach().cpu().double().tolist()
    records = tuple(
        FileCamera(
            name=rig.names[i],
            K=K[i].numpy(),
            R=cameras.R[i].numpy(),
            t=t[i].numpy(),
            lens=_lens(cameras.distortion[i].numpy(), cameras.distortion_models[i]),
            image_hw=sizes[i],
            quarter_turns=rig.quarter_turns[i] % 4,
        )
        for i in range(len(rig))
    )
    return FileRig(
        records,
        units,
        up=None if up is None else (up[0], up[1], up[2]),
        first_pixel=first_pixel,
    )


def _lens(terms: NDArray[np.float64], model: DistortionModel) -> FileLens:
    # In a rig of mixed lenses shorter ones end in zeros.
    return FileLens.of(model, terms[: GIVEN_TERMS[model][-1]])


def refuse_unsayable(rig: FileRig, form: Format) -> None:
    """Raise `InputError` where writing `rig` in this format would lose or falsify something but the lens.

    What a format simply has no place for and other programs ask for elsewhere (the up axis, the image size)
    is left out, as `docs/formats.md` says; what would change the projection or state a falsehood is refused.
    """

    def refuse(said: str) -> InputError:
        return InputError(f"{form.title} {said}; write the native .toml instead")

    if form.up is not None and rig.up != form.up:
        axis = next(name for name, vector in AXES.items() if vector == form.up)
        state = "does not say which way is up" if rig.up is None else "has another up axis"
        raise refuse(f"files imply that {axis} points up and this rig {state} (--up {axis} if it is so)")
    for camera in rig.cameras:
        if camera.quarter_turns and not form.keeps_turns:
            raise refuse(f"files cannot say that camera {camera.name!r} is mounted sideways")
        if camera.image_hw is None and form.needs_size:
            raise refuse(f"files need the image size of camera {camera.name!r} (give --image-size)")
        if camera.K[0, 1] != 0 and not form.keeps_skew:
            raise refuse(f"files have no place for the skew of camera {camera.name!r}")
