"""Look through the whole recording before following anybody: who is there, and who matters?

People are found in all views at a few instants a second, associated, and linked over time. The chain worth most
comes first: the person seen by the most views, then the largest, through the whole recording. Each followed
person thereby has anchors: poses at known instants that start the tracking, and catch it when it strays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.errors import InputError
from trivox.files.views import Views
from trivox.geometry.cameras import Cameras
from trivox.geometry.tensors import TensorDataclass
from trivox.geometry.tracks import link_people
from trivox.people.candidates import Candidates, find_candidates
from trivox.people.networks import Joints2D, Networks
from trivox.progress import progress

# Seconds between instants; longer recordings are looked at more sparsely, never more than this often in all.
_EVERY_S = 0.5
_MOST_INSTANTS = 400
# People beyond those asked for, so that bystanders do not crowd out the ones that matter.
_BYSTANDERS = 4


@dataclass(frozen=True)
class Survey(TensorDataclass):
    """Coarse poses of N people at S instants (frame numbers), as anchors; `valid` is all false where absent.

    `linked[n, s]`: this anchor follows from the one before it by continuous motion, so it is surely the same person.
    """

    frames: Int[Tensor, "S"]
    points_mm: Float[Tensor, "S N J 3"]
    valid: Bool[Tensor, "S N J"]
    linked: Bool[Tensor, "S N"]


def survey(views: Views, networks: Networks, cameras: Cameras, people: int, fps: float) -> Survey:
    """Find the `people` most valuable people of the recording. Raises `InputError` where nobody is seen."""
    step = max(1, round(_EVERY_S * fps), -(-views.frame_count // _MOST_INSTANTS))
    instants = range(0, views.frame_count, step)
    seen: list[Joints2D] = []
    with progress("looking for people", len(instants)) as advance:
        for instant in views.frames(step=step):
            seen.append(networks.find_people(instant.pictures))
            advance(1)
    detections = Joints2D.stack(seen)
    if not (detections.scores > 0).any():
        raise InputError(
            f"no person found in any of the {len(views.paths)} videos (looked at {len(instants)} instants); "
            "check that people are upright in the pictures and at least a tenth of their height"
        )
    candidates = find_candidates(detections, cameras, people + _BYSTANDERS)
    if not (candidates.worth > 0).any():
        raise InputError(
            f"people are seen in single videos, but never the same person in two of the {len(views.paths)} views at "
            "once; check that the videos are synchronized, show the same place, and belong to the cameras named "
            "(trivox calibration show)"
        )
    return _anchors(candidates, torch.tensor(list(instants)), people, fps)


def _anchors(candidates: Candidates, frames: Tensor, people: int, fps: float) -> Survey:
    times_s = (frames / fps).double().numpy()
    chains = link_people(candidates.centres_mm.numpy(), candidates.worth.numpy(), times_s, people)
    chain = torch.from_numpy(np.ascontiguousarray(chains.T))  # (S, N)
    instant = torch.arange(len(frames))[:, None]
    present = chain >= 0
    index = chain.clamp_min(0)
    return Survey(
        frames,
        candidates.points_mm[instant, index].double() * present[..., None, None],
        candidates.valid[instant, index] & present[..., None],
        present & _follows_closely(present, times_s),
    )


def _follows_closely(present: Tensor, times_s: np.ndarray) -> Tensor:
    """Whether the instant before, at most a second ago, has the person too."""
    close = torch.zeros_like(present)
    recent = torch.from_numpy(np.diff(times_s) <= 1.0)[:, None]
    close[1:] = present[:-1] & recent
    return close

