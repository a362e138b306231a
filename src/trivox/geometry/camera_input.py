"""What `Cameras` are made of, checked and brought to one form; and what meets them, with which axes are theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.camera_faults import matrix_fault, number_fault, rotation_fault, size_fault
from trivox.geometry.distortion import (
    DISTORTION_MODELS,
    FEWEST_KEPT_TERMS,
    GIVEN_TERMS,
    DistortionModel,
)
from trivox.geometry.tensors import as_tensor

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
    if K.dtype.itemsize < 4:
        raise InputError(
            f"the cameras are in {K.dtype}, which rounds metres to millimetres or worse; give them in float32 or "
            "float64"
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


class Given(NamedTuple):
    """What meets cameras: its name and the axes of its own, of any size where None.

    `of_world` belongs to the world, which all views of an item share; the others to pictures.
    """

    name: str
    own: tuple[int | None, ...]
    of_world: bool = False
    whole: bool = False

    def shape(self, before: str) -> str:
        """The shape as messages say it: the axes `before` (each with its comma), and its own."""
        axes = before + ", ".join("N" if size is None else str(size) for size in self.own)
        return f"({axes.removesuffix(', ')})"


POINTS_MM = Given("points_mm", (None, 3), of_world=True)
POINTS_PX = Given("points_px", (None, 2))
NORMALISED = Given("points", (None, 2))
BOXES_PX = Given("boxes_px", (4,))
FACTORS = Given("factors", (2,))
IMAGE_HW = Given("image_hw", (2,), whole=True)
QUARTER_TURNS = Given("quarter_turns", (), whole=True)
WORLD_FROM_NEW = Given("world_from_new", (4, 4), of_world=True)


def numbers(value: Any, given: Given) -> Tensor:
    """Arrays and lists of numbers as a tensor; a tensor as it is. Raises `InputError` for what has not its own axes."""
    tensor = as_tensor(given.name, value, given.shape("*b, "))
    axes = tensor.ndim - len(given.own)
    fits = axes >= 0 and all(own in (None, size) for own, size in zip(given.own, tensor.shape[axes:], strict=True))
    if not fits:
        raise InputError(
            f"{given.name} has shape {tuple(tensor.shape)}, expected {given.shape('*b, ')}; give it these last axes"
        )
    if given.whole and tensor.is_floating_point():
        raise InputError(
            f"{given.name} is in {tensor.dtype}, expected whole numbers of shape {given.shape('*b, ')}; round them"
        )
    return tensor


def met(value: Any, given: Given, batch: torch.Size, device: torch.device) -> Tensor:
    """Numbers that meet cameras of this batch shape on this device, with axes that broadcast with theirs.

    Arrays and lists go to the cameras' device; a tensor is expected there.
    """
    tensor = numbers(value, given)
    if tensor.device != device:
        if isinstance(value, Tensor):
            raise InputError(
                f"{given.name} is on {tensor.device}, the cameras are on {device}: expected the same; move one of them "
                "with its method to"
            )
        tensor = tensor.to(device)
    return aligned(tensor, given, batch)


def aligned(tensor: Tensor, given: Given, batch: torch.Size) -> Tensor:
    """`tensor`, whose last axes are its own, with axes that broadcast with the cameras' `batch`.

    Axes are counted: as many as the cameras' (or more, before them) meet theirs; none meet all cameras; what belongs
    to the world has no view axis where it has one fewer, and must be 1 at the cameras' places where it has more.
    """
    shape, axes = tensor.shape, tensor.ndim - len(given.own)
    before = shape[:axes]
    if given.of_world and axes == len(batch) - 1:
        tensor = tensor.unsqueeze(axes)
        before = tensor.shape[: axes + 1]
    elif 0 < axes < len(batch):
        raise InputError(_misfit(shape, given, batch))
    theirs = before[len(before) - len(batch) :] if len(before) >= len(batch) else ()
    for size, wanted in zip(theirs, batch, strict=False):
        if size not in (1, wanted) and wanted != 1:
            raise InputError(_misfit(shape, given, batch))
    if given.of_world and axes > len(batch) and any(size != 1 for size in theirs):
        raise InputError(_misfit(shape, given, batch))
    return tensor


def _misfit(shape: torch.Size, given: Given, batch: torch.Size) -> str:
    each, shared = ("".join(f"{size}, " for size in sizes) for sizes in (batch, batch[:-1]))
    meeting = (
        f"{given.name} of shape {tuple(shape)} was given to cameras of batch shape {tuple(batch)}, "
        f"expected {given.shape(each)}"
    )
    if not given.of_world:
        return f"{meeting}; give one per camera"
    return (
        f"{meeting}, each camera's own, or {given.shape(shared)}, the same for all its views; "
        f"add axes, as in {given.name}[:, None]"
    )


def check_expansion(batch: torch.Size, wanted: tuple[Any, ...]) -> None:
    """Refuse a batch shape that cameras of shape `batch` cannot be repeated to."""
    fits = all(isinstance(size, int) and size >= 0 for size in wanted) and len(wanted) >= len(batch)
    if not fits or any(own not in (1, size) for own, size in zip(batch[::-1], wanted[::-1], strict=False)):
        ending = ", ".join(str(size) for size in batch)
        raise InputError(
            f"cameras of batch shape {tuple(batch)} cannot be repeated to {wanted}, expected whole numbers"
            f"{' that end in ' + ending if batch else ''}; take another shape, or other cameras"
        )


def from_opencv(
    K: Any, R: Any, t_mm: Any, dist: Any, image_hw: Any, model: DistortionModel | Sequence[DistortionModel]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Model, Tensor | None]:
    """The fields of `Cameras` from OpenCV's arrays; see `Cameras.from_opencv`."""
    K, t_mm = _doubles("K", K, "(*b, 3, 3)"), _vectors("t_mm", t_mm)
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
    R = _rotations(R, batch, K)
    _check_values(batch, {"K": K, "R": R, "t_mm": t_mm, "dist": lens[0]})
    return K + half_pixel, R, t_mm.to(K.device), lens[0].to(K.device), lens[1], size


