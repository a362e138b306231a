"""Batches out of worker processes, whose errors reach the user as the one sentence they are.

PyTorch hands on what a worker raised with the worker's whole traceback as its message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from trivox.errors import InputError

Batch = TypeVar("Batch")

_BEFORE_THE_SENTENCE = f"{InputError.__module__}.{InputError.__name__}: "


def batches_of(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The batches of a `DataLoader`. Raises the `InputError` that a worker raised."""
    try:
        yield from loader
    except InputError as error:
        raise InputError(str(error).rpartition(_BEFORE_THE_SENTENCE)[2].strip()) from error
