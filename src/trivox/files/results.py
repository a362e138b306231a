"""The result folder that `predict` and `triangulate` write and later commands take. See docs/formats.md.

poses.npz        3D joints, everything about them         rig.toml           the cameras of the pictures
poses.trc        for OpenSim and friends (Y up, metres)   keypoints/CAM.npz  2D joints of each view
poses.csv        one row per joint                        summary.json       how good it is
                                                          job.json           inputs and options
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivox.errors import InputError
from trivox.files.atomic import atomic_write
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.files.poses import load_poses, save_poses
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig


@dataclass(frozen=True)
class Result:
    """What a folder holds. `keypoints` is one entry per camera of the rig, in pixels of the stored pictures."""

    poses: Poses
    rig: Rig
    keypoints: Sequence[Keypoints2D]
    job: dict[str, Any]
    summary: dict[str, Any]


def save_result(result: Result, out: Path) -> None:
    """Write the folder. `poses.npz` comes last: where it stands, the result is whole."""
    save_rig(result.rig, out / "rig.toml")
    for name, keypoints in zip(result.rig.names, result.keypoints, strict=True):
        save_keypoints(keypoints, out / "keypoints" / f"{name}.npz")
    _save_json(result.summary, out / "summary.json")
    _save_json(result.job, out / "job.json")
    save_poses(result.poses, out / "poses.csv")
    save_poses(result.poses, out / "poses.trc")
    save_poses(result.poses, out / "poses.npz")


def load_result(out: Path) -> Result:
    """Read a whole result folder. Raises `InputError` where it is none or unfinished."""
    if not (out / "poses.npz").is_file():
        raise InputError(f"{out} is no result folder of trivox: it has no poses.npz; give the --out of an earlier job")
    rig = load_rig(out / "rig.toml")
    keypoints = [load_keypoints(out / "keypoints" / f"{name}.npz") for name in rig.names]
    poses = load_poses(out / "poses.npz")
    return Result(poses, rig, keypoints, _load_json(out / "job.json"), _load_json(out / "summary.json"))


def _save_json(content: dict[str, Any], path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _load_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; the folder is not a whole result of trivox") from error
