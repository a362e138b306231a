"""The page that is served: the scene, its controls, and the thread that plays."""

from __future__ import annotations

import threading
import time
from typing import Any, get_args

import numpy as np

from trivox.view.page_colours import MODES, Mode
from trivox.view.page_panel import joint_table, legend
from trivox.view.page_pick import Picked, picked_by, words_of
from trivox.view.page_pictures import Picture, PicturesOver, drawn_people, mosaic
from trivox.view.page_scene import Instant, Scene
from trivox.view.page_server import HOST, start_server, stop_server
from trivox.view.shown import Content, Shown

_STEP_S = 1 / 60
_FRUSTUM_PX, _PANEL_PX = 480, 900
SPEEDS = ("0.1x", "0.25x", "0.5x", "1x", "2x", "4x")
ALL_VIEWS = "all views"


class LivePage:
    """A served page. Buttons say what is wanted; `run` shows it, until `close`."""

    def __init__(self, content: Content, port: int | None = None) -> None:
        self.content = content
        self.server = start_server(port)
        self.address = f"http://{HOST}:{self.server.get_port()}"
        self.scene = Scene(self.server, content)
        self._pictures = PicturesOver(content)
        self._wanted = 0
        self._shown: int | None = None
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._showing, self._closed = threading.Lock(), False
        self._clock: tuple[float, int] | None = None  # when playing began, and at which instant
        self._picked: Picked | None = None
        self.server.scene.on_click()(self._clicked)
        self._add_controls()
        self._step()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End `run`, the server, and the threads that decode."""
        self._ended.set()
        with self._showing:
            if not self._closed:
                self._closed = True
                stop_server(self.server)
                self._pictures.close()

    def run(self) -> None:
        """Show what is wanted, as it is wanted, until closed."""
        while not self._ended.wait(_STEP_S):
            with self._showing:
                if not self._closed:
                    self._step()

    def _step(self) -> None:
        if self._clock is not None:
            self._wanted = self._playing_at(self._clock)
        wanted = self._wanted
        if wanted == self._shown and not self._changed.is_set():
            return
        self._changed.clear()
        self._shown = wanted
        self._show(wanted)

    def _playing_at(self, clock: tuple[float, int]) -> int:
        """The instant that is due; after the last comes the first."""
        began, first = clock
        frames = self.content.frames
        passed = (time.monotonic() - began) * float(self._speed.value.rstrip("x")) * self.content.fps
        span = int(frames[-1] - frames[0]) + 1
        due = frames[0] + (int(frames[first] - frames[0]) + int(passed)) % span
        return int(np.searchsorted(frames, due, side="right")) - 1

    def _show(self, index: int) -> None:
        frame = int(self.content.frames[index])
        pictures = self._drawn(frame)
        with self.server.atomic():
            self.scene.show(Instant(frame, self._mode, pictures))
            self._point_out(frame)
            if self._time.value != index:
                self._time.value = index
            self._where.content = f"frame **{frame}** &nbsp; {frame / self.content.fps:.2f} s"
            self._legend.content = legend(self.content, self._mode)
            self._table.content = joint_table(self._of_table(), frame, self._person_of_table())
            if self._view is not None and self._view_choice is not None:
                self._view.image = self._chosen(pictures, self._view_choice.value)
        self.server.flush()

    def _point_out(self, frame: int) -> None:
        said = None if self._picked is None else words_of(self.content, self._picked, frame)
        self.scene.point_out(*(("", None) if said is None else said))

    def _clicked(self, event: Any) -> None:
        """A click on a joint asks about it; one beside all joints ends that."""
        frame = int(self.content.frames[self._shown or 0])
        eye, sight = np.array(event.ray_origin), np.array(event.ray_direction)
        self._picked = picked_by(self.content, frame, self._hidden, eye, sight)
        self._changed.set()

    @property
    def _hidden(self) -> frozenset[str]:
        return frozenset(name for name, box in self._visible.items() if not box.value)

    @property
    def _mode(self) -> Mode:
        return next(mode for mode in get_args(Mode) if mode == self._colour.value)

    def _drawn(self, frame: int) -> list[Picture]:
        """The picture of each camera, with those drawn over who are ticked."""
        people = drawn_people(self.content, self._hidden) if self._overlay.value else []
        names = () if self.content.rig is None else self.content.rig.names
        alone = None if self._view_choice is None else self._view_choice.value
        sizes = [_PANEL_PX if name == alone or len(names) < 3 else _FRUSTUM_PX for name in names]
        return self._pictures.at(frame, sizes, people)

    def _chosen(self, pictures: list[Picture], choice: str) -> Picture:
        assert self.content.rig is not None
        pairs = zip(pictures, self.content.rig.names, strict=True)
        chosen = [pair for pair in pairs if choice in (ALL_VIEWS, pair[1])]
        return mosaic([p for p, _ in chosen], [n for _, n in chosen], _PANEL_PX)

    def _of_table(self) -> Shown:
        return next((s for s in self.content.results if s.name == self._result.value), self.content.results[0])

    def _person_of_table(self) -> int:
        return min(int(self._person.value), self._of_table().poses.points_mm.shape[1] - 1)

    def _add_controls(self) -> None:
        gui = self.server.gui
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        self._add_time(gui)
        self._add_shown(gui)
        self._view_choice = self._view = None
        beside = gui.add_panel()
        beside.dock_left()
        beside.set_width(380)
        if self.content.rig is not None:
            with beside.add_tab("Views"):
                self._view_choice = self._watched(
                    gui.add_dropdown("camera", (ALL_VIEWS, *self.content.rig.names), initial_value=ALL_VIEWS)
                )
                self._view = gui.add_image(np.full((60, 80, 3), 245, np.uint8), format="jpeg", jpeg_quality=85)
        with beside.add_tab("Joints"):
            self._add_table(gui)
        gui.main_panel.dock_right()

    def _add_time(self, gui: Any) -> None:
        last = len(self.content.frames) - 1
        self._play = gui.add_button("Play", icon=None)
        self._time = gui.add_slider("time", min=0, max=max(last, 1), step=1, initial_value=0, disabled=last == 0)
        self._where = gui.add_markdown("")
        self._speed = gui.add_dropdown("speed", SPEEDS, initial_value="1x")
        self._play.on_click(lambda _: self.play(self._clock is None))
        self._time.on_update(self._slid)
        self._speed.on_update(lambda _: self.play(True) if self._clock is not None else None)

    def _slid(self, event: Any) -> None:
        """Who moves the slider wants that instant, and no more playing; the page's own moves have no client."""
        if event.client is not None:
            self.play(False)
            self.go_to(int(self._time.value))

    def go_to(self, index: int) -> None:
        """Show this instant, or the last where there are fewer."""
        self._wanted = min(index, len(self.content.frames) - 1)

    def play(self, on: bool) -> None:
        """Play from the present instant on, or stop."""
        self._clock = (time.monotonic(), self._shown or 0) if on else None
        self._play.label = "Pause" if on else "Play"

    def _add_shown(self, gui: Any) -> None:
        results, truth = self.content.results, self.scene.truth
        modes = [m for m in MODES if m != "error" or truth is not None]
        with gui.add_folder("Show"):
            start = "result" if len(results) > 1 else "sides"
            self._colour = self._watched(gui.add_dropdown("colour", tuple(modes), initial_value=start))
            self._legend = gui.add_html("")
            self._visible = {shown.name: gui.add_checkbox(shown.name, True) for shown in results}
            if truth is not None:
                self._visible["truth"] = gui.add_checkbox("truth", True)
                self._lines = gui.add_checkbox("lines to truth", True)
                self._lines.on_update(lambda _: self._hide())
            for box in self._visible.values():
                box.on_update(lambda _: self._hide())
            self._overlay = self._watched(
                gui.add_checkbox("people in pictures", True, visible=self.content.rig is not None)
            )
            self._cameras = gui.add_checkbox("cameras", True, visible=bool(self.scene.cameras))
            self._cameras.on_update(lambda _: self._hide())
            self._floor = gui.add_checkbox("floor", True)
            self._floor.on_update(lambda _: self._hide())

    def _hide(self) -> None:
        """What is not ticked is not there."""
        for shown, nodes in zip(self.content.results, self.scene.results, strict=True):
            nodes.visible = bool(self._visible[shown.name].value)
        if self.scene.truth is not None:
            self.scene.truth.visible = bool(self._visible["truth"].value)
            for shown, lines in zip(self.content.results, self.scene.differences, strict=True):
                lines.visible = bool(self._lines.value and self._visible[shown.name].value)
        for camera in self.scene.cameras:
            camera.visible = bool(self._cameras.value)
        self.scene.ground.visible = bool(self._floor.value)
        self._changed.set()

    def _add_table(self, gui: Any) -> None:
        results = self.content.results
        most = max(shown.poses.points_mm.shape[1] for shown in results)
        names = tuple(shown.name for shown in results)
        people = tuple(str(p) for p in range(most))
        self._result = self._watched(gui.add_dropdown("result", names, initial_value=names[0], visible=len(names) > 1))
        self._person = self._watched(gui.add_dropdown("person", people, initial_value="0", visible=most > 1))
        self._table = gui.add_html("")

    def _watched(self, control: Any) -> Any:
        """A control that changes what is shown."""
        control.on_update(lambda _: self._changed.set())
        return control
