"""Where a body's joints are: the points that detectors and Human3.6M mean, from the undressed skin and the bones.

Limb joints lie between Anny's regressors of COCO's points (on the surface side) and the bone heads (centres of
rotation): the bundled detector's own answer, triangulated, lies 2 to 3 cm from each of the two at the hips, on opposite
sides (docs/synthetic.md). Other joints are Human3.6M's: pelvis between the hips, spine in the middle of the back, neck
between the base of the neck and the shoulders, `head_nose` inside the head at the height of the nose.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from trivox.geometry.skeletons import COCO_17, COCO_H36M_22
from trivox.synthetic.bodies import Body, template

# All joints that are known here; a skeleton made of them is exact.
BODY_JOINTS = COCO_H36M_22
NAMES = BODY_JOINTS.names

# Joint -> bone, and how much of the mean its head is; the rest is the regressor.
_LIMBS = {
    "shoulder": ("upperarm01", 0.0),
    "elbow": ("lowerarm01", 0.0),
    "wrist": ("wrist", 0.5),
    "hip": ("upperleg01", 0.5),
    "knee": ("lowerleg01", 0.5),
    "ankle": ("foot", 0.5),
}


@cache
def _weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Used vertices (U,), how joints are made of them (J, U), and of bone heads (J, B)."""
    shared = template()
    of_vertices = np.zeros((len(NAMES), len(shared.bone_index)))
    of_bones = np.zeros((len(NAMES), len(shared.bones)))
    row = {name: j for j, name in enumerate(NAMES)}
    for name in COCO_17.names:
        side, _, part = name.partition("_")
        bone, share = _LIMBS.get(part, ("", 0.0))
        of_vertices[row[name]] = (1 - share) * shared.landmarks[name]
        if share:
            of_bones[row[name], shared.bones.index(f"{bone}.{side[0].upper()}")] = share
    for target in (of_vertices, of_bones):
        target[row["pelvis"]] = (target[row["left_hip"]] + target[row["right_hip"]]) / 2
        ears = (target[row["left_ear"]] + target[row["right_ear"]]) / 2
        target[row["head_nose"]] = (ears + target[row["nose"]]) / 2
    of_bones[row["spine"], shared.bones.index("spine03")] = 1.0
    of_bones[row["neck"], shared.bones.index("neck01")] = 0.5
    of_vertices[row["neck"]] = (of_vertices[row["left_shoulder"]] + of_vertices[row["right_shoulder"]]) / 4
    of_vertices[row["head_top"]] = _crown(shared.main_bone == shared.bones.index("head"))
    used = np.flatnonzero((np.abs(of_vertices) > 1e-5).any(0))
    kept = of_vertices[:, used]
    # What was cut off goes to the rest: the weights of a joint sum to one.
    kept *= ((1 - of_bones.sum(1)) / np.maximum(kept.sum(1), 1e-9))[:, None]
    return used, kept, of_bones


def _crown(head: np.ndarray) -> np.ndarray:
    """The mean of the head's highest vertices of the average body."""
    from trivox.synthetic.bodies import PHENOTYPES, shaped_body

    height = np.where(head, shaped_body(dict.fromkeys(PHENOTYPES, 0.5)).vertices_mm[:, 2], -np.inf)
    top = np.argsort(-height, kind="stable")[:8]
    weights = np.zeros(len(head))
    weights[top] = 1 / len(top)
    return weights


def joints_mm(body: Body, turns: np.ndarray, heads_mm: np.ndarray) -> np.ndarray:
    """The joints (F, J, 3) of NAMES of a body whose bones are turned (F, B, 3, 3) and begin at `heads_mm (F, B, 3)`.

    Skinning is linear in the turns, so a mean of skinned vertices needs one offset from each bone, not every vertex.
    """
    used, of_vertices, of_bones = _weights()
    shared = body.template
    hanging = np.zeros((len(used), len(shared.bones)))
    np.put_along_axis(hanging, shared.bone_index[used].astype(np.int64), shared.bone_weight[used].astype(np.float64), 1)
    # Plain sums: a matrix product's last bits would depend on how many threads share it.
    share = np.einsum("ju,ub->jb", of_vertices, hanging)
    rest = body.vertices_mm[used]
    moments = np.stack([np.einsum("ju,ub->jb", of_vertices, hanging * x[:, None]) for x in rest.T], -1)
    offsets = moments - share[..., None] * body.bone_heads_mm
    share = share + of_bones
    return np.einsum("fbik,jbk->fji", turns, offsets) + np.einsum("jb,fbi->fji", share, heads_mm)
