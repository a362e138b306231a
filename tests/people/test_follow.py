"""Where to look for a person, which look is kept, and who is who when following and survey meet."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from dots import DotNetworks, rig_of
from hypothesis import given
from hypothesis import strategies as st
from rigs import STANDING_MM, ring, standing_people

from trivox.people.boxes import boxes_around
from trivox.people.follow import Follower, _followed_twice
from trivox.people.followed import Track
from trivox.people.networks import Joints2D, Networks
from trivox.people.survey import Survey

RIG = rig_of(3)


def follower_at(points_mm: torch.Tensor) -> Follower:
    valid = torch.ones(1, 17, dtype=torch.bool)
    anchors = Survey(torch.tensor([0]), points_mm[None, None], valid[None])
    follower = Follower.start(DotNetworks(), RIG.cameras, anchors, 30.0, "ransac", None)
    follower._remember(Track(points_mm[None], valid))
    return follower


def boxes_of(follower: Follower) -> torch.Tensor:
    return boxes_around(follower.points_mm, follower.valid, follower.cameras)


@given(st.floats(-300, 300), st.floats(-1200, 1200), st.floats(-1e-3, 1e-3))
def test_a_person_beside_a_lens_needs_no_large_crop(ahead_mm, beside_mm, tilt):
    """Joints beside a camera are projected to any distance, and to any side."""
    camera = RIG.cameras[0]
    body = (STANDING_MM - STANDING_MM.mean(0)) @ camera.R + tilt
    place_mm = camera.position_mm + camera.R.mT @ torch.tensor([beside_mm, 0.0, ahead_mm]).double()
    boxes = boxes_of(follower_at(body + place_mm))
    sides = boxes[..., 2:] - boxes[..., :2]
    assert (sides[..., 0] == sides[..., 1]).all() and (sides >= 0).all()
    assert sides.amax() <= 2.6 * 1280


def test_a_person_in_the_middle_is_looked_for_in_every_view():
    boxes = boxes_of(follower_at(STANDING_MM))
    points_px = RIG.cameras.project(STANDING_MM.expand(3, -1, -1))
    assert (points_px > boxes[0, :, None, :2]).all() and (points_px < boxes[0, :, None, 2:]).all()


def test_a_person_behind_a_camera_is_not_looked_for_there():
    away = RIG.cameras[0].position_mm * 1.5 + STANDING_MM - STANDING_MM.mean(0)
    boxes = boxes_of(follower_at(away))
    assert (boxes[0, 0] == 0).all()
    black = [np.zeros((720, 1280, 3), np.uint8)] * 3
    assert not follower_at(away).step(1, black).valid.any()


EVERYWHERE = torch.ones(1, 17, dtype=torch.bool)
NOBODY = torch.zeros(0, 3).double()  # places of bystanders
PICTURES = [np.zeros((720, 1280, 3), np.uint8)] * 4


class Oracle(Networks):
    """Sees these people: in whole pictures all of them, in a crop the one nearest to its middle.

    `hidden` are people whom crops do not show; `looks` counts searches of whole pictures.
    """

    def __init__(self, people_mm: torch.Tensor, hidden: tuple[int, ...] = ()) -> None:
        self.__dict__.update(people_mm=people_mm, hidden=hidden, looks=0, boxes=None)

    def find_people(self, pictures) -> Joints2D:
        self.__dict__["looks"] += 1
        points_px = self.pixels()
        return Joints2D(points_px, torch.ones(points_px.shape[:-1]).double())

    def pixels(self) -> torch.Tensor:
        people = self.__dict__["people_mm"]
        return ring(4).project(people.reshape(1, -1, 3).expand(4, -1, -1)).reshape(4, len(people), 17, 2)


class Watched(Follower):
    """Its crops show what the oracle sees; nothing is drawn."""

    def _joints(self, pictures, boxes):
        sides = (boxes[..., 2] - boxes[..., 0]).double()
        points, scores = torch.zeros(*sides.shape, 17, 2).double(), torch.zeros(*sides.shape, 17).double()
        oracle = self.networks
        assert isinstance(oracle, Oracle)
        pixels = oracle.pixels()
        shown = [p for p in range(pixels.shape[1]) if p not in oracle.__dict__["hidden"]]
        for p, v in (sides > 0).nonzero().tolist():
            middle = (boxes[p, v, :2] + boxes[p, v, 2:]) / 2
            away = (pixels[v, shown].mean(1) - middle).norm(dim=-1)
            if len(shown) and float(away.min()) < float(sides[p, v]):
                points[p, v] = pixels[v, shown[int(away.argmin())]]
                scores[p, v] = 1.0
        return Joints2D(points, scores), sides, None


def follower_of(
    people_mm: torch.Tensor, anchors_mm: torch.Tensor, networks: Networks, found: bool = True, fps: float = 30.0
) -> Watched:
    """With the same anchors at frames 0, 15 and 30."""
    everywhere = torch.ones(3, *anchors_mm.shape[:2], dtype=torch.bool)
    survey = Survey(torch.tensor([0, 15, 30]), anchors_mm.expand(3, *anchors_mm.shape).clone(), everywhere)
    follower = Watched.start(networks, ring(4), survey, fps, "ransac", None)
    assert isinstance(follower, Watched)
    if found:
        follower._remember(Track(people_mm, torch.ones(people_mm.shape[:2]).bool()))
    return follower


def places_of(result) -> list[int | None]:
    """Which multiple of 100 mm along x each person stands at; None for the lost."""
    return [
        round(float(points[:, 0].mean() - STANDING_MM[:, 0].mean()) / 100) if valid.any() else None
        for points, valid in zip(result.points_mm, result.valid, strict=True)
    ]


def test_an_anchor_undoes_a_swap_of_two_people_close_together():
    people = standing_people([(0.0, 0.0), (500.0, 0.0)])
    follower = follower_of(people.flip(0), people, Oracle(people))
    assert places_of(follower.step(14, PICTURES)) == [5, 0]
    assert places_of(follower.step(15, PICTURES)) == [0, 5]


def test_an_anchor_far_away_is_believed_where_somebody_is():
    """And is not where nobody is: an anchor made of the rays of two people."""
    people = standing_people([(0.0, 0.0), (1500.0, 0.0)])
    for there, expected in ((people, 0), (people[1:], 15)):
        follower = follower_of(people[1:], people[:1], Oracle(there))
        assert places_of(follower.step(15, PICTURES)) == [expected]


def test_an_anchor_of_the_legs_alone_does_not_replace_a_whole_pose():
    people = standing_people([(0.0, 0.0)])
    follower = follower_of(people, people, Oracle(people))
    follower.survey.valid[1, 0, :11] = False
    assert follower.step(15, PICTURES).valid.all()


def test_a_second_look_that_jumps_leaves_the_first():
    """A cut around where the person was found shows somebody else; the first look was good."""
    people = standing_people([(0.0, 0.0), (5000.0, 0.0)])
    follower = follower_of(people[:1], people[:1], Oracle(people))
    at = Track(people[:1], EVERYWHERE)
    first = follower._look(PICTURES, at, at, NOBODY)
    follower._off_centre = lambda look: Track(people[1:], EVERYWHERE)
    assert torch.equal(follower.step(1, PICTURES).points_mm, first.result.points_mm)


def test_a_view_that_shows_somebody_else_has_no_say():
    """Most of its joints disagree; those that agree by chance do not count either."""
    people = standing_people([(0.0, 0.0)])
    follower = follower_of(people, people, Oracle(people))
    track = Track(people, EVERYWHERE)
    whole = follower._look(PICTURES, track, track, NOBODY)
    joints = follower._joints

    def mistaken(pictures, boxes):
        found, sides, seen = joints(pictures, boxes)
        found.points_px[0, 2, 4:] += 300.0
        found.points_px[0, 2, :4] += 8.0
        return found, sides, seen

    follower._joints = mistaken
    look = follower._look(PICTURES, track, track, NOBODY)
    assert not look.result.scores[0, 2].any() and look.result.inliers[0, [0, 1, 3]].all()
    torch.testing.assert_close(look.result.points_mm, whole.result.points_mm, atol=1e-3, rtol=0)
    assert 0 < look.agreement < whole.agreement


@pytest.mark.parametrize("visible", [[0], [1], [0, 1]])
def test_lost_people_are_given_their_own_candidates(visible):
    people = standing_people([(0.0, 0.0), (900.0, 0.0)])
    follower = follower_of(people, people, Oracle(people[visible]), found=False)
    result = follower.step(6, PICTURES)
    assert result.valid.any(-1).nonzero()[:, 0].tolist() == visible
    assert (result.points_mm[visible] - people[visible]).norm(dim=-1).max() < 1


@pytest.mark.parametrize("away_mm", [0.0, 300.0])
@pytest.mark.parametrize("frame", [2, 6, 11, 15])
def test_a_person_lost_at_any_frame_is_found_in_it(frame, away_mm):
    """Also where the survey's instants are, and with an anchor there that is nobody."""
    people = standing_people([(0.0, 0.0), (away_mm, 450.0)])
    follower = follower_of(people[:1], people[:1], Oracle(people[1:]))
    follower.survey.points_mm[1] += 2000.0
    assert follower.step(frame, PICTURES).valid.all()


