"""Every format of 2D keypoints gives the same detections, in pixels from the corner."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keypoint_files import (
    ANIMAL,
    as_keypoints,
    assert_same,
    coco_annotations,
    coco_results,
    coco_results_of_files,
    instance_info,
    mmpose_demo,
    mmpose_inferencer,
    people,
    write_dlc_csv,
    write_dlc_h5,
    write_json,
    write_openpose,
)

from trivox.errors import InputError
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.geometry.skeletons import BODY_25, BODY_25B, COCO_17, SKELETONS, Skeleton

COCO_KINDS = (coco_results, coco_results_of_files, coco_annotations, mmpose_demo, mmpose_inferencer)


@pytest.mark.parametrize("write", COCO_KINDS, ids=lambda w: w.__name__)
def test_every_kind_of_coco_gives_the_same(tmp_path: Path, write: Callable[[Path, Any], Path]) -> None:
    # Frame numbers beyond 16 bits, a gap, and different numbers of people.
    found = people(COCO_17, {3: 1, 4: 3, 70000: 2})
    assert_same(load_keypoints(write(tmp_path / "c.json", found)), as_keypoints(found, COCO_17))


@pytest.mark.parametrize("write", COCO_KINDS[2:], ids=lambda w: w.__name__)
def test_frames_without_people_stay(tmp_path: Path, write: Callable[[Path, Any], Path]) -> None:
    found = people(COCO_17, {3: 1, 4: 0, 5: 0})
    assert_same(load_keypoints(write(tmp_path / "c.json", found)), as_keypoints(found, COCO_17))


def test_visibility_of_annotations_is_no_score(tmp_path: Path) -> None:
    found = people(COCO_17, {0: 1})
    found[0][0][:, 2] = [0, 1, 2] * 5 + [2, 1]
    read = load_keypoints(coco_annotations(tmp_path / "c.json", found))
    assert read.scores[0, 0].tolist() == [min(v, 1) for v in found[0][0][:, 2]]


def test_named_joints_are_found_in_any_order_and_a_given_skeleton_picks_them(tmp_path: Path) -> None:
    found = people(COCO_17, {0: 1, 1: 1})
    order = np.random.default_rng(1).permutation(17)
    names = {str(i): COCO_17.names[j] for i, j in enumerate(order)}
    shuffled = {f: [joints[order] for joints in listed] for f, listed in found.items()}
    content = {"meta_info": {"keypoint_id2name": names}, "instance_info": instance_info(shuffled)}
    path = write_json(tmp_path / "c.json", content)
    assert_same(load_keypoints(path), as_keypoints(found, COCO_17))
    picked = load_keypoints(path, skeleton="h36m17")
    wrist = picked.skeleton.names.index("left_wrist")
    torch.testing.assert_close(picked.points_px[:, :, wrist], as_keypoints(found, COCO_17).points_px[:, :, 9])
    assert not picked.scores[:, :, picked.skeleton.names.index("pelvis")].any()


@pytest.mark.parametrize("name", ("cam01.{:04d}.json", "v_{:012d}_keypoints.json", "{}.json"))
def test_openpose_folder(tmp_path: Path, name: str) -> None:
    found = people(BODY_25B, {0: 2, 1: 0, 9: 1, 40000: 1})
    assert_same(load_keypoints(write_openpose(tmp_path / "o", found, name)), as_keypoints(found, BODY_25B))


def test_openpose_tells_body_25_from_body_25b_by_its_looks(tmp_path: Path) -> None:
    found = people(BODY_25, {f: 1 for f in range(5)})
    folder = write_openpose(tmp_path / "o", found)
    assert_same(load_keypoints(folder), as_keypoints(found, BODY_25))
    assert load_keypoints(folder, skeleton="body25b").skeleton == BODY_25B


def test_openpose_of_18_joints(tmp_path: Path) -> None:
    found = people(SKELETONS["coco18"], {0: 1})
    read = load_keypoints(write_openpose(tmp_path / "o", found))
    assert_same(read, as_keypoints(found, SKELETONS["coco18"]))


@pytest.mark.parametrize(("multi", "animals"), [(False, 1), (True, 1), (True, 3)])
def test_deeplabcut_csv(tmp_path: Path, multi: bool, animals: int) -> None:
    found = people(ANIMAL, {0: animals, 1: animals, 50000: animals})
    path = write_dlc_csv(tmp_path / "d.csv", found, multi=multi)
    assert_same(load_keypoints(path), as_keypoints(found, ANIMAL))


def test_deeplabcut_labels_have_no_likelihood_and_frames_in_image_names(tmp_path: Path) -> None:
    found = people(ANIMAL, {7: 1, 30: 1})
    text = write_dlc_csv(tmp_path / "d.csv", found, multi=False, likelihood=False).read_text()
    for frame in (7, 30):
        text = text.replace(f"\n{frame},", f"\nlabeled-data/run2/img{frame:04d}.png,")
    (tmp_path / "d.csv").write_text(text)
    for listed in found.values():
        listed[0][:, 2] = listed[0][:, 2] > 0
    assert_same(load_keypoints(tmp_path / "d.csv"), as_keypoints(found, ANIMAL))
    split = text.replace("labeled-data/run2/", "labeled-data,run2,")
    lines = split.splitlines()
    lines[:3] = [line.replace(",", ",,,", 1) for line in lines[:3]]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    assert_same(load_keypoints(tmp_path / "d.csv"), as_keypoints(found, ANIMAL))


@pytest.mark.parametrize("table", (False, True), ids=("fixed", "table"))
@pytest.mark.parametrize(("multi", "animals"), [(False, 1), (True, 2)])
def test_deeplabcut_h5_in_both_layouts(tmp_path: Path, table: bool, multi: bool, animals: int) -> None:
    found = people(ANIMAL, {0: animals, 1: animals, 50000: animals})
    path = write_dlc_h5(tmp_path / "d.h5", found, multi=multi, table=table)
    assert_same(load_keypoints(path), as_keypoints(found, ANIMAL))


@pytest.mark.parametrize("layout", ("fixed", "table"))
def test_deeplabcut_h5_written_by_pandas(layout: str) -> None:
    """Files that pandas itself wrote (3.1.1, `DataFrame.to_hdf`), against its CSV of the same table."""
    here = Path(__file__).parent
    read = load_keypoints(here / f"pandas_{layout}.h5")
    assert_same(read, load_keypoints(here / "pandas.csv"))
    assert read.skeleton.names == ("left_shoulder", "left_elbow", "tail_base")
    assert read.scores[:, 0, 0].count_nonzero() == 3


def test_a_program_in_place_of_column_names_is_not_run(tmp_path: Path) -> None:
    path = write_dlc_h5(tmp_path / "d.h5", people(ANIMAL, {0: 1}), multi=False, table=True)
    witness = tmp_path / "was_run"
    with h5py.File(path, "r+") as file:
        program = f"cpathlib\nPath\n(V{witness}\ntR.".encode()
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(program)
    with pytest.raises(InputError, match="pathlib.Path.*not data.*CSV"):
        load_keypoints(path)


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), ANIMAL], ids=lambda s: s.name)
@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_npz_round_trip_is_exact(tmp_path: Path, skeleton: Skeleton, dtype: torch.dtype) -> None:
    keypoints = as_keypoints(people(skeleton, {2: 2, 2**40: 1}), skeleton).to(dtype=dtype)
    save_keypoints(keypoints, tmp_path / "k.npz")
    read = load_keypoints(tmp_path / "k.npz")
    assert_same(read, keypoints)
    assert read.points_px.dtype == dtype


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.dictionaries(st.integers(0, 10**15), st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 999))
def test_openpose_and_npz_agree_on_any_recording(tmp_path: Path, counts: dict[int, int], seed: int) -> None:
    if not any(counts.values()):
        return
    found = people(BODY_25B, counts, seed)
    folder = tmp_path / f"{seed}-{hash(tuple(counts.items()))}"
    read = load_keypoints(write_openpose(folder, found), skeleton="body25b")
    assert_same(read, as_keypoints(found, BODY_25B))
    save_keypoints(read, tmp_path / "k.npz")
    assert_same(load_keypoints(tmp_path / "k.npz"), read)


def test_real_openpose_folders(data: Path) -> None:
    """One view against a plain reading of its files."""
    folder = data / "pose2sim_single" / "pose_openpose_body25b" / "cam02_json"
    listed = [json.loads(path.read_text())["people"] for path in sorted(folder.iterdir())]
    found = {f: [np.reshape(p["pose_keypoints_2d"], (25, 3)) for p in each] for f, each in enumerate(listed)}
    read = load_keypoints(folder)
    assert_same(read, as_keypoints(found, BODY_25B))
    assert read.points_px.shape == (100, 2, 25, 2)


def test_real_mmpose_annotations(data: Path) -> None:
    """Single pictures; the frame is the number that ends each file name."""
    path = data / "h36m_mmpose" / "h36m_coco.json"
    document = json.loads(path.read_text())
    read = load_keypoints(path)
    numbers = [int(image["file_name"][-10:-4]) for image in document["images"]]
    assert read.frames.tolist() == sorted(numbers)
    wrist = read.skeleton.names.index("left_wrist")
    for annotation in document["annotations"]:
        row = read.frames.tolist().index(numbers[annotation["image_id"] - 1])
        x, y, _ = np.reshape(annotation["keypoints"], (17, 3))[13]
        assert read.points_px[row, 0, wrist].tolist() == pytest.approx([x + 0.5, y + 0.5])
