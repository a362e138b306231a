"""The doctor's hypotheses with numbers of their own: an offset in time, a scale of the intrinsics, a lens, a pose.

The numbers of a view are looked for where the other views place the points, then refined together with the points
(refining.py); of two views, where they contradict each other least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.doctor.case import Case
from trivox.doctor.corrections import Correction, rougher
from trivox.doctor.evidence import Evidence
from trivox.doctor.misfit import fit, losses_of, of_views
from trivox.doctor.placing_kernel import GROSSEST_PX
from trivox.doctor.pose import pose_from_points, turned_by
from trivox.doctor.refining import Change, refined
from trivox.geometry.cameras import Cameras

_SCALES = torch.logspace(-0.6, 0.6, 25, dtype=torch.float64)
_LONGEST_OFFSET_S = 2.0
# A recording is divided only where both parts are this long, and differ this much in loss.
_FEWEST_INSTANTS = 6
_CLEAR_CONTRAST = 0.5
_K1_GRID = torch.linspace(-0.6, 0.6, 25, dtype=torch.float64)


def fitted(case: Case, view: int) -> Iterator[Correction]:
    """Corrections of one view with numbers, fitted to the points that the others place (of two views: to both)."""
    start = _points_of_others(case, view)
    for kind in (_offset, _scaled_view, _other_lens, _other_pose):

        def fit(other: Case, kind: _Fit = kind) -> Correction:
            return kind(other, view, _points_of_others(other, view))

        found = kind(case, view, start)
        # A half of the recording would be too short to find a long offset again.
        is_long = abs(found.numbers.get("frames", 0.0)) > 0.5 * _longest_offset(case)
        yield replace(found, fit=None if is_long else fit)


def fitted_to_all(case: Case) -> Iterator[Correction]:
    """Corrections of all views alike, with numbers."""
    yield _scaled(case, tuple(range(case.views)), None)


@dataclass(frozen=True)
class _Others:
    """Points that the other views place, and which of them two of the others see."""

    points_mm: Float[Tensor, "M 3"]
    placed: Bool[Tensor, " M"]


def _points_of_others(case: Case, view: int) -> _Others | None:
    """None where there are only two views: then both fit each other, and neither is the truth."""
    if case.views < 3:
        return None
    others = [v for v in range(case.views) if v != view]
    rays, cameras = of_views(case.rays, case.cameras, others)
    return _Others(fit(rays, cameras).points_mm, (rays.weights > 0).sum(-1) >= 2)


_Fit = Callable[[Case, int, "_Others | None"], Correction]


def _grid_losses(read: Evidence, cameras: Cameras, others: _Others) -> Float[Tensor, " G"]:
    """How badly each of G ways to read a view (views of `read`, `cameras`) fits what the others say."""
    points_mm = others.points_mm.expand(read.points_px.shape[1], -1, -1)
    seen_px, crop_px, weights = (
        value.movedim(1, 0).flatten(1, 2) for value in (read.points_px, read.crop_px, read.weights)
    )
    used = others.placed & (weights > 0)
    # Projected into the picture: undoing the lens for every number that is tried would take most of the time.
    errors = (cameras.project(points_mm) - seen_px).norm(dim=-1) / crop_px
    errors = torch.where(cameras.depth_mm(points_mm) > 0, errors, GROSSEST_PX).clamp(max=GROSSEST_PX)
    return (losses_of(errors) * used).sum(-1) / used.sum(-1).clamp_min(1)


def _best_start(
    case: Case, view: int, others: _Others | None, change: Change, grid: Float[Tensor, " G"]
) -> Float[Tensor, "1"]:
    """The number of the grid for whose camera the view fits the others best; of two views, both each other."""
    if others is None:
        losses = torch.tensor([change(case, n[None]).loss for n in grid])
    else:
        read = case.read.of_views([view] * len(grid))
        cameras = Cameras.stack([change(case, n[None]).cameras[view] for n in grid])
        losses = _grid_losses(read, cameras, others)
    return grid[losses.argmin()][None]


def _offset(case: Case, view: int, start: _Others | None) -> Correction:
    spacing = case.evidence.spacing
    longest = _longest_offset(case)
    count = max(1, round(longest / spacing))
    grid = torch.arange(-count, count + 1, dtype=torch.float64) * spacing
    if start is None:
        losses = torch.tensor([case.with_offset(view, float(o)).loss for o in grid])
    else:
        many = replace(
            case.of_views([view] * len(grid)),
            evidence=case.evidence.of_views([view] * len(grid)),
            offsets=case.offsets[view] + grid,
        )
        losses = _grid_losses(many.read, many.cameras, start)
    best = grid[losses.argmin()][None]

    def change(c: Case, n: Tensor) -> Case:
        return c.with_offset(view, n[0])

    offset = float(refined(case, change, best, torch.tensor([0.25 * spacing]).double(), [view])[0])
    side = "before" if offset > 0 else "after"
    said = f"it starts {abs(offset):.2f} frames {side} the others"
    return Correction("time offset", (view,), case.with_offset(view, offset), 1, said, {"frames": offset})


def _longest_offset(case: Case) -> float:
    return min(_LONGEST_OFFSET_S * case.evidence.fps, 0.4 * _stretch_frames(case))


def _stretch_frames(case: Case) -> float:
    frames, stretches = case.evidence.frames, case.evidence.stretches
    return float(max((frames[stretches == s].max() - frames[stretches == s].min()) for s in stretches.unique()))


def _scaled(case: Case, views: tuple[int, ...], start: _Others | None) -> Correction:
    rows = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)

    def change(c: Case, n: Tensor) -> Case:
        K = c.cameras.K.clone()
        K[list(views)] = K[list(views)] * (rows * n[0].exp() + (1 - rows))[:, None]
        return c.with_cameras(replace(c.cameras, K=K))

    grid = _SCALES.log()
    if len(views) == 1:
        begin = _best_start(case, views[0], start, change, grid)
    else:
        rough = rougher(case)
        begin = grid[torch.tensor([change(rough, n[None]).loss for n in grid]).argmin()][None]
    n = refined(case, change, begin, torch.tensor([1e-3]).double(), views)
    scale = float(n.exp())
    whom = views if len(views) == 1 else ()
    return Correction("wrong image size", whom, change(case, n), 1, f"K x {scale:.3f}", {"scale": scale})


def _scaled_view(case: Case, view: int, start: _Others | None) -> Correction:
    return _scaled(case, (view,), start)


def _other_lens(case: Case, view: int, start: _Others | None) -> Correction:
    def change(c: Case, n: Tensor) -> Case:
        return c.with_k1(view, n)

    k1 = refined(case, change, _best_start(case, view, start, change, _K1_GRID), torch.tensor([1e-3]).double(), [view])
    value = float(k1)
    return Correction("wrong distortion", (view,), change(case, k1), 1, f"k1 {value:+.3f} fits", {"k1": value})


def _moved(view: int) -> Change:
    def change(c: Case, n: Tensor) -> Case:
        R, t_mm = turned_by(c.cameras.R[view], c.cameras.t_mm[view], n)
        return c.with_camera(view, R=R, t_mm=t_mm)

    return change


_POSE_STEPS = torch.tensor([1e-4, 1e-4, 1e-4, 1.0, 1.0, 1.0], dtype=torch.float64)


def _other_pose(case: Case, view: int, start: _Others | None) -> Correction:
    begin = case
    if start is not None:
        usable = start.placed & (case.rays.weights[:, view] > 0)
        found = pose_from_points(start.points_mm, case.rays.directions[:, view], usable)
        if found is not None:
            tried = case.with_camera(view, R=found[0], t_mm=found[1])
            both = (c.cameras[[view]] for c in (case, tried))
            before, after = (_grid_losses(case.read.of_views([view]), c, start) for c in both)
            if after < before:
                begin = tried
    change = _moved(view)
    best = begin
    for origin in {id(begin): begin, id(case): case}.values():
        numbers = refined(origin, change, torch.zeros(6, dtype=torch.float64), _POSE_STEPS, [view])
        corrected = change(origin, numbers)
        if corrected.loss < best.loss or best is case:
            best = corrected
    shift = float((best.cameras.position_mm[view] - case.cameras.position_mm[view]).norm())
    turn = best.cameras.R[view] @ case.cameras.R[view].T
    angle = float(torch.rad2deg(torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1))))
    return Correction(
        "wrong pose", (view,), best, 6, f"{shift:.0f} mm, {angle:.1f} degrees", {"shift_mm": shift, "turn_deg": angle}
    )


def moved_midway(case: Case, view: int) -> Correction | None:
    """The view's pose from some frame on, where the recording divides best; None where it does not divide.

    The corrected case has a further view, the last: what the moved camera shows from then on.
    """
    frame = _dividing_frame(case, view)
    if frame is None:
        return None
    halves = case.split(view, frame)
    # The part that contradicts the others more is the one whose pose changed.
    before, after = halves.fit.view_losses[view], halves.fit.view_losses[-1]
    part = view if before > after else halves.views - 1
    found = _other_pose(halves, part, _points_of_others(halves, part))
    said = f"{'until' if part == view else 'from'} frame {frame}: {found.detail}"
    return Correction("moved camera", (view,), found.case, 7, said, {"frame": frame, **found.numbers})


def _dividing_frame(case: Case, view: int) -> int | None:
    """The frame before and after which the view's mean loss differs most."""
    N = case.evidence.points_px.shape[2]
    fit_of_all = case.fit
    loss = losses_of(fit_of_all.errors_px[:, view]) * fit_of_all.seen[:, view]
    per_instant, count = loss.unflatten(0, (-1, N)).sum(-1), fit_of_all.seen[:, view].unflatten(0, (-1, N)).sum(-1)
    sums, counts = per_instant.cumsum(0), count.cumsum(0)
    least = max(_FEWEST_INSTANTS, len(sums) // 8)
    if len(sums) < 2 * least:
        return None
    early = sums / counts.clamp_min(1)
    late = (sums[-1] - sums) / (counts[-1] - counts).clamp_min(1)
    contrast = (early - late).abs()[least - 1 : len(sums) - least]
    # The contrast of means is largest at short ends; what divides explains most of the squares.
    n = counts[least - 1 : len(sums) - least].double()
    gain = contrast**2 * n * (counts[-1] - n)
    best = int(gain.argmax())
    if float(contrast[best]) < _CLEAR_CONTRAST:
        return None
    return int(case.read.frames[best + least])
