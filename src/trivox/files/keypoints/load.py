"""Which reader each keypoint file of a recording needs, and what its joints are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trivox.errors import InputError
from trivox.files.joint_names import MatchedJoints, matched_joints
from trivox.files.keypoints.coco import read_coco
from trivox.files.keypoints.deeplabcut import read_deeplabcut_csv
from trivox.files.keypoints.deeplabcut_h5 import read_deeplabcut_h5
from trivox.files.keypoints.detections import Detections, assembled
from trivox.files.keypoints.nameless import fitting_skeletons, nameless_joints, nameless_note
from trivox.files.keypoints.native import load_native
from trivox.files.keypoints.pictures import read_pictures
from trivox.files.keypoints.scores import in_one_scale
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import Skeleton, joined_skeleton, skeleton_named

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


@dataclass(frozen=True)
class _File:
    """What a file holds, before its joints are told. `people` is None for a view that sees nobody."""

    path: Path
    detections: Detections
    people: np.ndarray | None
    fitting: Sequence[Skeleton] = ()
    """Of joints without names: the skeletons that they can be of."""

    @classmethod
    def read(cls, path: Path, name: str) -> _File:
        detections = READERS[name](path)
        if not detections.people:
            return cls(path, detections, None)
        people = detections.stacked(path)
        return cls(path, detections, people, fitting_skeletons(people) if detections.names is None else ())

    def view(self, given: Skeleton | None, told: Sequence[Skeleton]) -> View | None:
        """The view; None where it sees nobody. `told` are the skeletons of the other views."""
        if self.people is None:
            return None
        names, count, notes = self.detections.names, self.people.shape[1], self.detections.notes
        if names is None:
            joints = nameless_joints(count, self.fitting, given, told, self.path)
            if given is None:
                notes = (*notes, nameless_note(count, joints.skeleton))
        elif len(names) == count:
            joints = matched_joints(names, given, self.path)
        else:
            counts = f"names {len(names)} joints but has {count} per person"
            raise InputError(f"{self.path} {counts}; write it again")
        return View(assembled(self.detections, self.people, joints, self.path), notes)


def read_views(paths: Sequence[Path], *, skeleton: str | None = None, format: str | None = None) -> list[View]:
    """Read the 2D detections of all views of a recording, and keep the notes.

    What one view does not show is taken from the others: which joints it has where they have no names, whether scores
    are per cent, and all joints where it sees nobody. Raises `InputError` where no view sees anybody.
    """
    given = skeleton_named(skeleton) if skeleton else None
    files = [_read(path, given, format) for path in paths]
    told = [file.fitting[0] for file in files if isinstance(file, _File) and len(file.fitting) == 1]
    seen = [file if isinstance(file, View) else file.view(given, told) for file in files]
    others = [view.keypoints for view in seen if view is not None]
    views = [view or _empty_view(file, others) for file, view in zip(files, seen, strict=True)]
    scaled = in_one_scale([view.keypoints for view in views], paths)
    return [
        View(keypoints, view.notes if note is None else (*view.notes, note))
        for view, (keypoints, note) in zip(views, scaled, strict=True)
    ]


def _empty_view(file: View | _File, others: Sequence[Keypoints2D]) -> View:
    """The view of a camera that sees nobody, with the joints of the `others`, of which one has to see somebody.

    A file of one recording that holds nothing at all has their frames.
    """
    if isinstance(file, View):
        return file
    path, count = file.path, len(set(file.detections.frames))
    where = f"any of its {count} frames" if count else "it"
    if not others:
        raise InputError(f"{path} has no person in {where}; run the detector again")
    skeleton = joined_skeleton([view.skeleton for view in others])
    detections = file.detections if count else Detections([], [], others[0].frames.tolist())
    nobody = np.zeros((0, len(skeleton), 3))
    keypoints = assembled(detections, nobody, MatchedJoints(skeleton, np.arange(len(skeleton))), path)
    return View(keypoints, (*file.detections.notes, f"{path} has nobody in {where}"))


def _read(path: Path, given: Skeleton | None, format: str | None) -> View | _File:
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; check the path")
    name = format or ("openpose" if path.is_dir() else BY_SUFFIX.get(path.suffix.lower()))
    known = (*READERS, NATIVE)
    if name not in known:
        asked = f"format {format!r}" if format else f"the format of {path}"
        raise InputError(f"{asked} is not known; it should be one of {', '.join(known)}")
    if path.is_dir() != (name == "openpose"):
        raise InputError(f"{path} is a {'folder' if path.is_dir() else 'file'}, which format {name!r} is not")
    return View(load_native(path, given)) if name == NATIVE else _File.read(path, name)


def read_view(path: Path | str, *, skeleton: str | None = None, format: str | None = None) -> View:
    """Read the 2D detections of one view, as `load_keypoints` does, and keep the notes."""
    return read_views([Path(path)], skeleton=skeleton, format=format)[0]


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
