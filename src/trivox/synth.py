"""Rendered scenes with exact truth, written as folders: what `trivox synth` does.

The same command goes on where it was interrupted: a scene that is whole is not drawn again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

from trivox.base.work import alone_in, claim
from trivox.data.human36m import SUBJECTS, TEST_SUBJECTS, TRIALS
from trivox.errors import InputError
from trivox.progress import progress
from trivox.synthetic import layouts
from trivox.synthetic.bodies import template
from trivox.synthetic.clips import load_clips
from trivox.synthetic.layouts import PictureFiles
from trivox.synthetic.outlets import Advance, check_even
from trivox.synthetic.scene import Scene, SceneOptions, draw_scene
from trivox.synthetic.worlds import World, scene_number

Layout = Literal["scenes", "human36m", "panoptic"]
Worlds = Literal["train", "test", "both"]
# Of "both" worlds, every fifth scene is for testing.
_TEST_EVERY = 5
_MOST_SEQUENCES = 127  # Panoptic's label file counts no further


def synth(
    out: Path,
    scenes: int = 1,
    layout: Layout = "scenes",
    options: SceneOptions | None = None,
    seed: int = 0,
    world: Worlds = "both",
    pictures: PictureFiles = "videos",
    threads: int = 0,
) -> None:
    """Write scenes `seed`, `seed + 1`, ... below `out`.

    `world`: "train" and "test" share no body, motion, rig or texture; of "both", every fifth scene is a test scene, and
    in Human3.6M's layout subjects S9 and S11 are. `pictures` is for our own layout, the others hold images. `threads`:
    0 takes as many as the machine has cores. Raises `InputError` for bad options, or where `out` holds something else.
    """
    options = options or SceneOptions()
    threads = threads or os.cpu_count() or 1
    with alone_in(out):
        _check(scenes, layout, options, seed, world, pictures)
        _claim(out, scenes, layout, options, seed, world, pictures)
        with progress("rendering", total=scenes * options.frames) as advance:
            _WRITERS[layout](out, scenes, options, seed, world, pictures, threads, advance)


def dataset_words(out: Path, layout: Layout) -> str:
    """What the commands that read datasets are told to read these scenes."""
    match layout:
        case "scenes":
            return str(out)
        case "human36m":
            return f"{out / layouts.HUMAN36M_LABELS} --pictures {out / 'processed'}"
        case "panoptic":
            return str(out / layouts.PANOPTIC_LABELS)


def _check(scenes: int, layout: str, options: SceneOptions, seed: int, world: str, pictures: str) -> None:
    """Refuse, before anything is written, what cannot be made."""
    for name, given, known in (
        ("layout", layout, get_args(Layout)),
        ("world", world, get_args(Worlds)),
        ("pictures", pictures, get_args(PictureFiles)),
    ):
        if given not in known:
            raise InputError(f"there is no {name} {given!r}; use one of {', '.join(known)}")
    most = {"human36m": len(TRIALS) * len(_subjects(world)), "panoptic": _MOST_SEQUENCES}.get(layout, 10**6)
    if not 1 <= scenes <= most:
        raise InputError(f"{scenes} scenes are asked for; the layout {layout} takes 1 to {most}")
    if layout == "human36m" and options.cameras != (4, 4):
        low, high = options.cameras
        raise InputError(f"Human3.6M has 4 cameras, not {low} to {high}; leave --cameras out, or use another layout")
    if layout == "scenes" and pictures == "videos":
        check_even(options.image_hw)
    for part in ("train", "test"):
        for number in (seed, seed + scenes - 1):
            if world in (part, "both"):
                scene_number(number, part)
    if options.motion is not None:
        load_clips(options.motion)
    template()


def _claim(out: Path, scenes: int, layout: str, options: SceneOptions, seed: int, world: str, pictures: str) -> None:
    """Note what is made here; refuse a folder of something else, so that nothing is mixed or lost."""
    made = {"layout": layout, "scenes": scenes, "seed": seed, "world": world, "pictures": pictures}
    made |= {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
    claim(out / "synth.json", {"command": "synth", **made})


def _world_of(number: int, world: Worlds) -> World:
    if world == "both":
        return "test" if number % _TEST_EVERY == _TEST_EVERY - 1 else "train"
    return world


def _write_scenes(
    out: Path, scenes: int, options: SceneOptions, seed: int, world: Worlds, pictures: PictureFiles, threads: int,
    advance: Advance,
) -> None:  # fmt: skip
    worlds: dict[str, World] = {f"scene_{seed + i:06d}": _world_of(seed + i, world) for i in range(scenes)}
    for i, (name, part) in enumerate(worlds.items()):
        scene = draw_scene(seed + i, options, part)
        if layouts.is_whole(out / name, scene):
            advance(options.frames)
        else:
            layouts.write_scene(scene, out / name, pictures, threads, advance)
    layouts.write_splits(out, worlds)


def _subjects(world: str) -> list[str]:
    return [s for s in SUBJECTS if world == "both" or (s in TEST_SUBJECTS) == (world == "test")]


def _human36m_takes(scenes: int, options: SceneOptions, seed: int, world: Worlds) -> Iterator[tuple[str, Scene]]:
    """Take and scene: subjects in turn, each with one rig for all of its trials."""
    subjects = _subjects(world)
    first: dict[str, Scene] = {}
    for i in range(scenes):
        subject = subjects[i % len(subjects)]
        part: World = "test" if subject in TEST_SUBJECTS else "train"
        scene = draw_scene(seed + i, options, part, like=first.get(subject))
        scene = layouts.as_human36m(scene)
        first.setdefault(subject, scene)
        yield layouts.human36m_take(i // len(subjects), subject), scene


def _write_human36m(
    out: Path, scenes: int, options: SceneOptions, seed: int, world: Worlds, pictures: PictureFiles, threads: int,
    advance: Advance,
) -> None:  # fmt: skip
    takes = {}
    for take, scene in _human36m_takes(scenes, options, seed, world):
        takes[take] = scene
        if layouts.is_whole(out / "processed" / take, scene):
            advance(options.frames)
        else:
            layouts.write_human36m_take(scene, out, take, threads, advance)
    layouts.write_human36m_labels(out, takes)


def _write_panoptic(
    out: Path, scenes: int, options: SceneOptions, seed: int, world: Worlds, pictures: PictureFiles, threads: int,
    advance: Advance,
) -> None:  # fmt: skip
    sequences = {}
    for i in range(scenes):
        scene = layouts.as_panoptic(draw_scene(seed + i, options, _world_of(seed + i, world)))
        name = f"{seed + i:06d}_pose1"
        sequences[name] = scene
        if layouts.is_whole(out / name, scene):
            advance(options.frames)
        else:
            layouts.write_panoptic_sequence(scene, out, name, threads, advance)
    layouts.write_panoptic_labels(out, sequences)


_WRITERS = {"scenes": _write_scenes, "human36m": _write_human36m, "panoptic": _write_panoptic}
