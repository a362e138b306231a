"""A rig: named cameras around one world, in millimetres. What every calibration file becomes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from os import PathLike, fspath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry import camera_input
from trivox.geometry.cameras import Cameras
from trivox.geometry.tensors import as_tensor

# Rigs for people are larger and smaller than this only where the unit is wrong.
NARROWEST_MM, WIDEST_MM = 20.0, 100_000.0


def camera_name(text: str) -> str:
    """A name in Unicode's composed form (NFC): macOS spells names of files in another form than most programs."""
    return unicodedata.normalize("NFC", text)


def camera_names(names: Any) -> tuple[str, ...]:
    """The names in composed form. Raises `InputError` for what is no list of texts."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        said = f"the text {names!r}" if isinstance(names, str) else f"of type {type(names).__name__}"
        raise InputError(f"names is {said}, expected a list of camera names; give for example ['left', 'right']")
    names = tuple(names)
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"names holds {name!r}, expected texts; give the names of the cameras")
    return tuple(map(camera_name, names))


@dataclass(frozen=True)
class Rig:
    """`cameras` has batch shape `(V,)`, in the order of `names`, which are in Unicode's composed form (NFC).

    `up` is a unit vector in world axes, or None where the calibration does not say.
    `quarter_turns[v]`: how many quarter turns *clockwise* make the pictures of camera v upright. Calibration and
    pixels always speak of the unturned picture; reading a video turns it (see `upright_cameras`).
    `uncalibrated` are further cameras of the calibration that cannot be used: name -> what each lacks.
    `notes` is what whoever uses the rig should know of how it was read, a sentence each.

    Raises InputError where names, cameras and turns are not of one number, and for two cameras of one name.
    """

    names: tuple[str, ...]
    cameras: Cameras
    up: Float[Tensor, "3"] | None = None
    quarter_turns: tuple[int, ...] = ()
    uncalibrated: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", camera_names(self.names))
        if not isinstance(self.cameras, Cameras):
            raise InputError(
                f"the cameras of a rig are of type {type(self.cameras).__name__}, expected trivox.Cameras; make them "
                "with Cameras.from_opencv"
            )
        count = len(self.names)
        if self.cameras.batch_shape != (count,):
            raise InputError(
                f"names is {self.names}, for cameras of batch shape {tuple(self.cameras.batch_shape)}: expected "
                f"cameras of batch shape {(count,)}; give one name per camera"
            )
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise InputError(f"two cameras are called {twice[0]!r}; rename one, or take each camera once")
        turns = self.quarter_turns
        are_whole = isinstance(turns, list | tuple) and all(isinstance(turn, Integral) for turn in turns)
        if not are_whole or len(turns) not in (0, count):
            raise InputError(f"quarter_turns is {turns!r}, expected {count} whole numbers; give one per camera")
        object.__setattr__(self, "quarter_turns", tuple(map(int, turns)) or (0,) * count)
        if self.up is not None:
            up = as_tensor("up", self.up, "(3)")
            if up.shape != (3,):
                raise InputError(f"up has shape {tuple(up.shape)}, expected (3); give one vector in world axes")
            object.__setattr__(self, "up", up if up.is_floating_point() else up.double())

    def __len__(self) -> int:
        return len(self.names)

    def selected(self, names: Sequence[str]) -> Rig:
        """The rig of these cameras, in this order. Raises `InputError` where it lacks one."""
        names = camera_names(names)
        for name in names:
            if name not in self.names:
                raise InputError(f"the rig has no camera {name}; its cameras are {', '.join(self.names)}")
        index = [self.names.index(name) for name in names]
        turns = tuple(self.quarter_turns[i] for i in index)
        return replace(self, names=names, cameras=self.cameras[index], quarter_turns=turns)

    def moved(self, world_from_new: Float[Tensor, "4 4"] | Any) -> Rig:
        """The same rig in a new world, given the rigid transform that takes new coordinates to the old."""
        world_from_new = camera_input.numbers(world_from_new, camera_input.WORLD_FROM_NEW)
        if world_from_new.ndim != 2:
            raise InputError(
                f"world_from_new has shape {tuple(world_from_new.shape)}, expected (4, 4), one for the whole rig; "
                "move its cameras where each has its own"
            )
        up = None if self.up is None else world_from_new[:3, :3].mT.to(self.up) @ self.up
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


def checked_rig(rig: Any) -> Rig:
    """The rig, refused where it is something else: a path, most often."""
    if isinstance(rig, Rig):
        return rig
    if isinstance(rig, str | PathLike):
        path = fspath(rig)
        raise InputError(f"rig is the path {path!r}, expected a trivox.Rig; read it with trivox.load_rig({path!r})")
    raise InputError(f"rig is of type {type(rig).__name__}, expected a trivox.Rig; read one with trivox.load_rig(path)")
