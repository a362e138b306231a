"""Every exported file, read back by a reader that is not ours, has the joints where they are, within 0.1 mm."""

from __future__ import annotations

import csv
import json
import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import c3d
import numpy as np
import polars
import pygltflib
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.files.poses import save_poses
from trivox.geometry.axes import turned_upright
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import SKELETONS, skeleton_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # bvhio imports PyGLM by its old name
    import bvhio

WITHIN_MM = 0.1
Y, Z = torch.tensor([0.0, 1.0, 0.0]).double(), torch.tensor([0.0, 0.0, 1.0]).double()
UPS = ([0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [0.6, 0.0, 0.8], None)
ANIMAL = skeleton_of(("snout", "tail", "left_paw", "left_shoulder", "left_elbow"), "animal")
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)


def some_poses(
    frames: list[int],
    people: int = 1,
    skeleton: str = "coco17",
    up: list[float] | None = UPS[0],
    missing: float = 0.2,
    seed: int = 0,
) -> Poses:
    """People all over a hall; every joint is seen at least once where anything is."""
    generator = torch.Generator().manual_seed(seed)
    joints = ANIMAL if skeleton == "animal" else SKELETONS[skeleton]
    shape = (len(frames), people, len(joints))
    valid = torch.rand(shape, generator=generator) >= missing
    valid[0, 0, 0] = True
    points = 3000 * torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    confidence = torch.rand(shape, generator=generator, dtype=torch.float64)
    return Poses(
        torch.where(valid[..., None], points, 0),
        valid,
        torch.where(valid, confidence, 0),
        torch.tensor(frames),
        joints,
        50.0,
        None if up is None else torch.tensor(up, dtype=torch.float64),
    )


def truth(poses: Poses, up: torch.Tensor | None) -> np.ndarray:
    """Millimetres (F, P, J, 3) in a world with this `up`, NaN where missing."""
    turned = poses if up is None or poses.up is None else turned_upright(poses, up)
    return np.where(poses.valid.numpy()[..., None], turned.points_mm.numpy(), np.nan)


def assert_close(read: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(read), np.isnan(expected))
    np.testing.assert_allclose(read, expected, atol=WITHIN_MM, rtol=0)


people_of_all_kinds = given(
    st.sets(st.integers(0, 12), min_size=1, max_size=4).map(sorted),
    st.integers(1, 3),
    st.sampled_from([*SKELETONS, "animal"]),
    st.sampled_from(UPS),
    st.sampled_from([0.0, 0.3, 0.7]),
    st.integers(0, 99),
)

# ----------------------------------------------------------------------------------------------------- C3D


def read_c3d(path: Path) -> tuple[dict[int, np.ndarray], list[str], float]:
    """Points of each frame, NaN where the residual is -1; labels; rate. By py-c3d."""
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # that there are no analog data
        reader = c3d.Reader(file)
        more: Any = reader.get("POINT:LABELS2")  # of more points than one list can hold, 255
        names = [*reader.point_labels, *([] if more is None else more.string_array)]
        labels = [name.strip() for name in names]
        frames = {n: np.where(points[:, 3:4] < 0, np.nan, points[:, :3]) for n, points, _ in reader.read_frames()}
        group: Any = reader.get("POINT")
        assert group.get("UNITS").string_value.strip() == "mm"
        assert group.get("Y_SCREEN").string_value.strip() == "+Z"
        return frames, labels, reader.point_rate


@quick
@people_of_all_kinds
def test_c3d(tmp_path: Path, frames, people, skeleton, up, missing, seed) -> None:
    poses = some_poses(frames, people, skeleton, up, missing, seed)
    save_poses(poses, tmp_path / "poses.c3d")
    found, labels, rate = read_c3d(tmp_path / "poses.c3d")
    names = list(poses.skeleton.names)
    assert labels == (names if people == 1 else [f"p{p}:{name}" for p in range(people) for name in names])
    expected = truth(poses, Z)
    row_of = {round((number - 1) / rate * poses.fps, 3): points for number, points in found.items()}
    for f, frame in enumerate(frames):
        assert_close(row_of.pop(frame).reshape(people, -1, 3), expected[f])
    assert all(np.isnan(points).all() for points in row_of.values())


