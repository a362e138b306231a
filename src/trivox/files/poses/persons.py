"""Formats of one person: a file for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trivox.geometry.poses import Poses


def person_paths(poses: Poses, path: Path) -> dict[int, Path]:
    """`path` for a single person, or NAME_p0, NAME_p1, ... of several, for those who are seen at all."""
    people = poses.points_mm.shape[1]
    seen = [p for p in range(people) if poses.valid[:, p].any()]
    return {p: path if people == 1 else path.with_name(f"{path.stem}_p{p}{path.suffix}") for p in seen}


def of_person(poses: Poses, person: int) -> Poses:
    """Only that person."""
    return replace(
        poses,
        points_mm=poses.points_mm[:, [person]],
        valid=poses.valid[:, [person]],
        confidence=poses.confidence[:, [person]],
        covariance_mm2=None,
    )
