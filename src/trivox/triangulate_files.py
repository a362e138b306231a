"""From 2D keypoint files of the views to people in 3D: what `trivox triangulate` does.

The files may hold several people per frame in any order, bystanders among them: who is who is decided by geometry in
every frame, and over time by linking, exactly as for videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from trivox.base.work import alone_in
from trivox.calibration_report import check
from trivox.errors import InputError
from trivox.files.frame_numbers import different_starts
from trivox.files.keypoints.load import read_views
from trivox.files.results import Result, describe_inputs, save_result, standing_result
from trivox.files.views import match_cameras
from trivox.geometry.association import person_sizes_px
from trivox.geometry.cameras import Cameras
from trivox.geometry.keypoints import Keypoints2D, seen_in_two, with_joined_skeleton
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig, checked_rig
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.smoothing import smoothed
from trivox.geometry.tracks import link_people
from trivox.lift import LEAST_SCORE, NOISE_PX, Method, lift
from trivox.options import DEFAULT_FPS, check_options, paths_of
from trivox.people.candidates import BYSTANDERS, CROP_MARGIN, Candidates, find_candidates, gathered
from trivox.people.followed import Followed
from trivox.people.networks import Joints2D
from trivox.people.nobody import why_nobody
from trivox.progress import progress, say
from trivox.summary import doubts, summarise

# Frames associated at once: bounds the memory, whatever the length.
_FRAMES_AT_ONCE = 64
# Frames looked through for the reason why nobody is found.
_MOST_EXAMINED = 1000


def triangulate_files(
    rig: Rig | Any,
    keypoints: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    cameras: Sequence[str] | None = None,
    method: Method = "ransac",
    people: int = 1,
    skeleton: str | None = None,
    fps: float | None = None,
    smooth: bool = False,
) -> Poses:
    """Joints in millimetres from 2D keypoint files or folders, one per camera (formats: docs/formats.md).

    `skeleton` names the joints of files that do not name them; `fps` is the frame rate for the times of the exports
    (30 unless given). The other arguments are those of `predict`. Frames are matched by the numbers in the files;
    a frame that a view lacks is a frame in which that view sees nobody, and a view that counts from 1 what others
    count from 0 is renumbered. Joints are matched by name: where the views have different ones, the result has all of
    them. Raises `InputError` as `predict` does.
    """
    rig = checked_rig(rig)
    folder = None if out is None else Path(out)
    with alone_in(folder):
        return _triangulated(rig, keypoints, folder, cameras, method, people, skeleton, fps, smooth)


def _triangulated(
    rig: Rig,
    keypoints: Sequence[str | Path],
    out: Path | None,
    cameras: Sequence[str] | None,
    method: Method,
    people: int,
    skeleton: str | None,
    fps: float | None,
    smooth: bool,
) -> Poses:
    check_options(method, people, fps)
    paths = paths_of(keypoints, "keypoints")
    rig = match_cameras(rig, paths, cameras)
    read = read_views(paths, skeleton=skeleton)
    for note in dict.fromkeys((*rig.notes, *check(rig).faults, *(note for view in read for note in view.notes))):
        say(note)
    views = _numbered_alike([view.keypoints for view in read], rig.names)
    views = _with_the_same_joints(views, rig.names, paths)
    job = _describe(rig, paths, method, people, views[0].skeleton, fps) | ({"smooth": True} if smooth else {})
    if out is not None and (standing := standing_result(out, job)):
        say(f"{out} already holds this result; nothing to do")
        return standing.poses
    frames = torch.cat([view.frames for view in views]).unique()
    _say_what_is_missing(views, rig, frames, fps)
    rate = fps or DEFAULT_FPS
    members = _followed_members(views, rig.cameras, frames, people, rate)
    found = _lifted(views, rig.cameras, frames, members, method).without_misplaced(views[0].skeleton)
    poses = found.poses(frames, views[0].skeleton, rate, rig.up, NOISE_PX)
    if not poses.valid.any():
        some = frames[torch.linspace(0, len(frames) - 1, min(len(frames), _MOST_EXAMINED)).long()]
        cause = why_nobody(detections_at(views, some), rig.cameras, rig.names) or (
            "check that the files belong to the cameras named and to the same instants (trivox calibration check)"
        )
        raise InputError(f"no person could be triangulated from {len(keypoints)} views; {cause}")
    summary = summarise(poses, rig.names, found.inliers, found.reprojection_px, seen_in_two(views))
    for doubt in doubts(summary, poses):
        say(doubt)
    result = Result(poses, rig, _keypoints(found, poses), job, asdict(summary))
    if smooth:
        steady = smoothed(poses)
        result = replace(result, poses=steady, raw=poses, summary=asdict(summary.of_other_joints(poses, steady)))
    if out is not None:
        save_result(result, out)
    return result.poses


def _numbered_alike(views: Sequence[Keypoints2D], names: Sequence[str]) -> list[Keypoints2D]:
    """The views with one number for one instant, as far as their numbers tell (`different_starts`)."""
    shifts, notes = different_starts([view.frames.tolist() for view in views], names)
    for note in notes:
        say(note)
    numbered = [replace(view, frames=view.frames + shift) for view, shift in zip(views, shifts, strict=True)]
    if min(int(view.frames[0]) for view in numbered) == 1:
        say("no view has a frame 0: the frames are numbered from 1, as the files number them")
    return numbered


def _with_the_same_joints(
    views: Sequence[Keypoints2D], names: Sequence[str], paths: Sequence[Path]
) -> list[Keypoints2D]:
    """The views with all joints that any of them has, matched by name; says which are seen too little."""
    for view, path in zip(views, paths, strict=True):
        if not set(view.skeleton.names) & set(views[0].skeleton.names):
            raise InputError(
                f"{path} has the joints of {view.skeleton.name}, {paths[0]} those of {views[0].skeleton.name}; give "
                "views with the same joints"
            )
    joined = with_joined_skeleton(views)
    skeleton = joined[0].skeleton
    for view, name in zip(views, names, strict=True):
        if lacking := [joint for joint in skeleton.names if joint not in view.skeleton.names]:
            say(f"{name} lacks {_listed(lacking)}: placed by the other views")
    if lonely := [joint for joint, there in zip(skeleton.names, seen_in_two(joined), strict=True) if not there]:
        say(f"no two views ever see {_listed(lonely)}: not placed, and not counted among the joints")
    return joined


def _listed(joints: Sequence[str]) -> str:
    few = ", ".join(joints[:6])
    return few if len(joints) <= 6 else f"{few} and {len(joints) - 6} more joints"


def _say_what_is_missing(views: Sequence[Keypoints2D], rig: Rig, frames: Tensor, fps: float | None) -> None:
    for view, name in zip(views, rig.names, strict=True):
        if missing := len(frames) - len(view.frames):
            say(f"{name} has no detections file for {missing} of {len(frames)} frames; used without it")
        if view.scores.any() and float(view.scores.max()) < LEAST_SCORE:
            say(f"all scores of {name} are below {LEAST_SCORE:g}: it is not used")
    if fps is None:
        say(f"keypoint files have no frame rate: times assume {DEFAULT_FPS:g} frames/s (--fps gives another)")


def detections_at(views: Sequence[Keypoints2D], frames: Tensor) -> Joints2D:
    """Detections (F, V, D) at these frame numbers; absent ones have score 0."""
    most = max(1, *(view.scores.shape[1] for view in views))
    shape = (len(frames), len(views), most, len(views[0].skeleton))
    points, scores = torch.zeros(*shape, 2, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    for v, view in enumerate(views):
        rows = torch.isin(view.frames, frames)
        at = torch.searchsorted(frames, view.frames[rows])
        points[at, v, : view.scores.shape[1]] = view.points_px[rows].double()
        scores[at, v, : view.scores.shape[1]] = view.scores[rows].double()
    return Joints2D(points, scores)


def _followed_members(
    views: Sequence[Keypoints2D], cameras: Cameras, frames: Tensor, people: int, fps: float
) -> Int[Tensor, "F N V"]:
    """Which detection of each view is each followed person; -1 for none."""
    parts = []
    with progress("who is who", len(frames)) as advance:
        for some in frames.split(_FRAMES_AT_ONCE):
            parts.append(find_candidates(detections_at(views, some), cameras, people + BYSTANDERS, views[0].skeleton))
            advance(len(some))
    candidates = Candidates.concatenated(parts)
    times_s = (frames.double() / fps).numpy()
    chains = link_people(candidates.centres_mm.numpy(), candidates.worth.numpy(), times_s, people)
    return candidates.chosen(torch.from_numpy(chains.T.copy())).members


def _lifted(
    views: Sequence[Keypoints2D], cameras: Cameras, frames: Tensor, members: Int[Tensor, "F N V"], method: Method
) -> Followed:
    parts = []
    for some, chosen in zip(frames.split(_FRAMES_AT_ONCE), members.split(_FRAMES_AT_ONCE), strict=True):
        joints = gathered(detections_at(views, some), chosen)
        sides_px = person_sizes_px(joints.points_px, joints.scores) * CROP_MARGIN
        parts.append(Followed.from_lifted(joints, lift(joints.points_px, joints.scores, cameras, sides_px, method)))
    return Followed.concatenated(parts)


def _keypoints(found: Followed, poses: Poses) -> list[Keypoints2D]:
    views = range(found.scores.shape[-2])
    return [Keypoints2D(found.points_px[:, :, v], found.scores[:, :, v], poses.frames, poses.skeleton) for v in views]


def _describe(
    rig: Rig, paths: Sequence[Path], method: Method, people: int, skeleton: Skeleton, fps: float | None
) -> dict[str, Any]:
    """What is computed from what: two runs with the same description give the same result."""
    return {
        "command": "triangulate",
        **describe_inputs("keypoints", rig, paths),
        "method": method,
        "people": people,
        "skeleton": skeleton.name,
        "fps": fps,
    }
