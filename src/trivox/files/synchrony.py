"""Which pictures of several videos belong to one instant, by the times that the videos state for them.

Instants lie evenly, one usual distance between pictures of the slowest video apart, and so that those of the slowest
fall on its pictures. Every other video gives the picture shown nearest to the instant; one that has none within half
that distance has no picture there. Where this is picture i of every video at instant i, as with videos of one constant
rate, nothing is matched and pictures are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float64, Int64

from trivox.errors import InputError


@dataclass(frozen=True)
class Clock:
    """When each picture of one video is shown, rising, and the usual distance of two.

    `counts_from_zero`: the times mean the same in other such videos; else only their differences mean something.
    """

    times_s: Float64[np.ndarray, "N"]
    period_s: Fraction
    counts_from_zero: bool = False

    @classmethod
    def regular(cls, count: int, period_s: Fraction, start_s: float = 0.0, *, counts_from_zero: bool = False) -> Clock:
        return cls(start_s + np.arange(count) * float(period_s), period_s, counts_from_zero)

    @classmethod
    def of_ticks(
        cls, ticks: Int64[np.ndarray, "N"], tick_s: Fraction, stated: Fraction | None, *, counts_from_zero: bool = False
    ) -> Clock | None:
        """From times in ticks; None where they do not rise. `stated` is the file's rate, which may be wrong."""
        if len(ticks) < 2 or (np.diff(ticks) <= 0).any():
            return None
        return cls(ticks * float(tick_s), usual_period_s(ticks, tick_s, stated), counts_from_zero)


def usual_period_s(ticks: Int64[np.ndarray, "N"], tick_s: Fraction, stated: Fraction | None) -> Fraction:
    """The distance that pictures have where none is left out, exactly; gaps are whole multiples of about this.

    Times are rounded to ticks, often of a millisecond; a stated rate that agrees with all of them is the exact one.
    """
    steps = np.diff(ticks)
    count = int(np.maximum(1, np.rint(steps / np.median(steps))).sum())
    return exact_period_s(int(steps.sum()), count, tick_s, stated)


def exact_period_s(ticks: int, count: int, tick_s: Fraction, stated: Fraction | None) -> Fraction:
    """That of `count` periods in so many ticks, give or take one: the stated one if it can be."""
    measured = Fraction(ticks, count) * tick_s
    return 1 / stated if stated and abs(1 / stated - measured) * count <= tick_s else measured


@dataclass(frozen=True)
class Synchrony:
    """Instants at `rate` per second; `numbers[v][i]` is the picture of view v at instant i, -1 where it has none."""

    rate: Fraction
    numbers: tuple[Int64[np.ndarray, "I"], ...]
    notes: tuple[str, ...]


def synchronized(names: Sequence[str], clocks: Sequence[Clock]) -> Synchrony | None:
    """The instants of videos that do not keep step by counting, or None where they do.

    Raises `InputError` where the videos were not taken at the same time.
    """
    period_s = float(max(clock.period_s for clock in clocks))
    if _keep_step(clocks, period_s):
        return None
    slowest = max(clocks, key=lambda clock: clock.period_s)
    absolute = all(clock.counts_from_zero for clock in clocks)
    times = [clock.times_s if absolute else clock.times_s - clock.times_s[0] for clock in clocks]
    reference_s = slowest.times_s[0] if absolute else 0.0
    start_s = reference_s - period_s * round((reference_s - min(own[0] for own in times)) / period_s)
    count = int((min(own[-1] for own in times) - start_s) / period_s + 0.5 + 1e-6) + 1
    instants_s = start_s + np.arange(max(count, 0)) * period_s
    numbers = tuple(_nearest(own, instants_s, period_s / 2) for own in times)
    if not len(instants_s) or (np.stack(numbers) >= 0).sum(0).max() < 2:
        spans = [f"{name} {own[0]:.2f} to {own[-1]:.2f} s" for name, own in zip(names, times, strict=True)]
        raise InputError(
            f"no two videos show the same time ({', '.join(spans)}); give videos that were recorded together"
        )
    return Synchrony(1 / slowest.period_s, numbers, tuple(_notes(names, clocks, numbers, slowest)))


def starts_apart(names: Sequence[str], clocks: Sequence[Clock]) -> list[str]:
    """What to know of videos that keep step, but do not state the same start: counting takes no notice of it."""
    starts = [
        (float(clock.times_s[0]), name) for name, clock in zip(names, clocks, strict=True) if clock.counts_from_zero
    ]
    if not starts or max(starts)[0] - min(starts)[0] <= float(max(clock.period_s for clock in clocks)) / 2:
        return []
    (early_s, early), (late_s, late) = min(starts), max(starts)
    return [
        f"{early} states that it starts at {early_s:.3f} s, {late} at {late_s:.3f} s: the first pictures of all videos "
        "are taken as one instant"
    ]


def _keep_step(clocks: Sequence[Clock], period_s: float) -> bool:
    """Whether picture i of every video is shown at instant i, and all of them within half a period."""
    count = min(len(clock.times_s) for clock in clocks)
    since_s = np.stack([clock.times_s[:count] - clock.times_s[0] for clock in clocks])
    on_time = np.abs(since_s - np.arange(count) * period_s) < period_s / 2
    return bool(on_time.all()) and bool((np.ptp(since_s, 0) <= period_s / 2).all())


def _nearest(
    times_s: Float64[np.ndarray, "N"], instants_s: Float64[np.ndarray, "I"], within_s: float
) -> Int64[np.ndarray, "I"]:
    after = np.searchsorted(times_s, instants_s).clip(0, len(times_s) - 1)
    before = (after - 1).clip(0)
    nearer_before = np.abs(times_s[before] - instants_s) <= np.abs(times_s[after] - instants_s)
    nearest = np.where(nearer_before, before, after)
    return np.where(np.abs(times_s[nearest] - instants_s) <= within_s * (1 + 1e-6), nearest, -1)


def _notes(names: Sequence[str], clocks: Sequence[Clock], numbers: Sequence[np.ndarray], slowest: Clock) -> list[str]:
    rates = [f"{name} {_rate_text(clock)}" for name, clock in zip(names, clocks, strict=True)]
    rate = float(1 / slowest.period_s)
    notes = [
        f"the videos do not keep step ({', '.join(rates)}): pictures are matched by their times, at {rate:.5g} "
        f"instants a second, frame i at i/{rate:.5g} s; each view gives its picture within {500 / rate:.3g} ms, or none"
    ]
    return notes + [
        f"{name} has no picture at {_share(own)}: it is left out there"
        for name, own in zip(names, numbers, strict=True)
        if (own < 0).any()
    ]


def _rate_text(clock: Clock) -> str:
    steps_ms = np.diff(clock.times_s) * 1000
    usual = f"{float(1 / clock.period_s):.5g} frames/s"
    if len(steps_ms) and np.ptp(steps_ms) > 250 * float(clock.period_s):
        return f"{usual} with distances of {steps_ms.min():.3g} to {steps_ms.max():.3g} ms"
    return usual


def _share(numbers: Int64[np.ndarray, "I"]) -> str:
    absent = np.flatnonzero(numbers < 0)
    return f"{len(absent)} of {len(numbers)} instants (the first is {absent[0]})"
