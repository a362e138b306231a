"""The lens that a format can write: a camera's own, or one fitted to it that shows the same picture.

A lens that the format cannot name is never written as another one unless the caller says so, and then only where the
fitted lens agrees with the camera's within `LARGEST_DEVIATION_PX` all over the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.files.calibrations.lenses import FileLens
from trivox.files.calibrations.records import FileCamera, FileRig, Format
from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import FEWEST_KEPT_TERMS, DistortionModel

LARGEST_DEVIATION_PX = 0.1
# Points of the picture along each side: those that are fitted, and as many others that are measured.
_FITTED, _MEASURED = 21, 61
_STEPS = 60
_DIFFERENCE = 1e-6
# A plane at depth 1 has no place for rays farther off the axis (84 degrees) that a polynomial could be fitted to.
_WIDEST_RAY = 10.0


def with_written_lenses(rig: FileRig, form: Format, fit: bool) -> FileRig:
    """The rig with lenses that `form` can say. Raises `InputError` that names lens and format where it cannot.

    With `fit` a lens that it cannot say is replaced by the nearest one that it can, where that agrees within
    `LARGEST_DEVIATION_PX`; without, the sentence says whether there is such a one.
    """
    return replace(rig, cameras=tuple(_with_written_lens(camera, form, fit) for camera in rig.cameras))


def _with_written_lens(camera: FileCamera, form: Format, fit: bool) -> FileCamera:
    if (lens := _sayable(camera.lens, form)) is not None:
        return replace(camera, lens=lens)
    fitted = None if camera.image_hw is None else _fitted(camera, camera.image_hw, form)
    fits = fitted is not None and fitted.deviation_px <= LARGEST_DEVIATION_PX
    if fitted is not None and fit and fits:
        return fitted.camera
    said = f"{form.title} files cannot say that camera {camera.name!r} has {camera.lens.title}"
    if fitted is None:
        how = "is not known without its image size (--image-size)" if camera.image_hw is None else "does not exist"
        raise InputError(f"{said}, and one near enough that they can say {how}; write the native .toml instead")
    if not fits:
        raise InputError(
            f"{said}, and the nearest that they can say is up to {fitted.deviation_px:.2g} px off in its picture; "
            "write the native .toml instead"
        )
    raise InputError(
        f"{said}; {fitted.camera.lens.title} at most {fitted.deviation_px:.2g} px off in its picture is written with "
        "--fit-lenses (fit_lenses=True), the lens itself into the native .toml"
    )


def _sayable(lens: FileLens, form: Format) -> FileLens | None:
    """The lens as the format writes it, None where it cannot."""
    if lens.model == "fisheye":
        return lens if "fisheye" in form.lens_models else None
    if len(lens.terms) > form.most_terms and lens.terms.any():
        return None
    if lens.model in form.lens_models:
        return lens
    # Without tangential terms p1 and p2 Human3.6M's lens is OpenCV's.
    other = _pinhole_model(form)
    same = not lens.terms[2:4].any() and len(lens.terms) == FEWEST_KEPT_TERMS[other]
    return FileLens.of(other, lens.terms) if same else None


@dataclass(frozen=True)
class _Fitted:
    camera: FileCamera
    deviation_px: float  # the largest anywhere in the picture


def _fitted(camera: FileCamera, image_hw: tuple[int, int], form: Format) -> _Fitted | None:
    """The nearest of the format's lenses with as few terms as will do; None where rays are too far off the axis."""
    found = None
    corner = form.first_pixel - 0.5
    for model, terms in _candidates(form):
        found = _fit(camera, corner, image_hw, model, terms)
        if found is None or found.deviation_px <= LARGEST_DEVIATION_PX:
            break
    return found


def _candidates(form: Format) -> list[tuple[DistortionModel, int]]:
    model = _pinhole_model(form)
    return [(model, terms) for terms in (0, 5, 8) if terms in (min(form.most_terms, 5), 8) and terms <= form.most_terms]


def _pinhole_model(form: Format) -> DistortionModel:
    return "opencv" if "opencv" in form.lens_models else "human36m"


