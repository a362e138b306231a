"""Samples as a frozen backbone sees them, kept on disk: drawn and looked at once, learned from many times.

On a laptop nearly all of the time of a step goes into making pictures and looking at them. A backbone that does not
learn says the same of a picture whenever it is asked, so what it says can be kept: an epoch then costs no more than the
parts that learn. Views, cubes and their turns are still drawn anew for every sample.

A file holds a rendered scene (all instants, all views), or a row of a label table (kept_rows.py), in half precision.
Each is written whole or not at all; those that are there already are not drawn again.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trivox.base.atomic import atomic_write
from trivox.data.samples import Sample, collate
from trivox.data.workers import batches_of
from trivox.errors import InputError
from trivox.files.text import read_text
from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import DistortionModel
from trivox.geometry.skeletons import converted, root_points
from trivox.models.backbones import BackboneOutput, MoveNetBackbone
from trivox.models.configs import Model
from trivox.models.folded import folded
from trivox.models.weights import write_safetensors
from trivox.progress import progress, say
from trivox.synthetic.joints import BODY_JOINTS
from trivox.synthetic.worlds import EDITION
from trivox.training.config import Augmentation, Experiment, RenderedData
from trivox.training.optimization import learning_rates
from trivox.training.processes import Processes
from trivox.training.rendered import RenderedScenes, check_up, chosen, with_views

_OUTPUTS = ("heatmaps", "features", "deepest", "scores", "places")
_CAMERAS = ("K", "R", "t_mm", "distortion", "image_hw")
_SETTINGS = "kept.json"


class Kept(ABC):
    """Files of samples in a folder, as the backbone of `model` sees them; what they are, subclasses say.

    fields  what a file holds besides the backbone's output, the cameras' fields and the keys.
    what    in a word.
    """

    model: Model
    folder: Path
    fields: ClassVar[tuple[str, ...]]
    what: ClassVar[str]

    @abstractmethod
    def __len__(self) -> int:
        """How many files."""

    @abstractmethod
    def path(self, number: int) -> Path:
        """The file."""

    @abstractmethod
    def samples(self, number: int) -> list[Sample]:
        """Those of a file, with pictures and with all the views that there are."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What decides the content of a file, besides its number and the backbone."""

    @abstractmethod
    def opened(self) -> KeptSamples:
        """All samples, out of the files."""

    def drawn(self, processes: Processes, workers: int) -> Kept:
        """Itself, after the first process has drawn whatever was not there yet."""
        if processes.is_first:
            self.draw(workers)
        processes.fabric.barrier()
        return self

    def draw(self, workers: int) -> None:
        """Draw those that are not there yet. Raises `InputError` where the folder holds other ones."""
        self._claim()
        missing = [number for number in range(len(self)) if not self.path(number).is_file()]
        if not missing:
            return
        say(
            f"drawing {len(missing)} {self.what}, once, into {self.folder}; what is there already is kept if this is "
            "stopped"
        )
        loader = DataLoader(
            _Drawing(self), sampler=missing, batch_size=None, num_workers=workers, worker_init_fn=_one_thread
        )
        with progress("drawing", len(self), len(self) - len(missing), unit=self.what) as advance:
            for _ in batches_of(loader):
                advance(1)

    def _claim(self) -> None:
        """Everything that decides what is in the files stands in the folder, and has to be the same later."""
        own = json.dumps(self.settings(), indent=1)
        path = self.folder / _SETTINGS
        if not path.is_file():
            with atomic_write(path) as temporary:
                temporary.write_text(own, encoding="utf-8")
        elif read_text(path) != own:
            raise InputError(
                f"{self.folder} keeps {self.what} that were drawn with other settings (see {path}); give another "
                "folder as data.kept, or remove this one"
            )

    def settings(self) -> dict[str, Any]:
        """What decides the content of a file, besides its number."""
        backbone = self.model.backbone
        if not isinstance(backbone, MoveNetBackbone) or not backbone.is_bundled():
            raise InputError(
                "data.kept is for MoveNet as it was published; leave it out, or set model.backbone.kind to movenet and "
                "no weights of another backbone"
            )
        image_hw, profile = self.model.image_hw, self.model.profile.name
        own = {"image_hw": image_hw, "profile": profile, "backbone": backbone.name}
        return json.loads(json.dumps({"format": 2} | self.described() | own))


def pictures_varied(vary: Augmentation) -> dict[str, Any]:
    """The part of an augmentation that changes pictures."""
    return {name: value for name, value in asdict(vary).items() if not name.endswith(("cubes", "cubes_mm"))}


@dataclass(frozen=True)
class KeptScenes(Kept):
    """The scenes of `data` in the folder `data.kept`, a file each."""

    data: RenderedData
    model: Model
    vary: Augmentation
    seed: int
    fields: ClassVar[tuple[str, ...]] = ("present", "boxes_px", "points_mm", "row")
    what: ClassVar[str] = "scenes"

    @property
    def folder(self) -> Path:  # pyright: ignore[reportIncompatibleVariableOverride]
        assert self.data.kept is not None
        return self.data.kept

    def __len__(self) -> int:
        return self.data.scenes

    def path(self, number: int) -> Path:
        return self.folder / f"{self.data.world}-{self.data.first + number:07d}.safetensors"

    def samples(self, number: int) -> list[Sample]:
        """With the joints of the synthetic world, so that models of any skeleton learn from them."""
        return self._scenes[number]

    @cached_property
    def _scenes(self) -> RenderedScenes:
        data = self.data
        return RenderedScenes(data, self.model, data.scenes, data.first, self.vary, self.seed, BODY_JOINTS)

    def described(self) -> dict[str, Any]:
        data = asdict(self.data)
        for name in ("kept", "scenes", "first", "motion"):
            del data[name]
        motion = None if self.data.motion is None else self.data.motion.name
        return {
            "world": EDITION, "data": data, "motion": motion, "pictures": pictures_varied(self.vary), "seed": self.seed
        }  # fmt: skip

    def opened(self) -> KeptSceneSamples:
        return KeptSceneSamples(self)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


