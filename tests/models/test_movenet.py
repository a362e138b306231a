"""MoveNet against the published network's outputs, its symmetries, and its decoding against a loop."""

import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from trivox.models.movenet import CORNER_SHIFT_PX, MoveNet, MoveNetOutput, decode, load_movenet
from trivox.models.movenet_multipose import MoveNetMultiPose, MultiPoseOutput, load_multipose
from trivox.models.movenet_trunk import Convolution
from trivox.models.packed import packed

PROJECT = Path(__file__).parent.parent.parent
SIZES = {"lightning": 64, "thunder": 64, "multipose": 96}


@pytest.fixture(scope="module")
def networks() -> dict[str, MoveNet | MoveNetMultiPose]:
    return {
        "lightning": load_movenet("lightning"),
        "thunder": load_movenet("thunder"),
        "multipose": load_multipose(),
    }


@pytest.fixture
def originals() -> Path:
    """Folder with the published networks' outputs (`TRIVOX_WEIGHTS`, default `../shared/weights`)."""
    folder = Path(os.environ.get("TRIVOX_WEIGHTS", PROJECT.parent / "shared" / "weights"))
    if not folder.is_dir():
        pytest.skip(f"no published outputs at {folder}; set TRIVOX_WEIGHTS")
    return folder


def read(path: Path) -> Tensor:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return torch.from_numpy(picture).movedim(-1, 0) / 255


def tensors(output: MoveNetOutput | MultiPoseOutput) -> dict[str, Tensor]:
    return {name: value for name, value in vars(output).items()}


def from_publisher(name: str, values: np.ndarray) -> Tensor:
    """(B, 34, h, w) in (y, x) to (B, 17, 2, h, w) in (x, y); sizes and offsets of boxes likewise."""
    maps = torch.from_numpy(values)
    if name in ("regress", "offset"):
        return maps.unflatten(1, (17, 2)).flip(2)
    return maps.flip(1) if name in ("box_scale", "box_offset") else maps


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_outputs_are_the_published_networks(networks, originals: Path, name: str, fast: bool) -> None:
    ours = {"heatmap": "heatmaps", "center": "centre", "box_scale": "box_size"}
    images = read(originals / f"movenet_{name}_input.png")[None]
    _, _, h, w = images.shape
    network = packed(networks[name], (h, w)) if fast else networks[name]
    with torch.inference_mode():
        output = tensors(network(images))
    with np.load(originals / f"movenet_{name}_golden.npz") as golden:
        assert len(golden.files) >= 5
        for key in golden.files:
            expected = from_publisher(key, golden[key])
            torch.testing.assert_close(output[ours.get(key) or key], expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("name", SIZES)
def test_packing_changes_nothing(networks, name: str) -> None:
    """Also at another size and batch than it was packed for."""
    network, size = networks[name], SIZES[name]
    fast = packed(network, (size, size))
    for shape in [(1, 3, size, size), (3, 3, size, size + 32)]:
        images = torch.rand(shape)
        with torch.inference_mode():
            slow, quick = tensors(network(images)), tensors(fast(images))
        for key, value in slow.items():
            torch.testing.assert_close(quick[key], value, atol=2e-3, rtol=1e-4)


def test_moving_the_picture_by_32_px_moves_every_map_by_8_cells() -> None:
    """Where the padding cannot be felt. A narrow network with random weights shows it as well."""
    torch.manual_seed(0)
    network = MoveNet((8,) * 8).double().eval()
    big = torch.rand(1, 3, 832, 832, dtype=torch.float64)
    with torch.inference_mode():
        first = tensors(network(big[..., :800, :800]))
        second = tensors(network(big[..., 32:, 32:]))
    for key, value in first.items():
        left, right = value[..., 92:108, 92:108], second[key][..., 84:100, 84:100]
        assert left.std() > 0
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9 * float(left.abs().max()))


