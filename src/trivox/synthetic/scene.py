"""A scene: everything that a seed decides, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import H36M_17, Skeleton
from trivox.synthetic.furniture import Palette
from trivox.synthetic.joints import BODY_JOINTS
from trivox.synthetic.optics import CLEAN, Optics, draw_optics
from trivox.synthetic.people import LONGEST_PATH_MM, Person, draw_motion, draw_person
from trivox.synthetic.rigs import RIG_KINDS, RigKind, View, disturbed, draw_rig
from trivox.synthetic.rooms import Room, add_lights, draw_size, empty_room, furnish
from trivox.synthetic.segments import Motion
from trivox.synthetic.worlds import Ingredients, World, check, draw, generator, scene_number

Occlusion = Literal["none", "some", "heavy"]
# Furniture in the way and passers-by, at most.
_OCCLUDERS: dict[Occlusion, int] = {"none": 0, "some": 4, "heavy": 9}
_PASSERS_BY: dict[Occlusion, int] = {"none": 0, "some": 1, "heavy": 3}
_LONGEST_S = 3600


@dataclass(frozen=True)
class SceneOptions:
    """What a user decides about scenes; everything else is drawn from the seed."""

    cameras: tuple[int, int] = (4, 4)
    """How many cameras: between these two numbers."""
    rigs: tuple[RigKind, ...] = RIG_KINDS
    """Where they stand."""
    frames: int = 24
    """Instants of each scene."""
    fps: float = 12.0
    """Instants per second."""
    image_hw: tuple[int, int] = (480, 640)
    """Size of the pictures, height and width."""
    motion: Path | None = None
    """Folder of recorded clips (.npz); without one, motions are made of joint angles."""
    occlusion: Occlusion = "some"
    """Furniture and passers-by in the way."""
    effects: bool = True
    """Blur, noise, exposure, JPEG; without, pictures are clean."""
    calibration_noise: float = 0.0
    """Errors of the calibration that is written: 1 is a hasty one. Truth and pictures stay exact."""
    time_offset_ms: float = 0.0
    """Standard deviation of how late or early each camera is."""
    checker_floor_mm: float | None = None
    """Side of the squares of a checker floor."""

    def __post_init__(self) -> None:
        low, high = self.cameras
        if not 1 <= low <= high <= 31:
            raise InputError(f"cameras are {low} to {high}; use two numbers from 1 to 31, the smaller one first")
        if unknown := set(self.rigs) - set(RIG_KINDS):
            raise InputError(f"there are no rigs {', '.join(sorted(unknown))}; use {', '.join(RIG_KINDS)}")
        if not self.rigs:
            raise InputError(f"no kind of rig is given; use one or more of {', '.join(RIG_KINDS)}")
        if self.frames < 1 or not self.fps > 0 or self.fps > 1000:
            raise InputError(f"{self.frames} frames at {self.fps} per second; use at least 1, at more than 0 to 1000")
        if (seconds := (self.frames - 1) / self.fps) > _LONGEST_S:
            given = f"{self.frames} frames at {self.fps} per second take {seconds:.0f} s"
            raise InputError(f"{given}; use fewer, or more per second, for {_LONGEST_S} s at most")
        if not all(64 <= side <= 4096 for side in self.image_hw):
            raise InputError(f"pictures of {self.image_hw[0]} x {self.image_hw[1]} pixels; use sides of 64 to 4096")
        if self.occlusion not in _OCCLUDERS:
            raise InputError(f"there is no occlusion {self.occlusion!r}; use one of {', '.join(_OCCLUDERS)}")
        for name in ("calibration_noise", "time_offset_ms"):
            if not 0 <= getattr(self, name) <= 1e4:
                raise InputError(f"{name} is {getattr(self, name)}; use a number that is not negative")
        if self.checker_floor_mm is not None and not self.checker_floor_mm >= 50:
            raise InputError(f"checker squares of {self.checker_floor_mm} mm; use 50 mm or more")


@dataclass(frozen=True)
class Scene:
    """Exact views, people and room; `told` are the views as the written calibration tells them.

    `offsets_s (V,)`: how much later than the clock each camera sees. `blurred (V,)`: whether it has the scene's
    exposure time, `shutter_s`. `seed` and `world` name the scene, `ingredients` what it is made of.
    """

    seed: int
    world: World
    options: SceneOptions
    ingredients: Ingredients
    names: tuple[str, ...]
    views: tuple[View, ...]
    told: tuple[View, ...]
    optics: tuple[Optics, ...]
    offsets_s: np.ndarray
    blurred: np.ndarray
    shutter_s: float
    room: Room
    people: tuple[Person, ...]

    @property
    def number(self) -> int:
        return scene_number(self.seed, self.world)

    @property
    def times_s(self) -> np.ndarray:
        """The clock's times of the frames (F,)."""
        return np.arange(self.options.frames) / self.options.fps

    @cached_property
    def joints_mm(self) -> np.ndarray:
        """The exact joints (F, P, J, 3) of BODY_JOINTS at the clock's times."""
        return np.stack([person.joints_mm(self.times_s) for person in self.people], 1)

    def truth(self, skeleton: Skeleton = H36M_17) -> Poses:
        """The exact poses, joints by name; the first person is the one that the rig looks at."""
        points = torch.from_numpy(self.joints_mm)
        whole = torch.ones(points.shape[:-1], dtype=torch.bool)
        frames = torch.arange(len(points))
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        return Poses(points, whole, whole.double(), frames, BODY_JOINTS, self.options.fps, up).converted(skeleton)

    @property
    def rig(self) -> Rig:
        """The exact cameras."""
        return _rig(self.names, self.views)

    @property
    def told_rig(self) -> Rig:
        """The cameras as the calibration tells them: exact ones unless errors were asked for."""
        return _rig(self.names, self.told)

    def boxes_px(self, margin: float = 0.08) -> np.ndarray:
        """Boxes (F, P, V, 4) around the projected joints: left, top, right, bottom, widened by a share."""
        points = torch.from_numpy(self.joints_mm)
        flat = points.reshape(1, -1, 3).expand(len(self.views), -1, 3)
        projected = self.rig.cameras.project(flat).reshape(len(self.views), *points.shape[:3], 2).numpy()
        low, high = projected.min(3), projected.max(3)
        reach = margin * (high - low).max(-1, keepdims=True)
        return np.concatenate([low - reach, high + reach], -1).transpose(1, 2, 0, 3)


