"""The same training on a GPU as on the CPU. Runs where there is a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import ALGEBRAIC, VOLUMETRIC, losses, records, write_dataset, write_experiment

from trivox.geometry.volumes import Cube
from trivox.geometry.volumes.unprojection import Aggregation, unproject
from trivox.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: torch.cuda finds none here")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("content", [VOLUMETRIC, ALGEBRAIC], ids=["volumetric", "algebraic"])
def test_training_is_that_of_the_cpu(dataset: Path, content: dict[str, Any], tmp_path: Path) -> None:
    """At a small learning rate, as Adam spreads rounding; TF32 would round far more, so it is off."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        for device in ("cpu", "cuda"):
            changes = {"run__device": device, "optimizer__lr": 1e-5, "epochs": 1}
            train(write_experiment(tmp_path / f"{device}.yaml", dataset, content, **changes), out=tmp_path / device)
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert len(losses(tmp_path / "cuda")) == 4
    np.testing.assert_allclose(losses(tmp_path / "cuda"), losses(tmp_path / "cpu"), rtol=1e-3)
    scores = [records(tmp_path / device, "evaluation")[0]["score_mm"] for device in ("cuda", "cpu")]
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)


def test_half_precision_stays_near(dataset: Path, tmp_path: Path) -> None:
    for precision in ("32-true", "bf16-mixed"):
        changes = {"run__device": "cuda", "run__precision": precision, "optimizer__lr": 1e-5, "epochs": 1}
        train(write_experiment(tmp_path / f"{precision}.yaml", dataset, **changes), out=tmp_path / precision)
    np.testing.assert_allclose(losses(tmp_path / "bf16-mixed"), losses(tmp_path / "32-true"), rtol=0.05)
    assert losses(tmp_path / "bf16-mixed") != losses(tmp_path / "32-true")


def test_an_interrupted_run_goes_on(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Atomics of the GPU add in any order, so it is equal but for rounding."""
    from trivox.train import Run

    changes = {"run__device": "cuda", "optimizer__lr": 1e-5}
    experiment = write_experiment(tmp_path / "e.yaml", dataset, **changes)
    train(experiment, out=tmp_path / "whole")
    step = Run.step

    def stopped(run: Run, *given: Any) -> None:
        if run.standing.step == 5:
            raise KeyboardInterrupt
        step(run, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(experiment, out=tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 5
    train(experiment, out=tmp_path / "run", resume=True)
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(tmp_path / "whole"), rtol=1e-3)


@pytest.mark.parametrize("aggregation", ["sum", "max", "softmax", "conf", "conf_norm"])
def test_volumes_are_those_of_the_cpu(aggregation: Aggregation) -> None:
    """Another code: the kernel there, torch's operations here. Gradients too."""
    from rigs import ring

    generator = torch.Generator().manual_seed(0)
    cameras = ring(3, distortion=(-0.1, 0.02, 1e-3, -5e-4, 0.0)).resized((24, 32)).expanded(2, 3)
    maps = torch.randn(2, 3, 4, 24, 32, generator=generator)
    confidences = torch.rand(2, 3, 4, generator=generator)
    grid_mm = Cube(2000.0, 8).voxel_centres(torch.tensor([[0.0, 0.0, 900.0], [100.0, -50.0, 1000.0]]))
    found = []
    for device in ("cpu", "cuda"):
        own = maps.to(device).requires_grad_()
        volume = unproject(own, cameras.to(device), grid_mm.to(device), aggregation, confidences=confidences.to(device))
        volume.square().sum().backward()
        assert own.grad is not None and volume.device.type == device
        found.append((volume.detach().cpu(), own.grad.cpu()))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
