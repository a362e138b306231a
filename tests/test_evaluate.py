"""`trivox evaluate`: known errors come out of files as they went in, and what does not fit is refused in a sentence."""

from __future__ import annotations

import csv
import io
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import trivox
from trivox.cli import main
from trivox.data.human36m import read_human36m_npy
from trivox.data.labels import Labels
from trivox.data.open_labels import save_labels
from trivox.data.pictures import Pictures, Recording
from trivox.errors import InputError
from trivox.evaluate import evaluate
from trivox.evaluation_inputs import Predictions, Rows, load_predictions, save_predictions
from trivox.evaluation_report import print_report
from trivox.files.reference_results import load_metric_json, load_reference_results, save_reference_results
from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, H36M_17, PANOPTIC_19, Skeleton

SHIFT_MM = np.array([30.0, 0.0, 40.0])  # 50 mm


def poses_of(points: np.ndarray, skeleton: Skeleton = H36M_17, first: int = 0) -> Poses:
    points_mm = torch.from_numpy(points)
    valid = torch.ones(points.shape[:3], dtype=torch.bool)
    return Poses(points_mm, valid, valid.double(), torch.arange(len(points)) + first, skeleton, 25.0)


def random_points(frames: int = 6, people: int = 1, joints: int = 17, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(frames, people, joints, 3)) * 300 + rng.normal(size=(1, people, 1, 3)) * 2000


@pytest.fixture
def truth_file(tmp_path: Path) -> Path:
    trivox.save_poses(poses_of(random_points()), tmp_path / "truth.npz")
    return tmp_path / "truth.npz"


def labels_of(points: np.ndarray, recordings: list[Recording], recording: list[int], people: list[int]) -> Labels:
    """Rows of points (N, 17, 3), frames counted within each recording and person; no cameras to speak of."""
    rows, takes = len(points), len(recordings)
    frames = [sum(1 for j in range(i) if (recording[j], people[j]) == (recording[i], people[i])) for i in range(rows)]
    nothing = torch.eye(3, dtype=torch.float64).expand(takes, 1, 3, 3), torch.zeros(takes, 1, 3, dtype=torch.float64)
    lens, size = torch.zeros(takes, 1, 5, dtype=torch.float64), torch.ones(takes, 1, 2, dtype=torch.long)
    cameras = Cameras(nothing[0], nothing[0], nothing[1], lens, image_hw=size)
    return Labels(
        name="human36m",
        skeleton=H36M_17,
        recordings=tuple(recordings),
        camera_names=("one",),
        cameras=cameras,
        has_camera=np.ones((takes, 1), bool),
        recording=np.array(recording, np.int64),
        frames=np.array(frames, np.int64),
        people=np.array(people, np.int64),
        points_mm=points.astype(np.float32),
        valid=np.ones((rows, 17), bool),
        confidence=np.ones((rows, 17), np.float32),
        boxes_px=np.zeros((rows, 1, 4), np.int64),
        pictures=Pictures(Path("nowhere"), "{recording}/{camera}/{file}.jpg"),
    )


TAKES = [
    Recording("S1/Walking-1", "S1", "Walking", "train"),
    Recording("S9/Walking-1", "S9", "Walking", "test"),
    Recording("S9/Walking-2", "S9", "Walking", "test"),
    Recording("S9/Waiting-1", "S9", "Waiting", "test", damaged=True),
    Recording("S11/Waiting-1", "S11", "Waiting", "test"),
]
OF_ROWS = [0, 0, 1, 1, 1, 2, 3, 3, 4, 4]
TEST_ROWS = [2, 3, 4, 5, 6, 7, 8, 9]


@pytest.fixture
def labels_file(tmp_path: Path) -> Path:
    points = random_points(len(OF_ROWS))[:, 0]
    save_labels(labels_of(points, TAKES, OF_ROWS, [0] * len(OF_ROWS)), tmp_path / "labels.json")
    return tmp_path / "labels.json"