def _check_values(batch: torch.Size, fields: dict[str, Tensor]) -> None:
    """Refuse cameras that are impossible, by the rules of calibration files."""
    count = batch.numel()
    arrays = {
        name: field.detach().cpu().reshape(count, *field.shape[len(batch) :]).numpy() for name, field in fields.items()
    }
    for i in range(count):
        one = {name: array[i] for name, array in arrays.items()}
        said = next((said for name, values in one.items() if (said := number_fault(name, values))), None)
        said = said or matrix_fault(one["K"]) or rotation_fault(one["R"])
        if said:
            raise InputError(f"camera {i}: {said}" if batch else said)


def _lens_of_each(dist: Any, batch: torch.Size, models: Sequence[DistortionModel]) -> tuple[Tensor, Model]:
    if not isinstance(models, list | tuple):
        raise InputError(
            f"distortion_model is of type {type(models).__name__}, expected one of {', '.join(DISTORTION_MODELS)}; "
            "give one name, or a list of one per camera"
        )
    if len(batch) != 1 or len(models) != batch[0]:
        raise InputError(
            f"{len(models)} names of distortion models were given for cameras of batch shape {tuple(batch)}; "
            "give one name, or one per camera"
        )
    rows = [None] * len(models) if dist is None else dist if isinstance(dist, list | tuple) else _rows(dist)
    if len(rows) != len(models):
        raise InputError(
            f"dist has the coefficients of {len(rows)} cameras, K is of {len(models)}; give one list per camera"
        )
    lenses = [canonical_lens(_coefficients(row, torch.Size()), model) for row, model in zip(rows, models, strict=True)]
    return joined_lenses(lenses, torch.stack)


def _rows(dist: Any) -> list[Tensor]:
    value = _doubles("dist", dist, "(V, N)")
    return list(value) if value.ndim else [value]


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
    value = _doubles("dist", dist, "(*b, N)")
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
    value = _doubles("R", R, "(*b, 3, 3) or (*b, 3)").to(K.device)
    if value.shape == (*batch, 3, 1):
        value = value[..., 0]
    if value.shape == (*batch, 3):
        return rotation_of_vector(value)
    if value.shape != (*batch, 3, 3):
        raise InputError(
            f"R has shape {tuple(value.shape)}, expected {(*batch, 3, 3)}, or {(*batch, 3)} of rotation vectors, "
            f"beside K of shape {tuple(K.shape)}; give one per camera"
        )
    return value


def rotation_of_vector(vector: Tensor) -> Tensor:
    """Rodrigues' formula: rotation matrices (*b, 3, 3) of rotation vectors (*b, 3) in radians."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(cross)


def _vectors(name: str, given: Any) -> Tensor:
    value = _doubles(name, given, "(*b, 3)")
    return value[..., 0] if value.ndim >= 2 and value.shape[-2:] == (3, 1) else value


def _sizes(image_hw: Any, batch: torch.Size, device: torch.device) -> Tensor:
    size = _doubles("image_hw", image_hw, "(2) or (*b, 2)")
    if size.shape[-1:] != (2,) or size.shape[:-1] not in ((), batch):
        raise InputError(
            f"image_hw has shape {tuple(size.shape)}, expected (height, width), or {(*batch, 2)}; "
            "give one size, or one per camera"
        )
    for one in size.reshape(-1, 2).tolist():
        if said := size_fault(one):
            raise InputError(said)
    return size.round().long().expand(*batch, 2).to(device)


def _doubles(name: str, given: Any, shape: str) -> Tensor:
    """Numbers as a tensor in float64; the gradient of a tensor stays."""
    value = as_tensor(name, given, shape)
    if value.is_floating_point() and value.dtype.itemsize < 4:
        raise InputError(
            f"{name} is in {value.dtype}, which rounds pixels and metres visibly; give it in float32 or float64"
        )
    return value.to(torch.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) or (isinstance(value, Tensor) and value.ndim == 0)
