"""Who is who across views, against people whose identity is known because we placed them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rigs import ring, standing_people

from trivox.geometry.association import associate

PLACES = [(0.0, 0.0), (900.0, 300.0), (-700.0, 800.0), (200.0, -1200.0)]


def detections(views: int, people: int, seed: int, noise_px: float = 3.0):
    """Shuffled noisy detections (1, V, D, 17, 2), scores, and `truth[v, d]`: the person behind each detection."""
    generator = torch.Generator().manual_seed(seed)
    cameras = ring(views)
    points_mm = standing_people(PLACES[:people])
    flat = points_mm.reshape(1, -1, 3).expand(views, -1, -1)
    points_px = cameras.project(flat).reshape(views, people, 17, 2)
    points_px = points_px + noise_px * torch.randn(points_px.shape, generator=generator)
    order = torch.stack([torch.randperm(people, generator=generator) for _ in range(views)])
    shuffled = points_px[torch.arange(views)[:, None], order]
    return shuffled[None], torch.ones(1, views, people, 17).double(), order, cameras


def identities(members, truth):
    """The set of true people behind each associated one, views that miss left out."""
    return [
        {int(truth[v, d]) for v, d in enumerate(person.tolist()) if d >= 0} for person in members if (person >= 0).any()
    ]


@given(st.integers(2, 7), st.integers(1, 4), st.integers(0, 10_000))
def test_every_person_is_put_together_from_all_views(views, people, seed):
    points, scores, truth, cameras = detections(views, people, seed)
    found = associate(points, scores, cameras, most_people=people)
    sets = identities(found.members[0], truth)
    if views >= 3:  # with two views, mirrored coincidences can be as consistent as the truth
        assert sorted(map(sorted, sets)) == [[p] for p in range(people)]
        assert (found.members >= 0).all()
    assert all(len(s) == 1 for s in sets) or views == 2


@pytest.mark.parametrize("views", [3, 5])
def test_a_bystander_in_one_view_finds_no_partner(views):
    points, scores, truth, cameras = detections(views, 2, seed=1)
    bystander = int((truth[0] == 0).nonzero())
    for v in range(1, views):
        scores[0, v, int((truth[v] == 0).nonzero())] = 0
    found = associate(points, scores, cameras, most_people=3)
    assert found.view_counts[0].tolist()[:2] == [views, 0]
    assert not (found.members[0, :, 0] == bystander).any()


def test_an_empty_view_changes_nothing_but_itself():
    points, scores, truth, cameras = detections(4, 3, seed=2)
    scores[0, 1] = 0
    found = associate(points, scores, cameras, most_people=3)
    assert sorted(map(sorted, identities(found.members[0], truth))) == [[0], [1], [2]]
    assert (found.members[0, :, 1] == -1).all()


def test_no_detection_gives_no_people():
    points, scores, _, cameras = detections(3, 2, seed=3)
    found = associate(points, torch.zeros_like(scores), cameras, most_people=2)
    assert (found.members == -1).all() and (found.support == 0).all()


def test_instants_are_independent():
    parts = [detections(4, 3, seed) for seed in range(3)]
    cameras = parts[0][3]
    together = associate(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]), cameras, 3)
    for i, (points, scores, _, _) in enumerate(parts):
        assert torch.equal(together.members[i], associate(points, scores, cameras, 3).members[0])


def test_permuting_views_permutes_the_answer():
    points, scores, _, cameras = detections(5, 3, seed=4)
    order = torch.tensor([3, 0, 4, 1, 2])
    straight = associate(points, scores, cameras, 3).members[0][:, order]
    permuted = associate(points[:, order], scores[:, order], cameras[order], 3).members[0]
    assert {tuple(p) for p in straight.tolist()} == {tuple(p) for p in permuted.tolist()}


def test_many_cameras_do_not_blow_up():
    points, scores, truth, cameras = detections(31, 4, seed=5)
    found = associate(points, scores, cameras, most_people=4)
    assert sorted(map(sorted, identities(found.members[0], truth))) == [[0], [1], [2], [3]]


def test_a_pair_of_legs_reported_beside_the_whole_person_does_not_come_first():
    """Every view reports the person, and the person's legs once more, without any noise: both agree perfectly."""
    points, scores, _, cameras = detections(3, 1, seed=6, noise_px=0.0)
    points, scores = points.repeat(1, 1, 2, 1, 1), scores.repeat(1, 1, 2, 1)
    scores[:, :, 0, :11] = 0
    found = associate(points, scores, cameras, most_people=1)
    assert found.members[0, 0].tolist() == [1, 1, 1]
