"""Which camera a path belongs to, and how pictures of another size fit the calibration."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rigs import ring

from trivox.errors import InputError
from trivox.files.matching import check_image_fit, differ_by_padding, fit_rig, match_cameras
from trivox.geometry.rig import Rig


def rig_of(*names: str) -> Rig:
    return Rig(names, ring(len(names)), quarter_turns=tuple(i % 4 for i in range(len(names))))


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def matched(names: list[str], paths: list[str], cameras: list[str] | None = None) -> list[str]:
    """The cameras of empty files at these paths."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(match_cameras(rig_of(*names), [Path(path) for path in paths], cameras).names)


@pytest.mark.parametrize(
    ("names", "paths", "expected"),
    [
        (["cam1", "cam2", "cam3"], ["x/cam3.mp4", "x/cam1.mp4"], ["cam3", "cam1"]),
        (["cam01", "cam02"], ["CAM_1.avi", "cam2.mov"], ["cam01", "cam02"]),
        (["cam_1", "cam_2"], ["walk_cam01.mp4", "walk_cam02.mp4"], ["cam_1", "cam_2"]),
        (["cam01", "cam02"], ["cam02_json", "cam01_json"], ["cam02", "cam01"]),
        (
            ["cam1", "cam2"],
            ["cam1DLC_resnet50_shuffle1.csv", "cam2DLC_resnet50_shuffle1.csv"],
            ["cam1", "cam2"],
        ),
        (["left", "right"], ["left/video.mp4", "right/video.mp4"], ["left", "right"]),
        (["cam1", "cam2"], ["Cam_01/images", "Cam_02/images"], ["cam1", "cam2"]),
        (
            ["54138969", "60457274"],
            ["Walking 1.54138969.mp4", "Walking 1.60457274.mp4"],
            ["54138969", "60457274"],
        ),
        (["00_05", "00_11"], ["hd_00_11.mp4", "hd_00_05.mp4"], ["00_11", "00_05"]),
        (["0", "1", "2"], ["cam_2.mp4", "cam_0.mp4"], ["2", "0"]),
        (["cam1", "cam10"], ["cam10.mp4", "cam1.mp4"], ["cam10", "cam1"]),
        (["cam1", "cam1_left"], ["cam1_left.mp4", "cam1.mp4"], ["cam1_left", "cam1"]),
        (["Cam1", "cam1"], ["cam1.mp4", "Cam1.mp4"], ["cam1", "Cam1"]),
        (["günther", "日本"], ["日本.mp4", "Günther.mp4"], ["日本", "günther"]),
    ],
)
def test_names_tell(names: list[str], paths: list[str], expected: list[str]) -> None:
    assert matched(names, paths) == expected


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["cam1", "cam2"], ["cam1.mp4", "cam3.mp4"]),
        (["cam1", "cam2"], ["cam1.mp4", "webcam2.mp4"]),  # not a whole word
        (["cam1", "cam2"], ["cam1.mp4", "cam20.mp4"]),
        (["cam1", "cam01"], ["cam01.mp4", "cam_1.mp4"]),  # either camera
        (["1", "2"], ["1.mp4", "take1_cam2.mp4"]),  # a number among others
        (["cam1", "cam2"], ["cam1.mp4", "cam1_cam2.mp4"]),
        (["cam1", "cam2", "cam3"], ["cam1.mp4", "cam2/walk_cam3.mp4"]),  # file and folder disagree
        (["--", "++"], ["==.mp4", "--.mp4"]),
    ],
)
def test_what_does_not_tell_one_camera_is_refused(names: list[str], paths: list[str]) -> None:
    with pytest.raises(InputError, match=r"cannot be told to belong .*--cameras NAME") as refused:
        matched(names, paths)
    assert all(name in str(refused.value) for name in names)


def test_two_paths_for_one_camera_are_refused() -> None:
    with pytest.raises(InputError, match=r"cam1\.mp4 and b/cam_1\.mp4 both belong to camera cam1"):
        matched(["cam1", "cam2"], ["a/cam1.mp4", "b/cam_1.mp4"])


@pytest.mark.parametrize("paths", [[], ["cam1.mp4"]])
@pytest.mark.parametrize("cameras", [None, ["cam1"]])
def test_one_view_is_refused(paths: list[str], cameras: list[str] | None) -> None:
    with pytest.raises(InputError, match="at least two views"):
        matched(["cam1", "cam2"], paths, cameras)


def test_cameras_in_order_decide() -> None:
    assert matched(["a", "b", "c"], ["b.mp4", "x.mp4"], ["c", "a"]) == ["c", "a"]


