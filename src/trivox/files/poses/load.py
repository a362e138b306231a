"""3D results to and from files, by their suffix."""

from __future__ import annotations

from pathlib import Path

from trivox.errors import InputError
from trivox.files.poses.actors_mat import load_actors_mat
from trivox.files.poses.bvh import save_bvh
from trivox.files.poses.c3d import save_c3d
from trivox.files.poses.document import save_document
from trivox.files.poses.gltf import save_gltf
from trivox.files.poses.mvor import load_mvor
from trivox.files.poses.native import load_native, save_native
from trivox.files.poses.parquet import save_parquet
from trivox.files.poses.plain import load_plain
from trivox.files.poses.table import load_csv, save_csv
from trivox.files.poses.trc import load_trc, save_trc
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import skeleton_named

SUFFIXES = (".npz", ".trc", ".csv")  # read and written
_OF_EVERYBODY = {
    **{".npz": save_native, ".csv": save_csv, ".c3d": save_c3d, ".json": save_document, ".parquet": save_parquet},
    **{".glb": save_gltf, ".gltf": save_gltf},
}
_OF_ONE_PERSON = {".trc": save_trc, ".bvh": save_bvh}
WRITTEN = (*_OF_EVERYBODY, *_OF_ONE_PERSON)
_OF_DATASETS = {".mat": load_actors_mat, ".json": load_mvor}


def save_poses(poses: Poses, path: Path | str) -> tuple[Path, ...]:
    """Write `poses` to .npz (everything) or what other programs read, atomically; returns the files written.

    .trc, .c3d, .bvh, .csv, .json, .parquet, .glb and .gltf: docs/exports.md. A .trc or .bvh holds one person: of
    several people each gets a file, NAME_p0.trc and so on. Formats with an up axis of their own are turned to it where
    `poses.up` is known, and have the world's own axes where it is not. Raises `InputError` for another suffix, poses
    without a frame or person, or a folder that cannot be written.
    """
    path = _checked(path, "write", WRITTEN)
    _check_size(poses, f"cannot write {path}", "give poses of somebody")
    if path.suffix in _OF_ONE_PERSON:
        return _OF_ONE_PERSON[path.suffix](poses, path)
    _OF_EVERYBODY[path.suffix](poses, path)
    return (path,)


def load_poses(path: Path | str, *, skeleton: str | None = None) -> Poses:
    """Read .npz (ours, or plain arrays of others), .trc (Y up, any unit) or .csv into millimetres.

    The truth of two datasets is read too: actorsGT.mat of Shelf and Campus, and MVOR's .json. Raises `InputError` for
    anything else. `skeleton` picks the joints of a .trc or .csv by name; without it the
    file's own joints stay.
    """
    path = _checked(path, "read", (*SUFFIXES, *_OF_DATASETS))
    wanted = skeleton_named(skeleton) if skeleton else None
    if path.suffix not in (".npz", *_OF_DATASETS):
        return (load_trc if path.suffix == ".trc" else load_csv)(path, wanted)
    of_dataset = _OF_DATASETS.get(path.suffix)
    poses = of_dataset(path) if of_dataset else load_plain(path) or load_native(path)
    _check_size(poses, f"{path} cannot be used", "give a file that was written in full")
    return poses if wanted is None else poses.converted(wanted)


def _check_size(poses: Poses, what: str, remedy: str) -> None:
    frames, people = poses.valid.shape[:2]
    if not frames or not people:
        raise InputError(f"{what}: the poses have {frames} frames of {people} people, expected one at least; {remedy}")


def _checked(path: Path | str, what: str, suffixes: tuple[str, ...]) -> Path:
    path = Path(path)
    if path.suffix not in suffixes:
        raise InputError(f"cannot {what} poses as {path}; expected a file name that ends in {', '.join(suffixes)}")
    return path
