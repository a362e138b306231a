"""MoveNet seen as a backbone, and the confidence heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.heatmaps import pixel_from_cell
from trivox.models.backbones import BackboneOutput, ConfidenceHead, MoveNetBackbone
from trivox.models.movenet import decode, load_movenet
from trivox.models.packed import packed


def pictures(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", ["lightning", "thunder"])
def test_movenet_says_what_it_always_said(name) -> None:
    backbone, network, images = MoveNetBackbone(name), load_movenet(name), pictures(2, 3, 64, 96)
    with torch.inference_mode():
        output, expected = backbone(images), network(images)
    assert torch.equal(output.heatmaps, expected.heatmaps) and torch.equal(output.features, expected.features)
    assert output.heatmaps.shape == (2, backbone.joints, 64 // backbone.stride, 96 // backbone.stride)
    assert output.features.shape[1] == backbone.feature_channels
    assert output.joint_confidences is output.feature_confidences is None
    read = decode(expected)  # which is held against the publisher's own program (test_movenet.py)
    torch.testing.assert_close(pixel_from_cell(output.places, backbone.stride), read.points_px)
    assert torch.equal(output.scores, read.scores)


def test_a_network_of_ones_own_is_not_read_as_the_published_one() -> None:
    backbone, images = MoveNetBackbone("lightning", reads=False), pictures(2, 3, 64, 96)
    with torch.inference_mode():
        output = backbone(images)
    assert output.places is None
    assert torch.equal(output.scores, torch.sigmoid(output.heatmaps.amax((-2, -1))))


def test_movenet_with_confidences_can_be_packed() -> None:
    torch.manual_seed(0)
    backbone = MoveNetBackbone("lightning", joint_confidences=True, feature_confidences=True).eval()
    images = pictures(2, 3, 128, 160)
    fast = packed(backbone, (128, 160))
    with torch.inference_mode():
        output, quick = backbone(images), fast(images)
    assert output.joint_confidences.shape == (2, 17) and output.feature_confidences.shape == (2, 32)
    for name, value in vars(output).items():
        torch.testing.assert_close(getattr(quick, name), value, atol=1e-3, rtol=1e-3, msg=name)


def test_movenet_learns_confidences() -> None:
    torch.manual_seed(0)
    backbone = MoveNetBackbone("lightning", joint_confidences=True)
    optimiser = torch.optim.Adam(backbone.parameters(), lr=1e-3)
    images, losses = pictures(2, 3, 128, 128), []
    for _ in range(2):
        output = backbone(images)
        loss = (
            output.joint_confidences - torch.tensor([[0.1], [0.9]])
        ).square().mean() + output.heatmaps.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("hw", [(100, 128), (128, 150)])
def test_movenet_refuses_sides_that_are_not_multiples(hw: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{hw[1]}x{hw[0]} pixels.*multiples of 32"):
        MoveNetBackbone("lightning")(pictures(1, 3, *hw))


@pytest.mark.parametrize("hw", [(3, 4), (8, 2)])
def test_a_confidence_head_refuses_what_it_cannot_halve(hw: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"too small for confidences: {hw[0]}x{hw[1]} cells"):
        ConfidenceHead(6, 3)(pictures(2, 6, *hw))


def test_confidences_are_shares_and_their_gradients_derivatives() -> None:
    torch.manual_seed(0)
    head = ConfidenceHead(6, 3).double().eval()
    deepest = torch.randn(2, 6, 4, 5, dtype=torch.float64, requires_grad=True)
    confidences = head(100 * deepest)
    assert confidences.shape == (2, 3) and ((confidences > 0) & (confidences < 1)).all()
    assert torch.autograd.gradcheck(head, (deepest,), fast_mode=True)


def test_views_can_be_told_apart_again() -> None:
    confidences = torch.rand(6, 5)
    flat = BackboneOutput(torch.rand(6, 5, 8, 12), torch.rand(6, 7, 8, 12), confidences)
    views = flat.map(lambda t: t.unflatten(0, (2, 3)))
    assert views.heatmaps.shape == (2, 3, 5, 8, 12) and views.feature_confidences is None
    assert views[1].joint_confidences is not None
    assert torch.equal(views[1].joint_confidences, confidences[3:])
