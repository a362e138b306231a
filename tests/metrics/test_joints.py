"""Errors of poses against slow plain twins, and what must hold of them whatever the poses are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from trivox.metrics.joints import aligned, joint_errors_mm, mean_over_joints, mpjpe_mm, pa_mpjpe_mm, pck, relative_to

seeds = st.integers(0, 10**6)
batches = st.sampled_from([(), (1,), (3, 1, 2)])
J = 11


def poses(
    seed: int, batch: tuple[int, ...] = (), share: float = 0.8
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Predictions, truth, and which joints are valid: at least four."""
    torch.manual_seed(seed)
    truth = torch.randn(*batch, J, 3, dtype=torch.float64) * 400 + 1000
    valid = torch.rand(*batch, J) < share
    valid[..., :4] = True
    return truth + torch.randn_like(truth) * 50, truth, valid


def similarity(seed: int, mirrored: bool = False) -> tuple[float, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    turn = torch.from_numpy(Rotation.from_quat(rng.normal(size=4)).as_matrix().copy())
    if mirrored:
        turn = turn @ torch.diag(torch.tensor([1.0, 1, -1]).double())
    return float(rng.uniform(0.2, 5)), turn, torch.from_numpy(rng.normal(size=3) * 1000)


@given(seeds, batches)
def test_mpjpe_is_that_of_a_plain_loop(seed: int, batch: tuple[int, ...]) -> None:
    points, truth, valid = poses(seed, batch)
    errors = mpjpe_mm(points, truth, valid)
    assert errors.shape == batch
    for index in np.ndindex(*batch):
        distances = [
            math.dist(points[index][j].tolist(), truth[index][j].tolist()) for j in range(J) if valid[index][j]
        ]
        assert float(errors[index]) == pytest.approx(sum(distances) / len(distances))


@given(seeds)
def test_what_stands_in_invalid_joints_has_no_influence(seed: int) -> None:
    points, truth, valid = poses(seed, (5,))
    for measure in (mpjpe_mm, pa_mpjpe_mm):
        spoilt = torch.where(valid[..., None], points, torch.nan)
        spoilt_truth = torch.where(valid[..., None], truth, torch.inf)
        torch.testing.assert_close(measure(spoilt, spoilt_truth, valid), measure(points, truth, valid))


@given(seeds)
def test_moving_everything_changes_nothing_and_one_origin_moves_relative_errors_not(seed: int) -> None:
    points, truth, valid = poses(seed, (4,))
    _, turn, shift = similarity(seed)
    moved = mpjpe_mm(points @ turn.mT + shift, truth @ turn.mT + shift, valid)
    torch.testing.assert_close(moved, mpjpe_mm(points, truth, valid))
    relative = [relative_to(p, p[..., 2:3, :]) for p in (points, points + shift)]
    torch.testing.assert_close(relative[0], relative[1])
    assert (relative[0][..., 2, :] == 0).all()


@given(seeds, batches)
def test_alignment_undoes_any_similarity(seed: int, batch: tuple[int, ...]) -> None:
    points, truth, valid = poses(seed, batch)
    scale, turn, shift = similarity(seed)
    torch.testing.assert_close(aligned(scale * truth @ turn.mT + shift, truth, valid), truth, atol=1e-6, rtol=0)
    errors = pa_mpjpe_mm(points, truth, valid)
    torch.testing.assert_close(pa_mpjpe_mm(scale * points @ turn.mT + shift, truth, valid), errors, atol=1e-6, rtol=0)


@given(seeds)
def test_alignment_never_mirrors(seed: int) -> None:
    """A mirrored body is another body: a mirror would bring it back exactly, a rotation cannot."""
    _, truth, valid = poses(seed)
    scale, turn, shift = similarity(seed, mirrored=True)
    mirrored = scale * truth @ turn.mT + shift
    assert float(pa_mpjpe_mm(mirrored, truth, valid)) > 20


@given(seeds)
def test_alignment_is_scipys(seed: int) -> None:
    """SciPy brings both to unit size, and may mirror: compared where it did not, in its own measure."""
    points, truth, _ = poses(seed)
    everything = torch.ones(J, dtype=torch.bool)
    ours = aligned(points, truth, everything)
    theirs_truth, theirs, disparity = procrustes(truth.numpy(), points.numpy())
    size = float((truth - truth.mean(0)).norm())
    turned = np.linalg.lstsq(points.numpy() - points.numpy().mean(0), theirs, rcond=None)[0]
    assert np.linalg.det(turned) > 0, "noise of 50 mm does not mirror a body of 400 mm"
    torch.testing.assert_close((ours - truth.mean(0)) / size, torch.from_numpy(theirs), atol=1e-9, rtol=0)
    assert float((ours - truth).square().sum()) / size**2 == pytest.approx(disparity)


@given(seeds, st.floats(-0.3, 0.3), st.floats(0.8, 1.2))
def test_no_other_similarity_is_nearer(seed: int, angle: float, factor: float) -> None:
    """The aligned pose is a minimum of the squared error: turned or scaled a little it only gets worse."""
    points, truth, valid = poses(seed)
    best = aligned(points, truth, valid)[valid]
    middle = best.mean(0)
    turn = torch.from_numpy(Rotation.from_rotvec([angle, angle / 2, -angle]).as_matrix().copy())
    other = factor * (best - middle) @ turn.mT + middle
    assert (best - truth[valid]).square().sum() <= (other - truth[valid]).square().sum() + 1e-6


@pytest.mark.parametrize("degenerate", ["one point", "a line", "a plane"])
def test_flat_bodies_give_numbers(degenerate: str) -> None:
    _, truth, _ = poses(3)
    directions = {"one point": [0.0, 0, 0], "a line": [1.0, 0, 0], "a plane": [1.0, 1, 0]}[degenerate]
    flat = truth * torch.tensor(directions)
    everything = torch.ones(J, dtype=torch.bool)
    assert float(pa_mpjpe_mm(flat, flat, everything)) < 1e-6
    error = float(pa_mpjpe_mm(flat, truth, everything))
    spread = float((truth - truth.mean(0)).norm(dim=-1).mean())
    assert 1 < error <= spread * 1.5


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_joints_are_no_zero(count: int) -> None:
    points, truth, valid = poses(1)
    valid[:] = False
    valid[:count] = True
    assert math.isnan(float(pa_mpjpe_mm(points, truth, valid))) == (count < 3)
    assert math.isnan(float(mpjpe_mm(points, truth, valid))) == (count == 0)
    assert math.isnan(float(mean_over_joints(joint_errors_mm(points, truth), valid))) == (count == 0)


@given(seeds, st.lists(st.floats(0, 200), min_size=1, max_size=4).map(sorted))
def test_pck_is_a_plain_count(seed: int, thresholds: list[float]) -> None:
    points, truth, valid = poses(seed, (6,))
    errors = joint_errors_mm(points, truth)
    shares = pck(errors, valid, torch.tensor(thresholds, dtype=torch.float64))
    known = [float(errors[n, j]) for n in range(6) for j in range(J) if valid[n, j]]
    for threshold, share in zip(thresholds, shares.tolist(), strict=True):
        assert share == pytest.approx(sum(error <= threshold for error in known) / len(known))
    assert shares.tolist() == sorted(shares.tolist())
