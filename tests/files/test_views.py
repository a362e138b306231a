"""The pictures of one instant come together and upright; what does not go together is refused or said."""

import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import HW, copy_packets, number_in, numbered_picture, write_clip
from rigs import ring
from test_videos import damaged

from trivox.errors import InputError
from trivox.files.images import write_image
from trivox.files.views import Views, turned_points
from trivox.geometry.rig import Rig


def rig_of(views: int, image_hw: tuple[int, int] | None = HW, turns: tuple[int, ...] = ()) -> Rig:
    sizes = None if image_hw is None else torch.tensor([image_hw] * views)
    names = tuple(f"cam{i + 1}" for i in range(views))
    return Rig(names, replace(ring(views), image_hw=sizes), quarter_turns=turns)


def folder(path: Path, numbers: range | list[int]) -> Path:
    path.mkdir()
    for number in numbers:
        write_image(path / f"{number:05d}.png", numbered_picture(number))
    return path


def clips(tmp_path: Path, *frames: int) -> list[Path]:
    return [write_clip(tmp_path / f"cam{i + 1}.mp4", frames=count) for i, count in enumerate(frames)]


def there(pictures: Sequence[np.ndarray | None]) -> list[int | None]:
    return [None if picture is None else number_in(picture) for picture in pictures]


def present(pictures: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    return [picture for picture in pictures if picture is not None]


def test_instants_come_together_in_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / "cam3.mp4", frames=20), folder(tmp_path / "cam1", range(20))]
    with Views.open(rig_of(3), paths) as views:
        assert (views.rig.names, views.paths) == (("cam3", "cam1"), tuple(paths))
        assert (views.frame_count, views.fps, views.notes) == (20, 25.0, ())
        for start, stop, step in [
            (0, None, 1),
            (3, 17, 5),
            (19, None, 1),
            (20, None, 1),
            (7, 3, 1),
            (0, 99, 8),
        ]:
            instants = list(views.frames(start, stop, step))
            assert [instant.frame for instant in instants] == list(range(20))[start:stop:step]
            assert all(there(i.pictures) == [i.frame] * 2 for i in instants)


def test_pictures_are_turned_upright_and_points_turned_back(tmp_path: Path) -> None:
    """Clockwise by the rig's turns; the red corner, found upright, is led back to its place in the file."""
    turns = (0, 1, 2, 3)
    with Views.open(rig_of(4, turns=turns), clips(tmp_path, *[2] * 4)) as views:
        pictures = present(next(views.frames(1)).pictures)
    for picture, turn in zip(pictures, turns, strict=True):
        assert picture.flags.c_contiguous
        assert np.abs(picture.astype(int) - np.rot90(numbered_picture(1), -turn)).mean() < 4
        rows, columns = np.nonzero(picture[..., 0].astype(int) - picture[..., 1] > 80)
        middle = torch.tensor([[columns.mean() + 0.5, rows.mean() + 0.5]])
        h, w = HW
        assert (turned_points(middle, turn, HW) - torch.tensor([w - 8.0, h - 8.0])).abs().max() < 1


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
def test_turned_points_undoes_rot90(turns: int, batch: tuple[int, ...]) -> None:
    """Each pixel of the upright picture is the pixel of the stored one that its centre leads to."""
    stored = torch.arange(5 * 7).reshape(5, 7)
    upright = torch.rot90(stored, -turns)
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in upright.shape), indexing="ij")
    centres = torch.stack([columns, rows], dim=-1).reshape(-1, 2) + 0.5
    back = turned_points(centres.expand(*batch, -1, 2), turns, (5, 7))
    assert back.shape == (*batch, 35, 2)
    at = back.floor().long()
    assert torch.equal(stored[at[..., 1], at[..., 0]], upright.flatten().expand(*batch, -1))
    assert torch.equal(back - 0.5, at.to(back))


