"""The page as one file: viser's recording of the scene with its own player, and beside it views and a table of joints.

Nothing is fetched when it is opened, and a policy in the file forbids it. The player moves the scene; our panel
(saved_panel.html) follows the player's slider. Pictures are shrunk, and where there would be too many of them they are
renewed only at every n-th instant.
"""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.progress import progress, say
from trivox.view.page_colours import Mode
from trivox.view.page_panel import legend, mean_errors_mm
from trivox.view.page_pictures import Picture, PicturesOver
from trivox.view.page_scene import Instant, Scene, joints_node
from trivox.view.page_server import start_server, stop_server
from trivox.view.shown import Content, Shown, at_frame

_PICTURES_PX, _PANEL_PX = 220, 420
_MOST_PICTURE_BYTES = 16e6
_BYTES_OF_A_PICTURE = 18e3  # both sizes of it, of a usual recording
_MOST_INSTANTS = 4000
_POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src data: blob:"


def save_page(content: Content, path: Path) -> None:
    """Write `path`, an .html file. Raises `InputError` for another name, and where it is there or cannot be written."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"cannot save the page as {path}; name the file .html")
    if path.exists():
        raise InputError(f"{path} exists and is not overwritten; remove it, or choose another name")
    every = -(-len(content.frames) // _MOST_INSTANTS)
    if every > 1:
        say(f"the recording is long: every {every}th of its {len(content.frames)} instants is saved")
    with atomic_write(path) as temporary:
        temporary.touch()  # what cannot be written is said before the work
        temporary.write_text(_whole(content, content.frames[::every]), encoding="utf-8")
    print(f"saved {path} ({path.stat().st_size / 1e6:.1f} MB); it opens in any browser, without a network")


def _whole(content: Content, frames: np.ndarray) -> str:
    mode: Mode = "result" if len(content.results) > 1 else "sides"
    over = PicturesOver(content)
    step = max(1, int(np.ceil(len(frames) * max(len(content.image_hw), 1) * _BYTES_OF_A_PICTURE / _MOST_PICTURE_BYTES)))
    server = start_server(None)
    try:
        scene = Scene(server, content, dimmed=False)
        scene.show(Instant(int(frames[0]), mode))
        recording = server.get_scene_serializer()
        pictures: list[list[str]] = []
        with progress("saving", len(frames)) as count:
            for i, frame in enumerate(frames.tolist()):
                drawn = over.at(frame, [_PANEL_PX] * len(content.image_hw)) if i % step == 0 else []
                if drawn:
                    pictures.append([_data_url(picture) for picture in drawn])
                scene.show(Instant(frame, mode, [_small(picture) for picture in drawn]))
                server.flush()
                following = frames[i + 1] if i + 1 < len(frames) else frame + 1
                recording.insert_sleep(float(following - frame) / content.fps)
                count(1)
        player = recording.as_html()
    finally:
        over.close()
        stop_server(server)
    return _with_panel(player, content, _panel(content, frames, pictures, step, mode))


def _small(picture: Picture) -> Picture:
    factor = _PICTURES_PX / max(picture.shape[:2])
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def _data_url(picture: Picture) -> str:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 78])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def _panel(content: Content, frames: np.ndarray, pictures: list[list[str]], step: int, mode: Mode) -> dict[str, Any]:
    """What the panel shows, as plain data; `times_s` are those of the player."""
    return {
        "times_s": ((frames - frames[0]) / content.fps).round(4).tolist(),
        "frames": frames.tolist(),
        "fps": content.fps,
        "cameras": list(content.rig.names) if content.rig is not None else [],
        "pictures": pictures,
        "pictures_every": step,
        "legend": legend(content, mode),
        "results": [_table(shown, frames) for shown in content.results],
    }


def _table(shown: Shown, frames: np.ndarray) -> dict[str, Any]:
    rows = [at_frame(shown.poses, frame) for frame in frames.tolist()]
    people = shown.poses.points_mm.shape[1]
    valid, confidence = shown.poses.valid.numpy(), shown.poses.confidence.double().numpy()
    sure = np.where(valid, confidence, np.nan)
    table: dict[str, Any] = {"name": shown.name, "joints": list(shown.poses.skeleton.names), "people": people}
    table["node"] = joints_node(shown.name)
    table["confidence"] = [None if row is None else _plain(sure[row], 2) for row in rows]
    if shown.compared is not None:
        errors = shown.compared.errors_mm
        table["errors_mm"] = [None if row is None else _plain(errors[row], 1) for row in rows]
        table["mean_mm"] = [_plain(mean_errors_mm(shown, person), 1) for person in range(people)]
    return table


def _plain(values: np.ndarray, digits: int) -> Any:
    """Nested lists of rounded numbers; null for NaN."""
    rounded = np.round(values, digits).astype(object)
    rounded[~np.isfinite(values)] = None
    return rounded.tolist()


def _with_panel(player: str, content: Content, panel: dict[str, Any]) -> str:
    """The player's page with our panel, title and policy. No text of the user's files can end a script."""
    ours = (Path(__file__).parent / "saved_panel.html").read_text(encoding="utf-8")
    data = json.dumps(panel, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    ours = ours.replace("__PANEL_DATA__", data, 1)
    names = html.escape(", ".join(shown.name for shown in content.results))
    head = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}" />'
    player = player.replace("<title>Viser</title>", f"{head}<title>trivox: {names}</title>", 1)
    end = player.rindex("</body>")
    return player[:end] + ours + player[end:]
