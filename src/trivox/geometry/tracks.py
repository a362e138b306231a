"""Link people found at separate instants into tracks: the chain of candidates that is worth most.

A chain steps from one candidate to the next only as fast as people move, never past a much nearer one (in either
direction of time: whoever has a past of their own is somebody else), and pays for motion and for gaps. Its worth
is the sum of its candidates' worth less that, so the person seen by the most cameras through the whole recording
comes out first, whoever stood in front of the cameras at the start. Found by dynamic programming over the instants.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

# People sprint at 10 m/s, but not across a capture volume; a faster step is another person.
_FASTEST_MM_PER_S = 5000.0
# Noise of a candidate's centre, allowed on top of motion.
_SLACK_MM = 400.0
# Price of the fastest step; slower ones cost with their square. Breaks ties in favour of the nearer candidate.
_MOTION_PRICE = 1.0
# Price of a gap of any length: more than one view's worth, so that gaps do not serve to jump to somebody else.
_GAP_PRICE = 3.0
# After this many instants without a candidate a person may reappear anywhere; bounds the work per instant.
_LONGEST_REACH = 60


def link_people(
    centres_mm: Float[np.ndarray, "S P 3"],
    worth: Float[np.ndarray, "S P"],
    times_s: Float[np.ndarray, "S"],
    people: int,
) -> Int[np.ndarray, "N S"]:
    """The `people` most valuable chains, best first: index of the candidate at each instant, or -1.

    `centres_mm` and `worth` describe P candidates at each of S instants; worth 0 marks an absent one. No candidate
    is in two chains.
    """
    remaining = worth.copy()
    chains = []
    for _ in range(people):
        chain = _best_chain(centres_mm, remaining, worth, times_s)
        taken = np.flatnonzero(chain >= 0)
        remaining[taken, chain[taken]] = 0
        chains.append(chain)
    return np.stack(chains)


def _best_chain(centres_mm: np.ndarray, worth: np.ndarray, everybody: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """`worth` of the candidates that are still free; `everybody` has also those who are in other chains."""
    instants, candidates = worth.shape
    total = np.where(worth > 0, worth, -np.inf)
    came_from = np.full((instants, candidates), -1)
    best_long_ago, its_end = 0.0, -1
    for s in range(1, instants):
        start = max(0, s - _LONGEST_REACH)
        before = total[start:s] - _step_prices(
            centres_mm, everybody, times_s, start, s
        )  # (candidate now, instant, candidate)
        before = before.reshape(candidates, -1)
        best = before.argmax(1)
        gain, end = before[np.arange(candidates), best], best + start * candidates
        if start > 0 and total[start - 1].max() > best_long_ago:
            best_long_ago, its_end = (
                total[start - 1].max(),
                int(total[start - 1].argmax()) + (start - 1) * candidates,
            )
        reappeared = np.where(_is_new(centres_mm, everybody, start, s), best_long_ago - _GAP_PRICE, -np.inf)
        end = np.where(reappeared > gain, its_end, end)
        gain = np.maximum(gain, reappeared)
        follows = (gain > 0) & (worth[s] > 0)
        total[s] += np.where(follows, gain, 0)
        came_from[s] = np.where(follows, end, -1)
    return _trace_back(total, came_from)


def _step_prices(centres_mm: np.ndarray, worth: np.ndarray, times_s: np.ndarray, start: int, now: int) -> np.ndarray:
    """Price of coming to each candidate of instant `now` from each of those since `start`; infinite if too far."""
    reach_mm = _FASTEST_MM_PER_S * (times_s[now] - times_s[start:now]) + _SLACK_MM
    steps_mm = np.linalg.norm(centres_mm[now, :, None, None] - centres_mm[None, start:now], axis=-1)
    share = steps_mm / reach_mm[:, None]
    gap = np.where(np.arange(start, now) < now - 1, _GAP_PRICE, 0.0)[:, None]
    nearest_mm = np.where(worth[now] > 0, np.moveaxis(steps_mm, 0, -1), np.inf).min(-1)
    nearest_before_mm = np.where(worth[start:now] > 0, steps_mm, np.inf).min(-1, keepdims=True)
    switches = steps_mm > 2 * np.minimum(nearest_mm, nearest_before_mm) + _SLACK_MM
    return np.where((share <= 1) & ~switches, _MOTION_PRICE * share**2 + gap, np.inf)


def _is_new(centres_mm: np.ndarray, worth: np.ndarray, start: int, now: int) -> np.ndarray:
    """Which candidates of instant `now` stand where nobody stood since `start`."""
    steps_mm = np.linalg.norm(centres_mm[now, :, None, None] - centres_mm[None, start:now], axis=-1)
    return np.where(worth[start:now] > 0, steps_mm, np.inf).min((-2, -1)) > _SLACK_MM


def _trace_back(total: np.ndarray, came_from: np.ndarray) -> np.ndarray:
    instants, candidates = total.shape
    chain = np.full(instants, -1)
    if candidates == 0 or not np.isfinite(total).any():
        return chain
    at = int(total.argmax())
    while at >= 0:
        chain[at // candidates] = at % candidates
        at = int(came_from.flat[at])
    return chain
