"""trivox evaluate: files of predictions, or a model, against their truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from trivox.cli.options import Names, Skeleton, Units, one_of, unset
from trivox.errors import InputError

if TYPE_CHECKING:
    from trivox.evaluation_report import Report


# fmt: off
ProtocolName = Literal[
    "human36m-absolute", "human36m-relative", "panoptic-absolute", "panoptic-relative", "elbows-wrists-knees",
    "limbs", "absolute", "relative", "people", "parts",
]
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score 3D joints against their truth, by a named protocol (docs/protocols.md)."""

    predictions: Annotated[Positional[Path | None], unset("PREDICTIONS")] = None
    """Result folder, file of poses (.npz, .trc, .csv), or results.pkl of the published system."""
    truth: Annotated[Path | None, unset("FILE")] = None
    """File of true poses: .npz, .trc or .csv."""
    labels: Annotated[Path | None, unset("DIR|FILE")] = None
    """Dataset, in place of --truth: a folder of scenes (docs/own-data.md) or of trivox prepare, or a label table."""
    protocol: Annotated[ProtocolName | None, unset(one_of(ProtocolName))] = None
    """What counts, and from where it is measured; unless given, what fits the truth."""
    part: Literal["train", "test", "both"] = "test"
    """Rows of the label table that were predicted."""
    split: Annotated[Path | None, unset("YAML")] = None
    """File that splits frames into parts, in place of the dataset's own parts."""
    damaged: Literal["with", "without"] = "with"
    """Whether rows with truth known to be broken were predicted; each protocol decides whether they count."""
    every: Annotated[int, arg(metavar="N")] = 1
    """Of the test every n-th row was predicted."""
    recordings: Names = ()
    """Recordings that were predicted, by name, in place of a part."""
    skeleton: Skeleton = None
    """Joints of a results.pkl, or joints to take of another file."""
    units: Units = None
    """Unit of a results.pkl: mm unless given; of Panoptic the published programs write cm."""
    missing: Literal["refuse", "skip"] = "refuse"
    """Joints with truth but without prediction: refused, or left out of means and wrong in shares."""
    out: Annotated[Path | None, unset("DIR")] = None
    """Folder for evaluation.json and evaluation.csv."""
    metric_json: Annotated[Path | None, unset("FILE")] = None
    """Write the errors as the published system does."""
    compare: Annotated[Path | None, unset("FILE")] = None
    """Another metric.json, to stand beside."""

    weights: Annotated[Path | None, unset("MODEL")] = None
    """Model file, or a model that comes along by name, to run over the rows of --labels in place of PREDICTIONS."""
    pictures: Annotated[Path | None, unset("DIR")] = None
    """With --weights: folder with the pictures of a label table (.npy) of the published system."""
    results_pkl: Annotated[Path | None, unset("FILE")] = None
    """With --weights: keep the predictions as the published system does."""
    centres: Annotated[str, arg(metavar="{own,truth}|RESULTS_PKL")] = "own"
    """With a volumetric model: where its cubes are; found by itself, true, or from an earlier run on these rows."""
    cameras: Names = ()
    """With --weights: cameras to use; all unless given."""
    ignore_cameras: Names = ()
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
