"""The table's numbers: what a mean, a ratio and an interval have to be; the two plain methods on perfect heatmaps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models.tiny import STRIDE, logits_of, scene

from trivox.benchmark import INSTANTS, Errors, benchmark, linear, ransac, ransac_of_peaks, rows_of
from trivox.data.samples import Sample
from trivox.errors import InputError
from trivox.geometry.heatmaps import cell_from_pixel
from trivox.models.backbones import BackboneOutput


def errors(values: torch.Tensor) -> Errors:
    return Errors(values, values / 2, torch.ones_like(values, dtype=torch.bool))


def test_ratios_and_bounds() -> None:
    values = torch.rand(10 * INSTANTS, 17, generator=torch.Generator().manual_seed(0)) * 50 + 10
    rows = {row.method: row for row in rows_of("clean", 4, {"ransac": errors(values), "half": errors(values / 2)})}
    assert rows["ransac"].ratio == rows["ransac"].ratio_low == rows["ransac"].ratio_high == 1
    for bound in (rows["half"].ratio, rows["half"].ratio_low, rows["half"].ratio_high):
        assert abs(bound - 0.5) < 1e-6
    row = rows["ransac"]
    assert abs(row.absolute_mm - float(values.mean())) < 1e-3 and abs(row.relative_mm - row.absolute_mm / 2) < 1e-3
    assert row.low_mm < row.absolute_mm < row.high_mm
    # The interval of a mean over scenes is about 1.96 standard errors to both sides.
    of_scenes = values.unflatten(0, (10, INSTANTS)).mean((1, 2))
    width = 2 * 1.96 * float(of_scenes.std()) / 10**0.5
    assert 0.6 < (row.high_mm - row.low_mm) / width < 1.3


def test_joints_that_one_method_misses_count_for_none() -> None:
    good, missing = errors(torch.full((INSTANTS, 17), 10.0)), errors(torch.full((INSTANTS, 17), 10.0))
    missing.found[:, 3] = False
    missing.absolute_mm[:, 3] = 1e6
    rows = rows_of("clean", 2, {"ransac": good, "other": missing})
    assert [row.absolute_mm for row in rows] == [10.0, 10.0]
    assert [round(row.found, 4) for row in rows] == [1.0, round(16 / 17, 4)]


def test_plain_methods_find_what_perfect_answers_show() -> None:
    images, cameras, truth_mm = scene(4, image_hw=(256, 256))
    heatmaps = logits_of(truth_mm, cameras, (256, 256)).float()
    present = torch.ones(2, 4, dtype=torch.bool)
    places = cell_from_pixel(cameras.project(truth_mm[:, None]), STRIDE).float()
    looked = BackboneOutput(heatmaps, heatmaps, scores=torch.ones(2, 4, 17), places=places)
    batch = Sample(
        images=images[..., :0, :0], present=present, cameras=cameras, boxes_px=torch.zeros(2, 4, 4, dtype=torch.long),
        points_mm=truth_mm.float(), valid=torch.ones(2, 17, dtype=torch.bool), centre_mm=torch.zeros(2, 3),
        has_centre=present[:, 0], row=torch.arange(2), key=("a", "b"), looked=looked,
    )  # fmt: skip
    cell_mm = STRIDE * float((cameras.depth_mm(truth_mm[:, None]) / cameras.K[..., 0, 0, None]).mean())
    for method, within_mm in ((linear, 0.1), (ransac, 0.1), (ransac_of_peaks, cell_mm / 2)):
        found = method(batch)
        assert bool(found.valid.all())
        assert float((found.points_mm - truth_mm).norm(dim=-1).mean()) < within_mm


def test_models_that_see_through_another_network_are_refused(tmp_path: Path) -> None:
    for models, scenes, what in ((("ransac-lightning",), 1, "another backbone"), ((), 0, "0 scenes")):
        with pytest.raises(InputError, match=what):
            benchmark(tmp_path, models=models, scenes=scenes)
    assert not any(tmp_path.iterdir())
