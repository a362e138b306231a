"""The rule of `golden/README.md` that fills a network's weights from the names and shapes of its tensors."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

# What He's gain is multiplied by; 5 axes: 3D convolutions, 2: linear layers.
GAINS = {5: 0.8, 2: 1.2}
OTHER_GAIN = 0.7
LOUDER = {"process_features.0.weight": 10.0, "output_layer.weight": 4.0}


def fill(state_dict: Mapping[str, Tensor], salt: str = "") -> dict[str, Tensor]:
    """A state dict of the same names and shapes, filled by the rule; give it to `load_state_dict`."""
    normed = {name.rpartition(".")[0] for name in state_dict if name.endswith(".running_var")}
    return {name: _value(name, tuple(tensor.shape), salt, normed) for name, tensor in state_dict.items()}


def _value(name: str, shape: tuple[int, ...], salt: str, normed: set[str]) -> Tensor:
    owner, _, kind = name.rpartition(".")
    if kind == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    z = np.random.default_rng(zlib.crc32((salt + name).encode())).standard_normal(shape)
    rules = {
        ("running_mean", True): lambda: 0.05 * z,
        ("running_var", True): lambda: 1 + 0.2 * np.abs(z),
        ("weight", True): lambda: np.clip(1 + 0.1 * z, 0.7, 1.3),
        ("bias", True): lambda: 0.05 * z,
        ("bias", False): lambda: 0.01 * z,
        ("weight", False): lambda: _gain(name, shape) * np.sqrt(2 / np.prod(shape[1:])) * z,
    }
    return torch.from_numpy(np.asarray(rules[kind, owner in normed](), dtype=np.float32))


def _gain(name: str, shape: tuple[int, ...]) -> float:
    gain = GAINS.get(len(shape), OTHER_GAIN)
    for end, factor in LOUDER.items():
        gain *= factor if name.endswith(end) else 1
    return gain


def described(state_dict: Mapping[str, Tensor]) -> list[list[Any]]:
    """Name, shape, dtype and CRC-32 of every tensor, as `golden/networks/state_dicts.json` lists them."""
    return [
        [name, list(tensor.shape), str(tensor.dtype).removeprefix("torch."), zlib.crc32(tensor.numpy().tobytes())]
        for name, tensor in state_dict.items()
    ]
