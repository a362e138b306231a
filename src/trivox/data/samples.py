"""Sample: one instant of one person, as networks take it. A batch of samples is a `Sample` too.

Views keep their place and their camera: one that is missing is black and not `present`. `collate` is one stack per
field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import default_collate

from trivox.geometry.cameras import Cameras
from trivox.geometry.tensors import TensorDataclass


@dataclass(frozen=True)
class Sample(TensorDataclass):
    """V views of one person; a batch has leading axes, such as (B,), in every field.

    images       RGB in 0..1, cropped and resized; black where not `present`.
    cameras      of these pictures. Where pictures differ in size (no resize asked for), each fills the top left corner
                 of its image and `cameras.image_hw` is its size.
    boxes_px     what was cut out of the recorded picture: left, top, right, bottom.
    points_mm    the truth; 0 where not `valid`.
    centre_mm    where the volume goes: the root joint of the truth, or of an earlier run's results; 0 where unknown
                 (`has_centre`).
    row          position of the sample in its dataset, which results are stored by.
    looked       what a frozen backbone said of the images, where it was asked before; the images are empty then.
    key          "S9/Walking-1/000123/p0"; a batch has a tuple of them.
    """

    images: Float[Tensor, "*b V 3 h w"]
    present: Bool[Tensor, "*b V"]
    cameras: Cameras
    boxes_px: Int[Tensor, "*b V 4"]
    points_mm: Float[Tensor, "*b J 3"]
    valid: Bool[Tensor, "*b J"]
    centre_mm: Float[Tensor, "*b 3"]
    has_centre: Bool[Tensor, "*b"]
    row: Int[Tensor, "*b"]
    key: str | tuple[str, ...]
    looked: TensorDataclass | None = None

    def __getitem__(self, index: Any) -> Sample:
        """Index the batch axis: a number gives one sample, a slice a smaller batch."""
        assert isinstance(self.key, tuple), "a single sample has no batch to index"
        part = super().__getitem__(index)
        return replace(part, key=self.key[index])


def collate(samples: Sequence[Sample]) -> Sample:
    """A batch of samples with the same number of views. Images of different size are filled up with black."""
    assert samples, "a batch has at least one sample"
    counts = {len(sample.present) for sample in samples}
    assert len(counts) == 1, f"a batch has one number of views, not {sorted(counts)}"
    heights, widths = zip(*(sample.images.shape[-2:] for sample in samples), strict=True)
    size_hw = (max(heights), max(widths))
    batch = Sample.stack([replace(sample, images=sample.images[..., :0, :0]) for sample in samples])
    # torch's own collate joins tensors right in the memory that a worker shares with its loader.
    images: Tensor = default_collate([_filled(sample.images, size_hw) for sample in samples])
    return replace(batch, images=images, key=tuple(str(sample.key) for sample in samples))


def _filled(images: Tensor, size_hw: tuple[int, int]) -> Tensor:
    h, w = images.shape[-2:]
    return images if (h, w) == size_hw else pad(images, (0, size_hw[1] - w, 0, size_hw[0] - h))


def views_selected(sample: Sample, views: Int[Tensor, "W"]) -> Sample:
    """A single sample with these views only, in this order."""
    assert isinstance(sample.key, str), "views are chosen before samples are joined"
    return replace(
        sample,
        images=sample.images[views],
        present=sample.present[views],
        cameras=sample.cameras[views],
        boxes_px=sample.boxes_px[views],
        looked=None if sample.looked is None else sample.looked[views],
    )
