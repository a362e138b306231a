"""Where the pictures of a dataset are: one template of paths below one folder, for images or for videos.

    Pictures(Path("processed"), "{recording}/imageSequence/{camera}/img_{file:06}.jpg", first_file=1)

A template is words between slashes with these fields: `{recording}` (may itself hold slashes, "S1/Walking-1"),
`{subject}`, `{action}`, `{camera}`, and `{file}`, the number of the picture's file, with leading zeros as in
`{file:06}`. Nothing else is read into it, and no path leaves the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trivox.errors import InputError

_FIELD = re.compile(r"\{(recording|subject|action|camera|file)(?::0(\d{1,2}))?\}")


@dataclass(frozen=True)
class Recording:
    """One take: a scene, a Panoptic sequence, or a trial of one action by one subject.

    name     its folder, and the first part of the keys of its samples: "S9/Walking-1", "171204_pose5".
    subject  who; "" where several or unknown.
    action   what, with its trials merged: "Walking".
    part     "train" or "test", as the dataset's protocol has it; "" where it has none.
    damaged  the truth is known to be broken, and the protocol leaves it out unless asked for it.
    """

    name: str
    subject: str = ""
    action: str = ""
    part: str = ""
    damaged: bool = False


@dataclass(frozen=True)
class Pictures:
    """Picture files below `root`.

    template     path of the pictures as recorded, see above; without `{file}` it names a video, whose frame it is.
    undistorted  path of the same pictures with the lens undone, or None where nobody made them.
    first_file   number of the file of frame 0.
    """

    root: Path
    template: str
    undistorted: str | None = None
    first_file: int = 0

    def __post_init__(self) -> None:
        for template in (self.template, self.undistorted):
            if template is not None:
                _check(template)

    @property
    def are_videos(self) -> bool:
        return "{file" not in self.template

    def path(self, recording: Recording, camera: str, frame: int, undistorted: bool = False) -> Path:
        """The file of one picture: an image, or the video that holds it. Raises `InputError` where names would leave
        the folder."""
        template = self.undistorted if undistorted else self.template
        assert template is not None, "ask for undistorted pictures only where there are some"
        values = {"recording": recording.name, "subject": recording.subject, "action": recording.action}
        values |= {"camera": camera, "file": str(frame + self.first_file)}
        relative = _FIELD.sub(lambda field: values[field[1]].zfill(int(field[2] or 0)), template)
        if _leaves(relative):
            raise InputError(f"the picture {relative!r} would lie outside {self.root}; correct the names in the labels")
        return self.root / relative


def _check(template: str) -> None:
    rest = _FIELD.sub("", template)
    if "{" in rest or "}" in rest or _leaves(template):
        raise InputError(
            f"{template!r} is no template of picture files; write a relative path with the fields {{recording}}, "
            "{subject}, {action}, {camera} and {file} or {file:08}"
        )


def _leaves(relative: str) -> bool:
    path = Path(relative.replace("\\", "/"))
    drive = any(":" in part for part in path.parts[:1])
    return path.is_absolute() or drive or ".." in path.parts or not path.parts or "\0" in relative
