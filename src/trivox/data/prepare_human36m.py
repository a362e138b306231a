"""Human3.6M as downloaded -> labels and jobs that extract its pictures. The official tree:

    S1/Videos/Directions 1.54138969.mp4
    S1/MyPoseFeatures/D3_Positions/Directions 1.cdf          world positions; or the widely used
    S1/MyPoses/3D_positions/Directions 1.h5                  (also `Directions_1.h5`)
    S1/MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat
    metadata.xml                                             of the official code, here or one folder below

`metadata.xml` says which file is which trial, and holds the cameras, which may come from a JSON of the published
parameters instead; the order of the file names then tells trials where it is missing. Every n-th frame, from the
first, makes a row; the picture of frame f is `img_{f + 1:06}.jpg`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from trivox.data.box_tables import BoxTable, box_at
from trivox.data.boxes import squared_about_rounded_middle
from trivox.data.human36m import CAMERAS, SUBJECTS, TRIALS, recording_of
from trivox.data.human36m_metadata import Metadata, metadata_of_names, read_metadata
from trivox.data.human36m_raw import mask_count, read_mask_boxes, read_positions
from trivox.data.labels import Labels
from trivox.data.pictures import Pictures, Recording
from trivox.errors import InputError
from trivox.files.calibrations import load_rig
from trivox.files.videos import Video
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import H36M_17

_NAMED = 30
# The size of the pictures of each camera, which no parameter file says.
IMAGE_HW = {"54138969": (1002, 1000), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1002, 1000)}


@dataclass(frozen=True)
class RawRecording:
    """One trial on disk; a camera without its video is not among `videos`."""

    recording: Recording
    positions: Path
    videos: dict[str, Path]
    masks: dict[str, Path]


@dataclass(frozen=True)
class RawTree:
    """The recordings found, the cameras (4,) of each subject, the files that are missing, and whether metadata.xml told
    which is which."""

    recordings: list[RawRecording]
    cameras: dict[str, Cameras]
    missing: list[str]
    has_metadata: bool


def find_recordings(raw: Path, cameras: Path | None, subjects: Sequence[str], need_masks: bool) -> RawTree:
    """Look through the tree. Raises `InputError` where a subject or what names the trials is missing."""
    if not raw.is_dir():
        raise InputError(f"there is no folder {raw}; check the path")
    unknown = [subject for subject in subjects if subject not in SUBJECTS]
    if unknown:
        raise InputError(f"{', '.join(unknown)} has no published truth; choose among {', '.join(SUBJECTS)}")
    subjects = tuple(dict.fromkeys(subjects)) or SUBJECTS
    absent = [subject for subject in subjects if not (raw / subject).is_dir()]
    if absent:
        raise InputError(f"{raw} lacks {', '.join(absent)}; download them, or name the subjects there are: --subjects")
    path = _metadata_in(raw)
    if path is None and (cameras is None or cameras.suffix.lower() != ".xml"):
        metadata = metadata_of_names(raw, subjects)
    else:
        metadata = read_metadata(path or Path(str(cameras)))
    missing: list[str] = []
    found = [_recording(raw, subject, trial, metadata, need_masks, missing) for subject in subjects for trial in TRIALS]
    placed = {subject: _cameras_of(subject, cameras, metadata) for subject in subjects}
    return RawTree([recording for recording in found if recording is not None], placed, missing, path is not None)


def refuse_missing(tree: RawTree, raw: Path) -> None:
    """Raise `InputError` that lists the missing files by name."""
    if tree.missing:
        more = f" and {len(tree.missing) - _NAMED} more" if len(tree.missing) > _NAMED else ""
        raise InputError(
            f"{raw} lacks {len(tree.missing)} files: {', '.join(tree.missing[:_NAMED])}{more}; "
            "download them, or leave out what needs them with --skip-missing"
        )


def _metadata_in(raw: Path) -> Path | None:
    places = (raw / "metadata.xml", *sorted(raw.glob("*/metadata.xml")))
    return next((path for path in places if path.is_file()), None)


def _cameras_of(subject: str, parameters: Path | None, metadata: Metadata) -> Cameras:
    if parameters is not None and parameters.suffix.lower() == ".xml":
        metadata, parameters = read_metadata(parameters), None
    if parameters is None:
        if metadata.cameras is None:
            raise InputError(
                "there is no metadata.xml with cameras (w0); put the one of the official code (Release-v1.x) there, or "
                "give the published parameters with --cameras FILE"
            )
        cameras = metadata.cameras[subject]
    else:
        cameras = load_rig(parameters, format="human36m", subject=subject, names=CAMERAS).cameras
    return replace(cameras, image_hw=torch.tensor([IMAGE_HW[name] for name in CAMERAS]))


def _recording(
    raw: Path, subject: str, trial: str, metadata: Metadata, need_masks: bool, missing: list[str]
) -> RawRecording | None:
    name = metadata.files.get((subject, trial))
    if name is None:
        missing.append(
            f"{subject}/{trial} (which files it has is said by metadata.xml, or by all videos of its action)"
        )
        return None
    folder = raw / subject
    positions = [
        folder / "MyPoseFeatures" / "D3_Positions" / f"{name}.cdf",
        folder / "MyPoses" / "3D_positions" / f"{name}.h5",
        folder / "MyPoses" / "3D_positions" / f"{name.replace(' ', '_')}.h5",
    ]
    there = next((path for path in positions if path.is_file()), None)
    if there is None:
        missing.append(str(positions[0].relative_to(raw)))
    videos = {camera: folder / "Videos" / f"{name}.{camera}.mp4" for camera in CAMERAS}
    masks = {camera: folder / "MySegmentsMat" / "ground_truth_bb" / f"{name}.{camera}.mat" for camera in CAMERAS}
    wanted = [*videos.values(), *(masks.values() if need_masks else ())]
    missing += [str(path.relative_to(raw)) for path in wanted if not path.is_file()]
    if there is None:
        return None
    return RawRecording(recording_of(subject, trial), there, _existing(videos), _existing(masks))


def _existing(paths: dict[str, Path]) -> dict[str, Path]:
    return {camera: path for camera, path in paths.items() if path.is_file()}


@dataclass(frozen=True)
class RowsJob:
    """What makes the rows of one recording. Boxes are those of `table`, of the masks, or around projected joints."""

    raw: RawRecording
    cameras: Cameras
    every: int
    boxes: str
    table: BoxTable


@dataclass(frozen=True)
class RecordingRows:
    """Rows of one recording, in which `boxes_px` of a missing view is zero."""

    recording: Recording
    frames: Int64[np.ndarray, "N"]
    points_mm: Float32[np.ndarray, "N 17 3"]
    boxes_px: Int64[np.ndarray, "N 4 4"]


def rows_of(job: RowsJob) -> RecordingRows:
    """Read positions and boxes of one recording. Frames end with the shortest of its positions and videos."""
    points = read_positions(job.raw.positions)
    counts = [Video(path).info.frame_count for path in job.raw.videos.values()]
    if job.boxes == "masks":
        counts += [mask_count(path) for path in job.raw.masks.values()]
    frames = np.arange(0, min([len(points), *counts]), job.every)
    boxes = np.zeros((len(frames), len(CAMERAS), 4), np.int64)
    for c, camera in enumerate(CAMERAS):
        if camera in job.raw.videos:
            boxes[:, c] = _boxes(job, c, camera, frames, points[frames])
    return RecordingRows(job.raw.recording, frames, points[frames], squared_about_rounded_middle(boxes))


def _boxes(job: RowsJob, c: int, camera: str, frames: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    if job.boxes == "table":
        return box_at(job.table, job.raw.recording.name, camera, frames)
    if job.boxes == "masks":
        return read_mask_boxes(job.raw.masks[camera], frames) if camera in job.raw.masks else np.zeros((len(frames), 4))
    points = torch.from_numpy(points_mm).double()
    pixels = job.cameras[c].project(points.flatten(0, 1)).unflatten(0, points.shape[:2])
    low, high = pixels.amin(1), pixels.amax(1)
    margin = 0.1 * (high - low).amax(-1, keepdim=True)
    return torch.cat([(low - margin).floor(), (high + margin).ceil()], -1).long().numpy()


def human36m_labels(rows: Sequence[RecordingRows], cameras: dict[str, Cameras], pictures: Pictures) -> Labels:
    """The table of these recordings, in their order."""
    frames = np.concatenate([part.frames for part in rows])
    points_mm = np.concatenate([part.points_mm for part in rows])
    return Labels(
        name="human36m",
        skeleton=H36M_17,
        recordings=tuple(part.recording for part in rows),
        camera_names=CAMERAS,
        cameras=Cameras.stack([cameras[part.recording.subject] for part in rows]),
        has_camera=np.ones((len(rows), len(CAMERAS)), bool),
        recording=np.repeat(np.arange(len(rows)), [len(part.frames) for part in rows]).astype(np.int64),
        frames=frames,
        people=np.zeros_like(frames),
        points_mm=points_mm,
        valid=np.ones(points_mm.shape[:2], bool),
        confidence=np.ones(points_mm.shape[:2], np.float32),
        boxes_px=np.concatenate([part.boxes_px for part in rows]),
        pictures=pictures,
        up=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
    )
