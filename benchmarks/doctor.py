"""How often does the doctor name a fault rightly? Faults of known size put into good recordings.

    trivox synth SCENES --scenes 6 --world test --frames 150 --fps 15 --seed 100 --occlusion none --motion CLIPS
    python benchmarks/doctor.py DATA_FOLDER --scenes SCENES [--seeds 4] [--first-seed 0] [--out results.json]

DATA_FOLDER holds demo_scene/, pose2sim_single/ and caliscope_4cam/; CLIPS is a folder of recorded motion
(docs/synthetic.md). The people in the videos are detected once and kept in --cache. Every fault is put into the rig, or
into the 2D joints, of a recording and camera drawn by the seed. `harmful` are those that move the joints in space by
more than 10 mm in the mean, placed robustly, so that a camera that contradicts the others is left out.
A fault is named rightly where the first finding has its kind and its camera (of two cameras: either).

Good recordings, with all of their cameras, with each three, and with pairs, must give no finding.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import trivox
from trivox.doctor.case import Case, mirrored_video
from trivox.doctor.corrections import picture_hw
from trivox.doctor.diagnosis import Diagnosis, diagnose
from trivox.doctor.evidence import Evidence
from trivox.doctor.examination import sized_cameras
from trivox.doctor.findings import weak_views
from trivox.doctor.looking import look_at
from trivox.doctor.pose import turned_by
from trivox.files.npz import write_npz
from trivox.files.views import Views
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17, skeleton_of

HARMFUL_MM = 10.0
WEAK = "detector weakness"
UNITS = "wrong unit"
Put = Callable[[Case, int, random.Random], tuple[Case, tuple[int, ...]]]


@dataclass(frozen=True)
class Fault:
    """`put(case, view, random)` gives the faulty case and whom to name; `views` empty for all."""

    kind: str
    size: str
    put: Put


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/trivox-doctor"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = dict(recordings(arguments.data, arguments.scenes, arguments.cache))
    rows = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for fault in FAULTS:
            rows.append(tried(fault, cases, seed))
            print(json.dumps(rows[-1]), flush=True)
            if arguments.out:
                arguments.out.write_text(json.dumps(rows) + "\n")
    for row in good(cases):
        rows.append(row)
        print(json.dumps(row), flush=True)
        if arguments.out:
            arguments.out.write_text(json.dumps(rows) + "\n")
    print_table(rows)


def recordings(data: Path, scenes: Path | None, cache: Path) -> Iterator[tuple[str, Case]]:
    """Good recordings: what was detected, with the rig that came with them, fitted to the size of its pictures."""
    sets: dict[str, tuple[Path, Path]] = {
        "demo": (data / "demo_scene" / "calibration.json", data / "demo_scene" / "videos"),
        "pose2sim": (data / "pose2sim_single/calibration/Calib.qca.txt", data / "pose2sim_single/videos"),
        "caliscope": (data / "caliscope_4cam/camera_array.toml", data / "caliscope_4cam"),
    }
    for folder in sorted(scenes.glob("scene_*")) if scenes else []:
        sets[folder.name] = folder / "calibration.toml", folder / "videos"
    for name, (calibration, videos) in sets.items():
        rig = trivox.load_rig(calibration)
        evidence = detected(name, rig, videos, cache)
        yield name, Case.of(evidence, sized_cameras(rig, evidence)[0])


def detected(name: str, rig: Rig, videos: Path, cache: Path) -> Evidence:
    kept = cache / f"{name}.npz"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        unsized = replace(rig, cameras=replace(rig.cameras, image_hw=None))
        with Views.open(unsized, sorted(videos.glob("*.mp4"))) as views:
            found = look_at(views, views.fps or 30.0)
        names = ("points_px", "weights", "crop_px", "frames", "stretches", "image_hw", "fps")
        write_npz(kept, {key: np.asarray(getattr(found, key)) for key in names})
    held = dict(np.load(kept))
    fps = float(held.pop("fps"))
    return Evidence(
        **{k: torch.from_numpy(v) for k, v in held.items()}, skeleton=skeleton_of(COCO_17.limb_joints), fps=fps
    )


def tried(fault: Fault, cases: dict[str, Case], seed: int) -> dict[str, object]:
    chance = random.Random(f"{fault.kind} {fault.size} {seed}")
    # The board hides the man of caliscope from one of its cameras: for that set only silence is asked.
    name = chance.choice([name for name in cases if name != "caliscope"])
    case = cases[name]
    view = chance.randrange(case.views)
    faulty, whom = fault.put(case, view, chance)
    found = diagnose(faulty)
    kind, views = first_finding(found)
    return {
        "recording": name,
        "kind": fault.kind,
        "size": fault.size,
        "view": view,
        "moved_mm": moved_mm(case, faulty),
        "found": kind,
        "found_views": list(views),
        "right": kind == fault.kind and set(views) == set(whom),
        "further": len(found.steps) - 1,
        "detail": found.steps[0].correction.detail if found.steps else "",
    }


def first_finding(found: Diagnosis) -> tuple[str, tuple[int, ...]]:
    if found.steps:
        return found.steps[0].correction.kind, found.steps[0].correction.views
    if found.unit_factor != 1:
        return UNITS, ()
    if weak := weak_views(found.case):
        return WEAK, tuple(weak)
    return "", ()


def moved_mm(good: Case, faulty: Case) -> float:
    """Mean distance between the joints in space with and without the fault."""
    both = good.fit.seen.any(-1) & faulty.fit.seen.any(-1)
    return float((good.fit.points_mm - faulty.fit.points_mm)[both].norm(dim=-1).clamp(max=5000).mean())


def good(cases: dict[str, Case]) -> Iterator[dict[str, object]]:
    """Recordings without a fault: all cameras, each three, two pairs, and the first half alone."""
    for name, case in cases.items():
        everyone = list(range(case.views))
        parts = [everyone, *([v for v in everyone if v != left] for left in everyone), [0, 1], [2, 3]]
        for views in parts:
            part = case.of_views(views)
            yield silence(name, str(views), part)
        half = case.evidence.at(torch.arange(len(case.evidence.frames) // 2))
        yield silence(name, "first half", replace(case, evidence=half))


def silence(name: str, part: str, case: Case) -> dict[str, object]:
    kind, views = first_finding(diagnose(case))
    return {"recording": name, "kind": "none", "size": part, "found": kind, "found_views": list(views)}


def _units(factor: float, everyone: bool) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        t_mm = case.cameras.t_mm.clone()
        t_mm[slice(None) if everyone else view] *= factor
        return case.with_cameras(replace(case.cameras, t_mm=t_mm)), () if everyone else (view,)

    return put


def _swapped(count: int) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        chosen = chance.sample(range(case.views), count)
        order = torch.arange(case.views)
        order[chosen] = torch.tensor(chosen[1:] + chosen[:1])
        return case.with_cameras(case.cameras[order]), tuple(chosen)

    return put


def _transform(meaning: str, everyone: bool) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        R, t = case.cameras.R.clone(), case.cameras.t_mm.clone()
        inverse_R, position = case.cameras.R.mT, case.cameras.position_mm
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]).double())
        new_R, new_t = {
            "inverse": (inverse_R, position),
            "R transposed": (inverse_R, t),
            "t is position": (R, position),
            "OpenGL axes": (flip @ R, t @ flip),
        }[meaning]
        index = slice(None) if everyone else view
        R[index], t[index] = new_R[index], new_t[index]
        return case.with_cameras(replace(case.cameras, R=R, t_mm=t)), () if everyone else (view,)

    return put


def _mirrored(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
    return mirrored_video(case, [view], picture_hw(case)[:, 1]), (view,)


def _turned(turns: int) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        hw = case.evidence.image_hw
        assert hw is not None
        hw, points = hw.clone(), case.evidence.points_px.clone()
        for _ in range(turns):
            x, y = points[:, view].unbind(-1)
            points[:, view] = torch.stack([hw[view, 0] - y, x], -1)
            hw[view] = hw[view].flip(-1)
        return replace(case, evidence=replace(case.evidence, points_px=points, image_hw=hw)), (view,)

    return put


def _scaled(scale: float, everyone: bool) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        K = case.cameras.K.clone()
        index = list(range(case.views)) if everyone else [view]
        K[index, :2] *= scale
        return case.with_cameras(replace(case.cameras, K=K)), () if everyone else (view,)

    return put


def _offset(seconds: float) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        later = chance.choice((-1, 1)) * seconds * case.evidence.fps
        shifted = case.with_offset(view, later).read
        return replace(case, evidence=case.evidence.with_view(view, shifted)), (view,)

    return put


def _lens(k1: float) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        lens = case.cameras.distortion[view].clone()
        lens[0] += k1
        return case.with_camera(view, distortion=lens), (view,)

    return put


def _numbers(turn_deg: float, shift_mm: float, chance: random.Random) -> Tensor:
    """A turn and a shift of these sizes, in directions by chance."""
    axis, way = (torch.tensor([chance.gauss(0, 1) for _ in range(3)]).double() for _ in range(2))
    return torch.cat([axis / axis.norm() * np.deg2rad(turn_deg), way / way.norm() * shift_mm])


def _moved(turn_deg: float, shift_mm: float) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        numbers = _numbers(turn_deg, shift_mm, chance)
        R, t_mm = turned_by(case.cameras.R[view], case.cameras.t_mm[view], numbers)
        return case.with_camera(view, R=R, t_mm=t_mm), (view,)

    return put


def _moved_midway(turn_deg: float, shift_mm: float) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        faulty, _ = _moved(turn_deg, shift_mm)(case, view, chance)
        points = case.fit.points_mm.expand(case.views, -1, -1)
        shift = (faulty.cameras.project(points) - case.cameras.project(points))[view]
        F, _, N, _ = case.evidence.points_px.shape
        later = torch.arange(F) >= chance.uniform(0.3, 0.7) * F
        moved = case.evidence.points_px.clone()
        moved[later, view] += shift.clamp(-1e4, 1e4).reshape(F, N, 2)[later]
        return replace(case, evidence=replace(case.evidence, points_px=moved)), (view,)

    return put


def _noise(sigma_px: float) -> Put:
    def put(case: Case, view: int, chance: random.Random) -> tuple[Case, tuple[int, ...]]:
        generator = torch.Generator().manual_seed(chance.randrange(10**9))
        points, crop = case.evidence.points_px.clone(), case.evidence.crop_px[:, view, :, None]
        noise = torch.randn(points[:, view].shape, generator=generator, dtype=torch.float64)
        points[:, view] += sigma_px * crop * noise
        return replace(case, evidence=replace(case.evidence, points_px=points)), (view,)

    return put


POSES = ((0.5, 20.0), (1.5, 60.0), (4.0, 150.0), (12.0, 500.0))
FAULTS = [
    *(Fault(UNITS, f"all x {f:g}", _units(f, True)) for f in (0.001, 0.1, 10.0, 1000.0)),
    *(Fault(UNITS, f"one x {f:g}", _units(f, False)) for f in (0.001, 0.1, 10.0, 1000.0)),
    Fault("swapped cameras", "two", _swapped(2)),
    Fault("swapped cameras", "three", _swapped(3)),
    *(Fault("inverted transform", f"all: {m}", _transform(m, True)) for m in ("inverse", "t is position")),
    Fault("inverted transform", "all: OpenGL axes", _transform("OpenGL axes", True)),
    *(Fault("inverted transform", f"one: {m}", _transform(m, False)) for m in ("inverse", "R transposed")),
    Fault("inverted transform", "one: t is position", _transform("t is position", False)),
    Fault("mirrored picture", "one", _mirrored),
    *(Fault("turned picture", f"{90 * n} degrees", _turned(n)) for n in (1, 2, 3)),
    *(Fault("wrong image size", f"all: K x {s:g}", _scaled(s, True)) for s in (0.5, 0.75, 1.5)),
    *(Fault("wrong image size", f"one: K x {s:g}", _scaled(s, False)) for s in (0.5, 0.75, 0.95, 1.1, 1.5, 2.0)),
    *(Fault("time offset", f"{s:g} s", _offset(s)) for s in (0.03, 0.1, 0.2, 0.5)),
    *(Fault("wrong distortion", f"k1 {k:+g}", _lens(k)) for k in (0.1, -0.3, 0.5, 1.0)),
    *(Fault("wrong pose", f"{d:g} deg, {mm:g} mm", _moved(d, mm)) for d, mm in POSES),
    *(Fault("moved camera", f"{d:g} deg, {mm:g} mm", _moved_midway(d, mm)) for d, mm in POSES[1:]),
    *(Fault(WEAK, f"{px:g} px of 256", _noise(px)) for px in (5.0, 12.0, 25.0)),
]  # fmt: skip


def print_table(rows: list[dict[str, object]]) -> None:
    print(f"\n{'fault':<22}{'size':<26}{'tried':>6}{'right':>7}{'harmful':>9}{'right of them':>15}")
    harmful_all = right_all = 0
    for fault in FAULTS:
        own = [row for row in rows if (row["kind"], row["size"]) == (fault.kind, fault.size)]
        harmful = [row for row in own if float(str(row["moved_mm"])) > HARMFUL_MM]
        right = sum(bool(row["right"]) for row in harmful)
        harmful_all, right_all = harmful_all + len(harmful), right_all + right
        named = sum(bool(row["right"]) for row in own)
        print(f"{fault.kind:<22}{fault.size:<26}{len(own):>6}{named:>7}{len(harmful):>9}{right:>15}")
    silent = [row for row in rows if row["kind"] == "none"]
    alarms = sum(bool(row["found"]) for row in silent)
    print(f"\nharmful faults named rightly: {right_all} of {harmful_all}")
    print(f"good recordings: {alarms} alarms in {len(silent)}")


if __name__ == "__main__":
    main()
