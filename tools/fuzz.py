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
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch
from safetensors.torch import save_file

from trivox.cli.main import main as trivox
from trivox.data.open_labels import load_labels
from trivox.data.scene_folders import read_stated
from trivox.data.splits import read_split
from trivox.errors import InputError
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.images import read_image
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.files.poses import load_poses, save_poses
from trivox.files.reference_configs import read_reference_training
from trivox.files.reference_results import (
    load_metric_json,
    load_reference_results,
    save_metric_json,
    save_reference_results,
)
from trivox.files.safe_pickle import load_npy
from trivox.files.videos import Video
from trivox.geometry.cameras import Cameras
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17
from trivox.models.checkpoints import load_model
from trivox.models.weights import read_pickled
from trivox.training.experiment_files import load_experiment

SECONDS, BYTES = 60, 3 * 2**30
EXTREME = (
    "1e308",
    "-1e308",
    "1e999",
    "NaN",
    "-1",
    "0",
    "9" * 30,
    "2" * 5000,
    "1e-320",
    '""',
    "null",
    "[]",
    "{}",
    "[[]]",
)
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    2**70,
    1e308,
    float("nan"),
    "",
    "x" * 300,
    "a\0b",
    [],
    {},
    [[]],
    [None],
    {"": 1},
]
FORBIDDEN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "pty.spawn"}


@dataclass(frozen=True)
class Kind:
    """A kind of file: how a whole one is written, and who reads it."""

    suffix: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def rig() -> Rig:
    K = torch.tensor([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]).double().expand(2, 3, 3)
    R = torch.eye(3).double().expand(2, 3, 3)
    t_mm = torch.tensor([[0.0, 0, 3000], [500, 0, 3000]]).double()
    sizes = torch.tensor([[480, 640]] * 2)
    return Rig(("cam1", "cam2"), Cameras(K, R, t_mm, torch.zeros(2, 5).double(), image_hw=sizes))


def poses() -> Poses:
    valid = torch.ones(3, 1, 17, dtype=torch.bool)
    valid[1, 0, -1] = False
    points = torch.linspace(-500, 500, 3 * 17 * 3).reshape(3, 1, 17, 3).double() * valid[..., None]
    up = torch.tensor([0.0, 0, 1]).double()
    return Poses(points, valid, valid.double(), torch.arange(3), COCO_17, 30.0, up)


def seen(view: int = 0) -> Keypoints2D:
    people = poses()
    points = rig().cameras[view].project(people.points_mm.nan_to_num().reshape(-1, 3)).reshape(3, 1, 17, 2)
    return Keypoints2D(points * people.valid[..., None], people.valid.double(), torch.arange(3), COCO_17)


def _text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content, "utf-8")


def _openpose(path: Path) -> None:
    flat = np.concatenate([seen().points_px[0, 0].numpy(), np.ones((17, 1))], 1).ravel().tolist()
    path.write_text(json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": flat}]}))


def _coco(path: Path) -> None:
    rows = [np.concatenate([points[0].numpy(), np.ones((17, 1))], 1).ravel().tolist() for points in seen().points_px]
    path.write_text(
        json.dumps([{"image_id": i, "category_id": 1, "keypoints": row, "score": 1.0} for i, row in enumerate(rows)])
    )


def _deeplabcut(path: Path) -> None:
    head = [
        ["scorer", *["s"] * 6],
        ["bodyparts", *["nose"] * 3, *["tail"] * 3],
        ["coords", *["x", "y", "likelihood"] * 2],
    ]
    rows = [[str(i), "1.5", "2.5", "0.9", "3", "4", "0.8"] for i in range(3)]
    path.write_text("\n".join(",".join(row) for row in head + rows) + "\n")


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"], group.attrs["nblocks"] = "frame", 1
        group.attrs["axis1_variety"] = group.attrs["axis0_variety"] = "regular"
        group["axis1"], group["block0_values"] = np.arange(3), np.ones((3, 6))
        group.attrs["block0_items_variety"], group.attrs["block0_items_nlevels"] = "multi", 3
        for level, names in enumerate(([b"s"], [b"nose", b"tail"], [b"x", b"y", b"likelihood"])):
            group[f"block0_items_level{level}"] = np.array(names)
        group["block0_items_label0"] = np.zeros(6, int)
        group["block0_items_label1"], group["block0_items_label2"] = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)


def _picture(path: Path) -> None:
    cv2.imwrite(str(path), np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3))


def _folder_of(name: str) -> Callable[[Path], object]:
    """A reader of folders, given one that holds the file under this name alone."""

    def read(path: Path) -> object:
        folder = path.parent / "folder"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        path.rename(folder / name)
        return load_keypoints(folder, skeleton="coco17")

    return read


def _experiment(path: Path) -> None:
    shutil.copy(sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))[0], path)


def _model(path: Path) -> None:
    save_file({"a": torch.zeros(4)}, path, {"trivox_model": json.dumps({"method": "ransac", "joints": ["a"]})})


