"""What a page shows: results, each with its name and colour, beside the truth; and the views they were seen in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from trivox.errors import InputError
from trivox.files.calibrations import UpAxis, load_rig
from trivox.files.calibrations.records import AXES
from trivox.files.poses import load_poses
from trivox.files.results import files_of, is_unchanged, load_job
from trivox.files.views import Views, refuse_names_alone
from trivox.geometry.axes import turned_upright
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import conversion
from trivox.metrics.people import pairwise_mpjpe_mm
from trivox.view.colours import RGB

# Those near the green of the truth come last.
TINTS: tuple[RGB, ...] = (
    *((147, 88, 214), (214, 158, 20), (40, 110, 190), (214, 66, 130), (0, 158, 140), (90, 120, 40)),
)
TRUTH: RGB = (46, 160, 82)


@dataclass(frozen=True)
class Compared:
    """Where the joints of a result truly are, and how far away that is; NaN where the truth does not tell."""

    true_mm: Float[np.ndarray, "F P J 3"]
    errors_mm: Float[np.ndarray, "F P J"]


@dataclass(frozen=True)
class Shown:
    """People of one result, and beside the truth if there is one."""

    name: str
    tint: RGB
    poses: Poses
    compared: Compared | None = None


@dataclass(frozen=True)
class Content:
    """All of a page. `frames` are the video frames at which anything is known, rising; `notes` are for the user."""

    results: tuple[Shown, ...]
    truth: Poses | None
    rig: Rig | None
    views: Views | None
    frames: Int[np.ndarray, "T"]
    fps: float
    notes: tuple[str, ...] = ()

    @property
    def image_hw(self) -> list[tuple[int, int]]:
        """(height, width) of the upright picture of each camera of the rig."""
        if self.rig is None:
            return []
        sizes = self.rig.upright_cameras.image_hw
        assert sizes is not None, "load_content gives every camera a size"
        return [(int(h), int(w)) for h, w in sizes.tolist()]

    @property
    def everybody(self) -> tuple[Poses, ...]:
        return tuple(shown.poses for shown in self.results) + (() if self.truth is None else (self.truth,))


def load_content(
    results: Sequence[Path],
    *,
    truth: Path | None = None,
    rig: Path | Rig | None = None,
    videos: Sequence[Path] = (),
    cameras: Sequence[str] = (),
    names: Sequence[str] = (),
    up: UpAxis | None = None,
) -> Content:
    """Read result folders or files of poses. Raises `InputError` for what cannot be shown.

    Cameras are those of `rig`, else of the first result folder that has any; pictures are `videos`, else those that
    this folder's job.json tells, where they still are.
    """
    if not results:
        raise InputError("there is nothing to show; give a result folder of trivox or a file of poses")
    cameras_of = next((path for path in results if (path / "rig.toml").is_file()), None)
    shown_rig = _rig(rig, cameras_of, up)
    poses = [_with_up(_loaded(path), up if shown_rig is None else None) for path in results]
    true = None if truth is None else load_poses(truth)
    rig_up = None if shown_rig is None else shown_rig.up
    up_of_world = next((u for u in (rig_up, *(p.up for p in poses)) if u is not None), None)
    poses = [_in_world(each, up_of_world) for each in poses]
    true = None if true is None else _in_world(true, up_of_world)
    views, notes = _views(shown_rig, videos, cameras, cameras_of)
    empty = [path for path, each in zip(results, poses, strict=True) if not each.valid.any()]
    notes += tuple(f"{path} has nobody: no joint in it is valid" for path in empty)
    shown = tuple(
        Shown(name, TINTS[i % len(TINTS)], each, None if true is None else compared(each, true))
        for i, (name, each) in enumerate(zip(_names(results, names), poses, strict=True))
    )
    if true is not None and not empty and not any(np.isfinite(s.compared.errors_mm).any() for s in shown if s.compared):
        notes += (f"{truth} shares no frame and joint with the results: there are no errors to show",)
    frames = np.unique(np.concatenate([each.frames.numpy() for each in poses]))
    return Content(shown, true, _sized(shown_rig, views), views, frames, poses[0].fps, notes)


def _loaded(path: Path) -> Poses:
    file = path / "poses.npz" if path.is_dir() else path
    if not file.is_file():
        what = "is no result folder of trivox: it has no poses.npz" if path.is_dir() else "is not there"
        raise InputError(f"{path} {what}; give the --out of an earlier job, or a file of poses (.npz, .trc, .csv)")
    return load_poses(file)


def _rig(given: Path | Rig | None, folder: Path | None, up: UpAxis | None) -> Rig | None:
    if isinstance(given, Rig):
        return given
    path = given if given is not None else None if folder is None else folder / "rig.toml"
    return None if path is None else load_rig(path, up=up)


def _with_up(poses: Poses, up: UpAxis | None) -> Poses:
    return poses if up is None else replace(poses, up=torch.tensor(AXES[up], dtype=torch.float64))


def _in_world(poses: Poses, up: torch.Tensor | None) -> Poses:
    """Files of other programs have Y up; their people are turned to the world of the cameras."""
    if up is None or poses.up is None or torch.allclose(poses.up.double(), up.double(), atol=1e-6):
        return poses
    return turned_upright(poses, up)


def _names(results: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Names as given, else of the folders or files; as much of the path as tells them apart."""
    if names:
        if len(names) != len(results) or len(set(names)) < len(names):
            raise InputError(f"{len(names)} names for {len(results)} results; give each one of its own (--names)")
        return list(names)
    paths = [path.resolve() for path in results]
    if len(set(paths)) < len(paths):
        raise InputError("the same result is given twice; give each once")
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        tails = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(tails)) == len(tails):
            return tails
    raise AssertionError("different paths have different parts")


