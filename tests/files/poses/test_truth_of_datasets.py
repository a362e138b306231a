"""Truth of Shelf, Campus and MVOR: real files against their own calibrations and 2D labels; broken ones are refused."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

import trivox
from trivox.errors import InputError
from trivox.evaluate import evaluate
from trivox.files import mat5
from trivox.files.mat5 import variable_of_mat
from trivox.files.text import read_json


def file_of(data: Path, *parts: str) -> Path:
    path = data.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"no recording at {path}")
    return path


@pytest.mark.parametrize(("scene", "people", "present"), [("shelf", 4, [0, 2]), ("campus", 3, [0])])
def test_real_actors_stand_in_their_scene(data: Path, scene: str, people: int, present: list[int]) -> None:
    folder = f"{scene}_mmpose_3frames"
    poses = trivox.load_poses(file_of(data, folder, "actorsGT.mat"))
    assert poses.points_mm.shape == (3, people, 14, 3)
    assert poses.valid.any((0, 2)).nonzero()[:, 0].tolist() == present
    assert poses.valid[:, present].all()
    heights = poses.points_mm[:, present, -1, 2] - poses.points_mm[:, present][:, :, [0, 5], 2].amin(-1)
    assert ((heights > 1300) & (heights < 2000)).all()  # head above ankles, z up, millimetres
    rig = trivox.load_rig(file_of(data, folder, f"calibration_{scene}.json"))
    points = poses.points_mm[:, present].reshape(-1, 3)
    for v in range(len(rig.names)):
        assert (rig.cameras[v].depth_mm(points) > 1000).all()


@pytest.mark.parametrize("scene", ["shelf", "campus"])
def test_parts_of_real_actors(data: Path, scene: str, tmp_path: Path) -> None:
    """Everybody moved by a known length: limbs twice as long and longer stay correct, the others do not."""
    path = file_of(data, f"{scene}_mmpose_3frames", "actorsGT.mat")
    truth = trivox.load_poses(path)
    assert evaluate(path, truth=path, protocol="parts").choices["pcp"] == 1
    for moved_mm in (100.0, 140.0, 170.0):
        moved = truth.map(lambda t: t)
        object.__setattr__(moved, "points_mm", truth.points_mm + torch.tensor([0.0, 0.0, moved_mm]))
        trivox.save_poses(moved, tmp_path / f"{moved_mm}.npz")
        report = evaluate(tmp_path / f"{moved_mm}.npz", truth=path, protocol="parts")
        lengths, names = [], truth.skeleton.names
        for record in report.tables["parts"][:-1]:
            a, b = (names.index(name) for name in record["part"].split("-"))
            both = truth.valid[..., a] & truth.valid[..., b]
            length = (truth.points_mm[..., a, :] - truth.points_mm[..., b, :]).norm(dim=-1)[both]
            lengths.append(length)
            assert record["Average"] == pytest.approx(float((length >= 2 * moved_mm).double().mean()))
        assert len(lengths) == 9  # eight limbs and the head


def test_mvor_projects_onto_its_own_2d_labels(data: Path) -> None:
    """Known: medians of 7.7, 8.9 and 7.9 px by camera, over nearly these labels, rough and made from depth."""
    path = file_of(data, "mvor", "camma_mvor_2018_days123.json")
    poses, rig, document = trivox.load_poses(path), trivox.load_rig(path), read_json(path)
    people = {(person["image_ids"], person["person_id"]) for person in document["annotations3D"]}
    assert int(poses.valid.any(-1).sum()) == len(people) == len(document["annotations3D"]) - 3
    labelled = {(a["image_id"], a["person_id"]): np.reshape(a["keypoints"], (-1, 3)) for a in document["annotations"]}
    for v, median in enumerate((7.7, 8.9, 7.9)):
        errors = []
        for f, triple in enumerate(document["multiview_images"]):
            image = triple["images"][v]["id"]
            for p in range(poses.valid.shape[1]):
                if not poses.valid[f, p].any() or (image, p) not in labelled:
                    continue
                label = labelled[image, p]
                seen = poses.valid[f, p].numpy() & (label[:10, 2] > 0)
                px = rig.cameras[v].project(poses.points_mm[f, p]).numpy() - 0.5  # labels count from the first centre
                errors += np.linalg.norm(px - label[:10, :2], axis=-1)[seen].tolist()
        assert len(errors) > 1000 and np.median(errors) == pytest.approx(median, abs=1)


def test_one_actor_or_one_frame_is_told_apart(tmp_path: Path) -> None:
    joints = [np.full((14, 3), float(n)) for n in range(6)]
    for name, actors in {
        "one actor": [joints],
        "one frame": [[each] for each in joints],
        "both": [joints[:1]],
        "two of three": [joints[:3], joints[3:]],
    }.items():
        path = tmp_path / f"{name}.mat"
        savemat(path, {"actor3D": cells(actors)})
        poses = trivox.load_poses(path)
        assert poses.points_mm.shape[:2] == (len(actors[0]), len(actors)), name
        expected = np.array(actors).swapaxes(0, 1) * 1000
        np.testing.assert_array_equal(poses.points_mm.numpy(), expected)


def cells(actors: list[list[Any]]) -> np.ndarray:
    """Actors of frames as MATLAB has them."""
    outer = np.empty((1, len(actors)), object)
    for a, frames in enumerate(actors):
        outer[0, a] = np.empty((len(frames), 1), object)
        for f, frame in enumerate(frames):
            outer[0, a][f, 0] = frame
    return outer


def test_actors_are_read_however_they_are_wrapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(2, 3, 14, 3))
    absent = [np.zeros((1, 0)), np.array(np.nan), np.array(0.0)]
    frames = [[*joints[0], absent[0]], [joints[1, 0], absent[1], absent[2], joints[1, 2]]]
    wrapped = np.empty((1, 1), object)
    wrapped[0, 0] = cells(frames)
    for name, content in (("plain", cells(frames)), ("wrapped", wrapped)):
        savemat(tmp_path / f"{name}.mat", {"actor3D": content})
        poses = trivox.load_poses(tmp_path / f"{name}.mat")
        assert poses.valid.all(-1).tolist() == [[True, True], [True, False], [True, False], [False, True]]
        np.testing.assert_allclose(poses.points_mm[:3, 0].numpy(), joints[0] * 1000)
        np.testing.assert_allclose(poses.points_mm[3, 1].numpy(), joints[1, 2] * 1000)


@pytest.mark.parametrize(
    "content",
    [
        {"other": np.zeros(3)},
        {"actor3D": cells([[np.zeros((14, 3))], [np.zeros((14, 3)), np.zeros((14, 3))]])},
        {"actor3D": cells([[np.zeros((15, 3))], [np.zeros((15, 3))]])},
        {"actor3D": cells([["a"], ["b"]])},
        {"actor3D": np.zeros((14, 3, 2))},
    ],
)
def test_other_mat_files_are_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    savemat(tmp_path / "actors.mat", content)
    with pytest.raises(InputError, match="actor3D"):
        trivox.load_poses(tmp_path / "actors.mat")


def test_mat_files_are_what_scipy_reads(tmp_path: Path, data: Path) -> None:
    """Compressed or not, of any type of number; what is neither number nor cell is None."""
    rng = np.random.default_rng(0)
    numbers = [rng.normal(size=(3, 2)).astype(t) for t in ("f4", "f8")]
    numbers += [rng.integers(0, 100, (2, 5)).astype(t) for t in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")]
    mixed = np.empty((2, 6), object)
    mixed.flat[: len(numbers)] = [*numbers[:-1], None]
    mixed.flat[len(numbers) - 1 :] = [numbers[-1], "text", np.zeros((0, 3))]
    for compressed in (False, True):
        path = tmp_path / f"{compressed}.mat"
        savemat(
            path, {"before": np.ones(3), "mixed": mixed, "cube": rng.normal(size=(2, 3, 4))}, do_compression=compressed
        )
        for name in ("mixed", "cube"):
            ours, theirs = variable_of_mat(path.read_bytes(), name), loadmat(path)[name]
            assert ours.shape == theirs.shape
            for one, other in zip(ours.flat, theirs.flat, strict=True):
                if isinstance(other, np.ndarray) and other.dtype.kind in "US":
                    assert one is None
                else:
                    np.testing.assert_array_equal(one, other)
    real = file_of(data, "shelf_mmpose_3frames", "actorsGT.mat")
    ours, theirs = variable_of_mat(real.read_bytes(), "actor3D"), loadmat(real)["actor3D"]
    for a in range(4):
        for f in range(3):
            np.testing.assert_array_equal(ours[0, a][f, 0], theirs[0, a][f, 0])


@given(st.data())
def test_any_change_of_a_mat_file_is_read_or_refused(any_data: st.DataObject) -> None:
    """SciPy's reader takes such files for true and crashes on some."""
    stream = io.BytesIO()
    savemat(
        stream, {"actor3D": cells([[np.ones((14, 3)), np.zeros((1, 0))]])}, do_compression=any_data.draw(st.booleans())
    )
    content = bytearray(stream.getvalue())
    for at, byte in any_data.draw(st.lists(st.tuples(st.integers(120, len(content) - 1), st.integers(0, 255)))):
        content[at] = byte
    with contextlib.suppress(ValueError, zlib.error):
        variable_of_mat(bytes(content), "actor3D")


