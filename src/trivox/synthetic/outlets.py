"""Pictures of a scene into files: one image for each camera and frame, or one video for each camera."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from trivox.errors import InputError
from trivox.files.atomic import atomic_write
from trivox.synthetic.renderer import Renderer
from trivox.synthetic.scene import Scene

Advance = Callable[[int], None]
_JPEG_QUALITY = 93
_CRF = 18


def write_images(scene: Scene, threads: int, path_of: Callable[[str, int], Path], advance: Advance) -> None:
    """Write `path_of(camera, frame)` (.jpg) for every camera and frame."""
    for frame, pictures in enumerate(Renderer(scene, threads).frames(range(scene.options.frames))):
        for name, picture in zip(scene.names, pictures, strict=True):
            coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
            with atomic_write(path_of(name, frame)) as temporary:
                temporary.write_bytes(coded.tobytes())
        advance(1)


def write_videos(scene: Scene, threads: int, path_of: Callable[[str], Path], advance: Advance, crf: int = _CRF) -> None:
    """Write `path_of(camera)` (.mp4, H.264) for every camera; all of them whole or none. More `crf`, smaller files."""
    check_even(scene.options.image_hw)
    with ExitStack() as stack:
        temporaries = [stack.enter_context(atomic_write(path_of(name))) for name in scene.names]
        films = [stack.enter_context(_Film(path, scene, crf)) for path in temporaries]
        for pictures in Renderer(scene, threads).frames(range(scene.options.frames)):
            for film, picture in zip(films, pictures, strict=True):
                film.add(picture)
            advance(1)


def check_even(image_hw: tuple[int, int]) -> None:
    """H.264 halves the colours' resolution. Raises `InputError` for an odd side."""
    if any(side % 2 for side in image_hw):
        h, w = image_hw
        raise InputError(f"videos need pictures of even sides, not {h} x {w}; choose others, or --pictures images")


class _Film:
    """An H.264 video that grows by pictures. One encoding thread: the same bytes everywhere."""

    def __init__(self, path: Path, scene: Scene, crf: int) -> None:
        self._container = cast(OutputContainer, av.open(str(path), "w"))
        rate = Fraction(scene.options.fps).limit_denominator(1000)
        stream = self._container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "medium"})
        self._stream = cast(VideoStream, stream)
        self._stream.height, self._stream.width = scene.views[0].image_hw
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1

    def __enter__(self) -> _Film:
        return self

    def add(self, picture: np.ndarray) -> None:
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._container.mux(self._stream.encode())
        self._container.close()
