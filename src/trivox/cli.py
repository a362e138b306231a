"""The command line. Same names as in Python; every mistake of input ends in one sentence and exit code 2.

The classes are the commands, their fields the options, the texts under the fields the help. What a command needs is
imported when it runs, so that `trivox --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tyro
from tyro.conf import AvoidSubcommands, OmitSubcommandPrefixes, Positional, arg, subcommand

from trivox.errors import InputError

if TYPE_CHECKING:
    from trivox.data.labels import Labels
    from trivox.evaluation_report import Report
    from trivox.geometry.rig import Rig


def _unset(metavar: str) -> object:
    """An option that has no value unless given; its help says so by saying nothing."""
    return arg(metavar=metavar, help_behavior_hint="")


RigPath = Annotated[Positional[Path], arg(metavar="RIG")]
Method = Literal["ransac", "linear"]
Aggregation = Literal["sum", "max", "softmax", "conf", "conf_norm"]
SkeletonName = Literal[
    "coco17", "h36m17", "mpii16", "panoptic19", "body25b", "body25", "coco18", "mmpose_h36m17", "mpi3dhp17"
]
# fmt: off
ProtocolName = Literal[
    "human36m-absolute", "human36m-relative", "panoptic-absolute", "panoptic-relative", "elbows-wrists-knees",
    "limbs", "absolute", "relative", "people", "parts",
]
# fmt: on
Units = Annotated[Literal["mm", "cm", "m"] | None, _unset("{mm,cm,m}")]


@dataclass(frozen=True, kw_only=True)
class WithRig:
    """Commands that begin with a calibration, and options for what its file does not say."""

    rig: RigPath
    """Calibration file (formats: docs/formats.md)."""
    units: Units = None
    """Unit of the calibration's lengths, where its format does not tell."""
    up: Annotated[Literal["x", "-x", "y", "-y", "z", "-z"] | None, _unset("{x,-x,y,-y,z,-z}")] = None
    """World axis that points up, where the format does not tell."""
    image_size: Annotated[tuple[int, int] | None, _unset("HEIGHT WIDTH")] = None
    """Size of the calibrated pictures in pixels, where the format does not tell."""
    subject: Annotated[str | None, _unset("NAME")] = None
    """Whose cameras to take, for a calibration of several subjects (Human3.6M)."""

    def load_rig(self) -> Rig:
        from trivox.files.calibrations import load_rig

        return load_rig(self.rig, units=self.units, up=self.up, image_size=self.image_size, subject=self.subject)


