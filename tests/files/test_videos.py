"""Frame i is the i-th picture, whatever the codec, container and timestamps; damage is never silent."""

import os
import threading
import tracemalloc
import weakref
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from clips import HW, copy_packets, number_in, numbered_picture, write_clip

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.films import Film
from trivox.files.videos import Video, turned_picture

X265 = {"x265-params": "log-level=none:open-gop=1:keyint=12:bframes=3:pools=none"}
VARIABLE_MS = [40 * i + 11 * (i % 3) for i in range(40)]

CLIPS = {
    "h264.mp4": {},
    "h264_no_b.mp4": {"b_frames": 0, "gop": 1},
    "h264_one_group.mkv": {"gop": 1000},
    "h264_open_groups.mov": {"options": {"x264-params": "open-gop=1"}},
    "h264_variable_rate.mp4": {"times_ms": VARIABLE_MS},
    "h264_variable_rate.mkv": {"times_ms": VARIABLE_MS},
    "h264_late_start.mp4": {"times_ms": [700 + 40 * i for i in range(40)]},
    "h264_broken_times.avi": {},
    "h264.ts": {},
    "hevc_open_groups.mp4": {"codec": "libx265", "options": X265},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0},
    "mpeg4_b.avi": {"codec": "mpeg4", "b_frames": 2},
    "mjpeg.avi": {"codec": "mjpeg"},
    "vp8.webm": {"codec": "libvpx", "options": {"lag-in-frames": "16", "auto-alt-ref": "1"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"lag-in-frames": "16", "deadline": "realtime"}},
}


@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_exact_from_every_start(tmp_path: Path, name: str) -> None:
    video = Video(write_clip(tmp_path / name, **CLIPS[name]))
    assert (video.info.frame_count, video.info.image_hw) == (40, HW)
    assert [number_in(picture) for picture in video.frames()] == list(range(40))
    for start in range(41):
        assert [number_in(p) for p in video.frames(start, start + 2)] == list(range(40))[start : start + 2]


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.avi", "vp9.webm"])
@pytest.mark.parametrize(("start", "stop", "step"), [(0, None, 3), (5, 31, 7), (2, None, 17), (0, 40, 25), (30, 10, 1)])
def test_frames_are_a_slice(tmp_path: Path, name: str, start: int, stop: int | None, step: int) -> None:
    video = Video(write_clip(tmp_path / name, **CLIPS[name]))
    assert [number_in(p) for p in video.frames(start, stop, step)] == list(range(40))[start:stop:step]


