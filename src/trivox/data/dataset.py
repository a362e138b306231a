"""Pictures and labels as samples: the torch dataset of every kind of label table.

What happens to each view of a row, in this order: its box is squared and scaled, its picture is read, the lens is
undone if asked for, the box is cut out and resized, and its camera follows. A model sees none of that: the cameras of a
sample are those of its pictures.

    labels = read_human36m_npy(path, root)
    dataset = PoseDataset(labels.selected(rows_of_parts(labels, ["train"])), DatasetOptions())
    loader = DataLoader(dataset, batch_sampler=ViewBatches(dataset.present, batch_size=8), collate_fn=collate)

**Lens.** Either the pictures are left as they are and the cameras of the samples have the lens, so that projections
follow it; or `undistort_images` undoes it, from pictures made beforehand or while loading, and the cameras have none.
This holds for every dataset alike. A network of other conventions takes
`labels.with_cameras(profile.recorded(labels.cameras))`.

**Missing pictures.** A view without box or camera is missing: black, and not `present`. A picture that should be there
and cannot be read is an `InputError` with its path, or a missing view too (`unreadable="missing"`).

**Pixels.** `"area"`, the default, averages exactly what each new pixel covers: OpenCV's INTER_AREA without its
rounding, and faster. `"opencv"` gives, byte for byte, what INTER_AREA makes of the picture, as the published system has
it. `"reduced"` decodes JPEGs at a half, quarter or eighth of their size where they are shrunk by more than that. It
saves a third of the decoding there, but is another, sharper filter: on real pictures (docs/formats.md) it differs by
0.6 to 1.1 grey levels on average, which is why it is not the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor
from torch.utils.data import Dataset

from trivox.data.area import cut_by_area, load_machine_code
from trivox.data.boxes import scaled, squared
from trivox.data.crops import cut_for_model
from trivox.data.labels import Labels
from trivox.data.picture_reading import PictureReader
from trivox.data.samples import Sample
from trivox.data.undistortion import undistorted_part
from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import root_points

# No person fills more than this in any picture; a larger box would only take memory.
_LARGEST_SIDE = 32_768
_LARGEST_SCALE = 100


@dataclass(frozen=True)
class DatasetOptions:
    """How samples are made of labels.

    choose_cameras    names of the cameras to use; all where empty.
    ignore_cameras    names of cameras not to use, stronger than `choose_cameras`.
    square_bbox       make boxes square first; square ones stay as they are.
    scale_bbox        then scale them about their middle.
    undistort_images  undo the lens in the pictures; else the cameras keep it.
    crop              cut out the box; else the whole picture is resized.
    image_hw          size of the pictures; None leaves each crop as large as it is.
    pixels            "area" (exact average), "opencv" (the bytes of the published system), "reduced" (faster).
    unreadable        "raise" where a picture cannot be read, or take the view as "missing".
    """

    choose_cameras: tuple[str, ...] = ()
    ignore_cameras: tuple[str, ...] = ()
    square_bbox: bool = True
    scale_bbox: float = 1.0
    undistort_images: bool = False
    crop: bool = True
    image_hw: tuple[int, int] | None = (384, 384)
    pixels: Literal["area", "opencv", "reduced"] = "area"
    unreadable: Literal["raise", "missing"] = "raise"

    def __post_init__(self) -> None:
        if not 0 < self.scale_bbox <= _LARGEST_SCALE:
            raise InputError(
                f"boxes cannot be scaled by {self.scale_bbox:g}; give a factor above 0, up to {_LARGEST_SCALE}"
            )


class Pick(NamedTuple):
    """One sample with some of its views only: what a batch sampler may ask a dataset for."""

    row: int
    views: tuple[int, ...]


class _View(NamedTuple):
    """One picture made ready: its size (h, w), and the box of the recorded picture that it shows."""

    size_hw: tuple[int, int]
    taken: tuple[int, int, int, int]
    image: Float32[np.ndarray, "3 h w"]


class PoseDataset(Dataset[Sample]):
    """Samples of all rows of `labels`, in their order. Raises `InputError` for cameras that it does not have.

    `centres_mm` (N, 3), say the root joints that an earlier run found, replace the root joint of the truth as centre.
    """

    def __init__(
        self, labels: Labels, options: DatasetOptions, centres_mm: Float32[np.ndarray, "N 3"] | None = None
    ) -> None:
        assert centres_mm is None or len(centres_mm) == len(labels), "a centre per row"
        self.labels, self.options, self.centres_mm = labels, options, centres_mm
        self.camera_indices = _chosen(labels.camera_names, options)
        self.camera_names = tuple(labels.camera_names[i] for i in self.camera_indices)
        boxes = labels.boxes_px[:, self.camera_indices]
        self.boxes_px = scaled(squared(boxes) if options.square_bbox else boxes, options.scale_bbox)
        self.present: Bool[np.ndarray, "N V"] = labels.present[:, self.camera_indices]
        self._reader = PictureReader(labels.pictures, options.undistort_images)
        load_machine_code()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | Pick) -> Sample:
        row, places = index if isinstance(index, Pick) else (int(index), range(len(self.camera_indices)))
        hw = self.options.image_hw
        # Pictures of a known size are made where they will be: copying them takes as long as making them.
        images = None if hw is None else torch.zeros(len(places), 3, *hw)
        views = [self._view(row, p, None if images is None else images[i].numpy()) for i, p in enumerate(places)]
        return self._sample(row, list(places), views, _filled_up(views) if images is None else images)

    def without_pictures(self, row: int) -> Sample:
        """All that is known of a row without looking: every view is missing."""
        places = list(range(len(self.camera_indices)))
        return self._sample(row, places, [None] * len(places), torch.zeros(len(places), 3, 0, 0))

    def boxes_of(self, row: int) -> Int[np.ndarray, "V 4"]:
        """What is cut out of the pictures of a row; training varies it."""
        return self.boxes_px[row]

    def _view(self, row: int, place: int, out: Float32[np.ndarray, "3 h w"] | None) -> _View | None:
        """The picture of one camera, in `out` where that is given, or None where the view is missing."""
        if not self.present[row, place]:
            return None
        camera = int(self.camera_indices[place])
        try:
            return self._read(row, camera, self.boxes_of(row)[place], out)
        except InputError as error:
            if self.options.unreadable == "missing":
                return None
            raise InputError(f"{self.labels.key(row)}: {error}") from error

    def _read(
        self, row: int, camera: int, box: Int[np.ndarray, "4"], out: Float32[np.ndarray, "3 h w"] | None
    ) -> _View:
        labels, options = self.labels, self.options
        recording = int(labels.recording[row])
        lens = labels.cameras[recording, camera]
        largest = self._largest_factor(box) if options.pixels == "reduced" else 1.0
        read = self._reader.read(
            labels.recordings[recording], labels.camera_names[camera], int(labels.frames[row]), lens, largest
        )
        left, top, right, bottom = (int(v) for v in box) if options.crop else (0, 0, *read.image_hw[::-1])
        if max(bottom - top, right - left) > _LARGEST_SIDE:
            raise InputError(f"a box of {right - left}x{bottom - top} pixels cannot be cut; correct the labels")
        size_hw = options.image_hw or (bottom - top, right - left)
        picture, (left_now, top_now) = read.picture, (left, top)
        if read.lens_remains and options.undistort_images:
            picture = undistorted_part(picture, lens, np.array([left, top, right, bottom]))
            left_now, top_now = min(left, 0), min(top, 0)
        box_now = (left_now, top_now, left_now + right - left, top_now + bottom - top)
        image = np.empty((3, *size_hw), np.float32) if out is None else out
        if read.factor == 1:
            cut_for_model(picture, box_now, image, "opencv" if options.pixels == "opencv" else "area")
        else:
            hw = (read.image_hw[0] / read.factor, read.image_hw[1] / read.factor)
            part = tuple(v / read.factor for v in box_now)
            cut_by_area(picture, (part[0], part[1], part[2], part[3]), image, hw)
        return _View(size_hw, (left, top, right, bottom), image)

    def _largest_factor(self, box: Int[np.ndarray, "4"]) -> float:
        """By how much pictures may be reduced before they are cut: not at all where every pixel is needed."""
        if self.options.image_hw is None or not self.options.crop:
            return 1.0
        return float(min((box[3] - box[1]) / self.options.image_hw[0], (box[2] - box[0]) / self.options.image_hw[1]))

    def _sample(self, row: int, places: list[int], views: Sequence[_View | None], images: Tensor) -> Sample:
        labels = self.labels
        present = torch.tensor([view is not None for view in views])
        truth, valid = torch.from_numpy(labels.points_mm[row]), torch.from_numpy(labels.valid[row])
        centre_mm, has_centre = self._centre(row, truth, valid)
        return Sample(
            images=images,
            present=present,
            cameras=self._cameras(row, places, views),
            boxes_px=torch.from_numpy(self.boxes_of(row)[places]),
            points_mm=truth,
            valid=valid,
            centre_mm=centre_mm,
            has_centre=has_centre,
            row=torch.tensor(row),
            key=labels.key(row),
        )

    def _cameras(self, row: int, places: list[int], views: Sequence[_View | None]) -> Cameras:
        """Cameras of the pictures. That of a missing view is the recorded one, said to have the size of the image."""
        recorded = self.labels.row_cameras(row)[torch.from_numpy(self.camera_indices[places])]
        if self.options.undistort_images:
            recorded = recorded.without_distortion()
        h, w = self.options.image_hw or (1, 1)
        taken = torch.tensor([view.taken if view is not None else (0, 0, w, h) for view in views]).to(recorded.K)
        size_hw = torch.tensor([view.size_hw if view is not None else (h, w) for view in views])
        cut = recorded.cropped(taken)
        assert cut.image_hw is not None
        factors = size_hw.to(taken) / cut.image_hw.to(taken)
        return replace(cut.scaled(factors.flip(-1)), image_hw=size_hw)

    def _centre(self, row: int, truth: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        if self.centres_mm is not None:
            return torch.from_numpy(self.centres_mm[row]), torch.tensor(True)
        root = root_points(truth, valid, self.labels.skeleton)
        return root.points[0], root.valid[0]


def _filled_up(views: Sequence[_View | None]) -> Float32[Tensor, "V 3 h w"]:
    """Pictures of different size, each in the top left corner of the largest size there is."""
    sizes = [view.size_hw for view in views if view is not None]
    images = torch.zeros(len(views), 3, max((h for h, _ in sizes), default=1), max((w for _, w in sizes), default=1))
    for image, view in zip(images, views, strict=True):
        if view is not None:
            image[:, : view.size_hw[0], : view.size_hw[1]] = torch.from_numpy(view.image)
    return images


def _chosen(names: tuple[str, ...], options: DatasetOptions) -> np.ndarray:
    """Positions of the cameras to use, in the order of the labels."""
    for name in (*options.choose_cameras, *options.ignore_cameras):
        if name not in names:
            have = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            raise InputError(f"there is no camera {name!r} in these labels; choose among {have}")
    wanted = set(options.choose_cameras or names) - set(options.ignore_cameras)
    if not wanted:
        raise InputError("all cameras of these labels are ignored; leave at least one")
    return np.array([i for i, name in enumerate(names) if name in wanted])
