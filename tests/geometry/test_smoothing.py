"""Smoothing over time: theorems, and the fast path against dense normal equations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trivox.errors import InputError
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, Skeleton
from trivox.geometry.smoothing import filled, smoothed
from trivox.geometry.smoothing.bones import bone_misfit, steady_bones
from trivox.geometry.smoothing.spline_kernel import BAND, ORDER, smooth_tracks
from trivox.geometry.smoothing.splines import differences, pieces

FPS = 25.0
# A shank with a point that hangs on nothing, so that bones and single joints are both there.
LEG = Skeleton("leg", ("left_knee", "left_ankle", "point"), (("left_knee", "left_ankle"),), "left_knee")


def covariance_of(poses: Poses) -> torch.Tensor:
    assert poses.covariance_mm2 is not None
    return poses.covariance_mm2


def moving(people=2, frames=60, seed=0, noise_mm=15.0):
    """Noisy people who sway, with covariances that differ in size and direction, and their truth."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / FPS
    phase = rng.uniform(0, 6, (people, 1, 3))
    knee = 200 * np.sin(2 * np.pi * 0.7 * t[:, None, None, None] + phase) + [1000.0, 500, 600]
    swing = 0.8 * np.sin(2 * np.pi * 0.9 * t)[:, None, None]
    shank = 400 * np.stack([np.sin(swing), np.zeros_like(swing), -np.cos(swing)], -1)
    truth = np.concatenate([knee, knee + shank, knee + 300], axis=2)
    root = rng.normal(size=(*truth.shape, 3)) * 0.4 + np.eye(3)
    covariance = root @ np.swapaxes(root, -1, -2) + 0.2 * np.eye(3)
    errors = noise_mm * (np.linalg.cholesky(covariance) @ rng.normal(size=(*truth.shape, 1)))[..., 0]
    return poses_of(truth + errors, covariance), torch.from_numpy(truth)


def poses_of(points, covariance=None, skeleton=LEG):
    points = torch.as_tensor(points)
    valid = torch.ones(points.shape[:3], dtype=torch.bool)
    confidence = torch.full(points.shape[:3], 0.7, dtype=torch.float64)
    covariance = None if covariance is None else torch.as_tensor(covariance)
    return Poses(points, valid, confidence, torch.arange(len(points)), skeleton, FPS, None, covariance)


def without(poses, gone):
    """The same poses with some joints missing."""
    return replace(
        poses,
        points_mm=torch.where(gone[..., None], 0, poses.points_mm),
        valid=poses.valid & ~gone,
        confidence=torch.where(gone, 0, poses.confidence),
    )


def test_the_kernel_solves_the_dense_normal_equations():
    rng = np.random.default_rng(1)
    tracks, frames, splines = 2, 30, 2
    z = rng.normal(size=(tracks, frames, 3)) * 10
    root = rng.normal(size=(tracks, frames, 3, 3))
    noise = root @ root.transpose(0, 1, 3, 2) + np.eye(3)
    precision = np.linalg.inv(noise) * (rng.random((tracks, frames)) > 0.2)[..., None, None]
    share = rng.uniform(0.5, 1, (splines, tracks, frames))
    together = np.ones((tracks, frames), bool)
    d = differences(np.cumsum(rng.integers(1, 3, frames)) / FPS)
    stiffness = np.array([1e-5, 1e-8])
    path, covariance = np.zeros((splines, tracks, frames, 3)), np.zeros((splines, tracks, frames, 3, 3))
    distance2, log_volume = np.zeros((2, splines, tracks, frames))
    places = 3 * frames
    small = (*np.zeros((3, 3, 3)), np.zeros(3))
    band = np.zeros((2, places, BAND + 1))
    room = (band[0], band[1], np.zeros(places), np.zeros((frames, 3, 3)), small)
    arrays = (path, covariance, distance2, log_volume)
    smooth_tracks(z, precision, noise, share, together, d, stiffness, room, *arrays)
    for c in range(splines):
        for n in range(tracks):
            rough = np.zeros((frames - ORDER, frames))
            for f in range(frames - ORDER):
                rough[f, f : f + ORDER + 1] = d[f]
            penalty = np.kron(stiffness[c] * rough.T @ rough, np.eye(3))
            W = [share[c, n, f] * precision[n, f] for f in range(frames)]
            dense, P = dense_path(W, penalty, z[n])
            np.testing.assert_allclose(path[c, n], dense, atol=1e-8)
            for f in range(frames):
                np.testing.assert_allclose(covariance[c, n, f], P[f], rtol=1e-6, atol=1e-9)
                if precision[n, f].any():
                    others = [0 * w if g == f else w for g, w in enumerate(W)]
                    left_out, Q = dense_path(others, penalty, z[n])
                    e, S = z[n, f] - left_out[f], Q[f] + noise[n, f]
                    assert distance2[c, n, f] == pytest.approx(e @ np.linalg.solve(S, e), rel=1e-6)
                    assert log_volume[c, n, f] == pytest.approx(np.linalg.slogdet(S)[1], rel=1e-6, abs=1e-8)