def test_turned_points_agrees_with_the_turned_camera() -> None:
    """Projecting with `upright_cameras` and turning back is projecting with the stored picture's cameras."""
    rig = Rig(("a", "b", "c", "d"), ring(4, distortion=(-0.1, 0.02, 0.003, -0.001, 0.0)), None, (0, 1, 2, 3))
    points_mm = torch.tensor([[100.0, 200.0, 900.0], [-300.0, 50.0, 1500.0]]).double()
    upright, stored = rig.upright_cameras.project(points_mm), rig.cameras.project(points_mm)
    for v, turns in enumerate(rig.quarter_turns):
        torch.testing.assert_close(turned_points(upright[v], turns, (720, 1280)), stored[v])


def test_different_lengths_are_said(tmp_path: Path) -> None:
    views = Views.open(rig_of(3), clips(tmp_path, 10, 8, 10))
    assert views.frame_count == 8
    assert views.notes == ("cam2 has 8 frames, the longest 10: only the first 8 instants are used",)
    assert [instant.frame for instant in views.frames()] == list(range(8))


def test_a_fitted_calibration_is_said(tmp_path: Path) -> None:
    paths = clips(tmp_path, 3, 3)
    with pytest.raises(InputError, match="--image-fit"):
        Views.open(rig_of(2, (64, 128)), paths)
    views = Views.open(rig_of(2, (64, 128)), paths, image_fit="right")
    assert views.notes == tuple(
        f"cam{i} is calibrated for 128x64, its pictures are 96x64: fitted by right" for i in (1, 2)
    )
    assert views.rig.cameras.image_hw is not None and views.rig.cameras.image_hw.tolist() == [[64, 96]] * 2


def test_views_of_different_sizes(tmp_path: Path) -> None:
    paths = [
        write_clip(tmp_path / "cam1.mp4", frames=3),
        write_clip(tmp_path / "cam2.mp4", frames=3, image_hw=(96, 128)),
    ]
    with Views.open(rig_of(2, None), paths) as views:
        assert [p.shape for p in present(next(views.frames()).pictures)] == [(64, 96, 3), (96, 128, 3)]


def test_image_folders_are_matched_by_picture_number(tmp_path: Path) -> None:
    paths = [folder(tmp_path / "cam1", [1, 2, 3, 5, 6]), folder(tmp_path / "cam2", [2, 3, 4, 5, 8])]
    views = Views.open(rig_of(2), paths)
    assert (views.frame_count, views.fps) == (3, None)
    assert [there(i.pictures) for i in views.frames()] == [[2, 2], [3, 3], [5, 5]]
    assert views.notes == (
        "cam1 lacks the pictures numbered 4, 8: these instants are left out",
        "cam2 lacks the pictures numbered 1, 6: these instants are left out",
        "no view has the pictures numbered 7",
    )


def test_gaps_in_a_folder_beside_a_video_are_said(tmp_path: Path) -> None:
    numbers = [0, 1, 2, 3, 4, 5, 12]
    paths = [folder(tmp_path / "cam1", numbers), write_clip(tmp_path / "cam2.mp4", frames=7)]
    (note,) = Views.open(rig_of(2), paths).notes
    assert note == "cam1 lacks the pictures numbered 6, 7, 8, 9, 10 and 1 more: its later ones may be early"


def test_folders_that_count_from_1_and_from_0_are_matched(tmp_path: Path) -> None:
    paths = [folder(tmp_path / "cam1", range(4)), folder(tmp_path / "cam2", range(1, 5))]
    views = Views.open(rig_of(2), paths)
    assert views.frame_count == 4
    assert views.notes == ("cam2 counts its 4 frames from 1, other views theirs from 0: its 1 is taken as 0",)


def test_numbers_that_count_no_pictures_make_no_list_of_missing_ones(tmp_path: Path) -> None:
    """4500, 5514, 9348 are all multiples of 6, by chance; and times in nanoseconds leave a gap of years."""
    numbers = [4500, 5514, 9348]
    (note,) = Views.open(rig_of(2), [folder(tmp_path / f"cam{i}", numbers) for i in (1, 2)]).notes
    assert note == "the pictures have uneven numbers (4500, 5514, 9348): they are taken as if they came evenly"
    video = write_clip(tmp_path / "cam3.mp4", frames=3)
    (note,) = Views.open(rig_of(3), [tmp_path / "cam1", video]).notes
    assert note == "cam1 has pictures at uneven numbers (4500, 5514, 9348): they are taken in order, without gaps"
    times = [0, 1, 1_700_000_000_000_000_000]
    (note,) = Views.open(rig_of(5), [folder(tmp_path / f"cam{i}", times) for i in (4, 5)]).notes
    assert "uneven numbers (0, 1, 1700000000000000000)" in note


