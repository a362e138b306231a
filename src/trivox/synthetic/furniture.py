"""Pieces of furniture as solids, and the palette of textures that a scene collects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trivox.synthetic.solids import BOX, CYLINDER, ELLIPSOID, Solids
from trivox.synthetic.textures import LEVELS, TEXTURE_SIZE, texture, wall_colour
from trivox.synthetic.worlds import World, draw


class Palette:
    """The textures of one scene, drawn from the numbers that its world may use."""

    def __init__(self, rng: np.random.Generator, world: World) -> None:
        self._rng = rng
        self._world: World = world
        self.numbers: list[int] = []
        self._pictures: list[np.ndarray] = []

    def add(self, kind: str, tint: np.ndarray) -> int:
        """The index of a texture of this kind; "white" is none."""
        if kind == "white":
            picture = np.zeros((LEVELS, TEXTURE_SIZE, TEXTURE_SIZE, 3), np.float32) + tint.astype(np.float32)
        else:
            if kind == "wood":  # stained, not painted
                tint = np.clip(tint.mean(), 0.1, 0.9) * np.array([1.0, 0.97, 0.93])
            number = draw(self._rng, "texture", self._world)
            self.numbers.append(number)
            picture = texture(kind, number, tint)
        self._pictures.append(picture)
        return len(self._pictures) - 1

    def any(self, *kinds: str) -> int:
        return self.add(str(self._rng.choice(kinds)), wall_colour(self._rng))

    def stacked(self) -> np.ndarray:
        """(T, LEVELS, size, size, 3) float32."""
        return np.stack(self._pictures)


Drawer = Callable[[np.random.Generator, Solids, Palette, np.ndarray, float], None]


def _local(place: np.ndarray, turn: float, x: float, y: float) -> tuple[float, float]:
    c, s = np.cos(turn), np.sin(turn)
    return float(place[0] + c * x - s * y), float(place[1] + s * x + c * y)


def _round(radius: float, half_height: float) -> np.ndarray:
    """Half sizes of an upright cylinder or ellipsoid."""
    return np.array([radius, radius, half_height])


def _box(
    solids: Solids,
    place: np.ndarray,
    turn: float,
    centre: tuple[float, float, float],
    half: tuple[float, float, float] | np.ndarray,
    image: int,
    tile: float = 600.0,
) -> None:
    """A box at (x, y) of the piece's own axes."""
    x, y = _local(place, turn, centre[0], centre[1])
    solids.add(BOX, (x, y, centre[2]), half, image, turn, tile)


