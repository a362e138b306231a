"""The golden datasets as ours: tables, options and samples in the conventions of the published system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.cases import Case, Tolerances, read_json
from golden.collected import GOLDEN

from trivox.data.dataset import DatasetOptions, PoseDataset
from trivox.data.human36m import read_human36m_npy
from trivox.data.labels import Labels
from trivox.data.panoptic import read_panoptic_npy
from trivox.data.samples import Sample
from trivox.data.splits import read_split, rows_of_parts
from trivox.geometry.skeletons import H36M_17, MPII_16, PANOPTIC_19
from trivox.models.profile import REFERENCE

DATASETS = GOLDEN / "datasets"
SKELETONS = {"human36m": H36M_17, "mpii": MPII_16, "cmu": PANOPTIC_19}


def expected_cases(name: str) -> dict[str, Case]:
    """Described cases of one dataset by name, each with its dataset."""
    path = DATASETS / f"{name}_expected.json"
    return {case["case"]: case | {"dataset": name} for case in read_json(path)} if path.is_file() else {}


def golden_json(name: str) -> list[Case]:
    """The described cases of one file; none where the folder lacks it."""
    path = GOLDEN / name
    return read_json(path) if path.is_file() else []


def label_files(pattern: str) -> dict[str, Case]:
    """Label files below the datasets, by their place."""
    return {path.relative_to(DATASETS).as_posix(): {"path": path} for path in sorted(DATASETS.rglob(pattern))}


def arrays_of(path: Path, case: str) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return {key[len(case) + 1 :]: arrays[key] for key in arrays.files if key.startswith(f"{case}.")}


def one_file(pattern: str) -> Path:
    """The first label file by name: they hold the same table in several pickles."""
    found = sorted(DATASETS.glob(pattern))
    if not found:
        pytest.fail(f"{DATASETS} holds no {pattern}")
    return found[0]


def table_of(dataset: str) -> Labels:
    if dataset == "human36m":
        return read_human36m_npy(
            one_file("human36m/extra/human36m-multiview-labels*.npy"), DATASETS / "human36m/processed"
        )
    return read_panoptic_npy(one_file("panoptic/cmu-multiview-labels*.npy"), DATASETS / "panoptic")


def rows_of(labels: Labels, options: dict[str, Any]) -> np.ndarray:
    parts = [part for part in ("train", "test") if options.get(part)]
    split = options.get("frames_split")
    return rows_of_parts(
        labels,
        parts,  # type: ignore[arg-type]
        split=None if split is None else read_split(DATASETS / "panoptic" / split),
        with_damaged_actions=options.get("with_damaged_actions", False),
        retain_every_n_frames_in_test=options.get("retain_every_n_frames_in_test", 1),
    )


def dataset_of(labels: Labels, options: dict[str, Any], rows: np.ndarray) -> PoseDataset:
    """Cameras in the pixel origin of the published system, pictures with its bytes."""
    # Human3.6M's options count cameras, Panoptic's have their numbers.
    named: Callable[[int], str]
    named = (lambda i: labels.camera_names[i]) if labels.name == "human36m" else (lambda i: f"00_{i:02}")
    size = options.get("image_shape")
    ours = DatasetOptions(
        choose_cameras=tuple(named(i) for i in options.get("choose_cameras", [])),
        ignore_cameras=tuple(named(i) for i in options.get("ignore_cameras", [])),
        square_bbox=options.get("square_bbox", True),
        scale_bbox=options.get("scale_bbox", 1.0),
        undistort_images=options.get("undistort_images", False),
        crop=options.get("crop", True),
        image_hw=None if size is None else (size[0], size[1]),
        pixels="opencv",
    )
    converted = labels.converted(SKELETONS[options["kind"]])
    return PoseDataset(converted.with_cameras(REFERENCE.recorded(converted.cameras)).selected(rows), ours)


def picture_bgr(sample: Sample, view: int) -> np.ndarray:
    """One picture (h, w, 3) in whole grey levels, channels as the published system stores them."""
    assert sample.cameras.image_hw is not None
    h, w = sample.cameras.image_hw[view].tolist()
    levels = (sample.images[view, :, :h, :w] * 255).round().byte()
    return np.ascontiguousarray(levels.flip(0).movedim(0, -1).numpy())


def assert_within(tolerances: Tolerances, kind: str, ours: np.ndarray, theirs: np.ndarray, what: str) -> None:
    """`tolerances.json` for numpy arrays."""
    limit = tolerances.table[kind]
    np.testing.assert_allclose(ours, theirs, atol=limit["atol"], rtol=limit["rtol"], err_msg=what)


def assert_projections(tolerances: Tolerances, ours: np.ndarray, theirs: np.ndarray, what: str) -> None:
    """Projection matrices, relative to the largest of each row: K R is a difference of numbers of that size, and the
    published K is rounded to float32."""
    rtol = tolerances.table["label_projection_matrices"]["rtol"]
    largest = np.abs(theirs).max(-1, keepdims=True)
    assert ours.shape == theirs.shape and (np.abs(ours - theirs) <= rtol * largest).all(), what
