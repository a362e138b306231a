"""Video files, read one picture at a time and exact to the frame.

Frame i is the i-th picture in presentation order that can be shown: what a decoder gives when it starts at
the beginning. Pictures hidden by an edit list, or left without their reference by a cut, are not counted.
Pictures come as a player displays them: the turn or mirror that phones write as a display matrix is applied.
Pixels are taken as square, and no picture is kept.

Two things that containers do make care necessary:

1. The frame count in a header can lie. It is taken from a complete sample index (MP4, MOV), else from the
   packets, else by decoding; what decoding then gives must agree, or the file is refused.
2. Timestamps may be missing, repeated or wrong. Only MP4, MOV, MKV and WebM state when each picture is shown,
   and even there they are trusted only if they are distinct and ordered as the codec needs. Then reading from
   the middle seeks to the key frame before it; otherwise pictures are counted from the start.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from trivox.errors import InputError
from trivox.files.decoding import AVI, MP4, REORDER_LIMIT, decoded, opened, packets, times_are_stated

_CLOCKWISE = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True)
class VideoInfo:
    """Known before reading. `image_hw` is (height, width) as displayed; image folders have no `fps`."""

    path: Path
    image_hw: tuple[int, int]
    frame_count: int
    fps: float | None


class Video:
    """A video file; each run through `frames` opens it anew and closes it when the run ends.

    Raises `InputError` where `path` is no video, has no picture, or is cut short.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with opened(path) as (container, stream):
            first = next(decoded(path, container, stream), None)
            if first is None:
                raise InputError(f"{path} has no picture that can be decoded; give a video with at least one frame")
            self._first_pts = first.pts
            self._flip, self._turns = _display(path, first)
            fps = float(stream.average_rate or stream.guessed_rate or 0) or None
            count = self._indexed_count(container, stream)
        if count is None:
            count = self._counted()
        h, w = (first.width, first.height) if self._turns % 2 else (first.height, first.width)
        self.info = VideoInfo(path, (h, w), count, fps)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """RGB pictures `start`, `start + step`, ... before `stop` (None: the end), decoded when asked for.

        Raises `InputError`, naming the frame, where the file is damaged. Close the iterator to stop early.
        """
        assert start >= 0 and step >= 1, "frames counts forward from 0"
        count = self.info.frame_count
        stop = count if stop is None else min(stop, count)
        if start >= stop:
            return
        following = start
        for frame in self._sampled(start, stop, step):
            yield self._picture(frame, following)
            following += step
        if following < stop:
            raise InputError(
                f"{self._path} ends before frame {following}, though its index promises {count} frames; "
                "copy or record it again"
            )

    def _sampled(self, start: int, stop: int, step: int) -> Iterator[VideoFrame]:
        """Every `step`-th picture: by decoding all, or by seeking to each where key frames are closer."""
        times = self._timeline if step > REORDER_LIMIT else None
        if times is None or not times.seekable or step * len(times.key_pts) < len(times.pts):
            yield from islice(self._decoded_from(start), 0, stop - start, step)
            return
        with opened(self._path) as (container, stream):
            for number in range(start, stop, step):
                frames = self._sought(container, stream, number) or self._decoded_from(number)
                yield from islice(frames, 1)

    def _picture(self, frame: VideoFrame, number: int) -> UInt8[np.ndarray, "h w 3"]:
        picture = frame.to_ndarray(format="rgb24")
        if self._flip:
            picture = cv2.flip(picture, 1)
        picture = turned_picture(picture, self._turns)
        if picture.shape[:2] != self.info.image_hw:
            (h, w), (h0, w0) = picture.shape[:2], self.info.image_hw
            raise InputError(
                f"{self._path}: frame {number} is {w}x{h}, the frames before it {w0}x{h0}; "
                "give a video of one picture size"
            )
        return picture

    def _decoded_from(self, start: int) -> Iterator[VideoFrame]:
        """Pictures from number `start` on, decoded from the key frame before it if timestamps allow it."""
        if start > 0 and self._timeline.seekable:
            with opened(self._path) as (container, stream):
                sought = self._sought(container, stream, start)
                if sought is not None:
                    yield from sought
                    return
        with opened(self._path) as (container, stream):
            yield from islice(decoded(self._path, container, stream), start, None)

    def _sought(self, container: InputContainer, stream: VideoStream, start: int) -> Iterator[VideoFrame] | None:
        """Pictures from number `start` on by its timestamp; None if the key frame did not lead there."""
        target = self._timeline.pts[start]
        key_dts, key_number = self._timeline.key_frame_before(target)
        container.seek(key_dts, stream=stream)
        frames = decoded(self._path, container, stream, number=key_number)
        frame = next((frame for frame in frames if frame.pts is None or frame.pts >= target), None)
        return chain([frame], frames) if frame is not None and frame.pts == target else None

    def _indexed_count(self, container: InputContainer, stream: VideoStream) -> int | None:
        """Pictures by the sample index of an MP4 or MOV, or None where that is absent or not complete."""
        index = stream.index_entries
        if container.format.name != MP4 or not len(index) or len(index) != stream.frames:
            return None
        size = self._path.stat().st_size
        whole = sum(entry.pos + entry.size <= size for entry in index)
        if whole < len(index):
            raise InputError(
                f"{self._path} is cut short: it holds about {whole} of its {len(index)} frames; copy or record it again"
            )
        shown = sum(not entry.is_discard for entry in index)
        return shown - self._leading()

    def _leading(self) -> int:
        """Pictures before the first that can be decoded: leftovers of the group the video was cut from."""
        leading = 0
        with opened(self._path) as (container, stream):
            for packet in packets(self._path, container, stream):
                if packet.dts is None or self._first_pts is None or packet.dts >= self._first_pts:
                    break
                leading += not packet.is_discard and packet.pts is not None and packet.pts < self._first_pts
        return leading

    def _counted(self) -> int:
        if self._timeline.complete:
            return len(self._timeline.pts)
        with opened(self._path) as (container, stream):
            if container.format.name == AVI:  # one packet, one picture
                return sum(1 for _ in packets(self._path, container, stream))
            return sum(1 for _ in decoded(self._path, container, stream))

    @cached_property
    def _timeline(self) -> _Timeline:
        with opened(self._path) as (container, stream):
            return _Timeline.read(self._path, container, stream, self._first_pts)


