"""Small raw downloads of Human3.6M and CMU Panoptic in their true formats, for the tests to prepare."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cdflib
import h5py
import numpy as np
import torch
from clips import write_clip
from rigs import ring

from trivox.data.human36m import ACTIONS, CAMERAS, SUBJECTS
from trivox.data.human36m_metadata import rotations_xyz
from trivox.data.human36m_raw import JOINTS_17
from trivox.data.prepare_human36m import IMAGE_HW
from trivox.geometry.cameras import Cameras

LENS = torch.tensor([-0.2, 0.24, -9e-4, -1.6e-3, -2e-3], dtype=torch.float64)
SEVENTEEN_MM = torch.tensor(
    [
        [0, -100, 80], [20, -110, 480], [0, -120, 930], [0, 120, 930], [20, 110, 480], [0, 100, 80], [0, 0, 930],
        [0, 0, 1150], [0, 0, 1420], [60, 0, 1720], [60, -250, 880], [20, -240, 1130], [0, -190, 1400], [0, 190, 1400],
        [20, 240, 1130], [60, 250, 880], [80, 0, 1600],
    ],
    dtype=torch.float64,
)  # fmt: skip


def human36m_cameras() -> Cameras:
    """Four cameras around the middle, as metadata.xml will say them: with angles, centres and the dataset's lens."""
    angles = torch.tensor([[1.57, -0.9 + 1.5 * c, 3.1] for c in range(4)], dtype=torch.float64)
    R = rotations_xyz(angles)
    centres = torch.tensor([[0.0, 0.0, 1000.0]]).double() - 4500.0 * R[:, 2]
    K = torch.tensor([[1145.0, 0, 512.5], [0, 1143.0, 515.5], [0, 0, 1]]).double().repeat(4, 1, 1)
    t_mm = -(R @ centres[..., None])[..., 0]
    return Cameras(K, R, t_mm, LENS.repeat(4, 1), "human36m", torch.tensor([IMAGE_HW[name] for name in CAMERAS]))


def metadata_xml(trial_files: dict[tuple[str, int], str], cameras: Cameras | None = None) -> str:
    """`metadata.xml` with (action, trial) -> file name for all subjects, and the same cameras for all."""
    subjects = [f"S{i + 1}" for i in range(11)]
    short = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog", "WalkingTogether": "WalkTogether"}
    rows = ["<tr><td></td><td></td>" + "".join(f"<td>{s}</td>" for s in subjects) + "</tr>"]
    for number, action in enumerate(ACTIONS, start=2):  # action 1 is all of them together
        for trial in (1, 2):
            name = trial_files.get((action, trial), f"{short.get(action, action)} {trial}")
            rows.append(f"<tr><td>{number}</td><td>{trial}</td>" + f"<td>{name}</td>" * 11 + "</tr>")
    sizes = "<tr><td></td><td></td>" + "<td>[1002 1000;1000 1000]</td>" * 11 + "</tr>"
    names = "".join(f"<name>{short.get(action, action)}</name>" for action in ("_ALL", *ACTIONS))
    ids = "".join(f"<id>{camera}</id>" for camera in CAMERAS)
    w0 = "" if cameras is None else f"<w0>[{' '.join(repr(float(v)) for v in w0_of(cameras))}]</w0>"
    return (
        f"<metadata><mapping>{''.join(rows)}{sizes}</mapping><actionnames>{names}</actionnames>"
        f"<dbcameras><index2id>{ids}</index2id></dbcameras>{w0}</metadata>"
    )


def w0_of(cameras: Cameras) -> np.ndarray:
    """Angles, centres and lenses as the file keeps them; R = Rx(a) Ry(b) Rz(c) taken apart."""
    R = cameras.R
    b = torch.asin(R[:, 0, 2])
    angles = torch.stack([torch.atan2(-R[:, 1, 2], R[:, 2, 2]), b, torch.atan2(-R[:, 0, 1], R[:, 0, 0])], -1)
    placed = torch.cat([angles, cameras.position_mm], -1)[:, None].repeat(1, 11, 1)
    K, lens = cameras.K, cameras.distortion
    lenses = torch.stack([K[:, 0, 0], K[:, 1, 1], K[:, 0, 2] - 0.5, K[:, 1, 2] - 0.5], -1)
    return torch.cat([placed.flatten(), torch.cat([lenses, lens[:, [0, 1, 4, 2, 3]]], -1).flatten()]).numpy()


def positions_17(frames: int) -> np.ndarray:
    """(frames, 17, 3): somebody who walks along x."""
    steps = torch.zeros(frames, 1, 3, dtype=torch.float64)
    steps[:, 0, 0] = 20.0 * torch.arange(frames)
    return (SEVENTEEN_MM + steps).numpy()


def write_positions(path: Path, frames: int) -> None:
    """All 32 joints as CDF, or as the widely used h5. Joints that nobody uses are far away."""
    raw = np.full((frames, 32, 3), 9e5, np.float32)
    raw[:, JOINTS_17] = positions_17(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = raw.reshape(frames, 96)
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["3D_positions"] = flat.T
        return
    writer = cdflib.cdfwrite.CDF(path, {"Majority": "row_major"}, delete=True)
    described = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [frames, 96]}
    writer.write_var(described, var_data=flat[None])
    writer.close()


