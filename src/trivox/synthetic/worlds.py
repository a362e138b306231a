"""Two worlds that share nothing: what the test world may draw from is named in test_world.json, training has the rest.

Every ingredient of a scene (body, motion, rig, textures, outfits, the scene's own seed) is a number of a pool, and what
it looks like depends on that number alone. A recorded clip is known by its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from trivox.errors import InputError

World = Literal["train", "test"]
# Pool -> how many numbers there are.
POOLS = {"scene": 10_000_000, "body": 10_000, "motion": 100_000, "rig": 100_000, "texture": 120, "outfit": 100_000}
_ORDER = tuple(POOLS)
# Raised whenever the same seed gives other pictures than before, so that what was kept of older ones is noticed.
EDITION = 2


def generator(pool: str, number: int, *more: int) -> np.random.Generator:
    """The random numbers that make ingredient `number` of a pool; independent for every pool and number."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([_ORDER.index(pool), number, *more])))


@dataclass(frozen=True)
class Ingredients:
    """What a scene was made of: pool -> numbers, and the names of its clips."""

    numbers: dict[str, tuple[int, ...]]
    clips: tuple[str, ...]


@cache
def reserved() -> dict:
    """The content of test_world.json."""
    return json.loads((files("trivox.synthetic") / "test_world.json").read_text("utf-8"))


def is_for_test(pool: str, number: int) -> bool:
    return any(low <= number < high for low, high in reserved()[pool])


def clip_is_for_test(name: str) -> bool:
    return name in reserved()["clips"]


def draw(rng: np.random.Generator, pool: str, world: World) -> int:
    """A number of the pool that this world may use."""
    ranges = reserved()[pool]
    if world == "test":
        low, high = ranges[int(rng.integers(len(ranges)))]
        return int(rng.integers(low, high))
    while is_for_test(pool, number := int(rng.integers(POOLS[pool]))):
        pass
    return number


def scene_number(seed: int, world: World) -> int:
    """The scene that a user's seed names in a world. Raises `InputError` for one outside of it."""
    low, high = reserved()["scene"][0]
    size = high - low if world == "test" else low
    if not 0 <= seed < size:
        raise InputError(f"seed {seed} is outside of the {world} world; use 0 to {size - 1}")
    return low + seed if world == "test" else seed


def check(ingredients: Ingredients, world: World) -> None:
    """No scene leaves its world. A breach is a defect of ours, and stops training."""
    for pool, numbers in ingredients.numbers.items():
        for number in numbers:
            assert is_for_test(pool, number) == (world == "test"), f"{pool} {number} is not of the {world} world"
    for name in ingredients.clips:
        assert clip_is_for_test(name) == (world == "test"), f"clip {name} is not of the {world} world"
