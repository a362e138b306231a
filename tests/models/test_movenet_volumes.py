"""MoveNet in a volumetric model: its heatmaps in the cube, joints of any skeleton, files without its own weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models.tiny import Tiny, scene

from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17, COCO_H36M_22, H36M_17, Skeleton, conversion
from trivox.geometry.volumes import Cube
from trivox.models.agreement import agreed
from trivox.models.backbones import VOLUME_CHANNELS, MoveNetBackbone
from trivox.models.checkpoints import TRAINED, load_model, save_model
from trivox.models.v2v import V2V
from trivox.models.views import look
from trivox.models.volumetric import Inputs, Volumetric
from trivox.models.weights import BUNDLED

pytestmark = pytest.mark.usefixtures("one_thread")

CENTRE_MM = torch.tensor([[0.0, 0.0, 900.0], [120.0, -80.0, 850.0]])


def model_of(skeleton: Skeleton, inputs: Inputs) -> Volumetric:
    torch.manual_seed(0)
    v2v = V2V(VOLUME_CHANNELS, len(skeleton), width=4, depth=1, front=3)
    return Volumetric(MoveNetBackbone("lightning"), v2v, skeleton, Cube(2200.0, 8), inputs=inputs).eval()


@pytest.mark.parametrize("inputs", ["features", "heatmaps", "both"])
def test_kept_views_give_the_same_answer_as_pictures(inputs: Inputs) -> None:
    images, cameras, _ = scene(3)
    model = model_of(COCO_17, inputs)
    mask = torch.ones(2, 3, dtype=torch.bool)
    with torch.inference_mode():
        views = look(model.backbone, images, mask)
        again = model.from_views(views, (192, 256), cameras, mask, centre_mm=CENTRE_MM)
        assert torch.equal(again.points_mm, model(images, cameras, centre_mm=CENTRE_MM).points_mm)


def test_only_the_stated_maps_go_into_the_cube() -> None:
    """What is not among the inputs has no influence on the joints, what is has one."""
    images, cameras, _ = scene(2)
    mask = torch.ones(2, 2, dtype=torch.bool)
    seen: dict[Inputs, tuple[bool, bool]] = {"features": (False, True), "heatmaps": (True, False), "both": (True, True)}
    for inputs, (sees_heatmaps, sees_features) in seen.items():
        model = model_of(COCO_17, inputs)
        views = look(model.backbone, images, mask)
        for name, is_seen in (("heatmaps", sees_heatmaps), ("features", sees_features)):
            given = views.map(lambda t: t.detach())
            changed = getattr(given, name).requires_grad_()
            model.from_views(given, (192, 256), cameras, mask, centre_mm=CENTRE_MM).points_mm.sum().backward()
            assert (changed.grad is not None and bool((changed.grad != 0).any())) == is_seen


def test_joints_that_the_heatmaps_do_not_show_have_no_score() -> None:
    images, cameras, _ = scene(3)
    with torch.inference_mode():
        found = model_of(COCO_H36M_22, "both")(images, cameras, centre_mm=CENTRE_MM)
    quality = conversion(COCO_17, COCO_H36M_22).quality
    assert found.scores is not None and found.points_px is not None
    for joint, kind in enumerate(quality):
        shown = kind != "missing"
        assert bool((found.scores[..., joint] > 0).all()) == shown
        assert bool((found.points_px[..., joint, :] != 0).any()) == shown
    missing = [name for name, kind in zip(COCO_H36M_22.names, quality, strict=True) if kind == "missing"]
    assert missing == ["spine", "head_top"]


def test_both_sets_of_joints_are_exact_parts_of_the_common_one() -> None:
    for part in (COCO_17, H36M_17):
        assert set(conversion(COCO_H36M_22, part).quality) == {"exact"}


@torch.inference_mode()
def test_a_file_does_not_repeat_the_weights_of_the_package(tmp_path: Path) -> None:
    images, cameras, _ = scene(2)
    model = model_of(H36M_17, "both")

    def read_back(name: str) -> torch.Tensor:
        save_model(model, tmp_path / name)
        return load_model(tmp_path / name)(images, cameras, centre_mm=CENTRE_MM).points_mm

    untouched = model(images, cameras, centre_mm=CENTRE_MM).points_mm
    assert torch.equal(read_back("small.safetensors"), untouched)
    assert (tmp_path / "small.safetensors").stat().st_size < 100_000
    model.backbone.trunk.backbone.stem.bias.add_(0.01)  # tuned: now the file has them
    tuned = model(images, cameras, centre_mm=CENTRE_MM).points_mm
    assert not torch.equal(tuned, untouched)
    assert torch.equal(read_back("tuned.safetensors"), tuned)


def test_heatmaps_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match="MoveNet"):
        Volumetric(Tiny(), V2V(VOLUME_CHANNELS, 17, width=4, depth=1), COCO_17, Cube(2500.0, 8), inputs="both")


def test_passes_and_agreement_are_for_evaluation_only() -> None:
    images, cameras, _ = scene(3)
    plain, refined = model_of(COCO_17, "both"), model_of(COCO_17, "both")
    refined.passes, refined.agree_px = 2, 20.0
    place = {"centre_mm": CENTRE_MM + 60}
    agreeing = model_of(COCO_17, "both")
    agreeing.agree_px = 20.0
    expected = agreed(plain(images, cameras, **place), cameras.to(torch.float32), 20.0)
    torch.testing.assert_close(agreeing(images, cameras, **place).points_mm, expected.points_mm, atol=1e-2, rtol=0)
    assert not torch.equal(expected.points_mm, plain(images, cameras, **place).points_mm)
    assert not torch.equal(plain(images, cameras, **place).points_mm, refined(images, cameras, **place).points_mm)
    for model in (plain, refined):
        model.train()
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm3d):
                part.eval()
    assert torch.equal(plain(images, cameras, **place).points_mm, refined(images, cameras, **place).points_mm)


@pytest.mark.parametrize("name", TRAINED)
def test_models_that_come_along_are_small_and_ready(name: str) -> None:
    assert (BUNDLED / f"{name}.safetensors").stat().st_size < 15e6
    images, cameras, _ = scene(3, image_hw=(256, 256))
    with torch.inference_mode():
        found = load_model(name)(images, cameras)
    assert len(found.points_mm[0]) == {"algebraic": 17, "volumetric": 22}[name] and found.points_mm.isfinite().all()


def test_only_a_cube_that_has_the_root_off_its_middle_is_looked_at_again() -> None:
    """The first sample's root is found at the edge of its cube, the second's beside the middle."""
    images, cameras, _ = scene(3)
    model = model_of(COCO_17, "both")
    model.passes = 3
    cubes: list[int] = []

    def answered(network: torch.nn.Module, given: tuple[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        at = [7, 3] if not cubes else [3] * len(logits)
        cubes.append(len(logits))
        sharp = torch.zeros_like(logits)
        for sample, x in enumerate(at):
            sharp[sample, :, x, 3, 3] = 1e3
        return sharp

    model.volume_net.register_forward_hook(answered)
    found = model(images, cameras, centre_mm=CENTRE_MM).points_mm
    assert cubes == [2, 1]
    step_mm = model.cube.step_mm
    beside = torch.full((3,), -0.5 * step_mm)
    edge = torch.tensor([3.5, -0.5, -0.5]) * step_mm
    expected = torch.stack([CENTRE_MM[0] + edge + beside, CENTRE_MM[1] + beside])
    torch.testing.assert_close(found, expected[:, None].expand_as(found), atol=1e-2, rtol=0)
