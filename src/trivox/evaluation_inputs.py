"""What an evaluation compares, out of files: true poses or rows of a dataset, and the predictions for them.

A results.pkl has a pose for every row, in the order of the dataset. A file of poses has frame numbers: rows of one
recording find theirs by number. Nothing is cut or filled up to fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trivox.data.human36m import read_human36m_npy
from trivox.data.label_content import LabelContent
from trivox.data.labels import Labels
from trivox.data.open_labels import load_labels
from trivox.data.panoptic import read_panoptic_npy
from trivox.data.pictures import Part
from trivox.data.scenes import read_scenes
from trivox.data.splits import read_split, rows_of_parts
from trivox.errors import InputError
from trivox.files.poses import load_poses
from trivox.files.reference_results import ReferenceResults, load_reference_results, save_reference_results
from trivox.files.text import check_places
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import H36M_17, MPII_16, PANOPTIC_19, Skeleton, skeleton_named, skeleton_of
from trivox.metrics.people_evaluation import Scene
from trivox.metrics.truth import Truth, truth_of_labels, truth_of_poses

Units = Literal["mm", "cm", "m"]
MM_PER_UNIT: dict[Units, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}

# Share of the true frames that predictions must span.
_LEAST_INSIDE = 0.9

# The joints that the published programs write, by number.
_PUBLISHED = {len(skeleton): skeleton for skeleton in (H36M_17, MPII_16, PANOPTIC_19)}


@dataclass(frozen=True)
class Rows:
    """Rows of a label table: parts of the dataset, or of a file that splits frames; of the test every n-th.

    `damaged` rows of the test, whose truth is known to be broken, are there in the published evaluations "with" them,
    and each protocol decides whether they count. `recordings` picks some by name, from all parts.
    """

    part: Literal["train", "test", "both"] = "test"
    split: Path | None = None
    damaged: Literal["with", "without"] = "with"
    every: int = 1
    recordings: tuple[str, ...] = ()

    def of(self, labels: Labels) -> Labels:
        """These rows of `labels`. Raises `InputError` where there are none."""
        if self.every < 1:
            raise InputError(f"every {self.every}th row cannot be taken; give a number from 1 up")
        if self.recordings:
            return _recordings(labels, self.recordings)
        parts: tuple[Part, ...] = ("train", "test") if self.part == "both" else (self.part,)
        rows = rows_of_parts(
            labels,
            parts,
            split=None if self.split is None else read_split(self.split),
            with_damaged_actions=self.damaged == "with",
            retain_every_n_frames_in_test=self.every,
        )
        return labels.selected(rows)


def _recordings(labels: Labels, names: tuple[str, ...]) -> Labels:
    known = [recording.name for recording in labels.recordings]
    for name in names:
        if name not in known:
            raise InputError(f"there is no recording {name!r} in {labels.name}; there are {', '.join(known[:20])}")
    return labels.selected(np.isin(labels.recording, [known.index(name) for name in names]))


def labels_of(path: Path, pictures: Path | None = None) -> Labels:
    """A dataset: a folder of scenes or of `trivox prepare`, or a label table in a file, in the open form (.npz or
    .json) or the published system's .npy of either dataset.

    `pictures` is the folder with the pictures of a .npy, where they are needed; the others know theirs.
    """
    if pictures is not None and path.suffix != ".npy":
        raise InputError(f"{path} knows where its pictures are, which --pictures cannot change; leave it out")
    if pictures is not None and not pictures.is_dir():
        raise InputError(f"there is no folder {pictures} with pictures; check the path")
    if path.is_dir():
        table = path / "labels.json"
        return load_labels(table) if table.is_file() else read_scenes(path)
    if path.suffix != ".npy":
        return load_labels(path)
    root = pictures or path.parent
    is_human36m = LabelContent(path).has_column("subject_idx")  # Panoptic's rows are of people, not of subjects
    return (read_human36m_npy if is_human36m else read_panoptic_npy)(path, root)


@dataclass(frozen=True)
class Target:
    """What predictions are compared with. `truth`: rows of one person each, None for poses of several people.

    `scene` is the same by frame and person, None where rows are of several recordings; `frames` their numbers, which
    tell rows apart where nobody `shares_frames`.
    """

    dataset: str
    truth: Truth | None
    scene: Poses | None
    frames: np.ndarray | None
    shares_frames: bool


def target_of_poses(poses: Poses) -> Target:
    several = poses.points_mm.shape[1] > 1
    return Target("", None if several else truth_of_poses(poses), poses, poses.frames.numpy(), several)


def target_of_labels(labels: Labels) -> Target:
    one = len(np.unique(labels.recording)) == 1
    return Target(
        labels.name,
        truth_of_labels(labels),
        _scene_of(labels) if one else None,
        labels.frames if one else None,
        one and len(np.unique(labels.frames)) < len(labels),
    )


def _scene_of(labels: Labels) -> Poses:
    """The rows of one recording by frame and person; nobody looks at its frame rate."""
    frames, frame = np.unique(labels.frames, return_inverse=True)
    people, person = np.unique(labels.people, return_inverse=True)
    shape = (len(frames), len(people), len(labels.skeleton))
    points, valid, confidence = np.zeros((*shape, 3)), np.zeros(shape, bool), np.zeros(shape)
    place = (frame.reshape(-1), person.reshape(-1))
    points[place], valid[place], confidence[place] = labels.points_mm, labels.valid, labels.confidence
    tensors = map(torch.from_numpy, (points, valid, confidence, frames))
    return Poses(*tensors, skeleton=labels.skeleton, fps=1.0, up=labels.up)


@dataclass(frozen=True)
class Predictions:
    """Poses of one person, one for each row of the truth, in its order."""

    points_mm: Tensor
    found: Tensor
    skeleton: Skeleton


def load_predictions(path: Path, skeleton: str | None = None, units: Units | None = None) -> Predictions | Poses:
    """A results.pkl, a result folder or a file of poses. `skeleton` names the joints of the first, picks others'.

    `units` are those of a results.pkl, millimetres unless given: of CMU Panoptic the published programs write
    centimetres. Other files state theirs.
    """
    if path.suffix != ".pkl" and units not in (None, "mm"):
        raise InputError(f"{path} states its own unit, which --units cannot change; leave it out")
    if path.suffix == ".pkl":
        results = load_reference_results(path)
        there = np.isfinite(results.points_mm).all(-1)
        check_places(results.points_mm[there], path, MM_PER_UNIT[units or "mm"])
        points = torch.from_numpy(results.in_order()) * MM_PER_UNIT[units or "mm"]
        return Predictions(points, torch.isfinite(points).all(-1), _skeleton_of(results, path, skeleton))
    file = path / "poses.npz" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise InputError(f"{path} has no poses.npz; give a result folder of trivox, a file of poses or a results.pkl")
    return load_poses(file, skeleton=skeleton)


def _skeleton_of(results: ReferenceResults, path: Path, stated: str | None) -> Skeleton:
    """The joints that the file names, or that are stated, or that the published programs write in this number."""
    told = None if results.joints is None else skeleton_of(results.joints)
    given = None if stated is None else skeleton_named(stated)
    if told and given and told.names != given.names:
        raise InputError(f"{path} holds the joints of {told.name}, not of {given.name}; leave --skeleton out")
    skeleton = told or given or _PUBLISHED.get(results.points_mm.shape[1])
    if skeleton is None:
        raise InputError(f"{path} has {results.points_mm.shape[1]} joints; say which they are (--skeleton)")
    return skeleton


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Write a results.pkl, NaN where a joint was not found. It names its joints where their number would mislead."""
    points_mm = torch.where(predictions.found[..., None], predictions.points_mm, torch.nan)
    skeleton = predictions.skeleton
    published = _PUBLISHED.get(len(skeleton))
    is_usual = published is not None and published.names == skeleton.names
    save_reference_results(points_mm.numpy(), path, None if is_usual else skeleton.names)


