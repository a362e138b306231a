"""`show` tells what is there; `check` finds each planted fault, and nothing in sound rigs."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trivox.calibration_report import Findings, axes_centre_mm, camera_facts, check, rig_facts, show
from trivox.files.calibrations import load_rig
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def _looking_at(centre_mm: list[float], positions_mm: list[list[float]]) -> tuple[Tensor, Tensor]:
    """R and t of upright cameras at these positions whose axes meet in the centre."""
    positions = torch.tensor(positions_mm, dtype=torch.float64)
    forward = torch.nn.functional.normalize(torch.tensor(centre_mm, dtype=torch.float64) - positions, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, UP.expand_as(forward)), dim=-1)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-2)
    return R, -(R @ positions[..., None])[..., 0]


def _rig(**changes: object) -> Rig:
    """Four sound cameras in a ring, 4 m from the middle and 2 m above the floor."""
    positions = [[4000.0, 0, 2000], [0, 4000, 2000], [-4000, 0, 2000], [0, -4000, 2000]]
    R, t_mm = _looking_at([100.0, -50.0, 900.0], positions)
    K = torch.tensor([[1000.0, 0, 960], [0, 1000, 540], [0, 0, 1]], dtype=torch.float64).expand(4, 3, 3)
    lens = torch.tensor([[-0.2, 0.1, 1e-3, 0.0, 0.0]] * 4, dtype=torch.float64)
    cameras = Cameras(K, R, t_mm, lens, image_hw=torch.tensor([[1080, 1920]] * 4))
    names = ("north", "east", "south", "west")
    return Rig(names, replace(cameras, **changes), UP)  # type: ignore[arg-type]


def test_a_sound_rig_has_no_faults():
    assert check(_rig()) == Findings((), ())
    assert check(replace(_rig(), cameras=_rig().cameras.to(dtype=torch.float32))) == Findings((), ())


def test_facts():
    facts = camera_facts(_rig())
    assert [f.name for f in facts] == ["north", "east", "south", "west"]
    assert facts[1].position_mm == pytest.approx((0, 4000, 2000))
    assert [f.height_mm for f in facts] == pytest.approx([2000] * 4)
    assert sum(axis**2 for axis in facts[0].looks) == pytest.approx(1)
    rig = rig_facts(_rig())
    assert rig.centre_mm == pytest.approx((100, -50, 900))
    assert rig.baselines_mm == pytest.approx((4000 * math.sqrt(2), 8000))


def test_field_of_view_without_and_with_a_lens():
    ideal = camera_facts(_rig(distortion=torch.zeros(4, 5, dtype=torch.float64)))[0].view_deg
    expected = tuple(2 * math.degrees(math.atan(half / 1000)) for half in (960, 540))
    assert ideal == pytest.approx(expected)
    barrel = camera_facts(_rig())[0].view_deg
    assert barrel is not None and barrel[0] > expected[0]  # a barrel lens brings more of the world in


def test_show_names_everything():
    text = show(replace(_rig(), quarter_turns=(0, 1, 0, 3)))
    for part in (
        "north",
        "west",
        "1080 1920",
        "1000.0 1000.0",
        "4000 0 2000",
        "-0.2 0.1 0.001 0 0",
        "opencv",
    ):
        assert part in text
    assert "optical axes meet near 100 -50 900 mm" in text
    assert "up: +0.000 +0.000 +1.000" in text
    unknown = show(replace(_rig(image_hw=None), up=None))
    assert "up: unknown" in unknown and unknown.count("unknown") == 13


def test_parallel_axes_meet_nowhere():
    rig = _rig(R=torch.eye(3, dtype=torch.float64).expand(4, 3, 3))
    assert axes_centre_mm(rig) is None
    assert "meet" not in show(rig)


def test_the_centre_is_the_least_squares_one():
    """Against the slow way: nudging the point never brings it closer to the axes."""
    R, t_mm = _looking_at([0.0, 0.0, 0.0], [[4000.0, 0, 100], [0, 3000, -200], [-2000, 500, 700], [10, -900, 0]])
    rig = _rig(R=R, t_mm=t_mm + torch.tensor([30.0, -80.0, 10.0], dtype=torch.float64))
    centre = axes_centre_mm(rig)
    assert centre is not None

    def cost(point: Tensor) -> float:
        away = point - rig.cameras.position_mm
        axes = rig.cameras.R[:, 2]
        return (away - (away * axes).sum(-1, keepdim=True) * axes).square().sum().item()

    for step in torch.cat([torch.eye(3), -torch.eye(3)]).double():
        assert cost(centre + step) > cost(centre)


def _changed(tensor: Tensor, index: int, value: Tensor) -> Tensor:
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


HALF_TURN = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
QUARTER_TURN = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
ABOUT_FACE = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))


def _with(index: int, **changes: Tensor) -> Rig:
    rig = _rig()
    fields = {key: _changed(getattr(rig.cameras, key), index, value) for key, value in changes.items()}
    return replace(rig, cameras=replace(rig.cameras, **fields))


def _turned_camera(turn: Tensor) -> Rig:
    sound = _rig().cameras
    return _with(2, R=turn @ sound.R[2], t_mm=turn @ sound.t_mm[2])


FAULTS = {
    "rounded rotation": (
        lambda: _with(1, R=_rig().cameras.R[1] + 3e-4),
        ["camera east: its rotation is off by"],
    ),
    "principal point outside": (
        lambda: _with(0, K=torch.tensor([[1000.0, 0, 2000], [0, 1000, 540], [0, 0, 1]], dtype=torch.float64)),
        ["camera north: its principal point 2000, 540 lies outside its 1920 x 1080 picture"],
    ),
    "principal point of another size": (
        lambda: _with(0, K=torch.tensor([[1000.0, 0, 320], [0, 1000, 240], [0, 0, 1]], dtype=torch.float64)),
        ["camera north: its principal point 320, 240 is far from the middle"],
    ),
    "focal length in metres": (
        lambda: _with(
            3,
            K=torch.tensor([[1.0, 0, 960], [0, 1.0, 540], [0, 0, 1]], dtype=torch.float64),
            distortion=torch.zeros(5, dtype=torch.float64),
        ),
        ["camera west: it would see 179.9 x 179.8 degrees"],
    ),
    "stretched": (
        lambda: _with(3, K=torch.tensor([[1000.0, 0, 960], [0, 700, 540], [0, 0, 1]], dtype=torch.float64)),
        ["camera west: focal lengths 1000 and 700 px differ"],
    ),
    "folding lens": (
        lambda: _with(2, distortion=torch.tensor([-0.5, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)),
        ["camera south: its distortion turns back 544 px from the centre"],
    ),
    "one camera": (lambda: _rig().selected(["north"]), ["there is only one camera"]),
    "two in one place": (
        lambda: _with(1, R=_rig().cameras.R[0], t_mm=_rig().cameras.t_mm[0] + 1),
        ["cameras north and east stand in one place"],
    ),
    "metres taken for millimetres": (
        lambda: _rig(t_mm=_rig().cameras.t_mm / 1000),
        ["the cameras are at most 8 mm apart; the units"],
    ),
    "millimetres taken for metres": (
        lambda: _rig(t_mm=_rig().cameras.t_mm * 1000),
        ["the cameras are at most 8e+06 mm apart; the units"],
    ),
    "one looks away": (lambda: _turned_camera(ABOUT_FACE), ["camera south: it looks away"]),
    "all look away": (
        lambda: _rig(R=ABOUT_FACE @ _rig().cameras.R, t_mm=_rig().cameras.t_mm @ ABOUT_FACE.mT),
        ["the cameras all look away"],
    ),
    "upside down": (lambda: _turned_camera(HALF_TURN), ["camera south: the world is upside down"]),
    "sideways": (lambda: _turned_camera(QUARTER_TURN), ["camera south: the world lies on its side"]),
    "up has the wrong sign": (
        lambda: replace(_rig(), up=-UP),
        [f"camera {name}: the world is upside down" for name in ("north", "east", "south", "west")],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found_and_nothing_else(fault: str):
    make, expected = FAULTS[fault]
    found = check(make())
    assert len(found.faults) == len(expected) and found.remarks == (), found
    for finding, start in zip(found.faults, expected, strict=True):
        assert finding.startswith(start)


def test_what_a_correct_file_may_leave_open_is_no_fault():
    up, size = "the calibration does not say which way is up", "the calibration does not say the size"
    for rig, expected in (
        (replace(_rig(), up=None), [up]),
        (_rig(image_hw=None), [size]),
        (replace(_rig(image_hw=None), up=None), [up, size]),
    ):
        found = check(rig)
        assert found.faults == ()
        assert all(remark.startswith(start) for remark, start in zip(found.remarks, expected, strict=True))


def test_the_fold_is_where_the_lens_stops_growing():
    """544 px: the largest radius that distortion k1 = -0.5 reaches, by trying all radii."""
    radii = torch.linspace(0, 2, 200_001, dtype=torch.float64)
    assert 1000 * (radii * (1 - 0.5 * radii**2)).max().item() == pytest.approx(544, abs=0.5)


def test_quarter_turns_make_a_sideways_camera_sound():
    """The picture of a camera that was turned counter-clockwise is upright after one clockwise turn."""
    rig = _turned_camera(QUARTER_TURN.mT)
    assert len(check(rig).faults) == 1
    assert check(replace(rig, quarter_turns=(0, 0, 1, 0))).faults == ()
    assert len(check(replace(rig, quarter_turns=(0, 0, 3, 0))).faults) == 1


@pytest.mark.parametrize(
    ("file", "missing"),
    [
        ("panoptic_171026_pose1/171026_pose1/calibration_171026_pose1.json", 0),
        ("panoptic_160422_haggling1/camera_parameters.json", 0),
        ("pose2sim_single/calibration/Calib.qca.txt", 0),
        ("mvor/camma_mvor_2018_days123.json", 0),
        ("caliscope_4cam/camera_array.toml", 1),  # up
        ("shelf_mmpose_3frames/calibration_shelf.json", 2),  # size, and that unit and up are a habit
    ],
)
def test_real_rigs_are_sound(data: Path, file: str, missing: int):
    found = check(load_rig(data / file))
    assert found.faults == () and len(found.remarks) == missing
