"""Which reader a keypoint file needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trivox.errors import InputError
from trivox.files.keypoints.coco import load_coco
from trivox.files.keypoints.deeplabcut import load_deeplabcut_csv
from trivox.files.keypoints.deeplabcut_h5 import load_deeplabcut_h5
from trivox.files.keypoints.native import load_native
from trivox.files.keypoints.openpose import load_openpose
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import Skeleton, skeleton_named

Reader = Callable[[Path, Skeleton | None], Keypoints2D]

READERS: dict[str, Reader] = {
    "openpose": load_openpose,
    "coco": load_coco,
    "deeplabcut-csv": load_deeplabcut_csv,
    "deeplabcut-h5": load_deeplabcut_h5,
    "npz": load_native,
}

BY_SUFFIX = {".json": "coco", ".csv": "deeplabcut-csv", ".h5": "deeplabcut-h5", ".hdf5": "deeplabcut-h5"}
BY_SUFFIX[".npz"] = "npz"


def load_keypoints(path: Path | str, *, skeleton: str | None = None, format: str | None = None) -> Keypoints2D:
    """Read the 2D detections of one view.

    `path` is an OpenPose folder, a COCO or MMPose JSON, a DeepLabCut or anipose CSV or HDF5 file, or our own
    .npz. `skeleton` names the joints of the file (see `SKELETONS`) where it does not name them itself, and
    picks them by name where it does. `format` is a key of `READERS`, for a file whose name does not tell.
    Raises `InputError`.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; check the path")
    name = format or ("openpose" if path.is_dir() else BY_SUFFIX.get(path.suffix.lower()))
    if name not in READERS:
        given = f"format {format!r}" if format else f"the format of {path}"
        raise InputError(f"{given} is not known; it should be one of {', '.join(READERS)}")
    if path.is_dir() != (name == "openpose"):
        raise InputError(f"{path} is a {'folder' if path.is_dir() else 'file'}, which format {name!r} is not")
    return READERS[name](path, skeleton_named(skeleton) if skeleton else None)


def holds_keypoints(path: Path) -> bool:
    """Whether a path is, by its name, 2D detections and not pictures: a file of `BY_SUFFIX`, a folder with JSON."""
    if path.is_dir():
        return any(entry.suffix.lower() == ".json" for entry in path.iterdir())
    return path.suffix.lower() in BY_SUFFIX
