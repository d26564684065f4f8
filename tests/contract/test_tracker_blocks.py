"""Blocks of the customer's API reference that name trackers: they run as written where no server can be reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal import record as records

FOLDER = Path(__file__).parent / "blocks"


def delivered_to(left: Any) -> list[str]:
    """The integrations that belong to the run."""
    return [record.name for record in left.run.records() if isinstance(record, records.Attach)]


def left_over(left: Any) -> str:
    """The one line about records that could not be delivered yet."""
    [line] = [line for line in left.stderr.splitlines() if "still to be delivered" in line]
    assert "`refunc sync`" in line
    return line


def mlflow_integration(left: Any) -> None:
    assert delivered_to(left) == ["mlflow"]
    assert left.run.summary.params == {"lr": 0.001}
    assert [(point.step, point.metrics) for point in left.points()] == [(100, {"loss": 0.5})]
    assert "mlflow" in left_over(left)


def wandb_integration(left: Any) -> None:
    assert delivered_to(left) == ["wandb"]  # without a key offline, into the run's folder, and without a question
    assert [(point.step, point.metrics) for point in left.points()] == [(100, {"accuracy": 0.92})]


def prometheus_integration(left: Any) -> None:
    assert delivered_to(left) == ["prometheus"]
    assert [point.metrics for point in left.points()] == [{"loss": 0.5, "accuracy": 0.92}]


def slack_integration(left: Any) -> None:
    assert delivered_to(left) == ["slack"]  # an error on a logger with an integration opens a run
    assert [(entry.level, entry.message) for entry in left.lines if entry.level in ("ERROR", "RESULT")] == [
        ("ERROR", "Training failed!"),
        ("RESULT", "Training completed"),
    ]
    assert [path.name for path, content in left.files.items() if b"hooks.slack.com" in content] == ["block.py"]


def integration_manager(left: Any) -> None:
    assert delivered_to(left) == ["mlflow", "wandb", "slack"]
    assert "mlflow" in left_over(left)


def setup_functions(left: Any) -> None:
    assert delivered_to(left) == ["mlflow", "slack"]
    assert "mlflow" in left_over(left)


def auto_configuration(left: Any) -> None:
    assert left.stdout == "['mlflow', 'prometheus', 'slack', 'wandb']\n"
    assert delivered_to(left) == ["mlflow", "prometheus", "slack", "wandb"]


def practice_integrations(left: Any) -> None:
    assert left.stdout.startswith("MLflowIntegration(tracking_uri='http://127.0.0.1:9'")
    assert "WandBIntegration(" in left.stdout
    assert "kkkk" not in left.stdout


CHECKS: dict[int, Callable[[Any], Any]] = {
    18: mlflow_integration,
    19: wandb_integration,
    20: prometheus_integration,
    21: slack_integration,
    22: integration_manager,
    23: setup_functions,
    24: auto_configuration,
    34: practice_integrations,
}


@pytest.mark.trackers
@pytest.mark.parametrize(
    "number", CHECKS, ids=[path.stem for number in CHECKS for path in FOLDER.glob(f"{number:02d}_*.py")]
)
def test_block_runs_as_written_and_keeps_its_promise(number: int, run_block: Callable[[int], Any]) -> None:
    CHECKS[number](run_block(number))


def test_every_block_with_a_tracker_is_accounted_for(reference: Any) -> None:
    assert CHECKS.keys() == set(reference.WITH_TRACKERS)
