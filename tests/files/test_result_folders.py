"""A result folder is read as it was written or refused in a sentence, whatever stands in its files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rigs import ring, standing_people

from trivox.base.identity import is_same_work
from trivox.cli.main import main
from trivox.errors import InputError
from trivox.files.keypoints import save_keypoints
from trivox.files.poses import load_poses, save_poses
from trivox.files.poses.native import save_native
from trivox.files.results import Result, files_of, load_job, load_result, save_result, standing_result
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17
from trivox.summary import read_summary, summarise

FRAMES, NAMES = 4, ("a", "b", "c")
JOB = {"command": "predict", "videos": {name: {"path": f"{name}.mp4"} for name in NAMES}, "skeleton": None}


def result_of(*, people: int = 1, found: bool = True) -> Result:
    rig = Rig(NAMES, ring(3), torch.tensor([0.0, 0, 1]).double())
    points = standing_people([(500.0 * p, 0.0) for p in range(people)]).expand(FRAMES, -1, -1, -1)
    valid = torch.full(points.shape[:3], found)
    poses = Poses(points, valid, valid.double(), torch.arange(FRAMES), COCO_17, 25.0, rig.up)
    seen = rig.cameras.project(points.reshape(-1, 3).expand(3, -1, -1)).reshape(3, *points.shape[:3], 2)
    keypoints = [Keypoints2D(view, valid.double(), poses.frames, COCO_17) for view in seen]
    used = valid[:, :, None].expand(-1, -1, 3, -1)
    return Result(poses, rig, keypoints, JOB, asdict(summarise(poses, NAMES, used, used.double())))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_result(result_of(), tmp_path / "result")
    return tmp_path / "result"


def outcome(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Exit code and error stream of a command in which nothing warns."""
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        warnings.simplefilter("error")
        main([str(word) for word in words])
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err.strip()


COMMANDS: dict[str, Callable[[Path], list[str | Path]]] = {
    "report": lambda folder: ["report", folder, "--out", folder.parent / "report.html"],
    "smooth": lambda folder: ["smooth", folder, "--out", folder.parent / "smooth"],
    "draw": lambda folder: ["draw", folder, "--out", folder.parent / "mosaic.jpg"],
    "view": lambda folder: ["view", folder, "--save", folder.parent / "page.html"],
    "doctor": lambda folder: ["doctor", folder / "rig.toml", folder],
}
WRONG_JOBS: dict[str, Any] = {
    "a list": [],
    "a number": 5,
    "a text": "job",
    "nothing": None,
    "videos that are a list": JOB | {"videos": ["a.mp4"]},
    "videos that are a text": JOB | {"videos": "a.mp4"},
    "a video that is a text": JOB | {"videos": {"a": "a.mp4"}},
    "a video that is a number": JOB | {"videos": {"a": 5}},
    "a video without a path": JOB | {"videos": {"a": {}}},
    "a path that is a list": JOB | {"videos": {"a": {"path": ["a.mp4"]}}},
    "a path that no system has": JOB | {"videos": {"a": {"path": "a\0.mp4"}}},
    "keypoints that are a number": JOB | {"keypoints": 5},
    "keypoints of numbers": JOB | {"keypoints": {"a": 5, "b": 5, "c": 5}},
    "a skeleton that is a list": JOB | {"skeleton": ["coco17"]},
}


@pytest.mark.parametrize("name", WRONG_JOBS)
def test_a_job_of_other_types_is_refused(folder: Path, name: str) -> None:
    (folder / "job.json").write_text(json.dumps(WRONG_JOBS[name]))
    for read in (load_result, load_job):
        with pytest.raises(InputError, match=r"job\.json"):
            read(folder)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["a list", "a video that is a number", "keypoints of numbers"])
def test_every_command_says_so(folder: Path, command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "job.json").write_text(json.dumps(WRONG_JOBS[name]))
    code, said = outcome(capsys, *COMMANDS[command](folder))
    assert code == 2 and said.count("\n") == 0 and str(folder / "job.json") in said