@dataclass(frozen=True, kw_only=True)
class People(WithRig):
    """What `predict` and `triangulate` share."""

    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results."""
    people: Annotated[int, arg(metavar="N")] = 1
    """How many people to follow: those seen by the most views, then the largest, come first."""
    cameras: Annotated[tuple[str, ...], _unset("NAME [NAME ...]")] = ()
    """Camera names in the order of the files, where the file names do not tell; comes after the files."""

    def check_files(self, files: Sequence[Path]) -> None:
        if self.cameras and not files:
            raise InputError(
                f"--cameras takes every word after it, here {len(self.cameras)}, so that no file is left; "
                "put it after the files"
            )


@dataclass(frozen=True, kw_only=True)
class Predict(People):
    """Synchronized videos or image folders of a rig in, 3D joints in millimetres out."""

    videos: Annotated[Positional[tuple[Path, ...]], _unset("VIDEO [VIDEO ...]")]
    """One video or image folder per camera, named like the cameras."""
    method: Annotated[
        Literal["ransac", "linear", "algebraic", "volumetric"] | None, _unset("{ransac,linear,algebraic,volumetric}")
    ] = None
    """Robust over all pairs of views (ransac, the default without weights); linear, weighted by score; or that of
    --weights."""
    weights: Annotated[str | None, _unset("FILE")] = None
    """Model that gives the joints: a file of `trivox weights import` or save_model, or the name of one that comes
    along."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """In which a model of --weights computes; bfloat16 is faster where the machine has it."""
    skeleton: Annotated[SkeletonName | None, _unset(f"{{{','.join(get_args(SkeletonName))}}}")] = None
    """Joints to give; those of the network unless given (coco17 without --weights)."""
    image_fit: Annotated[Literal["scale", "left", "center", "right"] | None, _unset("{scale,left,center,right}")] = None
    """How pictures of another size than calibrated sit in the calibrated frame."""
    fps: Annotated[float | None, _unset("RATE")] = None
    """Frame rate of image folders; videos tell their own."""

    def run(self) -> None:
        from trivox.predict import predict

        self.check_files(self.videos)
        predict(
            self.load_rig(),
            self.videos,
            out=self.out,
            cameras=self.cameras or None,
            method=self.method,
            weights=self.weights,
            people=self.people,
            skeleton=self.skeleton,
            image_fit=self.image_fit,
            fps=self.fps,
            precision=self.precision,
        )
        _print_result(self.out)


@dataclass(frozen=True, kw_only=True)
class Triangulate(People):
    """2D keypoints in (OpenPose, COCO, MMPose, DeepLabCut, anipose), 3D joints out."""

    keypoints: Annotated[Positional[tuple[Path, ...]], _unset("KEYPOINTS [KEYPOINTS ...]")]
    """One keypoint file or folder per camera, named like the cameras."""
    method: Method = "ransac"
    """Robust over all pairs of views, or linear weighted by score; both refined."""
    skeleton: Annotated[SkeletonName | None, _unset(f"{{{','.join(get_args(SkeletonName))}}}")] = None
    """Joints of the files, where they do not name them."""
    fps: Annotated[float | None, _unset("RATE")] = None
    """Frame rate, for the times in the exports (30 unless given)."""

    def run(self) -> None:
        from trivox.triangulate_files import triangulate_files

        self.check_files(self.keypoints)
        triangulate_files(
            self.load_rig(),
            self.keypoints,
            out=self.out,
            cameras=self.cameras or None,
            method=self.method,
            people=self.people,
            skeleton=self.skeleton,
            fps=self.fps,
        )
        _print_result(self.out)


@dataclass(frozen=True, kw_only=True)
class Show(WithRig):
    """Tell what a calibration holds: sizes, focal lengths, positions, distortion."""

    def run(self) -> None:
        from trivox.calibration_report import show

        print(show(self.load_rig()))


@dataclass(frozen=True, kw_only=True)
class Convert(WithRig):
    """Write a calibration in another format."""

    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """File to write; its name decides the format unless --format does."""
    format: Annotated[str | None, _unset("NAME")] = None
    """Format to write (docs/formats.md)."""
    out_units: Units = None
    """Unit to write, for formats that leave it open."""

    def run(self) -> None:
        from trivox.files.calibrations import save_rig

        _refuse_to_overwrite(self.out)
        save_rig(self.load_rig(), self.out, format=self.format, units=self.out_units)
        print(f"wrote {self.out}")


@dataclass(frozen=True, kw_only=True)
class Check(WithRig):
    """Look for faults in a calibration. Exit code 1 where there are any."""

    def run(self) -> None:
        from trivox.calibration_report import check

        findings = check(self.load_rig())
        for sentence in (*findings.faults, *findings.remarks):
            print(sentence)
        if findings.faults:
            sys.exit(1)
        print(f"{self.rig}: no faults found")


@dataclass(frozen=True)
class Calibration:
    """Show, convert or check a calibration."""

    command: (
        Annotated[Show, subcommand("show")]
        | Annotated[Convert, subcommand("convert")]
        | Annotated[Check, subcommand("check")]
    )

    def run(self) -> None:
        self.command.run()


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Make a model file of a published checkpoint; what its tensors do not tell has to be stated."""

    action: Annotated[Positional[Literal["import"]], arg(metavar="import")]
    """What to do."""
    path: Annotated[Positional[Path], arg(metavar="PATH")]
    """Checkpoint (.pth) of a backbone, an algebraic or a volumetric model."""
    out: Annotated[Path, arg(metavar="FILE")]
    """Model file to write (.safetensors); it carries its own config."""
    config: Annotated[Path | None, _unset("YAML")] = None
    """The config that the checkpoint was trained with; the options below go before it."""
    new_head: Annotated[Literal["algebraic", "volumetric"] | None, _unset("{algebraic,volumetric}")] = None
    """Put the backbone under a new, untrained head (a backbone alone makes a RANSAC model)."""
    skeleton: Annotated[SkeletonName | None, _unset(f"{{{','.join(get_args(SkeletonName))}}}")] = None
    """Joints that the network was trained for."""
    style: Annotated[Literal["simple", "caffe"] | None, _unset("{simple,caffe}")] = None
    """Where its bottlenecks take their stride."""
    image_size: Annotated[tuple[int, int] | None, _unset("HEIGHT WIDTH")] = None
    """Size of the pictures it was trained with."""
    refine: Annotated[Literal["on", "off"] | None, _unset("{on,off}")] = None
    """RANSAC: minimise the reprojection error at the end."""
    use_confidences: Annotated[Literal["on", "off"] | None, _unset("{on,off}")] = None
    """Algebraic: weigh views by learned confidences."""
    heatmap_softmax: Annotated[Literal["on", "off"] | None, _unset("{on,off}")] = None
    """Algebraic: softmax of heatmaps (on), or their positive part."""
    heatmap_multiplier: Annotated[float | None, _unset("NUMBER")] = None
    """Algebraic: factor of heatmaps before that."""
    aggregation: Annotated[Aggregation | None, _unset(f"{{{','.join(get_args(Aggregation))}}}")] = None
    """Volumetric: how views are joined in a voxel."""
    cube_side_mm: Annotated[float | None, _unset("MM")] = None
    """Volumetric: edge of the cube."""
    cube_size: Annotated[int | None, _unset("N")] = None
    """Volumetric: voxels along an edge."""
    up: Annotated[Literal["x", "-x", "y", "-y", "z", "-z"] | None, _unset("{x,-x,y,-y,z,-z}")] = None
    """Volumetric: vertical of the world it was trained in."""
    exchanged: Annotated[Literal["on", "off"] | None, _unset("{on,off}")] = None
    """Volumetric: voxel axes turned as for CMU Panoptic."""
    volume_softmax: Annotated[Literal["on", "off"] | None, _unset("{on,off}")] = None
    """Volumetric: softmax of volumes (on), or their positive part."""
    volume_multiplier: Annotated[float | None, _unset("NUMBER")] = None
    """Volumetric: factor of volumes before that."""

    def run(self) -> None:
        from trivox.import_weights import import_weights

        files = ("action", "path", "out", "config", "new_head")
        stated = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in files}
        switches = {"on": True, "off": False}
        stated = {name: switches.get(value, value) for name, value in stated.items()}
        import_weights(self.path, self.out, config=self.config, new_head=self.new_head, **stated)
        print(f"wrote {self.out}")


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score 3D joints against their truth, by a named protocol (docs/protocols.md)."""

    predictions: Annotated[Positional[Path | None], _unset("PREDICTIONS")] = None
    """Result folder, file of poses (.npz, .trc, .csv), or results.pkl of the published system."""
    truth: Annotated[Path | None, _unset("FILE")] = None
    """File of true poses: .npz, .trc or .csv."""
    labels: Annotated[Path | None, _unset("DIR|FILE")] = None
    """Dataset, in place of --truth: a folder of scenes (docs/own-data.md) or of trivox prepare, or a label table."""
    protocol: Annotated[ProtocolName | None, _unset(f"{{{','.join(get_args(ProtocolName))}}}")] = None
    """What counts, and from where it is measured; unless given, what fits the truth."""
    part: Literal["train", "test", "both"] = "test"
    """Rows of the label table that were predicted."""
    split: Annotated[Path | None, _unset("YAML")] = None
    """File that splits frames into parts, in place of the dataset's own parts."""
    damaged: Literal["with", "without"] = "with"
    """Whether rows with truth known to be broken were predicted; each protocol decides whether they count."""
    every: Annotated[int, arg(metavar="N")] = 1
    """Of the test every n-th row was predicted."""
    recordings: Annotated[tuple[str, ...], _unset("NAME [NAME ...]")] = ()
    """Recordings that were predicted, by name, in place of a part."""
    skeleton: Annotated[SkeletonName | None, _unset(f"{{{','.join(get_args(SkeletonName))}}}")] = None
    """Joints of a results.pkl, or joints to take of another file."""
    units: Units = None
    """Unit of a results.pkl: mm unless given; of Panoptic the published programs write cm."""
    missing: Literal["refuse", "skip"] = "refuse"
    """Joints with truth but without prediction: refused, or left out of means and wrong in shares."""
    out: Annotated[Path | None, _unset("DIR")] = None
    """Folder for evaluation.json and evaluation.csv."""
    metric_json: Annotated[Path | None, _unset("FILE")] = None
    """Write the errors as the published system does."""
    compare: Annotated[Path | None, _unset("FILE")] = None
    """Another metric.json, to stand beside."""

    weights: Annotated[Path | None, _unset("MODEL")] = None
    """Model file, or a model that comes along by name, to run over the rows of --labels in place of PREDICTIONS."""
    pictures: Annotated[Path | None, _unset("DIR")] = None
    """With --weights: folder with the pictures of a label table (.npy) of the published system."""
    results_pkl: Annotated[Path | None, _unset("FILE")] = None
    """With --weights: keep the predictions as the published system does."""
    centres: Annotated[str, arg(metavar="{own,truth}|RESULTS_PKL")] = "own"
    """With a volumetric model: where its cubes are; found by itself, true, or from an earlier run on these rows."""
    cameras: Annotated[tuple[str, ...], _unset("NAME [NAME ...]")] = ()
    """With --weights: cameras to use; all unless given."""
    ignore_cameras: Annotated[tuple[str, ...], _unset("NAME [NAME ...]")] = ()
    """With --weights: cameras not to use."""
    scale_bbox: Annotated[float, arg(metavar="FACTOR")] = 1.0
    """With --weights: how much larger than the box pictures are cut."""
    undistort_images: Literal["on", "off"] = "off"
    """With --weights: undo the lens in the pictures; else cameras keep it."""
    unreadable: Literal["raise", "missing"] = "raise"
    """With --weights: stop at a picture that cannot be read, or take its view as missing."""
    batch_size: Annotated[int, arg(metavar="N")] = 8
    """With --weights: samples at a time."""
    workers: Annotated[int, arg(metavar="N")] = 2
    """With --weights: processes that read pictures."""
    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """With --weights: cpu, cuda; a GPU where there is one."""

    def run(self) -> None:
        from trivox.evaluation_inputs import Rows
        from trivox.evaluation_report import print_report

        if (self.predictions is None) == (self.weights is None):
            raise InputError("give either predictions or a model to make them (--weights)")
        rows = Rows(self.part, self.split, self.damaged, self.every, self.recordings)
        shared = ("protocol", "missing", "out", "metric_json", "compare")
        options = {"rows": rows, **{name: getattr(self, name) for name in shared}}
        print_report(self._of_files(options) if self.weights is None else self._of_model(options))

    def _of_files(self, options: dict[str, Any]) -> Report:
        from trivox.evaluate import evaluate

        assert self.predictions is not None
        files = {"truth": self.truth, "labels": self.labels}
        return evaluate(self.predictions, skeleton=self.skeleton, units=self.units, **files, **options)

    def _of_model(self, options: dict[str, Any]) -> Report:
        from trivox.evaluate_model import Running, Views, evaluate_model

        assert self.weights is not None
        if self.labels is None or self.truth is not None:
            raise InputError("a model is run over the rows of a label table; give --labels, and no --truth")
        centres = self.centres if self.centres in ("own", "truth") else Path(self.centres)
        undistort = self.undistort_images == "on"
        return evaluate_model(
            self.weights,
            labels=self.labels,
            pictures=self.pictures,
            views=Views(self.cameras, self.ignore_cameras, self.scale_bbox, undistort, self.unreadable),
            running=Running(self.batch_size, self.workers, self.device, centres, self.units or "mm"),
            results_pkl=self.results_pkl,
            **options,
        )


