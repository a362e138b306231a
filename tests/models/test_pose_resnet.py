"""PoseResNet: its anatomy, its symmetries, its learning. Against the published system: tests/golden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden.weights_rule import fill
from torch import Tensor, nn

from trivox.errors import InputError
from trivox.models.pose_resnet import PoseResNet, _check_words


def filled(network: PoseResNet) -> PoseResNet:
    """Every tensor random, norms included, and signals of order one throughout."""
    network.load_state_dict(fill(network.state_dict(), "test"))
    return network.eval()


def pictures(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
@pytest.mark.parametrize("style", ["simple", "caffe"])
def test_the_depth_counts_its_layers(depth, style) -> None:
    """As the paper counts: convolutions on the main path, and the classifier that a pose network has not."""
    with torch.device("meta"):
        network = PoseResNet(depth, 17, style=style)
    trunk = [network.conv1, network.layer1, network.layer2, network.layer3, network.layer4]
    convolutions = {
        f"{i}.{name}"
        for i, part in enumerate(trunk)
        for name, module in part.named_modules()
        if isinstance(module, nn.Conv2d) and "downsample" not in name
    }
    layers_per_block = {18: 2, 34: 2}.get(depth, 3)
    blocks = (depth - 2) // layers_per_block
    assert len(convolutions) == 1 + blocks * (3 if style == "caffe" else layers_per_block)


@pytest.mark.parametrize(("style", "strided"), [("simple", "conv2"), ("caffe", "conv1")])
def test_the_style_decides_which_convolution_skips_pixels(style, strided) -> None:
    with torch.device("meta"):
        network = PoseResNet(50, 17, style=style)
    found = {
        name.rpartition(".")[2]
        for name, module in network.layer3.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2) and "downsample" not in name
    }
    assert found == {strided}


@pytest.mark.parametrize(("h", "w"), [(64, 96), (96, 32), (50, 70)])
def test_maps_have_a_quarter_of_the_picture(h: int, w: int) -> None:
    """Sides are rounded up to multiples of 32."""
    network = filled(PoseResNet(18, 5))
    with torch.inference_mode():
        output = network(pictures(2, 3, h, w))
    cells = [-(-side // 32) * 32 // network.stride for side in (h, w)]
    assert output.heatmaps.shape == (2, network.joints, *cells)
    assert output.features.shape == (2, network.feature_channels, *cells)
    assert output.joint_confidences is output.feature_confidences is None


@pytest.mark.parametrize("style", ["simple", "caffe"])
def test_a_transposed_picture_gives_transposed_maps(style) -> None:
    """With transposed kernels: so rows and columns are nowhere mixed up, also in pictures that are not square."""
    options: dict[str, Any] = {"style": style, "joint_confidences": True}
    network, transposed = filled(PoseResNet(18, 4, **options)), filled(PoseResNet(18, 4, **options))
    turned = {name: t.mT.clone() if t.ndim == 4 else t for name, t in network.state_dict().items()}
    transposed.load_state_dict(turned)
    images = pictures(1, 3, 128, 160)
    with torch.inference_mode():
        upright, lying = network(images), transposed(images.mT)
    torch.testing.assert_close(lying.heatmaps, upright.heatmaps.mT, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(lying.features, upright.features.mT, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(lying.joint_confidences, upright.joint_confidences)
    assert upright.heatmaps.std() > 1e-3 and upright.joint_confidences.std() > 1e-2


def test_pictures_of_a_batch_do_not_meet() -> None:
    network = filled(PoseResNet(18, 4, joint_confidences=True, feature_confidences=True))
    images = pictures(3, 3, 128, 128)
    with torch.inference_mode():
        together, alone = network(images), [network(image[None]) for image in images]
    said = {name: value for name, value in vars(together).items() if value is not None}
    assert vars(together).keys() - said.keys() == {"places"}
    for name, value in said.items():
        torch.testing.assert_close(value, torch.cat([getattr(one, name) for one in alone]), atol=1e-5, rtol=1e-4)
    assert together.joint_confidences.shape == (3, 4) and together.feature_confidences.shape == (3, 32)


@pytest.mark.parametrize("colours", ["rgb", "bgr"])
def test_normalisation(colours) -> None:
    images = pictures(2, 3, 32, 64)
    seen = PoseResNet(18, 4, colours=colours).normalised(images)
    stored = images.double().numpy()[:, ::-1] if colours == "bgr" else images.double().numpy()
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (stored - mean[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(seen, torch.from_numpy(expected).float())


@pytest.mark.parametrize("head", ["joint_confidences", "feature_confidences"])
@pytest.mark.parametrize("hw", [(96, 128), (256, 64)])
def test_confidences_need_pictures_of_128_pixels(head: str, hw: tuple[int, int]) -> None:
    heads: dict[str, Any] = {head: True}
    with torch.device("meta"):
        network = PoseResNet(18, 4, **heads)
    with pytest.raises(InputError, match="at least 128x128"):
        network(torch.empty(2, 3, *hw, device="meta"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((20, "simple", "rgb"), "depth 20"),
        ((50, "caffee", "rgb"), "style 'caffee'.*simple, caffe"),
        ((50, "caffe", "BGR"), "colours"),
    ],
)
def test_a_wrong_word_lists_the_right_ones(words: tuple[object, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        _check_words(*words)


def test_channels_stay_innermost() -> None:
    network = PoseResNet(18, 4)
    output = network(pictures(2, 3, 64, 64))
    assert output.features.is_contiguous(memory_format=torch.channels_last)
    assert output.heatmaps.is_contiguous(memory_format=torch.channels_last)


def test_a_new_network_believes_in_no_cell_and_lets_signals_through() -> None:
    torch.manual_seed(0)
    network = PoseResNet(18, 4, style="caffe")
    output = network(pictures(2, 3, 64, 64))
    assert output.heatmaps.std() < 0.1 < output.features.std() < 10


def test_training_lowers_the_loss_through_every_parameter() -> None:
    torch.manual_seed(0)
    network = PoseResNet(18, 2, joint_confidences=True, feature_confidences=True)
    images, target = pictures(2, 3, 128, 128), torch.zeros(2, 2, 32, 32)
    target[:, :, 10, 20] = 1
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(2):
        output = network(images)
        loss = (output.heatmaps - target).square().mean() * 100
        loss = loss + (output.joint_confidences - 0.9).square().mean() + (output.feature_confidences - 0.1).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    gradients = {name: p.grad for name, p in network.named_parameters()}
    # A bias that a norm follows moves nothing: the norm takes it out again.
    moved = [g for name, g in gradients.items() if not name.endswith(("features.0.bias", "features.4.bias"))]
    assert all(g is not None and g.isfinite().all() and g.abs().max() > 0 for g in moved)
    assert losses[-1] < losses[0]


def test_gradients_are_the_derivatives() -> None:
    network = filled(PoseResNet(18, 2)).double()
    images = pictures(1, 3, 32, 32).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: network(x).heatmaps, (images,), fast_mode=True, eps=1e-7, atol=1e-4)
