"""What the colours of people in 3D mean: their sides, confidence, error, or which result they belong to."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8

from trivox.view.colours import MIDDLE, RGB, bone_colours, joint_colours
from trivox.view.shown import Shown

Mode = Literal["sides", "confidence", "error", "result"]
MODES: tuple[Mode, ...] = get_args(Mode)

WORST_ERROR_MM = 100.0  # this and more has the last colour
# From bad to good. Lightness rises and falls too, so that the ends differ in grey.
_RAMP = np.array([(170, 20, 60), (236, 92, 50), (250, 190, 70), (150, 200, 90), (20, 140, 110)], float)


def ramp(goodness: Float[np.ndarray, "*b"]) -> UInt8[np.ndarray, "*b 3"]:
    """Colours of 0 (bad) to 1 (good); grey where NaN."""
    place = np.clip(np.nan_to_num(goodness), 0, 1) * (len(_RAMP) - 1)
    low = np.minimum(place.astype(int), len(_RAMP) - 2)
    part = (place - low)[..., None]
    mixed = (1 - part) * _RAMP[low] + part * _RAMP[low + 1]
    return np.where(np.isnan(goodness)[..., None], MIDDLE, mixed).round().astype(np.uint8)


def gradient_css() -> str:
    """The same ramp for a legend."""
    return ", ".join(f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in _RAMP)


def person_colours(shown: Shown, row: int, mode: Mode) -> tuple[UInt8[np.ndarray, "P J 3"], UInt8[np.ndarray, "P B 3"]]:
    """Colours of the joints and of the bones of all people of one row of a result."""
    skeleton, people = shown.poses.skeleton, shown.poses.points_mm.shape[1]
    if mode == "sides":
        return _repeated(joint_colours(skeleton), people), _repeated(bone_colours(skeleton), people)
    if mode == "result":
        joints = [_shaded(shown.tint, name) for name in skeleton.names]
        bones = [_shaded(shown.tint, child) for _, child in skeleton.bones]
        return _repeated(tuple(joints), people), _repeated(tuple(bones), people)
    good = _goodness(shown, row, mode)
    parent, child = np.array(skeleton.bone_indices, int).reshape(-1, 2).T
    return ramp(good), ramp((good[:, parent] + good[:, child]) / 2)


def _goodness(shown: Shown, row: int, mode: Mode) -> Float[np.ndarray, "P J"]:
    if mode == "confidence":
        return shown.poses.confidence[row].double().numpy()
    if shown.compared is None:
        return np.full(shown.poses.valid[row].shape, np.nan)
    return 1 - shown.compared.errors_mm[row] / WORST_ERROR_MM


def _shaded(tint: RGB, name: str) -> RGB:
    """A result's own colour, lighter on the left of the body and darker on its right."""
    towards, share = (255, 0.25) if name.startswith("left_") else (0, 0.25) if name.startswith("right_") else (0, 0.0)
    r, g, b = (round(channel + share * (towards - channel)) for channel in tint)
    return r, g, b


def _repeated(colours: tuple[RGB, ...], people: int) -> UInt8[np.ndarray, "P N 3"]:
    return np.array([colours] * people, np.uint8).reshape(people, len(colours), 3)
