"""Configs of the published system: what they say is taken, what they do not say stays open."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.files.reference_configs import ReferenceConfig, read_reference_config

ALGEBRAIC = """
title: "a run"
kind: "human36m"
image_shape: [384, 256]
opt: {lr: 0.00001}
model:
  name: "alg"
  use_confidences: true
  heatmap_multiplier: 100.0
  heatmap_softmax: false
  backbone: {name: "resnet152", style: "simple", num_joints: 17, num_layers: 152}
"""
VOLUMETRIC = """
image_shape: [384, 384]
model:
  name: "vol"
  kind: "KIND"
  volume_aggregation_method: "conf_norm"
  cuboid_side: 2500.0
  volume_size: 64
  volume_multiplier: 1.0
  volume_softmax: true
  backbone: {style: "caffe", num_joints: JOINTS, num_layers: 50}
"""


def read(tmp_path: Path, text: str) -> ReferenceConfig:
    (tmp_path / "config.yaml").write_text(text)
    return read_reference_config(tmp_path / "config.yaml")


def test_an_algebraic_config(tmp_path: Path) -> None:
    said = {name: value for name, value in asdict(read(tmp_path, ALGEBRAIC)).items() if value is not None}
    assert said == {
        "skeleton": "h36m17",
        "joints": 17,
        "depth": 152,
        "style": "simple",
        "image_size": (384, 256),
        "use_confidences": True,
        "heatmap_softmax": False,
        "heatmap_multiplier": 100.0,
    }


@pytest.mark.parametrize(
    ("kind", "joints", "skeleton", "up", "exchanged", "side_mm"),
    [
        ("mpii", 17, "h36m17", "z", False, 2500.0),
        ("mpii", 16, "mpii16", "z", False, 2500.0),
        ("coco", 17, "coco17", "-y", False, 2500.0),
        ("cmu", 19, "panoptic19", "-y", True, None),
        ("mpii", 23, None, "z", False, 2500.0),
    ],
)
def test_kinds(
    tmp_path: Path, kind: str, joints: int, skeleton: str | None, up: str, exchanged: bool, side_mm: float | None
) -> None:
    config = read(tmp_path, VOLUMETRIC.replace("KIND", kind).replace("JOINTS", str(joints)))
    assert (config.skeleton, config.up, config.exchanged, config.cube_side_mm) == (skeleton, up, exchanged, side_mm)
    assert (config.aggregation, config.cube_size, config.volume_softmax) == ("conf_norm", 64, True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("384, 256", "384", "image_shape is"),
        ("384, 256", "384, -1", "image_shape.1 is '-1'"),
        ("384, 256", "384, null", "image_shape is"),
        ("use_confidences: true", "use_confidences: maybe", "model.use_confidences is 'maybe', expected true or false"),
        ("100.0", "lots", "model.heatmap_multiplier is 'lots', expected a positive number"),
        ("100.0", ".nan", "heatmap_multiplier is 'nan'"),
        ('"simple"', '"fancy"', "style is 'fancy', expected one of simple, caffe"),
        ("num_joints: 17", "num_joints: 1.5", "num_joints is '1.5', expected a positive whole number"),
        ("backbone: {", "bone: {", "model.backbone is missing"),
        ("model:", "modell:", "model is missing"),
        ("title:", "title: [", "not valid YAML"),
        ("title:", "x: !!python/object/apply:os.getcwd []\ntitle:", "not valid YAML"),
    ],
)
def test_an_impossible_config_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in ALGEBRAIC
    with pytest.raises(InputError, match=said):
        read(tmp_path, ALGEBRAIC.replace(old, new))


@pytest.mark.parametrize("content", [b"", b"just words", b"\xff\xfe\x00", b"- 1\n- 2\n", b"[" * 5000])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_reference_config(tmp_path / "config.yaml")


@given(at=st.integers(0, len(ALGEBRAIC) - 1), text=st.text(max_size=4), cut=st.integers(0, 5))
def test_damaged_configs_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, text: str, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text(ALGEBRAIC[:at] + text + ALGEBRAIC[at + cut :], encoding="utf-8", errors="replace")
    try:
        read_reference_config(path)
    except InputError as error:
        assert "damaged.yaml" in str(error)


def test_a_real_config(data: Path) -> None:
    config = read_reference_config(data / "learnable_triangulation_formats" / "results_config.yaml")
    assert (config.skeleton, config.depth, config.style, config.aggregation) == ("h36m17", 152, "simple", "softmax")
    assert (config.image_size, config.cube_side_mm, config.cube_size) == ((384, 384), 2500.0, 64)
