"""trivox doctor: what is wrong with a rig, told from the people in its videos."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from trivox.cli.options import Names, WithRig, unset
from trivox.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Doctor(WithRig):
    """Find out what is wrong with a calibration or recording, and in which camera (then: exit code 1)."""

    videos: Annotated[Positional[tuple[Path, ...]], unset("VIDEO [VIDEO ...] | KEYPOINTS [KEYPOINTS ...] | RESULT")]
    """One video, image folder or file of 2D joints per camera, named like the cameras; or one result folder."""
    cameras: Names = ()
    """Camera names in the order of the videos, where the file names do not tell; comes after the videos."""
    write_rig: Annotated[Path | None, unset("FILE")] = None
    """Calibration to write, corrected (.toml and other formats, docs/formats.md)."""
    write_offsets: Annotated[Path | None, unset("FILE")] = None
    """JSON to write: how many frames later each camera's video must be read."""

    def run(self) -> None:
        from trivox.base.atomic import atomic_write
        from trivox.doctor.examination import doctor, report_text
        from trivox.files.calibrations import save_rig

        for path in (self.write_rig, self.write_offsets):
            if path is not None and path.exists():
                raise InputError(f"{path} exists and is not overwritten; remove it, or choose another name")
        if not self.videos:
            raise InputError("no video is given; give one per camera, or one result folder, before --cameras")
        report = doctor(self.load_rig(), self.videos, cameras=self.cameras or None)
        print(report_text(report))
        if self.write_rig is not None:
            save_rig(report.rig, self.write_rig)
            print(f"wrote {self.write_rig}")
        if self.write_offsets is not None:
            with atomic_write(self.write_offsets) as temporary:
                temporary.write_text(json.dumps({"later_by_frames": report.offsets_frames}, indent=2) + "\n")
            print(f"wrote {self.write_offsets}")
        if report.findings:
            sys.exit(1)
        print(f"{self.rig}: nothing found")
