"""Whatever stands in a file, the answer is keypoints or one sentence."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keypoint_files import (
    ANIMAL,
    as_keypoints,
    coco_annotations,
    coco_results,
    mmpose_demo,
    people,
    write_dlc_csv,
    write_dlc_h5,
    write_openpose,
)

from trivox.errors import InputError
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.geometry.skeletons import BODY_25B, COCO_17

PERSON = {"pose_keypoints_2d": [1.0] * 75}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.json", "", "not valid JSON"),
        ("a.json", "{}", "has no person in it"),
        ("a.json", "[]", "has no person in it"),
        ("a.json", '{"a": {}}', "not COCO, MMPose or AlphaPose"),
        ("a.json", "[1, 2]", "not COCO, MMPose or AlphaPose"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.json", '[{"image_id": 0}]', "no person in any"),
        ("a.json", '[{"image_id": 0, "keypoints": [1, 2]}]', "flat list of x, y, score"),
        ("a.json", '[{"image_id": 0, "keypoints": [1, "2", 3]}]', "rectangular list of numbers"),
        ("a.json", '[{"image_id": -3, "keypoints": [1, 2, 3]}]', "frame number in 'image_id' -3"),
        ("a.json", '[{"image_id": 1e400, "keypoints": [1, 2, 3]}]', "frame number in 'image_id' inf"),
        ("a.json", '[{"image_id": "x", "keypoints": [1, 2, 3]}]', "frame number in 'image_id' x"),
        ("a.json", '[{"image_id": 0, "keypoints": [1, 2, 3]}]', "1 joints without names.*choose a skeleton of as many"),
        ("a.json", '{"instance_info": []}', "no person"),
        ("a.json", '{"instance_info": [{"instances": 3}]}', "no list 'instances'"),
        ("a.json", '{"images": [], "annotations": [{"image_id": 0, "keypoints": [1, 2, 3]}]}', "not among"),
        (
            "a.json",
            '{"images": [{"id": 0, "file_name": "a/1"}, {"id": 1, "file_name": "b/1"}], "annotations": []}',
            "several images with one frame number.*per camera",
        ),
        ("a.json", '{"annotations": [{"image_id": 0, "keypoints": [1, 2, 3]}]}', "no list 'images'"),
        ("a.csv", "", "not a DeepLabCut CSV"),
        ("a.csv", "a,b\n1,2\n", "not a DeepLabCut CSV"),
        ("a.csv", "scorer,n\nbodyparts,p\ncoords,x\n", "not a DeepLabCut CSV with frames"),
        ("a.csv", "scorer,n\nbodyparts,p\ncoords,x\n0,1\n", "only one of x and y for p"),
        ("a.csv", "scorer,n,n\nbodyparts,p,p\ncoords,x,y\n0,1\n", "different length"),
        ("a.csv", "scorer,n,n\nbodyparts,p,p\ncoords,x,y\n0,1,two\n", "'two' where a number"),
        ("a.csv", "scorer,n,n\nbodyparts,p,p\ncoords,x,y\n0.5,1,2\n", "frame number in the row 0.5"),
        ("a.csv", "scorer,n,n\nbodyparts,p,p\ncoords,x,y\n0,1,2\n0,1,2\n", "frame twice"),
        ("a.csv", "scorer,n,m\nbodyparts,p,p\ncoords,x,x\n0,1,2\n", "several of one name"),
        ("a.h5", "no hdf5", "not a DeepLabCut HDF5"),
        ("a.npz", "no zip", "not a readable .npz"),
        ("a.xyz", "", "not known; it should be one of openpose, coco, deeplabcut-csv"),
    ],
)
def test_one_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        load_keypoints(tmp_path / name)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "no .json files"),
        ({"a.json": {"people": []}}, "no frame number in its name"),
        ({"0.json": {"people": []}}, "no person in any of its 1 frames"),
        ({"0.json": {}}, "no person in any of its 1 frames"),
        ({"0.json": {"a": 1}}, "no list 'people'"),
        ({"0.json": {"people": [3]}}, "person that is no JSON object"),
        ({"0.json": {"people": [{"pose_keypoints_2d": [1, 2]}]}}, "flat list of x, y, score"),
        ({"a_0.json": {"people": []}, "b_0.json": {"people": []}}, "both frame 0.*one view per folder"),
        ({"0.json": {"people": [PERSON, {"pose_keypoints_2d": [1.0] * 54}]}}, r"mixes people of \[18, 25\]"),
        ({"0.json": {"people": [PERSON]}}, "between -1 and 1, expected pixels"),
    ],
)
def test_one_sentence_for_openpose(tmp_path: Path, files: dict[str, Any], sentence: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(InputError, match=sentence):
        load_keypoints(tmp_path)


def test_wrong_wishes(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "o", people(BODY_25B, {0: 1}))
    for wish, sentence in (
        ({"skeleton": "coco"}, "no skeleton 'coco'; use one of coco17"),
        ({"skeleton": "panoptic19"}, "25 joints, those of body25b; skeleton panoptic19 has 19; they lack its neck"),
        ({"format": "alphapose"}, "format 'alphapose' is not known"),
        ({"format": "coco"}, "is a folder"),
    ):
        with pytest.raises(InputError, match=sentence):
            load_keypoints(folder, **wish)
    with pytest.raises(InputError, match="no file or folder"):
        load_keypoints(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="name the file .npz"):
        save_keypoints(as_keypoints(people(COCO_17, {0: 1}), COCO_17), tmp_path / "k.json")


def test_npz_of_another_skeleton_or_with_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "k.npz"
    save_keypoints(as_keypoints(people(COCO_17, {0: 1}), COCO_17), path)
    with pytest.raises(InputError, match="holds skeleton coco17, not h36m17"):
        load_keypoints(path, skeleton="h36m17")
    np.savez(path, format=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="plain arrays"):
        load_keypoints(path)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("format", "other", "not a file of 'trivox keypoints 1'"),
        ("points_px", np.zeros((2, 1, 17, 3)), r"float64 of shape \(2, 1, 17, 3\), expected \(F D J 2\)"),
        ("points_px", np.full((2, 1, 17, 2), np.nan), "not finite"),
        ("scores", np.full((2, 1, 17), -1.0), "not finite"),
        ("scores", np.zeros((3, 1, 17)), "'scores' is"),
        ("frames", np.array([1, 1]), "rising"),
        ("frames", np.array([-1, 1]), "rising"),
        ("frames", np.array([0.0, 1.0]), "'frames' is"),
        ("joints", np.array(["a"] * 17), "not those of a skeleton"),
        ("bones", np.array([[0, 17]]), "not those of a skeleton"),
        ("root", None, "lacks the array 'root'"),
    ],
)
def test_npz_fields_are_checked(tmp_path: Path, field: str, value: Any, sentence: str) -> None:
    path = tmp_path / "k.npz"
    save_keypoints(as_keypoints(people(COCO_17, {0: 1, 1: 1}), COCO_17), path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays[field] = np.array(value)
    if value is None:
        del arrays[field]
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=sentence):
        load_keypoints(path)


def _files(folder: Path) -> list[Path]:
    """One valid file of every format."""
    human, animal = people(COCO_17, {0: 2, 1: 1}), people(ANIMAL, {0: 1, 1: 1})
    save_keypoints(as_keypoints(human, COCO_17), folder / "k.npz")
    return [
        folder / "k.npz",
        coco_results(folder / "results.json", human),
        coco_annotations(folder / "annotations.json", human),
        mmpose_demo(folder / "mmpose.json", human),
        write_dlc_csv(folder / "d.csv", animal, multi=False),
        write_dlc_h5(folder / "fixed.h5", animal, multi=False, table=False),
        write_dlc_h5(folder / "table.h5", animal, multi=False, table=True),
    ]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Cut off, with bytes changed, or with a piece missing or doubled."""
    start, stop = sorted(rng.randrange(len(content)) for _ in range(2))
    kind = rng.randrange(4)
    if kind == 0:
        return content[:start]
    if kind == 1:
        changed = bytearray(content)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    return content[:start] + content[stop:] if kind == 2 else content[:stop] + content[start:]


