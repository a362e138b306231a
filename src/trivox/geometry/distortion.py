"""Lens distortion on normalised image points (x/z, y/z): forward, Jacobian, exact inverse.

Both named models share one form. With r2 = x^2 + y^2, g = 1 + k1 r2 + k2 r2^2 + k3 r2^3 and q = (p2, p1):

    distorted = g p + c (q . p) p + r2 q        "opencv": c = 2 (Brown-Conrady, five terms, as in OpenCV)
                                                "human36m": c = 1 (Human3.6M's own code drops the factor 2)

A polynomial is trusted only where it grows with the radius. Beyond the radius where it would turn back, a plain
formula folds far-away points into the picture; here the last radial factor is kept from there on, so the map
stays one-to-one over the whole plane and agrees with OpenCV wherever OpenCV is meaningful.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

DistortionModel = Literal["opencv", "human36m"]

TANGENTIAL_FACTOR: dict[DistortionModel, float] = {"opencv": 2.0, "human36m": 1.0}
_NEWTON_STEPS = 20


def distort(
    points: Float[Tensor, "*b N 2"], coefficients: Float[Tensor, "*b 5"], model: DistortionModel
) -> Float[Tensor, "*b N 2"]:
    """Distort normalised points. `coefficients` are k1, k2, p1, p2, k3 (OpenCV's order)."""
    k, q, turning = _split(coefficients)
    r2 = (points * points).sum(-1, keepdim=True)
    gain = _gain(torch.minimum(r2, turning), k)
    along = (points * q).sum(-1, keepdim=True)
    return points * (gain + TANGENTIAL_FACTOR[model] * along) + r2 * q


def distortion_jacobian(
    points: Float[Tensor, "*b N 2"], coefficients: Float[Tensor, "*b 5"], model: DistortionModel
) -> Float[Tensor, "*b N 2 2"]:
    """Derivative of `distort` with respect to its points: row = distorted coordinate, column = point coordinate."""
    k, q, turning = _split(coefficients)
    factor = TANGENTIAL_FACTOR[model]
    r2 = (points * points).sum(-1, keepdim=True)
    along = (points * q).sum(-1, keepdim=True)
    inside = r2 < turning
    clamped = torch.minimum(r2, turning)
    slope = (k[0] + clamped * (2 * k[1] + clamped * 3 * k[2])) * inside
    outer = points[..., :, None] * (2 * slope * points + factor * q)[..., None, :]
    identity = torch.eye(2, dtype=points.dtype, device=points.device)
    isotropic = (_gain(clamped, k) + factor * along)[..., None] * identity
    return outer + isotropic + 2 * q[..., :, None] * points[..., None, :]


def undistort(
    points: Float[Tensor, "*b N 2"], coefficients: Float[Tensor, "*b 5"], model: DistortionModel
) -> Float[Tensor, "*b N 2"]:
    """Invert `distort` by Newton's method; differentiable in points and coefficients.

    The iterations run without gradient. One last Newton step at the solution, with the Jacobian held constant,
    carries the exact first derivative (implicit function theorem).
    """
    with torch.no_grad():
        solution = _newton(points, coefficients, model)
        inverse = inverse_2x2(distortion_jacobian(solution, coefficients, model))
    residual = points - distort(solution, coefficients, model)
    return solution + (inverse @ residual[..., None])[..., 0]


def _newton(points: Tensor, coefficients: Tensor, model: DistortionModel) -> Tensor:
    """Full Newton steps from the distorted point: monotone for a radial polynomial that only grows or only shrinks."""
    tolerance = 4 * torch.finfo(points.dtype).eps
    solution = points
    for _ in range(_NEWTON_STEPS):
        residual = points - distort(solution, coefficients, model)
        jacobian = distortion_jacobian(solution, coefficients, model)
        step = (inverse_2x2(jacobian) @ residual[..., None])[..., 0]
        # A step longer than the point's own radius would only come from a nearly flat polynomial.
        limit = 1 + solution.norm(dim=-1, keepdim=True)
        length = step.norm(dim=-1, keepdim=True)
        step = step * torch.clamp(limit / length.clamp_min(1e-30), max=1.0)
        solution = solution + step
        if bool((length <= tolerance * limit).all()):
            break
    return solution


def _split(coefficients: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Radial terms k1, k2, k3 and the turning radius squared (*b,1,1); the tangential vector (p2, p1) (*b,1,2)."""
    k = [coefficients[..., i, None, None] for i in (0, 1, 4)]
    q = torch.stack([coefficients[..., 3], coefficients[..., 2]], dim=-1)[..., None, :]
    return k, q, turning_radius_squared(coefficients.detach())[..., None, None]


def _gain(r2: Tensor, k: list[Tensor]) -> Tensor:
    return 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]))


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
    # A turning point beyond 100 (84 degrees off the axis) is no turning point of any lens: keep it out of 1/s.
    return torch.where(largest > 1e-4, 1 / largest.clamp_min(1e-4), torch.inf)


def inverse_2x2(m: Float[Tensor, "*b 2 2"]) -> Float[Tensor, "*b 2 2"]:
    """Closed-form inverse; a singular matrix gives large finite numbers, never NaN."""
    det = m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0]
    adjugate = torch.stack([m[..., 1, 1], -m[..., 0, 1], -m[..., 1, 0], m[..., 0, 0]], dim=-1)
    tiny = torch.finfo(m.dtype).tiny ** 0.5
    return (adjugate / torch.where(det.abs() > tiny, det, tiny)[..., None]).unflatten(-1, (2, 2))
