"""People in 3D as a type: NaN where a joint is not valid, whatever was given; parts of a result put together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trivox.errors import InputError
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, H36M_17, Skeleton
from trivox.geometry.smoothing import smoothed

LEG = Skeleton("leg", ("hip", "knee", "ankle"), (("hip", "knee"), ("knee", "ankle")), "hip")
UP = torch.tensor([0.0, 0.0, 1.0]).double()


def some_poses(frames: int = 4, people: int = 2, skeleton: Skeleton = LEG, **other: Any) -> Poses:
    generator = torch.Generator().manual_seed(frames)
    shape = (frames, people, len(skeleton))
    points_mm = 1000 * torch.randn(*shape, 3, generator=generator).double()
    valid = torch.rand(shape, generator=generator) > 0.3
    valid[0, 0, :2] = torch.tensor([True, False])
    covariance_mm2 = torch.eye(3).double().expand(*shape, 3, 3)
    given: dict[str, Any] = {"up": UP, "covariance_mm2": covariance_mm2, "covariance_noise_px": 1.0} | other
    return Poses(points_mm, valid, torch.ones(shape).double(), torch.arange(frames), skeleton, 25.0, **given)


def is_told_apart(poses: Poses) -> bool:
    """Every joint either is somewhere, or says nowhere that it is."""
    missing = ~poses.valid
    assert poses.covariance_mm2 is not None
    nowhere = poses.points_mm[missing].isnan().all() and poses.covariance_mm2[missing].isnan().all()
    return bool(nowhere and (poses.confidence[missing] == 0).all() and poses.points_mm[poses.valid].isfinite().all())


def test_a_joint_that_is_not_valid_is_nowhere() -> None:
    poses = some_poses(skeleton=COCO_17)
    assert is_told_apart(poses) and 0 < poses.valid.double().mean() < 1
    assert (
        is_told_apart(poses[1:3]) and is_told_apart(poses.converted(H36M_17)) and is_told_apart(poses.to(torch.float32))
    )
    assert is_told_apart(replace(poses, valid=torch.zeros_like(poses.valid)))
    assert is_told_apart(smoothed(some_poses(frames=30)))
    assert is_told_apart(Poses.concatenated([poses[:2], poses[2:]]))


@pytest.mark.parametrize("absurd", [np.nan, np.inf, -np.inf, 1e300, 1e10])
def test_a_joint_that_is_nowhere_is_not_valid(absurd: float) -> None:
    poses = some_poses()
    points_mm = poses.points_mm.clone()
    points_mm[0, 0, 0, 1] = absurd
    found = replace(poses, points_mm=points_mm)
    assert poses.valid[0, 0, 0] and not found.valid[0, 0, 0] and is_told_apart(found)
    assert found.valid.sum() == poses.valid.sum() - 1


def test_parts_of_a_result_are_the_result() -> None:
    poses = some_poses(frames=5)
    again = Poses.concatenated([poses[:2], poses[2:3], poses[3:]])
    assert again.up is not None and torch.equal(again.up, UP)
    assert torch.equal(again.frames, poses.frames) and again.covariance_noise_px == 1.0
    torch.testing.assert_close(again.points_mm, poses.points_mm, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"up": None}, "up"),
        ({"up": torch.tensor([0.0, 1.0, 0.0]).double()}, "up"),
        ({"covariance_mm2": None}, "covariance"),
        ({"covariance_noise_px": None}, "covariance"),
        ({"people": 1}, "people"),
        ({"skeleton": Skeleton("arm", ("shoulder", "elbow", "wrist"), (), "shoulder")}, "joints of skeleton"),
    ],
)
def test_parts_of_different_results_are_not_put_together(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"poses with {named} .* cannot be put together"):
        Poses.concatenated([some_poses(), some_poses(**change)])


@pytest.mark.usefixtures("unchecked")
def test_arrays_and_lists_are_taken() -> None:
    poses = some_poses(covariance_mm2=None)
    points_mm, valid, confidence = poses.points_mm.numpy(), poses.valid.numpy(), poses.confidence.numpy()
    assert poses.up is not None
    for convert in (np.asarray, np.ndarray.tolist):
        places, known, sure, frames = (convert(a) for a in (points_mm, valid, confidence, poses.frames.numpy()))
        again = Poses(places, known, sure, frames, LEG, 25.0, poses.up.tolist())  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(again.points_mm, poses.points_mm, equal_nan=True, rtol=0, atol=0)
        assert torch.equal(again.valid, poses.valid) and torch.equal(again.frames, poses.frames)


@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_one_sentence() -> None:
    poses = some_poses()
    with pytest.raises(InputError, match=r"confidence has shape \(3, 2, 3\), expected \(4, 2, 3\)"):
        replace(poses, confidence=torch.ones(3, 2, 3))
    with pytest.raises(InputError, match="expected .* the 17 joints of coco17"):
        replace(poses, skeleton=COCO_17)
    with pytest.raises(InputError, match="valid should be true or false"):
        replace(poses, valid=torch.ones(4, 2, 3))
    with pytest.raises(InputError, match="points_mm is in torch.float16, which rounds metres"):
        poses.to(torch.float16)
    with pytest.raises(InputError, match="fps is 0.0"):
        replace(poses, fps=0.0)
    for fps in (None, "30", [30]):
        with pytest.raises(InputError, match="fps is .*, expected a positive number of frames per second"):
            replace(poses, fps=fps)
    with pytest.raises(InputError, match="poses are of type ndarray, expected trivox.Poses"):
        smoothed(poses.points_mm.numpy())