@dataclass(frozen=True, kw_only=True)
class PrepareDataset:
    """What both datasets share."""

    raw: Annotated[Positional[Path], arg(metavar="RAW")]
    """Folder of the downloads, unpacked."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for pictures and labels.json."""
    undistort: bool = False
    """Also write pictures with the lens undone."""
    published_labels: bool = False
    """Also write the label file (.npy) that the published system reads."""


@dataclass(frozen=True, kw_only=True)
class PrepareHuman36m(PrepareDataset):
    """Human3.6M: pictures from the videos, boxes from the masks, 3D from the CDF or h5 files."""

    cameras: Annotated[Path | None, _unset("FILE")] = None
    """Camera parameters: the published JSON or a metadata.xml; else the metadata.xml in RAW."""
    subjects: Annotated[tuple[str, ...], _unset("S [S ...]")] = ()
    """Only these of the seven subjects."""
    boxes: Annotated[Literal["masks", "joints"] | Path, arg(metavar="{masks,joints}|TABLE")] = "masks"
    """Of the ground-truth masks, around the projected joints, or of a table (.npy)."""
    every: Annotated[int, arg(metavar="N")] = 5
    """Take every N-th frame of the 50 Hz videos."""
    skip_missing: bool = False
    """Go on without files that are missing."""

    def run(self) -> None:
        from trivox.prepare import prepare_human36m

        options = {field.name: getattr(self, field.name) for field in fields(self)}
        _print_labels(prepare_human36m(options.pop("raw"), options.pop("out"), **options), self.out)


