"""Shared by the tests of training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from trivox.models import pose_resnet


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order: runs are compared bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def narrow() -> Iterator[None]:
    """PoseResNet with an eighth of its channels: to learn and to save the published one takes seconds a step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pose_resnet, "WIDTHS", tuple(width // 8 for width in pose_resnet.WIDTHS))
        yield
