"""Weights from files: safetensors, checked against a recorded SHA-256, loaded strictly by name and shape.

The networks that come with the package lie in `bundled/` in half precision, which is exact: they were
published so.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from trivox.errors import InputError

BUNDLED = Path(__file__).parent / "bundled"
SHA256 = {
    "movenet_lightning": "c2ac13dc9be9b1a6f9ad2923f02950c2ddef87cc4532efa067c05a513d039b31",
    "movenet_thunder": "398a18c2d47cf36a6b3f5282ed5db8481506c169943c4178678e358b6325e0e5",
    "movenet_multipose": "837474d53b9eb8637d9099763230a26de1bb083598b7d1ff5d79c5214dc69d51",
}


def load_bundled(network: nn.Module, name: str) -> None:
    """Fill `network` with the bundled weights `name`; `InputError` where the file was lost or changed."""
    load_weights(network, BUNDLED / f"{name}.safetensors", SHA256[name])


def load_weights(network: nn.Module, path: Path, sha256: str | None = None) -> None:
    """Fill `network` from a safetensors file whose tensors have its names and shapes, converted to its dtype.

    Raises `InputError` where the file is missing or damaged, has another checksum than `sha256`, or belongs
    to another network.
    """
    tensors = read_safetensors(path, sha256)
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise InputError(
            f"{path}: {len(wrong)} tensors ({wrong[0]} first) are missing, unknown or of another shape than"
            f" {type(network).__name__} needs; give weights that were saved from this network"
        )
    network.load_state_dict(tensors)


def read_safetensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; `InputError` where it is missing, damaged or another one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read the weights {path}: {reason}; check the path or install trivox again") from error
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256:
        raise InputError(
            f"{path}: the weights have the SHA-256 {digest[:12]}... where {sha256[:12]}... was expected;"
            " the file is damaged or another version: fetch it again or reinstall trivox"
        )
    try:
        tensors = safetensors.torch.load(content)
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file ({error}); give one, or fetch it again") from error
    not_finite = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if not_finite:
        raise InputError(f"{path}: {not_finite[0]} holds NaN or infinity; fetch the weights again")
    return tensors