@dataclass(frozen=True, kw_only=True)
class PreparePanoptic(PrepareDataset):
    """CMU Panoptic: the official tree with videos or images; several people, each with box and identity."""

    kind: Literal["hd", "vga"] = "hd"
    """HD or VGA cameras, which have poses of their own."""
    sequences: Annotated[tuple[str, ...], _unset("NAME [NAME ...]")] = ()
    """Only these sequences."""
    cameras: Annotated[tuple[str, ...], _unset("NAME [NAME ...]")] = ()
    """Only these cameras (00_03)."""
    ignore_cameras: Annotated[tuple[str, ...], _unset("NAME [NAME ...]")] = ()
    """Not these cameras."""
    boxes: Annotated[Literal["joints", "detector"] | Path, arg(metavar="{joints,detector}|TABLE")] = "joints"
    """Around the projected joints, of the bundled detector, or of a table (.npy) or folder of detections."""
    every: Annotated[int, arg(metavar="N")] = 1
    """Take every N-th of the frames that have poses and pictures."""

    def run(self) -> None:
        from trivox.prepare import prepare_panoptic

        options = {field.name: getattr(self, field.name) for field in fields(self)}
        _print_labels(prepare_panoptic(options.pop("raw"), options.pop("out"), **options), self.out)


@dataclass(frozen=True)
class Prepare:
    """Make a dataset ready: pictures and labels from a raw download."""

    command: Annotated[PrepareHuman36m, subcommand("human36m")] | Annotated[PreparePanoptic, subcommand("panoptic")]

    def run(self) -> None:
        self.command.run()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Tell what a dataset holds and what is wrong with it (then: exit code 1)."""

    action: Annotated[Positional[Literal["check"]], arg(metavar="check")]
    """What to do."""
    dataset: Annotated[Positional[Path], arg(metavar="DIR|FILE")]
    """Folder of scenes (docs/own-data.md), of trivox prepare, or a label table."""
    out: Annotated[Path | None, _unset("PICTURE")] = None
    """Picture (.jpg, .png) to draw: one instant in all cameras, with truth and boxes."""
    recording: Annotated[str | None, _unset("NAME")] = None
    """Scene or recording to draw; the best seen unless given."""
    frame: Annotated[int | None, _unset("NUMBER")] = None
    """Frame to draw; the best seen unless given."""
    pictures: Annotated[Path | None, _unset("DIR")] = None
    """Folder with the pictures of a label table (.npy) of the published system."""

    def run(self) -> None:
        from trivox.dataset_check import check_dataset

        names = ("pictures", "out", "recording", "frame")
        report = check_dataset(self.dataset, **{name: getattr(self, name) for name in names})
        for line in (*report.facts, *([report.drawn] if report.drawn else [])):
            print(line)
        for kind, sentences in (("fault", report.findings.faults), ("remark", report.findings.remarks)):
            for sentence in sentences:
                print(f"{kind}: {sentence}")
        if report.findings.faults:
            sys.exit(1)
        print(f"{self.dataset}: no faults found" + ("" if self.out else "; --out PICTURE draws the truth to look at"))


@dataclass(frozen=True)
class Demo:
    """Run all on a small rendered scene that comes along; compare with its truth."""

    out: Path = Path("trivox-demo")
    """Folder for the results."""

    def run(self) -> None:
        from trivox.demo import run_demo

        score = run_demo(self.out)
        _print_result(self.out)
        print(
            f"compared with the exact truth of the rendered scene: mean {score.mean_mm:.1f} mm, median "
            f"{score.median_mm:.1f} mm over all joints (limbs: mean {score.limb_mean_mm:.1f} mm)"
        )


RigKind = Literal["ring", "corner", "one-sided", "ceiling", "tripod", "any"]


@dataclass(frozen=True, kw_only=True)
class Synth:
    """Render people in rooms, with exact truth, as a dataset (needs trivox[synth])."""

    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for the scenes."""
    scenes: Annotated[int, arg(metavar="N")] = 1
    """How many."""
    layout: Literal["scenes", "human36m", "panoptic"] = "scenes"
    """Folders and labels: trivox's own, Human3.6M's or CMU Panoptic's."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """The first scene; the same seed gives the same files."""
    world: Literal["train", "test", "both"] = "both"
    """Training and test scenes share no body, motion, rig or texture."""
    cameras: Annotated[tuple[int, int], arg(metavar="LOW HIGH")] = (4, 4)
    """Cameras of a scene, between these two numbers."""
    rigs: Annotated[tuple[RigKind, ...], arg(metavar="KIND [KIND ...]")] = get_args(RigKind)
    """Where cameras stand: ring, corner, one-sided, ceiling, tripod, any."""
    frames: Annotated[int, arg(metavar="N")] = 24
    """Instants of a scene."""
    fps: Annotated[float, arg(metavar="RATE")] = 12.0
    """Instants per second."""
    image_size: Annotated[tuple[int, int], arg(metavar="HEIGHT WIDTH")] = (480, 640)
    """Size of the pictures in pixels."""
    pictures: Literal["videos", "images"] = "videos"
    """Pictures of trivox's own layout; the others hold images."""
    motion: Annotated[Path | None, _unset("DIR")] = None
    """Folder of recorded clips (.npz, docs/synthetic.md); without one, motions are made of joint angles."""
    occlusion: Literal["none", "some", "heavy"] = "some"
    """Furniture and passers-by in the way."""
    effects: Literal["on", "off"] = "on"
    """Blur, noise, exposure, JPEG; off: clean pictures."""
    calibration_noise: Annotated[float, arg(metavar="AMOUNT")] = 0.0
    """Errors of the written calibration, 1 for a hasty one; truth and pictures stay exact."""
    time_offset_ms: Annotated[float, arg(metavar="MS")] = 0.0
    """Standard deviation of how late or early each camera is."""

    def run(self) -> None:
        from trivox.synth import dataset_words, synth
        from trivox.synthetic.scene import SceneOptions

        options = SceneOptions(
            cameras=self.cameras,
            rigs=self.rigs,
            frames=self.frames,
            fps=self.fps,
            image_hw=self.image_size,
            motion=self.motion,
            occlusion=self.occlusion,
            effects=self.effects == "on",
            calibration_noise=self.calibration_noise,
            time_offset_ms=self.time_offset_ms,
        )
        synth(self.out, self.scenes, self.layout, options, self.seed, self.world, self.pictures)
        print(f"wrote {self.scenes} scene{'s' * (self.scenes != 1)} to {self.out}")
        print(f"look at them: trivox dataset check {dataset_words(self.out, self.layout)} --out check.jpg")


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model as an experiment says (docs/training.md); the same command with --resume goes on."""

    experiment: Annotated[Positional[Path], arg(metavar="EXPERIMENT")]
    """YAML file of an experiment: ours (experiments/) or the published system's."""
    out: Annotated[Path | None, _unset("DIR")] = None
    """Folder of the run; runs/NAME unless given."""
    override: Annotated[tuple[str, ...], _unset("KEY=VALUE [KEY=VALUE ...]")] = ()
    """Settings that go before those of the file: optimizer.lr=1e-4."""
    resume: bool = False
    """Go on with the run in the folder from its last state."""

    def run(self) -> None:
        from trivox.train import train

        out = self.out or Path("runs") / self.experiment.stem
        last = train(self.experiment, out=out, overrides=self.override, resume=self.resume)
        if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
            print(f"trained: {last}; all of the run in {out}, to look at with `trivox board {out}`")


