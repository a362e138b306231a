"""Options that `predict` and `triangulate_files` share, and what is refused whatever the inputs are."""

from __future__ import annotations

from trivox.errors import InputError
from trivox.lift import METHODS

# For image folders and keypoint files, which carry no rate.
DEFAULT_FPS = 30.0


def check_options(method: str, people: int, fps: float | None) -> None:
    """Raise `InputError` for a method, a number of people or a frame rate that cannot be."""
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    if people < 1:
        raise InputError(f"{people} people cannot be followed; give a number from 1 up")
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError(f"{fps} is no frame rate; give frames per second, for example --fps 25")
