"""An experiment: everything that decides what a training run computes, as plain data.

Frozen dataclasses beside what they configure, filled from YAML by `experiment_files.py`. A run is given by its
experiment alone: every random number follows from `seed`, the epoch and the row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic_core import PydanticCustomError

from trivox.geometry.skeletons import skeleton_named
from trivox.geometry.volumes import Aggregation
from trivox.geometry.volumes.cube import Axis
from trivox.models.configs import (
    AlgebraicConfig,
    CubeConfig,
    MoveNetConfig,
    PoseResNetConfig,
    Positive,
    Side,
    SideMm,
    V2VConfig,
    VolumetricConfig,
    Voxels,
)
from trivox.models.pose_resnet import Depth, Style
from trivox.models.volumetric import Inputs

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


def unfit(key: str, sentence: str) -> PydanticCustomError:
    """Values that do not go together, of which `key` (in the same part of the file) is to blame."""
    return PydanticCustomError("unfit", "{sentence}", {"key": key, "sentence": sentence})


class Strict:
    """Unknown keys are refused, and a number is no text."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class PoseResNetOptions(Strict):
    """The paper's backbone."""

    kind: Literal["pose_resnet"] = "pose_resnet"
    depth: Depth = 152
    style: Style = "simple"


@dataclass(frozen=True, kw_only=True)
class MoveNetOptions(Strict):
    """The bundled backbone, already trained: 17 joints, those of COCO until it is tuned."""

    kind: Literal["movenet"] = "movenet"
    name: Literal["lightning", "thunder"] = "thunder"


