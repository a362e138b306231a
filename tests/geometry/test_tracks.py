"""Linking over time: the chain worth most, against all chains tried one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivox.geometry.tracks import (
    _FASTEST_MM_PER_S,
    _GAP_PRICE,
    _MOTION_PRICE,
    _SLACK_MM,
    link_people,
)


def value_of(chain, centres_mm, worth, times_s):
    """What a chain is worth by definition: its candidates, less motion and gaps; minus infinity if impossible."""
    taken = [(s, c) for s, c in enumerate(chain) if c >= 0]
    if any(worth[s, c] <= 0 for s, c in taken):
        return -np.inf
    value = sum(worth[s, c] for s, c in taken)
    for (r, d), (s, c) in itertools.pairwise(taken):
        reach_mm = _FASTEST_MM_PER_S * (times_s[s] - times_s[r]) + _SLACK_MM
        steps_mm = np.linalg.norm(centres_mm[s] - centres_mm[r, d], axis=-1)
        share = steps_mm[c] / reach_mm
        before_mm = np.linalg.norm(centres_mm[s, c] - centres_mm[r], axis=-1)
        nearest = min(steps_mm[worth[s] > 0].min(), before_mm[worth[r] > 0].min())
        price = _MOTION_PRICE * share**2 + _GAP_PRICE * (s - r > 1)
        value -= price if share <= 1 and steps_mm[c] <= 2 * nearest + _SLACK_MM else np.inf
    return value


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 10_000))
def test_the_chain_is_the_most_valuable_of_all(instants, candidates, seed):
    rng = np.random.default_rng(seed)
    centres_mm = rng.uniform(-3000, 3000, (instants, candidates, 3))
    worth = rng.uniform(1, 5, (instants, candidates)) * (rng.random((instants, candidates)) > 0.2)
    times_s = np.arange(instants) * 0.5
    chain = link_people(centres_mm, worth, times_s, 1)[0]
    all_chains = itertools.product(range(-1, candidates), repeat=instants)
    best = max(value_of(c, centres_mm, worth, times_s) for c in all_chains)
    np.testing.assert_allclose(value_of(chain, centres_mm, worth, times_s), best, rtol=1e-12)


def test_a_long_absence_does_not_end_a_chain():
    """Away for longer than anybody is looked for, and back at the other end of the room."""
    centres = np.zeros((200, 1, 3))
    centres[150:, 0, 0] = 9000
    worth = np.full((200, 1), 4.0)
    worth[20:150] = 0
    chain = link_people(centres, worth, np.arange(200) / 60, 1)[0]
    assert (chain[:20] == 0).all() and (chain[20:150] == -1).all() and (chain[150:] == 0).all()


def test_the_main_person_wins_over_one_who_was_there_first():
    """A bystander seen by two cameras all along; the person seen by four comes in at the third instant."""
    centres = np.zeros((8, 2, 3))
    centres[:, 1, 0] = 3000
    worth = np.full((8, 2), 2.3)
    worth[:, 1] = [0, 0, 4.8, 4.8, 4.8, 4.8, 4.8, 4.8]
    chains = link_people(centres, worth, np.arange(8) * 0.5, 2)
    assert chains[0].tolist() == [-1, -1, 1, 1, 1, 1, 1, 1]
    assert chains[1].tolist() == [0] * 8


@pytest.mark.parametrize("rate", [2, 30])
@pytest.mark.parametrize("people", [1, 2])
def test_nobody_steps_over_to_the_bystander_when_the_main_person_leaves(rate, people):
    """However long the bystander stays, and however much that would be worth."""
    instants = 20 * rate
    centres = np.zeros((instants, 2, 3))
    centres[:, 1, 0] = 2000
    worth = np.full((instants, 2), 2.3)
    worth[: instants // 2, 0], worth[instants // 2 :, 0] = 4.8, 0
    chains = link_people(centres, worth, np.arange(instants) / rate, people)
    assert chains[0].max() == 0
    for chain in chains:
        assert len(set(chain.tolist()) - {-1}) == 1


@pytest.mark.parametrize("rate", [2, 30])
def test_people_who_stay_keep_their_rows_when_the_cameras_that_see_them_change(rate):
    instants = 20 * rate
    centres = np.zeros((instants, 2, 3))
    centres[:, 1, 0] = 2000
    worth = np.full((instants, 2), 2.3)
    worth[: instants // 2, 0], worth[instants // 2 :, 1] = 4.8, 4.6
    for chain in link_people(centres, worth, np.arange(instants) / rate, 2):
        assert len(set(chain.tolist())) == 1


def test_a_flickering_bystander_is_not_a_newcomer():
    """Seen every other instant only; the main person has been gone for long."""
    centres = np.zeros((300, 2, 3))
    centres[:, 1, 0] = 2000
    worth = np.full((300, 2), 2.3)
    worth[:150, 0], worth[150:, 0], worth[::2, 1] = 4.8, 0, 0
    chain = link_people(centres, worth, np.arange(300) / 30, 1)[0]
    assert (chain[:150] == 0).all() and (chain[150:] == -1).all()


def test_crossing_candidates_keep_their_identity():
    """The order of the candidates changes at every instant; positions tell who is who."""
    rng = np.random.default_rng(0)
    path = np.stack([np.arange(20) * 300.0, np.zeros(20), np.zeros(20)], -1)
    both = np.stack([path, path[::-1] + [0, 2500, 0]], 1)
    order = np.stack([rng.permutation(2) for _ in range(20)])
    shuffled = np.take_along_axis(both, order[..., None], 1)
    chains = link_people(shuffled, np.ones((20, 2)) * 3, np.arange(20) * 0.1, 2)
    for chain in chains:
        people = order[np.arange(20), chain]
        assert len(set(people.tolist())) == 1


def test_nobody_gives_an_empty_chain():
    assert (link_people(np.zeros((4, 2, 3)), np.zeros((4, 2)), np.arange(4.0), 2) == -1).all()
