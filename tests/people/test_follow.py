"""Where to look for a person: never so far that a crop would fill the memory."""

from __future__ import annotations

import numpy as np
import torch
from dots import DotNetworks, rig_of
from hypothesis import given
from hypothesis import strategies as st
from rigs import STANDING_MM

from trivox.people.follow import Follower
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
