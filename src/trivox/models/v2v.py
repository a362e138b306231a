"""V2V: an encoder-decoder over volumes, voxels in and voxels out.

Moon et al., "V2V-PoseNet" (CVPR 2018), in the shape of Iskakov et al. (ICCV 2019). Modules carry the names of
the published checkpoints, so that these load strictly.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trivox.errors import InputError

WIDTHS, DEPTHS = range(2, 1025), range(9)
Front = Literal[3, 5, 7]


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inside: int, outside: int, size: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv3d(inside, outside, size, padding=size // 2), nn.BatchNorm3d(outside), nn.ReLU(inplace=True)
        )

    def forward(self, x: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B D X Y Z"]:
        return self.block(x)


class ResBlock(nn.Module):
    """Two 3x3x3 convolutions around which the input passes unchanged, or through a 1x1x1 where channels differ."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.res_branch = nn.Sequential(
            nn.Conv3d(inside, outside, 3, padding=1),
            nn.BatchNorm3d(outside),
            nn.ReLU(inplace=True),
            nn.Conv3d(outside, outside, 3, padding=1),
            nn.BatchNorm3d(outside),
        )
        self.skip_con = nn.Sequential()
        if inside != outside:
            self.skip_con = nn.Sequential(nn.Conv3d(inside, outside, 1), nn.BatchNorm3d(outside))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B D X Y Z"]:
        if x.device.type == "cpu" and x.shape[-3] == 2:
            # oneDNN's bfloat16 gradient of a 3x3x3 kernel is wrong, often NaN, where the first side is 2 (seen in
            # torch 2.13). So small a volume costs nothing in full precision.
            with torch.autocast("cpu", enabled=False):
                return self._summed(x.to(next(self.parameters()).dtype))
        return self._summed(x)

    def _summed(self, x: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B D X Y Z"]:
        return self.relu(self.res_branch(x) + self.skip_con(x))


class UpsampleBlock(nn.Module):
    """Transposed convolution that doubles the sides, batch norm, ReLU."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ConvTranspose3d(inside, outside, 2, 2), nn.BatchNorm3d(outside), nn.ReLU(inplace=True)
        )

    def forward(self, x: Float[Tensor, "B C x y z"]) -> Float[Tensor, "B D X Y Z"]:
        return self.block(x)


class EncoderDecoder(nn.Module):
    """`depth` times half the sides, and back; on the way back each level adds what went down, seen through a skip.

    Channels per level: width, 2 width, then 4 width.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        channels = [width * min(2**level, 4) for level in range(depth + 1)]
        self.depth = depth
        self.maxpool = nn.MaxPool3d(2)
        for level in range(1, depth + 1):
            self.add_module(f"encoder_res{level}", ResBlock(channels[level - 1], channels[level]))
        self.mid_res = ResBlock(channels[depth], channels[depth])
        for level in range(depth, 0, -1):
            self.add_module(f"decoder_res{level}", ResBlock(channels[level], channels[level]))
            self.add_module(f"decoder_upsample{level}", UpsampleBlock(channels[level], channels[level - 1]))
        for level in range(1, depth + 1):
            self.add_module(f"skip_res{level}", ResBlock(channels[level - 1], channels[level - 1]))

    def forward(self, x: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B C X Y Z"]:
        skips = []
        for level in range(1, self.depth + 1):
            skips.append(self.get_submodule(f"skip_res{level}")(x))
            x = self.get_submodule(f"encoder_res{level}")(self.maxpool(x))
        x = self.mid_res(x)
        for level in range(self.depth, 0, -1):
            x = self.get_submodule(f"decoder_res{level}")(x)
            x = self.get_submodule(f"decoder_upsample{level}")(x) + skips.pop()
        return x


class V2V(nn.Module):
    """Volumes of features to volumes of logits, one per joint; starts with Xavier's initialisation.

    `width`: channels at full resolution (the first convolution has half of them), 2 to 1024. `depth`: how often the
    sides are halved, 0 to 8. `front`: side of the first kernel, 3, 5 or 7; one of 7 is most of the work
    of a narrow network. The published one has 32, 5 and 7. Raises `InputError` for others.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, width: int = 32, depth: int = 5, front: Front = 7
    ) -> None:
        super().__init__()
        if width not in WIDTHS or depth not in DEPTHS:
            raise InputError(
                f"a volume network of width {width} and depth {depth} was given; give a width of {WIDTHS[0]} to "
                f"{WIDTHS[-1]} and a depth of {DEPTHS[0]} to {DEPTHS[-1]}"
            )
        if front not in get_args(Front):
            raise InputError(f"the first kernel of a volume network has the side {front!r}; give 3, 5 or 7")
        self.channels_in, self.depth = channels_in, depth
        self.front: Front = front
        self.front_layers = nn.Sequential(
            ConvBlock(channels_in, width // 2, front),
            ResBlock(width // 2, width),
            ResBlock(width, width),
            ResBlock(width, width),
        )
        self.encoder_decoder = EncoderDecoder(width, depth)
        self.back_layers = nn.Sequential(ResBlock(width, width), ConvBlock(width, width, 1), ConvBlock(width, width, 1))
        self.output_layer = nn.Conv3d(width, channels_out, 1)
        self._initialise()

    def forward(self, volumes: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B J X Y Z"]:
        """Logits; `InputError` where the sides cannot be halved `depth` times."""
        self._check(volumes)
        if volumes.device.type == "cpu":  # channels innermost is quicker, forth and back
            volumes = volumes.contiguous(memory_format=torch.channels_last_3d)
        return self.output_layer(self.back_layers(self.encoder_decoder(self.front_layers(volumes))))

    def _check(self, volumes: Tensor) -> None:
        size = "x".join(map(str, volumes.shape[-3:]))
        multiple = 2**self.depth
        if any(side % multiple for side in volumes.shape[-3:]):
            raise InputError(
                f"volumes of {size} voxels cannot be halved {self.depth} times; give sides that are multiples of"
                f" {multiple}, or a smaller depth"
            )
        if self.training and volumes.shape[0] * volumes[0, 0].numel() == multiple**3:
            raise InputError(
                f"a single volume of {size} voxels is a single voxel after {self.depth} halvings, from which batch"
                " norm cannot learn; train with larger batches or volumes, or a smaller depth"
            )

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.xavier_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