BackboneOptions = Annotated[PoseResNetOptions | MoveNetOptions, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class CommonModelOptions(Strict):
    """`weights`: a model file to begin from. Of the same method it is taken whole, of another one its backbone is."""

    skeleton: str = "h36m17"
    image_hw: tuple[Side, Side] = (384, 384)
    profile: Literal["trivox", "reference"] = "trivox"
    backbone: BackboneOptions = field(default_factory=PoseResNetOptions)
    weights: Path | None = None

    def common(self, *, joints: bool = False, features: bool = False) -> dict:
        """Fields that every config of a model has; the backbone with these heads for confidences."""
        part = self.backbone
        heads: dict[str, Any] = {"joint_confidences": joints, "feature_confidences": features}
        backbone = (
            MoveNetConfig(name=part.name, **heads)
            if isinstance(part, MoveNetOptions)
            else PoseResNetConfig(depth=part.depth, style=part.style, **heads)
        )
        names = skeleton_named(self.skeleton).names
        return {"joints": names, "profile": self.profile, "image_hw": self.image_hw, "backbone": backbone}


@dataclass(frozen=True, kw_only=True)
class AlgebraicOptions(CommonModelOptions):
    """See `models.algebraic.Algebraic`."""

    method: Literal["algebraic"] = "algebraic"
    use_confidences: bool = True
    heatmap_softmax: bool = True
    heatmap_multiplier: Positive = 100.0
    huber_px: Positive | None = None

    def config(self) -> AlgebraicConfig:
        """What the model is made of."""
        return AlgebraicConfig(
            use_confidences=self.use_confidences,
            heatmap_softmax=self.heatmap_softmax,
            heatmap_multiplier=self.heatmap_multiplier,
            huber_px=self.huber_px,
            **self.common(joints=self.use_confidences),
        )


@dataclass(frozen=True, kw_only=True)
class CubeOptions(Strict):
    """See `geometry.volumes.Cube`."""

    side_mm: SideMm = 2500.0
    size: Voxels = 64
    up: Axis = "z"
    exchanged: bool = False


@dataclass(frozen=True, kw_only=True)
class VolumetricOptions(CommonModelOptions):
    """See `models.volumetric.Volumetric`."""

    method: Literal["volumetric"] = "volumetric"
    aggregation: Aggregation = "softmax"
    inputs: Inputs = "features"
    cube: CubeOptions = field(default_factory=CubeOptions)
    v2v: V2VConfig = field(default_factory=V2VConfig)
    volume_softmax: bool = True
    volume_multiplier: Positive = 1.0
    passes: Annotated[int, Field(ge=1, le=8)] = 1
    agree_px: Positive | None = None

    def config(self) -> VolumetricConfig:
        """What the model is made of."""
        cube = self.cube
        return VolumetricConfig(
            aggregation=self.aggregation,
            inputs=self.inputs,
            cube=CubeConfig(
                side_mm=cube.side_mm, size=(cube.size, cube.size, cube.size), up=cube.up, exchanged=cube.exchanged
            ),
            v2v=self.v2v,
            volume_softmax=self.volume_softmax,
            volume_multiplier=self.volume_multiplier,
            passes=self.passes,
            agree_px=self.agree_px,
            **self.common(features=self.aggregation.startswith("conf")),
        )


ModelOptions = Annotated[AlgebraicOptions | VolumetricOptions, Field(discriminator="method")]


@dataclass(frozen=True, kw_only=True)
class LabelData(Strict):
    """Rows of a label table: Human3.6M, CMU Panoptic, or one's own; see `data.dataset.DatasetOptions`.

    `pictures` is the folder with the pictures of a table of the published system. `split` is a file that splits
    frames. Of the test every `every`-th row is taken. `centres`: results.pkl of an earlier run over the same rows
    (with `every` = 1), whose root joints are the cubes' centres.

    `kept` is a folder for what a frozen MoveNet says of the pictures (training/kept_rows.py): they are read, varied and
    looked at once, and are the same in every epoch.
    """

    kind: Literal["labels"] = "labels"
    labels: Path
    pictures: Path | None = None
    part: Literal["train", "test", "both"] = "train"
    split: Path | None = None
    every: Count = 1
    damaged: Literal["with", "without"] = "with"
    cameras: tuple[str, ...] = ()
    ignore_cameras: tuple[str, ...] = ()
    scale_bbox: Positive = 1.0
    undistort_images: bool = False
    unreadable: Literal["raise", "missing"] = "raise"
    centres: Path | None = None
    kept: Path | None = None


@dataclass(frozen=True, kw_only=True)
class RenderedData(Strict):
    """Scenes of the synthetic world, drawn while training runs; see `synthetic.scene.SceneOptions`.

    `scenes` is how many an epoch has (other ones in every epoch of training), `first` the first seed. `scale_bbox` is
    how much larger than the person's joints pictures are cut. Scenes take turns among the kinds of `occlusion`.

    `kept` is a folder for what a frozen MoveNet says of the scenes (training/kept.py): they are drawn once, with their
    pictures varied once, and are the same in every epoch.
    """

    kind: Literal["rendered"] = "rendered"
    world: Literal["train", "test"] = "train"
    scenes: Count = 64
    first: Annotated[int, Field(ge=0)] = 0
    instants: Count = 8
    fps: Positive = 2.0
    cameras: tuple[Count, Count] = (4, 4)
    rigs: tuple[str, ...] = ("ring", "corner", "one-sided", "ceiling", "tripod", "any")
    size_hw: tuple[Count, Count] = (384, 512)
    occlusion: tuple[Literal["none", "some", "heavy"], ...] = ("some",)
    effects: bool = True
    motion: Path | None = None
    calibration_noise: NotNegative = 0.0
    time_offset_ms: NotNegative = 0.0
    scale_bbox: Positive = 1.2
    kept: Path | None = None


Data = Annotated[LabelData | RenderedData, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class ViewsOptions(Strict):
    """How many views the samples of a batch have, drawn evenly between these for every batch; None takes all."""

    min: Count | None = None
    max: Count | None = None

    def __post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise unfit("min", f"views.min is {self.min} and views.max {self.max}; put the smaller number first")


@dataclass(frozen=True, kw_only=True)
class Augmentation(Strict):
    """How training data are varied. Cameras follow exactly what happens to pictures.

    turn_cubes       cubes stand at a random angle about the vertical, one for each sample.
    shift_cubes_mm   standard deviation of the cubes' centres along each axis: nobody knows them exactly later.
    scale_box        boxes are scaled by a factor between 1 / (1 + this) and 1 + this,
    shift_box        and shifted by at most this share of their side, each view on its own.
    roll_deg         standard deviation of a turn of each picture in its plane.
    brightness, contrast, colour  picture values are scaled, stretched about their mean, and their channels scaled by
                     factors between 1 - this and 1 + this, each view on its own.
    """

    turn_cubes: bool = True
    shift_cubes_mm: NotNegative = 0.0
    scale_box: NotNegative = 0.0
    shift_box: Share = 0.0
    roll_deg: NotNegative = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    colour: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class LossOptions(Strict):
    """See `losses.py`. Joints are multiplied by `scale` (the paper: 0.1, centimetres) before they are compared.

    `threshold` belongs to "mse_smooth", in squares of the scaled unit. `cross_entropy` is the weight of the volumetric
    cross-entropy; an algebraic model has none.
    """

    joints: Literal["mse", "mse_smooth", "mae"] = "mae"
    threshold: Positive = 400.0
    scale: Positive = 0.1
    cross_entropy: NotNegative = 0.01


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions(Strict):
    """Adam, or AdamW where there is `weight_decay`.

    lr             learning rate of all that has none of its own below; 0 keeps a part as it is (frozen).
    backbone_lr    the network that looks at pictures, without its confidence heads.
    heads_lr       confidence heads.
    features_lr    volumetric: the convolution between backbone and cube.
    volume_lr      volumetric: the network over voxels.
    schedule       constant after the warm-up, or falling to zero as a cosine, or linearly, until the last step.
    clip           the largest norm of the gradient.
    accumulate     a batch is computed in so many parts, one after the other: less memory, the same result.
    ema            share of the averaged weights that stays in each step; None: no averaging.
    batch_norm     "frozen": statistics stay, those of new parts are measured before the first step. "live": every
                   batch has its own, as published; several processes need GPUs for it.
    freeze_after   with "live": from this share of the steps on statistics are measured once more and stay. Live ones
                   are of one number of views in every batch, those that are kept of all; what learns gets used to them.
    """

    lr: NotNegative = 1e-3
    backbone_lr: NotNegative | None = None
    heads_lr: NotNegative | None = None
    features_lr: NotNegative | None = None
    volume_lr: NotNegative | None = None
    weight_decay: NotNegative = 0.0
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    clip: Positive | None = None
    batch_size: Count = 8
    accumulate: Count = 1
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    batch_norm: Literal["frozen", "live"] = "frozen"
    freeze_after: Share | None = None

    def __post_init__(self) -> None:
        if self.freeze_after is not None and self.batch_norm == "frozen":
            raise unfit(
                "freeze_after",
                "optimizer.freeze_after is for live batch norm, and optimizer.batch_norm is frozen from the first step "
                "on; set batch_norm to live, or leave freeze_after out",
            )


@dataclass(frozen=True, kw_only=True)
class Evaluating(Strict):
    """Held-out data, scored by `protocol` (that of the dataset unless given) after every epoch.

    In a file, `data` without a `kind` is the test part of the label table that is trained on.

    `centres`: where cubes are; "truth" tells a volumetric model a part of the answer. `views`: so many views of each
    sample, the same ones every time; all unless given. `ransac`: RANSAC on the same heatmaps is scored beside
    the model, over the joints that both found (training/baseline.py).
    """

    data: Data
    protocol: str | None = None
    centres: Literal["own", "truth"] = "own"
    views: Count | None = None
    batch_size: Count = 8
    every_epochs: Count = 1
    ransac: bool = False


@dataclass(frozen=True, kw_only=True)
class RunOptions(Strict):
    """How a run is carried out: none of this changes what is learned, but for rounding.

    `precision`: a processor without bfloat16 computes in float32 in any case, and says so.

    `checkpoint_steps`: the state is saved at least so often, and after every epoch. `picture_steps`: pictures for
    TensorBoard.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    workers: Annotated[int, Field(ge=0)] = 2
    checkpoint_steps: Count = 500
    log_steps: Count = 10
    picture_steps: Count = 500
    tensorboard: bool = True


@dataclass(frozen=True, kw_only=True)
class Experiment(Strict):
    """A training run. An epoch has `samples_per_epoch` samples (the paper: 15000), all there are unless given."""

    title: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    epochs: Count = 10
    samples_per_epoch: Count | None = None
    model: ModelOptions
    data: Data
    views: ViewsOptions = field(default_factory=ViewsOptions)
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: LossOptions = field(default_factory=LossOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    evaluation: Evaluating | None = None
    run: RunOptions = field(default_factory=RunOptions)
