"""Pictures for surfaces: a numbered pool of walls, floors, cloths and posters, each drawn from its own seed.

A texture is the same wherever its number is asked for; scenes tint it. Test and training worlds take different numbers
(`worlds.py`). Values are linear light.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from trivox.synthetic.solids import TEXTURE_SIZE
from trivox.synthetic.worlds import generator

LEVELS = 6
KINDS = ("plain", "wallpaper", "brick", "wood", "tiles", "carpet", "poster", "books", "outdoors", "foliage", "cloth")


def fractal(rng: np.random.Generator, size: int, slope: float) -> np.ndarray:
    """Noise (size, size) whose amplitudes fall with frequency to the power `slope`, as in photographs; 0..1."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    spectrum = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum / np.maximum(frequency, 1) ** slope, (size, size))
    # Rounded, so that the transform's last bits (which differ between processors) have no say.
    return np.round((field - field.min()) / (np.ptp(field) + 1e-12), 6)


def colour(rng: np.random.Generator, saturation: float = 0.4, low: float = 0.08, high: float = 0.85) -> np.ndarray:
    """A colour (3,) in linear light: any hue, some saturation."""
    hue, sat, value = rng.random(), rng.random() ** 1.8 * saturation, rng.uniform(low, high)
    weights = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return (value * (1 - sat + sat * weights)) ** 2.2


