"""Training runs that are stopped, shared and sabotaged, against one that nothing happened to."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from runs import (
    ALGEBRAIC,
    assert_same_run,
    losses,
    picture_paths,
    records,
    tensors_of,
    texts_of,
    write_dataset,
    write_experiment,
)

from trivox.cli import main
from trivox.data.open_labels import load_labels, save_labels
from trivox.data.samples import Sample
from trivox.errors import InputError
from trivox.models.checkpoints import load_model
from trivox.models.movenet import load_movenet
from trivox.train import Run, new_model, train
from trivox.training.board import Board
from trivox.training.experiment_files import load_experiment
from trivox.training.processes import Processes, start
from trivox.training.run_folder import RunFolder
from trivox.training.scoring import HeldOut

SOURCES = Path(__file__).parent.parent.parent / "src"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(dataset: Path) -> Path:
    """The run that all others have to equal."""
    out = dataset.parent / "undisturbed"
    train(write_experiment(dataset.parent / "volumetric.yaml", dataset), out=out)
    assert len(losses(out)) == 8 and len(set(losses(out))) == 8
    return out


def standing_of(run: Path) -> dict[str, Any]:
    """Where its last state stands."""
    return json.loads(texts_of(run / "state.safetensors")["trivox_training"])


def started(words: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *words], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


# Killed from outside after a few steps, and, in a second process that is split off before anything was computed, in the
# middle of a checkpoint. Its fifth file of tensors is a state in the second epoch: after one of step 3, three files of
# epoch 1, two more steps.
KILLED = """
import os, signal, sys
import safetensors.torch
import trivox.train
from trivox.cli import main

whole, calls = safetensors.torch.save_file, []

def torn(tensors, path, metadata=None):
    calls.append(path)
    whole(tensors, path, metadata)
    if len(calls) == 5:
        os.truncate(path, 1000)
        os.kill(os.getpid(), signal.SIGKILL)

experiment, out, saving_experiment, saving_out = sys.argv[1:]
if (saving := os.fork()) == 0:
    safetensors.torch.save_file = torn
    main(["train", saving_experiment, "--out", saving_out])
print(os.WTERMSIG(os.waitpid(saving, 0)[1]), flush=True)
main(["train", experiment, "--out", out])
"""


@dataclass(frozen=True)
class Killed:
    experiment: Path
    out: Path
    saving_experiment: Path
    saving_out: Path


@pytest.fixture(scope="module")
def killed(dataset: Path, undisturbed: Path) -> Killed:
    """Two runs of other processes, killed by SIGKILL: one after three steps or more, one as it saved."""
    folder = dataset.parent
    saving = write_experiment(folder / "saving.yaml", dataset, run__checkpoint_steps=3)
    runs = Killed(folder / "volumetric.yaml", folder / "killed", saving, folder / "killed_saving")
    process = started(["-c", KILLED, *map(str, (runs.experiment, runs.out, runs.saving_experiment, runs.saving_out))])
    metrics = runs.out / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") >= 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    printed, error = process.communicate()
    assert (process.returncode, printed) == (-signal.SIGKILL, f"{int(signal.SIGKILL)}\n"), error
    return runs


def test_killed_and_resumed_is_undisturbed(killed: Killed, undisturbed: Path) -> None:
    written = (killed.out / "metrics.jsonl").read_text().count("\n")
    assert 3 <= written < 10, "it was killed before its end"
    train(killed.experiment, out=killed.out, resume=True)
    assert_same_run(killed.out, undisturbed)


def test_killed_in_the_middle_of_a_checkpoint(killed: Killed, undisturbed: Path) -> None:
    """The one before it is whole, and what was recorded since then is forgotten."""
    out = killed.saving_out
    assert standing_of(out)["step"] == 4
    assert len(losses(out)) == 6 and list(out.glob(".*.safetensors"))
    train(killed.saving_experiment, out=out, resume=True)
    assert_same_run(out, undisturbed)


def uneven(dataset: Path) -> Path:
    """Three rows to score, which two processes cannot share alike, and joints that are known here and not there."""
    labels = load_labels(dataset).selected(np.arange(11))
    labels.valid[0, :9], labels.valid[5, :4], labels.valid[6, 1:11:2] = False, False, False  # hips stay: they are roots
    save_labels(labels, dataset.parent / "uneven.json")
    return dataset.parent / "uneven.json"


# In each of two processes: an experiment that is refused, and then one that is not.
BOTH = """
import sys
from trivox.cli import main