def test_a_known_shift_is_found(truth_file: Path, tmp_path: Path) -> None:
    for name in ("predicted.npz", "predicted.csv"):
        trivox.save_poses(poses_of(random_points() + SHIFT_MM), tmp_path / name)
        report = evaluate(tmp_path / name, truth=truth_file)
        assert report.choices["score_mm"] == pytest.approx(50, abs=1e-3)
        (row,) = report.tables["subjects and actions"]
        assert row["relative_mm"] == pytest.approx(0, abs=1e-3) and row["poses"] == 6
        assert "absolute: MPJPE 50.00 mm (absolute) over 6 poses" in report.headline


def test_frames_are_brought_together_by_number(truth_file: Path, tmp_path: Path) -> None:
    """Predictions may have more frames than the truth, before it and after it; each is compared with its own."""
    more = np.concatenate([random_points(3, seed=5), random_points(), random_points(2, seed=6)])
    trivox.save_poses(replace(poses_of(more), frames=torch.arange(11)), tmp_path / "predicted.npz")
    trivox.save_poses(replace(poses_of(random_points()), frames=torch.arange(3, 9)), tmp_path / "later.npz")
    assert evaluate(tmp_path / "predicted.npz", truth=tmp_path / "later.npz").choices["score_mm"] < 1e-9
    with pytest.raises(InputError, match="3 of 6 frames with truth have no prediction"):
        evaluate(tmp_path / "later.npz", truth=truth_file)


def test_a_first_or_last_frame_that_only_the_truth_has_is_said_and_left_out(tmp_path: Path, capsys) -> None:
    points = random_points(15)
    trivox.save_poses(poses_of(points[1:], first=1), tmp_path / "truth.npz")
    trivox.save_poses(poses_of(points[:-1]), tmp_path / "predicted.npz")
    report = evaluate(tmp_path / "predicted.npz", truth=tmp_path / "truth.npz")
    assert report.choices["score_mm"] < 1e-9 and "over 13 poses" in report.headline
    assert "1 of 14 frames with truth lie outside the predicted ones" in capsys.readouterr().err
    trivox.save_poses(poses_of(points[:-2]), tmp_path / "shorter.npz")
    with pytest.raises(InputError, match="2 of 14 frames with truth have no prediction"):
        evaluate(tmp_path / "shorter.npz", truth=tmp_path / "truth.npz")


@pytest.mark.parametrize("late", [-6, -3, -1, 0, 1, 2, 6])
def test_predictions_numbered_one_frame_off_are_said(tmp_path: Path, capsys, late: int) -> None:
    """A walk of 20 mm a frame, 10 mm of noise: what is off is said with the errors before and after."""
    walk = random_points(1) + 20.0 * np.arange(30)[:, None, None, None] * np.array([1.0, 0, 0])
    noisy = walk + np.random.default_rng(1).normal(0, 10 / np.sqrt(3), walk.shape)
    trivox.save_poses(poses_of(walk[8:22], first=18), tmp_path / "truth.npz")
    trivox.save_poses(poses_of(noisy[2:-2], first=12 + late), tmp_path / "ours.npz")
    evaluate(tmp_path / "ours.npz", truth=tmp_path / "truth.npz")
    said = capsys.readouterr().err
    if late == 0:
        assert "fit the truth better" not in said
    else:
        frames = f"{abs(late)} frame{'s' if abs(late) > 1 else ''} {'earlier' if late > 0 else 'later'}"
        assert f"would fit the truth better if they were {frames}:" in said
        assert ("counts from 1" in said) == (abs(late) == 1)


def walking(frames: int = 30) -> np.ndarray:
    """A standing person of H36M_17's joints on a way of 20 mm a frame."""
    person = random_points(1, joints=17)
    return person + 20.0 * np.arange(frames)[:, None, None, None] * np.array([1.0, 0.3, 0])


