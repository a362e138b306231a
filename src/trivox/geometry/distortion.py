"""Lens distortion on normalised image points (x/z, y/z): forward, Jacobian, exact inverse.

Every lens has one form. With p = (x, y), r2 = x^2 + y^2, q = (p2, p1), a = (s1, s3), b = (s2, s4):

    distorted = tilt( g p + c (q . p) p + r2 (q + a) + r2^2 b )

    "opencv"    g = (1 + k1 r2 + k2 r2^2 + k3 r2^3) / (1 + k4 r2 + k5 r2^2 + k6 r2^3), c = 2; `tilt` is the homography
                of a tilted sensor. Coefficients in OpenCV's order, k1 k2 p1 p2 k3 [k4 k5 k6 [s1 s2 s3 s4 [tx ty]]].
    "human36m"  the first five of them with c = 1 (Human3.6M's own code drops the factor 2).
    "fisheye"   g = (theta + k1 theta^3 + k2 theta^5 + k3 theta^7 + k4 theta^9) / r with theta = atan(r), nothing else
                (Kannala and Brandt 2006, as OpenCV's fisheye module has it): k1 k2 k3 k4.

The radial part is trusted only where the distorted radius grows with the radius. Beyond the radius where it would turn
back (or reach a pole), a plain formula folds far-away points into the picture; here the last radial factor is kept from
there on, so the map stays one-to-one over the whole plane and agrees with OpenCV wherever OpenCV is meaningful. The
tilt likewise divides by no less than `SMALLEST_TILT_DIVISOR`.

`model` is the name of all lenses, or a tensor (*b) of places in `DISTORTION_MODELS` where they differ.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

DistortionModel = Literal["opencv", "human36m", "fisheye"]
DISTORTION_MODELS: tuple[DistortionModel, ...] = get_args(DistortionModel)
FISHEYE = DISTORTION_MODELS.index("fisheye")

# How many coefficients each model may be given with, and how many are kept: shorter lists end in zeros.
GIVEN_TERMS: dict[DistortionModel, tuple[int, ...]] = {
    "opencv": (0, 1, 2, 4, 5, 8, 12, 14),
    "human36m": (0, 1, 2, 4, 5),
    "fisheye": (0, 4),
}
FEWEST_KEPT_TERMS: dict[DistortionModel, int] = {"opencv": 5, "human36m": 5, "fisheye": 4}

SMALLEST_TILT_DIVISOR = 0.01
_TANGENTIAL_FACTORS = (2.0, 1.0, 2.0)
_NEWTON_STEPS = 20
_RADIAL_STEPS = 60
# Beyond this radius (89 degrees off the axis) no polynomial of the radius was ever fitted; its powers would overflow.
_LARGEST_RADIUS_SQUARED = 1e4
# No ray that the inverse gives is farther off the axis (89.994 degrees): beyond, pixels of a fisheye show nothing.
LARGEST_INVERSE_ANGLE = math.atan(1e4)
# A rational lens is trusted up to this share of the squared radius of its pole.
_SHARE_OF_POLE = 0.999
# Below this squared radius atan(r) / r is a series.
SMALL_RADIUS_SQUARED = 1e-4


class _Lens(NamedTuple):
    """Coefficients as the formulas want them, made once per call; None where no lens has such terms."""

    k: list[Tensor]  # radial terms k1, k2, k3: (*b, 1, 1)
    divisor: list[Tensor] | None  # k4, k5, k6
    theta: list[Tensor] | None  # k1, k2, k3, k4 of a fisheye
    is_fisheye: Tensor | None  # (*b, 1, 1), where models differ
    q: Tensor  # tangential vector (p2, p1): (*b, 1, 2)
    factor: float | Tensor  # c of the formula
    prism: tuple[Tensor, Tensor] | None  # a and b: (*b, 1, 2)
    tilt: Tensor | None  # (*b, 1, 3, 3)
    trusted: Tensor  # squared radius up to which the radial part counts: (*b, 1, 1)

    @property
    def is_plain(self) -> bool:
        """Whether the five terms are all there is."""
        return self.divisor is None and self.theta is None


def distort(
    points: Float[Tensor, "*#b N 2"],
    coefficients: Float[Tensor, "*#b K"],
    model: DistortionModel | Int[Tensor, "*#b"],
) -> Float[Tensor, "*#b N 2"]:
    """Distort normalised points; the order of `coefficients` is that of the page's head."""
    return _distorted(points, _lens(coefficients, model))


