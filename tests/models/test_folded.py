"""Folding changes nothing: not the results, not the network it was made from, whichever way it computes."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from golden.weights_rule import fill
from torch import Tensor, nn

from trivox.models import folded as module
from trivox.models.backbones import ConfidenceHead
from trivox.models.folded import FoldedConvolution, folded
from trivox.models.pose_resnet import PoseResNet
from trivox.models.v2v import V2V


class Both(nn.Module):
    """A model that holds others, as the methods do, and a convolution of its own between them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = PoseResNet(18, 3, joint_confidences=True)
        self.process_features = nn.Sequential(nn.Conv2d(256, 4, 1))
        self.volume_net = V2V(4, 3, width=4, depth=2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        output = self.backbone(images)
        features = self.process_features(output.features)
        volume = features[..., ::4, ::4, None].expand(-1, -1, -1, -1, 8)
        return {
            "heatmaps": output.heatmaps,
            "confidences": output.joint_confidences,
            "volumes": self.volume_net(volume),
        }


NETWORKS = {
    "basic": lambda: (PoseResNet(18, 3, joint_confidences=True, feature_confidences=True), (3, 128, 160)),
    "bottleneck": lambda: (PoseResNet(50, 3), (3, 64, 96)),
    "caffe": lambda: (PoseResNet(18, 3, style="caffe", colours="bgr"), (3, 64, 64)),
    "v2v": lambda: (V2V(5, 3, width=8, depth=2), (5, 8, 12, 4)),
    "head": lambda: (ConfidenceHead(7, 3), (7, 4, 6)),
    "both": lambda: (Both(), (3, 128, 128)),
}


@cache
def filled(name: str) -> tuple[nn.Module, Tensor]:
    network, shape = NETWORKS[name]()
    network.load_state_dict(fill(network.state_dict(), "test"))
    return network.eval(), torch.rand(2, *shape, generator=torch.Generator().manual_seed(2))


def tensors(output) -> dict[str, Tensor]:
    if isinstance(output, Tensor):
        return {"output": output}
    named = output if isinstance(output, dict) else vars(output)
    return {name: value for name, value in named.items() if value is not None}


@pytest.mark.parametrize("way", ["oneDNN", "plain"])
@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_the_same(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "oneDNN" and not module._has_onednn(torch.zeros(1)):
        pytest.skip("this build of PyTorch comes without oneDNN")
    if way == "plain":
        monkeypatch.setattr(module, "_has_onednn", lambda weight: False)
    network, given = filled(name)
    fast = folded(network)
    assert not any(isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d) for part in fast.modules())
    assert all(c.state != "plain" for c in fast.modules() if isinstance(c, FoldedConvolution)) == (way == "oneDNN")
    with torch.inference_mode():
        for batch in (given, given[:1]):
            expected, found = tensors(network(batch)), tensors(fast(batch))
            for key, value in expected.items():
                torch.testing.assert_close(found[key], value, atol=1e-4 * value.std().item() + 1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_is_near_and_answers_in_float32(name: str) -> None:
    network, given = filled(name)
    fast = folded(network, torch.bfloat16)
    with torch.inference_mode():
        expected, found = tensors(network(given)), tensors(fast(given))
    for key, value in expected.items():
        assert found[key].dtype == torch.float32, key
        error = (found[key] - value).square().mean().sqrt()
        # Eight bits of mantissa, and errors that add up over the layers.
        assert error < 0.1 * value.std() + 2**-8, key


def test_the_network_itself_stays_as_it_was() -> None:
    network, given = filled.__wrapped__("both")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded(network.train())(given)
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
