"""Frozen dataclasses of tensors: every operation acts on all tensor fields and leaves the rest alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from rigs import ring

from trivox.geometry.cameras import Cameras

FIELDS = ("K", "R", "t_mm", "distortion", "image_hw")


def test_indexing_a_stack_gives_back_the_items() -> None:
    items = [ring(3), ring(3, radius_mm=2000.0), ring(3, distortion=(0.1, 0, 0, 0, 0))]
    stacked = Cameras.stack(items)
    assert stacked.batch_shape == (3, 3)
    for i, item in enumerate(items):
        for name in FIELDS:
            assert torch.equal(getattr(stacked[i], name), getattr(item, name))
            assert torch.equal(getattr(stacked[:, 1], name)[i], getattr(item[1], name))


def test_concatenating_slices_gives_back_the_whole() -> None:
    cameras = ring(5)
    joined = Cameras.concatenated([cameras[:2], cameras[2:]])
    assert all(torch.equal(getattr(joined, name), getattr(cameras, name)) for name in FIELDS)


def test_fields_that_are_no_tensors_are_carried_along() -> None:
    cameras = dataclasses.replace(ring(2), distortion_model="human36m", image_hw=None)
    for changed in (cameras[0], cameras.to(dtype=torch.float32), Cameras.stack([cameras, cameras])):
        assert changed.distortion_model == "human36m" and changed.image_hw is None


def test_only_floating_tensors_change_their_type() -> None:
    cameras = ring(2).to("cpu", torch.float32)
    assert cameras.K.dtype == cameras.t_mm.dtype == torch.float32
    assert cameras.image_hw is not None and cameras.image_hw.dtype == torch.int64


def test_a_dtype_may_stand_alone() -> None:
    cameras, expected = ring(2).to(torch.float32), ring(2).to(dtype=torch.float32)
    for name in FIELDS:
        assert getattr(cameras, name).dtype == getattr(expected, name).dtype
        assert torch.equal(getattr(cameras, name), getattr(expected, name))


def test_objects_are_frozen_and_operations_leave_them_alone() -> None:
    cameras = ring(2)
    before = cameras.K.clone()
    doubled = cameras.map(lambda t: t * 2)
    assert torch.equal(doubled.K, before * 2) and torch.equal(cameras.K, before)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cameras.K = before  # pyright: ignore[reportAttributeAccessIssue]
