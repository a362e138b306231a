"""3D results handed on to other programs: what `trivox export` does. What each format keeps: docs/exports.md."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from trivox.errors import InputError
from trivox.files.calibrations.records import AXES, UpAxis
from trivox.files.poses import load_poses, save_poses
from trivox.files.poses.load import WRITTEN
from trivox.files.results import refuse_nobody
from trivox.geometry.poses import Poses
from trivox.progress import say

FORMATS = tuple(suffix.removeprefix(".") for suffix in WRITTEN)
_KEEPING_NO_UP = ("csv",)
_WITH_AN_UP_OF_THEIR_OWN = {"trc": "Y", "bvh": "Y", "glb": "Y", "gltf": "Y", "c3d": "Z"}


def export(
    source: str | Path,
    *,
    to: str | Sequence[str] = (),
    out: str | Path | None = None,
    up: UpAxis | None = None,
) -> tuple[Path, ...]:
    """Write the poses of `source` for other programs, each file whole or not at all; returns the files written.

    `source` is a result folder or whatever `load_poses` reads. `to` names one or several of `FORMATS`. `out` is a
    folder, or a file whose suffix is the format; without it files stand beside the source. `up` says which world axis
    points up, where the source does not, or not rightly. Raises `InputError`.
    """
    source = Path(source)
    path = source / "poses.npz" if source.is_dir() else source
    targets = _targets(path, (to,) if isinstance(to, str) else tuple(to), None if out is None else Path(out))
    if not source.exists():
        raise InputError(f"there is no file or folder {source}; give a result folder of trivox, or a file of poses")
    if source.is_dir() and not path.is_file():
        raise InputError(f"{source} is no result folder of trivox: it has no poses.npz; give one, or a file of poses")
    if up is not None and set(targets) <= set(_KEEPING_NO_UP):
        raise InputError("a .csv has the world's own axes and does not say what is up; leave --up out")
    poses = load_poses(path)
    if up is not None:
        poses = _with_up(poses, up)
    refuse_nobody(poses, path, "export")
    for remark in _remarks(poses, list(targets)):
        say(remark)
    return tuple(written for target in targets.values() for written in save_poses(poses, target))


def _targets(path: Path, to: tuple[str, ...], out: Path | None) -> dict[str, Path]:
    """Which file each format is written to."""
    to = tuple(dict.fromkeys(name.lower().removeprefix(".") for name in to))
    for name in to:
        _check_known(name)
    is_file = out is not None and not out.is_dir() and (out.suffix in WRITTEN or (not to and bool(out.suffix)))
    if out is not None and is_file:
        of_name = out.suffix.removeprefix(".")
        _check_known(of_name)
        if to not in ((), (of_name,)):
            raise InputError(f"{out} is the name of one .{of_name}, not of {', '.join(to)}; give --out a folder")
        targets = {of_name: out}
    else:
        if not to:
            raise InputError(f"it is not said what to export to; give --to {'|'.join(FORMATS)}")
        targets = {name: (out or path.parent) / f"{path.stem}.{name}" for name in to}
    if path.resolve() in (target.resolve() for target in targets.values()):
        raise InputError(f"{path} would be written over by itself; choose another --out")
    return targets


def _check_known(name: str) -> None:
    if name in FORMATS:
        return
    near = difflib.get_close_matches(name, FORMATS, 1, 0.5)
    advice = f"did you mean {near[0]}? There are" if near else "use one of"
    raise InputError(f"there is no format {name!r} to export to; {advice} {', '.join(FORMATS)}")


def _with_up(poses: Poses, up: UpAxis) -> Poses:
    if up not in AXES:
        raise InputError(f"there is no axis {up!r}; use one of {', '.join(AXES)}")
    return replace(poses, up=torch.tensor(AXES[up], dtype=torch.float64))


def _remarks(poses: Poses, formats: list[str]) -> list[str]:
    """What the user should know of the files besides their names."""
    remarks = []
    turned = [name for name in formats if name in _WITH_AN_UP_OF_THEIR_OWN]
    if poses.up is None and turned:
        remarks.append(
            f"nothing says which way is up, so .{turned[0]} has the world's own axes, not "
            f"{_WITH_AN_UP_OF_THEIR_OWN[turned[0]]} up; --up x|-x|y|-y|z|-z says it"
        )
    seen = poses.valid.any(0)
    missing = int((~poses.valid[:, seen]).sum())
    if "bvh" in formats and missing:
        remarks.append(
            f"{missing} of {poses.valid[:, seen].numel()} joint positions are missing; BVH cannot say so, they are "
            "interpolated there"
        )
    absent = [str(p) for p in range(seen.shape[0]) if not seen[p].any()]
    if absent and {"bvh", "glb", "gltf"} & set(formats):
        remarks.append(f"nobody is seen in row {', '.join(absent)} of the people, which is left out")
    return remarks
