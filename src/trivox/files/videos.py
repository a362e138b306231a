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

Damage is never silent. A `partial` video goes on where it can: pictures are whole again from the next key frame on,
those until then are lost, and `Video.damage` says which.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain, islice, repeat
from pathlib import Path

import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from trivox.errors import InputError
from trivox.files.decoding import AVI, MP4, REORDER_LIMIT, Damaged, decoded, opened, packets
from trivox.files.synchrony import Clock, exact_period_s
from trivox.files.timelines import Timeline

_CLOCKWISE = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}
_BEFORE_ALL = -(2**62)


@dataclass(frozen=True)
class VideoInfo:
    """Known before reading. `image_hw` is (height, width) as displayed; image folders have no `fps`."""

    path: Path
    image_hw: tuple[int, int]
    frame_count: int
    fps: float | None


class Video:
    """A video file; each run through its pictures opens it anew and closes it when the run ends.

    Raises `InputError` where `path` is no video, has no picture, or, unless `partial`, is cut short.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        self._path, self._partial = path, partial
        self.cut: str | None = None
        """Where a `partial` video is shorter than it promises, why."""
        self._lost: list[tuple[int, int]] = []
        self._ticks: array[int] | None = None
        with opened(path) as (container, stream):
            first = self._first_picture(container, stream)
            self._flip, self._turns = _display(path, first)
            self._rate, self._tick_s = stream.average_rate or stream.guessed_rate, stream.time_base
            self._is_mp4 = container.format.name == MP4
            self._period_s = _regular_period_s(stream) if self._is_mp4 else None
            count = self._indexed_count(container, stream)
        if count is None:
            count = self._counted()
        h, w = (first.width, first.height) if self._turns % 2 else (first.height, first.width)
        self.info = VideoInfo(path, (h, w), count, float(self._rate or 0) or None)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """RGB pictures `start`, `start + step`, ... before `stop` (None: the end), decoded when asked for.

        Raises `InputError`, naming the frame, where the file is damaged. Close the iterator to stop early.
        """
        assert start >= 0 and step >= 1, "frames counts forward from 0"
        count = self.info.frame_count
        for picture in self.pictures(range(start, count if stop is None else min(stop, count), step)):
            assert picture is not None, "pictures of a partial video are read by `pictures`"
            yield picture

    def pictures(self, numbers: Sequence[int]) -> Generator[UInt8[np.ndarray, "h w 3"] | None, None, None]:
        """RGB pictures of these numbers, which rise or repeat, decoded when asked for. Close the iterator to stop.

        One that is lost to damage is None in a `partial` video, and `InputError`, naming the frame, in another.
        """
        if not numbers:
            return
        with closing(self._sought_each(numbers) if self._seeking_pays(numbers) else self._passed(numbers)) as frames:
            known, picture = -1, None
            for number, frame in zip(numbers, frames, strict=True):
                if number != known:
                    picture = None if frame is None else self._picture(frame, number)
                    known = number
                yield picture

    @property
    def damage(self) -> str | None:
        """What is known by now to be missing of a `partial` video, as a sentence."""
        if self.cut is None and not self._lost:
            return None
        spans = [f"{start} to {stop - 1}" if stop - start > 1 else str(start) for start, stop in self._lost]
        lost = [f"{self._path} is damaged: its frames {', '.join(spans)} cannot be decoded"] if spans else []
        return "; ".join(([] if self.cut is None else [self.cut]) + lost)

    @cached_property
    def clock(self) -> Clock | None:
        """When its pictures are shown, as the file states, else evenly at its rate; None where it states neither.

        An MP4 whose index says that they come evenly is not read for it.
        """
        count, rate = self.info.frame_count, self._rate
        if self._period_s and self._tick_s:
            start_s = float((self._first_pts or 0) * self._tick_s)
            return Clock.regular(count, self._period_s, start_s, counts_from_zero=True)
        ticks = self._ticks or (self._timeline.pts if self._timeline.complete else None)
        clock = None
        if ticks and self._tick_s:
            clock = Clock.of_ticks(
                np.array(ticks, np.int64), self._tick_s, rate, counts_from_zero=self._timeline.complete
            )
        return clock or (Clock.regular(count, 1 / rate) if rate else None)

    def _seeking_pays(self, numbers: Sequence[int]) -> bool:
        """Whether key frames are closer to each other than what is asked for."""
        step = (numbers[-1] - numbers[0]) / max(1, len(numbers) - 1)
        if step <= REORDER_LIMIT or not self._timeline.seekable:
            return False
        return step * len(self._timeline.key_pts) >= len(self._timeline.pts)

    def _sought_each(self, numbers: Sequence[int]) -> Generator[VideoFrame | None, None, None]:
        with opened(self._path) as (container, stream):
            for number in numbers:
                if self._lost_until(number) > number:
                    yield None
                    continue
                try:
                    frame = next(self._sought(container, stream, number) or self._decoded_from(number), None)
                except Damaged:
                    if not self._partial:
                        raise
                    self._lose(number)
                    frame = None
                yield frame

    def _passed(self, numbers: Sequence[int]) -> Generator[VideoFrame | None, None, None]:
        """By decoding everything from the first of them to the last."""
        at, frame = numbers[0] - 1, None
        with closing(self._all_from(numbers[0])) as frames:
            for number in numbers:
                while at < number:
                    frame, at = next(frames), at + 1
                yield frame

    def _all_from(self, number: int) -> Generator[VideoFrame | None, None, None]:
        """Pictures from `number` on; None for those lost to damage, until the next key frame that can be decoded."""
        count = self.info.frame_count
        while number < count:
            if (until := self._lost_until(number)) > number:
                yield from repeat(None, until - number)
                number = until
                continue
            try:
                for frame in islice(self._decoded_from(number), count - number):
                    yield frame
                    number += 1
                if number < count:
                    raise Damaged(
                        f"{self._path} ends before frame {number}, though its index promises {count} frames; "
                        "copy or record it again"
                    )
            except Damaged:
                if not self._partial:
                    raise
                self._lose(number)

    def _lost_until(self, number: int) -> int:
        return next((stop for start, stop in self._lost if start <= number < stop), number)

    def _lose(self, number: int) -> None:
        """Nothing can be decoded from `number` on until the next key frame."""
        following = self._timeline.key_frame_after(number) if self._timeline.seekable else None
        stop = self.info.frame_count if following is None else following
        joined = [(start, end) for start, end in self._lost if end < number or start > stop]
        touching = [span for span in self._lost if span not in joined]
        first = min((start for start, _ in touching), default=number)
        last = max((end for _, end in touching), default=stop)
        self._lost = sorted([*joined, (min(first, number), max(last, stop))])

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

    def _decoded_from(self, start: int) -> Generator[VideoFrame, None, None]:
        """Pictures from number `start` on, decoded from the key frame before it if timestamps allow it."""
        if start > 0 and self._timeline.seekable:
            with opened(self._path) as (container, stream):
                sought = self._sought(container, stream, start)
                if sought is not None:
                    yield from sought
                    return
        with opened(self._path) as (container, stream):
            yield from islice(decoded(self._path, container, stream, times_rise=self._times_rise), start, None)

    def _sought(self, container: InputContainer, stream: VideoStream, start: int) -> Iterator[VideoFrame] | None:
        """Pictures from number `start` on by its timestamp; None if the key frame did not lead there."""
        target = self._timeline.pts[start]
        key_pts, key_number = self._timeline.key_frame_before(target)
        container.seek(key_pts, stream=stream)
        frames = decoded(self._path, container, stream, key_number, self._times_rise)
        frame = next((frame for frame in frames if frame.pts is None or frame.pts >= target), None)
        return chain([frame], frames) if frame is not None and frame.pts == target else None

    def _times_rise(self) -> bool:
        return self._timeline.seekable

    def _first_picture(self, container: InputContainer, stream: VideoStream) -> VideoFrame:
        try:
            first = next(decoded(self._path, container, stream), None)
        except Damaged as damage:
            if not self._partial:
                raise
            return self._first_after(damage)
        if first is None:
            raise InputError(f"{self._path} has no picture that can be decoded; give a video with at least one frame")
        self._first_pts = first.pts
        return first

    def _first_after(self, damage: Damaged) -> VideoFrame:
        """The first picture that can be decoded where the very first cannot: numbers go by the times of all."""
        self._first_pts = _BEFORE_ALL
        if not self._timeline.seekable:
            raise damage
        self._first_pts = self._timeline.pts[0]
        number = self._timeline.key_frame_after(0)
        while number is not None:
            with suppress(Damaged), opened(self._path) as (container, stream):
                if frames := self._sought(container, stream, number):
                    return next(frames)
            number = self._timeline.key_frame_after(number)
        raise damage

    def _indexed_count(self, container: InputContainer, stream: VideoStream) -> int | None:
        """Pictures by the sample index of an MP4 or MOV, or None where that is absent or not complete."""
        index = stream.index_entries
        if container.format.name != MP4 or not len(index) or len(index) != stream.frames:
            return None
        size = self._path.stat().st_size
        whole = sum(entry.pos + entry.size <= size for entry in index)
        if whole < len(index):
            cut = (
                f"{self._path} is cut short: it holds about {whole} of its {len(index)} frames; copy or record it again"
            )
            if not self._partial:
                raise Damaged(cut)
            self.cut = cut
            return None
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
            self.cut = self.cut or self._timeline.damage
            return len(self._timeline.pts)
        count = 0
        with opened(self._path) as (container, stream):
            is_avi = container.format.name == AVI  # one packet, one picture
            ticks = array("q")
            try:
                for item in (
                    packets(self._path, container, stream) if is_avi else decoded(self._path, container, stream)
                ):
                    count += 1
                    if item.dts is not None:
                        ticks.append(item.dts)
            except Damaged as damage:
                if not self._partial or not count:
                    raise
                self.cut = str(damage)
        self._ticks = ticks if is_avi and len(ticks) == count else None
        return count

    @cached_property
    def _timeline(self) -> Timeline:
        with opened(self._path) as (container, stream):
            return Timeline.read(self._path, container, stream, self._first_pts, partial=self._partial)


def _regular_period_s(stream: VideoStream) -> Fraction | None:
    """The distance of pictures that come evenly by the index of an MP4 or MOV, but for a tenth; None where not."""
    ticks = np.array([entry.timestamp for entry in stream.index_entries], np.int64)
    if len(ticks) < 2 or len(ticks) != stream.frames or ticks[-1] <= ticks[0] or stream.time_base is None:
        return None
    even = np.linspace(ticks[0], ticks[-1], len(ticks))
    if np.abs(ticks - even).max() > 0.1 * (even[1] - even[0]):
        return None
    return exact_period_s(int(ticks[-1] - ticks[0]), len(ticks) - 1, stream.time_base, stream.average_rate)


def turned_picture(picture: UInt8[np.ndarray, "h w c"], turns: int) -> UInt8[np.ndarray, "h2 w2 c"]:
    """The picture turned clockwise by quarter turns, contiguous."""
    return cv2.rotate(picture, _CLOCKWISE[turns % 4]) if turns % 4 else picture


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
