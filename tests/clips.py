"""Small videos and image folders whose every picture carries its own number, for the tests to read back."""

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

HW = (64, 96)
_BITS = 12


def numbered_picture(number: int, image_hw: tuple[int, int] = HW) -> np.ndarray:
    """Gray, with `number` in bright bars along the top, lowest bit left, and a red bottom right corner."""
    h, w = image_hw
    picture = np.full((h, w, 3), 40, np.uint8)
    for bit in range(_BITS):
        if number >> bit & 1:
            picture[8:24, 8 * bit : 8 * bit + 8] = 220
    picture[h - 16 :, w - 16 :] = (200, 30, 30)
    return picture


def number_in(picture: np.ndarray) -> int:
    bars = picture[16, 4 : 8 * _BITS : 8].mean(axis=-1) > 128
    return sum(int(bar) << bit for bit, bar in enumerate(bars))


def write_clip(
    path: Path,
    frames: int = 40,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    *,
    fps: int = 25,
    gop: int = 12,
    b_frames: int = 3,
    times_ms: list[int] | None = None,
    degrees: int = 0,
    mirrored: bool = False,
    image_hw: tuple[int, int] = HW,
    noisy: bool = False,
) -> Path:
    """A video of the pictures 0, 1, ...; `times_ms` makes the frame rate vary, `noisy` the packets large."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=fps, options=options or {}))
        stream.height, stream.width = image_hw
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.thread_count = 1
        if codec in ("libx264", "mpeg4"):
            stream.codec_context.max_b_frames = b_frames
        if degrees or mirrored:
            stream.set_display_rotation(degrees, hflip=mirrored)
        base = Fraction(1, 1000) if times_ms else Fraction(1, fps)
        stream.codec_context.time_base = base
        container.start_encoding()  # so that a video of no frames is a file too
        for i in range(frames):
            picture = numbered_picture(i, image_hw)
            if noisy:
                picture[24:] = rng.integers(0, 256, picture[24:].shape)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = times_ms[i] if times_ms else i, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def copy_packets(source: Path, target: Path, *, skip_key_frames: int = 0, **options: str) -> Path:
    """Copy the coded pictures into another file, from one of its key frames on."""
    with av.open(str(source)) as reading, av.open(str(target), "w", options=options) as writing:
        stream = reading.streams.video[0]
        copied = writing.add_stream_from_template(stream)
        seen = 0
        for packet in reading.demux(stream):
            seen += packet.is_keyframe
            if packet.size and seen > skip_key_frames:
                packet.stream = copied
                writing.mux(packet)
    return target
