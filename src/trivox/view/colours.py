"""The colours of left and right, the same in every picture, page and plot. RGB."""

from __future__ import annotations

from trivox.geometry.skeletons import Skeleton

Colour = tuple[int, int, int]

LEFT: Colour = (230, 120, 60)
RIGHT: Colour = (60, 140, 230)
MIDDLE: Colour = (120, 120, 120)


def joint_colours(skeleton: Skeleton) -> list[Colour]:
    """A colour for each joint, by its name."""
    return [_side(name) for name in skeleton.names]


def bone_colours(skeleton: Skeleton) -> list[Colour]:
    """A colour for each bone: that of a side where an end is on it and the other not on the other side."""
    return [_of_both(_side(parent), _side(child)) for parent, child in skeleton.bones]


def _side(name: str) -> Colour:
    return LEFT if name.startswith("left_") else RIGHT if name.startswith("right_") else MIDDLE


def _of_both(parent: Colour, child: Colour) -> Colour:
    sides = {parent, child} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE
