"""A published checkpoint in, a model file of ours out."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from trivox.errors import InputError
from trivox.files.reference_configs import read_reference_config
from trivox.models.checkpoints import save_model
from trivox.models.configs import Model
from trivox.models.published import Choices, Method, published_model
from trivox.models.weights import read_pickled


def import_weights(
    path: Path | str,
    out: Path | str,
    *,
    config: Path | str | None = None,
    new_head: Method | None = None,
    **stated: Any,
) -> Model:
    """Read a checkpoint of the published system, write `out` (.safetensors), and return the model.

    `config` is the YAML that the checkpoint was trained with; `stated` (see `Choices`) goes before it, and None
    says nothing. A checkpoint of a backbone makes a RANSAC model, or with `new_head` one that needs training.
    Raises `InputError` where the tensors are not exactly those of the model, contradict what is stated, or leave
    something open that nobody states; and where a file cannot be read or written. An existing file stays.
    """
    path, out = Path(path), Path(out)
    if out.exists():
        raise InputError(f"{out} exists and is not overwritten; remove it, or choose another name")
    if out.suffix != ".safetensors":
        raise InputError(f"{out} cannot hold a model; give a name that ends in .safetensors")
    choices = Choices() if config is None else Choices(**asdict(read_reference_config(Path(config))))
    choices = replace(choices, **{name: value for name, value in stated.items() if value is not None})
    model = published_model(read_pickled(path), choices, path, new_head)
    save_model(model, out)
    return model