SUMMARY = result_of().summary
CAMERA = SUMMARY["cameras"][0]
WRONG_SUMMARIES: dict[str, Any] = {
    "nothing": {},
    "cameras that are a number": SUMMARY | {"cameras": 3},
    "no camera": SUMMARY | {"cameras": []},
    "a camera that is a text": SUMMARY | {"cameras": ["a"]},
    "a share that is a text": SUMMARY | {"joints_valid": "all"},
    "a share that is no number": SUMMARY | {"joints_valid": float("nan")},
    "a share above all": SUMMARY | {"joints_valid": 1.5},
    "a share below nothing": SUMMARY | {"cameras": [CAMERA | {"joints_used": -0.5}]},
    "no rate": SUMMARY | {"fps": 0},
    "a rate without end": SUMMARY | {"fps": float("inf")},
    "people that are true": SUMMARY | {"people": True},
    "a distance that is a list": SUMMARY | {"bone_spread_mm": [20.0]},
    "a distance without end": SUMMARY | {"median_reprojection_px": float("inf")},
}


@pytest.mark.parametrize("name", WRONG_SUMMARIES)
def test_a_summary_of_other_types_is_refused(folder: Path, name: str) -> None:
    (folder / "summary.json").write_text(json.dumps(WRONG_SUMMARIES[name]))
    with pytest.raises(InputError, match=r"summary\.json"):
        read_summary(load_result(folder).summary, folder / "summary.json")


def test_what_was_written_is_read(folder: Path) -> None:
    found = load_result(folder)
    assert found.job == JOB and asdict(read_summary(found.summary, folder)) == SUMMARY
    assert files_of(found.job, "videos") == {name: Path(f"{name}.mp4") for name in NAMES}
    assert files_of(found.job, "keypoints") == {}


@pytest.mark.parametrize("name", WRONG_JOBS)
def test_a_job_of_other_types_is_another_job(folder: Path, name: str) -> None:
    (folder / "job.json").write_text(json.dumps(WRONG_JOBS[name]))
    with pytest.raises(InputError, match="another --out"):
        standing_result(folder, JOB)


def test_a_deep_job_is_another_one() -> None:
    deep: Any = {}
    for _ in range(10_000):
        deep = {"videos": deep}
    assert not is_same_work(deep, JOB) and not is_same_work(JOB, deep)


def test_2d_joints_that_do_not_go_together_are_refused(folder: Path) -> None:
    """As of views of which one was replaced by that of another recording."""
    longer = result_of(people=2).keypoints[1]
    (folder / "keypoints" / "b.npz").unlink()
    save_keypoints(longer, folder / "keypoints" / "b.npz")
    with pytest.raises(InputError, match="do not go together"):
        load_result(folder)


@pytest.mark.parametrize("people", [1, 2])
def test_a_result_of_nobody(tmp_path: Path, people: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It is looked at, which is said; there is nothing to judge, hand on or smooth."""
    nobody = tmp_path / "nobody"
    save_result(result_of(people=people, found=False), nobody)
    save_poses(result_of().poses, tmp_path / "truth.npz")
    export: list[str | Path] = ["export", nobody, "--to", "bvh", "--out", tmp_path / "exported"]
    for words in (COMMANDS["report"](nobody), COMMANDS["smooth"](nobody), export):
        code, said = outcome(capsys, *words)
        assert code == 2 and said.count("\n") == 0 and "has nobody to" in said
    assert not list(tmp_path.glob("report*")) and not (tmp_path / "exported").exists()
    code, said = outcome(capsys, *COMMANDS["view"](nobody))
    assert code == 0 and f"{nobody} has nobody" in said
    code, said = outcome(capsys, "evaluate", nobody, "--truth", tmp_path / "truth.npz", "--protocol", "people")
    assert code == 0 and "nan" not in said
    code, said = outcome(capsys, *COMMANDS["doctor"](nobody))
    assert code == 0 and "nan" not in said


def empty_poses() -> dict[str, Poses]:
    poses = result_of().poses
    of_people = {name: getattr(poses, name)[:, :0] for name in ("points_mm", "valid", "confidence")}
    return {"no person": replace(poses, **of_people), "no frame": poses[:0]}


@pytest.mark.parametrize("poses", empty_poses().values(), ids=empty_poses())
@pytest.mark.parametrize("suffix", [".npz", ".csv", ".trc", ".glb"])
def test_poses_of_no_frame_or_person_are_neither_written_nor_read(tmp_path: Path, poses: Poses, suffix: str) -> None:
    with pytest.raises(InputError, match="expected one at least"):
        save_poses(poses, tmp_path / f"poses{suffix}")
    assert not list(tmp_path.iterdir())
    save_native(poses, tmp_path / "poses.npz")
    with pytest.raises(InputError, match=r"poses\.npz"):
        load_poses(tmp_path / "poses.npz")
