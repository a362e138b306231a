"""The folder of a training run: what was asked for, with what it was computed, how it went, and where it stands.

    experiment.yaml          the whole experiment, defaults included
    run.json                 versions of the code and of all it stands on, machine, processes
    metrics.jsonl            one record per line: of training (step), of evaluation (epoch)
    state.safetensors        where the run stands: weights, optimizer, averages, counters; one file, so never torn
    last.safetensors         the model after the last epoch, for `trivox evaluate` and `predict`
    best.safetensors         the model with the best score so far
    tensorboard/             the same, to look at: `trivox board`

Every file is written whole or not at all, and nothing in it is pickled.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.models.weights import check_tensors, read_safetensors, write_safetensors
from trivox.training.config import Experiment
from trivox.training.experiment_files import changed_keys, load_experiment, plain, written
from trivox.training.optimization import Averaged

_PACKAGES = (
    "trivox",
    "torch",
    "numpy",
    "lightning-fabric",
    "opencv-python-headless",
    "safetensors",
    "simplejpeg",
    "anny",
)
_PROGRESS = "trivox_training"
# May differ when a run goes on: it does not change what is learned.
_FREE = ("run.", "title")


@dataclass(frozen=True)
class Standing:
    """How far a run has come: whole epochs, steps in the next one and in all, and the best score so far."""

    epoch: int = 0
    step_of_epoch: int = 0
    step: int = 0
    best_mm: float | None = None


class RunFolder:
    """The files of one run. Only one process writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    def model(self, name: str) -> Path:
        return self.path / f"{name}.safetensors"

    def holds_something(self) -> bool:
        """Whether it is there, and not a folder that is empty but for hidden files."""
        if not self.path.is_dir():
            return self.path.exists()
        return any(not path.name.startswith(".") for path in self.path.iterdir())

    def refuse_what_is_there(self) -> None:
        """Raise `InputError` where a new run would mix with something."""
        if self.holds_something():
            raise InputError(f"{self.path} holds something already; give --resume to go on with it, or another folder")

    def begin(self, experiment: Experiment, processes: int) -> None:
        """Claim a new folder. Raises `InputError` where something is in it."""
        self.refuse_what_is_there()
        self._write("experiment.yaml", written(experiment))
        about = {"versions": versions(), "code": code_version(), "python": platform.python_version()}
        about |= {"machine": platform.platform(), "processes": processes, "seed": experiment.seed}
        self._write("run.json", json.dumps(about, indent=2) + "\n")

    def refuse_another(self, experiment: Experiment) -> None:
        """Raise `InputError` where the folder holds no run, or one of another experiment."""
        path = self.path / "experiment.yaml"
        if not path.is_file():
            raise InputError(f"{self.path} holds no training run to go on with; leave --resume out to begin one")
        changed = changed_keys(plain(load_experiment(path)), plain(experiment))
        if changed := [key for key in changed if not key.startswith(_FREE)]:
            raise InputError(
                f"{self.path} was begun with another {', '.join(changed[:8])}; give the same one, or another folder"
            )

    def tidy(self, step: int) -> None:
        """Forget what was recorded after `step`, and files that a killed process left half written."""
        for name in ("*.safetensors", "metrics.*.jsonl", "run.*.json", "experiment.*.yaml"):
            for leftover in self.path.glob(f".{name}"):
                leftover.unlink()
        kept = [line for line in self._lines() if line["step"] <= step]
        self._write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))

    def record(self, record: Mapping[str, Any]) -> None:
        """One more line of metrics.jsonl. Raises `InputError` where it cannot be written."""
        path = self.path / "metrics.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise InputError(
                f"cannot write {path}: {error.strerror or error}; make room for it, and the same command with --resume "
                "goes on from the last state"
            ) from error

    def _lines(self) -> list[dict[str, Any]]:
        """The records, but for a last one that a killed process left half written."""
        path = self.path / "metrics.jsonl"
        text = path.read_text("utf-8") if path.is_file() else ""
        lines = text.split("\n")[:-1]  # the last piece has no line end: it is empty, or half a record
        return [json.loads(line) for line in lines]

    def _write(self, name: str, text: str) -> None:
        with atomic_write(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def save_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, averaged: Averaged | None, standing: Standing
) -> None:
    """Everything that the next step depends on, in one file."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in _learned(model):
        for kind, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{name}/{kind}"] = value
    if averaged is not None:
        tensors |= {f"averaged/{name}": mean for name, mean in averaged.weights.items()}
    write_safetensors(path, tensors, {_PROGRESS: json.dumps(asdict(standing))})


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, averaged: Averaged | None) -> Standing:
    """Put everything back. Raises `InputError` for a damaged file, or one of another model."""
    stored = read_safetensors(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "averaged": {}}
    for name, tensor in stored.tensors.items():
        kind, _, rest = name.partition("/")
        if kind not in parts or _PROGRESS not in stored.texts:
            raise InputError(f"{path} is no state of a training run; begin the run again in another folder")
        parts[kind][rest] = tensor
    check_tensors(parts["model"], model.state_dict(), path, "this experiment")
    model.load_state_dict(parts["model"])
    if averaged is not None:
        check_tensors(parts["averaged"], averaged.weights, path, "the averaged weights of this experiment")
        for name, mean in averaged.weights.items():
            mean.copy_(parts["averaged"][name])
    _fill_optimizer(optimizer, model, parts["optimizer"])
    return Standing(**json.loads(stored.texts[_PROGRESS]))


def _fill_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    for name, parameter in _learned(model):
        prefix = f"{name}/"
        kinds = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if kinds:  # Adam counts its steps on the CPU
            optimizer.state[parameter] = {
                kind: value if kind == "step" else value.to(parameter.device) for kind, value in kinds.items()
            }


def _learned(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def versions() -> dict[str, str]:
    """Of every package whose version may change a result."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_version() -> str | None:
    """The commit that the sources stand on, with "-dirty" where they were changed; None outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
