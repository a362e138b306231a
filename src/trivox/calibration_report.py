"""What a calibration says, in words: `show` describes a rig, `check` lists what looks wrong with it.

Both are pure: a `Rig` in, text or dataclasses out. `check` needs no pictures, so it finds what is impossible
or unlikely by itself (a lens that folds, cameras in one place, metres taken for millimetres), not a rig that
has been moved since it was calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.distortion import FEWEST_KEPT_TERMS, GIVEN_TERMS, DistortionModel, turning_reach
from trivox.geometry.rig import Rig

_CLOSEST_MM = 50.0
_NARROWEST_DEG, _WIDEST_DEG = 5.0, 150.0
_ROTATION_ERROR = 1e-4
_STRETCH = 1.1
_OFF_CENTRE = 0.25


@dataclass(frozen=True)
class CameraFacts:
    """One row of `show`. `looks` is the optical axis in world axes; the picture is the unturned one."""

    name: str
    image_hw: tuple[int, int] | None
    focal_px: tuple[float, float]
    view_deg: tuple[float, float] | None
    position_mm: tuple[float, float, float]
    looks: tuple[float, float, float]
    lens: str
    distortion: tuple[float, ...]
    quarter_turns: int
    height_mm: float | None


@dataclass(frozen=True)
class RigFacts:
    """The lines under the table. `centre_mm` is nearest to all optical axes, None where they run parallel."""

    cameras: int
    distortion_model: str
    up: tuple[float, float, float] | None
    baselines_mm: tuple[float, float] | None
    centre_mm: tuple[float, float, float] | None


def camera_facts(rig: Rig) -> list[CameraFacts]:
    """What each camera is and where it stands."""
    cameras, views = rig.cameras.to(dtype=torch.float64), _view_deg(rig)
    positions = cameras.position_mm
    heights = None if rig.up is None else (positions @ rig.up.to(positions)).tolist()
    sizes = None if cameras.image_hw is None else cameras.image_hw.tolist()
    return [
        CameraFacts(
            name=name,
            image_hw=None if sizes is None else (sizes[i][0], sizes[i][1]),
            focal_px=(cameras.K[i, 0, 0].item(), cameras.K[i, 1, 1].item()),
            view_deg=None if views is None else (views[i, 0].item(), views[i, 1].item()),
            position_mm=_triple(positions[i]),
            looks=_triple(cameras.R[i, 2]),
            lens=lens,
            distortion=terms,
            quarter_turns=rig.quarter_turns[i],
            height_mm=None if heights is None else heights[i],
        )
        for i, (name, (lens, terms)) in enumerate(zip(rig.names, _lenses(rig), strict=True))
    ]


def _lenses(rig: Rig) -> list[tuple[str, tuple[float, ...]]]:
    """The lens of each camera in words, and its coefficients without the zeros that longer lenses of the rig need."""
    rows = rig.cameras.distortion.double().tolist()
    return [_lens(row, model) for row, model in zip(rows, rig.cameras.distortion_models, strict=True)]


def _lens(row: list[float], model: DistortionModel) -> tuple[str, tuple[float, ...]]:
    used = max((i + 1 for i, term in enumerate(row) if term), default=0)
    count = next(n for n in GIVEN_TERMS[model] if n >= max(used, FEWEST_KEPT_TERMS[model]))
    if model != "fisheye" and not used:
        return "no distortion", ()
    title = {"opencv": "OpenCV", "human36m": "Human3.6M", "fisheye": "fisheye (Kannala-Brandt)"}[model]
    return f"{title}, {count} terms", tuple(row[:count])


def lenses(rig: Rig) -> str:
    """Which cameras have which lens, in one line."""
    cameras: dict[str, list[str]] = {}
    for name, (lens, _) in zip(rig.names, _lenses(rig), strict=True):
        cameras.setdefault(lens, []).append(name)
    return "lenses: " + "; ".join(f"{', '.join(names)}: {lens}" for lens, names in cameras.items())


def rig_facts(rig: Rig) -> RigFacts:
    """What the cameras are together."""
    distances, centre = rig.baselines_mm, axes_centre_mm(rig)
    return RigFacts(
        cameras=len(rig),
        distortion_model=" and ".join(sorted(set(rig.cameras.distortion_models))),
        up=None if rig.up is None else _triple(rig.up),
        baselines_mm=(distances.min().item(), distances.max().item()) if len(distances) else None,
        centre_mm=None if centre is None else _triple(centre),
    )


def axes_centre_mm(rig: Rig) -> Float[Tensor, " 3"] | None:
    """The point with the least squared distance to all optical axes; None if these are close to parallel."""
    positions, axes = rig.cameras.position_mm.double(), rig.cameras.R[:, 2].double()
    across = torch.eye(3, dtype=torch.float64, device=axes.device) - axes[:, :, None] * axes[:, None, :]
    normal = across.sum(0)
    if torch.linalg.eigvalsh(normal)[0] < 1e-3 * len(rig):
        return None
    return torch.linalg.solve(normal, (across @ positions[..., None]).sum(0))[:, 0]


def show(rig: Rig) -> str:
    """A table of the cameras and the facts of the rig, for people to read."""
    rows = [_HEADER, *(_row(facts) for facts in camera_facts(rig))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([line.rstrip() for line in table] + ["", *_summary(rig_facts(rig)), *rig.notes])


_HEADER = (
    "camera",
    "size (h w)",
    "focal px",
    "view deg",
    "position mm",
    "looks along",
    "height mm",
    "turns",
    "lens",
    "distortion",
)


def _row(facts: CameraFacts) -> tuple[str, ...]:
    return (
        facts.name,
        "unknown" if facts.image_hw is None else f"{facts.image_hw[0]} {facts.image_hw[1]}",
        f"{facts.focal_px[0]:.1f} {facts.focal_px[1]:.1f}",
        "unknown" if facts.view_deg is None else f"{facts.view_deg[0]:.0f} x {facts.view_deg[1]:.0f}",
        " ".join(f"{value:z.0f}" for value in facts.position_mm),
        " ".join(f"{value:+z.2f}" for value in facts.looks),
        "unknown" if facts.height_mm is None else f"{facts.height_mm:z.0f}",
        str(facts.quarter_turns),
        facts.lens,
        " ".join(f"{value:.4g}" for value in facts.distortion) or "none",
    )


def _summary(facts: RigFacts) -> Iterator[str]:
    yield f"{facts.cameras} cameras, lens model {facts.distortion_model}"
    yield "up: " + ("unknown" if facts.up is None else " ".join(f"{value:+.3f}" for value in facts.up))
    if facts.baselines_mm is not None:
        yield "distances between cameras: {:.0f} to {:.0f} mm".format(*facts.baselines_mm)
    if facts.centre_mm is not None:
        yield "optical axes meet near {:z.0f} {:z.0f} {:z.0f} mm".format(*facts.centre_mm)


@dataclass(frozen=True)
class Findings:
    """One sentence each. `faults` look wrong; `remarks` are what a correct file may leave open."""

    faults: tuple[str, ...]
    remarks: tuple[str, ...]


def check(rig: Rig) -> Findings:
    """What looks wrong, and what is not said."""
    faults = (*_check_cameras(rig), *_check_placement(rig), *_check_mounting(rig))
    return Findings(faults, (*rig.notes, *_unsaid(rig)))


def _check_cameras(rig: Rig) -> Iterator[str]:
    cameras, views = rig.cameras.to(dtype=torch.float64), _view_deg(rig)
    identity = torch.eye(3, dtype=torch.float64, device=cameras.R.device)
    rounding = (cameras.R @ cameras.R.mT - identity).abs().amax((-1, -2))
    for i, name in enumerate(rig.names):
        if rounding[i] > _ROTATION_ERROR:
            yield f"camera {name}: its rotation is off by {rounding[i]:.1g}, written with too few decimals"
        fx, fy = cameras.K[i, 0, 0].item(), cameras.K[i, 1, 1].item()
        if max(fx, fy) > _STRETCH * min(fx, fy):
            yield f"camera {name}: focal lengths {fx:.0f} and {fy:.0f} px differ more than pixels ever do"
        if cameras.image_hw is not None and views is not None:
            (h, w), (cx, cy) = cameras.image_hw[i].tolist(), cameras.K[i, :2, 2].tolist()
            yield from _check_picture(name, (h, w), (cx, cy), views[i].tolist())
    yield from _check_folding(rig)


def _check_picture(
    name: str, image_hw: tuple[int, int], centre_px: tuple[float, float], view_deg: list[float]
) -> Iterator[str]:
    (h, w), (cx, cy) = image_hw, centre_px
    if not (0 <= cx <= w and 0 <= cy <= h):
        yield f"camera {name}: its principal point {cx:.0f}, {cy:.0f} lies outside its {w} x {h} picture"
    elif abs(cx / w - 0.5) > _OFF_CENTRE or abs(cy / h - 0.5) > _OFF_CENTRE:
        yield f"camera {name}: its principal point {cx:.0f}, {cy:.0f} is far from the middle of {w} x {h}"
    if min(view_deg) < _NARROWEST_DEG or max(view_deg) > _WIDEST_DEG:
        yield (
            f"camera {name}: it would see {view_deg[0]:.1f} x {view_deg[1]:.1f} degrees; "
            "focal length and image size do not fit together"
        )


def _check_folding(rig: Rig) -> Iterator[str]:
    """A radial polynomial that turns back before the corner of the picture maps two rays to one pixel."""
    cameras = rig.cameras.to(dtype=torch.float64)
    if cameras.image_hw is None:
        return
    reach = turning_reach(cameras.distortion, cameras.distortion_model)
    corner = cameras.normalised_from_pixels(_corners_px(cameras.image_hw.double())).norm(dim=-1).amax(-1)
    for i, name in enumerate(rig.names):
        if reach[i] < corner[i]:
            radius_px = reach[i].item() * cameras.K[i, 0, 0].item()
            yield (
                f"camera {name}: its distortion turns back {radius_px:.0f} px from the centre, inside the "
                "picture, so that pixels beyond have no ray; calibrate with points up to the corners"
            )


def _check_placement(rig: Rig) -> Iterator[str]:
    if len(rig) < 2:
        yield "there is only one camera; triangulation needs two"
        return
    if rig.size_doubt is not None:
        yield rig.size_doubt
        return
    distances = rig.baselines_mm
    first, second = torch.triu_indices(len(rig), len(rig), 1)
    for pair in (distances < _CLOSEST_MM).nonzero()[:, 0].tolist():
        names = rig.names[int(first[pair])], rig.names[int(second[pair])]
        yield f"cameras {names[0]} and {names[1]} stand in one place ({distances[pair]:.0f} mm apart)"
    centre = axes_centre_mm(rig)
    if centre is None:
        return
    depth_mm = rig.cameras.to(dtype=torch.float64).depth_mm(centre.expand(len(rig), 1, 3))[:, 0]
    if (depth_mm < 0).all():
        yield "the cameras all look away from each other; R or t is probably that of the inverse transform"
        return
    for i in (depth_mm < 0).nonzero()[:, 0].tolist():
        yield f"camera {rig.names[i]}: it looks away from the place where the optical axes meet"


def _check_mounting(rig: Rig) -> Iterator[str]:
    """Where up is known, it should be up in most upright pictures; a wrong sign of `up` shows here too."""
    if rig.up is None:
        return
    ups = rig.cameras.R.double() @ rig.up.to(rig.cameras.R.device).double()
    for (x, y, _), name, turns in zip(ups.tolist(), rig.names, rig.quarter_turns, strict=True):
        for _ in range(turns % 4):
            x, y = -y, x  # as the picture turns clockwise
        if max(abs(x), abs(y)) < 0.5:
            continue  # looks up or down: no side of the picture is up
        if y > abs(x):
            yield f"camera {name}: the world is upside down in its picture; check up and quarter turns"
        elif abs(x) > abs(y):
            yield f"camera {name}: the world lies on its side in its picture; check up and quarter turns"


def _unsaid(rig: Rig) -> Iterator[str]:
    if rig.up is None:
        yield "the calibration does not say which way is up (--up)"
    if rig.cameras.image_hw is None:
        yield "the calibration does not say the size of the pictures (--image-size)"


def _view_deg(rig: Rig) -> Float[Tensor, "V 2"] | None:
    """Horizontal and vertical angle of view through the principal point, lens distortion undone."""
    cameras = rig.cameras.to(dtype=torch.float64)
    if cameras.image_hw is None:
        return None
    (h, w), (cx, cy) = cameras.image_hw.double().unbind(-1), cameras.K[:, :2, 2].unbind(-1)
    zero = torch.zeros_like(cx)
    edges = torch.stack([torch.stack(point, -1) for point in ((zero, cy), (w, cy), (cx, zero), (cx, h))], dim=-2)
    rays = cameras.normalised_from_pixels(cameras.undistorted_points(edges))
    angles = torch.stack([rays[:, 0, 0], rays[:, 1, 0], rays[:, 2, 1], rays[:, 3, 1]], -1).atan()
    return torch.stack([angles[:, 1] - angles[:, 0], angles[:, 3] - angles[:, 2]], -1) * (180 / math.pi)


def _corners_px(image_hw: Float[Tensor, "V 2"]) -> Float[Tensor, "V 4 2"]:
    unit = image_hw.new_tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
    return unit * image_hw.flip(-1)[:, None]


def _triple(vector: Tensor) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z
