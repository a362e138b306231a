"""A cube of voxels around a centre, which may be turned about the vertical.

The grid touches the faces of the cube: its step is side / (N - 1), and its mean is the centre. Voxel axis i runs
along world axis i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.errors import InputError

Axis = Literal["x", "y", "z", "-x", "-y", "-z"]


def rotation_about(axis: Float[Tensor, "*#b 3"], angle_rad: Float[Tensor, "*#b"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation about `axis`, of any length but 0, counter-clockwise seen from its tip (Rodrigues)."""
    axis = axis / axis.norm(dim=-1, keepdim=True)
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sine, cosine = angle_rad.sin()[..., None, None], angle_rad.cos()[..., None, None]
    return torch.eye(3, dtype=axis.dtype, device=axis.device) + sine * cross + (1 - cosine) * (cross @ cross)


# A kilometre: people are smaller.
LARGEST_SIDE_MM = 1e6


@dataclass(frozen=True)
class Cube:
    """The space in which a volumetric network looks for a person.

    side_mm    length of an edge.
    size       voxels along each axis of the volume: one number for all, or (X, Y, Z); at least 2.
    up         the axis of the world that points up where the network was trained: cubes are turned about it, and
               other worlds have to be turned so (`axes.upright_from_world`) before the network sees them.
    exchanged  the second voxel axis runs against world z, the third along world y: how the reference system shows
               CMU Panoptic to a network made for Human3.6M. The points themselves stay.
    """

    side_mm: float = 2500.0
    size: int | tuple[int, int, int] = 64
    up: Axis = "z"
    exchanged: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.side_mm <= LARGEST_SIDE_MM:
            raise InputError(
                f"a cube of side {self.side_mm} mm was given; give millimetres, above 0 and at most {LARGEST_SIDE_MM:g}"
            )
        if len(self.xyz) != 3 or min(self.xyz) < 2:
            raise InputError(f"a cube of {self.size} voxels was given; give at least 2 along each of three axes")
        if self.up not in get_args(Axis):
            raise InputError(f"the up axis {self.up!r} was given; give one of {', '.join(get_args(Axis))}")

    @property
    def xyz(self) -> tuple[int, int, int]:
        """Voxels along each axis of the volume."""
        return (self.size, self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def step_mm(self) -> float:
        """Between neighbouring voxels, along the axis that has the fewest."""
        return self.side_mm / (min(self.xyz) - 1)

    @property
    def up_axis(self) -> Float[Tensor, "3"]:  # noqa: UP037
        """`up` as a unit vector."""
        vector = torch.zeros(3, dtype=torch.float64)
        vector["xyz".index(self.up[-1])] = -1.0 if self.up.startswith("-") else 1.0
        return vector

    def voxel_centres(
        self, centre_mm: Float[Tensor, "*b 3"], angle_rad: Float[Tensor, "*b"] | None = None
    ) -> Float[Tensor, "*b X Y Z 3"]:
        """World coordinates of the voxels of cubes around `centre_mm`, turned by `angle_rad` about the vertical."""
        offsets = self._offsets_mm(centre_mm).expand(*centre_mm.shape[:-1], *self.xyz, 3)
        if angle_rad is not None:
            # Places in the world have no room in the half precision of an autocast.
            with torch.autocast(centre_mm.device.type, enabled=False):
                turn = rotation_about(self.up_axis.to(centre_mm), angle_rad.to(centre_mm))
                offsets = (offsets.flatten(-4, -2) @ turn.mT).unflatten(-2, self.xyz)
        return centre_mm[..., None, None, None, :] + offsets

    def _offsets_mm(self, like: Tensor) -> Float[Tensor, "X Y Z 3"]:
        half = self.side_mm / 2
        lines = [torch.linspace(-half, half, n, dtype=like.dtype, device=like.device) for n in self.xyz]
        x, y, z = torch.meshgrid(*lines, indexing="ij")
        return torch.stack([x, z, -y] if self.exchanged else [x, y, z], dim=-1)
