"""When each picture of a video is shown, by its packets and without decoding."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from trivox.files.decoding import REORDER_LIMIT, Damaged, decoded, opened, packets, times_are_stated


@dataclass(frozen=True)
class Timeline:
    """Times in the stream's ticks, 8 bytes per picture, and the key frames among them."""

    pts: Sequence[int]
    key_pts: Sequence[int]
    complete: bool
    """One entry per picture."""
    seekable: bool
    """The i-th time is the time of the i-th picture that a decoder gives."""
    damage: str | None = None
    """Why there are fewer entries than the file promises, as a sentence."""

    @classmethod
    def read(
        cls, path: Path, container: InputContainer, stream: VideoStream, first_pts: int | None, *, partial: bool
    ) -> Timeline:
        """Raises `Damaged` where the file breaks off, unless `partial`: then it ends there, and `damage` says so."""
        pts, key_pts = array("q"), array("q")
        damage, last_dts = None, None
        if first_pts is None or not times_are_stated(container, stream):
            return cls(pts, key_pts, complete=False, seekable=False)
        try:
            for packet in packets(path, container, stream):
                if packet.pts is None:
                    return cls(pts, key_pts, complete=False, seekable=False)
                if packet.is_discard or packet.pts < first_pts:
                    continue
                pts.append(packet.pts)
                last_dts = packet.dts
                if packet.is_keyframe:
                    key_pts.append(packet.pts)
            in_order = array("q", sorted(pts))
            _refuse_cut(path, stream, in_order)
        except Damaged as error:
            if not partial or not pts:
                raise
            # Of those shown after the last packet was due for decoding, some may be missing.
            last = last_dts if last_dts is not None else max(pts)
            in_order, damage = array("q", sorted(own for own in pts if own <= last)), str(error)
            key_pts = array("q", (own for own in key_pts if own <= last))
        # Times made up by a careless copy from an AVI: the codec may reorder pictures, their times never do.
        suspect = stream.codec_context.reorder_depth > 0 and pts == in_order
        seekable = _rising(in_order) and _rising(key_pts) and not (suspect and _made_up(path))
        return cls(in_order, key_pts, complete=True, seekable=seekable, damage=damage)

    def key_frame_before(self, pts: int) -> tuple[int, int]:
        """(time, picture number) of the last key frame shown no later than `pts`."""
        position = max(bisect_right(self.key_pts, pts) - 1, 0)
        return self.key_pts[position], self._number(position)

    def key_frame_after(self, number: int) -> int | None:
        """Picture number of the first key frame after picture `number`; None where there is none."""
        position = bisect_right(self.key_pts, self.pts[number])
        return self._number(position) if position < len(self.key_pts) else None

    def _number(self, position: int) -> int:
        return bisect_right(self.pts, self.key_pts[position]) - 1


def _rising(values: Sequence[int]) -> bool:
    return len(values) > 0 and all(a < b for a, b in zip(values, islice(values, 1, None), strict=False))


def _made_up(path: Path) -> bool:
    """Whether the first pictures do not come out in the order of their times."""
    pts: list[int | None] = []
    with opened(path) as (container, stream), suppress(Damaged):  # what comes before says enough
        pts.extend(frame.pts for frame in islice(decoded(path, container, stream), 8 * REORDER_LIMIT))
    return not all(a is not None and b is not None and a < b for a, b in zip(pts, pts[1:], strict=False))


def _refuse_cut(path: Path, stream: VideoStream, pts: Sequence[int]) -> None:
    """Compare with the length that an MKV or WebM states for the stream. (An MP4 has its index for this.)"""
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match is None or stream.time_base is None or len(pts) < 2:
        return
    hours, minutes, seconds = map(float, match.groups())
    stated_s = 3600 * hours + 60 * minutes + seconds
    last_s = float(pts[-1] * stream.time_base)
    usual_s = float((pts[-1] - pts[0]) * stream.time_base) / (len(pts) - 1)
    if stated_s - last_s > 1.0 + 2 * usual_s:
        raise Damaged(
            f"{path} is cut short after frame {len(pts) - 1}: it states {stated_s:.1f} s but ends at "
            f"{last_s:.1f} s; copy or record it again"
        )