@dataclass(frozen=True)
class _Timeline:
    """When each picture is shown, in the stream's ticks: 8 bytes per picture, found without decoding."""

    pts: array[int]
    key_pts: array[int]
    key_dts: array[int]
    complete: bool
    """One entry per picture."""
    seekable: bool
    """The i-th time is the time of the i-th picture that a decoder gives."""

    @classmethod
    def read(cls, path: Path, container: InputContainer, stream: VideoStream, first_pts: int | None) -> _Timeline:
        pts, key_pts, key_dts = array("q"), array("q"), array("q")
        if first_pts is None or not times_are_stated(container, stream):
            return cls(pts, key_pts, key_dts, complete=False, seekable=False)
        for packet in packets(path, container, stream):
            if packet.pts is None:
                return cls(pts, key_pts, key_dts, complete=False, seekable=False)
            if packet.is_discard or packet.pts < first_pts:
                continue
            pts.append(packet.pts)
            if packet.is_keyframe:
                key_pts.append(packet.pts)
                key_dts.append(packet.pts if packet.dts is None else packet.dts)
        in_order = array("q", sorted(pts))
        _refuse_cut(path, stream, in_order)
        # Times made up by a careless copy from an AVI: the codec may reorder pictures, their times never do.
        suspect = stream.codec_context.reorder_depth > 0 and pts == in_order
        seekable = _rising(in_order) and _rising(key_pts) and not (suspect and _made_up(path))
        return cls(in_order, key_pts, key_dts, complete=True, seekable=seekable)

    def key_frame_before(self, pts: int) -> tuple[int, int]:
        """(decoding time, picture number) of the last key frame shown no later than `pts`."""
        position = max(bisect_right(self.key_pts, pts) - 1, 0)
        return self.key_dts[position], bisect_right(self.pts, self.key_pts[position]) - 1


def _rising(values: array[int]) -> bool:
    return len(values) > 0 and all(a < b for a, b in zip(values, islice(values, 1, None), strict=False))


def _made_up(path: Path) -> bool:
    """Whether the first pictures do not come out in the order of their times."""
    with opened(path) as (container, stream):
        pts = [frame.pts for frame in islice(decoded(path, container, stream), 8 * REORDER_LIMIT)]
    return not all(a is not None and b is not None and a < b for a, b in zip(pts, pts[1:], strict=False))


def turned_picture(picture: UInt8[np.ndarray, "h w c"], turns: int) -> UInt8[np.ndarray, "h2 w2 c"]:
    """The picture turned clockwise by quarter turns, contiguous."""
    return cv2.rotate(picture, _CLOCKWISE[turns % 4]) if turns % 4 else picture


def _refuse_cut(path: Path, stream: VideoStream, pts: array[int]) -> None:
    """Compare with the length that an MKV or WebM states for the stream. (An MP4 has its index for this.)"""
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match is None or stream.time_base is None or len(pts) < 2:
        return
    hours, minutes, seconds = map(float, match.groups())
    stated_s = 3600 * hours + 60 * minutes + seconds
    last_s = float(pts[-1] * stream.time_base)
    usual_s = float((pts[-1] - pts[0]) * stream.time_base) / (len(pts) - 1)
    if stated_s - last_s > 1.0 + 2 * usual_s:
        raise InputError(
            f"{path} is cut short after frame {len(pts) - 1}: it states {stated_s:.1f} s but ends at "
            f"{last_s:.1f} s; copy or record it again"
        )


def _display(path: Path, frame: VideoFrame) -> tuple[bool, int]:
    """(mirror left-right first, then clockwise quarter turns) by the display matrix of ISO 14496-12.

    Its 16.16 numbers a b u c d v x y w send a stored (x, y) to a displayed (a x + c y, b x + d y).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, 0
    a, b, _, c, d = (np.frombuffer(bytes(data), np.int32)[:5] / 65536).tolist()
    flip = a * d - b * c < 0
    along_x = (-a, -b) if flip else (a, b)
    directions = {(1, 0): 0, (0, 1): 1, (-1, 0): 2, (0, -1): 3}
    turns = directions.get((round(along_x[0]), round(along_x[1])))
    if turns is None:
        raise InputError(f"{path} is to be displayed at an odd angle; only quarter turns can be read")
    return flip, turns
