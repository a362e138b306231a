"""trivox export: the right files in the right place, and every mistake one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import trivox
from trivox.cli import main
from trivox.export import FORMATS
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17


@pytest.fixture
def ran(capsys) -> Callable[..., tuple[object, str, str]]:
    def run(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as exit:
            main(["export", *map(str, words)])
        return exit.value.code, *capsys.readouterr()

    return run


def standing(up: bool = True, people: int = 1, seen: bool = True) -> Poses:
    valid = torch.full((3, people, 17), seen)
    points = torch.where(valid[..., None], torch.randn(3, people, 17, 3).double(), 0)
    vertical = torch.tensor([0.0, 0.0, 1.0]).double() if up else None
    return Poses(points, valid, valid.double(), torch.arange(3), COCO_17, 30.0, vertical)


@pytest.fixture
def result(tmp_path: Path) -> Path:
    trivox.save_poses(standing(), tmp_path / "result" / "poses.npz")
    return tmp_path / "result"


def test_each_format_stands_beside_the_result_and_is_told(ran, result):
    code, out, err = ran(result, "--to", *(name for name in FORMATS if name != "npz"))
    assert (code, err) == (0, "")
    names = {f"poses.{name}" for name in FORMATS}
    assert {path.name for path in result.iterdir()} == names
    assert all(f"wrote {result / name}\n" in out for name in names - {"poses.npz"})


def test_the_name_of_the_file_decides_the_format(ran, result, tmp_path):
    assert ran(result / "poses.npz", "--out", tmp_path / "new" / "walk.glb")[0] == 0
    assert (tmp_path / "new" / "walk.glb").read_bytes()[:4] == b"glTF"
    assert ran(result, "--to", "json", "--out", tmp_path / "folder")[0] == 0
    assert (tmp_path / "folder" / "poses.json").is_file()


def test_of_several_people_each_bvh_has_a_number(tmp_path):
    trivox.save_poses(standing(people=2), tmp_path / "a.npz")
    assert trivox.export(tmp_path / "a.npz", to="bvh") == (tmp_path / "a_p0.bvh", tmp_path / "a_p1.bvh")


def test_up_is_asked_for_where_nothing_says_it(ran, tmp_path):
    poses = standing(up=False)
    trivox.save_poses(poses, tmp_path / "a.npz")
    code, _, err = ran(tmp_path / "a.npz", "--to", "trc")
    assert code == 0 and "note: nothing says which way is up" in err and "--up" in err
    assert ran(tmp_path / "a.npz", "--to", "trc", "--up", "-y")[::2] == (0, "")
    x, y, z = poses.points_mm[:, 0].unbind(-1)
    read = trivox.load_poses(tmp_path / "a.trc").points_mm[:, 0]
    torch.testing.assert_close(read, torch.stack([x, -y, -z], -1), atol=1e-3, rtol=0)


def test_what_bvh_fills_is_told(ran, tmp_path):
    poses = standing()
    poses.valid[1, 0, 3] = False
    trivox.save_poses(poses, tmp_path / "a.npz")
    assert "1 of 51 joint positions are missing" in ran(tmp_path / "a.npz", "--to", "bvh")[2]


def test_mistakes_are_one_sentence(ran, result, tmp_path):
    (tmp_path / "file").write_text("")
    trivox.save_poses(standing(seen=False), tmp_path / "nobody.npz")
    trivox.save_poses(standing(), tmp_path / "a.json")
    before = sorted(result.iterdir())
    for words, said in {
        (result,): "give --to npz|csv|c3d|",
        (result, "--to", "bhv"): "did you mean bvh?",
        (result, "--to", "fbx"): "there is no format 'fbx'",
        (result, "--out", tmp_path / "a.gbl"): "did you mean glb?",
        (result, "--to", "bvh", "--out", tmp_path / "a.glb"): "not of bvh",
        (result, "--to", "csv", "--up", "z"): "leave --up out",
        (result, "--to", "npz"): "written over by itself",
        (tmp_path, "--to", "bvh"): "is no result folder",
        (tmp_path / "none.npz", "--to", "bvh"): "there is no file",
        (tmp_path / "none", "--to", "bvh"): "there is no file or folder",
        (tmp_path / "a.json", "--to", "bvh"): "give the .npz or .csv",
        (tmp_path / "nobody.npz", "--to", "bvh"): "nobody to export",
        (result, "--to", "bvh", "--out", tmp_path / "file" / "x"): "a file stands where a folder is needed",
    }.items():
        code, out, err = ran(*words)
        assert code == 2 and out == "" and said in err and err.count("\n") == 1, (words, err)
    assert sorted(result.iterdir()) == before