def test_a_folder_of_videos_is_its_videos(tmp_path: Path) -> None:
    """Whatever else lies there; with a folder for each camera, too."""
    for name in ("cam10.mp4", "cam2.mp4"):
        write_clip(tmp_path / name, 3)
    for name in ("._cam2.mp4", ".DS_Store", "Thumbs.db", "notes.txt"):
        (tmp_path / name).write_bytes(b"no video")
    rig = replace(rig_of(2), names=("cam10", "cam2"))
    with Views.open(rig, [tmp_path]) as views:
        assert [path.name for path in views.paths] == ["cam2.mp4", "cam10.mp4"] and views.rig.names == ("cam2", "cam10")
    for name in rig.names:
        (tmp_path / "each" / name).mkdir(parents=True)
        write_clip(tmp_path / "each" / name / "video.mp4", 3)
    with Views.open(rig, [tmp_path / "each" / name for name in rig.names]) as views:
        assert views.rig.names == rig.names


def test_unrelated_pictures_are_no_video(tmp_path: Path) -> None:
    paths = [folder(tmp_path / f"cam{i}", range(2)) for i in (1, 2)]
    write_image(paths[1] / "garden.png", numbered_picture(1))
    with pytest.raises(InputError, match=r"cam2 do not follow each other .*garden\.png"):
        Views.open(rig_of(2), paths)


def test_folders_without_a_common_number_are_refused(tmp_path: Path) -> None:
    paths = [folder(tmp_path / "cam1", range(3)), folder(tmp_path / "cam2", range(100, 103))]
    with pytest.raises(InputError, match="share no picture number .cam1 0 to 2, cam2 100 to 102"):
        Views.open(rig_of(2), paths)


def test_an_absent_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file or folder .*cam2\.mp4"):
        Views.open(rig_of(2), [*clips(tmp_path, 2), tmp_path / "cam2.mp4"])


def test_a_damaged_picture_is_absent_and_said(tmp_path: Path) -> None:
    paths = [folder(tmp_path / f"cam{i}", range(6)) for i in (1, 2)]
    views = Views.open(rig_of(2), paths)
    (paths[1] / "00004.png").write_bytes(b"\x89PNG damaged")
    assert views.damage == ()
    assert [there(i.pictures) for i in views.frames()] == [[n, n if n != 4 else None] for n in range(6)]
    (note,) = views.damage
    assert "cam2" in note and "00004.png" in note and "\n" not in note


@pytest.mark.parametrize("name", ["cam1.mp4", "cam1.mkv"])
def test_a_damaged_video_is_absent_where_it_is_damaged(tmp_path: Path, name: str) -> None:
    """The other views go on, and never beside a picture of another instant."""
    path = damaged(write_clip(tmp_path / name, noisy=True), 17)
    whole = [write_clip(tmp_path / f"cam{i}.{name[-3:]}", 40) for i in (2, 3)]
    with Views.open(rig_of(3), [path, *whole]) as views:
        assert views.frame_count == 40
        shown = [there(instant.pictures) for instant in views.frames()]
        said = " ".join((*views.notes, *views.damage))
    assert [row[1:] for row in shown] == [[n, n] for n in range(40)]
    assert all(row[0] in (None, n) for n, row in enumerate(shown))
    assert 1 <= sum(row[0] is None for row in shown) <= 12 and "cam1" in said


