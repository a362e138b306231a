"""A batch is a stack of every field, cameras and keys included."""

from __future__ import annotations

import pytest
import torch
from rigs import ring

from trivox.data.samples import Sample, collate, views_selected


def sample(row: int, views: int = 3, size_hw: tuple[int, int] = (8, 6)) -> Sample:
    generator = torch.Generator().manual_seed(row)
    return Sample(
        images=torch.rand(views, 3, *size_hw, generator=generator),
        present=torch.arange(views) != row,
        cameras=ring(views, radius_mm=4000.0 + row).to(torch.float32),
        boxes_px=torch.arange(4 * views).reshape(views, 4) + row,
        points_mm=torch.rand(5, 3, generator=generator),
        valid=torch.arange(5) != row,
        centre_mm=torch.rand(3, generator=generator),
        has_centre=torch.tensor(True),
        row=torch.tensor(row),
        key=f"walk/{row:06d}/p0",
    )


def test_a_batch_is_a_stack_of_every_field() -> None:
    items = [sample(0), sample(1), sample(2)]
    batch = collate(items)
    assert batch.images.shape == (3, 3, 3, 8, 6) and batch.cameras.batch_shape == (3, 3)
    assert batch.key == ("walk/000000/p0", "walk/000001/p0", "walk/000002/p0")
    for i, item in enumerate(items):
        again = batch[i]
        assert again.key == item.key and again.row == item.row
        assert torch.equal(again.images, item.images) and torch.equal(again.cameras.t_mm, item.cameras.t_mm)
        assert torch.equal(again.present, item.present) and torch.equal(again.cameras.K, item.cameras.K)
    assert batch[1:].key == batch.key[1:] and batch[1:].cameras.batch_shape == (2, 3)


def test_a_batch_moves_with_its_cameras() -> None:
    moved = collate([sample(0), sample(1)]).to(torch.float64)
    assert moved.cameras.K.dtype == moved.points_mm.dtype == torch.float64
    assert moved.present.dtype == torch.bool and moved.boxes_px.dtype == torch.int64


def test_pictures_of_different_size_fill_the_top_left_of_theirs() -> None:
    batch = collate([sample(0, size_hw=(8, 6)), sample(1, size_hw=(5, 9))])
    assert batch.images.shape[-2:] == (8, 9)
    assert torch.equal(batch.images[1, :, :, :5, :9], sample(1, size_hw=(5, 9)).images)
    assert not batch.images[1, :, :, 5:].any() and not batch.images[0, :, :, :, 6:].any()


def test_views_are_selected_in_the_order_asked_for() -> None:
    whole = sample(1, views=4)
    part = views_selected(whole, torch.tensor([2, 0]))
    assert torch.equal(part.images, whole.images[[2, 0]]) and torch.equal(part.cameras.R, whole.cameras.R[[2, 0]])
    assert torch.equal(part.points_mm, whole.points_mm) and part.key == whole.key


def test_a_batch_has_one_number_of_views() -> None:
    with pytest.raises(AssertionError, match="number of views"):
        collate([sample(0, views=3), sample(1, views=2)])
