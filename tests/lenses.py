"""Lenses for tests: realistic coefficients of every kind, drawn or fixed, and what OpenCV makes of points."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from hypothesis import strategies as st

from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import DistortionModel

_FULL = (-0.21, 0.19, 0.0011, -0.0017, -0.03, 0.09, 0.05, 0.02, 0.003, -0.002, 0.004, 0.001, 0.03, -0.05)
# By the number of OpenCV's terms, or by name.
LENSES: dict[int | str, tuple[float, ...]] = {n: _FULL[:n] for n in (0, 1, 2, 4, 5, 8, 12, 14)} | {
    "human36m": _FULL[:5],
    "fisheye": (0.08, -0.03, 0.012, -0.002),
}
MODELS: dict[int | str, DistortionModel] = {"human36m": "human36m", "fisheye": "fisheye"}

# How large each of OpenCV's coefficients is drawn.
_SIZES = (0.3, 0.2, 3e-3, 3e-3, 0.05, 0.2, 0.1, 0.05, 5e-3, 3e-3, 5e-3, 3e-3, 0.08, 0.08)
_FISHEYE_SIZES = (0.1, 0.05, 0.02, 0.005)


def model_of(kind: int | str) -> DistortionModel:
    return MODELS.get(kind, "opencv")


def drawn_lens(kind: int | str) -> st.SearchStrategy[tuple[float, ...]]:
    """Coefficients of a lens of this kind, each up to its usual size."""
    sizes = _FISHEYE_SIZES if kind == "fisheye" else _SIZES[: 5 if kind == "human36m" else int(kind)]
    return st.tuples(*(st.floats(-size, size) for size in sizes))


def with_lens(cameras: Cameras, kind: int | str, lens: tuple[float, ...] | None = None) -> Cameras:
    """The cameras with one lens for all."""
    given = torch.tensor(LENSES[kind] if lens is None else lens, dtype=torch.float64)
    return Cameras(
        cameras.K, cameras.R, cameras.t_mm, given.expand(*cameras.batch_shape, len(given)), model_of(kind),
        cameras.image_hw,
    )  # fmt: skip


def opencv_pixels(
    points_mm: np.ndarray, rvec: np.ndarray, tvec: np.ndarray, K: np.ndarray, lens: tuple[float, ...], fisheye: bool
) -> np.ndarray:
    """cv2.projectPoints, or cv2.fisheye.projectPoints, in float64: (N, 2), centres of pixels at whole numbers."""
    k = np.array(lens, dtype=np.float64)
    if fisheye:
        return cv2.fisheye.projectPoints(points_mm[:, None], rvec, tvec, K, k)[0][:, 0]
    # OpenCV itself takes no fewer than four.
    k = np.concatenate([k, np.zeros(max(0, 4 - len(k)))])
    return cv2.projectPoints(points_mm, rvec, tvec, K, k)[0][:, 0]
