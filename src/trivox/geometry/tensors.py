"""Frozen dataclasses of tensors that share their leading batch axes.

A subclass is a `@dataclass(frozen=True)` whose tensor fields all begin with the same batch axes; a field may be such
a dataclass itself (the cameras of a sample), and fields that are neither (a name, None) are carried along unchanged.
Operations return new objects. `as_tensor` takes the numbers of callers who have NumPy arrays or lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from trivox.errors import InputError

# Not `typing.Self`: the run-time type checker of the tests cannot resolve it on single methods.
Some = TypeVar("Some", bound="TensorDataclass")


class TensorDataclass:
    """Base of `Cameras`, `Triangulated` and the like: `map`, `to`, indexing and `stack` over all tensor fields."""

    def map(self: Some, change: Callable[[Tensor], Tensor]) -> Some:
        """Apply `change` to every tensor field, nested ones included, and keep the others."""
        changed = {
            f.name: change(value) if isinstance(value, Tensor) else value.map(change)
            for f in fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
            if isinstance(value := getattr(self, f.name), Tensor | TensorDataclass)
        }
        return replace(self, **changed)  # type: ignore[type-var]

    def to(
        self: Some, device: torch.device | str | torch.dtype | None = None, dtype: torch.dtype | None = None
    ) -> Some:
        """Move every tensor to `device`; floating tensors also take `dtype`, which may stand alone as in torch."""
        if isinstance(device, torch.dtype):
            if dtype is not None:
                raise InputError(f"to is given two types of numbers, {device} and {dtype}; give one")
            device, dtype = None, device
        return self.map(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))

    def __getitem__(self: Some, index: Any) -> Some:
        """Index the leading batch axes, as one would index each tensor."""
        return self.map(lambda t: t[index])

    @classmethod
    def stack(cls, items: Sequence[Some]) -> Some:
        """Join equal-shaped objects along a new first axis. Fields that are no tensors come from the first, and are
        None where any has None."""
        return cls._joined(items, torch.stack)

    @classmethod
    def concatenated(cls, items: Sequence[Some]) -> Some:
        """Join objects along their first axis. Fields that are no tensors come from the first, and are None where any
        has None."""
        return cls._joined(items, torch.cat)

    @classmethod
    def _joined(cls, items: Sequence[Some], join: Callable[[list[Tensor]], Tensor]) -> Some:
        check_joinable(items, cls)
        first = items[0]
        joined: dict[str, Any] = {}
        for f in fields(first):  # type: ignore[arg-type]
            values = [getattr(item, f.name) for item in items]
            if any(value is None for value in values):
                joined[f.name] = None
            elif isinstance(values[0], Tensor):
                joined[f.name] = join(values)
            elif isinstance(values[0], TensorDataclass):
                joined[f.name] = type(values[0])._joined(values, join)
        return replace(first, **joined)  # type: ignore[type-var]


def check_joinable(items: Sequence[Any], kind: type) -> None:
    """Refuse an empty list, and what is no list of this kind."""
    if not isinstance(items, Sequence):
        raise InputError(
            f"the {kind.__name__} to join are of type {type(items).__name__}, expected a list; give [one, other]"
        )
    strangers = {type(item).__name__ for item in items if not isinstance(item, kind)}
    if strangers:
        raise InputError(
            f"{kind.__name__} cannot be joined with {' and '.join(sorted(strangers))}; give a list of {kind.__name__}"
        )
    if not len(items):
        raise InputError(f"there are no {kind.__name__} to join in an empty list; give at least one")


def as_tensor(name: str, value: Any, shape: str) -> Tensor:
    """Real numbers as a tensor: a tensor as it is, anything NumPy can read as numbers, lists of either.

    None and masked entries become NaN. Raises `InputError` for anything else; `name` and `shape` are what it says.
    """
    if isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value):
        value = _stacked(name, value, shape)
    if not isinstance(value, Tensor):
        value = _from_numpy(name, value, shape)
    if value.is_complex() or value.dtype == torch.bool or value.layout != torch.strided:
        raise _no_numbers(name, f"a tensor of {value.dtype}", shape)
    return value


def _stacked(name: str, items: Sequence[Any], shape: str) -> Tensor:
    tensors = [as_tensor(f"{name}[{i}]", item, shape) for i, item in enumerate(items)]
    if len({(t.shape, t.device) for t in tensors}) > 1:
        raise _no_numbers(name, "a list of tensors of different shapes or devices", shape)
    return torch.stack(tensors)


def _from_numpy(name: str, value: Any, shape: str) -> Tensor:
    try:
        if value is None:
            raise TypeError("numbers are missing")
        array = np.ma.asarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
        if array.dtype.kind == "O" or isinstance(array, np.ma.MaskedArray):
            array = np.ma.filled(array.astype(np.float64), np.nan)
    except (TypeError, ValueError):
        array = None
    if array is None or array.dtype.kind not in "iuf":
        raise _no_numbers(name, f"a {type(value).__name__} that is no array of numbers", shape)
    if array.dtype.kind in "iu" and array.dtype != np.uint64:
        return torch.from_numpy(array.astype(np.int64))
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=") if array.itemsize < 8 else np.float64))


def _no_numbers(name: str, given: str, shape: str) -> InputError:
    return InputError(
        f"{name} is {given}, expected real numbers of shape {shape}: a tensor, a NumPy array or nested lists"
    )
