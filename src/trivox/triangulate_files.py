"""From 2D keypoint files of the views to people in 3D: what `trivox triangulate` does.

The files may hold several people per frame in any order, bystanders among them: who is who is decided by geometry in
every frame, and over time by linking, exactly as for videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.files.keypoints import load_keypoints
from trivox.files.results import Result, describe_inputs, save_result, standing_result
from trivox.files.views import match_cameras
from trivox.geometry.cameras import Cameras
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.tracks import link_people
from trivox.lift import Method
from trivox.people.candidates import Candidates, find_candidates
from trivox.people.networks import Joints2D
from trivox.predict import check_options
from trivox.progress import progress, say
from trivox.summary import summarise

_DEFAULT_FPS = 30.0
_BYSTANDERS = 4
# Frames associated at once: bounds the memory, whatever the length.
_FRAMES_AT_ONCE = 64


def triangulate_files(
    rig: Rig,
    keypoints: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    cameras: Sequence[str] | None = None,
    method: Method = "ransac",
    people: int = 1,
    skeleton: str | None = None,
    fps: float | None = None,
) -> Poses:
    """Joints in millimetres from 2D keypoint files or folders, one per camera (formats: docs/formats.md).

    `skeleton` names the joints of files that do not name them; `fps` is the frame rate for the times of the exports
    (30 unless given). The other arguments are those of `predict`. Frames are matched by the numbers in the files;
    a frame that a view lacks is a frame in which that view sees nobody. Raises `InputError` as `predict` does.
    """
    check_options(method, people, fps)
    paths = [Path(path) for path in keypoints]
    rig = match_cameras(rig, paths, cameras)
    views = [load_keypoints(path, skeleton=skeleton) for path in paths]
    _check_same_joints(views, paths)
    job = _describe(rig, paths, method, people, views[0].skeleton, fps)
    if out is not None and (standing := standing_result(Path(out), job)):
        say(f"{out} already holds this result; nothing to do")
        return standing.poses
    detections, frames = _aligned(views, rig)
    chosen = _follow(_all_candidates(detections, rig.cameras, people, method), frames, people, fps or _DEFAULT_FPS)
    poses = Poses(
        chosen.points_mm,
        chosen.valid,
        chosen.confidence,
        frames,
        views[0].skeleton,
        fps or _DEFAULT_FPS,
        rig.up,
        chosen.covariance_mm2,
    )
    if not poses.valid.any():
        raise InputError(
            f"no person could be triangulated from {len(keypoints)} views; check that the files belong to the cameras "
            "named and to the same instants (trivox calibration show)"
        )
    if out is not None:
        save_result(_result(poses, chosen, rig, job), Path(out))
    return poses


def _check_same_joints(views: Sequence[Keypoints2D], paths: Sequence[Path]) -> None:
    for view, path in zip(views, paths, strict=True):
        if view.skeleton.names != views[0].skeleton.names:
            raise InputError(
                f"{path} has the joints of {view.skeleton.name}, {paths[0]} those of {views[0].skeleton.name}; give "
                "views with the same joints"
            )


def _aligned(views: Sequence[Keypoints2D], rig: Rig) -> tuple[Joints2D, Tensor]:
    """Detections (F, V, D) over the union of all frame numbers, and those numbers; absent ones have score 0."""
    frames = torch.cat([view.frames for view in views]).unique()
    most = max(1, *(view.scores.shape[1] for view in views))
    joints = len(views[0].skeleton)
    points = torch.zeros(len(frames), len(views), most, joints, 2, dtype=torch.float64)
    scores = torch.zeros(len(frames), len(views), most, joints, dtype=torch.float64)
    for v, (view, name) in enumerate(zip(views, rig.names, strict=True)):
        rows = torch.searchsorted(frames, view.frames)
        points[rows, v, : view.scores.shape[1]] = view.points_px.double()
        scores[rows, v, : view.scores.shape[1]] = view.scores.double()
        if len(rows) < len(frames):
            say(f"{name} has no detections file for {len(frames) - len(rows)} of {len(frames)} frames; used without it")
    return Joints2D(points, scores), frames


def _all_candidates(detections: Joints2D, cameras: Cameras, people: int, method: Method) -> Candidates:
    parts = []
    count = len(detections.scores)
    with progress("triangulating", count) as advance:
        for start in range(0, count, _FRAMES_AT_ONCE):
            part = detections[start : start + _FRAMES_AT_ONCE]
            parts.append(find_candidates(part, cameras, people + _BYSTANDERS, method))
            advance(len(part.scores))
    return Candidates.concatenated(parts)


def _follow(candidates: Candidates, frames: Tensor, people: int, fps: float) -> Candidates:
    """The candidates of each followed person, (F, people); absent ones are zero."""
    times_s = (frames / fps).double().numpy()
    chains = torch.from_numpy(
        link_people(candidates.centres_mm.numpy(), candidates.worth.numpy(), times_s, people).T.copy()
    )
    present, index = chains >= 0, chains.clamp_min(0)
    chosen = candidates[torch.arange(len(frames))[:, None], index]
    return chosen.map(lambda t: t * present.reshape(*present.shape, *(1,) * (t.ndim - 2)))


def _result(poses: Poses, chosen: Candidates, rig: Rig, job: dict[str, Any]) -> Result:
    keypoints = [
        Keypoints2D(chosen.points_px[:, :, v], chosen.scores[:, :, v], poses.frames, poses.skeleton)
        for v in range(len(rig))
    ]
    summary = asdict(summarise(poses, rig.names, chosen.inliers, chosen.reprojection_px))
    return Result(poses, rig, keypoints, job, summary)


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
