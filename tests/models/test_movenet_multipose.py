"""Finding people: maxima against a loop, suppression of duplicates, and order and padding of the answer."""

import math

import pytest
import torch

from trivox.models.movenet import CORNER_SHIFT_PX
from trivox.models.movenet_multipose import (
    MultiPoseOutput,
    People,
    decode_people,
    kept,
    likeness,
    without_duplicates,
)


def random_output(batch: int, h: int, w: int) -> MultiPoseOutput:
    return MultiPoseOutput(
        torch.randn(batch, 1, h, w),
        torch.rand(batch, 2, h, w) * 8,
        torch.rand(batch, 2, h, w),
        torch.randn(batch, 17, h, w),
        torch.randn(batch, 17, 2, h, w) * 2,
        torch.rand(batch, 17, 2, h, w),
    )


def test_people_are_the_local_maxima() -> None:
    h, w = 16, 12
    output = random_output(2, h, w)
    people = decode_people(output, candidates=30)
    for b in range(2):
        centre = output.centre[b, 0]
        maxima = [
            (centre[y, x].sigmoid().item(), x, y)
            for y in range(h)
            for x in range(w)
            if centre[y, x] == centre[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max()
        ]
        maxima.sort(reverse=True)
        assert people.scores[b, : len(maxima)].tolist() == pytest.approx([m[0] for m in maxima])
        assert not people.scores[b, len(maxima) :].any() and not people.boxes_px[b, len(maxima) :].any()
        for n, (_, x, y) in enumerate(maxima):
            middle = torch.tensor([x, y]) + output.box_offset[b, :, y, x]
            half = output.box_size[b, :, y, x] / 2
            expected = torch.cat([middle - half, middle + half]) * 4 + CORNER_SHIFT_PX
            torch.testing.assert_close(people.boxes_px[b, n], expected)
            check_joints(output, people, b, n, x, y)


def check_joints(output: MultiPoseOutput, people: People, b: int, n: int, x: int, y: int) -> None:
    """One joint of each person by a loop over all cells."""
    joint = n % 17
    x0, y0 = (output.regress[b, joint, :, y, x] + torch.tensor([x, y])).tolist()
    logits = output.heatmaps[b, joint]
    cells = [(v, u) for v in range(logits.shape[0]) for u in range(logits.shape[1])]
    v, u = max(cells, key=lambda c: logits[c].sigmoid().item() / (math.hypot(c[1] - x0, c[0] - y0) + 1.8))
    expected = 4 * (torch.tensor([u, v]) + output.offset[b, joint, :, v, u]) + CORNER_SHIFT_PX
    torch.testing.assert_close(people.points_px[b, n, joint], expected)
    torch.testing.assert_close(people.joint_scores[b, n, joint], logits[v, u].sigmoid())


def test_fewer_cells_than_candidates_is_no_error() -> None:
    assert decode_people(random_output(1, 3, 4), candidates=50).scores.shape == (1, 12)


def people_at(corners: list[tuple[float, float]], skeletons: list[int]) -> People:
    """People of 40 x 80 px at `corners`; those with equal numbers in `skeletons` have the same joints."""
    generator = torch.Generator().manual_seed(1)
    shapes = torch.rand(max(skeletons) + 1, 17, 2, generator=generator) * 200
    boxes = torch.tensor([[x, y, x + 40, y + 80] for x, y in corners], dtype=torch.float32)
    scores = torch.linspace(0.9, 0.5, len(corners))
    return People(boxes[None], scores[None], shapes[skeletons][None], torch.full((1, len(corners), 17), 0.5))


@pytest.mark.parametrize(
    ("corners", "skeletons", "survivors"),
    [
        ([(0, 0), (100, 0), (200, 0)], [0, 1, 2], [0, 1, 2]),
        ([(0, 0), (2, 3), (200, 0)], [0, 1, 2], [0, 2]),  # one box twice
        ([(0, 0), (100, 0), (200, 0)], [0, 1, 0], [0, 1]),  # one skeleton twice
        ([(0, 0), (9, 0), (18, 0)], [0, 1, 2], [0, 2]),  # the third overlaps only the suppressed second
    ],
)
def test_duplicates_go_and_the_best_stays(corners, skeletons, survivors) -> None:
    people = people_at(corners, skeletons)
    found = without_duplicates(people)
    assert found.scores[0].count_nonzero() == len(survivors)
    for name in ("boxes_px", "scores", "points_px", "joint_scores"):
        got, expected = getattr(found, name)[0], getattr(people, name)[0][survivors]
        torch.testing.assert_close(got[: len(survivors)], expected)
        assert not got[len(survivors) :].any()


def test_suppressing_twice_is_suppressing_once() -> None:
    once = without_duplicates(decode_people(random_output(3, 32, 32), 20))
    twice = without_duplicates(once)
    assert torch.equal(once.boxes_px, twice.boxes_px) and torch.equal(once.scores, twice.scores)


def test_likeness_is_symmetric_and_ignores_scale() -> None:
    people = people_at([(0, 0), (5, 5), (60, 0)], [0, 1, 1])
    larger = People(people.boxes_px * 3, people.scores, people.points_px * 3, people.joint_scores)
    torch.testing.assert_close(likeness(people), likeness(people).mT)
    torch.testing.assert_close(likeness(people), likeness(larger))
    torch.testing.assert_close(likeness(people)[0, 1, 2], torch.tensor(1.0))


def test_kept_moves_to_the_front_in_order() -> None:
    people = people_at([(0, 0), (100, 0), (200, 0)], [0, 1, 2])
    found = kept(people, torch.tensor([[False, True, True]]))
    assert found.boxes_px[0, :, 0].tolist() == [100, 200, 0]
