"""The state of a run as a file: all of it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from trivox.errors import InputError
from trivox.training.optimization import Averaged
from trivox.training.run_folder import RunFolder, Standing, load_state, save_state


def made(seed: int) -> tuple[nn.Linear, torch.optim.Adam, Averaged]:
    """A network after two steps on numbers of its own."""
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer, averaged = torch.optim.Adam(network.parameters()), Averaged(dict(network.named_parameters()), 0.9)
    for step in range(2):
        network(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        averaged.update(step)
    return network, optimizer, averaged


def test_a_state_comes_back_whole(tmp_path: Path) -> None:
    network, optimizer, averaged = made(0)
    standing = Standing(epoch=3, step_of_epoch=1, step=13, best_mm=12.5)
    save_state(tmp_path / "state.safetensors", network, optimizer, averaged, standing)
    other, its_optimizer, its_averaged = made(1)
    assert load_state(tmp_path / "state.safetensors", other, its_optimizer, its_averaged) == standing
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        own, its = optimizer.state[ours], its_optimizer.state[theirs]
        assert own.keys() == its.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(value, its[kind]) for kind, value in own.items())
    assert all(torch.equal(mean, its_averaged.weights[name]) for name, mean in averaged.weights.items())


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    network, optimizer, averaged = made(0)
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="state.safetensors"):
        load_state(path, network, optimizer, averaged)
    save_state(path, nn.Linear(4, 2), torch.optim.Adam(nn.Linear(4, 2).parameters()), None, Standing())
    with pytest.raises(InputError, match="weight is 2x4, not 2x3"):
        load_state(path, network, optimizer, averaged)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
def test_a_full_disk_under_the_records_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match="cannot write .*metrics.jsonl: No space left on device; make room for it"):
        RunFolder(tmp_path).record({"kind": "training", "step": 1})
