"""CMU Panoptic as `Labels`: names, parts, and the label file `cmu-multiview-labels-*.npy` of the published system.

The files are in centimetres with y pointing down; here it is millimetres and `up` = -y. Every sequence has its own
calibration, and a camera may be absent in one of them. Boxes are left, top, right, bottom and a score, whatever the
field's name says. A joint has a confidence, which is -1 (any number up to 0) where the joint is absent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from trivox.data.label_content import LabelContent, camera_array, has_other_lens, smallest_integers
from trivox.data.labels import Labels
from trivox.data.pictures import Pictures, Recording
from trivox.errors import InputError
from trivox.files.npy import write_npy_object
from trivox.geometry.skeletons import PANOPTIC_19

MM_PER_CM = 10.0
UP = (0.0, -1.0, 0.0)
# The parts of the published system where no split of frames is given.
TRAIN = ("171026_pose1", "171026_pose2", "171026_pose3", "171204_pose1", "171204_pose2", "171204_pose3", "171204_pose4")
TEST = ("171204_pose5", "171204_pose6")
_PICTURES = "{recording}/KINDImgs/{camera}/{camera}_{file:08}.jpg"

Kind = Literal["hd", "vga"]


def recording_of(sequence: str) -> Recording:
    """The recording of a sequence, with its place in the protocol."""
    part = "train" if sequence in TRAIN else "test" if sequence in TEST else ""
    return Recording(sequence, action=sequence, part=part)


def pictures_of(root: Path, kind: Kind = "hd", undistorted: bool = False) -> Pictures:
    """Where the pictures of a tree are, and whether it has undistorted ones."""
    plain = _PICTURES.replace("KIND", kind)
    return Pictures(root, plain, plain.replace("Imgs", "Imgs-undistorted") if undistorted else None)


def read_panoptic_npy(path: Path, root: Path) -> Labels:
    """The label file at `path` of the pictures below `root`. Raises `InputError` where it cannot be one."""
    content = LabelContent(path)
    sequences, camera_names = content.names("action_names"), content.names("camera_names")
    placed = content.cameras((len(sequences), len(camera_names)), MM_PER_CM, "opencv")
    joints = content.places("keypoints", MM_PER_CM, len(PANOPTIC_19), 4)
    boxes = content.whole("bbox_by_camera_tlbr", "iuf", len(camera_names), 5)
    valid = joints[..., 3] > 0
    return Labels(
        name="panoptic",
        skeleton=PANOPTIC_19,
        recordings=tuple(recording_of(sequence) for sequence in sequences),
        camera_names=camera_names,
        cameras=placed.cameras,
        has_camera=placed.has_camera,
        recording=content.indices("action_idx", len(sequences)),
        frames=content.whole("frame_name", "iu"),
        people=content.whole("person_id", "iu"),
        points_mm=np.where(valid[..., None], joints[..., :3] * np.float32(MM_PER_CM), np.float32(0)),
        valid=valid,
        confidence=np.where(valid, joints[..., 3], np.float32(0)),
        boxes_px=boxes[..., :4],
        pictures=pictures_of(root),
        up=torch.tensor(UP, dtype=torch.float64),
    )


def write_panoptic_npy(labels: Labels, path: Path) -> None:
    """Write the label file that the published system reads. Raises `InputError` where it could not say the same."""
    _refuse_unsayable(labels)
    boxes = np.concatenate([labels.boxes_px, np.zeros_like(labels.boxes_px[..., :1])], -1)
    columns = [("action_idx", np.int8), ("person_id", smallest_integers(labels.people))]
    columns += [("frame_name", smallest_integers(labels.frames)), ("keypoints", np.float32, (len(PANOPTIC_19), 4))]
    columns += [("bbox_by_camera_tlbr", smallest_integers(boxes), boxes.shape[1:])]
    table = np.zeros(len(labels), columns)
    table["action_idx"], table["person_id"], table["frame_name"] = labels.recording, labels.people, labels.frames
    table["keypoints"][..., :3] = labels.points_mm / np.float32(MM_PER_CM)
    table["keypoints"][..., 3] = np.where(labels.valid, labels.confidence, -1)
    table["bbox_by_camera_tlbr"] = boxes
    content = {
        "camera_names": list(labels.camera_names),
        "action_names": [recording.name for recording in labels.recordings],
        "person_ids": sorted({int(person) for person in labels.people}),
        "cameras": camera_array(labels.cameras, labels.has_camera, MM_PER_CM),
        "table": table,
    }
    write_npy_object(path, content)


def _refuse_unsayable(labels: Labels) -> None:
    up = None if labels.up is None else tuple(labels.up.tolist())
    for said, wrong in {
        f"the skeleton is {labels.skeleton.name}, not {PANOPTIC_19.name}": labels.skeleton != PANOPTIC_19,
        "the lens is not OpenCV's with five terms": has_other_lens(labels.cameras, "opencv"),
        "-y does not point up": up != UP,
        "there are more than 127 sequences": len(labels.recordings) > 127,
    }.items():
        if wrong:
            raise InputError(f"a Panoptic label file cannot say that {said}; write the open form instead")
