"""Column labels come out of a pickle as they went in, and nothing else in a pickle is obeyed."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivox.files.keypoints.pickled_labels import labels_from

labels = st.lists(st.lists(st.text(max_size=300), max_size=5).map(tuple), max_size=8)


@given(labels, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_labels_of_every_protocol(expected: list[tuple[str, ...]], protocol: int) -> None:
    assert labels_from(pickle.dumps(expected, protocol)) == expected


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "content", (Path("x"), [Path("x")], {"a": 1}, "text", ("a",), ["a"], [("a", 1)], [("a", ("b",))], object)
)
def test_anything_else_is_refused(content: Any, protocol: int) -> None:
    with pytest.raises(ValueError, match="its column names"):
        labels_from(pickle.dumps(content, protocol))