def test_a_truth_with_another_axis_up_is_turned(tmp_path: Path, capsys) -> None:
    poses = replace(poses_of(walking()), up=torch.tensor([0, 0, 1.0]).double())
    trivox.save_poses(poses, tmp_path / "ours.npz")
    trivox.save_poses(poses, tmp_path / "truth.trc")
    report = evaluate(tmp_path / "ours.npz", truth=tmp_path / "truth.trc")
    assert report.choices["score_mm"] < 1e-3 and "different axes up" in capsys.readouterr().err


@pytest.mark.parametrize("reading", ["metres", "world", "sides", "rate"])
def test_what_one_change_of_the_whole_would_explain_is_said(tmp_path: Path, capsys, reading: str) -> None:
    true = poses_of(walking())
    at = [H36M_17.names.index(other_side(name)) for name in H36M_17.names]
    turn = torch.tensor([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]).double()
    given, said = {
        "metres": (replace(true, points_mm=true.points_mm / 1000), "in another unit (it is 0.001 times as large)"),
        "world": (replace(true, points_mm=true.points_mm @ turn + 500), "the truth is in another world"),
        "sides": (replace(true, points_mm=true.points_mm[:, :, at]), "with left and right exchanged"),
        "rate": (replace(true, fps=50.0), "the truth has 50 frames/s, the predictions 25"),
    }[reading]
    trivox.save_poses(true, tmp_path / "ours.npz")
    trivox.save_poses(given, tmp_path / "truth.npz")
    evaluate(tmp_path / "ours.npz", truth=tmp_path / "truth.npz")
    assert said in capsys.readouterr().err


def other_side(name: str) -> str:
    return name.replace("left", "x").replace("right", "left").replace("x", "right") if "_" in name else name


def test_results_by_rows_of_a_dataset(labels_file: Path, tmp_path: Path) -> None:
    """Errors of 10, 20, ... mm by row give known means of actions, subjects, and of all."""
    points, mm = random_points(len(OF_ROWS))[:, 0], np.arange(1, 9) * 10.0
    shifts = np.zeros((8, 1, 3))
    shifts[:, 0, 1] = mm
    save_reference_results(points[TEST_ROWS] + shifts, tmp_path / "results.pkl")
    report = evaluate(
        tmp_path / "results.pkl",
        labels=labels_file,
        protocol="human36m-absolute",
        out=tmp_path / "out",
        metric_json=tmp_path / "metric.json",
    )
    kept = mm[[0, 1, 2, 3, 6, 7]]  # rows of the damaged recording do not count
    assert report.choices["score_mm"] == pytest.approx(kept.mean(), abs=1e-3)
    assert report.choices["rows_left_out"] == {"damaged truth": 2}
    tables = load_metric_json(tmp_path / "metric.json")["per_pose_error"]
    assert tables["S9"]["Walking"] == pytest.approx(mm[:4].mean(), abs=1e-3)  # both trials
    assert tables["S9"]["Waiting"] is None and tables["S1"]["Average"] is None
    assert tables["S11"]["Waiting"] == tables["Average"]["Waiting"] == pytest.approx(75, abs=1e-3)
    every = {row["rows"]: row["absolute_mm"] for row in report.tables["damaged rows"]}
    assert every == {"without damaged": pytest.approx(kept.mean(), abs=1e-3), "all": pytest.approx(45, abs=1e-3)}


def test_the_files_say_what_the_report_says(labels_file: Path, tmp_path: Path) -> None:
    save_reference_results(random_points(len(OF_ROWS))[TEST_ROWS, 0] + SHIFT_MM, tmp_path / "results.pkl")
    report = evaluate(tmp_path / "results.pkl", labels=labels_file, out=tmp_path / "out")
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["protocol"]["name"] == "human36m-relative" and content["format"] == "trivox evaluation 1"
    assert content["tables"] == json.loads(json.dumps(report.tables))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "evaluation.csv").read_text())))
    assert len(rows) == sum(len(records) for records in report.tables.values())
    assert {row["protocol"] for row in rows} == {"human36m-relative"}
    first = report.tables["subjects and actions"][0]
    assert float(rows[0]["absolute_mm"]) == first["absolute_mm"] and rows[0]["subject"] == "Average"
    with pytest.raises(InputError, match=r"evaluation\.json exists and is not overwritten"):
        evaluate(tmp_path / "results.pkl", labels=labels_file, out=tmp_path / "out")