def wall_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of walls and large furniture: mostly white, grey and beige, some pastel, few strong."""
    kind = rng.random()
    if kind < 0.6:
        return rng.uniform(0.35, 0.95) ** 2.2 * np.array([1.0, rng.uniform(0.93, 1.0), rng.uniform(0.82, 1.02)])
    return colour(rng, 0.35, 0.45, 0.95) if kind < 0.88 else colour(rng, 0.8, 0.15, 0.8)


@lru_cache(maxsize=4096)
def _stored(kind: str, number: int) -> np.ndarray:
    rng = generator("texture", number, KINDS.index(kind))
    picture = _DRAWN[kind](rng)
    return (np.clip(picture, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)


def texture(kind: str, number: int, tint: np.ndarray) -> np.ndarray:
    """Texture `number` of a kind, tinted: (LEVELS, size, size, 3) float32; level l fills its first size >> l cells."""
    levels = np.zeros((LEVELS, TEXTURE_SIZE, TEXTURE_SIZE, 3), np.float32)
    levels[0] = _LINEAR[_stored(kind, number)] * tint.astype(np.float32)
    for level in range(1, LEVELS):
        size = TEXTURE_SIZE >> level
        above = levels[level - 1, : 2 * size, : 2 * size]
        levels[level, :size, :size] = above.reshape(size, 2, size, 2, 3).mean((1, 3))
    return levels


def _plain(rng: np.random.Generator) -> np.ndarray:
    return (0.88 + 0.2 * (fractal(rng, TEXTURE_SIZE, rng.uniform(1.0, 1.8)) - 0.5))[..., None] * np.ones(3)


def _wallpaper(rng: np.random.Generator) -> np.ndarray:
    v, u = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE] / TEXTURE_SIZE * 2 * np.pi
    a, b = rng.integers(2, 9, 2)
    wave = np.sin(a * u) * (np.sin(b * v) if rng.random() < 0.5 else 1.0)
    mask = wave > rng.uniform(-0.3, 0.6)
    return np.where(mask[..., None], 1.0, colour(rng, 0.5, 0.5, 0.95)) * _plain(rng)


def _brick(rng: np.random.Generator) -> np.ndarray:
    rows, columns = 8, 4
    v, u = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE] / TEXTURE_SIZE
    row = (v * rows).astype(int)
    along = u * columns + 0.5 * (row % 2)
    shades = rng.uniform(0.55, 1.0, (rows, columns))[row, along.astype(int) % columns]
    mortar = ((v * rows) % 1 < 0.12) | (along % 1 < 0.06)
    return np.where(mortar[..., None], 0.75, shades[..., None] * colour(rng, 0.6, 0.5, 0.9)) * _plain(rng)


def _wood(rng: np.random.Generator) -> np.ndarray:
    boards = int(rng.integers(2, 7))
    v, u = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE] / TEXTURE_SIZE
    board = (u * boards).astype(int)
    grain = np.sin(boards * 20 * u + 5 * fractal(rng, TEXTURE_SIZE, 1.7) + 7 * board)
    shade = 0.78 + 0.05 * grain + rng.uniform(-0.12, 0.12, boards)[board]
    shade *= np.where((u * boards) % 1 < 0.04, 0.55, 1.0)
    return shade[..., None] * np.array([1.0, 0.72, 0.45]) ** rng.uniform(0.3, 1.1)


def _tiles(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(2, 6))
    v, u = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE] / TEXTURE_SIZE * count
    shades = rng.uniform(0.75, 1.0, (count, count))[v.astype(int), u.astype(int)]
    joint = (u % 1 < 0.05) | (v % 1 < 0.05)
    return np.where(joint[..., None], rng.uniform(0.2, 0.9), shades[..., None]) * _plain(rng)


def _carpet(rng: np.random.Generator) -> np.ndarray:
    field = fractal(rng, TEXTURE_SIZE, 0.7)[..., None]
    bands = rng.uniform(0.3, 1.0, (16, 3))[(np.arange(TEXTURE_SIZE) * 16 // TEXTURE_SIZE)]
    pattern = bands[None] if rng.random() < 0.5 else np.ones(3)
    return (0.6 + 0.5 * (field - 0.5)) * pattern * 1.2


def _poster(rng: np.random.Generator) -> np.ndarray:
    """Shapes over a photograph-like ground, in a frame."""
    light = fractal(rng, TEXTURE_SIZE, rng.uniform(1.1, 1.9))
    ground = np.stack([0.75 * light + 0.25 * fractal(rng, TEXTURE_SIZE, 1.8) for _ in range(3)], -1)
    picture = (ground * colour(rng, 0.9, 0.4, 1.0) * 1.3).astype(np.float32)
    for _ in range(int(rng.integers(2, 14))):
        middle = tuple(int(i) for i in rng.integers(0, TEXTURE_SIZE, 2))
        shade = tuple(float(c) for c in colour(rng, 1.0, 0.1, 1.0))
        if rng.random() < 0.5:
            axes = tuple(int(i) for i in rng.integers(3, 34, 2))
            cv2.ellipse(picture, middle, axes, float(rng.uniform(0, 180)), 0, 360, shade, -1)
        else:
            corner = tuple(int(i) for i in rng.integers(0, TEXTURE_SIZE, 2))
            cv2.rectangle(picture, middle, corner, shade, int(rng.choice([-1, 1, 2, 4])))
    edge = int(rng.integers(0, 8))
    framed = np.full_like(picture, rng.uniform(0.02, 0.8))
    framed[edge : TEXTURE_SIZE - edge, edge : TEXTURE_SIZE - edge] = picture[
        edge : TEXTURE_SIZE - edge, edge : TEXTURE_SIZE - edge
    ]
    return framed


def _books(rng: np.random.Generator) -> np.ndarray:
    """Shelves of books and gaps."""
    picture = np.full((TEXTURE_SIZE, TEXTURE_SIZE, 3), 0.04)
    shelves = int(rng.integers(3, 6))
    deep = TEXTURE_SIZE // shelves
    for shelf in range(shelves):
        bottom = (shelf + 1) * deep
        x = 2
        while x < TEXTURE_SIZE - 3:
            wide, tall = int(rng.integers(2, 8)), int(deep * rng.uniform(0.5, 0.9))
            if rng.random() < 0.85:
                picture[bottom - tall : bottom, x : x + wide] = colour(rng, 0.9, 0.05, 0.9)
            x += wide
        picture[bottom - 3 : bottom] = 0.35
    return picture


def _outdoors(rng: np.random.Generator) -> np.ndarray:
    """What a window shows: sky, trees or houses, bright."""
    v = np.linspace(0, 1, TEXTURE_SIZE)[:, None, None]
    sky = np.array([0.75, 0.87, 1.0]) * (1.0 - 0.3 * v)
    line = rng.uniform(0.35, 0.8) + 0.25 * (fractal(rng, TEXTURE_SIZE, 1.5)[0] - 0.5)
    trees = fractal(rng, TEXTURE_SIZE, 1.1)[..., None] * np.array([0.35, 0.5, 0.2]) * 0.7
    return np.where(v > line[None, :, None], trees, sky)


def _foliage(rng: np.random.Generator) -> np.ndarray:
    leaves = fractal(rng, TEXTURE_SIZE, 0.8)[..., None]
    return np.where(leaves > 0.5, 0.9, 0.25) * np.array([0.25, 0.5, 0.15]) * (0.6 + 0.8 * leaves)


def _cloth(rng: np.random.Generator) -> np.ndarray:
    v, u = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE]
    weave = 0.85 + 0.1 * ((u // 2 + v // 2) % 2) + 0.2 * (fractal(rng, TEXTURE_SIZE, 1.3) - 0.5)
    fold = 0.85 + 0.15 * np.sin(u / TEXTURE_SIZE * 2 * np.pi * rng.integers(3, 10))
    return (weave * fold)[..., None] * np.ones(3)


_DRAWN = {
    "plain": _plain,
    "wallpaper": _wallpaper,
    "brick": _brick,
    "wood": _wood,
    "tiles": _tiles,
    "carpet": _carpet,
    "poster": _poster,
    "books": _books,
    "outdoors": _outdoors,
    "foliage": _foliage,
    "cloth": _cloth,
}
