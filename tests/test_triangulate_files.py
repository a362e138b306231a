"""2D files of other programs in, the projected people out: whoever else is in view, in whatever order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dots import rig_of, walk  # pyright: ignore[reportMissingImports]  # tests/people
from torch import Tensor

import trivox
from trivox.errors import InputError
from trivox.files.results import load_result
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.skeletons import COCO_17, skeleton_of
from trivox.people.nobody import why_nobody
from trivox.triangulate_files import detections_at

FRAMES, VIEWS = 12, 4
RIG = rig_of(VIEWS)
plain_walk = partial(walk, wide_faces=False)
TRUTH = plain_walk(FRAMES, 1)  # (F, 1, 17, 3)

Seen = list[list[Tensor]]
"""What one view saw: for each frame the people in it, (17, 3) of x, y (from the corner) and score."""


def seen_by(view: int, people_mm: Tensor, rig: trivox.Rig = RIG) -> Seen:
    F, P = people_mm.shape[:2]
    points_px = rig.cameras[view].project(people_mm.reshape(-1, 3)).reshape(F, P, 17, 2)
    return [[torch.cat([person, torch.full((17, 1), 0.9)], -1) for person in frame] for frame in points_px]


def write_openpose(folder: Path, seen: Seen, first: int = 0, without: tuple[int, ...] = ()) -> Path:
    """OpenPose counts pixels from the middle of the first one."""
    folder.mkdir(parents=True)
    for f, people in enumerate(seen):
        if f not in without:
            listed = [{"pose_keypoints_2d": (p - torch.tensor([0.5, 0.5, 0])).reshape(-1).tolist()} for p in people]
            (folder / f"{folder.name}_{f + first:012d}_keypoints.json").write_text(json.dumps({"people": listed}))
    return folder


def write_coco(path: Path, seen: Seen) -> Path:
    shifted = [(f, p - torch.tensor([0.5, 0.5, 0])) for f, people in enumerate(seen) for p in people]
    entries = [{"image_id": f, "category_id": 1, "keypoints": p.reshape(-1).tolist(), "score": 1.0} for f, p in shifted]
    path.write_text(json.dumps(entries))
    return path


def write_npz(path: Path, seen: Seen) -> Path:
    most = max(len(people) for people in seen)
    padded = torch.zeros(len(seen), most, 17, 3).double()
    for f, people in enumerate(seen):
        for d, person in enumerate(people):
            padded[f, d] = person
    trivox.save_keypoints(Keypoints2D(padded[..., :2], padded[..., 2], torch.arange(len(seen)), COCO_17), path)
    return path


def folders(tmp_path: Path, people_mm: Tensor = TRUTH) -> list[Path]:
    return [write_openpose(tmp_path / name, seen_by(v, people_mm)) for v, name in enumerate(RIG.names)]


def assert_same_people(poses: trivox.Poses, truth_mm: Tensor, share: float = 1.0) -> None:
    assert poses.valid.double().mean() >= share
    assert ((poses.points_mm - truth_mm).norm(dim=-1)[poses.valid] < 0.1).all()


@pytest.mark.parametrize("method", ["ransac", "linear"])
def test_projections_come_back(tmp_path, method):
    poses = trivox.triangulate_files(RIG, folders(tmp_path), method=method)
    assert_same_people(poses, TRUTH)
    assert poses.skeleton == COCO_17 and poses.fps == 30 and poses.frames.tolist() == list(range(FRAMES))
    assert poses.up is not None and torch.equal(poses.up, RIG.up)


def test_the_order_of_the_views_means_nothing(tmp_path):
    paths = folders(tmp_path)
    assert_same_people(trivox.triangulate_files(RIG, paths[::-1]), TRUTH)
    renamed = [path.rename(path.with_name(f"view_{i}_x")) for i, path in enumerate(paths)]
    given = trivox.triangulate_files(RIG, renamed[::-1], cameras=RIG.names[::-1])
    assert_same_people(given, TRUTH)


def test_the_person_of_most_views_is_found_among_bystanders(tmp_path):
    """Bystanders are seen by two cameras each, stand first in the files of odd frames, and are larger."""
    beside = plain_walk(FRAMES, 1, step_mm=0.0) * torch.tensor([1.0, 1.0, 1.15]).double()
    bystanders = {0: 1500.0, 1: 1500.0, 2: -1600.0, 3: -1600.0}
    paths = []
    for v, y in bystanders.items():
        other = seen_by(v, beside + torch.tensor([300.0, y, 0.0]).double())
        both = [a + b if f % 2 else b + a for f, (a, b) in enumerate(zip(other, seen_by(v, TRUTH), strict=True))]
        paths.append(write_openpose(tmp_path / RIG.names[v], both))
    assert_same_people(trivox.triangulate_files(RIG, paths), TRUTH)


def test_people_shuffled_in_every_file_keep_their_rows(tmp_path):
    truth = plain_walk(FRAMES, 3)
    generator = torch.Generator().manual_seed(0)
    paths = []
    for v, name in enumerate(RIG.names):
        seen = seen_by(v, truth)
        shuffled = [[people[i] for i in torch.randperm(3, generator=generator).tolist()] for people in seen]
        paths.append(write_openpose(tmp_path / name, shuffled))
    poses = trivox.triangulate_files(RIG, paths, people=3)
    rows = (poses.points_mm[0, :, None] - truth[0]).norm(dim=-1).mean(-1).argmin(-1)
    assert sorted(rows.tolist()) == [0, 1, 2]
    assert_same_people(poses, truth[:, rows], share=0.98)


def test_a_view_that_misses_frames_is_used_for_the_others(tmp_path, capsys):
    paths = folders(tmp_path)[:3]
    paths.append(write_openpose(tmp_path / "late" / "cam4", seen_by(3, TRUTH), without=(0, 1, 5)))
    poses = trivox.triangulate_files(RIG, paths)
    assert_same_people(poses, TRUTH)
    assert "cam4 has no detections file for 3 of 12 frames" in capsys.readouterr().err


def test_frames_are_matched_by_number_not_by_row(tmp_path):
    """Two views start later: their first file is the instant 5 of the others."""
    paths = folders(tmp_path)[:2]
    for v in (2, 3):
        paths.append(write_openpose(tmp_path / "late" / RIG.names[v], seen_by(v, TRUTH)[5:], first=5))
    poses = trivox.triangulate_files(RIG, paths)
    assert poses.frames.tolist() == list(range(FRAMES))
    assert_same_people(poses, TRUTH)


def test_a_view_that_counts_from_1_is_numbered_as_the_others(tmp_path, capsys):
    paths = folders(tmp_path)[:3] + [write_openpose(tmp_path / "one" / "cam4", seen_by(3, TRUTH), first=1)]
    poses = trivox.triangulate_files(RIG, paths)
    assert poses.frames.tolist() == list(range(FRAMES))
    assert_same_people(poses, TRUTH)
    assert "cam4 counts its 12 frames from 1, other views theirs from 0" in capsys.readouterr().err


def test_numbers_that_do_not_meet_are_said(tmp_path, capsys):
    """A view that begins elsewhere cannot be matched by its numbers, whatever it shows."""
    paths = folders(tmp_path)[:3] + [write_openpose(tmp_path / "far" / "cam4", seen_by(3, TRUTH), first=100)]
    trivox.triangulate_files(RIG, paths)
    assert "the frames of cam4 are 100 to 111, as many and with the same gaps" in capsys.readouterr().err
    ones = [write_openpose(tmp_path / "ones" / name, seen_by(v, TRUTH), first=1) for v, name in enumerate(RIG.names)]
    assert trivox.triangulate_files(RIG, ones).frames.tolist() == list(range(1, FRAMES + 1))
    assert "no view has a frame 0: the frames are numbered from 1" in capsys.readouterr().err


def test_files_with_a_number_of_their_own_and_lost_frames(tmp_path, capsys):
    """Each view has lost another frame before its files were numbered: what stands behind the frame is its row."""
    paths = []
    for v, name in enumerate(RIG.names):
        folder = write_openpose(tmp_path / name, seen_by(v, TRUTH), without=(v + 2,))
        for row, path in enumerate(sorted(folder.iterdir())):
            path.rename(path.with_name(f"img_{path.name.split('_')[-2][-6:]}_{row:04d}.json"))
        paths.append(folder)
    assert_same_people(trivox.triangulate_files(RIG, paths), TRUTH)
    assert "two numbers rise in the names, but not together" in capsys.readouterr().err


def test_frames_that_nobody_sees_are_invalid_not_invented(tmp_path):
    empty = [[] if f in (4, 5) else people for f, people in enumerate(seen_by(0, TRUTH))]
    paths = []
    for v, name in enumerate(RIG.names):
        seen = [[] if not people else real for people, real in zip(empty, seen_by(v, TRUTH), strict=True)]
        paths.append(write_openpose(tmp_path / name, seen))
    poses = trivox.triangulate_files(RIG, paths)
    assert not poses.valid[4:6].any() and poses.points_mm[4:6].isnan().all()
    assert_same_people(poses[torch.tensor([0, 1, 2, 3, 6, 7, 8, 9, 10, 11])], TRUTH[[0, 1, 2, 3, *range(6, 12)]])


def test_every_view_may_have_its_own_format(tmp_path):
    paths = [
        write_openpose(tmp_path / "cam1", seen_by(0, TRUTH)),
        write_coco(tmp_path / "cam2.json", seen_by(1, TRUTH)),
        write_npz(tmp_path / "cam3.npz", seen_by(2, TRUTH)),
    ]
    assert_same_people(trivox.triangulate_files(RIG, paths), TRUTH)


def test_long_recordings_are_cut_only_for_memory(tmp_path):
    """More frames than are associated at once: no seam."""
    truth = plain_walk(70, 1, step_mm=10.0)
    assert_same_people(trivox.triangulate_files(RIG, folders(tmp_path, truth)), truth)


def test_the_result_folder_loads(tmp_path):
    paths = folders(tmp_path)
    poses = trivox.triangulate_files(RIG, paths[:3], out=tmp_path / "out", fps=50)
    result = load_result(tmp_path / "out")
    assert torch.equal(result.poses.points_mm, poses.points_mm) and result.poses.fps == 50
    assert result.rig.names == RIG.names[:3] and result.job["command"] == "triangulate"
    assert [entry["files"] for entry in result.job["keypoints"].values()] == [FRAMES] * 3
    assert result.summary["frames"] == FRAMES and len(result.summary["cameras"]) == 3
    for v, view in enumerate(result.keypoints):
        expected = torch.stack([people[0] for people in seen_by(v, TRUTH)])
        torch.testing.assert_close(view.points_px[:, 0], expected[..., :2])
        torch.testing.assert_close(view.scores[:, 0], expected[..., 2])


def test_smoothed_people_stand_beside_the_raw_ones(tmp_path):
    paths, out = folders(tmp_path), tmp_path / "out"
    raw = trivox.triangulate_files(RIG, paths)
    steady = trivox.triangulate_files(RIG, paths, out=out, smooth=True)
    kept = load_result(out)
    assert kept.raw is not None and torch.equal(kept.raw.points_mm, raw.points_mm)
    assert torch.equal(kept.poses.points_mm, steady.points_mm) and not torch.equal(steady.points_mm, raw.points_mm)
    torch.testing.assert_close(steady.points_mm, trivox.smoothed(raw).points_mm)
    with pytest.raises(InputError, match="already holds"):
        trivox.triangulate_files(RIG, paths, out=out)


def test_the_same_job_is_done_once_and_another_is_refused(tmp_path, monkeypatch):
    paths, out = folders(tmp_path), tmp_path / "out"
    first = trivox.triangulate_files(RIG, paths, out=out)
    moved = replace(RIG, cameras=replace(RIG.cameras, t_mm=RIG.cameras.t_mm + 1))
    changes: list[dict[str, Any]] = [{"people": 2}, {"method": "linear"}, {"fps": 10.0}]
    for change in changes:
        with pytest.raises(InputError, match="already holds the result of other inputs or options"):
            trivox.triangulate_files(RIG, paths, out=out, **change)
    for rig, given in ((moved, paths), (RIG, paths[1:])):
        with pytest.raises(InputError, match="already holds"):
            trivox.triangulate_files(rig, given, out=out)
    with monkeypatch.context() as patch:
        module = sys.modules["trivox.triangulate_files"]  # trivox.triangulate_files is the function
        patch.setattr(module, "find_candidates", lambda *_: pytest.fail("the work is done"))
        again = trivox.triangulate_files(RIG, paths, out=out)
    assert torch.equal(again.points_mm, first.points_mm)
    newer = next(paths[0].iterdir())
    newer.write_text(newer.read_text() + "\n")
    with pytest.raises(InputError, match="already holds"):
        trivox.triangulate_files(RIG, paths, out=out)


def test_what_is_no_list_of_paths_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"only .*cam1 is given, but 3D needs at least two views"):
        trivox.triangulate_files(RIG, str(folders(tmp_path)[0]))
    strangers: list[Any] = [None, 3, [3, 4], {"cam1": "a"}]
    for given in strangers:
        with pytest.raises(InputError, match="keypoints should be a list of paths, one for each camera"):
            trivox.triangulate_files(RIG, given)
        with pytest.raises(InputError, match="videos should be a list of paths, one for each camera"):
            trivox.predict(RIG, given, method="ransac")


def test_views_of_different_skeletons_are_refused(tmp_path):
    paths = folders(tmp_path)
    other = skeleton_of(tuple(f"part{i}" for i in range(17)))
    keypoints = trivox.load_keypoints(paths[1])
    trivox.save_keypoints(replace(keypoints, skeleton=other), tmp_path / "cam2.npz")
    with pytest.raises(InputError, match=r"cam2\.npz has the joints of .* same joints"):
        trivox.triangulate_files(RIG, [paths[0], tmp_path / "cam2.npz", paths[2]])


DLC_PARTS = ("snout", "ear_a", "ear_b", "tail", "hip_x", "paw_1", "paw_2", "mid")


def write_dlc(path: Path, seen: Seen, parts: tuple[str, ...]) -> Path:
    """The first joints of the person under the names of an animal's parts, in the order given."""
    rows = [["scorer"] + ["net"] * 3 * len(parts), ["bodyparts"] + [part for part in parts for _ in range(3)]]
    rows.append(["coords"] + ["x", "y", "likelihood"] * len(parts))
    for f, (person,) in enumerate(seen):
        shown = (person - torch.tensor([0.5, 0.5, 0]))[[DLC_PARTS.index(part) for part in parts]]
        rows.append([str(f), *map(str, shown.reshape(-1).tolist())])
    path.write_text("\n".join(map(",".join, rows)))
    return path


