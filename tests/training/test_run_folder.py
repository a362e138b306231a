"""The state of a run as a file: all of it comes back."""

from __future__ import annotations

import errno
import json
import os
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


def test_a_disk_that_is_full_while_records_are_forgotten_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, whole = RunFolder(tmp_path), Path.write_text
    for step in (1, 2, 3):
        folder.record({"kind": "training", "step": step})
    before = (tmp_path / "metrics.jsonl").read_bytes()

    def full(path: Path, text: str, **given: str) -> None:
        whole(path, text[:10], **given)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left on device; free the space"):
        patch.setattr(Path, "write_text", full)
        folder.tidy(2)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    folder.tidy(2)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_a_folder_with_nothing_but_hidden_files_is_free(tmp_path: Path) -> None:
    """A process that was killed before it wrote anything leaves one, and file managers do."""
    (tmp_path / ".experiment.7.yaml").write_text("half a fi")
    RunFolder(tmp_path).refuse_what_is_there()
    (tmp_path / "experiment.yaml").write_text("a whole one")
    with pytest.raises(InputError, match="holds something already"):
        RunFolder(tmp_path).refuse_what_is_there()


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path) -> None:
    """Files of every kind that a run writes; what somebody else has put there stays."""
    for name in (".state.7.safetensors", ".metrics.7.jsonl", ".run.7.json", ".experiment.7.yaml", ".notes"):
        (tmp_path / name).write_text("half a fi")
    RunFolder(tmp_path).tidy(0)
    assert {path.name for path in tmp_path.iterdir()} == {".notes", "metrics.jsonl"}
