"""By how much bfloat16 moves the joints of the volumetric model that comes along, in one cube, without agreeing peaks.

    python benchmarks/precision.py runs/kept --motion MOTION

Takes the test scenes that `trivox benchmark` keeps; four views of every twentieth sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from trivox.benchmark import SETS, samples_of
from trivox.data.samples import collate
from trivox.evaluate_model import ask
from trivox.models.checkpoints import load_model
from trivox.models.folded import folded
from trivox.models.volumetric import Volumetric
from trivox.training.kept import KeptSceneSamples
from trivox.training.rendered import chosen


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description="How far bfloat16 moves joints.")
    parser.add_argument("kept", type=Path)
    parser.add_argument("--motion", type=Path)
    options = parser.parse_args()
    model = load_model("volumetric")
    assert isinstance(model, Volumetric)
    model.passes, model.agree_px = 1, None
    exact, fast = folded(model), folded(model, torch.bfloat16)
    for name in SETS:
        test_set = samples_of(name, options.kept, options.motion)
        test_set.draw(workers=2)
        samples, moved = KeptSceneSamples(test_set), []
        for row in range(0, len(samples), 20):
            batch = collate([chosen(samples[row], 4, (0,))])
            moved.append((ask(exact, batch).points_mm - ask(fast, batch).points_mm).norm(dim=-1))
        mm = torch.cat(moved)
        print(f"{name}: mean {mm.mean():.2f} mm, median {mm.median():.2f}, largest {mm.amax():.2f}")


if __name__ == "__main__":
    main()
