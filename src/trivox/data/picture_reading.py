"""Read one picture of a dataset: an image file, or a frame of a video."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from trivox.data.pictures import Pictures, Recording
from trivox.errors import InputError
from trivox.files.images import read_reduced_image
from trivox.files.videos import Video
from trivox.geometry.cameras import Cameras

# An open video keeps the times of its frames, not its pictures.
_VIDEOS_KEPT = 32


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
        self._ready = undistorted and pictures.undistorted is not None
        self._wants_lens = not undistorted
        self._videos: OrderedDict[Path, Video] = OrderedDict()

    def read(
        self, recording: Recording, camera_name: str, frame: int, camera: Cameras, largest_factor: float
    ) -> ReadPicture:
        """The picture of one camera. Raises `InputError` where it is missing, damaged, or not of the camera's size."""
        path = self._pictures.path(recording, camera_name, frame, undistorted=self._ready)
        lens_remains = camera.has_distortion and not self._ready
        if self._pictures.are_videos and not self._ready:
            picture = self._frame(path, frame + self._pictures.first_file)
            read = ReadPicture(picture, 1, (picture.shape[0], picture.shape[1]), lens_remains)
        else:
            # A lens is undone at full size.
            factor = 1.0 if lens_remains and not self._wants_lens else largest_factor
            read = ReadPicture(*read_reduced_image(path, factor), lens_remains)
        self._check_size(path, read.image_hw, camera)
        return read

    def _frame(self, path: Path, number: int) -> UInt8[np.ndarray, "h w 3"]:
        if path not in self._videos:
            self._videos[path] = Video(path)
            if len(self._videos) > _VIDEOS_KEPT:
                self._videos.popitem(last=False)
        frames = self._videos[path].frames(number, number + 1)
        picture = next(frames, None)
        if picture is None:
            count = self._videos[path].info.frame_count
            raise InputError(f"{path} has no frame {number}, only {count}; correct the labels or the video")
        return picture

    def _check_size(self, path: Path, image_hw: tuple[int, int], camera: Cameras) -> None:
        known = None if camera.image_hw is None else tuple(camera.image_hw.tolist())
        if known is not None and known != image_hw:
            (h, w), (h0, w0) = image_hw, known
            raise InputError(f"{path} is {w}x{h}, but its camera takes pictures of {w0}x{h0}; give the right pictures")
