"""The frame of a file by its name: whatever else the names hold, the number that counts frames is found."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivox.files.frame_numbers import different_starts, frame_numbers


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["0_v2.jpg", "1_v2.jpg", "10_v2.jpg"], [0, 1, 10]),
        (["frame_0003_640x640.jpg", "frame_0004_640x640.jpg"], [3, 4]),
        (["000003_cam1.jpg", "000004_cam1.jpg"], [3, 4]),
        (["clip_000001_keypoints_2d.json", "clip_000002_keypoints_2d.json"], [1, 2]),
        (["000001_pose2d.json", "000002_pose2d.json"], [1, 2]),
        (["img000001-v1.json", "img000002-v1.json"], [1, 2]),
        (["clip2_7_keypoints.json", "clip2_8_keypoints.json"], [7, 8]),
        # A counter, not a time stamp; with gaps; not the take, which repeats.
        (["7_1700000000033.jpg", "8_1700000000066.jpg"], [7, 8]),
        (["1700000000033_7.jpg", "1700000000066_9.jpg"], [7, 9]),
        (["t1_0004.jpg", "t1_0005.jpg", "t2_0006.jpg"], [4, 5, 6]),
        # Not the score, the size, the hash, the date, the countdown.
        (["img_000010_71", "img_000020_93", "img_000030_80", "img_000040_99"], [10, 20, 30, 40]),
        (["img_000010_71", "img_000020_93"], [10, 20]),
        (["0004_640x480.jpg", "0005_644x484.jpg", "0006_648x488.jpg"], [4, 5, 6]),
        (["frame_0001_png.rf.a3f09b12c.jpg", "frame_0002_png.rf.b1f4e9b1.jpg"], [1, 2]),
        (["a3f09b12c_0001.jpg", "b1f4e9b1_0002.jpg"], [1, 2]),
        (["2024-01-01_12-00-05_125", "2024-01-01_12-00-06_150", "2024-01-01_12-00-07_175"], [125, 150, 175]),
        (["20240101_120005_12.jpg", "20240101_120005_13.jpg", "20240101_120006_14.jpg"], [12, 13, 14]),
        (["0004_rest4", "0005_rest3", "0006_rest2"], [4, 5, 6]),
        (["a_1_10", "a_2_9"], [1, 2]),
        (["f12_400ms", "f13_433ms", "f14_466ms", "f15_500ms", "f17_567ms"], [12, 13, 14, 15, 17]),
        # Recordings that are not alike, of which the frame is what they end with.
        (["S1_Walk_1.54138969_000026", "S5_Sit.54138969_002061", "S7_Greet.55011271_000396"], [26, 2061, 396]),
        # Nothing in common, or a hash alone.
        (["a1b", "c2d"], [None, None]),
        # Single files.
        (["frame_0001_png.rf.a3f09b12c.jpg"], [1]),
        (["frame_0003_640x640.jpg"], [3]),
        (["000003_cam1.jpg"], [3]),
        (["3_v2.jpg"], [3]),
        (["cam1/img_12.mp4.png"], [12]),
        (["config.json"], [None]),
        (["9" * 40], [None]),
        ([], []),
    ],
)
def test_the_number_that_varies_is_the_frame(names: list[str], numbers: list[int | None]) -> None:
    assert list(frame_numbers(names).numbers) == numbers
    assert list(frame_numbers(names[::-1]).numbers) == numbers[::-1]
    twice = frame_numbers([name for name in names for _ in range(2)])
    assert list(twice.numbers) == [n for n in numbers for _ in range(2)] and twice.doubt is None


FRAMES = st.lists(st.integers(1, 3), min_size=3, max_size=30).flatmap(
    lambda steps: st.integers(0, 50).map(lambda first: [first + sum(steps[:i]) for i in range(len(steps) + 1)])
)
"""Rising, with one or two frames left out here and there."""


@given(frames=FRAMES, order=st.permutations(range(4)))
def test_a_number_that_only_numbers_the_files_is_not_the_frame(frames: list[int], order: list[int]) -> None:
    """Wherever the two stand, and whatever stands beside them; where they disagree it is said."""
    names = []
    for i, frame in enumerate(frames):
        parts = [f"{frame:06d}", f"{i:04d}", "take2", "1920x1080"]
        names.append("_".join(parts[place] for place in order) + ".json")
    told = frame_numbers(names)
    steps = {b - a for a, b in pairwise(frames)}
    if len(steps) > 1:
        assert told.numbers == tuple(frames)
        assert told.doubt is not None and "is taken as the frame" in told.doubt
    else:
        # Both leave out nothing: which of them is taken makes no difference to what belongs together.
        (step,) = {b - a for a, b in pairwise([n for n in told.numbers if n is not None])}
        assert step in (1, *steps) and told.doubt is None


@given(frames=FRAMES, seed=st.randoms(use_true_random=False))
def test_hashes_and_lost_pictures_do_not_move_the_frame(frames: list[int], seed: object) -> None:
    names = [f"frame_{frame:05d}_jpg.rf.{seed.getrandbits(128):032x}.jpg" for frame in frames]  # type: ignore[attr-defined]  # random.Random
    assert frame_numbers(names).numbers == tuple(frames)


@given(frames=FRAMES, start=st.integers(0, 3))
def test_a_clock_that_jumps_where_the_counter_does_not_is_said(frames: list[int], start: int) -> None:
    """The files were numbered after pictures had been lost: only the clock knows."""
    names = [f"{start + i:04d}_{1700000000000 + 33 * frame}.jpg" for i, frame in enumerate(frames)]
    told = frame_numbers(names)
    assert told.numbers == tuple(range(start, start + len(frames)))
    assert (told.doubt is None) == (len({b - a for a, b in pairwise(frames)}) == 1)


@given(frames=FRAMES, ones=st.lists(st.booleans(), min_size=2, max_size=5))
def test_views_that_count_from_1_and_from_0_are_numbered_alike(frames: list[int], ones: list[bool]) -> None:
    from_0 = [frame - frames[0] for frame in frames]
    views = [[frame + one for frame in from_0] for one in ones]
    names = [f"cam{i}" for i in range(len(views))]
    shifts, notes = different_starts(views, names)
    shifted = [[frame + shift for frame in view] for view, shift in zip(views, shifts, strict=True)]
    assert all(view == shifted[0] for view in shifted)
    assert len(notes) == (sum(ones) if not all(ones) else 0)
    assert all("counts its" in note and "its 1 is taken as 0" in note for note in notes)


def test_views_that_begin_elsewhere_are_left_alone_and_said() -> None:
    views = [list(range(16)), list(range(100, 116)), list(range(16))]
    shifts, (note,) = different_starts(views, ["cam1", "cam2", "cam3"])
    assert shifts == [0, 0, 0]
    assert note.startswith("the frames of cam2 are 100 to 115, as many and with the same gaps as the 0 to 15 of other")
    # Another number of frames, or other gaps: a view that began later, or lost some.
    assert different_starts([list(range(16)), list(range(1, 16)), [1, 2, 4]], ["a", "b", "c"]) == ([0, 0, 0], [])
