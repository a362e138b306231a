"""Algebraic triangulation: right where the truth is known, indifferent to what must not matter, trainable."""

from __future__ import annotations

import math

import pytest
import torch
from models.tiny import Stored, Tiny, logits_of, scene

from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17, H36M_17, MPII_16
from trivox.losses import mse_smooth
from trivox.models.algebraic import Algebraic, read_heatmaps, shared_confidences
from trivox.models.backbones import BackboneOutput
from trivox.models.ransac import Ransac
from trivox.models.views import checked_mask


def valid_like(points_mm: torch.Tensor) -> torch.Tensor:
    return torch.ones(points_mm.shape[:-1], dtype=torch.bool)


@pytest.mark.parametrize("lens", [0.0, -0.2])
@pytest.mark.parametrize("image_hw", [(192, 256), (256, 320)])
def test_heatmaps_of_known_joints_give_the_joints(lens: float, image_hw: tuple[int, int]) -> None:
    images, cameras, truth_mm = scene(4, image_hw=image_hw, lens=lens)
    backbone = Stored(logits_of(truth_mm, cameras, image_hw))
    model = Algebraic(backbone, COCO_17, use_confidences=False, heatmap_multiplier=1.0)
    found = model(images, cameras)
    assert found.valid.all()
    torch.testing.assert_close(found.points_mm, truth_mm, atol=0.1, rtol=0)
    assert found.reprojection_px.amax() < 0.01


@pytest.mark.parametrize("softmax", [True, False])
def test_reading_heatmaps_equals_a_plain_loop(softmax: bool) -> None:
    heatmaps = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    read = read_heatmaps(heatmaps, softmax=softmax, multiplier=2.5)
    for b in range(2):
        for j in range(3):
            weights = (2.5 * heatmaps[b, j]).exp() if softmax else (2.5 * heatmaps[b, j]).clamp(min=0)
            total = x = y = 0.0
            for row in range(5):
                for column in range(7):
                    total += float(weights[row, column])
                    x += column * float(weights[row, column])
                    y += row * float(weights[row, column])
            torch.testing.assert_close(read.cells[b, j], torch.tensor([x / total, y / total]).double())
            torch.testing.assert_close(read.maps[b, j], weights / total if softmax else weights)


def test_an_empty_heatmap_takes_its_view_out() -> None:
    images, cameras, truth_mm = scene(4)
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).exp()
    heatmaps[0, 1, 5] = -1.0
    found = Algebraic(Stored(heatmaps), COCO_17, use_confidences=False, heatmap_softmax=False)(images, cameras)
    used = torch.ones(2, 4, 17, dtype=torch.bool)
    used[0, 1, 5] = False
    assert torch.equal(found.inliers, used)
    torch.testing.assert_close(found.points_mm, truth_mm, atol=0.5, rtol=0)


def test_a_distrusted_view_hardly_counts() -> None:
    images, cameras, truth_mm = scene(4)
    heatmaps = logits_of(truth_mm, cameras, (192, 256))
    heatmaps[:, 2] = heatmaps[:, 2].roll(9, -1)
    confidences = torch.ones(2, 4, 17, dtype=torch.float64)
    wrong = Algebraic(Stored(heatmaps, confidences), COCO_17, heatmap_multiplier=1.0)(images, cameras)
    distrusted = confidences.clone()
    distrusted[:, 2] = 0.0
    right = Algebraic(Stored(heatmaps, distrusted), COCO_17, heatmap_multiplier=1.0)(images, cameras)
    assert (wrong.points_mm - truth_mm).norm(dim=-1).min() > 20
    torch.testing.assert_close(right.points_mm, truth_mm, atol=0.2, rtol=0)
    assert right.confidence.mean() == 0.75


def test_confidences_share_one() -> None:
    confidences = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    shared = shared_confidences(confidences, mask)
    torch.testing.assert_close(shared.sum(1), (1 + 1e-5 * mask.sum(1)).float()[:, None].expand(2, 3))
    assert (shared[~mask] == 0).all()
    ratio = shared[0, 0] - 1e-5, shared[0, 1] - 1e-5
    torch.testing.assert_close(ratio[0] / ratio[1], confidences[0, 0] / confidences[0, 1])