def test_another_metric_json_stands_beside(labels_file: Path, tmp_path: Path) -> None:
    save_reference_results(random_points(len(OF_ROWS))[TEST_ROWS, 0] + SHIFT_MM, tmp_path / "results.pkl")
    evaluate(tmp_path / "results.pkl", labels=labels_file, metric_json=tmp_path / "metric.json")
    save_reference_results(random_points(len(OF_ROWS))[TEST_ROWS, 0] + 2 * SHIFT_MM, tmp_path / "worse.pkl")
    report = evaluate(tmp_path / "worse.pkl", labels=labels_file, compare=tmp_path / "metric.json")
    records = report.tables[f"compared with {tmp_path / 'metric.json'}"]
    absolute = [record["difference_mm"] for record in records if record["metric"] == "per_pose_error"]
    assert len(absolute) == 8 and absolute == pytest.approx([50] * 8, abs=1e-2)


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (Rows(), 8),
        (Rows(damaged="without"), 6),
        (Rows(every=3), 3),
        (Rows(part="train"), 2),
        (Rows(part="both"), 10),
        (Rows(recordings=("S9/Walking-1", "S1/Walking-1")), 5),
    ],
)
def test_rows_of_a_dataset(labels_file: Path, tmp_path: Path, rows: Rows, count: int) -> None:
    """Only as many predictions as rows are taken."""
    for n in (count - 1, count + 1):
        save_reference_results(random_points(n)[:, 0], tmp_path / "results.pkl")
        with pytest.raises(InputError, match=f"{n} predicted poses for {count} rows"):
            evaluate(tmp_path / "results.pkl", labels=labels_file, rows=rows)
    save_reference_results(random_points(count)[:, 0], tmp_path / "results.pkl")
    assert evaluate(tmp_path / "results.pkl", labels=labels_file, rows=rows).choices["rows"] == count


def test_results_in_another_order_are_put_in_order(labels_file: Path, tmp_path: Path) -> None:
    points, order = random_points(len(OF_ROWS))[TEST_ROWS, 0], np.array([3, 1, 7, 0, 2, 6, 5, 4])
    (tmp_path / "results.pkl").write_bytes(pickle.dumps({"keypoints_3d": points[order], "indexes": order}))
    assert evaluate(tmp_path / "results.pkl", labels=labels_file).choices["score_mm"] < 1e-3


def test_poses_of_one_recording_find_their_rows(labels_file: Path, tmp_path: Path) -> None:
    points = random_points(len(OF_ROWS))[[2, 3, 4]] + SHIFT_MM
    trivox.save_poses(poses_of(points), tmp_path / "walking.npz")
    one = evaluate(tmp_path / "walking.npz", labels=labels_file, rows=Rows(recordings=("S9/Walking-1",)))
    assert {r["subject"] for r in one.tables["subjects and actions"] if r["poses"]} == {"Average", "S9"}
    assert one.tables["subjects and actions"][0]["absolute_mm"] == pytest.approx(50, abs=1e-3)
    with pytest.raises(InputError, match="belongs to one recording, the rows are of several"):
        evaluate(tmp_path / "walking.npz", labels=labels_file)
    with pytest.raises(InputError, match="no recording 'S9/Running-1'"):
        evaluate(tmp_path / "walking.npz", labels=labels_file, rows=Rows(recordings=("S9/Running-1",)))


