"""Single pictures come back as they were written, folders in the order of their numbers."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import HW, number_in, numbered_picture

from trivox.errors import InputError
from trivox.files.images import IMAGE_SUFFIXES, ImageFolder, read_image, read_reduced_image, write_image


def noise(image_hw: tuple[int, int] = (40, 56)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*image_hw, 3), dtype=np.uint8)


def fill(folder: Path, numbers: list[int], name: str = "cam2_{:04d}.png") -> Path:
    folder.mkdir()
    for number in numbers:
        write_image(folder / name.format(number), numbered_picture(number))
    return folder


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_lossless_round_trip(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", noise())
    assert np.array_equal(read_image(tmp_path / f"a{suffix}"), noise())


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_round_trip_keeps_colours_in_order(tmp_path: Path, suffix: str) -> None:
    picture = numbered_picture(77)
    write_image(tmp_path / f"a{suffix}", picture)
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - picture).mean() < 2


def test_a_view_of_a_picture_can_be_written(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png"):
        write_image(tmp_path / f"a{suffix}", noise()[::-1, ::2])
        assert read_image(tmp_path / f"a{suffix}").shape == (40, 28, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_keep_the_high_byte_and_gray_becomes_rgb(tmp_path: Path, suffix: str) -> None:
    gray = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), gray)
    expected = np.repeat((gray >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    assert np.array_equal(read_image(tmp_path / f"a{suffix}"), expected)


def test_gray_jpeg_and_transparency(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.jpg"), np.full((16, 16), 90, np.uint8))
    assert (read_image(tmp_path / "gray.jpg") == 90).all()
    rgba = np.dstack([noise(), np.full((40, 56), 7, np.uint8)])
    cv2.imwrite(str(tmp_path / "clear.png"), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
    assert np.array_equal(read_image(tmp_path / "clear.png"), noise())


def test_the_exif_orientation_is_ignored(tmp_path: Path) -> None:
    """Orientation 6 (turn right to display) in a hand-made EXIF block: the stored pixels come."""
    write_image(tmp_path / "a.jpg", noise())
    data = (tmp_path / "a.jpg").read_bytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    (tmp_path / "b.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    obeyed = cv2.imread(str(tmp_path / "b.jpg"))
    assert obeyed is not None and obeyed.shape == (56, 40, 3)
    assert np.array_equal(read_image(tmp_path / "b.jpg"), read_image(tmp_path / "a.jpg"))


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9])
def test_a_cut_picture_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, noise((300, 200)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=f"{path.name} is damaged"):
        read_image(path)


def test_a_head_that_claims_billions_of_pixels_takes_no_memory(tmp_path: Path) -> None:
    for suffix, at, sides in ((".png", 16, ">II"), (".jpg", None, ">HH")):
        path = tmp_path / f"picture{suffix}"
        write_image(path, np.zeros((48, 64, 3), np.uint8))
        content = bytearray(path.read_bytes())
        at = content.index(struct.pack(">HH", 48, 64)) if at is None else at
        struct.pack_into(sides, content, at, 60_000, 60_000)
        path.write_bytes(content)
        for read in (read_image, lambda path: read_reduced_image(path, 2)):
            with pytest.raises(InputError, match=f"picture{suffix} is damaged"):
                read(path)


def test_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(np.random.default_rng(1).bytes(900))
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8" + np.random.default_rng(1).bytes(900))
    for name in ("a.png", "b.jpg", "absent.png", "."):
        with pytest.raises(InputError, match=str(tmp_path / name)):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="no picture format's name"):
        write_image(tmp_path / "a.gif", noise())


@pytest.mark.parametrize("name", ["{}.png", "cam2_{:03d}.jpg", "7 frame{} left.bmp", "a.{:05d}.x1.webp"])
def test_pictures_come_by_number(tmp_path: Path, name: str) -> None:
    numbers = [1, 2, 9, 10, 11, 100, 120]
    folder = ImageFolder(fill(tmp_path / "cam", numbers[::-1], name))
    (tmp_path / "cam" / "notes.txt").write_text("no picture")
    assert folder.numbers == tuple(numbers)
    assert (folder.info.frame_count, folder.info.image_hw, folder.info.fps) == (7, HW, None)
    assert [number_in(picture) for picture in folder.frames()] == numbers
    assert [number_in(picture) for picture in folder.frames(1, 6, 2)] == numbers[1:6:2]


def test_names_without_one_number_are_in_natural_order(tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    for i, stem in enumerate(["a2_b10", "a2_b9", "a10_b1", "a1_b3"]):
        write_image(tmp_path / "cam" / f"{stem}.png", numbered_picture(i))
    folder = ImageFolder(tmp_path / "cam")
    assert folder.numbers is None and folder.missing == ()
    assert [path.stem for path in folder.paths] == ["a1_b3", "a2_b9", "a2_b10", "a10_b1"]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [([0, 1, 2], ()), ([3, 4, 6, 9], (5, 7, 8)), ([0, 10, 20, 40], (30,)), ([5, 15], ()), ([7], ())]
    + [([0, 1, 2, 3, 7], (4, 5, 6)), ([4500, 5514, 9348], ()), ([0, 1, 10**18], ())],
)
def test_what_a_sequence_skips(tmp_path: Path, numbers: list[int], missing: tuple[int, ...]) -> None:
    assert ImageFolder(fill(tmp_path / "cam", numbers)).missing == missing


def test_only_some_numbers(tmp_path: Path) -> None:
    folder = ImageFolder(fill(tmp_path / "cam", [1, 2, 3, 4])).with_numbers([2, 4, 99])
    assert folder.numbers == (2, 4) and folder.info.frame_count == 2
    assert [number_in(picture) for picture in folder.frames()] == [2, 4]


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "twice", [1, 2])
    write_image(tmp_path / "twice" / "cam2_001.png", numbered_picture(1))
    fill(tmp_path / "empty", [])
    for name, said in {
        "twice": r"cam2_0*1\.png and cam2_0*1\.png are the same picture of their folder",
        "empty": "holds no picture",
        "absent": "there is no folder",
    }.items():
        with pytest.raises(InputError, match=said):
            ImageFolder(tmp_path / name)


def test_pictures_of_another_size_or_damaged_name_their_file(tmp_path: Path) -> None:
    sizes = ImageFolder(fill(tmp_path / "sizes", [1, 2, 3]))
    write_image(tmp_path / "sizes" / "cam2_0003.png", numbered_picture(3, (80, 96)))
    with pytest.raises(InputError, match=r"cam2_0003\.png is 96x80, but cam2_0001\.png is 96x64"):
        list(sizes.frames())
    broken = ImageFolder(fill(tmp_path / "broken", [1, 2, 3]))
    (tmp_path / "broken" / "cam2_0002.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"cam2_0002\.png is damaged"):
        list(broken.frames())