def mutated(value: Any, rng: random.Random) -> Any:
    """A JSON document with something in it replaced, dropped or retyped."""
    if rng.random() < 0.15:
        return rng.choice([None, -1, 1e308, float("nan"), "text", [], {}, [[]], True, 2**80, [1, "a"]])
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        dropped = rng.random() < 0.1
        return {k: mutated(v, rng) if k == key else v for k, v in value.items() if not (dropped and k == key)}
    if isinstance(value, list) and value:
        index = rng.randrange(len(value))
        return [*value[:index], mutated(value[index], rng), *value[index + 1 :]]
    return rng.choice([None, "x", -5, 2**70, [], {}])


@pytest.mark.parametrize("number", range(7), ids=["npz", "results", "annotations", "mmpose", "csv", "fixed", "table"])
def test_damaged_files_end_in_a_sentence(tmp_path: Path, number: int) -> None:
    path = _files(tmp_path)[number]
    content, rng = path.read_bytes(), random.Random(number)
    outcomes = set()
    for _ in range(150):
        path.write_bytes(damaged(content, rng))
        outcomes.add(_outcome(path))
    assert "refused" in outcomes


def test_mutated_json_ends_in_a_sentence(tmp_path: Path) -> None:
    rng = random.Random(5)
    paths = [path for path in _files(tmp_path) if path.suffix == ".json"]
    folder = write_openpose(tmp_path / "o", people(BODY_25B, {0: 1}))
    (frame,) = folder.iterdir()
    outcomes = set()
    for path in (*paths, frame):
        document = json.loads(path.read_text())
        for _ in range(150):
            path.write_text(json.dumps(mutated(document, rng)))
            outcomes.add(_outcome(folder if path == frame else path))
    assert outcomes == {"read", "refused"}


def _outcome(path: Path) -> str:
    try:
        read = load_keypoints(path)
    except InputError as error:
        assert str(path.name) in str(error) and "\n" not in str(error)[:1]
        return "refused"
    assert read.points_px.isfinite().all() and read.scores.isfinite().all()
    assert not read.points_px[read.scores == 0].any() or path.suffix == ".npz"
    return "read"
