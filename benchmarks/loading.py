"""How fast do samples come, beside a plain OpenCV loop in the same run?

    python benchmarks/loading.py [--samples 96] [--workers 2] [--repeats 5] [--out results.json]
    python benchmarks/loading.py --reduced PICTURE.jpg [PICTURE.jpg ...]

A sample is 4 JPEGs of 1000 x 1000, of which a box of 700 x 700 is cut out and resized to 384 x 384, as RGB float32 in
0..1. The plain way does exactly that with OpenCV: imread, a slice, INTER_AREA, cvtColor, division, and torch's own
collate, in a DataLoader with as many workers, one thread each. Ours gives whole samples with cameras, truth and boxes.
Both take turns; speeds are medians of the turns after the first batch, ratios medians of the ratios of neighbouring
turns. "CPU" is the processor time of the workers per sample, which other work on the machine hardly changes. Pictures
are noise whose spectrum falls as in photographs; the table says how large their files are.

The second form tells by how many grey levels crops of JPEGs decoded at a half or a quarter of their size differ from
the exact area average: the middle 1000, 800 and 770 pixels, to 384 and 192.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import simplejpeg
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from rigs import ring  # pyright: ignore[reportMissingImports]

from trivox.data.area import cut_by_area
from trivox.data.batches import ViewBatches
from trivox.data.dataset import DatasetOptions, PoseDataset
from trivox.data.labels import Labels
from trivox.data.pictures import Pictures, Recording
from trivox.data.samples import collate
from trivox.files.images import read_reduced_image
from trivox.geometry.skeletons import H36M_17

VIEWS, SIDE, BOX, OUT = 4, 1000, (150, 120, 850, 820), (384, 384)
BATCH = 4
# How fast amplitudes fall with frequency. Frames of Human3.6M's videos are smooth: JPEGs of some 70 kB; photographs of
# this size take about 300 kB.
FALLS = {"as Human3.6M": 2.3, "as photographs": 1.5}
QUALITY = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reduced", type=Path, nargs="+", metavar="PICTURE")
    arguments = parser.parse_args()
    if arguments.reduced:
        return show_reduced(arguments.reduced)
    with tempfile.TemporaryDirectory() as folder:
        result = [compare(Path(folder) / name, fall, arguments) for name, fall in FALLS.items()]
    show(result)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def compare(folder: Path, fall: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Samples per second of every way, for pictures of one kind."""
    labels = written_labels(folder, fall, arguments.samples)
    plain = PlainLoop(labels)
    ways: dict[str, list[float]] = {"plain": [], "area": [], "opencv": []}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, speeds in ways.items():
            before = children_s()
            loader = (
                DataLoader(plain, BATCH, num_workers=arguments.workers, worker_init_fn=one_thread)
                if name == "plain"
                else our_loader(labels, name, arguments.workers)  # type: ignore[arg-type]
            )
            speeds.append(samples_per_second(loader))
            spent[name].append((children_s() - before) / arguments.samples * 1000)
    row: dict[str, Any] = {"pictures": folder.name, "kilobytes": round(file_kilobytes(folder))}
    row["workers"] = arguments.workers
    for name, speeds in ways.items():
        row[f"{name}_samples_per_s"] = round(statistics.median(speeds), 1)
        row[f"{name}_cpu_ms"] = round(statistics.median(spent[name]), 1)
        row[f"{name}_ratio"] = round(statistics.median(a / b for a, b in zip(speeds, ways["plain"], strict=True)), 2)
    return row


def our_loader(labels: Labels, pixels: Literal["area", "opencv"], workers: int) -> DataLoader[Any]:
    dataset = PoseDataset(labels, DatasetOptions(image_hw=OUT, pixels=pixels))
    batches = ViewBatches(dataset.present, BATCH)
    return DataLoader(
        dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers, worker_init_fn=one_thread
    )


class PlainLoop(Dataset[torch.Tensor]):
    """What one writes in ten minutes."""

    def __init__(self, labels: Labels) -> None:
        names, frames, recording = labels.camera_names, labels.frames, labels.recordings[0]
        self.paths = [[str(labels.pictures.path(recording, name, int(f))) for name in names] for f in frames]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        left, top, right, bottom = BOX
        images = []
        for path in self.paths[index]:
            picture = cv2.imread(path)
            assert picture is not None
            crop = cv2.resize(picture[top:bottom, left:right], OUT[::-1], interpolation=cv2.INTER_AREA)
            rgb = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
            images.append(torch.from_numpy(rgb.transpose(2, 0, 1)))
        return torch.stack(images)


