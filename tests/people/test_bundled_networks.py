"""The bundled networks behind predict: joints in pixels of any picture, and threads that keep to themselves."""

from __future__ import annotations

import gc
import threading
from importlib.resources import as_file, files

import cv2
import numpy as np
import pytest
import torch

from trivox.people.networks import Networks


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks.load()


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """The first picture of the demo scene (640 x 640), with one person."""
    with as_file(files("trivox") / "demo_scene" / "videos" / "cam1.mp4") as path:
        video = cv2.VideoCapture(str(path))
        read, picture = video.read()
        video.release()
    assert read
    return np.ascontiguousarray(picture[..., ::-1])


def _pasted(frame: np.ndarray, canvas_hw: tuple[int, int], corner_xy: tuple[int, int], scale: float) -> np.ndarray:
    picture = np.zeros((*canvas_hw, 3), np.uint8)
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x, y = corner_xy
    picture[y : y + small.shape[0], x : x + small.shape[1]] = small
    return picture


def _crops(frame: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(frame[:, 40 * i : 400 + 40 * i], (256, 256)) for i in range(5)])


PLACES = {
    "wider": ((640, 1000), (350, 0), 1.0),
    "odd size": ((701, 803), (97, 41), 1.0),
    "twice as large": ((1400, 1280), (0, 90), 2.0),
}


def test_joints_are_in_pixels_of_the_picture_wherever_the_person_is(networks: Networks, frame: np.ndarray) -> None:
    """Pictures of different sizes in one call; each moves the joints as it moved the person."""
    pictures = [frame, *(_pasted(frame, *place) for place in PLACES.values())]
    found = networks.find_people(pictures)
    assert found.points_px.shape == (len(pictures), 8, 17, 2) and found.scores.shape == (len(pictures), 8, 17)
    expected = found.points_px[0, 0]
    height_px = float(expected[:, 1].max() - expected[:, 1].min())
    for i, (name, (_, corner_xy, scale)) in enumerate(PLACES.items(), start=1):
        there = (found.points_px[i, 0] - torch.tensor(corner_xy)) / scale
        apart = (there - expected).norm(dim=-1) / height_px
        # Another grid of cells, and a person of another size for the network: joints agree to a percent or so.
        assert apart.median() < 0.02, name
        assert found.scores[i, 0].mean() > 0.5, name


def test_a_picture_is_answered_alike_alone_and_among_others(networks: Networks, frame: np.ndarray) -> None:
    pictures = [frame, frame[:500, 100:600], _pasted(frame, *PLACES["wider"])]
    together = networks.find_people(pictures)
    for i, picture in enumerate(pictures):
        alone = networks.find_people([picture])
        torch.testing.assert_close(together.points_px[i], alone.points_px[0])
        torch.testing.assert_close(together.scores[i], alone.scores[0])


def test_nobody_has_no_joints(networks: Networks, frame: np.ndarray) -> None:
    """Rows beyond the people found are zeros; a picture without anybody has no row that counts."""
    found = networks.find_people([frame, np.zeros((320, 320, 3), np.uint8), np.full((200, 200, 3), 128, np.uint8)])
    nobody = (found.scores[0] == 0).all(-1)
    assert nobody[2:].all() and not nobody[0]
    assert (found.points_px[0, nobody] == 0).all()
    assert found.scores[1:].mean(-1).max() < 0.1


def test_joints_of_crops_do_not_depend_on_how_they_are_shared_out(networks: Networks, frame: np.ndarray) -> None:
    crops = _crops(frame)
    together = networks.find_joints(crops)
    for i in range(5):
        alone = networks.find_joints(crops[i : i + 1])
        torch.testing.assert_close(together.points_px[i], alone.points_px[0], atol=1e-2, rtol=0)
        torch.testing.assert_close(together.scores[i], alone.scores[0], atol=1e-4, rtol=0)


def _threads_of_a_new_thread() -> int:
    counts: list[int] = []
    thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return counts[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="only the CPU needs threads")
def test_other_threads_keep_their_cores(networks: Networks, frame: np.ndarray) -> None:
    """The pool's threads compute on one core each, the program's own as on many as before."""
    own, before = torch.get_num_threads(), _threads_of_a_new_thread()
    try:
        torch.set_num_threads(3)
        new = Networks.load()
        new.find_joints(_crops(frame))
        assert list(new._threads.map(lambda _: torch.get_num_threads(), range(8))) == [1] * 8
        assert torch.get_num_threads() == 3 and _threads_of_a_new_thread() == 3
    finally:
        torch.set_num_threads(before)
        torch.set_num_threads(own)


@pytest.mark.skipif(torch.cuda.is_available(), reason="only the CPU needs threads")
def test_threads_end_with_the_networks(frame: np.ndarray) -> None:
    networks = Networks.load()
    networks.find_joints(_crops(frame))
    threads = list(networks._threads._threads)
    assert threads and all(thread.is_alive() for thread in threads)
    del networks
    gc.collect()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