def test_the_order_of_views_does_not_matter() -> None:
    images, cameras, truth_mm = scene(4)
    generator = torch.Generator().manual_seed(0)
    noisy_mm = truth_mm[:, None] + 30 * torch.randn(2, 4, 17, 3, generator=generator).double()
    heatmaps = torch.cat([logits_of(noisy_mm[:, v], cameras[:, v : v + 1], (192, 256)) for v in range(4)], dim=1)
    confidences = torch.rand(2, 4, 17, generator=generator).double()
    order = [2, 0, 3, 1]
    found = Algebraic(Stored(heatmaps, confidences), COCO_17)(images, cameras)
    turned = Algebraic(Stored(heatmaps[:, order], confidences[:, order]), COCO_17)
    again = turned(images[:, order], cameras[:, order])
    torch.testing.assert_close(again.points_mm, found.points_mm, atol=1e-6, rtol=0)
    torch.testing.assert_close(again.reprojection_px, found.reprojection_px[:, order], atol=1e-6, rtol=0)


def test_a_masked_view_is_as_good_as_absent() -> None:
    torch.manual_seed(0)
    images, cameras, _ = scene(4)
    model = Algebraic(Tiny(), COCO_17)
    mask = torch.tensor([[True, True, False, True]] * 2)
    spoiled = images.clone()
    spoiled[:, 2] = torch.nan
    kept = [0, 1, 3]
    masked, absent = model(spoiled, cameras, mask), model(images[:, kept], cameras[:, kept])
    torch.testing.assert_close(masked.points_mm, absent.points_mm, atol=1.0, rtol=1e-3)
    masked.points_mm.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_one_view_gives_invalid_joints() -> None:
    images, cameras, _ = scene(1)
    found = Algebraic(Tiny(), COCO_17)(images, cameras)
    assert not found.valid.any() and (found.points_mm == 0).all()
    found.points_mm.sum().backward()


