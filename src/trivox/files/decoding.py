"""Pictures out of a video file, in presentation order, with no loss unsaid.

A thin layer over FFmpeg (PyAV): open, packets, pictures. Damage can pass silently there, because a decoder
may drop a picture without a word; so every packet that goes in must come out as a picture, or reading ends
with an error that names the frame. (Damage that a decoder takes for a picture is not seen: video has no
checksums.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from trivox.errors import InputError

MP4, MKV, AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
REORDER_LIMIT = 16  # pictures a codec may hold back (H.264, HEVC)

_PICTURES = ("png_pipe", "jpeg_pipe", "bmp_pipe", "tiff_pipe", "webp_pipe", "gif", "apng")
# Files that hold their pictures themselves. FFmpeg also takes lists of other files and addresses (HLS, DASH, concat,
# SDP, numbered pictures), whatever their name: such a text would have it read what nobody gave.
_CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "f4v", "mxf", "ogg", "nut", "ivf", "dv"),
    *("wtv", "rm", "cine", "yuv4mpegpipe", "h264", "hevc", "vvc", "av1", "obu", "m4v", "mjpeg", "vc1"),
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join((*_CONTAINERS, *_PICTURES))}


class Damaged(InputError):
    """A video breaks off, or a picture of it cannot be decoded: those before it are whole."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its first video stream, closed on leaving. Nothing but this file is ever opened."""
    _refuse_no_file(path)
    try:
        container = av.open(f"file:{path}", metadata_errors="replace", options=dict(_OPTIONS))
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a video ({_reason(error)}); give an MP4, MKV, AVI or similar"
        ) from error
    with container:
        if container.format.name in _PICTURES:
            raise InputError(f"{path} is a single picture, not a video; give its folder to read pictures as a video")
        covers = Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & covers]
        if not streams:
            raise InputError(f"{path} has no video stream; give a file that holds pictures")
        stream = streams[0]
        if stream.codec_context is None:
            raise InputError(f"{path} is coded in a way that cannot be decoded here; convert it, to H.264 in MP4 say")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 4  # bounds the pictures in flight on machines with many cores
        if stream.codec_context.name == "mjpeg":  # every picture stands alone, and damage is silent otherwise
            stream.codec_context.options = {"err_detect": "explode"}
        yield container, stream


def _refuse_no_file(path: Path) -> None:
    """Opening a pipe would wait for ever, and a device may never end."""
    if not path.exists():
        raise InputError(f"there is no video file {path}; check the path")
    if not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe or device"
        raise InputError(f"there is no video file {path}: it is {what}; give a file that holds pictures")
    if path.stat().st_size == 0:
        raise InputError(f"{path} cannot be read as a video: it is empty; copy or record it again")


def packets(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """The stream's packets from where the file stands, less the empty ones (an AVI's repeated pictures)."""
    number = 0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise Damaged(f"{path} is damaged or cut short near frame {number}; copy or record it again")
            if packet.size:
                yield packet
                number += 1
    except (FFmpegError, OSError) as error:
        raise _damaged(path, number, _reason(error)) from error


def decoded(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    number: int = 0,
    times_rise: Callable[[], bool] | None = None,
) -> Iterator[VideoFrame]:
    """Pictures in presentation order from where the file stands; messages count from `number`.

    `times_rise`, asked in case of doubt, tells whether pictures come out in the order of their times. Then none comes
    after a lost one: `Damaged` is raised before it.
    """
    ledger = _Ledger(times_rise) if times_are_stated(container, stream) else None
    for packet in chain(packets(path, container, stream), [None]):
        if ledger and packet:
            ledger.enter(packet)
        try:
            frames = stream.decode(packet)
        except (FFmpegError, OSError) as error:
            raise _damaged(path, number, _reason(error)) from error
        for frame in frames:
            if frame.is_corrupt:
                raise _damaged(path, number, "the picture is broken")
            if ledger and (behind := ledger.leave(frame)) is not None:
                raise _damaged(path, number - behind, "the picture is missing")
            yield frame
            number += 1
    if ledger and ledger.waiting:
        raise _damaged(path, number, "the last pictures are missing")


class _Ledger:
    """Holds the decoder to its duty: for every packet that goes in, a picture comes out.

    Where pictures come out in the order of their times, one is lost when a later one comes. Where they may come out
    late, it counts as lost only when `REORDER_LIMIT` later ones have come. Those before the first to come out are no
    loss: they lean on pictures before the cut or the seek.
    """

    def __init__(self, times_rise: Callable[[], bool] | None) -> None:
        self.waiting: set[int] = set()
        self._times_rise = times_rise
        self._recent: deque[int] = deque(maxlen=REORDER_LIMIT)
        self._first: int | None = None

    def enter(self, packet: Packet) -> None:
        if packet.pts is not None and not packet.is_discard:
            self.waiting.add(packet.pts)

    def leave(self, frame: VideoFrame) -> int | None:
        """Cross a picture off; how many pictures ago one was lost, or None."""
        if frame.pts is None:
            return None
        if self._first is None:
            self._first = frame.pts
        self.waiting = {pts for pts in self.waiting if pts > self._first and pts != frame.pts}
        self._recent.append(frame.pts)
        if not self.waiting or min(self.waiting) > frame.pts:
            return None
        if self._times_rise is not None and self._times_rise():
            return 0
        late = len(self._recent) == REORDER_LIMIT and min(self.waiting) < min(self._recent)
        return REORDER_LIMIT - 1 if late else None


def _damaged(path: Path, number: int, reason: str) -> Damaged:
    return Damaged(f"{path} is damaged near frame {number} ({reason}); copy or record it again")


def times_are_stated(container: InputContainer, stream: VideoStream) -> bool:
    """Whether every picture is one packet with its time. (VP8 has packets that show nothing.)"""
    return container.format.name in (MP4, MKV) and stream.codec_context.name not in ("vp8", "libvpx")


def _reason(error: Exception) -> str:
    if isinstance(error, ArgumentError):  # how FFmpeg says that a format is not on the list
        return "it is a list of other files, or no kind of video that is read"
    return getattr(error, "strerror", None) or str(error)
