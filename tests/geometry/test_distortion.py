"""The lens against OpenCV, against Human3.6M's written formula, and against its own inverse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from trivox.geometry import distortion
from trivox.geometry.distortion import (
    DistortionModel,
    distort,
    distortion_jacobian,
    inverse_2x2,
    turning_radius_squared,
    undistort,
)

MODELS: list[DistortionModel] = ["opencv", "human36m"]
LENSES = {
    "barrel": (-0.21, 0.19, 0.0011, -0.0017, -0.03),
    "pincushion": (0.12, 0.05, -0.002, 0.001, 0.0),
    "human36m": (-0.2070984, 0.2477713, -0.0014263, -0.0009757, -0.0030752),
    "none": (0.0,) * 5,
}
every_lens = pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())
both_models = pytest.mark.parametrize("model", MODELS)


def _grid(half_width: float = 0.5, step: int = 9) -> Tensor:
    axis = torch.linspace(-half_width, half_width, step, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)


def _coefficients(lens: tuple[float, ...]) -> Tensor:
    return torch.tensor(lens, dtype=torch.float64)


@every_lens
def test_equals_opencv(lens: tuple[float, ...]) -> None:
    points = _grid()
    in_space = np.concatenate([points.numpy(), np.ones((len(points), 1))], axis=1)
    expected, _ = cv2.projectPoints(in_space, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens))
    ours = distort(points, _coefficients(lens), "opencv")
    np.testing.assert_allclose(ours.numpy(), expected[:, 0], atol=1e-12)


@every_lens
def test_inverse_equals_opencv(lens: tuple[float, ...]) -> None:
    distorted = distort(_grid(), _coefficients(lens), "opencv")
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-14)
    expected = cv2.undistortPoints(distorted.numpy()[:, None], np.eye(3), np.array(lens), criteria=criteria)
    ours = undistort(distorted, _coefficients(lens), "opencv")
    np.testing.assert_allclose(ours.numpy(), expected[:, 0], atol=1e-8)


@every_lens
def test_human36m_formula(lens: tuple[float, ...]) -> None:
    """As Human3.6M's own code has it: no factor 2 on the products in the tangential part."""
    k1, k2, p1, p2, k3 = lens
    a, b = _grid().unbind(-1)
    r2 = a * a + b * b
    g = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    expected = torch.stack([a * g + p1 * a * b + p2 * (a * a + r2), b * g + p2 * a * b + p1 * (b * b + r2)], -1)
    torch.testing.assert_close(distort(_grid(), _coefficients(lens), "human36m"), expected, atol=1e-14, rtol=0)


@both_models
@every_lens
def test_undistort_inverts_distort(lens: tuple[float, ...], model: DistortionModel) -> None:
    points = _grid(0.7)
    back = undistort(distort(points, _coefficients(lens), model), _coefficients(lens), model)
    torch.testing.assert_close(back, points, atol=1e-11, rtol=0)


@both_models
@given(
    radial=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.2, 0.4), st.floats(-0.1, 0.2)),
    x=st.floats(-0.4, 0.4),
    y=st.floats(-0.4, 0.4),
)
def test_undistort_inverts_distort_for_any_lens(
    model: DistortionModel, radial: tuple[float, float, float], x: float, y: float
) -> None:
    lens = _coefficients((radial[0], radial[1], 0.001, -0.001, radial[2]))
    point = torch.tensor([[x, y]], dtype=torch.float64)
    back = undistort(distort(point, lens, model), lens, model)
    torch.testing.assert_close(back, point, atol=1e-9, rtol=0)


@both_models
@every_lens
def test_jacobian_is_the_derivative(lens: tuple[float, ...], model: DistortionModel) -> None:
    points = _grid()
    summed = torch.func.jacrev(lambda p: distort(p, _coefficients(lens), model).sum(0))(points)
    expected = summed.movedim(0, 1)
    torch.testing.assert_close(distortion_jacobian(points, _coefficients(lens), model), expected)