@dataclass(frozen=True, kw_only=True)
class ShowBoard:
    """Look at training runs in the browser (TensorBoard)."""

    runs: Annotated[Positional[Path], arg(metavar="DIR")] = Path("runs")
    """Folder of a run, or of many."""
    port: Annotated[int, arg(metavar="PORT")] = 6006
    """Where the page is served, on this machine only."""

    def run(self) -> None:
        from trivox.training.board import serve

        serve(self.runs, self.port)


Command = OmitSubcommandPrefixes[
    AvoidSubcommands[
        Annotated[Predict, subcommand("predict")]
        | Annotated[Triangulate, subcommand("triangulate")]
        | Annotated[Calibration, subcommand("calibration")]
        | Annotated[Weights, subcommand("weights")]
        | Annotated[Prepare, subcommand("prepare")]
        | Annotated[Dataset, subcommand("dataset")]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Train, subcommand("train")]
        | Annotated[ShowBoard, subcommand("board")]
        | Annotated[Demo, subcommand("demo")]
        | Annotated[Synth, subcommand("synth")]
    ]
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `trivox`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file name that the terminal's encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if arguments is None else arguments
    run = _print_version if list(words) == ["--version"] else lambda: _parsed(words).run()
    sys.exit(_guarded(run))


_DESCRIPTION = """\
Synchronized, calibrated videos of people in, 3D joints in millimetres out.
`trivox --version` tells which trivox this is."""


