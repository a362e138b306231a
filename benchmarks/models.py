"""How fast are the pieces of the methods, beside plain ways in the same run?

    python benchmarks/models.py [--size 64] [--views 4] [--repeats 7] [--out results.json]

Unprojection stands beside a loop over items and views of one `grid_sample` each (tests/slow/unprojection.py), forward
and with its gradient; "kept" is what each keeps in memory for the gradient, in volumes. Both ways take turns; times
are medians, ratios are medians of the ratios of neighbouring turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from rigs import ring  # pyright: ignore[reportMissingImports]
from slow.unprojection import unproject_by_views  # pyright: ignore[reportMissingImports]

from trivox.geometry.volumes import Aggregation, Cube, soft_argmax_3d, unproject

MAP_SIDE, CHANNELS, JOINTS = 96, 32, 17


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="voxels along each axis")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = [unprojection(name, arguments) for name in get_args(Aggregation)]
    result = {"threads": torch.get_num_threads(), "unprojection": rows, "soft_argmax_3d": soft_argmax(arguments)}
    show(result)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def unprojection(aggregation: Aggregation, arguments: argparse.Namespace) -> dict[str, Any]:
    """One sample of feature maps into one cube."""
    generator = torch.Generator().manual_seed(0)
    views = arguments.views
    cameras = ring(views).scaled(torch.tensor([MAP_SIDE / 1280, MAP_SIDE / 720], dtype=torch.float64))
    P = cameras.pixel_from_world.float()[None]
    grid_mm = Cube(size=arguments.size).voxel_centres(torch.tensor([[0.0, 0.0, 1000.0]]))
    maps = torch.randn(1, views, CHANNELS, MAP_SIDE, MAP_SIDE, generator=generator).requires_grad_()
    confidences = torch.rand(1, views, CHANNELS, generator=generator).requires_grad_()
    given = confidences if aggregation.startswith("conf") else None
    slope = torch.randn(1, CHANNELS, *grid_mm.shape[1:4], generator=generator)

    def ours() -> Tensor:
        return unproject(maps, P, grid_mm, aggregation, confidences=given)

    def loop() -> Tensor:
        return unproject_by_views(maps, P, grid_mm, aggregation, given)

    with torch.no_grad():
        forward = compared(ours, loop, arguments.repeats)
    both = compared(lambda: ours().backward(slope), lambda: loop().backward(slope), arguments.repeats)
    kept = {"kept_volumes": volumes_kept(ours, slope), "kept_volumes_loop": volumes_kept(loop, slope)}
    return {"aggregation": aggregation, "forward": forward, "with_gradient": both, **kept}


def volumes_kept(work: Callable[[], Tensor], volume: Tensor) -> float:
    """Memory that autograd keeps after `work`, in volumes."""
    kept: dict[int, int] = {}

    def note(t: Tensor) -> Tensor:
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        held = work()
    assert held.requires_grad
    return sum(kept.values()) / (volume.numel() * volume.element_size())


def soft_argmax(arguments: argparse.Namespace) -> dict[str, float]:
    """One einsum beside the plain product of volumes and coordinates, summed."""
    generator = torch.Generator().manual_seed(0)
    grid_mm = Cube(size=arguments.size).voxel_centres(torch.zeros(1, 3))
    volumes = torch.randn(1, JOINTS, *grid_mm.shape[1:4], generator=generator)

    def plain() -> Tensor:
        weights = volumes.flatten(2).softmax(-1)
        return (weights[..., None] * grid_mm.flatten(1, 3)[:, None]).sum(2)

    with torch.inference_mode():
        return compared(lambda: soft_argmax_3d(volumes, grid_mm), plain, arguments.repeats)


def compared(ours: Callable[[], object], other: Callable[[], object], repeats: int) -> dict[str, float]:
    """Seconds of both, taking turns after one turn to warm up."""
    times = [(seconds(ours), seconds(other)) for _ in range(repeats + 1)][1:]
    return {
        "ours_ms": 1e3 * statistics.median(a for a, _ in times),
        "plain_ms": 1e3 * statistics.median(b for _, b in times),
        "times_faster": statistics.median(b / a for a, b in times),
    }


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(result: dict[str, Any]) -> None:
    print(f"{result['threads']} threads")
    print("unprojection      forward ms    loop ms  faster   +gradient ms    loop ms  faster   kept  loop kept")
    for row in result["unprojection"]:
        forward, both = row["forward"], row["with_gradient"]
        print(
            f"{row['aggregation']:15s} {forward['ours_ms']:12.1f} {forward['plain_ms']:10.1f} "
            f"{forward['times_faster']:6.1f}x {both['ours_ms']:14.1f} {both['plain_ms']:10.1f} "
            f"{both['times_faster']:6.1f}x {row['kept_volumes']:6.2f} {row['kept_volumes_loop']:10.2f}"
        )
    row = result["soft_argmax_3d"]
    print(f"soft_argmax_3d  {row['ours_ms']:12.1f} {row['plain_ms']:10.1f} {row['times_faster']:6.1f}x")


if __name__ == "__main__":
    main()
