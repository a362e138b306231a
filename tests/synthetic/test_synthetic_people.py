"""Bodies move as they should: rigid bones, skinning as its plain twin, feet on the floor, joints where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import trivox
from trivox.synthetic.bodies import PHENOTYPES, shaped_body
from trivox.synthetic.clips import load_clips
from trivox.synthetic.joints import NAMES, joints_mm
from trivox.synthetic.people import _grounded, _lowest_mm
from trivox.synthetic.procedural import procedural_motion
from trivox.synthetic.rotations import about, blended, frame, shortest, unit
from trivox.synthetic.segments import SEGMENTS, bone_turns
from trivox.synthetic.skinning import bone_heads_mm, skin


@pytest.fixture(scope="module")
def body():
    return shaped_body(dict.fromkeys(PHENOTYPES, 0.5))


def test_rotations_are_rotations_and_do_what_they_say():
    rng = np.random.default_rng(0)
    first, second = (about("x", rng.normal(size=9)) @ about("z", rng.normal(size=9)) for _ in range(2))
    for turn in (first, blended(first, second, 0.3), frame(rng.normal(size=(9, 3)), rng.normal(size=(9, 3)))):
        assert np.abs(turn @ np.swapaxes(turn, -1, -2) - np.eye(3)).max() < 1e-9
        assert np.abs(np.linalg.det(turn) - 1).max() < 1e-9
    np.testing.assert_allclose(blended(first, second, 0.0), first, atol=1e-12)
    np.testing.assert_allclose(blended(first, second, 1.0), second, atol=1e-9)
    a, b = unit(rng.normal(size=(9, 3))), unit(rng.normal(size=(9, 3)))
    np.testing.assert_allclose((shortest(a, b) @ a[..., None])[..., 0], b, atol=1e-9)


def test_a_body_of_its_own_rest_frames_stands_at_rest(body):
    still = np.broadcast_to(np.eye(3), (1, len(body.template.bones), 3, 3))
    heads = bone_heads_mm(body, still, body.bone_heads_mm[:1])
    np.testing.assert_allclose(heads[0], body.bone_heads_mm, atol=1e-9)
    joints = dict(zip(NAMES, joints_mm(body, still, heads)[0], strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        chain = [joints[f"{side}_{part}"] for part in ("shoulder", "hip", "knee", "ankle")]
        assert all(upper[2] > lower[2] + 100 for upper, lower in zip(chain, chain[1:], strict=False))
        assert all(sign * joints[f"{side}_{part}"][0] > 20 for part in ("eye", "ear", "shoulder", "elbow", "wrist"))
    heights = [joints[name][2] for name in ("pelvis", "spine", "neck", "head_nose", "head_top")]
    assert heights == sorted(heights) and abs(heights[-1] - body.height_mm) < 10
    assert joints["nose"][1] < joints["left_ear"][1] - 50  # the nose is in front
    np.testing.assert_allclose(joints["pelvis"], (joints["left_hip"] + joints["right_hip"]) / 2, atol=1e-6)


def test_skinning_and_joints_equal_a_plain_sum_over_bones(body):
    motion = procedural_motion(np.random.default_rng(1), 1.0, "x").part(5, 1)
    turns = bone_turns(motion, body, np.full((2, 3), 0.2))
    heads = bone_heads_mm(body, turns, motion.root_mm)
    shared, rest = body.template, body.vertices_mm
    moved = np.zeros_like(rest)
    for k in range(shared.bone_index.shape[1]):
        bone = shared.bone_index[:, k]
        local = (turns[0, bone] @ (rest - body.bone_heads_mm[bone])[..., None])[..., 0]
        moved += shared.bone_weight[:, k, None] * (local + heads[0, bone])
    out, normals = np.empty(rest.shape, np.float32), np.empty(rest.shape, np.float32)
    bones = (shared.bone_index, shared.bone_weight, turns[0], body.bone_heads_mm, heads[0])
    skin(rest, np.ones_like(rest), *bones, out, normals)
    assert np.abs(out - moved).max() < 0.01
    joints = dict(zip(NAMES, joints_mm(body, turns, heads)[0], strict=True))
    assert np.linalg.norm(joints["left_elbow"] - shared.landmarks["left_elbow"] @ moved) < 1.0
    hip = (shared.landmarks["left_hip"] @ moved + heads[0, shared.bones.index("upperleg01.L")]) / 2
    assert np.linalg.norm(joints["left_hip"] - hip) < 1.0


def test_bones_keep_their_lengths_whatever_the_motion(body):
    motion = procedural_motion(np.random.default_rng(2), 3.0, "x")
    turns = bone_turns(motion, body, np.zeros((2, 3)))
    heads = bone_heads_mm(body, turns, motion.root_mm)
    parents = body.template.parents[1:]
    lengths = np.linalg.norm(heads[:, 1:] - heads[:, parents], axis=-1)
    rest = np.linalg.norm(body.bone_heads_mm[1:] - body.bone_heads_mm[parents], axis=-1)
    assert np.abs(lengths - rest).max() < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_feet_stand_on_the_floor_and_never_below_it(body, seed):
    hands = np.zeros((2, 3))
    motion = _grounded(procedural_motion(np.random.default_rng(seed), 3.0, "x"), body, hands)
    turns = bone_turns(motion, body, hands)
    lowest = _lowest_mm(body, turns, bone_heads_mm(body, turns, motion.root_mm))
    assert lowest.min() > -1e-6
    assert np.quantile(lowest, 0.3) < 1.0  # a jump leaves it only for moments


def test_a_knee_bends_backwards_and_an_elbow_forwards(body):
    for seed in range(8):
        motion = procedural_motion(np.random.default_rng(seed), 2.0, "x")
        for side in ("left", "right"):
            for upper, lower, sign in (("thigh", "shank", 1), ("upper_arm", "forearm", -1)):
                first, second = motion.of(f"{side}_{upper}"), motion.of(f"{side}_{lower}")
                hinge = np.cross(first[..., 2], second[..., 2])
                assert (sign * (hinge * first[..., 0]).sum(-1) > -1e-9).all()


def stick_clip(path: Path) -> Path:
    """A clip of CMU's joints: standing, the left arm forward, the right knee bent."""
    at = {
        "root": (0, 0, 950), "lowerback": (0, 0, 1050), "upperneck": (0, 0, 1480), "head": (0, -20, 1600),
        "lhipjoint": (90, 0, 900), "rhipjoint": (-90, 0, 900), "lfemur": (90, -5, 480), "rfemur": (-90, -300, 620),
        "ltibia": (90, 5, 80), "rtibia": (-90, -150, 230), "lfoot": (90, -110, 20), "rfoot": (-90, -260, 180),
        "lclavicle": (180, 0, 1400), "rclavicle": (-180, 0, 1400), "lhumerus": (180, -280, 1380),
        "rhumerus": (-200, 20, 1110), "lradius": (175, -500, 1460), "rradius": (-205, -60, 880),
    }  # fmt: skip
    joints = np.array(list(at.values()), np.float32)
    np.savez(path, joint_names=np.array(list(at)), clip_a=np.tile(joints, (40, 1, 1)), fps=np.array(30.0))
    return path


