"""Every `trivox` command that README and docs show is taken out of its page and run, on short data.

The commands run as they are written, in a folder that holds what they name. What would take long is made short by
words put behind (SHORTER); what needs recordings that are not ours to ship is only parsed (PARSED, with reasons).
"""

from __future__ import annotations

import glob
import importlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import trivox
from trivox.cli.main import _parsed, main

PROJECT = Path(__file__).parent.parent
DEMO = Path(trivox.__file__).parent / "demo_scene"
PAGES = sorted([PROJECT / "README.md", *PROJECT.glob("docs/*.md")])
FRAMES = 3

# What a reader puts in place of a word in capitals, and files under other names than here.
STANDS_FOR = {
    "RESULT": "result", "RIG": "calibration.toml", "VIDEOS": "cam1.mp4 cam2.mp4", "MODEL": "ransac-thunder",
    "DIR": "scores", "...": "", "40": "2", "0:100:2": "0:3:2", "NAME.safetensors": "volumetric.safetensors",
}  # fmt: skip
PARSED = {
    r"^demo": "72 frames, run in test_demo",
    r"^benchmark|--motion": "needs recorded motion",
    r"weights import": "needs a published checkpoint: test_import_weights",
    r"prepare human36m": "needs the raw download: test_prepare",
    r"evaluate --weights MODEL": "pictures of the small table are noise: test_evaluate_model",
    r"evaluate results.pkl": "needs a label table of the published system: tests/golden",
    r"h36m/|panoptic/": "needs the scenes of `synth --motion`",
    r"train experiments/(quick|default)": "hours: every experiment is run for a step in tests/training",
    r"^board": "a server: tests/training",
    r"--protocol human36m-relative": "needs Human3.6M",
}
WRITTEN_INTO = {"result", "trivox-out", "trivox-demo", "walk-result"}
SHORTER = {
    "synth": "--scenes 1 --frames 2 --cameras 2 2 --image-size 64 64",
    "train": "epochs=1 samples_per_epoch=2 optimizer.batch_size=2 model.cube.size=8 model.v2v.width=4 "
    "evaluation.batch_size=4 run.workers=0 run.tensorboard=false",
}


def documented() -> Iterator[tuple[str, str]]:
    """Page and command: lines of code that begin with `trivox`, without what stands after ` # `; each once."""
    seen: set[str] = set()
    for page in PAGES:
        for line in re.findall(r"^ {4}(trivox .+)$", page.read_text(), re.MULTILINE):
            for command in line.split("  #")[0].split(" # ")[0].split("&&"):
                words = command.strip().removeprefix("trivox").strip()
                if words and words not in seen:
                    seen.add(words)
                    yield page.name, words