@pytest.mark.parametrize("lacking", [(), ("tail",), ("snout", "mid")])
def test_joints_are_matched_by_name_across_the_views(tmp_path, lacking, capsys):
    """Each view has them in another order; what the second lacks is placed by the others."""
    paths = []
    for v, name in enumerate(RIG.names):
        parts = tuple(p for p in DLC_PARTS[v:] + DLC_PARTS[:v] if v != 1 or p not in lacking)
        paths.append(write_dlc(tmp_path / f"{name}.csv", seen_by(v, TRUTH), parts))
    poses = trivox.triangulate_files(RIG, [paths[1], paths[0], *paths[2:]], out=tmp_path / "out")
    assert set(poses.skeleton.names) == set(DLC_PARTS)
    at = [poses.skeleton.names.index(part) for part in DLC_PARTS]
    assert_same_people(
        replace(poses, points_mm=poses.points_mm[:, :, at], valid=poses.valid[:, :, at]), TRUTH[:, :, :8]
    )
    said = capsys.readouterr().err
    assert (f"cam2 lacks {', '.join(lacking)}: placed by the other views" in said) == bool(lacking)
    assert load_result(tmp_path / "out").summary["joints_valid"] == 1


def test_joints_that_no_two_views_see_are_said_and_not_counted(tmp_path, capsys):
    paths = []
    for v, name in enumerate(RIG.names):
        seen = seen_by(v, TRUTH)
        for (person,) in seen:
            person[3, 2] *= v == 0  # one view only
            person[4] = 0
        paths.append(write_openpose(tmp_path / name, seen))
    poses = trivox.triangulate_files(RIG, paths, out=tmp_path / "out")
    assert "no two views ever see left_ear, right_ear" in capsys.readouterr().err
    assert not poses.valid[:, :, [3, 4]].any() and poses.valid.double().mean() == 15 / 17
    assert load_result(tmp_path / "out").summary["joints_valid"] == 1


