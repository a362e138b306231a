"""The result folder that `predict` and `triangulate` write and later commands take. See docs/formats.md.

poses.npz        3D joints, everything about them         rig.toml           the cameras of the pictures
poses.trc        for OpenSim and friends (Y up, metres)   keypoints/CAM.npz  2D joints of each view
  (of several people one each: poses_p0.trc, ...)         summary.json       how good it is
poses.csv        one row per joint                        job.json           inputs and options
poses_raw.npz    of smoothed people: the joints before smoothing
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from torch import Tensor

from trivox.base.atomic import atomic_write
from trivox.base.identity import identity, is_same_work
from trivox.errors import InputError
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.files.poses import load_poses, save_poses
from trivox.files.text import read_json
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig

_ENTRIES = ("job.json", "rig.toml", "keypoints", "summary.json", "poses.npz", "poses.csv", "poses.trc", "poses_raw.npz")
_OF_ONE_PERSON = re.compile(r"poses_p\d+\.trc")


class _File(BaseModel):
    path: Annotated[str, Field(min_length=1, pattern=r"\A[^\x00]+\z")]


class _Job(BaseModel):
    """What later commands read of a job; it tells more."""

    videos: dict[str, _File] | None = None
    keypoints: dict[str, _File] | None = None
    skeleton: str | None = None


@dataclass(frozen=True)
class Result:
    """What a folder holds. `keypoints` is one entry per camera of the rig, in pixels of the stored pictures.

    Where `poses` are smoothed, `raw` are the joints before.
    """

    poses: Poses
    rig: Rig
    keypoints: Sequence[Keypoints2D]
    job: dict[str, Any]
    summary: dict[str, Any]
    raw: Poses | None = None


def save_result(result: Result, out: Path) -> None:
    """Write the folder. `poses.npz` comes last: where it stands, the result is whole."""
    _save_json(result.job, out / "job.json")
    save_rig(result.rig, out / "rig.toml")
    for name, keypoints in zip(result.rig.names, result.keypoints, strict=True):
        save_keypoints(keypoints, out / "keypoints" / f"{name}.npz")
    _save_json(result.summary, out / "summary.json")
    if result.raw is not None:
        save_poses(result.raw, out / "poses_raw.npz")
    save_poses(result.poses, out / "poses.csv")
    save_poses(result.poses, out / "poses.trc")
    save_poses(result.poses, out / "poses.npz")


def load_result(out: Path) -> Result:
    """Read a whole result folder. Raises `InputError` where it is none or unfinished."""
    if not (out / "poses.npz").is_file():
        raise InputError(f"{out} is no result folder of trivox: it has no poses.npz; give the --out of an earlier job")
    rig = load_rig(out / "rig.toml")
    keypoints = [load_keypoints(out / "keypoints" / f"{name}.npz") for name in rig.names]
    of_all = {(view.scores.shape, view.skeleton.names) for view in keypoints}
    if len(of_all) > 1 or not keypoints[0].scores.numel():
        raise InputError(f"{out / 'keypoints'} has files that do not go together; the folder is not a whole result")
    poses = load_poses(out / "poses.npz")
    raw = load_poses(out / "poses_raw.npz") if (out / "poses_raw.npz").is_file() else None
    return Result(poses, rig, keypoints, load_job(out), load_summary(out), raw)


def refuse_nobody(poses: Poses, path: Path, what: str) -> None:
    """Raise `InputError` where there is nobody to do `what` with."""
    if not poses.valid.any():
        raise InputError(
            f"{path} has nobody to {what}: no joint in it is valid; draw its 2D joints to see why (trivox draw), or "
            "give another result"
        )


def entries_of(out: Path) -> list[str]:
    """What of a result folder is there, by name; of several people each has a .trc of its own."""
    known = [name for name in _ENTRIES if (out / name).exists()]
    trc = [path.name for path in out.iterdir() if _OF_ONE_PERSON.fullmatch(path.name)] if out.is_dir() else []
    return known + sorted(trc, key=lambda name: (len(name), name))


def load_job(out: Path) -> dict[str, Any]:
    """Only the job of a result folder. Raises `InputError` where it does not have the form that trivox writes."""
    path = out / "job.json"
    job = _load_json(path)
    try:
        _Job.model_validate(job, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise InputError(
            f"{path}: {where} is not as trivox writes it ({first['msg']}); the folder is not a whole result"
        ) from error
    return job


def files_of(job: dict[str, Any], kind: str) -> dict[str, Path]:
    """Camera -> file of a kind ("videos", "keypoints") that a job was made from; empty where it was made from none."""
    return {name: Path(file["path"]) for name, file in (job.get(kind) or {}).items()}


def is_unchanged(job: dict[str, Any], kind: str, name: str) -> bool:
    """Whether the file of a camera that a job was made from is there, with the content it had."""
    told = job[kind][name]
    path = Path(told["path"])
    return path.exists() and ("sha256_of_ends" not in told or is_same_work(identity(path), told))


def load_summary(out: Path) -> dict[str, Any]:
    """Only the summary of a result folder."""
    return _load_json(out / "summary.json")


def standing_result(out: Path, job: dict[str, Any]) -> Result | None:
    """The result of this very job, if `out` holds it already; None where there is room for it.

    Raises `InputError` where writing it would cost something that is not this job's.
    """
    found = entries_of(out)
    same = "job.json" in found and is_same_work(read_json(out / "job.json"), job)
    if same and "poses.npz" in found:
        return load_result(out)
    if "poses.npz" in found and "job.json" in found:
        raise InputError(
            f"{out} already holds the result of other inputs or options; choose another --out, or remove it first"
        )
    if found and not same:
        raise InputError(f"{out} has a {found[0]} already, which is not overwritten; choose another --out")
    return None


def describe_inputs(kind: str, rig: Rig, paths: Sequence[Path]) -> dict[str, Any]:
    """What identifies the inputs in `job.json`: files of a kind ("videos"), one per camera, the rig, and the reader."""
    return {
        "trivox": version("trivox"),
        kind: {name: identity(path) for name, path in zip(rig.names, paths, strict=True)},
        "rig_sha256": _rig_digest(rig),
    }


def _rig_digest(rig: Rig) -> str:
    cameras = rig.cameras
    tensors: list[Tensor | None] = [
        *(cameras.K, cameras.R, cameras.t_mm, cameras.distortion),
        *(cameras.image_hw, rig.up),
    ]
    digest = hashlib.sha256(repr((rig.names, rig.quarter_turns, cameras.distortion_models)).encode())
    for tensor in tensors:
        digest.update(b"none" if tensor is None else tensor.numpy().tobytes())
    return digest.hexdigest()


def _save_json(content: dict[str, Any], path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _load_json(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} was not written by trivox; the folder is not a whole result")
    return content
