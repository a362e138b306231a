"""Frames of videos are the right ones in whatever order, and whichever process they are asked for."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import pytest
from clips import number_in, write_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from trivox.data import video_runs
from trivox.data.video_runs import VideoRuns
from trivox.errors import InputError

FRAMES = 70


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    long_groups = write_clip(folder / "one.mp4", FRAMES, gop=60)
    return [long_groups, write_clip(folder / "two.avi", FRAMES, "mpeg4", gop=10, b_frames=0)]


@settings(max_examples=20)  # each opens and seeks videos several times
@given(asked=st.lists(st.tuples(st.integers(0, 1), st.integers(0, FRAMES - 1)), min_size=1, max_size=12))
def test_any_order_gives_the_frames_asked_for(videos: list[Path], asked: list[tuple[int, int]]) -> None:
    runs = VideoRuns()
    assert [number_in(runs.frame(videos[v], n)) for v, n in asked] == [n for _, n in asked]


def test_going_on_opens_a_video_once(videos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    class Counting(video_runs.Video):
        def frames(self, start: int = 0, stop: int | None = None, step: int = 1):
            started.append(start)
            return super().frames(start, stop, step)

    monkeypatch.setattr(video_runs, "Video", Counting)
    runs = VideoRuns()
    for number in (0, 0, 1, 1, 5, 9, 50):
        runs.frame(videos[0], number)
    assert started == [0]
    runs.frame(videos[0], 3)
    assert started == [0, 3]


def test_few_videos_stay_open(videos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_runs, "_VIDEOS_KEPT", 1)
    runs = VideoRuns()
    asked = [(0, 3), (1, 4), (0, 5), (1, 6)]
    assert [number_in(runs.frame(videos[v], n)) for v, n in asked] == [3, 4, 5, 6]


def test_copies_and_forks_begin_anew(videos: list[Path]) -> None:
    """What a parent has open, its children cannot use: the threads that decode are the parent's."""
    runs = VideoRuns()
    assert number_in(runs.frame(videos[0], 20)) == 20
    assert number_in(pickle.loads(pickle.dumps(runs)).frame(videos[0], 21)) == 21
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def child() -> None:
        queue.put([number_in(runs.frame(videos[0], n)) for n in (21, 22, 40, 2)])

    children = [context.Process(target=child) for _ in range(2)]
    for process in children:
        process.start()
    assert [queue.get(timeout=60) for _ in children] == [[21, 22, 40, 2]] * 2
    for process in children:
        process.join(60)
        assert process.exitcode == 0
    assert number_in(runs.frame(videos[0], 21)) == 21


@pytest.mark.parametrize("number", [-1, FRAMES, 10**12])
def test_a_frame_that_is_not_there_is_refused(videos: list[Path], number: int) -> None:
    runs = VideoRuns()
    with pytest.raises(InputError, match=rf"one\.mp4 has no frame {number}, only {FRAMES}"):
        runs.frame(videos[0], number)
    assert number_in(runs.frame(videos[0], 1)) == 1
