"""Look through the whole recording before following anybody: who is there, and who matters?

People are found in all views at a few instants a second, associated, and linked over time. The chain worth most
comes first: the person seen by the most views, then the largest, through the whole recording. Each followed
person thereby has anchors: poses at known instants that start the tracking, and catch it when it strays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from trivox.people.candidates import BYSTANDERS, Candidates, find_candidates
from trivox.people.networks import Joints2D, Networks
from trivox.people.nobody import why_nobody
from trivox.progress import progress

# Seconds between instants: nobody gets far in that time, so the chain of anchors is the same person throughout.
_EVERY_S = 0.5
# A few pictures of an unknown rate are looked at more closely.
_LEAST_INSTANTS = 8
# Instants associated at once, and kept at once in case of an interruption.
_AT_ONCE = 32
# Joints of a person are seen with a better mean score than those of furniture.
_PERSON_SCORE = 0.2


class NobodyFound(InputError):
    """There is nobody to follow in the videos."""


@dataclass(frozen=True)
class Survey(TensorDataclass):
    """Coarse poses of N people at S instants (frame numbers), as anchors; `valid` is all false where absent.

    `bystanders` are others who were seen: nobody who is followed is where they are.
    """

    frames: Int[Tensor, "S"]
    points_mm: Float[Tensor, "S N J 3"]
    valid: Bool[Tensor, "S N J"]
    bystanders: Survey | None = None

    @property
    def present(self) -> Bool[Tensor, "S N"]:
        return self.valid.any(-1)


def survey(
    views: Views,
    networks: Networks,
    cameras: Cameras,
    people: int,
    fps: float,
    earlier: Sequence[Candidates],
    keep: Callable[[Candidates], None],
) -> Survey:
    """Find the `people` most valuable people of the recording. Raises `NobodyFound`.

    `earlier` are the candidates of an interrupted survey; each new part is given to `keep`.
    """
    step = max(1, min(round(_EVERY_S * fps), views.frame_count // _LEAST_INSTANTS))
    instants = torch.arange(0, views.frame_count, step)
    parts = list(earlier)
    done = sum(len(part.worth) for part in parts)
    anybody = done > 0
    waiting: list[Joints2D] = []
    last: list[Joints2D] = []
    with progress("looking for people", len(instants), done) as advance:
        for instant in views.frames(start=done * step, step=step):
            waiting.append(networks.find_people(instant.pictures))
            anybody |= bool((waiting[-1].scores.mean(-1) > _PERSON_SCORE).any())
            if len(waiting) == _AT_ONCE or instant.frame == instants[-1]:
                parts.append(find_candidates(Joints2D.stack(waiting), cameras, people + BYSTANDERS))
                keep(parts[-1])
                last, waiting = waiting, []
            advance(1)
    candidates = Candidates.concatenated(parts)
    if not (candidates.worth > 0).any():
        cause = why_nobody(Joints2D.stack(last), cameras, views.rig.names) if _in_two_views(last) else None
        raise NobodyFound(cause or _nobody(anybody, len(views.paths), len(instants)))
    return _anchors(candidates, instants, people, fps)


def _in_two_views(detections: Sequence[Joints2D]) -> bool:
    """Whether people are seen in two views at once: then something keeps them apart."""
    return any(int((at.scores.mean(-1) > _PERSON_SCORE).any(-1).sum()) >= 2 for at in detections)


def _nobody(anybody: bool, views: int, instants: int) -> str:
    if anybody:
        return (
            f"people are seen in single videos, but never the same person in two of the {views} views at once; check "
            "that the videos are synchronized, show the same place, and belong to the cameras named (trivox "
            "calibration check)"
        )
    return (
        f"no person found in any of the {views} videos (looked at {instants} instants); check that people are upright "
        "in the pictures and at least a tenth of their height"
    )


def _anchors(candidates: Candidates, frames: Tensor, people: int, fps: float) -> Survey:
    times_s = (frames.double() / fps).numpy()
    chains = link_people(candidates.centres_mm.numpy(), candidates.worth.numpy(), times_s, people + BYSTANDERS)
    chosen, others = (
        candidates.chosen(torch.from_numpy(np.ascontiguousarray(some.T))) for some in np.split(chains, [people])
    )
    bystanders = Survey(frames, others.points_mm.double(), others.valid)
    return Survey(frames, chosen.points_mm.double(), chosen.valid, bystanders)
