"""What a model says of people who are followed: their crops in all views in, joints of its own skeleton out.

The bundled networks follow people (follow.py) whatever the model is. Where they see a person decides what is cut
out, and around which point a volumetric model looks: its own heatmaps need not be good for that, since training a
volumetric model does not train them. A poor model thus spoils the joints it gives, and no frame after them.

A model that begins with the same network as the following goes on from what that saw, and need not look again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from trivox.data.crops import cut_for_model
from trivox.geometry.axes import moved_points, upright_from_world
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17, Skeleton, root_points
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation.residuals import covariance_of_noise_mm2
from trivox.lift import NOISE_PX
from trivox.models.backbones import MoveNetBackbone
from trivox.models.configs import Model
from trivox.models.folded import folded
from trivox.models.packed import has_bfloat16
from trivox.models.profile import TRIVOX
from trivox.models.volumetric import Volumetric
from trivox.people.boxes import boxes_around
from trivox.people.candidates import centres_mm
from trivox.people.followed import Followed, Seen, Track
from trivox.people.networks import CROP_HW
from trivox.progress import say

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Learned:
    """A model ready to look at people in pictures of `cameras` (V,), upright as recorded.

    `follower` is its backbone, where that is the network that follows people and may do both at once.
    `model_from_world` leads to the world that the model was trained in, where it is asked and answers.
    """

    model: Model
    cameras: Cameras
    device: torch.device
    follower: MoveNetBackbone | None
    model_from_world: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4, dtype=torch.float64))

    @classmethod
    def prepared(cls, model: Model, cameras: Cameras, precision: Precision = "float32") -> Learned:
        """A copy of the model made fast, on the GPU where there is one; the model itself stays as and where it is."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
            say("this processor has no bfloat16 of its own: the model computes in float32, which is faster here")
            precision = "float32"
        ready = folded(model, getattr(torch, precision), device)
        return cls(ready, cameras, device, cast(MoveNetBackbone, ready.backbone) if _can_follow(model) else None)

    @property
    def has_an_up(self) -> bool:
        """Whether it matters to the model which way is up."""
        return isinstance(self.model, Volumetric)

    def upright(self, up: Float[Tensor, "3"]) -> Learned:  # noqa: UP037
        """The same where `up` points up in the world of the cameras: the model sees it where it was in its training."""
        if not isinstance(self.model, Volumetric):
            return self
        return replace(self, model_from_world=upright_from_world(up, self.cameras, self.model.cube.up_axis))

    def step(
        self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None], track: Track, seen: Seen | None = None
    ) -> Followed:
        """The model's joints of the people of `track` (P, COCO's 17), none where a person is not seen; on the CPU.

        `seen` is what `follower` saw of them.
        """
        if seen is None:
            there = torch.tensor([picture is not None for picture in pictures])
            boxes = boxes_around(track.points_mm, track.valid, self.cameras) * there[:, None]
        else:
            boxes = seen.boxes
        there = (boxes[..., 2] > boxes[..., 0]).any(-1) & track.valid.any(-1)
        everybody = self._nobody(len(there))
        if there.any():
            roots = roots_mm(track[there], COCO_17)
            said = self.ask(pictures, boxes[there], roots) if seen is None else self._go_on(seen[there], roots)
            found = self._in_pictures(said, boxes[there])
            everybody = everybody.map(lambda t: t.clone())
            for name, value in vars(found).items():
                if value is not None:
                    getattr(everybody, name)[there] = value
        return replace(everybody, followed_mm=track.points_mm, followed_valid=track.valid)

    def _nobody(self, people: int) -> Followed:
        V, J = len(self.cameras.t_mm), len(self.model.skeleton)
        none = torch.zeros(people, V, J).double()
        point, no = none.new_zeros(people, J, 3), none.bool()
        covariance = none.new_zeros(people, J, 3, 3)
        pixels = none.new_zeros(people, V, J, 2)
        return Followed(point, no[:, 0], none[:, 0], covariance, pixels, none, no, none)

    @torch.inference_mode()
    def ask(
        self,
        pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None],
        boxes: Int[Tensor, "P V 4"],
        centre_mm: Float[Tensor, "P 3"],
    ) -> Triangulated:
        """What the model says of people in these boxes, on the CPU, in its own world and in pixels of the crops.

        A box has no area where a view lacks the person, or its picture. `centre_mm` is where a volumetric model has its
        cubes.
        """
        cameras, mask = self._of_crops(boxes)
        images = self._crops(pictures, boxes, mask)
        return self.model(images, cameras, mask, **self._where(centre_mm)).to("cpu")

    @torch.inference_mode()
    def _go_on(self, seen: Seen, centre_mm: Float[Tensor, "P 3"]) -> Triangulated:
        """As `ask`, from what was seen already."""
        cameras, mask = self._of_crops(seen.boxes)
        return self.model.from_views(seen.views, CROP_HW, cameras, mask, **self._where(centre_mm)).to("cpu")

    def _where(self, centre_mm: Float[Tensor, "P 3"]) -> dict[str, Tensor]:
        if not isinstance(self.model, Volumetric):
            return {}
        return {"centre_mm": moved_points(centre_mm.double(), self.model_from_world).float().to(self.device)}

    def _crops(self, pictures: Sequence[np.ndarray | None], boxes: Tensor, mask: Tensor) -> Float[Tensor, "P V 3 h w"]:
        crops = torch.zeros(*mask.shape, 3, *self.model.image_hw)
        for p, v in mask.nonzero().tolist():
            left, top, right, bottom = boxes[p, v].tolist()
            box, resampling = (left, top, right, bottom), self.model.profile.resampling
            picture = pictures[v]
            assert picture is not None, "where there is no picture, no box has an area"
            cut_for_model(picture, box, crops[p, v].numpy(), resampling)
        return crops.to(self.device)

    def _of_crops(self, boxes: Int[Tensor, "P V 4"]) -> tuple[Cameras, Bool[Tensor, "P V"]]:
        """The cameras of the crops, and which crops there are."""
        mask, boxes = boxes[..., 2] > boxes[..., 0], _somewhere(boxes)
        seen = self.cameras.moved(torch.linalg.inv(self.model_from_world))
        recorded = self.model.profile.recorded(seen).expanded(*boxes.shape[:2])
        cameras = recorded.cropped(boxes.to(recorded.K)).scaled(1 / self._pixels_per_crop_pixel(boxes))
        return cameras.to(torch.float32).to(self.device), mask.to(self.device)

    def _pixels_per_crop_pixel(self, boxes: Int[Tensor, "P V 4"]) -> Float[Tensor, "P V 2"]:
        height, width = self.model.image_hw
        return (boxes[..., 2:] - boxes[..., :2]).double() / torch.tensor([width, height]).double()

    def _in_pictures(self, found: Triangulated, boxes: Int[Tensor, "P V 4"]) -> Followed:
        """The model's answer in double precision and in the world of the cameras, its pixels those of the pictures."""
        assert found.points_px is not None and found.scores is not None
        known, scores = found.valid, found.scores.double()
        world_from_model = torch.linalg.inv(self.model_from_world)
        turn = world_from_model[:3, :3]
        points_mm = torch.where(known[..., None], moved_points(found.points_mm.double(), world_from_model), 0.0)
        covariance_mm2 = turn @ self._covariance_mm2(found, boxes) @ turn.mT
        boxes = _somewhere(boxes)
        in_crop = found.points_px.double() * self._pixels_per_crop_pixel(boxes)[..., None, :]
        points_px = self.model.profile.recorded_points(in_crop + boxes[..., None, :2])
        missed_px = (self.cameras.expanded(*boxes.shape[:2]).project(points_mm[:, None]) - points_px).norm(dim=-1)
        used = found.inliers & known[:, None]
        return Followed(
            points_mm,
            known,
            torch.where(known, found.confidence.double(), 0.0),
            torch.where(known[..., None, None], covariance_mm2, 0.0),
            torch.where(scores[..., None] > 0, points_px, 0.0),
            scores,
            used,
            torch.where(used, missed_px, 0.0),
        )

    @property
    def noise_px(self) -> float | None:
        """What the covariance is stated for, see `Poses`; a volumetric model estimates its own."""
        return None if isinstance(self.model, Volumetric) else NOISE_PX

    def _covariance_mm2(self, found: Triangulated, boxes: Int[Tensor, "P V 4"]) -> Float[Tensor, "P J 3 3"]:
        """That of a pixel of the pictures, which is some of the crops'."""
        if self.noise_px is None:
            return found.covariance_mm2.double()
        cameras = self.model.profile.seen(self._of_crops(boxes)[0]).to("cpu", torch.float64)
        weights = found.inliers.double() if found.view_weights is None else found.view_weights.double() * found.inliers
        noise_px = self.noise_px / self._pixels_per_crop_pixel(_somewhere(boxes))
        return covariance_of_noise_mm2(found.points_mm.double(), cameras, weights, noise_px[..., None, :])


def _can_follow(model: Model) -> bool:
    """Whether its backbone is the network that follows people, as it was published, and looks at the same crops."""
    backbone = model.backbone
    return (
        isinstance(backbone, MoveNetBackbone)
        and backbone.name == "thunder"
        and backbone.reader is not None
        and model.image_hw == CROP_HW
        and model.profile == TRIVOX
        and backbone.is_bundled()
    )


def roots_mm(track: Track, skeleton: Skeleton) -> Float[Tensor, "P 3"]:
    """The pelvis, or the middle of whatever joints there are."""
    root = root_points(track.points_mm, track.valid, skeleton)
    return torch.where(root.valid, root.points[:, 0], centres_mm(track.points_mm, track.valid))


def _somewhere(boxes: Int[Tensor, "P V 4"]) -> Int[Tensor, "P V 4"]:
    """A view without the person gets some camera that exists, and is not looked at."""
    seen = boxes[..., 2] > boxes[..., 0]
    return torch.where(seen[..., None], boxes, boxes.new_tensor([0, 0, 1, 1]))
