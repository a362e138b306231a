"""What training runs cost and reach: a table, the score after every evaluation, and the curve.

    trivox train experiments/quick_algebraic.yaml
    trivox train experiments/quick_volumetric.yaml
    python benchmarks/training.py runs/quick_algebraic runs/quick_volumetric --curve docs/images/training.svg

Reads experiment.yaml and metrics.jsonl of every run, which has to be one with `evaluation.ransac`. Minutes are those of
steps, waiting for data included, and of evaluations; drawing the scenes that are kept comes before them. Memory is that
of the training process at its highest, not of the workers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trivox.errors import InputError
from trivox.training.experiment_files import load_experiment


@dataclass(frozen=True)
class Cost:
    """What a run cost up to its last evaluation. `waiting` is the share of the time of steps spent on data."""

    run: str
    steps: int
    minutes: float
    samples_per_s: float
    waiting: float
    memory_mb: float


@dataclass(frozen=True)
class Score:
    """After so many steps and minutes, in mm over the joints that the model and RANSAC both found."""

    run: str
    step: int
    minutes: float
    model_mm: float
    ransac_mm: float

    @property
    def ratio(self) -> float:
        return self.model_mm / self.ransac_mm


def records_of(run: Path, kind: str) -> list[dict]:
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise InputError(f"there is no {path}; give the folder of a training run")
    return [record for record in map(json.loads, path.read_text("utf-8").splitlines()) if record["kind"] == kind]


def cost_of(run: Path) -> Cost:
    """Steps that were not logged count as those that were."""
    logged, evaluations = records_of(run, "training"), records_of(run, "evaluation")
    if not logged:
        raise InputError(f"{run} has logged no step yet; let it train")
    steps = max(record["step"] for record in logged + evaluations)
    waited, computed = (sum(r[name] for r in logged) / len(logged) for name in ("data_s", "compute_s"))
    return Cost(
        run.name,
        steps,
        minutes_to(steps, logged, evaluations),
        load_experiment(run / "experiment.yaml").optimizer.batch_size / (waited + computed),
        waited / (waited + computed),
        max(record["memory_mb"] for record in logged),
    )


def scores_of(run: Path) -> list[Score]:
    logged = records_of(run, "training")
    evaluations = [record for record in records_of(run, "evaluation") if record.get("ransac_mm")]
    if not evaluations:
        raise InputError(f"{run} has no evaluation beside RANSAC; train it with evaluation.ransac true")
    return [
        Score(run.name, r["step"], minutes_to(r["step"], logged, evaluations), r["beside_ransac_mm"], r["ransac_mm"])
        for r in evaluations
    ]


def minutes_to(step: int, logged: Sequence[dict], evaluations: Sequence[dict]) -> float:
    """Of steps, those that were not logged like those that were, and of evaluations."""
    before = [r["data_s"] + r["compute_s"] for r in logged if r["step"] <= step]
    return (step * sum(before) / len(before) + sum(r["evaluation_s"] for r in evaluations if r["step"] <= step)) / 60


def print_tables(costs: Sequence[Cost], scores: Sequence[Score]) -> None:
    print("| run | steps | minutes | samples/s | waiting for data | memory | MPJPE | RANSAC | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for c in costs:
        last = [score for score in scores if score.run == c.run][-1]
        print(
            f"| {c.run} | {c.steps} | {c.minutes:.1f} | {c.samples_per_s:.1f} | {100 * c.waiting:.1f} % | "
            f"{c.memory_mb:.0f} MB | {last.model_mm:.1f} mm | {last.ransac_mm:.1f} mm | {last.ratio:.2f} |"
        )
    print("\n| run | after steps | minutes | MPJPE | ratio to RANSAC |\n|---|---|---|---|---|")
    for s in scores:
        print(f"| {s.run} | {s.step} | {s.minutes:.1f} | {s.model_mm:.1f} mm | {s.ratio:.2f} |")


def draw(scores: Sequence[Score], path: Path) -> None:
    """Held-out error over steps, a panel for each run, with RANSAC and 0.85 of it as lines."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = list(dict.fromkeys(score.run for score in scores))
    figure, panels = plt.subplots(1, len(runs), figsize=(4.5 * len(runs), 3.2), squeeze=False, layout="constrained")
    for panel, run in zip(panels[0], runs, strict=True):
        own = [score for score in scores if score.run == run]
        panel.plot([s.step for s in own], [s.model_mm for s in own], "o-", color="tab:orange", label="model")
        ransac_mm = own[-1].ransac_mm
        panel.axhline(ransac_mm, color="tab:blue", label="RANSAC, same heatmaps")
        panel.axhline(0.85 * ransac_mm, color="tab:blue", linestyle=":", label="0.85 of it")
        panel.set(title=run, xlabel="steps", ylabel="held-out MPJPE, mm", ylim=(0, None), xlim=(0, None))
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="What training runs cost and reach.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--curve", type=Path, help="picture of the scores over steps: .svg, .png")
    parser.add_argument("--json", type=Path, help="the numbers")
    options = parser.parse_args()
    costs = [cost_of(run) for run in options.runs]
    scores = [score for run in options.runs for score in scores_of(run)]
    print_tables(costs, scores)
    if options.curve is not None:
        draw(scores, options.curve)
    if options.json is not None:
        numbers = {"costs": [asdict(c) for c in costs], "scores": [asdict(s) | {"ratio": s.ratio} for s in scores]}
        options.json.write_text(json.dumps(numbers, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
