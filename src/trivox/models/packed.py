"""A network made ready for inference on the CPU: weights packed, activations and shortcuts fused.

Running MobileNet-like networks eagerly on a CPU, most of the time goes into unpacking weights for the
machine's vector units at every call, and into passing over large maps once more for each activation. oneDNN,
which PyTorch brings along, can do both inside the convolution; PyTorch's compiler reaches it through the
operators used here. Where a build of PyTorch has no oneDNN the network stays as it is. The packed copy
computes the same, and cannot be trained or moved.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivox.models.movenet_trunk import Convolution

Network = TypeVar("Network", bound=nn.Module)

_FUSED: dict[str, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


def packed(network: Network, image_hw: tuple[int, int]) -> Network:
    """An inference-only copy of `network` (float32, on the CPU) that runs much faster there.

    It is made for pictures of `image_hw`, in batches of any size; others give the same result, but can be
    slower than the plain network. Small batches (about four pictures) fit the processor's caches best.
    Results agree with the network's own to rounding.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    if not _has_onednn():
        return network
    for name, shape in _input_shapes(network, image_hw).items():
        parent, _, child = name.rpartition(".")
        plain = network.get_submodule(name)
        assert isinstance(plain, Convolution)
        setattr(network.get_submodule(parent), child, PackedConvolution(plain, shape))
    return network


def _input_shapes(network: nn.Module, image_hw: tuple[int, int]) -> dict[str, list[int]]:
    """The shape of what every convolution receives, seen in one run: oneDNN chooses the packing by it."""
    shapes: dict[str, list[int]] = {}

    def note(name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes[name] = list(inputs[0].shape)

    hooks = [
        module.register_forward_pre_hook(partial(note, name))
        for name, module in network.named_modules()
        if isinstance(module, Convolution)
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, *image_hw))
    for hook in hooks:
        hook.remove()
    return shapes


def _has_onednn() -> bool:
    wanted = ("_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, op) for op in wanted)


class PackedConvolution(nn.Module):
    """What `Convolution` computes, in one call of oneDNN."""

    def __init__(self, plain: Convolution, input_shape: list[int]) -> None:
        super().__init__()
        weight = plain.weight.detach()
        if plain.stride == 2:
            # oneDNN is offered here with equal padding on both sides only. A row and a column of zeros before
            # the kernel make equal padding what TensorFlow's "same" is, and cost less than a padded copy of
            # the input.
            weight = F.pad(weight, (1, 0, 1, 0))
        padding = (weight.shape[-1] - 1) // 2 if plain.stride == 1 else 1
        self.padding, self.strides, self.groups = [padding] * 2, [plain.stride] * 2, plain.groups
        self.activation, self.limits = _FUSED[plain.activation]
        self.bias = None if plain.bias is None else plain.bias.detach()
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight.contiguous(memory_format=torch.channels_last),
            self.padding,
            self.strides,
            [1, 1],
            self.groups,
            input_shape,
        )

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        geometry = (self.padding, self.strides, [1, 1], self.groups)
        if plus is None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *geometry, self.activation, self.limits, ""
            )
        activation = None if self.activation == "none" else self.activation
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, plus, self.weight, self.bias, *geometry, "add", 1.0, activation, self.limits, None
        )
