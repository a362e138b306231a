"""Results as pictures: a mosaic of all views as one picture or as a film, or every view on its own in a folder.

trivox.draw("trivox-out", out="mosaic.mp4")
trivox.draw("trivox-out", out="mosaic.jpg", frames="40", show=("heatmaps", "volumes"), method="volumetric")
trivox.draw("results.pkl", labels="labels.npy", pictures="processed", out="pictures")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import numpy as np

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.evaluation_inputs import Rows, Units
from trivox.files.films import Film
from trivox.files.images import IMAGE_SUFFIXES, write_image
from trivox.files.matching import ImageFit
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig, checked_rig
from trivox.models.configs import Model
from trivox.options import Method
from trivox.progress import progress
from trivox.view.instants import Instant, Source
from trivox.view.mosaic import DEFAULT_WIDTH, Layout, mosaic
from trivox.view.overlays import Layer, drawn_view
from trivox.view.sight import Looker, Sight, model_to_show, with_sight
from trivox.view.sources import Dataset, Footage, filmed, labelled

LAYERS: tuple[Layer, ...] = get_args(Layer)
_OF_A_MODEL: set[Layer] = {"heatmaps", "volumes"}
_CRF = 20  # visually nearly lossless
_WIDTHS = (160, 7680)


def draw(
    result: Path | str | Poses,
    *,
    out: Path | str,
    frames: str | None = None,
    show: Sequence[Layer] = (),
    truth: Path | str | Poses | None = None,
    rig: Rig | Any = None,
    videos: Sequence[Path | str] = (),
    cameras: Sequence[str] | None = None,
    image_fit: ImageFit | None = None,
    method: Method | None = None,
    weights: str | Path | Model | None = None,
    labels: Path | str | None = None,
    pictures: Path | str | None = None,
    rows: Rows | None = None,
    units: Units | None = None,
    skeleton: str | None = None,
    width: int = DEFAULT_WIDTH,
) -> int:
    """Draw what was found over its pictures into `out`, and return how many frames were drawn.

    result      a result folder, a file of poses or `Poses` (with `rig` and `videos`), or a results.pkl (with `labels`).
    out         .mp4: a film of mosaics; .jpg, .png: one mosaic; any other name: a folder with CAMERA/FRAME.jpg in it.
    frames      "40", "0:100" or "0:100:2": frame numbers of the videos, rows of a results.pkl; all unless given, of
                one picture the frame in the middle of those with most joints.
    show        any of `LAYERS`; unless given "pose", with "truth", "detections" and "reprojection" where there are any.
    truth       true poses of the videos, by frame number; those of a results.pkl are in its labels.
    videos      where they are, if not where the result found them; `cameras` and `image_fit` as in `predict`.
    method,     the model whose "heatmaps" and "volumes" are shown, as in `predict`.
    weights
    labels      dataset of a results.pkl: a label table, a folder of scenes, or the published system's config (.yaml),
                which names it; `pictures`, `rows`, `units` and `skeleton` as in `evaluate`.
    width       of the mosaic, in pixels.

    Raises `InputError` for anything that cannot be drawn, in one sentence, and leaves no file behind then.
    """
    out = Path(out)
    _check(out, show, width)
    model = model_to_show(method, weights, volumes="volumes" in show) if _OF_A_MODEL & set(show) else None
    if model is None and (method, weights) != (None, None):
        raise InputError("a model is asked for, but nothing of it is shown; add --show heatmaps, or volumes")
    footage = Footage(None if rig is None else checked_rig(rig), tuple(videos), tuple(cameras or ()), image_fit, truth)
    dataset = Dataset(labels, rows or Rows(), pictures, units, skeleton)
    with _opened(result if isinstance(result, Poses) else Path(result), footage, dataset) as source:
        layers = _layers(show, source)
        chosen = _rows(frames, source, one=_is_picture(out))
        first, instants = _peeked(source.instants(chosen))
        looker = None if model is None else Looker(model, first.cameras)
        seen = ((instant, None if looker is None else looker.look(instant)) for instant in instants)
        with progress("drawing", len(chosen)) as advance:
            if _is_picture(out) or out.suffix == ".mp4":
                sizes = [p.shape[:2] for p in first.pictures if p is not None]
                layout = Layout.of([(h, w) for h, w in sizes], len(first.names), width)
                mosaics = (mosaic(instant, layout, layers, sight) for instant, sight in seen)
                _write_mosaics(out, mosaics, _rate(source, chosen), advance)
            else:
                numbers = [source.frames[row] for row in chosen]
                _write_folder(out, seen, numbers, layers, advance)
    return len(chosen)


def _check(out: Path, show: Sequence[str], width: int) -> None:
    for layer in show:
        if layer not in LAYERS:
            raise InputError(f"there is nothing called {layer!r} to show; choose of {', '.join(LAYERS)}")
    if not _WIDTHS[0] <= width <= _WIDTHS[1]:
        raise InputError(f"a mosaic {width} pixels wide cannot be drawn; give {_WIDTHS[0]} to {_WIDTHS[1]}")
    if out.suffix.lower() in (".avi", ".mov", ".mkv", ".webm", ".gif"):
        raise InputError(f"films are written as .mp4, not {out.suffix}; name it {out.with_suffix('.mp4').name}")
    if out.exists() and (out.is_file() or _is_picture(out) or out.suffix == ".mp4" or any(out.iterdir())):
        raise InputError(f"{out} exists and is not overwritten; remove it, or choose another name")


def _is_picture(out: Path) -> bool:
    return out.suffix.lower() in IMAGE_SUFFIXES


@contextmanager
def _opened(result: Path | Poses, footage: Footage, dataset: Dataset) -> Iterator[Source]:
    """The source of the instants; what would be ignored is refused."""
    if isinstance(result, Path) and result.suffix == ".pkl":
        _refuse(footage, f"is for people in videos, which {result} is not")
        _check_exists(result)
        yield labelled(result, dataset)
        return
    _refuse(dataset, f"is for a results.pkl, which {result if isinstance(result, Path) else 'this'} is not")
    if isinstance(result, Path):
        _check_exists(result)
    with filmed(result, footage) as source:
        yield source


def _refuse(options: Footage | Dataset, why: str) -> None:
    for option in fields(options):
        given = getattr(options, option.name)
        if given is not option.default and given != option.default:
            name = "recordings" if option.name == "rows" else option.name.replace("_", "-")
            raise InputError(f"--{name} {why}; leave it out")


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; give a result folder, a file of poses, or a results.pkl")


def _layers(show: Sequence[Layer], source: Source) -> tuple[Layer, ...]:
    """Those asked for, all of which have to be there; else what there is without a model."""
    there: dict[Layer, bool] = {
        "detections": source.has_detections,
        "reprojection": source.has_detections,
        "truth": source.has_truth,
    }
    for layer in show:
        if not there.get(layer, True):
            what = "true poses; give them (--truth FILE)" if layer == "truth" else "2D joints; draw its result folder"
            raise InputError(f"{layer} cannot be shown, because this result has no {what}, or leave {layer} out")
    return tuple(show) or ("pose", *(layer for layer, has in there.items() if has))


def _rows(frames: str | None, source: Source, *, one: bool) -> list[int]:
    """Places of the chosen frames. Raises `InputError` where `frames` is no such text, or chooses none."""
    numbers = np.array(source.frames)
    if frames is None:
        return [_best(source)] if one else list(range(len(numbers)))
    match = re.fullmatch(r"(\d*)(?::(\d*)(?::(\d+))?)?", frames.strip())
    if match is None or not frames.strip() or match[3] == "0":
        raise InputError(f"{frames!r} are no frames; give a number, or FIRST:BEFORE or FIRST:BEFORE:STEP as in 0:100:2")
    start = int(match[1] or 0)
    stop = start + 1 if match[2] is None else int(match[2]) if match[2] else int(numbers[-1]) + 1
    step = int(match[3] or 1)
    chosen = np.flatnonzero((numbers >= start) & (numbers < stop) & ((numbers - start) % step == 0)).tolist()
    if not chosen:
        raise InputError(f"no frame is among {frames}; there are {numbers[0]} to {numbers[-1]}")
    if one and len(chosen) > 1:
        raise InputError(f"one picture shows one frame, {frames} are {len(chosen)}; give one, or --out FILE.mp4")
    return chosen


def _best(source: Source) -> int:
    """The middle one of the frames with most joints."""
    seen = np.array(source.joints_seen())
    best = np.flatnonzero(seen == seen.max())
    return int(best[len(best) // 2])


def _peeked(instants: Iterator[Instant]) -> tuple[Instant, Iterable[Instant]]:
    first = next(instants)
    return first, chain([first], instants)


def _rate(source: Source, rows: Sequence[int]) -> float:
    """As fast as it happened, where every so many frames are shown."""
    numbers = [source.frames[row] for row in rows]
    step = np.median(np.diff(numbers)) if len(numbers) > 1 else 1.0
    return float(min(max(source.fps / step, 1.0), 240.0))


def _write_mosaics(out: Path, mosaics: Iterator[np.ndarray], fps: float, advance: Callable[[int], None]) -> None:
    if out.suffix != ".mp4":
        write_image(out, next(mosaics))
        advance(1)
        return
    first = next(mosaics)
    hw = (first.shape[0], first.shape[1])
    with atomic_write(out) as temporary, Film(temporary, hw, fps, _CRF, threads=0) as film:
        for picture in chain([first], mosaics):
            film.add(picture)
            advance(1)


def _write_folder(
    out: Path,
    seen: Iterable[tuple[Instant, Sight | None]],
    numbers: Sequence[int],
    layers: Sequence[Layer],
    advance: Callable[[int], None],
) -> None:
    """CAMERA/FRAME.jpg of every picture there is, as large as it is; each is whole or not there."""
    for number, (instant, sight) in zip(numbers, seen, strict=True):
        for view, picture in enumerate(instant.pictures):
            if picture is not None:
                shown = picture if sight is None else with_sight(picture, instant, view, sight, layers)
                drawn = drawn_view(instant, view, shown, layers)
                write_image(out / instant.names[view] / f"{number:06}.jpg", drawn)
        advance(1)