def test_c3d_counts_past_the_16_bits_of_its_header(tmp_path: Path) -> None:
    poses = some_poses(list(range(70_000, 70_004)))
    save_poses(poses, tmp_path / "late.c3d")
    import ezc3d

    read = ezc3d.c3d(str(tmp_path / "late.c3d"))  # py-c3d counts 65535 to the high word
    low, high = (int(word) & 0xFFFF for word in read["parameters"]["TRIAL"]["ACTUAL_START_FIELD"]["value"])
    assert low + 65536 * high == 70_001
    assert_close(read["data"]["points"][:3].transpose(2, 1, 0), truth(poses, Z)[:, 0])


# ----------------------------------------------------------------------------------------------------- BVH


def read_bvh(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str], float]:
    """World positions in mm (F, 3) and parents by joint name, and seconds per frame. By bvhio."""
    container = bvhio.readAsBvh(str(path))
    root = bvhio.convertBvhToHierarchy(container.Root)
    joints = [joint for joint, _, _ in root.layout()]
    places: dict[str, list[list[float]]] = {joint.Name: [] for joint in joints}
    for frame in range(container.FrameCount):
        root.loadPose(frame)
        for joint in joints:
            places[joint.Name].append(list(joint.PositionWorld))
    parents = {joint.Name: joint.Parent.Name if joint.Parent else "" for joint in joints}
    return {name: 10 * np.array(place) for name, place in places.items()}, parents, container.FrameTime


@quick
@people_of_all_kinds
def test_bvh_has_every_valid_joint_in_its_place(tmp_path: Path, frames, people, skeleton, up, missing, seed) -> None:
    poses = some_poses(frames, people, skeleton, up, missing, seed)
    expected = truth(poses, Y)
    seen = [p for p in range(people) if poses.valid[:, p].any()]
    names = [tmp_path / ("poses.bvh" if people == 1 else f"poses_p{p}.bvh") for p in seen]
    assert save_poses(poses, tmp_path / "poses.bvh") == tuple(names)
    for person, path in zip(seen, names, strict=True):
        found, parents, seconds = read_bvh(path)
        rows = np.round((np.array(frames) - frames[0]) / poses.fps / seconds).astype(int)
        for j, joint in enumerate(poses.skeleton.names):
            valid = poses.valid[:, person, j].numpy()
            assert (joint in found) == valid.any()
            if valid.any():
                np.testing.assert_allclose(
                    found[joint][rows[valid]], expected[valid, person, j], atol=WITHIN_MM, rtol=0
                )
        assert list(parents.values()).count("") == 1


def test_bvh_of_a_whole_person_is_a_body_with_median_bones(tmp_path: Path) -> None:
    poses = some_poses(list(range(9)), missing=0)
    save_poses(poses, tmp_path / "poses.bvh")
    _, parents, seconds = read_bvh(tmp_path / "poses.bvh")
    assert seconds == pytest.approx(0.02)
    assert parents == {
        "pelvis": "",
        **{f"{side}_hip": "pelvis" for side in ("left", "right")},
        **{f"{side}_knee": f"{side}_hip" for side in ("left", "right")},
        **{f"{side}_ankle": f"{side}_knee" for side in ("left", "right")},
        "neck": "pelvis",
        **{f"{side}_shoulder": "neck" for side in ("left", "right")},
        **{f"{side}_elbow": f"{side}_shoulder" for side in ("left", "right")},
        **{f"{side}_wrist": f"{side}_elbow" for side in ("left", "right")},
        "nose": "neck",
        **{f"{side}_eye": "nose" for side in ("left", "right")},
        **{f"{side}_ear": f"{side}_eye" for side in ("left", "right")},
    }
    offset = next(
        j.Offset for j, _, _ in bvhio.readAsBvh(str(tmp_path / "poses.bvh")).Root.layout() if j.Name == "left_knee"
    )
    hip, knee = poses.skeleton.indices(("left_hip", "left_knee"))
    lengths = (poses.points_mm[:, 0, knee] - poses.points_mm[:, 0, hip]).norm(dim=-1)
    np.testing.assert_allclose([*offset], [0, -float(lengths.median()) / 10, 0], atol=1e-4)


