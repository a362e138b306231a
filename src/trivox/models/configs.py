"""What a model is made of, as plain data: enough to build it again, and what a weights file says of itself.

`config_of` reads a model and `built` makes one, so that models know nothing of configs. What the file of a stranger
says is validated by `read_config`: unknown keys and impossible numbers are refused, and nothing large is made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch import nn

from trivox.errors import InputError
from trivox.geometry.skeletons import Skeleton, skeleton_of
from trivox.geometry.volumes import Aggregation, Cube
from trivox.geometry.volumes.cube import LARGEST_SIDE_MM, Axis
from trivox.models.algebraic import Algebraic
from trivox.models.backbones import VOLUME_CHANNELS, MoveNetBackbone
from trivox.models.pose_resnet import BLOCKS, BasicBlock, Bottleneck, Depth, PoseResNet, Style
from trivox.models.profile import PROFILES
from trivox.models.ransac import Ransac
from trivox.models.v2v import DEPTHS, V2V, WIDTHS, Front
from trivox.models.volumetric import Inputs, Volumetric

Model = Ransac | Algebraic | Volumetric

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SideMm = Annotated[float, Field(gt=0, le=LARGEST_SIDE_MM, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=32, le=8192)]
Voxels = Annotated[int, Field(ge=2, le=512)]


class _Strict:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class PoseResNetConfig(_Strict):
    """See `PoseResNet`; its colours are the profile's."""

    kind: Literal["pose_resnet"] = "pose_resnet"
    depth: Depth
    style: Style
    joint_confidences: bool
    feature_confidences: bool


@dataclass(frozen=True, kw_only=True)
class MoveNetConfig(_Strict):
    """See `MoveNetBackbone`. `weights`: those that come with the package, which a model file then lacks, or others."""

    kind: Literal["movenet"] = "movenet"
    name: Literal["lightning", "thunder"]
    weights: Literal["bundled", "own"] = "own"
    reads: bool = True
    joint_confidences: bool
    feature_confidences: bool


