"""Does a result agree with itself, and what to do next: a few checks, each with its limit and a remedy.

A result can only be compared with itself: views with each other, 3D joints with 2D joints, bones over time. What all
views share (a scale, a world, a detector's idea of a joint) does not show, and the verdict says so; only `--truth`
measures errors. The limits come from recordings whose calibration is right (docs/results.md): real video has nearly
all joints, misses the 2D joints by two to three hundredths of a person's size, and bones steady to 10 to 20 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from trivox.geometry.poses import Poses
from trivox.summary import Summary, doubts
from trivox.view.measures import Reprojection

Grade = Literal["consistent", "doubtful", "poor"]
_GRADES: tuple[Grade, ...] = get_args(Grade)  # from best to worst
_SENTENCES: dict[Grade, str] = {
    "consistent": "Consistent: cameras, joints and bones agree with each other.",
    "doubtful": "Partly consistent: look at what is marked below before you use it.",
    "poor": "Inconsistent: do not use it before what is marked below is clear.",
}
_BLIND_SPOTS = (
    "Agreement does not measure errors: a wrong scale of the whole calibration, a lens read wrongly in every camera, "
    "or joints that the detector places differently from your definition do not show here."
)
_AGAINST_TRUTH = "The error is measured against the truth that was given."


@dataclass(frozen=True)
class Check:
    """One comparison. `value` and `limit` are for people to read; `remedy` is empty where it is consistent."""

    what: str
    value: str
    limit: str
    grade: Grade
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """The grade is the worst of the checks. `caveat`: what they cannot show."""

    grade: Grade
    checks: tuple[Check, ...]
    next_steps: tuple[str, ...]
    caveat: str

    @property
    def sentence(self) -> str:
        return _SENTENCES[self.grade]


def verdict(summary: Summary, poses: Poses, seen: Reprojection | None, mpjpe_mm: float | None) -> Verdict:
    """What the numbers say together."""
    checks = [_joints(summary), _losses(summary), _cameras(summary)]
    if seen is not None and np.isfinite(seen.share).any():
        checks.append(_reprojection(float(np.nanmedian(seen.share))))
    if summary.bone_spread_mm is not None:
        checks.append(_bones(summary.bone_spread_mm))
    if mpjpe_mm is not None:
        checks.append(_truth(mpjpe_mm))
    worst = _GRADES[max(_GRADES.index(check.grade) for check in checks)]
    steps = [check.remedy for check in checks if check.remedy]
    steps += [f"{doubt[0].upper()}{doubt[1:]}." for doubt in doubts(summary, poses)]
    if worst != "consistent":
        steps.append("Ask what contradicts what, and which camera it is: trivox doctor RESULT/rig.toml RESULT.")
    steps.append("Watch it over its pictures: trivox draw RESULT --out mosaic.mp4.")
    return Verdict(worst, tuple(checks), tuple(steps), _BLIND_SPOTS if mpjpe_mm is None else _AGAINST_TRUTH)


def _graded(value: float, consistent: float, doubtful: float, *, more_is_better: bool = False) -> Grade:
    if more_is_better:
        value, consistent, doubtful = -value, -consistent, -doubtful
    return "consistent" if value <= consistent else "doubtful" if value <= doubtful else "poor"


def _joints(summary: Summary) -> Check:
    grade = _graded(summary.joints_valid, 0.95, 0.8, more_is_better=True)
    remedy = "See below when people are lost, and draw these frames; ask for fewer people (--people), or add cameras."
    return _check("joints found", f"{100 * summary.joints_valid:.1f} %", "at least 95 %", grade, remedy)


def _losses(summary: Summary) -> Check:
    """Of people who are found again: who enters late or leaves is not lost."""
    grade = _graded(summary.longest_loss_s, 0.2, 1.0)
    remedy = "Draw the frames in which a person is lost (named below): whoever is visible in two views should be found."
    value = f"lost for {summary.longest_loss_s:.2f} s at most" if summary.longest_loss_s > 0 else "never lost"
    return _check("people followed throughout", value, "at most 0.2 s", grade, remedy)


def _cameras(summary: Summary) -> Check:
    least = min(summary.cameras, key=lambda camera: camera.joints_used)
    grade = _graded(least.joints_used, 0.5, 0.25, more_is_better=True)
    remedy = (
        f"{least.name} helps least: see whether it looks elsewhere, belongs to another video, starts at another time, "
        "or is calibrated wrongly (the doctor tells which)."
    )
    value = f"{least.name} helps with {100 * least.joints_used:.0f} %"
    return _check("joints that each camera helps to place", value, "at least 50 % for each", grade, remedy)


def _reprojection(share: float) -> Check:
    grade = _graded(share, 0.03, 0.06)
    remedy = (
        "3D and 2D joints disagree: the calibration or the synchronization is wrong, or the detector errs; where a "
        "single camera stands out below, look at it first."
    )
    return _check(
        "2D and 3D joints apart (median)", f"{100 * share:.1f} % of a person's size", "at most 3 %", grade, remedy
    )


def _bones(spread_mm: float) -> Check:
    grade = _graded(spread_mm, 20.0, 50.0)
    remedy = "Bones change their length: see below which and when; often it is a joint that few cameras see."
    return _check("limb bones vary by", f"{spread_mm:.1f} mm", "at most 20 mm", grade, remedy)


def _truth(mpjpe_mm: float) -> Check:
    remedy = "See below which joints err most; an error alike in all of them speaks for another world or another time."
    grade = _graded(mpjpe_mm, 35.0, 70.0)
    return _check("error against the truth (MPJPE)", f"{mpjpe_mm:.1f} mm", "at most 35 mm", grade, remedy)


def _check(what: str, value: str, limit: str, grade: Grade, remedy: str) -> Check:
    return Check(what, value, limit, grade, "" if grade == "consistent" else remedy)
