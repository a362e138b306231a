"""Human3.6M as `Labels`: names, protocol, and the label file `human36m-multiview-labels-*.npy` of the published system.

Millimetres, z up. The lens is the dataset's own (distortion model "human36m"). Every subject has its own cameras.
Boxes stand in the file as top, left, bottom, right. The picture of frame f is file f + 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trivox.data.label_content import LabelContent, camera_array, has_other_lens, positions, smallest_integers
from trivox.data.labels import Labels
from trivox.data.pictures import Pictures, Recording
from trivox.errors import InputError
from trivox.files.npy import write_npy_object
from trivox.geometry.skeletons import H36M_17

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
TEST_SUBJECTS = ("S9", "S11")
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting"),
    *("SittingDown", "Smoking", "TakingPhoto", "Waiting", "Walking", "WalkingDog", "WalkingTogether"),
)
TRIALS = tuple(f"{action}-{trial}" for action in ACTIONS for trial in (1, 2))
# Their truth is broken for part of the recording; absolute scores leave them out.
DAMAGED = ("S9/Greeting-2", "S9/SittingDown-2", "S9/Waiting-1")

_PICTURES = "{recording}/imageSequence/{camera}/img_{file:06}.jpg"
_UNDISTORTED = "{recording}/imageSequence-undistorted/{camera}/img_{file:06}.jpg"


def recording_of(subject: str, trial: str) -> Recording:
    """The recording of a subject and a trial such as "Walking-1", with its place in the protocol."""
    name = f"{subject}/{trial}"
    part = "test" if subject in TEST_SUBJECTS else "train" if subject in SUBJECTS else ""
    return Recording(name, subject, trial.rpartition("-")[0] or trial, part, damaged=name in DAMAGED)


def pictures_of(root: Path, undistorted: bool) -> Pictures:
    """Where the pictures of a tree are, and whether it has undistorted ones."""
    return Pictures(root, _PICTURES, _UNDISTORTED if undistorted else None, first_file=1)


def pictures_in(root: Path) -> Pictures:
    """Pictures of a prepared tree; the undistorted ones where the tree has some."""
    return pictures_of(root, next(root.glob("*/*/imageSequence-undistorted"), None) is not None)


def read_human36m_npy(path: Path, root: Path) -> Labels:
    """The label file at `path` of the pictures below `root`. Raises `InputError` where it cannot be one."""
    content = LabelContent(path)
    subjects, trials = content.names("subject_names"), content.names("action_names")
    camera_names = content.names("camera_names")
    subject, trial = content.indices("subject_idx", len(subjects)), content.indices("action_idx", len(trials))
    takes, recording = np.unique(np.stack([subject, trial], 1), axis=0, return_inverse=True)
    placed = content.cameras((len(subjects), len(camera_names)), 1.0, "human36m")
    points_mm = content.places("keypoints", 1.0, len(H36M_17), 3)
    boxes = content.whole("bbox_by_camera_tlbr", "iu", len(camera_names), 4)
    frames = content.whole("frame_idx", "iu")
    return Labels(
        name="human36m",
        skeleton=H36M_17,
        recordings=tuple(recording_of(subjects[s], trials[t]) for s, t in takes.tolist()),
        camera_names=camera_names,
        cameras=placed.cameras[torch.from_numpy(takes[:, 0])],
        has_camera=placed.has_camera[takes[:, 0]],
        recording=recording.reshape(-1).astype(np.int64),
        frames=frames,
        people=np.zeros_like(frames),
        points_mm=points_mm,
        valid=np.ones(points_mm.shape[:2], bool),
        confidence=np.ones(points_mm.shape[:2], np.float32),
        boxes_px=boxes[..., [1, 0, 3, 2]],
        pictures=pictures_in(root),
        up=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
    )


def write_human36m_npy(labels: Labels, path: Path) -> None:
    """Write the label file that the published system reads. Raises `InputError` where it could not say the same."""
    _refuse_unsayable(labels)
    takes = [recording.name.split("/") for recording in labels.recordings]
    subjects = _in_order([subject for subject, _ in takes], SUBJECTS)
    trials = _in_order([trial for _, trial in takes], TRIALS)
    of_subject, of_trial = positions([s for s, _ in takes], subjects), positions([t for _, t in takes], trials)
    boxes = labels.boxes_px[..., [1, 0, 3, 2]]
    cameras = np.zeros(
        (len(subjects), len(labels.camera_names)), camera_array(labels.cameras, labels.has_camera, 1).dtype
    )
    cameras[of_subject] = camera_array(labels.cameras, labels.has_camera, 1.0)
    columns = [("subject_idx", np.int8), ("action_idx", np.int8), ("frame_idx", smallest_integers(labels.frames))]
    columns += [("keypoints", np.float32, (17, 3)), ("bbox_by_camera_tlbr", smallest_integers(boxes), boxes.shape[1:])]
    table = np.zeros(len(labels), columns)
    table["subject_idx"], table["action_idx"] = of_subject[labels.recording], of_trial[labels.recording]
    table["frame_idx"], table["keypoints"], table["bbox_by_camera_tlbr"] = labels.frames, labels.points_mm, boxes
    names = {"subject_names": list(subjects), "camera_names": list(labels.camera_names), "action_names": list(trials)}
    write_npy_object(path, {**names, "cameras": cameras, "table": table})


def _in_order(used: list[str], usual: tuple[str, ...]) -> tuple[str, ...]:
    """The usual names where they suffice, so that files look as others know them; else those used."""
    return usual if set(used) <= set(usual) else (*usual, *sorted(set(used) - set(usual)))


def _refuse_unsayable(labels: Labels) -> None:
    def refuse(said: str) -> InputError:
        return InputError(f"a Human3.6M label file cannot say that {said}; write the open form instead")

    if labels.skeleton != H36M_17:
        raise refuse(f"the skeleton is {labels.skeleton.name}, not {H36M_17.name}")
    if has_other_lens(labels.cameras, "human36m"):
        raise refuse("the lens is not the dataset's own")
    if not labels.valid.all():
        raise refuse("joints are missing")
    if labels.people.any():
        raise refuse("frames hold several people")
    names = [recording.name for recording in labels.recordings]
    if any(name.count("/") != 1 for name in names):
        raise refuse("a recording is no trial of a subject ('S1/Walking-1')")
    for name in {name.split("/")[0] for name in names}:
        rows = [i for i, known in enumerate(names) if known.split("/")[0] == name]
        same = all(bool((field[rows] == field[rows[:1]]).all()) for field in (labels.cameras.K, labels.cameras.t_mm))
        if not same:
            raise refuse(f"cameras of {name} differ between its recordings")
