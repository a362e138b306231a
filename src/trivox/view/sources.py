"""Open what shall be drawn: a result folder, poses with their rig and videos, or a results.pkl with its dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.evaluation_inputs import Predictions, Rows, Units, labels_of, load_predictions
from trivox.files.matching import ImageFit
from trivox.files.poses import load_poses
from trivox.files.reference_configs import read_reference_training
from trivox.files.results import Result, files_of, is_unchanged, load_result
from trivox.files.views import Views, refuse_names_alone, turned_points
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import Skeleton
from trivox.progress import say
from trivox.view.instants import Detections, Filmed, Labelled


@dataclass(frozen=True)
class Footage:
    """The videos of people, and what belongs to them; a result folder knows its rig and videos, those here go before.

    `cameras` are names in the order of `videos`, where file names do not tell.
    """

    rig: Rig | None = None
    videos: Sequence[Path | str] = ()
    cameras: Sequence[str] = ()
    image_fit: ImageFit | None = None
    truth: Path | str | Poses | None = None


@dataclass(frozen=True)
class Dataset:
    """Where the rows of a results.pkl come from: a label table, or a config of the published system, which names it.

    `pictures` is the folder with the pictures of a label table (.npy); `units` and `skeleton` are those of the results.
    """

    labels: Path | str | None = None
    rows: Rows = Rows()
    pictures: Path | str | None = None
    units: Units | None = None
    skeleton: str | None = None


@contextmanager
def filmed(result: Path | Poses, footage: Footage) -> Iterator[Filmed]:
    """People over their videos. Raises `InputError` where something is missing or does not go together."""
    folder = load_result(result) if isinstance(result, Path) and result.is_dir() else None
    poses = folder.poses if folder else result if isinstance(result, Poses) else load_poses(_path_of(result))
    if not poses.valid.any():
        say(f"{_path_of(result)} has nobody: no joint in it is valid")
    rig = footage.rig or (folder.rig if folder else None)
    if rig is None:
        raise InputError("poses alone do not say where the cameras are; give the calibration (--rig) and the videos")
    refuse_names_alone(footage.videos, footage.cameras)
    given = [Path(video) for video in footage.videos], footage.cameras
    paths, names = given if footage.videos else _videos_of(folder, _path_of(result))
    known = None if footage.truth is None else _truth(footage.truth, poses)
    with Views.open(rig, paths, cameras=names or None, image_fit=footage.image_fit) as views:
        for note in views.notes:
            say(note)
        same_pixels = folder is not None and _same_pictures(folder.rig, views.rig)
        yield Filmed(poses, views, detections_of(folder, views.rig) if folder and same_pixels else None, known)
        for note in views.damage:
            say(note)


def _path_of(result: Path | Poses) -> Path:
    return result if isinstance(result, Path) else Path("these poses")


def _videos_of(folder: Result | None, path: Path) -> tuple[list[Path], Sequence[str]]:
    """Those that a result was made from, and the cameras they belong to."""
    told = files_of(folder.job, "videos") if folder else {}
    if folder is None or not set(folder.rig.names) <= told.keys():
        of_keypoints = folder is not None and files_of(folder.job, "keypoints")
        why = "was made from 2D keypoints" if of_keypoints else "does not say which videos it was made from"
        raise InputError(f"{path} {why}; give the videos to draw on: --videos VIDEO [VIDEO ...]")
    paths = [told[name] for name in folder.rig.names]
    for lost in [at for at in paths if not at.exists()]:
        raise InputError(f"{lost}, which {path} was made from, is no longer there; say where (--videos VIDEO ...)")
    for name in folder.rig.names:
        if not is_unchanged(folder.job, "videos", name):
            raise InputError(
                f"{told[name]} is no longer what {path} was made from; give that video (--videos VIDEO ...)"
            )
    return paths, folder.rig.names


def _same_pictures(old: Rig, new: Rig) -> bool:
    """Whether the stored pictures are still of the size that the result's 2D joints are in."""
    sizes = old.selected(new.names).cameras.image_hw if set(new.names) <= set(old.names) else None
    return sizes is not None and new.cameras.image_hw is not None and torch.equal(sizes, new.cameras.image_hw)


