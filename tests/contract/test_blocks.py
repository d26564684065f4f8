"""
The customer's API reference runs as it is written: each Python block of it, in a process of its own.

`CHECKS` has the conditions that must hold afterwards. The blocks that name trackers are in `test_tracker_blocks.py`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "blocks"

#: Of all files in `blocks/`, sorted by name. A block is the customer's word: whoever changes one changes the contract.
DIGEST = "22b73d9a9a542629ccd20d9736f86546644f3f517ba31958a5fa516d05f6de45"


def quick_start(left: Any) -> None:
    run = left.run
    assert (run.experiment_name, run.run_name, run.status) == ("image_classification", "resnet_v1", "completed")
    assert run.summary.params == {"lr": 0.001, "epochs": 100}
    assert run.summary.results == {"Final accuracy": 0.95}
    # "step" among the metrics of a call without `step=` is where they belong, and no metric.
    assert [point.step for point in left.points()] == [*range(0, 1000, 100)] * 100
    assert all(point.metrics.keys() == {"loss"} for point in left.points())
    head = left.lines[:2]
    assert [(entry.level, entry.message) for entry in head] == [
        ("INFO", "Starting training process"),
        ("METRIC", "Training started"),
    ]
    assert head[1].metrics == {"lr": 0.001, "batch_size": 32}
    assert "Epoch 99" in left.stderr


def mllogger_setup(left: Any) -> None:
    files = {path.relative_to(left.folder).as_posix() for path in left.files}
    assert files == {"block.py", "experiments/logs/experiment_001.log", "experiments/logs/experiment_001.jsonl"}
    assert json.loads((left.folder / "experiments/logs/experiment_001.jsonl").read_text())["message"] == "first"


def levels(left: Any) -> None:
    assert [entry.level for entry in left.lines] == [
        *("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        *("METRIC", "EXPERIMENT", "PROGRESS", "RESULT"),
    ]
    metric, experiment, progress, result = left.lines[-4:]
    assert metric.metrics == {"accuracy": 0.92}
    assert experiment.extra == {"stage": "validation"}
    assert progress.extra == {"completed": 75}
    assert result.metrics == {"test_accuracy": 0.95}
    shown = [line.split()[1] for line in left.stderr.splitlines() if " training " in line]
    assert [level for level in shown if level != "EXPERIMENT"] == [
        *("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        *("METRIC", "PROGRESS", "RESULT"),
    ]


def data_calls(left: Any) -> None:
    summary = left.run.summary
    assert summary.params == {"learning_rate": 0.001, "batch_size": 32, "optimizer": "adam", "model": "resnet50"}
    (point,) = left.points()
    assert (point.step, point.metrics) == (100, {"loss": 0.234, "accuracy": 0.92, "f1_score": 0.89})
    assert [(item.name, item.type) for item in summary.artifacts] == [
        ("model.pkl", "model"),
        ("plot1.png", "visualization"),
        ("plot2.png", "visualization"),
    ]
    for item in summary.artifacts:
        assert (left.run.folder / str(item.stored)).read_text() == f"content of {item.name}"
    assert summary.tags == {
        "environment": "production",
        "version": "v1.2",
        "experiment_type": "hyperparameter_tuning",
    }
    assert summary.results == {"final_accuracy": 0.945}
    (result,) = [entry for entry in left.lines if entry.level == "RESULT"]
    assert result.extra == {"metadata": {"dataset": "test"}}
    assert left.run.birth["experiment_name"] == "training"  # no run was started, so one was opened


def context_management(left: Any) -> None:
    assert (left.run.experiment_name, left.run.run_name) == ("image_classification", "experiment_001")
    assert (left.run.status, left.run.summary.last) == ("completed", {"accuracy": 0.95})
    assert "Experiment: image_classification, Step: 100\n" in left.stdout


def log_entry(left: Any) -> None:
    assert json.loads(left.stdout) == {
        "timestamp": 1700000000.25,
        "level": "INFO",
        "message": "Epoch completed",
        "logger_name": "training",
        "experiment_id": None,
        "run_id": None,
        "step": 3,
        "epoch": None,
        "metrics": {"loss": 0.5},
        "tags": {},
        "artifacts": [],
        "extra": {},
    }


def colored_formatter(left: Any) -> None:
    ours, other = left.stderr.splitlines()
    assert re.match(r"\d\d:\d\d:\d\d INFO +training +Epoch completed ", ours)
    assert "loss=0.234" in ours
    assert re.match(r"\d\d:\d\d:\d\d ERROR +somebody\.else +Disk full", other)


def json_formatter(left: Any) -> None:
    ours, other = map(json.loads, left.stderr.splitlines())
    documented = json.loads((FOLDER / "11_json_output.json").read_text())
    documented.pop("experiment_id")  # the record was logged outside any run
    assert list(ours) == list(documented)
    assert {**ours, "timestamp": ""} == {**documented, "timestamp": "", "metrics": {"loss": 0.234}}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ours["timestamp"])
    assert (other["level"], other["logger"], other["message"]) == ("ERROR", "somebody.else", "Disk full")


def ml_formatter(left: Any) -> None:
    ours, other = left.stderr.splitlines()
    assert ours == "epoch 5 · step 1000 · Epoch completed · loss 0.2340"
    assert "Disk full" in other


def progress_tracker(left: Any) -> None:
    lines = [entry for entry in left.lines if entry.level == "PROGRESS"]
    assert {entry.extra.get("completed") for entry in lines} >= {1, *range(101, 1000, 100)}
    assert all(entry.metrics == {"loss": 0.5} for entry in lines)
    assert "Training: 1000/1000" in left.stderr


def tqdm_progress_tracker(left: Any) -> None:
    assert "Training: 1000/1000" in left.stderr
    assert not left.runs  # a tracker displays, and opens no run


def epoch_tracker(left: Any) -> None:
    points = left.points()
    assert [point.epoch for point in points] == [*range(100)]
    assert all(point.metrics.keys() == {"loss", "val_accuracy"} for point in points)
    assert points[0].metrics["loss"] == pytest.approx(sum(1 / n for n in range(1, 1001)) / 1000)


def context_managers(left: Any) -> None:
    assert [(point.epoch, point.metrics) for point in left.points()] == [(n, {"accuracy": 0.9}) for n in range(10)]
    assert "Training: 1000/1000" in left.stderr


def experiment_tracker(left: Any) -> None:
    run, summary = left.run, left.run.summary
    assert (run.experiment_name, run.run_name, run.status) == ("image_classification", "resnet_baseline", "completed")
    assert summary.params == {"lr": 0.001, "batch_size": 32}
    assert summary.tags == {"model": "resnet50", "dataset": "imagenet"}
    assert [(point.step, point.metrics) for point in left.points()] == [
        (step, {"loss": 0.5, "accuracy": 0.9}) for step in range(1000)
    ]
    assert [(item.name, item.type) for item in summary.artifacts] == [
        ("model.pkl", None),
        ("training_plot.png", "plot"),
    ]


def custom_levels(left: Any) -> None:
    metric, experiment, result = left.lines
    assert (metric.level, metric.message, metric.extra) == ("METRIC", "Custom metric", {"value": 0.95})
    assert (experiment.level, result.level) == ("EXPERIMENT", "RESULT")


def structured_logging(left: Any) -> None:
    (line,) = left.lines
    assert line.message == "Training step completed"
    assert line.metrics == {"loss": 0.234, "accuracy": 0.92}
    assert line.tags == {"phase": "training", "model": "resnet"}
    assert line.artifacts == ["checkpoint.pkl"]
    assert line.extra == {"gpu_memory": "8.2GB", "batch_time": 0.15}


def log_analysis(left: Any) -> None:
    # 12 errors, 2 lines, 1 metrics record and the run's start.
    assert left.stdout.startswith(f"16 {[f'error {number}' for number in range(2, 12)]} ['a training line']")
    exported = json.loads((left.folder / "experiment_logs.json").read_text())
    with open(left.folder / "experiment_logs.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(exported) == len(table) == 16
    assert [entry["message"] for entry in exported] == [row["message"] for row in table]
    assert exported[-1]["metrics"] == {"loss": None}
    assert exported[-1]["nonfinite"] == {"/metrics/loss": "NaN"}


def handlers(left: Any) -> None:
    shown = [line for line in left.stderr.splitlines() if " high_performance " in line]
    assert [line.split()[-2:] for line in shown] == [["line", str(number)] for number in range(3)]


def exception_logging(left: Any) -> None:
    (line,) = left.lines
    assert (line.level, line.message) == ("ERROR", "Operation failed")
    assert line.extra.pop("exception").endswith("RuntimeError: out of memory")
    assert line.extra == {"operation": "model_training", "step": 7}
    assert "    Traceback (most recent call last):" in left.stderr
    assert left.run.status == "completed"


def graceful_degradation(left: Any) -> None:
    assert [point.metrics for point in left.points()] == [{"accuracy": 0.95}]


def practice_structured(left: Any) -> None:
    good, avoid = left.lines
    assert good.metrics == {"accuracy": 0.95, "loss": 0.234}
    assert good.tags == {"model": "resnet", "dataset": "imagenet"}
    assert avoid.message == "Training completed with accuracy 0.95 and loss 0.234"


def practice_tracking(left: Any) -> None:
    assert (left.run.experiment_name, left.run.run_name) == ("image_classification", "run_001")
    assert left.run.summary.params == {"lr": 0.1}
    assert [(point.step, point.metrics) for point in left.points()] == [(4, {"loss": 0.5})] * 3
    assert left.run.summary.results == {"final_accuracy": 0.9}


def practice_levels(left: Any) -> None:
    assert [entry.level for entry in left.lines] == ["DEBUG", "INFO", "METRIC", "WARNING", "ERROR", "RESULT"]
    assert left.run.summary.results == {"accuracy": 0.9}


def complete_training(left: Any) -> None:
    run, summary = left.run, left.run.summary
    assert (run.experiment_name, run.run_name, run.status) == ("image_classification", "resnet_v1", "completed")
    assert summary.params == {"lr": 0.001, "batch_size": 32, "epochs": 10}
    by_epoch = [point for point in left.points() if "val_accuracy" in point.metrics]
    assert [point.epoch for point in by_epoch] == [*range(10)]
    assert all(point.metrics.keys() == {"train_loss", "val_accuracy"} for point in by_epoch)
    assert [point.step for point in left.points() if point not in by_epoch] == [*range(0, 1000, 100)] * 10
    (best,) = summary.artifacts  # the accuracy of the stub never gets better
    assert (best.name, best.type) == ("best_model.pkl", "model")
    assert (run.folder / str(best.stored)).read_bytes() == b"weights"
    assert summary.results == {"best_accuracy": 0.9}
    assert "Training completed successfully" in left.stderr


CHECKS: dict[int, Callable[[Any], Any]] = {
    1: quick_start,
    3: mllogger_setup,
    4: levels,
    5: data_calls,
    6: context_management,
    8: log_entry,
    10: colored_formatter,
    11: json_formatter,
    12: ml_formatter,
    13: progress_tracker,
    14: tqdm_progress_tracker,
    15: epoch_tracker,
    16: context_managers,
    17: experiment_tracker,
    25: custom_levels,
    26: structured_logging,
    27: log_analysis,
    28: handlers,
    29: exception_logging,
    30: graceful_degradation,
    31: practice_structured,
    32: practice_tracking,
    33: practice_levels,
    35: complete_training,
}


@pytest.mark.parametrize(
    "number", CHECKS, ids=[path.stem for number in CHECKS for path in FOLDER.glob(f"{number:02d}_*.py")]
)
def test_block_runs_as_written_and_keeps_its_promise(number: int, run_block: Callable[[int], Any]) -> None:
    CHECKS[number](run_block(number))


def test_every_block_of_the_reference_is_accounted_for(reference: Any) -> None:
    assert sorted([*reference.BLOCKS, *reference.SIGNATURES]) == [*range(1, 36)]
    assert CHECKS.keys() == reference.BLOCKS.keys() - reference.WITH_TRACKERS
    assert {int(path.name[:2]) for path in FOLDER.glob("*.py")} == {*reference.BLOCKS, *reference.SIGNATURES}


def test_blocks_are_the_customers_words() -> None:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))).hexdigest()

    assert digest == DIGEST