def dense_path(W, penalty, z):
    frames = len(z)
    normal = penalty.copy()
    for f in range(frames):
        normal[3 * f : 3 * f + 3, 3 * f : 3 * f + 3] += W[f]
    inverse = np.linalg.inv(normal)
    right = np.concatenate([W[f] @ z[f] for f in range(frames)])
    blocks = [inverse[3 * f : 3 * f + 3, 3 * f : 3 * f + 3] for f in range(frames)]
    return (inverse @ right).reshape(frames, 3), blocks


def test_noise_becomes_less_and_confidence_stays():
    poses, truth = moving()
    found = smoothed(poses)
    before, after = ((p.points_mm - truth).norm(dim=-1).mean() for p in (poses, found))
    assert after < 0.6 * before
    assert torch.equal(found.confidence, poses.confidence) and found.valid.all()


def test_constant_velocity_and_acceleration_are_kept():
    t = torch.arange(40).double()[:, None, None, None] / FPS
    path = 5000 + 3000 * t + 900 * t**2
    points = path + torch.tensor([[0.0, 0, 0], [0, 0, -400], [100, 100, 100]]).double()
    found = smoothed(poses_of(points.expand(-1, 2, -1, -1)))
    torch.testing.assert_close(found.points_mm, points.expand(-1, 2, -1, -1), atol=1e-6, rtol=0)


def test_exact_measurements_hardly_change():
    _, truth = moving()
    found = smoothed(poses_of(truth))
    assert (found.points_mm - truth).norm(dim=-1).max() < 0.1


def test_a_recording_played_backwards_gives_the_same_path_backwards():
    poses, _ = moving()
    backwards = replace(poses.map(lambda t: t.flip(0)), frames=poses.frames)
    forth, back = smoothed(poses), smoothed(backwards)
    torch.testing.assert_close(back.points_mm.flip(0), forth.points_mm, atol=1e-6, rtol=0)
    torch.testing.assert_close(covariance_of(back).flip(0), covariance_of(forth), atol=1e-5, rtol=1e-6)


def test_moving_the_world_moves_the_answer():
    poses, _ = moving()
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)).double()).Q
    shift = torch.tensor([1e4, -2e4, 300]).double()
    there = replace(
        poses,
        points_mm=poses.points_mm @ rotation.T + shift,
        covariance_mm2=rotation @ poses.covariance_mm2 @ rotation.T,
    )
    torch.testing.assert_close(
        smoothed(there).points_mm, smoothed(poses).points_mm @ rotation.T + shift, atol=1e-5, rtol=0
    )


def test_covariances_count_up_to_a_factor():
    poses, _ = moving()
    larger = replace(poses, covariance_mm2=covariance_of(poses) * 7)
    torch.testing.assert_close(smoothed(larger).points_mm, smoothed(poses).points_mm, atol=1e-6, rtol=0)
    torch.testing.assert_close(smoothed(larger).covariance_mm2, smoothed(poses).covariance_mm2, atol=1e-5, rtol=1e-5)


def test_people_do_not_know_of_each_other():
    poses, _ = moving()
    alone = replace(poses.map(lambda t: t[:, :1] if t.ndim > 1 else t), frames=poses.frames)
    torch.testing.assert_close(smoothed(alone).points_mm, smoothed(poses).points_mm[:, :1], atol=1e-9, rtol=0)


