"""Soft-argmax, unprojection, rotation and cubes against the published system (`golden/ops`)."""

from __future__ import annotations

from collections import defaultdict
from typing import get_args

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances, read_json, skeleton_of_kind
from golden.collected import GOLDEN, each_case

from trivox.geometry.heatmaps import soft_argmax
from trivox.geometry.skeletons import root_points
from trivox.geometry.volumes import Aggregation, Cube, rotation_about, soft_argmax_3d, unproject
from trivox.geometry.volumes.cube import Axis
from trivox.models.algebraic import read_heatmaps

OPS = GOLDEN / "ops"


def array_cases(name: str) -> dict[str, Case]:
    """Arrays of a file by case, the name up to the first dot."""
    cases: dict[str, Case] = defaultdict(dict)
    path = OPS / f"{name}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                case, _, field = key.partition(".")
                cases[case][field] = arrays[key]
    return dict(cases)


def aggregations(cases: dict[str, Case]) -> dict[str, Case]:
    """One case per way to join the views that the file has an answer for."""
    return {
        f"{name}-{field}": case | {"aggregation": field}
        for name, case in cases.items()
        for field in case
        if field in get_args(Aggregation)
    }


def rotations() -> dict[str, Case]:
    path = OPS / "rotation.npz"
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return {
        f"{a}-{t}": {
            "axis": axis,
            "theta": theta,
            "matrix": arrays["matrices"][a, t],
            "coords": arrays["coords"],
            "rotated": arrays["rotated"][a, t],
        }
        for a, axis in enumerate(arrays["axes"])
        for t, theta in enumerate(arrays["thetas"])
    }


def cubes() -> dict[str, Case]:
    found = {}
    for path in sorted(OPS.glob("coord_volume*.json")):
        arrays = array_cases(path.stem)
        found |= {described["case"]: described | arrays[described["case"]] for described in read_json(path)}
    return found


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)


@pytest.mark.parametrize("softmax", [True, False])
@each_case(array_cases("integrate_2d"))
def test_soft_argmax_of_heatmaps(case: Case, softmax: bool) -> None:
    mode, tolerances = f"softmax_{str(softmax).lower()}", Tolerances(GOLDEN)
    heatmaps = as_tensor(case["heatmaps"])
    found = read_heatmaps(heatmaps, softmax=softmax, multiplier=1.0)
    tolerances.check("soft_argmax_2d_px", found.cells, case[f"coords_{mode}"], "coordinates")
    tolerances.check("heatmaps", found.maps, case[f"maps_{mode}"], "maps")
    if softmax:
        tolerances.check("soft_argmax_2d_px", soft_argmax(heatmaps), case[f"coords_{mode}"], "without a model")


@pytest.mark.parametrize("softmax", [True, False])
@each_case(array_cases("integrate_3d"))
def test_soft_argmax_of_volumes(case: Case, softmax: bool) -> None:
    mode, tolerances = f"softmax_{str(softmax).lower()}", Tolerances(GOLDEN)
    volumes = as_tensor(case["volumes"])
    found = soft_argmax_3d(volumes, as_tensor(case["coords"]), softmax=softmax)
    tolerances.check_of_largest("soft_argmax_3d", found.points_mm, case[f"{mode}.points"], "points")
    tolerances.check("soft_argmax_3d", found.volumes, case[f"{mode}.volumes"], "volumes")
    # Voxel indices are coordinates like any other; a volume that is no distribution has to be made one.
    lines = (torch.arange(n, dtype=volumes.dtype) for n in volumes.shape[-3:])
    indices = torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).expand(len(volumes), -1, -1, -1, -1)
    by_index = soft_argmax_3d(volumes, indices, softmax=softmax)
    total = 1 if softmax else by_index.volumes.sum((-3, -2, -1))[..., None]
    points = by_index.points_mm / total
    tolerances.check_of_largest("soft_argmax_3d", points, case[f"{mode}.index_points"], "index points")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["kernel", "torch"])
