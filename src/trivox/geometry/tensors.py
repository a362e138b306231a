"""Frozen dataclasses of tensors that share their leading batch axes.

A subclass is a `@dataclass(frozen=True)` whose tensor fields all begin with the same batch axes; fields that
are not tensors (a name, None) are carried along unchanged. Operations return new objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Self

import torch
from torch import Tensor


class TensorDataclass:
    """Base of `Cameras`, `Triangulated` and the like: `map`, `to`, indexing and `stack` over all tensor fields."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Apply `change` to every tensor field and keep the others."""
        changed = {
            f.name: change(value)
            for f in fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **changed)  # type: ignore[type-var]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move every tensor to `device`; floating tensors also take `dtype`."""
        return self.map(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))

    def __getitem__(self, index: Any) -> Self:
        """Index the leading batch axes, as one would index each tensor."""
        return self.map(lambda t: t[index])

    @classmethod
    def stack(cls, items: Sequence[Self]) -> Self:
        """Join equal-shaped objects along a new first axis. Fields that are not tensors come from the first."""
        assert items, "stack needs at least one object"
        first = items[0]
        stacked = {
            f.name: torch.stack([getattr(item, f.name) for item in items])
            for f in fields(first)  # type: ignore[arg-type]
            if isinstance(getattr(first, f.name), Tensor)
        }
        return replace(first, **stacked)  # type: ignore[type-var]