def test_several_people_of_a_dataset(tmp_path: Path) -> None:
    points = random_points(4, people=2)
    takes, people = [Recording("meeting", part="test")], [0, 0, 0, 0, 1, 1, 1, 1]
    labels = labels_of(points.transpose(1, 0, 2, 3).reshape(8, 17, 3), takes, [0] * 8, people)
    save_labels(replace(labels, name="scenes"), tmp_path / "labels.json")
    trivox.save_poses(poses_of(points[:, ::-1] + [0.0, 24, 32]), tmp_path / "predicted.npz")  # 40 mm
    report = evaluate(tmp_path / "predicted.npz", labels=tmp_path / "labels.json")
    assert report.choices["protocol"]["name"] == "people" and report.choices["mpjpe_mm"] == pytest.approx(40, abs=1e-2)
    assert [row["recall"] for row in report.tables["thresholds"]] == [0, 1, 1, 1, 1, 1]
    with pytest.raises(InputError, match="several people in a frame, which absolute cannot tell apart"):
        evaluate(tmp_path / "predicted.npz", labels=tmp_path / "labels.json", protocol="absolute")
    parts = evaluate(tmp_path / "predicted.npz", labels=tmp_path / "labels.json", protocol="parts")
    assert parts.choices["pcp"] > 0.9 and len(parts.tables["parts"]) == 10  # eight limbs, the head, their average


def test_rows_tell_people_apart_where_frames_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = random_points(8)[:, 0].astype(np.float32)
    labels = labels_of(points, [Recording("meeting", part="test")], [0] * 8, [0, 0, 0, 0, 1, 1, 1, 1])
    save_labels(replace(labels, name="panoptic"), tmp_path / "labels.json")
    save_reference_results(points + np.array([0.0, 24, 32]), tmp_path / "results.pkl")
    for table in ("labels.json", "labels.npz"):
        with pytest.raises(SystemExit) as exit_code:
            main(["evaluate", str(tmp_path / "results.pkl"), "--labels", str(tmp_path / table)])
        printed = capsys.readouterr()
        assert exit_code.value.code == 0 and "panoptic-relative: MPJPE 0.00 mm (relative) over 8 poses" in printed.out
    report = evaluate(tmp_path / "results.pkl", labels=tmp_path / "labels.json", protocol="absolute")
    assert report.choices["score_mm"] == pytest.approx(40, abs=1e-3)


def test_centimetres_are_said(labels_file: Path, tmp_path: Path) -> None:
    points = random_points(len(OF_ROWS))[TEST_ROWS, 0] + SHIFT_MM
    save_reference_results(points / 10, tmp_path / "results.pkl")
    report = evaluate(tmp_path / "results.pkl", labels=labels_file, protocol="absolute", units="cm")
    assert report.choices["score_mm"] == pytest.approx(50, abs=1e-2)
    trivox.save_poses(poses_of(random_points()), tmp_path / "poses.npz")
    with pytest.raises(InputError, match="states its own unit"):
        evaluate(tmp_path / "poses.npz", truth=tmp_path / "poses.npz", units="cm")


def test_results_say_which_joints_they_hold_where_their_number_would_mislead(labels_file: Path, tmp_path: Path) -> None:
    """17 joints of COCO are not taken for the 17 of Human3.6M, the pelvis least of all."""
    points = torch.from_numpy(random_points(len(OF_ROWS))[TEST_ROWS, 0])
    found = torch.ones(points.shape[:2], dtype=torch.bool)
    for skeleton in (COCO_17, H36M_17):
        save_predictions(Predictions(points, found, skeleton), tmp_path / f"{skeleton.name}.pkl")
        read = load_predictions(tmp_path / f"{skeleton.name}.pkl", None)
        assert read.skeleton == skeleton
    with pytest.raises(InputError, match="joints of coco17, the truth those of h36m17"):
        evaluate(tmp_path / "coco17.pkl", labels=labels_file)
    with pytest.raises(InputError, match="holds the joints of coco17, not of h36m17"):
        evaluate(tmp_path / "coco17.pkl", labels=labels_file, skeleton="h36m17")
    assert load_reference_results(tmp_path / "h36m17.pkl").joints is None  # exactly the published format


