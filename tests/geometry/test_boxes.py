"""Overlap and suppression of boxes against loops."""

import pytest
import torch
from torch import Tensor

from trivox.geometry.boxes import area, overlap, suppressed


@pytest.fixture(autouse=True)
def the_same_boxes_every_time() -> None:
    """Among fifteen random boxes it can happen that none is suppressed."""
    torch.manual_seed(0)


def some_boxes(*batch: int) -> Tensor:
    corner = torch.rand(*batch, 2) * 60
    return torch.cat([corner, corner + torch.rand(*batch, 2) * 60 + 1], dim=-1)


def slow_overlap(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def slow_suppressed(similarity: list[list[float]], limit: float) -> list[bool]:
    kept: list[int] = []
    for n in range(len(similarity)):
        if not any(similarity[n][k] > limit for k in kept):
            kept.append(n)
    return [n not in kept for n in range(len(similarity))]


def test_overlap_equals_a_loop() -> None:
    first, second = some_boxes(2, 5), some_boxes(2, 7)
    expected = [
        [[slow_overlap(a, b) for b in s] for a in f] for f, s in zip(first.tolist(), second.tolist(), strict=True)
    ]
    torch.testing.assert_close(overlap(first, second), torch.tensor(expected))


def test_overlap_ignores_scale_and_place_and_is_one_with_itself() -> None:
    boxes = some_boxes(6)
    torch.testing.assert_close(overlap(boxes * 3 + 7, boxes * 3 + 7), overlap(boxes, boxes))
    torch.testing.assert_close(overlap(boxes, boxes).diagonal(), torch.ones(6))


def test_empty_boxes_overlap_nothing() -> None:
    empty = torch.tensor([[3.0, 3.0, 3.0, 9.0], [5.0, 5.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    assert (area(empty) == 0).all()
    assert (overlap(empty, empty) == 0).all()


@pytest.mark.parametrize("batch", [(), (1,), (4, 3)])
@pytest.mark.parametrize("limit", [0.1, 0.3])
def test_suppression_equals_a_loop(batch: tuple[int, ...], limit: float) -> None:
    boxes = some_boxes(*batch, 15)
    similarity = overlap(boxes, boxes)
    gone = suppressed(similarity, limit).reshape(-1, 15)
    expected = [slow_suppressed(s, limit) for s in similarity.reshape(-1, 15, 15).tolist()]
    assert gone.tolist() == expected
    assert gone.any() and not gone.all()