def test_what_has_no_confidence_has_no_influence():
    poses, _ = moving()
    gone = torch.zeros_like(poses.valid)
    gone[20:23, 0, 1] = True
    unsure = replace(poses, confidence=torch.where(gone, 0, poses.confidence))
    wild = replace(unsure, points_mm=torch.where(gone[..., None], 1e6, poses.points_mm))
    torch.testing.assert_close(smoothed(wild).points_mm, smoothed(without(poses, gone)).points_mm, atol=1e-9, rtol=0)


def test_short_gaps_are_filled_and_marked_and_long_ones_left():
    poses, truth = moving(noise_mm=2.0)
    gone = torch.zeros_like(poses.valid)
    gone[10:16, 0, 0] = True  # 0.24 s
    gone[30:37, 1, 2] = True  # 0.28 s
    gone[:3, 1, 0] = True  # nothing before: nothing to lead from
    found = smoothed(without(poses, gone))
    expected = torch.zeros_like(gone)
    expected[10:16, 0, 0] = True
    assert torch.equal(filled(found), expected)
    assert torch.equal(found.valid, ~gone | expected)
    assert (found.points_mm - truth)[expected].norm(dim=-1).max() < 40
    spread = covariance_of(found)[:, 0, 0].diagonal(dim1=-2, dim2=-1).sum(-1)
    assert spread[12] > spread[10] > spread[8] and spread[13] > spread[15] > spread[18]
    assert found.points_mm[~found.valid].isnan().all() and covariance_of(found)[~found.valid].isnan().all()


def test_a_gap_is_left_where_the_measurements_around_it_contradict_a_bone():
    """An ankle that slides 200 mm down its shank while it is hidden: three instants before and after a short gap."""
    poses, truth = moving(noise_mm=2.0)
    gone = torch.zeros_like(poses.valid)
    gone[28:31, :, 1] = True
    points = poses.points_mm.clone()
    shank = truth[:, 0, 1] - truth[:, 0, 0]
    points[25:34, 0, 1] += (shank / 2)[25:34]
    assert filled(smoothed(without(poses, gone)))[28:31, :, 1].all(), "true neighbours lead through"
    found = smoothed(without(replace(poses, points_mm=points), gone))
    assert not found.valid[28:31, 0, 1].any() and found.points_mm[28:31, 0, 1].isnan().all()
    assert found.valid[28:31, 1, 1].all()
    kept = poses.valid & ~gone
    assert torch.equal(found.valid[kept], poses.valid[kept]), "what was measured stays"


def test_a_gap_is_left_where_nobody_knows_the_way():
    """With noise of 60 mm the path through a gap of 0.24 s is not known to 20 mm; with 2 mm it is."""
    gone = torch.zeros(60, 2, 3, dtype=torch.bool)
    gone[20:26, :, 2] = True
    precise, vague = (smoothed(without(moving(noise_mm=noise_mm)[0], gone)) for noise_mm in (2.0, 60.0))
    assert precise.valid.all() and not vague.valid[21:25, :, 2].any()


def test_the_misfit_of_bones_is_in_standard_deviations():
    points = np.zeros((30, 1, 3, 3))
    points[:, 0, 1, 0] = 400.0
    points[:, 0, 2, 0] = 700.0
    points[10, 0, 2, 0] = 760.0
    covariance = np.broadcast_to(100.0 * np.eye(3), (30, 1, 3, 3, 3))
    misfit = bone_misfit(points, covariance, np.ones((30, 1, 3), bool), np.array([[0, 1], [1, 2]]))
    # 60 mm, where two ends have 100 mm2 along the bone and the length 100 mm2, its floor.
    np.testing.assert_allclose(misfit[10, 0], [0, 60 / 300**0.5, 60 / 300**0.5], atol=1e-9)
    assert not misfit[:10].any()


def test_a_longest_gap_of_zero_fills_nothing():
    poses, _ = moving()
    gone = torch.zeros_like(poses.valid)
    gone[10, 0, 0] = True
    assert torch.equal(smoothed(without(poses, gone), longest_gap_s=0).valid, ~gone)


