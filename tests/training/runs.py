"""A dataset small enough to train on in a test, and the smallest experiments."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.torch
import torch
import yaml
from tables import small_labels

from trivox.data.labels import Labels
from trivox.data.open_labels import save_labels
from trivox.data.samples import Sample

VOLUMETRIC = {
    "seed": 3,
    "epochs": 2,
    "model": {
        "method": "volumetric",
        "skeleton": "coco17",
        "image_hw": [64, 64],
        "backbone": {"kind": "movenet", "name": "lightning"},
        "cube": {"side_mm": 2200, "size": 8},
        "v2v": {"width": 4, "depth": 1},
    },
    "data": {"kind": "labels", "labels": "labels.json"},
    "views": {"min": 2, "max": 3},
    "augmentation": {"shift_cubes_mm": 50, "scale_box": 0.2, "shift_box": 0.1, "brightness": 0.2, "roll_deg": 5},
    "optimizer": {"lr": 1e-3, "backbone_lr": 0, "batch_size": 2, "ema": 0.9, "schedule": "cosine", "warm_up_steps": 2},
    "evaluation": {"data": {"kind": "labels", "labels": "labels.json", "part": "test"}, "centres": "truth"},
    "run": {"device": "cpu", "workers": 0, "log_steps": 1, "checkpoint_steps": 1, "tensorboard": False},
}
ALGEBRAIC = {
    **VOLUMETRIC,
    "model": {
        "method": "algebraic",
        "skeleton": "coco17",
        "image_hw": [128, 128],
        "backbone": {"kind": "movenet", "name": "lightning"},
    },
    "loss": {"joints": "mse_smooth"},
    "optimizer": {"lr": 1e-5, "batch_size": 2, "clip": 10.0},
}


def write_dataset(folder: Path, frames: int = 4) -> Path:
    """labels.json with pictures of coloured noise, 8 rows to train on and 4 to test."""
    return write_table(small_labels(folder, frames), folder)


def write_table(labels: Labels, folder: Path) -> Path:
    """The labels with pictures of coloured noise below `folder`."""
    save_labels(labels, folder / "labels.json")
    rng = np.random.default_rng(0)
    for path in sorted({path for row in range(len(labels)) for path in picture_paths(labels, row)}):
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 255, (18, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC))
    return folder / "labels.json"


def picture_paths(labels: Labels, row: int) -> list[Path]:
    recording = labels.recordings[labels.recording[row]]
    return [
        labels.pictures.root / f"{recording.name}/{camera}/{labels.frames[row]:06}.jpg"
        for camera in labels.camera_names
    ]


def write_experiment(path: Path, labels: Path, content: dict[str, Any] | None = None, **changes: Any) -> Path:
    """An experiment over a dataset; `changes` of dotted keys, with "__" for the dots."""
    plain = json.loads(json.dumps(content or VOLUMETRIC))
    plain["data"]["labels"] = plain["evaluation"]["data"]["labels"] = str(labels)
    for name, value in changes.items():
        *keys, last = name.split("__")
        here = plain
        for key in keys:
            here = here.setdefault(key, {})
        here[last] = value
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def records(run: Path, kind: str = "training") -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in records(run)]


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path)


def texts_of(path: Path) -> dict[str, str]:
    """The texts that stand before the tensors of a file."""
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})


def assert_same_run(run: Path, other: Path) -> None:
    """Bit for bit: losses, scores, all that the state holds, and both models; and nothing is left lying about."""

    def told(path: Path) -> list[dict[str, Any]]:
        lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
        measured = ("data_s", "compute_s", "evaluation_s", "memory_mb")
        return [{key: value for key, value in line.items() if key not in measured} for line in lines]

    assert told(run) == told(other)
    for name in ("state", "last", "best"):
        ours, theirs = run / f"{name}.safetensors", other / f"{name}.safetensors"
        assert texts_of(ours) == texts_of(theirs)
        tensors, expected = tensors_of(ours), tensors_of(theirs)
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in tensors.items())
    assert {path.name for path in run.iterdir()} == {path.name for path in other.iterdir()}


def joined(parts: list[Sample]) -> Sample:
    whole = Sample.concatenated([replace(part, key="") for part in parts])
    return replace(whole, key=tuple(key for part in parts for key in part.key))


def assert_equal(ours: Sample, theirs: Sample) -> None:
    assert ours.key == theirs.key
    for name in ("images", "present", "points_mm", "valid", "centre_mm", "row", "boxes_px"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert torch.equal(ours.cameras.K, theirs.cameras.K)
