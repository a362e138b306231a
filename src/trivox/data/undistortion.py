"""Pictures as a camera without lens distortion would have taken them, with the same K.

Every target pixel is looked up where the lens puts it: bicubic, black outside, with OpenCV's fixed-point maps, which
are made once per camera. The lens is whichever model the camera has, Human3.6M's own included.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Int, UInt8

from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import DistortionModel, distort

# Maps of one camera take 6 bytes a pixel: 12 MB for a picture of 1920 x 1080.
_CAMERAS_KEPT = 32


class UndistortionMaps(NamedTuple):
    """What `cv2.remap` takes: whole source pixels, and which of its 1/32 pixel steps beyond them."""

    pixels: np.ndarray  # (h, w, 2) int16
    steps: np.ndarray  # (h, w) uint16


def undistorted_picture(picture: UInt8[np.ndarray, "h w 3"], camera: Cameras) -> UInt8[np.ndarray, "h w 3"]:
    """The whole picture of one camera (batch shape `()`) with its lens undone."""
    height, width = picture.shape[:2]
    return undistorted_part(picture, camera, np.array([0, 0, width, height]))


def undistorted_part(
    picture: UInt8[np.ndarray, "H W 3"], camera: Cameras, box: Int[np.ndarray, "4"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The part of the undistorted picture inside a box, as far as it lies within the picture."""
    maps = undistortion_maps(camera, (picture.shape[0], picture.shape[1]))
    left, top, right, bottom = (int(v) for v in box)
    part = np.s_[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    pixels, steps = maps.pixels[part], maps.steps[part]
    if not steps.size:
        return np.zeros((*steps.shape, 3), np.uint8)
    return cv2.remap(picture, pixels, steps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)


def undistortion_maps(camera: Cameras, image_hw: tuple[int, int]) -> UndistortionMaps:
    """The maps of one camera for pictures of `image_hw`; those of the last cameras are kept."""
    assert camera.batch_shape == (), "one camera at a time"
    numbers = torch.cat([camera.K.double().flatten(), camera.distortion.double()]).tolist()
    return _maps(tuple(numbers), camera.distortion_model, image_hw)


@lru_cache(maxsize=_CAMERAS_KEPT)
def _maps(numbers: tuple[float, ...], model: DistortionModel, image_hw: tuple[int, int]) -> UndistortionMaps:
    """Pixel centres are at .5; OpenCV's maps count whole pixels from the first centre."""
    K = torch.tensor(numbers[:9], dtype=torch.float64).reshape(3, 3)
    lens = torch.tensor(numbers[9:], dtype=torch.float64)
    camera = Cameras(K, torch.eye(3).double(), torch.zeros(3).double(), lens, model)
    rows, columns = np.mgrid[: image_hw[0], : image_hw[1]] + 0.5
    centres = torch.from_numpy(np.stack([columns, rows], -1).reshape(-1, 2))
    looked_up = camera.pixels_from_normalised(distort(camera.normalised_from_pixels(centres), lens, model)) - 0.5
    x, y = (looked_up[:, axis].reshape(image_hw).numpy().astype(np.float32) for axis in (0, 1))
    pixels, steps = cv2.convertMaps(x, y, cv2.CV_16SC2)
    return UndistortionMaps(pixels, steps)
