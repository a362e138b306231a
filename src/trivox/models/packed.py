"""A network made ready for inference on the CPU: weights packed, activations and shortcuts fused.

Running MobileNet-like networks eagerly on a CPU, most of the time goes into unpacking weights for the
machine's vector units at every call, and into passing over large maps once more for each activation. oneDNN,
which PyTorch brings along, can do both inside the convolution; PyTorch's compiler reaches it through the
operators used here. Where a build of PyTorch has no oneDNN the network stays as it is. The packed copy
computes the same, and cannot be trained or moved.
"""

from __future__ import annotations

import copy
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
    for name, module in list(network.named_modules()):
        if isinstance(module, Convolution) and has_onednn():
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, PackedConvolution(module))
    with torch.no_grad():
        network(torch.zeros(1, 3, *image_hw))  # packs; later, several threads may use the network at once
    return network


def has_onednn() -> bool:
    """Whether this build of PyTorch has the operators."""
    wanted = ("_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, op) for op in wanted)


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16 itself. Where it does not, PyTorch imitates it, and is many times
    slower than in float32."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class PackedConvolution(nn.Module):
    """What `Convolution` computes, in one call of oneDNN. The first input it sees decides how weights are packed."""

    def __init__(self, plain: Convolution) -> None:
        super().__init__()
        weight = plain.weight.detach()
        if plain.stride == 2:
            # oneDNN is offered here with equal padding on both sides only. A row and a column of zeros before
            # the kernel make equal padding what TensorFlow's "same" is, and cost less than a padded copy of
            # the input.
            weight = F.pad(weight, (1, 0, 1, 0))
        padding = (weight.shape[-1] - 1) // 2 if plain.stride == 1 else 1
        self.geometry = ([padding] * 2, [plain.stride] * 2, [1, 1], plain.groups)
        self.activation, self.limits = _FUSED[plain.activation]
        self.bias = None if plain.bias is None else plain.bias.detach()
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.is_packed = False

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        if not self.is_packed:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self.weight = pack(self.weight, *self.geometry, list(x.shape))
            self.is_packed = True
        if plus is None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self.geometry, self.activation, self.limits, ""
            )
        activation = None if self.activation == "none" else self.activation
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, plus, self.weight, self.bias, *self.geometry, "add", 1.0, activation, self.limits, None
        )
