"""Where to look for a person, and who is who when following and survey meet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dots import DotNetworks, rig_of
from hypothesis import given
from hypothesis import strategies as st
from rigs import STANDING_MM, ring, standing_people

from trivox.people.follow import Follower, _followed_twice
from trivox.people.networks import Joints2D, Networks
from trivox.people.survey import Survey

RIG = rig_of(3)


def follower_at(points_mm: torch.Tensor) -> Follower:
    valid = torch.ones(1, 17, dtype=torch.bool)
    anchors = Survey(torch.tensor([0]), points_mm[None, None], valid[None])
    follower = Follower.start(DotNetworks(), RIG.cameras, anchors, 30.0, "ransac", None)
    follower.points_mm, follower.valid = points_mm[None], valid
    return follower


@given(st.floats(-300, 300), st.floats(-1200, 1200), st.floats(-1e-3, 1e-3))
def test_a_person_beside_a_lens_needs_no_large_crop(ahead_mm, beside_mm, tilt):
    """Joints beside a camera are projected to any distance, and to any side."""
    camera = RIG.cameras[0]
    body = (STANDING_MM - STANDING_MM.mean(0)) @ camera.R + tilt
    place_mm = camera.position_mm + camera.R.mT @ torch.tensor([beside_mm, 0.0, ahead_mm]).double()
    boxes = follower_at(body + place_mm)._boxes()
    sides = boxes[..., 2:] - boxes[..., :2]
    assert (sides[..., 0] == sides[..., 1]).all() and (sides >= 0).all()
    assert sides.amax() <= 2.6 * 1280


def test_a_person_in_the_middle_is_looked_for_in_every_view():
    boxes = follower_at(STANDING_MM)._boxes()
    points_px = RIG.cameras.project(STANDING_MM.expand(3, -1, -1))
    assert (points_px > boxes[0, :, None, :2]).all() and (points_px < boxes[0, :, None, 2:]).all()


def test_a_person_behind_a_camera_is_not_looked_for_there():
    away = RIG.cameras[0].position_mm * 1.5 + STANDING_MM - STANDING_MM.mean(0)
    boxes = follower_at(away)._boxes()
    assert (boxes[0, 0] == 0).all()
    black = [np.zeros((720, 1280, 3), np.uint8)] * 3
    assert not follower_at(away).step(1, black).valid.any()


class Seen(Networks):
    """A detector that sees these people in every view, in whole pictures."""

    def __init__(self, people_mm: torch.Tensor) -> None:
        self.__dict__["people_mm"] = people_mm

    def find_people(self, pictures) -> Joints2D:
        people = self.__dict__["people_mm"]
        flat = people.reshape(1, -1, 3).expand(4, -1, -1)
        points_px = ring(4).project(flat).reshape(4, len(people), 17, 2)
        return Joints2D(points_px, torch.ones(points_px.shape[:-1]).double())


def follower_of(people_mm: torch.Tensor, anchors_mm: torch.Tensor, networks: Networks, found: bool = True) -> Follower:
    """At 30 frames a second, with the same anchors at frames 0, 15 and 30."""
    everywhere = torch.ones(3, *anchors_mm.shape[:2], dtype=torch.bool)
    survey = Survey(torch.tensor([0, 15, 30]), anchors_mm.expand(3, *anchors_mm.shape).clone(), everywhere)
    valid = torch.full(people_mm.shape[:2], found)
    return Follower(networks, ring(4), survey, 30.0, "ransac", people_mm * found, valid)


def test_an_anchor_undoes_a_swap_of_two_people_close_together():
    people = standing_people([(0.0, 0.0), (500.0, 0.0)])
    follower = follower_of(people.flip(0), people, Seen(people))
    follower._take_anchors(15)
    assert torch.equal(follower.points_mm, people)


def test_an_anchor_far_away_is_believed():
    people = standing_people([(0.0, 0.0)])
    follower = follower_of(people + 900.0, people, Seen(people))
    follower._take_anchors(15)
    assert torch.equal(follower.points_mm, people)


def test_an_anchor_of_the_legs_alone_does_not_replace_a_whole_pose():
    people = standing_people([(0.0, 0.0)])
    follower = follower_of(people, people, Seen(people))
    follower.survey.valid[1, 0, :11] = False
    follower._take_anchors(15)
    assert follower.valid.all()


@pytest.mark.parametrize("visible", [[0], [1], [0, 1]])
def test_lost_people_are_given_their_own_candidates(visible):
    people = standing_people([(0.0, 0.0), (900.0, 0.0)])
    follower = follower_of(people, people, Seen(people[visible]), found=False)
    follower._search(6, [])
    assert follower.valid.any(-1).nonzero()[:, 0].tolist() == visible
    assert (follower.points_mm[visible] - people[visible]).norm(dim=-1).max() < 1


def test_nobody_is_followed_twice():
    people = standing_people([(0.0, 0.0), (900.0, 0.0)])
    on_one = torch.stack([people[0], people[0] + 20.0])
    everything = torch.ones(2, 17, dtype=torch.bool)
    kept = everything & ~_followed_twice(on_one, everything)[:, None]
    assert kept.any(-1).tolist() == [True, False]
    assert not _followed_twice(people, everything).any()
