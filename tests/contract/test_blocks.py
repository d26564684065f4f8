"""
The customer's API reference runs as it is written: each Python block of it, in a process of its own.

`blocks/` holds the blocks byte for byte, numbered as they stand in the reference. A block that is part of a page
presumes what the page has said before; `BLOCKS` says what, and `CHECKS` what must be true afterwards.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.journal import record as records
from refunc.runs import LogEntry, Run, open_store

FOLDER = Path(__file__).parent / "blocks"

#: Of all files in `blocks/`, sorted by name. A block is the customer's word: whoever changes one changes the contract.
DIGEST = "22b73d9a9a542629ccd20d9736f86546644f3f517ba31958a5fa516d05f6de45"

#: Blocks that no test here runs, by number, and why.
SIGNATURES = {2: "class MLLogger", 7: "class LogEntry", 9: "class ExperimentContext"}  # see test_signatures.py
#: Blocks that need the trackers' own packages; none of the servers that they name can be reached.
WITH_TRACKERS = (18, 19, 20, 21, 22, 23, 24, 34)

LOGGER = "from refunc.logging import MLLogger\nlogger = MLLogger('training', level='TRACE')\n"
IN_A_RUN = LOGGER + "logger.start_experiment('contract')\n"
CONTEXTS = "from refunc.logging import MLLogger, epoch_context, experiment_context, progress_context\n"
STUBS = """
def train_step(losses=iter(range(10**9))):
    return 1.0 / (1 + next(losses) % 1000)
def validate():
    return 0.9
validate_model = validate
current_loss, current_acc, current_lr, current_step = 0.5, 0.9, 0.001, 7
"""
#: No server: what is asked of other machines goes to a port of this one that nobody listens on.
NO_SERVER = """
import os
from refunc.logging import MLLogger
os.environ["HTTPS_PROXY"] = os.environ["HTTP_PROXY"] = "http://127.0.0.1:9"
os.environ["NO_PROXY"] = "localhost"
os.environ["NETRC"] = os.devnull
"""
CREDENTIALS = """
os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
os.environ["SLACK_WEBHOOK_URL"] = "https://hooks.slack.com/services/none"
from refunc.logging import MLflowIntegration, SlackIntegration, WandBIntegration
"""
PRINT_A_RECORD = """
import logging
logging.basicConfig(level=0)
logging.getLogger().handlers[0].setFormatter(formatter)
MLLogger("training").info("Epoch completed", step=1000, epoch=5, metrics={"loss": 0.234}, tags={"model": "resnet50"})
logging.getLogger("somebody.else").error("Disk full")
"""


@attrs.frozen
class Block:
    """What a block presumes: code before it, files, and the values that its literal `...` stands for."""

    before: str = ""
    after: str = ""
    files: tuple[str, ...] = ()
    values: str = "..."


BLOCKS = {
    1: Block(STUBS),
    3: Block(
        "from refunc.logging import MLLogger\n",
        "import os\nassert os.listdir() == ['block.py']\nlogger.debug('first')\nlogger.flush()\n",
    ),
    4: Block(IN_A_RUN),
    5: Block(LOGGER, files=("model.pkl", "plot1.png", "plot2.png")),
    6: Block(LOGGER),
    8: Block(
        "from refunc.logging import LogEntry\n",
        "import json\nassert json.loads(entry_json) == entry_dict\nprint(entry_json)\n",
        values="1700000000.25, 'INFO', 'Epoch completed', 'training', step=3, metrics={'loss': 0.5}",
    ),
    10: Block("from refunc.logging import MLLogger\n", PRINT_A_RECORD),
    11: Block("from refunc.logging import MLLogger\n", PRINT_A_RECORD),
    12: Block("from refunc.logging import MLLogger\n", PRINT_A_RECORD),
    13: Block(IN_A_RUN + STUBS),
    14: Block(STUBS),
    15: Block(IN_A_RUN + STUBS),
    16: Block(CONTEXTS + STUBS),
    17: Block(STUBS, files=("model.pkl", "training_plot.png")),
    18: Block(NO_SERVER),
    19: Block(NO_SERVER),
    20: Block(NO_SERVER),
    21: Block(NO_SERVER),
    22: Block(NO_SERVER + CREDENTIALS, values=""),
    23: Block(NO_SERVER, "logger.log_metrics({'loss': 0.5})\n"),
    24: Block(
        NO_SERVER + CREDENTIALS,
        "print(sorted(s.plugin.name for s in integrations.states if s.integration))\nlogger.error('x')\n",
    ),
    25: Block(IN_A_RUN),
    26: Block(IN_A_RUN),
    27: Block(
        LOGGER
        + "import time\nstart_timestamp = time.time()\n"
        + "logger.start_experiment('exp_001')\n"
        + "for number in range(12): logger.error('error %d', number)\n"
        + "logger.info('a training line', tags={'phase': 'training'})\n"
        + "logger.info('another phase', tags={'phase': 'test'})\n"
        + "logger.log_metrics({'loss': float('nan')}, step=1)\n",
        "print(len(entries), [entry.message for entry in recent_errors], [entry.message for entry in training_logs])\n",
    ),
    28: Block("from refunc.logging import MLLogger\n", "for number in range(3): logger.info('line %d', number)\n"),
    29: Block(IN_A_RUN + STUBS + "def risky_operation():\n    raise RuntimeError('out of memory')\n"),
    30: Block(LOGGER),
    31: Block(IN_A_RUN),
    32: Block(
        LOGGER + CONTEXTS + "params, epochs, metrics, final_acc = {'lr': 0.1}, 3, {'loss': 0.5}, 0.9\nglobal_step = 4\n"
    ),
    33: Block(IN_A_RUN + "metrics, result = {'loss': 0.5}, {'accuracy': 0.9}\n"),
    34: Block(
        NO_SERVER
        + CREDENTIALS
        + "os.environ['WANDB_API_KEY'] = 'k' * 40\nos.environ['WANDB_BASE_URL'] = 'http://127.0.0.1:9'\n",
        "print(*setup_experiment_logging('by_environment').integrations)\n",
        values="",
    ),
    35: Block(STUBS + "from pathlib import Path\ndef save_model(path):\n    Path(path).write_bytes(b'weights')\n"),
}


@attrs.frozen
class Outcome:
    """What a block left behind."""

    folder: Path
    stdout: str
    stderr: str

    @property
    def runs(self) -> list[Run]:
        """Every run in the default store, oldest first."""
        return list(open_store(self.folder / "experiments"))

    @property
    def run(self) -> Run:
        """The only run."""
        (run,) = self.runs
        assert run.summary.account.damaged == run.summary.account.missing == run.summary.account.torn == 0
        return run

    @property
    def lines(self) -> list[LogEntry]:
        """The run's log lines."""
        return [entry for entry in self.run.entries() if entry.message not in ("run started", "run ended: completed")]

    def points(self) -> list[records.Metrics]:
        """The run's metrics records."""
        return [record for record in self.run.records() if isinstance(record, records.Metrics)]


