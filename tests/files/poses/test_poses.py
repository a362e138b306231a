"""3D results survive their files: .npz exactly, .trc and .csv to their last printed digit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.files.poses import load_poses, save_poses
from trivox.geometry.axes import turned_upright
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import BODY_25B, COCO_17, SKELETONS

UPS = ([0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [0.6, 0.0, 0.8], None)


def some_poses(
    frames: list[int],
    people: int = 1,
    *,
    skeleton: str = "coco17",
    up: list[float] | None = UPS[0],
    covariance: bool = False,
    seed: int = 0,
) -> Poses:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(frames), people, len(SKELETONS[skeleton]))
    valid = torch.rand(shape, generator=generator) > 0.2
    points = 3000 * torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    confidence = torch.rand(shape, generator=generator, dtype=torch.float64)
    return Poses(
        torch.where(valid[..., None], points, 0),
        valid,
        torch.where(valid, confidence, 0),
        torch.tensor(frames),
        SKELETONS[skeleton],
        59.94,
        None if up is None else torch.tensor(up, dtype=torch.float64),
        torch.eye(3).double() * valid[..., None, None] if covariance else None,
    )


def assert_same(one: Poses, other: Poses, tolerance_mm: float) -> None:
    assert one.skeleton == other.skeleton
    assert torch.equal(one.frames, other.frames) and torch.equal(one.valid, other.valid)
    torch.testing.assert_close(one.points_mm, other.points_mm, atol=tolerance_mm, rtol=0, equal_nan=True)
    assert one.fps == pytest.approx(other.fps, rel=1e-9)


frame_lists = st.sets(st.integers(0, 10**9), min_size=1, max_size=4).map(sorted)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


@quick
@given(frame_lists, st.integers(1, 3), st.sampled_from(list(SKELETONS)), st.sampled_from(UPS), st.booleans())
def test_npz_is_exact(
    tmp_path: Path, frames: list[int], people: int, skeleton: str, up: list[float] | None, covariance: bool
) -> None:
    poses = some_poses(frames, people, skeleton=skeleton, up=up, covariance=covariance)
    assert save_poses(poses, tmp_path / "poses.npz") == (tmp_path / "poses.npz",)
    read = load_poses(tmp_path / "poses.npz")
    assert_same(read, poses, 0)
    for ours, theirs in ((read.up, poses.up), (read.covariance_mm2, poses.covariance_mm2)):
        assert (ours is None) == (theirs is None)
        assert ours is None or theirs is None or torch.equal(ours.nan_to_num(), theirs.nan_to_num())
    assert torch.equal(read.confidence, poses.confidence)


def test_npz_has_nan_where_not_valid_and_needs_no_pickle(tmp_path: Path) -> None:
    poses = some_poses([0, 1], covariance=True)
    save_poses(poses, tmp_path / "poses.npz")
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    assert np.array_equal(np.isnan(arrays["points_mm"]).all(-1), ~arrays["valid"])
    assert np.array_equal(np.isnan(arrays["covariance_mm2"]).all((-1, -2)), ~arrays["valid"])
    assert str(arrays["units"]) == "mm" and tuple(arrays["joints"]) == COCO_17.names


@quick
@given(frame_lists, st.integers(1, 3), st.sampled_from(list(SKELETONS)))
def test_csv_to_a_ten_thousandth_of_a_millimetre(tmp_path: Path, frames: list[int], people: int, skeleton: str) -> None:
    poses = some_poses(frames, people, skeleton=skeleton)
    save_poses(poses, tmp_path / "poses.csv")
    if frames == [0]:
        with pytest.raises(InputError, match="no time after 0"):
            load_poses(tmp_path / "poses.csv")
        return
    read = load_poses(tmp_path / "poses.csv")
    assert_same(read, poses, 1e-4)
    torch.testing.assert_close(read.confidence, poses.confidence, atol=1e-6, rtol=1e-5)


@quick
@given(frame_lists, st.integers(1, 3), st.sampled_from(list(SKELETONS)), st.sampled_from(UPS))
def test_trc_to_a_thousandth_of_a_millimetre(
    tmp_path: Path, frames: list[int], people: int, skeleton: str, up: list[float] | None
) -> None:
    poses = some_poses(frames, people, skeleton=skeleton, up=up)
    names = ["poses.trc"] if people == 1 else [f"poses_p{p}.trc" for p in range(people)]
    paths = save_poses(poses, tmp_path / "poses.trc")
    assert [path.name for path in paths] == names
    for person, path in enumerate(paths):
        read = load_poses(path)
        assert read.up is not None and read.up.tolist() == [0, 1, 0]
        back = read if poses.up is None else turned_upright(read, poses.up)
        each = slice(person, person + 1)
        assert torch.equal(back.valid, poses.valid[:, each])
        torch.testing.assert_close(back.points_mm, poses.points_mm[:, each], atol=1.5e-3, rtol=0, equal_nan=True)
        assert torch.equal(back.frames, poses.frames) and back.fps == pytest.approx(poses.fps)


def test_trc_as_opensim_reads_it(tmp_path: Path) -> None:
    """The layout, cell by cell: header counts, marker columns, Z up exchanged to Y up, gaps empty."""
    poses = some_poses([4, 5])
    save_poses(poses, tmp_path / "walk.trc")
    lines = (tmp_path / "walk.trc").read_text().split("\n")
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\twalk.trc"
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert (header["NumFrames"], header["NumMarkers"], header["Units"]) == ("2", "17", "m")
    assert lines[3].split("\t")[2::3] == list(COCO_17.names)
    assert lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"]
    assert lines[5] == ""
    for row, frame in enumerate((4, 5)):
        number, time, *cells = lines[6 + row].split("\t")
        assert int(number) == frame + 1 and float(time) == pytest.approx(frame / 59.94, abs=1e-6)
        for j, (x, y, z) in enumerate(poses.points_mm[row, 0].tolist()):
            cell = cells[3 * j : 3 * j + 3]
            expected = [y / 1000, z / 1000, x / 1000]
            assert cell == [f"{v:.6f}" for v in expected] if poses.valid[row, 0, j] else cell == ["", "", ""]


@pytest.mark.parametrize("gone", ["the last marker", "every marker", "a marker throughout", "the last throughout"])
def test_every_row_of_a_trc_ends_in_its_last_column(tmp_path: Path, gone: str) -> None:
    """OpenSim counts the columns of a line without an empty end."""
    poses = some_poses([0, 1, 2])
    valid = torch.ones_like(poses.valid)
    rows = slice(None) if "throughout" in gone else 1
    valid[rows, :, slice(None) if gone == "every marker" else 3 if gone.startswith("a ") else -1] = False
    somewhere = torch.nan_to_num(poses.points_mm)
    save_poses(replace(poses, points_mm=somewhere, valid=valid), tmp_path / "walk.trc")
    for line in (tmp_path / "walk.trc").read_text().split("\n")[6:-1]:
        assert len(line.split("\t")) == len(line.rstrip("\t").split("\t")) == 2 + 3 * 17
    assert torch.equal(load_poses(tmp_path / "walk.trc").valid, valid)


@pytest.mark.parametrize(("units", "per_mm"), [("m", 1e-3), ("cm", 0.1), ("mm", 1.0)])
def test_trc_in_other_units_and_spellings(tmp_path: Path, units: str, per_mm: float) -> None:
    path = tmp_path / "x.trc"
    place = "\t".join(str(v * per_mm) for v in (100, 200, 300))
    path.write_text(
        f"PathFileType\t4\t(X/Y/Z)\tx.trc\r\nDataRate\tNumFrames\tNumMarkers\tUnits\r\n100\t1\t2\t{units}\r\n"
        f"Frame#\tTime\tRHip\t\t\tMidHip\t\t\r\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\r\n1\t0.0\t{place}\tnan\t\r\n"
    )
    read = load_poses(path)
    assert read.skeleton.names == ("right_hip", "pelvis") and read.fps == 100
    assert read.points_mm[0, 0, 0].tolist() == pytest.approx([100, 200, 300])
    assert read.valid[0, 0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("frames", "from_one", "times_from_one"),
    [
        ([0, 1, 2], False, False),  # Pose2Sim
        ([0, 2, 7], False, True),
        ([10, 11, 12], False, False),  # a part of a recording, by Pose2Sim
        ([0, 1, 2], True, False),
        ([0, 1, 2], True, True),  # earlier Pose2Sim
        ([10, 11, 12], True, False),  # OpenSim's own way, and ours
    ],
)
@pytest.mark.parametrize("fps", [60.0, 29.97])
def test_trc_that_counts_from_0_or_1(
    tmp_path: Path, frames: list[int], from_one: bool, times_from_one: bool, fps: float
) -> None:
    """The same frames, whatever the program calls the first of a recording and whenever that is."""
    poses = replace(some_poses(frames), fps=fps)
    save_poses(poses, tmp_path / "walk.trc")
    expected = load_poses(tmp_path / "walk.trc")
    lines = (tmp_path / "walk.trc").read_text().split("\n")
    for row, frame in enumerate(frames):
        cells = lines[6 + row].split("\t", 2)
        lines[6 + row] = f"{frame + from_one}\t{(frame + times_from_one) / fps:.4f}\t{cells[2]}"
    (tmp_path / "other.trc").write_text("\n".join(lines))
    read = load_poses(tmp_path / "other.trc")
    assert read.frames.tolist() == expected.frames.tolist() == frames
    assert torch.equal(read.points_mm.nan_to_num(), expected.points_mm.nan_to_num())


def test_real_trc(data: Path) -> None:
    """Pose2Sim's file against a plain reading of its columns; its world goes back to the Z-up calibration."""
    path = data / "pose2sim_single" / "pose-3d" / "BalancingTrial_0-100.trc"
    read = load_poses(path, skeleton="body25b")
    table = np.loadtxt(path, skiprows=5)
    assert read.points_mm.shape == (100, 1, 25, 3) and read.fps == 60
    assert read.frames.tolist() == list(range(100))
    names = path.read_text().split("\n")[3].split("\t")[2::3]
    for name, joint in (("LElbow", "left_elbow"), ("Neck", "upper_neck"), ("RHeel", "right_heel")):
        columns = table[:, 2 + 3 * names.index(name) :][:, :3]
        np.testing.assert_allclose(read.points_mm[:, 0, BODY_25B.names.index(joint)], columns * 1000)
    assert not read.valid[:, :, BODY_25B.names.index("left_eye")].any()
    z_up = turned_upright(read, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    assert torch.equal(z_up.points_mm.nan_to_num(), read.points_mm[..., [2, 0, 1]].nan_to_num())
    assert torch.equal(z_up.valid, read.valid)


def test_a_skeleton_may_be_asked_for(tmp_path: Path) -> None:
    poses = some_poses([1, 2])
    for name in ("p.npz", "p.csv", "p.trc"):
        save_poses(poses, tmp_path / name)
        read = load_poses(tmp_path / name, skeleton="h36m17")
        wrist = read.skeleton.names.index("left_wrist")
        assert torch.equal(read.valid[:, :, wrist], poses.valid[:, :, 9])


def test_a_write_that_fails_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for suffix in ("npz", "csv", "trc"):
        (tmp_path / f"p.{suffix}" / "in the way").mkdir(parents=True)
        with pytest.raises(InputError, match="cannot write"):
            save_poses(some_poses([1]), tmp_path / f"p.{suffix}")
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(InputError, match="expected a file name that ends in .npz, .csv, .c3d"):
        save_poses(some_poses([1]), tmp_path / "p.xlsx")


HEAD = "frame,time_s,person,joint,x_mm,y_mm,z_mm,confidence,valid\n"
TRC = "PathFileType\nDataRate\tNumFrames\tNumMarkers\tUnits\n{}\nFrame#\tTime\tNose\t\t\n\t\tX1\n{}\n"
ROW = "1\t0\t1\t2\t3"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.npz", "", "not a readable .npz"),
        ("a.csv", "", "not a table of poses"),
        ("a.csv", HEAD, "not a table of poses"),
        ("a.csv", HEAD + "1,1\n", "not a table of poses"),
        ("a.csv", HEAD + "1,0.1,0,nose,1,2,x,1,1\n", "'x' where a number"),
        ("a.csv", HEAD + "-1,0.1,0,nose,1,2,3,1,1\n", "'frame' should be a whole number"),
        ("a.csv", HEAD + "1,0.1,0,nose,1,2,3,1,yes\n", "'valid' other than 0 and 1"),
        ("a.csv", HEAD + "1,0.1,0,nose,1,2,,1,1\n", "valid joints without"),
        ("a.csv", HEAD + "1,0.1,99999,nose,1,2,3,1,1\n", "write them all"),
        ("a.csv", HEAD + "1,0.1,0,nose,1,2,3,1,1\n" * 2, "twice"),
        ("a.csv", HEAD + "0,0,0,nose,1,2,3,1,1\n", "no time after 0"),
        ("a.trc", "", "not a TRC file"),
        ("a.trc", TRC.format("60\t1\t1\tfeet", ROW), "units 'feet'; expected one of m"),
        ("a.trc", TRC.format("60\t2\t1\tm", ROW), "1 for the 2 of its NumFrames"),
        ("a.trc", TRC.format("60\t1\t2\tm", ROW), "1 for the 2 of its NumMarkers"),
        ("a.trc", TRC.format("0\t1\t1\tm", ROW), "DataRate '0'; expected frames per second"),
        ("a.trc", TRC.format("60\t1\t1\tm", ROW + "\t4"), "does not fit its markers"),
        ("a.trc", TRC.format("60\t1\t1\tm", "1\t0\t1\ttwo\t3"), "does not fit its markers"),
        ("a.trc", TRC.format("60\t2\t1\tm", f"{ROW}\n{ROW}"), "do not rise"),
        ("a.trc", TRC.format("60\t1\t1\tm", "-1\t0\t1\t2\t3"), "Frame# should be a whole number from 0, not '-1"),
        ("a.trc", TRC.format("60\t1\t1\tm", "1.5\t0\t1\t2\t3"), "Frame# should be a whole number from 0, not '1.5"),
        ("a.bvh", "", "expected a file name that ends in"),
    ],
)
def test_one_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        load_poses(tmp_path / name)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("format", "trivox keypoints 1", "not a file of 'trivox poses 1'"),
        ("points_mm", np.full((2, 1, 17, 3), np.nan), "not finite"),
        ("points_mm", np.zeros((2, 1, 16, 3)), "'points_mm' is"),
        ("confidence", np.full((2, 1, 17), np.inf), "not finite"),
        ("valid", np.ones((2, 1, 17)), "'valid' is"),
        ("fps", 0.0, "no frame rate"),
        ("fps", "fast", "'fps' is"),
        ("up", np.array([0.0, 0.0, 2.0]), "'up' should be a vector of length 1"),
        ("covariance_mm2", np.zeros((2, 1, 17, 3)), "'covariance_mm2' is"),
        ("frames", np.array([3, 2]), "rising"),
    ],
)
def test_npz_fields_are_checked(tmp_path: Path, field: str, value: Any, sentence: str) -> None:
    path = tmp_path / "p.npz"
    save_poses(some_poses([0, 1], covariance=True), path)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, field: np.array(value)})
    with pytest.raises(InputError, match=sentence):
        load_poses(path)


@pytest.mark.parametrize("suffix", ("npz", "csv", "trc"))
def test_damaged_files_end_in_a_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    save_poses(some_poses([3, 4, 9]), path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        start, stop = sorted(rng.integers(len(damaged), size=2))
        if rng.random() < 0.7:
            del damaged[start : stop if rng.random() < 0.5 else None]
        path.write_bytes(bytes(damaged))
        try:
            read = load_poses(path)
            assert read.points_mm[read.valid].isfinite().all() and read.points_mm[~read.valid].isnan().all()
        except InputError as error:
            assert path.name in str(error)
            refused += 1
    assert refused
