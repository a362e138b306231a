"""Overlays lie where cameras project, have the colours of left and right, and films have the right frames."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import number_in, write_clip
from rigs import ring, standing_people
from scene_trees import HW, Told, write_scene

import trivox
from trivox.base.identity import identity
from trivox.cli import main
from trivox.drawing import draw_dot, draw_line, draw_name, projected
from trivox.errors import InputError
from trivox.files.images import read_image
from trivox.files.reference_results import save_reference_results
from trivox.files.results import Result, save_result
from trivox.files.videos import Video
from trivox.files.views import turned_points
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17
from trivox.view.colours import LEFT, MIDDLE, RIGHT, bone_colours, joint_colours
from trivox.view.draw import draw
from trivox.view.instants import Detections, Instant, People
from trivox.view.mosaic import Layout, mosaic
from trivox.view.overlays import OFF, TRUTH, drawn_view
from trivox.view.sight import Sight, heat_of_maps, heat_of_volume

LENS = (-0.25, 0.05, 0.01, -0.01, 0.0)
FRAMES = 12
PICTURE = np.full((720, 1280, 3), 90, np.uint8)


def instant_of(distortion: tuple[float, ...] = LENS) -> Instant:
    cameras = ring(3, distortion=distortion)
    people = standing_people([(0.0, 300.0)])
    pictures = [PICTURE] * 3
    found = People(people, torch.ones(1, 17, dtype=torch.bool), COCO_17)
    return Instant("frame 7", ("a", "b", "c"), cameras, pictures, found)


def centre_of(picture: np.ndarray, colour: tuple[int, int, int], around: np.ndarray, reach: int = 9) -> np.ndarray:
    """Middle of the pixels of a colour near a place, corner origin."""
    x, y = around.round().astype(int)
    part = picture[y - reach : y + reach, x - reach : x + reach].astype(int)
    rows, columns = np.nonzero((np.abs(part - colour) < 12).all(-1))
    return np.array([columns.mean() + x - reach + 0.5, rows.mean() + y - reach + 0.5])


# ------------------------------------------------------------------------------------------------- lines and colours


@pytest.mark.parametrize("x", [20.0, 20.25, 20.5, 20.75])
def test_points_count_from_the_corner_of_the_first_pixel(x):
    """The brightness of a dot has its centre of mass where the dot was asked for, fractions of a pixel included."""
    picture = np.zeros((40, 40, 3), np.uint8)
    draw_dot(picture, np.array([x, 17.5]), 4, (255, 255, 255))
    mass = picture[..., 0].astype(float)
    rows, columns = np.mgrid[:40, :40] + 0.5
    centre = np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum()
    assert np.abs(centre - (x, 17.5)).max() < 0.07


def test_a_line_through_pixel_centres_covers_these_pixels():
    picture = np.zeros((20, 20, 3), np.uint8)
    draw_line(picture, np.array([3.5, 10.5]), np.array([15.5, 10.5]), (255, 0, 0), 1)
    assert (picture[10, 4:15, 0] > 200).all() and picture[[8, 12], :, 0].max() == 0


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_name_is_readable_over_every_shade(shade):
    """White strokes on a plate that is dark right beside them, also a third of the size."""
    picture = np.full((120, 240, 3), shade, np.uint8)
    draw_name(picture, "cam1", (10, 20), 1.1)
    assert (picture[:20] == shade).all() and (picture[:, :10] == shade).all()
    small = cv2.resize(picture, (80, 40), interpolation=cv2.INTER_AREA)
    plate = small[8:20, 5:28].astype(int)
    assert plate.max() > 200 and np.median(plate) < 100


def test_sides_have_their_colours_by_name():
    for skeleton in trivox.SKELETONS.values():
        for name, colour in zip(skeleton.names, joint_colours(skeleton), strict=True):
            assert colour == (LEFT if "left" in name else RIGHT if "right" in name else MIDDLE)
        for (a, b), colour in zip(skeleton.bones, bone_colours(skeleton), strict=True):
            words = a + b
            expected = MIDDLE if ("left" in words) == ("right" in words) else LEFT if "left" in words else RIGHT
            assert colour == expected


# ------------------------------------------------------------------------------------------------- overlays


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_joints_are_drawn_where_the_camera_projects_them(scale):
    instant = instant_of()
    for name, colour in (("left_wrist", LEFT), ("right_ankle", RIGHT), ("nose", MIDDLE)):
        joint = COCO_17.names.index(name)
        only = torch.arange(17)[None] == joint
        alone = replace(instant, found=replace(instant.found, valid=only))
        for view in range(3):
            drawn = drawn_view(alone, view, PICTURE, ["pose"], scale)
            at = instant.cameras[view].project(instant.found.points_mm[0]).numpy()[joint] * scale
            assert np.abs(centre_of(drawn, colour, at) - at).max() < 0.6


def test_the_lens_is_followed():
    """Without the lens the joint would be drawn elsewhere."""
    bent, straight = instant_of(), instant_of((0.0,) * 5)
    far = torch.tensor([[[900.0, -900.0, 1900.0]]], dtype=torch.float64).expand(1, 17, 3)
    points = People(far.clone(), bent.found.valid, COCO_17)
    for view in range(3):
        at = bent.cameras[view].project(far[0]).numpy()[0]
        other = straight.cameras[view].project(far[0]).numpy()[0]
        if not ((at > 20) & (at < (1260, 700))).all() or np.abs(at - other).max() < 8:
            continue
        drawn = drawn_view(replace(bent, found=points), view, PICTURE, ["pose"])
        y, x = int(at[1]), int(at[0])
        assert (drawn[y, x] != 90).any() and (drawn[int(other[1]), int(other[0])] == 90).all()
        return
    raise AssertionError("no view shows the difference")


def test_nothing_is_drawn_for_joints_that_are_not_there_or_behind_the_camera():
    instant = instant_of()
    unseen = replace(instant, found=replace(instant.found, valid=torch.zeros(1, 17, dtype=torch.bool)))
    assert (drawn_view(unseen, 0, PICTURE, ["pose"]) == 90).all()
    behind = instant.cameras[0].position_mm + instant.cameras[0].R.T @ torch.tensor([0.0, 0.0, -500.0]).double()
    people = replace(instant.found, points_mm=behind.expand(1, 17, 3).clone())
    assert (drawn_view(replace(instant, found=people), 0, PICTURE, ["pose"]) == 90).all()
    assert not projected(people.points_mm, people.valid, instant.cameras[0]).shown.any()


def test_truth_and_misses_are_told_apart():
    instant = instant_of()
    truth = replace(instant.found, points_mm=instant.found.points_mm + torch.tensor([0.0, 0.0, 60.0]))
    pixels = instant.cameras.project(instant.found.points_mm.expand(3, -1, -1))[None]
    off = pixels + torch.tensor([30.0, 0.0])
    scores = torch.ones(1, 3, 17, dtype=torch.float64)
    scores[..., COCO_17.names.index("left_wrist")] = 0.0
    shown = replace(instant, truth=truth, detections=Detections(off, scores))
    drawn = drawn_view(shown, 0, PICTURE, ["pose", "truth", "detections", "reprojection"])
    has = {c: np.asarray((np.abs(drawn.astype(int) - c) < 60).all(-1)) for c in (TRUTH, OFF)}
    assert has[TRUTH].sum() > 100 and has[OFF].sum() > 50
    for name, expected in (("right_wrist", True), ("left_wrist", False)):
        x, y = pixels[0, 0, COCO_17.names.index(name)].tolist()
        assert has[OFF][int(y) - 2 : int(y) + 3, int(x) + 12 : int(x) + 18].any() == expected


def test_mosaics_have_even_sides_and_a_tile_for_every_view():
    for views in range(1, 9):
        instant = instant_of()
        pictures = [np.full((61, 97, 3), 30 + 20 * v, np.uint8) for v in range(views)]
        many = replace(
            instant,
            names=tuple(f"cam{v}" for v in range(views)),
            pictures=pictures,
            cameras=instant.cameras[[v % 3 for v in range(views)]],
        )
        layout = Layout.of([(61, 97)], views, 640)
        drawn = mosaic(many, layout, [])
        assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0 and drawn.shape[1] <= 642
        for v in range(views):
            assert ((drawn == 30 + 20 * v).all(-1)).sum() > 0.5 * layout.tile_hw[0] * layout.tile_hw[1]


# ------------------------------------------------------------------------------------------------- what models see


def test_a_heatmap_lies_over_its_crop():
    maps = torch.zeros(1, 1, 17, 8, 8)
    maps[0, 0, COCO_17.names.index("left_wrist"), 2, 5] = 3.0
    sight = Sight(torch.tensor([[[100, 40, 260, 200]]]), maps, COCO_17)
    heat, colours = heat_of_maps(sight, 0, 0, (240, 320))
    rows, columns = np.mgrid[:240, :320] + 0.5
    for side, colour in zip(heat, colours, strict=True):
        assert (side.max() > 0.9) == (colour == LEFT)
    left = heat[colours.index(LEFT)]
    centre = np.array([(left * columns).sum(), (left * rows).sum()]) / left.sum()
    assert np.abs(centre - (100 + 5.5 * 20, 40 + 2.5 * 20)).max() < 0.5


def test_a_voxel_lights_up_where_the_camera_projects_it():
    instant = instant_of()
    axis = torch.linspace(-800, 800, 17, dtype=torch.float64)
    grid_mm = torch.stack(torch.meshgrid(axis, axis, axis + 900, indexing="ij"), -1)[None]
    volumes = torch.zeros(1, 17, 17, 17, 17)
    joint, voxel = COCO_17.names.index("right_ankle"), (3, 11, 5)
    volumes[(0, joint, *voxel)] = 0.7
    empty = torch.zeros(1, 3, 1, 1, 1)
    sight = Sight(torch.zeros(1, 3, 4, dtype=torch.long), empty, replace(COCO_17, names=("nose",), bones=()))
    sight = replace(sight, volumes=volumes, volume_skeleton=COCO_17, grid_mm=grid_mm)
    rows, columns = np.mgrid[:720, :1280] + 0.5
    for view in range(3):
        heat, colours = heat_of_volume(sight, 0, instant.cameras[view], (720, 1280))
        right = heat[colours.index(RIGHT)]
        assert right.max() > 0.5 and heat[colours.index(LEFT)].max() == 0
        centre = np.array([(right * columns).sum(), (right * rows).sum()]) / right.sum()
        assert np.abs(centre - instant.cameras[view].project(grid_mm[0][voxel][None]).numpy()[0]).max() < 1.0


# ------------------------------------------------------------------------------------------------- whole results


def small_result(folder: Path, turns: tuple[int, int] = (0, 0)) -> Path:
    """A result of FRAMES frames in two small numbered videos, with 2D joints that are exact."""
    cameras = ring(2).resized((64, 96))
    rig = Rig(("cam1", "cam2"), cameras, torch.tensor([0.0, 0, 1]).double(), turns)
    for name in rig.names:
        write_clip(folder / f"{name}.mp4", FRAMES, options={"crf": "1"})
    points = standing_people([(0.0, 0.0)]).expand(FRAMES, 1, 17, 3).clone()
    valid = torch.ones(FRAMES, 1, 17, dtype=torch.bool)
    frames = torch.arange(FRAMES)
    poses = Poses(points, valid, valid.double(), frames, COCO_17, 25.0, rig.up)
    stored = cameras.project(points[:, 0].reshape(-1, 3).expand(2, -1, -1)).reshape(2, FRAMES, 1, 17, 2)
    keypoints = [Keypoints2D(stored[v], torch.ones(FRAMES, 1, 17).double(), frames, COCO_17) for v in range(2)]
    videos = {name: {"path": str(folder / f"{name}.mp4")} for name in rig.names}
    summary = trivox_summary(poses, rig)
    save_result(Result(poses, rig, keypoints, {"videos": videos}, summary), folder / "out")
    return folder / "out"


def trivox_summary(poses: Poses, rig: Rig) -> dict[str, object]:
    from dataclasses import asdict

    from trivox.summary import summarise

    shape = (*poses.valid.shape[:2], len(rig.names), len(poses.skeleton))
    return asdict(summarise(poses, rig.names, torch.ones(shape, dtype=torch.bool), torch.zeros(shape).double()))


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Path:
    return small_result(tmp_path_factory.mktemp("result"))


def test_the_frames_of_a_film_are_those_asked_for(result, tmp_path):
    assert draw(result, out=tmp_path / "m.mp4", frames="2:11:3", show=["pose"], width=384) == 3
    video = Video(tmp_path / "m.mp4")
    assert video.info.frame_count == 3 and video.info.fps == pytest.approx(25 / 3, rel=1e-3)
    # Tiles of twice the size; the name of the camera leaves the lower edge of the bars free.
    bars = [picture[-128 + 43, 8 : 8 + 16 * 4 : 16].mean(-1) > 128 for picture in video.frames()]
    assert [sum(int(bar) << bit for bit, bar in enumerate(row)) for row in bars] == [2, 5, 8]
    assert draw(result, out=tmp_path / "p", frames="2:11:3", show=["detections"]) == 3
    for name in ("cam1", "cam2"):
        names = sorted(path.name for path in (tmp_path / "p" / name).iterdir())
        assert names == ["000002.jpg", "000005.jpg", "000008.jpg"]
        assert [number_in(read_image(tmp_path / "p" / name / n)) for n in names] == [2, 5, 8]


@pytest.mark.parametrize("turns", [(1, 3), (2, 0)])
def test_turned_cameras_are_drawn_upright(tmp_path, turns):
    """The 2D joints of the stored picture lie on the reprojection in the upright one: no line between them."""
    out = small_result(tmp_path, turns)
    draw(out, out=tmp_path / "p", frames="3", show=["reprojection"])
    for name, turn in zip(("cam1", "cam2"), turns, strict=True):
        picture = read_image(tmp_path / "p" / name / "000003.jpg")
        assert picture.shape[:2] == ((96, 64) if turn % 2 else (64, 96))
        assert (np.abs(picture.astype(int) - OFF) < 60).all(-1).sum() <= 17 * 4
    loaded = trivox.load_rig(out / "rig.toml")
    points = torch.rand(5, 2).double() * 60
    for turn in range(4):
        stored = turned_points(points, turn, (64, 96))
        upright_hw = (96, 64) if turn % 2 else (64, 96)
        torch.testing.assert_close(turned_points(stored, -turn, upright_hw), points)
    assert loaded.quarter_turns == turns


def test_poses_with_their_rig_and_videos_are_drawn(result, tmp_path):
    videos = [result.parent / f"cam{v}.mp4" for v in (1, 2)]
    words = [result / "poses.npz", "--rig", result / "rig.toml", "--out", tmp_path / "m.png", "--videos", *videos]
    assert run("draw", *words) == 0
    draw(result, out=tmp_path / "same.png", show=["pose"])
    assert np.array_equal(read_image(tmp_path / "m.png"), read_image(tmp_path / "same.png"))


def test_predictions_for_rows_of_a_dataset_are_drawn(tmp_path):
    """Two people at each of three instants: six rows are three pictures, with the truth of the labels beside."""
    write_scene(tmp_path / "data" / "walk")
    (tmp_path / "data" / "dataset.yaml").write_text("up: z\n")
    points = Told().points_mm.reshape(-1, 17, 3).float().numpy()
    save_reference_results(points, tmp_path / "results.pkl", COCO_17.names)
    words = [tmp_path / "results.pkl", "--labels", tmp_path / "data", "--recordings", "walk"]
    assert run("draw", *words, "--out", tmp_path / "p") == 0
    assert sorted(p.name for p in (tmp_path / "p" / "cam1").iterdir()) == ["000000.jpg", "000001.jpg", "000002.jpg"]
    picture = read_image(tmp_path / "p" / "cam1" / "000001.jpg")
    assert picture.shape[:2] == HW and (np.abs(picture.astype(int) - LEFT) < 60).all(-1).sum() > 10


def test_published_results_are_drawn_by_their_config(golden, tmp_path):
    """results.pkl and a config of the published system, over the tiny Human3.6M tree."""
    tree = golden / "datasets" / "human36m"
    table, root = tree / "extra" / "human36m-multiview-labels-GTbboxes.npy", tree / "processed"
    config = tmp_path / "config.yaml"
    part = f"{{labels_path: {table}, h36m_root: {root}, with_damaged_actions: true}}"
    model = "{name: alg, backbone: {}}"
    lines = ["title: x", "kind: human36m", "opt: {criterion: MSE}", f"model: {model}"]
    config.write_text("\n".join([*lines, f"dataset: {{kind: human36m, train: {part}, val: {part}}}"]) + "\n")
    out = tmp_path / "m.png"
    assert run("draw", golden / "results" / "results.pkl", "--labels", config, "--out", out, "--frames", "0") == 0
    assert read_image(out).shape[2] == 3


# ------------------------------------------------------------------------------------------------- what cannot be


def run(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    return stopped.value.code


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--frames", "50"], "no frame is among 50; there are 0 to 11"),
        (["--frames", "a:b"], "are no frames"),
        (["--show", "truth"], "has no true poses; give them (--truth FILE)"),
        (["--show", "heatmaps", "--method", "ransac"], "say which (--method volumetric or --weights)"),
        (["--method", "algebraic"], "nothing of it is shown"),
        (["--show", "volumes", "--method", "algebraic"], "has no volumes"),
        (["--labels", "x.npy"], "--labels is for a results.pkl"),
        (["--recordings", "walk"], "--recordings is for a results.pkl"),
        (["--videos", "nowhere/cam1.mp4", "nowhere/cam2.mp4"], "there is no file or folder nowhere/cam1.mp4"),
        (["--cameras", "cam1"], "camera names are given, and no videos"),
        (["--width", "3"], "3 pixels wide"),
        (["--out", "m.avi"], "name it m.mp4"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(result, tmp_path, capsys, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    options = options if "--out" in options else [*options, "--out", "m.mp4"]
    assert run("draw", result, *options) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_videos_that_are_gone_or_too_short_are_told(tmp_path):
    out = small_result(tmp_path)
    for name in ("cam1", "cam2"):
        write_clip(tmp_path / f"{name}.mp4", 5)
    with pytest.raises(InputError, match="the videos have frames 0 to 4, the poses reach from 0 to 11"):
        draw(out, out=tmp_path / "m.mp4")
    (tmp_path / "cam2.mp4").unlink()
    with pytest.raises(InputError, match=r"cam2.mp4, which .* was made from, is no longer there; say where"):
        draw(out, out=tmp_path / "m.mp4")
    assert not (tmp_path / "m.mp4").exists()


def test_another_video_in_the_place_of_one_is_not_drawn_on(tmp_path):
    out = small_result(tmp_path)
    job = json.loads((out / "job.json").read_text())
    job["videos"] = {name: identity(Path(told["path"])) for name, told in job["videos"].items()}
    (out / "job.json").write_text(json.dumps(job))
    draw(out, out=tmp_path / "m.mp4")
    write_clip(tmp_path / "cam2.mp4", FRAMES + 1, options={"crf": "1"})
    with pytest.raises(InputError, match=r"cam2.mp4 is no longer what .* was made from; give that video"):
        draw(out, out=tmp_path / "n.mp4")
    draw(out, out=tmp_path / "n.mp4", videos=[tmp_path / f"cam{i}.mp4" for i in (1, 2)])


def test_nothing_is_overwritten(result, tmp_path):
    (tmp_path / "m.mp4").write_text("mine")
    with pytest.raises(InputError, match="exists and is not overwritten"):
        draw(result, out=tmp_path / "m.mp4")
    assert (tmp_path / "m.mp4").read_text() == "mine"


_LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from trivox.cli import main
main(sys.argv[1:])
"""
_STOPPED = """
import os, signal, sys
from trivox.files.films import Film
add = Film.add
def stop(self, picture):
    add(self, picture)
    os.kill(os.getpid(), signal.SIGINT)
Film.add = stop
from trivox.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("program", "code", "said"), [(_LIMITED, 2, "cannot write"), (_STOPPED, 130, "nothing was written")]
)
def test_a_film_is_whole_or_not_there(result, tmp_path, program, code, said):
    """A file system that takes no more, and Ctrl-C."""
    words = [sys.executable, "-c", program, "draw", str(result), "--out", str(tmp_path / "m.mp4"), "--width", "192"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ})
    assert (done.returncode, list(tmp_path.iterdir())) == (code, []), done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
