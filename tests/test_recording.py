"""Frames of a job survive whatever ends it: resumed, refused or recomputed, never mixed up or lost in silence."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import trivox.recording
from trivox.errors import InputError
from trivox.people.candidates import Candidates
from trivox.people.followed import Followed
from trivox.recording import Recording

JOB = {"videos": ["a", "b"], "people": 1}
P, V, J, K = 1, 2, 3, 4


def frame(number: int) -> Followed:
    """Every tensor tells the frame's number."""
    full = torch.full((P, J), float(number)).double()
    return Followed(
        *(full[..., None].expand(P, J, 3) + 0.125, full >= 0, full / 1000, full[..., None, None].expand(P, J, 3, 3)),
        *(full[:, None, :, None].expand(P, V, J, 2) + 0.25, full[:, None].expand(P, V, J)),
        *(torch.full((P, V, J), number % 2 == 0), -full[:, None].expand(P, V, J)),
        *(torch.full((P, K, 3), number - 0.5).double(), torch.full((P, K), number % 3 == 0)),
    )


def frames(start: int, stop: int) -> Followed:
    return Followed.stack([frame(number) for number in range(start, stop)])


def record(out: Path | None, start: int, stop: int) -> Recording:
    recording = Recording(out, JOB)
    assert recording.done == start
    for number in range(start, stop):
        recording.append(frame(number))
    recording.flush()
    return recording


def assert_holds(recording: Recording, count: int) -> None:
    assert recording.done == count
    found, expected = Followed.concatenated(list(recording.parts())), frames(0, count)
    for name in Followed.__dataclass_fields__:
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype and torch.equal(one, other), name


def test_without_a_model_people_are_followed_by_their_joints(tmp_path):
    plain = replace(frame(3), followed_mm=None, followed_valid=None)
    recording = Recording(tmp_path / "out", JOB)
    recording.append(plain)
    recording.flush()
    again = Recording(tmp_path / "out", JOB).last_frames(1)
    assert again is not None and again.followed_mm is None
    assert torch.equal(again.followed.points_mm[0], plain.points_mm)
    assert torch.equal(again.followed.valid[0], plain.valid)


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_memory_and_folder_keep_the_same(tmp_path, count):
    assert_holds(record(None, 0, count), count)
    recording = record(tmp_path / "out", 0, count)
    assert_holds(recording, count)
    assert max(len(part.valid) for part in recording.parts()) <= 100


@pytest.mark.parametrize("stops", [(5,), (100,), (137, 138, 200), (1, 2, 3)])
def test_every_run_goes_on_where_the_last_one_ended(tmp_path, stops):
    for start, stop in zip((0, *stops), (*stops, 260), strict=True):
        assert_holds(record(tmp_path, start, stop), stop)
    assert_holds(Recording(tmp_path, JOB), 260)


@pytest.mark.parametrize("count", [1, 37, 38, 150, 500])
def test_the_last_frames_are_the_newest(tmp_path, count):
    assert Recording(tmp_path / "new", JOB).last_frames(count) is None
    assert Recording(None, JOB).last_frames(count) is None
    record(tmp_path, 0, 137)
    last = Recording(tmp_path, JOB).last_frames(count)
    assert last is not None
    expected = [frame(f).points_mm for f in range(137)[-count:]]
    assert torch.equal(last.points_mm, torch.stack(expected))


def seen(instants: int, seed: int = 0) -> Candidates:
    generator = torch.Generator().manual_seed(seed)
    return Candidates(
        torch.rand(instants, P, J, 3, generator=generator).double(),
        torch.rand(instants, P, J, generator=generator) < 0.5,
        torch.rand(instants, P, generator=generator).double(),
        torch.randint(-1, 3, (instants, P, V), generator=generator),
    )


def test_the_survey_is_kept_part_by_part(tmp_path):
    parts = [seen(32, 1), seen(32, 2), seen(5, 3)]
    for part in parts:
        recording = Recording(tmp_path, JOB)
        recording.keep_survey_part(part)
    again = Recording(tmp_path, JOB).survey_parts()
    for name in Candidates.__dataclass_fields__:
        assert [getattr(part, name).tolist() for part in again] == [getattr(part, name).tolist() for part in parts]


def test_without_a_folder_no_survey_is_kept():
    recording = Recording(None, JOB)
    recording.keep_survey_part(seen(3))
    assert recording.survey_parts() == []


