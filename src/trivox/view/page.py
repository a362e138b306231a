"""trivox view: results in the browser, in 3D and over the pictures.

    trivox.view("result")                                   # until Ctrl-C
    trivox.view("ours", "theirs", truth="truth.npz")        # side by side, with errors
    trivox.view("result", save="page.html")                 # one file to send to a colleague

The page is made with viser (Yi et al., a 3D viewer for the browser). What is shown is decided in one thread, that of
`LivePage.run`; the browser's buttons only say what is wanted. People and pictures are always of the same instant: where
pictures take long, frames are left out.
"""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from trivox.errors import InputError
from trivox.files.calibrations import UpAxis
from trivox.geometry.rig import Rig
from trivox.progress import say
from trivox.view.shown import Content, load_content


def view(
    *results: Path | str,
    truth: Path | str | None = None,
    rig: Path | str | Rig | None = None,
    videos: Sequence[Path | str] = (),
    cameras: Sequence[str] = (),
    names: Sequence[str] = (),
    up: UpAxis | None = None,
    save: Path | str | None = None,
    port: int | None = None,
    browser: bool = True,
) -> None:
    """Show result folders or files of poses until Ctrl-C; or `save` the page as one file that needs nothing else.

    `rig` and `videos` (with `cameras`, in their order, where file names do not tell) are those of the first result
    folder unless given. `names` are those of the results; their folders' unless given. Raises `InputError`.
    """
    refuse_without_viser()
    content = load_content(
        [Path(path) for path in results],
        truth=None if truth is None else Path(truth),
        rig=rig if isinstance(rig, Rig) or rig is None else Path(rig),
        videos=[Path(path) for path in videos],
        cameras=cameras,
        names=names,
        up=up,
    )
    for note in content.notes:
        say(note)
    if save is not None:
        from trivox.view.page_save import save_page

        save_page(content, Path(save))
        return
    show_page(content, port, browser)


def refuse_without_viser() -> None:
    try:
        import viser  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError("the page needs viser, which is not installed here; pip install 'trivox[view]'") from error


def show_page(content: Content, port: int | None, browser: bool) -> None:
    """Serve the page until Ctrl-C."""
    from trivox.view.page_live import LivePage

    with LivePage(content, port) as page:
        if page.scene.floor.note:
            say(page.scene.floor.note)
        print(f"{page.address} shows {', '.join(shown.name for shown in content.results)}; Ctrl-C ends it", flush=True)
        if browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=(page.address,), daemon=True).start()
        try:
            page.run()
        except KeyboardInterrupt:
            print("ended")


def _has_screen() -> bool:
    """Whether a browser can show itself; on a Linux machine without a screen, one of text would take the terminal."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return not sys.platform.startswith("linux") or any(name in os.environ for name in names)
