"""Scores of joints: the names that programs give them, and the scales that they are in.

Most detectors score from 0 to 1, or somewhat above: OpenPose to 1.4, AlphaPose to 6, RTMPose and other SimCC networks
of MMPose to about 10, networks that write logits further. These are kept as they are: what counts is how a joint
compares with the others. Beyond 20 only per cent make sense, if some joint has more than 50.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trivox.errors import InputError
from trivox.files.text import numbers
from trivox.geometry.keypoints import Keypoints2D

# The largest score of a recording.
_OWN_SCALE = 20.0
_PER_CENT = (50.0, 100.0)
# What most joints have in per cent, and not in a file with a few wrong numbers.
_MOST_PER_CENT = 2.0

_OF_JOINTS = r"(keypoints?|kpts?|kps?|joints?|landmarks?|points?|pose|body)?"
_SCORES = re.compile(_OF_JOINTS + r"(scores?|conf(idence)?s?|prob(abilit(y|ie))?s?|likelihoods?|certaint(y|ies))")
_VISIBILITY = re.compile(_OF_JOINTS + r"(vis|visib(le|ility|ilities)|presences?)")
_NO_SCORES = re.compile(r"(bbox|box|center|centre|scale|area|segment|crop|id).*")


def is_score_name(name: str) -> bool:
    """Whether a list or column of this name holds scores of joints: `keypoint_scores`, `confidence`, ..."""
    return any(names.fullmatch(_plain(name)) for names in (_SCORES, _VISIBILITY))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def joint_scores(person: dict[str, Any], count: int, path: Path, *, needed: bool) -> np.ndarray | None:
    """The scores `(count,)` that stand beside a person's joints; None where there are none.

    A single number is the whole person's. Scores go before visibility, which counts only where scores are `needed`:
    where the joints have none of their own. Raises `InputError` for lists of another length, and for what may be scores
    under a name that is not known.
    """
    for names in (_SCORES, _VISIBILITY) if needed else (_SCORES,):
        read = {
            key: numbers([np.nan if value is None else value for value in listed], path, f"{key!r}").reshape(-1)
            for key, listed in person.items()
            if names.fullmatch(_plain(key)) and _is_of_joints(listed, count, path, key)
        }
        fitting = next((values for values in read.values() if len(values) == count), None)
        if fitting is not None:
            # COCO's visibility: 0 not labelled, 1 hidden, 2 visible; a labelled point is certain.
            visibilities = names is _VISIBILITY and np.isin(fitting, (0, 1, 2)).all()
            return np.minimum(fitting, 1) if visibilities else fitting
        if read:
            raise InputError(f"{path}: {next(iter(read))!r} should be one number per keypoint; write it again")
    if needed:
        _refuse_unknown_scores(person, count, path)
    return None


def _is_of_joints(listed: Any, count: int, path: Path, key: str) -> bool:
    """Whether it is a list of more than the one number of a whole person."""
    if isinstance(listed, str | dict):
        raise InputError(f"{path}: {key!r} should be one number per keypoint; write it again")
    return isinstance(listed, list) and not (len(listed) == 1 < count and not isinstance(listed[0], list))


def _refuse_unknown_scores(person: dict[str, Any], count: int, path: Path) -> None:
    for key, listed in person.items():
        if not isinstance(listed, list) or len(listed) != count or _NO_SCORES.fullmatch(_plain(key)):
            continue
        if all(isinstance(value, int | float) for value in listed):
            raise InputError(
                f"{path}: {key!r} has one number per keypoint, which may be its score; call it 'keypoint_scores' if it "
                "is, else remove it"
            )


def in_one_scale(views: Sequence[Keypoints2D], paths: Sequence[Path]) -> list[tuple[Keypoints2D, str | None]]:
    """The views with scores of per cent divided by 100, and a note for each that was.

    Views of a recording come from one program: where one is in per cent, so are those with any score above 1. Raises
    `InputError` for scores in no scale that is known.
    """
    largest = [float(view.scores.max()) if view.scores.numel() else 0.0 for view in views]
    any_per_cent = any(_is_per_cent(view, most) for view, most in zip(views, largest, strict=True))
    scaled: list[tuple[Keypoints2D, str | None]] = []
    for view, most, path in zip(views, largest, paths, strict=True):
        if any_per_cent and 1 < most <= _PER_CENT[1]:
            note = f"{path}: scores up to {most:g} are taken as per cent"
            scaled.append((replace(view, scores=view.scores / 100), note))
        elif most > _OWN_SCALE:
            raise InputError(
                f"{path} has scores up to {most:g}, expected 0 to 1, a detector's own scale up to {_OWN_SCALE:g}, or "
                "per cent; write scores from 0 to 1"
            )
        else:
            scaled.append((view, None))
    return scaled


def _is_per_cent(view: Keypoints2D, largest: float) -> bool:
    if not _PER_CENT[0] < largest <= _PER_CENT[1]:
        return False
    return float(view.scores[view.scores > 0].median()) > _MOST_PER_CENT
