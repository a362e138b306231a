"""`trivox synth`: three layouts that our own readers read back with the same truth; refusals; going on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import trivox
from trivox.cli import main
from trivox.data.human36m import read_human36m_npy
from trivox.data.panoptic import read_panoptic_npy
from trivox.data.splits import read_split
from trivox.files.videos import Video
from trivox.geometry.skeletons import COCO_17, H36M_17, PANOPTIC_19
from trivox.synth import _human36m_takes, synth
from trivox.synthetic import Renderer, SceneOptions, draw_scene
from trivox.synthetic.layouts import as_human36m

OPTIONS = SceneOptions(frames=2, fps=4.0, image_hw=(96, 128))


def test_our_own_layout_reads_back(tmp_path):
    synth(tmp_path / "out", 2, "scenes", OPTIONS, seed=3)
    splits = (tmp_path / "out" / "splits.yaml").read_text()
    assert "train:\n- scene_000003" in splits and "test:\n- scene_000004" in splits
    scene, folder = draw_scene(3, OPTIONS), tmp_path / "out" / "scene_000003"
    rig = trivox.load_rig(folder / "calibration.toml")
    assert rig.names == scene.names and (rig.cameras.K == scene.rig.cameras.K).all()
    assert (rig.cameras.t_mm == scene.rig.cameras.t_mm).all() and rig.up is not None
    truth = trivox.load_poses(folder / "truth.npz")
    for skeleton in (COCO_17, H36M_17, PANOPTIC_19):
        read, exact = truth.converted(skeleton), scene.truth(skeleton)
        assert read.valid.all() and (read.points_mm == exact.points_mm).all()
    boxes = json.loads((folder / "boxes.json").read_text())
    assert set(boxes) == set(scene.names)
    pictures = Renderer(scene).pictures(1)
    for v, name in enumerate(scene.names):
        video = list(Video(folder / "videos" / f"{name}.mp4").frames())
        assert len(video) == 2
        assert np.abs(video[1].astype(int) - pictures[v]).mean() < 12
        for frame, person, left, top, right, bottom in boxes[name]:
            points = rig.cameras[v].project(scene.truth().points_mm[frame, person]).numpy()
            assert (points > [left, top]).all() and (points < [right, bottom]).all()


def test_human36m_reads_back(tmp_path):
    synth(tmp_path, 3, "human36m", SceneOptions(frames=1, image_hw=(64, 64)), seed=20, world="test")
    labels = read_human36m_npy(tmp_path / "extra" / "human36m-multiview-labels-GTbboxes.npy", tmp_path / "processed")
    options = SceneOptions(frames=1, image_hw=(64, 64))
    takes = dict(_human36m_takes(3, options, 20, "test"))
    assert {recording.name for recording in labels.recordings} == set(takes)
    assert list(takes) == ["S9/Directions-1", "S11/Directions-1", "S9/Directions-2"]
    for row in range(len(labels)):
        scene = takes[labels.recordings[labels.recording[row]].name]
        exact = scene.truth(H36M_17).points_mm[int(labels.frames[row]), 0]
        assert np.abs(labels.points_mm[row] - exact.numpy()).max() < 1e-3
        cameras = labels.row_cameras(row)
        points = torch.from_numpy(labels.points_mm[row]).double().expand(4, -1, -1)
        assert (cameras.project(points) - scene.rig.cameras.project(points)).abs().max() < 0.02
        for name in labels.camera_names:
            path = labels.pictures.path(labels.recordings[labels.recording[row]], name, int(labels.frames[row]))
            assert path.is_file()
    assert all(scene.world == "test" for scene in takes.values())


def test_panoptic_reads_back(tmp_path):
    options = SceneOptions(frames=2, image_hw=(64, 96), cameras=(2, 4))
    synth(tmp_path, 2, "panoptic", options, seed=3)
    labels = read_panoptic_npy(tmp_path / "cmu-multiview-labels.npy", tmp_path)
    assert {entry.part for entry in read_split(tmp_path / "frames.yaml")} == {"train", "test"}
    made = {3: draw_scene(3, options, "train"), 4: draw_scene(4, options, "test")}
    for number, (seed, scene) in enumerate(made.items()):
        rows = np.flatnonzero(labels.recording == number)
        assert len(rows) == 2 * len(scene.people)
        exact = scene.truth(PANOPTIC_19).points_mm
        rig = trivox.load_rig(tmp_path / f"{seed:06d}_pose1" / f"calibration_{seed:06d}_pose1.json")
        for row in rows:
            points = exact[int(labels.frames[row]), int(labels.people[row])]
            read = torch.from_numpy(labels.points_mm[row]).double()
            np.testing.assert_allclose(read[:, [0, 2, 1]] * torch.tensor([1, 1, -1]), points, atol=2e-3)
            for cameras in (labels.row_cameras(int(row))[: len(scene.views)], rig.cameras):
                seen = cameras.project(read.expand(len(scene.views), -1, -1))
                expected = scene.rig.cameras.project(points.expand(len(scene.views), -1, -1))
                assert (seen - expected).abs().max() < 0.02
        body = json.loads((tmp_path / f"{seed:06d}_pose1/hdPose3d_stage1_coco19/body3DScene_00000001.json").read_text())
        joints_cm = np.reshape(body["bodies"][0]["joints19"], (19, 4))[:, :3]
        first = rows[(labels.frames[rows] == 1) & (labels.people[rows] == 0)][0]
        assert np.abs(joints_cm * 10 - labels.points_mm[first]).max() < 0.01


def test_the_same_command_goes_on_and_another_is_refused(tmp_path):
    options = SceneOptions(frames=1, image_hw=(64, 64), cameras=(1, 1))
    synth(tmp_path / "out", 2, "scenes", options)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.mp4")}
    (tmp_path / "out" / "scene_000001" / "scene.json").unlink()
    synth(tmp_path / "out", 2, "scenes", options)
    changed = [path for path, time in done.items() if path.stat().st_mtime_ns != time]
    assert [path.parent.parent.name for path in changed] == ["scene_000001"]
    with pytest.raises(trivox.InputError, match="already holds something else"):
        synth(tmp_path / "out", 3, "scenes", options)


@pytest.mark.no_anny
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scenes", "0"], "0 scenes are asked for"),
        (["--cameras", "5", "3"], "cameras are 5 to 3"),
        (["--layout", "human36m", "--cameras", "2", "6"], "Human3.6M has 4 cameras"),
        (["--seed", "-1"], "seed -1 is outside"),
        (["--seed", "99999", "--scenes", "2", "--world", "test"], "seed 100000 is outside of the test world"),
        (["--frames", "0"], "0 frames"),
        (["--frames", "2", "--fps", "1e-9"], "2 frames at 1e-09 per second"),
        (["--image-size", "99", "120"], "even sides, not 99 x 120"),
        (["--motion", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_bad_options_are_one_sentence_and_code_2(tmp_path, capsys, words, said):
    with pytest.raises(SystemExit) as stopped:
        main(["synth", str(tmp_path / "out"), *words])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.no_anny
def test_a_missing_package_is_one_sentence(tmp_path, capsys, monkeypatch):
    from trivox.synthetic import bodies

    def missing(name: str):
        raise ImportError(name)

    monkeypatch.setattr(bodies.importlib, "import_module", missing)
    for cached in (bodies._anny, bodies._model, bodies.template):
        cached.cache_clear()
    with pytest.raises(SystemExit) as stopped:
        main(["synth", str(tmp_path / "out"), "--frames", "1"])
    assert stopped.value.code == 2
    assert "pip install 'trivox[synth]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_each_world_has_its_own_seeds(tmp_path):
    """The training world has seeds beyond those of the test world."""
    options = SceneOptions(frames=1, image_hw=(64, 64), cameras=(1, 1), occlusion="none")
    synth(tmp_path, 1, "scenes", options, seed=999_999, world="train", pictures="images")
    assert (tmp_path / "scene_999999" / "scene.json").is_file()


def test_lenses_of_human36m_have_no_tangential_part():
    scene = as_human36m(draw_scene(1, OPTIONS))
    assert all((view.distortion[2:4] == 0).all() for view in scene.views)
