"""trivox benchmark: the methods side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from trivox.cli.options import Names, unset


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """RANSAC, linear and learned methods on scenes of the synthetic test world (docs/results.md)."""

    kept: Annotated[Path, arg(metavar="DIR")] = Path("runs/kept")
    """Folder for what the detector says of the scenes; they are drawn where they are not there yet."""
    models: Names = ("algebraic", "volumetric")
    """Model files, or models that come along by name."""
    motion: Annotated[Path | None, unset("DIR")] = None
    """Folder of recorded clips (docs/synthetic.md); without one, motions are made of joint angles."""
    scenes: Annotated[int, arg(metavar="N")] = 80
    """Scenes of each kind; the table of the docs has 80."""
    workers: Annotated[int, arg(metavar="N")] = 2
    """Processes that draw."""
    out: Annotated[Path | None, unset("FILE")] = None
    """JSON file with every number, those of single joints too."""

    def run(self) -> None:
        from trivox.benchmark import benchmark, print_table

        options = {name: getattr(self, name) for name in ("models", "motion", "scenes", "workers", "out")}
        print_table(benchmark(self.kept, **options))