def test_bvh_turns_joints_so_that_fixed_bones_point_where_limbs_do(tmp_path: Path) -> None:
    """With OFFSETs in place of position channels, forearms still point from elbow to wrist."""
    poses = some_poses(list(range(9)), missing=0)
    save_poses(poses, tmp_path / "poses.bvh")
    root = bvhio.readAsHierarchy(str(tmp_path / "poses.bvh"))
    wrist = next(joint for joint, _, _ in root.layout() if joint.Name == "left_wrist")
    elbow, hand = poses.skeleton.indices(("left_elbow", "left_wrist"))
    along = truth(poses, Y)[:, 0, hand] - truth(poses, Y)[:, 0, elbow]
    for frame in range(9):
        root.loadPose(frame)
        forearm = wrist.Parent.RotationWorld * wrist.RestPose.Position
        share = np.dot([*forearm], along[frame]) / np.linalg.norm([*forearm]) / np.linalg.norm(along[frame])
        assert share > 1 - 1e-5


def test_bvh_fills_a_gap_where_the_joint_was_beside_its_parent(tmp_path: Path) -> None:
    """Somebody walks 1 m a frame; the wrist that is not seen comes along, from where it was to where it will be."""
    poses = some_poses(list(range(5)), missing=0)
    still = poses.points_mm[:1] + 1000 * torch.arange(5).double()[:, None, None, None] * Z.roll(1)
    wrist = poses.skeleton.names.index("left_wrist")
    still[4, 0, wrist] += 100
    gone = poses.valid.clone()
    gone[1:4, 0, wrist] = False
    hidden = replace(poses, points_mm=torch.where(gone[..., None], still, 0), valid=gone)
    save_poses(hidden, tmp_path / "poses.bvh")
    found = read_bvh(tmp_path / "poses.bvh")[0]["left_wrist"]
    expected = turned_upright(replace(poses, points_mm=still), Y).points_mm[:, 0, wrist].numpy()
    lag = np.linalg.norm(found - expected, axis=-1)
    np.testing.assert_allclose(lag, [0, *(np.sqrt(3) * np.array([25, 50, 75])), 0], atol=WITHIN_MM)


# ----------------------------------------------------------------------------------------------------- glTF