def test_wide_steps_over_short_groups_are_exact(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "long.mp4", frames=300, gop=10))
    assert [number_in(p) for p in video.frames(3, None, 40)] == list(range(3, 300, 40))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_cut_inside_an_open_group_counts_what_can_be_shown(tmp_path: Path, codec: str, suffix: str) -> None:
    options = X265 if codec == "libx265" else {"x264-params": "open-gop=1"}
    whole = write_clip(tmp_path / "whole.mov", codec=codec, options=options)
    video = Video(copy_packets(whole, tmp_path / f"cut{suffix}", skip_key_frames=1))
    with av.open(str(video.info.path)) as container:
        shown = [number_in(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert video.info.frame_count == len(shown) < 40
    assert [number_in(p) for p in video.frames()] == shown
    for start in range(len(shown)):
        assert [number_in(p) for p in video.frames(start, start + 1)] == [shown[start]]


def test_times_made_up_by_a_copy_from_avi_are_not_trusted(tmp_path: Path) -> None:
    avi = write_clip(tmp_path / "a.avi")
    video = Video(copy_packets(avi, tmp_path / "a.mkv"))
    assert [number_in(p) for p in video.frames()] == list(range(40))
    for start in range(0, 40, 3):
        assert [number_in(p) for p in video.frames(start, start + 2)] == list(range(40))[start : start + 2]


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov", "frag_keyframe"])
def test_mp4_layouts_count_the_same(tmp_path: Path, flags: str) -> None:
    whole = write_clip(tmp_path / "whole.mp4")
    assert Video(copy_packets(whole, tmp_path / "copy.mp4", movflags=flags)).info.frame_count == 40


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_come_as_displayed(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    """PyAV states the turn counter-clockwise, like np.rot90, and mirrors what was turned."""
    path = write_clip(tmp_path / "phone.mp4", frames=3, degrees=degrees, mirrored=mirrored)
    stored = numbered_picture(1).astype(int)
    displayed = np.rot90(stored, degrees // 90)
    displayed = np.fliplr(displayed) if mirrored else displayed
    picture = list(Video(path).frames())[1]
    assert picture.flags.c_contiguous
    assert Video(path).info.image_hw == picture.shape[:2] == displayed.shape[:2]
    assert np.abs(picture.astype(int) - displayed).mean() < 4 < np.abs(picture[::-1, ::-1] - displayed).mean()


@pytest.mark.parametrize("turns", range(-4, 8))
def test_turned_picture_is_rot90(turns: int) -> None:
    picture = numbered_picture(5)
    assert np.array_equal(turned_picture(picture, turns), np.rot90(picture, -turns))


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_colours_are_rgb_in_full_range(tmp_path: Path, codec: str) -> None:
    path = write_clip(tmp_path / "colours.mov", frames=1, codec=codec)
    (picture,) = Video(path).frames()
    assert np.abs(picture[-8, -8].astype(int) - (200, 30, 30)).max() < 12
    assert np.abs(picture[40, 8].astype(int) - 40).max() < 4


@pytest.mark.parametrize("name", ["h264.mp4", "hevc_open_groups.mp4", "mpeg4.avi", "mjpeg.avi"])
def test_damage_in_the_middle_is_said_with_the_frame(tmp_path: Path, name: str) -> None:
    """Of a destroyed packet, that is: a decoder cannot notice all flipped bits inside one."""
    path = write_clip(tmp_path / name, **CLIPS[name], noisy=True)
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(video=0) if packet.size]
    victim = found[len(found) // 2]
    data = bytearray(path.read_bytes())
    assert victim.pos is not None
    middle = slice(victim.pos, victim.pos + victim.size)
    data[middle] = bytes(byte ^ 0xA5 for byte in data[middle])
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"{name} is damaged near frame \d+ .*copy") as refused:
        list(Video(path).frames())
    number = int(str(refused.value).split("near frame ")[1].split()[0])
    assert len(found) // 2 - 6 <= number <= len(found) // 2 + 6  # coding order differs from display order


@pytest.mark.parametrize("name", ["h264.mp4", "h264_one_group.mkv", "vp9.webm"])
@pytest.mark.parametrize("kept", [0.2, 0.6])
def test_a_cut_off_file_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    frames, whole = 120, tmp_path / name
    write_clip(whole, **{**CLIPS[name], "frames": frames})
    if name.endswith("mp4"):
        whole = copy_packets(whole, tmp_path / "index_first.mp4", movflags="faststart")
    data = whole.read_bytes()
    whole.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=str(whole)):
        list(Video(whole).frames())


def damaged(path: Path, *numbers: int) -> Path:
    """Destroys the packets of these pictures, in coding order."""
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number in numbers:
        victim = found[number]
        assert victim.pos is not None
        middle = slice(victim.pos, victim.pos + victim.size)
        data[middle] = bytes(byte ^ 0xA5 for byte in data[middle])
    path.write_bytes(data)
    return path


DAMAGES = {"middle": (17,), "end": (37, 38), "key frame": "second key", "very first": (0,), "twice": (5, 30)}


@pytest.mark.parametrize("where", DAMAGES)
@pytest.mark.parametrize("name", ["h264.mp4", "h264_open_groups.mov", "hevc_open_groups.mp4"])
def test_a_partial_video_gives_all_up_to_damage_and_from_the_next_key_frame_on(
    tmp_path: Path, name: str, where: str
) -> None:
    """Every picture has its own number, and none of an undamaged group is lost, from wherever reading starts."""
    path = write_clip(tmp_path / name, **CLIPS[name], noisy=True)
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(video=0) if packet.size]
    step = sorted(packet.pts or 0 for packet in found)[1] - min(packet.pts or 0 for packet in found)
    keys = [at for at, packet in enumerate(found) if packet.is_keyframe]
    victims = keys[1:2] if where == "key frame" else list(DAMAGES[where])
    shown = [(packet.pts or 0) // step for packet in found]
    groups = {max(k for k in keys if k <= victim) for victim in victims}
    spoiled: set[int] = set()
    for group in groups:
        end = next((shown[k] for k in keys if k > group), 40)
        # In open groups some pictures before the key frame lean on it.
        spoiled |= set(range(max(0, shown[group] - 8), end))
    damaged(path, *victims)
    video = Video(path, partial=True)
    assert video.info.frame_count == 40
    for start in (0, 3, 20, 39):
        for number, picture in zip(range(start, 40), video.pictures(range(start, 40)), strict=True):
            assert picture is not None or number in spoiled
            assert picture is None or number_in(picture) == number
    lost = [number for number, picture in enumerate(video.pictures(range(40))) if picture is None]
    assert set(lost) >= {shown[victim] for victim in victims}
    assert video.damage is not None and name in video.damage and "\n" not in video.damage
    with pytest.raises(InputError, match=f"{name} is damaged"):
        list(Video(path).frames())


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "mjpeg.avi"])
@pytest.mark.parametrize("kept", [0.3, 0.75])
def test_a_partial_video_ends_where_the_file_does(tmp_path: Path, name: str, kept: float) -> None:
    whole = write_clip(tmp_path / name, **{**CLIPS.get(name, {}), "frames": 120}, noisy=True)
    if name.endswith("mp4"):
        whole = copy_packets(whole, tmp_path / "index_first.mp4", movflags="faststart")
    data = whole.read_bytes()
    whole.write_bytes(data[: int(len(data) * kept)])
    video = Video(whole, partial=True)
    pictures = list(video.pictures(range(video.info.frame_count)))
    shown = [number for number, picture in enumerate(pictures) if picture is not None]
    assert 120 * kept - 30 < len(shown) < 120 * kept + 30
    assert [number_in(p) for p in pictures if p is not None] == shown == list(range(len(shown)))
    assert video.damage is not None and whole.name in video.damage


