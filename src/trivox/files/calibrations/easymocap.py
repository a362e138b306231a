"""EasyMocap's pair `intri.yml` and `extri.yml` (OpenCV YAML with keys `K_<name>`, `dist_<name>`, ...).

Metres by habit, `x_cam = R X + T`; `R_<name>` is a Rodrigues vector, `Rot_<name>` the same as a matrix (used
where both are there). `H_<name>` and `W_<name>` give the size in newer files; no axis is up. The folder or
either of the two files may be given; both are needed.
"""

from __future__ import annotations

import re
from pathlib import Path

from trivox.errors import InputError
from trivox.files.calibrations.documents import Document, read_document
from trivox.files.calibrations.lens_words import words_of_camera
from trivox.files.calibrations.lenses import FileLens, lens_of
from trivox.files.calibrations.opencv_storage import rotation_of, yaml_matrix
from trivox.files.calibrations.records import NO_LENS, NO_POSE, FileCamera, FileRig, Format, Uncalibrated
from trivox.files.calibrations.rotations import vector_from_matrix
from trivox.files.calibrations.tables import Table

_INTRINSIC, _EXTRINSIC = "intri.yml", "extri.yml"
_LENS_PREFIX, _PLACE_PREFIX = "K_", "T_"
_PLACE_PREFIXES = (_PLACE_PREFIX, "R_", "Rot_")


def _recognises(document: Document) -> bool:
    return document.kind == "storage" and bool(_names(document, _LENS_PREFIX) or _names(document, _PLACE_PREFIX))


def _names(document: Document, prefix: str) -> list[str]:
    if not isinstance(document.content, dict):
        return []
    return [str(key).removeprefix(prefix) for key in document.content if str(key).startswith(prefix)]


def _read(document: Document) -> FileRig:
    lens, place = _with_companion(document)
    listed = list(dict.fromkeys(name for half in (lens, place) for name in _listed(half)))
    with_place = [name for prefix in _PLACE_PREFIXES for name in _names(place, prefix)]
    cameras = [
        _camera(name, lens, place) if name in listed or not listed else Uncalibrated(name, "is not listed in 'names'")
        for name in dict.fromkeys((*listed, *_names(lens, _LENS_PREFIX), *with_place))
    ]
    return FileRig.of(cameras, units="m", habit="EasyMocap")


def _listed(document: Document) -> list[str]:
    """The cameras that count, in order; none where the file has no such list."""
    table = Table(document.content, document.where)
    return [] if table.lacks("names") else [str(name) for name in table.sequence("names")]


def _with_companion(document: Document) -> tuple[Document, Document]:
    """(intrinsics, extrinsics): the given file and the one beside it, or one file that holds both."""
    has_lens, has_place = _names(document, _LENS_PREFIX), _names(document, _PLACE_PREFIX)
    if has_lens and has_place:
        return document, document
    other_path = document.path.with_name(_EXTRINSIC if has_lens else _INTRINSIC)
    if not other_path.is_file():
        raise document.error(f"only one half of an EasyMocap calibration; put {other_path.name} beside it")
    other = read_document(other_path)
    if not _names(other, _PLACE_PREFIX if has_lens else _LENS_PREFIX):
        raise other.error("not the other half of an EasyMocap calibration; export both again")
    return (document, other) if has_lens else (other, document)


def _camera(name: str, lens: Document, place: Document) -> FileCamera | Uncalibrated:
    optics = Table(lens.content, f"{lens.where}, camera {name[:80]!r}")
    stand = Table(place.content, f"{place.where}, camera {name[:80]!r}")
    if optics.lacks(f"K_{name}"):
        return Uncalibrated(name, NO_LENS)
    if stand.lacks(f"Rot_{name}", f"R_{name}", f"T_{name}"):
        return Uncalibrated(name, NO_POSE)
    size = None
    if f"H_{name}" in optics or f"W_{name}" in optics:
        size = optics.whole(f"H_{name}"), optics.whole(f"W_{name}")
    return FileCamera(
        name=name,
        K=optics.matrix(f"K_{name}"),
        R=rotation_of(stand, f"Rot_{name}", f"R_{name}"),
        t=stand.vector(f"T_{name}", length=3),
        lens=_lens_of(name, lens, place),
        image_hw=size,
    )


def _lens_of(name: str, lens: Document, place: Document) -> FileLens:
    """Whatever either half says of it, with the camera's name behind the word or for all cameras."""
    names = _names(lens, _LENS_PREFIX)
    content = {**place.content, **lens.content}
    own = words_of_camera(content, name, names)
    shared = {key: value for key, value in content.items() if not str(key).endswith(tuple(f"_{n}" for n in names))}
    return lens_of(Table(own, f"{lens.where}, camera {name[:80]!r}"), shared=shared)


def _write(rig: FileRig, path: Path) -> dict[Path, str]:
    """Two files in the folder `path`, or in the folder of either of them."""
    folder = path.parent if path.name in (_INTRINSIC, _EXTRINSIC) else path
    if folder.suffix in (".yml", ".yaml") or folder.is_file():
        raise InputError(f"EasyMocap calibrations are a folder or its {_INTRINSIC}, got {path}; give a folder")
    for camera in rig.cameras:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", camera.name):
            raise InputError(
                f"EasyMocap files cannot hold the camera name {camera.name!r}; use letters, digits, _ and - "
                "or write the native .toml"
            )
    head = "%YAML:1.0\n---\nnames:\n" + "".join(f'  - "{camera.name}"\n' for camera in rig.cameras)
    lenses, places = (head + "".join(map(part, rig.cameras)) for part in (_lens, _place))
    return {folder / _INTRINSIC: lenses, folder / _EXTRINSIC: places}


def _lens(camera: FileCamera) -> str:
    name = camera.name
    size = "" if camera.image_hw is None else f"H_{name}: {camera.image_hw[0]}\nW_{name}: {camera.image_hw[1]}\n"
    return f"K_{name}: {yaml_matrix(camera.K)}\ndist_{name}: {yaml_matrix(camera.lens.terms[None])}\n{size}"


def _place(camera: FileCamera) -> str:
    vector = yaml_matrix(vector_from_matrix(camera.R)[:, None])
    matrix, translation = yaml_matrix(camera.R), yaml_matrix(camera.t[:, None])
    return f"R_{camera.name}: {vector}\nRot_{camera.name}: {matrix}\nT_{camera.name}: {translation}\n"


EASYMOCAP = Format(
    name="easymocap",
    title="EasyMocap intri.yml + extri.yml",
    recognises=_recognises,
    read=_read,
    write=_write,
    units="m",
    other_units=True,
)
