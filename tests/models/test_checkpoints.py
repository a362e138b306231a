"""A model file holds all there is to know of a model, or is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from models.tiny import Tiny, scene
from safetensors.torch import load_file, save_file

from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17, H36M_17, PANOPTIC_19, Skeleton
from trivox.geometry.volumes import Cube
from trivox.models.algebraic import Algebraic
from trivox.models.backbones import VOLUME_CHANNELS, MoveNetBackbone
from trivox.models.checkpoints import NAMED, load_backbone, load_model, save_model
from trivox.models.configs import Model, config_of, read_config, written
from trivox.models.movenet import load_movenet
from trivox.models.pose_resnet import PoseResNet
from trivox.models.profile import REFERENCE
from trivox.models.ransac import Ransac
from trivox.models.v2v import V2V
from trivox.models.volumetric import Volumetric

pytestmark = pytest.mark.usefixtures("one_thread")

OWN = Skeleton("custom", ("left_hip", "right_hip", "tail"), (("left_hip", "right_hip"),), "pelvis")


def resnet(skeleton: Skeleton, **options: Any) -> PoseResNet:
    return PoseResNet(18, len(skeleton), **options)


def v2v(skeleton: Skeleton) -> V2V:
    return V2V(VOLUME_CHANNELS, len(skeleton), width=6, depth=2)


MODELS: dict[str, Callable[[], Model]] = {
    "ransac": lambda: Ransac(resnet(H36M_17), H36M_17, threshold_px=11.0, huber_px=3.0, refine=False),
    "algebraic": lambda: Algebraic(
        resnet(H36M_17, joint_confidences=True, colours="bgr", style="caffe"),
        H36M_17,
        heatmap_multiplier=50.0,
        profile=REFERENCE,
        image_hw=(256, 128),
    ),
    "algebraic of movenet": lambda: Algebraic(
        MoveNetBackbone("lightning", joint_confidences=True), COCO_17, heatmap_softmax=False
    ),
    "algebraic of our own joints": lambda: Algebraic(resnet(OWN), OWN, use_confidences=False),
    "volumetric": lambda: Volumetric(
        resnet(PANOPTIC_19, feature_confidences=True),
        v2v(PANOPTIC_19),
        PANOPTIC_19,
        Cube(2000.0, (8, 12, 16), up="-y", exchanged=True),
        "conf_norm",
        volume_softmax=False,
        volume_multiplier=3.0,
    ),
}


@pytest.fixture(params=MODELS, scope="module")
def model(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(0)
    made = MODELS[request.param]()
    for buffer in made.buffers():  # statistics that are nobody's default
        if buffer.is_floating_point():
            buffer.add_(0.01)
    return made


def test_round_trip(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    again = load_model(path)
    assert type(again) is type(model) and not again.training
    assert config_of(again) == config_of(model)
    assert again.skeleton == model.skeleton or again.skeleton.names == OWN.names
    ours, theirs = model.state_dict(), again.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_config_survives_json(model: Model) -> None:
    config = config_of(model)
    assert read_config(written(config), Path("x")) == config


@pytest.mark.parametrize("side", ["1e308", "1e400", "NaN", "Infinity", "-2500.0", "0", '"wide"', "null"])
def test_a_config_of_no_possible_side_is_refused(side: str) -> None:
    config = written(config_of(MODELS["volumetric"]()))
    assert config.count('"side_mm":2000.0') == 1
    with pytest.raises(InputError, match=r"^x: the model's config cannot be used .*side_mm"):
        read_config(config.replace('"side_mm":2000.0', f'"side_mm":{side}'), Path("x"))


def test_a_loaded_model_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, cameras, _ = scene(2, samples=1, image_hw=(128, 160))
    model = MODELS["algebraic"]().eval()
    save_model(model, tmp_path / "a.safetensors")
    with torch.inference_mode():
        ours, theirs = model(images, cameras), load_model(tmp_path / "a.safetensors")(images, cameras)
    assert torch.equal(ours.points_mm, theirs.points_mm) and torch.equal(ours.confidence, theirs.confidence)


@pytest.mark.parametrize("name", NAMED)
def test_models_that_come_along(name: str) -> None:
    model = load_model(name)
    height, width = model.image_hw
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        movenet = load_movenet(name.removeprefix("ransac-"))  # pyright: ignore[reportArgumentType]
        assert torch.equal(model.backbone(images).heatmaps, movenet(images).heatmaps)


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(InputError, match="no model file ransac-thunderr.*ransac-thunder, ransac-lightning"):
        load_model("ransac-thunderr")


@pytest.fixture(scope="module")
def volumetric_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save_model(MODELS["volumetric"](), path)
    return path.read_bytes()


def changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write the file again with another config: changed in place, or the text that `change` returns."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    config = json.loads(header["__metadata__"]["trivox_model"])
    text = change(config)
    save_file(load_file(path), path, {"trivox_model": text if isinstance(text, str) else json.dumps(config)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(method=None), "method"),
        (lambda c: c.update(method="magic"), "magic"),
        (lambda c: c.update(cube=None), "cube"),
        (lambda c: c.update(surprise=1), "surprise"),
        (lambda c: c["backbone"].update(depth=19), "depth"),
        (lambda c: c["backbone"].update(surprise=1), "surprise"),
        (lambda c: c["v2v"].update(width=10**9), "width"),
        (lambda c: c["v2v"].update(depth=10**9), "depth"),
        (lambda c: c["cube"].update(size=[10**6] * 3), "size"),
        (lambda c: c["cube"].update(size=[10] * 3), "cannot be halved"),
        (lambda c: c["cube"].update(side_mm=-1), "side_mm"),
        (lambda c: c.update(joints=["a"] * 19), "joints twice"),
        (lambda c: c.update(joints=[]), "joints"),
        (lambda c: c.update(joints=c["joints"][:18]), "another shape"),
        (lambda c: c["v2v"].update(width=1000), "another shape"),
        (lambda c: c["v2v"].update(depth=1), r"unknown \("),
        (lambda c: c["backbone"].update(depth=34), r"missing \(backbone"),
        (lambda c: c.update(image_hw=[0, 0]), "image_hw"),
        (lambda c: "{", "Invalid JSON"),
        (lambda c: "[" * 10000, "Invalid JSON"),
        (lambda c: "null", "all of it|config"),
    ],
)
def test_a_wrong_config_is_refused(
    tmp_path: Path, volumetric_file: bytes, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(volumetric_file)
    changed(path, change)
    with pytest.raises(InputError, match=said):
        load_model(path)


def test_tensors_without_a_config_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="trivox weights import"):
        load_model(tmp_path / "model.pth")
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="does not say of which model"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"\xff" * 9, b"PK\x03\x04"])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a safetensors file"):
        load_model(path)


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    model = MODELS["ransac"]()
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        save_model(model, tmp_path / "model.pth")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_model(model, tmp_path / "file" / "model.safetensors")
    with pytest.raises(InputError, match="backbone of type Tiny"):
        save_model(Ransac(Tiny(), COCO_17), tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_backbone_moves_into_another_method(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "a.safetensors"
    source = Algebraic(resnet(H36M_17, joint_confidences=True), H36M_17)
    save_model(source, path)
    target = Volumetric(resnet(H36M_17, feature_confidences=True), v2v(H36M_17), H36M_17, Cube(2500.0, 8), "conf")
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    new = load_backbone(target, path)
    after, given = target.state_dict(), source.state_dict()
    assert {name.split(".")[0 if name[0] != "b" else 1] for name in new} == {
        *("vol_confidences", "process_features", "volume_net")
    }
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name] if name in new else given[name]), name
    with pytest.raises(InputError, match="another shape"):
        load_backbone(Ransac(resnet(PANOPTIC_19), PANOPTIC_19), path)
