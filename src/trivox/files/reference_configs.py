"""YAML configs of the published system ("Learnable Triangulation of Human Pose", experiments/*.yaml), as far as a
checkpoint needs one: what its tensors cannot tell.

`model.kind` says which skeleton and which vertical the network was trained for. Side lengths are millimetres, except
for kind "cmu", where some forks keep Panoptic's centimetres and others convert: there they are not taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivox.errors import InputError
from trivox.files.text import read_yaml

# Skeleton by kind and number of joints.
_SKELETONS = {
    ("human36m", 17): "h36m17",
    ("mpii", 17): "h36m17",
    ("mpii", 16): "mpii16",
    ("coco", 17): "coco17",
    ("cmu", 19): "panoptic19",
}
# Which way was up where it was trained. Of Panoptic's axis only the line matters to the published system: y, downwards.
_UP = {"human36m": "z", "mpii": "z", "coco": "-y", "cmu": "-y"}


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """None where the file says nothing. The names are those of `trivox.models.published.Choices`."""

    skeleton: str | None
    joints: int | None
    depth: int | None
    style: str | None
    image_size: tuple[int, int] | None
    refine: bool | None
    use_confidences: bool | None
    heatmap_softmax: bool | None
    heatmap_multiplier: float | None
    aggregation: str | None
    cube_side_mm: float | None
    cube_size: int | None
    up: str | None
    exchanged: bool | None
    volume_softmax: bool | None
    volume_multiplier: float | None


@dataclass(frozen=True, kw_only=True)
class ReferencePart:
    """The training or test part of the config's `dataset`."""

    root: str | None
    labels: str | None
    results: str | None
    split: str | None
    damaged: bool
    undistort: bool
    scale_bbox: float
    every: int
    cameras: tuple[str, ...]
    ignore_cameras: tuple[str, ...]
    min_views: int | None
    max_views: int | None


@dataclass(frozen=True, kw_only=True)
class ReferenceTraining:
    """What the config says of a training run. `method` is "ransac", "alg" or "vol"; rates are None where not given."""

    title: str
    method: str
    criterion: str
    threshold: float | None
    cross_entropy: float
    samples_per_epoch: int | None
    epochs: int
    batch_size: int
    test_batch_size: int
    lr: float
    features_lr: float | None
    volume_lr: float | None
    scale: float
    checkpoint: str | None
    backbone_checkpoint: str | None
    true_centres: bool
    dataset: str
    train: ReferencePart
    test: ReferencePart


