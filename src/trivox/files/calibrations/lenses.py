"""Which lens a file says a camera has, in the words of all programs, and its coefficients.

    OpenCV's    k1 k2 p1 p2 k3 [k4 k5 k6 [s1 s2 s3 s4 [tx ty]]]; 1, 2 and 4 terms end in zeros, none is no distortion.
                ROS calls five of them plumb_bob and eight rational_polynomial, Kalibr radtan
    fisheye     k1 k2 k3 k4 of OpenCV's fisheye module (Kannala and Brandt, 2006). OpenCV's calibration sample says
                `fisheye_model: 1`, anipose and caliscope `fisheye = true`, ROS and Kalibr equidistant

How files say so is in `lens_words.py`. Words that stand once in a file, beside its cameras, hold for those that say
nothing themselves. A word for a lens that is not one of these, two words that contradict each other, and coefficients
under an unknown name are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivox.files.calibrations.lens_words import LensWords
from trivox.files.calibrations.tables import Table
from trivox.geometry.distortion import FEWEST_KEPT_TERMS, GIVEN_TERMS, DistortionModel

_COEFFICIENTS = (
    *("distortion_coefficients", "Distortion_Coefficients", "distCoeffs", "dist_coeffs", "distCoef", "dist_coef"),
    *("distortion_coeffs", "distortions", "distortion", "dist", "D"),
)


@dataclass(frozen=True)
class FileLens:
    """Model and coefficients of one camera; `stated` is False where the file says nothing of coefficients."""

    model: DistortionModel
    terms: NDArray[np.float64]
    stated: bool = True

    @property
    def title(self) -> str:
        """For sentences: "an OpenCV lens of 8 terms"."""
        if self.model == "opencv":
            return f"an OpenCV lens of {len(self.terms)} terms"
        return "a fisheye lens" if self.model == "fisheye" else "the lens model 'human36m'"

    @classmethod
    def of(cls, model: DistortionModel, terms: NDArray[np.float64], stated: bool = True) -> FileLens:
        """As few terms as say the same: 5, 8, 12 or 14 of OpenCV's, 4 of a fisheye, 5 of Human3.6M's."""
        used = int(np.flatnonzero(terms).max(initial=-1)) + 1
        counts = [count for count in GIVEN_TERMS[model] if count >= max(used, FEWEST_KEPT_TERMS[model])]
        return cls(model, np.pad(terms, (0, max(0, counts[0] - len(terms))))[: counts[0]], stated)


NO_LENS_TERMS = FileLens.of("opencv", np.zeros(5))


def lens_of(
    table: Table, *keys: str, shared: Mapping[Any, Any] | None = None, usual: DistortionModel = "opencv"
) -> FileLens:
    """The lens of a camera: coefficients under one of `keys`, or whatever programs call them.

    `shared` is what stands beside the cameras and holds for those that say nothing themselves; `usual` is the model
    where nothing names one.
    """
    said = LensWords.of_camera(table, shared)
    values = _coefficients(table, (*keys, *_COEFFICIENTS))
    if said.none and values is not None and values.any():
        raise table.error("says that the lens has no distortion, and gives some; correct one of the two")
    model = said.model or usual
    if values is None:
        return FileLens.of(model, np.zeros(0), stated=said.none)
    return FileLens.of(model, _counted(table, values, model))


def _coefficients(table: Table, keys: tuple[str, ...]) -> NDArray[np.float64] | None:
    """None where the file gives no list; an empty one where the list is empty."""
    there = list(dict.fromkeys(key for key in keys if key in table))
    if not there:
        unknown = [key for key in table.content if re.match("(lens_?)?dist|coef", str(key), re.IGNORECASE)]
        if unknown := [key for key in unknown if isinstance(table.content[key], (list, dict))]:
            raise table.error(
                f"{str(unknown[0])[:40]!r} is not known here; if these are lens terms call them {keys[0]!r}"
            )
        return None
    values = [table.numbers(key) for key in there]
    if any(not np.array_equal(values[0], other) for other in values):
        raise table.error(f"{there[0]!r} and {there[1]!r} hold different lens terms; remove one of them")
    return values[0]


def _counted(table: Table, values: NDArray[np.float64], model: DistortionModel) -> NDArray[np.float64]:
    """The terms, without zeros behind what the model has."""
    counts = GIVEN_TERMS[model]
    most = max(count for count in counts if count <= len(values))
    if most == len(values) or (most >= FEWEST_KEPT_TERMS[model] and not values[most:].any()):
        return values[:most]
    *some, last = (str(count) for count in counts)
    name = "a fisheye" if model == "fisheye" else "an OpenCV lens" if model == "opencv" else "Human3.6M's lens"
    raise table.error(f"{len(values)} lens terms for {name}, which has {', '.join(some)} or {last}; calibrate again")
