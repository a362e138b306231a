"""Zero-lag smoothing of tracks: a bank of smoothing splines, mixed in time by what each foretells.

bank      splines of one order (quintic), one for each of some cutoff frequencies, from still to raw
robust    measurements have Student's t noise: those far from what all others say count less (reweighted anew each
          round), each spline judging for itself, so that fast motion is a jump to the stiff ones only
mix       every measurement is foretold by all the others; the splines that do this best around an instant (by Student's
          t likelihood, fading within a tenth of a second) get that instant: where somebody strikes out the
          soft ones, where they stand the stiff ones
noise     the scale of a track's noise is estimated along the way, so that covariances need to be right up to a factor

All of it looks into the future as far as into the past: there is no lag, and a recording played backwards gives the
same path backwards. Sources: Wahba, Spline Models for Observational Data, 1990 (smoothing splines, leave-one-out);
Lange, Little & Taylor, JASA 84, 1989 (Student's t by reweighting); Hoeting et al., Statistical Science 14, 1999 (mixing
by likelihood).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from trivox.geometry.smoothing.spline_kernel import BAND, ORDER, smooth_tracks, sum_nearby

# Cutoffs of the bank in Hz: from slow swaying, each a third higher, to where a path goes through every measurement.
_LOWEST_HZ = 1.0
_STEP = 1.35
_HIGHEST_OF_RATE = 1.5
# Very low cutoffs at very high rates would lose the precision of the numbers.
_LOWEST_OF_RATE = 1 / 250
# Degrees of freedom of the noise: heavy tails, yet a fast stroke of a few frames is no row of outliers.
_FREEDOM = 8.0
# Over which time splines are compared: likelihoods fade with it.
_MEMORY_S = 0.08
_ROUNDS = 4
# Share of a track's typical noise that is in each measurement: errors are never as unequal as the geometry of views.
_COMMON_NOISE = 0.1
# Fewer measurements in a piece than this are left as they are.
FEWEST = 2 * ORDER
# Noise is never smaller than a millionth of what the covariances say: of exact measurements nothing is left to scale.
_SMALLEST_SCALE2 = 1e-12
# Bounds the memory: values (splines x tracks x instants) at once.
_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class SmoothTracks:
    """N tracks over F instants. Where not `known` (outside of pieces of enough measurements) all is zero.

    `noise_scale` is what the given covariances have to be multiplied by to be the noise that was found.
    """

    points_mm: Float[np.ndarray, "N F 3"]
    covariance_mm2: Float[np.ndarray, "N F 3 3"]
    known: Bool[np.ndarray, "N F"]
    noise_scale: Float[np.ndarray, "N"]


def smooth_splines(
    points_mm: Float[np.ndarray, "N F 3"],
    measured: Bool[np.ndarray, "N F"],
    noise: Float[np.ndarray, "N F 3 3"],
    times_s: Float[np.ndarray, "F"],
    longest_gap_s: float,
) -> SmoothTracks:
    """Smooth tracks of which `measured` instants are given with covariances `noise`, right up to a factor per track.

    Gaps up to `longest_gap_s` without a measurement are filled; longer ones split a track into pieces.
    """
    if measured.size == 0:
        return SmoothTracks(points_mm, noise, measured, np.ones(len(points_mm)))
    inside, piece = pieces(measured, times_s, longest_gap_s)
    cutoffs_hz = bank_of_cutoffs(1 / _frame_s(times_s))
    out = SmoothTracks(np.zeros_like(points_mm), np.zeros_like(noise), inside, np.ones(len(points_mm)))
    size = max(1, _AT_ONCE // (len(cutoffs_hz) * max(len(times_s), 1)))
    for first in range(0, len(points_mm), size):
        some = slice(first, first + size)
        bank_inputs = points_mm[some], measured[some] & inside[some], noise[some], inside[some], piece[some]
        out.points_mm[some], out.covariance_mm2[some], out.noise_scale[some] = _smoothed(
            *bank_inputs, times_s, cutoffs_hz
        )
    out.points_mm[~inside] = 0
    out.covariance_mm2[~inside] = 0
    return out


def _frame_s(times_s: np.ndarray) -> float:
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0


def bank_of_cutoffs(rate_hz: float) -> Float[np.ndarray, "C"]:
    """Cutoff frequencies in Hz for recordings of this frame rate, rising."""
    highest = _HIGHEST_OF_RATE * rate_hz
    lowest = min(max(_LOWEST_HZ, _LOWEST_OF_RATE * rate_hz), highest / _STEP)
    return np.geomspace(lowest, highest, 1 + round(np.log(highest / lowest) / np.log(_STEP)))


def pieces(
    measured: Bool[np.ndarray, "N F"], times_s: Float[np.ndarray, "F"], longest_gap_s: float
) -> tuple[Bool[np.ndarray, "N F"], np.ndarray]:
    """Which instants lie inside of a piece with enough measurements, and the number of the piece (N, F)."""
    rows, last = np.arange(measured.shape[1]), measured.shape[1] - 1
    before = np.maximum.accumulate(np.where(measured, rows, -1), axis=1)
    after = np.minimum.accumulate(np.where(measured, rows, len(rows))[:, ::-1], axis=1)[:, ::-1]
    # A gap is the time without a measurement: of one missing frame, one frame's time.
    longest_step_s = (longest_gap_s + _frame_s(times_s)) * (1 + 1e-9)
    step_s = times_s[after.clip(max=last)] - times_s[before.clip(0)]
    inside = (before >= 0) & (after <= last) & (step_s <= longest_step_s)
    previous = np.concatenate([np.full((len(measured), 1), -1), before[:, :-1]], axis=1)
    starts = measured & ((previous < 0) | (times_s - times_s[previous.clip(0)] > longest_step_s))
    piece = np.cumsum(starts, axis=1, dtype=np.int64)
    members = np.zeros((len(measured), len(rows) + 1), dtype=np.int64)
    np.add.at(members, (np.arange(len(measured))[:, None], piece), measured)
    return inside & (np.take_along_axis(members, piece, axis=1) >= FEWEST), piece


def _smoothed(
    points_mm: np.ndarray,
    used: np.ndarray,
    noise: np.ndarray,
    inside: np.ndarray,
    piece: np.ndarray,
    times_s: np.ndarray,
    cutoffs_hz: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Path, covariance, and what to multiply the noise by."""
    noise, typical_mm2 = _evened(noise, used)
    origin = np.where(used[..., None], points_mm, 0).sum(1, keepdims=True) / used.sum(1)[:, None, None].clip(1)
    z = np.where(used[..., None], points_mm - origin, 0)  # small numbers: the path is the same wherever the world is
    fading = np.exp(-np.diff(times_s, prepend=times_s[:1]) / _MEMORY_S)
    bank = _Bank.prepared(z, used, noise, _together(inside, piece), differences(times_s), stiffnesses(cutoffs_hz))
    bank.run()
    scale2 = _scale2_of_best(bank, used)
    for _ in range(_ROUNDS):
        bank.share[...] = _share(bank.distance2, scale2)
        bank.run()
        scale2 = _scale2(bank.distance2, used * _mix(bank, used, scale2, fading), scale2)
    mix = _mix(bank, used, scale2, fading)
    path = (mix[..., None] * bank.path).sum(0)
    spread = bank.path - path
    inner = mix[..., None, None] * (scale2[:, None, None, None] * bank.covariance)
    outer = mix[..., None, None] * spread[..., :, None] * spread[..., None, :]
    return path + origin, (inner + outer).sum(0), scale2 / typical_mm2


