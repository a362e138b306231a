"""Training: the loop, whole and in the open.

    trivox train experiments/human36m_volumetric.yaml --out runs/volumetric
    torchrun --nproc_per_node=2 -m trivox train ...          # the same on two GPUs, or two processes
    trivox train ... --resume                                # go on after anything that stopped it

A run is its experiment: every random number follows from the seed, the epoch and the row, none from what a process did
before. So an interrupted run that goes on has the losses of one that was not, and several processes that share a batch
have those of one that takes it whole. docs/training.md tells what that rests on.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trivox.base.work import alone_in
from trivox.data.samples import Sample
from trivox.errors import InputError
from trivox.models.checkpoints import save_model
from trivox.models.configs import Model
from trivox.progress import progress, say
from trivox.training.augmentation import varied_cubes
from trivox.training.board import Board
from trivox.training.config import Experiment, LabelData
from trivox.training.experiment_files import load_experiment
from trivox.training.kept import KeptBatches, KeptScenes
from trivox.training.kept_rows import KeptRows
from trivox.training.labelled import LabelledBatches
from trivox.training.new_models import new_model
from trivox.training.objective import Answering, Found, Question, Shared, answered, keys_without_number, losses_of
from trivox.training.optimization import (
    Averaged,
    freeze_what_stays,
    freezing_step,
    learning,
    learns,
    make_optimizer,
    measuring,
    norms_of,
    rate_factor,
    set_rates,
)
from trivox.training.processes import Processes, start
from trivox.training.rendered import RenderedBatches
from trivox.training.run_folder import RunFolder, Standing, load_state, save_state
from trivox.training.scoring import HeldOut

_MEASURED_BATCHES = 4  # whose statistics new batch norms are frozen with
_MEASURED_AGAIN = 64  # and those that were live before, whose batches differ in their number of views


def train(
    experiment: Experiment | Path | str,
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    resume: bool = False,
) -> Path:
    """Train what `experiment` (or the file of one, with `overrides` such as "optimizer.lr=1e-4") says, into `out`.

    Returns the path of the last model. `resume` goes on with the run in `out`, from its last state, or from the
    beginning where it has none yet. Raises `InputError` for anything that does not fit, for data that cannot be read
    and for a loss that is no number; the last state is kept then.
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(Path(experiment), overrides)
    folder = RunFolder(Path(out))
    writes = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun
    with alone_in(folder.path if writes else None), closing(Run(experiment, folder, resume)) as run:
        run.to_the_end()
    return folder.model("last")


