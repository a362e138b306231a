"""What models say of the people followed: exact with oracles, and from pictures to files in the world of dots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from dots import DotNetworks, draw, rig_of, walk
from dots import central_person as person_in
from tables import small_labels
from torch import Tensor, nn

import trivox
from trivox.data.pictures import Pictures
from trivox.evaluate_model import Running, dataset_for
from trivox.evaluate_model import Views as TakenViews
from trivox.files.images import write_image
from trivox.files.poses import load_poses
from trivox.files.results import load_result
from trivox.files.views import Views
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17, COCO_H36M_22, H36M_17
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate
from trivox.geometry.volumes import Cube, rotation_about
from trivox.models.algebraic import Algebraic
from trivox.models.backbones import BackboneOutput
from trivox.models.checkpoints import load_model
from trivox.models.folded import FoldedConvolution
from trivox.models.profile import PROFILES, Profile
from trivox.models.ransac import Ransac
from trivox.models.v2v import V2V
from trivox.models.volumetric import Volumetric
from trivox.options import check_precision, chosen_model
from trivox.people.boxes import boxes_around
from trivox.people.follow import Follower
from trivox.people.followed import Track
from trivox.people.learned import Learned, roots_mm
from trivox.people.networks import Networks
from trivox.people.survey import Survey

STRIDE, SIDE = 4, 256
DEMO_SCENE = Path(trivox.__file__).parent / "demo_scene"


class DotBackbone(nn.Module):
    """Sees the dots of the person in the middle of a picture: logits of Gaussians; features are the Gaussians."""

    stride, joints, feature_channels = STRIDE, 17, 17

    def forward(self, images: Tensor) -> BackboneOutput:
        pictures = (images.movedim(1, -1) * 255).round().to(torch.uint8).numpy()
        found = [person_in(picture, hidden=0.7) for picture in pictures]
        points, seen = (torch.stack(part) for part in zip(*found, strict=True))
        h, w = images.shape[-2] // STRIDE, images.shape[-1] // STRIDE
        cells = points / STRIDE - 0.5
        along_x = (torch.arange(w) - cells[..., :1])[..., None, :] ** 2
        along_y = (torch.arange(h) - cells[..., 1:])[..., :, None] ** 2
        logits = -(along_x + along_y) / 2 * seen[..., None, None]
        return BackboneOutput(logits, logits.exp() * seen[..., None, None], joint_confidences=seen, scores=seen)


class SameVolume(V2V):
    """The first 17 channels of the volume, sharpened: no network at all."""

    def forward(self, volumes: Tensor) -> Tensor:
        return 10 * volumes[:, :17]


def ransac() -> Ransac:
    return Ransac(DotBackbone(), COCO_17, threshold_px=8.0, image_hw=(SIDE, SIDE))


def algebraic() -> Algebraic:
    return Algebraic(DotBackbone(), COCO_17, heatmap_multiplier=1.0, image_hw=(SIDE, SIDE))


def volumetric() -> Volumetric:
    cube = Cube(2400.0, 48)
    model = Volumetric(DotBackbone(), SameVolume(32, 17, width=2, depth=1), COCO_17, cube, "sum", image_hw=(SIDE, SIDE))
    chosen = {"weight": torch.eye(32, 17)[..., None, None], "bias": torch.zeros(32)}
    model.process_features[0].load_state_dict(chosen)
    return model


# Peaks on whole cells of 4 pixels; means of Gaussians; voxels of 50 mm: how far these are off, at 90 of 100 joints.
WITHIN_MM = {"ransac": 30.0, "algebraic": 15.0, "volumetric": 30.0}
MODELS = {"ransac": ransac, "algebraic": algebraic, "volumetric": volumetric}


@pytest.fixture
def in_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Networks, "load", classmethod(lambda cls, *_: DotNetworks()))


def folders_of(truth: Tensor, rig: trivox.Rig, folder: Path) -> list[Path]:
    return draw(truth, torch.ones(len(truth), len(rig.names), truth.shape[1], dtype=torch.bool), rig, folder)


@pytest.mark.usefixtures("in_dots")
@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("method", MODELS)
def test_a_model_gives_the_joints(method: str, people: int, tmp_path: Path) -> None:
    rig, truth = rig_of(4), walk(6, people)
    poses = trivox.predict(rig, folders_of(truth, rig, tmp_path), weights=MODELS[method](), people=people, fps=6)
    swapped = people == 2 and (poses.points_mm[0, 0].double() - truth[0, 0]).norm() > 1000
    errors_mm = (poses.points_mm.double() - (truth.flip(1) if swapped else truth)).norm(dim=-1)[poses.valid]
    assert poses.valid.double().mean() > 0.95
    # Two people hide some of each other's dots, and nothing in a linear triangulation resists a wrong one.
    assert errors_mm.quantile(0.9 if people == 1 else 0.5) < WITHIN_MM[method]


class LeaningVolume(SameVolume):
    """The same, but drawn along the third axis: it tells which way it sees the world."""

    def forward(self, volumes: Tensor) -> Tensor:
        return super().forward(volumes) + torch.linspace(0, 4, volumes.shape[-1])


def leaning() -> Volumetric:
    model = volumetric()
    model.volume_net = LeaningVolume(32, 17, width=2, depth=1)
    return model


def renamed(angle: float, shift_mm: tuple[float, float, float]) -> Tensor:
    """`world_from_new` of a world whose axes are oblique."""
    world_from_new = torch.eye(4, dtype=torch.float64)
    axis = torch.tensor([0.8, -0.4, 0.5]).double()
    world_from_new[:3, :3] = rotation_about(axis, torch.tensor(angle).double())
    world_from_new[:3, 3] = torch.tensor(shift_mm).double()
    return world_from_new


@pytest.mark.usefixtures("in_dots")
@pytest.mark.parametrize("told", [True, False])
def test_the_name_of_the_world_does_not_matter(told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`predict` commutes with `Rig.moved`; where the rig does not say which way is up, that is said."""
    rig, truth = rig_of(3), walk(2, 1)
    folders, model = folders_of(truth, rig, tmp_path), leaning()
    rig = rig if told else replace(rig, up=None)
    there = trivox.predict(rig, folders, weights=model, fps=6)
    notes = capsys.readouterr().err
    assert ("from how people stand, it is (0.0" in notes) == (not told)
    for move in (renamed(2.1, (9e5, -4e5, 7e5)), renamed(-0.9, (0.0, 0.0, 0.0))):
        moved = trivox.predict(rig.moved(move), folders, weights=model, fps=6)
        back_mm = moved.points_mm.double() @ move[:3, :3].mT + move[:3, 3]
        assert torch.equal(moved.valid, there.valid)
        torch.testing.assert_close(back_mm[there.valid], there.points_mm.double()[there.valid], atol=0.1, rtol=0)
        assert moved.covariance_mm2 is not None and there.covariance_mm2 is not None
        turned = move[:3, :3] @ moved.covariance_mm2 @ move[:3, :3].mT
        torch.testing.assert_close(turned[there.valid], there.covariance_mm2[there.valid], atol=2.0, rtol=1e-3)
        assert (moved.up is None) == (not told)


