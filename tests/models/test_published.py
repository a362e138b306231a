"""Checkpoints of the published system: all that tensors tell is checked, nothing else guessed, no code run."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models.tiny import scene
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.skeletons import H36M_17, MPII_16
from trivox.geometry.volumes import Cube
from trivox.models.algebraic import Algebraic
from trivox.models.backbones import VOLUME_CHANNELS
from trivox.models.configs import Model
from trivox.models.pose_resnet import PoseResNet
from trivox.models.profile import REFERENCE
from trivox.models.published import Choices, facts_of, published_model
from trivox.models.ransac import Ransac
from trivox.models.v2v import V2V
from trivox.models.volumetric import Volumetric
from trivox.models.weights import read_pickled

pytestmark = pytest.mark.usefixtures("one_thread")

PATH = Path("published.pth")
ALL = Choices(
    skeleton="h36m17",
    style="simple",
    image_size=(384, 384),
    refine=True,
    use_confidences=True,
    heatmap_softmax=True,
    heatmap_multiplier=100.0,
    aggregation="softmax",
    cube_side_mm=2500.0,
    cube_size=32,
    up="z",
    exchanged=False,
    volume_softmax=True,
    volume_multiplier=1.0,
)


def resnet(**options: Any) -> PoseResNet:
    return PoseResNet(18, 17, colours="bgr", **options)


def algebraic() -> dict[str, Tensor]:
    return Algebraic(resnet(joint_confidences=True), H36M_17).state_dict()


def volumetric(aggregation: str = "softmax") -> dict[str, Tensor]:
    backbone = resnet(feature_confidences=aggregation.startswith("conf"))
    v2v = V2V(VOLUME_CHANNELS, 17)
    return Volumetric(backbone, v2v, H36M_17, Cube(2500.0, 32), aggregation).state_dict()  # pyright: ignore


@pytest.fixture(scope="module")
def tensors() -> dict[str, dict[str, Tensor]]:
    torch.manual_seed(0)
    return {
        "backbone": resnet().state_dict(),
        "algebraic": algebraic(),
        "volumetric": volumetric(),
        "conf": volumetric("conf"),
    }


@pytest.mark.parametrize("kind", ["backbone", "algebraic", "volumetric", "conf"])
@pytest.mark.parametrize("form", ["plain", "old", "module", "state_dict", "no counters"])
def test_a_checkpoint_becomes_the_model_that_wrote_it(
    tensors: dict[str, dict[str, Tensor]], kind: str, form: str, tmp_path: Path
) -> None:
    content: Any = tensors[kind]
    if form == "module":
        content = {f"module.{name}": tensor for name, tensor in content.items()}
    if form == "state_dict":
        content = {"state_dict": content, "epoch": 3}
    if form == "no counters":
        content = {name: tensor for name, tensor in content.items() if not name.endswith("num_batches_tracked")}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=form != "old")
    choices = replace(ALL, aggregation="conf") if kind == "conf" else ALL
    model = published_model(read_pickled(tmp_path / "w.pth"), choices, PATH)
    assert isinstance(model, {"backbone": Ransac, "algebraic": Algebraic}.get(kind, Volumetric))
    assert model.profile is REFERENCE and model.skeleton is H36M_17 and not model.training
    given = {name if kind != "backbone" else f"backbone.{name}": t for name, t in tensors[kind].items()}
    own = model.state_dict()
    assert own.keys() == given.keys()
    assert all(torch.equal(own[name], given[name]) for name in own)


def test_a_published_model_runs(tensors: dict[str, dict[str, Tensor]]) -> None:
    images, cameras, _ = scene(2, samples=1, image_hw=(128, 128))
    model: Model = published_model(tensors["algebraic"], ALL, PATH)
    with torch.inference_mode():
        assert model(images, cameras).points_mm.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("backbone", {"skeleton", "image_size", "refine"}),
        ("algebraic", {"skeleton", "image_size", "heatmap_softmax", "heatmap_multiplier"}),
        (
            "volumetric",
            {"skeleton", "image_size", "aggregation", "cube_side_mm", "cube_size", "up", "exchanged"}
            | {"volume_softmax", "volume_multiplier"},
        ),
    ],
)
def test_what_tensors_cannot_tell_is_asked_for(
    tensors: dict[str, dict[str, Tensor]], kind: str, missing: set[str]
) -> None:
    with pytest.raises(InputError) as caught:
        published_model(tensors[kind], Choices(), PATH)
    flags = {word.strip(",") for word in str(caught.value).split() if word.startswith("--")}
    assert flags == {f"--{name.replace('_', '-')}" for name in missing} | {"--config"}
    for name in missing:
        with pytest.raises(InputError, match=f"state --{name.replace('_', '-')}, or"):
            published_model(tensors[kind], replace(ALL, **{name: None}), PATH)


def test_the_style_of_deep_networks_is_asked_for() -> None:
    with torch.device("meta"):
        deep = PoseResNet(50, 17).state_dict()
    with pytest.raises(InputError, match="state --style"):
        published_model(deep, replace(ALL, style=None), PATH)


@pytest.mark.parametrize("style", ["simple", "caffe"])
@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_blocks_tell_the_depth(depth: int, style: str) -> None:
    with torch.device("meta"):
        tensors = PoseResNet(depth, 16, style=style).state_dict()  # pyright: ignore[reportArgumentType]
    facts = facts_of(tensors, PATH)
    assert (facts.depth, facts.joints) == (50 if (depth, style) == (34, "caffe") else depth, 16)


@pytest.mark.parametrize(
    ("kind", "stated", "said"),
    [
        ("algebraic", {"depth": 50}, "depth is stated as 50, but by its tensors it is 18"),
        ("algebraic", {"joints": 16}, "joints is stated as 16"),
        ("algebraic", {"skeleton": MPII_16.name}, "one of 17 joints"),
        ("algebraic", {"style": "caffe"}, "style is stated as caffe, but by its tensors it is simple"),
        ("algebraic", {"use_confidences": False}, "use_confidences is stated as False"),
        ("volumetric", {"aggregation": "conf"}, "sum, max or softmax"),
        ("conf", {"aggregation": "sum"}, "conf or conf_norm"),
        ("volumetric", {"cube_size": 48}, "48x48x48 voxels cannot be halved 5 times"),
        ("volumetric", {"cube_size": 2**20}, "--cube-size is stated as 1048576.*correct that option"),
        ("volumetric", {"cube_side_mm": -1.0}, "--cube-side-mm is stated as -1.0.*correct that option"),
        ("volumetric", {"volume_multiplier": 0.0}, "--volume-multiplier is stated as 0.0.*correct that option"),
        ("algebraic", {"heatmap_multiplier": float("nan")}, "--heatmap-multiplier is stated as nan.*correct that"),
        ("algebraic", {"image_size": (1, 1)}, r"--image-size is stated as \(1, 1\).*correct that option"),
        ("algebraic", {"skeleton": "nobody"}, "no skeleton 'nobody'"),
    ],
)
def test_what_contradicts_or_cannot_be_is_refused(
    tensors: dict[str, dict[str, Tensor]], kind: str, stated: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        published_model(tensors[kind], replace(ALL, **stated), PATH)


@pytest.mark.parametrize("kind", ["backbone", "algebraic", "volumetric"])
def test_other_tensors_are_refused_with_the_list(tensors: dict[str, dict[str, Tensor]], kind: str) -> None:
    first, *_, bias = [name for name in tensors[kind] if not name.endswith("num_batches_tracked")]
    changed = dict(tensors[kind])
    changed["something.else"] = torch.zeros(2)
    del changed[first]
    changed[bias] = torch.zeros(5, 4)
    with pytest.raises(InputError) as caught:
        published_model(changed, ALL, PATH)
    said = str(caught.value)
    prefix = "backbone." if kind == "backbone" else ""
    assert f"1 missing ({prefix}{first})" in said and f"1 unknown ({prefix}something.else)" in said
    assert f"1 of another shape ({prefix}{bias} is 5x4, not 17)" in said


def test_tensors_of_another_system_are_refused() -> None:
    for tensors in ({}, {"a": torch.zeros(3)}, {"backbone.layer1.x": torch.zeros(3)}):
        with pytest.raises(InputError, match="no checkpoint of the published system"):
            facts_of(tensors, PATH)


@pytest.mark.parametrize("method", ["algebraic", "volumetric"])
def test_a_backbone_under_a_new_head(tensors: dict[str, dict[str, Tensor]], method: Any) -> None:
    model = published_model(tensors["backbone"], replace(ALL, aggregation="conf"), PATH, method)
    assert isinstance(model, Algebraic if method == "algebraic" else Volumetric)
    own = model.state_dict()
    assert all(torch.equal(own[f"backbone.{name}"], tensor) for name, tensor in tensors["backbone"].items())
    assert any("_confidences." in name for name in own)
    with pytest.raises(InputError, match="a head of its own"):
        published_model(tensors["algebraic"], ALL, PATH, method)


class Evil:
    """Pickled code: unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "code ran")