class Run:
    """A run from where it stands to its last epoch."""

    def __init__(self, experiment: Experiment, folder: RunFolder, resume: bool) -> None:
        self.experiment, self.folder = experiment, folder
        self.processes = start(experiment)
        goes_on = resume and folder.state.is_file()
        is_new = not goes_on and not (resume and folder.holds_something())
        self._first(folder.refuse_what_is_there if is_new else lambda: folder.refuse_another(experiment))
        torch.manual_seed(experiment.seed)  # new weights
        self.model = new_model(experiment)
        groups = freeze_what_stays(self.model, experiment.optimizer)
        self.model.to(self.processes.fabric.device)
        self.batches = batches_of(experiment, self.model, self.processes)
        self.steps = len(self.batches) * experiment.epochs
        options = experiment.evaluation
        self.held_out = (
            None if options is None else HeldOut(options, self.model, self.processes, experiment.run.workers)
        )
        if is_new:  # nothing is written before all has been found to fit
            self._first(lambda: folder.begin(experiment, self.processes.size))
        if not goes_on:
            self._freeze_statistics()
        self.parameters = {name: p for members in groups.values() for name, p in members.items()}
        ema = experiment.optimizer.ema
        self.averaged = None if ema is None else Averaged(self.parameters, ema)
        self.optimizer = make_optimizer(groups, experiment.optimizer)
        self.standing = Standing()
        if goes_on:
            self.standing = load_state(folder.state, self.model, self.optimizer, self.averaged)
        if self.processes.is_first:
            folder.tidy(self.standing.step)
        self.answering, self.wrapped_optimizer = self._wrapped()
        writes_board = self.processes.is_first and experiment.run.tensorboard
        self.board = Board(folder.path / "tensorboard", self.standing.step) if writes_board else None

    def to_the_end(self) -> None:
        """Epoch after epoch: steps, an evaluation, what there is to keep."""
        with progress("training", self.steps, self.standing.step, unit="steps") as advance:
            while self.standing.epoch < self.experiment.epochs:
                for batch in timed(self.batches.epoch(self.standing.epoch, self.standing.step_of_epoch)):
                    self.step(batch.content, batch.waited_s)
                    self.standing = replace(
                        self.standing, step=self.standing.step + 1, step_of_epoch=self.standing.step_of_epoch + 1
                    )
                    advance(1)
                    is_last = self.standing.step_of_epoch == len(self.batches)
                    if self.standing.step % self.experiment.run.checkpoint_steps == 0 and not is_last:
                        self.save_state()
                self.standing = replace(self.standing, epoch=self.standing.epoch + 1, step_of_epoch=0)
                self.evaluate_and_save()

    def step(self, batch: Sample, waited_s: float) -> None:
        """Forward, loss, backward, clip, step, log."""
        begun, experiment, step = time.perf_counter(), self.experiment, self.standing.step
        fabric, options = self.processes.fabric, experiment.optimizer
        self._freeze_when_due()
        learning(self.model, step < freezing_step(self.steps, options))
        set_rates(self.wrapped_optimizer, rate_factor(step, self.steps, options))
        batch = batch.to(fabric.device)
        whole = self.counts(batch)
        parts = parts_of(batch, options.accumulate)
        sums: dict[str, Tensor] = {}
        for number, part in enumerate(parts):
            with fabric.no_backward_sync(self.answering, enabled=number < len(parts) - 1):
                found = self.answering(question_of(part, experiment, self.standing.epoch))
                losses = losses_of(found, part, experiment.loss, whole)
                self.check(losses["loss"], part, found)
                # Gradients are averaged over processes, but the parts of a batch have to be added up.
                fabric.backward(losses["loss"] * self.processes.size)
            sums = {name: sums.get(name, 0.0) + value.detach() for name, value in losses.items()}
        norm = nn.utils.clip_grad_norm_(list(self.parameters.values()), options.clip or math.inf)
        self.check(norm, batch, {})
        self.wrapped_optimizer.step()
        self.wrapped_optimizer.zero_grad()
        if self.averaged is not None:
            self.averaged.update(step)
        self.log(batch, sums, float(norm), waited_s, time.perf_counter() - begun)

    def counts(self, batch: Sample) -> Shared:
        """Joints of the whole batch, over all processes."""
        local = torch.tensor([float(batch.valid.sum()), float(batch.valid.numel())], dtype=torch.float64)
        valid, joints = self.processes.summed(local).tolist()
        return Shared(valid, joints)

    def check(self, value: Tensor, batch: Sample, found: Found) -> None:
        """Stop, all processes together, where the loss or the gradient is no number; say which samples did it."""
        is_wrong = not bool(value.isfinite())
        if not float(self.processes.summed(torch.tensor(float(is_wrong)))):
            return
        named = keys_without_number(found, batch, self.experiment.loss) if is_wrong and found else []
        keys = self.processes.joined(named or list(batch.key) if is_wrong else [])
        raise InputError(
            f"in step {self.standing.step + 1} the loss or its gradient is no number (NaN or infinite), through "
            f"{', '.join(keys[:16])}; look at these samples, or take a smaller learning rate or optimizer.clip. The "
            f"last state is kept in {self.folder.path}, and --resume goes on from it"
        )

    def log(self, batch: Sample, sums: dict[str, Tensor], norm: float, waited_s: float, computed_s: float) -> None:
        """Losses of the whole batch, how long it took, and now and then pictures."""
        run, step = self.experiment.run, self.standing.step
        if step % run.log_steps == 0:
            summed = self.processes.summed(torch.stack([value.double() for value in sums.values()]))
            record = {"kind": "training", "step": step + 1, "epoch": self.standing.epoch}
            record |= dict(zip(sums, summed.tolist(), strict=True))
            record |= {f"lr_{group['name']}": group["lr"] for group in self.optimizer.param_groups}
            record |= {"gradient_norm": norm, "views": batch.present.shape[1]}
            record |= {"data_s": waited_s, "compute_s": computed_s, "memory_mb": self.processes.peak_memory_mb()}
            if self.processes.is_first:
                self.record("training", record)
        if self.board is not None and step % run.picture_steps == 0:
            self.draw(batch[:1])

    @torch.no_grad()
    def draw(self, batch: Sample) -> None:
        """Pictures of a batch for the board."""
        assert self.board is not None
        self.model.eval()
        question = question_of(batch, self.experiment, self.standing.epoch)
        self.board.pictures(
            batch.to("cpu"), answered(self.model, question), self.model.skeleton, self.standing.step + 1
        )

    def evaluate_and_save(self) -> None:
        """The score with averaged weights where there are some; the models to keep, and then the state."""
        standing, options = self.standing, self.experiment.evaluation
        with nullcontext() if self.averaged is None else self.averaged.in_place():
            score_mm = None
            is_due = options is not None and (
                standing.epoch % options.every_epochs == 0 or standing.epoch == self.experiment.epochs
            )
            if self.held_out is not None and is_due:
                record = self.held_out.record(self.model, self.processes)
                score_mm = record["score_mm"]
                if self.processes.is_first:
                    self.record(
                        "evaluation", {"kind": "evaluation", "step": standing.step, "epoch": standing.epoch, **record}
                    )
                    said = "no joint to score" if score_mm is None else f"{score_mm:.2f} mm"
                    say(f"epoch {standing.epoch}: {said} by {record['protocol']} on {record['poses']} poses")
            is_best = score_mm is not None and (standing.best_mm is None or score_mm < standing.best_mm)
            if is_best:
                self.standing = replace(standing, best_mm=score_mm)
            if self.processes.is_first:
                save_model(self.model, self.folder.model("last"))
                if is_best:
                    save_model(self.model, self.folder.model("best"))
        self.save_state()

    def save_state(self) -> None:
        if self.processes.is_first:
            save_state(self.folder.state, self.model, self.optimizer, self.averaged, self.standing)
        self.processes.fabric.barrier()

    def record(self, group: str, record: dict[str, Any]) -> None:
        self.folder.record(record)
        if self.board is not None:
            self.board.numbers(group, record, record["step"])

    def close(self) -> None:
        if self.board is not None:
            self.board.close()

    def _first(self, act: Callable[[], None]) -> None:
        """The first process acts, and all stop where it has to."""
        said = ""
        if self.processes.is_first:
            try:
                act()
            except InputError as error:
                said = str(error)
        if sentences := [sentence for sentence in self.processes.joined([said]) if sentence]:
            raise InputError(sentences[0])

    def _freeze_statistics(self) -> None:
        """Give new batch norms the statistics of a few batches, before they are frozen."""
        new = [norm for norm in norms_of(self.model) if int(cast(Tensor, norm.num_batches_tracked)) == 0]
        if self.experiment.optimizer.batch_norm == "frozen" and new:
            self._measure(new, _MEASURED_BATCHES)

    def _freeze_when_due(self) -> None:
        """Statistics that were live are measured once more, with the weights of now, and stay."""
        options = self.experiment.optimizer
        if options.batch_norm == "live" and self.standing.step == freezing_step(self.steps, options):
            self._measure([norm for norm in norms_of(self.model) if learns(norm)], _MEASURED_AGAIN)

    @torch.no_grad()
    def _measure(self, norms: list[_BatchNorm], count: int) -> None:
        """The mean statistics of the first batches of an epoch, the same in every process."""
        self.model.eval()
        batches = batches_of(self.experiment, self.model, Processes(self.processes.fabric, 0, 1))
        with measuring(norms):
            for batch, _ in zip(batches.epoch(0), range(count), strict=False):
                Answering(self.model)(question_of(batch.to(self.processes.fabric.device), self.experiment, 0))

    def _wrapped(self) -> tuple[Any, Any]:
        if self.processes.size > 1 and self.experiment.optimizer.batch_norm == "live":
            self.model = cast(Model, nn.SyncBatchNorm.convert_sync_batchnorm(cast(nn.Module, self.model)))
        return self.processes.fabric.setup(Answering(self.model), self.optimizer)