def test_a_truth_of_more_joints_serves_each_skeleton_within_it(tmp_path: Path) -> None:
    """PANOPTIC_19 holds all of COCO_17 by name: the seventeen are compared, by a plain loop over names."""
    truth, predicted = random_points(joints=19), random_points(joints=17)
    trivox.save_poses(poses_of(truth, PANOPTIC_19), tmp_path / "truth.npz")
    trivox.save_poses(poses_of(predicted, COCO_17), tmp_path / "poses.npz")
    report = evaluate(tmp_path / "poses.npz", truth=tmp_path / "truth.npz")
    errors = [
        np.linalg.norm(predicted[:, 0, j] - truth[:, 0, PANOPTIC_19.names.index(name)], axis=-1)
        for j, name in enumerate(COCO_17.names)
    ]
    assert report.choices["score_mm"] == pytest.approx(np.mean(errors))
    assert tuple(report.choices["joints"]) == COCO_17.names
    with pytest.raises(InputError, match="joints of coco17, the truth those of panoptic19"):
        evaluate(tmp_path / "poses.npz", truth=tmp_path / "truth.npz", protocol="panoptic-relative")


@pytest.mark.parametrize("skeleton", [COCO_17, PANOPTIC_19], ids=lambda s: s.name)
def test_other_joints_are_refused_but_for_those_that_both_have(
    truth_file: Path, tmp_path: Path, skeleton: Skeleton
) -> None:
    trivox.save_poses(poses_of(random_points(joints=len(skeleton)), skeleton), tmp_path / "other.npz")
    with pytest.raises(InputError, match=f"joints of {skeleton.name}, the truth those of h36m17"):
        evaluate(tmp_path / "other.npz", truth=truth_file)
    report = evaluate(tmp_path / "other.npz", truth=truth_file, protocol="elbows-wrists-knees")
    assert report.choices["predicted_skeleton"] == skeleton.name and len(report.choices["joints"]) == 6


def test_missing_joints_are_refused_or_skipped(truth_file: Path, tmp_path: Path) -> None:
    poses = poses_of(random_points() + SHIFT_MM)
    poses.valid[2, 0, 4] = False
    trivox.save_poses(poses, tmp_path / "holes.npz")
    with pytest.raises(InputError, match=r"1 of 102 joints .* are missing.*--missing skip"):
        evaluate(tmp_path / "holes.npz", truth=truth_file)
    report = evaluate(tmp_path / "holes.npz", truth=truth_file, missing="skip")
    assert report.choices["joints_missing"].startswith("1 skipped")
    assert report.choices["score_mm"] == pytest.approx(50, abs=1e-3)
    row = report.tables["subjects and actions"][0]
    assert row["pck_100mm"] == pytest.approx(101 / 102)


def test_what_cannot_be_evaluated_is_one_sentence(
    truth_file: Path, labels_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_reference_results(random_points(8)[:, 0], tmp_path / "results.pkl")
    (tmp_path / "bad.pkl").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    (tmp_path / "empty").mkdir()
    results, truth, labels = str(tmp_path / "results.pkl"), str(truth_file), str(labels_file)
    for words, said in (
        ([results], "either a file of true poses"),
        ([results, "--truth", truth, "--labels", labels], "either a file of true poses"),
        ([str(tmp_path / "absent.pkl"), "--truth", truth], "there is no file"),
        ([str(tmp_path / "empty"), "--truth", truth], "has no poses.npz"),
        ([str(tmp_path / "bad.pkl"), "--labels", labels], "asks for os.system, which is not data"),
        ([results, "--truth", truth], "8 predicted poses for 6 rows"),
        ([results, "--labels", labels, "--every", "0"], "every 0th row"),
        ([results, "--labels", labels, "--protocol", "people"], "one recording at a time"),
        ([truth, "--truth", truth, "--protocol", "people", "--metric-json", "m.json"], "holds errors of known people"),
        ([results, "--labels", labels, "--compare", truth], "not a text file"),
        ([results, "--labels", labels, "--pictures", "x"], "--pictures is for --weights, which runs a model"),
        ([results, "--labels", labels, "--results-pkl", "x"], "--results-pkl is for --weights"),
        ([results, "--truth", truth, "--every", "2"], "--every chooses rows of --labels"),
    ):
        with pytest.raises(SystemExit) as exit_code:
            main(["evaluate", *words])
        error = capsys.readouterr().err
        assert exit_code.value.code == 2 and said in error and error.count("\n") == 1, (words, error)


def test_the_terminal_shows_protocol_and_tables(labels_file: Path, tmp_path: Path) -> None:
    save_reference_results(random_points(len(OF_ROWS))[TEST_ROWS, 0] + SHIFT_MM, tmp_path / "results.pkl")
    report = evaluate(tmp_path / "results.pkl", labels=labels_file, protocol="human36m-absolute")
    output = io.StringIO()
    print_report(report, Console(file=output, width=80))
    lines = output.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines[:40]) and not any("…" in line for line in lines)
    shown = next(line.split() for line in lines if line.split()[:2] == ["S9", "Walking"])
    assert shown[2:4] == ["4", "50.0"] and not any("S5" in line for line in lines)
    assert lines[-1] == report.headline and any("2 damaged truth" in line for line in lines)