def test_a_cut_video_is_absent_after_its_end(tmp_path: Path) -> None:
    """Of three views two go on; of two none, and that is said."""
    whole = [write_clip(tmp_path / f"cam{i}.mp4", 60) for i in (2, 3)]
    write_clip(tmp_path / "whole.mp4", 60, noisy=True)
    path = copy_packets(tmp_path / "whole.mp4", tmp_path / "cam1.mp4", movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Views.open(rig_of(3), [path, *whole]) as views:
        shown = [there(instant.pictures) for instant in views.frames()]
        (said,) = views.damage
    count = sum(row[0] is not None for row in shown)
    assert shown == [[n if n < count else None, n, n] for n in range(60)] and 20 < count < 40
    assert "cam1" in said and "cut short" in said
    with Views.open(rig_of(2), [path, whole[0]]) as views:
        assert count <= views.frame_count < count + 8  # the last ones may lean on what is cut off
        assert any(f"only the first {views.frame_count} instants" in note for note in views.notes), views.notes


def test_an_error_in_one_view_is_raised_when_its_picture_is_due(tmp_path: Path) -> None:
    paths = [folder(tmp_path / f"cam{i}", range(6)) for i in (1, 2)]
    before = threading.active_count()
    views = Views.open(rig_of(2), paths)
    write_image(paths[1] / "00004.png", numbered_picture(4, (32, 128)))
    seen = []
    with pytest.raises(InputError, match=r"00004\.png is 128x32"):
        for instant in views.frames():
            seen.append(instant.frame)
    assert seen == [0, 1, 2, 3]
    assert threading.active_count() <= before  # threads of other tests may end meanwhile


@pytest.mark.parametrize("way", ["close", "leave", "forget", "raise", "finish"])
def test_threads_end_however_reading_ends(tmp_path: Path, way: str) -> None:
    before = threading.active_count()
    views = Views.open(rig_of(2), clips(tmp_path, 30, 30))
    frames = views.frames()
    next(frames)
    assert threading.active_count() > before
    if way == "close":
        frames.close()  # pyright: ignore[reportAttributeAccessIssue]
    elif way == "leave":
        with views:
            pass
    elif way == "forget":
        del frames
    elif way == "raise":
        with pytest.raises(KeyboardInterrupt), views:
            for _ in frames:
                raise KeyboardInterrupt
    else:
        assert len(list(frames)) == 29
    assert threading.active_count() <= before


def test_an_interrupt_ends_the_program(tmp_path: Path) -> None:
    """Ctrl-C in the middle of reading, in a program that does nothing about it: no thread holds it."""
    paths = [str(path) for path in clips(tmp_path, 30, 30)]
    program = f"""
import signal, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
from trivox.files.views import Views
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
eye = torch.eye(3).expand(2, 3, 3)
rig = Rig(("cam1", "cam2"), Cameras(eye, eye, torch.zeros(2, 3), torch.zeros(2, 5)))
frames = Views.open(rig, {paths!r}).frames()
next(frames)
signal.raise_signal(signal.SIGINT)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0 and "KeyboardInterrupt" in ended.stderr, ended.stderr


def test_reading_ahead_is_bounded(tmp_path: Path) -> None:
    """A slow taker holds back the readers: of 200 instants at most a handful of pictures per view exist."""
    views = Views.open(rig_of(2), clips(tmp_path, 200, 200))
    given: list[weakref.ref[np.ndarray]] = []
    read = 0
    for source in views.sources:
        original = source.pictures

        def counted(numbers: list[int], original=original):  # noqa: ANN202
            nonlocal read
            for picture in original(numbers):
                read += 1
                yield picture

        source.pictures = counted  # pyright: ignore[reportAttributeAccessIssue]
    most = 0
    for instant in views.frames():
        given = [seen for seen in given if seen() is not None] + [
            weakref.ref(p) for p in instant.pictures if p is not None
        ]
        most = max(most, len(given))
        assert read <= 2 * (instant.frame + 1 + 3)
    assert most <= 4


def test_real_recordings(data: Path) -> None:
    """The turned cameras of one set, read as their calibration's sizes say."""
    paths = [data / "caliscope_4cam" / f"cam_{i}.mp4" for i in range(4)]
    rig = replace(rig_of(4, (720, 1280), (0, 3, 1, 0)), names=("0", "1", "2", "3"))
    with Views.open(rig, paths) as views:
        assert (views.frame_count, views.fps, views.notes) == (48, 6.0, ())
        instants = list(views.frames(40))
    assert [instant.frame for instant in instants] == list(range(40, 48))
    assert [p.shape[:2] for p in present(instants[0].pictures)] == [(720, 1280), (1280, 720), (1280, 720), (720, 1280)]