def batches_of(
    experiment: Experiment, model: Model, processes: Processes
) -> LabelledBatches | RenderedBatches | KeptBatches:
    """Batches of the experiment's data, the share of this process."""
    data, share = experiment.data, (processes.rank, processes.size)
    if data.kept is None:
        if isinstance(data, LabelData):
            return LabelledBatches(experiment, data, model, *share)
        return RenderedBatches(experiment, data, model, *share)
    vary, seed = experiment.augmentation, experiment.seed
    is_labelled = isinstance(data, LabelData)
    kept = KeptRows.to_learn_from(data, model, vary, seed) if is_labelled else KeptScenes(data, model, vary, seed)
    return KeptBatches(experiment, kept.drawn(processes, experiment.run.workers), *share)


def question_of(batch: Sample, experiment: Experiment, epoch: int) -> Question:
    """A batch, with cubes where and how they stand in this epoch."""
    where = varied_cubes(batch.centre_mm, batch.row, experiment.augmentation, (experiment.seed, epoch))
    return Question(batch, *where)


def parts_of(batch: Sample, count: int) -> list[Sample]:
    """The batch in equal parts."""
    size = len(batch.row) // count
    return [batch[i * size : (i + 1) * size] for i in range(count)]


@dataclass(frozen=True)
class Timed:
    """A batch, and how long it was waited for."""

    content: Sample
    waited_s: float


def timed(batches: Iterator[Sample]) -> Iterator[Timed]:
    while True:
        begun = time.perf_counter()
        try:
            batch = next(batches)
        except StopIteration:
            return
        yield Timed(batch, time.perf_counter() - begun)