class Gltf:
    """Where nodes are at a time, by pygltflib and the specification's formulas, for translations and scales."""

    def __init__(self, path: Path) -> None:
        loaded: Any = pygltflib.GLTF2().load(str(path))
        assert loaded is not None
        self.file, self.blob = loaded, self._content(loaded)
        self.keys: dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]] = {}
        animation = loaded.animations[0]
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            times, values = self.array(sampler.input)[:, 0], self.array(sampler.output)
            self.keys[channel.target.node, channel.target.path] = times, values, sampler.interpolation
        self.nodes = {node.name: index for index, node in enumerate(loaded.nodes)}

    @staticmethod
    def _content(file: pygltflib.GLTF2) -> bytes:
        uri = file.buffers[0].uri
        content = file.get_data_from_buffer_uri(uri) if uri else file.binary_blob()
        assert isinstance(content, bytes)
        return content

    def array(self, accessor: int) -> np.ndarray:
        about = self.file.accessors[accessor]
        start = self.file.bufferViews[about.bufferView].byteOffset
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[about.type]
        values = struct.unpack_from(f"<{about.count * width}f", self.blob, start)
        return np.array(values).reshape(about.count, width)

    def at(self, name: str, what: str, time: float) -> np.ndarray | None:
        times, values, how = self.keys.get((self.nodes[name], what), (np.zeros(0), np.zeros(0), ""))
        if not len(times):
            return None
        if how == "STEP":
            return values[max(np.searchsorted(times, time + 1e-6) - 1, 0)]
        return np.array([np.interp(time, times, column) for column in values.T])


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@quick
@people_of_all_kinds
def test_gltf(tmp_path: Path, suffix, frames, people, skeleton, up, missing, seed) -> None:
    poses = some_poses(frames, people, skeleton, up, missing, seed)
    path = tmp_path / f"poses{suffix}"
    save_poses(poses, path)
    gltf, expected = Gltf(path), truth(poses, Y)
    for p in range(people):
        for j, joint in enumerate(poses.skeleton.names):
            name = joint if people == 1 else f"p{p}_{joint}"
            assert (name in gltf.nodes) == bool(poses.valid[:, p, j].any())
            for f, frame in enumerate(frames if name in gltf.nodes else []):
                time = (frame - frames[0]) / poses.fps
                shown = gltf.at(name, "scale", time)
                is_shown = shown is None or bool(shown[0])
                assert is_shown == bool(poses.valid[f, p, j])
                place = gltf.at(name, "translation", time)
                assert place is not None
                if is_shown:
                    np.testing.assert_allclose(1000 * place, expected[f, p, j], atol=WITHIN_MM, rtol=0)


def test_sticks_reach_from_joint_to_joint(tmp_path: Path) -> None:
    poses = some_poses(list(range(6)), 2, missing=0.2)
    save_poses(poses, tmp_path / "poses.glb")
    gltf, expected = Gltf(tmp_path / "poses.glb"), truth(poses, Y)
    drawn = 0
    for parent, child in poses.skeleton.bone_indices:
        names = [poses.skeleton.names[joint] for joint in (parent, child)]
        stick = f"p1_{names[0]}_to_{names[1]}"
        carrier = gltf.file.nodes[gltf.nodes[f"p1_{names[0]}"]]
        assert carrier.children is not None and gltf.nodes[stick] in carrier.children
        for f in range(6):
            scale, turn = gltf.at(stick, "scale", f / 50), gltf.at(stick, "rotation", f / 50)
            assert scale is not None and turn is not None
            if not (poses.valid[f, 1, parent] and poses.valid[f, 1, child]):
                assert not scale.any()
                continue
            x, y, z, w = turn
            along = np.array([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)])  # of y, turned
            reached = expected[f, 1, parent] + 1000 * scale[1] * along
            np.testing.assert_allclose(reached, expected[f, 1, child], atol=WITHIN_MM, rtol=0)
            drawn += 1
    assert drawn > 20


def test_a_glb_opens_in_a_scene_library_with_its_first_pose(tmp_path: Path) -> None:
    import trimesh

    poses = some_poses([3, 4], missing=0)
    save_poses(poses, tmp_path / "poses.glb")
    scene = trimesh.load_scene(tmp_path / "poses.glb")
    for j, joint in enumerate(poses.skeleton.names):
        place = scene.graph.get(joint)[0][:3, 3]
        np.testing.assert_allclose(1000 * place, truth(poses, Y)[0, 0, j], atol=WITHIN_MM, rtol=0)
    for mesh in scene.geometry.values():
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces)  # which joins points in one place
        solid.update_faces(solid.nondegenerate_faces())
        assert solid.is_watertight and solid.volume > 0  # triangles look outwards


# --------------------------------------------------------------------------------------- tables and documents


