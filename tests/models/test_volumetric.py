"""Volumetric triangulation: it moves with the world, takes any number of views, knows where to look, and learns."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import Literal, get_args

import pytest
import torch
from models.tiny import Stored, Tiny, logits_of, scene
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17, MPII_16, root_points
from trivox.geometry.volumes import Aggregation, Cube, rotation_about
from trivox.losses import mae, volumetric_cross_entropy
from trivox.models.backbones import VOLUME_CHANNELS, BackboneOutput
from trivox.models.profile import PROFILES
from trivox.models.v2v import V2V
from trivox.models.volumetric import Volumetric, _check_parts

pytestmark = pytest.mark.usefixtures("one_thread")

CUBE = Cube(2500.0, 8)
CENTRE_MM = torch.tensor([[0.0, 0.0, 900.0], [120.0, -80.0, 850.0]])


def small(aggregation: Aggregation = "softmax", backbone: Tiny | Stored | None = None, **options: object) -> Volumetric:
    """A model small enough for a test, in evaluation."""
    torch.manual_seed(0)
    v2v = V2V(VOLUME_CHANNELS, 17, width=4, depth=1)
    made = Volumetric(backbone or Tiny(), v2v, COCO_17, CUBE, aggregation, volume_multiplier=20.0, **options)  # pyright: ignore
    torch.nn.init.normal_(made.process_features[0].weight)  # pyright: ignore
    return made.eval()


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_the_order_of_views_does_not_matter(aggregation: Aggregation) -> None:
    images, cameras, _ = scene(4, lens=-0.1)
    model, order = small(aggregation), [3, 1, 0, 2]
    found = model(images, cameras, centre_mm=CENTRE_MM)
    again = model(images[:, order], cameras[:, order], centre_mm=CENTRE_MM)
    torch.testing.assert_close(again.points_mm, found.points_mm, atol=0.05, rtol=1e-4)
    spread = found.points_mm.std((0, 1)).amin()
    assert spread > 1  # the points say something


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_a_masked_view_is_as_good_as_absent(aggregation: Aggregation) -> None:
    images, cameras, _ = scene(4)
    model = small(aggregation)
    mask = torch.tensor([[True, False, True, True]] * 2)
    spoiled = images.clone()
    spoiled[:, 1] = torch.nan
    kept = [0, 2, 3]
    masked = model(spoiled, cameras, mask, centre_mm=CENTRE_MM)
    absent = model(images[:, kept], cameras[:, kept], centre_mm=CENTRE_MM)
    torch.testing.assert_close(masked.points_mm, absent.points_mm, atol=0.05, rtol=1e-4)
    assert not masked.inliers[:, 1].any()
    masked.points_mm.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("views", [1, 2, 31])
def test_the_same_model_takes_any_number_of_views(views: int) -> None:
    images, cameras, _ = scene(views, image_hw=(64, 96))
    found = small("conf_norm")(images, cameras, centre_mm=CENTRE_MM)
    assert found.valid.all() and found.points_mm.isfinite().all()
    assert ((found.points_mm - CENTRE_MM[:, None]).abs() <= 1250).all()
    assert found.view_weights is not None
    torch.testing.assert_close(found.view_weights.sum(1), torch.ones(2, VOLUME_CHANNELS))


def test_moving_and_turning_the_world_moves_and_turns_the_joints() -> None:
    images, cameras, _ = scene(3, lens=-0.1)
    model, angle = small(), torch.tensor([0.4, -1.1])
    found = model(images, cameras, centre_mm=CENTRE_MM)
    turn = rotation_about(torch.tensor([0.0, 0.0, 1.0]), angle).double()
    shift_mm = torch.tensor([300.0, -200.0, 70.0]).double()
    new_from_world = torch.eye(4).double().repeat(2, 1, 1)
    new_from_world[:, :3, :3], new_from_world[:, :3, 3] = turn, shift_mm
    moved = cameras.moved(torch.linalg.inv(new_from_world)[:, None])
    centre_mm = (turn @ CENTRE_MM[..., None].double())[..., 0] + shift_mm
    again = model(images, moved, centre_mm=centre_mm, angle_rad=angle)
    expected = found.points_mm.double() @ turn.mT + shift_mm
    torch.testing.assert_close(again.points_mm.double(), expected, atol=0.2, rtol=0)
    # The volume is the same to turned eyes; its spread turns along.
    turned = turn[:, None] @ found.covariance_mm2.double() @ turn.mT[:, None]
    torch.testing.assert_close(again.covariance_mm2.double(), turned, atol=5.0, rtol=1e-3)


def test_it_finds_the_centre_itself() -> None:
    images, cameras, truth_mm = scene(4)
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).float()
    heatmaps[0, 2] = heatmaps[0, 2].roll(20, -1)  # a view that lies
    model = small(backbone=Stored(heatmaps))
    mask = torch.ones(2, 4, dtype=torch.bool)
    centre_mm, located = model.own_centre_mm(BackboneOutput(heatmaps, heatmaps), (192, 256), cameras, mask)
    root = root_points(truth_mm, torch.ones(2, 17, dtype=torch.bool), COCO_17).points[:, 0]
    assert located.all() and (centre_mm - root).norm(dim=-1).amax() < 50
    own, told = model(images, cameras), model(images, cameras, centre_mm=centre_mm)
    torch.testing.assert_close(own.points_mm, told.points_mm, atol=0, rtol=0)


def test_without_the_root_the_middle_of_the_joints_is_the_centre() -> None:
    _, cameras, truth_mm = scene(3)
    cameras = cameras[:, :2]
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).float()
    hips = list(COCO_17.indices(("left_hip", "right_hip")))
    heatmaps[:, 1, hips] = heatmaps[:, 1, hips].roll(-20, -2)  # the views do not agree about the hips
    model = small(backbone=Stored(heatmaps))
    views, everywhere = BackboneOutput(heatmaps, heatmaps), torch.ones(2, 2, dtype=torch.bool)
    centre_mm, _ = model.own_centre_mm(views, (192, 256), cameras, everywhere)
    others = [joint for joint in range(17) if joint not in hips]
    assert (centre_mm - truth_mm[:, others].mean(1)).norm(dim=-1).amax() < 80


def test_a_sample_without_a_centre_has_no_joints() -> None:
    images, cameras, truth_mm = scene(2)
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).float()
    # Both views of the second sample are one: rays that never part meet nowhere.
    twice = Cameras.stack([cameras[0], cameras[1, [0, 0]]])
    heatmaps[1, 1] = heatmaps[1, 0]
    found = small(backbone=Stored(heatmaps))(images, twice)
    assert found.valid[0].all() and not found.valid[1].any()
    for field in (found.points_mm, found.confidence, found.reprojection_px, found.covariance_mm2):
        assert (field[1] == 0).all()


def test_what_it_says_of_its_joints_equals_a_plain_loop() -> None:
    images, cameras, truth_mm = scene(2)
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).float()
    found = small(backbone=Stored(heatmaps))(images, cameras, centre_mm=CENTRE_MM)
    assert found.volumes is not None
    volume, grid_mm = found.volumes[1, 4].double(), CUBE.voxel_centres(CENTRE_MM)[1].double()
    offset = grid_mm - found.points_mm[1, 4].double()
    spread = sum(
        volume[i, j, k] * offset[i, j, k, :, None] * offset[i, j, k]
        for i in range(8)
        for j in range(8)
        for k in range(8)
    )
    assert isinstance(spread, Tensor)
    torch.testing.assert_close(found.covariance_mm2[1, 4].double(), spread, atol=2.0, rtol=1e-4)
    torch.testing.assert_close(found.confidence[1, 4].double(), volume.max())
    index = int(heatmaps[1, 0, 4].argmax())
    peak_px = torch.tensor([index % 64 + 0.5, index // 64 + 0.5]) * 4
    projected = cameras[1, 0].project(found.points_mm[1, 4:5].double())[0]
    torch.testing.assert_close(found.reprojection_px[1, 0, 4].double(), (projected - peak_px).norm(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_a_step_lowers_the_loss_as_its_gradient_says(aggregation: Aggregation) -> None:
    images, cameras, truth_mm = scene(3)
    truth_mm = truth_mm.float()
    model = small(aggregation).train()
    valid = torch.ones(2, 17, dtype=torch.bool)
    grid_mm = model.cube.voxel_centres(CENTRE_MM)

    def loss() -> Tensor:
        found = model(images, cameras, centre_mm=CENTRE_MM)
        assert found.volumes is not None
        likely = volumetric_cross_entropy(found.volumes, grid_mm, truth_mm, valid)
        return mae(found.points_mm / 10, truth_mm / 10, valid) + 0.01 * likely

    before = loss()
    before.backward()
    slopes = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert {"backbone.look.weight", "process_features.0.weight", "volume_net.output_layer.weight"} <= slopes.keys()
    assert ("backbone.trust.weight" in slopes) == aggregation.startswith("conf")
    expected = 0.01
    squared = sum(float((slope**2).sum()) for slope in slopes.values())
    with torch.no_grad():
        for name, slope in slopes.items():
            model.get_parameter(name).sub_(slope * (expected / squared))
    fallen = float(before.detach() - loss().detach())
    assert 0.7 * expected < fallen < 1.3 * expected


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("scale", [1e4, 1e30, 0.0])
def test_nothing_is_nan(scale: float, profile: Literal["trivox", "reference"]) -> None:
    images, cameras, truth_mm = scene(3)
    same = cameras[:, [0, 0, 0]]
    heatmaps = (scale * logits_of(truth_mm, same, (192, 256)).exp().float()).requires_grad_()
    model = small(backbone=Stored(heatmaps), profile=PROFILES[profile])
    # A cube around a camera: voxels before, behind and inside it.
    centre_mm = same.position_mm[:, 0]
    for given in (None, centre_mm, CENTRE_MM):
        found = model(images, same, centre_mm=given)
        heatmaps.grad = None
        found.points_mm.sum().backward()
        assert all(t.isfinite().all() for t in (found.points_mm, found.confidence, found.reprojection_px))
        assert found.covariance_mm2.isfinite().all()
        assert heatmaps.grad is not None and heatmaps.grad.isfinite().all()  # pyright: ignore


class Unchanged(V2V):
    """Joints are where the heatmaps are: no weight makes much of little rounding."""

    def forward(self, volumes: Tensor) -> Tensor:
        return volumes[:, :17] / 20


def sees_what_heatmaps_show(heatmaps: Tensor, **options: object) -> Volumetric:
    model = small("sum", Stored(heatmaps), **options)
    model.volume_net = Unchanged(VOLUME_CHANNELS, 17, width=4, depth=1)
    torch.nn.init.eye_(model.process_features[0].weight[:17, :, 0, 0].data)  # pyright: ignore
    return model


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("where", ["autocast", "weights"])
def test_bfloat16_keeps_the_joints_in_float32(where: str, learns: bool) -> None:
    """Of the networks alone: centres, second cubes, peaks, covariances and what they are off are in full precision."""
    images, cameras, truth_mm = scene(3, lens=-0.1)
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).float()
    model = sees_what_heatmaps_show(heatmaps, passes=2, agree_px=20.0)
    with torch.set_grad_enabled(learns):
        plain = model(images, cameras)
        with torch.autocast("cpu", torch.bfloat16, enabled=where == "autocast"):
            found = (model if where == "autocast" else deepcopy(model).bfloat16())(images, cameras)
    for name in ("points_mm", "covariance_mm2", "reprojection_px", "points_px", "confidence", "scores", "volumes"):
        assert getattr(found, name).dtype == torch.float32, name
    assert torch.equal(found.points_px, plain.points_px)
    off_mm = (found.points_mm - plain.points_mm).norm(dim=-1)
    assert off_mm.amax() < 8
    torch.testing.assert_close(found.covariance_mm2, plain.covariance_mm2, rtol=0.05, atol=30)


def test_places_in_half_precision_are_refused() -> None:
    images, cameras, _ = scene(3)
    with pytest.raises(InputError, match=r"the cameras are in torch.bfloat16, which rounds metres"):
        small()(images, cameras.to(torch.bfloat16), centre_mm=CENTRE_MM)
    with pytest.raises(InputError, match=r"centre_mm come in torch.float16"):
        small()(images, cameras, centre_mm=CENTRE_MM.half())


def test_a_joint_is_valid_where_its_place_is_known() -> None:
    """By volume and peaks together; the best guess of the others stays, and training learns from all."""
    images, cameras, truth_mm = scene(4)
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).float()
    for view, shift in enumerate(((20, 9), (-17, 12), (15, -14), (-19, -11))):
        heatmaps[:, view, 16] = heatmaps[:, view, 16].roll(shift, (-2, -1))  # no two views agree
    model = sees_what_heatmaps_show(heatmaps, agree_px=20.0)
    torch.nn.init.zeros_(model.process_features[0].weight[16].data)  # pyright: ignore
    found = model(images, cameras, centre_mm=CENTRE_MM)
    assert found.valid[:, :16].all() and not found.valid[:, 16].any()
    assert (found.points_mm[:, 16] - CENTRE_MM).abs().amax() < 1250 and (found.confidence > 0).all()
    assert model.train()(images, cameras, centre_mm=CENTRE_MM).valid.all()
    empty = small(backbone=Stored(heatmaps), volume_softmax=False)
    torch.nn.init.constant_(empty.volume_net.output_layer.bias, -1e6)  # pyright: ignore
    assert not empty(images, cameras, centre_mm=CENTRE_MM).valid.any()


@pytest.mark.parametrize("multiplier", [0.0, -1.0, math.nan, math.inf])
def test_multipliers_that_leave_no_peak_are_refused(multiplier: float) -> None:
    v2v = V2V(VOLUME_CHANNELS, 17, width=4, depth=1)
    with pytest.raises(InputError, match=f"volume_multiplier is {multiplier}, expected a positive number"):
        Volumetric(Tiny(), v2v, COCO_17, CUBE, volume_multiplier=multiplier)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_pictures_of_any_float_type_are_looked_at_in_that_of_the_model(dtype: torch.dtype) -> None:
    images, cameras, _ = scene(3)
    model, given = small(), images.to(dtype)
    found, same = model(given, cameras, centre_mm=CENTRE_MM), model(given.float(), cameras, centre_mm=CENTRE_MM)
    assert torch.equal(found.points_mm, same.points_mm)


def test_what_does_not_fit_is_refused() -> None:
    images, cameras, _ = scene(3)
    v2v = V2V(VOLUME_CHANNELS, 17, width=4, depth=2)
    with pytest.raises(InputError, match="the backbone has 17 joints, the skeleton mpii16 has 16"):
        Volumetric(Tiny(17), v2v, MPII_16, CUBE)
    with pytest.raises(InputError, match="the volume network has 17 joints, the skeleton mpii16 has 16"):
        Volumetric(Tiny(16), v2v, MPII_16, CUBE)
    with pytest.raises(InputError, match="8x8x6 voxels cannot be halved 2 times"):
        Volumetric(Tiny(17), v2v, COCO_17, replace(CUBE, size=(8, 8, 6)))
    with pytest.raises(InputError, match="takes 16 channels, the volumes have 32"):
        Volumetric(Tiny(17), V2V(16, 17, width=4, depth=2), COCO_17, CUBE)
    with pytest.raises(InputError, match="'mean' was given; give one of sum, max"):
        _check_parts(CUBE, v2v, "mean")
    model = small()
    for arguments, said in (
        ({"angle_rad": torch.zeros(3)}, r"angle_rad has shape \(3,\), expected \(2,\)"),
        ({"angle_rad": torch.tensor([0.0, math.nan])}, "one angle per sample"),
        ({"centre_mm": CENTRE_MM[0]}, r"centre_mm has shape \(3,\), expected \(2, 3\)"),
        ({"centre_mm": CENTRE_MM * math.nan}, "finite numbers"),
        ({"view_mask": torch.zeros(2, 3, dtype=torch.bool)}, "no view of sample 0"),
        ({"view_mask": torch.tensor([[True] * 3, [False, True, False]])}, "sample 1 has a single view"),
    ):
        with pytest.raises(InputError, match=said):
            model(images, cameras, **arguments)
    heatmaps = torch.zeros(2, 3, 17, 48, 64)
    with pytest.raises(InputError, match="no head for feature confidences, which the aggregation 'conf' needs"):
        small("conf", Stored(heatmaps))(images, cameras, centre_mm=CENTRE_MM)
