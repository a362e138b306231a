"""Bodies: Anny's human mesh (Brégier et al., ECCV 2026; code Apache-2.0, shapes CC0 from MakeHuman) in millimetres.

Anny turns six numbers in 0..1 (gender, age, muscle, weight, height, proportions) into a mesh and its bones at rest.
Everything after that, posing, dressing, drawing, is ours. Rest: z up, the person looks along -y, left is +x.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from trivox.errors import InputError

PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")
# Rest shapes are rounded, so that the last bits of a matrix product (which depend on the machine's threads) are gone.
_STEP_MM = 2.0**-10


@dataclass(frozen=True)
class Template:
    """What all bodies share: N vertices, F triangles, B bones. Each vertex hangs on up to K bones."""

    faces: np.ndarray  # (F, 3) int32
    bones: tuple[str, ...]
    parents: np.ndarray  # (B,) int32, -1 for the root; parents come first
    bone_index: np.ndarray  # (N, K) int32
    bone_weight: np.ndarray  # (N, K) float32, rows sum to 1
    landmarks: dict[str, np.ndarray]  # name -> (N,) float64, rows sum to 1: Anny's regressors of COCO's points

    @property
    def main_bone(self) -> np.ndarray:
        """The bone that moves each vertex most (N,)."""
        return self.bone_index[np.arange(len(self.bone_index)), self.bone_weight.argmax(1)]


@dataclass(frozen=True)
class Body:
    """One person's shape at rest, feet on z = 0."""

    template: Template
    vertices_mm: np.ndarray  # (N, 3) float64
    bone_heads_mm: np.ndarray  # (B, 3) float64

    def head_of(self, bone: str) -> np.ndarray:
        """Where a bone begins (3,)."""
        return self.bone_heads_mm[self.template.bones.index(bone)]

    @property
    def height_mm(self) -> float:
        return float(np.ptp(self.vertices_mm[:, 2]))


def shaped_body(phenotype: dict[str, float]) -> Body:
    """The body of these six numbers. Raises `InputError` where Anny is not installed."""
    model = _model()
    values = {name: torch.tensor([phenotype[name]], dtype=torch.float64) for name in PHENOTYPES}
    with torch.no_grad():
        shares = model.get_phenotype_blendshape_coefficients(**values)[0].numpy()
    vertices, heads = (
        1000.0 * (template.numpy() + np.tensordot(shares, change.numpy(), 1))
        for template, change in (
            (model.template_vertices, model.blendshapes),
            (model.template_bone_heads, model.bone_heads_blendshapes),
        )
    )
    floor = np.array([heads[0, 0], heads[0, 1], vertices[:, 2].min()])
    return Body(template(), _rounded(vertices - floor), _rounded(heads - floor))


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values / _STEP_MM) * _STEP_MM


@cache
def template() -> Template:
    """Topology, bones and weights. Raises `InputError` where Anny is not installed."""
    model, anny = _model(), _anny()
    regressor = anny.KeypointsRegressor.coco(model)
    weights = model.vertex_bone_weights.numpy().astype(np.float64)
    used = int((weights > 0).sum(1).max())
    order = np.argsort(-weights, axis=1, kind="stable")[:, :used]
    sorted_weights = np.take_along_axis(weights, order, 1)
    return Template(
        faces=model.get_triangular_faces().numpy().astype(np.int32),
        bones=tuple(model.bone_labels),
        parents=np.array(model.bone_parents, np.int32),
        bone_index=np.take_along_axis(model.vertex_bone_indices.numpy(), order, 1).astype(np.int32),
        bone_weight=(sorted_weights / sorted_weights.sum(1, keepdims=True)).astype(np.float32),
        landmarks=dict(zip(regressor.labels, regressor.regression_weights.numpy().astype(np.float64), strict=True)),
    )


@cache
def _model() -> Any:
    """Anny's free model. Its first start on a machine prepares a cache for about a minute, later ones take a second."""
    anny = _anny()
    if not any(anny.paths.get_anny_cache_path().glob("**/*.safetensors")):
        print("preparing the bodies, once, for about a minute", file=sys.stderr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anny.Anny(rig="anny", topology="anny", skinning_method="lbs").to(dtype=torch.float64)


@cache
def _anny() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            anny = importlib.import_module("anny")
            importlib.import_module("anny.paths")
    except ImportError as error:
        raise InputError(
            "rendered people need the package anny, which is not installed here; pip install 'trivox[synth]'"
        ) from error
    return anny
