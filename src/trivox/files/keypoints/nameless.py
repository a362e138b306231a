"""Which joints a list without names holds: the skeleton of so many joints that the detections look like (`looks.py`).

Where several fit, the one whose limbs are clearly shortest counts. What a view shows too little of to tell is taken
from the other views. What looks like no known skeleton, or like several, is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trivox.errors import InputError
from trivox.files.joint_names import MatchedJoints, matched_joints
from trivox.files.keypoints.looks import bone_ratios, looked_at, share_that_fits
from trivox.geometry.skeletons import SKELETONS, Skeleton

_LEAST_SHARE = 0.5
_NEARLY_AS_GOOD = 0.2
_CLEARLY = 2 / 3  # of the detections


def fitting_skeletons(people: np.ndarray) -> list[Skeleton]:
    """The skeletons that people `(N, J, 3)` of x, y, score can be of; all of J joints where too little is seen."""
    some = looked_at(people)
    of_count = [skeleton for skeleton in SKELETONS.values() if len(skeleton) == people.shape[1]]
    shares = {skeleton.name: share_that_fits(some, skeleton) for skeleton in of_count}
    judged = {name: share for name, share in shares.items() if share is not None}
    if len(judged) < len(of_count):
        return [skeleton for skeleton in of_count if judged.get(skeleton.name, 1.0) > _LEAST_SHARE]
    least = max(_LEAST_SHARE, max(judged.values(), default=0.0) - _NEARLY_AS_GOOD)
    fitting = [skeleton for skeleton in of_count if judged[skeleton.name] > least]
    if len(fitting) < 2:
        return fitting
    ratios = np.array([bone_ratios(some, skeleton) for skeleton in fitting])
    ratios = ratios[:, np.isfinite(ratios).all(0)]
    wins = np.bincount(ratios.argmin(0), minlength=len(fitting))
    return [fitting[int(wins.argmax())]] if wins.max() > _CLEARLY * ratios.shape[1] else fitting


def nameless_joints(
    count: int, fitting: Sequence[Skeleton], given: Skeleton | None, told: Sequence[Skeleton], path: Path
) -> MatchedJoints:
    """What `count` joints are, which can be of the `fitting` skeletons; `told` are those of the other views.

    A `given` skeleton of as many joints says what they are; one of fewer joints is picked by name from the skeleton
    that they are known to be. Raises `InputError` where they are not known, or not those of the given skeleton.
    """
    if given is not None and len(given) == count:
        return MatchedJoints(given, np.arange(count))
    if len(fitting) > 1:
        fitting = [skeleton for skeleton in fitting if skeleton in told] or fitting
    if len(fitting) != 1:
        raise InputError(f"{path} has {count} joints without names{_choices(count, fitting, given)}")
    own = fitting[0]
    if given is None:
        return MatchedJoints(own, np.arange(count))
    lacking = [name for name in given.names if name not in own.names]
    if lacking:
        raise InputError(
            f"{path} has {count} joints, those of {own.name}; skeleton {given.name} has {len(given)}; they lack its "
            f"{', '.join(lacking[:4])}{' ...' if len(lacking) > 4 else ''}; choose the skeleton it was made with"
        )
    return matched_joints(own.names, given, path)


def nameless_note(count: int, own: Skeleton) -> str:
    """That the joints were told by their number and looks: the same sentence for every view."""
    return f"{count} joints without names are read as {own.name} (--skeleton NAME gives another)"


def _choices(count: int, fitting: Sequence[Skeleton], given: Skeleton | None) -> str:
    wrong = f" (skeleton {given.name} has {len(given)})" if given is not None else ""
    if fitting:
        names = " or ".join(skeleton.name for skeleton in fitting)
        return f"{wrong}, which may be of several sets; say which they are with --skeleton {names}"
    of_count = " or ".join(skeleton.name for skeleton in SKELETONS.values() if len(skeleton) == count)
    if of_count:
        return (
            f"{wrong}, which do not look like {of_count}; say so with --skeleton {of_count} if they are, or write "
            "names with them"
        )
    counts = sorted({len(skeleton) for skeleton in SKELETONS.values()})
    known = ", ".join(f"{n} ({' or '.join(s.name for s in SKELETONS.values() if len(s) == n)})" for n in counts)
    return f"{wrong}; known are {known}; choose a skeleton of as many joints with --skeleton, or write names with them"
