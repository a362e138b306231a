"""Column labels out of a pickle: pandas keeps the names of a table's columns as a pickled list of tuples of text."""

from __future__ import annotations

from trivox.files.safe_pickle import unpickled


def labels_from(pickled: bytes) -> list[tuple[str, ...]]:
    """The list of tuples of text that `pickled` describes. Raises `ValueError` where it is anything else."""
    try:
        labels = unpickled(pickled)
    except ValueError as error:
        raise ValueError(f"its column names are not read: {error}") from error
    if not isinstance(labels, list) or not all(map(_is_label, labels)):
        raise ValueError("its column names are not a list of tuples of text")
    return labels


def _is_label(label: object) -> bool:
    return isinstance(label, tuple) and all(isinstance(text, str) for text in label)