COMMANDS = list(documented())


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages name: the first frames of the demo, and what was computed from them."""
    from runs import write_dataset  # pyright: ignore[reportMissingImports]  # tests/training

    root = tmp_path_factory.mktemp("stage")
    rig = trivox.load_rig(DEMO / "calibration.json", up="z")
    trivox.save_rig(rig, root / "calibration.toml")
    truth = np.load(DEMO / "truth.npz")["points_mm"][:FRAMES]
    (root / "videos").mkdir()
    for name in rig.names:
        shorten(DEMO / "videos" / f"{name}.mp4", root / "videos" / f"{name}.mp4")
        shutil.copy(root / "videos" / f"{name}.mp4", root)
    scene = root / "my-dataset" / "walk"
    shutil.copytree(root / "videos", scene / "videos")
    shutil.copy(DEMO / "calibration.json", scene)
    with np.load(DEMO / "truth.npz") as whole:
        short = {key: whole[key][:FRAMES] if whole[key].shape[:1] == (72,) else whole[key] for key in whole.files}
    np.savez(scene / "truth.npz", **short)
    shutil.copy(scene / "truth.npz", root)
    (root / "my-dataset" / "dataset.yaml").write_text("up: z\n")
    videos = sorted((root / "videos").iterdir())
    trivox.predict(rig, videos, method="ransac", out=root / "result")
    for name in ("trivox-out", "trivox-demo", "ours", "theirs", "walk-result"):
        shutil.copytree(root / "result", root / name)
    for file in ("poses.csv", "poses.trc"):
        shutil.copy(root / "result" / file, root)
    shutil.copytree(root / "result" / "keypoints", root / "keypoints")
    for v, name in enumerate(rig.names):
        write_openpose(
            root / f"{name}_json", rig.cameras[v].project(torch.from_numpy(truth[:, 0]).double().flatten(0, 1))
        )
    shutil.copytree(root / "my-dataset", root / "world")
    shutil.copytree(PROJECT / "experiments", root / "experiments")
    write_dataset(root)
    write_dataset(root / "my")
    model = Path(importlib.import_module("trivox.models").__path__[0]) / "bundled" / "volumetric.safetensors"
    shutil.copy(model, root)
    (root / "runs" / "own").mkdir(parents=True)
    shutil.copy(model, root / "runs" / "own" / "best.safetensors")
    return root


def shorten(source: Path, target: Path) -> None:
    """The first frames of a video."""
    from trivox.files.films import Film
    from trivox.files.videos import Video

    video = Video(source)
    pictures = list(video.frames(stop=FRAMES))
    with Film(target, pictures[0].shape[:2], 24.0, crf=18) as film:
        for picture in pictures:
            film.add(picture)


def write_openpose(folder: Path, points_px: torch.Tensor) -> None:
    """A file a frame, BODY_25 joints of which only COCO's are there."""
    from trivox.geometry.skeletons import BODY_25, COCO_17

    folder.mkdir()
    for frame, points in enumerate(points_px.reshape(FRAMES, 17, 2).tolist()):
        joints = {name: [x, y, 1.0] for name, (x, y) in zip(COCO_17.names, points, strict=True)}
        flat = [number for name in BODY_25.names for number in joints.get(name, [0.0, 0.0, 0.0])]
        people = {"people": [{"pose_keypoints_2d": flat}]}
        (folder / f"{folder.name}_{frame:012}_keypoints.json").write_text(json.dumps(people))


def expanded(command: str, folder: Path) -> list[str]:
    """The words as a shell gives them, with what stands for the words in capitals."""
    for name, meant in STANDS_FOR.items():
        command = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", meant, command)
    words = []
    for word in shlex.split(command):
        words += sorted(glob.glob(word, root_dir=folder)) or [word] if "*" in word else [word]
    return words


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command[:60]}" for page, command in COMMANDS])
def test_the_command_runs_as_written(
    page: str,
    command: str,
    stage: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    words = expanded(command, stage)
    if any(re.search(pattern, command) for pattern in PARSED):
        assert _parsed(words) is not None
        return
    if words[0] == "synth":
        request.getfixturevalue("bodies")
    shorter = SHORTER.get(words[0], "").split()
    at = words.index("--override") + 1 if "--override" in words else len(words)
    words[at:at] = shorter
    made = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--out" or words[i] == "synth"]
    for entry in stage.iterdir():
        if entry.name in WRITTEN_INTO:
            shutil.copytree(entry, tmp_path / entry.name)
        elif entry.name not in made and not any(name.startswith(f"{entry.name}/") for name in made):
            (tmp_path / entry.name).symlink_to(entry)
    for name in made:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module("trivox.view.page_live").LivePage, "run", lambda page: None)
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert ended.value.code in ((0, 1) if words[0] == "doctor" else (0,)), said.err
    assert all(Path(name).exists() for name in made)


def test_every_command_is_in_a_page() -> None:
    """Patterns and shortenings that no page needs any more are removed."""
    commands = [command for _, command in COMMANDS]
    assert len(commands) > 40
    assert [p for p in PARSED if not any(re.search(p, command) for command in commands)] == []
    assert {command.split()[0] for command in commands} >= set(SHORTER)
