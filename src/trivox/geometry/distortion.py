"""Lens distortion on normalised image points (x/z, y/z): forward, Jacobian, exact inverse.

Both named models share one form. With r2 = x^2 + y^2, g = 1 + k1 r2 + k2 r2^2 + k3 r2^3 and q = (p2, p1):

    distorted = g p + c (q . p) p + r2 q        "opencv": c = 2 (Brown-Conrady, five terms, as in OpenCV)
                                                "human36m": c = 1 (Human3.6M's own code drops the factor 2)

A polynomial is trusted only where it grows with the radius. Beyond the radius where it would turn back, a plain
formula folds far-away points into the picture; here the last radial factor is kept from there on, so the map
stays one-to-one over the whole plane and agrees with OpenCV wherever OpenCV is meaningful.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

DistortionModel = Literal["opencv", "human36m"]

TANGENTIAL_FACTOR: dict[DistortionModel, float] = {"opencv": 2.0, "human36m": 1.0}
_NEWTON_STEPS = 20
# Beyond this radius (89 degrees off the axis) no polynomial was ever fitted; its powers would overflow.
_LARGEST_RADIUS_SQUARED = 1e4


class _Lens(NamedTuple):
    """Coefficients as the formulas want them, made once per call."""

    k: list[Tensor]  # radial terms k1, k2, k3: (*b, 1, 1)
    q: Tensor  # tangential vector (p2, p1): (*b, 1, 2)
    trusted: Tensor  # squared radius up to which the polynomial counts: (*b, 1, 1)
    factor: float  # c of the formula


def distort(
    points: Float[Tensor, "*b N 2"], coefficients: Float[Tensor, "*b 5"], model: DistortionModel
) -> Float[Tensor, "*b N 2"]:
    """Distort normalised points. `coefficients` are k1, k2, p1, p2, k3 (OpenCV's order)."""
    return _distorted(points, _lens(coefficients, model))


def distortion_jacobian(
    points: Float[Tensor, "*b N 2"], coefficients: Float[Tensor, "*b 5"], model: DistortionModel
) -> Float[Tensor, "*b N 2 2"]:
    """Derivative of `distort` with respect to its points: row = distorted coordinate, column = point coordinate."""
    return _jacobian(points, _lens(coefficients, model))


def undistort(
    points: Float[Tensor, "*b N 2"], coefficients: Float[Tensor, "*b 5"], model: DistortionModel
) -> Float[Tensor, "*b N 2"]:
    """Invert `distort` by Newton's method; differentiable in points and coefficients.

    The iterations run without gradient. One last Newton step at the solution, with the Jacobian held constant,
    carries the exact first derivative (implicit function theorem).
    """
    lens = _lens(coefficients, model)
    with torch.no_grad():
        solution = _newton(points, lens)
        inverse = inverse_2x2(_jacobian(solution, lens))
    residual = points - _distorted(solution, lens)
    return solution + (inverse @ residual[..., None])[..., 0]


def _distorted(points: Tensor, lens: _Lens) -> Tensor:
    r2 = (points * points).sum(-1, keepdim=True)
    gain = _gain(torch.minimum(r2, lens.trusted), lens.k)
    along = (points * lens.q).sum(-1, keepdim=True)
    return points * (gain + lens.factor * along) + r2 * lens.q


def _jacobian(points: Tensor, lens: _Lens) -> Tensor:
    k, q, trusted, factor = lens
    r2 = (points * points).sum(-1, keepdim=True)
    along = (points * q).sum(-1, keepdim=True)
    inside = r2 < trusted
    clamped = torch.minimum(r2, trusted)
    slope = (k[0] + clamped * (2 * k[1] + clamped * 3 * k[2])) * inside
    outer = points[..., :, None] * (2 * slope * points + factor * q)[..., None, :]
    identity = torch.eye(2, dtype=points.dtype, device=points.device)
    isotropic = (_gain(clamped, k) + factor * along)[..., None] * identity
    return outer + isotropic + 2 * q[..., :, None] * points[..., None, :]


def _newton(points: Tensor, lens: _Lens) -> Tensor:
    """Full Newton steps from the distorted point: monotone for a radial polynomial that only grows or only shrinks."""
    tolerance = 4 * torch.finfo(points.dtype).eps
    solution = points
    for _ in range(_NEWTON_STEPS):
        residual = points - _distorted(solution, lens)
        step = (inverse_2x2(_jacobian(solution, lens)) @ residual[..., None])[..., 0]
        # A step longer than the point's own radius would only come from a nearly flat polynomial.
        limit = 1 + solution.norm(dim=-1, keepdim=True)
        length = step.norm(dim=-1, keepdim=True)
        step = step * torch.clamp(limit / length.clamp_min(1e-30), max=1.0)
        solution = solution + step
        if bool((length <= tolerance * limit).all()):
            break
    return solution


def _lens(coefficients: Tensor, model: DistortionModel) -> _Lens:
    k = [coefficients[..., i, None, None] for i in (0, 1, 4)]
    q = torch.stack([coefficients[..., 3], coefficients[..., 2]], dim=-1)[..., None, :]
    trusted = trusted_radius_squared(coefficients.detach())[..., None, None]
    return _Lens(k, q, trusted, TANGENTIAL_FACTOR[model])


def _gain(r2: Tensor, k: list[Tensor]) -> Tensor:
    return 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]))


def trusted_radius_squared(coefficients: Float[Tensor, "*b 5"]) -> Float[Tensor, "*b"]:
    """Squared normalised radius from which on the last radial factor is kept; always finite."""
    return turning_radius_squared(coefficients).clamp_max(_LARGEST_RADIUS_SQUARED)


def turning_radius_squared(coefficients: Float[Tensor, "*b 5"]) -> Float[Tensor, "*b"]:
    """Squared normalised radius at which the radial polynomial stops growing; infinity where it never does.

    The distorted radius is r g(r2); its derivative 1 + 3 k1 s + 5 k2 s^2 + 7 k3 s^3 (s = r2) is a cubic, whose
    reversed polynomial has the companion matrix below; its positive real eigenvalues are 1/s.
    """
    a, b, c = 3 * coefficients[..., 0], 5 * coefficients[..., 1], 7 * coefficients[..., 4]
    companion = coefficients.new_zeros(*coefficients.shape[:-1], 3, 3)
    companion[..., 0, :] = torch.stack([-a, -b, -c], dim=-1)
    companion[..., 1, 0] = companion[..., 2, 1] = 1
    inverse_s = torch.linalg.eigvals(companion)
    is_real = inverse_s.imag.abs() <= 1e-6 * inverse_s.abs()
    largest = torch.where(is_real & (inverse_s.real > 0), inverse_s.real, 0.0).amax(-1)
    # A turning point beyond any lens is none: keep it out of 1/s.
    least = 1 / _LARGEST_RADIUS_SQUARED
    return torch.where(largest > least, 1 / largest.clamp_min(least), torch.inf)


def inverse_2x2(m: Float[Tensor, "*b 2 2"]) -> Float[Tensor, "*b 2 2"]:
    """Closed-form inverse; a singular matrix gives large finite numbers, never NaN."""
    det = m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0]
    adjugate = torch.stack([m[..., 1, 1], -m[..., 0, 1], -m[..., 1, 0], m[..., 0, 0]], dim=-1)
    tiny = torch.finfo(m.dtype).tiny ** 0.5
    return (adjugate / torch.where(det.abs() > tiny, det, tiny)[..., None]).unflatten(-1, (2, 2))
