"""Rotation vectors (axis times angle in radians), as OpenCV's Rodrigues formula reads them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def matrix_from_vector(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation matrix: exponential of the cross-product matrix, exact for every angle."""
    x, y, z = np.remainder(np.linalg.norm(vector), 2 * np.pi) * _direction(vector)
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(cross).numpy()


def vector_from_matrix(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation vector of length at most pi, by way of the quaternion: exact close to a half turn.

    The quaternion (w, x, y, z) is the eigenvector of the largest eigenvalue of a symmetric 4x4 matrix linear
    in R (Bar-Itzhack, 2000), so a rounded R gives its nearest rotation.
    """
    skew = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    quadratic = np.empty((4, 4))
    quadratic[0, 0] = np.trace(R)
    quadratic[0, 1:] = quadratic[1:, 0] = skew
    quadratic[1:, 1:] = R + R.T - np.trace(R) * np.eye(3)
    quaternion = np.linalg.eigh(quadratic)[1][:, -1]
    quaternion = quaternion if quaternion[0] >= 0 else -quaternion
    sine = np.linalg.norm(quaternion[1:])
    return 2 * np.arctan2(sine, quaternion[0]) * _direction(quaternion[1:])


def _direction(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else np.zeros(3)
