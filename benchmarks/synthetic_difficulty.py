"""Are rendered people as hard for a detector as real ones? MoveNet Thunder's errors on both, side by side.

    python benchmarks/synthetic_difficulty.py DATA_FOLDER [--scenes 60] [--motion DIR]
        [--world train] [--out results.json]

DATA_FOLDER holds the real pictures with 2D truth: pose2sim_single/ (four views, every fifth frame; its "truth" is a
triangulation of other detections, good to a centimetre or two), panoptic_171026_pose1/, h36m_mmpose/ (four pictures);
and demo_scene/, an easy rendered clip.

Every person is cut out with 1.25 times the box of the true joints at 256 pixels, as trivox does. Errors are in
pixels of a person whose box is 256 pixels long, over joints inside of the picture, hidden ones included. A joint is
swapped where its twin's truth is much nearer than its own (half as far, and its own beyond 13 px).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

import trivox
from trivox.data.crops import cut, square_boxes
from trivox.files.npz import read_npz
from trivox.files.videos import Video
from trivox.geometry.skeletons import COCO_17, PANOPTIC_19, Skeleton, converted
from trivox.people.candidates import CROP_MARGIN
from trivox.people.networks import Networks
from trivox.synthetic.renderer import Renderer
from trivox.synthetic.scene import SceneOptions, draw_scene
from trivox.synthetic.worlds import World

PERSON_PX = 256.0
PERCENTILES = (10, 25, 50, 75, 90, 95, 99)
PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
H36M_ORDER = (
    *("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "neck"),
    *("head_nose", "head_top", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
)


@dataclass(frozen=True)
class Seen:
    """A person in a picture: true joints of COCO_17 in pixels, and which are known and inside."""

    picture: np.ndarray
    points_px: Tensor
    known: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--world", choices=("train", "test"), default="train")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    networks = Networks.load()
    sources = {
        "pose2sim_single": pose2sim(arguments.data / "pose2sim_single"),
        "panoptic_171026_pose1": panoptic(arguments.data / "panoptic_171026_pose1" / "171026_pose1"),
        "h36m_mmpose": human36m(arguments.data / "h36m_mmpose"),
        "demo_scene (easy)": demo(arguments.data / "demo_scene"),
    }
    for occlusion in ("none", "some", "heavy"):
        options = SceneOptions(frames=4, fps=1.0, motion=arguments.motion, occlusion=occlusion)
        sources[f"synthetic, {occlusion}"] = synthetic(arguments.scenes, options, arguments.world)
    rows = {name: measured(networks, people) for name, people in sources.items()}
    print_tables(rows)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2) + "\n")


def named(points: Tensor, names: tuple[str, ...], picture: np.ndarray, known: Tensor | None = None) -> Seen:
    """Points of any joints as COCO_17's, by name."""
    source = Skeleton("source", names, (), names[0])
    known = torch.ones(len(names), dtype=torch.bool) if known is None else known
    made = converted(points.double(), known, source, COCO_17)
    size = torch.tensor([picture.shape[1], picture.shape[0]])
    inside = ((made.points >= 0) & (made.points < size)).all(-1)
    return Seen(picture, made.points, made.valid & inside)


def pose2sim(folder: Path) -> Iterator[Seen]:
    rig = trivox.load_rig(folder / "calibration" / "Calib.qca.txt")
    poses = trivox.load_poses(folder / "pose-3d" / "BalancingTrial_0-100.trc")
    for v, name in enumerate(rig.names):
        video = Video(next((folder / "videos").glob(f"*{name[-2:]}.mp4")))
        for frame, picture in enumerate(video.frames()):
            if frame % 5 == 0 and frame < len(poses.points_mm):
                # The file's Y is up; x, y, z of the rig's world are its z, x, y.
                points_mm = poses.points_mm[frame, 0].double()[:, [2, 0, 1]]
                projected = rig.cameras[v].project(points_mm)
                yield named(projected, poses.skeleton.names, picture, poses.valid[frame, 0])


def panoptic(folder: Path) -> Iterator[Seen]:
    views = ("00_00", "00_24")
    rig = trivox.load_rig(folder / f"calibration_{folder.name}.json", names=views)
    (path,) = (folder / "hdPose3d_stage1_coco19").glob("*.json")
    joints = torch.tensor(json.loads(path.read_text())["bodies"][0]["joints19"], dtype=torch.float64).reshape(19, 4)
    for v, name in enumerate(views):
        (image,) = (folder / "hdImgs" / name).glob("*.jpg")
        yield named(rig.cameras[v].project(joints[:, :3] * 10), PANOPTIC_19.names, read(image), joints[:, 3] > 0)


