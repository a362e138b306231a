"""`trivox doctor`: a rig and videos (or a result folder) in, what is wrong and what to do out.

    report = trivox.doctor("calibration.toml", ["cam1.mp4", "cam2.mp4", "cam3.mp4"])
    report.findings, report.remarks, report.rig, report.offsets_frames

looking     2D joints of a person in every view, without believing the rig    looking.py
sizes       pictures of another size than calibrated are a finding by themselves
diagnosis   the simplest corrections that make rig and joints agree           corrections.py, fits.py, diagnosis.py
findings    a sentence each, and what to do                                   findings.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from trivox.doctor.case import Case
from trivox.doctor.diagnosis import diagnose
from trivox.doctor.evidence import Evidence, evidence_of, sampled
from trivox.doctor.findings import Finding, findings_of, remarks_of
from trivox.doctor.looking import look_at, read_from_files
from trivox.doctor.picture_sizes import best_fit
from trivox.errors import InputError
from trivox.files.calibrations import load_rig
from trivox.files.keypoints import holds_keypoints
from trivox.files.keypoints.load import read_views
from trivox.files.matching import fitted_cameras, size_text
from trivox.files.results import Result, files_of, is_unchanged, load_result
from trivox.files.views import Views, match_cameras
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import SKELETONS
from trivox.options import DEFAULT_FPS, paths_of
from trivox.progress import say
from trivox.summary import read_summary

# A camera that helped to place fewer joints than this share of what the best one did may contradict the others.
_LITTLE_OF_MOST = 0.5


@dataclass(frozen=True)
class CameraReport:
    """How far the joints of a camera lie from where all place them, before and after the corrections."""

    name: str
    joints_seen: float
    median_px: float | None
    median_px_corrected: float | None


@dataclass(frozen=True)
class DoctorReport:
    """`rig` is the corrected one. `offsets_frames`: how many frames later than its own count each camera's video must
    be read. Distances are pixels of a crop of 256 that the person fills."""

    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    cameras: tuple[CameraReport, ...]
    rig: Rig
    offsets_frames: dict[str, float]


def doctor(
    rig: Rig | str | Path, videos: Sequence[str | Path] | str | Path, *, cameras: Sequence[str] | None = None
) -> DoctorReport:
    """Judge `rig` by videos or image folders, one per camera, by 2D keypoint files, or by one result folder.

    `cameras` names the cameras in the order of the videos, where file names do not tell. Raises `InputError` for what
    cannot be used.
    """
    rig = rig if isinstance(rig, Rig) else load_rig(rig)
    paths = paths_of(videos, "videos")
    if len(paths) == 1 and (paths[0] / "poses.npz").is_file():
        rig, evidence = _of_result(rig, paths[0])
    elif paths and all(holds_keypoints(path) for path in paths):
        rig = match_cameras(rig, paths, cameras)
        evidence = read_from_files([view.keypoints for view in read_views(paths)], rig.cameras, DEFAULT_FPS)
    else:
        rig, evidence = _of_videos(rig, paths, cameras)
    return examined(rig, evidence)


def examined(rig: Rig, evidence: Evidence) -> DoctorReport:
    """The report on a rig whose views are those of the evidence."""
    cameras, sizes = sized_cameras(rig, evidence)
    before = Case.of(evidence, cameras)
    found = diagnose(before)
    names = rig.names
    after = found.case
    V = len(names)
    corrected = after.cameras[torch.arange(V)]
    midway = [step.correction for step in found.steps if step.correction.kind == "moved camera"]
    for correction in midway:
        # The pose after the move: what is recorded from now on has it.
        poses = {name: getattr(corrected, name).clone() for name in ("R", "t_mm")}
        for name, pose in poses.items():
            pose[correction.views[0]] = getattr(after.cameras, name)[-1]
        corrected = replace(corrected, **poses)
    corrected = replace(corrected, t_mm=corrected.t_mm * found.unit_factor)
    offsets = {name: round(float(after.offsets[v]), 3) for v, name in enumerate(names)}
    return DoctorReport(
        (*sizes, *findings_of(found, names)),
        (*rig.notes, *remarks_of(before, names)),
        _rows(before, after, names),
        replace(rig, cameras=corrected),
        offsets,
    )


def _rows(before: Case, after: Case, names: Sequence[str]) -> tuple[CameraReport, ...]:
    seen = before.fit.seen
    rows = []
    for v, name in enumerate(names):
        own, new = seen[:, v], after.fit.seen[:, v]
        rows.append(
            CameraReport(
                name,
                float(own.double().mean()),
                float(before.fit.errors_px[own, v].median()) if bool(own.any()) else None,
                float(after.fit.errors_px[new, v].median()) if bool(new.any()) else None,
            )
        )
    return tuple(rows)


def _of_result(rig: Rig, folder: Path) -> tuple[Rig, Evidence]:
    """The cameras of a result, as the given rig has them, and the 2D joints it was made from.

    Those in the result are only what agreed with its calibration: the 2D files themselves say more, and so do the
    videos of a camera that helped little, where they are still there.
    """
    result = load_result(folder)
    if missing := [name for name in result.rig.names if name not in rig.names]:
        raise InputError(
            f"{folder} has the cameras {', '.join(missing)}, which the rig lacks (it has {', '.join(rig.names)}); give "
            "the calibration that belongs to the result"
        )
    rig = rig.selected(result.rig.names)
    files = files_of(result.job, "keypoints")
    paths = [files[name] for name in rig.names] if set(rig.names) <= files.keys() else []
    if paths and all(is_unchanged(result.job, "keypoints", name) for name in rig.names):
        skeleton = result.job.get("skeleton")
        read = read_views(paths, skeleton=skeleton if skeleton in SKELETONS else None)
        return rig, read_from_files([view.keypoints for view in read], rig.cameras, result.poses.fps)
    if paths:
        say(
            f"the 2D files that {folder} was made from are gone, or others by now: it has only those joints that "
            "agreed with its calibration; give the 2D files or the videos to judge it by all of them"
        )
    if idle := _hardly_used(result, folder):
        if given := _standing_videos(result, rig.names):
            say(
                f"{', '.join(idle)} hardly helped to make {folder}, which keeps only the joints that agreed: its "
                "videos are looked at again"
            )
            return _of_videos(rig, given, rig.names)
        say(
            f"{', '.join(idle)} hardly helped to make {folder}, which keeps only the joints that agreed: give the "
            "videos or 2D files in its place to learn why"
        )
    return rig, _evidence_of_result(result)


def _standing_videos(result: Result, names: Sequence[str]) -> list[Path]:
    """The videos of these cameras that a result was made from; none where one is gone, or is another by now."""
    files = files_of(result.job, "videos")
    stand = set(names) <= files.keys() and all(is_unchanged(result.job, "videos", name) for name in names)
    return [files[name] for name in names] if stand else []


def _hardly_used(result: Result, folder: Path) -> list[str]:
    cameras = read_summary(result.summary, folder / "summary.json").cameras
    most = max(camera.joints_used for camera in cameras)
    return [camera.name for camera in cameras if camera.joints_used < _LITTLE_OF_MOST * most]


def _evidence_of_result(result: Result) -> Evidence:
    first = result.keypoints[0]
    at, stretches = sampled(len(first.frames), result.poses.fps)
    points = torch.stack([view.points_px[at] for view in result.keypoints], 1)
    scores = torch.stack([view.scores[at] for view in result.keypoints], 1)
    size = result.rig.cameras.image_hw
    return evidence_of(points, scores, first.frames[at], stretches, first.skeleton, result.poses.fps, size)


def _of_videos(rig: Rig, paths: Sequence[Path], cameras: Sequence[str] | None) -> tuple[Rig, Evidence]:
    # Sizes that differ are what the doctor is for: here the pictures' own are taken, `sized_cameras` compares.
    unsized = replace(rig, cameras=replace(rig.cameras, image_hw=None))
    with Views.open(unsized, paths, cameras=cameras) as views:
        return rig.selected(views.rig.names), look_at(views, views.fps or DEFAULT_FPS)


def sized_cameras(rig: Rig, evidence: Evidence) -> tuple[Cameras, list[Finding]]:
    """Cameras for the pictures as they are, and a finding for those that are calibrated for another size."""
    calibrated, pictures = rig.cameras.image_hw, evidence.image_hw
    cameras = rig.cameras.to(torch.float64)
    if pictures is None:
        return cameras, []
    if calibrated is None:
        return replace(cameras, image_hw=pictures), []
    wrong = (calibrated != pictures).any(-1)
    turned = wrong & (calibrated == pictures.flip(-1)).all(-1)
    differs = (wrong & ~turned).nonzero()[:, 0].tolist()
    unfitted = replace(cameras, image_hw=pictures)
    if not differs:
        # Sides exchanged: a turned picture, which the joints will tell.
        return unfitted, []
    # Of turned pictures the joints will tell, too; none of these fits is theirs.
    sizes = torch.where(turned[:, None], calibrated, pictures)
    best = best_fit(cameras, sizes, evidence).image_fit
    findings = [
        Finding(
            "wrong image size",
            (rig.names[v],),
            f"camera {rig.names[v]}: calibrated for {size_text(calibrated[v].tolist())}, but its pictures are "
            f"{size_text(pictures[v].tolist())}",
            f"the joints fit best with --image-fit {best} (trivox predict); the corrected rig has that fit",
        )
        for v in differs
    ]
    return replace(fitted_cameras(cameras, sizes, best), image_hw=pictures), findings


def report_text(report: DoctorReport) -> str:
    """For people to read."""
    lines = [f"{'camera':<16}{'joints seen':>12}{'median px':>12}{'corrected':>12}"]
    for row in report.cameras:
        pixels = ["-" if value is None else f"{value:.1f}" for value in (row.median_px, row.median_px_corrected)]
        lines.append(f"{row.name:<16}{row.joints_seen:>12.0%}{pixels[0]:>12}{pixels[1]:>12}")
    lines.append("(distance of joints from where all cameras place them, in pixels of a person who fills 256)")
    for finding in report.findings:
        lines.append(f"finding: {finding.sentence}")
        if finding.explained is not None and finding.lead is not None:
            lines.append(
                f"  putting this right removes {finding.explained:.0%} of the contradiction; the next best explanation "
                f"{(1 - finding.lead) * finding.explained:.0%}"
            )
        lines.append(f"  what to do: {finding.advice}")
    lines += [f"remark: {remark}" for remark in report.remarks]
    return "\n".join(lines)
