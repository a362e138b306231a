"""A result folder in, the same people smoothed over time out: what `trivox smooth` does."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from trivox.base.identity import identity
from trivox.base.work import alone_in
from trivox.files.results import load_result, refuse_nobody, save_result, standing_result
from trivox.geometry.poses import Poses
from trivox.geometry.smoothing import LONGEST_GAP_S, smoothed
from trivox.progress import say
from trivox.summary import read_summary


def smooth_result(result: str | Path, out: str | Path, *, longest_gap_s: float = LONGEST_GAP_S) -> Poses:
    """Smooth the people of a result folder into the folder `out`, which keeps them as they were in `poses_raw.npz`.

    A result that is smoothed already is smoothed anew, from its raw joints. `longest_gap_s` as for `smoothed`. Raises
    `InputError` where `result` is no result folder, or `out` holds something else.
    """
    source, target = Path(result), Path(out)
    given = load_result(source)
    raw = given.raw or given.poses
    refuse_nobody(raw, source, "smooth")
    summary = read_summary(given.summary, source / "summary.json")
    job = {
        "command": "smooth",
        "result": identity(source / ("poses.npz" if given.raw is None else "poses_raw.npz")),
        "longest_gap_s": longest_gap_s,
    }
    with alone_in(target):
        if standing := standing_result(target, job):
            say(f"{target} already holds this result; nothing to do")
            return standing.poses
        poses = smoothed(raw, longest_gap_s=longest_gap_s)
        smooth = asdict(summary.of_other_joints(given.poses, poses))
        save_result(replace(given, poses=poses, raw=raw, job=job, summary=smooth), target)
        return poses