def _rig(names: tuple[str, ...], views: tuple[View, ...]) -> Rig:
    def camera(view: View) -> Cameras:
        K, R, t_mm, lens = (torch.from_numpy(array) for array in (view.K, view.R, view.t_mm, view.distortion))
        return Cameras(K, R, t_mm, lens, view.distortion_model, torch.tensor(view.image_hw))

    return Rig(
        names, Cameras.stack([camera(view) for view in views]), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    )


class _Draws:
    """The random numbers of one scene, and the numbered ingredients that were drawn with them."""

    def __init__(self, scene: int, world: World) -> None:
        self.scene = scene
        self.world: World = world
        self.rng = self.stream()
        self._numbers: dict[str, list[int]] = {pool: [] for pool in ("body", "motion", "rig", "outfit")}
        self._clips: list[str] = []

    def stream(self, *more: int) -> np.random.Generator:
        """Random numbers of the scene's own that depend on nothing drawn before."""
        return generator("scene", self.scene, *more)

    def number(self, pool: str) -> int:
        self._numbers[pool].append(draw(self.rng, pool, self.world))
        return self._numbers[pool][-1]

    def motion(self, seconds: float, folder: Path | None) -> Motion:
        motion, number, clip = draw_motion(self.rng, self.world, seconds, folder)
        self._numbers["motion"].append(number)
        self._clips += [clip] if clip else []
        return motion

    def ingredients(self, textures: list[int]) -> Ingredients:
        named = {pool: tuple(given) for pool, given in self._numbers.items()}
        return Ingredients(named | {"texture": tuple(textures), "scene": (self.scene,)}, tuple(self._clips))


