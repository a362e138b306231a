"""Where each view sees each person: the boxes that are cut out for the networks."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.data.crops import square_boxes
from trivox.geometry.cameras import Cameras

# A crop spans this times the box around a person's joints: room for head, hands and feet.
CROP_MARGIN = 1.25


def boxes_around(
    points_mm: Float[Tensor, "P J 3"], valid: Bool[Tensor, "P J"], cameras: Cameras
) -> Int[Tensor, "P V 4"]:
    """Square boxes (x0, y0, x1, y1) around the valid joints in pictures of `cameras` (V,); empty where unseen."""
    P, J = valid.shape
    V = cameras.batch_shape[0]
    flat = points_mm.reshape(1, P * J, 3).expand(V, -1, -1)
    points_px = cameras.project(flat).reshape(V, P, J, 2).transpose(0, 1)
    in_front = (cameras.depth_mm(flat) > 0).reshape(V, P, J).transpose(0, 1)
    assert cameras.image_hw is not None
    size_xy = cameras.image_hw.flip(-1)
    # A joint beside the lens is projected anywhere, and a crop that reached so far would fill the memory.
    near = ((points_px - size_xy[:, None] / 2).abs() < size_xy.amax(-1)[:, None, None]).all(-1)
    boxes = square_boxes(points_px, valid[:, None] & in_front & near, CROP_MARGIN)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    inside = ((centre > 0) & (centre < size_xy)).all(-1)
    return boxes * inside[..., None]