def test_a_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    images, cameras, truth_mm = scene(3)
    model = Algebraic(Tiny(), COCO_17, heatmap_multiplier=5.0)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(6):
        found = model(images, cameras)
        loss = mse_smooth(found.points_mm / 10, truth_mm.float() / 10, found.valid, threshold=400.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert model.backbone.trust.weight.grad[:17].abs().sum() > 0  # pyright: ignore


@pytest.mark.parametrize("softmax", [True, False])
def test_gradients(softmax: bool) -> None:
    images, cameras, truth_mm = scene(3, samples=1, image_hw=(48, 64))
    few = truth_mm[:, :2]
    small = cameras.scaled(torch.tensor([0.25, 0.25]).double())
    heatmaps = logits_of(few, small, (48, 64))
    heatmaps = heatmaps if softmax else heatmaps.exp() + 0.05  # away from the kink
    confidences = torch.rand(1, 3, 2, generator=torch.Generator().manual_seed(0)).double() + 0.2
    skeleton = COCO_17.__class__("two", ("a", "b"), (), "a")
    ones = torch.ones(1, 3, dtype=torch.bool)

    def joints(heatmaps: torch.Tensor, confidences: torch.Tensor) -> torch.Tensor:
        backbone = Stored(heatmaps, confidences)
        model = Algebraic(backbone, skeleton, heatmap_softmax=softmax, heatmap_multiplier=1.5)
        views = backbone(images).map(lambda t: t.unflatten(0, (1, 3)))
        return model.from_views(views, (48, 64), small, ones).points_mm

    inputs = (heatmaps.requires_grad_(), confidences.requires_grad_())
    assert torch.autograd.gradcheck(joints, inputs, eps=1e-5, atol=1e-2, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("scale", [1e4, 1e30, -1e30, 0.0])
@pytest.mark.parametrize("identical", [False, True], ids=["ring", "one place"])
def test_nothing_is_nan(softmax: bool, scale: float, identical: bool) -> None:
    images, cameras, truth_mm = scene(3)
    if identical:
        cameras = cameras[:, [0, 0, 0]]
    heatmaps = (scale * logits_of(truth_mm, cameras, (192, 256)).exp().float()).requires_grad_()
    confidences = torch.zeros(2, 3, 17).requires_grad_()
    found = Algebraic(Stored(heatmaps, confidences), COCO_17, heatmap_softmax=softmax)(images, cameras)
    (found.points_mm.sum() + found.confidence.sum()).backward()
    assert found.points_mm.isfinite().all() and found.covariance_mm2.isfinite().all()
    for given in (heatmaps, confidences):
        assert given.grad is not None and given.grad.isfinite().all()


def test_a_skeleton_of_other_joints_is_refused() -> None:
    with pytest.raises(InputError, match="has 17 joints, the skeleton mpii16 has 16"):
        Algebraic(Tiny(17), MPII_16)


def test_a_backbone_without_confidences_is_refused() -> None:
    images, cameras, truth_mm = scene(2)
    model = Algebraic(Stored(logits_of(truth_mm, cameras, (192, 256))), H36M_17)
    with pytest.raises(InputError, match="no head for joint confidences"):
        model(images, cameras)


def test_wrong_shapes_are_refused() -> None:
    images, cameras, _ = scene(3)
    mask = torch.ones(2, 3, dtype=torch.bool)
    nobody = mask.clone()
    nobody[1] = False
    model = Algebraic(Tiny(), COCO_17)
    for arguments, said in (
        ((images[0], cameras), r"expected \(B, V, 3, height, width\)"),
        ((images[:, :, :2], cameras), r"expected \(B, V, 3, height, width\)"),
        (((255 * images).byte(), cameras), "floats in 0..1"),
        ((images[:0], cameras[:0]), "images have shape"),
        ((images, cameras[0]), r"cameras have batch shape \(3,\)"),
        ((images, cameras[:, :2]), r"cameras have batch shape \(2, 2\)"),
        ((images, cameras, mask[0]), "view_mask has shape"),
        ((images, cameras, mask.float()), "torch.bool"),
        ((images, cameras, nobody), "no view of sample 1"),
    ):
        with pytest.raises(InputError, match=said):
            model(*arguments)
    assert torch.equal(checked_mask(images, cameras, None), mask)


@pytest.mark.parametrize("multiplier", [0.0, -1.0, math.nan, math.inf])
def test_multipliers_that_leave_no_peak_are_refused(multiplier: float) -> None:
    with pytest.raises(InputError, match=f"heatmap_multiplier is {multiplier}, expected a positive number"):
        Algebraic(Tiny(), COCO_17, heatmap_multiplier=multiplier)


@pytest.mark.parametrize("method", [Ransac, Algebraic])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_pictures_of_any_float_type_are_looked_at_in_that_of_the_model(
    method: type[Ransac | Algebraic], dtype: torch.dtype
) -> None:
    images, cameras, _ = scene(3)
    given = images.to(dtype)
    for model in (method(Tiny(), COCO_17).eval(), method(Tiny(), COCO_17).eval().double()):
        own = next(model.parameters()).dtype
        found, same = model(given, cameras), model(given.to(own), cameras)
        assert torch.equal(found.points_mm, same.points_mm) and found.valid.any()


@pytest.mark.parametrize("method", [Ransac, Algebraic])
@pytest.mark.parametrize("learns", [False, True])
def test_what_is_read_off_heatmaps_knows_no_half_precision(method: type[Ransac | Algebraic], learns: bool) -> None:
    images, cameras, truth_mm = scene(3, lens=-0.1)
    heatmaps = logits_of(truth_mm, cameras, (192, 256)).float()
    options = {} if method is Ransac else {"heatmap_multiplier": 1.0, "use_confidences": False}
    model = method(Stored(heatmaps), COCO_17, **options).eval()  # pyright: ignore[reportArgumentType]
    mask = torch.ones(2, 3, dtype=torch.bool)
    with torch.set_grad_enabled(learns):
        plain = model(images, cameras)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(images, cameras)
        coarse = BackboneOutput(heatmaps.half(), heatmaps.half())
        of_half = model.from_views(coarse, (192, 256), cameras, mask)
    torch.testing.assert_close(found.points_mm, plain.points_mm, atol=0.01, rtol=0)
    torch.testing.assert_close(found.covariance_mm2, plain.covariance_mm2)
    assert of_half.points_mm.dtype == of_half.covariance_mm2.dtype == torch.float32
    assert (of_half.points_mm - plain.points_mm).norm(dim=-1).amax() < 5


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "sample 1, view 2 has NaN"),
        (math.inf, "sample 1, view 2 has values from .* to inf"),
        (-math.inf, "sample 1, view 2 has values from -inf"),
        (255.0, "sample 1, view 2 has values from .* to 255, expected RGB in 0..1; divide bytes by 255"),
        (-2.1, "sample 1, view 2 has values from -2.1 .* leave normalising to the model"),
    ],
)
def test_pictures_on_another_scale_are_refused(value: float, said: str) -> None:
    """A single such value suffices; none matters in a view that is masked out."""
    images, cameras, _ = scene(3)
    images[1, 2, 1, 7, 9] = value
    there = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(InputError, match=said):
        checked_mask(images, cameras, there)
    with pytest.raises(InputError, match=said):
        Algebraic(Tiny(), COCO_17)(images, cameras)
    there[1, 2] = False
    assert torch.equal(checked_mask(images, cameras, there), there)


def test_pictures_may_leave_their_scale_a_little() -> None:
    images, cameras, _ = scene(2)
    assert checked_mask(images * 1.5 - 0.3, cameras, None).all()
