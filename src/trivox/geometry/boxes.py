"""Boxes (x0, y0, x1, y1) in pixels: overlap, and suppression of duplicates."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def overlap(first: Float[Tensor, "*b N 4"], second: Float[Tensor, "*b M 4"]) -> Float[Tensor, "*b N M"]:
    """Intersection over union of every pair; 0 where both are empty."""
    low = torch.maximum(first[..., :, None, :2], second[..., None, :, :2])
    high = torch.minimum(first[..., :, None, 2:], second[..., None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    union = area(first)[..., :, None] + area(second)[..., None, :] - common
    return common / union.clamp(min=torch.finfo(union.dtype).tiny)


def area(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b"]:
    """Square pixels; 0 where a box is turned inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def suppressed(similarity: Float[Tensor, "*b N N"], limit: float) -> Bool[Tensor, "*b N"]:
    """Which of N candidates, best first, are more similar than `limit` to a better one that stays.

    Greedy, so the loop over candidates is inherent; everything else is batched.
    """
    alike = similarity > limit
    gone = torch.zeros(similarity.shape[:-1], dtype=torch.bool, device=similarity.device)
    for n in range(1, similarity.shape[-1]):
        gone[..., n] = (alike[..., n, :n] & ~gone[..., :n]).any(dim=-1)
    return gone
