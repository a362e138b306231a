"""PoseResNet and V2V against the published system (`golden/networks`)."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances
from golden.collected import GOLDEN, each_case, network_arrays, network_cases
from golden.weights_rule import described, fill

from trivox.models.pose_resnet import PoseResNet
from trivox.models.v2v import V2V


@each_case(network_cases("backbone"))
def test_backbone(case: Case) -> None:
    network = PoseResNet(
        case["num_layers"],
        case["num_joints"],
        style=case["style"],
        joint_confidences=case["alg_confidences"],
        feature_confidences=case["vol_confidences"],
        colours="bgr",
    ).eval()
    filled = fill(network.state_dict(), case["salt"])
    assert described(filled) == case["state_dict"]
    network.load_state_dict(filled)
    arrays, tolerances = network_arrays(case), Tolerances(GOLDEN)
    with torch.inference_mode():
        output = network(torch.from_numpy(arrays["images"]).flip(-1).movedim(-1, 1) / 255)
    tolerances.check("heatmaps", output.heatmaps, arrays["heatmaps"], "heatmaps")
    tolerances.check("features", output.features[:, ::8, ::2, ::2], arrays["features_sub"], "features")
    for name, ours in (("alg", output.joint_confidences), ("vol", output.feature_confidences)):
        assert (ours is not None) == case[f"{name}_confidences"] == (f"{name}_confidences" in arrays)
        if ours is not None:
            tolerances.check("confidences", ours, arrays[f"{name}_confidences"], f"{name} confidences")


@pytest.mark.parametrize("innermost", ["channels", "voxels"])
@each_case(network_cases("v2v"))
def test_v2v(case: Case, innermost: str) -> None:
    network = V2V(case["input_channels"], case["output_channels"]).eval()
    filled = fill(network.state_dict(), case["salt"])
    assert described(filled) == case["state_dict"]
    network.load_state_dict(filled)
    arrays, tolerances = network_arrays(case), Tolerances(GOLDEN)
    generator = np.random.default_rng(case["input_rng_seed"])
    given = generator.standard_normal(case["input_shape"]).astype(np.float32)
    assert zlib.crc32(given.tobytes()) == arrays["input_crc32"]
    volumes = torch.from_numpy(given)
    if innermost == "channels":
        volumes = volumes.contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode():
        logits = network(volumes)
    tolerances.check("v2v_out", logits[..., ::4, ::4, ::4], arrays["out_sub"], "every fourth voxel")
    tolerances.check("v2v_out", logits[0, 0], arrays["out_first_joint"], "first joint")