def _fit(
    camera: FileCamera, corner: float, image_hw: tuple[int, int], model: DistortionModel, terms: int
) -> _Fitted | None:
    """Focal lengths, principal point and lens terms, by least squares over the picture, which begins at `corner`."""
    fitted_px, measured_px = (_grid(image_hw, side) + corner for side in (_FITTED, _MEASURED))
    points = [_points_at(camera, pixels) for pixels in (fitted_px, measured_px)]
    if not all(float(ahead[:, :2].norm(dim=-1).max()) <= _WIDEST_RAY for ahead in points):
        return None
    # In units of the picture, so that all parameters are about as large.
    units = torch.ones(4 + terms, dtype=torch.float64)
    units[:4] = math.hypot(*image_hw)

    def residuals_px(parameters: Tensor) -> Tensor:
        return (_seen_by(camera, parameters * units, model, points[0]) - fitted_px).flatten(-2)

    bent = _with_lens(camera).normalised_from_pixels(fitted_px)
    start = (
        torch.cat([torch.tensor(camera.K[[0, 1, 0, 1], [0, 1, 2, 2]]), _first_terms(points[0], bent, terms)]) / units
    )
    best = least_squares(residuals_px, start) * units
    deviation = float((_seen_by(camera, best[None], model, points[1])[0] - measured_px).norm(dim=-1).max())
    K = camera.K.copy()
    K[[0, 1, 0, 1], [0, 1, 2, 2]] = best[:4].numpy()
    fitted = replace(camera, K=K, lens=FileLens.of(model, best[4:].numpy()))
    return _Fitted(fitted, deviation if math.isfinite(deviation) else math.inf)


def _first_terms(points_m: Tensor, bent: Tensor, terms: int) -> Tensor:
    """Lens terms that nearly take points at depth 1 to `bent`: multiplied by its divisor the formula is linear."""
    straight, x, y = points_m[:, :2], points_m[:, 0], points_m[:, 1]
    s = straight.square().sum(-1)
    powers = torch.stack([s, s**2, s**3], dim=-1)[:, None]
    k1, k2, k3 = (straight[..., None] * powers).unbind(-1)
    p1, p2 = torch.stack([2 * x * y, s + 2 * y**2], -1), torch.stack([s + 2 * x**2, 2 * x * y], -1)
    columns = [k1, k2, p1, p2, k3, *(-bent[..., None] * powers).unbind(-1)][:terms]
    if not columns:
        return bent.new_zeros(0)
    system = torch.stack(columns, dim=-1).flatten(0, 1)
    return torch.linalg.lstsq(system, (bent - straight).reshape(-1, 1), driver="gelsd").solution[:, 0]


def _with_lens(camera: FileCamera) -> Cameras:
    eye, terms = torch.eye(3, dtype=torch.float64), torch.tensor(camera.lens.terms)
    return Cameras(torch.tensor(camera.K), eye, 0 * eye[0], terms, camera.lens.model)


def _seen_by(camera: FileCamera, parameters: Tensor, model: DistortionModel, points_m: Tensor) -> Tensor:
    """Pixels (B, N, 2) of points (N, 3) through the camera with other focal lengths, centre and lens, (B, 4 + K)."""
    count = len(parameters)
    K = torch.tensor(camera.K).repeat(count, 1, 1)
    K[:, [0, 1, 0, 1], [0, 1, 2, 2]] = parameters[:, :4]
    eye = torch.eye(3, dtype=torch.float64).expand(count, 3, 3)
    return Cameras(K, eye, 0 * eye[:, 0], parameters[:, 4:], model).project(points_m * 1000)


def _grid(image_hw: tuple[int, int], side: int) -> Tensor:
    """Points (side^2, 2) all over a picture, its border included."""
    y, x = (torch.linspace(0, length, side, dtype=torch.float64) for length in image_hw)
    return torch.cartesian_prod(x, y)


def _points_at(camera: FileCamera, pixels: Tensor) -> Tensor:
    """Points (N, 3) on the plane at depth 1 m that the camera sees at these pixels, in metres."""
    lens = _with_lens(camera)
    rays = lens.without_distortion().normalised_from_pixels(lens.undistorted_points(pixels))
    return torch.cat([rays, torch.ones_like(rays[:, :1])], dim=-1)


def least_squares(residuals: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Parameters (N,) of the least sum of squares, by Levenberg's and Marquardt's method with central differences.

    `residuals` takes parameters (B, N) and gives (B, M).
    """
    steps = _DIFFERENCE * torch.eye(len(start), dtype=start.dtype)
    best, left, damping = start, residuals(start[None])[0], 1e-3
    for _ in range(_STEPS):
        ahead, behind = residuals(torch.cat([best + steps, best - steps])).chunk(2)
        J = ((ahead - behind) / (2 * _DIFFERENCE)).mT
        normal, slope = J.mT @ J, J.mT @ left
        step, info = torch.linalg.solve_ex(normal + torch.diag(damping * normal.diagonal() + 1e-12), slope)
        remaining = residuals((best - step)[None])[0]
        gain = 1 - float(remaining.square().sum()) / max(float(left.square().sum()), 1e-30)
        if int(info) == 0 and gain > 0:
            best, left, damping = best - step, remaining, damping / 10
        else:
            damping *= 10
        if 0 <= gain < 1e-9 or damping > 1e9:
            break
    return best