def _evened(noise: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances in units of the track's typical variance, with a part that all share; and that variance (N)."""
    variance = np.where(used, np.trace(noise, axis1=-2, axis2=-1) / 3, np.nan)
    typical = np.ones(len(noise))
    some = used.any(1)
    typical[some] = np.nanmedian(variance[some], axis=1)
    typical = np.where(typical > 0, typical, 1.0)
    eye = np.eye(3)
    mixed = (1 - _COMMON_NOISE) * noise / typical[:, None, None, None] + _COMMON_NOISE * eye
    return np.where(used[..., None, None], mixed, eye), typical


def _together(inside: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """Whether the third difference that starts at an instant (N, F) lies in one piece."""
    together = np.zeros_like(inside)
    starts = max(inside.shape[1] - ORDER, 0)
    for k in range(ORDER + 1):
        ends = slice(k, k + starts)
        joined = inside[:, ends] & (piece[:, ends] == piece[:, :starts])
        together[:, :starts] = joined if k == 0 else together[:, :starts] & joined
    return together


def stiffnesses(cutoffs_hz: Float[np.ndarray, "C"]) -> Float[np.ndarray, "C"]:
    """Weight of squared third differences that halves a vibration of the cutoff frequency, for noise of variance 1.

    A divided difference of the third order is a sixth of the third derivative.
    """
    return (6 / (2 * np.pi * cutoffs_hz) ** ORDER) ** 2


def differences(times_s: Float[np.ndarray, "F"]) -> Float[np.ndarray, "F 4"]:
    """Coefficients of the divided difference that starts at each instant, weighted by the time it stands for."""
    coefficients = np.zeros((len(times_s), ORDER + 1))
    if len(times_s) <= ORDER:
        return coefficients
    t = np.lib.stride_tricks.sliding_window_view(times_s, ORDER + 1)
    steps = t[:, :, None] - t[:, None, :] + np.eye(ORDER + 1)
    duration = np.sqrt((t[:, -1] - t[:, 0]) / ORDER / _frame_s(times_s))
    coefficients[: len(t)] = duration[:, None] / steps.prod(-1)
    return coefficients


@dataclass(frozen=True)
class _Bank:
    """C splines over N tracks: what the kernel reads, and what it fills."""

    z: np.ndarray  # (N, F, 3)
    precision: np.ndarray  # (N, F, 3, 3)
    noise: np.ndarray  # (N, F, 3, 3)
    together: np.ndarray  # (N, F)
    differences: np.ndarray  # (F, ORDER + 1)
    stiffness: np.ndarray  # (C)
    share: np.ndarray  # (C, N, F)
    path: np.ndarray  # (C, N, F, 3)
    covariance: np.ndarray  # (C, N, F, 3, 3)
    distance2: np.ndarray  # (C, N, F)
    log_volume: np.ndarray  # (C, N, F)

    @classmethod
    def prepared(
        cls,
        z: np.ndarray,
        used: np.ndarray,
        noise: np.ndarray,
        together: np.ndarray,
        differences: np.ndarray,
        stiffness: np.ndarray,
    ) -> _Bank:
        precision = np.where(used[..., None, None], np.linalg.inv(noise), 0)
        size = (len(stiffness), *used.shape)
        empty = (np.ones(size), np.zeros((*size, 3)), np.zeros((*size, 3, 3)), np.zeros(size), np.zeros(size))
        return cls(z, precision, noise, together, differences, stiffness, *empty)

    def run(self) -> None:
        """Smooth with the shares as they are."""
        frames = self.z.shape[1]
        places = 3 * frames
        small = (*np.zeros((3, 3, 3)), np.zeros(3))
        room = (np.zeros((places, BAND + 1)), np.zeros((places, BAND + 1)), np.zeros(places), np.zeros((frames, 3, 3)))
        smooth_tracks(
            *(self.z, self.precision, self.noise, self.share, self.together, self.differences, self.stiffness),
            (*room, small),
            *(self.path, self.covariance, self.distance2, self.log_volume),
        )


def _share(distance2: np.ndarray, scale2: np.ndarray) -> np.ndarray:
    """How much of a measurement counts under Student's t noise of squared scale (N)."""
    return (_FREEDOM + 3) / (_FREEDOM + distance2 / scale2[:, None])


def _log_likelihood(bank: _Bank, used: np.ndarray, scale2: np.ndarray) -> np.ndarray:
    """Of each measurement (C, N, F) given all others: three-dimensional Student's t. `scale2` is (C or 1, N)."""
    scale2 = scale2[..., None]
    tails = (_FREEDOM + 3) / 2 * np.log1p(bank.distance2 / (_FREEDOM * scale2))
    return np.where(used, -0.5 * bank.log_volume - 1.5 * np.log(scale2) - tails, 0)


def _scale2(distance2: np.ndarray, counts: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Maximum likelihood of the squared scale (N) of Student's t noise; splines count by `counts` (C, N, F)."""
    scale2, total = start, counts.sum((0, 2)).clip(1e-9)
    for _ in range(10):
        counted = counts * _share(distance2, scale2) * distance2
        scale2 = np.maximum(counted.sum((0, 2)) / (3 * total), _SMALLEST_SCALE2)
    return scale2


def _scale2_of_best(bank: _Bank, used: np.ndarray) -> np.ndarray:
    """Squared scale (N) of the noise about the one spline that foretells all of a track best."""
    start = np.full(used.shape[0], _SMALLEST_SCALE2)
    start = np.maximum((bank.distance2 * used).sum((0, 2)) / (3 * used.sum(-1).clip(1) * len(bank.path)), start)
    scales2 = np.stack([_scale2(distance2[None], used[None], start) for distance2 in bank.distance2])
    best = _log_likelihood(bank, used, scales2).sum(-1).argmax(0)
    return np.take_along_axis(scales2, best[None], axis=0)[0]


def _mix(bank: _Bank, used: np.ndarray, scale2: np.ndarray, fading: np.ndarray) -> np.ndarray:
    """How much each spline counts at each instant (C, N, F); sums to 1 over the splines.

    In a gap the measurements around it count as if they were near: their splines lead through.
    """
    values = _log_likelihood(bank, used, scale2[None])
    total, nearby = np.zeros_like(values), np.zeros((1, *used.shape))
    sum_nearby(values, fading, total)
    sum_nearby(used[None].astype(float), fading, nearby)
    gap = np.where(used, 1, nearby.max(-1, keepdims=True) / nearby.clip(1e-9))
    total *= gap
    mix = np.exp(total - total.max(0))
    return mix / mix.sum(0)