@pytest.mark.parametrize("old", [False, True])
def test_code_is_refused_and_not_run(tmp_path: Path, old: bool) -> None:
    victim = tmp_path / "victim"
    torch.save({"a": torch.zeros(2), "b": Evil(victim)}, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"a": Evil(victim)}))
    for name in ("w.pth", "plain.pth"):
        with pytest.raises(InputError, match="nothing in it was run"):
            read_pickled(tmp_path / name)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "no state dict but list"),
        ({}, "no state dict but dict"),
        (torch.zeros(3), "no state dict but Tensor"),
        ({"a": 1, "b": torch.zeros(2)}, r"other things than tensors \(a\)"),
        ({1: torch.zeros(2)}, r"other things than tensors \(1\)"),
        ({"a": torch.zeros(2).bool()}, r"other things than tensors \(a\)"),
        ({"a": torch.zeros(2).to_sparse()}, "other things|nothing in it"),
        ({"a": torch.tensor([torch.nan])}, "a holds NaN"),
        ({"a": torch.zeros(2), "module.a": torch.zeros(2)}, "twice"),
        ({"module.a": torch.zeros(2), "module.module.a": torch.zeros(2)}, "twice"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: object, said: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=said):
        read_pickled(tmp_path / "w.pth")


@pytest.mark.parametrize("times", [0, 1, 3])
def test_prefixes_of_parallel_training_are_taken_off(tmp_path: Path, times: int) -> None:
    torch.save({"module." * times + "a.module.b": torch.ones(2)}, tmp_path / "w.pth")
    assert read_pickled(tmp_path / "w.pth").keys() == {"a.module.b"}


def test_no_file_is_refused(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "folder"), (tmp_path / "nowhere.pth", "there is no file")):
        with pytest.raises(InputError, match=said):
            read_pickled(path)


@pytest.mark.parametrize("old", [False, True])
@settings(max_examples=150)
@given(data=st.data())
def test_damaged_checkpoints_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, old: bool, data: Any
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "w.pth"
    torch.save({"a.weight": torch.ones(3, 2), "b": torch.ones(4)}, path, _use_new_zipfile_serialization=not old)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        tensors = read_pickled(path)
    except InputError:
        return
    assert all(isinstance(tensor, Tensor) for tensor in tensors.values())
