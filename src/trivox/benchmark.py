"""The methods side by side on scenes of the synthetic test world: one table, the same detections for all of them.

    trivox benchmark --kept runs/kept --out benchmark.json

Bodies, clothes, rigs, rooms and clips of that world are in no training (synthetic/test_world.json). Every sample has
eight cameras, of which 2, 3, 4 or all are taken; the frozen MoveNet looks at each picture once, and every method gets
what it said. Scenes are what varies independently, so intervals are bootstrapped over scenes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from trivox.base.atomic import atomic_write
from trivox.data.samples import Sample, collate
from trivox.errors import InputError
from trivox.evaluate_model import ask, placed
from trivox.geometry.skeletons import COCO_17, Skeleton, converted, root_points
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate
from trivox.models.backbones import STRIDE, BackboneOutput, MoveNetBackbone
from trivox.models.checkpoints import load_model
from trivox.models.configs import Model
from trivox.models.profile import TRIVOX
from trivox.models.ransac import seen_points
from trivox.progress import progress
from trivox.synthetic.scene import Occlusion
from trivox.training.baseline import HUBER_PX, THRESHOLD_PX, always_answered
from trivox.training.config import Augmentation, RenderedData
from trivox.training.kept import KeptScenes, KeptSceneSamples
from trivox.training.rendered import check_up, chosen

SetName = Literal["clean", "occluded"]
SETS: dict[SetName, Occlusion] = {"clean": "none", "occluded": "heavy"}
VIEWS = (2, 3, 4, 8)
SCENES, INSTANTS = 80, 4

Method = Callable[[Sample], Triangulated]
_IMAGE_HW = (256, 256)  # of the pictures that Thunder looks at
_BATCH = 16
_DRAWS = 2000  # of a bootstrap


def samples_of(name: SetName, kept: Path, motion: Path | None = None, scenes: int = SCENES) -> KeptScenes:
    """A test set as MoveNet Thunder sees it, kept below `kept`; drawn by `.draw(workers)` where it is not there yet."""
    data = RenderedData(
        world="test",
        scenes=scenes,
        instants=INSTANTS,
        fps=1.0,
        cameras=(VIEWS[-1], VIEWS[-1]),
        occlusion=(SETS[name],),
        motion=motion,
        kept=kept / f"test-{name}",
    )
    return KeptScenes(data, load_model("ransac-thunder"), Augmentation(), 0)


def seen_in(batch: Sample) -> tuple[Float[Tensor, "B V J 2"], Float[Tensor, "B V J"]]:
    """Where MoveNet sees the joints, in pixels of the crops, and its scores, 0 where a view is missing."""
    looked = cast(BackboneOutput, batch.looked).map(lambda t: t.float())
    assert looked.scores is not None
    points_px = seen_points(looked, _IMAGE_HW, STRIDE, TRIVOX)
    return points_px, torch.where(batch.present[..., None], looked.scores, 0.0)


def linear(batch: Sample) -> Triangulated:
    """All views, weighed by their scores, then refined robustly."""
    points_px, scores = seen_in(batch)
    return triangulate(points_px, batch.cameras.to(torch.float32), scores, refine=True, huber_px=HUBER_PX)


def ransac(batch: Sample, threshold_px: float = THRESHOLD_PX, huber_px: float = HUBER_PX) -> Triangulated:
    """All pairs, weighed by scores, refined; where no two views agree, the weighted linear point: it always answers."""
    points_px, scores = seen_in(batch)
    cameras = batch.cameras.to(torch.float32)
    return always_answered(points_px, cameras, scores, threshold_px=threshold_px, huber_px=huber_px)


def ransac_of_peaks(batch: Sample) -> Triangulated:
    """The same of the highest value of each heatmap, as the published method has it."""
    looked = cast(BackboneOutput, batch.looked)
    highest = torch.sigmoid(looked.heatmaps.float().amax((-2, -1)))
    return ransac(replace(batch, looked=replace(looked, places=None, scores=highest)))


def by_model(model: Model) -> Method:
    """A model as a method: it finds the place of its cubes itself, and every joint that it places counts."""

    def method(batch: Sample) -> Triangulated:
        found = ask(model, batch)
        return replace(found, valid=placed(model, found))

    return method


@dataclass(frozen=True)
class Errors:
    """Distances to the truth of N samples and J joints in mm: in space, and after the roots are laid together."""

    absolute_mm: Float[Tensor, "N J"]
    relative_mm: Float[Tensor, "N J"]
    found: Bool[Tensor, "N J"]


@torch.inference_mode()
def errors_of(methods: Mapping[str, tuple[Method, Skeleton]], kept: KeptScenes, views: int) -> dict[str, Errors]:
    """Errors of every method in COCO's 17 joints, with so many views of each sample, the same ones for all."""
    samples = KeptSceneSamples(kept)
    parts: dict[str, list[Errors]] = {name: [] for name in methods}
    with progress(f"{kept.folder.name}, {views} views", len(samples), unit="samples") as advance:
        for first in range(0, len(samples), _BATCH):
            rows = range(first, min(first + _BATCH, len(samples)))
            batch = collate([chosen(samples[row], views, (0,)) for row in rows])
            truth = converted(batch.points_mm, batch.valid, samples.skeleton, COCO_17)
            for name, (method, skeleton) in methods.items():
                found = method(batch)
                ours = converted(found.points_mm.float(), found.valid, skeleton, COCO_17)
                parts[name].append(_errors(ours.points, ours.valid, truth.points))
            advance(len(rows))
    return {
        name: Errors(*(torch.cat([getattr(part, field) for part in of_batches]) for field in Errors.__annotations__))
        for name, of_batches in parts.items()
    }