def _views(
    rig: Rig | None, videos: Sequence[Path], cameras: Sequence[str], folder: Path | None
) -> tuple[Views | None, tuple[str, ...]]:
    """The pictures, opened, and what the user should know of them."""
    refuse_names_alone(videos, cameras)
    if videos:
        if rig is None:
            raise InputError("videos need the cameras that saw them; give a result folder, or a calibration with --rig")
        views = Views.open(rig, videos, cameras=cameras or None)
        return views, views.notes
    told = {} if rig is None or folder is None else _told_videos(folder)
    told = {name: path for name, path in told.items() if rig is not None and name in rig.names}
    lost = [path for path in told.values() if not path.exists()]
    if lost:
        return None, (f"pictures are left out: {lost[0]} is not there any more; give the --videos",)
    others = [path for name, path in told.items() if folder and not is_unchanged(load_job(folder), "videos", name)]
    if others:
        return None, (f"pictures are left out: {others[0]} is not what the result was made from; give the --videos",)
    if not told or rig is None:
        return None, () if rig is None else ("there are no pictures: nothing tells the videos; give the --videos",)
    try:
        views = Views.open(rig, list(told.values()), cameras=list(told))
    except InputError as error:
        return None, (f"pictures are left out: {error}",)
    return views, views.notes


def _sized(rig: Rig | None, views: Views | None) -> Rig | None:
    """The rig with the sizes of its pictures; where no file tells them, as if principal points were in their middle."""
    if rig is None or rig.cameras.image_hw is not None:
        return rig
    if views is not None and len(views.rig) == len(rig):
        return views.rig
    sizes = (2 * rig.cameras.K[:, [1, 0], 2]).round().long().clamp_min(1)
    return replace(rig, cameras=replace(rig.cameras, image_hw=sizes))


def _told_videos(folder: Path) -> dict[str, Path]:
    """Camera -> video, as the job of a result folder tells; nothing where it had none."""
    return files_of(load_job(folder), "videos") if (folder / "job.json").exists() else {}


def compared(poses: Poses, truth: Poses) -> Compared:
    """Each person of each frame beside the nearest true person of that frame (in MPJPE).

    Only joints that are the same point of the body in both are compared, none that is made of others.
    """
    true = truth.converted(poses.skeleton)
    exact = torch.tensor([quality == "exact" for quality in conversion(truth.skeleton, poses.skeleton).quality])
    true = replace(true, valid=true.valid & exact)
    frames, ours, theirs = np.intersect1d(poses.frames.numpy(), true.frames.numpy(), return_indices=True)
    true_mm = np.full(poses.points_mm.shape, np.nan)
    if len(frames) and true.points_mm.shape[1]:
        mine, seen, other, known = poses.points_mm[ours], poses.valid[ours], true.points_mm[theirs], true.valid[theirs]
        nearest = pairwise_mpjpe_mm(mine, seen, other, known).argmin(-1)
        rows = torch.arange(len(frames))[:, None]
        both = seen & known[rows, nearest]
        true_mm[ours] = torch.where(both[..., None], other[rows, nearest].double(), torch.nan).numpy()
    return Compared(true_mm, np.linalg.norm(poses.points_mm.double().numpy() - true_mm, axis=-1))


def at_frame(poses: Poses, frame: int) -> int | None:
    """The row of a video frame; None where the poses have none."""
    frames = poses.frames.numpy()
    row = int(np.searchsorted(frames, frame))
    return row if row < len(frames) and frames[row] == frame else None
