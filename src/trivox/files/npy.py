"""A .npy file of one dictionary, as `numpy.save` writes it, readable by every NumPy from 1.17 on.

NumPy 2 pickles arrays under its new module names, which NumPy 1 lacks; the old names are understood by both.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from trivox.base.atomic import atomic_write


def write_npy_object(path: Path, content: dict[str, Any]) -> None:
    """Write a dictionary of arrays and lists as a zero-dimensional array of objects, whole or not at all."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": ()})
    with atomic_write(path) as temporary:
        temporary.write_bytes(head.getvalue() + pickled_for_every_numpy(np.array(content, dtype=object)))


def pickled_for_every_numpy(content: Any) -> bytes:
    """A pickle of protocol 3 in which NumPy's modules have their names of NumPy 1."""
    data = pickle.dumps(content, protocol=3)
    renamed, done = [], 0
    for opcode, argument, position in pickletools.genops(data):
        # Protocol 3 writes every imported name as text between `c` and two ends of line.
        if opcode.name == "GLOBAL" and str(argument).startswith("numpy._core."):
            assert position is not None
            module, name = str(argument).split(" ")
            old = f"c{module}\n{name}\n".encode()
            assert data[position : position + len(old)] == old
            renamed += [data[done:position], old.replace(b"numpy._core.", b"numpy.core.", 1)]
            done = position + len(old)
    return b"".join([*renamed, data[done:]])
