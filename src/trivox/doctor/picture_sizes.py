"""How pictures of another size than calibrated sit in the calibrated frame, told by the people in them.

Under each fit the views are lifted together; the right one makes them agree best. Another fit than "left" has to be
better by more than the scatter from one part of the recording to the next: what the people do not tell is "left", as
decoders and codecs add rows at the bottom and columns at the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trivox.doctor.case import Case
from trivox.doctor.evidence import Evidence
from trivox.doctor.looking import glance_at
from trivox.doctor.misfit import losses_of
from trivox.files.matching import ImageFit, differ_by_padding, fitted_cameras
from trivox.files.views import Views
from trivox.geometry.cameras import Cameras
from trivox.people.networks import Networks

_FITS: tuple[ImageFit, ...] = ("left", "center", "right", "scale")
# Parts of a recording whose scatter tells what is noise, and how many standard errors are more than that.
_PARTS = 12
_CLEAR = 3.0


@dataclass(frozen=True)
class BestFit:
    """`is_clear`: the joints speak for it against every other fit, by more than their scatter."""

    image_fit: ImageFit
    is_clear: bool


def fitted_views(views: Views, image_fit: ImageFit | None) -> Views:
    """`Views.fitted`, and where no fit is given and the sizes differ by a codec's padding, by what the people say.

    Raises `InputError` where the sizes differ by more, and no fit is given.
    """
    if image_fit is not None or not differ_by_padding(views.rig, views.image_hws):
        return views.fitted(image_fit)
    evidence = glance_at(views.fitted("left"), Networks.load())
    best = best_fit(views.rig.cameras, torch.tensor(views.image_hws), evidence)
    if best.is_clear:
        why = f"the people in the pictures agree best with {best.image_fit}"
    else:
        why = f"the people in the pictures do not tell clearly how these sit in it; {best.image_fit} agrees well"
    return views.fitted(best.image_fit, f"{why}; --image-fit scale|left|center|right decides it")


def best_fit(cameras: Cameras, image_hw: Int[Tensor, "V 2"], evidence: Evidence) -> BestFit:
    """How pictures of sizes `image_hw` sit in the frames of `cameras`: as makes the joints of the evidence agree."""
    cameras = cameras.to(torch.float64)
    losses = {fit: _losses(evidence, fitted_cameras(cameras, image_hw, fit)) for fit in _FITS}
    best = min(_FITS, key=lambda fit: float(losses[fit].mean()))
    if not _is_clearly_less(losses[best], losses["left"]):
        best = "left"
    others = [losses[fit] for fit in _FITS if fit != best]
    return BestFit(best, all(_is_clearly_less(losses[best], other) for other in others))


def _losses(evidence: Evidence, cameras: Cameras) -> Float[Tensor, " P"]:
    """The doctor's loss in each part of the recording: views that show nobody there do not count."""
    fit = Case.of(evidence, cameras).fit
    F, V = len(evidence.frames), fit.seen.shape[1]
    seen = fit.seen.unflatten(0, (F, -1))
    sums, counts = (losses_of(fit.errors_px).unflatten(0, (F, -1)) * seen).sum(1), seen.sum(1).double()
    parts = min(F, _PARTS)
    part = torch.arange(F) * parts // F
    sums, counts = (torch.zeros(parts, V).double().index_add(0, part, values) for values in (sums, counts))
    return (sums / counts.clamp_min(1)).sum(1) / (counts > 0).sum(1).clamp_min(1)


def _is_clearly_less(losses: Float[Tensor, " P"], others: Float[Tensor, " P"]) -> bool:
    """By the parts' differences: no single part tells, having no scatter."""
    gains = others - losses
    return len(gains) > 1 and float(gains.mean()) > _CLEAR * float(gains.std()) / len(gains) ** 0.5
