"""From pictures of several views to what the backbone says about each: shared by the three methods.

A view that the mask takes out is not even looked at: whatever stands in its picture has no influence, on the
statistics of batch norm neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import Skeleton
from trivox.models.backbones import Backbone, BackboneOutput

# Pictures in 0..1 may leave it a little, where they were sharpened or made noisy; other scales leave it by far.
_DARKEST, _BRIGHTEST = -1.0, 2.0


@runtime_checkable
class AnyBackbone(Backbone, Protocol):
    """Whatever has the attributes of a backbone; unlike its base, it can be asked for while the program runs."""


def check_joints(found: int, skeleton: Skeleton, what: str) -> None:
    """Refuse a network that was made for another number of joints."""
    if found != len(skeleton):
        raise InputError(
            f"{what} has {found} joints, the skeleton {skeleton.name} has {len(skeleton)}; "
            "give the skeleton that it was made for"
        )


def check_multiplier(multiplier: float, name: str) -> None:
    """Refuse a factor before a softmax that would turn peaks into holes, or make all alike."""
    if not 0 < multiplier < math.inf:
        raise InputError(f"{name} is {multiplier}, expected a positive number; 1 leaves values as they are")


def checked_mask(images: Tensor, cameras: Cameras, view_mask: Tensor | None) -> Bool[Tensor, "B V"]:
    """Which views are there. Raises `InputError` where shapes do not fit, nothing is there, or no picture can be so."""
    mask = _checked_shapes(images, cameras, view_mask)
    _check_values(images, mask)
    return mask


def _checked_shapes(images: Tensor, cameras: Cameras, view_mask: Tensor | None) -> Bool[Tensor, "B V"]:
    if images.ndim != 5 or images.shape[2] != 3 or not images.is_floating_point() or images.numel() == 0:
        raise InputError(
            f"images have shape {tuple(images.shape)} and type {images.dtype}, expected (B, V, 3, height, width), RGB "
            "as floats in 0..1; stack the views of each sample so"
        )
    batch = images.shape[:2]
    if cameras.batch_shape != batch:
        raise InputError(
            f"images have shape {tuple(images.shape)}, the cameras have batch shape {tuple(cameras.batch_shape)}: "
            f"expected {tuple(batch)}, one camera per picture; stack or expand the cameras"
        )
    if view_mask is None:
        return torch.ones(batch, dtype=torch.bool, device=images.device)
    if view_mask.shape != batch or view_mask.dtype != torch.bool:
        raise InputError(
            f"view_mask has shape {tuple(view_mask.shape)} and type {view_mask.dtype}, expected {tuple(batch)} and "
            "torch.bool, true where a view is there; give it that shape"
        )
    empty = (~view_mask.any(1)).nonzero()[:, 0].tolist()
    if empty:
        raise InputError(
            f"view_mask leaves no view of sample {empty[0]}; leave such samples out, at least one view must be there"
        )
    return view_mask


def check_precision(world: Tensor, what: str) -> None:
    """Refuse places in the world that have lost their millimetres."""
    if torch.finfo(world.dtype).bits < 32:
        raise InputError(
            f"{what} come in {world.dtype}, which rounds metres to millimetres or worse; give float32 or float64, "
            "whatever the model computes in"
        )


def _check_values(images: Float[Tensor, "B V 3 H W"], view_mask: Bool[Tensor, "B V"]) -> None:
    """Refuse NaN and other scales than 0..1, in the views that are there.

    Costs one reading of the pictures, and one answer from the device: `look` needs the next, so nothing more waits.
    """
    low, high = images.detach().amin((2, 3, 4)), images.detach().amax((2, 3, 4))
    wrong = view_mask & ~((low >= _DARKEST) & (high <= _BRIGHTEST))  # NaN is neither
    if not bool(wrong.any()):
        return
    sample, view = wrong.nonzero()[0].tolist()
    lowest, highest = float(low[sample, view]), float(high[sample, view])
    found = "NaN" if math.isnan(highest) else f"values from {lowest:g} to {highest:g}"
    raise InputError(
        f"the picture of sample {sample}, view {view} has {found}, expected RGB in 0..1; divide bytes by 255, leave "
        "normalising to the model, and take views without a picture out by view_mask"
    )


def look(backbone: AnyBackbone, images: Float[Tensor, "B V 3 H W"], view_mask: Bool[Tensor, "B V"]) -> BackboneOutput:
    """What the backbone says about each view, with batch axes (B, V), float32 at least; zeros where masked out.

    Pictures come in any float type, and are looked at in that of the backbone's weights.
    """
    images = images.to(_dtype_of(backbone) or images.dtype)
    seen = backbone(images.flatten(0, 1) if bool(view_mask.all()) else images[view_mask])
    return seen.map(lambda t: in_views(in_single(t), view_mask))


def _dtype_of(network: object) -> torch.dtype | None:
    weights = network.parameters() if isinstance(network, nn.Module) else ()
    return next((weight.dtype for weight in weights), None)


@dataclass(frozen=True)
class Mixed:
    """The autocast that is on at some place: networks enter it again, inside of code that runs in full precision.

    World coordinates need float32: half precision rounds metres to millimetres or worse.
    """

    device_type: str
    dtype: torch.dtype
    is_on: bool

    @classmethod
    def here(cls, device: torch.device) -> Mixed:
        return cls(device.type, torch.get_autocast_dtype(device.type), torch.is_autocast_enabled(device.type))

    def off(self) -> torch.autocast:
        """Full precision, for geometry."""
        return torch.autocast(self.device_type, enabled=False)

    def run(self, network: nn.Module, values: Tensor) -> Tensor:
        """What a network makes of values, in the autocast and in the type of its weights; float32 at least."""
        with torch.autocast(self.device_type, dtype=self.dtype, enabled=self.is_on):
            return in_single(network(values.to(_dtype_of(network) or values.dtype)))


def in_single(values: Tensor) -> Tensor:
    """Floating numbers in float32 at least."""
    if not values.is_floating_point():
        return values
    return values.to(torch.promote_types(values.dtype, torch.float32))


def in_views(found: Tensor, view_mask: Tensor) -> Tensor:
    """What was found in the n views that are there, (n, ...), as (B, V, ...), zeros elsewhere."""
    if len(found) == view_mask.numel():
        return found.unflatten(0, view_mask.shape)
    everywhere = found.new_zeros(*view_mask.shape, *found.shape[1:])
    return everywhere.masked_scatter(view_mask.view(*view_mask.shape, *[1] * (found.ndim - 1)), found)


def trusted(views: BackboneOutput, view_mask: Bool[Tensor, "B V"]) -> Float[Tensor, "B V J"]:
    """How far to trust the joint in each view, 0..1: the confidence if there is one, else the score of the peak."""
    scores = views.scores if views.joint_confidences is None else views.joint_confidences
    if scores is None:
        scores = torch.ones_like(views.heatmaps[..., 0, 0])
    return torch.where(view_mask[..., None], scores, 0.0).detach()


def size_of(pictures: Tensor) -> tuple[int, int]:
    """(height, width) of pictures or maps."""
    return pictures.shape[-2], pictures.shape[-1]