class _Drawing(Dataset[int]):
    """Item n draws the samples of file n, looks at them, and writes it."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    @cached_property
    def backbone(self) -> MoveNetBackbone:
        """Ready for pictures, in this process."""
        return folded(cast(MoveNetBackbone, self.kept.model.backbone))

    def __getitem__(self, number: int) -> int:
        samples = self.kept.samples(number)
        write_safetensors(
            self.kept.path(number), self._tensors(samples), {"keys": json.dumps([s.key for s in samples])}
        )
        return number

    @torch.inference_mode()
    def _tensors(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        batch = Sample.stack(samples)
        tensors = {name: getattr(batch, name) for name in self.kept.fields}
        tensors |= {f"cameras.{name}": getattr(batch.cameras, name) for name in _CAMERAS}
        looked = [self.backbone(sample.images) for sample in samples]
        stacked = BackboneOutput.stack(looked)
        return tensors | {name: getattr(stacked, name).half() for name in _OUTPUTS}


class KeptSamples(Dataset[Sample], ABC):
    """All samples of the files, one after the other, with all the views that there are: at most `views`."""

    views: int

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, row: int) -> Sample: ...


def read_kept(path: Path, place: int, model: DistortionModel | Tensor = "opencv") -> tuple[dict[str, Any], str]:
    """Fields of sample number `place` of a file, its cameras (lenses of `model`) and what was looked at among them, and
    its key."""
    try:
        with safe_open(path, "pt") as file:
            key = json.loads(file.metadata()["keys"])[place]
            read = {name: file.get_slice(name)[place] for name in file.keys()}  # noqa: SIM118  # it is no dict
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it, and it is drawn again") from error
    K, R, t_mm, distortion, image_hw = (read.pop(f"cameras.{name}") for name in _CAMERAS)
    looked = BackboneOutput(**{name: read.pop(name) for name in _OUTPUTS})
    return read | {"cameras": Cameras(K, R, t_mm, distortion, model, image_hw), "looked": looked}, key


class KeptSceneSamples(KeptSamples):
    """Item n: instant n of the scenes, one after the other."""

    def __init__(self, kept: KeptScenes) -> None:
        check_up(kept.model)
        self.kept, self.instants, self.views = kept, kept.data.instants, kept.data.cameras[1]
        self.skeleton = kept.model.skeleton

    def __len__(self) -> int:
        return len(self.kept) * self.instants

    def __getitem__(self, row: int) -> Sample:
        scene, instant = divmod(row, self.instants)
        read, key = read_kept(self.kept.path(scene), instant)
        body_mm = read.pop("points_mm")
        known = torch.isfinite(body_mm).all(-1)
        root = root_points(body_mm, known, BODY_JOINTS)
        joints = converted(body_mm, known, BODY_JOINTS, self.skeleton)
        read["row"] = torch.tensor(row)
        return Sample(
            **read,
            images=torch.zeros(len(read["present"]), 3, 0, 0),
            points_mm=joints.points,
            valid=joints.valid,
            centre_mm=root.points[0],
            has_centre=root.valid[0],
            key=key,
        )


class KeptForScoring(Dataset[Sample]):
    """The same, but of every sample the same number of views, black where it has fewer."""

    def __init__(self, kept: Kept, views: int | None) -> None:
        self.samples = kept.opened()
        self.views = views or self.samples.views

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> Sample:
        return chosen(self.samples[row], self.views, (0,))


class KeptBatches:
    """Batches of an epoch, the share of this process of each: all samples, in an order of its own."""

    def __init__(self, experiment: Experiment, kept: Kept, share: int, shares: int) -> None:
        if learning_rates(experiment.optimizer)["backbone"] > 0:
            raise InputError("data.kept is for a backbone that does not learn; set optimizer.backbone_lr to 0")
        self.experiment, self.samples = experiment, kept.opened()
        size = experiment.optimizer.batch_size
        wanted = experiment.samples_per_epoch
        full = len(self.samples) // size
        self.steps = full if wanted is None else min(full, max(1, wanted // size))
        if not self.steps:
            raise InputError(
                f"{len(self.samples)} samples do not fill a batch of {size}; draw more of them, or take a smaller batch"
            )
        self.part = slice(share * size // shares, (share + 1) * size // shares)

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Sample]:
        """The batches of an epoch, from the `first` on."""
        experiment, size = self.experiment, self.experiment.optimizer.batch_size
        order = np.random.default_rng([experiment.seed, epoch]).permutation(len(self.samples))
        steps = [(number, order[number * size : (number + 1) * size][self.part]) for number in range(first, self.steps)]
        batches = _Batches(self.samples, experiment, epoch)
        workers = experiment.run.workers
        loader = DataLoader(batches, sampler=steps, batch_size=None, num_workers=workers)  # pyright: ignore[reportArgumentType]
        yield from batches_of(loader)


class _Batches(Dataset[Sample]):
    """A batch for its number and its rows."""

    def __init__(self, samples: KeptSamples, experiment: Experiment, epoch: int) -> None:
        self.samples, self.experiment, self.epoch = samples, experiment, epoch

    def __getitem__(self, step: tuple[int, np.ndarray]) -> Sample:
        number, rows = step
        batch = [self.samples[int(row)] for row in rows]
        return collate(with_views(batch, self.experiment, self.samples.views, self.epoch, number))