def _video(path: Path) -> None:
    path.write_bytes((files("trivox") / "demo_scene" / "videos" / "cam1.mp4").read_bytes())


def _matrix(name: str, rows: int, cols: int, numbers: list[float]) -> str:
    return f"{name}: !!opencv-matrix\n  rows: {rows}\n  cols: {cols}\n  dt: d\n  data: {numbers}\n"


OPENCV = '%YAML:1.0\n---\nnames:\n  - "0"\n' + _matrix("K_0", 3, 3, [500.0, 0, 320, 0, 500, 240, 0, 0, 1])
OPENCV += _matrix("dist_0", 1, 5, [0.0] * 5) + _matrix("R_0", 3, 1, [0.0] * 3) + _matrix("T_0", 3, 1, [0.0, 0, 3])
PLAIN = {"points_mm": poses().points_mm.numpy(), "joint_names": np.array(COCO_17.names), "fps": np.array(30.0)}

KINDS: dict[str, Kind] = {
    "rig toml": Kind(".toml", lambda path: save_rig(rig(), path), load_rig),
    "rig list": Kind(".json", lambda path: save_rig(rig(), path, format="list"), lambda p: load_rig(p, units="mm")),
    "rig opencv": Kind(".yml", _text(OPENCV), lambda path: load_rig(path, units="m")),
    "poses npz": Kind(".npz", lambda path: save_poses(poses(), path), load_poses),
    "poses plain npz": Kind(".npz", lambda path: np.savez(path, **PLAIN), load_poses),  # pyright: ignore
    "poses csv": Kind(".csv", lambda path: save_poses(poses(), path), load_poses),
    "poses trc": Kind(".trc", lambda path: save_poses(poses(), path), load_poses),
    "keypoints npz": Kind(".npz", lambda path: save_keypoints(seen(), path), load_keypoints),
    "keypoints coco": Kind(".json", _coco, lambda path: load_keypoints(path, skeleton="coco17")),
    "keypoints openpose": Kind(".json", _openpose, _folder_of("a_000000000001_keypoints.json")),
    "keypoints deeplabcut": Kind(".csv", _deeplabcut, load_keypoints),
    "keypoints hdf5": Kind(".h5", _hdf5, load_keypoints),
    "results pkl": Kind(".pkl", lambda p: save_reference_results(PLAIN["points_mm"][:, 0], p), load_reference_results),
    "metric json": Kind(
        ".json", lambda p: save_metric_json({"per_pose_error": {"S9": {"Eat": 1.0}}}, p), load_metric_json
    ),
    "labels npy": Kind(".npy", lambda path: np.save(path, np.array({"a": [1, "b"]}, object)), load_npy),
    "split yaml": Kind(".yaml", _text("train: [{a: [[0, 10]]}]\nval: [{b: [[0, 5]]}]\n"), read_split),
    "experiment yaml": Kind(".yaml", _experiment, load_experiment),
    "config yaml": Kind(
        ".yaml", _text("title: a\nmodel: {name: vol, backbone: {}}\nopt: {lr: 1}\n"), read_reference_training
    ),
    "checkpoint": Kind(".pth", lambda path: torch.save({"a": torch.arange(20.0)}, path), read_pickled),
    "model": Kind(".safetensors", _model, load_model),
    "labels json": Kind(".json", _text('{"format": "trivox labels 1", "name": "a", "rows": 1}'), load_labels),
    "dataset yaml": Kind(
        ".yaml", _text("truth_units: cm\n"), lambda path: read_stated(_named(path, "dataset.yaml").parent)
    ),
    "picture png": Kind(".png", _picture, read_image),
    "picture jpg": Kind(".jpg", _picture, read_image),
    "picture tif": Kind(".tif", _picture, read_image),
    "picture bmp": Kind(".bmp", _picture, read_image),
    "video": Kind(".mp4", _video, lambda path: list(islice(Video(path).frames(), 3))),
}


def _named(path: Path, name: str) -> Path:
    """The file under the name that its reader looks for; a file that is not there stays away."""
    named = path.with_name(name)
    return path.rename(named) if path.exists() else named


# ------------------------------------------------------------------------------------------------- mutations


def turned(data: bytes, chance: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    """An end, a middle or nothing is left."""
    start, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return chance.choice((data[:end], data[start:], data[:start] + data[end:], b""))


def repeated(data: bytes, chance: random.Random) -> bytes:
    """A piece stands there many times."""
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.choice((1, 4, 40))]
    return data[:start] + piece * chance.choice((2, 100, 20_000)) + data[start:]


def extreme(data: bytes, chance: random.Random) -> bytes:
    """A number of a text is exchanged for one that nobody writes."""
    places = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", data[:1_000_000]))
    if not places:
        return turned(data, chance)
    at = chance.choice(places)
    return data[: at.start()] + chance.choice(EXTREME).encode() + data[at.end() :]


