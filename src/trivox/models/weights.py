"""Weights from and to files: safetensors, checked against a recorded SHA-256, loaded strictly by name and shape.

Checkpoints that torch has pickled are read, to be imported, by its unpickler for tensors only: it executes nothing.

MoveNet's networks lie in `bundled/` in half precision, which is exact: they were published so. The models beside them
were trained here (docs/model-cards.md) and are loaded by `checkpoints.load_model`.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from trivox.base.atomic import atomic_write
from trivox.base.reading import read_bytes
from trivox.errors import InputError

BUNDLED = Path(__file__).parent / "bundled"
SHA256 = {
    "algebraic": "e8e60f50bed0b735d1bcaad876997134f246e199fe375b52dbc9be2df311ee71",
    "volumetric": "79e91c3e0cdac8da93cd2a57fe9ba5657ea074756d255af9494f3e073af9445d",
    "movenet_lightning": "c2ac13dc9be9b1a6f9ad2923f02950c2ddef87cc4532efa067c05a513d039b31",
    "movenet_thunder": "398a18c2d47cf36a6b3f5282ed5db8481506c169943c4178678e358b6325e0e5",
    "movenet_multipose": "837474d53b9eb8637d9099763230a26de1bb083598b7d1ff5d79c5214dc69d51",
}
# What torch's unpickler makes of bytes that are no checkpoint. Its own refusals are RuntimeError and UnpicklingError.
_NOT_A_CHECKPOINT = (
    *(RuntimeError, pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError, ValueError),
    *(AssertionError, ArithmeticError, ImportError, MemoryError, struct.error, zipfile.BadZipFile, NotImplementedError),
)
_MOST_BYTES = 2**33
_BYTEARRAY = re.compile(rb"c(builtins|__builtin__)\nbytearray\n")
_MOST_SHARED = 8  # so many times the file's numbers may come out of it, where tensors share them
# So many tensors of a kind are named in a message.
_NAMED = 12


@dataclass(frozen=True)
class Stored:
    """What a safetensors file holds: tensors by name, and texts by name."""

    tensors: dict[str, Tensor]
    texts: dict[str, str]


def load_bundled(network: nn.Module, name: str) -> None:
    """Fill `network` with the bundled weights `name`; `InputError` where the file was lost or changed."""
    path = BUNDLED / f"{name}.safetensors"
    if not path.is_file():
        raise InputError(f"cannot read the weights {path}, which belong to trivox: they are gone; install it again")
    load_weights(network, path, SHA256[name])


def load_weights(network: nn.Module, path: Path, sha256: str | None = None) -> None:
    """Fill `network` from a safetensors file whose tensors have its names and shapes, converted to its dtype.

    Raises `InputError` where the file is missing or damaged, has another checksum than `sha256`, or belongs
    to another network.
    """
    fill(network, read_safetensors(path, sha256).tensors, path)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fill `network` strictly. Raises `InputError` listing what is missing, unknown or of another shape."""
    check_tensors(tensors, network.state_dict(), path, type(network).__name__)
    network.load_state_dict(tensors)


def check_tensors(tensors: Mapping[str, Tensor], needed: Mapping[str, Tensor], path: Path, network: str) -> None:
    """Raise `InputError` with the list, where names and shapes are not exactly those `needed`."""
    missing = sorted(needed.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - needed.keys())
    reshaped = [
        f"{name} is {_shape(tensors[name])}, not {_shape(needed[name])}"
        for name in sorted(needed.keys() & tensors.keys())
        if tensors[name].shape != needed[name].shape
    ]
    kinds = (("missing", missing), ("unknown", unknown), ("of another shape", reshaped))
    wrong = [f"{len(names)} {kind} ({_listed(names)})" for kind, names in kinds if names]
    if wrong:
        raise InputError(
            f"{path}: the tensors are not those that {network} needs: {', '.join(wrong)}; "
            "give weights that were saved from this network"
        )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def read_safetensors(path: Path, sha256: str | None = None) -> Stored:
    """What a safetensors file holds; `InputError` where it is missing, damaged or another one."""
    content = read_bytes(path, _MOST_BYTES)
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
    _check_finite(tensors, path)
    # A header of JSON behind its length; it was sound, or the tensors would not have come.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return Stored(tensors, header.get("__metadata__", {}))


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write the file whole or not at all; `InputError` where that cannot be done."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        try:
            safetensors.torch.save_file(plain, temporary, dict(texts))
        except SafetensorError as error:
            raise InputError(f"cannot write {path}: {error}; free the space or choose another folder") from error


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint that torch has pickled, without any `module.` of parallel training before names.

    They lie in a dict, which may stand under "state_dict" in another one. Nothing in the file is executed: what is
    more than tensors, lists, dicts, texts and numbers is refused. Raises `InputError` where the file is missing or
    something else, and for numbers that are not finite.
    """
    data = read_bytes(path, _MOST_BYTES)
    try:
        stored = _unpacked_only(data)
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(stored, map_location="cpu", weights_only=True)
    except _NOT_A_CHECKPOINT as error:
        raise InputError(
            f"{path} is damaged, or holds more than tensors, and nothing in it was run; "
            "give a .pth file of a state dict alone"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} holds no state dict but {type(content).__name__}; give a checkpoint of a network")
    strange = [str(name) for name, value in content.items() if not (isinstance(name, str) and _is_plain(value))]
    if strange:
        raise InputError(
            f"{path} holds other things than tensors ({_listed(strange)}); give a .pth file of a state dict alone"
        )
    tensors = {re.sub(r"^(module\.)+", "", name): value for name, value in content.items()}
    if len(tensors) < len(content):
        raise InputError(f"{path} holds tensors twice, with and without 'module.' before the name; save it again")
    _check_sizes(tensors, len(data), path)
    _check_finite(tensors, path)
    return tensors


def _unpacked_only(data: bytes) -> io.BytesIO:
    """The bytes of a checkpoint. Raises `ValueError` for an archive that unpacks to more than it takes, torch packs
    nothing and would take the memory that is claimed, and for a `bytearray`, which torch's unpickler makes of any size.
    """
    stored = io.BytesIO(data)
    if _BYTEARRAY.search(data):
        raise ValueError("a checkpoint of tensors has no bytearray")
    if data.startswith(b"PK"):
        with zipfile.ZipFile(stored) as archive:
            parts = archive.infolist()
            is_packed = any(info.compress_type != zipfile.ZIP_STORED for info in parts)
            if is_packed or sum(info.file_size for info in parts) > len(data):
                raise ValueError("the archive unpacks to more than its size")
        stored.seek(0)
    return stored


def _check_sizes(tensors: Mapping[str, Tensor], file_bytes: int, path: Path) -> None:
    """A tensor may be one stored number, repeated by a stride of zero to any size, or one of thousands of views of the
    same numbers: what comes out of a file is no larger than the file."""
    total = 0
    for name, tensor in tensors.items():
        needed = tensor.numel() * tensor.element_size()
        total += needed
        if needed > tensor.untyped_storage().nbytes() or total > _MOST_SHARED * file_bytes:
            raise InputError(
                f"{path}: {name} claims {_shape(tensor)} numbers, more than the file holds; save contiguous tensors"
            )


def _is_plain(value: object) -> bool:
    if not isinstance(value, Tensor) or value.is_meta or value.layout != torch.strided or value.is_quantized:
        return False
    return value.is_floating_point() or value.dtype == torch.int64


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    not_finite = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if not_finite:
        raise InputError(f"{path}: {not_finite[0]} holds NaN or infinity; fetch the weights again")