@quick
@people_of_all_kinds
def test_parquet_and_csv(tmp_path: Path, frames, people, skeleton, up, missing, seed) -> None:
    poses = some_poses(frames, people, skeleton, up, missing, seed)
    expected = truth(poses, None)
    save_poses(poses, tmp_path / "poses.parquet")
    save_poses(poses, tmp_path / "poses.csv")
    parquet = polars.read_parquet(tmp_path / "poses.parquet")
    assert parquet.height == poses.valid.numel()
    columns = ("x_mm", "y_mm", "z_mm")
    points = parquet.select(columns).cast(polars.Float64).fill_null(float("nan")).to_numpy()
    np.testing.assert_array_equal(points.reshape(expected.shape), expected)
    assert parquet["joint"].to_list()[: len(poses.skeleton)] == list(poses.skeleton.names)
    np.testing.assert_allclose(parquet["time_s"], parquet["frame"].to_numpy() / 50, rtol=1e-12)
    head = json.loads(polars.read_parquet_metadata(tmp_path / "poses.parquet")["trivox"])
    assert (head["units"], head["fps"], head["up"]) == ("mm", 50.0, up)
    with (tmp_path / "poses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == parquet["frame"].to_list()
    assert [int(row["person"]) for row in rows] == parquet["person"].to_list()
    written = np.array([[float(row[column] or "nan") for column in columns] for row in rows])
    assert_close(written.reshape(expected.shape), expected)


@quick
@people_of_all_kinds
def test_json(tmp_path: Path, frames, people, skeleton, up, missing, seed) -> None:
    poses = some_poses(frames, people, skeleton, up, missing, seed)
    save_poses(poses, tmp_path / "poses.json")

    def refused(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    read = json.loads((tmp_path / "poses.json").read_text("utf-8"), parse_constant=refused)
    assert (read["units"], read["fps"], read["frames"], read["up"]) == ("mm", 50.0, frames, up)
    assert read["joints"] == list(poses.skeleton.names) and len(read["people"]) == people
    assert [tuple(bone) for bone in read["bones"]] == list(poses.skeleton.bones)
    for p, person in enumerate(read["people"]):
        points = [[[np.nan] * 3 if x is None else x for x in frame] for frame in person["points_mm"]]
        assert_close(np.array(points), truth(poses, None)[:, p])
        np.testing.assert_allclose(person["confidence"], poses.confidence[:, p], atol=1e-5)


@quick
@people_of_all_kinds
def test_trc_as_a_table(tmp_path: Path, frames, people, skeleton, up, missing, seed) -> None:
    """As Pose2Sim reads it: five lines of head, then a table."""
    poses = some_poses(frames, people, skeleton, up, missing, seed)
    for person, path in enumerate(save_poses(poses, tmp_path / "poses.trc")):
        lines = path.read_text().splitlines()
        names = lines[3].rstrip("\t").split("\t")[2::3]
        table = np.array([[float(cell or "nan") for cell in line.split("\t")] for line in lines[6:]])
        assert names == list(poses.skeleton.names) and lines[2].split("\t")[4] == "m"
        np.testing.assert_allclose(table[:, 1], np.array(frames) / 50, atol=1e-6)
        assert_close(1000 * table[:, 2:].reshape(len(frames), -1, 3), truth(poses, Y)[:, person])


# ----------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("suffix", [".c3d", ".bvh"])
def test_frames_too_far_apart_for_a_steady_rate_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="keeps frame numbers"):
        save_poses(some_poses([0, 7, 10**9]), tmp_path / f"poses{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".c3d", ".bvh", ".json", ".parquet", ".glb", ".gltf"])
def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    import resource
    import signal

    poses, path = some_poses(list(range(200))), tmp_path / f"poses{suffix}"
    path.write_text("before")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(InputError, match="cannot write .*poses"):
            save_poses(poses, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("module", "suffix"), [("ezc3d", ".c3d"), ("pyarrow", ".parquet")])
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch, module: str, suffix: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(InputError, match=r"pip install 'trivox\[export\]'"):
        save_poses(some_poses([0]), tmp_path / f"poses{suffix}")
