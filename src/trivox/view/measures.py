"""The numbers of a report: reprojection by camera, joint and time, bone lengths.

A 2D joint counts as seen where its score is high enough to be used (`lift.LEAST_SCORE`), whether or not the
triangulation believed it; so a camera that sees wrongly shows here, and not only in what it was used for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from trivox.files.results import Result
from trivox.geometry.association import person_sizes_px
from trivox.geometry.poses import Poses
from trivox.lift import LEAST_SCORE
from trivox.view.sources import detections_of

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Reprojection:
    """`missed_px[f, p, v, j]`: from the 2D joint to the 3D joint's projection, NaN where either is missing.

    `share`: the same in shares of the person's size in that view, by which detectors err. `seen` are 2D joints of
    valid 3D ones.
    """

    missed_px: Float[np.ndarray, "F P V J"]
    share: Float[np.ndarray, "F P V J"]
    seen: Bool[np.ndarray, "F P V J"]
    valid: Bool[np.ndarray, "F P J"]

    def quantiles_px(self, view: int) -> list[float] | None:
        """`QUANTILES` of one camera; None where it sees nothing."""
        values = self.missed_px[:, :, view]
        values = values[np.isfinite(values)]
        return np.quantile(values, QUANTILES).tolist() if len(values) else None

    def seen_by_joint(self) -> Float[np.ndarray, "V J"]:
        """Share of the frames with a 3D joint in which each camera sees it; NaN for a joint that is never there."""
        there = self.valid.sum((0, 1))
        return np.where(there > 0, self.seen.sum((0, 1)) / np.maximum(there, 1), np.nan)


def reprojection(result: Result) -> Reprojection | None:
    """None where the result has no 2D joints of its people."""
    found = detections_of(result, result.rig)
    if found is None:
        return None
    poses, cameras = result.poses, result.rig.upright_cameras
    F, P, V, J = found.scores.shape
    points_mm = poses.points_mm.double()
    flat = points_mm.reshape(1, -1, 3).expand(V, -1, -1)
    pixels = cameras.project(flat).reshape(V, F, P, J, 2).permute(1, 2, 0, 3, 4)
    in_front = (cameras.depth_mm(flat) > 0).reshape(V, F, P, J).permute(1, 2, 0, 3)
    seen = (found.scores >= LEAST_SCORE) & poses.valid[:, :, None]
    missed_px = torch.where(seen & in_front, (pixels - found.points_px).norm(dim=-1), torch.nan)
    size_px = person_sizes_px(pixels, (poses.valid[:, :, None] & in_front).double())
    return Reprojection(missed_px.numpy(), (missed_px / size_px[..., None]).numpy(), seen.numpy(), poses.valid.numpy())


def bone_lengths_mm(poses: Poses) -> dict[str, Float[np.ndarray, "F P"]]:
    """Length of every limb bone over time, NaN where an end is missing."""
    lengths = {}
    for bone in poses.skeleton.limb_bones:
        a, b = poses.skeleton.indices(bone)
        length = (poses.points_mm[:, :, a].double() - poses.points_mm[:, :, b].double()).norm(dim=-1)
        both = poses.valid[:, :, a] & poses.valid[:, :, b]
        lengths["-".join(bone)] = torch.where(both, length, torch.nan).numpy()
    return lengths
