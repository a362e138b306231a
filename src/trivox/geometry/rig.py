"""A rig: named cameras around one world, in millimetres. What every calibration file becomes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.cameras import Cameras

# Rigs for people are larger and smaller than this only where the unit is wrong.
NARROWEST_MM, WIDEST_MM = 20.0, 100_000.0


def camera_name(text: str) -> str:
    """A name in Unicode's composed form (NFC): macOS spells names of files in another form than most programs."""
    return unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class Rig:
    """`cameras` has batch shape `(V,)`, in the order of `names`, which are in Unicode's composed form (NFC).

    `up` is a unit vector in world axes, or None where the calibration does not say.
    `quarter_turns[v]`: how many quarter turns *clockwise* make the pictures of camera v upright. Calibration and
    pixels always speak of the unturned picture; reading a video turns it (see `upright_cameras`).
    `uncalibrated` are further cameras of the calibration that cannot be used: name -> what each lacks.
    `notes` is what whoever uses the rig should know of how it was read, a sentence each.
    """

    names: tuple[str, ...]
    cameras: Cameras
    up: Float[Tensor, "3"] | None = None
    quarter_turns: tuple[int, ...] = ()
    uncalibrated: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(camera_name(name) for name in self.names))
        if not self.quarter_turns:
            object.__setattr__(self, "quarter_turns", (0,) * len(self.names))
        assert self.cameras.batch_shape == (len(self.names),), "one camera per name"
        assert len(self.quarter_turns) == len(self.names), "one quarter turn count per name"

    def __len__(self) -> int:
        return len(self.names)

    def selected(self, names: Sequence[str]) -> Rig:
        """The rig of these cameras, in this order."""
        index = [self.names.index(camera_name(name)) for name in names]
        turns = tuple(self.quarter_turns[i] for i in index)
        return replace(self, names=tuple(names), cameras=self.cameras[index], quarter_turns=turns)

    def moved(self, world_from_new: Float[Tensor, "4 4"]) -> Rig:
        """The same rig in a new world, given the rigid transform that takes new coordinates to the old."""
        turn = world_from_new[:3, :3]
        up = None if self.up is None else turn.mT.to(self.up) @ self.up
        return replace(self, cameras=self.cameras.moved(world_from_new), up=up)

    @property
    def baselines_mm(self) -> Float[Tensor, " P"]:
        """Distances of all pairs of cameras, in the order of `torch.triu_indices`."""
        return torch.pdist(self.cameras.position_mm.double())

    @property
    def size_doubt(self) -> str | None:
        """A sentence where its cameras are nearer together, or farther apart, than those of any rig for people."""
        widest = self.baselines_mm.max().item() if len(self) > 1 else NARROWEST_MM
        if NARROWEST_MM <= widest <= WIDEST_MM:
            return None
        return f"the cameras are at most {widest:.4g} mm apart; the units are probably wrong (--units)"

    @property
    def upright_cameras(self) -> Cameras:
        """The cameras of the pictures once each is turned upright by its quarter turns."""
        if not any(self.quarter_turns):
            return self.cameras
        return self.cameras.turned(torch.tensor(self.quarter_turns))