def _audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_no_video_is_refused_in_one_sentence(tmp_path: Path) -> None:
    _audio_only(tmp_path / "audio.mkv")
    write_clip(tmp_path / "empty.mp4", frames=0)
    av.VideoFrame.from_ndarray(numbered_picture(0), format="rgb24").save(tmp_path / "picture.png")
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "nothing.mp4").write_bytes(b"")
    (tmp_path / "noise.avi").write_bytes(np.random.default_rng(0).bytes(5000))
    for name, said in {
        "audio.mkv": "no video stream",
        "picture.png": "single picture",
        "empty.mp4": "cannot be read as a video|no video stream|no picture",
        "text.mp4": "cannot be read as a video",
        "nothing.mp4": "cannot be read as a video",
        "noise.avi": "cannot be read as a video",
        "absent.mp4": "there is no video file",
        ".": "there is no video file",
    }.items():
        path = tmp_path / name
        with pytest.raises(InputError, match=said) as refused:
            Video(path)
        assert str(path) in str(refused.value) and "\n" not in str(refused.value)


LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile neighbour.mp4\n",
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nneighbour.mp4\n#EXT-X-ENDLIST\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\n"
    "c=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    "<Representation><BaseURL>neighbour.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list.ffconcat"])
def test_a_list_of_files_opens_none_of_them(tmp_path: Path, kind: str, name: str) -> None:
    """Whatever the list is called: FFmpeg goes by the content, and would show the neighbour's pictures."""
    write_clip(tmp_path / "neighbour.mp4", frames=3)
    (tmp_path / name).write_text(LISTS[kind])
    with pytest.raises(InputError, match=rf"{name} cannot be read as a video"):
        Video(tmp_path / name)


