"""The same detections written in the formats of other programs, and the truth to compare with."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import COCO_17, Skeleton, skeleton_of

Detection = np.ndarray  # (J, 3): x and y as pixel indices, score
Found = dict[int, list[Detection]]  # by frame number

ANIMAL = skeleton_of(("snout", "left_ear", "tail_base"))


# A person who stands and looks aside, by the joint's part: x of the left side and y downwards, in parts of the height.
_BODY = {
    **{"nose": (0.03, -0.02), "eye": (0.03, -0.04), "ear": (0.05, -0.03), "head": (0.0, -0.03), "mouth": (0.02, 0.0)},
    **{"head_top": (0.0, -0.1), "head_nose": (0.0, -0.03), "upper_neck": (0.0, 0.03), "neck": (0.0, 0.08)},
    **{"spine": (0.0, 0.24), "mid_trunk": (0.0, 0.24), "pelvis": (0.0, 0.4), "face": (0.02, -0.02)},
    **{"shoulder": (0.11, 0.08), "elbow": (0.15, 0.24), "wrist": (0.19, 0.36), "hand": (0.2, 0.38)},
    **{"hip": (0.07, 0.4), "knee": (0.09, 0.62), "ankle": (0.1, 0.84), "heel": (0.1, 0.87), "toe": (0.13, 0.88)},
}
_HAND = ("thumb", "finger", "pinky", "index", "hand")
_PARTS = {**dict.fromkeys(("toe", "foot"), "toe"), **dict.fromkeys(_HAND, "hand")}


def place(joint: str) -> tuple[float, float]:
    """Where a joint lies, one that is not of people as well."""
    side = {"left": 1, "right": -1}.get(joint.split("_")[0], 0)
    part = next(
        (of for word, of in _PARTS.items() if word in joint), joint.removeprefix("left_").removeprefix("right_")
    )
    part = next((of for of in ("eye", "face", "mouth") if part.startswith(of)), part)
    x, y = _BODY.get(part, (0.0, 0.0))
    return (side * x if side else x), y


def people(skeleton: Skeleton, per_frame: dict[int, int], seed: int = 0, *, whole: bool = False) -> Found:
    """People who stand, lie and hang anywhere, with noise; one joint of each is missing unless they are `whole`."""
    rng = np.random.default_rng(seed)
    upright = np.array([place(joint) for joint in skeleton.names])

    def person() -> Detection:
        angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(200, 300)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = upright @ turn.T * height + rng.uniform(350, 600, 2) + rng.normal(0, 2, upright.shape)
        joints = np.column_stack([points, rng.uniform(0.1, 1, len(skeleton))])
        joints[1] *= whole
        return joints

    return {frame: [person() for _ in range(n)] for frame, n in per_frame.items()}


def as_keypoints(found: Found, skeleton: Skeleton) -> Keypoints2D:
    """The truth, one joint at a time."""
    most = max(1, *(len(detections) for detections in found.values()))
    points = torch.zeros(len(found), most, len(skeleton), 2, dtype=torch.float64)
    scores = torch.zeros(len(found), most, len(skeleton), dtype=torch.float64)
    for f, frame in enumerate(sorted(found)):
        for d, joints in enumerate(found[frame]):
            for j, (x, y, score) in enumerate(joints):
                if score > 0:
                    points[f, d, j] = torch.tensor([x + 0.5, y + 0.5])
                    scores[f, d, j] = score
    return Keypoints2D(points, scores, torch.tensor(sorted(found)), skeleton)


def assert_same(one: Keypoints2D, other: Keypoints2D) -> None:
    assert one.skeleton == other.skeleton
    assert torch.equal(one.frames, other.frames)
    torch.testing.assert_close(one.scores, other.scores)
    torch.testing.assert_close(one.points_px, other.points_px)


def write_openpose(folder: Path, found: Found, name: str = "cam_{:012d}_keypoints.json") -> Path:
    folder.mkdir(exist_ok=True)
    for frame, detections in found.items():
        listed = [{"person_id": [-1], "pose_keypoints_2d": joints.ravel().tolist()} for joints in detections]
        (folder / name.format(frame)).write_text(json.dumps({"version": 1.3, "people": listed}))
    return folder


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def flat(found: Found) -> list[tuple[int, list[float]]]:
    return [(frame, joints.ravel().tolist()) for frame, listed in found.items() for joints in listed]


def coco_results(path: Path, found: Found) -> Path:
    entries = [{"image_id": f, "category_id": 1, "keypoints": k, "score": 0.9} for f, k in flat(found)]
    return write_json(path, entries)


def coco_results_of_files(path: Path, found: Found) -> Path:
    entries = [{"image_id": f"cam1/img_{f:06d}.jpg", "keypoints": k} for f, k in flat(found)]
    return write_json(path, entries)


def coco_annotations(path: Path, found: Found) -> Path:
    images = [{"id": i, "file_name": f"rec2/{frame:06d}.png"} for i, frame in enumerate(found)]
    listed = [{"image_id": list(found).index(f), "category_id": 1, "keypoints": k} for f, k in flat(found)]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_17.names)}]
    return write_json(path, {"images": images, "annotations": listed, "categories": categories})


def instance_info(found: Found) -> list[dict[str, Any]]:
    def instance(joints: Detection) -> dict[str, Any]:
        return {
            "keypoints": joints[:, :2].tolist(),
            "keypoint_scores": joints[:, 2].tolist(),
            "bbox": [[0, 0, 1, 1]],
        }

    return [{"frame_id": f, "instances": [instance(joints) for joints in listed]} for f, listed in found.items()]


def mmpose_demo(path: Path, found: Found) -> Path:
    """The demo counts frames from 1."""
    found = {frame + 1: listed for frame, listed in found.items()}
    names = {str(i): name for i, name in enumerate(COCO_17.names)}
    return write_json(path, {"meta_info": {"keypoint_id2name": names}, "instance_info": instance_info(found)})


def mmpose_inferencer(path: Path, found: Found) -> Path:
    return write_json(path, instance_info(found))


def write_dlc_csv(path: Path, found: Found, *, multi: bool, likelihood: bool = True) -> Path:
    coords = ("x", "y", "likelihood") if likelihood else ("x", "y")
    parts = ("Snout", "ear_L", "Tail Base")
    animals = range(max(len(listed) for listed in found.values()))
    columns = [("net", f"mouse{a}", part, c) for a in animals for part in parts for c in coords]
    header = list(zip(("scorer", "individuals", "bodyparts", "coords"), *columns, strict=True))
    if not multi:
        del header[1]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(header)
        for frame, listed in found.items():
            cells = np.concatenate([joints[:, : len(coords)].ravel() for joints in listed])
            # DeepLabCut leaves a point it has not seen empty.
            unseen = np.concatenate([np.repeat(joints[:, 2] == 0, len(coords)) for joints in listed])
            writer.writerow([frame, *("" if u else repr(float(c)) for c, u in zip(cells, unseen, strict=True))])
    return path


def dlc_columns(individuals: int, multi: bool) -> list[tuple[str, ...]]:
    parts = [(p, c) for p in ("Snout", "ear_L", "Tail Base") for c in ("x", "y", "likelihood")]
    return [("net", *([f"m{i}"] if multi else []), *part) for i in range(individuals) for part in parts]


def pickled(labels: list[tuple[str, ...]]) -> bytes:
    """The labels as PyTables pickles them (protocol 0), spelt out."""
    tuples = "".join("(" + "".join(f"V{text}\n" for text in label) + "ta" for label in labels)
    return f"(l{tuples}.".encode()


def write_dlc_h5(path: Path, found: Found, *, multi: bool, table: bool) -> Path:
    """The two layouts of pandas, from its documentation and files that it wrote."""
    columns = dlc_columns(max(len(listed) for listed in found.values()), multi)
    values = np.array([np.concatenate([j.ravel() for j in listed]) for listed in found.values()])
    values[values == 0] = np.nan
    frames = np.array(list(found))
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_("frame_table" if table else "frame")
        if table:
            dtype = [("index", "<i8"), ("values_block_0", "<f8", (values.shape[1],))]
            rows = np.zeros(len(frames), dtype=dtype)
            rows["index"], rows["values_block_0"] = frames, values
            dataset = group.create_dataset("table", data=rows)
            dataset.attrs["values_block_0_kind"] = np.bytes_(pickled(columns))
            return path
        group.attrs["nblocks"] = 1
        group.attrs["axis1_variety"] = np.bytes_("regular")
        group.attrs["block0_items_variety"] = np.bytes_("multi")
        group.attrs["block0_items_nlevels"] = len(columns[0])
        group["axis1"], group["block0_values"] = frames, values
        for level, labels in enumerate(zip(*columns, strict=True)):
            names = sorted(set(labels))
            group[f"block0_items_level{level}"] = np.array(names, dtype="S")
            group[f"block0_items_label{level}"] = np.array([names.index(n) for n in labels], dtype=np.int8)
    return path
