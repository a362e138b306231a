"""What `Cameras` are made of, checked and brought to one form; and which axes of what meets them are theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.distortion import (
    DISTORTION_MODELS,
    FEWEST_KEPT_TERMS,
    GIVEN_TERMS,
    DistortionModel,
)

Model = DistortionModel | Tensor


def check_fields(K: Any, R: Any, t_mm: Any, distortion: Any, image_hw: Any) -> None:
    """Refuse cameras whose fields do not fit together, in terms of the field."""
    fields = {"K": K, "R": R, "t_mm": t_mm, "distortion": distortion}
    for name, value in fields.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            given = f"a tensor of {value.dtype}" if isinstance(value, Tensor) else f"of type {type(value).__name__}"
            raise InputError(
                f"{name} is {given}, expected a tensor of floats; give torch.as_tensor({name}, dtype=torch.float64), "
                "or make the cameras with Cameras.from_opencv"
            )
        if value.dtype != K.dtype or value.device != K.device:
            raise InputError(
                f"{name} is {value.dtype} on {value.device}, K is {K.dtype} on {K.device}: expected the same; "
                "convert one of them"
            )
    if K.shape[-2:] != (3, 3):
        raise InputError(f"K has shape {tuple(K.shape)}, expected (*b, 3, 3): 3x3 matrices, one per camera; correct it")
    batch = K.shape[:-2]
    expected = {"R": (*batch, 3, 3), "t_mm": (*batch, 3), "distortion": (*batch, *distortion.shape[-1:])}
    for name, shape in expected.items():
        _check_shape(name, fields[name], shape, K)
    if image_hw is None:
        return
    if not isinstance(image_hw, Tensor) or image_hw.is_floating_point() or image_hw.dtype == torch.bool:
        raise InputError("image_hw is not a tensor of whole numbers; give torch.tensor([[height, width], ...])")
    _check_shape("image_hw", image_hw, (*batch, 2), K)


def _check_shape(name: str, value: Tensor, shape: tuple[int, ...], K: Tensor) -> None:
    if tuple(value.shape) != shape or value.ndim == 0:
        raise InputError(
            f"{name} has shape {tuple(value.shape)}, expected {shape} beside K of shape {tuple(K.shape)}; "
            "give one per camera"
        )


def canonical_lens(distortion: Tensor, model: Any) -> tuple[Tensor, Model]:
    """A name where all cameras share a model, and as many coefficients as are kept of it."""
    if isinstance(model, Tensor):
        _check_codes(model, distortion)
        codes = model.unique()
        if len(codes) != 1:
            return _of_mixed_models(distortion, model), model
        model = DISTORTION_MODELS[int(codes)]
        if model != "opencv":
            distortion = _cut(distortion, FEWEST_KEPT_TERMS[model])
    if model not in get_args(DistortionModel):
        raise InputError(f"distortion_model is {model!r}, expected one of {', '.join(DISTORTION_MODELS)}; correct it")
    return padded(checked_terms(distortion, model), FEWEST_KEPT_TERMS[model]), model


def checked_terms(distortion: Tensor, model: DistortionModel) -> Tensor:
    """The coefficients, refused where the model has no such number of them."""
    terms = distortion.shape[-1]
    if terms not in GIVEN_TERMS[model]:
        *most, last = map(str, GIVEN_TERMS[model])
        raise InputError(
            f"distortion has {terms} coefficients (shape {tuple(distortion.shape)}), expected {', '.join(most)} or "
            f"{last} of the model {model!r}; correct it, or name another distortion_model"
        )
    return distortion


def padded(distortion: Tensor, terms: int) -> Tensor:
    """At least so many coefficients, with zeros behind those given."""
    missing = terms - distortion.shape[-1]
    return torch.nn.functional.pad(distortion, (0, missing)) if missing > 0 else distortion


def _cut(distortion: Tensor, terms: int) -> Tensor:
    """Without the zeros that a mixed rig needs behind a shorter lens."""
    if bool((distortion[..., terms:] != 0).any()):
        return distortion
    return distortion[..., :terms]


def _of_mixed_models(distortion: Tensor, codes: Tensor) -> Tensor:
    distortion = padded(checked_terms(distortion, "opencv"), FEWEST_KEPT_TERMS["opencv"])
    for model in ("human36m", "fisheye"):
        is_of_it = codes == DISTORTION_MODELS.index(model)
        if bool((distortion[..., FEWEST_KEPT_TERMS[model] :][is_of_it] != 0).any()):
            checked_terms(distortion, model)
    return distortion


def _check_codes(codes: Tensor, distortion: Tensor) -> None:
    if codes.is_floating_point() or codes.shape != distortion.shape[:-1]:
        raise InputError(
            f"distortion_model is a tensor of {codes.dtype} of shape {tuple(codes.shape)}, expected a name or whole "
            f"numbers of shape {tuple(distortion.shape[:-1])}, places in DISTORTION_MODELS; give one per camera"
        )
    if codes.numel() and not bool(((codes >= 0) & (codes < len(DISTORTION_MODELS))).all()):
        raise InputError(
            "distortion_model holds numbers that are no place in DISTORTION_MODELS, "
            f"0 to {len(DISTORTION_MODELS) - 1}; correct them"
        )


def joined_lenses(
    lenses: Sequence[tuple[Tensor, Model]], join: Callable[[list[Tensor]], Tensor]
) -> tuple[Tensor, Model]:
    """Lenses of several cameras as one: as long as the longest, with a model for each where they differ."""
    longest = max(distortion.shape[-1] for distortion, _ in lenses)
    first = lenses[0][1]
    if isinstance(first, str) and all(isinstance(model, str) and model == first for _, model in lenses):
        return join([padded(distortion, longest) for distortion, _ in lenses]), first
    longest = max(longest, FEWEST_KEPT_TERMS["opencv"])
    codes = [
        distortion.new_full(distortion.shape[:-1], DISTORTION_MODELS.index(model), dtype=torch.long)
        if isinstance(model, str)
        else model
        for distortion, model in lenses
    ]
    return join([padded(distortion, longest) for distortion, _ in lenses]), join(codes)


def aligned(change: Tensor, batch: torch.Size, *, inner: int = 2, lacks_view: bool = False) -> Tensor:
    """`change`, whose last `inner` axes are its own, with axes that broadcast with the cameras' `batch`.

    Axes are counted: as many as the cameras' (or more, before them) meet theirs; none meet all cameras; with
    `lacks_view` (what belongs to the world), one fewer have no view axis, and more must be 1 at the cameras' places.
    """
    given, axes = change.shape, change.ndim - inner
    own = given[:axes]
    if lacks_view and axes == len(batch) - 1:
        change = change.unsqueeze(axes)
        own = change.shape[: axes + 1]
    elif 0 < axes < len(batch):
        raise InputError(_misfit(given, batch, lacks_view))
    theirs = own[len(own) - len(batch) :] if len(own) >= len(batch) else ()
    for size, wanted in zip(theirs, batch, strict=False):
        if size not in (1, wanted) and wanted != 1:
            raise InputError(_misfit(given, batch, lacks_view))
    if lacks_view and axes > len(batch) and any(size != 1 for size in theirs):
        raise InputError(_misfit(given, batch, lacks_view))
    return change


def _misfit(given: torch.Size, batch: torch.Size, lacks_view: bool) -> str:
    b = "".join(f"{size}, " for size in batch)
    meeting = f"shape {tuple(given)} was given to cameras of batch shape {tuple(batch)}"
    if not lacks_view:
        return f"{meeting}, expected ({b}...); give one per camera"
    shared = "".join(f"{size}, " for size in batch[:-1])
    return (
        f"{meeting}, expected ({b}N, 3) for points of each camera's own, or ({shared}N, 3) for points that all its "
        "views see; add axes, as in points_mm[:, None]"
    )


def from_opencv(
    K: Any, R: Any, t_mm: Any, dist: Any, image_hw: Any, model: DistortionModel | Sequence[DistortionModel]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Model, Tensor | None]:
    """The fields of `Cameras` from OpenCV's arrays; see `Cameras.from_opencv`."""
    K, t_mm = _doubles("K", K), _vectors("t_mm", t_mm)
    if K.shape[-2:] != (3, 3):
        raise InputError(f"K has shape {tuple(K.shape)}, expected (3, 3), or (V, 3, 3) for V cameras; correct it")
    batch = K.shape[:-2]
    if t_mm.shape != (*batch, 3):
        raise InputError(
            f"t_mm has shape {tuple(t_mm.shape)}, expected {(*batch, 3)} beside K of shape {tuple(K.shape)}; "
            "give one per camera"
        )
    half_pixel = K.new_tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    if isinstance(model, str):
        lens: tuple[Tensor, Model] = _coefficients(dist, batch), model
    else:
        lens = _lens_of_each(dist, batch, model)
    size = None if image_hw is None else _sizes(image_hw, batch, K.device)
    return K + half_pixel, _rotations(R, batch, K), t_mm.to(K.device), lens[0].to(K.device), lens[1], size