def test_a_recorded_pose_points_the_limbs_of_a_body_the_same_way(body, tmp_path):
    stick_clip(tmp_path / "clips.npz")
    (motion,) = load_clips(tmp_path).values()
    turns = bone_turns(motion, body, np.zeros((2, 3)))[:1]
    heads = bone_heads_mm(body, turns, motion.root_mm[:1])[0]
    bone = {name: heads[i] for i, name in enumerate(body.template.bones)}
    arm = unit(bone["lowerarm01.L"] - bone["upperarm01.L"])
    np.testing.assert_allclose(arm, unit(np.array([0.0, -280, -20])), atol=1e-6)
    shank = unit(bone["foot.R"] - bone["lowerleg01.R"])
    np.testing.assert_allclose(shank, unit(np.array([0.0, 150, -390])), atol=1e-6)
    assert motion.frames.shape == (40, len(SEGMENTS), 3, 3)


def test_folders_without_usable_clips_are_refused(tmp_path):
    with pytest.raises(trivox.InputError, match="holds no motion clips"):
        load_clips(tmp_path)
    with pytest.raises(trivox.InputError, match="there is no folder"):
        load_clips(tmp_path / "none")
    other = tmp_path / "other"
    other.mkdir()
    np.savez(other / "a.npz", joint_names=np.array(["root"]), clip=np.zeros((5, 1, 3), np.float32))
    with pytest.raises(trivox.InputError, match="lacks the joints"):
        load_clips(other)
    two = tmp_path / "two"
    two.mkdir()
    stick_clip(two / "a.npz")
    stick_clip(two / "b.npz")
    with pytest.raises(trivox.InputError, match=r"b\.npz holds clips whose names another file has too .clip_a."):
        load_clips(two)
    slow = tmp_path / "slow"
    slow.mkdir()
    with np.load(stick_clip(slow / "a.npz")) as clip:
        names, points = clip["joint_names"], clip["clip_a"]
    np.savez(slow / "a.npz", joint_names=names, clip_a=points, fps=np.array(0.0))
    with pytest.raises(trivox.InputError, match="0.0 instants per second"):
        load_clips(slow)
