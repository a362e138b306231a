"""Which thresholds serve RANSAC best on scenes of the training world: chosen here, then fixed in training/baseline.py.

    python benchmarks/ransac_threshold.py runs/kept/train --scenes 100

Takes what `trivox train experiments/default_volumetric.yaml` keeps of its scenes; four views of each sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from trivox.benchmark import ransac
from trivox.data.samples import collate
from trivox.models.checkpoints import load_model
from trivox.training.config import Augmentation, RenderedData
from trivox.training.kept import KeptScenes, KeptSceneSamples
from trivox.training.rendered import chosen

THRESHOLDS_PX = (8.0, 12.0, 16.0, 24.0, 32.0, 48.0)
HUBERS_PX = (2.0, 4.0, 8.0, 16.0)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description="Thresholds for RANSAC on the training world.")
    parser.add_argument("kept", type=Path)
    parser.add_argument("--scenes", type=int, default=100)
    options = parser.parse_args()
    data = RenderedData(kept=options.kept, scenes=options.scenes)
    samples = KeptSceneSamples(KeptScenes(data, load_model("ransac-thunder"), Augmentation(), 0))
    batches = []
    for first in range(0, len(samples), 16):
        rows = range(first, min(first + 16, len(samples)))
        batches.append(collate([chosen(samples[row], 4, (0,)) for row in rows if row % 2 == 0]))
    print(f"{len(samples) // 2} samples; mean error in mm by threshold (down) and Huber's constant (across), in pixels")
    print("        " + "".join(f"{huber:8.0f}" for huber in HUBERS_PX))
    for threshold in THRESHOLDS_PX:
        print(f"{threshold:8.0f}" + "".join(f"{mean_mm(batches, threshold, huber):8.1f}" for huber in HUBERS_PX))


def mean_mm(batches: list, threshold_px: float, huber_px: float) -> float:
    errors = []
    for batch in batches:
        found = ransac(batch, threshold_px, huber_px)
        errors.append((found.points_mm - batch.points_mm).norm(dim=-1)[found.valid])
    return float(torch.cat(errors).mean())


if __name__ == "__main__":
    main()