@each_case(aggregations(array_cases("unproject")))
def test_unprojection(case: Case, dtype: torch.dtype) -> None:
    maps, P = as_tensor(case["maps"]).to(dtype), as_tensor(case["P"])
    grid_mm, confidences = as_tensor(case["coords"]), as_tensor(case["confidences"]).to(dtype)
    given = confidences if case["aggregation"].startswith("conf") else None
    found = unproject(maps, P, grid_mm, case["aggregation"], confidences=given, sampling="reference")
    Tolerances(GOLDEN).check("unprojection", found, case[case["aggregation"]], case["aggregation"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["kernel", "torch"])
@each_case(array_cases("unproject"))
def test_samples_of_a_single_view(case: Case, dtype: torch.dtype) -> None:
    maps, P, grid_mm = (as_tensor(case[field]) for field in ("maps", "P", "coords"))
    for v in range(maps.shape[1]):
        one = slice(v, v + 1)
        found = unproject(maps[:, one].to(dtype), P[:, one], grid_mm, "softmax", sampling="reference")
        Tolerances(GOLDEN).check("unprojection", found, case["per_view"][:, v], f"view {v}")


@each_case(rotations())
def test_rotation(case: Case) -> None:
    tolerances = Tolerances(GOLDEN)
    matrix = rotation_about(as_tensor(case["axis"]), torch.tensor(case["theta"]))
    np.testing.assert_allclose(matrix, case["matrix"], atol=1e-12, rtol=0)
    rotated = as_tensor(case["coords"]).double() @ matrix.T
    tolerances.check("coordinate_volume_mm", rotated, case["rotated"], "rotated points")


def cube_of(case: Case) -> Cube:
    """The golden description in our words; both exchange the axes for kind cmu and where it is asked."""
    ups: dict[str, Axis] = {"mpii": "z", "coco": "y", "cmu": "y"}
    exchanged = case["kind"] == "cmu" or case["transfer_cmu_to_human36m"]
    return Cube(case["cuboid_side"], case["volume_size"], ups[case["kind"]], exchanged)


@each_case(cubes())
def test_cube(case: Case) -> None:
    tolerances = Tolerances(GOLDEN)
    centre_mm, pose_mm = as_tensor(case["base_point"]), as_tensor(case["keypoints_3d"])[..., :3]
    skeleton = skeleton_of_kind(pose_mm.shape[1], case["kind"])
    root = root_points(pose_mm, torch.ones(pose_mm.shape[:2], dtype=torch.bool), skeleton)
    tolerances.check("coordinate_volume_mm", root.points[:, 0], case["base_point"], "centre")
    grid_mm = cube_of(case).voxel_centres(centre_mm, torch.tensor(case["theta"]).to(centre_mm))
    tolerances.check("coordinate_volume_mm", grid_mm, case["coord_volume"], "voxels")
    corner_mm = centre_mm.double() - case["cuboid_side"] / 2
    tolerances.check("coordinate_volume_mm", corner_mm, case["cuboid_corner"], "corner")
    uniform = torch.zeros(*case["uniform_mean"].shape[:2], *grid_mm.shape[1:4])
    mean_mm = soft_argmax_3d(uniform.double(), grid_mm.double()).points_mm
    # The kept mean was summed in float32, and is itself rounded by more than the tolerance of single voxels.
    torch.testing.assert_close(mean_mm, as_tensor(case["uniform_mean"]).double(), atol=1e-3, rtol=2e-6)
    if "correct_rotated" in case:
        # Where the published system turns about the wrong axis, the right answer is given for the first item.
        angle = torch.tensor(case["correct_rotated_theta"], dtype=torch.float64)
        turned_mm = cube_of(case).voxel_centres(centre_mm[0].double(), angle)
        tolerances.check("coordinate_volume_mm", turned_mm, case["correct_rotated"], "turned voxels")