def distortion_jacobian(
    points: Float[Tensor, "*#b N 2"],
    coefficients: Float[Tensor, "*#b K"],
    model: DistortionModel | Int[Tensor, "*#b"],
) -> Float[Tensor, "*#b N 2 2"]:
    """Derivative of `distort` with respect to its points: row = distorted coordinate, column = point coordinate."""
    return _jacobian(points, _lens(coefficients, model))


def undistort(
    points: Float[Tensor, "*#b N 2"],
    coefficients: Float[Tensor, "*#b K"],
    model: DistortionModel | Int[Tensor, "*#b"],
) -> Float[Tensor, "*#b N 2"]:
    """Invert `distort` by Newton's method; differentiable in points and coefficients.

    The iterations run without gradient. One last Newton step at the solution, with the Jacobian held constant,
    carries the exact first derivative (implicit function theorem). Points that no ray in front of a fisheye reaches
    give the ray at the border of what it sees.
    """
    lens = _lens(coefficients, model)
    with torch.no_grad():
        solution = _newton(points, lens)
        inverse = inverse_2x2(_jacobian(solution, lens))
    residual = points - _distorted(solution, lens)
    if lens.theta is not None:
        reached = residual.detach().norm(dim=-1, keepdim=True) <= 1e-3 * (
            1 + points.detach().norm(dim=-1, keepdim=True)
        )
        residual = torch.where(reached, residual, 0.0)
    return solution + (inverse @ residual[..., None])[..., 0]


def _distorted(points: Tensor, lens: _Lens) -> Tensor:
    r2 = (points * points).sum(-1, keepdim=True)
    clamped = torch.minimum(r2, lens.trusted)
    along = (points * lens.q).sum(-1, keepdim=True)
    bent = points * (_gain(clamped, lens) + lens.factor * along)
    if lens.prism is None:
        return bent + r2 * lens.q
    a, b = lens.prism
    bent = bent + r2 * (lens.q + a + clamped * b)
    return bent if lens.tilt is None else _tilted(bent, lens.tilt)[0]


def _jacobian(points: Tensor, lens: _Lens) -> Tensor:
    q, factor = lens.q, lens.factor
    r2 = (points * points).sum(-1, keepdim=True)
    along = (points * q).sum(-1, keepdim=True)
    inside = r2 < lens.trusted
    clamped = torch.minimum(r2, lens.trusted)
    gain = _gain(clamped, lens)
    slope = _gain_slope(clamped, gain, lens) * inside
    outer = points[..., :, None] * (2 * slope * points + factor * q)[..., None, :]
    identity = torch.eye(2, dtype=points.dtype, device=points.device)
    isotropic = (gain + factor * along)[..., None] * identity
    if lens.prism is None:
        return outer + isotropic + 2 * q[..., :, None] * points[..., None, :]
    a, b = lens.prism
    across = q + a + (clamped + inside * r2) * b
    jacobian = outer + isotropic + 2 * across[..., :, None] * points[..., None, :]
    if lens.tilt is None:
        return jacobian
    bent = points * (gain + factor * along) + r2 * (q + a + clamped * b)
    return _tilted(bent, lens.tilt)[1] @ jacobian


def _gain(r2: Tensor, lens: _Lens) -> Tensor:
    """The radial factor g."""
    if lens.theta is None:
        return _rational_gain(r2, lens)
    ratio = _angle_ratio(r2)
    gain = ratio * _polynomial(r2 * ratio * ratio, lens.theta)
    if lens.is_fisheye is None:
        return gain
    # Powers of the radii that only a fisheye has would overflow.
    return torch.where(lens.is_fisheye, gain, _rational_gain(r2.clamp_max(_LARGEST_RADIUS_SQUARED), lens))


