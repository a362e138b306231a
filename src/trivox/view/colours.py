"""Colours of everything that is drawn: the left of a body in one, the right in another, the middle in grey.

RGB, 0 to 255.
"""

from __future__ import annotations

from functools import cache

from trivox.geometry.skeletons import Skeleton

RGB = tuple[int, int, int]

LEFT: RGB = (230, 120, 60)
RIGHT: RGB = (60, 140, 230)
MIDDLE: RGB = (120, 120, 120)


@cache
def joint_colours(skeleton: Skeleton) -> tuple[RGB, ...]:
    """The colour of each joint, by its name."""
    return tuple(_of_name(name) for name in skeleton.names)


@cache
def bone_colours(skeleton: Skeleton) -> tuple[RGB, ...]:
    """The colour of each bone: that of a side where it ends there and does not come from the other side."""
    return tuple(_of_bone(*bone) for bone in skeleton.bones)


def _of_name(name: str) -> RGB:
    return LEFT if name.startswith("left_") else RIGHT if name.startswith("right_") else MIDDLE


def _of_bone(parent: str, child: str) -> RGB:
    sides = {_of_name(parent), _of_name(child)} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE
