"""Rooms with their furniture, and what stands in the way: solids with textures, and the lights that fit them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trivox.synthetic import furniture
from trivox.synthetic.furniture import Palette
from trivox.synthetic.lights import Light, no_opening
from trivox.synthetic.solids import BOX, INSIDE, Solids
from trivox.synthetic.textures import colour, wall_colour


@dataclass
class Room:
    """`half_mm`: half sizes in x and y, and the full height. `colours`: what its largest surfaces look like."""

    half_mm: np.ndarray
    solids: Solids
    palette: Palette
    lights: list[Light] = field(default_factory=list)
    ambient: np.ndarray = field(default_factory=lambda: np.full(3, 0.3))
    colours: list[np.ndarray] = field(default_factory=list)


def draw_size(rng: np.random.Generator) -> np.ndarray:
    """Half sizes of a room in x and y, and its height, mm: from a living room to a small hall."""
    half = rng.uniform(2500, 4200, 2) * rng.choice([1.0, 1.0, 1.4])
    return np.array([*half, rng.uniform(2500, 3600)])


def empty_room(rng: np.random.Generator, half_mm: np.ndarray, palette: Palette, checker_mm: float | None) -> Room:
    """Walls, floor, ceiling, skirting boards; a checker floor of two greys where asked for."""
    room = Room(half_mm, Solids(), palette)
    wall_kinds = ["plain", "plain", "wallpaper", "brick", "wood", "cloth"]
    floor_kinds = ["wood", "wood", "carpet", "tiles", "plain"]
    base, floor = wall_colour(rng), 0.8 * wall_colour(rng)
    room.colours += [base, floor]
    walls, tiles = [], []
    for _ in range(4):
        own = rng.random() < 0.3
        kind = str(rng.choice(wall_kinds)) if own or not walls else None
        walls.append(palette.add(kind, wall_colour(rng) if own else base) if kind else walls[0])
        tiles.append(float(rng.uniform(900, 2400)))
    second = -1
    if checker_mm is None:
        ground, ground_tile = palette.add(str(rng.choice(floor_kinds)), floor), float(rng.uniform(700, 2000))
        if rng.random() < 0.15:
            second, ground_tile = palette.add("plain", colour(rng, 0.3, 0.1, 0.9)), float(rng.uniform(250, 600))
    else:
        ground, second = palette.add("white", np.full(3, 0.12)), palette.add("white", np.full(3, 0.6))
        ground_tile = checker_mm
    ceiling = palette.add("plain", np.full(3, rng.uniform(0.5, 0.85)))
    x, y, z = half_mm
    # The room's own sides: seen from within, +z is the ceiling.
    room.solids.add(
        INSIDE, (0, 0, z / 2), (x, y, z / 2), [*walls, ceiling, ground], 0.0, [*tiles, 1500.0, ground_tile], second
    )
    if second >= 0:
        # A checker has one square for all sides of a solid: plain walls stand before it.
        for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
            centre, half = np.array([0, 0, z / 2]), np.array([x, y, z / 2])
            centre[axis], half[axis] = sign * (half_mm[axis] - 4), 4
            room.solids.add(BOX, centre, half, walls[2 * axis + (sign < 0)], 0.0, tiles[2 * axis])
        room.solids.add(BOX, (0, 0, z - 4), (x, y, 4), ceiling, 0.0, 1500.0)
    board = palette.add("plain", np.full(3, rng.uniform(0.05, 0.85)))
    for axis in (0, 1):
        for sign in (1, -1):
            centre, half = np.array([0.0, 0.0, 45.0]), np.array([x, y, 45.0])
            centre[axis], half[axis] = sign * (half_mm[axis] - 12), 8
            room.solids.add(BOX, centre, half, board, 0.0, 500.0)
    return room


def add_lights(rng: np.random.Generator, room: Room) -> None:
    """Lamps below the ceiling, daylight from a window, sometimes the sun through it."""
    x, y, z = room.half_mm
    mood = np.exp(rng.normal() * 0.35)
    room.ambient = (0.18 + 0.3 * rng.random()) * mood * np.exp(rng.normal(size=3) * 0.06)
    for _ in range(int(rng.choice([1, 2], p=[0.65, 0.35]))):
        place = np.array([rng.uniform(-0.6, 0.6) * x, rng.uniform(-0.6, 0.6) * y, z - 60])
        shade = rng.uniform(0.25, 0.9) * np.array([1.0, rng.uniform(0.82, 1.0), rng.uniform(0.6, 1.0)])
        room.lights.append(
            Light(
                place,
                np.array([place[0] * 0.6, place[1] * 0.6, 0.0]),
                shade,
                z - 900,
                2.4,
                rng.uniform(0.015, 0.12),
                no_opening(),
            )
        )
        glow = room.palette.add("white", np.full(3, 0.9))
        room.solids.add(
            BOX, (place[0], place[1], z - 20), (rng.uniform(120, 500), rng.uniform(60, 300), 18), glow, glow=3.0
        )
    if rng.random() < 0.65:
        _window(rng, room)


def _window(rng: np.random.Generator, room: Room) -> None:
    axis, sign = int(rng.integers(2)), float(rng.choice([-1, 1]))
    wall, other = sign * room.half_mm[axis], room.half_mm[1 - axis]
    middle, half = rng.uniform(-0.5, 0.5) * other, rng.uniform(500, 1100)
    low, high = rng.uniform(400, 1000), rng.uniform(1900, room.half_mm[2] - 200)
    centre, size = np.zeros(3), np.zeros(3)
    centre[axis], centre[1 - axis], centre[2] = wall - sign * 14, middle, (low + high) / 2
    size[axis], size[1 - axis], size[2] = 8, half, (high - low) / 2
    room.solids.add(BOX, centre, size, room.palette.add("outdoors", np.ones(3)), glow=float(rng.uniform(1.5, 5)))
    frame = room.palette.add("plain", np.full(3, rng.uniform(0.05, 0.85)))
    for along, up in ((0, 1), (1, 0)):
        bar = size.copy()
        bar[axis] = 16
        bar[1 - axis], bar[2] = (size[1 - axis], 28) if along == 0 else (28, size[2])
        room.solids.add(BOX, centre - [0, 0, 0 * up], bar, frame, tile_mm=400.0)
    inward = np.zeros(3)
    inward[axis] = -sign
    sky = Light(
        centre + inward * 60,
        np.array([0.0, 0.0, 700.0]),
        rng.uniform(0.15, 0.7) * np.array([0.85, 0.93, 1.0]),
        float(room.half_mm[axis]),
        1.8,
        0.14,
        no_opening(),
    )
    room.lights.append(sky)
    if rng.random() < 0.5:
        way = inward * rng.uniform(0.5, 1.2) - np.array([0, 0, rng.uniform(0.35, 0.9)])
        way[1 - axis] = rng.uniform(-0.7, 0.7)
        start = centre - way / np.linalg.norm(way) * 15_000
        reach = 1.3 * float(np.linalg.norm(room.half_mm)) / 15_000
        opening = np.array([axis, wall, middle - half, middle + half, low, high])
        shine = rng.uniform(1.2, 4.0) * np.array([1.0, 0.93, 0.8])
        room.lights.append(Light(start, np.array([0.0, 0.0, 600.0]), shine, 15_000, reach, 0.0015, opening))


def furnish(
    rng: np.random.Generator, room: Room, keep_clear: np.ndarray, eyes: np.ndarray, occluders: int, clutter: int
) -> None:
    """Things along the walls and `occluders` in between; none in anybody's way (`keep_clear (N, 2)`) or at a lens."""
    _hang_on_walls(rng, room, clutter)
    for _ in range(clutter):
        _try_to_stand(rng, room, keep_clear, eyes, along_wall=True)
    for _ in range(occluders):
        _try_to_stand(rng, room, keep_clear, eyes, along_wall=False)