def test_a_name_is_no_pattern_of_names(tmp_path: Path) -> None:
    av.VideoFrame.from_ndarray(numbered_picture(0), format="rgb24").save(tmp_path / "1.png")
    (tmp_path / "%d.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"%d\.png cannot be read as a video"):
        Video(tmp_path / "%d.png")


def test_a_pipe_and_a_device_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    for name in ("pipe.mp4", "device.mp4"):
        with pytest.raises(InputError, match=rf"no video file .*{name}: it is a pipe or device"):
            Video(tmp_path / name)


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60000, 1001), 25, 7.5])
def test_films_keep_their_rate_exactly(tmp_path: Path, rate: Fraction | float) -> None:
    """29.97 in place of 30000/1001 would be a frame late every nine hours, and a rate of its own."""
    with Film(tmp_path / "film.mp4", HW, float(rate), 20) as film:
        for number in range(3):
            film.add(numbered_picture(number))
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(rate)


def test_a_film_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    with pytest.raises(InputError, match=r"cannot write .*film\.mp4: "), atomic_write(out) as temporary:
        temporary.mkdir()
        with Film(temporary, HW, 25, 20) as film:
            film.add(numbered_picture(0))


def test_a_change_of_size_is_refused(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "a.mjpeg", frames=10, codec="mjpeg")
    large = write_clip(tmp_path / "b.mjpeg", frames=10, codec="mjpeg", image_hw=(96, 128))
    (tmp_path / "both.mjpeg").write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(InputError, match=r"both\.mjpeg: frame 10 is 128x96, the frames before it 96x64"):
        list(Video(tmp_path / "both.mjpeg").frames())


def test_a_long_video_keeps_no_picture(tmp_path: Path) -> None:
    """Of 400 pictures at most two are alive at a time, and memory does not grow with their number."""
    video = Video(write_clip(tmp_path / "long.mp4", frames=400))
    given: list[weakref.ref[np.ndarray]] = []
    most, allocated = 0, []
    tracemalloc.start()
    for picture in video.frames():
        given = [seen for seen in given if seen() is not None] + [weakref.ref(picture)]
        most = max(most, len(given))
        allocated.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert len(allocated) == 400 and most <= 2
    assert max(allocated[300:]) < max(allocated[:100]) + HW[0] * HW[1] * 3


def test_stopping_early_closes_the_file(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "a.mp4"))
    before = threading.active_count(), _open_files()
    frames = video.frames()
    next(frames)
    assert _open_files() > before[1]
    frames.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert (threading.active_count(), _open_files()) == before


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("open files can be counted on Linux only")
    return len(list(folder.iterdir()))


@pytest.mark.parametrize(
    ("name", "frames", "image_hw", "fps"),
    [
        ("pose2sim_single/videos/cam01.mp4", 100, (1920, 1080), 60),
        ("pose2sim_single/videos/cam02.mp4", 100, (1920, 1080), 60),
        ("pose2sim_single/videos/cam03.mp4", 100, (1920, 1088), 60),
        ("caliscope_4cam/cam_1.mp4", 48, (720, 1280), 6),
        ("demo_scene/videos/cam3.mp4", 72, (640, 640), 24),
    ],
)
def test_real_recordings(data: Path, name: str, frames: int, image_hw: tuple[int, int], fps: float) -> None:
    """Size, length and rate as published, and the middle picture is that of decoding everything before it."""
    video = Video(data / name)
    assert (video.info.image_hw, video.info.frame_count, video.info.fps) == (image_hw, frames, fps)
    middle = frames // 2 + 5
    with av.open(str(data / name)) as container:
        expected = next(islice(container.decode(video=0), middle, None)).to_ndarray(format="rgb24")
    assert np.array_equal(next(iter(video.frames(middle))), expected)
