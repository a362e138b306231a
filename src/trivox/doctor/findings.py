"""What the doctor says: a sentence for every finding, what to do about it, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.doctor.case import Case
from trivox.doctor.corrections import Kind
from trivox.doctor.diagnosis import Diagnosis, Step
from trivox.doctor.evidence import jitter_px
from trivox.doctor.misfit import Fit

# Joints of a weak detector lie this far from where the other views say they are: loss, and median in crop pixels.
_WEAK_LOSS, _WEAK_PX = 2.2, 9.0
# Joints of a weak detector jump: noise in crop pixels, and how much more than in the middle one of the other views.
_JUMPY_PX, _JUMPIER = 4.0, 2.5
# A view that sees so few of the joints, while another sees most of them.
_FEW_SEEN, _MANY_SEEN = 0.25, 0.6
# Fewer points than this decide nothing.
_FEWEST_POINTS = 60


@dataclass(frozen=True)
class Finding:
    """`cameras` are the names concerned, empty where all are; of two cameras alone, both may be meant.

    `explained` is the share of the contradiction between rig and joints that goes with this finding put right, `lead`
    how much more than the next best explanation takes away (0..1; 1 where nothing else explains anything).
    """

    kind: str
    cameras: tuple[str, ...]
    sentence: str
    advice: str
    explained: float | None = None
    lead: float | None = None
    numbers: dict[str, float] | None = None


_ADVICE: dict[Kind, str] = {
    "swapped cameras": "give the videos in the order of the cameras (--cameras), or rename them",
    "inverted transform": "convert the calibration to world-to-camera (x_cam = R x_world + t, y down, z forward)",
    "mirrored picture": "switch off mirroring in the recorder, or mirror the video back",
    "turned picture": "turn the video back, or calibrate on pictures as they are recorded",
    "wrong unit": "say the unit with --units, or correct the calibration",
    "wrong image size": "use the calibration of this recording mode, or scale its intrinsics to these pictures",
    "time offset": "cut the first frames of the videos that start earlier (--write-offsets: docs/troubleshooting.md)",
    "wrong distortion": "calibrate the lens of this camera again, with points up to the corners of the picture",
    "wrong pose": "the camera was moved after the calibration, or calibrated badly: calibrate its place again",
    "moved camera": "cut the recording at that frame, and calibrate the camera's place for both parts",
}


def findings_of(diagnosis: Diagnosis, names: Sequence[str]) -> tuple[Finding, ...]:
    """All findings, in the order in which they were found."""
    found = [_of_step(step, names) for step in diagnosis.steps]
    if diagnosis.unit_factor != 1:
        found.append(_of_units(diagnosis.unit_factor))
    weak = weak_views(diagnosis.case)
    found += [_of_weak(diagnosis.case, v, names[v]) for v in weak if v < len(names)]
    return tuple(found)


def remarks_of(case: Case, names: Sequence[str]) -> tuple[str, ...]:
    """What is no fault of the rig, but should be known."""
    seen = case.fit.seen
    if int(seen.any(-1).sum()) < _FEWEST_POINTS:
        return (
            f"only {int(seen.any(-1).sum())} joints are seen by two cameras, too few to judge a rig: "
            "give longer videos in which a person moves through the room",
        )
    share = seen.double().mean(0)
    return tuple(
        f"camera {name} sees only {share[v]:.0%} of the joints: the detector is weak there, or somebody is hidden"
        for v, name in enumerate(names)
        if share[v] < _FEW_SEEN and float(share.max()) > _MANY_SEEN
    )


def weak_views(case: Case) -> list[int]:
    """Views whose joints stay far from where the others say they are, or jump about, whatever the rig."""
    fit, jitter = case.fit, jitter_px(case.evidence)
    return [
        v
        for v in range(case.views)
        if int(fit.seen[:, v].sum()) >= _FEWEST_POINTS and (_contradicts(fit, v) or _jumps(jitter, v))
    ]


def _contradicts(fit: Fit, view: int) -> bool:
    median = float(fit.errors_px[fit.seen[:, view], view].median())
    return float(fit.view_losses[view]) > _WEAK_LOSS and median > _WEAK_PX


def _jumps(jitter: Float[Tensor, " V"], view: int) -> bool:
    """Fast people make the joints of all views jump; noise those of one."""
    others = torch.cat([jitter[:view], jitter[view + 1 :]])
    return float(jitter[view]) > max(_JUMPY_PX, _JUMPIER * float(others.median()))


def _of_step(step: Step, names: Sequence[str]) -> Finding:
    correction = step.correction
    gain, next_gain = step.before - step.after, max(0.0, step.before - step.next_after)
    cameras = tuple(names[v] for v in correction.views)
    whom = "cameras " + ", ".join(cameras) if cameras else "all cameras"
    if len(cameras) == 1:
        whom = f"camera {cameras[0]}"
    if len(cameras) == 1 and len(names) == 2:
        # Two cameras only contradict each other: which of them is wrong cannot be seen.
        whom += f" (or {next(name for name in names if name != cameras[0])}: two cameras cannot tell)"
    detail = f" ({correction.detail})" if correction.detail else ""
    return Finding(
        correction.kind,
        cameras,
        f"{whom}: {correction.kind}{detail}",
        _ADVICE[correction.kind],
        min(1.0, gain / step.before),
        1 - next_gain / gain,
        correction.numbers or None,
    )


def _of_units(factor: float) -> Finding:
    size = f"{1 / factor:g} times as large as people are" if factor < 1 else f"{1 / factor:.3g} of their size"
    return Finding(
        "wrong unit",
        (),
        f"all cameras: wrong unit (people would be {size})",
        f"multiply all lengths of the calibration by {factor:g}, or say its unit with --units",
        numbers={"factor": factor},
    )


def _of_weak(case: Case, view: int, name: str) -> Finding:
    fit = case.fit
    median = float(fit.errors_px[fit.seen[:, view], view].median())
    skeleton = case.evidence.skeleton
    J = len(skeleton)
    errors, seen = fit.errors_px[:, view].unflatten(0, (-1, J)), fit.seen[:, view].unflatten(0, (-1, J))
    mean = (errors * seen).sum(0) / seen.sum(0).clamp_min(1)
    worst = ", ".join(skeleton.names[j].replace("_", " ") for j in torch.argsort(-mean)[:3].tolist())
    return Finding(
        "detector weakness",
        (name,),
        f"camera {name}: detector weakness (joints {median:.0f} px of a 256-pixel person from where the other cameras "
        f"see them, jumping by {float(jitter_px(case.evidence)[view]):.0f} px, worst {worst}; no fault of the rig "
        "explains it)",
        "look at the pictures of this camera: blur, darkness, people cut off or hidden, left and right exchanged",
    )
