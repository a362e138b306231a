"""trivox calibration: show, convert or check a calibration."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from trivox.cli.options import Units, WithRig, unset
from trivox.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Show(WithRig):
    """Tell what a calibration holds: sizes, focal lengths, positions, distortion."""

    def run(self) -> None:
        from trivox.calibration_report import show

        print(show(self.load_rig()))


@dataclass(frozen=True, kw_only=True)
class Convert(WithRig):
    """Write a calibration in another format."""

    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """File to write; its name decides the format unless --format does."""
    format: Annotated[str | None, unset("NAME")] = None
    """Format to write (docs/formats.md)."""
    out_units: Units = None
    """Unit to write, for formats that leave it open."""
    fit_lenses: bool = False
    """Fit lenses that the format cannot say by others, where they agree within 0.1 px all over the picture."""

    def run(self) -> None:
        from trivox.calibration_report import check
        from trivox.files.calibrations import save_rig
        from trivox.progress import say

        _refuse_to_overwrite(self.out)
        rig = self.load_rig()
        for note in (*rig.notes, *check(rig).faults):
            say(note)
        save_rig(rig, self.out, format=self.format, units=self.out_units, fit_lenses=self.fit_lenses)
        print(f"wrote {self.out}")


@dataclass(frozen=True, kw_only=True)
class Check(WithRig):
    """Look for faults in a calibration. Exit code 1 where there are any."""

    def run(self) -> None:
        from trivox.calibration_report import check, lenses

        rig = self.load_rig()
        findings = check(rig)
        print(lenses(rig))
        for sentence in (*findings.faults, *findings.remarks):
            print(sentence)
        if findings.faults:
            sys.exit(1)
        print(f"{self.rig}: no faults found")


@dataclass(frozen=True)
class Calibration:
    """Show, convert or check a calibration."""

    command: (
        Annotated[Show, subcommand("show")]
        | Annotated[Convert, subcommand("convert")]
        | Annotated[Check, subcommand("check")]
    )

    def run(self) -> None:
        self.command.run()


def _refuse_to_overwrite(out: Path) -> None:
    """EasyMocap writes a pair of files: into the folder `out`, or beside the one of them that `out` names."""
    pair = ("intri.yml", "extri.yml")
    folder = out.parent if out.name in pair else out
    for path in (out, *(folder / name for name in pair)):
        if path.is_file():
            raise InputError(f"{path} exists and is not overwritten; remove it, or choose another name")
