"""What a camera does to light: defocus, vignetting, exposure, white balance, noise, tone curve, sharpening, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from trivox.geometry.triangulation.compiled import compiled

_NOISE_SIZE = 1 << 20


@dataclass(frozen=True)
class Optics:
    """`exposure_stops` away from an even exposure; `balance (3,)` per channel; sigma of defocus in pixels.

    Noise has a part that grows with light (`shot`) and one that does not (`read`), both as a share of white. `quality`
    is JPEG's, 100 means none.
    """

    defocus_px: float
    exposure_stops: float
    balance: tuple[float, float, float]
    shot: float
    read: float
    vignetting: float
    contrast: float
    saturation: float
    sharpening: float
    quality: int


CLEAN = Optics(0.0, 0.0, (1.0, 1.0, 1.0), 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 100)


def draw_optics(rng: np.random.Generator) -> Optics:
    """Anything from a good camera in a bright room to a cheap one in a dim one."""
    poor = rng.random() ** 1.5
    balance = np.exp(rng.normal(size=3) * 0.1 * np.array([1, 0.4, 1]))
    return Optics(
        defocus_px=float(rng.choice([0.0, rng.uniform(0.3, 0.9), rng.uniform(0.9, 2.2)], p=[0.35, 0.45, 0.2])),
        exposure_stops=float(np.clip(rng.normal() * 0.6 - 0.1, -1.8, 1.3)),
        balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        shot=float(0.004 + 0.055 * poor * rng.random()),
        read=float(0.001 + 0.02 * poor * rng.random()),
        vignetting=float(rng.uniform(0, 0.35)),
        contrast=float(rng.uniform(0.85, 1.25)),
        saturation=float(rng.uniform(0.55, 1.25)),
        sharpening=float(rng.choice([0.0, rng.uniform(0.2, 0.9)])),
        quality=int(rng.choice([100, int(rng.integers(70, 95)), int(rng.integers(25, 70))], p=[0.25, 0.45, 0.3])),
    )


def even_gain(still: np.ndarray) -> float:
    """The gain that brings the middle of a picture (h, w, 3) to middle grey, whatever shines into a corner of it."""
    h, w = still.shape[:2]
    middle = still[h // 6 : h - h // 6 : 4, w // 6 : w - w // 6 : 4].mean(-1)
    return 0.2 / (float(np.exp(np.log(middle + 1e-3).mean())) + 1e-6)


@cache
def _noise() -> np.ndarray:
    rng = np.random.Generator(np.random.Philox(3))
    return np.round(rng.normal(size=_NOISE_SIZE), 5).astype(np.float32)


@cache
def _tone() -> np.ndarray:
    """sRGB's curve with a soft shoulder, over light 0..4 in 4096 steps."""
    light = np.linspace(0, 4, 4096)
    shoulder = np.where(light < 0.7, light, 0.7 + 0.3 * (1 - np.exp(-(light - 0.7) / 0.3)))
    curve = np.where(shoulder < 0.0031308, 12.92 * shoulder, 1.055 * shoulder ** (1 / 2.4) - 0.055)
    return curve.astype(np.float32)


@compiled
def _develop(light, gain, balance, vignetting, shot, read, contrast, saturation, noise, start, tone, out):
    h, w = light.shape[:2]
    size = noise.shape[0]
    n = start
    far = 4.0 / (h * h + w * w)
    steps = tone.shape[0] - 1
    for y in range(h):
        for x in range(w):
            r2 = ((x + 0.5 - 0.5 * w) ** 2 + (y + 0.5 - 0.5 * h) ** 2) * far
            dim = gain / (1.0 + vignetting * r2) ** 2
            r = light[y, x, 0] * dim * balance[0]
            g = light[y, x, 1] * dim * balance[1]
            b = light[y, x, 2] * dim * balance[2]
            grey = 0.25 * r + 0.6 * g + 0.15 * b
            for c in range(3):
                value = r if c == 0 else (g if c == 1 else b)
                value = grey + saturation * (value - grey)
                n += 1
                if n >= size:
                    n = 0
                value += noise[n] * np.sqrt(shot * shot * max(value, 0.0) + read * read)
                step = int(max(value, 0.0) * (0.25 * steps))
                value = tone[min(step, steps)]
                value = 0.46 + contrast * (value - 0.46)
                out[y, x, c] = int(min(255.0, max(0.0, 255.0 * value + 0.5)))


def developed(light: np.ndarray, optics: Optics, gain: float, rng: np.random.Generator) -> np.ndarray:
    """The picture (h, w, 3) uint8 RGB that a camera makes of light (h, w, 3) float32."""
    if optics.defocus_px > 0:
        light = cv2.GaussianBlur(light, (0, 0), optics.defocus_px)
    picture = np.empty(light.shape, np.uint8)
    _develop(
        light,
        gain * 2.0**optics.exposure_stops,
        np.array(optics.balance),
        optics.vignetting,
        optics.shot,
        optics.read,
        optics.contrast,
        optics.saturation,
        _noise(),
        int(rng.integers(_NOISE_SIZE)),
        _tone(),
        picture,
    )
    if optics.sharpening > 0:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
        picture = cv2.addWeighted(picture, 1 + optics.sharpening, soft, -optics.sharpening, 0)
    if optics.quality < 100:
        coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, optics.quality])[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None, "what was just encoded"
        picture = np.ascontiguousarray(decoded[..., ::-1])
    return picture
