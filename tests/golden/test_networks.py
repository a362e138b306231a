"""The three methods, from pictures to joints, against the published system (`golden/networks`, `golden/ransac`)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances, camera_of, cameras_of_projections, read_json, skeleton_of_kind
from golden.collected import GOLDEN, described_cases, each_case, network_arrays, network_cases
from golden.weights_rule import described, fill
from torch import Tensor, nn

from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import root_points
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate
from trivox.geometry.volumes import Cube
from trivox.models.algebraic import Algebraic
from trivox.models.backbones import VOLUME_CHANNELS, BackboneOutput
from trivox.models.pose_resnet import PoseResNet
from trivox.models.profile import REFERENCE
from trivox.models.ransac import Ransac
from trivox.models.v2v import V2V
from trivox.models.volumetric import Volumetric


def filled(network: nn.Module, case: Case) -> nn.Module:
    """The network with the weights of the rule, its tensors being exactly those listed for the case."""
    weights, tensors = weights_of(tuple((name, t.shape) for name, t in network.state_dict().items()), case["salt"])
    assert tensors == case["state_dict"]
    network.load_state_dict(weights)
    return network.eval()


@cache
def weights_of(tensors: tuple[tuple[str, torch.Size], ...], salt: str) -> tuple[dict[str, Tensor], list[Any]]:
    """The weights of the rule, and what they look like; many cases share them."""
    weights = fill({name: torch.empty(shape) for name, shape in tensors}, salt)
    return weights, described(weights)


def inputs_of(arrays: dict[str, Any]) -> tuple[Tensor, Cameras]:
    """RGB pictures in 0..1 and their cameras, from blue-green-red bytes."""
    images = torch.from_numpy(arrays["images"]).flip(-1).movedim(-1, -3) / 255
    return images, camera_of(arrays["R"], arrays["t"], arrays["K"])


@each_case(network_cases("algebraic"))
def test_algebraic(case: Case) -> None:
    joints, arrays, tolerances = case["num_joints"], network_arrays(case), Tolerances(GOLDEN)
    backbone = PoseResNet(
        case["num_layers"],
        joints,
        style=case.get("style", "simple"),
        joint_confidences=case["use_confidences"],
        colours=REFERENCE.colours,
    )
    model = Algebraic(
        backbone,
        skeleton_of_kind(joints),
        use_confidences=case["use_confidences"],
        heatmap_softmax=case["heatmap_softmax"],
        heatmap_multiplier=case["heatmap_multiplier"],
        profile=REFERENCE,
    )
    filled(model, case)
    with torch.no_grad():
        assert backbone.final_layer.bias is not None
        backbone.final_layer.bias += case["final_layer_bias_shift"]
    images, cameras = inputs_of(arrays)
    with torch.inference_mode():
        found = model(images, cameras)
    assert found.points_px is not None and found.view_weights is not None
    check_heatmaps(found, arrays, case)
    tolerances.check("algebraic_keypoints_2d_px", found.points_px, arrays["keypoints_2d"], "joints in the views")
    tolerances.check("confidences", found.view_weights, arrays["alg_confidences"], "confidences")
    tolerances.check("triangulation_float32_mm", found.points_mm, arrays["keypoints_3d"], "joints in float32")
    # Exact ones were made of the 2D joints as stored: what a network's rounding costs depends on the case.
    points_px, weights = (torch.from_numpy(arrays[name]).double() for name in ("keypoints_2d", "alg_confidences"))
    exact = triangulate(points_px, cameras_of_projections(arrays["P"]), weights, homogeneous=True)
    tolerances.check("algebraic_keypoints_3d_double_mm", exact.points_mm, arrays["keypoints_3d_double"], "joints")


def check_heatmaps(found: Triangulated, arrays: dict[str, Any], case: Case) -> None:
    """A tolerance is stated for heatmaps as they leave the backbone; the multiplier widens it, a softmax as a share."""
    assert found.heatmaps is not None
    raw = read_json(GOLDEN / "tolerances.json")["heatmaps"]["atol"]
    widened = raw * max(case["heatmap_multiplier"], 1.0)
    within = {"rtol": widened, "atol": raw} if case["heatmap_softmax"] else {"rtol": 0.0, "atol": widened}
    for ours, name in (
        (found.heatmaps[..., ::2, ::2], "heatmaps_sub"),
        (found.heatmaps.amax((-2, -1)), "heatmaps_max"),
    ):
        expected = torch.from_numpy(arrays[name])
        torch.testing.assert_close(ours, expected, **within, msg=lambda text, name=name: f"{name}: {text}")


def kept(network: nn.Module, what: str, store: dict[str, Tensor]) -> None:
    """Note what goes into a part of a network, and what comes out of it."""

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        store["in"], store["out"] = inputs[0], output

    network.get_submodule(what).register_forward_hook(note)


@each_case(network_cases("volumetric"))
def test_volumetric(case: Case) -> None:
    joints, arrays, tolerances = case["num_joints"], network_arrays(case), Tolerances(GOLDEN)
    given = network_arrays({"case": case["inputs"]})
    aggregation, kind = case["volume_aggregation_method"], case["kind"]
    exchanged = kind == "cmu" or case["transfer_cmu_to_human36m"]
    cube = Cube(case["cuboid_side"], case["volume_size"], exchanged=exchanged)
    backbone = PoseResNet(
        case["num_layers"],
        joints,
        style=case.get("style", "simple"),
        feature_confidences=aggregation.startswith("conf"),
        colours=REFERENCE.colours,
    )
    skeleton = skeleton_of_kind(joints, kind)
    model = Volumetric(
        backbone,
        V2V(VOLUME_CHANNELS, joints),
        skeleton,
        cube,
        aggregation,
        volume_softmax=case["volume_softmax"],
        volume_multiplier=case["volume_multiplier"],
        profile=REFERENCE,
    )
    filled(model, case)
    images, cameras = inputs_of(given)
    pose = torch.from_numpy(given["keypoints_3d_gt" if case["use_gt_pelvis"] else "pred_keypoints_3d"])[..., :3]
    centre_mm = root_points(pose, torch.ones(pose.shape[:2], dtype=torch.bool), skeleton).points[:, 0]
    features: dict[str, Tensor] = {}
    volumes: dict[str, Tensor] = {}
    kept(model, "process_features", features)
    kept(model, "volume_net", volumes)
    with torch.inference_mode():
        found = model(images, cameras, centre_mm=centre_mm)

    maps = features["out"].unflatten(0, images.shape[:2])
    tolerances.check("features", maps[..., ::4, ::4, ::4], arrays["features_sub"], "features")
    tolerances.check("coordinate_volume_mm", centre_mm, arrays["base_points"], "centre")
    grid_mm = cube.voxel_centres(centre_mm)[:, ::4, ::4, ::4]
    tolerances.check("coordinate_volume_mm", grid_mm, arrays["coord_volumes_sub"], "grid")
    unprojected = volumes["in"][:, ::4, ::4, ::4, ::4]
    tolerances.check("unprojection", unprojected, arrays["unprojected_sub"], "unprojected")
    tolerances.check("v2v_out", volumes["out"][..., ::4, ::4, ::4], arrays["v2v_out_sub"], "volume network")
    if "vol_confidences" in arrays:
        assert found.view_weights is not None
        tolerances.check("confidences", found.view_weights, arrays["vol_confidences"], "confidences")
    check_volumes(found, arrays, case)
    tolerances.check_of_largest("volumetric_keypoints_3d_mm", found.points_mm, arrays["keypoints_3d"], "joints")


def check_volumes(found: Triangulated, arrays: dict[str, Any], case: Case) -> None:
    """Nobody states a tolerance for these: a softmax inherits, as a share, the error of the logits."""
    assert found.volumes is not None
    table = read_json(GOLDEN / "tolerances.json")
    of_logits, of_sums = table["v2v_out"]["atol"] * case["volume_multiplier"], table["soft_argmax_3d"]["rtol"]
    within = {"rtol": of_logits, "atol": 1e-9} if case["volume_softmax"] else {"rtol": of_sums, "atol": of_logits}
    sums = found.volumes.double().sum((-3, -2, -1))
    for ours, name in (
        (found.volumes[..., ::4, ::4, ::4], "volumes_sub"),
        (found.volumes.amax((-3, -2, -1)), "volumes_max"),
        (sums, "volumes_sum"),
    ):
        expected = torch.from_numpy(arrays[name]).to(ours.dtype)
        torch.testing.assert_close(ours, expected, **within, msg=lambda text, name=name: f"{name}: {text}")


class Stored(nn.Module):
    """A backbone that has its answer ready."""

    stride, feature_channels = 4, 1

    def __init__(self, heatmaps: Tensor) -> None:
        super().__init__()
        self.heatmaps, self.joints = heatmaps, heatmaps.shape[-3]

    def forward(self, images: Tensor) -> BackboneOutput:
        heatmaps = self.heatmaps.flatten(0, 1)
        return BackboneOutput(heatmaps, heatmaps[:, :1])


@pytest.mark.parametrize("refine", [False, True], ids=["linear", "refined"])
@each_case(described_cases("ransac", "heatmaps"))
def test_ransac(case: Case, refine: bool) -> None:
    heatmaps = torch.from_numpy(case["heatmaps"].astype(np.float64))
    skeleton = skeleton_of_kind(heatmaps.shape[2])
    images = torch.zeros(*heatmaps.shape[:2], 3, *np.broadcast_to(case["image_size"], 2))
    model = Ransac(Stored(heatmaps), skeleton, refine=refine, profile=REFERENCE)
    found = model(images, cameras_of_projections(case["P"]))
    assert torch.equal(found.inliers, torch.from_numpy(case["inliers"]))
    expected = case["keypoints_3d_refined" if refine else "keypoints_3d_linear"].astype(np.float64)
    Tolerances(GOLDEN).check("ransac_from_heatmaps_mm", found.points_mm, expected, "joints")
