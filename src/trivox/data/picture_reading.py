"""Read one picture of a dataset: an image file, or a frame of a video."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from trivox.data.pictures import Pictures, Recording
from trivox.data.video_runs import VideoRuns
from trivox.errors import InputError
from trivox.files.images import read_reduced_image
from trivox.files.videos import turned_picture
from trivox.geometry.cameras import Cameras


class ReadPicture(NamedTuple):
    """A picture of `image_hw`, of which every `factor` pixels are one; whether it still has its lens."""

    picture: UInt8[np.ndarray, "h w 3"]
    factor: int
    image_hw: tuple[int, int]
    lens_remains: bool


class PictureReader:
    """Pictures of a dataset; undistorted ones where they are wanted and exist."""

    def __init__(self, pictures: Pictures, undistorted: bool) -> None:
        self._pictures = pictures
        self._ready = undistorted and pictures.has_undistorted
        self._wants_lens = not undistorted
        self._videos = VideoRuns()

    def read(
        self, recording: Recording, camera_name: str, frame: int, camera: Cameras, largest_factor: float
    ) -> ReadPicture:
        """The picture of one camera, upright. Raises `InputError` where it is missing, damaged, or not of the camera's
        size."""
        place = self._pictures.place(recording, camera_name, frame, undistorted=self._ready)
        lens_remains = camera.has_distortion and not self._ready
        if place.number is not None:
            picture = turned_picture(self._videos.frame(place.path, place.number), place.quarter_turns)
            read = ReadPicture(picture, 1, (picture.shape[0], picture.shape[1]), lens_remains)
        else:
            # A lens is undone at full size.
            factor = 1.0 if lens_remains and not self._wants_lens else largest_factor
            stored = read_reduced_image(place.path, factor)
            h, w = stored.image_hw
            hw = (w, h) if place.quarter_turns % 2 else (h, w)
            read = ReadPicture(turned_picture(stored.picture, place.quarter_turns), stored.factor, hw, lens_remains)
        self._check_size(place.path, read.image_hw, camera)
        return read

    @staticmethod
    def _check_size(path: Path, image_hw: tuple[int, int], camera: Cameras) -> None:
        known = None if camera.image_hw is None else tuple(camera.image_hw.tolist())
        if known is not None and known != image_hw:
            (h, w), (h0, w0) = image_hw, known
            raise InputError(f"{path} is {w}x{h}, but its camera takes pictures of {w0}x{h0}; give the right pictures")