def test_a_view_of_mmpose_beside_views_of_openpose(tmp_path):
    """The demo of MMPose counts frames from 1, OpenPose from 0."""
    paths = folders(tmp_path)[:3]
    entries = [
        {
            "frame_id": f + 1,
            "instances": [{"keypoints": (p[:, :2] - 0.5).tolist(), "keypoint_scores": [0.9] * 17} for p in people],
        }
        for f, people in enumerate(seen_by(3, TRUTH))
    ]
    (tmp_path / "cam4.json").write_text(json.dumps({"instance_info": entries}))
    poses = trivox.triangulate_files(RIG, [*paths, tmp_path / "cam4.json"])
    assert_same_people(poses, TRUTH)
    assert poses.frames.tolist() == list(range(FRAMES))


CASES: list[tuple[str, str, str, str | None]] = [
    ("alphapose_names", "rig.json", "v2_cam{}.json", None),
    ("mmpose_counts_from_1", "rig.json", "cam{}_wb.json", "coco17"),
    ("pose2sim_associated", "rig.json", "cam{}_json", "coco17"),
    ("halpe26", "halpe26/rig.json", "cam{}_json", None),
    ("mmpose_per_image", "rig.json", "cam{}", None),
    ("dlc_order", "rig.json", "ord_cam{}.csv", None),
    ("macos_files", "rig.json", "cam{}", None),
]