def test_searches_go_on_five_times_a_second_and_not_where_nobody_can_be():
    people = standing_people([(0.0, 0.0)])
    oracle = Oracle(people[:0])
    follower = follower_of(people, people, oracle)
    for frame in range(1, 31):
        follower.step(frame, PICTURES)
    assert oracle.__dict__["looks"] == 5
    follower.survey.valid[:] = False
    for frame in range(31, 75):
        follower.step(frame, PICTURES)
    assert oracle.__dict__["looks"] == 5 + 6  # for two seconds after the loss: in frames 0, 6, ... 60 of it


@pytest.mark.parametrize("speed_mm_per_s", [0.0, 1500.0, 6000.0])
def test_a_fast_person_is_followed_and_foreseen(speed_mm_per_s):
    people = standing_people([(0.0, 0.0)])
    oracle = Oracle(people)
    follower = follower_of(people, people, oracle)
    follower.survey.valid[1:] = False
    now = people
    for frame in range(1, 16):
        now = people + torch.tensor([speed_mm_per_s * frame / 30, 0.0, 0.0]).double()
        oracle.__dict__["people_mm"] = now
        result = follower.step(frame, PICTURES)
        assert (result.points_mm - now).norm(dim=-1).max() < 1 and result.valid.all()
    ahead = follower._expected(follower._anchors(16)).points_mm - now
    assert abs(float(ahead[0, :, 0].mean()) - speed_mm_per_s / 30) < 0.1 * speed_mm_per_s / 30 + 1e-6
    assert oracle.__dict__["looks"] == 0


