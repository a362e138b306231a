"""Single frames out of many videos, cheap where they are asked for nearly in order.

Finding a frame means decoding from the key frame before it, often hundreds of pictures. So a run through each video is
kept open: a frame a little ahead is reached by going on, and the last one is at hand (several people share it).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trivox.errors import InputError
from trivox.files.videos import Video

# An open run holds a decoder and some pictures.
_VIDEOS_KEPT = 32
# So many frames are passed over sooner than a key frame is looked for.
_STRIDE = 48
# Runs that a forked process got from its parent, without the threads that decode them: they cannot even be closed.
_LEFT_BEHIND: list[Any] = []


class VideoRuns:
    """Frames of videos by path and number. A copy in another process begins without open videos."""

    def __init__(self) -> None:
        self._runs: OrderedDict[Path, _Run] = OrderedDict()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()

    def frame(self, path: Path, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """Frame `number` of the video, not to be written to. Raises `InputError` where there is none."""
        if self._process != os.getpid():
            _LEFT_BEHIND.append(self._runs)
            self.__init__()
        if path not in self._runs:
            self._runs[path] = _Run(path)
            if len(self._runs) > _VIDEOS_KEPT:
                self._runs.popitem(last=False)
        self._runs.move_to_end(path)
        return self._runs[path].frame(number)


class _Run:
    def __init__(self, path: Path) -> None:
        self._path, self._video = path, Video(path)
        self._following = 0
        self._pictures: Iterator[np.ndarray] = iter(())
        self._last: np.ndarray | None = None

    def frame(self, number: int) -> np.ndarray:
        count = self._video.info.frame_count
        if not 0 <= number < count:
            raise InputError(f"{self._path} has no frame {number}, only {count}; correct the labels or the video")
        if self._last is not None and number == self._following - 1:
            return self._last
        if self._last is None or not self._following <= number < self._following + _STRIDE:
            self._pictures, self._following = self._video.frames(number), number
        # Where the video breaks off, no run is left to go on with.
        self._last = None
        self._last = picture = next(islice(self._pictures, number - self._following, None))
        self._following = number + 1
        return picture