def test_another_job_is_refused_and_costs_nothing(tmp_path):
    record(tmp_path, 0, 3)
    with pytest.raises(InputError, match="unfinished job with other videos or options"):
        Recording(tmp_path, {**JOB, "people": 2})
    assert_holds(Recording(tmp_path, JOB), 3)


def test_a_job_that_came_to_nothing_makes_room(tmp_path):
    Recording(tmp_path, JOB)
    Recording(tmp_path, {**JOB, "people": 2})
    with pytest.raises(InputError, match="other videos or options"):
        record(tmp_path, 0, 3)
        Recording(tmp_path, {**JOB, "people": 2})


def test_frames_without_their_job_are_not_adopted(tmp_path):
    record(tmp_path, 0, 3)
    (tmp_path / "unfinished" / "job.json").unlink()
    with pytest.raises(InputError, match="other videos or options"):
        Recording(tmp_path, JOB)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000], ids=["empty", "cut", "bytes", "deep"])
def test_a_damaged_description_is_one_sentence(tmp_path, content):
    record(tmp_path, 0, 3)
    (tmp_path / "unfinished" / "job.json").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"delete {tmp_path / 'unfinished'} to start over")):
        Recording(tmp_path, JOB)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.6, 0.99])
def test_a_part_that_lost_its_end_is_said_and_computed_again(tmp_path, keep):
    """A power cut can leave the newest file shorter than it was written."""
    record(tmp_path, 0, 130)
    last = tmp_path / "unfinished" / "frames_000000100.npz"
    last.write_bytes(last.read_bytes()[: int(keep * last.stat().st_size)])
    with pytest.raises(InputError, match=rf"{last.name}.* is damaged; delete it"):
        Recording(tmp_path, JOB)
    last.unlink()
    assert_holds(record(tmp_path, 100, 180), 180)


def test_a_changed_part_is_found(tmp_path):
    record(tmp_path, 0, 130)
    part = tmp_path / "unfinished" / "frames_000000000.npz"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 0xFF
    part.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        Recording(tmp_path, JOB)


def test_a_damaged_survey_is_one_sentence(tmp_path):
    recording = record(tmp_path, 0, 3)
    (tmp_path / "unfinished" / "survey_000000000.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"survey_000000000\.npz.* is damaged; delete it"):
        recording.survey_parts()


def test_a_part_that_is_missing_is_noticed(tmp_path):
    """The frames after it must not slip forward."""
    record(tmp_path, 0, 230)
    (tmp_path / "unfinished" / "frames_000000100.npz").unlink()
    with pytest.raises(InputError, match="frames_000000200.npz does not follow"):
        Recording(tmp_path, JOB)


def test_a_part_with_other_fields_is_of_another_version(tmp_path):
    recording = record(tmp_path, 0, 3)
    recording.keep_survey_part(seen(1))
    folder = tmp_path / "unfinished"
    (folder / "frames_000000000.npz").write_bytes((folder / "survey_000000000.npz").read_bytes())
    with pytest.raises(InputError, match="another version of trivox"):
        Recording(tmp_path, JOB)


def test_what_a_killed_run_left_half_written_is_ignored_and_cleared(tmp_path):
    record(tmp_path, 0, 120)
    folder = tmp_path / "unfinished"
    for name in (".frames_000000120.4711.npz", ".survey.4711.npz", ".job.4711.json"):
        (folder / name).write_bytes(b"PK half a fi")
    recording = record(tmp_path, 120, 150)
    assert_holds(recording, 150)
    recording.finish()
    assert not folder.exists()


def test_ctrl_c_while_flushing_counts_nothing_twice(tmp_path, monkeypatch):
    """The signal comes when the file stands but the buffer is still full: the flush at the end writes it again."""
    recording = Recording(tmp_path, JOB)
    for number in range(5):
        recording.append(frame(number))
    save = trivox.recording._save

    def pressed(part, path):
        save(part, path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("trivox.recording._save", pressed)
        recording.flush()
    recording.flush()
    assert_holds(recording, 5)
    assert_holds(Recording(tmp_path, JOB), 5)


def test_finishing_removes_only_what_is_its_own(tmp_path):
    mine = tmp_path / "unfinished" / "novel.txt"
    mine.parent.mkdir()
    mine.write_text("chapter one")
    recording = record(tmp_path, 0, 3)
    recording.finish()
    assert [path.name for path in mine.parent.iterdir()] == ["novel.txt"]
    Recording(None, JOB).finish()


def test_the_description_is_kept_as_it_was_given(tmp_path):
    Recording(tmp_path, JOB)
    assert json.loads((tmp_path / "unfinished" / "job.json").read_text()) == JOB