def one_thread(_: int) -> None:
    cv2.setNumThreads(1)


def children_s() -> float:
    """Processor time of all workers that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def samples_per_second(loader: Iterable[Any]) -> float:
    """Without the start of the workers: counted from the first batch to the last."""
    assert isinstance(loader, Sized)
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    count = sum(1 for _ in batches)
    speed = count * BATCH / (time.perf_counter() - start)
    del batches  # ends the workers
    return speed


def written_labels(folder: Path, fall: float, samples: int) -> Labels:
    """Pictures on disk and the labels of somebody in the middle of them."""
    names = tuple(f"c{v}" for v in range(VIEWS))
    pictures = Pictures(folder, "{camera}/{file:06}.jpg")
    recording = Recording("walk")
    rng = np.random.default_rng(0)
    contents = [photograph(rng, fall) for _ in range(8)]
    encoded = [simplejpeg.encode_jpeg(p, quality=QUALITY, colorspace="RGB", colorsubsampling="420") for p in contents]
    for frame in range(samples):
        for v, name in enumerate(names):
            path = pictures.path(recording, name, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded[(frame * VIEWS + v) % len(encoded)])
    cameras = replace(ring(VIEWS), image_hw=torch.tensor([SIDE, SIDE]).expand(VIEWS, 2))
    frames = np.arange(samples)
    return Labels(
        name="loading",
        skeleton=H36M_17,
        recordings=(recording,),
        camera_names=names,
        cameras=cameras[None],
        has_camera=np.ones((1, VIEWS), bool),
        recording=np.zeros(samples, np.int64),
        frames=frames,
        people=np.zeros(samples, np.int64),
        points_mm=np.zeros((samples, 17, 3), np.float32),
        valid=np.ones((samples, 17), bool),
        confidence=np.ones((samples, 17), np.float32),
        boxes_px=np.broadcast_to(np.array(BOX), (samples, VIEWS, 4)).copy(),
        pictures=pictures,
    )


def photograph(rng: np.random.Generator, fall: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency as in photographs."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) + 1 / SIDE
    channels = [
        np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) / frequency**fall, (SIDE, SIDE)) for _ in range(3)
    ]
    channels = [0.8 * channels[0] + 0.2 * channel for channel in channels]
    scaled = np.stack(channels, -1)
    return np.clip(120 + 50 * (scaled - scaled.mean()) / scaled.std(), 0, 255).astype(np.uint8)


def show_reduced(paths: list[Path]) -> None:
    for side, out, factor in (
        (770, 384, 2),
        (800, 384, 2),
        (1000, 384, 2),
        (770, 192, 4),
        (800, 192, 4),
        (1000, 192, 4),
    ):
        means = []
        for path in paths:
            whole, reduced = read_reduced_image(path, 1), read_reduced_image(path, factor)
            (h, w), f = whole.image_hw, reduced.factor
            left, top = (w - side) // 2, (h - side) // 2
            exact, fast = np.empty((3, out, out), np.float32), np.empty((3, out, out), np.float32)
            cut_by_area(whole.picture, (left, top, left + side, top + side), exact)
            part = (left / f, top / f, (left + side) / f, (top + side) / f)
            cut_by_area(reduced.picture, part, fast, (h / f, w / f))
            means.append(float(np.abs(exact - fast).mean() * 255))
        print(f"{side} -> {out} at 1/{factor}: {min(means):.2f} to {max(means):.2f} grey levels on average")


def file_kilobytes(folder: Path) -> float:
    return statistics.mean(path.stat().st_size for path in folder.rglob("*.jpg")) / 1000


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"4 x 1000x1000 JPEGs, 700x700 -> 384x384, {rows[0]['workers']} workers; samples/s (x plain)")
    for column in ("pictures", "kB", "plain OpenCV", "CPU", "area (default)", "CPU", "opencv", "CPU"):
        table.add_column(column, justify="right")
    for row in rows:
        ours = []
        for name in ("area", "opencv"):
            ours += [f"{row[f'{name}_samples_per_s']} ({row[f'{name}_ratio']}x)", f"{row[f'{name}_cpu_ms']} ms"]
        table.add_row(
            row["pictures"], str(row["kilobytes"]), str(row["plain_samples_per_s"]), f"{row['plain_cpu_ms']} ms", *ours
        )
    Console().print(table)


if __name__ == "__main__":
    main()