@pytest.mark.parametrize(("case", "rig", "name", "skeleton"), CASES, ids=[case for case, *_ in CASES])
def test_files_of_other_programs_give_the_truth(cases, data, case, rig, name, skeleton):
    """2D points projected by OpenCV from the demo's truth, frames 0, 1, 2, ..."""
    paths = [cases / case / name.format(v) for v in range(1, 5)]
    poses = trivox.triangulate_files(trivox.load_rig(cases / rig), paths, skeleton=skeleton)
    with np.load(data / "demo_scene" / "truth.npz") as truth:
        truth_mm, joints = torch.from_numpy(truth["points_mm"]).double(), truth["joint_names"].tolist()
    # DeepLabCut's case names the first eight of them otherwise.
    at = [joints.index(joint) if joint in joints else -1 for joint in poses.skeleton.names]
    at = list(range(8)) if case == "dlc_order" else at
    there = torch.tensor(at) >= 0
    assert poses.frames.tolist() == list(range(len(poses.frames))) and len(poses.frames) >= 12
    assert there.sum() >= 8 and poses.valid[:, :, there].all()
    away_mm = poses.points_mm - truth_mm[poses.frames][:, :, at]
    assert away_mm[:, :, there].abs().max() < 1e-6


def test_a_skeleton_that_the_files_do_not_have_is_refused(tmp_path):
    with pytest.raises(InputError, match="17 joints.*body25b has 25"):
        trivox.triangulate_files(RIG, folders(tmp_path), skeleton="body25b")