def _gain_slope(r2: Tensor, gain: Tensor, lens: _Lens) -> Tensor:
    """Derivative of the radial factor with respect to r2."""
    if lens.theta is None:
        return _rational_slope(r2, gain, lens)
    ratio = _angle_ratio(r2)
    small = r2 < SMALL_RADIUS_SQUARED
    s = torch.where(small, r2, 0.0)
    series = -1 / 3 + s * (2 / 5 + s * (-3 / 7 + s * (4 / 9)))
    ratio_slope = torch.where(small, series, (1 / (1 + r2) - ratio) / (2 * torch.where(small, 1.0, r2)))
    theta2 = r2 * ratio * ratio
    theta2_slope = ratio / (1 + r2)
    slope = ratio_slope * _polynomial(theta2, lens.theta) + ratio * theta2_slope * _slope(theta2, lens.theta)
    if lens.is_fisheye is None:
        return slope
    return torch.where(lens.is_fisheye, slope, _rational_slope(r2.clamp_max(_LARGEST_RADIUS_SQUARED), gain, lens))


def _rational_gain(r2: Tensor, lens: _Lens) -> Tensor:
    gain = _polynomial(r2, lens.k)
    return gain if lens.divisor is None else gain / _polynomial(r2, lens.divisor)


def _rational_slope(r2: Tensor, gain: Tensor, lens: _Lens) -> Tensor:
    slope = _slope(r2, lens.k)
    if lens.divisor is None:
        return slope
    return (slope - gain * _slope(r2, lens.divisor)) / _polynomial(r2, lens.divisor)


def _polynomial(x: Tensor, k: list[Tensor]) -> Tensor:
    """1 + k[0] x + k[1] x^2 + ..."""
    value = k[-1] * x
    for coefficient in reversed(k[:-1]):
        value = (value + coefficient) * x
    return 1 + value


def _slope(x: Tensor, k: list[Tensor]) -> Tensor:
    value = len(k) * k[-1]
    for power in range(len(k) - 1, 1, -1):
        value = value * x + power * k[power - 1]
    return value * x + k[0]


def _angle_ratio(r2: Tensor) -> Tensor:
    """atan(r) / r, smooth through r = 0."""
    small = r2 < SMALL_RADIUS_SQUARED
    # Either branch sees only radii that it can take: what is not chosen must not overflow, for the gradient.
    r, s = torch.where(small, 1.0, r2).sqrt(), torch.where(small, r2, 0.0)
    series = 1 + s * (-1 / 3 + s * (1 / 5 + s * (-1 / 7 + s * (1 / 9))))
    return torch.where(small, series, torch.atan(r) / r)


