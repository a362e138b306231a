"""Protocols: which joints and rows of a dataset count, and from where they are measured. docs/protocols.md.

A number without its protocol says nothing, so that results carry theirs along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trivox.data.human36m import ACTIONS, SUBJECTS
from trivox.errors import InputError

Measure = Literal["absolute", "relative"]

# In the published order: the first is the origin of the relative errors.
ELBOWS_WRISTS_KNEES = (
    *("right_wrist", "right_elbow", "left_wrist", "left_elbow"),
    *("right_knee", "left_knee"),
)
LIMBS = tuple(
    f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)


@dataclass(frozen=True)
class Protocol:
    """How poses of known people are scored.

    measure          the score: errors as they are, or with origins moved onto each other.
    joints           the joints that count, by name; none: all of the truth, and the predictions have the same ones.
    origin           joint that relative errors are measured from; none: the root of the skeleton (the pelvis).
    without_damaged  rows whose truth is known to be broken are left out.
    subjects,        groups that stand in the tables also without rows.
    actions
    source           where it is defined.
    """

    name: str
    measure: Measure
    source: str
    joints: tuple[str, ...] = ()
    origin: str | None = None
    without_damaged: bool = False
    subjects: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


_ISKAKOV = "Iskakov et al., Learnable Triangulation of Human Pose, ICCV 2019"
_PUBLISHED = (
    Protocol(
        "human36m-absolute",
        "absolute",
        f"{_ISKAKOV}: without the damaged scenes of S9",
        without_damaged=True,
        subjects=SUBJECTS,
        actions=ACTIONS,
    ),
    Protocol(
        "human36m-relative",
        "relative",
        f"{_ISKAKOV}: all of S9 and S11",
        subjects=SUBJECTS,
        actions=ACTIONS,
    ),
    Protocol("panoptic-absolute", "absolute", _ISKAKOV),
    Protocol("panoptic-relative", "relative", _ISKAKOV),
    Protocol(
        "elbows-wrists-knees",
        "absolute",
        f"{_ISKAKOV}: from CMU Panoptic or COCO to Human3.6M",
        joints=ELBOWS_WRISTS_KNEES,
        origin="right_wrist",
    ),
    Protocol("limbs", "absolute", "trivox: the joints that nearly every skeleton has", joints=LIMBS),
    Protocol("absolute", "absolute", "trivox: all joints as they are"),
    Protocol("relative", "relative", "trivox: all joints from the root of the skeleton"),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _PUBLISHED}


def protocol_named(name: str) -> Protocol:
    """The protocol of this name. Raises `InputError` listing the right ones."""
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol {name!r}; use one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
