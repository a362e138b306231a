"""trivox export: 3D results for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from trivox.cli.options import Up, unset

# What to do with a file in the program that most people open it with.
_NEXT = {
    ".trc": "OpenSim: File > Preview Experimental Data",
    ".c3d": "Mokka, Vicon Nexus, Visual3D",
    ".bvh": "Blender: File > Import > Motion Capture (.bvh), scale 0.01",
    ".glb": "Blender: File > Import > glTF 2.0, or drop it on https://gltf-viewer.donmccurdy.com",
    ".gltf": "Blender: File > Import > glTF 2.0",
    ".parquet": "pandas.read_parquet, polars.read_parquet, DuckDB",
}


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write 3D results for other programs: OpenSim, Blender, motion capture, data frames (docs/exports.md)."""

    result: Annotated[Positional[Path], arg(metavar="RESULT")]
    """Result folder, or a file of poses (.npz, .trc, .csv)."""
    to: Annotated[tuple[str, ...], unset("{trc,c3d,bvh,csv,json,parquet,glb,gltf,npz} [...]")] = ()
    """Formats, one or several; not needed where --out ends in one. c3d and parquet need trivox[export]."""
    out: Annotated[Path | None, unset("FILE|DIR")] = None
    """File or folder to write; beside the result unless given."""
    up: Up = None
    """World axis that points up, where the result does not tell."""

    def run(self) -> None:
        from trivox.export import export

        written = export(self.result, to=self.to, out=self.out, up=self.up)
        for path in written:
            print(f"wrote {path}")
        for suffix in dict.fromkeys(path.suffix for path in written):
            if suffix in _NEXT:
                print(f"open the {suffix} with {_NEXT[suffix]}")
