"""What could be wrong with a rig, each with what would put it right: the doctor's hypotheses.

Every correction says what it takes to make rig and joints agree. Those without numbers of their own (swapped cameras,
an inverted transform, a turned picture, another unit, a lens left out) are listed by `alternatives`; those with numbers
(a scale of the intrinsics, a lens, an offset in time, a pose) are fitted in fits.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.doctor.case import Case, mirrored_video
from trivox.geometry.cameras import chosen

Kind = Literal[
    "swapped cameras",
    "inverted transform",
    "mirrored picture",
    "turned picture",
    "wrong unit",
    "wrong image size",
    "time offset",
    "wrong distortion",
    "wrong pose",
    "moved camera",
]

# Lengths that people confuse, as factors.
UNIT_FACTORS = (1000.0, 100.0, 10.0, 25.4, 0.1, 0.01, 0.001, 1 / 25.4)
# Every permutation of so few cameras is tried; of more, every exchange of two.
_MOST_PERMUTED = 4


@dataclass(frozen=True)
class Correction:
    """`case` is the case once corrected. `views` are whom it concerns, empty for all alike; `freedom` is the number
    of numbers that were fitted, or of cameras changed beyond the fewest; `numbers` what they are, for the report.
    `fit` fits them to another case, half of this one, None where there are none or that cannot be."""

    kind: Kind
    views: tuple[int, ...]
    case: Case
    freedom: int = 0
    detail: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    fit: Callable[[Case], Correction] | None = field(default=None, repr=False, compare=False)


def alternatives(case: Case) -> Iterator[Correction]:
    """Corrections that have no numbers of their own."""
    yield from _permuted(case)
    everyone = tuple(range(case.views))
    for views in [everyone, *((v,) for v in everyone)] if case.views > 2 else [everyone, (0,), (1,)]:
        whom = () if len(views) == case.views else views
        yield from _other_transforms(case, views, whom)
        yield from _other_pictures(case, views, whom)
        yield from _other_signs(case, views, whom)
        if len(views) == 1:
            for factor in UNIT_FACTORS:
                t_mm = case.cameras.t_mm[views[0]] * factor
                yield Correction(
                    "wrong unit", whom, case.with_camera(views[0], t_mm=t_mm), 0, f"x {factor:g}", {"factor": factor}
                )


def rougher(case: Case) -> Case:
    """The same with a third of the instants: enough to see what is far off."""
    return replace(case, every=3 * case.every)


def _permuted(case: Case) -> Iterator[Correction]:
    V = case.views
    if V <= _MOST_PERMUTED:
        orders = [order for order in permutations(range(V)) if order != tuple(range(V))]
    else:
        orders = [_exchanged(V, a, b) for a, b in combinations(range(V), 2)]
    for order in orders:
        changed = tuple(v for v in range(V) if order[v] != v)
        yield Correction(
            "swapped cameras", changed, case.with_cameras(case.cameras[torch.tensor(order)]), len(changed) - 2
        )


def _exchanged(V: int, a: int, b: int) -> tuple[int, ...]:
    order = list(range(V))
    order[a], order[b] = b, a
    return tuple(order)


def _other_transforms(case: Case, views: Sequence[int], whom: tuple[int, ...]) -> Iterator[Correction]:
    """What R and t could mean instead."""
    R, t = case.cameras.R, case.cameras.t_mm
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=R.dtype))
    turned_t = (R @ t[..., None])[..., 0]
    meanings = {
        "camera-to-world instead of world-to-camera": (R.mT, -(R.mT @ t[..., None])[..., 0]),
        "R is camera-to-world, t is right": (R.mT, t),
        "t is the camera's position": (R, -turned_t),
        "axes of a y-up camera (OpenGL)": (flip @ R, (flip @ t[..., None])[..., 0]),
        "axes of a y-up camera (OpenGL), camera-to-world": (
            flip @ R.mT,
            -(flip @ R.mT @ t[..., None])[..., 0],
        ),
    }
    index = list(views)
    for detail, (new_R, new_t) in meanings.items():
        mixed_R, mixed_t = R.clone(), t.clone()
        mixed_R[index], mixed_t[index] = new_R[index], new_t[index]
        yield Correction(
            "inverted transform", whom, case.with_cameras(replace(case.cameras, R=mixed_R, t_mm=mixed_t)), 0, detail
        )


def picture_hw(case: Case) -> Float[Tensor, "V 2"]:
    """Sizes of the pictures: as they are, as calibrated, or, where nobody says, twice the principal point."""
    for known in (case.evidence.image_hw, case.cameras.image_hw):
        if known is not None:
            return known.double()
    return 2 * case.cameras.K[:, [1, 0], 2]


def _other_pictures(case: Case, views: Sequence[int], whom: tuple[int, ...]) -> Iterator[Correction]:
    hw, index = picture_hw(case), list(views)
    yield Correction("mirrored picture", whom, mirrored_video(case, views, hw[:, 1]))
    for turn in (1, 2, 3):
        # A picture turned by one or three quarters was calibrated with its sides exchanged.
        calibrated = hw if turn == 2 else hw.flip(-1)
        turned = replace(case.cameras, image_hw=calibrated.round().long()).turned(torch.tensor([turn]))
        K, R, t_mm, lens = (getattr(case.cameras, name).clone() for name in ("K", "R", "t_mm", "distortion"))
        K[index], R[index], t_mm[index] = turned.K[index], turned.R[index], turned.t_mm[index]
        lens[index] = turned.distortion[index]
        cameras = replace(case.cameras, K=K, R=R, t_mm=t_mm, distortion=lens, image_hw=hw.round().long())
        yield Correction(
            "turned picture",
            whom,
            case.with_cameras(cameras),
            0,
            f"{90 * turn} degrees clockwise",
            {"quarter_turns": turn},
        )


def _other_signs(case: Case, views: Sequence[int], whom: tuple[int, ...]) -> Iterator[Correction]:
    """Lens terms left out, or written for the inverse."""
    if not case.cameras.has_distortion:
        return
    concerned = torch.zeros(case.views, dtype=torch.bool)
    concerned[list(views)] = True
    opposite = replace(case.cameras, distortion=-case.cameras.distortion)
    others = {"without distortion": case.cameras.without_distortion(), "with the opposite sign": opposite}
    for detail, cameras in others.items():
        corrected = case.with_cameras(chosen(concerned, cameras, case.cameras))
        yield Correction("wrong distortion", whom, corrected, len(views) - 1, detail)