def _hang_on_walls(rng: np.random.Generator, room: Room, count: int) -> None:
    """Doors, pictures and a rug."""
    if rng.random() < 0.4:
        half = (rng.uniform(600, 1500), rng.uniform(500, 1100), 3.0)
        room.solids.add(
            BOX, (*rng.uniform(-900, 900, 2), 3), half, room.palette.any("carpet", "wallpaper"), rng.uniform(0, 3), 0.0
        )
    for number in range(count):
        axis, sign = int(rng.integers(2)), float(rng.choice([-1, 1]))
        centre, half = np.zeros(3), np.zeros(3)
        door = number == 0
        half[1 - axis], half[2] = (430, 1020) if door else rng.uniform([180, 180], [750, 550])
        centre[axis], half[axis] = sign * (room.half_mm[axis] - 12), 10
        centre[1 - axis] = rng.uniform(-1, 1) * (room.half_mm[1 - axis] - half[1 - axis])
        centre[2] = 1020 if door else rng.uniform(1100, 2000)
        image = room.palette.any("wood", "plain") if door else room.palette.add("poster", np.ones(3))
        room.solids.add(BOX, centre, half, image, 0.0, 1000.0 if door else 0.0)


def _try_to_stand(
    rng: np.random.Generator, room: Room, keep_clear: np.ndarray, eyes: np.ndarray, along_wall: bool
) -> None:
    """Put one piece where it fits; a few tries, then do without."""
    for _ in range(12):
        kind = furniture.draw_kind(rng, along_wall)
        reach = furniture.REACH_MM[kind]
        if along_wall:
            axis, sign = int(rng.integers(2)), float(rng.choice([-1, 1]))
            place = np.zeros(2)
            place[axis] = sign * (room.half_mm[axis] - min(reach, 420))
            place[1 - axis] = rng.uniform(-1, 1) * (room.half_mm[1 - axis] - reach)
            turn = np.pi / 2 * (axis == 0)
        else:
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(650, 2100)
            place, turn = distance * np.array([np.cos(angle), np.sin(angle)]), rng.uniform(0, np.pi)
        people = np.linalg.norm(keep_clear - place, axis=1).min() if len(keep_clear) else np.inf
        lens = np.linalg.norm(eyes[:, :2] - place, axis=1).min()
        if people > reach * 0.8 + 230 and lens > reach + 450:
            furniture.DRAWN[kind](rng, room.solids, room.palette, place, turn)
            return
