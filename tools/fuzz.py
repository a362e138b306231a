"""Hostile and mutated files before every reader, and before the commands that open a stranger's folder.

    python tools/fuzz.py [--cases 2000] [--seed 0] [--only rig]        # or: make fuzz

Whole files of every kind are made, and mutated by a seed: bytes turned, cut and repeated, numbers and values of texts
exchanged for extreme ones, pipes and devices in their place. Each must be read, or refused by an `InputError`; in a
bounded time and memory, with nothing executed and nothing written outside of the folder that was given. A fault is
printed with its seed, which makes the same file again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
sys.path += [str(PROJECT / "tools"), str(PROJECT / "tests")]  # parts of this program; small raw downloads

from mutations import mutated  # noqa: E402
from raw_trees import panoptic_body, panoptic_sequence  # noqa: E402 # pyright: ignore[reportMissingImports]
from whole_files import KINDS, rig, seen  # noqa: E402

from trivox.cli.main import main as trivox  # noqa: E402
from trivox.errors import InputError  # noqa: E402
from trivox.files.calibrations import load_rig, save_rig  # noqa: E402
from trivox.files.films import Film  # noqa: E402
from trivox.files.keypoints import save_keypoints  # noqa: E402
from trivox.files.poses import load_poses, save_poses  # noqa: E402
from trivox.files.videos import Video  # noqa: E402

SECONDS, BYTES = 60, 3 * 2**30
FORBIDDEN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pty.spawn"}


class TooLong(BaseException):
    """No reader may take it for a fault of the file."""


_watched: list[Path] = []
_broken: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event in FORBIDDEN and not _is_own(event, arguments):
        _broken.append(f"{event} {arguments[:2]}")
    elif event == "open" and isinstance(arguments[0], str | os.PathLike) and isinstance(arguments[2], int):
        writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        path = Path(os.path.abspath(arguments[0]))
        if writes and _watched[0] not in path.parents and "__pycache__" not in path.parts and path.parts[1] != "dev":
            _broken.append(f"writes {path}")


def _is_own(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether trivox does it for itself: asks git for the commit of its source, or talks to its own processes."""
    return arguments[0] == "git" or (event == "socket.connect" and isinstance(arguments[1], str))


@contextlib.contextmanager
def bounded(folder: Path) -> Iterator[None]:
    """Time, and what may be written where."""

    def stop(*_: object) -> None:
        raise TooLong

    _broken.clear()
    _watched[:] = [folder]
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        _watched.clear()


def fault_of(run: Callable[[], object], folder: Path) -> str | None:
    """What went wrong, or nothing where it ended or was refused."""
    try:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), bounded(folder):
            run()
    except InputError as refused:
        if "\n" in str(refused).strip():
            return f"more than a sentence: {str(refused)[:200]!r}"
    except SystemExit as ended:
        if ended.code not in (0, 1, 2):
            return f"exit code {ended.code}"
    except TooLong:
        return f"more than {SECONDS} seconds"
    except MemoryError:
        return "more memory than there is"
    except BaseException:
        return "".join(traceback.format_exc().splitlines(keepends=True)[-5:])
    return _broken[0] if _broken else None


def file_case(name: str, seed: int, base: Path, whole: dict[str, bytes]) -> str | None:
    """A mutated file of one kind."""
    kind, chance = KINDS[name], random.Random(f"{name} {seed}")
    folder = base / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / f"file{kind.suffix}"
    if name not in whole:
        kind.write(path)
        whole[name] = path.read_bytes()
    path.write_bytes(whole[name])
    done = mutated(path, chance)
    fault = fault_of(lambda: kind.read(path), folder)
    return fault and f"{name}, seed {seed} ({done}): {fault}"


