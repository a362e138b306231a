"""The doctor's reasoning: of all corrections, the simplest that makes rig and joints agree.

Contradiction is the sum over the views of their mean loss (`misfit.py`). A correction is worth what it takes away,
less what the bias of a detector lets it, and less a price for every number that was fitted, since six numbers always
fit a little better than none. It is believed only where it takes away more than the errors of detectors and of sound
calibrations let it (benchmarks/doctor.py): so much more where the person stays in place, for then the detector's bias
does not average out; and numbers of a single camera only where those fitted to one half of the recording put the other
half right as well, for a bias that moves with the person does not, nor does chance. One correction is made at a time,
and what remains is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trivox.doctor.case import Case
from trivox.doctor.corrections import UNIT_FACTORS, Correction, Kind, alternatives, picture_hw, rougher
from trivox.doctor.fits import fitted, fitted_to_all, moved_midway
from trivox.doctor.misfit import losses_of
from trivox.geometry.bones import shares_of_adult

# Price of a fitted number: a little in itself, and a share of what the best correction takes away.
_PRICE, _PRICE_SHARE = 0.03, 0.03
# What a correction must take away to be believed: so much, and such a share of what remains.
_LEAST_GAIN: dict[Kind, float] = {
    "swapped cameras": 0.5,
    "inverted transform": 0.5,
    "mirrored picture": 0.5,
    "turned picture": 0.5,
    "wrong unit": 0.5,
    "wrong image size": 0.4,
    "time offset": 0.12,
    "wrong distortion": 0.2,
    "wrong pose": 0.25,
    "moved camera": 0.3,
}
_LEAST_SHARE: dict[Kind, float] = {"wrong image size": 0.15, "moved camera": 0.1}
_LEAST_SHARE_OF_FITTED, _LEAST_SHARE_OF_OTHERS = 0.03, 0.15
# Of what numbers fitted to each half take away there, they must take away the first share in the other halves together,
# and add no more than the second in either.
_HOLDS_SHARE, _SPOILS_SHARE = 0.5, 0.1
# More where few instants are seen.
_FEW_INSTANTS = 6.0
# What a detector's bias takes away where an adult stays within such a distance, and the power with which it vanishes
# where people move further.
_STAYS_MM = 155.0
_BIAS: dict[Kind, tuple[float, int]] = {
    "wrong pose": (1.6, 6),
    "moved camera": (1.6, 6),
    "wrong image size": (1.6, 6),
    "time offset": (0.2, 2),
    "wrong distortion": (0.3, 2),
}
_MOST_FINDINGS = 3
# A recording shorter than twice this is not halved.
_FEWEST_INSTANTS = 6
# Instants that every explanation is tried on.
_INSTANTS = 24
# No lens bends more than this: the radial factor is then far from 1 within the picture.
_STRONGEST_K1 = 1.0
# Intrinsics for another size have the middle of another picture: by this share of the size at least.
_MIDDLE_SHARE = 0.02
# People's limbs differ from an adult's by less than this factor.
_PEOPLE_DIFFER = 2.2
_FEWEST_LENGTHS = 8
# A pair of bones this far apart in crop pixels is no measurement.
_GOOD_PX = 12.0


@dataclass(frozen=True)
class Step:
    """A correction that was believed, what it took away of the contradiction, and the next best explanation."""

    correction: Correction
    before: float
    after: float
    next_best: Correction | None
    next_after: float


@dataclass(frozen=True)
class Diagnosis:
    """What was put right, in order; the `case` that remains; `unit_factor` of all lengths, 1 where they are right."""

    steps: tuple[Step, ...]
    case: Case
    unit_factor: float


def diagnose(case: Case) -> Diagnosis:
    """Corrections until nothing worth believing remains."""
    steps: list[Step] = []
    case = replace(case, every=max(1, len(case.evidence.frames) // _INSTANTS))
    for _ in range(_MOST_FINDINGS):
        step = best_step(case)
        if step is None:
            break
        steps.append(step)
        case = step.correction.case
        if step.correction.kind == "moved camera":
            break
    case = replace(case, every=1)
    return Diagnosis(tuple(steps), case, unit_factor(case))


def best_step(case: Case) -> Step | None:
    """The correction to make first, or None."""
    before = case.total
    found = [(c, before - gain_of(case, c)) for c in candidates(case) if _is_possible(c, case)]
    most = max((before - after for _, after in found), default=0.0)
    needed = [_needed(c, case, after) for c, after in found]
    gains = [before - after for _, after in found]
    worth = [
        gain - _bias(c) - c.freedom * (_PRICE + _PRICE_SHARE * most) for gain, (c, _) in zip(gains, found, strict=True)
    ]
    order = sorted(range(len(found)), key=lambda i: -worth[i])
    believed = next((i for i in order if gains[i] > needed[i] and holds(found[i][0], case)), None)
    if believed is None:
        return None
    best, after = found[believed]
    others = [i for i in order if found[i][0].kind != best.kind]
    next_best, next_after = found[others[0]] if others else (None, before)
    return Step(best, before, after, next_best, next_after)


def candidates(case: Case) -> list[Correction]:
    """Everything that is tried."""
    rough = rougher(case)
    tried = zip(alternatives(rough), alternatives(case), strict=True)
    found = [full for small, full in tried if small.case.total < rough.total]
    found += fitted_to_all(case)
    for view in range(case.views):
        if bool(case.rays.seen[:, view].any()):
            found += fitted(case, view)
            if moved := moved_midway(case, view):
                found.append(moved)
    return found


def gain_of(case: Case, correction: Correction) -> float:
    """Contradiction that the correction takes away."""
    if correction.kind != "moved camera":
        return _less(case, correction.case)
    # The two parts of a moved camera count as one view.
    fit, part = correction.case.fit, torch.tensor([correction.views[0], case.views])
    counts = fit.seen.sum(0)[part].double()
    rest = fit.view_losses.sum() - fit.view_losses[part].sum()
    return case.total - float(rest + (fit.view_losses[part] * counts).sum() / counts.sum().clamp_min(1))


def _less(case: Case, corrected: Case) -> float:
    """How much less contradiction there is in points that the same views see before and after: to leave out joints, as
    an offset does at the ends of a recording, is no gain."""
    old, new = case.fit, corrected.fit
    both = old.seen & (old.seen == new.seen).all(-1, keepdim=True)
    less = (losses_of(old.errors_px) - losses_of(new.errors_px)) * both
    return float((less.sum(0) / both.sum(0).clamp_min(1)).sum())


def _is_possible(correction: Correction, case: Case) -> bool:
    """A lens must be one that is made; intrinsics for another picture size must bring the principal point nearer to
    the middle of this one."""
    if abs(correction.numbers.get("k1", 0.0)) > _STRONGEST_K1:
        return False
    if correction.kind != "wrong image size":
        return True
    views = list(correction.views) or list(range(case.views))
    hw = picture_hw(case)[views]
    own, new = (c.cameras.K[views][:, [1, 0], 2] / hw - 0.5 for c in (case, correction.case))
    return float((own.norm(dim=-1) - new.norm(dim=-1)).mean()) > _MIDDLE_SHARE


def _needed(correction: Correction, case: Case, after: float) -> float:
    """What the correction must take away to be believed, where so much contradiction remains after it."""
    kind = correction.kind
    share = _LEAST_SHARE.get(kind, _LEAST_SHARE_OF_OTHERS if correction.fit is None else _LEAST_SHARE_OF_FITTED)
    seen = case.rays.seen.sum(0)[list(correction.views) or slice(None)]
    instants = float(seen.amin()) / case.evidence.points_px.shape[2]
    least = max(_LEAST_GAIN[kind], share * after) + _bias(correction)
    return least * (1 + (_FEW_INSTANTS / max(instants, 0.1)) ** 2)


def _bias(correction: Correction) -> float:
    """What a correction may take away because a detector is biased: of somebody who stays in place a camera sees one
    side, and the bias there does not average out."""
    if correction.kind not in _BIAS:
        return 0.0
    most, power = _BIAS[correction.kind]
    return most * (_STAYS_MM / max(spread_mm(correction.case), 1.0)) ** power


def holds(correction: Correction, case: Case) -> bool:
    """Whether numbers fitted to one half of the recording put the other half right, too."""
    if correction.fit is None:
        return True
    middle = len(case.evidence.frames) // 2
    if middle < _FEWEST_INSTANTS:
        return True
    every = max(1, case.every // 2)
    frames = torch.arange(len(case.evidence.frames))
    halves = [replace(case, evidence=case.evidence.at(part), every=every) for part in frames.tensor_split([middle])]
    if not all(bool(half.rays.seen[:, list(correction.views)].any()) for half in halves):
        return True
    own, other = [], []
    for half, rest in (halves, halves[::-1]):
        found = correction.fit(half).case
        own.append(_less(half, found))
        other.append(_less(rest, replace(rest, cameras=found.cameras, offsets=found.offsets)))
    return sum(other) > _HOLDS_SHARE * sum(own) and min(other) > -_SPOILS_SHARE * sum(own)


def spread_mm(case: Case) -> float:
    """How far people are from the middle of where they are, in the median over time, were they adults in size."""
    J = len(case.evidence.skeleton)
    people = case.evidence.points_px.shape[2] // J
    seen = case.fit.seen.any(-1)[:, None]
    centres = torch.where(seen, case.fit.points_mm, torch.nan).unflatten(0, (-1, people, J)).nanmedian(2).values
    apart = (centres - centres.nanmedian(0).values).norm(dim=-1)
    ratios = bone_ratios(case)
    size = float(ratios.median()) if len(ratios) >= _FEWEST_LENGTHS else 1.0
    return float(apart.nanmedian().nan_to_num()) / size


def unit_factor(case: Case) -> float:
    """By what all lengths of the rig must be multiplied so that people have the size of people; 1 if they do."""
    ratios = bone_ratios(case)
    if len(ratios) < _FEWEST_LENGTHS:
        return 1.0
    ratio = float(ratios.median())
    if 1 / _PEOPLE_DIFFER < ratio < _PEOPLE_DIFFER:
        return 1.0
    wanted = 1 / ratio
    return min(UNIT_FACTORS, key=lambda factor: abs(torch.tensor(factor / wanted).log().item()))


def bone_ratios(case: Case) -> Tensor:
    """Measured lengths of limb bones as shares of an adult's, of all instants and people."""
    skeleton, fit = case.evidence.skeleton, case.fit
    J = len(skeleton)
    points = fit.points_mm.unflatten(0, (-1, J))
    error = torch.where(fit.seen, fit.errors_px, 0.0).amax(-1).unflatten(0, (-1, J))
    good = (error < _GOOD_PX) & fit.seen.any(-1).unflatten(0, (-1, J))
    return shares_of_adult(points, good, skeleton)