def file_of(number: int) -> Path:
    (path,) = FOLDER.glob(f"{number:02d}_*.py")
    return path


def run_block(number: int, folder: Path) -> Outcome:
    block = BLOCKS[number]
    for name in block.files:
        (folder / name).write_text(f"content of {name}")
    code = file_of(number).read_text("utf-8").replace("(...)", f"({block.values})")
    script = folder / "block.py"
    script.write_text(f"{block.before}\n{code}\n{block.after}", "utf-8")
    began = time.monotonic()
    done = subprocess.run([sys.executable, "block.py"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 20 or number not in WITH_TRACKERS  # ten for what exit waits, the rest to start
    # An uncaught exception, one shown by `logging.raiseExceptions`, or a warning; one that was logged is indented.
    assert not re.search(r"^(Traceback|--- Logging error|\S+:\d+: \w*Warning: )", done.stderr, re.MULTILINE), (
        done.stderr
    )
    return Outcome(folder, done.stdout, done.stderr)


def delivered_to(left: Outcome) -> list[str]:
    """The integrations that belong to the run."""
    return [record.name for record in left.run.records() if isinstance(record, records.Attach)]


def left_over(left: Outcome) -> str:
    """The one line that says what could not be delivered yet."""
    [line] = [line for line in left.stderr.splitlines() if "still to be delivered" in line]
    assert "`refunc sync`" in line
    return line


def mlflow_integration(left: Outcome) -> None:
    assert delivered_to(left) == ["mlflow"]
    assert left.run.summary.params == {"lr": 0.001}
    assert [(point.step, point.metrics) for point in left.points()] == [(100, {"loss": 0.5})]
    assert "mlflow" in left_over(left)


def wandb_integration(left: Outcome) -> None:
    assert delivered_to(left) == ["wandb"]  # without a key offline, into the run's folder, and nobody was asked
    assert [(point.step, point.metrics) for point in left.points()] == [(100, {"accuracy": 0.92})]


def prometheus_integration(left: Outcome) -> None:
    assert delivered_to(left) == ["prometheus"]
    assert [point.metrics for point in left.points()] == [{"loss": 0.5, "accuracy": 0.92}]


def slack_integration(left: Outcome) -> None:
    assert delivered_to(left) == ["slack"]  # an error on a logger with an integration opens a run
    assert [(entry.level, entry.message) for entry in left.lines if entry.level in ("ERROR", "RESULT")] == [
        ("ERROR", "Training failed!"),
        ("RESULT", "Training completed"),
    ]
    assert "hooks.slack.com" not in "".join(path.read_text() for path in left.run.folder.rglob("*") if path.is_file())


def integration_manager(left: Outcome) -> None:
    assert delivered_to(left) == ["mlflow", "wandb", "slack"]
    assert "mlflow" in left_over(left)


def setup_functions(left: Outcome) -> None:
    assert delivered_to(left) == ["mlflow", "slack"]
    assert "mlflow" in left_over(left)


def auto_configuration(left: Outcome) -> None:
    assert left.stdout == "['mlflow', 'prometheus', 'slack', 'wandb']\n"
    assert delivered_to(left) == ["mlflow", "prometheus", "slack", "wandb"]


def practice_integrations(left: Outcome) -> None:
    assert left.stdout.startswith("MLflowIntegration(tracking_uri='http://127.0.0.1:9'")
    assert "WandBIntegration(" in left.stdout
    assert "kkkk" not in left.stdout


def quick_start(left: Outcome) -> None:
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


def mllogger_setup(left: Outcome) -> None:
    files = {path.relative_to(left.folder).as_posix() for path in left.folder.rglob("*") if path.is_file()}
    assert files == {"block.py", "experiments/logs/experiment_001.log", "experiments/logs/experiment_001.jsonl"}
    assert json.loads((left.folder / "experiments/logs/experiment_001.jsonl").read_text())["message"] == "first"


def levels(left: Outcome) -> None:
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


def data_calls(left: Outcome) -> None:
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
    assert left.run.birth["experiment_name"] == "training"  # nobody started a run, so one was opened


def context_management(left: Outcome) -> None:
    assert (left.run.experiment_name, left.run.run_name) == ("image_classification", "experiment_001")
    assert (left.run.status, left.run.summary.last) == ("completed", {"accuracy": 0.95})
    assert "Experiment: image_classification, Step: 100\n" in left.stdout


def log_entry(left: Outcome) -> None:
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


def colored_formatter(left: Outcome) -> None:
    ours, other = left.stderr.splitlines()
    assert re.match(r"\d\d:\d\d:\d\d INFO +training +Epoch completed ", ours)
    assert "loss=0.234" in ours
    assert re.match(r"\d\d:\d\d:\d\d ERROR +somebody\.else +Disk full", other)


def json_formatter(left: Outcome) -> None:
    ours, other = map(json.loads, left.stderr.splitlines())
    documented = json.loads((FOLDER / "11_json_output.json").read_text())
    documented.pop("experiment_id")  # the record was logged outside any run
    assert list(ours) == list(documented)
    assert {**ours, "timestamp": ""} == {**documented, "timestamp": "", "metrics": {"loss": 0.234}}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ours["timestamp"])
    assert (other["level"], other["logger"], other["message"]) == ("ERROR", "somebody.else", "Disk full")


def ml_formatter(left: Outcome) -> None:
    ours, other = left.stderr.splitlines()
    assert ours == "epoch 5 · step 1000 · Epoch completed · loss 0.2340"
    assert "Disk full" in other


def progress_tracker(left: Outcome) -> None:
    lines = [entry for entry in left.lines if entry.level == "PROGRESS"]
    assert {entry.extra.get("completed") for entry in lines} >= {1, *range(101, 1000, 100)}
    assert all(entry.metrics == {"loss": 0.5} for entry in lines)
    assert "Training: 1000/1000" in left.stderr


def tqdm_progress_tracker(left: Outcome) -> None:
    assert "Training: 1000/1000" in left.stderr
    assert not left.runs  # a tracker displays, and opens no run


def epoch_tracker(left: Outcome) -> None:
    points = left.points()
    assert [point.epoch for point in points] == [*range(100)]
    assert all(point.metrics.keys() == {"loss", "val_accuracy"} for point in points)
    assert points[0].metrics["loss"] == pytest.approx(sum(1 / n for n in range(1, 1001)) / 1000)


def context_managers(left: Outcome) -> None:
    assert [(point.epoch, point.metrics) for point in left.points()] == [(n, {"accuracy": 0.9}) for n in range(10)]
    assert "Training: 1000/1000" in left.stderr


def experiment_tracker(left: Outcome) -> None:
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


def custom_levels(left: Outcome) -> None:
    metric, experiment, result = left.lines
    assert (metric.level, metric.message, metric.extra) == ("METRIC", "Custom metric", {"value": 0.95})
    assert (experiment.level, result.level) == ("EXPERIMENT", "RESULT")


def structured_logging(left: Outcome) -> None:
    (line,) = left.lines
    assert line.message == "Training step completed"
    assert line.metrics == {"loss": 0.234, "accuracy": 0.92}
    assert line.tags == {"phase": "training", "model": "resnet"}
    assert line.artifacts == ["checkpoint.pkl"]
    assert line.extra == {"gpu_memory": "8.2GB", "batch_time": 0.15}


def log_analysis(left: Outcome) -> None:
    # 12 errors, 2 lines, 1 metrics record and the run's start.
    assert left.stdout.startswith(f"16 {[f'error {number}' for number in range(2, 12)]} ['a training line']")
    exported = json.loads((left.folder / "experiment_logs.json").read_text())
    with open(left.folder / "experiment_logs.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(exported) == len(table) == 16
    assert [entry["message"] for entry in exported] == [row["message"] for row in table]
    assert exported[-1]["metrics"] == {"loss": "NaN"}


def handlers(left: Outcome) -> None:
    shown = [line for line in left.stderr.splitlines() if " high_performance " in line]
    assert [line.split()[-2:] for line in shown] == [["line", str(number)] for number in range(3)]


def exception_logging(left: Outcome) -> None:
    (line,) = left.lines
    assert (line.level, line.message) == ("ERROR", "Operation failed")
    assert line.extra.pop("exception").endswith("RuntimeError: out of memory")
    assert line.extra == {"operation": "model_training", "step": 7}
    assert "    Traceback (most recent call last):" in left.stderr
    assert left.run.status == "completed"


def graceful_degradation(left: Outcome) -> None:
    assert [point.metrics for point in left.points()] == [{"accuracy": 0.95}]


def practice_structured(left: Outcome) -> None:
    good, avoid = left.lines
    assert good.metrics == {"accuracy": 0.95, "loss": 0.234}
    assert good.tags == {"model": "resnet", "dataset": "imagenet"}
    assert avoid.message == "Training completed with accuracy 0.95 and loss 0.234"


def practice_tracking(left: Outcome) -> None:
    assert (left.run.experiment_name, left.run.run_name) == ("image_classification", "run_001")
    assert left.run.summary.params == {"lr": 0.1}
    assert [(point.step, point.metrics) for point in left.points()] == [(4, {"loss": 0.5})] * 3
    assert left.run.summary.results == {"final_accuracy": 0.9}


def practice_levels(left: Outcome) -> None:
    assert [entry.level for entry in left.lines] == ["DEBUG", "INFO", "METRIC", "WARNING", "ERROR", "RESULT"]
    assert left.run.summary.results == {"accuracy": 0.9}


def complete_training(left: Outcome) -> None:
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


CHECKS: dict[int, Callable[[Outcome], Any]] = {
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
    18: mlflow_integration,
    19: wandb_integration,
    20: prometheus_integration,
    21: slack_integration,
    22: integration_manager,
    23: setup_functions,
    24: auto_configuration,
    25: custom_levels,
    26: structured_logging,
    27: log_analysis,
    28: handlers,
    29: exception_logging,
    30: graceful_degradation,
    31: practice_structured,
    32: practice_tracking,
    33: practice_levels,
    34: practice_integrations,
    35: complete_training,
}


def parameters() -> Iterator[Any]:
    for number in CHECKS:
        marks = [pytest.mark.trackers] if number in WITH_TRACKERS else []
        yield pytest.param(number, marks=marks, id=file_of(number).stem)


@pytest.mark.parametrize("number", list(parameters()))
def test_block_runs_as_written_and_keeps_its_promise(number: int, own_folder: Path) -> None:
    CHECKS[number](run_block(number, own_folder))


def test_every_block_of_the_reference_is_accounted_for() -> None:
    assert sorted([*CHECKS, *SIGNATURES]) == [*range(1, 36)]
    assert BLOCKS.keys() == CHECKS.keys()
    assert {int(path.name[:2]) for path in FOLDER.glob("*.py")} == {*CHECKS, *SIGNATURES}


def test_blocks_are_the_customers_words() -> None:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))).hexdigest()

    assert digest == DIGEST
