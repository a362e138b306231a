"""trivox view: results in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional

from trivox.cli.options import Names, Units, Up, unset


@dataclass(frozen=True, kw_only=True)
class View:
    """Look at results in the browser: people in 3D, cameras, pictures, errors (needs trivox[view])."""

    results: Annotated[Positional[tuple[Path, ...]], unset("RESULT [RESULT ...]")]
    """Result folders, or files of poses (.npz, .trc, .csv); several are shown together, each in a colour of its own."""
    truth: Annotated[Path | None, unset("FILE")] = None
    """File of true poses, to stand beside: .npz, .trc or .csv."""
    rig: Annotated[Path | None, unset("RIG")] = None
    """Calibration, for files of poses; a result folder has its own."""
    units: Units = None
    """Unit of the calibration's lengths, where its format does not tell."""
    up: Up = None
    """World axis that points up, where no file tells."""
    videos: Annotated[tuple[Path, ...], unset("VIDEO [VIDEO ...]")] = ()
    """Pictures, where the result does not tell or they have moved: a video or image folder per camera."""
    cameras: Names = ()
    """Camera names in the order of the videos, where the file names do not tell."""
    names: Names = ()
    """Names of the results, in their order; those of their folders unless given."""
    save: Annotated[Path | None, unset("FILE.html")] = None
    """Write the page as one file that opens without trivox and without a network, and end."""
    port: Annotated[int | None, unset("PORT")] = None
    """Where the page is served, on this machine only; the first free port from 8080 unless given."""
    no_browser: Annotated[bool, FlagCreatePairsOff] = False
    """Serve the page without opening a browser."""

    def run(self) -> None:
        try:
            self._view()
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt("stopped before the page was there; nothing was written") from stop

    def _view(self) -> None:
        from trivox.files.calibrations import load_rig
        from trivox.view.page import view

        view(
            *self.results,
            truth=self.truth,
            rig=None if self.rig is None else load_rig(self.rig, units=self.units, up=self.up),
            videos=self.videos,
            cameras=self.cameras,
            names=self.names,
            up=self.up,
            save=self.save,
            port=self.port,
            browser=not self.no_browser,
        )