def test_a_bystander_who_is_known_is_not_taken_for_somebody_who_left():
    people = standing_people([(0.0, 0.0), (700.0, 0.0)])
    for known in (True, False):
        follower = follower_of(people[:1], people[:1], Oracle(people[1:]))
        follower.survey.valid[1:] = False
        anchors = people[None, 1:].expand(3, -1, -1, -1)
        there = torch.full((3, 1, 17), known)
        follower.survey = dataclasses.replace(
            follower.survey, bystanders=Survey(follower.survey.frames, anchors, there)
        )
        lost = [places_of(follower.step(frame, PICTURES)) for frame in range(1, 14)]
        assert (lost == [[None]] * 13) == known


def test_following_goes_on_from_earlier_results():
    """The state is made of the last frames alone."""
    people = standing_people([(0.0, 0.0), (900.0, 0.0)])
    oracle = Oracle(people)
    follower = follower_of(people, people, oracle)
    results = []
    for frame in range(1, 14):
        oracle.__dict__.update(people_mm=people + 20.0 * frame, hidden=(1,) if frame > 6 else ())
        results.append(follower.step(frame, PICTURES))
    earlier = type(results[0]).stack(results)
    again = Watched.start(oracle, ring(4), follower.survey, 30.0, "ransac", earlier)
    assert torch.equal(again.missing, follower.missing) and torch.equal(again.valid, follower.valid)
    assert torch.equal(again.points_mm, follower.points_mm)
    torch.testing.assert_close(again.velocity_mm, follower.velocity_mm, atol=1.0, rtol=0)


def test_nobody_is_followed_twice():
    """Of two on one place the one expected there stays, whatever the row."""
    people = standing_people([(0.0, 0.0), (900.0, 0.0)])
    follower = follower_of(people, people, Oracle(people))
    everything = torch.ones(2, 17, dtype=torch.bool)
    for first, second, expected in ((0, 0, [False, True]), (1, 1, [True, False]), (0, 1, [False, False])):
        found = torch.stack([people[first], people[second] + 20.0])
        at = Track(people, everything)
        look = follower._look(PICTURES, at, at, NOBODY).result
        look = dataclasses.replace(look, points_mm=found, valid=everything)
        assert _followed_twice(look, Track(people, everything), torch.zeros(2).long()).tolist() == expected
