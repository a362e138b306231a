"""The page: its numbers against slow twins, its mistakes as one sentence, and itself in a real browser."""

from __future__ import annotations

import importlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from trivox.cli import main
from trivox.errors import InputError
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.poses import load_poses, save_poses
from trivox.geometry.poses import Poses
from trivox.view.page import view
from trivox.view.page_panel import joint_table
from trivox.view.page_pick import Picked, picked_by, words_of
from trivox.view.page_pictures import Drawn, draw_over
from trivox.view.scene3d import FIELD_OF_VIEW, Floor, bone_solids, first_look, floor_of, frusta, known_points_m
from trivox.view.shown import compared, load_content

SCENE = Path(str(files("trivox"))) / "demo_scene"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# fmt: off
FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]
# fmt: on


def truth() -> Poses:
    return load_poses(SCENE / "truth.npz")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder of the demo scene, 30 mm beside the truth along x."""
    out = tmp_path_factory.mktemp("page") / "result"
    poses = truth()[:16]
    save_poses(replace(poses, points_mm=poses.points_mm + torch.tensor([30.0, 0, 0])), out / "poses.npz")
    rig = load_rig(SCENE / "calibration.json", up="z")
    save_rig(rig, out / "rig.toml")
    videos = {name: {"path": str(SCENE / "videos" / f"{name}.mp4")} for name in rig.names}
    (out / "job.json").write_text(json.dumps({"videos": videos}))
    return out


def rotation(wxyz: np.ndarray) -> np.ndarray:
    w, x, y, z = wxyz
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def test_cylinders_end_at_their_joints() -> None:
    random = np.random.default_rng(0)
    start, end = random.normal(size=(2, 50, 3))
    end[0] = start[0] - [0, 0, 2]  # straight down
    solids = bone_solids(start, end, np.ones(50, bool), np.full(50, 0.02))
    for n in range(50):
        for z, at in ((-0.5, start[n]), (0.5, end[n])):
            tip = rotation(solids.wxyz[n]) @ (solids.scale[n] * [0, 0, z]) + solids.position_m[n]
            np.testing.assert_allclose(tip, at, atol=1e-9)


@pytest.mark.parametrize("shrunk", [1, 4])
def test_joints_lie_on_the_pixels_of_their_pictures(shrunk: int) -> None:
    """Points count from the corner of the first pixel: what is drawn is in its middle where the camera sees."""
    rig, poses = load_rig(SCENE / "calibration.json", up="z"), truth()[:1]
    only = poses.valid & (torch.arange(17) == 5)
    for v in range(len(rig)):
        at = rig.cameras[v].project(poses.points_mm[0, 0, 5:6].double())[0].numpy() / shrunk
        picture = np.zeros((640 // shrunk, 640 // shrunk, 3), np.uint8)
        draw_over(picture, rig.cameras[v], (640, 640), [Drawn(replace(poses, valid=only), (255, 255, 255))], 0)
        weights = picture[..., 0].astype(float)
        rows, columns = np.indices(weights.shape) + 0.5
        middle = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
        assert np.abs(middle - at).max() < 0.2


def test_frusta_are_turned_like_their_cameras() -> None:
    rig = load_rig(SCENE / "calibration.json", up="z")
    shapes = frusta(rig.cameras, [(480, 640)] * len(rig))
    for v, shape in enumerate(shapes):
        np.testing.assert_allclose(rotation(shape.wxyz), rig.cameras.R[v].mT.numpy(), atol=1e-6)
        np.testing.assert_allclose(shape.position_m * 1e3, rig.cameras.position_mm[v].numpy(), atol=1e-6)


def test_the_first_look_cuts_nobody_and_no_camera_and_wastes_no_room() -> None:
    random = np.random.default_rng(0)
    people, narrow = [truth()], np.tan(FIELD_OF_VIEW / 2) * np.array([0.8, 1.0])
    for _ in range(8):
        up = random.normal(size=3)
        up /= np.linalg.norm(up)
        corners = known_points_m(people[0]).mean(0) + random.normal(scale=3, size=(4, 5, 3))
        look = first_look(people, Floor(up, np.zeros(3), 4.0), corners)
        back = (look.from_m - look.at_m) / np.linalg.norm(look.from_m - look.at_m)
        across = np.cross(up, back) / np.linalg.norm(np.cross(up, back))
        seen = np.concatenate([known_points_m(people[0]), corners.reshape(-1, 3)]) - look.from_m
        picture = seen @ np.stack([across, np.cross(back, across)]).T / (seen @ -back)[:, None] / narrow
        assert (seen @ -back > 0).all()
        assert 0.8 < np.abs(picture).max() < 0.93


def test_a_camera_far_away_does_not_make_people_tiny() -> None:
    poses = truth()
    near = first_look([poses], Floor(np.array([0, 0, 1.0]), np.zeros(3), 4.0), np.zeros((0, 5, 3)))
    far = first_look([poses], Floor(np.array([0, 0, 1.0]), np.zeros(3), 4.0), np.full((1, 5, 3), 500.0))
    assert np.linalg.norm(far.from_m - far.at_m) < 2 * np.linalg.norm(near.from_m - near.at_m)


def test_a_click_means_the_joint_that_lies_on_its_ray(result: Path) -> None:
    content = load_content([result], truth=SCENE / "truth.npz")
    poses, eye = content.results[0].poses, np.array([3.0, -4.0, 2.0])
    for joint in range(17):
        to_joint = poses.points_mm[5, 0, joint].numpy() / 1000 - eye
        sight = to_joint / np.linalg.norm(to_joint)
        assert picked_by(content, 5, frozenset(), eye, sight) == Picked(0, 0, joint)
        assert picked_by(content, 5, frozenset(), eye, -sight) is None
        assert picked_by(content, 5, frozenset({content.results[0].name}), eye, sight) is None
        assert picked_by(content, 5, frozenset(), eye, np.array([0, 0, 1.0])) is None


def test_of_a_joint_its_error_is_said_and_its_confidence_where_nobody_knows(result: Path) -> None:
    wrist = Picked(0, 0, 9)
    said = words_of(load_content([result], truth=SCENE / "truth.npz"), wrist, 5)
    assert said is not None and said[0] == "left wrist: 30 mm off"
    alone = load_content([result])
    said = words_of(alone, wrist, 5)
    assert said is not None and said[0] == "left wrist: confidence 1.00"
    np.testing.assert_allclose(said[1] * 1000, alone.results[0].poses.points_mm[5, 0, 9].numpy())
    assert words_of(alone, wrist, 999) is None


def test_without_up_the_floor_is_found_from_people_and_said() -> None:
    poses = replace(truth(), up=None)
    rig = replace(load_rig(SCENE / "calibration.json"), up=None)
    floor = floor_of([poses], rig)
    assert floor.note is not None and "not stated" in floor.note
    assert floor.up[2] > 0.95
    assert floor_of([truth()], rig).note is None


def test_names_over_heads_are_apart_and_the_truth_has_none(tmp_path: Path) -> None:
    from trivox.view.page_scene import Instant, Scene
    from trivox.view.page_server import start_server, stop_server

    one = truth()[:2]
    both = replace(one, **{k: torch.cat([getattr(one, k)] * 2, 1) for k in ("points_mm", "valid", "confidence")})
    paths = [tmp_path / "ours.npz", tmp_path / "theirs.npz"]
    for path in paths:
        save_poses(replace(both, covariance_mm2=None), path)
    server = start_server(None)
    try:
        alone, beside = (Scene(server, load_content(some, truth=paths[0])) for some in (paths[:1], paths))
        beside.show(Instant(0, "sides"))
        over = [nodes.labels for nodes in (*alone.results, *beside.results)]
        words = [[label.text for label in labels if label is not None] for labels in over]
        heights = [label.position[2] for labels in over[1:] for label in labels[:1] if label is not None]
        assert alone.truth is not None and alone.truth.labels == []
    finally:
        stop_server(server)
    assert words == [[f"{name} {p}" for p in range(2)] for name in ("person", "ours.npz", "theirs.npz")]
    assert heights[1] - heights[0] == pytest.approx(0.15)


def test_errors_are_those_of_the_nearest_true_person() -> None:
    torch.manual_seed(0)
    poses = truth()[:5]
    both = torch.cat([poses.points_mm + 3000, poses.points_mm], 1)
    true = replace(poses, points_mm=both, valid=torch.rand(both.shape[:3]) > 0.2, confidence=torch.ones(both.shape[:3]))
    ours = replace(poses, points_mm=poses.points_mm + 20 * torch.randn_like(poses.points_mm))
    found = compared(ours, true).errors_mm
    for frame in range(5):
        for joint in range(17):
            away = float((ours.points_mm[frame, 0, joint] - true.points_mm[frame, 1, joint]).norm())
            expected = away if bool(true.valid[frame, 1, joint]) else np.nan
            np.testing.assert_allclose(found[frame, 0, joint], expected, rtol=1e-9)


def test_names_from_files_cannot_become_markup(result: Path) -> None:
    content = load_content([result])
    shown = content.results[0]
    names = ("<img src=x>", *shown.poses.skeleton.names[1:])
    skeleton = replace(shown.poses.skeleton, names=names, bones=())
    table = joint_table(replace(shown, poses=replace(shown.poses, skeleton=skeleton)), 0, 0)
    assert "<img" not in table and "&lt;img" in table


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["view", *words])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_mistakes_are_one_sentence(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not there" in said(capsys, str(tmp_path / "none.npz"))
    assert "no poses.npz" in said(capsys, str(tmp_path))
    assert "given twice" in said(capsys, str(result), str(result))
    assert ".html" in said(capsys, str(result), "--save", str(tmp_path / "page.pdf"))
    assert "camera names are given, and no videos" in said(capsys, str(result), "--cameras", "cam1", "--no-browser")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port}" in said(capsys, str(result), "--port", port, "--no-browser")


def test_what_cannot_be_saved_is_said_before_the_work(result: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").touch()
    module = importlib.import_module("trivox.view.page_save")
    monkeypatch.setattr(module, "_whole", lambda *_: pytest.fail("the page is made for nothing"))
    with pytest.raises(InputError, match="cannot write"):
        view(result, save=tmp_path / "file" / "page.html")
    (tmp_path / "page.html").write_text("there")
    with pytest.raises(InputError, match="exists and is not overwritten"):
        view(result, save=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "there"


@pytest.mark.parametrize("options", [["--no-browser"], ["--save", "page.html"]])
def test_ctrl_c_while_it_loads_is_one_sentence(result: Path, capsys: Any, monkeypatch: Any, options: list[str]) -> None:
    def pressed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("trivox.view.page"), "load_content", pressed)
    with pytest.raises(SystemExit) as ended:
        main(["view", str(result), *options])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "trivox: stopped before the page was there; nothing was written\n"


def test_lost_videos_are_said_and_the_rest_is_shown(result: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(result, moved)
    (moved / "job.json").write_text(json.dumps({"videos": {"cam1": {"path": str(tmp_path / "gone.mp4")}}}))
    content = load_content([moved])
    assert content.views is None and "gone.mp4" in content.notes[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Tab:
    """A tab that keeps what went wrong and what it asked for."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1000, "height": 560}, device_scale_factor=0.5)
        self.page.set_default_timeout(90_000)  # without a GPU a busy machine draws few pictures a second
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def people(self) -> np.ndarray:
        """The screen, once people are drawn in the colours of both sides."""
        for _ in range(40):
            self.page.wait_for_timeout(500)
            decoded = cv2.imdecode(np.frombuffer(self.page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
            assert decoded is not None
            screen = decoded.astype(int)
            b, _, r = screen[:, 192:348].transpose(2, 0, 1)
            if (r - b > 50).sum() > 20 and (b - r > 40).sum() > 20:
                return screen
        raise AssertionError("no person in orange and blue appears")


# Where on the screen the left wrist of the first person of a node of joints is.
WRIST_AT = """(node) => {
  const seen = window.__viserMutable, tree = window.__viserSceneTree.getState(), placed = seen.nodeRefFromName[node];
  const at = placed.position.clone().fromArray(tree[node].message.props.batched_positions, 3 * 9)
    .applyMatrix4(placed.matrixWorld).project(seen.camera);
  const view = seen.canvas.getBoundingClientRect();
  return [view.left + (at.x + 1) / 2 * view.width, view.top + (1 - at.y) / 2 * view.height];
}"""


def alone(result: Path, tmp_path: Path) -> Path:
    """The people only: pictures have colours of their own."""
    return Path(shutil.copy(result / "poses.npz", tmp_path / "people.npz"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_page_shows_people_and_plays(result: Path, browser: Any, tmp_path: Path) -> None:
    from trivox.view.page_live import LivePage

    with LivePage(load_content([alone(result, tmp_path)], truth=SCENE / "truth.npz")) as live:
        running = threading.Thread(target=live.run, daemon=True)
        running.start()
        tab = Tab(browser, live.address)
        before = tab.people()
        tab.page.mouse.click(*tab.page.evaluate(WRIST_AT, "/results/people.npz/joints"))
        tab.page.wait_for_function(
            "() => window.__viserSceneTree.getState()['/joint'].message.props.text === 'left wrist: 30 mm off'"
        )
        live._speed.value = "0.1x"  # as fast as a machine without a GPU draws
        tab.page.get_by_role("button", name="Play").dispatch_event("click")
        tab.page.wait_for_function("() => document.body.innerText.includes('Pause')")
        tab.page.wait_for_function("() => !document.body.innerText.includes('frame 0')")
        live.play(False)
        assert np.abs(tab.people() - before)[:, 192:348].max() > 60
        live.close()
        running.join()
    assert tab.faults == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_saved_page_plays_by_itself(result: Path, browser: Any, tmp_path: Path) -> None:
    people, page = alone(result, tmp_path), tmp_path / "page.html"
    view(people, truth=SCENE / "truth.npz", save=page)
    tab = Tab(browser, page.as_uri())
    time = tab.page.locator("#trivox-time")
    first = time.inner_text()
    tab.page.wait_for_function("t => document.querySelector('#trivox-time').innerText !== t", arg=first)
    assert "30.0" in tab.page.locator("#trivox-table").inner_text()
    tab.page.keyboard.press("Space")  # pauses: screenshots of a page that plays take long on a busy machine
    tab.people()
    tab.page.mouse.move(*tab.page.evaluate(WRIST_AT, "/results/people.npz/joints"))
    tab.page.wait_for_function("() => document.querySelector('#trivox-words').innerText === 'left wrist: 30 mm off'")
    assert [url for url in tab.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert tab.faults == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_saved_page_has_pictures_and_fits_a_message(result: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    trivox_view_of_two = [result, alone(result, tmp_path)]
    view(*trivox_view_of_two, names=["one", "</script>"], save=page)
    text = page.read_text()
    assert text.count("data:image/jpeg") == 16 * 4
    assert page.stat().st_size < 10e6
    assert "\\u003c/script>" in text


def test_a_wrong_number_of_names_is_refused(result: Path) -> None:
    with pytest.raises(InputError, match="names"):
        load_content([result], names=["a", "b"])