@dataclass(frozen=True)
class _Section:
    """A mapping of the file, whose values are asked for by name and type."""

    path: Path
    name: str
    values: dict[Any, Any]

    def section(self, name: str) -> _Section:
        found = self.values.get(name)
        if not isinstance(found, dict):
            raise self._error(name, "a section of settings", found)
        return _Section(self.path, f"{self.name}{name}.", found)

    def text(self, name: str, allowed: tuple[str, ...] | None = None) -> str | None:
        found = self.values.get(name)
        if found is not None and (not isinstance(found, str) or (allowed and found not in allowed)):
            raise self._error(name, f"one of {', '.join(allowed)}" if allowed else "a word", found)
        return found

    def required_text(self, name: str, allowed: tuple[str, ...]) -> str:
        found = self.text(name, allowed)
        if found is None:
            raise self._error(name, f"one of {', '.join(allowed)}", found)
        return found

    def switch(self, name: str) -> bool | None:
        found = self.values.get(name)
        if found is not None and not isinstance(found, bool):
            raise self._error(name, "true or false", found)
        return found

    def whole(self, name: str) -> int | None:
        found = self.values.get(name)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 2**31):
            raise self._error(name, "a positive whole number", found)
        return found

    def number(self, name: str) -> float | None:
        found = self.values.get(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e30:
            raise self._error(name, "a positive number", found)
        return float(found)

    def size(self, name: str) -> tuple[int, int] | None:
        found = self.values.get(name)
        if found is None:
            return None
        if not isinstance(found, list) or len(found) != 2:
            raise self._error(name, "[height, width]", found)
        sides = _Section(self.path, f"{self.name}{name}.", {"0": found[0], "1": found[1]})
        height, width = sides.whole("0"), sides.whole("1")
        if height is None or width is None:
            raise self._error(name, "[height, width]", found)
        return height, width

    def names(self, name: str) -> tuple[str, ...]:
        found = self.values.get(name) or []
        if not isinstance(found, list):
            raise self._error(name, "a list of names", found)
        return tuple(map(str, found))

    def _error(self, name: str, expected: str, found: object) -> InputError:
        said = "missing" if found is None else f"{str(found)[:40]!r}"
        return InputError(f"{self.path}: {self.name}{name} is {said}, expected {expected}; correct the config")


def _top(path: Path) -> _Section:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings; give the config the checkpoint was trained with")
    return _Section(path, "", content)


def is_reference_config(content: Any) -> bool:
    """Whether plain data are a config of the published system."""
    model = content.get("model") if isinstance(content, dict) else None
    return isinstance(model, dict) and "name" in model and "opt" in content


def read_reference_training(path: Path) -> ReferenceTraining:
    """What the config says of a training run. Raises `InputError` as `read_reference_config` does."""
    top = _top(path)
    opt, model, dataset = top.section("opt"), top.section("model"), top.section("dataset")
    backbone = model.section("backbone")
    split = opt.text("frames_split_file")
    entropy = opt.number("volumetric_ce_loss_weight") if opt.switch("use_volumetric_ce_loss") else None
    return ReferenceTraining(
        title=top.text("title") or path.stem,
        method=model.required_text("name", ("ransac", "alg", "vol")),
        criterion=opt.required_text("criterion", ("MSE", "MSESmooth", "MAE")),
        threshold=opt.number("mse_smooth_threshold"),
        cross_entropy=entropy or 0.0,
        samples_per_epoch=opt.whole("n_objects_per_epoch"),
        epochs=opt.whole("n_epochs") or 9999,
        batch_size=opt.whole("batch_size") or 8,
        test_batch_size=opt.whole("val_batch_size") or 8,
        lr=opt.number("lr") or 1e-5,
        features_lr=opt.number("process_features_lr"),
        volume_lr=opt.number("volume_net_lr"),
        scale=opt.number("scale_keypoints_3d") or 1.0,
        checkpoint=model.text("checkpoint") if model.switch("init_weights") else None,
        backbone_checkpoint=backbone.text("checkpoint") if backbone.switch("init_weights") else None,
        true_centres=bool(model.switch("use_gt_pelvis")),
        dataset=dataset.text("kind") or "human36m",
        train=_part(dataset.section("train"), split),
        test=_part(dataset.section("val"), split),
    )


def _part(part: _Section, split: str | None) -> ReferencePart:
    random = part.switch("randomize_n_views")
    damaged = part.switch("with_damaged_actions")
    return ReferencePart(
        root=part.text("h36m_root") or part.text("cmu_root"),
        labels=part.text("labels_path"),
        results=part.text("pred_results_path") or None,
        split=split,
        damaged=bool(damaged),
        undistort=bool(part.switch("undistort_images")),
        scale_bbox=part.number("scale_bbox") or 1.0,
        every=part.whole("retain_every_n_frames_in_test") or 1,
        cameras=part.names("choose_cameras"),
        ignore_cameras=part.names("ignore_cameras"),
        min_views=part.whole("min_n_views") if random else None,
        max_views=part.whole("max_n_views") if random else None,
    )


def read_reference_config(path: Path) -> ReferenceConfig:
    """What the config says of the model. Raises `InputError` where it is no such file or a setting is impossible."""
    top = _top(path)
    model = top.section("model")
    backbone = model.section("backbone")
    kind = model.text("kind", tuple(_UP))
    joints = backbone.whole("num_joints")
    aggregation = model.text("volume_aggregation_method", ("sum", "max", "softmax", "conf", "conf_norm"))
    exchanged = model.switch("transfer_cmu_to_human36m") or kind == "cmu"
    return ReferenceConfig(
        skeleton=_SKELETONS.get((str(kind or top.text("kind")), joints or 0)),
        joints=joints,
        depth=backbone.whole("num_layers"),
        style=backbone.text("style", ("simple", "caffe")),
        image_size=top.size("image_shape"),
        refine=model.switch("direct_optimization"),
        use_confidences=model.switch("use_confidences"),
        heatmap_softmax=model.switch("heatmap_softmax"),
        heatmap_multiplier=model.number("heatmap_multiplier"),
        aggregation=aggregation,
        cube_side_mm=None if kind == "cmu" else model.number("cuboid_side"),
        cube_size=model.whole("volume_size"),
        up=None if kind is None else _UP[kind],
        exchanged=exchanged if aggregation is not None else None,
        volume_softmax=model.switch("volume_softmax"),
        volume_multiplier=model.number("volume_multiplier"),
    )