def strangers_folder(folder: Path) -> None:
    """What people send each other: a result with all its files, a dataset of scenes, a raw download, an experiment."""
    walk = folder / "scenes" / "walk"
    demo = Path(str(files("trivox"))) / "demo_scene"
    demo_rig = load_rig(demo / "calibration.json", up="z")
    save_rig(demo_rig.selected(["cam1", "cam2"]), walk / "calibration.toml")
    (walk / "videos").mkdir()
    for v, name in enumerate(("cam1", "cam2")):
        save_keypoints(seen(v), folder / "keypoints" / f"{name}.npz")
        with Film(walk / "videos" / f"{name}.mp4", (640, 640), 24.0, crf=30) as film:
            for picture in Video(demo / "videos" / f"{name}.mp4").frames(stop=3):
                film.add(picture)
    save_poses(load_poses(demo / "truth.npz")[:3], walk / "truth.npz")
    (folder / "scenes" / "dataset.yaml").write_text("up: z\n")
    (folder / "scenes" / "splits.yaml").write_text("train: [{walk: [[0, 2]]}]\nval: [{walk: [[2, 3]]}]\n")
    save_rig(rig(), folder / "rig.toml")
    (folder / "raw").mkdir()
    panoptic_sequence(folder / "raw", "170407_walk", ["00_00", "00_01"], {0: [panoptic_body(0, 0.0)]}, videos=2)
    shutil.copy(PROJECT / "experiments" / "own_data.yaml", folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        trivox(words_in(["triangulate", "GIVEN/rig.toml", *KEYPOINTS, "--out", "GIVEN/result"], folder, folder))
    assert (folder / "result" / "poses.npz").is_file()


CALIBRATION, VIDEOS = "GIVEN/scenes/walk/calibration.toml", "GIVEN/scenes/walk/videos"
FOUND = ["GIVEN/result/keypoints/cam1.npz", "GIVEN/result/keypoints/cam2.npz"]
KEYPOINTS = ["GIVEN/keypoints/cam1.npz", "GIVEN/keypoints/cam2.npz"]
# A step of training on the smallest model there is.
SMALL = (
    "epochs=1 samples_per_epoch=1 optimizer.batch_size=1 model.image_hw=[64,64] model.cube.size=8 model.v2v.width=2 "
    "model.v2v.depth=1 evaluation.batch_size=1 run.workers=0 run.tensorboard=false data.labels=GIVEN/scenes"
)
# Which files of the stranger's folder a command reads, and how it is called.
COMMANDS: dict[str, list[list[str]]] = {
    "result": [
        ["export", "GIVEN/result", "--to", "csv", "--out", "OUT"],
        ["smooth", "GIVEN/result", "--out", "OUT"],
        ["report", "GIVEN/result", "--out", "OUT/page.html"],
        ["view", "GIVEN/result", "--save", "OUT/page.html"],
        ["evaluate", "GIVEN/result", "--truth", "WHOLE/result/poses.npz", "--out", "OUT"],
        ["evaluate", "WHOLE/result", "--truth", "GIVEN/result/poses.npz", "--out", "OUT"],
        ["draw", "GIVEN/result", "--videos", VIDEOS, "--image-fit", "scale", "--out", "OUT/drawn.mp4"],
        ["calibration", "check", "GIVEN/result/rig.toml"],
        ["triangulate", "GIVEN/result/rig.toml", *FOUND, "--out", "OUT"],
        ["doctor", "GIVEN/result/rig.toml", *FOUND],
        ["predict", "WHOLE/scenes/walk/calibration.toml", "WHOLE/scenes/walk/videos", "--out", "GIVEN/result"],
    ],
    "scenes": [
        ["dataset", "check", "GIVEN/scenes", "--out", "OUT/check.jpg"],
        ["evaluate", "--weights", "ransac-thunder", "--labels", "GIVEN/scenes", "--out", "OUT"],
        ["predict", CALIBRATION, VIDEOS, "--method", "ransac", "--out", "OUT"],
        ["doctor", CALIBRATION, VIDEOS],
        ["train", "GIVEN/own_data.yaml", "--out", "OUT", "--override", *SMALL.split()],
    ],
    "raw": [["prepare", "panoptic", "GIVEN/raw", "--out", "OUT"]],
}


def words_in(words: list[str], given: Path, whole: Path) -> list[str]:
    """The words of a command, with the folders that they stand for."""
    places = {"GIVEN": given, "OUT": given.parent / "out", "WHOLE": whole}
    return [re.sub("GIVEN|OUT|WHOLE", lambda found: str(places[found.group()]), word) for word in words]


def folder_case(part: str, seed: int, base: Path, whole: Path) -> str | None:
    """A command over a stranger's folder, in this part of which one file is mutated."""
    chance, folder = random.Random(f"{part} {seed}"), base / "case"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder / "given")
    path = chance.choice(sorted(path for path in (folder / "given" / part).rglob("*") if path.is_file()))
    done, words = mutated(path, chance), chance.choice(COMMANDS[part])
    fault = fault_of(lambda: trivox(words_in(words, folder / "given", whole)), folder)
    return fault and f"{words[0]} with {path.name}, seed {seed} ({done}): {fault}"


def faults(cases: int, first: int, only: str = "") -> Iterator[str]:
    """Run the cases: kinds of files and parts of the folder in turn."""
    names = [name for name in (*KINDS, *COMMANDS) if only in name]
    with tempfile.TemporaryDirectory(prefix="trivox-fuzz-") as made:
        base, whole = Path(made), dict[str, bytes]()
        strangers_folder(base / "whole")
        for number in range(cases):
            name, seed = names[number % len(names)], first + number // len(names)
            fault = (
                file_case(name, seed, base, whole) if name in KINDS else folder_case(name, seed, base, base / "whole")
            )
            if fault:
                yield fault


sys.addaudithook(_audit)


def main() -> None:
    import resource

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds of files with this in their name; or result, scenes, raw")
    options = parser.parse_args()
    for warm in faults(len(KINDS) + len(COMMANDS), -1):  # what is loaded once is loaded before memory is counted
        print(warm)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, resource.RLIM_INFINITY))
    begun, found = time.monotonic(), 0
    for fault in faults(options.cases, options.seed, options.only):
        found += 1
        print(fault, flush=True)
    print(f"{options.cases} cases in {time.monotonic() - begun:.0f} s: {found} faults")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
