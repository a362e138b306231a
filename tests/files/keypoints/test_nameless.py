"""Joints without names: told by their looks, whatever the pose; asked for where looks do not tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from keypoint_files import Found, as_keypoints, assert_same, people, write_openpose

from trivox.errors import InputError
from trivox.files.keypoints import load_keypoints
from trivox.files.keypoints.load import read_view, read_views
from trivox.files.keypoints.nameless import fitting_skeletons
from trivox.files.reference_results import load_reference_results
from trivox.geometry.skeletons import (
    COCO_17,
    H36M_17,
    LIMB_JOINTS,
    MMPOSE_H36M_17,
    PANOPTIC_19,
    SKELETONS,
    Skeleton,
    converted,
)

SEVENTEEN = ("coco17", "h36m17", "mmpose_h36m17", "mpi3dhp17")


@pytest.mark.parametrize("name", SKELETONS)
def test_every_skeleton_is_known_by_its_looks_and_said(tmp_path: Path, name: str) -> None:
    skeleton, found = SKELETONS[name], people(SKELETONS[name], dict.fromkeys(range(6), 2))
    folder = write_openpose(tmp_path / "o", found)
    view = read_view(folder)
    assert_same(view.keypoints, as_keypoints(found, skeleton))
    note = f"{len(skeleton)} joints without names are read as {name} (--skeleton NAME gives another)"
    assert view.notes == (note,)
    assert read_view(folder, skeleton=name).notes == ()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SEVENTEEN), st.integers(0, 10**6), st.floats(0.4, 1), st.floats(0, 0.2))
def test_people_in_any_place_and_pose_are_told(name: str, seed: int, squeezed: float, hidden: float) -> None:
    """Turned, mirrored, foreshortened, at any scale, with joints hidden."""
    rng = np.random.default_rng(seed)
    (found,) = people(SKELETONS[name], {0: 30}, seed, whole=True).values()
    joints = np.stack(found)
    joints[..., :2] = joints[..., :2] * rng.permutation([1, -squeezed]) * rng.uniform(0.1, 4) + 1000
    joints[rng.random(joints.shape[:2]) < hidden, 2] = 0
    assert fitting_skeletons(joints) == [SKELETONS[name]]


@pytest.mark.parametrize("name", SEVENTEEN)
def test_a_few_wrong_detections_change_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    (found,) = people(SKELETONS[name], {0: 30}).values()
    joints = np.stack(found)
    joints[:9, :, :2] = rng.uniform(0, 900, (9, 17, 2))
    assert fitting_skeletons(joints) == [SKELETONS[name]]


@pytest.mark.parametrize("scale", (1, 8, 100))
@pytest.mark.parametrize("name", SEVENTEEN)
def test_joints_that_the_detector_doubts_are_not_looked_at(name: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    (found,) = people(SKELETONS[name], {0: 30}).values()
    joints = np.stack(found)
    joints[..., 2] = np.where(joints[..., 2] > 0, 0.9 * scale, 0)
    doubted = rng.random(joints.shape[:2]) < 0.3
    joints[doubted] = np.column_stack([rng.uniform(0, 900, (doubted.sum(), 2)), np.full(doubted.sum(), 0.1 * scale)])
    assert fitting_skeletons(joints) == [SKELETONS[name]]


@pytest.mark.parametrize("count", (14, 15, 16, 17, 18, 19, 21, 25, 26))
def test_joints_that_look_like_nothing_are_asked_for(tmp_path: Path, count: int) -> None:
    """A hand has 21 joints as well, other sets 15: these lie anywhere."""
    rng = np.random.default_rng(0)
    listed = [np.column_stack([rng.uniform(2, 900, (count, 2)), np.ones(count)]) for _ in range(20)]
    folder = write_openpose(tmp_path / "o", {0: listed})
    names = " or ".join(name for name, skeleton in SKELETONS.items() if len(skeleton) == count)
    for given_skeleton in (None, "mpii16" if count != 16 else "coco17"):
        with pytest.raises(InputError, match=f"{count} joints without names.*do not look like.*--skeleton {names} if"):
            load_keypoints(folder, skeleton=given_skeleton)


def test_a_number_that_no_skeleton_has_is_asked_for(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "o", {0: [np.full((29, 3), 5.0)]})
    with pytest.raises(
        InputError, match=r"29 joints without names; known are 14 \(crowdpose14 or aic14 or lsp14\), 15"
    ):
        load_keypoints(folder)


@pytest.mark.parametrize(
    "order",
    [
        ("body19", (*SKELETONS["body25"].names[:19],)),
        ("trt_pose", (*COCO_17.names, "neck")),
        ("mpii", (*SKELETONS["mpii16"].names[:7], "neck", "upper_neck", *SKELETONS["mpii16"].names[9:])),
    ],
    ids=lambda order: order[0],
)
def test_orders_of_other_programs_are_not_taken_for_ours(tmp_path: Path, order: tuple[str, tuple[str, ...]]) -> None:
    found = people(Skeleton(*order, (), "pelvis"), dict.fromkeys(range(6), 1))
    with pytest.raises(InputError, match="do not look like"):
        load_keypoints(write_openpose(tmp_path / "o", found))


def without(found: Found, skeleton: Skeleton, joints: tuple[str, ...]) -> Found:
    hidden = list(skeleton.indices(joints))
    for listed in found.values():
        for person in listed:
            person[hidden] = 0
    return found


@pytest.mark.parametrize("name", SEVENTEEN)
def test_a_view_of_heads_goes_by_the_other_views(tmp_path: Path, name: str) -> None:
    skeleton = SKELETONS[name]
    whole = write_openpose(tmp_path / "cam1", people(skeleton, dict.fromkeys(range(4), 1)))
    heads = without(people(skeleton, dict.fromkeys(range(4), 1)), skeleton, LIMB_JOINTS)
    head = write_openpose(tmp_path / "cam2", heads)
    with pytest.raises(InputError, match=f"17 joints.*several sets.*--skeleton {' or '.join(SEVENTEEN[:2])}"):
        load_keypoints(head)
    views = read_views([whole, head])
    assert [view.keypoints.skeleton for view in views] == [skeleton, skeleton]
    assert len({note for view in views for note in view.notes}) == 1


def test_a_view_of_heads_is_of_the_only_skeleton_of_so_many(tmp_path: Path) -> None:
    heads = without(people(PANOPTIC_19, {0: 2}), PANOPTIC_19, LIMB_JOINTS)
    assert load_keypoints(write_openpose(tmp_path / "o", heads)).skeleton == PANOPTIC_19


def test_real_pictures_of_human36m(data: Path) -> None:
    with np.load(data / "h36m_mmpose" / "test_h36m_body3d.npz") as archive:
        assert fitting_skeletons(archive["part"]) == [MMPOSE_H36M_17]


def test_real_detections_of_people_cut_off_by_pictures_and_tables(data: Path) -> None:
    listed = json.loads((data / "mvor" / "openpose_kps_days123.json").read_text())
    people_found = np.array([np.reshape(person["coco_keypoints"], (17, 3)) for person in listed])
    assert fitting_skeletons(people_found) == [COCO_17]


@pytest.mark.parametrize("elevation", (0.0, 0.7, 1.5))
@pytest.mark.parametrize("name", SEVENTEEN)
def test_real_poses_of_human36m_from_any_height(data: Path, elevation: float, name: str) -> None:
    """The two thousand poses of a published result, of people who sit and lie as well, in each order."""
    path = data / "learnable_triangulation_formats" / "results_human36m_vol_softmax.pkl"
    points = torch.from_numpy(load_reference_results(path).points_mm[::7]).double()
    forward = np.array([np.cos(1) * np.cos(elevation), np.sin(1) * np.cos(elevation), -np.sin(elevation)])
    right = np.array([np.sin(1), -np.cos(1), 0.0])
    seen_px = points @ torch.from_numpy(np.stack([right, np.cross(forward, right)], axis=-1)) / 3
    own = converted(seen_px, torch.ones(seen_px.shape[:-1], dtype=torch.bool), H36M_17, SKELETONS[name])
    assert fitting_skeletons(torch.cat([own.points, own.valid[..., None]], -1).numpy()) == [SKELETONS[name]]
