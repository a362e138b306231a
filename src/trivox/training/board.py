"""What TensorBoard shows of a run: numbers, and now and then pictures of what the model sees and says."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from trivox.data.samples import Sample
from trivox.drawing import draw_bones, drawable
from trivox.errors import InputError
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.triangulated import Triangulated

_FOUND, _TRUE = (255, 140, 0), (0, 200, 80)
_HEIGHT = 192


class Board:
    """Writes event files, after `step` steps of the run. Raises `InputError` where TensorBoard is not installed."""

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise InputError(
                "there is no TensorBoard here; install it (pip install 'trivox[train]'), or set run.tensorboard false"
            ) from error
        self.folder, self._usual_hook = folder, threading.excepthook
        threading.excepthook = self._of_threads
        with self._written():
            self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def numbers(self, group: str, record: Mapping[str, Any], step: int) -> None:
        """Every number of a record, under its group. Raises `InputError` where it cannot be written."""
        with self._written():
            for name, value in record.items():
                if isinstance(value, int | float) and name not in ("step", "epoch"):
                    self.writer.add_scalar(f"{group}/{name}", value, step)

    def pictures(self, batch: Sample, found: Triangulated, skeleton: Skeleton, step: int) -> None:
        """The first sample of a batch: its joints in every view, heatmaps, and its volume from three sides."""
        with self._written():
            for name, picture in pictures_of(batch, found, skeleton).items():
                self.writer.add_image(name, picture, step, dataformats="HWC")
            self.writer.flush()

    def close(self) -> None:
        """Write what is left. Where that fails, the numbers stand in metrics.jsonl all the same."""
        with suppress(OSError):
            self.writer.close()
        threading.excepthook = self._usual_hook

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"cannot write into {self.folder}: {error.strerror or error}; make room for it, and the same command "
                "with --resume goes on from the last state"
            ) from error

    def _of_threads(self, told: threading.ExceptHookArgs) -> None:
        """TensorBoard's thread prints what went wrong, besides handing it on to whoever writes next."""
        if not issubclass(told.exc_type, OSError):
            self._usual_hook(told)


def serve(runs: Path, port: int) -> None:
    """Serve the page of TensorBoard for all runs below a folder, until it is stopped. `InputError` where it cannot."""
    if not runs.is_dir():
        raise InputError(f"there is no folder {runs}; give that of a training run, or of several")
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--port", str(port)]
    if find_spec("tensorboard") is None:
        raise InputError("there is no TensorBoard here; install it: pip install 'trivox[train]'")
    if code := subprocess.run(command).returncode:
        raise InputError(f"TensorBoard stopped with code {code}; the reason stands above (another --port may help)")


def pictures_of(batch: Sample, found: Triangulated, skeleton: Skeleton) -> dict[str, np.ndarray]:
    """(h, w, 3) uint8 pictures of the first sample of a batch."""
    first, said = batch[:1], found[:1].map(lambda t: t.detach().cpu())
    views = [v for v, there in enumerate(first.present[0].tolist()) if there]
    images = [_seen(first, said, v) for v in views]
    scale = _HEIGHT / images[0].shape[0]
    ours = first.cameras.project(said.points_mm[:, None].double())[0] * scale
    theirs = first.cameras.project(first.points_mm[:, None].double())[0] * scale
    bones = [skeleton.indices(bone) for bone in skeleton.bones]
    drawn = []
    for v, image in zip(views, images, strict=True):
        picture = _with_skeleton(_resized(image), theirs[v], first.valid[0], bones, _TRUE)
        drawn.append(_with_skeleton(picture, ours[v], said.valid[0], bones, _FOUND))
    shown = {"joints (orange: found, green: true)": np.concatenate(drawn, 1)}
    if said.heatmaps is not None:
        maps = [_resized(_heat(said.heatmaps[0, v].amax(0))) for v in views]
        shown["heatmaps"] = np.concatenate(maps, 1)
    if said.volumes is not None:
        volume = said.volumes[0].amax(0)
        shown["volume from three sides"] = np.concatenate([_resized(_heat(volume.amax(d))) for d in range(3)], 1)
    return shown


def _seen(first: Sample, said: Triangulated, view: int) -> np.ndarray:
    """The picture of a view; its heatmaps where the backbone's answers were kept and the pictures were not."""
    image = first.images[0, view]
    if image.numel():
        return _picture(image)
    assert said.heatmaps is not None and first.cameras.image_hw is not None
    h, w = first.cameras.image_hw[0, view].tolist()
    return cv2.resize(_heat(said.heatmaps[0, view].amax(0)), (w, h), interpolation=cv2.INTER_LINEAR)


def _picture(image: Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0).float().cpu().clamp(0, 1) * 255).round().byte().numpy()


def _resized(picture: np.ndarray) -> np.ndarray:
    h, w = picture.shape[:2]
    return cv2.resize(picture, (round(w * _HEIGHT / h), _HEIGHT), interpolation=cv2.INTER_LINEAR)


def _heat(values: Tensor) -> np.ndarray:
    values = values.float()
    low, high = values.min(), values.max()
    grey = ((values - low) / (high - low).clamp_min(1e-12) * 255).byte().numpy()
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def _with_skeleton(
    picture: np.ndarray, points: Tensor, valid: Tensor, bones: list[Any], colour: tuple[int, int, int]
) -> np.ndarray:
    picture = np.ascontiguousarray(picture)
    pixels = points.numpy()
    draw_bones(picture, pixels, valid.numpy() & drawable(pixels), bones, [colour] * len(bones), 1)
    return picture