def test_the_demo_is_evaluated_against_its_truth(demo: tuple[Path, object], tmp_path: Path) -> None:
    out, score = demo
    scene = Path(trivox.__file__).parent / "demo_scene"
    report = evaluate(out, truth=scene / "truth.npz")
    assert report.choices["score_mm"] == pytest.approx(score.mean_mm, abs=1e-6)  # pyright: ignore
    limbs = evaluate(out, truth=scene / "truth.npz", protocol="limbs")
    assert limbs.choices["score_mm"] == pytest.approx(score.limb_mean_mm, abs=1e-6)  # pyright: ignore


@pytest.fixture
def real_results(data: Path) -> Path:
    path = data / "learnable_triangulation_formats" / "results_human36m_vol_softmax.pkl"
    if not path.is_file():
        pytest.skip(f"no results of the published system at {path}")
    return path


def test_real_results_against_themselves_perturbed(real_results: Path, tmp_path: Path) -> None:
    """Every joint moved by its own known distance, in a direction of its own: MPJPE is the mean of the distances."""
    points = load_reference_results(real_results).in_order().astype(np.float64)
    rng = np.random.default_rng(3)
    directions = rng.normal(size=points.shape)
    distances = rng.uniform(0, 80, points.shape[:2])
    moved = points + directions / np.linalg.norm(directions, axis=-1, keepdims=True) * distances[..., None]
    save_reference_results(moved, tmp_path / "moved.pkl")
    takes = [Recording("S9/Eating-1", "S9", "Eating", "test")]
    save_labels(labels_of(points, takes, [0] * len(points), [0] * len(points)), tmp_path / "labels.json")
    report = evaluate(tmp_path / "moved.pkl", labels=tmp_path / "labels.json", protocol="human36m-absolute")
    assert report.choices["score_mm"] == pytest.approx(distances.mean(), abs=1e-3)
    by_joint = [row["absolute_mm"] for row in report.tables["joints"]]
    assert by_joint == pytest.approx(distances.mean(0), abs=1e-3)
    row = report.tables["subjects and actions"][0]
    assert row["pck_25mm"] == pytest.approx((distances <= 25).mean(), abs=1e-3)
    same = evaluate(real_results, labels=tmp_path / "labels.json")
    assert same.choices["score_mm"] < 1e-3 and len(points) == same.choices["rows"]


def test_golden_labels_with_golden_results(golden: Path) -> None:
    """From the published files alone: the number that the published evaluation prints."""
    table = golden / "datasets" / "human36m" / "extra" / "human36m-multiview-labels-GTbboxes.npy"
    theirs = load_metric_json(golden / "results" / "metric.json")
    report = evaluate(golden / "results" / "results.pkl", labels=table)
    assert report.choices["score_mm"] == pytest.approx(
        theirs["per_pose_error_relative"]["Average"]["Average"], abs=1e-3
    )
    assert len(read_human36m_npy(table, table.parent)) > report.choices["rows"]
