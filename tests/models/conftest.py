"""Shared by the tests of networks."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks this small spend more time waiting for a second thread than computing."""
    yield from _threads(1)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Where torch does something else with one."""
    yield from _threads(2)


def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)
