"""The command line as people use it: every mistake is one sentence and code 2, and nothing written is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip
from dots import DotNetworks, draw, rig_of, walk  # pyright: ignore[reportMissingImports]  # tests/people

import trivox
from trivox.base import atomic
from trivox.cli import main
from trivox.geometry.poses import Poses
from trivox.models import weights
from trivox.people.follow import Follower
from trivox.people.networks import Networks

TESTS = Path(__file__).parent
DEMO = Path(trivox.__file__).parent / "demo_scene"
FRAMES = 6
COMMANDS = (
    *([], ["predict"], ["triangulate"], ["calibration"], ["demo"]),
    *(["calibration", "show"], ["calibration", "convert"], ["calibration", "check"], ["dataset"]),
)


def same_joints(one: Poses, other: Poses) -> bool:
    """Bit for bit; joints that are not valid are NaN in both."""
    return torch.equal(one.valid, other.valid) and torch.equal(one.points_mm.nan_to_num(), other.points_mm.nan_to_num())


@pytest.fixture
def run(capsys) -> Callable[..., tuple[object, str, str]]:
    """Run a command line in this process: exit code, standard output, error output."""

    def ran(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as exit:
            main([str(word) for word in words])
        return exit.value.code, *capsys.readouterr()

    return ran


@pytest.fixture
def refused(run) -> Callable[..., str]:
    """Run a command line that cannot work; returns the one sentence that says why."""

    def sentence(*words: object) -> str:
        code, out, err = run(*words)
        said = [line for line in err.splitlines() if not line.startswith("note: ")]
        assert code == 2 and out == "" and len(said) == 1, (code, out, err)
        assert said[0].startswith("trivox: ")
        return said[0].removeprefix("trivox: ")

    return sentence


@pytest.fixture(scope="module")
def walker(tmp_path_factory) -> Path:
    """A folder with rig.toml and the image folders cam1, cam2, cam3 of a walking person of dots."""
    folder = tmp_path_factory.mktemp("walker")
    rig = rig_of(3)
    trivox.save_rig(rig, folder / "rig.toml")
    draw(walk(FRAMES, 1), torch.ones(FRAMES, 3, 1, dtype=torch.bool), rig, folder)
    return folder


@pytest.fixture
def views(walker) -> list[Path]:
    return [walker / f"cam{v}" for v in (1, 2, 3)]


@pytest.fixture
def dots(monkeypatch) -> None:
    """Networks that see dots; a model that comes along knows people, not dots."""
    monkeypatch.setattr(Networks, "load", classmethod(lambda cls, *_: DotNetworks()))
    monkeypatch.setattr("trivox.options.DEFAULT", "ransac")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A folder with rig.toml for 96x64 pixels and the videos cam1.mp4, cam2.mp4."""
    folder = tmp_path_factory.mktemp("clips")
    trivox.save_rig(_small_rig(2, (64, 96)), folder / "rig.toml")
    for name in ("cam1", "cam2"):
        write_clip(folder / f"{name}.mp4", 10)
    return folder


def _small_rig(count: int, image_hw: tuple[int, int]) -> trivox.Rig:
    rig = rig_of(count)
    return replace(rig, cameras=rig.cameras.resized(image_hw))


# ---------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fits_a_small_terminal(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "default: None" not in out and "default: )" not in out and "None," not in out
    text = [line for line in out.splitlines() if not line.startswith("usage: ")]
    assert [line for line in text if len(line) > 80] == []