def _lens_of_each(dist: Any, batch: torch.Size, models: Sequence[DistortionModel]) -> tuple[Tensor, Model]:
    if len(batch) != 1 or len(models) != batch[0]:
        raise InputError(
            f"{len(models)} names of distortion models were given for cameras of batch shape {tuple(batch)}; "
            "give one name, or one per camera"
        )
    rows = [None] * len(models) if dist is None else list(dist)
    if len(rows) != len(models):
        raise InputError(
            f"dist has the coefficients of {len(rows)} cameras, K is of {len(models)}; give one list per camera"
        )
    lenses = [canonical_lens(_coefficients(row, torch.Size()), model) for row, model in zip(rows, models, strict=True)]
    return joined_lenses(lenses, torch.stack)


def _coefficients(dist: Any, batch: torch.Size) -> Tensor:
    """Coefficients (*batch, N); lists of different lengths end in zeros."""
    if dist is None:
        return torch.zeros(*batch, 0, dtype=torch.float64)
    if (
        isinstance(dist, list | tuple)
        and len(batch) == 1
        and len(dist) == batch[0]
        and not _is_number(dist[0] if dist else 0)
    ):
        rows = [_coefficients(row, torch.Size()) for row in dist]
        longest = max((row.shape[-1] for row in rows), default=0)
        return torch.stack([padded(row, longest) for row in rows])
    value = _doubles("dist", dist)
    if value.ndim == len(batch) + 2 and 1 in value.shape[-2:]:
        value = value.flatten(-2)
    if value.shape[:-1] != batch or value.ndim == 0:
        raise InputError(
            f"dist has shape {tuple(value.shape)}, expected {(*batch, 'N')} for cameras of batch shape {tuple(batch)}; "
            "give one list of coefficients per camera"
        )
    return value


