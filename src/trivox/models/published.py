"""Published checkpoints of Iskakov et al., "Learnable Triangulation of Human Pose" (ICCV 2019), as models of ours.

Names and shapes of the tensors tell the method, the backbone's depth, the joints and the heads, and must agree
with what is stated. What they cannot tell is never guessed: it is asked for, all at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.skeletons import skeleton_named
from trivox.geometry.volumes import Aggregation
from trivox.geometry.volumes.cube import Axis
from trivox.models.configs import (
    AlgebraicConfig,
    CubeConfig,
    Model,
    PoseResNetConfig,
    Positive,
    RansacConfig,
    Side,
    SideMm,
    V2VConfig,
    VolumetricConfig,
    Voxels,
    built,
    depth_of,
)
from trivox.models.pose_resnet import Depth, Style
from trivox.models.ransac import HUBER_PX, THRESHOLD_PX
from trivox.models.weights import check_tensors

Method = Literal["ransac", "algebraic", "volumetric"]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What tensors cannot tell of a checkpoint; None where nobody said. For the meaning see the models.

    `skeleton` is a name of SKELETONS; `joints` and `depth`, where given, only have to agree with the tensors.
    """

    skeleton: str | None = None
    joints: int | None = None
    depth: int | None = None
    style: Style | None = None
    image_size: tuple[Side, Side] | None = None
    refine: bool | None = None
    use_confidences: bool | None = None
    heatmap_softmax: bool | None = None
    heatmap_multiplier: Positive | None = None
    aggregation: Aggregation | None = None
    cube_side_mm: SideMm | None = None
    cube_size: Voxels | None = None
    up: Axis | None = None
    exchanged: bool | None = None
    volume_softmax: bool | None = None
    volume_multiplier: Positive | None = None


_CHOICES: TypeAdapter[Choices] = TypeAdapter(Choices)


@dataclass(frozen=True)
class Facts:
    """What tensors tell."""

    method: Method | None  # None: a backbone alone
    depth: Depth
    bottlenecks: bool
    joints: int
    joint_confidences: bool
    feature_confidences: bool


_BACKBONE_NEEDS = ("skeleton", "image_size")
_NEEDS: dict[Method, tuple[str, ...]] = {
    "ransac": ("refine",),
    "algebraic": ("heatmap_softmax", "heatmap_multiplier"),
    "volumetric": (
        *("aggregation", "cube_side_mm", "cube_size", "up", "exchanged"),
        *("volume_softmax", "volume_multiplier"),
    ),
}


def published_model(
    tensors: Mapping[str, Tensor], choices: Choices, path: Path, new_head: Method | None = None
) -> Model:
    """The model of a checkpoint's tensors (`read_pickled`), in the profile that it was trained with.

    A backbone alone makes a RANSAC model, which has no further weights; `new_head` makes it an algebraic or
    volumetric one, whose other weights are new and need training.
    Raises `InputError` where tensors are missing, unknown or of another shape, where they contradict `choices`,
    and where something they cannot tell is not stated.
    """
    facts = facts_of(tensors, path)
    if new_head is not None and facts.method is not None:
        raise InputError(
            f"{path} is a whole {facts.method} model, with a head of its own; leave --new-head out, "
            "or give a checkpoint of a backbone"
        )
    method = facts.method or new_head or "ransac"
    _check_possible(choices, path)
    _check_agreement(facts, choices, path)
    _check_stated(facts, method, choices, path, is_new=facts.method is None)
    config = _config(facts, method, choices, is_new=facts.method is None)
    model = built(config)
    own = model.state_dict()
    prefix = "" if facts.method is not None else "backbone."
    given = _with_counters({prefix + name: tensor for name, tensor in tensors.items()}, own)
    needed = {name: t for name, t in own.items() if facts.method or (name in given or not _is_new(name))}
    check_tensors(given, needed, path, f"this {method} model" if facts.method else "this backbone")
    model.load_state_dict({**own, **given})
    return model.eval()


def facts_of(tensors: Mapping[str, Tensor], path: Path) -> Facts:
    """What the tensors tell. Raises `InputError` where they are of no network of the published system."""
    prefix = "backbone." if any(name.startswith("backbone.") for name in tensors) else ""
    blocks = [_count(tensors, f"{prefix}layer{stage}.") for stage in (1, 2, 3, 4)]
    bottlenecks = f"{prefix}layer1.0.conv3.weight" in tensors
    depth = depth_of(tuple(blocks), bottlenecks)
    last = tensors.get(f"{prefix}final_layer.weight")
    if depth is None or last is None or last.ndim != 4:
        first = ", ".join(sorted(tensors)[:3])
        raise InputError(
            f"{path} is no checkpoint of the published system: a residual network of 18, 34, 50, 101 or 152 layers "
            f"with a final_layer is expected, it has {len(tensors)} tensors ({first}, ...); give another file"
        )
    is_volumetric = any(name.startswith("volume_net.") for name in tensors)
    method: Method | None = None if not prefix else "volumetric" if is_volumetric else "algebraic"
    heads = [any(name.startswith(f"{prefix}{kind}_confidences.") for name in tensors) for kind in ("alg", "vol")]
    return Facts(method, depth, bottlenecks, last.shape[0], *heads)