def _truth(truth: Path | str | Poses, poses: Poses) -> Poses:
    known = truth if isinstance(truth, Poses) else load_poses(Path(truth))
    if not torch.isin(known.frames, poses.frames).any():
        ours, theirs = (f"{int(p.frames[0])} to {int(p.frames[-1])}" for p in (poses, known))
        raise InputError(
            f"the truth has frames {theirs}, the poses {ours}: none in common; give that of this recording"
        )
    return known


def detections_of(result: Result, rig: Rig) -> Detections | None:
    """The 2D joints of a result in upright pictures of the cameras of `rig`, row by row with its poses.

    Joints go by name; those that only the poses have are not there. None where the result has no such joints.
    """
    views = [result.keypoints[result.rig.names.index(name)] for name in rig.names]
    people = result.poses.valid.shape[:2]
    if any(view.scores.shape[:2] != people for view in views):
        return None
    assert result.rig.cameras.image_hw is not None or not any(rig.quarter_turns)
    upright = [_upright(view, rig, v, result.poses.skeleton) for v, view in enumerate(views)]
    return Detections(torch.stack([p for p, _ in upright], 2), torch.stack([s for _, s in upright], 2))


def _upright(view: Keypoints2D, rig: Rig, v: int, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Points (F, P, J, 2) and scores (F, P, J) of one view, with the joints of `skeleton`."""
    shared = torch.tensor([name in view.skeleton.names for name in skeleton.names])
    at = [view.skeleton.names.index(name) if name in view.skeleton.names else 0 for name in skeleton.names]
    points_px, turns = view.points_px[:, :, at].double(), rig.quarter_turns[v]
    if turns % 4:
        assert rig.cameras.image_hw is not None
        height, width = rig.cameras.image_hw[v].tolist()
        upright_hw = (width, height) if turns % 2 else (height, width)
        points_px = turned_points(points_px, -turns, upright_hw)  # the way back from upright to stored, backwards
    return points_px, view.scores[:, :, at].double() * shared


def labelled(results: Path, dataset: Dataset) -> Labelled:
    """Predictions over the pictures of their dataset. Raises `InputError` where they do not belong to its rows."""
    if dataset.labels is None:
        raise InputError(f"{results} does not say which pictures its rows belong to; give the dataset (--labels)")
    path, pictures = Path(dataset.labels), None if dataset.pictures is None else Path(dataset.pictures)
    rows = dataset.rows
    if path.suffix in (".yaml", ".yml"):
        path, pictures, rows = _of_config(path, pictures, rows)
    labels = rows.of(labels_of(path, pictures))
    predictions = load_predictions(results, dataset.skeleton, dataset.units)
    assert isinstance(predictions, Predictions), "a .pkl holds predictions by rows"
    if len(predictions.points_mm) != len(labels):
        raise InputError(
            f"{results} has {len(predictions.points_mm)} poses, but {len(labels)} rows of {path} are chosen; choose "
            "those that were predicted, by the config of the run (--labels CONFIG.yaml), --recordings, or Python's rows"
        )
    return Labelled(labels, predictions)


def _of_config(config: Path, pictures: Path | None, rows: Rows) -> tuple[Path, Path | None, Rows]:
    """The label table, pictures and rows that a config of the published system names for its test."""
    test = read_reference_training(config).test
    if test.labels is None:
        raise InputError(f"{config} names no label file for its test (dataset.val.labels_path); give --labels TABLE")
    split = None if test.split is None else _found(test.split, config)
    told = Rows(split=split, damaged="with" if test.damaged else "without", every=test.every)
    root = pictures or (None if test.root is None else _found(test.root, config))
    return _found(test.labels, config), root, told if rows == Rows() else rows


def _found(told: str, config: Path) -> Path:
    """A path of a config: from here, or from the config's own folder."""
    places = [Path(told), config.parent / told]
    for place in places:
        if place.exists():
            return place
    raise InputError(
        f"{config} names {told}, which is not there; start in the folder its paths begin from, or correct it"
    )
