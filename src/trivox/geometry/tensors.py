"""Frozen dataclasses of tensors that share their leading batch axes.

A subclass is a `@dataclass(frozen=True)` whose tensor fields all begin with the same batch axes; a field may be such
a dataclass itself (the cameras of a sample), and fields that are neither (a name, None) are carried along unchanged.
Operations return new objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

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
            assert dtype is None, "one dtype is enough"
            device, dtype = None, device
        return self.map(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))

    def __getitem__(self: Some, index: Any) -> Some:
        """Index the leading batch axes, as one would index each tensor."""
        return self.map(lambda t: t[index])

    @classmethod
    def stack(cls, items: Sequence[Some]) -> Some:
        """Join equal-shaped objects along a new first axis. Fields that are not tensors come from the first."""
        return cls._joined(items, torch.stack)

    @classmethod
    def concatenated(cls, items: Sequence[Some]) -> Some:
        """Join objects along their first axis. Fields that are not tensors come from the first."""
        return cls._joined(items, torch.cat)

    @classmethod
    def _joined(cls, items: Sequence[Some], join: Callable[[list[Tensor]], Tensor]) -> Some:
        assert items, "there is nothing to join"
        first = items[0]
        joined: dict[str, Any] = {}
        for f in fields(first):  # type: ignore[arg-type]
            values = [getattr(item, f.name) for item in items]
            if isinstance(values[0], Tensor):
                joined[f.name] = join(values)
            elif isinstance(values[0], TensorDataclass):
                joined[f.name] = type(values[0])._joined(values, join)
        return replace(first, **joined)  # type: ignore[type-var]
