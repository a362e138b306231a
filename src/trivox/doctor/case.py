"""A rig and the evidence against it, and everything a correction may change of either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.doctor.evidence import Evidence, read_at
from trivox.doctor.misfit import Fit, Rays, fit, rays_of
from trivox.geometry.cameras import Cameras, chosen


@dataclass(frozen=True)
class Case:
    """`cameras` (V,) in float64; `offsets` says how many frames later than its own count each view is read;
    of the instants every `every`-th is judged.
    """

    evidence: Evidence
    cameras: Cameras
    offsets: Float[Tensor, " V"]
    every: int = 1
    # The case that this one came from by changing one view, whose other rays hold here too; a copy begins without.
    _before: tuple[Case, int] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, evidence: Evidence, cameras: Cameras) -> Case:
        V = evidence.points_px.shape[1]
        return cls(evidence, cameras.to(torch.float64), torch.zeros(V, dtype=torch.float64))

    @property
    def views(self) -> int:
        return len(self.offsets)

    @cached_property
    def read(self) -> Evidence:
        """The tracks read at the present offsets."""
        return self._every(read_at(self.evidence, self.offsets))

    def _every(self, read: Evidence) -> Evidence:
        return read if self.every == 1 else read.at(torch.arange(0, len(read.frames), self.every))

    @cached_property
    def rays(self) -> Rays:
        if self._before is not None:
            case, view = self._before
            own = rays_of(self.read.of_views([view]), self.cameras[torch.tensor([view])])
            return case.rays.with_view(view, own)
        return rays_of(self.read, self.cameras)

    @cached_property
    def fit(self) -> Fit:
        return fit(self.rays, self.cameras)

    @property
    def loss(self) -> float:
        return self.fit.loss

    @property
    def total(self) -> float:
        """Sum of the mean losses of the views: what one camera does wrong weighs the same beside two others or ten."""
        return float(self.fit.view_losses.sum())

    def with_cameras(self, cameras: Cameras) -> Case:
        changed = replace(self, cameras=cameras)
        # What is known already need not be computed again: a pose leaves the rays alone, no camera changes the tracks.
        changed.__dict__["read"] = self.read
        same = (getattr(cameras, n) is getattr(self.cameras, n) for n in ("K", "distortion", "distortion_model"))
        if all(same):
            changed.__dict__["rays"] = self.rays
        return changed

    def with_camera(self, view: int, **changed: Tensor) -> Case:
        """One camera with some of its fields changed."""
        fields = {name: getattr(self.cameras, name).clone() for name in changed}
        for name, value in changed.items():
            fields[name][view] = value
        case = self.with_cameras(replace(self.cameras, **fields))
        object.__setattr__(case, "_before", (self, view))
        return case

    def with_k1(self, view: int, k1: Tensor) -> Case:
        """One camera with this lens (five of OpenCV's terms, all but the first zero) in place of its own."""
        lens = torch.nn.functional.pad(k1, (0, 4)).expand(self.views, 5)
        plain = replace(self.cameras, distortion=lens, distortion_model="opencv")
        case = self.with_cameras(chosen(torch.arange(self.views) == view, plain, self.cameras))
        object.__setattr__(case, "_before", (self, view))
        return case

    def with_offset(self, view: int, frames: float | Tensor) -> Case:
        """The view read so many frames later than now."""
        offsets = self.offsets.clone()
        offsets[view] += frames
        case, index = replace(self, offsets=offsets), [view]
        own = self._every(read_at(self.evidence.of_views(index), offsets[index]))
        case.__dict__["read"] = self.read.with_own(view, own)
        object.__setattr__(case, "_before", (self, view))
        return case

    def split(self, view: int, frame: int) -> Case:
        """The view as two: what it shows before `frame` stays, what it shows from there on becomes a further view."""
        doubled = self.of_views([*range(self.views), view])
        evidence = doubled.evidence
        later = evidence.frames >= frame
        weights = evidence.weights.clone()
        weights[later, view] = 0
        weights[~later, -1] = 0
        return replace(doubled, evidence=replace(evidence, weights=weights))

    def of_views(self, views: Sequence[int]) -> Case:
        index = list(views)
        evidence, cameras = self.evidence.of_views(index), self.cameras[torch.tensor(index)]
        chosen = Case(evidence, cameras, self.offsets[index], self.every)
        if "read" in self.__dict__:
            chosen.__dict__["read"] = self.read.of_views(index)
        return chosen


def mirrored_video(case: Case, views: Sequence[int], widths: Float[Tensor, " V"]) -> Case:
    """What the views would show if their pictures were not mirrored: left and right change names as well."""
    evidence = case.evidence
    J = len(evidence.skeleton)
    swap = torch.tensor(evidence.skeleton.mirror)
    points = evidence.points_px.unflatten(2, (-1, J))[:, :, :, swap].flatten(2, 3)
    points = torch.stack([widths[None, :, None] - points[..., 0], points[..., 1]], -1)
    swapped = replace(
        evidence,
        points_px=points,
        weights=evidence.weights.unflatten(2, (-1, J))[..., swap].flatten(2),
        crop_px=evidence.crop_px,
    )
    return replace(case, evidence=evidence.with_view(views, swapped))
