"""How fast are the pieces of the methods, beside plain ways in the same run?

    python benchmarks/models.py [--size 64] [--views 4] [--repeats 7] [--fit 80] [--out results.json]

The whole volumetric model (ResNet-152, 384x384, one sample) stands beside matrix products timed just before each of
its runs, and beside the same modules as they are trained, not folded. How far bfloat16 moves the joints is asked
where volumes are peaked, as those of trained models are: the volume network learns one instant of the bundled scene
by heart (`--fit` steps), and both precisions then look at that instant and at others.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from rigs import ring  # pyright: ignore[reportMissingImports]
from slow.unprojection import unproject_by_views  # pyright: ignore[reportMissingImports]

import trivox
from trivox.data.crops import cut, square_boxes, to_images
from trivox.files.calibrations import load_rig
from trivox.files.npz import read_npz
from trivox.files.views import Views
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17
from trivox.geometry.volumes import Aggregation, Cube, soft_argmax_3d, unproject
from trivox.models.folded import folded
from trivox.models.pose_resnet import Bottleneck, PoseResNet
from trivox.models.v2v import V2V
from trivox.models.volumetric import Volumetric

MAP_SIDE, CHANNELS, JOINTS = 96, 32, 17
BLOCK_STRENGTH = 0.2
IMAGE_SIDE = 384
SCENE = Path(trivox.__file__).parent / "demo_scene"
# The matrices of the products: the processor's best rate is found among these.
MATRIX_SIDES = (1024, 2048, 4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="voxels along each axis")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--fit", type=int, default=80, help="steps of learning by heart; 0 leaves the question out")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    scene = Scene.of_demo(IMAGE_SIDE)
    model = whole_model(scene, arguments.size)
    result = {
        "threads": torch.get_num_threads(),
        "model": speed(model, scene, arguments),
        "precision": precision(model, scene, arguments.fit) if arguments.fit else None,
        "unprojection": [unprojection(name, arguments) for name in get_args(Aggregation)],
        "soft_argmax_3d": soft_argmax(arguments),
    }
    show(result)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


@dataclass(frozen=True)
class Scene:
    """Instants of the bundled scene, cut out around the person: pictures (F, V, 3, h, w), cameras, truth."""

    images: Tensor
    cameras: Cameras
    points_mm: Tensor

    @classmethod
    def of_demo(cls, side: int, every: int = 9) -> Scene:
        rig = load_rig(SCENE / "calibration.json")
        points_mm = torch.from_numpy(read_npz(SCENE / "truth.npz", "points_mm")["points_mm"])[::every, 0].double()
        videos = sorted((SCENE / "videos").iterdir())
        with Views.open(rig, videos) as views:
            cameras = views.rig.upright_cameras.expanded(len(points_mm), len(rig.names))
            points_px = cameras.project(points_mm[:, None])
            boxes = square_boxes(points_px, torch.ones(points_px.shape[:-1], dtype=torch.bool), 1.25)
            crops = [
                cut(picture, box.numpy(), (side, side))
                for f, instant in enumerate(views.frames(start=0, step=every))
                for picture, box in zip(instant.pictures, boxes[f], strict=True)
                if picture is not None
            ]
        images = to_images(np.stack(crops), torch.device("cpu")).unflatten(0, boxes.shape[:2])
        seen = cameras.cropped(boxes.double()).scaled(side / (boxes[..., 2:] - boxes[..., :2]).double())
        return cls(images, seen.to(torch.float32), points_mm.float())

    def instant(self, f: int, views: int) -> dict[str, Any]:
        """What the model takes, of one instant; views come round again where more are asked for than there are."""
        chosen = torch.arange(views) % self.images.shape[1]
        centre_mm = self.points_mm[f, COCO_17.indices(("left_hip", "right_hip"))].mean(0)
        return {
            "images": self.images[f : f + 1, chosen],
            "cameras": self.cameras[f : f + 1, chosen],
            "centre_mm": centre_mm[None],
        }


def whole_model(scene: Scene, size: int) -> Volumetric:
    """The model of the paper with weights as a training begins, and the statistics of the scene's pictures."""
    torch.manual_seed(0)
    model = Volumetric(PoseResNet(152, JOINTS), V2V(CHANNELS, JOINTS), COCO_17, Cube(size=size), "softmax")
    for module in model.backbone.modules():  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(module, Bottleneck):
            # Random layers at full strength amplify any rounding: after 152 of them, to half of what they say. Trained
            # residual networks are tame, each block adding a little.
            torch.nn.init.constant_(module.bn3.weight, BLOCK_STRENGTH)
    settle(model.backbone, scene.images[0])  # pyright: ignore[reportArgumentType]
    return model.eval()


def speed(model: Volumetric, scene: Scene, arguments: argparse.Namespace) -> dict[str, Any]:
    """Operations per second of one sample, as a share of what matrix products reach; and beside the plain modules."""
    given = scene.instant(0, arguments.views)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(**given)
    gflop = counter.get_total_flops() / 1e9
    rows = {}
    for dtype in (torch.float32, torch.bfloat16):
        fast = folded(model, dtype)
        turns = [turn(model, fast, given, gflop, dtype) for _ in range(arguments.repeats + 1)][1:]
        rows[str(dtype).removeprefix("torch.")] = {
            name: statistics.median(turn[name] for turn in turns) for name in turns[0]
        }
    return {"gflop": gflop, **rows}


