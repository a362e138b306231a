"""The container of glTF 2.0 (Khronos specification 2.0.1): accessors over one buffer; .glb, or .gltf with it inside."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from trivox.base.atomic import atomic_write
from trivox.errors import InputError

_FLOAT, _UNSIGNED_SHORT = 5126, 5123  # component types
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963  # targets of vertices and of indices
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4"}
_LARGEST = 2**32 - 1  # .glb counts its bytes with 32 bits
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942


class GltfBuffer:
    """Arrays put one after another; equal ones are stored once."""

    def __init__(self) -> None:
        self.accessors: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self._parts: list[bytes] = []
        self._bytes = 0
        self._known: dict[tuple[bytes, str, int | None], int] = {}

    def add(self, array: np.ndarray, target: int | None = None) -> int:
        """The accessor of `array` (N,), (N, 3) or (N, 4): floats become float32, whole numbers indices of 16 bits."""
        is_float = array.dtype.kind == "f"
        array = np.ascontiguousarray(array, dtype="<f4" if is_float else "<u2")
        content, shape = array.tobytes(), _TYPES[array.shape[1:]]
        key = (content, shape, target)
        if key not in self._known:
            self._known[key] = len(self.accessors)
            self.accessors.append(
                {
                    "bufferView": self._view(content, target),
                    "componentType": _FLOAT if is_float else _UNSIGNED_SHORT,
                    "count": len(array),
                    "type": shape,
                    "min": np.atleast_1d(array.min(0)).tolist(),
                    "max": np.atleast_1d(array.max(0)).tolist(),
                }
            )
        return self._known[key]

    def _view(self, content: bytes, target: int | None) -> int:
        view = {"buffer": 0, "byteOffset": self._bytes, "byteLength": len(content)}
        self.views.append(view if target is None else {**view, "target": target})
        padded = content + bytes(-len(content) % 4)
        self._parts.append(padded)
        self._bytes += len(padded)
        return len(self.views) - 1

    def save(self, document: dict[str, Any], path: Path) -> None:
        """Write `document` with these accessors: a .glb, or a .gltf that holds its buffer as text."""
        if self._bytes > _LARGEST // 2:
            raise InputError(f"{path} would be larger than glTF allows; export a shorter recording, or parquet")
        content = b"".join(self._parts)
        buffer: dict[str, Any] = {"byteLength": len(content)}
        document = {**document, "accessors": self.accessors, "bufferViews": self.views, "buffers": [buffer]}
        with atomic_write(path) as temporary:
            if path.suffix == ".glb":
                temporary.write_bytes(_glb(document, content))
            else:
                text = base64.b64encode(content).decode("ascii")
                buffer["uri"] = f"data:application/octet-stream;base64,{text}"
                temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _glb(document: dict[str, Any], content: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), _JSON_CHUNK) + text
    chunks += struct.pack("<II", len(content), _BINARY_CHUNK) + content
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