@pytest.mark.parametrize(
    ("paths", "cameras", "said"),
    [
        (["x.mp4", "y.mp4"], ["a", "z"], "no camera z; its cameras are a, b, c"),
        (["x.mp4", "y.mp4"], ["a"], "names 1 cameras for 2 views"),
        (["x.mp4", "y.mp4"], ["a", "a"], "both belong to camera a"),
        (["x.mp4", "./x.mp4"], ["a", "b"], "given for two cameras"),
    ],
)
def test_bad_camera_lists_are_refused(paths: list[str], cameras: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        matched(["a", "b", "c"], paths, cameras)


def test_one_text_is_no_list_of_cameras() -> None:
    with pytest.raises(InputError, match="cameras is the text 'ab'; give a list"):
        matched(["a", "b"], ["x.mp4", "y.mp4"], "ab")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("cameras", [None, ["cam1", "cam2"]])
def test_a_path_that_does_not_exist_is_said_whatever_its_name(cameras: list[str] | None) -> None:
    Path("cam1.mp4").touch()
    for missing in ("cam2.mp4", "left.mp4", "cam1/left.mp4"):
        with pytest.raises(InputError, match=f"there is no file or folder {missing}; check the path"):
            match_cameras(rig_of("cam1", "cam2"), [Path("cam1.mp4"), Path(missing)], cameras)


def test_everything_of_a_camera_goes_with_it() -> None:
    rig = rig_of("a", "b", "c")
    Path("c.mp4").touch()
    Path("a.mp4").touch()
    chosen = match_cameras(rig, [Path("c.mp4"), Path("a.mp4")])
    assert chosen.quarter_turns == (2, 0)
    assert torch.equal(chosen.cameras.t_mm, rig.cameras.t_mm[[2, 0]])


POINTS_MM = torch.tensor([[100.0, 200.0, 900.0], [-300.0, 50.0, 1500.0], [0.0, 0.0, 0.0]]).double()


@pytest.mark.parametrize(
    ("image_fit", "new_hw", "offset_xy"),
    [
        ("left", (720, 1200), (0, 0)),
        ("center", (720, 1200), (40, 0)),
        ("right", (720, 1200), (80, 0)),
        ("left", (700, 1280), (0, 0)),
        ("center", (701, 1281), (-0.5, 9.5)),
        ("right", (730, 1300), (-20, -10)),  # a picture larger than the calibrated one
    ],
)
def test_a_part_of_the_calibrated_picture(image_fit, new_hw, offset_xy) -> None:  # noqa: ANN001
    """Pixels of the calibrated frame lie `offset` less in the picture; other cameras do not change."""
    rig = replace(rig_of("a", "b"), cameras=ring(2, distortion=(-0.2, 0.05, 0.001, -0.002, 0.0)))
    fitted = fit_rig(rig, [new_hw, (720, 1280)], image_fit)
    assert fitted.cameras.image_hw is not None and fitted.cameras.image_hw.tolist() == [
        list(new_hw),
        [720, 1280],
    ]
    before, after = rig.cameras.project(POINTS_MM), fitted.cameras.project(POINTS_MM)
    torch.testing.assert_close(after[0] + torch.tensor(offset_xy), before[0])
    assert torch.equal(after[1], before[1])


def test_a_stretched_picture() -> None:
    rig = rig_of("a", "b")
    fitted = fit_rig(rig, [(360, 640), (720, 1280)], "scale")
    assert fitted.cameras.image_hw is not None and fitted.cameras.image_hw.tolist() == [
        [360, 640],
        [720, 1280],
    ]
    torch.testing.assert_close(fitted.cameras.project(POINTS_MM)[0], rig.cameras.project(POINTS_MM)[0] / 2)
    assert torch.equal(fitted.cameras.K[1], rig.cameras.K[1])


def test_another_size_needs_to_be_told() -> None:
    with pytest.raises(InputError, match=r"camera b .*1280x720, .*1200x720; .*--image-fit scale\|left\|center\|right"):
        fit_rig(rig_of("a", "b"), [(720, 1280), (720, 1200)])


@pytest.mark.parametrize(
    ("new_hw", "padding"),
    [
        ((720, 1280), False),
        ((736, 1280), True),
        ((704, 1264), True),
        ((737, 1280), False),
        ((720, 1263), False),
        ((1280, 720), False),
    ],
)
def test_a_difference_of_up_to_a_block_of_a_codec_is_padding(new_hw, padding) -> None:  # noqa: ANN001
    assert differ_by_padding(rig_of("a", "b"), [(720, 1280), new_hw]) is padding


@pytest.mark.parametrize("image_fit", [None, "scale", "left"])
def test_turned_pictures_are_refused(image_fit) -> None:  # noqa: ANN001
    with pytest.raises(InputError, match="camera b is calibrated for 1280x720, but its pictures are 720x1280"):
        fit_rig(rig_of("a", "b"), [(720, 1280), (1280, 720)], image_fit)


@pytest.mark.parametrize("image_fit", [None, "scale", "center"])
def test_equal_sizes_change_nothing_and_unknown_ones_are_filled_in(image_fit) -> None:  # noqa: ANN001
    rig = rig_of("a", "b")
    assert torch.equal(fit_rig(rig, [(720, 1280)] * 2, image_fit).cameras.K, rig.cameras.K)
    unknown = replace(rig, cameras=replace(rig.cameras, image_hw=None))
    filled = fit_rig(unknown, [(720, 1280), (480, 640)], image_fit).cameras
    assert filled.image_hw is not None and filled.image_hw.tolist() == [[720, 1280], [480, 640]]
    assert torch.equal(filled.K, rig.cameras.K)


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(InputError, match="no image_fit 'middle'; choose one of scale, left, center, right"):
        check_image_fit("middle")


def test_an_unknown_fit_is_refused_where_sizes_agree_and_nothing_checks_types() -> None:
    """In a program of its own: here the type checks of the tests would come first."""
    program = """
import torch
from trivox.errors import InputError
from trivox.files.matching import fit_rig
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
eye = torch.eye(3).expand(2, 3, 3)
for image_hw in (None, torch.tensor([[64, 96]] * 2), torch.tensor([[64, 128]] * 2)):
    rig = Rig(("a", "b"), Cameras(eye, eye, torch.zeros(2, 3), torch.zeros(2, 5), image_hw=image_hw))
    try:
        fit_rig(rig, [(64, 96)] * 2, "middle")
    except InputError as error:
        print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout.count("no image_fit 'middle'") == 3, (ran.stdout, ran.stderr)
