"""How fast is the rendered world? Images per second, all in: drawing scenes, still rooms, people, effects.

    python benchmarks/synthetic.py [--scenes 4] [--frames 1 8 24] [--size 384 384] [--cameras 4]
        [--processes 2] [--out results.json]

One row for each number of instants of a scene: the still room is drawn once per camera, so longer scenes are faster.
`wall` counts on this machine's clock with two threads (or with so many processes, each with scenes of its own);
`cpu` is the processor time of one thread, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from trivox.synthetic.scene import SceneOptions
from trivox.synthetic.shots import shots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 8, 24])
    parser.add_argument("--size", type=int, nargs=2, default=[384, 384])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = {}
    for frames in arguments.frames:
        cameras = (arguments.cameras, arguments.cameras)
        options = SceneOptions(frames=frames, fps=4.0, image_hw=tuple(arguments.size), cameras=cameras)
        drawn(options, range(1), 1)  # compile and load
        rows[frames] = measured(options, arguments.scenes, arguments.processes)
        print(
            f"{frames:>4} instants: " + ", ".join(f"{key} {value:.1f} images/s" for key, value in rows[frames].items())
        )
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2) + "\n")


def drawn(options: SceneOptions, seeds: range, threads: int) -> int:
    return sum(len(shot.pictures) for shot in shots(seeds, options, threads=threads))


def measured(options: SceneOptions, scenes: int, processes: int) -> dict[str, float]:
    seeds = range(100, 100 + scenes)
    begin = time.process_time()
    images = drawn(options, seeds, 1)
    row = {"cpu, one core": images / (time.process_time() - begin)}
    begin = time.perf_counter()
    drawn(options, seeds, 2)
    row["wall, 2 threads"] = images / (time.perf_counter() - begin)
    if processes:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            list(pool.map(drawn, [options] * processes, [range(1)] * processes, [1] * processes))
            begin = time.perf_counter()
            parts = [range(100 + i, 100 + scenes * processes, processes) for i in range(processes)]
            done = sum(pool.map(drawn, [options] * processes, parts, [1] * processes))
            row[f"wall, {processes} processes"] = done / (time.perf_counter() - begin)
    return row


if __name__ == "__main__":
    main()