refused, no_out, experiment, out = sys.argv[1:]
try:
    main(["train", refused, "--out", no_out])
except SystemExit as ended:
    print(f"refused: {ended.code}", file=sys.stderr, flush=True)
main(["train", experiment, "--out", out])
"""


@dataclass(frozen=True)
class Pair:
    """What two processes did together."""

    experiment: Path
    out: Path
    no_out: Path
    printed: str
    error: str


@pytest.fixture(scope="module")
def pair(dataset: Path) -> Pair:
    folder = dataset.parent
    # At a small learning rate: Adam divides small gradients by themselves, and a large one spreads rounding.
    experiment = write_experiment(folder / "pair.yaml", uneven(dataset), optimizer__lr=1e-5)
    refused = write_experiment(folder / "live.yaml", dataset, optimizer__batch_norm="live")
    (folder / "both.py").write_text(BOTH)
    words = [folder / "both.py", refused, folder / "no_pair", experiment, folder / "pair"]
    process = started(["-m", "torch.distributed.run", "--nproc_per_node=2", *map(str, words)])
    printed, error = process.communicate()
    assert process.returncode == 0, error
    return Pair(experiment, folder / "pair", folder / "no_pair", printed, error)


def test_two_processes_are_one(pair: Pair, tmp_path: Path) -> None:
    train(pair.experiment, out=tmp_path / "one")
    assert pair.printed.count("trained:") == 1, "one process speaks"
    ours, theirs = records(pair.out), records(tmp_path / "one")
    assert [r["views"] for r in ours] == [r["views"] for r in theirs]
    assert len({r["views"] for r in ours}) == 2, "two and three views"
    for name, first, later in (("loss", 1e-5, 5e-3), ("mpjpe_mm", 1e-5, 5e-3), ("gradient_norm", 0.02, 0.5)):
        assert ours[0][name] == pytest.approx(theirs[0][name], rel=first)
        np.testing.assert_allclose([r[name] for r in ours], [r[name] for r in theirs], rtol=later)
    scores, expected = (records(run, "evaluation") for run in (pair.out, tmp_path / "one"))
    assert [s["poses"] for s in scores] == [s["poses"] for s in expected] == [3, 3]
    assert {path.name for path in pair.out.iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}
    np.testing.assert_allclose([s["score_mm"] for s in scores], [s["score_mm"] for s in expected], rtol=5e-4)
    ours, theirs = (tensors_of(run / "last.safetensors") for run in (pair.out, tmp_path / "one"))
    learned = [name for name in theirs if name.startswith(("volume_net", "process_features")) and "running" not in name]
    torch.manual_seed(3)
    first = new_model(load_experiment(pair.experiment)).state_dict()
    away, moved = (_distance(theirs, other, learned) for other in (ours, first))
    assert away < 0.05 * moved


def test_live_statistics_of_several_processes_are_refused(pair: Pair) -> None:
    said = [line for line in pair.error.splitlines() if line.startswith("trivox: ")]
    assert 1 <= len(said) <= 2 and all("take frozen, or a single process" in line for line in said)
    assert pair.error.count("refused: 2\n") == 2 and not pair.no_out.exists()


def test_only_the_first_process_writes(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = write_experiment(tmp_path / "e.yaml", dataset, run__tensorboard=True, run__picture_steps=1)
    monkeypatch.setattr(Processes, "is_first", property(lambda processes: False))
    train(experiment, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], names: list[str]) -> float:
    return float(torch.stack([(a[name].double() - b[name].double()).square().sum() for name in names]).sum().sqrt())


def test_a_batch_in_parts_is_a_whole_one(dataset: Path, tmp_path: Path) -> None:
    """One step: rounding that turns one ReLU changes the gradient by a thousandth, and every step after it by more."""
    for parts in (1, 2):
        path = write_experiment(
            tmp_path / f"{parts}.yaml", uneven(dataset), optimizer__accumulate=parts, samples_per_epoch=2, epochs=1,
            evaluation__every_epochs=9,
        )  # fmt: skip
        train(path, out=tmp_path / f"in {parts}")
    (whole,), (in_parts,) = (records(tmp_path / f"in {parts}") for parts in (1, 2))
    for name, tolerance in (("loss", 1e-5), ("mpjpe_mm", 1e-5), ("gradient_norm", 0.02)):
        assert in_parts[name] == pytest.approx(whole[name], rel=tolerance)


def test_a_missing_picture_stops_and_keeps_the_state(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost in the middle of the second epoch, whose score is worse: the best model stays that of the first."""
    labels = write_dataset(tmp_path / "data")
    experiment = write_experiment(tmp_path / "e.yaml", labels)
    out = tmp_path / "run"
    lost = picture_paths(load_labels(labels), 5)[0]
    content = lost.read_bytes()
    whole, scores = HeldOut.record, [1.0, 2.0]

    def scored(*given: Any) -> dict[str, Any]:
        lost.unlink()
        return whole(*given) | {"score_mm": scores.pop(0)}

    monkeypatch.setattr(HeldOut, "record", scored)
    with pytest.raises(InputError, match="walk/000002/p.*000002.jpg"):
        train(experiment, out=out)
    kept, best = standing_of(out), (out / "best.safetensors").read_bytes()
    assert 4 < kept["step"] == len(losses(out)) < 8 and kept["best_mm"] == 1.0
    lost.write_bytes(content)
    train(experiment, out=out, resume=True)
    # Labels of another folder, but the same pictures and numbers.
    assert losses(out) == losses(undisturbed)
    assert (out / "best.safetensors").read_bytes() == best and standing_of(out)["best_mm"] == 1.0


