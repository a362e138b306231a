"""RANSAC on heatmaps: peaks are where they are, a view that lies is found out."""

from __future__ import annotations

import pytest
import torch
from models.tiny import STRIDE, Stored, Tiny, logits_of, scene

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17, MPII_16
from trivox.models.backbones import BackboneOutput
from trivox.models.profile import REFERENCE, TRIVOX, Profile
from trivox.models.ransac import Ransac, seen_points

IMAGE_HW = (192, 256)


def test_a_lying_view_is_found_out() -> None:
    images, cameras, truth_mm = scene(5, lens=-0.1)
    heatmaps = logits_of(truth_mm, cameras, IMAGE_HW)
    heatmaps[:, 3] = heatmaps[:, 3].roll((11, 9), (-2, -1))
    found = Ransac(Stored(heatmaps), COCO_17, threshold_px=8.0)(images, cameras)
    liar = torch.arange(5) == 3
    assert torch.equal(found.inliers, ~liar[None, :, None].expand(2, 5, 17))
    assert found.valid.all()
    # Peaks are whole cells: up to half a diagonal, 2.8 pixels, which are 80 mm at 4 m.
    assert (found.points_mm - truth_mm).norm(dim=-1).amax() < 80


@pytest.mark.parametrize("profile", [TRIVOX, REFERENCE], ids=lambda profile: profile.name)
def test_peaks_equal_a_plain_loop(profile: Profile) -> None:
    heatmaps = torch.rand(1, 2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    points_px = seen_points(BackboneOutput(heatmaps, heatmaps), (27, 33), STRIDE, profile)
    for v in range(2):
        for j in range(3):
            best = max((float(heatmaps[0, v, j, row, column]), row, column) for row in range(6) for column in range(8))
            x, y = (best[2] + 0.5) * STRIDE, (best[1] + 0.5) * STRIDE
            if profile is REFERENCE:
                x, y = int(best[2] * 33 / 8), int(best[1] * 27 / 6)
            assert points_px[0, v, j].tolist() == [x, y]


def test_a_masked_view_is_as_good_as_absent() -> None:
    torch.manual_seed(0)
    images, cameras, _ = scene(4)
    model = Ransac(Tiny(), COCO_17, threshold_px=40.0)
    mask = torch.tensor([[True, True, True, False]] * 2)
    spoiled = images.clone()
    spoiled[:, 3] = torch.inf
    masked, absent = model(spoiled, cameras, mask), model(images[:, :3], cameras[:, :3])
    assert torch.equal(masked.inliers[:, :3], absent.inliers) and not masked.inliers[:, 3].any()
    torch.testing.assert_close(masked.points_mm, absent.points_mm, atol=1.0, rtol=1e-3)


def test_one_view_gives_invalid_joints() -> None:
    images, cameras, _ = scene(1)
    assert not Ransac(Tiny(), COCO_17)(images, cameras).valid.any()


def test_profiles_see_other_cameras() -> None:
    cameras: Cameras = scene(2, lens=-0.2)[1]
    assert TRIVOX.seen(cameras) is cameras and TRIVOX.recorded(cameras) is cameras
    assert not REFERENCE.seen(cameras).has_distortion
    # Pixel i of the reference is the centre of ours.
    point_mm = torch.tensor([[[[50.0, 60.0, 1000.0]]]]).double().expand(2, 1, 1, 3)
    ours, theirs = cameras.project(point_mm), REFERENCE.recorded(cameras).project(point_mm)
    torch.testing.assert_close(ours, theirs + 0.5)


def test_what_does_not_fit_is_refused() -> None:
    images, cameras, _ = scene(2)
    with pytest.raises(InputError, match="has 17 joints, the skeleton mpii16 has 16"):
        Ransac(Tiny(17), MPII_16)
    with pytest.raises(InputError, match="threshold_px is -1"):
        Ransac(Tiny(), COCO_17, threshold_px=-1.0)(images, cameras)
    with pytest.raises(InputError, match="no view of sample 0"):
        Ransac(Tiny(), COCO_17)(images, cameras, torch.zeros(2, 2, dtype=torch.bool))
