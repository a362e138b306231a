"""`trivox weights import`: a published checkpoint in, a model file out, and every mistake one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import trivox
from trivox.cli import main
from trivox.models.algebraic import Algebraic
from trivox.models.configs import config_of
from trivox.models.pose_resnet import PoseResNet

CONFIG = """
kind: "human36m"
image_shape: [256, 192]
model:
  use_confidences: true
  heatmap_multiplier: 100.0
  heatmap_softmax: true
  backbone: {style: "simple", num_joints: 17, num_layers: 18}
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = Algebraic(PoseResNet(18, 17, joint_confidences=True), trivox.SKELETONS["h36m17"])
    torch.save({f"module.{name}": tensor for name, tensor in model.state_dict().items()}, tmp_path / "weights.pth")
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path / "weights.pth"


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_from_the_command_line_and_from_python(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkpoint.parent
    out, config = folder / "a.safetensors", folder / "config.yaml"
    assert run("weights", "import", checkpoint, "--out", out, "--config", config) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    flags = ["--skeleton", "h36m17", "--image-size", 256, 192, "--heatmap-softmax", "on", "--heatmap-multiplier", 100]
    assert run("weights", "import", checkpoint, "--out", folder / "b.safetensors", *flags) == 0
    assert (folder / "b.safetensors").read_bytes() == out.read_bytes()
    ours = trivox.import_weights(checkpoint, folder / "c.safetensors", config=config, heatmap_multiplier=7.0)
    loaded = trivox.load_model(folder / "c.safetensors")
    assert config_of(loaded) == config_of(ours)
    assert isinstance(loaded, Algebraic) and loaded.heatmap_multiplier == 7.0 and loaded.image_hw == (256, 192)


def test_mistakes_are_one_sentence(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkpoint.parent
    out, config = folder / "a.safetensors", folder / "config.yaml"
    (folder / "there.safetensors").write_text("kept")
    (folder / "other.yaml").write_text(CONFIG.replace("num_layers: 18", "num_layers: 152"))
    for arguments, said in (
        ([checkpoint, "--out", out], "state --skeleton, --image-size, --heatmap-softmax, --heatmap-multiplier"),
        ([checkpoint, "--out", out, "--config", folder / "other.yaml"], "depth is stated as 152"),
        ([checkpoint, "--out", out, "--config", folder / "no.yaml"], "there is no file"),
        ([folder / "no.pth", "--out", out, "--config", config], "there is no file"),
        ([config, "--out", out, "--config", config], "nothing in it was run"),
        ([checkpoint, "--out", folder / "a.pth", "--config", config], "ends in .safetensors"),
        ([checkpoint, "--out", folder / "there.safetensors", "--config", config], "not overwritten"),
        ([checkpoint, "--out", out, "--config", config, "--new-head", "volumetric"], "a head of its own"),
    ):
        assert run("weights", "import", *arguments) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    assert not out.exists() and (folder / "there.safetensors").read_text() == "kept"
