"""Raw downloads of the public datasets in, labels and pictures out: `trivox prepare human36m` and `panoptic`.

Everything that is missing is said, by name, before anything is written; so is what the pictures will take on the disk.
The labels come last: where `labels.json` stands, the dataset is complete. The same command goes on where it stopped;
`prepare.json` says which videos, cameras and lens options the pictures are of, and others are refused.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec

from trivox.base.identity import identity
from trivox.base.work import alone_in, claim
from trivox.data.box_tables import read_human36m_boxes, read_panoptic_boxes
from trivox.data.extraction import Extraction, bytes_needed, extract, on_all_cores
from trivox.data.human36m import CAMERAS, write_human36m_npy
from trivox.data.human36m import pictures_of as human36m_pictures
from trivox.data.labels import Labels
from trivox.data.open_labels import save_labels
from trivox.data.panoptic import Kind, recording_of, write_panoptic_npy
from trivox.data.panoptic import pictures_of as panoptic_pictures
from trivox.data.pictures import Pictures
from trivox.data.prepare_human36m import RawTree, RowsJob, find_recordings, human36m_labels, refuse_missing, rows_of
from trivox.data.prepare_panoptic import (
    Boxes,
    RawSequence,
    boxes_of_joints,
    boxes_of_table,
    find_sequences,
    panoptic_labels,
)
from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.people.detected_boxes import with_detected_boxes
from trivox.progress import progress, say

HumanBoxes = Literal["masks", "joints"]
PanopticBoxes = Literal["joints", "detector"]

Options = ParamSpec("Options")
Prepare = Callable[Concatenate[Path, Path, Options], Labels]


def _alone(prepare: Prepare[Options]) -> Prepare[Options]:
    """With the folder that is written to itself."""

    @wraps(prepare)
    def alone(raw: Path, out: Path, *args: Options.args, **options: Options.kwargs) -> Labels:
        with alone_in(out):
            return prepare(raw, out, *args, **options)

    return alone


@_alone
def prepare_human36m(
    raw: Path,
    out: Path,
    *,
    cameras: Path | None = None,
    subjects: Sequence[str] = (),
    boxes: HumanBoxes | Path = "masks",
    every: int = 5,
    undistort: bool = False,
    skip_missing: bool = False,
    published_labels: bool = False,
    processes: int | None = None,
) -> Labels:
    """Pictures and labels of Human3.6M from its official downloads (the tree: `data/prepare_human36m.py`).

    cameras           JSON of the published parameters, or a metadata.xml; else the metadata.xml of the tree.
    boxes             of the ground-truth masks, around the projected joints, or a table `bboxes-*.npy`.
    every             take every n-th frame of the 50 Hz video.
    undistort         also write pictures with the lens undone.
    skip_missing      go on without files that are missing: views without video or mask are missing views.
    published_labels  also write `human36m-multiview-labels.npy`, which the published system reads.
    """
    _refuse_stride(every)
    table = read_human36m_boxes(boxes) if isinstance(boxes, Path) else {}
    tree = find_recordings(raw, cameras, subjects, need_masks=boxes == "masks")
    if not skip_missing:
        refuse_missing(tree, raw)
    if not tree.recordings:
        raise InputError(f"{raw} holds no recording with 3D positions; unpack the downloads there")
    if not tree.has_metadata:
        say(f"{raw} lacks metadata.xml: trials are told apart by the order of the official file names")
    kind = "table" if isinstance(boxes, Path) else boxes
    jobs = [RowsJob(r, tree.cameras[r.recording.subject], every, kind, table) for r in tree.recordings]
    order = [job.raw.recording for job in jobs]
    with progress("reading positions and boxes", len(jobs), unit="recordings") as advance:
        rows = []
        for part in on_all_cores(rows_of, jobs, processes):
            rows.append(part)
            advance(1)
    rows.sort(key=lambda part: order.index(part.recording))
    labels = human36m_labels(rows, tree.cameras, human36m_pictures(out, undistort))
    _write_pictures(_human36m_extractions(labels, tree), out, processes)
    if published_labels:
        write_human36m_npy(labels, out / "human36m-multiview-labels.npy")
    return _finished(labels, out)


def _human36m_extractions(labels: Labels, tree: RawTree) -> list[Extraction]:
    videos = {raw.recording: raw.videos for raw in tree.recordings}
    jobs = []
    for r, recording in enumerate(labels.recordings):
        frames = tuple(labels.frames[labels.recording == r].tolist())
        for c, camera in enumerate(CAMERAS):
            if camera in videos[recording]:
                video, lens = videos[recording][camera], labels.cameras[r, c]
                jobs.append(Extraction(video, labels.pictures, recording, camera, frames, lens))
    return jobs


@_alone
def prepare_panoptic(
    raw: Path,
    out: Path,
    *,
    kind: Kind = "hd",
    sequences: Sequence[str] = (),
    cameras: Sequence[str] = (),
    ignore_cameras: Sequence[str] = (),
    boxes: PanopticBoxes | Path = "joints",
    every: int = 1,
    undistort: bool = False,
    published_labels: bool = False,
    processes: int | None = None,
) -> Labels:
    """Labels of CMU Panoptic from its official tree (`data/prepare_panoptic.py`), and pictures from its videos.

    Pictures that are there as images are used where they are; those of videos, and undistorted ones, go to `out`.

    kind              HD or VGA cameras, which have poses of their own.
    boxes             around the projected joints, of our own person detector, or a table `cmu-bboxes.npy` or folder of
                      detections, which give all people of a frame one box.
    every             take every n-th of the frames that have poses and pictures.
    undistort         also write pictures with the lens undone.
    published_labels  also write `cmu-multiview-labels.npy`, which the published system reads.
    """
    _refuse_stride(every)
    table = read_panoptic_boxes(boxes) if isinstance(boxes, Path) else {}
    found = find_sequences(raw, kind, sequences, cameras, ignore_cameras)
    pictures, jobs = _panoptic_pictures(found, raw, out, kind, every, undistort)
    _write_pictures(jobs, out, processes)
    source: Boxes = boxes_of_table(table) if isinstance(boxes, Path) else boxes_of_joints
    labels = panoptic_labels(found, pictures, source, every)
    if boxes == "detector":
        labels = with_detected_boxes(labels)
    if published_labels:
        write_panoptic_npy(labels, out / "cmu-multiview-labels.npy")
    return _finished(labels, out)


def _panoptic_pictures(
    found: Sequence[RawSequence], raw: Path, out: Path, kind: Kind, every: int, undistort: bool
) -> tuple[Pictures, list[Extraction]]:
    """Where the pictures will be, and the jobs that bring them there."""
    if not undistort and not any(sequence.has_videos for sequence in found):
        return panoptic_pictures(raw, kind), []
    pictures = panoptic_pictures(out, kind, undistort)
    jobs = [
        Extraction(
            source,
            pictures,
            recording_of(sequence.name),
            camera,
            tuple(sequence.frames[::every].tolist()),
            sequence.rig.cameras[sequence.rig.names.index(camera)],
        )
        for sequence in found
        for camera, source in sequence.sources.items()
    ]
    return pictures, jobs


def _write_pictures(jobs: list[Extraction], out: Path, processes: int | None) -> None:
    """Say what it takes, then write, on all cores. Pictures that are there are of the same videos and cameras."""
    if jobs:
        claim(out / "prepare.json", _made_of(jobs))
    needed = bytes_needed(jobs)
    if needed:
        out.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out).free
        say(f"the pictures will take about {_size(needed)} in {out}, where {_size(free)} are free")
        if needed > free:
            raise InputError(f"{out} has {_size(free)} free, the pictures need {_size(needed)}; choose another disk")
    # Counted once, whatever was there before: a job tells how many frames it has.
    with progress("writing pictures", sum(len(job.frames) for job in jobs)) as advance:
        for count in on_all_cores(extract, jobs, processes):
            advance(count)


def _made_of(jobs: Sequence[Extraction]) -> dict[str, Any]:
    """What decides the content of pictures, besides their frames."""
    views: dict[str, dict[str, Any]] = {}
    for job in jobs:
        camera = {"camera": _digest(job.camera)}
        views.setdefault(job.recording.name, {})[job.camera_name] = _identity(job.source) | camera
    undistorted = {job.pictures.undistorted is not None for job in jobs}
    return {"command": "prepare", "undistort": undistorted == {True}, "views": views}


def _identity(source: Path) -> dict[str, Any]:
    """Of a video what it is, wherever it lies; of a folder of pictures, which may be many, its name."""
    if not source.is_file():
        return {"name": source.name}
    told = identity(source)
    return {name: told[name] for name in ("name", "bytes", "sha256_of_ends")}


def _digest(camera: Cameras) -> str:
    digest = hashlib.sha256(repr(camera.distortion_model).encode())
    for tensor in (camera.K, camera.R, camera.t_mm, camera.distortion):
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _refuse_stride(every: int) -> None:
    if every < 1:
        raise InputError(f"--every is {every}; give 1 for every frame, 5 for every fifth")


def _finished(labels: Labels, out: Path) -> Labels:
    if not len(labels):
        raise InputError("no frame has a pose and a picture; check the downloads")
    seen = labels.present.any(1)
    if not seen.any():
        raise InputError("nobody has a box in any picture; give boxes of these recordings, or leave --boxes out")
    has_rows, has_views = set(labels.recording.tolist()), set(labels.recording[seen].tolist())
    if without := sorted(labels.recordings[r].name for r in has_rows - has_views):
        say(f"nobody has a box in any picture of {', '.join(without[:10])}{', ...' if len(without) > 10 else ''}")
    save_labels(labels, out / "labels.json")
    return labels