BackboneConfig = Annotated[PoseResNetConfig | MoveNetConfig, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class V2VConfig(_Strict):
    """See `V2V`."""

    width: Annotated[int, Field(ge=WIDTHS[0], le=WIDTHS[-1])] = 32
    depth: Annotated[int, Field(ge=DEPTHS[0], le=DEPTHS[-1])] = 5
    front: Front = 7


@dataclass(frozen=True, kw_only=True)
class CubeConfig(_Strict):
    """See `Cube`."""

    side_mm: SideMm
    size: tuple[Voxels, Voxels, Voxels]
    up: Axis
    exchanged: bool


@dataclass(frozen=True, kw_only=True)
class _Common(_Strict):
    """What every model has. `joints` are the names of the skeleton, in order; `image_hw` what it was trained with."""

    joints: Annotated[tuple[str, ...], Field(min_length=1, max_length=1024)]
    profile: Literal["trivox", "reference"]
    image_hw: tuple[Side, Side]
    backbone: BackboneConfig


@dataclass(frozen=True, kw_only=True)
class RansacConfig(_Common):
    """See `Ransac`."""

    method: Literal["ransac"] = "ransac"
    threshold_px: Positive
    huber_px: Positive
    refine: bool


@dataclass(frozen=True, kw_only=True)
class AlgebraicConfig(_Common):
    """See `Algebraic`."""

    method: Literal["algebraic"] = "algebraic"
    use_confidences: bool
    heatmap_softmax: bool
    heatmap_multiplier: Positive
    huber_px: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class VolumetricConfig(_Common):
    """See `Volumetric`."""

    method: Literal["volumetric"] = "volumetric"
    aggregation: Aggregation
    inputs: Inputs = "features"
    cube: CubeConfig
    v2v: V2VConfig
    volume_softmax: bool
    volume_multiplier: Positive
    passes: Annotated[int, Field(ge=1, le=8)] = 1
    agree_px: Positive | None = None


ModelConfig = Annotated[RansacConfig | AlgebraicConfig | VolumetricConfig, Field(discriminator="method")]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(ModelConfig)


def read_config(text: str, path: Path) -> RansacConfig | AlgebraicConfig | VolumetricConfig:
    """The config that the file at `path` carries as JSON. Raises `InputError` naming the first fault."""
    try:
        config = _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise InputError(
            f"{path}: the model's config cannot be used ({where}: {first['msg']}); correct that value, or save "
            "the model again with this version of trivox"
        ) from error
    if len(set(config.joints)) < len(config.joints):
        raise InputError(f"{path}: the model's config names joints twice; save the model again")
    return config


def written(config: RansacConfig | AlgebraicConfig | VolumetricConfig) -> str:
    """The config as JSON; the inverse of `read_config`."""
    return _ADAPTER.dump_json(config).decode()


def built(config: RansacConfig | AlgebraicConfig | VolumetricConfig) -> Model:
    """A new model, with the weights that its parts begin with."""
    common = {"profile": PROFILES[config.profile], "image_hw": config.image_hw}
    skeleton = skeleton_of(config.joints)
    backbone = _backbone(config, skeleton)
    if isinstance(config, RansacConfig):
        thresholds = {"threshold_px": config.threshold_px, "huber_px": config.huber_px}
        return Ransac(backbone, skeleton, refine=config.refine, **thresholds, **common)
    if isinstance(config, AlgebraicConfig):
        return Algebraic(
            backbone,
            skeleton,
            use_confidences=config.use_confidences,
            heatmap_softmax=config.heatmap_softmax,
            heatmap_multiplier=config.heatmap_multiplier,
            huber_px=config.huber_px,
            **common,
        )
    cube = config.cube
    return Volumetric(
        backbone,
        V2V(VOLUME_CHANNELS, len(skeleton), width=config.v2v.width, depth=config.v2v.depth, front=config.v2v.front),
        skeleton,
        Cube(cube.side_mm, cube.size, cube.up, cube.exchanged),
        config.aggregation,
        inputs=config.inputs,
        volume_softmax=config.volume_softmax,
        volume_multiplier=config.volume_multiplier,
        passes=config.passes,
        agree_px=config.agree_px,
        **common,
    )


def _backbone(config: _Common, skeleton: Skeleton) -> PoseResNet | MoveNetBackbone:
    part = config.backbone
    heads = {"joint_confidences": part.joint_confidences, "feature_confidences": part.feature_confidences}
    if isinstance(part, MoveNetConfig):
        return MoveNetBackbone(part.name, **heads, reads=part.reads)
    colours = PROFILES[config.profile].colours
    return PoseResNet(part.depth, len(skeleton), style=part.style, colours=colours, **heads)


def config_of(model: Model) -> RansacConfig | AlgebraicConfig | VolumetricConfig:
    """What the model is made of. Raises `InputError` for a backbone of the user's own."""
    common = {
        "joints": model.skeleton.names,
        "profile": model.profile.name,
        "image_hw": model.image_hw,
        "backbone": _backbone_config(model.backbone),
    }
    if isinstance(model, Ransac):
        return RansacConfig(threshold_px=model.threshold_px, huber_px=model.huber_px, refine=model.refine, **common)
    if isinstance(model, Algebraic):
        return AlgebraicConfig(
            use_confidences=model.use_confidences,
            heatmap_softmax=model.heatmap_softmax,
            heatmap_multiplier=model.heatmap_multiplier,
            huber_px=model.huber_px,
            **common,
        )
    cube, net = model.cube, model.volume_net
    return VolumetricConfig(
        aggregation=model.aggregation,
        inputs=model.inputs,
        cube=CubeConfig(side_mm=cube.side_mm, size=cube.xyz, up=cube.up, exchanged=cube.exchanged),
        v2v=V2VConfig(width=net.output_layer.in_channels, depth=net.depth, front=net.front),
        volume_softmax=model.volume_softmax,
        volume_multiplier=model.volume_multiplier,
        passes=model.passes,
        agree_px=model.agree_px,
        **common,
    )


def _backbone_config(backbone: object) -> PoseResNetConfig | MoveNetConfig:
    if isinstance(backbone, MoveNetBackbone):
        weights = "bundled" if backbone.is_bundled() else "own"
        reads = backbone.reader is not None
        return _with_heads(MoveNetConfig, backbone, name=backbone.name, weights=weights, reads=reads)
    if isinstance(backbone, PoseResNet):
        stages = (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
        depth = depth_of(tuple(map(len, stages)), isinstance(stages[0][0], Bottleneck))
        first = stages[1][0]
        assert isinstance(first, BasicBlock | Bottleneck)
        caffe = isinstance(first, Bottleneck) and first.conv1.stride == (2, 2)
        return _with_heads(PoseResNetConfig, backbone, depth=depth, style="caffe" if caffe else "simple")
    raise InputError(
        f"a model with a backbone of type {type(backbone).__name__} cannot be saved with its config; "
        "save its state_dict yourself"
    )


def _with_heads(
    config: Callable[..., Any], backbone: PoseResNet | MoveNetBackbone, **what: object
) -> PoseResNetConfig | MoveNetConfig:
    return config(
        joint_confidences=isinstance(backbone.alg_confidences, nn.Module),
        feature_confidences=isinstance(backbone.vol_confidences, nn.Module),
        **what,
    )


def depth_of(blocks: tuple[int, ...], bottlenecks: bool) -> Depth | None:
    """The depth of a PoseResNet of so many blocks per stage; None if there is none.

    34 in "caffe" style is the same network as 50 in "caffe" style.
    """
    depths = sorted(depth for depth, counts in BLOCKS.items() if counts == blocks)
    return None if not depths else depths[-1 if bottlenecks else 0]  # pyright: ignore[reportReturnType]
