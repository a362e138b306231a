"""The command line, put together. Same names as in Python; every mistake of input is one sentence and exit code 2.

Commands are dataclasses, a file for each family of them: fields are the options, the texts under the fields the help.
What a command needs is imported when it runs, so that `trivox --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Annotated, Protocol

import tyro
from tyro.conf import AvoidSubcommands, OmitSubcommandPrefixes, subcommand

from trivox.cli.benchmark import Benchmark
from trivox.cli.calibration import Calibration
from trivox.cli.datasets import Dataset, Prepare
from trivox.cli.doctor import Doctor
from trivox.cli.evaluate import Evaluate
from trivox.cli.export import Export
from trivox.cli.pictures import Draw, MakeReport
from trivox.cli.predict import Demo, Predict, Smooth, Triangulate
from trivox.cli.synth import Synth
from trivox.cli.train import ShowBoard, Train
from trivox.cli.view import View
from trivox.cli.weights import Weights
from trivox.errors import InputError

Command = OmitSubcommandPrefixes[
    AvoidSubcommands[
        Annotated[Predict, subcommand("predict")]
        | Annotated[Triangulate, subcommand("triangulate")]
        | Annotated[Smooth, subcommand("smooth")]
        | Annotated[Calibration, subcommand("calibration")]
        | Annotated[Doctor, subcommand("doctor")]
        | Annotated[Weights, subcommand("weights")]
        | Annotated[Prepare, subcommand("prepare")]
        | Annotated[Dataset, subcommand("dataset")]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Export, subcommand("export")]
        | Annotated[Draw, subcommand("draw")]
        | Annotated[MakeReport, subcommand("report")]
        | Annotated[Train, subcommand("train")]
        | Annotated[ShowBoard, subcommand("board")]
        | Annotated[Benchmark, subcommand("benchmark")]
        | Annotated[Demo, subcommand("demo")]
        | Annotated[Synth, subcommand("synth")]
        | Annotated[View, subcommand("view")]
    ]
]


class Runnable(Protocol):
    """Any command, with its options."""

    def run(self) -> None: ...


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `trivox`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file name that the terminal's encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if arguments is None else arguments
    run = _print_version if list(words) == ["--version"] else lambda: _parsed(words).run()
    sys.exit(_guarded(run))


_DESCRIPTION = """\
Synchronized, calibrated videos of people in, 3D joints in millimetres out.
`trivox --version` tells which trivox this is."""


def _parsed(
    arguments: Sequence[str],
) -> (
    Predict
    | Triangulate
    | Smooth
    | Calibration
    | Doctor
    | Weights
    | Prepare
    | Dataset
    | Evaluate
    | Export
    | Draw
    | MakeReport
    | Train
    | ShowBoard
    | Benchmark
    | Demo
    | Synth
    | View
):
    return tyro.cli(Command, prog="trivox", description=_DESCRIPTION, args=arguments)  # pyright: ignore


def _print_version() -> None:
    from importlib.metadata import version

    print(f"trivox {version('trivox')}")


def _guarded(run: Callable[[], None]) -> int:
    """Run a command; the user's mistakes are one sentence on the error stream and code 2, Ctrl-C is code 130."""
    try:
        run()
        sys.stdout.flush()
    except InputError as error:
        return _failed(str(error))
    except BrokenPipeError:
        # Whoever read our output (`| head`) has seen enough. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # What the file system says of odd paths: too long a name, no permission to look.
        where = "" if error.filename is None else f"{error.filename}: "
        return _failed(f"{where}{error.strerror or error}; check the path")
    except KeyboardInterrupt as stop:
        usual = "stopped; files that are done are kept, and the same command continues or begins again"
        print(f"trivox: {str(stop) or usual}", file=sys.stderr)
        return 130
    return 0


def _failed(sentence: str) -> int:
    print(f"trivox: {sentence}", file=sys.stderr)
    return 2
