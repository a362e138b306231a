"""Pictures of one instant are those of one time, whatever the rates, gaps and lengths of the videos."""

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from clips import HW, number_in, numbered_picture, write_clip
from hypothesis import given
from hypothesis import strategies as st
from test_views import rig_of

from trivox.errors import InputError
from trivox.files.synchrony import Clock, synchronized, usual_period_s
from trivox.files.views import Views

MS = Fraction(1, 1000)
NTSC = Fraction(30000, 1001)


def clock(times_ms: list[int], **options: bool) -> Clock:
    own = Clock.of_ticks(np.array(times_ms), MS, None, **options)
    assert own is not None
    return own


def gaps(count: int, missing: set[int], ms: int = 40) -> list[int]:
    return [ms * i for i in range(count) if i not in missing]


# Times in milliseconds of two views, which instants there are, and what each gives.
RECORDINGS = {
    "gaps in both": (gaps(12, {4, 5}), gaps(12, {8}), 12),
    "one with gaps": (gaps(12, set()), gaps(12, {2, 7}), 12),
    "the same gaps": (gaps(12, {3}), gaps(12, {3}), 12),
    "twice the rate": ([20 * i for i in range(23)], gaps(12, set()), 12),
    "one starts late": (gaps(12, {0, 1}), gaps(12, {5}), 12),
    "one ends early": (gaps(9, {2}), gaps(12, set()), 9),
    "drift": ([40 * i for i in range(80)], [41 * i for i in range(78)], 78),
    "jitter and a gap": ([40 * i + 11 * (i % 3) for i in range(20)], gaps(20, {9}), 20),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_picture_is_within_half_a_period_of_its_instant(name: str) -> None:
    *times_ms, count = RECORDINGS[name]
    clocks = [clock(own, counts_from_zero=True) for own in times_ms]
    found = synchronized(("a", "b"), clocks)
    assert found is not None and len(found.numbers[0]) == count
    half_ms = 500 / float(found.rate)
    for own_ms, numbers in zip(times_ms, found.numbers, strict=True):
        at_ms = np.array(own_ms)[np.maximum(numbers, 0)]
        instants_ms = np.arange(count) * 1000 / float(found.rate) + min(times_ms[0][0], times_ms[1][0])
        given_any = numbers >= 0
        assert np.abs(at_ms - instants_ms)[given_any].max() <= half_ms * 1.001
        # A picture that is left out has none nearer, by looking at all of them.
        for instant_ms in instants_ms[~given_any]:
            assert np.abs(np.array(own_ms) - instant_ms).min() > half_ms
    assert "do not keep step" in found.notes[0]


@given(st.integers(2, 60), st.integers(2, 60), st.floats(10, 120), st.floats(-0.4, 0.4), st.integers(0, 99))
def test_videos_that_keep_step_are_counted(few: int, many: int, fps: float, drift: float, seed: int) -> None:
    """Constant rates that part by less than half a frame, with a little jitter, from any start: nothing is matched."""
    rng = np.random.default_rng(seed)
    period_s, n = 1 / fps, min(few, many)
    clocks = []
    for count, stretch, start_s in ((few, 0.0, 0.0), (many, drift / n, 7.3)):
        jitter = rng.uniform(-0.02, 0.02, count)
        jitter[0] = 0
        times_s = start_s + (np.arange(count) * (1 + stretch) + jitter) * period_s
        clocks.append(Clock(times_s, Fraction(period_s * (1 + stretch)).limit_denominator(10**9), True))
    assert synchronized(("a", "b"), clocks) is None


def test_a_minute_of_slightly_different_rates_is_matched() -> None:
    """29.83 and 30 frames/s are ten frames apart after a minute, half a percent that nothing would show."""
    slow, fast = Clock.regular(1790, Fraction(100, 2983)), Clock.regular(1800, Fraction(1, 30))
    found = synchronized(("slow", "fast"), (slow, fast))
    assert found is not None and found.rate == Fraction(2983, 100)
    own, other = found.numbers
    assert own.tolist() == list(range(1790)) and (other >= 0).all() and other[-1] == 1799
    apart_s = np.abs(slow.times_s[own] - fast.times_s[other])
    assert apart_s.max() <= 1 / 60 + 1e-9 and "29.83" in found.notes[0] and "30 frames/s" in found.notes[0]


@pytest.mark.parametrize(
    ("rate", "ticks_per_s"), [(NTSC, 30000), (NTSC, 1000), (Fraction(60000, 1001), 600), (24, 1000)]
)
def test_rates_are_exact(rate: Fraction | int, ticks_per_s: int) -> None:
    """From whole ticks, with gaps in between, and whatever average the file states beside the true rate."""
    numbers = np.array(gaps(3000, {5, 6, 900, 2000}, 1))
    ticks = np.array([round(n * ticks_per_s / rate) for n in numbers])
    assert usual_period_s(ticks, Fraction(1, ticks_per_s), Fraction(rate)) == 1 / Fraction(rate)
    measured = usual_period_s(ticks, Fraction(1, ticks_per_s), Fraction(21))
    assert abs(measured * rate - 1) < 1e-5


def test_videos_of_different_times_are_refused() -> None:
    early, late = (
        clock(gaps(10, {3}), counts_from_zero=True),
        clock([5000 + 40 * i for i in range(10)], counts_from_zero=True),
    )
    with pytest.raises(
        InputError, match=r"no two videos show the same time .early 0\.00 to 0\.36 s, late 5\.00 to 5\.36"
    ):
        synchronized(("early", "late"), (early, late))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_videos_with_gaps_are_read_by_their_times(tmp_path: Path, suffix: str) -> None:
    """Every start and step gives the pictures of the same times; a view with no picture near has none."""
    numbers = [gaps(30, missing, 1) for missing in ({4, 5, 6, 7}, {12, 20}, set())]
    paths = [
        write_clip(tmp_path / f"cam{v + 1}.{suffix}", frames=len(own), times_ms=[40 * n for n in own])
        for v, own in enumerate(numbers)
    ]
    with Views.open(rig_of(3), paths) as views:
        assert (views.frame_count, views.fps) == (30, 25.0)
        for start, stop, step in [(0, None, 1), (5, None, 1), (3, 28, 4), (0, None, 18)]:
            for instant in views.frames(start, stop, step):
                for own, picture in zip(numbers, instant.pictures, strict=True):
                    assert (picture is None) == (instant.frame not in own)
                    assert picture is None or own[number_in(picture)] == instant.frame
        assert len(views.notes) == 3 and "cam1 has no picture at 4 of 30 instants (the first is 4)" in views.notes[1]


def test_a_fast_video_beside_slow_ones_gives_every_second_picture(tmp_path: Path) -> None:
    fast = write_clip(tmp_path / "cam1.mp4", frames=40, fps=60)
    slow = write_clip(tmp_path / "cam2.mp4", frames=20, fps=30)
    with Views.open(rig_of(2), [fast, slow]) as views:
        assert (views.frame_count, views.fps) == (20, 30.0)
        shown = [[number_in(p) for p in instant.pictures if p is not None] for instant in views.frames()]
    assert shown == [[2 * i, i] for i in range(20)]


def test_different_starts_of_videos_that_keep_step_are_said(tmp_path: Path) -> None:
    paths = [
        write_clip(tmp_path / f"cam{i}.mp4", 9, times_ms=[s + 40 * n for n in range(9)]) for i, s in ((1, 0), (2, 700))
    ]
    with Views.open(rig_of(2), paths) as views:
        assert [[number_in(p) for p in i.pictures if p is not None] for i in views.frames()] == [
            [n, n] for n in range(9)
        ]
        (note,) = views.notes
    assert "cam1 states that it starts at 0.000 s, cam2 at 0.700 s" in note


def test_pictures_that_an_avi_repeats_take_their_time(tmp_path: Path) -> None:
    """An AVI has one entry per tick, an empty one where the picture before stays."""
    own, path = gaps(20, {3, 4, 11}, 1), tmp_path / "cam1.avi"
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream("mjpeg", rate=25))
        stream.height, stream.width = HW
        stream.pix_fmt = "yuvj420p"
        for n in own:
            frame = av.VideoFrame.from_ndarray(numbered_picture(n), format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
    with Views.open(rig_of(2), [path, write_clip(tmp_path / "cam2.mp4", 20)]) as views:
        shown = [[None if p is None else number_in(p) for p in i.pictures] for i in views.frames()]
    assert shown == [[n if n in own else None, n] for n in range(20)]
