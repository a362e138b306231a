"""Skeletons are what their sources say, mirrors are involutions, and conversion goes by name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.geometry.skeletons import (
    BLAZEPOSE_33,
    BODY_25,
    BODY_25B,
    BODY_135,
    COCO_17,
    COCO_18,
    COCO_WHOLEBODY_133,
    H36M_17,
    LIMB_BONES,
    LIMB_JOINTS,
    MMPOSE_H36M_17,
    MPI_3DHP_17,
    MPII_16,
    NEAR,
    PANOPTIC_19,
    SKELETONS,
    Skeleton,
    conversion,
    converted,
    root_points,
    skeleton_named,
    skeleton_of,
)

every = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
every_pair = pytest.mark.parametrize(
    ("source", "target"), [(a, b) for a in SKELETONS.values() for b in SKELETONS.values()]
)
NAMES = st.sampled_from(list(SKELETONS))


@pytest.mark.parametrize(
    ("skeleton", "joints"),
    [
        (COCO_17, {0: "nose", 5: "left_shoulder", 10: "right_wrist", 15: "left_ankle", 16: "right_ankle"}),
        (
            H36M_17,
            {0: "right_ankle", 3: "left_hip", 6: "pelvis", 9: "head_top", 15: "left_wrist", 16: "head_nose"},
        ),
        (
            PANOPTIC_19,
            {0: "neck", 2: "pelvis", 3: "left_shoulder", 6: "left_hip", 14: "right_ankle", 18: "right_ear"},
        ),
        (
            BODY_25B,
            {
                4: "right_ear",
                16: "right_ankle",
                17: "upper_neck",
                18: "head_top",
                21: "left_heel",
                24: "right_heel",
            },
        ),
        (
            BODY_25,
            {
                1: "neck",
                4: "right_wrist",
                8: "pelvis",
                11: "right_ankle",
                15: "right_eye",
                19: "left_big_toe",
            },
        ),
        (
            MMPOSE_H36M_17,
            {
                0: "pelvis",
                1: "right_hip",
                6: "left_ankle",
                8: "neck",
                9: "head_nose",
                10: "head_top",
                16: "right_wrist",
            },
        ),
        (MPI_3DHP_17, {0: "head_top", 2: "right_shoulder", 8: "right_hip", 13: "left_ankle", 15: "spine", 16: "head"}),
        (COCO_18, {1: "neck", 7: "left_wrist", 8: "right_hip", 13: "left_ankle", 17: "left_ear"}),
    ],
)
def test_order_is_that_of_the_source(skeleton: Skeleton, joints: dict[int, str]) -> None:
    assert {i: skeleton.names[i] for i in joints} == joints
    assert len(skeleton) == int(skeleton.name[-2:] if skeleton.name[-1].isdigit() else 25)


def test_mpii_is_the_first_sixteen_of_human36m() -> None:
    assert MPII_16.names == H36M_17.names[:16]


@every
def test_mirror_is_an_involution_that_swaps_sides_and_keeps_bones(skeleton: Skeleton) -> None:
    mirror = skeleton.mirror
    assert [mirror[i] for i in mirror] == list(range(len(skeleton)))
    for joint, twin in zip(skeleton.names, (skeleton.names[i] for i in mirror), strict=True):
        assert joint == twin.replace("left", "?").replace("right", "left").replace("?", "right")
    bones = {frozenset(bone) for bone in skeleton.bone_indices}
    assert {frozenset(mirror[i] for i in bone) for bone in bones} == bones
    assert len(bones) == len(skeleton.bones)


@every
def test_bones_connect_all_joints(skeleton: Skeleton) -> None:
    reached = {0}
    for _ in skeleton.names:
        reached |= {i for bone in skeleton.bone_indices if reached & set(bone) for i in bone}
    # BODY_25B and BODY_135 have no joint that ties their head to their trunk; COCO's sets and BlazePose hang their face
    # on nothing.
    head = {"nose", "upper_neck", "head_top", *(f"face_{i}" for i in range(70))}
    head |= {
        f"{side}_{part}" for side in ("left", "right") for part in ("eye", "ear", "eye_inner", "eye_outer", "mouth")
    }
    names = {skeleton.names[i] for i in range(len(skeleton)) if i not in reached}
    headless = (COCO_17, BODY_25B, COCO_WHOLEBODY_133, BODY_135, BLAZEPOSE_33)
    assert not names or (skeleton in headless and {skeleton.names[i] for i in reached} <= head)


@every
def test_limbs(skeleton: Skeleton) -> None:
    assert skeleton.limb_bones == LIMB_BONES
    assert skeleton.limb_joints == LIMB_JOINTS
    assert set(LIMB_BONES) <= set(skeleton.bones)
    assert [skeleton.names[i] for i in skeleton.indices(LIMB_JOINTS)] == list(LIMB_JOINTS)


@every_pair
def test_conversion_agrees_with_names_joint_by_joint(source: Skeleton, target: Skeleton) -> None:
    """The slow twin: look every joint up by name, one at a time."""
    points = torch.randn(len(source), 3, dtype=torch.float64)
    result = converted(points, torch.ones(len(source), dtype=torch.bool), source, target)
    by_name = dict(zip(source.names, points, strict=True))
    for joint, point, valid, quality in zip(
        target.names, result.points, result.valid, conversion(source, target).quality, strict=True
    ):
        if joint in by_name:
            assert quality == "exact" and valid and torch.equal(point, by_name[joint])
        elif recipes := [made for made in NEAR.get(joint, ()) if set(made) <= set(by_name)]:
            expected = torch.stack([by_name[name] for name in recipes[0]]).mean(0)
            assert quality == "near" and valid and torch.allclose(point, expected)
        else:
            assert quality == "missing" and not valid and not point.any()


def test_what_cannot_be_had_is_missing() -> None:
    quality = dict(zip(H36M_17.names, conversion(COCO_17, H36M_17).quality, strict=True))
    assert {n for n, q in quality.items() if q == "missing"} == {"spine", "head_top"}
    assert {n for n, q in quality.items() if q == "near"} == {"pelvis", "neck", "head_nose"}
    upper = conversion(PANOPTIC_19, BODY_25B).quality[BODY_25B.names.index("upper_neck")]
    assert upper == "missing", "the base of the neck is not its top"


def test_orders_of_one_skeleton_convert_exactly_and_relatives_say_what_is_near() -> None:
    assert set(conversion(MMPOSE_H36M_17, H36M_17).quality) == {"exact"}
    assert MMPOSE_H36M_17.names != H36M_17.names
    relative = dict(zip(H36M_17.names, conversion(MPI_3DHP_17, H36M_17).quality, strict=True))
    assert {name for name, quality in relative.items() if quality != "exact"} == {"head_nose"}
    assert relative["head_nose"] == "near"


@every
def test_conversion_to_itself_is_the_identity(skeleton: Skeleton) -> None:
    assert torch.equal(conversion(skeleton, skeleton).weights, torch.eye(len(skeleton), dtype=torch.float64))


@given(NAMES, NAMES, st.sampled_from([(), (1,), (3, 1, 2)]), st.integers(2, 3), st.integers(0, 2**31))
def test_conversion_commutes_with_mirroring_and_batching(
    source: str, target: str, batch: tuple[int, ...], dims: int, seed: int
) -> None:
    s, t = SKELETONS[source], SKELETONS[target]
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(*batch, len(s), dims, generator=generator, dtype=torch.float64)
    valid = torch.rand(*batch, len(s), generator=generator) > 0.3
    there = converted(points, valid, s, t)
    assert there.points.shape == (*batch, len(t), dims)
    assert not there.points[~there.valid].any()
    mirrored = converted(points[..., s.mirror, :], valid[..., s.mirror], s, t)
    assert torch.equal(mirrored.valid, there.valid[..., t.mirror])
    torch.testing.assert_close(mirrored.points, there.points[..., t.mirror, :])


def test_invalid_joints_make_no_number_and_no_gradient() -> None:
    points = torch.randn(2, 17, 3, dtype=torch.float64)
    valid = torch.ones(2, 17, dtype=torch.bool)
    hip = COCO_17.names.index("left_hip")
    valid[0, hip] = False
    points[0, hip] = torch.nan
    points.requires_grad_()
    result = converted(points, valid, COCO_17, H36M_17)
    assert result.valid[:, H36M_17.names.index("pelvis")].tolist() == [False, True]
    assert result.points.isfinite().all()
    result.points.square().sum().backward()
    assert points.grad is not None and points.grad.isfinite().all()
    assert not points.grad[0, hip].any()


def test_conversion_passes_gradcheck() -> None:
    points = torch.randn(17, 2, dtype=torch.float64, requires_grad=True)
    valid = torch.rand(17) > 0.2
    assert torch.autograd.gradcheck(lambda p: converted(p, valid, COCO_17, H36M_17).points, points)


@every
def test_root_is_the_pelvis(skeleton: Skeleton) -> None:
    points = torch.randn(4, len(skeleton), 3)
    root = root_points(points, torch.ones(4, len(skeleton), dtype=torch.bool), skeleton)
    hips = points[:, skeleton.indices(("left_hip", "right_hip"))].mean(1)
    expected = points[:, skeleton.names.index("pelvis")] if "pelvis" in skeleton.names else hips
    torch.testing.assert_close(root.points[:, 0], expected)
    assert root.valid.all()


def test_names_that_repeat_or_are_lacking_are_one_sentence() -> None:
    with pytest.raises(InputError, match="two joints of arm are called 'wrist'"):
        Skeleton("arm", ("wrist", "elbow", "wrist"), (), "wrist")
    with pytest.raises(InputError, match="bones of arm name joints that it lacks: hand; its joints are wrist, elbow"):
        Skeleton("arm", ("wrist", "elbow"), (("wrist", "hand"),), "wrist")


def test_unknown_name_lists_the_right_ones() -> None:
    assert skeleton_named("coco17") is COCO_17
    with pytest.raises(InputError, match="'coco'.*coco17.*h36m17.*mpii16.*panoptic19.*body25b"):
        skeleton_named("coco")


@every
def test_skeleton_of_known_names_is_the_known_one(skeleton: Skeleton) -> None:
    assert skeleton_of(skeleton.names) is skeleton


def test_skeleton_of_other_names_keeps_the_bones_that_fit() -> None:
    own = skeleton_of(("left_hip", "left_knee", "left_ankle", "tail"), "mine")
    assert (own.name, own.root) == ("mine", "left_hip")
    assert set(own.bones) == {("left_hip", "left_knee"), ("left_knee", "left_ankle")}
    assert own.mirror == (0, 1, 2, 3)
