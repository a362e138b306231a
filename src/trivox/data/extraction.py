"""Pictures of a dataset brought to their place: out of videos, or linked where they are images; undistorted ones too.

One job per camera of a recording, each in its own process. A picture that exists is not made again (every file is
written whole), so that an interrupted job goes on.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from trivox.base.atomic import atomic_write
from trivox.data.pictures import Pictures, Recording
from trivox.data.undistortion import undistorted_picture
from trivox.files.images import IMAGE_SUFFIXES, read_image, write_image
from trivox.files.text import last_number
from trivox.files.videos import Video
from trivox.geometry.cameras import Cameras

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Extraction:
    """Frames of one camera as pictures of a dataset. `source` is a video, or a folder whose images end in their number.

    `camera` (batch shape `()`) is needed to undo its lens.
    """

    source: Path
    pictures: Pictures
    recording: Recording
    camera_name: str
    frames: tuple[int, ...]
    camera: Cameras

    def targets(self, frame: int) -> tuple[Path, Path | None]:
        """Files of the picture as recorded, and undistorted."""
        path = self.pictures.path(self.recording, self.camera_name, frame)
        if self.pictures.undistorted is None:
            return path, None
        return path, self.pictures.path(self.recording, self.camera_name, frame, undistorted=True)

    def missing(self) -> list[int]:
        """Frames whose pictures are not all there yet."""
        return [f for f in self.frames if not all(p is None or p.is_file() for p in self.targets(f))]


def extract(job: Extraction) -> int:
    """Make the missing pictures of one camera; gives the number of its frames. Raises `InputError`."""
    todo = job.missing()
    if todo and job.source.is_dir():
        _link(job, todo)
    elif todo:
        step = math.gcd(*(frame - todo[0] for frame in todo)) or 1
        wanted = set(todo)
        frames = Video(job.source).frames(todo[0], todo[-1] + 1, step)
        for number, picture in zip(range(todo[0], todo[-1] + 1, step), frames, strict=True):
            if number in wanted:
                _write(job, number, picture)
    return len(job.frames)


def _write(job: Extraction, frame: int, picture: np.ndarray) -> None:
    path, undistorted = job.targets(frame)
    if not path.is_file():
        write_image(path, picture)
    if undistorted is not None and not undistorted.is_file():
        write_image(undistorted, undistorted_picture(picture, job.camera))


def _link(job: Extraction, todo: Sequence[int]) -> None:
    """Images take no second place on the disk where links are possible."""
    images = {last_number(path.name): path for path in job.source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    for frame in todo:
        path, undistorted = job.targets(frame)
        if not path.is_file():
            with atomic_write(path) as temporary:
                try:
                    os.link(images[frame], temporary)
                except OSError:  # another disk, or one without links
                    shutil.copyfile(images[frame], temporary)
        if undistorted is not None:
            _write(job, frame, read_image(path))


def bytes_needed(jobs: Sequence[Extraction], tried: int = 3) -> int:
    """About how much the missing pictures will take: one frame of some cameras is written to tell."""
    todo = [(job, missing) for job in jobs if (missing := job.missing())]
    sizes = []
    for job, missing in todo[:: max(1, len(todo) // tried)][:tried]:
        frame = missing[0]
        extract(replace(job, frames=(frame,)))
        files = [path for path in job.targets(frame) if path is not None]
        # A linked picture takes nothing.
        sizes.append(sum(path.stat().st_size for path in files if path.stat().st_nlink == 1))
    return int(np.mean(sizes) * sum(len(missing) for _, missing in todo)) if sizes else 0


def on_all_cores(work: Callable[[Job], Result], jobs: Iterable[Job], processes: int | None = None) -> Iterator[Result]:
    """Results as they come, from as many processes as there are cores; one computes here. Order is not kept."""
    jobs = list(jobs)
    processes = min(processes or usable_cores(), len(jobs))
    if processes <= 1:
        yield from map(work, jobs)
        return
    # Fresh processes: torch and OpenCV have threads, which a forked one would not have.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(work, job) for job in jobs]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def usable_cores() -> int:
    """Cores this process may run on; a container or a cluster's job may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