@pytest.mark.parametrize(("size", "stride", "depthwise"), [(1, 1, False), (3, 1, True), (3, 2, False), (3, 2, True)])
def test_convolution_pads_like_tensorflow(size: int, stride: int, depthwise: bool) -> None:
    """Output (i, j) sees the kernel from (i, j) * stride - before on, `before` by TensorFlow's formula."""
    h, w = 8, 6
    module = Convolution((4, 4), size, stride, depthwise=depthwise, activation="relu6")
    images = torch.randn(1, 4, h, w) * 4
    before = [max((math.ceil(n / stride) - 1) * stride + size - n, 0) // 2 for n in (h, w)]
    canvas = torch.zeros(4, h + 4, w + 4)
    canvas[:, before[0] : before[0] + h, before[1] : before[1] + w] = images[0]
    with torch.no_grad():
        output = module(images)[0]
    for i in range(h // stride):
        for j in range(w // stride):
            window = canvas[:, i * stride : i * stride + size, j * stride : j * stride + size]
            taken = window[:, None] if depthwise else window[None]
            expected = (taken * module.weight.detach()).sum(dim=(1, 2, 3)).clamp(0, 6)
            torch.testing.assert_close(output[:, i, j], expected, atol=1e-5, rtol=1e-5)


def test_batches_are_many_singles(networks) -> None:
    images = torch.rand(3, 3, 64, 96)
    with torch.inference_mode():
        together = decode(networks["lightning"](images))
        apart = [decode(networks["lightning"](image[None])) for image in images]
    torch.testing.assert_close(together.scores, torch.cat([k.scores for k in apart]), atol=1e-4, rtol=1e-4)


def test_the_network_can_be_trained() -> None:
    network = MoveNet((8,) * 8)
    output = tensors(network(torch.rand(1, 3, 64, 64)))
    torch.stack([value.square().mean() for value in output.values()]).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def random_output(batch: int, h: int, w: int) -> MoveNetOutput:
    return MoveNetOutput(
        torch.randn(batch, 17, h, w) * 2,
        torch.randn(batch, 1, h, w) * 2,
        torch.randn(batch, 17, 2, h, w) * 4,
        torch.rand(batch, 17, 2, h, w),
        torch.rand(batch, 24, h, w),
    )


def slow_best(logits: np.ndarray, x0: float, y0: float) -> tuple[int, int]:
    best, where = -1.0, (0, 0)
    for y in range(logits.shape[0]):
        for x in range(logits.shape[1]):
            score = 1 / (1 + math.exp(-logits[y, x])) / (math.hypot(x - x0, y - y0) + 1.8)
            if score > best:
                best, where = score, (x, y)
    return where


def test_decoding_equals_a_loop() -> None:
    output = random_output(3, 10, 14)
    found = decode(output)
    for b in range(3):
        x, y = slow_best(output.centre[b, 0].numpy(), 6.5, 4.5)
        for j in range(17):
            dx, dy = output.regress[b, j, :, y, x].tolist()
            u, v = slow_best(output.heatmaps[b, j].numpy(), x + dx, y + dy)
            expected = 4 * (torch.tensor([u, v]) + output.offset[b, j, :, v, u]) + CORNER_SHIFT_PX
            torch.testing.assert_close(found.points_px[b, j], expected)
            torch.testing.assert_close(found.scores[b, j], output.heatmaps[b, j, v, u].sigmoid())


def test_a_mirrored_person_has_mirrored_joints(networks, originals: Path) -> None:
    """Which no wrong pixel origin survives: half a cell of shift would show twice."""
    image = read(originals / "movenet_thunder_input.png")
    with torch.inference_mode():
        plain, mirrored = decode(networks["thunder"](torch.stack([image, image.flip(-1)]))).points_px
    swapped = mirrored[[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]]
    apart = plain - torch.stack([256 - swapped[:, 0], swapped[:, 1]], dim=-1)
    assert apart.norm(dim=-1).median() < 3
    assert apart[:, 0].median().abs() < 1
