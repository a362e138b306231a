"""Models and the networks they hold made ready for inference: batch norm folded away, steps fused.

After training, batch norm is a scale and a shift per channel, and moves into the convolution before it. What
remains of a block (convolution, shortcut, ReLU) is on a CPU one call of oneDNN, with weights packed for the
machine's vector units, as in `packed.py`, which does it for MoveNet; elsewhere it is plain PyTorch. In bfloat16 the
last convolutions, whose results are read as numbers (heatmaps, volumes, channels of volumes), compute in float32.
"""

from __future__ import annotations

import copy
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from trivox.models.movenet_trunk import Convolution
from trivox.models.packed import PackedConvolution, has_bfloat16, has_onednn
from trivox.models.pose_resnet import BasicBlock, Bottleneck, PoseResNet
from trivox.models.v2v import V2V, ResBlock

Network = TypeVar("Network", bound=nn.Module)
Activation = Literal["none", "relu"]
TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, *TRANSPOSED)


def folded(network: Network, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> Network:
    """An inference-only copy of `network`, on its device or another one, that computes in `dtype` (float32, bfloat16).

    It takes and gives float32 as `network` does, whatever it computes in between; in float32 the results agree
    with the network's own to rounding. It cannot be trained, moved or saved. The first pictures it sees decide
    how weights are packed: others give the same results, but may take longer.
    """
    network = copy.deepcopy(network).to(device).eval().requires_grad_(False)
    return cast(Network, _folded(network, dtype))


def _folded(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    if isinstance(module, BasicBlock | Bottleneck | ResBlock):
        return FoldedBlock(module, dtype)
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*_folded_chain(list(module), dtype))
    if isinstance(module, CONVOLUTIONS):
        return FoldedConvolution(module, None, "none", torch.float32)
    if isinstance(module, Convolution):  # small already: in float32 whatever the others compute in
        return PackedConvolution(module) if module.weight.device.type == "cpu" and has_onednn() else module
    if isinstance(module, PoseResNet):
        stem = FoldedConvolution(module.conv1, module.bn1, "relu", dtype)
        for name, part in {"conv1": stem, "bn1": nn.Identity(), "relu": nn.Identity()}.items():
            setattr(module, name, part)
        module.deconv_layers.append(ToFloat32())
    for name, child in module.named_children():
        # The last layers of a volume network: a fortieth of its work, and half of what bfloat16 moves joints by.
        part = torch.float32 if isinstance(module, V2V) and name == "back_layers" else dtype
        setattr(module, name, _folded(child, part))
    return module


def _folded_chain(chain: list[nn.Module], dtype: torch.dtype) -> list[nn.Module]:
    """Convolution, norm and ReLU become one module; a max-pool before the ReLU may as well come after it."""
    match chain:
        case [nn.Module() as conv, nn.BatchNorm2d() | nn.BatchNorm3d() as norm, nn.ReLU(), *rest]:
            return [FoldedConvolution(conv, norm, "relu", dtype), *_folded_chain(rest, dtype)]
        case [nn.Module() as conv, nn.BatchNorm2d() as norm, nn.MaxPool2d() as pool, nn.ReLU(), *rest]:
            return [FoldedConvolution(conv, norm, "relu", dtype), pool, *_folded_chain(rest, dtype)]
        case [first, *rest]:
            return [_folded(first, dtype), *_folded_chain(rest, dtype)]
    return []


class ToFloat32(nn.Module):
    """What comes out for others to read."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float()


class FoldedBlock(nn.Module):
    """A residual block: a chain of convolutions whose last one takes the shortcut along."""

    def __init__(self, block: BasicBlock | Bottleneck | ResBlock, dtype: torch.dtype) -> None:
        super().__init__()
        if isinstance(block, ResBlock):
            first, norm, _, second, last_norm = block.res_branch
            branch, shortcut = [(first, norm), (second, last_norm)], block.skip_con
        else:
            branch, shortcut = [(block.conv1, block.bn1), (block.conv2, block.bn2)], block.downsample
        if isinstance(block, Bottleneck):
            branch.append((block.conv3, block.bn3))
        *before, last = branch
        self.before = nn.Sequential(*(FoldedConvolution(*pair, "relu", dtype) for pair in before))
        self.last = FoldedConvolution(*last, "relu", dtype)
        self.shortcut = FoldedConvolution(shortcut[0], shortcut[1], "none", dtype) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.before(x), plus=x if self.shortcut is None else self.shortcut(x))


class FoldedConvolution(nn.Module):
    """Convolution (maybe transposed), the norm after it, a shortcut to add, and ReLU, in one call."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None, activation: Activation, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(conv, CONVOLUTIONS) and conv.groups == 1
        self.activation, self.dtype = activation, dtype
        self.transposed = isinstance(conv, TRANSPOSED)
        self.padding, self.strides = [int(side) for side in conv.padding], list(conv.stride)
        self.is_2d = len(self.strides) == 2
        self.memory_format = torch.channels_last if self.is_2d else torch.channels_last_3d
        weight, bias = conv.weight, conv.bias
        if norm is not None:
            weight, bias = _with_norm(conv, norm)
        self.weight = weight.detach().to(dtype, memory_format=self.memory_format)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.state: Literal["plain", "to pack", "packed"] = "to pack" if _has_onednn(self.weight) else "plain"

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        x = x.to(self.dtype, memory_format=self.memory_format)
        if plus is not None:
            plus = plus.to(self.dtype, memory_format=self.memory_format)
        if self.state == "plain":
            return self._plain(x, plus)
        if self.state == "to pack":
            self._pack(list(x.shape))
        if self.transposed:
            return torch.ops.mkldnn._convolution_transpose_pointwise(
                x, self.weight, self.bias, *self._geometry, self.activation, [], ""
            )
        call = torch.ops.mkldnn._convolution_pointwise
        if plus is None:
            return call(x, self.weight, self.bias, *self._geometry, self.activation, [], "")
        return call.binary(x, plus, self.weight, self.bias, *self._geometry, "add", 1.0, self.activation, [], None)

    @property
    def _geometry(self) -> tuple[list[int] | int, ...]:
        """Padding, (output padding,) stride, dilation, groups, as oneDNN's operators take them."""
        ones, zeros = [1] * len(self.strides), [0] * len(self.strides)
        return (self.padding, *([zeros] if self.transposed else []), self.strides, ones, 1)

    def _pack(self, input_shape: list[int]) -> None:
        ops = torch.ops.mkldnn
        pack = ops._reorder_convolution_transpose_weight if self.transposed else ops._reorder_convolution_weight
        self.weight = pack(self.weight, *self._geometry, input_shape)
        self.state = "packed"

    def _plain(self, x: Tensor, plus: Tensor | None) -> Tensor:
        if self.transposed:
            convolve = torch.conv_transpose2d if self.is_2d else torch.conv_transpose3d
        else:
            convolve = torch.conv2d if self.is_2d else torch.conv3d
        y = convolve(x, self.weight, self.bias, self.strides, self.padding)
        if plus is not None:
            y += plus
        return y.relu_() if self.activation == "relu" else y


def _with_norm(conv: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what `conv` and then `norm` do."""
    assert isinstance(conv, CONVOLUTIONS) and isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d)
    assert norm.running_mean is not None and norm.running_var is not None
    return fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(conv, TRANSPOSED),
    )


def _has_onednn(weight: Tensor) -> bool:
    ops = torch.ops.mkldnn
    wanted = (
        "_convolution_pointwise",
        "_reorder_convolution_weight",
        "_convolution_transpose_pointwise",
        "_reorder_convolution_transpose_weight",
    )
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16 and not has_bfloat16():
        return False
    return all(hasattr(ops, name) for name in wanted)
