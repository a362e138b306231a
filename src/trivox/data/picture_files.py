"""Pictures of scenes: of every camera of every recording a video, or a folder of numbered images.

No template of names: what lies in the folders is listed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from trivox.data.pictures import PicturePlace, Pictures, Recording
from trivox.errors import InputError
from trivox.files.frame_numbers import frame_numbers
from trivox.files.images import IMAGE_SUFFIXES, read_reduced_image
from trivox.files.videos import Video


@dataclass(frozen=True)
class PictureSource:
    """The pictures of one camera of one recording.

    path           a video, or a folder of images.
    image_hw       size (height, width) as stored.
    frames         numbers of the frames that have a picture, rising; those of a video count from 0.
    names          file name of every frame of a folder; None for a video.
    fps            of a video, where it tells.
    quarter_turns  clockwise ones that make the pictures upright.
    """

    path: Path
    image_hw: tuple[int, int]
    frames: Int64[np.ndarray, "F"]
    names: Mapping[int, str] | None = None
    fps: float | None = None
    quarter_turns: int = 0


def open_source(path: Path) -> PictureSource:
    """List a video or folder. Raises `InputError` where it cannot be read or two images have one number."""
    if not path.is_dir():
        info = Video(path).info
        return PictureSource(path, info.image_hw, np.arange(info.frame_count), fps=info.fps)
    names: dict[int, str] = {}
    images = sorted(file.name for file in path.iterdir() if _is_image(file))
    told = frame_numbers(images)
    if told.doubt:
        raise InputError(f"{path}: {told.doubt}; leave only the number of the frame in the names")
    for name, number in zip(images, told.numbers, strict=True):
        if number is None:
            raise InputError(f"{path / name} has no number in its name; name it after the number of its frame")
        if number in names:
            raise InputError(f"{path / names[number]} and {name} are both frame {number}; keep one of them")
        names[number] = name
    if not names:
        raise InputError(f"the folder {path} holds no picture ({', '.join(IMAGE_SUFFIXES)}); fill it, or remove it")
    frames = np.array(sorted(names), dtype=np.int64)
    # An eighth of the size is enough to see how large the whole is.
    return PictureSource(path, read_reduced_image(path / names[int(frames[0])], 8.0).image_hw, frames, names)


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")


@dataclass(frozen=True)
class PictureFiles(Pictures):
    """Pictures whose names follow no template: `sources` by name of the recording and camera, below `root`.

    There are none whose lens was undone beforehand.
    """

    template: str = "{recording}/{camera}/{file}"
    sources: Mapping[tuple[str, str], PictureSource] = field(default_factory=dict)

    def path(self, recording: Recording, camera: str, frame: int, undistorted: bool = False) -> Path:
        """The file of one picture: an image, or the video that holds it. Raises `InputError` where there is none."""
        return self.place(recording, camera, frame, undistorted).path

    def place(self, recording: Recording, camera: str, frame: int, undistorted: bool = False) -> PicturePlace:
        """Where one picture is. Raises `InputError` where there is none."""
        assert not undistorted, "ask for undistorted pictures only where there are some"
        source = self.sources.get((recording.name, camera))
        if source is None:
            raise InputError(f"{recording.name} has no pictures of camera {camera}; correct the labels")
        if source.names is None:
            return PicturePlace(source.path, frame, source.quarter_turns)
        if frame not in source.names:
            raise InputError(f"{source.path} has no picture with the number {frame}; correct the labels or add it")
        return PicturePlace(source.path / source.names[frame], None, source.quarter_turns)
