"""Everybody in view, lifted: in one go or instant by instant."""

from __future__ import annotations

import pytest
import torch
from dots import rig_of, walk

from trivox.people import candidates
from trivox.people.candidates import centres_mm, find_candidates
from trivox.people.networks import Joints2D

V, F, P = 4, 5, 3


def shuffled_detections() -> tuple[torch.Tensor, Joints2D]:
    """People (F, P, 17, 3) and what the views see of them, in another order in every view and frame."""
    truth, cameras = walk(F, P), rig_of(V).cameras
    points_px = cameras.project(truth.reshape(-1, 3)).reshape(V, F, P, 17, 2).transpose(0, 1)
    order = torch.rand(F, V, P, generator=torch.Generator().manual_seed(0)).argsort(-1)
    points_px = points_px.gather(2, order[..., None, None].expand(F, V, P, 17, 2))
    return truth, Joints2D(points_px, torch.ones(F, V, P, 17).double())


@pytest.mark.parametrize("pairings", [1, 2 * 54, 10**6])
def test_memory_bounds_change_nothing(monkeypatch, pairings):
    """With 54 pairs of detections an instant: one instant at a time, two, all."""
    _, detections = shuffled_detections()
    whole = find_candidates(detections, rig_of(V).cameras, most_people=5)
    monkeypatch.setattr(candidates, "_MOST_PAIRINGS", pairings)
    parts = find_candidates(detections, rig_of(V).cameras, most_people=5)
    for name in candidates.Candidates.__dataclass_fields__:
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=0, atol=1e-6)


def test_everybody_is_found_once():
    truth, detections = shuffled_detections()
    found = find_candidates(detections, rig_of(V).cameras, most_people=5)
    assert ((found.worth > 0).sum(-1) == P).all() and (found.worth < V + 1).all()
    everybody = torch.ones(F, P, 17, dtype=torch.bool)
    distances = torch.cdist(centres_mm(truth, everybody), found.centres_mm)
    distances = torch.where(found.worth[:, None] > 0, distances, torch.inf)
    assert (distances.amin(-1) < 1).all()
    assert all(len(set(row)) == P for row in distances.argmin(-1).tolist())


def test_the_middle_of_a_person_is_that_of_the_joints_that_are_there() -> None:
    """Of poses, joints that are missing are NaN."""
    points_mm = torch.tensor([[[1.0, 2.0, 3.0], [3.0, 4.0, 5.0], [torch.nan] * 3]])
    assert centres_mm(points_mm, torch.tensor([[True, True, False]])).tolist() == [[2.0, 3.0, 4.0]]
