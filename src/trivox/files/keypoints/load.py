"""Which reader a keypoint file needs, and what its joints are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trivox.errors import InputError
from trivox.files.joint_names import matched_joints
from trivox.files.keypoints.coco import read_coco
from trivox.files.keypoints.deeplabcut import read_deeplabcut_csv
from trivox.files.keypoints.deeplabcut_h5 import read_deeplabcut_h5
from trivox.files.keypoints.detections import Detections, assembled
from trivox.files.keypoints.nameless import nameless_joints
from trivox.files.keypoints.native import load_native
from trivox.files.keypoints.pictures import read_pictures
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import skeleton_named

READERS: dict[str, Callable[[Path], Detections]] = {
    "openpose": read_pictures,
    "coco": read_coco,
    "deeplabcut-csv": read_deeplabcut_csv,
    "deeplabcut-h5": read_deeplabcut_h5,
}
NATIVE = "npz"

BY_SUFFIX = {".json": "coco", ".csv": "deeplabcut-csv", ".h5": "deeplabcut-h5", ".hdf5": "deeplabcut-h5"}
BY_SUFFIX[".npz"] = NATIVE


@dataclass(frozen=True)
class View:
    """The detections of one view, and sentences for the user: what was skipped, and what was taken how."""

    keypoints: Keypoints2D
    notes: tuple[str, ...] = ()


def read_view(path: Path | str, *, skeleton: str | None = None, format: str | None = None) -> View:
    """Read the 2D detections of one view, as `load_keypoints` does, and keep the notes."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; check the path")
    name = format or ("openpose" if path.is_dir() else BY_SUFFIX.get(path.suffix.lower()))
    known = (*READERS, NATIVE)
    if name not in known:
        given = f"format {format!r}" if format else f"the format of {path}"
        raise InputError(f"{given} is not known; it should be one of {', '.join(known)}")
    if path.is_dir() != (name == "openpose"):
        raise InputError(f"{path} is a {'folder' if path.is_dir() else 'file'}, which format {name!r} is not")
    wanted = skeleton_named(skeleton) if skeleton else None
    if name == NATIVE:
        return View(load_native(path, wanted))
    detections = READERS[name](path)
    people = detections.stacked(path)
    if detections.names is None:
        joints = nameless_joints(people, wanted, path)
    elif len(detections.names) == people.shape[1]:
        joints = matched_joints(detections.names, wanted, path)
    else:
        counts = f"names {len(detections.names)} joints but has {people.shape[1]} per person"
        raise InputError(f"{path} {counts}; write it again")
    return View(assembled(detections, people, joints, path), detections.notes)


def load_keypoints(path: Path | str, *, skeleton: str | None = None, format: str | None = None) -> Keypoints2D:
    """Read the 2D detections of one view.

    `path` is a folder with a JSON for every picture (OpenPose, AlphaPose, MMPose, EasyMocap), one JSON of a recording
    (COCO, MMPose, AlphaPose), a DeepLabCut or anipose CSV or HDF5 file, or our own .npz. `skeleton` names the joints of
    the file (see `SKELETONS`) where it does not name them itself, and picks them by name where it does. `format` is
    openpose, coco, deeplabcut-csv, deeplabcut-h5 or npz, for a file whose name does not tell. Raises `InputError`.
    """
    return read_view(path, skeleton=skeleton, format=format).keypoints


def holds_keypoints(path: Path) -> bool:
    """Whether a path is, by its name, 2D detections and not pictures: a file of `BY_SUFFIX`, a folder with JSON."""
    if path.is_dir():
        return any(entry.suffix.lower() == ".json" for entry in path.iterdir())
    return path.suffix.lower() in BY_SUFFIX