def test_files_of_the_wrong_cameras_are_one_sentence(tmp_path):
    paths = [write_openpose(tmp_path / "in" / n, seen_by(v, TRUTH[:3])) for v, n in enumerate(("a", "b"))]
    crossed = [RIG.names[0], RIG.names[2]]
    with pytest.raises(InputError, match="no person could be triangulated from 2 views"):
        trivox.triangulate_files(RIG, paths, cameras=crossed, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def with_cameras(**changes: Any) -> trivox.Rig:
    return replace(RIG, cameras=replace(RIG.cameras, **changes))


def exchanged(rig: trivox.Rig) -> trivox.Rig:
    return replace(rig, cameras=rig.cameras[[1, 0, 2, 3]])


CAUSES: list[tuple[str, trivox.Rig, float, float, int, str]] = [
    # A fault, the rig, a factor on the scores and one on the pixels, a step between the views' frames, the sentence.
    ("low", RIG, 0.1, 1.0, 0, "the scores of cam1, cam2, cam3, cam4 are at most 0.09, and joints below 0.15"),
    ("frames", RIG, 1.0, 1.0, 100, "no two views show a person at the same frame number"),
    ("metres", with_cameras(t_mm=RIG.cameras.t_mm / 1000), 1.0, 1.0, 0, "1000 times too small.*--units"),
    ("centimetres", with_cameras(t_mm=RIG.cameras.t_mm / 10), 1.0, 1.0, 0, "10 times too small.*--units"),
    ("micrometres", with_cameras(t_mm=RIG.cameras.t_mm * 1000), 1.0, 1.0, 0, "1000 times too large.*--units"),
    ("size", RIG, 1.0, 3.0, 0, "outside the calibrated pictures.*another size"),
]


@pytest.mark.parametrize(("fault", "rig", "scores", "pixels", "step", "sentence"), CAUSES, ids=[c[0] for c in CAUSES])
def test_the_cause_is_named_where_nobody_is_found(tmp_path, fault, rig, scores, pixels, step, sentence):
    paths = []
    for v, name in enumerate(RIG.names):
        seen = [[person * torch.tensor([pixels, pixels, scores])] for (person,) in seen_by(v, TRUTH[:3])]
        paths.append(write_openpose(tmp_path / name, seen, first=step * v))
    with pytest.raises(InputError, match=f"no person could be triangulated from 4 views; .*{sentence}"):
        trivox.triangulate_files(rig, paths)


def test_two_exchanged_cameras_are_named(tmp_path):
    """Of a ring of cameras, in which several orders fit as well, the one that moves the fewest."""
    detections = detections_at([trivox.load_keypoints(path) for path in folders(tmp_path)], torch.arange(FRAMES))
    cause = why_nobody(detections, exchanged(RIG).cameras, RIG.names)
    assert cause is not None and ": cam1, cam2 are exchanged; check the order of the cameras" in cause
    generator = torch.Generator().manual_seed(0)
    anywhere = torch.rand(detections.points_px.shape, generator=generator).double() * 300 + 100
    assert why_nobody(replace(detections, points_px=anywhere), RIG.cameras, RIG.names) is None


def test_a_view_whose_scores_do_not_count_is_said(tmp_path, capsys):
    paths = folders(tmp_path)[:3]
    low = [[person * torch.tensor([1, 1, 0.1])] for (person,) in seen_by(3, TRUTH)]
    poses = trivox.triangulate_files(RIG, [*paths, write_openpose(tmp_path / "low" / "cam4", low)])
    assert_same_people(poses, TRUTH)
    assert "all scores of cam4 are below 0.15: it is not used" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["missing", "empty", "text"])
def test_a_view_that_cannot_be_read_is_one_sentence(tmp_path, fault):
    paths = folders(tmp_path)
    bad = tmp_path / "in" / "cam4"
    if fault != "missing":
        bad.mkdir(parents=True)
    if fault == "text":
        (bad / "frame_0.json").write_text("not JSON")
    with pytest.raises(InputError, match="cam4"):
        trivox.triangulate_files(RIG, [*paths[:3], bad], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("use", [trivox.triangulate_files, trivox.predict])
def test_a_path_in_place_of_a_rig_is_told_how_to_be_read(tmp_path: Path, use: Callable[..., object]) -> None:
    out = tmp_path / "out"
    for wrong in ("rig.json", Path("rig.json")):
        with pytest.raises(InputError, match=r"expected a trivox.Rig; read it with trivox.load_rig\('rig.json'\)"):
            use(wrong, ["a", "b"], out=out)
    for wrong in (None, 3, RIG.cameras):
        with pytest.raises(InputError, match=f"rig is of type {type(wrong).__name__}, expected a trivox.Rig"):
            use(wrong, ["a", "b"], out=out)
    assert not out.exists()
