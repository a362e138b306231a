"""Options of `predict` and `triangulate_files`, and what is refused whatever the inputs are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trivox.errors import InputError
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import Skeleton, conversion
from trivox.lift import METHODS
from trivox.models.algebraic import Algebraic
from trivox.models.checkpoints import TRAINED, load_model
from trivox.models.configs import Model
from trivox.models.ransac import Ransac
from trivox.models.volumetric import Volumetric
from trivox.people.learned import PRECISIONS

# Those that need no training, and those of models.
Method = Literal["ransac", "linear", "algebraic", "volumetric"]
_MODELS: dict[Method, type] = {"ransac": Ransac, "algebraic": Algebraic, "volumetric": Volumetric}

# What `predict` takes where it is given neither a method nor weights: the best that comes along (docs/results.md).
DEFAULT: Method = "volumetric"

# For image folders and keypoint files, which carry no rate.
DEFAULT_FPS = 30.0


def check_options(method: str, people: int, fps: float | None) -> None:
    """Raise `InputError` for a method, a number of people or a frame rate that cannot be."""
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    if not isinstance(people, int) or people < 1:
        raise InputError(f"{people} people cannot be followed; give a number from 1 up")
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError(f"{fps} is no frame rate; give frames per second, for example --fps 25")


def paths_of(given: str | Path | Sequence[str | Path], name: str) -> list[Path]:
    """The paths under the argument `name`: one, or a list of them. Raises `InputError` for anything else."""
    paths = [given] if isinstance(given, str | Path) else given
    if not isinstance(paths, Sequence) or not all(isinstance(path, str | Path) for path in paths):
        raise InputError(f"{name} should be a list of paths, one for each camera, not {str(given)[:60]!r}; give these")
    return [Path(path) for path in paths]


def check_precision(precision: str) -> None:
    """Raise `InputError` for a precision that models are not run in."""
    if precision not in PRECISIONS:
        raise InputError(f"there is no precision {precision!r}; choose one of {', '.join(PRECISIONS)}")


def chosen_model(method: str | None, weights: str | Path | Model | None) -> Model | None:
    """The model that `method` and `weights` name together; None for what the bundled networks do alone.

    A learned method without weights takes the model that comes along; neither of the two, the best of these. Raises
    `InputError` for a method that does not exist, or is not that of the weights.
    """
    if method not in (None, *METHODS, "algebraic", "volumetric"):
        raise InputError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}, algebraic, volumetric")
    if weights is None:
        named = DEFAULT if method is None else method
        return load_model(named) if named in TRAINED else None
    model = load_model(weights) if isinstance(weights, str | Path) else weights
    holds = method_of(model)
    if method not in (None, holds):
        raise InputError(f"the weights are for the method {holds}, not {method}; leave the method out, or change it")
    return model


def method_of(model: Model) -> Method:
    """What a model does, in the word of `method`."""
    return next(name for name, kind in _MODELS.items() if isinstance(model, kind))


def missing_joints(own: Skeleton, wanted: Skeleton) -> list[str]:
    """A sentence where joints of `wanted` are nothing that joints of `own` could tell."""
    quality = conversion(own, wanted).quality
    missing = [name for name, how in zip(wanted.names, quality, strict=True) if how == "missing"]
    if not missing:
        return []
    return [f"nothing tells where {', '.join(missing)} of {wanted.name} are from {own.name}; they stay invalid"]


def doubts_about(model: Model | None, rig: Rig) -> list[str]:
    """What a user should know of a model before it looks at pictures of this rig, a sentence each."""
    if model is None or model.profile.lens or not rig.cameras.has_distortion:
        return []
    return [
        "this model was trained to ignore lens distortion, and the calibration has some: its joints will be off "
        "towards the borders of the pictures; undistort the videos, or take another model"
    ]