def write_masks(path: Path, boxes: list[tuple[int, int, int, int]], image_hw: tuple[int, int]) -> None:
    """`Masks` of MATLAB's v7.3: a cell array of references to logical matrices, stored column by column."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        references = np.empty((len(boxes), 1), dtype=h5py.ref_dtype)
        for i, (left, top, right, bottom) in enumerate(boxes):
            mask = np.zeros((image_hw[1], image_hw[0]), np.uint8)
            mask[left:right, top:bottom] = 1
            stored = file.create_dataset(f"#refs#/{i}", data=mask, compression="gzip")
            stored.attrs["MATLAB_class"] = np.bytes_("logical")
            references[i, 0] = stored.ref
        file.create_dataset("Masks", data=references).attrs["MATLAB_class"] = np.bytes_("cell")


def mask_box(frame: int) -> tuple[int, int, int, int]:
    return 300 + 10 * frame, 200, 500 + 10 * frame, 801


def human36m_tree(root: Path, recordings: dict[str, str], frames: int = 6) -> Path:
    """`recordings`: "S1/Walking-1" -> file name without camera. 3D alternately as CDF and h5."""
    files = {}
    for i, (recording, name) in enumerate(recordings.items()):
        subject, trial = recording.split("/")
        action, number = trial.rsplit("-", 1)
        files[action, int(number)] = name
        folder = root / subject
        positions = "MyPoses/3D_positions" if i % 2 else "MyPoseFeatures/D3_Positions"
        write_positions(folder / positions / f"{name}{'.h5' if i % 2 else '.cdf'}", frames)
        for camera in CAMERAS:
            (folder / "Videos").mkdir(exist_ok=True)
            write_clip(folder / "Videos" / f"{name}.{camera}.mp4", frames, image_hw=IMAGE_HW[camera])
            masks = folder / "MySegmentsMat" / "ground_truth_bb" / f"{name}.{camera}.mat"
            write_masks(masks, [mask_box(f) for f in range(frames)], IMAGE_HW[camera])
    (root / "Release-v1.2").mkdir(parents=True, exist_ok=True)
    (root / "Release-v1.2" / "metadata.xml").write_text(metadata_xml(files, human36m_cameras()))
    return root


def complete_subjects(root: Path) -> None:
    for subject in SUBJECTS:
        (root / subject).mkdir(parents=True, exist_ok=True)


def panoptic_calibration(kind: str, names: list[str], image_hw: tuple[int, int]) -> dict[str, object]:
    """Cameras on a ring about the middle, in centimetres with y down."""
    cameras = ring(len(names))
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]).double()  # z up of y down
    scale = image_hw[1] / 1280
    described = []
    for i, name in enumerate(names):
        K = cameras.K[i].clone()
        K[:2] *= scale
        K[1, 2] = image_hw[0] / 2
        K[:2, 2] -= 0.5
        described.append(
            {
                "name": name,
                "type": kind,
                "resolution": [image_hw[1], image_hw[0]],
                "panel": int(name[:2]),
                "node": int(name[3:]),
                "K": K.tolist(),
                "distCoef": [-0.1, 0.02, 0.001, -5e-4, 0.0],
                "R": (cameras.R[i] @ turn).tolist(),
                "t": (cameras.t_mm[i] / 10)[:, None].tolist(),
            }
        )
    return {"calibDataSource": "test", "cameras": described}


def panoptic_body(person: int, x_cm: float) -> dict[str, object]:
    """A standing adult in the 19 joints, y down; the left ear is absent."""
    heights = [142, 160, 93, 142, 113, 88, 93, 50, 9, 142, 113, 88, 93, 50, 9, 164, 162, 164, 162]
    sides = [0, 0, 0, 19, 24, 25, 10, 11, 11, -19, -24, -25, -10, -11, -11, 3, 7, -3, -7]
    joints = []
    for j, (height, side) in enumerate(zip(heights, sides, strict=True)):
        joints += [side + x_cm, -float(height), 5.0 * math.sin(j), -1.0 if j == 16 else 0.75]
    return {"id": person, "joints19": joints}


def panoptic_sequence(
    root: Path,
    name: str,
    cameras: list[str],
    frames: dict[int, list[dict[str, object]]],
    kind: str = "hd",
    videos: int = 0,
    calibrated: list[str] | None = None,
    image_hw: tuple[int, int] = (64, 96),
) -> Path:
    """A sequence whose first cameras have videos of `videos` frames; `frames`: number -> bodies."""
    folder = root / name
    (folder / f"{kind}Videos").mkdir(parents=True)
    poses = folder / f"{kind}Pose3d_stage1_coco19"
    poses.mkdir()
    calibration = panoptic_calibration(kind, calibrated or cameras, image_hw)
    (folder / f"calibration_{name}.json").write_text(json.dumps(calibration))
    for frame, bodies in frames.items():
        (poses / f"body3DScene_{frame:08}.json").write_text(json.dumps({"version": 0.7, "bodies": bodies}))
    for camera in cameras:
        write_clip(folder / f"{kind}Videos" / f"{kind}_{camera}.mp4", videos, image_hw=image_hw)
    return folder
