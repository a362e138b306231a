"""Profiles: the conventions that a network was trained with, which its weights have absorbed.

New networks use `TRIVOX`, where every pixel is where it is. The published checkpoints of Iskakov et al.,
"Learnable Triangulation of Human Pose" (ICCV 2019), were trained otherwise and are run as they were trained:
`REFERENCE`. A saved model names its profile; nothing else in the code asks where weights come from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.heatmaps import pixel_from_cell
from trivox.models.pose_resnet import Colours


@dataclass(frozen=True)
class Profile:
    """How pictures, pixels and cameras are to be read.

    colours       what PoseResNet normalises: "bgr" is the published mix-up of channels and statistics.
    cells         the pixel of heatmap cell i: its "centre" (i + 0.5) * stride, or its "corner" i * size / cells.
    whole_pixels  peaks are cut to whole pixels before robust triangulation.
    sampling      how maps are read at a point: "exact", or "reference" at index x * (cells - 1) / cells.
    lens          whether lens distortion is followed, or ignored (pictures were undistorted, or nobody cared).
    resampling    how a person is cut out and resized: to the exact "area" average, or to the bytes of "opencv".
    triangulation the linear answer of the algebraic model, and of RANSAC without refinement: the "least squares",
                  the same wherever the world's origin is, or the singular vector of the "homogeneous" equations.
    origin        where pixel (0, 0) of the *recorded* picture is: the top-left "corner", or the "centre" of the
                  top-left pixel. Crops and resizes then follow without half-pixel shifts.
    """

    name: Literal["trivox", "reference"]
    colours: Colours
    cells: Literal["centre", "corner"]
    whole_pixels: bool
    sampling: Literal["exact", "reference"]
    lens: bool
    resampling: Literal["area", "opencv"]
    triangulation: Literal["least squares", "homogeneous"]
    origin: Literal["corner", "centre"]

    def pixels(
        self, cells: Float[Tensor, "*b 2"], image_hw: tuple[int, int], map_hw: tuple[int, int], stride: int
    ) -> Float[Tensor, "*b 2"]:
        """Pixels of a picture of `image_hw`, of cell coordinates (x, y) of its heatmaps of `map_hw`."""
        if self.cells == "centre":
            return pixel_from_cell(cells, stride)
        return cells / self.map_factors(cells, image_hw, map_hw, stride)

    def map_factors(
        self, like: Tensor, image_hw: tuple[int, int], map_hw: tuple[int, int], stride: int
    ) -> Float[Tensor, "2"]:
        """By what (x, y) a picture is scaled to its maps, which may reach beyond it; dtype and device of `like`."""
        if self.cells == "centre":
            return like.new_tensor([1 / stride, 1 / stride])
        (height, width), (rows, columns) = image_hw, map_hw
        return like.new_tensor([columns / width, rows / height])

    def recorded(self, cameras: Cameras) -> Cameras:
        """Cameras of recorded pictures, as they have to be before these are cropped for the network."""
        if self.origin == "corner":
            return cameras
        K = cameras.K.clone()
        K[..., :2, 2] = K[..., :2, 2] - 0.5
        return replace(cameras, K=K)

    def recorded_points(self, points_px: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 2"]:
        """Corner-origin pixels of points in recorded pictures, which the network's own crops have led back to."""
        return points_px if self.origin == "corner" else points_px + 0.5

    @property
    def homogeneous(self) -> bool:
        """As `triangulate` takes it."""
        return self.triangulation == "homogeneous"

    def seen(self, cameras: Cameras) -> Cameras:
        """The cameras with the lens that the network knows of."""
        return cameras if self.lens else cameras.without_distortion()


TRIVOX = Profile(
    name="trivox",
    colours="rgb",
    cells="centre",
    whole_pixels=False,
    sampling="exact",
    lens=True,
    resampling="area",
    triangulation="least squares",
    origin="corner",
)
REFERENCE = Profile(
    name="reference",
    colours="bgr",
    cells="corner",
    whole_pixels=True,
    sampling="reference",
    lens=False,
    resampling="opencv",
    triangulation="homogeneous",
    origin="centre",
)
PROFILES = {profile.name: profile for profile in (TRIVOX, REFERENCE)}
