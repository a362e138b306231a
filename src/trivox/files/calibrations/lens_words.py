"""Which lens the words of a file speak of: `fisheye = true`, `distortion_model: equidistant`, `Model=OPENCV_FISHEYE`.

Programs spell the same word in many ways and put it in many places, and a fisheye that is read as a pinhole camera is
wrong by decimetres. So every key is compared in small letters and without separators, tables within a camera's table
are searched, and a word that speaks of a fisheye in a place nobody knows is asked about, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trivox.files.calibrations.tables import Table, is_nothing
from trivox.geometry.distortion import DistortionModel

Meaning = Literal["fisheye", "opencv", "none", "no fisheye", "pinhole"]

# All in small letters and without separators. What these keys hold is certainly a lens ...
_LENS_KEYS = {
    *("distortionmodel", "distortiontype", "distmodel", "disttype", "distortion", "lensmodel", "lensdistortion"),
    *("lensdistortionmodel", "projectionmodel", "distortionprofile"),
}
# ... what these hold may be one, or the make of the camera, or something else.
_PERHAPS_KEYS = {
    *("type", "model", "lens", "lenstype", "cameramodel", "cammodel", "cameratype", "camtype", "projection"),
    *("projectiontype", "calibtype", "calibrationtype", "calibmodel", "calibrationmodel", "intrinsicsmodel"),
    *("intrinsicmodel", "intrinsicstype", "flags", "calibrationflags"),
}
# A camera, a file or a place may be called after its lens.
_NAME_KEYS = re.compile(r"(name|id|label|serial|file|path|folder|dir|image|images|video|url|comment)s?$")

_OPENCV = {
    *("opencv", "fullopencv", "plumbbob", "brown", "brownconrady", "radtan", "radialtangential", "radial"),
    *("simpleradial", "rational", "rationalpolynomial", "thinprism", "tilted"),
}
_FISHEYE = {
    *("fisheye", "opencvfisheye", "equidistant", "equidistance", "equi", "kannalabrandt", "kannalabrandt4"),
    *("kannalabrandt8", "kannala", "kb4"),
}
_NO_DISTORTION = {"none", "nodistortion", "undistorted"}
_FOREIGN = {
    *("omni", "omnidir", "omnidirectional", "mei", "ucm", "eucm", "doublesphere", "ds", "fov", "ftheta", "ocam"),
    *("scaramuzza", "division", "spherical", "equirectangular", "panoramic", "equisolid", "stereographic"),
    *("orthographic", "thinprismfisheye", "radialfisheye", "simpleradialfisheye", "fisheye62", "cahvore"),
}
# These tell how rays meet the sensor, not how they are bent.
_PINHOLE = {"", "pinhole", "simplepinhole", "perspective", "standard", "normal", "rectilinear"}
_MEANINGS: tuple[tuple[Meaning, set[str]], ...] = (
    ("fisheye", _FISHEYE),
    ("opencv", _OPENCV),
    ("none", _NO_DISTORTION),
    ("pinhole", _PINHOLE),
)
_SPEAKS_OF_FISHEYE = re.compile("fish-?_?eye|equidistan|kannala", re.IGNORECASE)
_DEEPEST = 3
KNOWN_LENSES = "those of OpenCV with up to 14 terms and its fisheye (equidistant, Kannala-Brandt) with 4"


@dataclass(frozen=True)
class LensWords:
    """What the words of a file tell of a lens: the model they name, and whether they say that nothing is bent."""

    model: DistortionModel | None = None
    none: bool = False

    @classmethod
    def of_camera(cls, table: Table, shared: Mapping[Any, Any] | None) -> LensWords:
        """The words in a camera's own table; where it says nothing itself, those that stand once beside the cameras.

        Raises `InputError` for words that contradict each other, that name a lens which trivox does not have, or that
        speak of a fisheye where nobody knows what they mean.
        """
        own = _said(table, table.content)
        others = _said(table, _beside_the_cameras(shared)) if shared is not None and not _settles(own) else {}
        if "pinhole" in own and "fisheye" in others and _last(others["fisheye"]) not in _LENS_KEYS:
            raise _contradiction(table, others["fisheye"], own["pinhole"])
        said = others | own
        model: DistortionModel | None = "fisheye" if "fisheye" in said else "opencv" if "opencv" in said else None
        return cls(model, "none" in said)


def words_of_camera(content: Mapping[Any, Any], name: str, names: Sequence[str]) -> dict[str, Any]:
    """What a file with keys such as `fisheye_NAME` says of camera NAME (of all `names`), under the plain keys."""
    end, longer = f"_{name}", tuple(f"_{other}" for other in names if other.endswith(f"_{name}"))
    own = [key for key in content if str(key).endswith(end) and not str(key).endswith(longer)]
    return {str(key).removesuffix(end): content[key] for key in own}


def _settles(said: Mapping[Meaning, str]) -> bool:
    """Whether a camera's own words leave no question; a pinhole may still have any lens in front."""
    return bool(said.keys() - {"pinhole"})