def _count(tensors: Mapping[str, Tensor], stage: str) -> int:
    """How many blocks a stage has."""
    return len({name.removeprefix(stage).split(".")[0] for name in tensors if name.startswith(stage)})


def _check_possible(choices: Choices, path: Path) -> None:
    stated = asdict(choices)
    try:
        _CHOICES.validate_python(stated)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise InputError(
            f"{path}: --{name.replace('_', '-')} is stated as {stated[name]}, which cannot be ({first['msg']}); "
            "correct that option, or the YAML of --config"
        ) from error


def _check_agreement(facts: Facts, choices: Choices, path: Path) -> None:
    # 34 layers in "caffe" style are the same network as 50.
    depths = {facts.depth, 34} if facts.depth == 50 and choices.style == "caffe" else {facts.depth}
    skeleton = None if choices.skeleton is None else len(skeleton_named(choices.skeleton))
    conf = None if choices.aggregation is None else choices.aggregation.startswith("conf")
    small_caffe = facts.depth < 50 and choices.style is not None and (choices.style == "caffe") != facts.bottlenecks
    for name, stated, wrong, found in (
        ("depth", choices.depth, choices.depth not in {None, *depths}, facts.depth),
        ("joints", choices.joints, choices.joints not in {None, facts.joints}, facts.joints),
        ("skeleton", choices.skeleton, skeleton not in {None, facts.joints}, f"one of {facts.joints} joints"),
        ("style", choices.style, small_caffe, "caffe" if facts.bottlenecks else "simple"),
        (
            "use_confidences",
            choices.use_confidences,
            facts.method == "algebraic" and choices.use_confidences not in {None, facts.joint_confidences},
            facts.joint_confidences,
        ),
        (
            "aggregation",
            choices.aggregation,
            facts.method == "volumetric" and conf not in {None, facts.feature_confidences},
            "conf or conf_norm" if facts.feature_confidences else "sum, max or softmax",
        ),
    ):
        if wrong:
            raise InputError(
                f"{path}: {name} is stated as {stated}, but by its tensors it is {found}; correct the statement or "
                "give the other checkpoint"
            )


def _check_stated(facts: Facts, method: Method, choices: Choices, path: Path, *, is_new: bool) -> None:
    needs = [*_BACKBONE_NEEDS, *_NEEDS[method]]
    if facts.depth >= 50:  # below, the blocks tell
        needs.append("style")
    if is_new and method == "algebraic":
        needs.append("use_confidences")
    missing = [name for name in needs if getattr(choices, name) is None]
    if missing:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise InputError(
            f"{path}: its tensors do not tell everything; state {flags}, or give the YAML it was trained with "
            "as --config"
        )


def _config(
    facts: Facts, method: Method, choices: Choices, *, is_new: bool
) -> RansacConfig | AlgebraicConfig | VolumetricConfig:
    c: Any = choices  # what is needed is there: _check_stated
    conf = method == "volumetric" and c.aggregation.startswith("conf")
    by_blocks: Style = "caffe" if facts.bottlenecks else "simple"
    backbone = PoseResNetConfig(
        depth=facts.depth,
        style=c.style if facts.depth >= 50 else by_blocks,
        joint_confidences=facts.joint_confidences or (is_new and method == "algebraic" and c.use_confidences),
        feature_confidences=facts.feature_confidences or conf,
    )
    common = {
        "joints": skeleton_named(c.skeleton).names,
        "profile": "reference",
        "image_hw": c.image_size,
        "backbone": backbone,
    }
    if method == "ransac":
        return RansacConfig(threshold_px=THRESHOLD_PX, huber_px=HUBER_PX, refine=c.refine, **common)
    if method == "algebraic":
        return AlgebraicConfig(
            use_confidences=backbone.joint_confidences,
            heatmap_softmax=c.heatmap_softmax,
            heatmap_multiplier=c.heatmap_multiplier,
            **common,
        )
    return VolumetricConfig(
        aggregation=c.aggregation,
        cube=CubeConfig(side_mm=c.cube_side_mm, size=(c.cube_size,) * 3, up=c.up, exchanged=c.exchanged),
        v2v=V2VConfig(),
        volume_softmax=c.volume_softmax,
        volume_multiplier=c.volume_multiplier,
        **common,
    )


def _with_counters(tensors: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Batch norm's count of batches, which old versions of torch did not save, and nothing here reads."""
    absent = {name for name in own if name.endswith(".num_batches_tracked")} - tensors.keys()
    known = {name for name in absent if name.replace("num_batches_tracked", "running_mean") in tensors}
    return {**tensors, **{name: torch.zeros((), dtype=torch.int64) for name in known}}


def _is_new(name: str) -> bool:
    """Tensors that a checkpoint of a backbone need not have."""
    return not name.startswith("backbone.") or "_confidences." in name
