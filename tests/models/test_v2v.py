"""V2V: sizes, symmetries, learning, and what it refuses. Against the published system: tests/golden."""

from __future__ import annotations

import itertools

import pytest
import torch
from golden.weights_rule import fill
from torch import Tensor

from trivox.errors import InputError
from trivox.models.v2v import V2V


def filled(network: V2V) -> V2V:
    network.load_state_dict(fill(network.state_dict(), "test"))
    return network.eval()


def volumes(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("width", "depth"), [(8, 0), (8, 1), (4, 2), (6, 3)])
def test_width_and_depth(width: int, depth: int) -> None:
    network = filled(V2V(3, 5, width=width, depth=depth))
    size = (2**depth, 2 * 2**depth, 3 * 2**depth)
    with torch.inference_mode():
        assert network(volumes(2, 3, *size)).shape == (2, 5, *size)
    widest = max(parameter.shape[0] for parameter in network.parameters())
    assert widest == width * min(2**depth, 4)
    # Halving `depth` times, every voxel is still seen: also by the farthest one.
    reach = torch.zeros(1, 3, *size)
    reach[0, :, 0, 0, 0] = 100
    with torch.inference_mode():
        assert (network(reach) - network(torch.zeros_like(reach)))[0, :, -1, -1, -1].abs().max() > 1e-6


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_axes_are_treated_alike(order: tuple[int, int, int]) -> None:
    """Exchanged axes, with kernels exchanged likewise, give exchanged answers; sides differ."""
    network, exchanged = filled(V2V(2, 3, width=4, depth=2)), filled(V2V(2, 3, width=4, depth=2))
    axes = (0, 1, *(2 + axis for axis in order))
    exchanged.load_state_dict(
        {name: t.permute(axes).clone() if t.ndim == 5 else t for name, t in network.state_dict().items()}
    )
    given = volumes(1, 2, 4, 8, 12)
    with torch.inference_mode():
        torch.testing.assert_close(exchanged(given.permute(axes)), network(given).permute(axes), atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("two_threads")
def test_memory_format_changes_nothing_and_is_kept() -> None:
    """With a single thread PyTorch takes another way for networks as small as this one."""
    network, given = filled(V2V(4, 3, width=8, depth=2)), volumes(2, 4, 8, 8, 8)
    innermost = given.contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode():
        plain, channels_last = network(given), network(innermost)
    torch.testing.assert_close(channels_last, plain, atol=1e-4, rtol=1e-4)
    assert channels_last.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(("width", "depth"), [(1, 2), (0, 2), (-4, 2), (2048, 2), (8, -1), (8, 9)])
def test_widths_and_depths_that_cannot_be_are_refused(width: int, depth: int) -> None:
    with pytest.raises(InputError, match=f"width {width} and depth {depth} was given; give a width of 2 to 1024"):
        V2V(2, 2, width=width, depth=depth)


@pytest.mark.parametrize("size", [(8, 8, 12), (4, 8, 8), (7, 8, 8)])
def test_sides_that_cannot_be_halved_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="{}x{}x{} voxels cannot be halved 3 times.*multiples of 8".format(*size)):
        V2V(2, 2, width=4, depth=3)(volumes(1, 2, *size))


def test_a_single_voxel_cannot_be_trained_on() -> None:
    network = V2V(2, 2, width=4, depth=2)
    with pytest.raises(InputError, match="single voxel after 2 halvings"):
        network(volumes(1, 2, 4, 4, 4))
    assert network(volumes(2, 2, 4, 4, 4)).isfinite().all()
    assert network.eval()(volumes(1, 2, 4, 4, 4)).isfinite().all()


def test_it_starts_as_xavier_says() -> None:
    torch.manual_seed(0)
    network = V2V(32, 17)
    weight = network.state_dict()["back_layers.0.res_branch.0.weight"]
    fan = 27 * (weight.shape[0] + weight.shape[1])
    assert weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.05)
    assert not network.state_dict()["output_layer.bias"].any()


def test_training_lowers_the_loss_through_every_parameter() -> None:
    torch.manual_seed(0)
    network, given = V2V(2, 3, width=4, depth=2), volumes(2, 2, 8, 8, 8)
    target = torch.randn(2, 3, 8, 8, 8)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(3):
        loss = (network(given) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # A bias that a norm follows moves nothing, so only weights must have a slope.
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in weights)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_the_derivatives(training: bool) -> None:
    network = filled(V2V(2, 2, width=2, depth=1)).double().train(training)
    given = volumes(2, 2, 4, 2, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(network, (given,), fast_mode=True, eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("size", [(2, 2, 2), (2, 4, 6), (4, 2, 2)])
def test_gradients_in_mixed_precision_are_those_of_full_precision(size: tuple[int, int, int]) -> None:
    """Down to the smallest volumes, of which oneDNN's own gradients are wrong."""
    network, given = filled(V2V(4, 3, width=8, depth=2)), volumes(2, 4, *(4 * side for side in size))
    gradients = []
    for mixed in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            network(given).float().square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    for name, exact in gradients[0].items():
        if name.endswith("weight") and exact.norm() > 0:
            assert (gradients[1][name] - exact).norm() < 0.1 * exact.norm(), name