def _said(table: Table, content: Mapping[Any, Any]) -> dict[Meaning, str]:
    """The key that says each thing."""
    said: dict[Meaning, str] = {}
    for key, value in _entries(content):
        meaning = _meaning(table, key, value)
        if meaning is not None and meaning not in said:
            said[meaning] = key
    against: list[Meaning] = [meaning for meaning in said if meaning not in ("fisheye", "pinhole")]
    if "fisheye" in said and against:
        raise _contradiction(table, said["fisheye"], said[against[0]])
    if "xi" in content and table.number("xi") != 0:
        raise table.error(f"'xi' belongs to an omnidirectional lens, which trivox does not have; it has {KNOWN_LENSES}")
    return said


def _contradiction(table: Table, fisheye: str, other: str) -> Exception:
    return table.error(f"{fisheye!r} says that the lens is a fisheye, {other!r} that it is none; correct one of them")


def _entries(content: Mapping[Any, Any], within: str = "", depth: int = _DEEPEST) -> Iterator[tuple[str, Any]]:
    """Keys and values of a table and, under `outer.inner`, of the tables in it; those that say nothing are left out."""
    for key, value in content.items():
        path = f"{within}{str(key)[:100]}"
        if isinstance(value, dict):
            if depth > 0:
                yield from _entries(value, f"{path}.", depth - 1)
        elif not is_nothing(value) or (isinstance(value, str) and value.casefold() == "none"):
            yield path, value


def _beside_the_cameras(shared: Mapping[Any, Any]) -> dict[Any, Any]:
    """What stands once in a file: all but its cameras."""
    tables = {key: value for key, value in shared.items() if isinstance(value, dict)}
    cameras = {key for key, value in tables.items() if _plain(key) in ("cameras", "cams") or _is_camera(value)}
    return {key: value for key, value in shared.items() if key not in cameras}


def _is_camera(content: Mapping[Any, Any]) -> bool:
    marks = {
        "k",
        "matrix",
        "cameramatrix",
        "mtx",
        "r",
        "rotation",
        "rotationmatrix",
        "rvec",
        "t",
        "translation",
        "tvec",
    }
    return bool(marks & set(map(_plain, content)))


def _last(path: str) -> str:
    """The innermost key, in small letters and without separators."""
    return _plain(path.rpartition(".")[2])


def _plain(text: Any) -> str:
    return re.sub(r"[\W_]", "", str(text)[:100].casefold())


def _meaning(table: Table, key: str, value: Any) -> Meaning | None:
    """What one entry says, or None where it does not speak of the lens."""
    plain = _last(key)
    if _SPEAKS_OF_FISHEYE.search(key):
        return _flag(table, key, value)
    if plain in _LENS_KEYS | _PERHAPS_KEYS and (isinstance(value, str) or plain in _LENS_KEYS):
        return None if isinstance(value, list) else _named(table, key, str(value)[:100], plain in _LENS_KEYS)
    if isinstance(value, str) and _SPEAKS_OF_FISHEYE.search(value[:1000]) and not _NAME_KEYS.search(plain):
        raise table.error(
            f"{key!r} says {value[:40]!r}, and whether that makes the lens a fisheye is not known here; write "
            "'fisheye: true' or 'fisheye: false' with the camera"
        )
    return None


def _flag(table: Table, key: str, value: Any) -> Meaning:
    word = str(value).strip().casefold()[:10]
    if word in ("true", "yes", "on") or _number(word) == 1:
        return "fisheye"
    if word in ("false", "no", "off", "none") or _number(word) == 0:
        return "no fisheye"
    raise table.error(f"{key!r} must be true or false, got {str(value)[:40]!r}; correct the file")


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _named(table: Table, key: str, text: str, is_lens: bool) -> Meaning | None:
    word = re.sub("(lens|model|camera|projection|distortion)$", "", _plain(text)) or _plain(text)
    for meaning, words in _MEANINGS:
        if word in words:
            return meaning if is_lens or meaning != "none" else None
    parts = [_plain(part) for part in re.split(r"[\W_]+", text)]
    if word not in _FOREIGN and _FISHEYE & set(parts):  # "hd_fisheye", "+fisheye+fix_skew"
        return "fisheye"
    if not is_lens and word not in _FOREIGN and not _SPEAKS_OF_FISHEYE.search(text):
        return None
    raise table.error(
        f"{key!r} says {text[:40]!r}, a lens that trivox does not have; it has {KNOWN_LENSES}: "
        "calibrate with one of these"
    )
