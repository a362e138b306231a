"""An H.264 video (.mp4) that grows by pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import UInt8


class Film:
    """Use it in a `with` block: the video is whole when the block ends without an error.

    `image_hw` are even (H.264 halves the colours' resolution). More `crf`, smaller files. One encoding thread gives
    the same bytes everywhere; `threads=0` takes all cores. Raises `OSError` where the file cannot be written.
    """

    def __init__(self, path: Path, image_hw: tuple[int, int], fps: float, crf: int, threads: int = 1) -> None:
        assert not any(side % 2 for side in image_hw), "H.264 takes even sides"
        self._path = path
        with self._faults_said():
            self._container = cast(OutputContainer, av.open(f"file:{path}", "w"))
            options = {"crf": str(crf), "preset": "medium"}
            stream = self._container.add_stream("libx264", rate=exact_rate(fps), options=options)
        self._stream = cast(VideoStream, stream)
        self._stream.height, self._stream.width = image_hw
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = threads

    def __enter__(self) -> Film:
        return self

    def add(self, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        with self._faults_said():
            self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

    def __exit__(self, kind: object, *_: object) -> None:
        with self._faults_said():
            if kind is None:
                self._container.mux(self._stream.encode())
            self._container.close()

    @contextmanager
    def _faults_said(self) -> Iterator[None]:
        try:
            yield
        except FFmpegError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error


def exact_rate(fps: float) -> Fraction:
    """The frame rate as the fraction it stands for: 29.97002997 is 30000/1001, as NTSC has it."""
    return Fraction(fps).limit_denominator(1001)