def tilt_rotation(angles: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 3 3"]:
    """OpenCV's rotation of a sensor tilted by (tau_x, tau_y) in radians."""
    (cx, cy), (sx, sy) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    zero = torch.zeros_like(cx)
    rows = (cy, sy * sx, -sy * cx, zero, cx, sx, sy, -cy * sx, cy * cx)
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def tilt_homography(angles: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 3 3"]:
    """What the tilt does to homogeneous distorted points, as in OpenCV's computeTiltProjectionMatrix."""
    R = tilt_rotation(angles)
    upper = R[..., 2:, 2:] * R[..., :2, :] - R[..., :2, 2:] * R[..., 2:, :]
    return torch.cat([upper, R[..., 2:, :]], dim=-2)


def tilt_angles(rotation: Float[Tensor, "*b 3 3"]) -> tuple[Float[Tensor, "*b 2"], Float[Tensor, "*b 3 3"]]:
    """The (tau_x, tau_y) and the turn about the optical axis for which rotation = tilt_rotation(tau) turn."""
    tau_x = torch.asin(rotation[..., 1, 2].clamp(-1, 1))
    tau_y = torch.atan2(-rotation[..., 0, 2], rotation[..., 2, 2])
    angles = torch.stack([tau_x, tau_y], dim=-1)
    return angles, tilt_rotation(angles).mT @ rotation


def _tilted(points: Tensor, tilt: Tensor) -> tuple[Tensor, Tensor]:
    """Points on the tilted sensor, and the derivative."""
    top, bottom = tilt[..., :2, :], tilt[..., 2, :]
    above = points @ top[..., 0, :, :2].mT + top[..., 0, :, 2][..., None, :]
    divisor = (points * bottom[..., :2]).sum(-1, keepdim=True) + bottom[..., 2:]
    free = divisor > SMALLEST_TILT_DIVISOR
    divisor = torch.where(free, divisor, SMALLEST_TILT_DIVISOR)
    tilted = above / divisor
    jacobian = (top[..., :2] - (tilted * free)[..., :, None] * bottom[..., None, :2]) / divisor[..., None]
    return tilted, jacobian


def _untilted(points: Tensor, tilt: Tensor) -> Tensor:
    """The inverse of `_tilted`; points that no distorted point reaches give one far outside."""
    matrix = tilt[..., 0, :, :]
    inverse = torch.linalg.inv(matrix)
    along = (points * inverse[..., None, 2, :2]).sum(-1, keepdim=True) + inverse[..., None, 2, 2:]
    free = along < 1 / SMALLEST_TILT_DIVISOR
    homography = points @ inverse[..., :2, :2].mT + inverse[..., None, :2, 2]
    homography = homography / along.clamp_min(SMALLEST_TILT_DIVISOR)
    affine = (points * SMALLEST_TILT_DIVISOR - matrix[..., None, :2, 2]) @ inverse_2x2(matrix[..., :2, :2]).mT
    return torch.where(free, homography, affine)


def _newton(points: Tensor, lens: _Lens) -> Tensor:
    """Full Newton steps: from the distorted point where five terms are all (monotone for a radial polynomial that only
    grows or only shrinks), else from the radial part's own inverse."""
    tolerance = 4 * torch.finfo(points.dtype).eps
    solution = points if lens.is_plain else _radial_inverse(points, lens)
    if lens.theta is not None and lens.is_fisheye is None:
        # All there is was radial.
        return solution
    for _ in range(_NEWTON_STEPS):
        residual = points - _distorted(solution, lens)
        step = (inverse_2x2(_jacobian(solution, lens)) @ residual[..., None])[..., 0]
        if lens.is_fisheye is not None:
            step = torch.where(lens.is_fisheye, 0.0, step)
        # A step longer than the point's own radius would only come from a nearly flat polynomial.
        limit = 1 + solution.norm(dim=-1, keepdim=True)
        length = step.norm(dim=-1, keepdim=True)
        step = step * torch.clamp(limit / length.clamp_min(1e-30), max=1.0)
        solution = solution + step
        if bool((length <= tolerance * limit).all()):
            break
    return solution


def _radial_inverse(points: Tensor, lens: _Lens) -> Tensor:
    """The points whose g p are these, tilt undone: Newton's method in the angle off the axis, kept in a bracket."""
    if lens.tilt is not None:
        points = _untilted(points, lens.tilt)
    target = points.norm(dim=-1, keepdim=True)
    tolerance = 4 * torch.finfo(points.dtype).eps
    low = torch.zeros_like(target)
    high = torch.full_like(target, LARGEST_INVERSE_ANGLE)
    angle = torch.minimum(torch.atan(target), high)
    for _ in range(_RADIAL_STEPS):
        r = torch.tan(angle)
        r2 = r * r
        clamped = torch.minimum(r2, lens.trusted)
        gain = _gain(clamped, lens)
        slope = (gain + 2 * r2 * _gain_slope(clamped, gain, lens) * (r2 < lens.trusted)) * (1 + r2)
        missed = r * gain - target
        low, high = torch.where(missed < 0, angle, low), torch.where(missed > 0, angle, high)
        newton = angle - missed / torch.where(slope > 0, slope, torch.inf)
        inside = (newton >= low) & (newton <= high) & (slope > 0)
        moved = torch.where(inside, newton, (low + high) / 2)
        done = bool(((moved - angle).abs() <= tolerance).all())
        angle = moved
        if done:
            break
    return points * torch.where(target > 0, torch.tan(angle) / torch.where(target > 0, target, 1.0), 1.0)


def _lens(coefficients: Tensor, model: DistortionModel | Tensor) -> _Lens:
    trusted = trusted_radius_squared(coefficients.detach(), model)[..., None, None]
    one_name = isinstance(model, str)
    theta = is_fisheye = divisor = prism = tilt = None
    if model == "fisheye" if one_name else True:
        theta = _columns(coefficients, (0, 1, 2, 3))
    if one_name:
        factor = _TANGENTIAL_FACTORS[DISTORTION_MODELS.index(model)]
    else:
        is_fisheye = (model == FISHEYE)[..., None, None]
        factor = coefficients.new_tensor(_TANGENTIAL_FACTORS)[model][..., None, None]
        coefficients = torch.where(is_fisheye[..., 0], 0.0, coefficients)
    if model == "fisheye" if one_name else False:
        coefficients = torch.zeros_like(coefficients[..., :1]).expand(*coefficients.shape[:-1], 5)
    k = _columns(coefficients, (0, 1, 4))
    q = torch.stack([coefficients[..., 3], coefficients[..., 2]], dim=-1)[..., None, :]
    terms = coefficients.shape[-1]
    if terms >= 8:
        divisor = _columns(coefficients, (5, 6, 7))
    if terms >= 12:
        prism = coefficients[..., None, 8:12:2], coefficients[..., None, 9:12:2]
    if terms >= 14:
        tilt = tilt_homography(coefficients[..., 12:14])[..., None, :, :]
    return _Lens(k, divisor, theta, is_fisheye, q, factor, prism, tilt, trusted)


def _columns(coefficients: Tensor, places: tuple[int, ...]) -> list[Tensor]:
    return [coefficients[..., i, None, None] for i in places]


def trusted_radius_squared(
    coefficients: Float[Tensor, "*#b K"], model: DistortionModel | Int[Tensor, "*#b"]
) -> Float[Tensor, "*#b"]:
    """Squared normalised radius from which on the last radial factor is kept; infinite for a fisheye that grows."""
    turning = turning_radius_squared(coefficients, model)
    if isinstance(model, str):
        return turning if model == "fisheye" else turning.clamp_max(_LARGEST_RADIUS_SQUARED)
    return torch.where(model == FISHEYE, turning, turning.clamp_max(_LARGEST_RADIUS_SQUARED))


def turning_radius_squared(
    coefficients: Float[Tensor, "*#b K"], model: DistortionModel | Int[Tensor, "*#b"]
) -> Float[Tensor, "*#b"]:
    """Squared normalised radius at which the distorted radius stops growing, or all but reaches a pole; infinity where
    it never does.

    With n = (1, k1, k2, k3) and d = (1, k4, k5, k6), the derivative of r n(r2) / d(r2) has the sign of the polynomial
    with coefficients sum over i + j = m of (1 + 2 i - 2 j) n_i d_j; that of a fisheye, in theta^2, is
    1 + 3 k1 t + 5 k2 t^2 + 7 k3 t^3 + 9 k4 t^4.
    """
    k = coefficients.double()
    if isinstance(model, str):
        turning = _fisheye_turning(k) if model == "fisheye" else _rational_turning(k)
    else:
        is_fisheye = model == FISHEYE
        plain = torch.where(is_fisheye[..., None], 0.0, k)
        turning = torch.where(is_fisheye, _fisheye_turning(k), _rational_turning(plain))
    return turning.to(coefficients.dtype)


def turning_reach(
    coefficients: Float[Tensor, "*#b K"], model: DistortionModel | Int[Tensor, "*#b"]
) -> Float[Tensor, "*#b"]:
    """The distorted radius at which the radial part turns back, on the plane at depth 1; infinity where never."""
    turning = turning_radius_squared(coefficients, model)
    r2 = torch.where(turning.isfinite(), turning, 0.0)[..., None, None]
    reach = r2.sqrt() * _gain(r2, _lens(coefficients, model))
    return torch.where(turning.isfinite(), reach[..., 0, 0], torch.inf)


def _rational_turning(k: Tensor) -> Tensor:
    k1, k2, k3 = k[..., 0], k[..., 1], k[..., 4]
    if k.shape[-1] < 8:
        return _smallest_root([3 * k1, 5 * k2, 7 * k3], _LARGEST_RADIUS_SQUARED)
    one, divisor = torch.ones_like(k1), list(k[..., 5:8].unbind(-1))
    n, d = (one, k1, k2, k3), (one, *divisor)
    terms = [torch.zeros_like(k1) for _ in range(7)]
    for i in range(4):
        for j in range(4):
            terms[i + j] = terms[i + j] + (1 + 2 * i - 2 * j) * n[i] * d[j]
    turning = _smallest_root(terms[1:], _LARGEST_RADIUS_SQUARED)
    return torch.minimum(turning, _SHARE_OF_POLE * _smallest_root(divisor, _LARGEST_RADIUS_SQUARED))


def _fisheye_turning(k: Tensor) -> Tensor:
    terms = [factor * k[..., i] for i, factor in enumerate((3, 5, 7, 9))]
    theta2 = _smallest_root(terms, (math.pi / 2) ** 2)
    seen = theta2.isfinite()
    return torch.where(seen, torch.tan(torch.where(seen, theta2, 1.0).sqrt()).square(), torch.inf)


def _smallest_root(k: list[Tensor], largest: float) -> Float[Tensor, "*b"]:
    """Smallest positive root of 1 + k[0] x + k[1] x^2 + ...; infinity where there is none below `largest`.

    The roots of the reversed polynomial are 1/x.
    """
    inverse = _largest_root_of_cubic(*k) if len(k) == 3 else _largest_root(torch.stack(k, dim=-1))
    # A root beyond any lens is none: keep it out of 1/x.
    return torch.where(inverse > 1 / largest, 1 / inverse.clamp_min(1 / largest), torch.inf)


def _largest_root_of_cubic(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Largest real root of w^3 + a w^2 + b w + c, in closed form (Cardano, Viete)."""
    shift = a / 3
    p = b / 3 - shift * shift
    q = shift * (shift * shift - b / 2) + c / 2
    discriminant = q * q + p * p * p
    root = discriminant.abs().sqrt()
    one = (q.abs() + root).pow(1 / 3).clamp_min(1e-100)
    one = (p / one - one) * torch.where(q < 0, -1.0, 1.0)
    three = 2 * (-p).clamp_min(0).sqrt() * torch.cos(torch.atan2(root, -q) / 3)
    return torch.where(discriminant > 0, one, three) - shift


def _largest_root(k: Float[Tensor, "*b n"]) -> Float[Tensor, "*b"]:
    """Largest real root of w^n + k[0] w^(n-1) + ..., by the companion matrix; 0 where none is positive."""
    degree = k.shape[-1]
    companion = k.new_zeros(*k.shape[:-1], degree, degree)
    companion[..., 0, :] = -k
    companion.diagonal(offset=-1, dim1=-2, dim2=-1)[...] = 1
    roots = torch.linalg.eigvals(companion)
    is_real = roots.imag.abs() <= 1e-6 * roots.abs()
    return torch.where(is_real, roots.real, 0.0).amax(-1)


def inverse_2x2(m: Float[Tensor, "*b 2 2"]) -> Float[Tensor, "*b 2 2"]:
    """Closed-form inverse; a singular matrix gives large finite numbers, never NaN."""
    det = m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0]
    adjugate = torch.stack([m[..., 1, 1], -m[..., 0, 1], -m[..., 1, 0], m[..., 0, 0]], dim=-1)
    tiny = torch.finfo(m.dtype).tiny ** 0.5
    return (adjugate / torch.where(det.abs() > tiny, det, tiny)[..., None]).unflatten(-1, (2, 2))


# Columns of a row of `lens_rows`.
LENS_COLUMNS = 24
TRUSTED, FACTOR, KIND, TILT = 5, 6, 7, 15
PLAIN_LENS, RATIONAL_LENS, FISHEYE_LENS = 0.0, 1.0, 2.0


def lens_rows(
    coefficients: Float[Tensor, "*#b K"], model: DistortionModel | Int[Tensor, "*#b"]
) -> Float[Tensor, "*#b 24"]:
    """Lenses as lens_kernel.py reads them, in float64: five coefficients (k1 k2 p1 p2 k3; a fisheye's four), squared
    trusted radius, tangential factor, kind (five terms, more of OpenCV's, fisheye), k4 to k6, s1 to s4, and the rows of
    the tilt's homography."""
    k = coefficients.detach().double()
    terms = k.shape[-1]
    rows = k.new_zeros(*k.shape[:-1], LENS_COLUMNS)
    rows[..., : min(terms, 5)] = k[..., :5]
    rows[..., TRUSTED] = trusted_radius_squared(k, model)
    codes = torch.full_like(rows[..., 0], DISTORTION_MODELS.index(model)).long() if isinstance(model, str) else model
    rows[..., FACTOR] = k.new_tensor(_TANGENTIAL_FACTORS)[codes]
    rows[..., KIND] = torch.where(codes == FISHEYE, FISHEYE_LENS, RATIONAL_LENS if terms >= 8 else PLAIN_LENS)
    rows[..., 8 : 8 + max(min(terms, 12) - 5, 0)] = k[..., 5:12]
    angles = k[..., 12:14] if terms >= 14 else torch.zeros_like(rows[..., :2])
    rows[..., TILT:] = tilt_homography(angles).flatten(-2)
    return rows
