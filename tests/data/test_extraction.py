"""Work shared out to processes: everything comes back, and the first failure ends it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from clips import number_in, write_clip
from rigs import ring

from trivox.data.extraction import Extraction, bytes_needed, extract, on_all_cores
from trivox.data.pictures import Pictures, Recording
from trivox.files.images import read_image


@pytest.mark.parametrize("processes", [1, 2])
def test_all_results_come_back(processes: int) -> None:
    assert sorted(on_all_cores(math.isqrt, [4, 9, 25, 16], processes)) == [2, 3, 4, 5]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_ends_the_work(processes: int) -> None:
    with pytest.raises(json.JSONDecodeError):
        list(on_all_cores(json.loads, ["1", "]", "2"], processes))


def job(folder: Path, frames: tuple[int, ...]) -> Extraction:
    pictures = Pictures(folder / "out", "{recording}/{camera}/{file:04}.png", first_file=10)
    return Extraction(folder / "clip.mp4", pictures, Recording("walk"), "a", frames, ring(1)[0])


def test_frames_far_apart_are_the_right_ones(tmp_path: Path) -> None:
    """Also where some were written before, so that the rest is no regular sequence."""
    write_clip(tmp_path / "clip.mp4", frames=40)
    assert extract(job(tmp_path, (8,))) == 1
    made = job(tmp_path, (3, 8, 20, 39))
    assert made.missing() == [3, 20, 39]
    assert extract(made) == 4 and made.missing() == []
    for frame in made.frames:
        assert number_in(read_image(tmp_path / "out" / "walk" / "a" / f"{frame + 10:04}.png")) == frame
    assert len(list((tmp_path / "out" / "walk" / "a").iterdir())) == 4


def test_the_estimate_is_near_what_is_written(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=20)
    made = job(tmp_path, tuple(range(20)))
    estimate = bytes_needed([made])
    extract(made)
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.png"))
    assert 0.5 * written < estimate < 2 * written
    assert bytes_needed([made]) == 0
