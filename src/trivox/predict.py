"""From synchronized videos of a calibrated rig to people in 3D.

survey    who is there, and who matters, over the whole recording         people/survey.py
follow    keep each person in view; joints in crops, lifted frame by frame  people/follow.py
model     with --weights: a model's joints of whoever is followed           people/learned.py
record    frames go to disk as they come; an interrupted job goes on        recording.py
result    poses, 2D joints, cameras and a summary                           files/results.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trivox.base.work import alone_in
from trivox.calibration_report import check
from trivox.doctor.picture_sizes import fitted_views
from trivox.errors import InputError
from trivox.files.matching import ImageFit
from trivox.files.results import Result, describe_inputs, save_result, standing_result
from trivox.files.views import Views, turned_points
from trivox.geometry.axes import estimated_up
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig, checked_rig
from trivox.geometry.skeletons import COCO_17, Skeleton, skeleton_named
from trivox.geometry.smoothing import smoothed
from trivox.lift import NOISE_PX
from trivox.lift import Method as Lifting
from trivox.models.checkpoints import TRAINED, description
from trivox.models.configs import Model
from trivox.options import (
    DEFAULT_FPS,
    Method,
    check_options,
    check_precision,
    chosen_model,
    doubts_about,
    method_of,
    missing_joints,
    paths_of,
)
from trivox.people.follow import Follower
from trivox.people.followed import Followed
from trivox.people.learned import Learned, Precision
from trivox.people.networks import Networks
from trivox.people.survey import NobodyFound, Survey, survey
from trivox.progress import progress, say
from trivox.recording import Recording, forget_finished
from trivox.summary import doubts, summarise


def predict(
    rig: Rig | Any,
    videos: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    cameras: Sequence[str] | None = None,
    method: Method | None = None,
    weights: str | Path | Model | None = None,
    people: int = 1,
    skeleton: str | None = None,
    image_fit: ImageFit | None = None,
    fps: float | None = None,
    precision: Precision = "float32",
    smooth: bool = False,
) -> Poses:
    """Joints in millimetres of the people in synchronized videos or image folders, one per camera.

    rig         from `load_rig`; cameras are matched to videos by file or folder name.
    out         folder for the results; without it nothing is written. Interrupted work continues there.
    cameras     camera names in the order of `videos`, where file names do not tell.
    method      "volumetric" (the default) or "algebraic", models that come along; "ransac" (all pairs of views,
                refined) or "linear" (weighted by heatmap score, refined), which are faster; or that of `weights`.
    weights     a model, its file, or the name of one that comes along: gives the joints of the people followed.
    people      how many people to follow: the ones seen by the most views, then the largest, come first.
    skeleton    joints to give, by name of the skeleton; unless given COCO's 17, or those of a model of one's own.
    image_fit   how pictures of another size sit in the calibrated frame: "scale", "left", "center", "right"; where the
                sizes differ by up to 16 pixels, a codec's padding, the people in them tell, unless it is given.
    fps         frame rate of image folders (30 unless given); videos tell their own.
    precision   in which a model of `weights` computes; "bfloat16" is faster where the machine has it.
    smooth      smooth the joints over time and fill short gaps (`smoothed`); the folder keeps those before, too.

    Raises `InputError` for anything that cannot be used, in one sentence that tells what to do.
    """
    rig = checked_rig(rig)
    model = chosen_model(method, weights)
    lifting: Lifting = "linear" if method == "linear" else "ransac"
    check_options(lifting, people, fps)
    check_precision(precision)
    own = COCO_17 if model is None else model.skeleton
    usual = COCO_17 if weights is None or weights in TRAINED else own
    wanted = usual if skeleton is None else skeleton_named(skeleton)
    folder = None if out is None else Path(out)
    paths = paths_of(videos, "videos")
    with alone_in(folder), Views.unfitted(rig, paths, cameras=cameras) as unfitted:
        views = fitted_views(unfitted, image_fit)
        work = _describe(views, lifting, people, wanted, fps, model, precision)
        job = {**work, "smooth": True} if smooth else work
        if folder is not None and (standing := standing_result(folder, job)):
            say(f"{folder} already holds this result; nothing to do")
            forget_finished(folder, work)
            return standing.poses
        doubtful = (*doubts_about(model, views.rig), *missing_joints(own, wanted))
        for note in (*views.notes, *check(views.rig).faults, *doubtful):
            say(note)
        rate = _frame_rate(views, fps)
        recording = Recording(folder, work)
        learned = None if model is None else Learned.prepared(model, views.rig.upright_cameras, precision)
        _follow_all(views, recording, lifting, people, rate, learned)
        noise_px = NOISE_PX if learned is None else learned.noise_px
        result = _assemble(recording, views.rig, own, wanted, rate, job, smooth, noise_px)
        for note in views.damage:
            say(note)
        if folder is not None:
            save_result(result, folder)
            recording.finish()
    return result.poses


def _frame_rate(views: Views, fps: float | None) -> float:
    if views.fps is not None and fps is not None:
        raise InputError(f"the videos have {views.fps:g} frames/s; --fps is for image folders, leave it out")
    if views.fps is None and fps is None:
        say(f"image folders have no frame rate: times assume {DEFAULT_FPS:g} frames/s (--fps gives another)")
    return fps or views.fps or DEFAULT_FPS


def _follow_all(
    views: Views, recording: Recording, method: Lifting, people: int, fps: float, learned: Learned | None
) -> None:
    """Every frame that is not on record yet. What is done stays on record, whatever ends the work."""
    networks = Networks.load(None if learned is None else learned.follower)
    cameras = views.rig.upright_cameras
    try:
        earlier, keep = recording.survey_parts(), recording.keep_survey_part
        found = survey(views, networks, cameras, people, fps, earlier, keep)
    except NobodyFound:
        recording.forget_survey()
        raise
    if learned is not None and learned.has_an_up:
        learned = learned.upright(_up(views.rig, found))
    last = recording.last_frames(Follower.frames_needed(fps))
    follower = Follower.start(networks, cameras, found, fps, method, last)
    with progress("following", views.frame_count, recording.done) as advance:
        try:
            for instant in views.frames(start=recording.done):
                found = follower.step(instant.frame, instant.pictures)
                if learned is not None:
                    found = learned.step(instant.pictures, found.followed, follower.seen)
                recording.append(found)
                advance(1)
        finally:
            recording.flush()


def _up(rig: Rig, people: Survey) -> Tensor:
    """Which way is up: as the calibration tells, or estimated, and said so."""
    if rig.up is not None:
        return rig.up
    points_mm, valid = people.points_mm.flatten(0, 1), people.valid.flatten(0, 1)
    found = estimated_up(points_mm, valid, COCO_17, rig.upright_cameras)
    say(f"{found}; the model sees the people with that way up")
    return found.up


def _assemble(
    recording: Recording,
    rig: Rig,
    own: Skeleton,
    wanted: Skeleton,
    fps: float,
    job: dict[str, Any],
    smooth: bool,
    noise_px: float | None,
) -> Result:
    found = Followed.concatenated(list(recording.parts())).without_misplaced(own)
    poses = found.poses(torch.arange(len(found.valid)), own, fps, rig.up, noise_px)
    summary = summarise(poses, rig.names, found.inliers, found.reprojection_px)
    for doubt in doubts(summary, poses):
        say(doubt)
    raw, keypoints = poses.converted(wanted), _stored_keypoints(found, rig, own, wanted)
    if not smooth:
        return Result(raw, rig, keypoints, job, asdict(summary))
    smooth_poses = smoothed(poses)
    summary = summary.of_other_joints(poses, smooth_poses)
    return Result(smooth_poses.converted(wanted), rig, keypoints, job, asdict(summary), raw)


def _stored_keypoints(found: Followed, rig: Rig, own: Skeleton, wanted: Skeleton) -> list[Keypoints2D]:
    """2D joints of each view, in pixels of the pictures as stored: turned back where reading turned them.

    Those that are `wanted` where all of these are seen themselves, else all that were seen.
    """
    skeleton = wanted if set(wanted.names) <= set(own.names) else own
    at = list(own.indices(skeleton.names))
    assert rig.cameras.image_hw is not None
    frames = torch.arange(len(found.valid))
    views = []
    for v, (height, width) in enumerate(rig.cameras.image_hw.tolist()):
        points_px = turned_points(found.points_px[:, :, v, at], rig.quarter_turns[v], (height, width))
        scores = found.scores[:, :, v, at]
        views.append(Keypoints2D(torch.where(scores[..., None] > 0, points_px, 0), scores, frames, skeleton))
    return views


def _describe(
    views: Views,
    method: Lifting,
    people: int,
    skeleton: Skeleton,
    fps: float | None,
    model: Model | None,
    precision: Precision,
) -> dict[str, Any]:
    """What is computed from what: two runs with the same description give the same result."""
    learned = {} if model is None else {"model": description(model), "precision": precision}
    return {
        "command": "predict",
        **describe_inputs("videos", views.rig, views.paths),
        "method": method if model is None else method_of(model),
        "people": people,
        "skeleton": skeleton.name,
        "fps": fps,
        **learned,
    }