def restructured(data: bytes, chance: random.Random) -> bytes:
    """A value of a JSON document is another one, or gone."""
    try:
        content = json.loads(data)
    except ValueError:
        return extreme(data, chance)
    holders: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            holders.append((value, key))
            walk(value[key])

    walk(content)
    if not holders:
        return json.dumps(chance.choice(VALUES)).encode()
    holder, key = chance.choice(holders)
    if chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = chance.choice(VALUES)
    return json.dumps(content).encode()


def rezipped(data: bytes, chance: random.Random) -> bytes:
    """A part of an archive is mutated, and the archive whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {info.filename: archive.read(info) for info in archive.infolist()}
    except zipfile.BadZipFile:
        return turned(data, chance)
    name = chance.choice(sorted(parts))
    parts[name] = chance.choice((turned, cut, repeated, extreme))(parts[name], chance)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


MUTATIONS = (turned, cut, repeated, extreme, restructured, rezipped)


def mutated(path: Path, chance: random.Random) -> str:
    """Change a file, or put something else in its place; what was done."""
    if chance.random() < 0.06:
        path.unlink()
        kind = chance.choice(("pipe", "device", "circle", "folder", "nothing", "link"))
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to(chance.choice(("/dev/zero", "/dev/random")))
            case "circle":
                path.symlink_to(path)
            case "folder":
                path.mkdir()
            case "link":
                path.symlink_to(path.parent / "nowhere")
        return kind
    done, data = [], path.read_bytes()
    for _ in range(chance.choice((1, 1, 1, 2))):
        mutation = chance.choice(MUTATIONS)
        data = mutation(data, chance)
        done.append(mutation.__name__)
    path.write_bytes(data)
    return " + ".join(done)


# ------------------------------------------------------------------------------------------------- one case


class TooLong(BaseException):
    """No reader may take it for a fault of the file."""


_watched: list[Path] = []
_broken: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event in FORBIDDEN:
        _broken.append(f"{event} {arguments[:2]}")
    elif event == "open" and isinstance(arguments[0], str | os.PathLike) and isinstance(arguments[2], int):
        writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        path = Path(os.path.abspath(arguments[0]))
        if writes and _watched[0] not in path.parents and "__pycache__" not in path.parts and path.parts[1] != "dev":
            _broken.append(f"writes {path}")


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


# ------------------------------------------------------------------------------------------------- all cases


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


def result_folder(folder: Path) -> None:
    """A result with all its files."""
    views = [folder.parent / f"cam{v + 1}.npz" for v in (0, 1)]
    for v, path in enumerate(views):
        save_keypoints(seen(v), path)
    save_rig(rig(), folder.parent / "rig.toml")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        trivox(["triangulate", str(folder.parent / "rig.toml"), *map(str, views), "--out", str(folder)])
    assert (folder / "poses.npz").is_file()


COMMANDS: list[list[str]] = [
    ["export", "RESULT", "--to", "csv", "--out", "OUT"],
    ["smooth", "RESULT", "--out", "OUT"],
    ["report", "RESULT", "--out", "OUT/page.html"],
    ["evaluate", "RESULT", "--truth", "WHOLE/poses.npz", "--out", "OUT"],
    ["evaluate", "WHOLE", "--truth", "RESULT/poses.npz", "--out", "OUT"],
    ["draw", "RESULT", "--out", "OUT/drawn.mp4"],
    ["calibration", "check", "RESULT/rig.toml"],
    ["triangulate", "RESULT/rig.toml", "RESULT/keypoints/cam1.npz", "RESULT/keypoints/cam2.npz", "--out", "OUT"],
]


def folder_case(seed: int, base: Path, whole: Path) -> str | None:
    """A command over a result folder in which one file is mutated."""
    chance, folder = random.Random(f"folder {seed}"), base / "case"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder / "result")
    path = chance.choice(sorted(path for path in (folder / "result").rglob("*") if path.is_file()))
    done, words = mutated(path, chance), chance.choice(COMMANDS)
    places = {"RESULT": folder / "result", "OUT": folder / "out", "WHOLE": whole}
    given = [re.sub("RESULT|OUT|WHOLE", lambda found: str(places[found.group()]), word) for word in words]
    fault = fault_of(lambda: trivox(given), folder)
    return fault and f"{words[0]} with {path.name}, seed {seed} ({done}): {fault}"


def faults(cases: int, first: int, only: str = "") -> Iterator[str]:
    """Run the cases: kinds in turn, and now and then a folder."""
    names = [name for name in (*KINDS, "folder") if only in name]
    with tempfile.TemporaryDirectory(prefix="trivox-fuzz-") as made:
        base, whole = Path(made), dict[str, bytes]()
        if "folder" in names:
            result_folder(base / "whole")
        for number in range(cases):
            name, seed = names[number % len(names)], first + number // len(names)
            fault = folder_case(seed, base, base / "whole") if name == "folder" else file_case(name, seed, base, whole)
            if fault:
                yield fault


sys.addaudithook(_audit)


def main() -> None:
    import resource

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds of files with this in their name, or folder")
    options = parser.parse_args()
    for warm in faults(len(KINDS) + 1, -1):  # what is loaded once is loaded before memory is counted
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