@pytest.mark.usefixtures("in_dots")
def test_the_callers_model_stays_as_and_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[nn.Module] = []
    to = nn.Module.to

    def watched(self: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        moved.append(self)
        return to(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "to", watched)
    rig, truth = rig_of(3), walk(1, 1)
    model = algebraic().train()
    trivox.predict(rig, folders_of(truth, rig, tmp_path), weights=model, fps=6)
    assert model.training and moved and not any(part is model for part in moved)


@pytest.mark.usefixtures("in_dots")
@pytest.mark.parametrize("method", MODELS)
def test_the_job_names_the_method_that_was_used(method: str, tmp_path: Path) -> None:
    rig, truth = rig_of(3), walk(1, 1)
    folders = folders_of(truth, rig, tmp_path / "in")
    trivox.predict(rig, folders, out=tmp_path / "out", fps=6, weights=MODELS[method]())
    assert load_result(tmp_path / "out").job["method"] == method


class MoreJoints(SameVolume):
    def forward(self, volumes: Tensor) -> Tensor:
        return 10 * volumes[:, :22]


@pytest.mark.usefixtures("in_dots")
def test_a_bundled_model_gives_the_same_joints_by_either_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COCO's 17, though the volumetric one has 22; a model of one's own gives its own."""
    backbone = DotBackbone()
    backbone.skeleton = COCO_17  # pyright: ignore[reportArgumentType]
    v2v, cube = MoreJoints(32, 22, width=2, depth=1), Cube(2400.0, 32)
    model = Volumetric(backbone, v2v, COCO_H36M_22, cube, "sum", image_hw=(SIDE, SIDE))
    monkeypatch.setattr("trivox.options.load_model", lambda _: model)
    rig, truth = rig_of(3), walk(1, 1)
    folders = folders_of(truth, rig, tmp_path)
    by_method = trivox.predict(rig, folders, fps=6, method="volumetric")
    by_weights = trivox.predict(rig, folders, fps=6, weights="volumetric")
    assert by_method.skeleton == by_weights.skeleton == COCO_17
    assert torch.equal(by_method.points_mm, by_weights.points_mm)
    assert trivox.predict(rig, folders, fps=6, weights=model).skeleton == COCO_H36M_22


@pytest.mark.usefixtures("in_dots")
def test_an_interrupted_model_goes_on_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, truth = rig_of(3), walk(8, 1)
    folders = folders_of(truth, rig, tmp_path / "in")
    trivox.predict(rig, folders, out=tmp_path / "whole", fps=30, weights=algebraic())
    step = Follower.step
    tries: list[int] = []

    def interrupted(self: Follower, frame: int, pictures: list[np.ndarray]) -> object:
        tries.append(frame)
        if tries.count(5) == 1 and frame == 5:
            raise KeyboardInterrupt
        return step(self, frame, pictures)

    monkeypatch.setattr(Follower, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trivox.predict(rig, folders, out=tmp_path / "cut", fps=30, weights=algebraic())
    trivox.predict(rig, folders, out=tmp_path / "cut", fps=30, weights=algebraic())
    assert tries == [0, 1, 2, 3, 4, 5, 5, 6, 7]
    whole, cut = (load_result(tmp_path / name) for name in ("whole", "cut"))
    assert torch.equal(whole.poses.points_mm, cut.poses.points_mm)
    assert torch.equal(whole.keypoints[1].points_px, cut.keypoints[1].points_px)


@pytest.mark.usefixtures("in_dots")
def test_another_model_is_another_job(tmp_path: Path) -> None:
    rig, truth = rig_of(3), walk(2, 1)
    folders = folders_of(truth, rig, tmp_path / "in")
    trivox.predict(rig, folders, out=tmp_path / "out", fps=30, weights=algebraic())
    trivox.predict(rig, folders, out=tmp_path / "out", fps=30, weights=algebraic())  # the same: nothing to do
    other = algebraic()
    other.heatmap_multiplier = 2.0
    refused = pytest.raises(trivox.InputError, match="already holds the result of other")
    with refused:
        trivox.predict(rig, folders, out=tmp_path / "out", fps=30, weights=other)
    with refused:
        trivox.predict(rig, folders, out=tmp_path / "out", fps=30, weights=algebraic(), precision="bfloat16")
    with refused:
        trivox.predict(rig, folders, out=tmp_path / "out", fps=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "volumetric", "weights": algebraic()}, "for the method algebraic, not volumetric"),
        ({"method": "linear", "weights": algebraic()}, "for the method algebraic, not linear"),
        ({"weights": "nowhere.safetensors"}, "no model file nowhere.safetensors"),
    ],
)
def test_what_does_not_fit_is_one_sentence(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(trivox.InputError, match=message):
        trivox.predict(rig_of(2), [tmp_path, tmp_path], **options)  # pyright: ignore[reportArgumentType]


def test_words_that_are_no_option_are_one_sentence() -> None:
    with pytest.raises(trivox.InputError, match="no method 'magic'"):
        chosen_model("magic", None)
    with pytest.raises(trivox.InputError, match="no precision 'float16'"):
        check_precision("float16")


class Oracle(Algebraic):
    """Sees exactly where the truth is in the pictures it is given, in its own conventions."""

    def __init__(self, truth_mm: Tensor, profile: Profile) -> None:
        super().__init__(DotBackbone(), H36M_17, profile=profile, image_hw=(96, 160))
        self.truth_mm = truth_mm

    def forward(self, images: Tensor, cameras: Cameras, view_mask: Tensor | None = None) -> Triangulated:
        assert view_mask is not None and images.shape == (*view_mask.shape, 3, *self.image_hw)
        cameras = self.profile.seen(cameras)
        points_px = cameras.project(self.truth_mm[:, None].float())
        scores = view_mask[..., None].float().expand(points_px.shape[:-1])
        return replace(triangulate(points_px, cameras, scores), points_px=points_px, scores=scores)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("turns", [0, 1])
def test_what_a_model_sees_in_crops_comes_back_to_pictures(profile: Profile, turns: int) -> None:
    """Crops of any shape, conventions of either profile: the same pixels and the same world as without crops."""
    rig = rig_of(5)
    cameras = rig.cameras.turned(torch.full((5,), turns))
    truth = walk(1, 2)[0]
    track = Track(truth + 20.0, torch.ones(2, 17, dtype=torch.bool))
    assert cameras.image_hw is not None
    pictures = [np.zeros((int(h), int(w), 3), np.uint8) for h, w in cameras.image_hw]
    found = Learned.prepared(Oracle(truth, profile), cameras).step(pictures, track)
    expected_px = cameras.expanded(2, 5).project(truth[:, None])
    seen = found.scores > 0
    assert found.valid.all() and seen.double().mean() > 0.9
    torch.testing.assert_close(found.points_px[seen], expected_px[seen], atol=2e-3, rtol=0)
    torch.testing.assert_close(found.points_mm, truth, atol=0.05, rtol=0)
    assert found.reprojection_px.amax() < 0.01
    assert torch.equal(found.followed.points_mm, track.points_mm)


class Unsure(Volumetric):
    """Knows all joints of a standing person but the last, of which it says only about where it is."""

    def forward(self, images: Tensor, cameras: Cameras, view_mask: Tensor | None = None, **_: Any) -> Triangulated:
        assert view_mask is not None
        truth_mm = walk(1, 1)[0].float()
        points_px = cameras.project(truth_mm[:, None])
        scores = view_mask[..., None].float().expand(points_px.shape[:-1])
        found = triangulate(points_px, cameras, scores)
        return replace(found, points_px=points_px, scores=scores, valid=found.valid & (torch.arange(17) < 16))


def test_joints_whose_place_is_not_known_are_left_out() -> None:
    model = volumetric()
    model.__class__ = Unsure
    rig = rig_of(4)
    truth = walk(1, 1)[0]
    assert rig.cameras.image_hw is not None
    pictures = [np.zeros((int(h), int(w), 3), np.uint8) for h, w in rig.cameras.image_hw]
    track = Track(truth, torch.ones(1, 17, dtype=torch.bool))
    found = Learned.prepared(model, rig.cameras).step(pictures, track)
    assert found.valid[0].tolist() == [True] * 16 + [False]
    left_out = ~found.valid
    for value in (found.points_mm, found.confidence, found.covariance_mm2):
        assert bool((value[left_out] == 0).all()) and bool((value[found.valid] != 0).any())
    assert not bool(found.inliers.movedim(1, -1)[left_out].any()) and bool((found.scores[:, :, 16] > 0).any())


def test_a_processor_without_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for has_it in (False, True):
        monkeypatch.setattr("trivox.people.learned.has_bfloat16", lambda has_it=has_it: has_it)
        model = Learned.prepared(load_model("volumetric"), rig_of(2).cameras, "bfloat16").model
        taken = {part.dtype for part in cast(nn.Module, model).modules() if isinstance(part, FoldedConvolution)}
        assert (torch.bfloat16 in taken) == has_it
        assert ("no bfloat16" in capsys.readouterr().err) != has_it


def test_nobody_in_sight_is_nobody() -> None:
    rig, truth = rig_of(3), walk(1, 2)[0]
    here = torch.tensor([True, False])[:, None].expand(2, 17)
    pictures = [np.zeros((720, 1280, 3), np.uint8)] * 3
    model = Oracle(truth[:1], PROFILES["trivox"])
    found = Learned.prepared(model, rig.cameras).step(pictures, Track(truth, here))
    assert found.valid[0].all() and not found.valid[1].any() and not found.points_px[1].any()
    nobody = Learned.prepared(model, rig.cameras).step(pictures, Track(truth, torch.zeros_like(here)))
    assert not nobody.valid.any() and nobody.points_mm.shape == (2, 17, 3)


class Watched(Oracle):
    """Keeps what it was given."""

    given: tuple[Tensor, Cameras]

    def forward(self, images: Tensor, cameras: Cameras, view_mask: Tensor | None = None) -> Triangulated:
        self.given = images, cameras
        return super().forward(images, cameras, view_mask)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("image_hw", [(64, 96), (704, 640)], ids=["shrunk", "enlarged"])
def test_people_are_shown_as_a_dataset_shows_them(profile: Profile, image_hw: tuple[int, int], tmp_path: Path) -> None:
    """Training and evaluation make pictures of labels, prediction of videos: pixel by pixel the same."""
    labels = small_labels(tmp_path, frames=2)
    labels = replace(labels.selected(np.array([0])), pictures=Pictures(tmp_path, "{camera}/{file:06}.png"))
    cameras, truth = labels.row_cameras(0), torch.from_numpy(labels.points_mm)
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (720, 1280, 3), np.uint8) for _ in labels.camera_names]
    for name, picture in zip(labels.camera_names, pictures, strict=True):
        write_image(tmp_path / name / "000000.png", picture)
    model = Watched(truth, profile)
    model.image_hw = image_hw
    learned = Learned.prepared(model, cameras)
    track = Track(truth.double(), torch.ones(1, 17, dtype=torch.bool))
    learned.step(pictures, track)
    assert isinstance(learned.model, Watched)
    images, of_crops = learned.model.given
    boxes = boxes_around(track.points_mm, track.valid, cameras).numpy()
    sample = dataset_for(model, replace(labels, boxes_px=boxes), TakenViews(), Running())[0]
    assert sample.present.all()
    assert torch.equal(images[0], sample.images)
    torch.testing.assert_close(of_crops.K[0], sample.cameras.K.float())


@pytest.mark.parametrize("name", ["algebraic", "volumetric"])
def test_a_model_that_shares_the_network_answers_from_what_following_saw(name: str) -> None:
    """The same as if it had looked at these crops itself."""
    rig = trivox.load_rig(DEMO_SCENE / "calibration.json")
    with Views.open(rig, [DEMO_SCENE / "videos" / f"{name}.mp4" for name in rig.names]) as views:
        pictures = next(iter(views.frames())).pictures
    truth = load_poses(DEMO_SCENE / "truth.npz").converted(COCO_17)
    learned = Learned.prepared(load_model(name), rig.cameras)
    anchors = Survey(torch.tensor([0]), truth.points_mm[:1].double(), truth.valid[:1])
    follower = Follower.start(Networks.load(learned.follower), rig.cameras, anchors, 24.0, "ransac", None)
    found = follower.step(0, pictures)
    assert follower.seen is not None
    went_on = learned.step(pictures, found.followed, follower.seen)
    looked = learned.ask(pictures, follower.seen.boxes, roots_mm(found.followed, COCO_17))
    apart_mm = (went_on.points_mm - looked.points_mm).norm(dim=-1)
    # The following network sees bytes, the model exact averages; what is seen differs by that alone.
    assert went_on.valid.all() and apart_mm.median() < 3.0 and apart_mm.max() < 30.0


def test_only_the_network_that_follows_can_be_shared() -> None:
    rig = rig_of(2)
    assert Learned.prepared(load_model("volumetric"), rig.cameras).follower is not None
    model = load_model("volumetric")
    model.image_hw = (192, 192)
    assert Learned.prepared(model, rig.cameras).follower is None
    model = load_model("volumetric")
    with torch.no_grad():
        next(cast(nn.Module, model.backbone).parameters()).add_(1e-3)
    assert Learned.prepared(model, rig.cameras).follower is None
    assert Learned.prepared(volumetric(), rig.cameras).follower is None
