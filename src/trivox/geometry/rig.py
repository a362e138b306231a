"""A rig: named cameras around one world, in millimetres. What every calibration file becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.cameras import Cameras


@dataclass(frozen=True)
class Rig:
    """`cameras` has batch shape `(V,)`, in the order of `names`.

    `up` is a unit vector in world axes, or None where the calibration does not say.
    `quarter_turns[v]`: how many quarter turns *clockwise* make the pictures of camera v upright. Calibration and
    pixels always speak of the unturned picture; reading a video turns it (see `upright_cameras`).
    """

    names: tuple[str, ...]
    cameras: Cameras
    up: Float[Tensor, "3"] | None = None
    quarter_turns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.quarter_turns:
            object.__setattr__(self, "quarter_turns", (0,) * len(self.names))
        assert self.cameras.batch_shape == (len(self.names),), "one camera per name"
        assert len(self.quarter_turns) == len(self.names), "one quarter turn count per name"

    def __len__(self) -> int:
        return len(self.names)

    def selected(self, names: Sequence[str]) -> Rig:
        """The rig of these cameras, in this order."""
        index = [self.names.index(name) for name in names]
        turns = tuple(self.quarter_turns[i] for i in index)
        return replace(self, names=tuple(names), cameras=self.cameras[index], quarter_turns=turns)

    @property
    def upright_cameras(self) -> Cameras:
        """The cameras of the pictures once each is turned upright by its quarter turns."""
        if not any(self.quarter_turns):
            return self.cameras
        return self.cameras.turned(torch.tensor(self.quarter_turns))
