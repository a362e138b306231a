"""The joint that is pointed at: which one a click means, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trivox.view.scene3d import M_PER_MM, Vector
from trivox.view.shown import Content, at_frame

# A click means a joint where it passes it by less than this angle, as seen from the eye; about 15 pixels.
_NEAR = 0.02


@dataclass(frozen=True)
class Picked:
    """One joint of one person of one result, by their numbers."""

    result: int
    person: int
    joint: int


def picked_by(content: Content, frame: int, hidden: frozenset[str], eye_m: Vector, sight: Vector) -> Picked | None:
    """The joint nearest to the line of sight (a unit vector) at this frame; None where none is near."""
    best, found = _NEAR, None
    for r, shown in enumerate(content.results):
        row = at_frame(shown.poses, frame)
        if row is None or shown.name in hidden:
            continue
        to_joints = shown.poses.points_mm[row].double().numpy() * M_PER_MM - eye_m
        away = np.linalg.norm(np.cross(to_joints, sight), axis=-1)
        angles = np.where(shown.poses.valid[row].numpy(), np.arctan2(away, to_joints @ sight), np.inf)
        if angles.size and angles.min() < best:
            best = float(angles.min())
            person, joint = np.unravel_index(int(angles.argmin()), angles.shape)
            found = Picked(r, int(person), int(joint))
    return found


def words_of(content: Content, picked: Picked, frame: int) -> tuple[str, Vector] | None:
    """What is said of a joint, and where it is (m): its error where the truth tells, else its confidence.

    None where the result does not have it at this frame.
    """
    shown = content.results[picked.result]
    row = at_frame(shown.poses, frame)
    if row is None or not bool(shown.poses.valid[row, picked.person, picked.joint]):
        return None
    where = (row, picked.person, picked.joint)
    error = np.nan if shown.compared is None else float(shown.compared.errors_mm[where])
    said = f"{error:.0f} mm off" if np.isfinite(error) else f"confidence {float(shown.poses.confidence[where]):.2f}"
    name = shown.poses.skeleton.names[picked.joint].replace("_", " ")
    return f"{name}: {said}", shown.poses.points_mm[where].double().numpy() * M_PER_MM