@torch.inference_mode()
def turn(
    model: Volumetric, fast: Volumetric, given: dict[str, Any], gflop: float, dtype: torch.dtype
) -> dict[str, float]:
    """Matrix products, the model, the plain modules, one after the other."""
    matmul = max(matmul_rate(side, dtype) for side in MATRIX_SIDES)
    ours, plain = seconds(lambda: fast(**given)), seconds(lambda: model(**given))
    rate = gflop / ours
    return {"s": ours, "gflop_s": rate, "matmul_gflop_s": matmul, "share": rate / matmul, "times_plain": plain / ours}


def matmul_rate(side: int, dtype: torch.dtype) -> float:
    """GFLOP/s of a matrix product."""
    a, b = torch.randn(2, side, side).to(dtype)
    torch.mm(a, b)
    repeats = max(1, round(2e10 / side**3))
    return repeats * 2 * side**3 / 1e9 / seconds(lambda: [a @ b for _ in range(repeats)])


def precision(model: Volumetric, scene: Scene, steps: int) -> dict[str, Any]:
    """How far bfloat16 moves the joints of volumes that are peaked: those of one instant learned by heart."""
    instants, views = len(scene.images), scene.images.shape[1]
    loss = learn_by_heart(model, scene, steps)
    exact, fast = folded(model), folded(model, torch.bfloat16)
    with torch.inference_mode():
        found = [(exact(**given), fast(**given)) for given in (scene.instant(f, views) for f in range(instants))]
    moved_mm = torch.stack([(a.points_mm - b.points_mm).norm(dim=-1)[0] for a, b in found])
    shares = torch.stack([a.confidence[0] for a, _ in found])
    errors_mm = torch.stack(
        [(a.points_mm[0] - truth).norm(dim=-1) for (a, _), truth in zip(found, scene.points_mm, strict=True)]
    )
    return {
        "steps": steps,
        "loss": loss,
        "learned": summary_of(moved_mm[:1], shares[:1], errors_mm[:1]),
        "others": summary_of(moved_mm[1:], shares[1:], errors_mm[1:]),
    }


def summary_of(moved_mm: Tensor, shares: Tensor, errors_mm: Tensor) -> dict[str, float]:
    return {
        "moved_mean_mm": float(moved_mm.mean()),
        "moved_most_mm": float(moved_mm.max()),
        "heaviest_voxel_median": float(shares.median()),
        "error_median_mm": float(errors_mm.median()),
    }


def learn_by_heart(model: Volumetric, scene: Scene, steps: int) -> float:
    """Train the volume network alone on the first instant; the last loss."""
    given, truth_mm = scene.instant(0, scene.images.shape[1]), scene.points_mm[:1]
    volumes: list[Tensor] = []
    hook = model.volume_net.register_forward_pre_hook(lambda _, inputs: volumes.append(inputs[0]))
    with torch.no_grad():
        model(**given)
    hook.remove()
    grid_mm = model.cube.voxel_centres(given["centre_mm"])
    target = blobs(grid_mm, truth_mm, sigma_mm=1.5 * model.cube.side_mm / model.cube.xyz[0])
    optimizer = torch.optim.Adam(model.volume_net.parameters(), lr=1e-3)
    loss = torch.zeros(())
    model.volume_net.train()
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.volume_net(volumes[0])
        loss = -(target * logits.float().flatten(2).log_softmax(-1)).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    settle(model.volume_net, volumes[0])
    model.eval()
    return float(loss.detach())


def blobs(grid_mm: Tensor, truth_mm: Tensor, sigma_mm: float) -> Tensor:
    """What a volume should look like: a Gaussian around each joint, as probabilities (B, J, voxels)."""
    squared = torch.cdist(truth_mm, grid_mm.flatten(1, 3)) ** 2
    return torch.softmax(-squared / (2 * sigma_mm**2), dim=-1)


@torch.no_grad()
def settle(network: torch.nn.Module, given: Tensor) -> None:
    """Batch norm's running statistics become those of `given`, through the network as it now is."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.momentum = 1.0
    network(given)


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
    print(f"{result['threads']} threads; one sample of the whole model is {result['model']['gflop']:.0f} GFLOP")
    print("whole model     seconds   GFLOP/s   matmul GFLOP/s   share   times plain modules")
    for name in ("float32", "bfloat16"):
        row = result["model"][name]
        print(
            f"{name:15s} {row['s']:7.2f} {row['gflop_s']:9.0f} {row['matmul_gflop_s']:16.0f} {row['share']:7.0%} "
            f"{row['times_plain']:12.1f}x"
        )
    if result["precision"] is not None:
        show_precision(result["precision"])
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


def show_precision(result: dict[str, Any]) -> None:
    print(f"bfloat16 against float32, after {result['steps']} steps on one instant (loss {result['loss']:.2f})")
    print("                joints moved mm: mean   most   heaviest voxel (median)   error mm (median)")
    for name in ("learned", "others"):
        row = result[name]
        print(
            f"{name:31s} {row['moved_mean_mm']:6.3f} {row['moved_most_mm']:6.2f} {row['heaviest_voxel_median']:25.2f} "
            f"{row['error_median_mm']:19.1f}"
        )


if __name__ == "__main__":
    main()
