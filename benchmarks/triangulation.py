"""How fast is triangulation? Joints per second of the public functions, beside a plain loop over joints.

    python benchmarks/triangulation.py [--joints 340000] [--repeats 7] [--out results.json]

Every row times the whole public function (points, validity, confidence, reprojection errors, covariance), in the
same run as the plain loop of tests/slow/triangulation.py (numpy's SVD, all pairs, SciPy's minimiser), which finds
points only. Medians over the repeats. The floor is the time to copy once the bytes that a joint takes in and gives
out: no way of computing can be faster. The last table is the time of one call for one frame, as `predict` calls it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from rigs import ring  # pyright: ignore[reportMissingImports]
from slow.triangulation import triangulate_joint  # pyright: ignore[reportMissingImports]

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate, triangulate_ransac

JOINTS = 17
LENS = (-0.21, 0.19, 0.0011, -0.0017, -0.03)
NO_LENS = (0.0,) * 5
THRESHOLD_PX, HUBER_PX = 20.0, 2.0
# Name, function, arguments of the plain loop, joints that loop is timed on.
METHODS: list[tuple[str, Callable[..., Triangulated], dict[str, float], int]] = [
    ("linear", triangulate, {}, 340),
    ("ransac", lambda *a: triangulate_ransac(*a, refine=False), {"threshold_px": THRESHOLD_PX}, 85),
    ("ransac, refined", triangulate_ransac, {"threshold_px": THRESHOLD_PX, "huber_px": HUBER_PX}, 34),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joints", type=int, default=340_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for views, lens, share in ((5, NO_LENS, 1.0), (5, LENS, 1.0), (31, NO_LENS, 0.05)):
        frames = max(1, int(arguments.joints * share) // JOINTS)
        rows += throughput(views, lens, frames, arguments.repeats)
    latencies = [latency(ring(4, distortion=LENS), *method[:2]) for method in METHODS]
    result = {"threads": torch.get_num_threads(), "throughput": rows, "one_frame_of_4_views": latencies}
    show(result)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def throughput(views: int, lens: tuple[float, ...], frames: int, repeats: int) -> list[dict[str, Any]]:
    """One row per method for this rig."""
    cameras = ring(views, distortion=lens)
    points_px, weights = scene(cameras, frames)
    rows = []
    for name, method, loop, loop_joints in METHODS:
        result = method(points_px, cameras, weights)
        ours = median_seconds(lambda m=method: m(points_px, cameras, weights), repeats)
        plain = median_seconds(lambda a=loop, n=loop_joints: plain_loop(points_px, cameras, weights, n, a), 3)
        copied = [t for t in (points_px, weights, *vars(result).values()) if isinstance(t, Tensor)]
        floor = median_seconds(lambda c=copied: [t.clone() for t in c], repeats)
        rate, plain_rate = frames * JOINTS / ours, loop_joints / plain
        rows.append(
            {
                "views": views,
                "lens": any(lens),
                "method": name,
                "joints_per_s": rate,
                "plain_loop_joints_per_s": plain_rate,
                "times_faster": rate / plain_rate,
                "bytes_per_joint": sum(t.numel() * t.element_size() for t in copied) / (frames * JOINTS),
                "times_the_floor": ours / floor,
            }
        )
    return rows


def scene(cameras: Cameras, frames: int) -> tuple[Tensor, Tensor]:
    """People in the middle of the rig: 2 pixels of noise, one observation in ten far off, weights 0.5 to 1."""
    generator = torch.Generator().manual_seed(0)
    (views,) = cameras.batch_shape
    points_mm = torch.randn(1, frames * JOINTS, 3, generator=generator, dtype=torch.float64) * 400
    points_mm = points_mm + torch.tensor([0.0, 0.0, 1000.0])
    points_px = cameras.project(points_mm.expand(views, -1, -1))
    points_px = points_px.unflatten(1, (frames, JOINTS)).movedim(0, 1).contiguous()
    noise = torch.randn(points_px.shape, generator=generator, dtype=torch.float64)
    wild = torch.rand(points_px.shape[:-1], generator=generator) < 0.1
    points_px += noise * torch.where(wild, 100.0, 2.0)[..., None]
    weights = 0.5 + 0.5 * torch.rand(points_px.shape[:-1], generator=generator, dtype=torch.float64)
    return points_px, weights


def plain_loop(points_px: Tensor, cameras: Cameras, weights: Tensor, joints: int, arguments: dict[str, float]) -> None:
    for n in range(joints):
        frame, joint = divmod(n, JOINTS)
        observed, weight = points_px[frame, :, joint].numpy(), weights[frame, :, joint].numpy()
        triangulate_joint(observed, cameras, weight, **arguments)


def latency(cameras: Cameras, name: str, method: Callable[..., Triangulated]) -> dict[str, Any]:
    """Time of one call for one frame."""
    points_px, weights = scene(cameras, 1)
    method(points_px[0], cameras, weights[0])
    seconds = median_seconds(lambda: method(points_px[0], cameras, weights[0]), 200)
    return {"method": name, "milliseconds": seconds * 1e3}


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def show(result: dict[str, Any]) -> None:
    print(f"{result['threads']} threads")
    print("views  lens  method             joints/s   plain loop/s   times faster   times the floor")
    for row in result["throughput"]:
        print(
            f"{row['views']:5d}  {'yes' if row['lens'] else 'no':4s}  {row['method']:15s} "
            f"{row['joints_per_s']:11,.0f} {row['plain_loop_joints_per_s']:14,.0f} "
            f"{row['times_faster']:14,.0f} {row['times_the_floor']:17.1f}"
        )
    print("\none frame of 4 views with lens, 17 joints")
    for row in result["one_frame_of_4_views"]:
        print(f"{row['method']:15s} {row['milliseconds']:8.3f} ms")


if __name__ == "__main__":
    main()