def _parsed(
    arguments: Sequence[str],
) -> Predict | Triangulate | Calibration | Weights | Prepare | Dataset | Evaluate | Train | ShowBoard | Demo | Synth:
    return tyro.cli(Command, prog="trivox", description=_DESCRIPTION, args=arguments)  # pyright: ignore


def _print_version() -> None:
    from importlib.metadata import version

    print(f"trivox {version('trivox')}")


def _guarded(run: Callable[[], None]) -> int:
    """Run a command; the user's mistakes are one sentence on the error stream and code 2, Ctrl-C is code 130."""
    try:
        run()
        sys.stdout.flush()
    except InputError as error:
        return _failed(str(error))
    except BrokenPipeError:
        # Whoever read our output (`| head`) has seen enough. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # What the file system says of odd paths: too long a name, no permission to look.
        where = "" if error.filename is None else f"{error.filename}: "
        return _failed(f"{where}{error.strerror or error}; check the path")
    except KeyboardInterrupt:
        print("trivox: stopped; what is done is kept, and the same command continues from there", file=sys.stderr)
        return 130
    return 0


def _failed(sentence: str) -> int:
    print(f"trivox: {sentence}", file=sys.stderr)
    return 2


def _refuse_to_overwrite(out: Path) -> None:
    """EasyMocap writes a pair of files: into the folder `out`, or beside the one of them that `out` names."""
    pair = ("intri.yml", "extri.yml")
    folder = out.parent if out.name in pair else out
    for path in (out, *(folder / name for name in pair)):
        if path.is_file():
            raise InputError(f"{path} exists and is not overwritten; remove it, or choose another name")


def _print_labels(labels: Labels, out: Path) -> None:
    views = int(labels.present.sum())
    recordings = len(set(labels.recording.tolist()))
    print(
        f"{labels.name}: {len(labels)} poses in {recordings} recordings, {views} views of "
        f"{len(labels.camera_names)} cameras; labels in {out / 'labels.json'} and {out / 'labels.npz'}"
    )


def _print_result(out: Path) -> None:
    from trivox.files.results import entries_of, load_summary
    from trivox.summary import read_summary, summary_table

    print(summary_table(read_summary(load_summary(out), out / "summary.json")))
    poses = [name for name in entries_of(out) if name.startswith("poses")]
    print(f"results in {out}: 3D in {', '.join(poses)}; 2D in keypoints/; rig.toml, summary.json, job.json")
