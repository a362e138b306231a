"""What clothes, skin and hair are coloured with: solid patterns, so that there are no seams and no stretching.

A pattern is a cube of cells that repeats through the space of the body at rest: stripes, checks, dots and patches go
through the cloth as through a block of wood.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from trivox.synthetic.textures import colour

CELLS = 48
CELL_MM = 9.0
PATTERNS = ("plain", "across", "along", "checks", "dots", "patches", "melange")
_SHARE = np.array([0.42, 0.13, 0.08, 0.12, 0.06, 0.09, 0.10])


@cache
def _noise() -> np.ndarray:
    """A cube of smooth noise that repeats, 0..1."""
    rng = np.random.Generator(np.random.Philox(7))
    frequency = np.fft.fftfreq(CELLS) * CELLS
    size = np.sqrt(sum(f**2 for f in np.meshgrid(frequency, frequency, frequency, indexing="ij")))
    spectrum = np.fft.fftn(rng.normal(size=(CELLS,) * 3)) / np.maximum(size, 1.0) ** 1.4
    spectrum[0, 0, 0] = 0
    field = np.fft.ifftn(spectrum).real
    return np.round((field - field.min()) / np.ptp(field), 6).astype(np.float32)


# The light of a stored cell.
LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)


def stored(cells: np.ndarray) -> np.ndarray:
    """Cells as uint8, finer where it is dark."""
    return (np.clip(cells, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def cloth(rng: np.random.Generator, base: np.ndarray | None = None) -> np.ndarray:
    """A garment's cells (CELLS, CELLS, CELLS, 3) float32, linear light; `base` gives its main colour."""
    first = colour(rng, 0.75, 0.06, 0.92) if base is None else base
    second = colour(rng, 0.85, 0.03, 0.95)
    mask = _mask(rng, rng.choice(PATTERNS, p=_SHARE))
    cells = first + (second - first) * mask[..., None]
    return _worn(cells, rng.uniform(0.08, 0.3))


def skin(rng: np.random.Generator) -> np.ndarray:
    """Cells of skin: tones from very dark to very light."""
    tone = rng.random()
    light, dark = np.array([0.78, 0.53, 0.42]), np.array([0.075, 0.04, 0.027])
    base = dark ** (1 - tone) * light**tone * rng.uniform(0.9, 1.1, 3)
    return _worn(np.broadcast_to(base, (CELLS, CELLS, CELLS, 3)), 0.12)


def hair(rng: np.random.Generator) -> np.ndarray:
    palette = np.array(
        [[0.012, 0.01, 0.01], [0.035, 0.02, 0.012], [0.1, 0.055, 0.03], [0.4, 0.27, 0.12], [0.25, 0.08, 0.03]]
        + [[0.4, 0.4, 0.4]]
    )
    shade = palette[rng.choice(len(palette), p=[0.34, 0.26, 0.16, 0.1, 0.05, 0.09])] * rng.uniform(0.7, 1.3)
    strands = np.random.Generator(np.random.Philox(11)).uniform(0.6, 1.4, (CELLS, CELLS, 1))
    return (shade * np.repeat(strands, CELLS, 2)[..., None]).astype(np.float32)


def flat(shade: np.ndarray) -> np.ndarray:
    return np.broadcast_to(shade, (CELLS, CELLS, CELLS, 3)).astype(np.float32)


def _worn(cells: np.ndarray, amount: float) -> np.ndarray:
    shade = 1 + amount * 2 * (_noise() - 0.5)
    return np.clip(cells * shade[..., None], 0, 1).astype(np.float32)


def _mask(rng: np.random.Generator, pattern: str) -> np.ndarray:
    """How much of the second colour each cell takes (0..1); axes x (to the left), y (back), z (up)."""
    x, y, z = np.meshgrid(*[np.arange(CELLS)] * 3, indexing="ij", sparse=True)
    period = int(rng.choice([4, 6, 8, 12, 16, 24]))
    width = rng.uniform(0.2, 0.6) * period
    full = np.ones((CELLS, CELLS, CELLS), np.float32)
    match pattern:
        case "across":
            return full * ((z % period) < width)
        case "along":
            return full * (((x + y) % period) < width)
        case "checks":
            return full * (0.5 * ((z % period) < width) + 0.5 * (((x + y) % period) < width))
        case "dots":
            return full * (((z % period - period / 2) ** 2 + ((x + y) % period - period / 2) ** 2) < (0.6 * width) ** 2)
        case "patches":
            return (_noise() > rng.uniform(0.4, 0.6)).astype(np.float32)
        case "melange":
            return 0.6 * _noise()
        case _:
            return 0 * full
