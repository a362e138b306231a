"""Test and training worlds are apart; a seed is a scene, byte for byte, on any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import trivox
from trivox.synthetic import Renderer, SceneOptions, draw_scene, shots
from trivox.synthetic.worlds import POOLS, Ingredients, check, draw, generator, is_for_test, reserved, scene_number

TINY = SceneOptions(frames=2, fps=2.0, image_hw=(96, 128), cameras=(2, 2))


def digest_program(threads: int) -> str:
    return f"""
import hashlib
from trivox.synthetic import Renderer, SceneOptions, draw_scene
scene = draw_scene(3, SceneOptions(frames=2, fps=2.0, image_hw=(96, 128), cameras=(2, 2)))
digest = hashlib.sha256(scene.joints_mm.tobytes())
for pictures in Renderer(scene, threads={threads}).frames(range(2)):
    for picture in pictures:
        digest.update(picture.tobytes())
print(digest.hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_other_processes_and_threads():
    digests = []
    for threads in (1, 3):
        # Matrix products are shared by other numbers of threads too.
        own = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        program = [sys.executable, "-c", digest_program(threads)]
        ran = subprocess.run(program, capture_output=True, text=True, env=own)
        assert ran.returncode == 0, ran.stderr
        digests.append(ran.stdout)
    assert digests[0] == digests[1]


def test_a_frame_does_not_depend_on_those_before_it(scene, pictures):
    alone = Renderer(scene, threads=2).pictures(1)
    assert all((a == b).all() for a, b in zip(alone, pictures[1], strict=True))


def test_other_seeds_are_other_scenes(pictures):
    other = Renderer(draw_scene(12, replace(TINY, image_hw=(144, 192), cameras=(3, 3)))).pictures(0)
    assert np.abs(other[0].astype(int) - pictures[0][0]).mean() > 5


@pytest.mark.parametrize("world", ["train", "test"])
def test_scenes_are_made_of_what_their_world_may_use(world):
    for seed in (0, 7):
        made = draw_scene(seed, TINY, world).ingredients
        assert {"body", "motion", "rig", "texture", "outfit", "scene"} <= made.numbers.keys()
        for pool, numbers in made.numbers.items():
            assert numbers and all(is_for_test(pool, number) == (world == "test") for number in numbers)


@pytest.mark.no_anny
@pytest.mark.parametrize("pool", POOLS)
def test_draws_stay_in_their_world_and_reach_it(pool):
    rng = np.random.default_rng(0)
    train = {draw(rng, pool, "train") for _ in range(2000)}
    test = {draw(rng, pool, "test") for _ in range(500)}
    assert not train & test and len(test) > 20
    assert not any(is_for_test(pool, number) for number in train)
    assert all(any(low <= number < high for low, high in reserved()[pool]) for number in test)


@pytest.mark.no_anny
def test_a_breach_is_refused():
    check(Ingredients({"body": (1,)}, ("walking_1",)), "train")
    for numbers, clips in (({"body": (9500,)}, ()), ({}, ("walking_3",))):
        with pytest.raises(AssertionError, match="not of the train world"):
            check(Ingredients(numbers, clips), "train")
    with pytest.raises(trivox.InputError, match="outside of the train world"):
        scene_number(1_000_000, "train")


@pytest.mark.no_anny
def test_ingredients_have_streams_of_their_own():
    first = {(pool, number): generator(pool, number).random(4).tobytes() for pool in POOLS for number in (0, 1)}
    assert len(set(first.values())) == len(first)
    assert generator("body", 5).random() == generator("body", 5).random()


def test_truth_stays_exact_under_errors_of_calibration_and_time():
    plain = draw_scene(4, TINY)
    wrong = draw_scene(4, replace(TINY, calibration_noise=1.0, time_offset_ms=20.0))
    assert (plain.joints_mm == wrong.joints_mm).all()
    assert (plain.rig.cameras.K == wrong.rig.cameras.K).all() and (
        plain.told_rig.cameras.R == plain.rig.cameras.R
    ).all()
    moved = (wrong.told_rig.cameras.position_mm - wrong.rig.cameras.position_mm).norm(dim=-1)
    assert ((moved > 0.5) & (moved < 60)).all() and (wrong.offsets_s != 0).all()


def test_shots_are_the_scenes_frame_by_frame():
    (first, second) = shots([3], TINY)
    scene = draw_scene(3, TINY)
    assert (first.key, second.key) == ("train/3/0", "train/3/1")
    assert all((a == b).all() for a, b in zip(second.pictures, Renderer(scene).pictures(1), strict=True))
    projected = first.cameras.project(first.points_mm[0].expand(2, -1, -1))
    low, high = first.boxes_px[0, :, None, :2], first.boxes_px[0, :, None, 2:]
    assert ((projected > low) & (projected < high)).all()


def test_most_of_the_people_are_in_the_pictures():
    shares = []
    for seed in range(6):
        scene = draw_scene(seed, replace(TINY, cameras=(2, 6)))
        for v, camera in enumerate(scene.rig.cameras[i] for i in range(len(scene.views))):
            points = camera.project(trivox_points(scene)).numpy()
            h, w = scene.views[v].image_hw
            shares.append(((points > 0) & (points < [w, h])).all(-1).mean())
    assert np.mean(np.array(shares) > 0.9) > 0.7


def trivox_points(scene):
    return scene.truth().points_mm[0, 0]


@pytest.mark.no_anny
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cameras": (5, 3)}, "cameras are 5 to 3"),
        ({"frames": 0}, "0 frames"),
        ({"fps": float("nan")}, "nan per second"),
        ({"image_hw": (10, 9000)}, "10 x 9000"),
        ({"rigs": ()}, "no kind of rig"),
        ({"calibration_noise": -1.0}, "calibration_noise is -1.0"),
        ({"checker_floor_mm": 3.0}, "checker squares"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(wrong, said):
    with pytest.raises(trivox.InputError, match=said):
        SceneOptions(**wrong)