def test_where_nothing_was_found_there_is_no_score(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no best model, but a run that goes on."""
    nothing = {"score_mm": None, "protocol": "absolute", "poses": 4}
    monkeypatch.setattr(HeldOut, "record", lambda *given: nothing)
    experiment = load_experiment(write_experiment(tmp_path / "e.yaml", dataset))
    run = Run(experiment, RunFolder(tmp_path / "run"), False)
    run.evaluate_and_save()
    assert "epoch 0: no joint to score by absolute on 4 poses" in capsys.readouterr().err
    assert standing_of(tmp_path / "run")["best_mm"] is None and not run.folder.model("best").exists()


def test_a_full_disk_keeps_the_last_state(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, out = dataset.parent / "volumetric.yaml", tmp_path / "run"
    whole, calls = safetensors.torch.save_file, 0

    def full(tensors, path, metadata=None) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            Path(path).write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(tensors, path, metadata)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(InputError, match="No space left on device; free the space"):
        train(experiment, out=out)
    assert standing_of(out)["step"] == 2 and not list(out.glob(".*"))


def test_a_full_disk_then_goes_on(dataset: Path, undisturbed: Path, tmp_path: Path, monkeypatch) -> None:
    experiment, out = dataset.parent / "volumetric.yaml", tmp_path / "run"
    whole = RunFolder.record

    def full(folder: RunFolder, record) -> None:
        if record["step"] == 4:
            with (folder.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(record)[:30])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(folder, record)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "record", full)
        with pytest.raises(OSError, match="No space left"):
            train(experiment, out=out)
    train(experiment, out=out, resume=True)
    assert_same_run(out, undisturbed)


def test_a_full_disk_under_the_board_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard writes in a thread of its own, which would print a traceback."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(writer: object, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    board = Board(tmp_path, 0)
    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(InputError, match="cannot write into .*: No space left on device; make room"):
        for step in range(100_000):  # it is told late, but not never
            board.numbers("training", {"loss": 1.0}, step)
    board.close()
    assert capfd.readouterr().err == ""


def test_a_loss_that_is_no_number_names_its_sample(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivox.data.open_labels.check_places", lambda *_, **__: None)  # which would refuse the table
    labels = load_labels(dataset)
    labels.points_mm[4, 9] = 1e25  # a wrist; its square has no place in float32
    save_labels(labels, dataset.parent / "broken.json")
    experiment = write_experiment(
        tmp_path / "e.yaml",
        dataset.parent / "broken.json",
        ALGEBRAIC,
        loss={"joints": "mse"},
        evaluation__every_epochs=9,
    )
    with pytest.raises(InputError, match=f"step . the loss .* through {labels.key(4)}; look"):
        train(experiment, out=tmp_path / "run")
    assert len(losses(tmp_path / "run")) < 4, "the state before it is all that is kept"


def test_a_gradient_that_is_no_number_is_not_learned(dataset: Path, tmp_path: Path) -> None:
    """The loss may be sound, and its slope not."""

    class Spoiled(Run):
        def step(self, batch: Sample, waited_s: float) -> None:
            if self.standing.step == 2:
                next(iter(self.parameters.values())).register_hook(lambda slope: slope * torch.inf)
            super().step(batch, waited_s)

    experiment = load_experiment(write_experiment(tmp_path / "e.yaml", dataset))
    run = Spoiled(experiment, RunFolder(tmp_path / "run"), False)
    with pytest.raises(InputError, match="in step 3 the loss or its gradient is no number .* through walk/.*, walk/"):
        run.to_the_end()
    assert all(bool(parameter.isfinite().all()) for parameter in run.parameters.values())
    assert standing_of(run.folder.path)["step"] == 2


def test_frozen_parts_stay(undisturbed: Path) -> None:
    movenet = load_movenet("lightning").state_dict()
    trained = load_model(undisturbed / "last.safetensors").state_dict()
    stayed = [name for name in movenet if f"backbone.{name}" in trained]
    assert len(stayed) > 50
    assert all(torch.equal(movenet[name], trained[f"backbone.{name}"]) for name in stayed)
    # What comes with the package is not stored again.
    assert not any(name.startswith("backbone.trunk") for name in tensors_of(undisturbed / "last.safetensors"))


def test_the_model_of_a_run_has_the_averaged_weights(undisturbed: Path) -> None:
    state, model = tensors_of(undisturbed / "state.safetensors"), load_model(undisturbed / "last.safetensors")
    for name, parameter in model.named_parameters():
        if f"averaged/{name}" in state:
            assert torch.equal(parameter, state[f"averaged/{name}"])
    assert any(not torch.equal(state[f"averaged/{n}"], state[f"model/{n}"]) for n, _ in model.named_parameters()
               if f"averaged/{n}" in state)  # fmt: skip


def test_frozen_statistics_were_measured_and_stay(undisturbed: Path) -> None:
    state = tensors_of(undisturbed / "state.safetensors")
    counts = {int(t) for name, t in state.items() if name.endswith("num_batches_tracked") and "volume_net" in name}
    means = [t for name, t in state.items() if name.endswith("running_mean") and "volume_net" in name]
    assert counts == {4} and all(bool(mean.abs().max() > 0) for mean in means)


def test_the_run_tells_what_made_it(undisturbed: Path) -> None:
    about = json.loads((undisturbed / "run.json").read_text())
    assert about["versions"]["torch"] == torch.__version__ and about["processes"] == 1 and about["seed"] == 3


def test_an_algebraic_run_in_half_precision_and_its_board(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after a step that it showed and did not keep: a resumed run shows every step once."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    experiment = write_experiment(
        tmp_path / "e.yaml", dataset, ALGEBRAIC, epochs=1, run__precision="bf16-mixed", run__tensorboard=True,
        run__picture_steps=4, evaluation__data__cameras=["left", "right"], run__workers=1, run__checkpoint_steps=2,
    )  # fmt: skip
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "step", stopped_at(3))
        train(experiment, out=tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 3 and standing_of(tmp_path / "run")["step"] == 2
    train(experiment, out=tmp_path / "run", resume=True)
    train(experiment, out=tmp_path / "run", resume=True)  # nothing is left to do, and nothing that was shown goes
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    shown = board.Scalars("training/loss")
    assert [event.step for event in shown] == [1, 2, 3, 4]
    np.testing.assert_allclose([event.value for event in shown], losses(tmp_path / "run"), rtol=1e-6)
    assert len(board.Images("heatmaps")) == 1
    assert {"training/data_s", "training/gradient_norm", "training/views", "evaluation/score_mm"} <= set(
        board.Tags()["scalars"]
    )


@pytest.mark.parametrize(("has_it", "taken"), [(False, "32-true"), (True, "bf16-mixed")])
def test_half_precision_is_for_processors_that_have_it(
    has_it: bool, taken: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("trivox.training.processes.has_bfloat16", lambda: has_it)
    written = write_experiment(tmp_path / "e.yaml", dataset, run__precision="bf16-mixed", run__device="cpu")
    assert start(load_experiment(written)).fabric._precision.precision == taken
    assert ("no bfloat16" in capsys.readouterr().err) != has_it


def test_one_view_is_scored_with_a_given_centre(dataset: Path, tmp_path: Path) -> None:
    experiment = write_experiment(
        tmp_path / "e.yaml", dataset, epochs=1, samples_per_epoch=2, views={"min": 1, "max": 1},
        evaluation__data__cameras=["left"], evaluation__protocol="relative",
    )  # fmt: skip
    train(experiment, out=tmp_path / "run")
    (score,) = records(tmp_path / "run", "evaluation")
    assert score["poses"] == 4 and score["score_mm"] == score["relative_mm"] > 0
    assert records(tmp_path / "run")[0]["views"] == 1


@pytest.mark.parametrize(
    ("changes", "resume", "said"),
    [
        ({}, False, "give --resume to go on"),
        ({"loss": {"joints": "mse"}}, True, "begun with another loss.joints;"),
        ({"optimizer__batch_size": 3, "optimizer__accumulate": 2}, True, "take a multiple of 2"),
    ],
)
def test_a_run_is_not_mixed_with_another(
    dataset: Path, undisturbed: Path, tmp_path: Path, changes: dict, resume: bool, said: str
) -> None:
    before = (undisturbed / "state.safetensors").read_bytes()
    with pytest.raises(InputError, match=said):
        train(write_experiment(tmp_path / "e.yaml", dataset, **changes), out=undisturbed, resume=resume)
    assert (undisturbed / "state.safetensors").read_bytes() == before


def stopped_at(step: int) -> Callable[[Run, Sample, float], None]:
    """`Run.step` until Ctrl-C before this one (from 0)."""
    whole = Run.step

    def stopped(run: Run, batch: Sample, waited_s: float) -> None:
        if run.standing.step == step:
            raise KeyboardInterrupt
        whole(run, batch, waited_s)

    return stopped


def test_ctrl_c_tells_how_to_go_on(
    dataset: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    experiment = dataset.parent / "volumetric.yaml"
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as code:
        patch.setattr(Run, "step", stopped_at(3))
        main(["train", str(experiment), "--out", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert code.value.code == 130 and error.count("\n") == 1
    assert "keeps the run up to its last state, and the same command with --resume goes on" in error
    train(experiment, out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", undisturbed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"kind": "labels", "labels": "absent.json"}}, "absent.json"),
        ({"evaluation__protocol": "nonsense"}, "no protocol .nonsense."),
        ({"model__weights": "absent.safetensors"}, "absent.safetensors"),
        ({"data__cameras": ["nobody"]}, "no camera 'nobody'"),
    ],
)
def test_what_does_not_fit_leaves_no_folder_behind(dataset: Path, tmp_path: Path, changes: dict, said: str) -> None:
    """So that the corrected command can take the same one."""
    path = write_experiment(tmp_path / "e.yaml", dataset, **changes)
    with pytest.raises(InputError, match=said):
        train(path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_live_statistics_freeze_when_told(tmp_path: Path) -> None:
    """They move with every step until then, are measured once more, and stay while weights go on learning."""
    path = write_experiment(
        tmp_path / "e.yaml", write_dataset(tmp_path), optimizer__batch_norm="live", optimizer__freeze_after=0.5
    )
    seen: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    class Watched(Run):
        def save_state(self) -> None:
            tensors = self.model.state_dict()
            first = "volume_net.front_layers.0.block"
            mean, weight = tensors[f"{first}.1.running_mean"], tensors[f"{first}.0.weight"]
            seen.append((self.standing.step, mean.clone(), weight.clone()))

    run = Watched(load_experiment(path), RunFolder(tmp_path / "run"), False)
    run.to_the_end()
    half = run.steps // 2
    before = [mean for step, mean, _ in seen if step <= half]
    after = [mean for step, mean, _ in seen if step > half]
    assert len(before) > 2 and len(after) > 2
    assert all(not torch.equal(a, b) for a, b in pairwise(before))
    assert all(torch.equal(a, b) for a, b in pairwise(after)) and not torch.equal(before[-1], after[0])
    assert not torch.equal(seen[-2][2], seen[-3][2])