def _table(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    image, top = palette.any("wood", "plain"), rng.uniform(680, 780)
    half = np.array([rng.uniform(400, 650), rng.uniform(280, 420)])
    _box(solids, place, turn, (0, 0, top), (*half, 18), image)
    for sx in (-1, 1):
        for sy in (-1, 1):
            _box(solids, place, turn, (sx * (half[0] - 35), sy * (half[1] - 35), top / 2), (25, 25, top / 2), image)
    for _ in range(int(rng.integers(0, 4))):
        size = rng.uniform(25, 150, 3)
        at = (rng.uniform(-0.7, 0.7) * half[0], rng.uniform(-0.6, 0.6) * half[1], top + 18 + size[2])
        _box(solids, place, turn, at, size, palette.any("plain", "poster", "cloth"), 0.0)


def _chair(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    image, seat = palette.any("wood", "plain", "cloth"), rng.uniform(420, 480)
    half = rng.uniform(190, 240)
    _box(solids, place, turn, (0, 0, seat), (half, half, 20), image)
    for sx in (-1, 1):
        for sy in (-1, 1):
            _box(solids, place, turn, (sx * (half - 20), sy * (half - 20), seat / 2), (16, 16, seat / 2), image)
    _box(solids, place, turn, (0, half - 15, seat + 250), (half, 14, rng.uniform(90, 240)), image)


def _shelf(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    half = (rng.uniform(350, 600), rng.uniform(140, 200), rng.uniform(450, 1050))
    books, side = palette.add("books", np.ones(3)), palette.any("wood", "plain")
    solids.add(BOX, (*place, half[2]), half, [side, side, books, books, side, side], turn)


def _cabinet(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    half = (rng.uniform(250, 600), rng.uniform(180, 260), rng.uniform(300, 1000))
    solids.add(BOX, (*place, half[2]), half, palette.any("wood", "plain", "tiles"), turn, 700.0)
    if half[2] < 600:
        _box(
            solids, place, turn, (0, 0, 2 * half[2] + 160), (rng.uniform(60, 300), 50, 160), palette.any("poster"), 0.0
        )


def _sofa(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    image, long = palette.any("cloth", "plain", "carpet"), rng.uniform(500, 950)
    _box(solids, place, turn, (0, 0, 210), (long, 380, 210), image, 900.0)
    _box(solids, place, turn, (0, 310, 480), (long, 90, 300), image, 900.0)
    for sign in (-1, 1):
        _box(solids, place, turn, (sign * long, 0, 300), (80, 380, 300), image, 900.0)


def _plant(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    pot, leaves = palette.any("plain", "tiles"), palette.add("foliage", np.ones(3))
    high = rng.uniform(150, 260)
    solids.add(CYLINDER, (*place, high), _round(rng.uniform(110, 190), high), pot, 0.0, 500.0)
    for _ in range(int(rng.integers(2, 6))):
        at = place + rng.normal(size=2) * 130
        size = rng.uniform(90, 260, 3)
        solids.add(ELLIPSOID, (*at, 2 * high + rng.uniform(100, 700)), size, leaves, rng.uniform(0, 3), 500.0)
    solids.add(CYLINDER, (*place, 2 * high + 250), (18, 18, 300), palette.add("plain", np.full(3, 0.1)), 0.0, 300.0)


def _boxes(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    below = 0.0
    for _ in range(int(rng.integers(1, 4))):
        half = rng.uniform(110, 300, 3)
        twist = turn + rng.uniform(-0.5, 0.5)
        solids.add(BOX, (*place, below + half[2]), half, palette.any("plain", "poster", "wood", "cloth"), twist, 0.0)
        below += 2 * half[2]


def _stand(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    """A lamp or a coat stand: a pole on a foot with something on top."""
    image, high = palette.any("plain", "wood"), rng.uniform(700, 900)
    solids.add(CYLINDER, (*place, 15), (150, 150, 15), image, 0.0, 300.0)
    solids.add(CYLINDER, (*place, high), _round(rng.uniform(14, 40), high), image, 0.0, 300.0)
    head = _round(rng.uniform(100, 220), rng.uniform(80, 220))
    solids.add(CYLINDER, (*place, 2 * high), head, palette.any("cloth", "plain"), 0.0, 400.0)


def _column(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    half = rng.uniform(60, 160)
    kind = CYLINDER if rng.random() < 0.5 else BOX
    solids.add(kind, (*place, 2000), (half, half, 2000), palette.any("plain", "brick", "tiles"), turn, 800.0)


def _panel(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    """A folding screen, a board, a rack."""
    half = (rng.uniform(300, 500), 18.0, rng.uniform(350, 850))
    lift = rng.uniform(0, 400)
    solids.add(BOX, (*place, half[2] + lift), half, palette.any("poster", "cloth", "wallpaper"), turn, 0.0)
    for sign in (-1, 1):
        _box(
            solids,
            place,
            turn,
            (sign * half[0], 0, half[2] / 2 + lift / 2),
            (14, 14, half[2] / 2 + lift / 2),
            palette.any("plain"),
        )


def _ball(rng: np.random.Generator, solids: Solids, palette: Palette, place: np.ndarray, turn: float) -> None:
    radius = rng.uniform(110, 380)
    solids.add(ELLIPSOID, (*place, radius), _round(radius, radius), palette.any("plain", "wallpaper"), turn, 400.0)


DRAWN: dict[str, Drawer] = {
    "table": _table,
    "chair": _chair,
    "shelf": _shelf,
    "cabinet": _cabinet,
    "sofa": _sofa,
    "plant": _plant,
    "boxes": _boxes,
    "stand": _stand,
    "column": _column,
    "panel": _panel,
    "ball": _ball,
}
# How far a piece reaches from its middle.
REACH_MM = dict(zip(DRAWN, (700, 300, 550, 550, 950, 330, 380, 230, 180, 480, 380), strict=True))
_ALONG_WALL = ("table", "chair", "shelf", "shelf", "cabinet", "cabinet", "sofa", "plant", "boxes", "stand", "panel")
_BETWEEN = ("table", "table", "chair", "chair", "plant", "boxes", "boxes", "stand", "column", "panel", "ball")


def draw_kind(rng: np.random.Generator, along_wall: bool) -> str:
    return str(rng.choice(_ALONG_WALL if along_wall else _BETWEEN))
