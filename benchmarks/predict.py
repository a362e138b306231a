"""How fast is `trivox predict` on real video, and does its memory grow with the recording?

    python benchmarks/predict.py FOLDER [--method ransac] [--repeat 10] [--out results.json]

FOLDER is Pose2Sim's balancing trial (4 views, 1080x1920, 100 frames). The videos are also joined to themselves
`--repeat` times, without coding them again. Each length runs in a process of its own, as a user would start it; the
whole process is timed, start-up included, and its peak memory is what the operating system says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

CAMERAS = ("cam01", "cam02", "cam03", "cam04")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", default="volumetric")
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    videos = [arguments.folder / "videos" / f"{name}.mp4" for name in CAMERAS]
    rig = arguments.folder / "calibration" / "Calib.qca.txt"
    with tempfile.TemporaryDirectory() as scratch:
        longer = [repeated(video, arguments.repeat, Path(scratch) / "videos" / video.name) for video in videos]
        lengths = {"short": videos, "long": longer}
        rows = [measured(rig, v, Path(scratch) / name, arguments.method) for name, v in lengths.items()]
    for row in rows:
        print(
            f"{row['frames']:>6.0f} frames  {row['seconds']:>7.1f} s  {row['frames_per_s']:>6.2f} frames/s  "
            f"peak memory {row['peak_mib']:>6.0f} MiB"
        )
    (short, long) = rows
    steady = (long["frames"] - short["frames"]) / (long["seconds"] - short["seconds"])
    print(f"without start-up: {steady:.2f} frames/s of {len(CAMERAS)} views; {os.cpu_count()} cores")
    if arguments.out:
        arguments.out.write_text(json.dumps({"runs": rows, "steady_frames_per_s": steady}, indent=2) + "\n")


def measured(rig: Path, videos: list[Path], out: Path, method: str) -> dict[str, float]:
    """One whole run in a fresh process."""
    command = [sys.executable, "-c", "from trivox.cli import main; main()", "predict", str(rig), *map(str, videos)]
    begin = time.perf_counter()
    options = ["--out", str(out), "--image-fit", "left", "--method", method]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"predict failed with code {process.returncode}")
    frames = json.loads((out / "summary.json").read_text())["frames"]
    return {
        "frames": frames,
        "seconds": seconds,
        "frames_per_s": frames / seconds,
        "peak_mib": usage.ru_maxrss / 1024,
    }


def repeated(video: Path, times: int, out: Path) -> Path:
    """The video joined to itself: packets copied, time stamps moved on."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(out), "w") as target:
        written = None
        offset = 0
        for _ in range(times):
            with av.open(str(video)) as source:
                stream = source.streams.video[0]
                written = written or target.add_stream_from_template(stream)
                last = offset
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts += offset
                    packet.dts += offset
                    last = max(last, packet.pts + (packet.duration or 0))
                    packet.stream = written
                    target.mux(packet)
                offset = last
    return out


if __name__ == "__main__":
    main()