def for_rows(predictions: Predictions | Poses, target: Target) -> Predictions:
    """The predicted poses of the target's rows. Raises `InputError` where people or frames are not alone."""
    if isinstance(predictions, Predictions):
        return predictions
    people = predictions.points_mm.shape[1]
    if people != 1:
        raise InputError(f"the predictions hold {people} people; take --protocol people, which finds out who is who")
    if target.frames is None:
        raise InputError(
            "a file of poses belongs to one recording, the rows are of several; choose it (--recordings NAME), or give "
            "a results.pkl"
        )
    at = _rows_of_frames(predictions, target.frames)
    return Predictions(predictions.points_mm[at, 0], predictions.valid[at, 0], predictions.skeleton)


def scenes(predictions: Predictions | Poses, target: Target) -> tuple[Scene, Scene]:
    """Predicted and true people at the frames of the truth."""
    if target.scene is None:
        raise InputError(
            "several people are evaluated one recording at a time, the rows are of several; choose it "
            "(--recordings NAME)"
        )
    if isinstance(predictions, Predictions):
        raise InputError("a results.pkl holds one person per row; give a file of poses, which has people and frames")
    at = _rows_of_frames(predictions, target.scene.frames.numpy())
    return _scene(predictions[at]), _scene(target.scene)


def _scene(poses: Poses) -> Scene:
    confidence = (poses.confidence * poses.valid).sum(-1) / poses.valid.sum(-1).clamp_min(1)
    return Scene(poses.points_mm, poses.valid, confidence, poses.skeleton)


def within_predictions(truth: Poses, predicted: Predictions | Poses) -> Poses:
    """The truth without the few frames before the first and after the last prediction.

    Two programs rarely agree on the first and last frame of a recording. More than a tenth outside is another
    recording, or part of one: it stays, and is refused where rows are looked up.
    """
    if isinstance(predicted, Predictions) or not len(predicted.frames):
        return truth
    inside = (truth.frames >= predicted.frames[0]) & (truth.frames <= predicted.frames[-1])
    return truth[inside] if inside.double().mean() >= _LEAST_INSIDE else truth


def _rows_of_frames(predictions: Poses, frames: np.ndarray) -> Tensor:
    """Where the predictions have these frames, all of which have to be there."""
    ours = predictions.frames.numpy()
    at = np.searchsorted(ours, frames).clip(max=len(ours) - 1)
    missing = frames[ours[at] != frames]
    if len(missing):
        few = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise InputError(
            f"{len(missing)} of {len(frames)} frames with truth have no prediction: {few} (the truth's are {frames[0]} "
            f"to {frames[-1]}, the predictions {ours[0]} to {ours[-1]}); predict the frames of the truth"
        )
    return torch.from_numpy(at)