def test_a_jump_of_one_frame_is_gated():
    poses, truth = moving(noise_mm=5.0)
    points = poses.points_mm.clone()
    points[30, 0, 2] += 500
    found = smoothed(replace(poses, points_mm=points))
    assert (found.points_mm - truth)[30, 0, 2].norm() < 25


def test_a_fast_stroke_is_not_flattened():
    """A metre there and back within a third of a second, after a long rest."""
    t = torch.arange(75).double() / FPS
    stroke = 1000 * torch.exp(-(((t - 1.5) / 0.07) ** 2))
    truth = torch.zeros(75, 1, 3, 3).double()
    truth[:, 0, 2, 0] = stroke
    truth[:, :, 1, 2] = -400
    noise = 10 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(3)).double()
    found = smoothed(poses_of(truth + noise))
    fast = (t - 1.5).abs() < 0.16
    raw_mm, smooth_mm = (e[fast, 0, 2].norm(dim=-1).mean() for e in (noise, found.points_mm - truth))
    assert smooth_mm < 1.1 * raw_mm


def test_too_few_measurements_stay_as_they_are():
    poses, _ = moving(frames=5)
    found = smoothed(poses)
    assert torch.equal(found.points_mm, poses.points_mm) and torch.equal(found.valid, poses.valid)


def test_frame_numbers_are_time():
    """A straight path sampled at uneven frames is still straight."""
    frames = torch.tensor([0, 1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 14])
    points = (frames.double() * 40)[:, None, None, None].expand(-1, 1, 3, 3).clone()
    points[:, :, 1, 2] -= 400
    found = smoothed(replace(poses_of(points), frames=frames))
    torch.testing.assert_close(found.points_mm, points, atol=1e-6, rtol=0)


def test_no_frames_and_nobody():
    poses, _ = moving()
    assert len(smoothed(poses[:0]).points_mm) == 0
    nobody = without(poses, torch.ones_like(poses.valid))
    assert not smoothed(nobody).valid.any()


def test_single_precision_is_kept():
    poses, _ = moving()
    found = smoothed(poses.to(torch.float32))
    assert found.points_mm.dtype == covariance_of(found).dtype == torch.float32
    torch.testing.assert_close(found.points_mm.double(), smoothed(poses).points_mm, atol=0.02, rtol=0)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_gap_that_is_no_time_is_refused(seconds):
    poses, _ = moving(frames=8)
    with pytest.raises(InputError, match="give seconds from 0 up"):
        smoothed(poses, longest_gap_s=seconds)


def test_pieces_by_the_definition():
    rng = np.random.default_rng(5)
    measured = rng.random((20, 50)) > 0.6
    times_s = np.arange(50) / 10
    inside, _ = pieces(measured, times_s, 0.2)
    for row, got in zip(measured, inside, strict=True):
        expected, group = np.zeros(50, bool), []
        for f in [*np.flatnonzero(row), 10_000]:
            if group and f - group[-1] > 3:
                if len(group) >= 6:
                    expected[group[0] : group[-1] + 1] = True
                group = []
            group.append(f)
        np.testing.assert_array_equal(got, expected)


def test_bones_are_the_most_likely_pose():
    """One bone, equal and isotropic doubt: both ends move along it by the share that theory gives."""
    points = np.zeros((30, 1, 2, 3))
    points[:, 0, 1, 0] = 400.0
    points[10, 0, 1, 0] = 440.0
    covariance = np.broadcast_to(100.0 * np.eye(3), (30, 1, 2, 3, 3))
    found = steady_bones(points, covariance, np.ones((30, 1, 2), bool), np.array([[0, 1]]))
    # The spread is at its floor of 10 mm: 100 mm2 for the length, 100 mm2 for each end.
    np.testing.assert_allclose(found[10, 0, :, 0], [40 / 3, 440 - 40 / 3], atol=1e-6)
    np.testing.assert_allclose(found[:10], points[:10], atol=1e-9)


def test_a_whole_skeleton_is_smoothed():
    rng = np.random.default_rng(6)
    pose = poses_of(rng.normal(0, 10, (12, 1, 17, 3)) + np.arange(17)[:, None] * 100, skeleton=COCO_17)
    found = smoothed(pose)
    assert found.points_mm.isfinite().all()