def draw_scene(
    seed: int, options: SceneOptions | None = None, world: World = "train", like: Scene | None = None
) -> Scene:
    """The scene of a seed; with the rig (and the room's size) of another one where `like` is given.

    Raises `InputError` for a seed outside of the world, or where Anny is missing. What is drawn when decides what every
    seed looks like: another order would be another world.
    """
    options = options or SceneOptions()
    draws = _Draws(scene_number(seed, world), world)
    palette = Palette(draws.stream(1), world)
    half_mm = draw_size(draws.rng) if like is None else like.room.half_mm
    room = empty_room(draws.rng, half_mm, palette, options.checker_floor_mm)
    people = _people(draws, options, room)
    views = _views(draws, options, room, people[0].motion.root_mm)
    views = views if like is None else like.views
    add_lights(draws.rng, room)
    _furnish(draws.rng, room, people, views, options.occlusion)
    ingredients = draws.ingredients(palette.numbers)
    check(ingredients, world)
    filming, telling = draws.stream(2), draws.stream(3)
    return Scene(
        seed=seed,
        world=world,
        options=options,
        ingredients=ingredients,
        names=tuple(f"cam{v + 1:02d}" for v in range(len(views))),
        views=views,
        told=_told(telling, views, options.calibration_noise) if like is None else like.told,
        optics=tuple(draw_optics(filming) if options.effects else CLEAN for _ in views),
        offsets_s=telling.normal(size=len(views)) * options.time_offset_ms / 1000,
        blurred=filming.random(len(views)) < 0.7,
        shutter_s=_shutter_s(filming) if options.effects else 0.0,
        room=room,
        people=people,
    )


def _people(draws: _Draws, options: SceneOptions, room: Room) -> tuple[Person, ...]:
    seconds = (options.frames - 1) / options.fps + 0.1
    people = []
    for place in _places(draws.rng, room.half_mm, _PASSERS_BY[options.occlusion]):
        motion = draws.motion(seconds, options.motion)
        people.append(draw_person(draws.number("body"), draws.number("outfit"), motion, room.colours, place))
    return tuple(people)


def _views(draws: _Draws, options: SceneOptions, room: Room, path_mm: np.ndarray) -> tuple[View, ...]:
    """A rig that looks at the middle of a path (F, 3)."""
    rng = generator("rig", draws.number("rig"))
    count = int(rng.integers(options.cameras[0], options.cameras[1] + 1))
    kind = options.rigs[int(rng.integers(len(options.rigs)))]
    middle = (path_mm[:, :2].min(0) + path_mm[:, :2].max(0)) / 2
    return tuple(draw_rig(rng, kind, count, room.half_mm, options.image_hw, middle))


def _furnish(
    rng: np.random.Generator, room: Room, people: tuple[Person, ...], views: tuple[View, ...], occlusion: Occlusion
) -> None:
    clear = np.concatenate([person.motion.root_mm[::3, :2] for person in people])
    occluders, clutter = int(rng.integers(0, _OCCLUDERS[occlusion] + 1)), int(rng.integers(3, 12))
    furnish(rng, room, clear, np.stack([view.position_mm for view in views]), occluders, clutter)


def _shutter_s(rng: np.random.Generator) -> float:
    """The exposure time; three scenes in ten are lit so well that nothing blurs."""
    return float(rng.choice([0.0, 1.0], p=[0.3, 0.7]) * rng.uniform(0.004, 0.035))


def _told(rng: np.random.Generator, views: tuple[View, ...], noise: float) -> tuple[View, ...]:
    """The views as a calibration with this much error tells them."""
    return tuple(disturbed(rng, view, noise) for view in views) if noise > 0 else views


def _places(rng: np.random.Generator, half_mm: np.ndarray, passers_by: int) -> list[np.ndarray]:
    """Where people move about: the first near the middle of the room, others at some distance."""
    places = [rng.normal(size=2) * 150]
    for _ in range(int(rng.integers(0, passers_by + 1))):
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(800, 1900)
        limit = np.maximum(half_mm[:2] - LONGEST_PATH_MM / 4, 300)
        places.append(np.clip(places[0] + away * np.array([np.cos(angle), np.sin(angle)]), -limit, limit))
    return places