def _rotations(R: Any, batch: torch.Size, K: Tensor) -> Tensor:
    """Rotation matrices, of matrices or rotation vectors."""
    value = _doubles("R", R).to(K.device)
    if value.shape == (*batch, 3, 1):
        value = value[..., 0]
    if value.shape == (*batch, 3):
        return rotation_of_vector(value)
    if value.shape != (*batch, 3, 3):
        raise InputError(
            f"R has shape {tuple(value.shape)}, expected {(*batch, 3, 3)}, or {(*batch, 3)} of rotation vectors, "
            f"beside K of shape {tuple(K.shape)}; give one per camera"
        )
    square = value.detach() @ value.detach().mT - torch.eye(3, dtype=value.dtype, device=value.device)
    if not bool((square.abs() < 1e-2).all()) or not bool((torch.linalg.det(value.detach()) > 0).all()):
        raise InputError("R is not a rotation: its rows are not orthonormal and right-handed; give the rotation alone")
    return value


def rotation_of_vector(vector: Tensor) -> Tensor:
    """Rodrigues' formula: rotation matrices (*b, 3, 3) of rotation vectors (*b, 3) in radians."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(cross)


def _vectors(name: str, given: Any) -> Tensor:
    value = _doubles(name, given)
    return value[..., 0] if value.ndim >= 2 and value.shape[-2:] == (3, 1) else value


def _sizes(image_hw: Any, batch: torch.Size, device: torch.device) -> Tensor:
    size = _doubles("image_hw", image_hw)
    if size.shape[-1:] != (2,) or size.shape[:-1] not in ((), batch):
        raise InputError(
            f"image_hw has shape {tuple(size.shape)}, expected (height, width), or {(*batch, 2)}; "
            "give one size, or one per camera"
        )
    return size.round().long().expand(*batch, 2).to(device)


def _doubles(name: str, given: Any) -> Tensor:
    """Numbers as a tensor in float64; the gradient of a tensor stays."""
    if isinstance(given, list | tuple) and any(isinstance(value, Tensor) for value in given):
        given = [_doubles(name, value) for value in given]
        shapes = {value.shape for value in given}
        if len(shapes) == 1:
            return torch.stack(given)
        raise InputError(f"{name} holds tensors of different shapes; give the same for each camera")
    if isinstance(given, Tensor):
        return given.to(torch.float64)
    try:
        return torch.as_tensor(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} does not hold numbers of one shape ({error}); give an array of numbers") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) or (isinstance(value, Tensor) and value.ndim == 0)