def _errors(points_mm: Tensor, valid: Tensor, truth_mm: Tensor) -> Errors:
    everywhere = torch.ones_like(valid)
    own = root_points(points_mm, valid, COCO_17)
    true = root_points(truth_mm, everywhere, COCO_17)
    absolute = (points_mm - truth_mm).norm(dim=-1)
    relative = ((points_mm - own.points) - (truth_mm - true.points)).norm(dim=-1)
    return Errors(absolute, relative, valid & own.valid)


@dataclass(frozen=True)
class Row:
    """One method in one setting. `low`, `high` bound 95 % of the bootstrap; ratios are to RANSAC on the same scenes."""

    test_set: str
    views: int
    method: str
    absolute_mm: float
    low_mm: float
    high_mm: float
    relative_mm: float
    median_mm: float
    ratio: float
    ratio_low: float
    ratio_high: float
    found: float
    per_joint_mm: dict[str, float]


def rows_of(test_set: str, views: int, errors: Mapping[str, Errors]) -> list[Row]:
    """The numbers of every method. Joints count where all methods found them, which is nearly everywhere."""
    shared = torch.stack([e.found for e in errors.values()]).all(0)
    baseline = _of_scenes(errors["ransac"].absolute_mm, shared)
    rows = []
    for name, e in errors.items():
        own = _of_scenes(e.absolute_mm, shared)
        mean, ratio = _bootstrapped(own, baseline)
        per_joint = (e.absolute_mm * shared).sum(0) / shared.sum(0).clamp_min(1)
        rows.append(
            Row(
                test_set,
                views,
                name,
                own.mean,
                *mean,
                float(e.relative_mm[shared].mean()),
                float(e.absolute_mm[shared].median()),
                own.mean / baseline.mean,
                *ratio,
                float(e.found.float().mean()),
                dict(zip(COCO_17.names, per_joint.tolist(), strict=True)),
            )
        )
    return rows


@dataclass(frozen=True)
class _OfScenes:
    sums: np.ndarray
    counts: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / max(self.counts.sum(), 1))


