"""trivox train and trivox board: a model trained, and its runs looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from trivox.cli.options import unset


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model as an experiment says (docs/training.md); the same command with --resume goes on."""

    experiment: Annotated[Positional[Path], arg(metavar="EXPERIMENT")]
    """YAML file of an experiment: ours (experiments/) or the published system's."""
    out: Annotated[Path | None, unset("DIR")] = None
    """Folder of the run; runs/NAME unless given."""
    override: Annotated[tuple[str, ...], unset("KEY=VALUE [KEY=VALUE ...]")] = ()
    """Settings that go before those of the file: optimizer.lr=1e-4."""
    resume: bool = False
    """Go on with the run in the folder from its last state."""

    def run(self) -> None:
        from trivox.train import train

        out = self.out or Path("runs") / self.experiment.stem
        try:
            last = train(self.experiment, out=out, overrides=self.override, resume=self.resume)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(_how_to_go_on(out)) from stop
        if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
            print(f"trained: {last}; all of the run in {out}, to look at with `trivox board {out}`")


def _how_to_go_on(out: Path) -> str:
    if (out / "state.safetensors").is_file():
        return f"stopped; {out} keeps the run up to its last state, and the same command with --resume goes on from it"
    if out.is_dir():
        return f"stopped before the first state of {out}; the same command with --resume begins it again"
    return "stopped before anything was written; the same command begins again"


@dataclass(frozen=True, kw_only=True)
class ShowBoard:
    """Look at training runs in the browser (TensorBoard)."""

    runs: Annotated[Positional[Path], arg(metavar="DIR")] = Path("runs")
    """Folder of a run, or of many."""
    port: Annotated[int, arg(metavar="PORT")] = 6006
    """Where the page is served, on this machine only."""

    def run(self) -> None:
        from trivox.training.board import serve

        serve(self.runs, self.port)
