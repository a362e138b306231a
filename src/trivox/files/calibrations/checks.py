"""What makes a set of cameras possible at all; every calibration, whatever its format, passes here.

Each camera by the rules of geometry/camera_faults.py, whose small rounding is kept as it is; and its name, which no
other camera may have.
"""

from __future__ import annotations

from collections import Counter

from trivox.errors import InputError
from trivox.files.calibrations.records import FileCamera, FileRig
from trivox.geometry.camera_faults import matrix_fault, number_fault, rotation_fault, size_fault


def check_cameras(rig: FileRig, where: str) -> None:
    """Raise `InputError` that names the file (`where`), the camera, and what is wrong with it."""
    if not rig.cameras:
        raise InputError(f"{where}: no cameras in it; give a calibration with at least one")
    names = Counter(camera.name for camera in (*rig.cameras, *rig.uncalibrated))
    for camera in rig.cameras:
        if names[camera.name] > 1:
            raise InputError(f"{where}: two cameras are called {camera.name[:80]!r}; rename one")
        said = _name_fault(camera.name) or _number_fault(camera)
        said = said or matrix_fault(camera.K) or rotation_fault(camera.R)
        said = said or (None if camera.image_hw is None else size_fault(camera.image_hw))
        if said:
            raise InputError(f"{where}, camera {camera.name[:80]!r}: {said}")


def _name_fault(name: str) -> str | None:
    # Names become parts of file names in result folders.
    if not name.strip() or len(name) > 200 or name in (".", ".."):
        return "this is no usable camera name; rename it"
    if any(char in '/\\:*?"<>|' or not char.isprintable() for char in name):
        return 'a camera name must not contain / \\ : * ? " < > | or unprintable characters; rename it'
    return None


def _number_fault(camera: FileCamera) -> str | None:
    numbers = {"K": camera.K, "R": camera.R, "t": camera.t, "the lens": camera.lens.terms}
    return next((said for key, values in numbers.items() if (said := number_fault(key, values))), None)
