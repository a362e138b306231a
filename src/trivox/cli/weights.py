"""trivox weights: checkpoints of the published system made into model files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from trivox.cli.options import Skeleton, Up, one_of, unset

Aggregation = Literal["sum", "max", "softmax", "conf", "conf_norm"]
Switch = Annotated[Literal["on", "off"] | None, unset("{on,off}")]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Make a model file of a published checkpoint; what its tensors do not tell has to be stated."""

    action: Annotated[Positional[Literal["import"]], arg(metavar="import")]
    """What to do."""
    path: Annotated[Positional[Path], arg(metavar="PATH")]
    """Checkpoint (.pth) of a backbone, an algebraic or a volumetric model."""
    out: Annotated[Path, arg(metavar="FILE")]
    """Model file to write (.safetensors); it carries its own config."""
    config: Annotated[Path | None, unset("YAML")] = None
    """The config that the checkpoint was trained with; the options below go before it."""
    new_head: Annotated[Literal["algebraic", "volumetric"] | None, unset("{algebraic,volumetric}")] = None
    """Put the backbone under a new, untrained head (a backbone alone makes a RANSAC model)."""
    skeleton: Skeleton = None
    """Joints that the network was trained for."""
    style: Annotated[Literal["simple", "caffe"] | None, unset("{simple,caffe}")] = None
    """Where its bottlenecks take their stride."""
    image_size: Annotated[tuple[int, int] | None, unset("HEIGHT WIDTH")] = None
    """Size of the pictures it was trained with."""
    refine: Switch = None
    """RANSAC: minimise the reprojection error at the end."""
    use_confidences: Switch = None
    """Algebraic: weigh views by learned confidences."""
    heatmap_softmax: Switch = None
    """Algebraic: softmax of heatmaps (on), or their positive part."""
    heatmap_multiplier: Annotated[float | None, unset("NUMBER")] = None
    """Algebraic: factor of heatmaps before that."""
    aggregation: Annotated[Aggregation | None, unset(one_of(Aggregation))] = None
    """Volumetric: how views are joined in a voxel."""
    cube_side_mm: Annotated[float | None, unset("MM")] = None
    """Volumetric: edge of the cube."""
    cube_size: Annotated[int | None, unset("N")] = None
    """Volumetric: voxels along an edge."""
    up: Up = None
    """Volumetric: vertical of the world it was trained in."""
    exchanged: Switch = None
    """Volumetric: voxel axes turned as for CMU Panoptic."""
    volume_softmax: Switch = None
    """Volumetric: softmax of volumes (on), or their positive part."""
    volume_multiplier: Annotated[float | None, unset("NUMBER")] = None
    """Volumetric: factor of volumes before that."""

    def run(self) -> None:
        from trivox.import_weights import import_weights

        files = ("action", "path", "out", "config", "new_head")
        stated = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in files}
        switches = {"on": True, "off": False}
        stated = {name: switches.get(value, value) for name, value in stated.items()}
        import_weights(self.path, self.out, config=self.config, new_head=self.new_head, **stated)
        print(f"wrote {self.out}")
