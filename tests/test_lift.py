"""Lifting judges each view at the person's own size: theorems about scale, order, absence and outliers."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from rigs import ring, standing_people

from trivox.geometry.triangulation import triangulate
from trivox.lift import METHODS, Method, lift

V, J = 5, 17
LENSES = {"ideal": (0.0,) * 5, "distorted": (-0.08, 0.02, 1e-3, -5e-4, 0.0)}


def seen_people(lens: tuple[float, ...] = LENSES["ideal"], noise_px: float = 0.0):
    """Two people (2, 17, 3), their pixels (2, V, 17, 2), scores, cameras, and the sides of their crops (2, V)."""
    torch.manual_seed(0)
    cameras, people = ring(V, distortion=lens), standing_people([(0.0, 0.0), (700.0, 300.0)])
    points_px = cameras.project(people.reshape(-1, 3)).reshape(V, 2, J, 2).transpose(0, 1)
    points_px = points_px + noise_px * torch.randn(2, V, J, 2).double()
    sides_px = (points_px.amax(-2) - points_px.amin(-2)).amax(-1) * 1.25
    return people, points_px, torch.ones(2, V, J).double(), cameras, sides_px


def test_the_methods_are_the_named_ones():
    assert get_args(Method) == METHODS


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
@pytest.mark.parametrize("method", METHODS)
def test_projections_are_lifted_back(method, lens):
    people, points_px, scores, cameras, sides_px = seen_people(lens)
    found = lift(points_px, scores, cameras, sides_px, method)
    assert found.valid.all() and found.inliers.all()
    torch.testing.assert_close(found.points_mm, people, rtol=0, atol=1e-3)
    assert found.reprojection_px.amax() < 1e-3


@pytest.mark.parametrize("factor", [0.25, 0.8, 3.0])
@pytest.mark.parametrize("method", METHODS)
def test_larger_pictures_change_only_the_pixels(method, factor):
    """The same scene photographed with more or fewer pixels: same people, errors in proportion."""
    _, points_px, scores, cameras, sides_px = seen_people(noise_px=3.0)
    one = lift(points_px, scores, cameras, sides_px, method)
    factors = torch.full((V, 2), factor).double()
    other = lift(points_px * factor, scores, cameras.scaled(factors), sides_px * factor, method)
    assert torch.equal(one.valid, other.valid) and torch.equal(one.inliers, other.inliers)
    torch.testing.assert_close(other.points_mm, one.points_mm, rtol=0, atol=1e-3)
    torch.testing.assert_close(other.reprojection_px, one.reprojection_px * factor, rtol=0, atol=1e-3 * factor)
    # A pixel of a larger picture is less.
    torch.testing.assert_close(other.covariance_mm2 * factor**2, one.covariance_mm2, rtol=1e-4, atol=1e-9)


def test_the_covariance_is_for_pixels_of_the_given_pictures():
    """As that of `triangulate`, where views are judged alike; and what noise does to the answer, where they are not."""
    _, points_px, scores, cameras, sides_px = seen_people()
    scores[:, 1] = 0.5
    plain = triangulate(points_px, cameras, scores, refine=True)
    alike = lift(points_px, scores, cameras, torch.full_like(sides_px, 417.0), "linear")
    torch.testing.assert_close(alike.covariance_mm2, plain.covariance_mm2, rtol=1e-5, atol=1e-9)
    sides_px = sides_px * torch.tensor([1.0, 3.0, 0.4, 1.0, 2.0]).double()
    steps_px = 0.01 * torch.eye(2 * V).double().reshape(2 * V, V, 1, 2) / scores[0, :, :1, None]
    moved = lift(
        points_px[0] + steps_px, scores[0].expand(2 * V, -1, -1), cameras, sides_px[:1].expand(2 * V, -1), "linear"
    )
    found = lift(points_px[0], scores[0], cameras, sides_px[0], "linear")
    slopes = (moved.points_mm - found.points_mm) / 0.01  # (2 V, J, 3)
    torch.testing.assert_close(torch.einsum("nji,njk->jik", slopes, slopes), found.covariance_mm2, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_views_means_nothing(method):
    _, points_px, scores, cameras, sides_px = seen_people(noise_px=2.0)
    order = torch.tensor([3, 0, 4, 1, 2])
    one = lift(points_px, scores, cameras, sides_px, method)
    other = lift(points_px[:, order], scores[:, order], cameras[order], sides_px[:, order], method)
    torch.testing.assert_close(other.points_mm, one.points_mm, rtol=0, atol=1e-3)
    assert torch.equal(other.inliers, one.inliers[:, order])
    torch.testing.assert_close(other.reprojection_px, one.reprojection_px[:, order], rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_people_of_a_batch_do_not_meet(method):
    _, points_px, scores, cameras, sides_px = seen_people(noise_px=2.0)
    together = lift(points_px, scores, cameras, sides_px, method)
    for p in range(2):
        alone = lift(points_px[p], scores[p], cameras, sides_px[p], method)
        torch.testing.assert_close(alone.points_mm, together.points_mm[p], rtol=0, atol=1e-9)
        assert torch.equal(alone.inliers, together.inliers[p])


@pytest.mark.parametrize("absent", ["unscored", "doubted"])
@pytest.mark.parametrize("method", METHODS)
def test_a_view_that_does_not_see_is_a_view_less(method, absent):
    """A joint without score, or one the network itself does not believe, is as good as no view at all."""
    _, points_px, scores, cameras, sides_px = seen_people(noise_px=2.0)
    keep = torch.tensor([0, 1, 3, 4])
    scores[:, 2] = {"unscored": 0.0, "doubted": 0.14}[absent]
    points_px[:, 2], sides_px[:, 2] = 0.0, 0.0  # what stands there where nothing was seen
    found = lift(points_px, scores, cameras, sides_px, method)
    fewer = lift(points_px[:, keep], scores[:, keep], cameras[keep], sides_px[:, keep], method)
    torch.testing.assert_close(found.points_mm, fewer.points_mm, rtol=0, atol=1e-6)
    assert not found.inliers[:, 2].any() and (found.reprojection_px[:, 2] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_view_is_no_joint(method):
    _, points_px, scores, cameras, sides_px = seen_people()
    scores[0, 1:, 4] = 0.0
    found = lift(points_px, scores, cameras, sides_px, method)
    assert not found.valid[0, 4] and (found.points_mm[0, 4] == 0).all()
    assert found.valid.sum() == 2 * J - 1 and found.points_mm.isfinite().all()


def test_ransac_leaves_out_a_wrong_view_where_linear_cannot():
    people, points_px, scores, cameras, sides_px = seen_people(noise_px=1.0)
    clean = lift(points_px, scores, cameras, sides_px, "ransac")
    points_px[:, 1, 9] += torch.tensor([160.0, -90.0]).double()
    errors_mm = {m: (lift(points_px, scores, cameras, sides_px, m).points_mm - people).norm(dim=-1) for m in METHODS}
    robust = lift(points_px, scores, cameras, sides_px, "ransac")
    assert not robust.inliers[:, 1, 9].any() and robust.inliers[:, 1].sum() >= 2 * (J - 2)
    assert errors_mm["ransac"][:, 9].amax() < 10 < errors_mm["linear"][:, 9].amin()
    others = torch.arange(J) != 9
    torch.testing.assert_close(robust.points_mm[:, others], clean.points_mm[:, others], rtol=0, atol=1e-6)


def test_the_threshold_follows_the_size_of_the_person():
    """40 pixels off: an outlier on a small person, noise on one who fills a crop ten times as large."""
    _, points_px, scores, cameras, sides_px = seen_people()
    points_px[0, 2, 5] += torch.tensor([40.0, 0.0]).double()
    assert not lift(points_px, scores, cameras, sides_px, "ransac").inliers[0, 2, 5]
    assert lift(points_px, scores, cameras, sides_px * 10, "ransac").inliers[0, 2, 5]


@pytest.mark.parametrize("method", METHODS)
def test_lower_scores_are_trusted_less(method):
    people, points_px, scores, cameras, sides_px = seen_people()
    points_px[0, 2, 5] += torch.tensor([6.0, 0.0]).double()
    errors_mm = []
    for score in (1.0, 0.2):
        scores[:, 2] = score
        found = lift(points_px, scores, cameras, sides_px, method)
        errors_mm.append((found.points_mm - people)[0, 5].norm())
        assert found.confidence[0, 5] == pytest.approx((4 + score) / 5)
    assert errors_mm[1] < 0.7 * errors_mm[0]
