"""Unprojection: kernel and torch against a loop over views, and what must not change it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from rigs import ring
from slow.unprojection import unproject_by_views
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.volumes import Cube, rotation_about, unproject

AGGREGATIONS = ["sum", "max", "softmax", "conf", "conf_norm"]
LENS = (-0.21, 0.19, 0.0011, -0.0017, -0.03)
KERNEL, TORCH = torch.float32, torch.float64
BOTH = pytest.mark.parametrize("dtype", [KERNEL, TORCH], ids=["kernel", "torch"])
EACH = pytest.mark.parametrize("aggregation", AGGREGATIONS)


class Scene(NamedTuple):
    maps: Tensor
    cameras: Cameras
    grid_mm: Tensor
    confidences: Tensor

    def volume(self, aggregation: Any, **options: Any) -> Tensor:
        given = self.confidences if aggregation.startswith("conf") else None
        return unproject(self.maps, self.cameras, self.grid_mm, aggregation, confidences=given, **options)


def scene(
    dtype: torch.dtype, views: int = 3, channels: int = 5, hw: tuple[int, int] = (18, 32), lens: Any = LENS
) -> Scene:
    """Two items; the cubes reach beyond the pictures, and one camera stands inside the second."""
    generator = torch.Generator().manual_seed(views + channels)
    cameras = ring(views, distortion=lens)
    factors = torch.tensor([hw[1] / 1280, hw[0] / 720], dtype=torch.float64)
    cameras = Cameras.stack([cameras.scaled(factors), ring(views, 3000.0, lens).scaled(factors)])
    centre_mm = torch.stack([torch.tensor([0.0, 0.0, 1000.0]).double(), cameras.position_mm[1, 0] + 200])
    grid_mm = Cube(2500.0, (5, 6, 7)).voxel_centres(centre_mm.float(), torch.tensor([0.0, 0.5]))
    maps = 3 * torch.randn(2, views, channels, *hw, dtype=dtype, generator=generator)
    return Scene(maps, cameras, grid_mm, torch.rand(2, views, channels, dtype=dtype, generator=generator))


def close(ours: Tensor, theirs: Tensor) -> None:
    """A cell is missed by 1e-5 in float32, a sample of maps of a few units by little more."""
    atol = 3e-4 if ours.dtype == KERNEL else 1e-9
    torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=atol, rtol=1e-5)


@BOTH
@EACH
@pytest.mark.parametrize("lens", [LENS, (0.0,) * 5], ids=["lens", "no lens"])
@pytest.mark.parametrize(("views", "channels", "hw"), [(1, 3, (9, 9)), (3, 5, (18, 32)), (2, 33, (20, 7))])
def test_equals_a_loop_over_views(
    dtype: torch.dtype, aggregation: str, lens: Any, views: int, channels: int, hw: tuple[int, int]
) -> None:
    given = scene(dtype, views, channels, hw, lens)
    double = given.maps.double(), given.cameras, given.grid_mm.double(), aggregation, given.confidences.double()
    ours, expected = given.volume(aggregation), unproject_by_views(*double)
    assert (expected != 0).any() and ours.dtype == dtype
    close(ours, expected)
    if not any(lens):
        projected = given._replace(cameras=given.cameras.pixel_from_world)  # type: ignore[arg-type]
        close(projected.volume(aggregation), expected)


@BOTH
def test_a_map_of_its_own_pixels_says_where_voxels_are_seen(dtype: torch.dtype) -> None:
    """Bilinear sampling is exact for a linear map: an error of half a cell anywhere would show."""
    h, w = 18, 32
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    given = scene(dtype, views=1)._replace(maps=torch.stack([x, y]).to(dtype).expand(2, 1, 2, h, w))
    ours = given.volume("sum").flatten(2).mT
    points_mm = given.grid_mm.flatten(1, 3).double()
    pixels, depth = given.cameras.project(points_mm[:, None])[:, 0], given.cameras.depth_mm(points_mm[:, None])[:, 0]
    inner = (depth > 0) & ((pixels >= 0.5) & (pixels <= torch.tensor([w - 0.5, h - 0.5]))).all(-1)
    beyond = (depth <= 0) | ((pixels <= -0.5) | (pixels >= torch.tensor([w + 0.5, h + 0.5]))).any(-1)
    assert inner.any() and beyond.any() and (depth <= 0).any()
    torch.testing.assert_close(ours[inner].double(), pixels[inner], atol=1e-4, rtol=0)
    assert (ours[beyond] == 0).all()


@BOTH
def test_reference_sampling_reaches_from_the_first_to_the_last_cell(dtype: torch.dtype) -> None:
    """At index u (S - 1) / S on either axis, also where the map is not square."""
    h, w = 18, 32
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    given = scene(dtype, views=1)._replace(maps=torch.stack([x, y]).to(dtype).expand(2, 1, 2, h, w))
    ours = given.volume("sum", sampling="reference").flatten(2).mT
    points_mm = given.grid_mm.flatten(1, 3).double()
    pixels, depth = given.cameras.project(points_mm[:, None])[:, 0], given.cameras.depth_mm(points_mm[:, None])[:, 0]
    inner = (depth > 0) & ((pixels >= 0) & (pixels <= torch.tensor([w, h]))).all(-1)
    expected = pixels * torch.tensor([(w - 1) / w, (h - 1) / h])
    torch.testing.assert_close(ours[inner].double(), expected[inner], atol=1e-4, rtol=0)


@BOTH
@EACH
def test_a_masked_view_takes_no_part(dtype: torch.dtype, aggregation: str) -> None:
    """Not even one that is not a number."""
    given = scene(dtype, views=4)
    kept = torch.tensor([0, 1, 3])
    without = Scene(given.maps[:, kept], given.cameras[:, kept], given.grid_mm, given.confidences[:, kept])
    maps, confidences, t_mm = given.maps.clone(), given.confidences.clone(), given.cameras.t_mm.clone()
    for broken in (maps, confidences, t_mm):
        broken[:, 2] = torch.nan
    spoiled = Scene(maps, replace(given.cameras, t_mm=t_mm), given.grid_mm, confidences)
    mask = torch.tensor([True, True, False, True]).expand(2, 4)
    close(spoiled.volume(aggregation, view_mask=mask), without.volume(aggregation))


@BOTH
@EACH
def test_each_item_has_a_mask_of_its_own(dtype: torch.dtype, aggregation: str) -> None:
    given = scene(dtype)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    both = given.volume(aggregation, view_mask=mask)
    for b in range(2):
        item = Scene(*(field[b : b + 1] for field in given))  # type: ignore[arg-type]
        views = mask[b].nonzero()[:, 0]
        seen = Scene(item.maps[:, views], item.cameras[:, views], item.grid_mm, item.confidences[:, views])
        close(both[b : b + 1], seen.volume(aggregation))


@BOTH
@EACH
def test_the_order_of_the_views_does_not_matter(dtype: torch.dtype, aggregation: str) -> None:
    given = scene(dtype, views=4)
    order = torch.tensor([2, 0, 3, 1])
    other = Scene(given.maps[:, order], given.cameras[:, order], given.grid_mm, given.confidences[:, order])
    close(other.volume(aggregation), given.volume(aggregation))


@BOTH
def test_moving_the_world_changes_nothing(dtype: torch.dtype) -> None:
    given = scene(dtype)
    world_from_new = torch.eye(4, dtype=torch.float64)
    world_from_new[:3, :3] = rotation_about(torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor(0.8).double())
    world_from_new[:3, 3] = torch.tensor([500.0, -900.0, 70.0])
    moved_mm = (given.grid_mm.double() - world_from_new[:3, 3]) @ world_from_new[:3, :3]
    moved = given._replace(cameras=given.cameras.moved(world_from_new), grid_mm=moved_mm.float())
    torch.testing.assert_close(moved.volume("sum"), given.volume("sum"), atol=1e-3, rtol=0)


@BOTH
def test_aggregations_keep_their_promises(dtype: torch.dtype) -> None:
    given = scene(dtype)
    ones = given._replace(confidences=torch.ones_like(given.confidences))
    total, largest, mean = given.volume("sum"), given.volume("max"), given.volume("softmax")
    close(ones.volume("conf"), total)
    close(ones.volume("conf_norm"), total / 3)
    scaled = given._replace(confidences=given.confidences * 7)
    close(scaled.volume("conf_norm"), given.volume("conf_norm"))
    close(scaled.volume("conf"), given.volume("conf") * 7)
    # A softmax prefers large samples: between mean and maximum.
    assert (mean <= largest + 1e-5).all() and (mean >= total / 3 - 1e-5).all()
    assert largest.min() < 0 < largest.max()


@BOTH
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_a_softmax_of_huge_samples_is_their_maximum(dtype: torch.dtype, size: float) -> None:
    given = scene(dtype)
    huge = given._replace(maps=given.maps * size)
    different = (huge.volume("max") - huge.volume("softmax")).abs() > 1e-4 * size
    assert different.double().mean() < 0.01
    assert huge.volume("softmax").isfinite().all()


@BOTH
@EACH
def test_identical_cameras_and_confidences_of_zero_give_numbers(dtype: torch.dtype, aggregation: str) -> None:
    given = scene(dtype)
    same = torch.zeros(3, dtype=torch.long)
    twins = Scene(given.maps, given.cameras[:, same], given.grid_mm, given.confidences * 0)
    assert twins.volume(aggregation).isfinite().all()


@BOTH
@EACH
def test_voxels_on_the_plane_of_the_camera_give_zero(dtype: torch.dtype, aggregation: str) -> None:
    P = torch.eye(3, 4).expand(1, 2, 3, 4)
    grid_mm = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, -1.0], [1.0, 1.0, 1e-30]])
    maps, confidences = torch.ones(1, 2, 3, 4, 4, dtype=dtype), torch.ones(1, 2, 3, dtype=dtype)
    given = Scene(maps, P, grid_mm[None, None, None], confidences)  # type: ignore[arg-type]
    assert (given.volume(aggregation) == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maps_are_sampled_in_single(dtype: torch.dtype) -> None:
    given = scene(KERNEL)
    low = given._replace(maps=given.maps.to(dtype))
    volume = low.volume("softmax")
    assert volume.dtype == dtype
    assert torch.equal(volume, low._replace(maps=low.maps.float()).volume("softmax").to(dtype))


def test_maps_may_lie_in_memory_in_any_way() -> None:
    given = scene(KERNEL)
    innermost = given.maps.movedim(2, -1).contiguous().movedim(-1, 2)
    part = torch.cat([given.maps, given.maps], dim=-1)[..., : given.maps.shape[-1]]
    for maps in (innermost, part):
        assert not maps.is_contiguous()
        assert torch.equal(given._replace(maps=maps).volume("softmax"), given.volume("softmax"))


def test_the_volume_of_the_kernel_has_its_channels_innermost() -> None:
    assert scene(KERNEL).volume("sum").is_contiguous(memory_format=torch.channels_last_3d)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@EACH
def test_the_number_of_threads_changes_nothing(threads: None, aggregation: str) -> None:
    """Many pieces of voxels and several blocks of channels, the last of each not full."""
    given = scene(KERNEL, channels=37)
    grid_mm = Cube(2500.0, (16, 16, 19)).voxel_centres(given.grid_mm.mean((1, 2, 3)))
    given = given._replace(grid_mm=grid_mm)
    results = []
    for number in (1, 3):
        torch.set_num_threads(number)
        maps, confidences = given.maps.clone().requires_grad_(), given.confidences.clone().requires_grad_()
        volume = given._replace(maps=maps, confidences=confidences).volume(aggregation)
        wanted = [maps, confidences] if aggregation.startswith("conf") else [maps]
        results.append([volume.detach(), *torch.autograd.grad(volume.square().sum(), wanted)])
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def words(changed: dict[str, Any]) -> dict[str, Any]:
    return {"aggregation": "sum"} | changed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"aggregation": "conf"}, "without confidences"),
        ({"aggregation": "conf_norm"}, "without confidences"),
        ({"view_mask": torch.tensor([[True, True, True], [False, False, False]])}, "without any view"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    given = scene(KERNEL)
    with pytest.raises(InputError, match=said):
        unproject(given.maps, given.cameras, given.grid_mm, **words(wrong))


@pytest.mark.parametrize("wrong", [{"aggregation": "median"}, {"sampling": "nearest"}])
def test_unknown_words_are_refused_also_where_types_are_not_checked(wrong: dict[str, Any]) -> None:
    given = scene(KERNEL)
    with pytest.raises(InputError, match=next(iter(wrong.values()))):
        inspect.unwrap(unproject)(given.maps, given.cameras, given.grid_mm, **words(wrong))


@pytest.mark.parametrize("wrong", ["cameras", "grid_mm", "view_mask", "confidences"])
def test_sizes_that_do_not_fit_are_refused_before_the_kernel_reads_beyond(wrong: str) -> None:
    given = scene(KERNEL)
    sizes: dict[str, Any] = {
        "cameras": given.cameras[:, :2],
        "grid_mm": given.grid_mm[:1],
        "view_mask": torch.ones(2, 2, dtype=torch.bool),
        "confidences": given.confidences[..., :1],
    }
    right: dict[str, Any] = {"cameras": given.cameras, "grid_mm": given.grid_mm, "confidences": given.confidences}
    with pytest.raises(InputError, match=f"{wrong} has shape"):
        inspect.unwrap(unproject)(given.maps, **(right | {"aggregation": "conf"} | {wrong: sizes[wrong]}))