def test_help_has_the_promised_options(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shared = {"--out DIR", "--people N", "--cameras NAME", "--units {mm,cm,m}"}
    _, predict, _ = run("predict", "--help")
    _, triangulate, _ = run("triangulate", "--help")
    assert [text for text in shared if text not in predict or text not in triangulate] == []
    assert "--method {ransac,linear,algebraic,volumetric}" in predict and "--weights FILE" in predict
    assert "--method {ransac,linear}" in triangulate
    assert "RIG VIDEO [VIDEO ...]" in predict and "--image-fit {scale,left,center,right}" in predict
    assert "RIG KEYPOINTS [KEYPOINTS ...]" in triangulate and "--skeleton {coco17," in triangulate


def test_the_command_line_itself_needs_no_torch():
    """What a command needs is imported when it runs."""
    program = """
import sys
from trivox.cli import main
try:
    main(["--help"])
finally:
    print(*sorted({"torch", "numpy", "cv2", "av"} & sys.modules.keys()), file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stderr.strip() == ""
    assert "predict" in ran.stdout and "calibration" in ran.stdout


@pytest.mark.parametrize("program", [["-m", "trivox"], ["-c", "from trivox.cli import main; main()"]])
def test_the_version_is_told(program):
    ran = subprocess.run([sys.executable, *program, "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"trivox {version('trivox')}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["predict"],
        ["predict", "rig.toml", "cam1.mp4", "cam2.mp4"],
        ["predict", "rig.toml", "cam1.mp4", "--out", "o", "--people", "two"],
        ["predict", "rig.toml", "cam1.mp4", "--out", "o", "--skeleton", "coco"],
        ["predict", "rig.toml", "cam1.mp4", "--out", "o", "--method", "magic"],
        ["predict", "rig.toml", "cam1.mp4", "--out", "o", "--frobnicate"],
        ["triangulate", "rig.toml", "cam1.npz", "--out", "o", "--image-size", "640"],
        ["calibration", "show"],
    ],
    ids=" ".join,
)
def test_words_that_make_no_command_are_code_2(run, words):
    code, out, err = run(*words)
    assert code == 2 and out == "" and err.strip() and "Traceback" not in err


# --------------------------------------------------------------------------------- calibrations that cannot be


def _edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    cameras = json.loads((DEMO / "calibration.json").read_text())
    change(cameras[1])
    return json.dumps(cameras).encode()


def _setting(key: str, row: int, column: int, value: float) -> bytes:
    def change(camera: dict[str, Any]) -> None:
        camera[key][row][column] = value

    return _edited(change)


BAD_RIGS = {
    "empty": (b"", "calibration"),
    "garbage": (bytes(range(128, 256)) * 20, "not a text file"),
    "no calibration": (b'{"people": []}', "known format"),
    "half a JSON": ((DEMO / "calibration.json").read_bytes()[:500], "JSON"),
    "K with NaN": (_setting("K", 0, 0, float("nan")), "cam2.*K. holds nan"),
    "K singular": (_setting("K", 1, 1, 0.0), "cam2.*not positive"),
    "K infinite": (_setting("K", 0, 2, float("inf")), "cam2.*K. holds inf"),
    "no rotation": (_setting("R", 0, 0, 5.0), "cam2.*R is not a rotation"),
    "mirror": (_edited(lambda c: c.update(R=(-np.array(c["R"])).tolist())), "cam2.*mirror image"),
    "lost K": (_edited(lambda c: c.pop("K")), "cam2|K"),
    "flat K": (_edited(lambda c: c.update(K=[1, 2, 3])), "K"),
    "text for t": (_edited(lambda c: c.update(t_mm="far")), "t_mm"),
    "two of a name": (_edited(lambda c: c.update(name="cam1", id="cam1")), "cam1"),
}


@pytest.mark.parametrize(("content", "message"), BAD_RIGS.values(), ids=BAD_RIGS.keys())
@pytest.mark.parametrize("command", ["predict", "show"])
def test_a_calibration_that_cannot_be_used(refused, tmp_path, command, content, message):
    rig = tmp_path / "rig.json"
    rig.write_bytes(content)
    words = ["calibration", "show", rig]
    if command == "predict":
        videos = [DEMO / "videos" / f"cam{v}.mp4" for v in (1, 2)]
        words = ["predict", rig, *videos, "--out", tmp_path / "out"]
    said = refused(*words)
    assert str(rig) in said
    assert re.search(message, said), said
    assert not (tmp_path / "out").exists()


def test_a_calibration_that_is_not_there_or_something_else(refused, clips, tmp_path):
    videos = [clips / "cam1.mp4", clips / "cam2.mp4"]
    for rig, message in {
        tmp_path / "no.toml": "there is no file",
        clips / "cam1.mp4": "not a text file",
        tmp_path: "folder without calibration",
        tmp_path / ("x" * 300): "too long",
    }.items():
        said = refused("predict", rig, *videos, "--out", tmp_path / "out")
        assert message in said and str(rig) in said


# ----------------------------------------------------------------------------------------- videos that cannot be


def test_a_video_of_no_camera_names_the_cameras_and_the_option(refused, clips, tmp_path):
    (tmp_path / "left.mp4").write_bytes((clips / "cam1.mp4").read_bytes())
    said = refused("predict", clips / "rig.toml", tmp_path / "left.mp4", clips / "cam2.mp4", "--out", tmp_path / "o")
    assert "left.mp4" in said and "cam1, cam2" in said and "--cameras NAME" in said


def test_a_video_of_another_size_names_both_sizes_and_the_option(refused, clips, tmp_path):
    trivox.save_rig(_small_rig(2, (90, 96)), tmp_path / "rig.toml")
    videos = clips / "cam1.mp4", clips / "cam2.mp4"
    said = refused("predict", tmp_path / "rig.toml", *videos, "--out", tmp_path / "o")
    assert "96x90" in said and "96x64" in said and "--image-fit scale|left|center|right" in said


def test_a_single_view_is_refused(refused, clips, tmp_path):
    assert "at least two views" in refused("predict", clips / "rig.toml", clips / "cam1.mp4", "--out", tmp_path / "out")


def test_cameras_that_swallow_the_files_are_explained(refused, clips, tmp_path):
    files = clips / "cam1.mp4", clips / "cam2.mp4"
    said = refused("predict", clips / "rig.toml", "--out", tmp_path / "o", "--cameras", "cam1", "cam2", *files)
    assert "--cameras" in said and "after the files" in said


def _truncated(source: bytes) -> bytes:
    return source[: len(source) // 2]


def _overwritten(source: bytes) -> bytes:
    return b"\x00" * len(source)


BAD_VIDEOS = {
    "truncated": (_truncated, "cannot be read as a video|cut short"),
    "zeros": (_overwritten, "cannot be read as a video"),
    "empty": (lambda source: b"", "cannot be read as a video|empty"),
    "text": (lambda source: b"not a video at all\n" * 50, "cannot be read as a video|no picture"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_VIDEOS.values(), ids=BAD_VIDEOS.keys())
def test_a_video_that_cannot_be_read(refused, clips, tmp_path, damage, message):
    broken = tmp_path / "cam2.mp4"
    broken.write_bytes(damage((clips / "cam2.mp4").read_bytes()))
    said = refused("predict", clips / "rig.toml", clips / "cam1.mp4", broken, "--out", tmp_path / "out")
    assert str(broken) in said and re.search(message, said), said


def test_a_video_that_is_not_there(refused, clips, tmp_path):
    missing = tmp_path / "cam2.mp4"
    said = refused("predict", clips / "rig.toml", clips / "cam1.mp4", missing, "--out", tmp_path / "out")
    assert f"no file or folder {missing}" in said
    said = refused("predict", clips / "rig.toml", clips / "cam1.mp4", tmp_path / "left.mp4", "--out", tmp_path / "out")
    assert f"no file or folder {tmp_path / 'left.mp4'}" in said
    said = refused("triangulate", clips / "rig.toml", clips / "cam1.mp4", tmp_path / "l.json", "--out", tmp_path / "o")
    assert f"no file or folder {tmp_path / 'l.json'}" in said
    too_long = tmp_path / ("x" * 300)
    said = refused("predict", clips / "rig.toml", clips / "cam1.mp4", too_long, "--out", tmp_path / "out")
    assert "too long" in said


def test_an_image_folder_without_pictures(refused, clips, tmp_path):
    (tmp_path / "cam2").mkdir()
    said = refused("predict", clips / "rig.toml", clips / "cam1.mp4", tmp_path / "cam2", "--out", tmp_path / "out")
    assert str(tmp_path / "cam2") in said


# ------------------------------------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", "0"], "0 people"),
        (["--people", "-2"], "-2 people"),
        (["--fps", "0"], "0.0 is no frame rate"),
        (["--fps", "nan"], "nan is no frame rate"),
        (["--fps", "-25"], "-25.0 is no frame rate"),
        (["--cameras", "cam1", "cam9", "cam3"], "cam1, cam2, cam3"),
        (["--cameras", "cam1", "cam2"], "2 cameras for 3 views"),
        (["--cameras", "cam1", "cam1", "cam2"], "both belong to camera cam1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", ["predict", "triangulate"])
def test_options_that_cannot_be(refused, walker, views, tmp_path, command, options, message):
    said = refused(command, walker / "rig.toml", *views, "--out", tmp_path / "out", *options)
    assert message in said
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_lists_the_known_ones(refused, walker, tmp_path):
    said = refused("calibration", "convert", walker / "rig.toml", tmp_path / "new", "--format", "dvd")
    assert "dvd" in said and "qualisys" in said
    assert "--format" in refused("calibration", "convert", walker / "rig.toml", tmp_path / "new.dvd")
    (tmp_path / "cam1.dvd").write_text("?")
    said = refused("triangulate", walker / "rig.toml", *[tmp_path / "cam1.dvd"] * 2, "--out", tmp_path / "o")
    assert "cam1" in said


# ------------------------------------------------------------------------------------------- the main job


def test_predict_writes_the_folder_and_says_so(run, dots, walker, views, tmp_path):
    out = tmp_path / "new" / "out"
    code, said, err = run("predict", walker / "rig.toml", *views, "--out", out, "--fps", "30")
    assert code == 0 and err == ""
    assert f"{FRAMES} frames at 30 frames/s, 1 person" in said and str(out) in said
    assert {path.name for path in out.iterdir()} == {
        *("poses.npz", "poses.trc", "poses.csv", "keypoints", "rig.toml", "summary.json", "job.json")
    }


def test_nobody_in_the_pictures(refused, dots, tmp_path, walker):
    for v in (1, 2):
        (tmp_path / f"cam{v}").mkdir()
        cv2.imwrite(str(tmp_path / f"cam{v}" / "0.png"), np.zeros((720, 1280, 3), np.uint8))
    words = ["predict", walker / "rig.toml", tmp_path / "cam1", tmp_path / "cam2", "--out", tmp_path / "out"]
    assert "no person found" in refused(*words)
    # Nothing came of it, so other options may use the same folder.
    assert "no person found" in refused(*words, "--people", "2")


def test_weights_that_were_changed(refused, walker, views, tmp_path, monkeypatch):
    changed = tmp_path / "weights"
    changed.mkdir()
    for path in weights.BUNDLED.glob("*.safetensors"):
        (changed / path.name).write_bytes(path.read_bytes()[:-1] + b"\x00")
    monkeypatch.setattr(weights, "BUNDLED", changed)
    words = ["predict", walker / "rig.toml", *views, "--out", tmp_path / "out"]
    assert "SHA-256" in refused(*words)
    for path in changed.iterdir():
        path.unlink()
    assert "cannot read the weights" in refused(*words)


def test_a_finished_folder_is_kept(run, refused, dots, walker, views, tmp_path):
    words = ["predict", walker / "rig.toml", *views, "--out", tmp_path / "out", "--fps", "30"]
    _, first, _ = run(*words)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    code, again, err = run(*words)
    assert code == 0 and again == first and "nothing to do" in err
    assert "already holds" in refused(*words, "--method", "linear")
    keypoints = [tmp_path / "out" / "keypoints" / f"cam{v}.npz" for v in (1, 2, 3)]
    assert "already holds" in refused("triangulate", walker / "rig.toml", *keypoints, "--out", tmp_path / "out")
    assert before == {path: path.read_bytes() for path in before}


def test_files_of_others_are_not_overwritten(refused, dots, walker, views, tmp_path):
    """`--out` beside one's own calibration would replace it."""
    (tmp_path / "rig.toml").write_bytes((walker / "rig.toml").read_bytes())
    said = refused("predict", tmp_path / "rig.toml", *views, "--out", tmp_path)
    assert "rig.toml" in said and "--out" in said
    assert [path.name for path in tmp_path.iterdir()] == ["rig.toml"]


def test_of_several_people_each_has_a_file_that_is_named_and_protected(run, refused, dots, tmp_path):
    rig, frames = rig_of(3), 3
    trivox.save_rig(rig, tmp_path / "rig.toml")
    folders = draw(walk(frames, 2), torch.ones(frames, 3, 2, dtype=torch.bool), rig, tmp_path)
    words = ["predict", tmp_path / "rig.toml", *folders, "--people", "2", "--out"]
    code, said, _ = run(*words, tmp_path / "out")
    assert code == 0 and "3D in poses.npz, poses.csv, poses_p0.trc, poses_p1.trc; 2D in" in said
    assert not (tmp_path / "out" / "poses.trc").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "poses_p1.trc").write_text("mine")
    assert "has a poses_p1.trc already" in refused(*words, tmp_path / "mine")
    assert (tmp_path / "mine" / "poses_p1.trc").read_text() == "mine" and len(list((tmp_path / "mine").iterdir())) == 1