def human36m(folder: Path) -> Iterator[Seen]:
    poses = read_npz(folder / "test_h36m_body3d.npz", "imgname", "part")
    for name, part in zip(poses["imgname"], poses["part"], strict=True):
        yield named(torch.from_numpy(part[:, :2] + 0.5), H36M_ORDER, read(folder / "images" / str(name)))


def demo(folder: Path) -> Iterator[Seen]:
    rig = trivox.load_rig(folder / "calibration.json", up="z")
    truth = torch.from_numpy(read_npz(folder / "truth.npz", "points_mm")["points_mm"]).double()
    for v, name in enumerate(rig.names):
        for frame, picture in enumerate(Video(folder / "videos" / f"{name}.mp4").frames()):
            if frame % 6 == 0:
                yield named(rig.cameras[v].project(truth[frame, 0]), COCO_17.names, picture)


def synthetic(scenes: int, options: SceneOptions, world: World) -> Iterator[Seen]:
    for seed in range(scenes):
        scene = draw_scene(seed, options, world)
        points = scene.truth(COCO_17).points_mm[:, 0]
        for frame, pictures in enumerate(Renderer(scene).frames(range(options.frames))):
            for v, picture in enumerate(pictures):
                seen = named(scene.rig.cameras[v].project(points[frame]), COCO_17.names, picture)
                if int(seen.known.sum()) >= 12:  # most of the person is in the picture
                    yield seen


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return picture[..., ::-1].copy()


def measured(networks: Networks, people: Iterator[Seen]) -> dict[str, dict[str, float]]:
    """Percentiles of the error per joint (sides together) and over all twelve limb joints."""
    errors: dict[str, list[float]] = {part: [] for part in PARTS}
    swapped, count = 0, 0
    for seen in people:
        box = square_boxes(seen.points_px[None], seen.known[None], CROP_MARGIN)[0]
        side = float(box[2] - box[0])
        crop = cut(seen.picture, box.numpy(), (256, 256))
        found = networks.find_joints(crop[None]).points_px[0].double() / 256 * side + box[:2]
        scale = PERSON_PX * CROP_MARGIN / side
        distance = (found - seen.points_px).norm(dim=-1) * scale
        crossed = (found - seen.points_px[list(COCO_17.mirror)]).norm(dim=-1) * scale
        for j, name in enumerate(COCO_17.names):
            part = name.split("_")[-1]
            if part in errors and seen.known[j]:
                errors[part].append(float(distance[j]))
                swapped += bool(distance[j] > 13 and crossed[j] < distance[j] / 2)
                count += 1
    every = [error for part in errors.values() for error in part]
    rows = {part: percentiles(values) for part, values in errors.items()} | {"all limbs": percentiles(every)}
    rows["all limbs"] |= {"swapped": swapped / max(count, 1), "joints": float(count)}
    rows["all limbs"]["within 12.8 px"] = float((np.array(every) < 12.8).mean())
    return rows


def percentiles(values: list[float]) -> dict[str, float]:
    """NaN where no joint of the kind is in any picture."""
    return {f"p{p}": float(np.percentile(values, p)) if values else float("nan") for p in PERCENTILES}


def print_tables(rows: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"{'limb joints, px of a 256-px person':<36}" + "".join(f"{f'p{p}':>7}" for p in PERCENTILES), end="")
    print(f"{'<12.8':>8}{'swapped':>9}{'joints':>8}")
    for name, row in rows.items():
        limbs = row["all limbs"]
        print(f"{name:<36}" + "".join(f"{limbs[f'p{p}']:>7.1f}" for p in PERCENTILES), end="")
        print(f"{limbs['within 12.8 px']:>8.3f}{limbs['swapped']:>9.3f}{limbs['joints']:>8.0f}")
    print("\nmedian / p90 per joint" + " " * 14 + "".join(f"{part:>14}" for part in PARTS))
    for name, row in rows.items():
        print(f"{name:<36}" + "".join(f"{row[part]['p50']:>7.1f}/{row[part]['p90']:<6.1f}" for part in PARTS))


if __name__ == "__main__":
    main()
