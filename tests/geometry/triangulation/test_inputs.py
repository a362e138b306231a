"""What the public functions of triangulation take: numbers of any kind, cameras or a rig; the rest is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scenes import observed, points_in_room, random_weights, ring_with, tensors_of

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import refine, triangulate, triangulate_ransac


def _refined_afterwards(points_px: Any, cameras: Any, weights: Any = None) -> Triangulated:
    return refine(triangulate(points_px, cameras, weights), points_px, cameras, weights)


every_method = pytest.mark.parametrize("method", [triangulate, triangulate_ransac, _refined_afterwards])


def _masked(values: torch.Tensor) -> np.ma.MaskedArray:
    """An array whose first view is masked and has other numbers below the mask."""
    array = np.ma.array(values.numpy().copy(), mask=False)
    array[0] = 17.0
    array[0] = np.ma.masked
    return array


def _without_first(values: torch.Tensor) -> list[Any]:
    """Nested lists that lack the numbers of the first view."""
    return [np.full(values.shape[1:], None).tolist(), *values[1:].tolist()]


KINDS: dict[str, Callable[[torch.Tensor], Any]] = {
    "array": lambda t: t.numpy(),
    "big-endian": lambda t: t.numpy().astype(">f8"),
    "reversed": lambda t: np.ascontiguousarray(t.numpy()[::-1])[::-1],
    "lists": lambda t: t.tolist(),
    "tuple of arrays": lambda t: tuple(t.numpy()),
    "list of tensors": list,
    "masked": _masked,
    "lists with None": _without_first,
}


@every_method
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_lists_and_rigs_are_tensors_and_cameras(method: Callable[..., Triangulated], kind: str) -> None:
    cameras = ring_with(4, True)
    points_px, weights = observed(points_in_room(5), cameras, noise_px=2.0), random_weights(4, 5)
    rig = Rig(("a", "b", "c", "d"), cameras)
    expected_px = points_px.clone()
    if kind in ("masked", "lists with None"):
        expected_px[0] = torch.nan
    expected = tensors_of(method(expected_px, cameras, weights))
    given = KINDS[kind]
    found = tensors_of(method(given(points_px), rig, weights.numpy()))
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_whole_numbers_of_any_kind_are_pixels() -> None:
    cameras = ring_with(4, False)
    whole = observed(points_in_room(5), cameras).round()
    expected = triangulate(whole, cameras).points_mm
    for kind in (np.int16, np.uint16, np.uint64):
        assert torch.equal(triangulate(whole.numpy().astype(kind), cameras).points_mm, expected)
    assert torch.equal(triangulate(whole.int().tolist(), cameras).points_mm, expected)


def test_a_list_of_tensors_keeps_its_gradient() -> None:
    cameras = ring_with(3, False)
    points_px = observed(points_in_room(2), cameras).requires_grad_()
    triangulate(list(points_px), cameras).points_mm.sum().backward()
    assert points_px.grad is not None and bool((points_px.grad != 0).any())


@every_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_millimetres_in_float32(method: Callable[..., Triangulated], dtype: torch.dtype) -> None:
    cameras = ring_with(4, False)
    points_px = observed(points_in_room(5), cameras).to(dtype)
    found, exact = method(points_px, cameras), method(points_px.double(), cameras)
    assert found.points_mm.dtype == found.covariance_mm2.dtype == torch.float32
    torch.testing.assert_close(found.points_mm.double(), exact.points_mm, atol=1e-3, rtol=0)
    with pytest.raises(InputError, match=f"the cameras are in {dtype}.*float32"):
        method(points_px, cameras.to(dtype))


@every_method
@pytest.mark.parametrize(
    ("fault", "sentence"),
    {
        "no numbers": ("abc", "points_px is a str that is no array of numbers, expected real numbers of shape"),
        "nothing": (None, "points_px is a NoneType"),
        "ragged": ([[[1, 2], [3]], [[1, 2], [3, 4]]], "points_px is a list that is no array of numbers"),
        "texts": ([[["1", "2"]], [["1", "2"]]], "points_px is a list"),
        "flags": (torch.zeros(4, 5, 2, dtype=torch.bool), "points_px is a tensor of torch.bool"),
        "complex": (np.zeros((4, 5, 2), complex), "points_px is a ndarray that is no array of numbers"),
        "uneven tensors": ([torch.zeros(5, 2), torch.zeros(4, 2)], "tensors of different shapes"),
        "three coordinates": (np.zeros((4, 5, 3)), r"points_px has shape \(4, 5, 3\), expected \(\*b, V, J, 2\)"),
        "one joint": (np.zeros((4, 2)), r"points_px has shape \(4, 2\)"),
        "a number": (3.0, r"points_px has shape \(\)"),
    }.values(),
)
def test_what_is_no_pixels_is_one_sentence(method: Callable[..., Triangulated], fault: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        method(fault, ring_with(4, False))


@every_method
def test_what_are_no_cameras_or_weights_is_one_sentence(method: Callable[..., Triangulated]) -> None:
    cameras = ring_with(4, False)
    points_px = observed(points_in_room(5), cameras)
    for wrong in (None, "rig.toml", cameras.K.numpy(), {"K": cameras.K}):
        with pytest.raises(InputError, match=f"cameras is of type {type(wrong).__name__}, expected trivox.Cameras"):
            method(points_px, wrong)
    with pytest.raises(InputError, match="weights is a str"):
        method(points_px, cameras, "heavy")
    with pytest.raises(InputError, match=r"weights have shape \(3,\), expected \(4, 5\)"):
        method(points_px, cameras, [1, 2, 3])


def test_what_is_no_triangulation_is_one_sentence() -> None:
    cameras = ring_with(4, False)
    points_px = observed(points_in_room(5), cameras)
    with pytest.raises(InputError, match="the triangulated are of type Tensor"):
        refine(points_in_room(5), points_px, cameras)
    with pytest.raises(InputError, match="noise_px is 0.0, expected a positive number"):
        triangulate(points_px, cameras, noise_px=0.0)


# Points that cannot be known.


@every_method
@pytest.mark.parametrize(("apart_mm", "noise_px"), [(0.0, 0.0), (0.0, 1.0), (0.1, 1.0), (1.0, 0.0), (10.0, 0.0)])
def test_rays_that_are_nearly_parallel_are_invalid(
    method: Callable[..., Triangulated], apart_mm: float, noise_px: float
) -> None:
    """Four metres away, 10 mm are two pixels of these cameras."""
    one = ring_with(3, True)[0]
    cameras = Cameras.stack([one, one])
    cameras.t_mm[1, 0] += apart_mm
    found = method(observed(points_in_room(40), cameras, noise_px), cameras)
    assert not found.valid.any() and not found.points_mm.any() and not found.covariance_mm2.any()


@every_method
@pytest.mark.parametrize("absurd", [1e12, 1e150, 1e300, np.inf, np.nan])
def test_cameras_that_are_nowhere_count_as_missing(method: Callable[..., Triangulated], absurd: float) -> None:
    cameras = ring_with(4, False)
    points_px = observed(points_in_room(5), cameras)
    without = method(points_px[1:], cameras[1:])
    t_mm = cameras.t_mm.clone()
    t_mm[0, 1] = absurd
    found = method(points_px, replace(cameras, t_mm=t_mm))
    assert found.valid.all() and not found.inliers[0].any()
    torch.testing.assert_close(found.points_mm, without.points_mm, atol=1e-9, rtol=0)
    t_mm[1:3] = absurd
    assert not method(points_px, replace(cameras, t_mm=t_mm)).valid.any()


@pytest.mark.parametrize("absurd", [1e10, 1e150, 1e300, np.inf, np.nan])
def test_refining_a_point_that_is_nowhere_gives_none(absurd: float) -> None:
    cameras = ring_with(4, True)
    points_px = observed(points_in_room(5), cameras)
    found = triangulate(points_px, cameras)
    points_mm = found.points_mm.clone()
    points_mm[2] = absurd
    again = refine(replace(found, points_mm=points_mm), points_px, cameras)
    nowhere = ~again.valid
    assert not again.points_mm[nowhere].any() and again.valid[[0, 1, 3, 4]].all()
    torch.testing.assert_close(again.points_mm[again.valid], found.points_mm[again.valid], atol=1e-5, rtol=0)


@every_method
def test_the_covariance_is_for_the_noise_that_is_stated(method: Callable[..., Triangulated]) -> None:
    cameras = ring_with(4, True)
    points_px = observed(points_in_room(5), cameras, noise_px=2.0)
    one = method(points_px, cameras)
    if method is _refined_afterwards:
        three = refine(one, points_px, cameras, noise_px=3)
    else:
        three = method(points_px, cameras, noise_px=3)
    torch.testing.assert_close(three.covariance_mm2, 9 * one.covariance_mm2)


@every_method
@pytest.mark.parametrize(("rigs", "shape"), [((2, 4), (4, 5, 2)), ((2, 4), (6, 4, 5, 2)), ((2, 1, 4), (2, 4, 5, 2))])
def test_rigs_that_are_not_those_of_the_points_are_one_sentence(
    method: Callable[..., Triangulated], rigs: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    cameras = ring_with(4, False).expanded(*rigs)
    said = rf"points_px has shape {shape}, the cameras have batch shape {rigs}: expected .* {(*shape[:-2],)}"
    with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
        method(torch.zeros(shape).double(), cameras)


@every_method
@pytest.mark.parametrize("rigs", [(4,), (1, 4), (3, 4), (2, 1, 4), (2, 3, 4)])
def test_one_rig_or_one_of_each_item_are_the_same(method: Callable[..., Triangulated], rigs: tuple[int, ...]) -> None:
    cameras = ring_with(4, True)
    points_px = observed(points_in_room(5), cameras, noise_px=2.0)
    expected = method(points_px, cameras)
    found = method(points_px.expand(2, 3, -1, -1, -1), cameras.expanded(*rigs))
    torch.testing.assert_close(found.points_mm, expected.points_mm.expand(2, 3, -1, -1))