def test_triangulate_twice(run, refused, dots, walker, views, tmp_path):
    run("predict", walker / "rig.toml", *views, "--out", tmp_path / "2d")
    keypoints = [tmp_path / "2d" / "keypoints" / f"cam{v}.npz" for v in (1, 2, 3)]
    words = ["triangulate", walker / "rig.toml", *keypoints, "--out", tmp_path / "out"]
    code, first, _ = run(*words)
    assert code == 0 and f"{FRAMES} frames at 30 frames/s, 1 person" in first
    code, again, err = run(*words)
    assert code == 0 and again == first and "nothing to do" in err
    assert "already holds" in refused(*words, "--people", "2")
    assert "already holds" in refused(*words[:2], *keypoints[1:], *words[-2:])


def test_a_summary_that_was_damaged(refused, dots, run, walker, views, tmp_path):
    words = ["predict", walker / "rig.toml", *views, "--out", tmp_path / "out"]
    run(*words)
    for content in ("", "[]", "{}", '{"frames": "many"}'):
        (tmp_path / "out" / "summary.json").write_text(content)
        assert "summary" in refused(*words)


# ----------------------------------------------------------------------------------- folders that cannot be


def test_a_file_in_place_of_the_folder(refused, dots, walker, views, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        said = refused("predict", walker / "rig.toml", *views, "--out", out)
        assert str(out) in said
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written(refused, dots, walker, views, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    said = refused("predict", walker / "rig.toml", *views, "--out", tmp_path / "locked" / "out")
    assert "Permission denied" in said


def test_a_full_disk_loses_nothing(run, refused, dots, walker, views, tmp_path, monkeypatch):
    """The disk fills up at every file in turn; the same command goes on each time, to the same result."""
    words = ["predict", walker / "rig.toml", *views, "--fps", "30", "--out"]
    run(*words, tmp_path / "whole")
    moved = os.replace
    written: list[str] = []

    def full(source, target):
        if Path(target).name not in written:
            written.append(Path(target).name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        moved(source, target)

    monkeypatch.setattr(atomic.os, "replace", full)
    for _ in range(20):
        with pytest.raises(SystemExit) as exit:
            main([str(word) for word in (*words, tmp_path / "out")])
        if exit.value.code == 0:
            break
    assert {"survey_000000000.npz", "frames_000000000.npz", "rig.toml", "poses.npz"} <= set(written)
    whole, pieced = (trivox.load_poses(tmp_path / name / "poses.npz") for name in ("whole", "out"))
    assert same_joints(whole, pieced)
    assert not (tmp_path / "out" / "unfinished").exists()


# ------------------------------------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_keeps_what_is_done(run, dots, walker, views, tmp_path, monkeypatch):
    words = ["predict", walker / "rig.toml", *views, "--fps", "30", "--out"]
    run(*words, tmp_path / "whole")
    step = Follower.step

    def pressed(self, frame, pictures):
        if frame == 4:
            raise KeyboardInterrupt
        return step(self, frame, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(Follower, "step", pressed)
        code, out, err = run(*words, tmp_path / "out")
    assert code == 130 and out == "" and err.count("\n") == 1 and err.startswith("trivox: stopped")
    code, _, _ = run(*words, tmp_path / "out")
    assert code == 0
    whole, resumed = (trivox.load_poses(tmp_path / name / "poses.npz") for name in ("whole", "out"))
    assert same_joints(whole, resumed)


def test_a_real_signal_in_a_real_process(run, dots, tmp_path):
    """As above, but the signal comes from outside, while threads decode."""
    rig, frames = rig_of(2), 30
    trivox.save_rig(rig, tmp_path / "rig.toml")
    folders = draw(walk(frames, 1), torch.ones(frames, 2, 1, dtype=torch.bool), rig, tmp_path)
    words = ["predict", tmp_path / "rig.toml", *folders, "--method", "ransac", "--fps", "30", "--out"]
    program = f"""
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
sys.path[:0] = {[str(TESTS), str(TESTS / "people")]!r}
from dots import DotNetworks  # pyright: ignore[reportMissingImports]  # tests/people
from trivox.cli import main
from trivox.people.networks import Networks
class Slow(DotNetworks):
    def find_joints(self, crops):
        time.sleep(0.1)
        return super().find_joints(crops)
Networks.load = classmethod(lambda cls, *_: Slow())
main(sys.argv[1:])
"""
    command = [sys.executable, "-c", program, *map(str, words), str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 120
        while not (tmp_path / "out" / "unfinished" / "survey_000000000.npz").exists():
            assert process.poll() is None and time.monotonic() < until, process.communicate()
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and out == "" and err.count("\n") == 1 and err.startswith("trivox: stopped")
    assert list((tmp_path / "out" / "unfinished").glob("frames_*.npz"))
    assert run(*words, tmp_path / "out")[0] == run(*words, tmp_path / "whole")[0] == 0
    whole, resumed = (trivox.load_poses(tmp_path / name / "poses.npz") for name in ("whole", "out"))
    assert same_joints(whole, resumed)


# ------------------------------------------------------------------------------------------- calibrations


def test_show_tells_the_cameras(run):
    code, out, _ = run("calibration", "show", DEMO / "calibration.json", "--up", "z")
    assert code == 0
    assert all(name in out for name in ("cam1", "cam2", "cam3", "cam4", "640 640", "444.8 444.5"))
    assert "up: +0.000 +0.000 +1.000" in out
    _, down, _ = run("calibration", "show", DEMO / "calibration.json", "--up", "-z")
    assert "up: +0.000 +0.000 -1.000" in down


def test_a_reader_who_has_seen_enough_is_no_error(monkeypatch):
    """`trivox calibration show ... | head -1`"""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as exit:
            main(["calibration", "show", str(DEMO / "calibration.json")])
    assert exit.value.code == 0


def test_a_name_that_no_terminal_can_show_is_no_error(run, refused, tmp_path):
    name = os.fsdecode(b"odd\xff.toml")
    code, out, _ = run("calibration", "convert", DEMO / "calibration.json", tmp_path / name)
    assert code == 0 and r"odd\udcff.toml" in out
    assert r"odd\udcff.toml exists" in refused("calibration", "convert", DEMO / "calibration.json", tmp_path / name)


def test_check_tells_faults_by_its_exit_code(run, tmp_path):
    code, out, _ = run("calibration", "check", DEMO / "calibration.json", "--up", "z")
    assert code == 0 and "no faults" in out
    far = tmp_path / "far.json"
    far.write_bytes(_edited(lambda c: c.update(t_mm=[0, 0, 9e8])))
    code, out, err = run("calibration", "check", far, "--up", "z")
    assert code == 1 and out.strip() and err == ""
    code, out, _ = run("calibration", "check", DEMO / "calibration.json")
    assert code == 0 and "which way is up" in out and "no faults" in out


@pytest.mark.parametrize(
    ("name", "options"),
    [("rig.toml", []), ("rig.yml", []), ("rig.xml", []), ("rig.json", ["--format", "list"]), ("pair", [])],
)
def test_convert_there_and_back(run, tmp_path, name, options):
    original = trivox.load_rig(DEMO / "calibration.json", up="z")
    assert run("calibration", "convert", DEMO / "calibration.json", tmp_path / name, *options)[0] == 0
    code, _, _ = run("calibration", "convert", tmp_path / name, tmp_path / "back.toml", "--up", "z")
    assert code == 0
    back = trivox.load_rig(tmp_path / "back.toml")
    assert back.names == original.names
    points = walk(1, 1)[0, 0]
    torch.testing.assert_close(back.cameras.project(points), original.cameras.project(points), rtol=0, atol=1e-6)
    torch.testing.assert_close(back.up, original.up)


@pytest.mark.parametrize("name", ["rig.toml", "rig.yml", "pair", "pair/intri.yml"])
def test_convert_overwrites_nothing(refused, run, tmp_path, name):
    out = tmp_path / name
    words = ["calibration", "convert", DEMO / "calibration.json", out]
    assert run(*words)[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "exists and is not overwritten" in refused(*words)
    before.pop(out if out in before else out / "intri.yml").decode()
    (out if out.is_file() else out / "intri.yml").unlink()
    if name.startswith("pair"):
        assert "extri.yml exists" in refused(*words)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