@both_models
def test_gradients(model: DistortionModel) -> None:
    points = _grid(0.4, 3).requires_grad_()
    lens = _coefficients(LENSES["barrel"]).requires_grad_()
    assert gradcheck(lambda p, k: distort(p, k, model), (points, lens))
    assert gradcheck(lambda p, k: undistort(p, k, model), (points, lens))


def test_a_batch_of_lenses_equals_a_loop() -> None:
    lenses = torch.stack([_coefficients(lens) for lens in LENSES.values()])
    points = _grid(0.3).expand(len(lenses), -1, -1)
    for function in (distort, undistort, distortion_jacobian):
        batched = function(points, lenses, "opencv")
        looped = torch.stack([function(points[0], lens, "opencv") for lens in lenses])
        torch.testing.assert_close(batched, looped)


@pytest.mark.parametrize("k1", [-0.3, -0.1, -0.02])
def test_radius_grows_far_beyond_the_turning_point(k1: float) -> None:
    """The bare polynomial would fold far rays back into the picture."""
    lens = _coefficients((k1, 0.0, 0.0, 0.0, 0.0))
    assert turning_radius_squared(lens, "opencv") == pytest.approx(-1 / (3 * k1))
    radius = torch.linspace(0.0, 20.0, 2000, dtype=torch.float64)
    out = distort(torch.stack([radius, torch.zeros_like(radius)], -1), lens, "opencv")[:, 0]
    assert (out.diff() > 0).all()


def test_the_turning_point_is_the_smallest_positive_root() -> None:
    """Of 1 + 3 k1 s + 5 k2 s^2 + 7 k3 s^3, by numpy's roots, degenerate polynomials among them."""
    lenses = np.random.default_rng(0).normal(size=(300, 5)) * [0.4, 0.4, 0, 0, 0.3]
    lenses[::3, 4], lenses[::6, 1] = 0, 0
    found = turning_radius_squared(torch.from_numpy(lenses), "opencv").numpy()
    for lens, s in zip(lenses, found, strict=True):
        roots = np.roots([7 * lens[4], 5 * lens[1], 3 * lens[0], 1])
        real = roots[(abs(roots.imag) < 1e-7) & (roots.real > 0)].real
        assert s == pytest.approx(real.min(initial=np.inf), rel=1e-6)


def test_lenses_that_only_grow_have_no_turning_point() -> None:
    lenses = torch.tensor([[0.1, 0.2, 0, 0, 0.1], [0.0] * 5], dtype=torch.float64)
    assert torch.isinf(turning_radius_squared(lenses, "opencv")).all()


def test_inverse_2x2() -> None:
    m = torch.randn(7, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(inverse_2x2(m) @ m, torch.eye(2).double().expand(7, 2, 2), atol=1e-12, rtol=0)
    assert inverse_2x2(torch.zeros(2, 2).double()).isfinite().all()


@pytest.mark.parametrize("function", [distort, undistort, distortion_jacobian])
def test_the_turning_radius_is_computed_once(function, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs more than all the rest for a few points."""
    calls, turning = [], distortion.turning_radius_squared
    monkeypatch.setattr(distortion, "turning_radius_squared", lambda *given: calls.append(given) or turning(*given))
    function(_grid(), _coefficients(LENSES["barrel"]), "opencv")
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 99.9, 100.1, 1e7, 1e9])
def test_any_lens_is_finite_everywhere_and_grows_with_the_radius(dtype: torch.dtype, size: float) -> None:
    lenses = torch.tensor([(0.3, 0.2, 1e-3, -1e-3, 0.1), *LENSES.values()], dtype=dtype)
    points = (torch.tensor([[0.6, 0.8]], dtype=dtype) * size).expand(len(lenses), 1, 2).requires_grad_()
    lenses.requires_grad_()
    out = distort(points, lenses, "opencv")
    gradients = torch.autograd.grad(out.sum(), [points, lenses])
    assert all(t.isfinite().all() for t in (out, *gradients, distortion_jacobian(points, lenses, "opencv")))
    radial = lenses.detach() * torch.tensor([1, 1, 0, 0, 1], dtype=dtype)
    near, far = (distort(points.detach() * s, radial, "opencv").double().norm(dim=-1) for s in (1.0, 1.01))
    assert (far > near).all() or size == 0.0
