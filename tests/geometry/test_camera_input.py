"""Cameras out of OpenCV's arrays; what meets cameras, and which; rigs of them; half precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lenses import LENSES, model_of, opencv_pixels, with_lens
from rigs import ring

import trivox
from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.volumes.fused import Views, unproject_fused
from trivox.geometry.volumes.kernel import SOFTMAX
from trivox.geometry.volumes.unprojection import unproject_plain

K = np.array([[900.0, 0, 636.2], [0, 890.0, 351.7], [0, 0, 1]])
RVECS, TVECS = np.array([[0.1, -0.2, 0.3], [0.4, 0.1, -1.0], [0, 0, 0]]), np.array([[10.0, -20, 3000]] * 3)
POINTS = np.random.default_rng(0).normal(size=(20, 3)) * 400


@pytest.mark.parametrize("kind", [kind for kind in LENSES if kind != "human36m"])
def test_from_opencv_projects_as_opencv_half_a_pixel_on(kind: int | str) -> None:
    lens, model = LENSES[kind], model_of(kind)
    matrices = [cv2.Rodrigues(rvec)[0] for rvec in RVECS]
    given = [
        Cameras.from_opencv([K] * 3, RVECS, TVECS, [lens] * 3, (720, 1280), distortion_model=model),
        Cameras.from_opencv(
            torch.tensor(K).expand(3, 3, 3), torch.tensor(np.stack(matrices)), TVECS[..., None].tolist(),
            np.array([[lens]] * 3).reshape(3, 1, -1), [[720, 1280]] * 3, distortion_model=[model] * 3,  # pyright: ignore[reportArgumentType]
        ),
        Cameras.stack([
            Cameras.from_opencv(K.tolist(), rvec[:, None], tvec[:, None], np.array(lens)[:, None], (720, 1280),
                                distortion_model=model)
            for rvec, tvec in zip(RVECS, TVECS, strict=True)
        ]),
    ]  # fmt: skip
    for cameras in given:
        assert cameras.image_hw is not None and cameras.image_hw.tolist() == [[720, 1280]] * 3
        pixels = cameras.project(torch.from_numpy(POINTS)).numpy() - 0.5
        for v in range(3):
            expected = opencv_pixels(POINTS, RVECS[v], TVECS[v], K, lens, kind == "fisheye")
            np.testing.assert_allclose(pixels[v], expected, atol=1e-9)


def test_from_opencv_takes_lenses_of_different_lengths_and_models_and_none() -> None:
    dist = [LENSES[5], None, LENSES["fisheye"]]
    cameras = Cameras.from_opencv([K] * 3, RVECS, TVECS, dist, distortion_model=["opencv", "opencv", "fisheye"])
    pixels = cameras.project(torch.from_numpy(POINTS)).numpy() - 0.5
    for v, lens in enumerate(dist):
        expected = opencv_pixels(POINTS, RVECS[v], TVECS[v], K, lens or (), v == 2)
        np.testing.assert_allclose(pixels[v], expected, atol=1e-9)
    assert Cameras.from_opencv(K, RVECS[0], TVECS[0]).image_hw is None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"K": np.eye(4)}, "K has shape"),
        ({"K": "nine"}, "K is a str that is no array of numbers"),
        ({"K": None}, "K is a NoneType"),
        ({"K": K.astype(np.float16)}, "K is in torch.float16, which rounds"),
        ({"K": np.where(K == 900, np.nan, K)}, "^K holds a number that is infinite or none at all"),
        ({"K": cv2.Rodrigues(RVECS[0])[0]}, r"^K is not of the form \[\[fx, skew, cx\]"),
        ({"K": K * [[-1], [1], [1]]}, "focal lengths -900 and 890 px are not positive"),
        ({"R": np.eye(3) * 2}, r"R is not a rotation \(R R\^T differs from identity by 3\)"),
        ({"R": np.eye(3) * 1.001}, "R is not a rotation"),
        ({"R": -np.eye(3)}, "R is a mirror image"),
        ({"R": [np.nan, 0, 0]}, "R holds a number that is infinite"),
        ({"t_mm": [0, np.inf, 0]}, "t_mm holds a number that is infinite"),
        ({"dist": [0.1, np.nan, 0, 0]}, "dist holds a number that is infinite"),
        ({"R": np.zeros((2, 3))}, "R has shape"),
        ({"t_mm": [1, 2]}, "t_mm has shape"),
        ({"dist": [1, 2, 3]}, "distortion has 3 coefficients"),
        ({"dist": np.zeros((3, 5))}, "dist has shape"),
        ({"dist": np.zeros(5), "distortion_model": "fisheye"}, "expected 0 or 4"),
        ({"distortion_model": ["opencv", "opencv"]}, "one name, or one per camera"),
        ({"distortion_model": 3}, "distortion_model is of type int, expected one of opencv"),
        ({"distortion_model": "pinhole"}, "distortion_model is 'pinhole', expected one of opencv"),
        ({"image_hw": 720}, "image_hw has shape"),
        ({"image_hw": (0, 1280)}, "a picture of 1280 x 0 pixels is impossible"),
    ],
)
def test_from_opencv_says_what_does_not_fit(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Cameras.from_opencv(**({"K": K, "R": RVECS[0], "t_mm": TVECS[0]} | changes))  # pyright: ignore[reportArgumentType]


def test_from_opencv_names_the_camera_whose_values_are_impossible() -> None:
    with pytest.raises(InputError, match="^camera 2: R is not a rotation"):
        Cameras.from_opencv([K] * 3, np.stack([np.eye(3), np.eye(3), np.zeros((3, 3))]), TVECS)
    with pytest.raises(InputError, match="dist is a str that is no array"):
        Cameras.from_opencv([K] * 3, RVECS, TVECS, "none", distortion_model=("opencv",) * 3)


def test_rounded_rotations_are_kept_as_they_are() -> None:
    R = cv2.Rodrigues(RVECS[0])[0].round(4)
    assert np.array_equal(Cameras.from_opencv(K, R, TVECS[0]).R.numpy(), R)


@pytest.mark.parametrize(("batch", "views"), [(3, 3), (2, 4)])
def test_points_of_an_item_are_seen_by_all_its_views(batch: int, views: int) -> None:
    cameras = Cameras.stack([ring(views, radius_mm=3000.0 + 500 * b) for b in range(batch)])
    points_mm = torch.randn(batch, 7, 3, generator=torch.Generator().manual_seed(0)).double() * 300
    expected = torch.stack([cameras[b].project(points_mm[b].expand(views, -1, -1)) for b in range(batch)])
    for given in (points_mm, points_mm[:, None], points_mm[:, None].expand(-1, views, -1, -1)):
        torch.testing.assert_close(cameras.project(given), expected)
        torch.testing.assert_close(cameras.project_with_slope(given)[0], expected)
        assert cameras.depth_mm(given).shape == (batch, views, 7)
    torch.testing.assert_close(cameras.project(points_mm[0])[1], cameras[1].project(points_mm[0]))
    rig = cameras[0]
    torch.testing.assert_close(rig.project(points_mm[:, None])[:, 1], rig[1].project(points_mm))
    turns = torch.eye(4).double().repeat(batch, 1, 1)
    turns[:, 0, 3] = torch.arange(batch) * 100.0
    moved = cameras.moved(turns)
    torch.testing.assert_close(moved.project(points_mm - turns[:, None, :3, 3]), expected)


@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 2, 7, 3), (5, 3, 2, 7, 3), (4, 1, 7, 3)])
def test_points_that_fit_no_axis_are_refused(shape: tuple[int, ...]) -> None:
    cameras = Cameras.stack([ring(2)] * 3)
    with pytest.raises(InputError, match=r"expected \(3, 2, N, 3\)"):
        cameras.project(torch.zeros(shape).double())


def test_pixels_never_lack_the_view_axis() -> None:
    cameras = Cameras.stack([with_lens(ring(3), 5)] * 3)
    assert cameras.undistorted_points(torch.zeros(2, 3, 3, 4, 2).double()).shape == (2, 3, 3, 4, 2)
    assert cameras.undistorted_points(torch.zeros(4, 2).double()).shape == (3, 3, 4, 2)
    assert cameras.without_distortion().undistorted_points(torch.zeros(4, 2).double()).shape == (3, 3, 4, 2)
    for method in ("undistorted_points", "normalised_from_pixels", "pixels_from_normalised"):
        with pytest.raises(InputError, match="one per camera"):
            getattr(cameras, method)(torch.zeros(3, 4, 2).double())


def test_picture_operations_of_more_axes_repeat_the_cameras() -> None:
    rig, points_mm = with_lens(ring(3), 5), torch.randn(5, 3).double() * 300
    boxes = torch.tensor([[0.0, 10, 200, 300], [50, 60, 150, 90]]).double()[:, None].expand(2, 3, 4)
    factors = torch.tensor([[2.0, 3.0], [0.5, 1.0]]).double()[:, None].expand(2, 3, 2)
    turns = torch.tensor([[0, 1, 2], [3, 0, 1]])
    for changed, single in (
        (rig.cropped(boxes), lambda b: rig.cropped(boxes[b])),
        (rig.scaled(factors), lambda b: rig.scaled(factors[b])),
        (rig.turned(turns), lambda b: rig.turned(turns[b])),
        (rig.resized(boxes[..., 2:].long()), lambda b: rig.resized(boxes[b, :, 2:].long())),
    ):
        assert changed.batch_shape == (2, 3)
        for b in range(2):
            torch.testing.assert_close(changed[b].project(points_mm), single(b).project(points_mm))
            both = changed.image_hw, single(b).image_hw
            assert both[0] is not None and both[1] is not None and torch.equal(both[0][b], both[1])
    with pytest.raises(InputError, match="one per camera"):
        Cameras.stack([rig] * 3).cropped(boxes[0])


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_never_gives_half_precision_millimetres(half: torch.dtype) -> None:
    cameras = with_lens(ring(3), 5).to(torch.float32)
    points_mm = torch.tensor([[100.0, 200, 1000], [-300, 50, 1500]])
    exact = cameras.project(points_mm)
    assert cameras.project(points_mm.to(half)).dtype == cameras.depth_mm(points_mm.to(half)).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(cameras.project(points_mm), exact)
        torch.testing.assert_close(cameras.project_with_slope(points_mm)[0], exact)
        undistorted = cameras.undistorted_points(exact)
    torch.testing.assert_close(undistorted, cameras.undistorted_points(exact))
    assert trivox.triangulate(exact.to(half), cameras).points_mm.dtype == torch.float32


def test_autocast_leaves_changed_cameras_and_their_places_alone() -> None:
    cameras, world_from_new = with_lens(ring(3), 14).to(torch.float32), torch.eye(4)
    world_from_new[:3, 3] = torch.tensor([1234.5, -77, 8])

    def changed() -> list[torch.Tensor]:
        moved, turned = cameras.moved(world_from_new), cameras.turned([1, 2, 3])
        return [moved.t_mm, moved.R, turned.K, turned.R, turned.distortion, moved.position_mm, turned.pixel_from_world]

    expected = changed()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(torch.equal(found, wanted) for found, wanted in zip(changed(), expected, strict=True))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_cameras_in_half_precision_are_refused(half: torch.dtype) -> None:
    cameras = ring(2)
    with pytest.raises(InputError, match=f"the cameras are in {half}, which rounds metres to millimetres or worse"):
        cameras.to(half)
    with pytest.raises(InputError, match=f"the cameras are in {half}"):
        Cameras(cameras.K.to(half), cameras.R.to(half), cameras.t_mm.to(half), cameras.distortion.to(half))


# What meets cameras may be arrays and lists.

CAMERAS = with_lens(ring(3), 5)
TRANSFORM = torch.eye(4).double()
TRANSFORM[:3, :3], TRANSFORM[:3, 3] = torch.tensor(cv2.Rodrigues(RVECS[0])[0]), torch.tensor([10.0, 20, 30])
PIXELS = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0)).double() * 700
METHODS = {
    "project": torch.from_numpy(POINTS),
    "depth_mm": torch.from_numpy(POINTS),
    "project_with_slope": torch.from_numpy(POINTS),
    "pixels_from_normalised": PIXELS / 700 - 0.5,
    "normalised_from_pixels": PIXELS,
    "undistorted_points": PIXELS,
    "cropped": torch.tensor([[0.0, 10, 200, 300]] * 3).double(),
    "scaled": torch.tensor([[0.5, 0.25]] * 3).double(),
    "resized": torch.tensor([360, 640]),
    "turned": torch.tensor([1, 0, 3]),
    "moved": TRANSFORM,
}


def _tensors(found: Any) -> list[torch.Tensor]:
    if isinstance(found, Cameras):
        assert found.image_hw is not None
        return [found.K, found.R, found.t_mm, found.distortion, found.image_hw]
    return [found] if isinstance(found, torch.Tensor) else list(found)


@pytest.mark.parametrize("convert", [torch.Tensor.numpy, torch.Tensor.tolist, list], ids=["array", "lists", "tensors"])
@pytest.mark.parametrize("method", METHODS)
def test_arrays_and_lists_meet_cameras_as_tensors_do(method: str, convert: Callable[[torch.Tensor], Any]) -> None:
    call, given = getattr(CAMERAS, method), METHODS[method]
    expected, found = _tensors(call(given)), _tensors(call(convert(given)))
    assert len(found) == len(expected) and all(map(torch.equal, found, expected))


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.float32, np.float64])
def test_the_finer_precision_of_arrays_and_cameras_counts(kind: type) -> None:
    single, points = CAMERAS.to(torch.float32), np.full((4, 3), 100, kind)
    finer = torch.float64 if kind is np.float64 else torch.float32
    assert single.project(points).dtype == single.depth_mm(points).dtype == finer
    assert CAMERAS.project(points).dtype == torch.float64
    assert single.scaled(np.ones((3, 2), kind)).K.dtype == torch.float32


@pytest.mark.parametrize(("ours", "given"), [(torch.float32, torch.float64), (torch.float64, torch.float32)])
def test_moving_takes_the_finer_precision_of_the_two(ours: torch.dtype, given: torch.dtype) -> None:
    transform = TRANSFORM.to(given)
    moved = CAMERAS.to(ours).moved(transform)
    assert moved.K.dtype == moved.R.dtype == moved.t_mm.dtype == torch.float64
    assert torch.equal(moved.R, CAMERAS.to(ours).R.double() @ transform.double()[:3, :3])
    rig = Rig(("a", "b", "c"), CAMERAS.to(ours), torch.tensor([0.0, 0, 1]).to(ours)).moved(transform.numpy())
    assert torch.equal(rig.cameras.t_mm, moved.t_mm) and rig.up is not None and rig.up.dtype == ours


def test_transforms_of_more_axes_repeat_the_cameras() -> None:
    transforms = torch.stack([torch.eye(4).double(), TRANSFORM])[:, None]
    moved = CAMERAS.moved(transforms)
    assert moved.batch_shape == (2, 3)
    torch.testing.assert_close(moved[1].t_mm, CAMERAS.moved(TRANSFORM).t_mm)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("method", METHODS)
def test_what_are_no_numbers_meets_no_cameras(method: str) -> None:
    call = getattr(CAMERAS, method)
    shape = (3, 5, *METHODS[method].shape[2:])
    faults: list[Any] = [
        "abc",
        None,
        {"x": 1},
        [[1, 2], [3]],
        [["1", "2"]],
        np.zeros(shape, complex),
        np.ones(shape, bool),
    ]
    for fault in [*faults, torch.ones(shape, dtype=torch.bool), torch.ones(shape, dtype=torch.complex64)]:
        with pytest.raises(InputError, match=r"^\w+ is a .*, expected real numbers of shape \(\*b"):
            call(fault)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "turned"])
def test_a_wrong_last_axis_is_one_sentence(method: str) -> None:
    for shape in ((), (5,), (3, 5), (3, 4, 5)):
        with pytest.raises(InputError, match=r"^\w+ has shape \(.*\), expected \(\*b, .*\); give it these last axes"):
            getattr(CAMERAS, method)(torch.zeros(shape, dtype=METHODS[method].dtype))


@pytest.mark.parametrize("method", ["resized", "turned"])
def test_sizes_and_turns_are_whole_numbers(method: str) -> None:
    with pytest.raises(InputError, match=r"^\w+ is in torch.float64, expected whole numbers"):
        getattr(CAMERAS, method)(METHODS[method].double())
    with pytest.raises(InputError, match=f"^{method} needs the present size of the pictures"):
        getattr(replace(CAMERAS, image_hw=None), method)(METHODS[method])


def test_points_on_another_device_are_one_sentence() -> None:
    with pytest.raises(InputError, match="points_mm is on meta, the cameras are on cpu: expected the same"):
        CAMERAS.project(torch.zeros(4, 3, device="meta"))


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (3, -1), (3.0,), ((2, 3),)])
@pytest.mark.usefixtures("unchecked")
def test_cameras_are_repeated_only_to_what_ends_in_their_shape(shape: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match=r"cameras of batch shape \(3,\) cannot be repeated to .* that end in 3"):
        CAMERAS.expanded(*shape)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rig(("a",), CAMERAS), r"for cameras of batch shape \(3,\): expected cameras of batch shape \(1,\)"),
        (lambda: Rig(("a", "b", "a"), CAMERAS), "two cameras are called 'a'; rename one"),
        (lambda: Rig(("e\u0301", "b", "\u00e9"), CAMERAS), "two cameras are called"),
        (lambda: Rig("abc", CAMERAS), "names is the text 'abc', expected a list of camera names"),  # pyright: ignore
        (lambda: Rig((1, 2, 3), CAMERAS), "names holds 1, expected texts"),  # pyright: ignore
        (lambda: Rig(("a",), CAMERAS.K), "the cameras of a rig are of type Tensor"),  # pyright: ignore
        (lambda: Rig(("a", "b", "c"), CAMERAS, quarter_turns=(1,)), r"quarter_turns is \(1,\), expected 3"),
        (lambda: Rig(("a", "b", "c"), CAMERAS, up=[0, 1]), r"up has shape \(2,\)"),  # pyright: ignore
        (lambda: RIG.selected(["x"]), "the rig has no camera x; its cameras are a, b, c"),
        (lambda: RIG.selected(["a", "a"]), "two cameras are called 'a'"),
        (lambda: RIG.selected([0, 1]), "names holds 0"),  # pyright: ignore
        (lambda: RIG.selected("ab"), "names is the text 'ab'"),
        (lambda: RIG.selected(1), "names is of type int"),  # pyright: ignore
        (lambda: RIG.moved("x"), "world_from_new is a str"),
        (lambda: RIG.moved(TRANSFORM.expand(3, 4, 4)), r"world_from_new has shape \(3, 4, 4\), expected \(4, 4\)"),
        (lambda: Cameras.stack([]), "there are no Cameras to join"),
        (lambda: Cameras.concatenated([]), "there are no Cameras to join"),
        (lambda: Cameras.stack(CAMERAS), "the Cameras to join are of type Cameras, expected a list"),  # pyright: ignore
        (lambda: Cameras.stack([CAMERAS, "b"]), "Cameras cannot be joined with str"),  # pyright: ignore
        (lambda: Cameras.stack([CAMERAS, CAMERAS[:2]]), r"batch shapes \(2,\) and \(3,\) cannot be joined"),
        (lambda: CAMERAS.to(torch.float32, torch.float64), "to is given two types of numbers"),  # pyright: ignore
    ],
)
def test_what_is_no_rig_is_one_sentence(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()


RIG = Rig(("a", "b", "c"), CAMERAS, quarter_turns=(0, 1, 2))


@pytest.mark.usefixtures("unchecked")
def test_a_rig_takes_lists_of_names_and_turns() -> None:
    rig = Rig(["a", "b", "c"], CAMERAS, up=[0, 0, 1], quarter_turns=[0, 1, 2])  # pyright: ignore[reportArgumentType]
    assert rig.names == RIG.names and rig.quarter_turns == RIG.quarter_turns
    assert rig.up is not None and torch.equal(rig.up, torch.tensor([0.0, 0, 1]).double())
    assert rig.selected(np.array(["c", "a"])).quarter_turns == (2, 0)  # pyright: ignore[reportArgumentType]


def test_the_fused_volume_sees_through_every_lens() -> None:
    """A mixed rig: the kernel against its twin of plain operations."""
    kinds = (5, 14, "fisheye", "human36m")
    rig = Cameras.stack([with_lens(ring(4)[i], kind) for i, kind in enumerate(kinds)])
    cameras = rig.scaled(torch.tensor([32 / 1280, 24 / 720]).double())[None]
    maps = torch.rand(1, 4, 2, 24, 32, generator=torch.Generator().manual_seed(0))
    points_mm = torch.randn(1, 300, 3, generator=torch.Generator().manual_seed(1)).double() * 500
    mask = torch.ones(1, 4, dtype=torch.bool)
    fused = unproject_fused(maps, None, points_mm, Views.of(cameras, (24, 32), "exact"), mask, SOFTMAX)
    plain = unproject_plain(maps.double(), None, points_mm, cameras, mask, "softmax", "exact")
    torch.testing.assert_close(fused.double(), plain, atol=1e-5, rtol=1e-5)
    other = Views.of(replace(cameras, distortion=cameras.distortion * 0.5), (24, 32), "exact")
    assert (unproject_fused(maps, None, points_mm, other, mask, SOFTMAX) - fused).abs().max() > 1e-2