def _of_scenes(error_mm: Tensor, counted: Tensor) -> _OfScenes:
    def summed(values: Tensor) -> np.ndarray:
        return values.double().sum(-1).unflatten(0, (-1, INSTANTS)).sum(-1).numpy()

    return _OfScenes(summed(torch.where(counted, error_mm, 0.0)), summed(counted))


def _bootstrapped(own: _OfScenes, baseline: _OfScenes) -> tuple[tuple[float, float], tuple[float, float]]:
    """Bounds of 95 % for the mean, and for the ratio of the means over the same scenes."""
    draws = np.random.default_rng(0).integers(0, len(own.sums), (_DRAWS, len(own.sums)))
    means = own.sums[draws].sum(1) / np.maximum(own.counts[draws].sum(1), 1)
    ratios = own.sums[draws].sum(1) / baseline.sums[draws].sum(1)
    low_high = [tuple(np.percentile(values, [2.5, 97.5]).tolist()) for values in (means, ratios)]
    return cast("tuple[tuple[float, float], tuple[float, float]]", tuple(low_high))


def _with_thunder(name: str | Path) -> Model:
    """A model that sees through the network whose answers are kept. Raises `InputError` for another one."""
    model = load_model(name)
    backbone = model.backbone
    if not isinstance(backbone, MoveNetBackbone) or backbone.name != "thunder" or not backbone.is_bundled():
        raise InputError(f"{name} has another backbone than MoveNet Thunder as it was published; use trivox evaluate")
    check_up(model)
    return model


def methods_of(models: Mapping[str, Model]) -> dict[str, tuple[Method, Skeleton]]:
    """RANSAC, that of peaks alone, linear, and the models."""
    own: dict[str, Method] = {"ransac": ransac, "ransac-peaks": ransac_of_peaks, "linear": linear}
    plain = {name: (method, COCO_17) for name, method in own.items()}
    return plain | {name: (by_model(model), model.skeleton) for name, model in models.items()}


def benchmark(
    kept: Path | str,
    *,
    models: Sequence[str | Path] = ("algebraic", "volumetric"),
    motion: Path | str | None = None,
    scenes: int = SCENES,
    workers: int = 2,
    out: Path | str | None = None,
) -> list[Row]:
    """The table. `models` are names of models that come along, or files of models with MoveNet Thunder.

    `kept` is the folder for what the detector says of the test scenes, which are drawn where they are not there yet;
    `motion` the folder of recorded clips, without which motions are made of joint angles. `out` is a JSON file.
    """
    if scenes < 1:
        raise InputError(f"{scenes} scenes make no table; give a number from 1 up")
    methods = methods_of({Path(model).stem: _with_thunder(model) for model in models})
    rows: list[Row] = []
    for name in SETS:
        test_set = samples_of(name, Path(kept), None if motion is None else Path(motion), scenes)
        test_set.draw(workers)
        for views in VIEWS:
            rows += rows_of(name, views, errors_of(methods, test_set, views))
    if out is not None:
        with atomic_write(Path(out)) as temporary:
            temporary.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return rows


def print_table(rows: Sequence[Row]) -> None:
    """MPJPE by views, method and set, with the ratio to RANSAC."""
    table = Table(title="MPJPE in mm (95 %), and the ratio to RANSAC on the same detections")
    for heading in ("scenes", "views", "method", "absolute", "relative", "median", "ratio", "found"):
        table.add_column(heading, justify="left" if heading in ("scenes", "method") else "right")
    for row in rows:
        table.add_row(
            row.test_set,
            str(row.views),
            row.method,
            f"{row.absolute_mm:.1f} ({row.low_mm:.1f}-{row.high_mm:.1f})",
            f"{row.relative_mm:.1f}",
            f"{row.median_mm:.1f}",
            f"{row.ratio:.2f} ({row.ratio_low:.2f}-{row.ratio_high:.2f})",
            f"{100 * row.found:.1f} %",
            end_section=row.method == rows[-1].method,
        )
    Console(width=110).print(table)