def test_a_mat_file_that_unpacks_to_more_than_it_may_is_refused() -> None:
    bomb = zlib.compress(bytes(mat5.LARGEST + 1))
    content = bytes(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(bomb)) + bomb
    with pytest.raises(ValueError, match="unpacks to more"):
        variable_of_mat(content, "actor3D")


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file" + bytes(109), b"\x00\x01IM" * 64])
def test_bytes_that_are_no_mat_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "actors.mat").write_bytes(content)
    with pytest.raises(InputError, match="is not a MATLAB file with actor3D"):
        trivox.load_poses(tmp_path / "actors.mat")


def mvor(**changes: Any) -> dict[str, Any]:
    person = {"image_ids": "1_2_3", "person_id": 0, "keypoints3D": [1.0] * 48}
    images = [{"images": [{"id": 1}, {"id": 2}, {"id": 3}]}]
    return {"annotations3D": [person | changes], "multiview_images": images}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"annotations3D": []},
        {"annotations3D": [], "multiview_images": []},
        {"annotations3D": [3], "multiview_images": [{"images": [{"id": 1}]}]},
        {"annotations3D": [], "multiview_images": [{"images": [1]}]},
        mvor(image_ids="9_9_9"),
        mvor(person_id=-1),
        mvor(person_id=10**9),
        mvor(keypoints3D=[1.0] * 39),
        mvor(keypoints3D="none"),
        mvor(keypoints3D=[float("nan")] * 48),
    ],
)
def test_other_json_is_refused(tmp_path: Path, content: Any) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="labels.json"):
        trivox.load_poses(tmp_path / "labels.json")


def test_a_small_mvor_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(
        json.dumps(mvor(person_id=2, keypoints3D=[1.0, 2, 3, 1] * 9 + [9.0, 9, 9, 0]))
    )
    poses = trivox.load_poses(tmp_path / "labels.json")
    assert poses.valid[0, 2].tolist() == [True] * 9 + [False] and poses.points_mm[0, 2, 8].tolist() == [1, 2, 3]
