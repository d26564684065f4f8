"""`experiment_tracking=False`: no run, and nothing that a user does not see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refunc.logging import MLLogger, setup_logging
from refunc.logging.active.waiting import MAX_RECORDS


@pytest.fixture
def logger() -> MLLogger:
    return MLLogger("off", experiment_tracking=False, json_logging=True)


def written() -> list[dict[str, object]]:
    return [json.loads(line) for line in Path("logs/off.jsonl").read_text().splitlines()]


def test_data_calls_show_and_are_in_the_log_files_and_make_no_run(
    logger: MLLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("model.txt").write_text("x")
    logger.log_hyperparams({"lr": 0.1})
    logger.log_metrics({"loss": 0.5})
    logger.log_result("acc", 0.9)
    logger.set_tag("split", "val")
    logger.log_artifact("model.txt")
    assert logger.flush()

    shown = capsys.readouterr().err
    assert all(text in shown for text in ("lr=0.1", "loss=0.5", "acc=0.9"))
    assert [entry["message"] for entry in written()] == ["params", "loss", "acc", "tags", "artifact"]
    assert not any("run_id" in entry for entry in written())
    assert sorted(path.name for path in Path().iterdir()) == ["logs", "model.txt"]
    assert logger.get_experiment_context() is None


@pytest.mark.parametrize("is_disabled", [True, False])
def test_what_is_in_memory_only_names_no_folder(is_disabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_disabled:
        monkeypatch.setenv("REFUNC_MODE", "disabled")
    logger = MLLogger("memory", experiment_tracking=is_disabled)

    with logger.start_experiment("e", "r") as tracker:
        contexts = [tracker.context, logger.get_experiment_context()]
        assert tracker.folder is None
    contexts.append(logger.get_experiment_context())

    assert [context and (context.folder, context.metadata["folder"]) for context in contexts] == [(None, None)] * 3


def test_a_started_experiment_is_a_context_in_memory(logger: MLLogger, capsys: pytest.CaptureFixture[str]) -> None:
    started = logger.start_experiment("e", "r", parameters={"lr": 1})
    logger.set_step(7)
    logger.log_metrics({"loss": 0.5})
    logger.info("line")
    logger.end_experiment(final_metrics={"best": 0.25})
    context = logger.get_experiment_context()

    assert context is not None
    assert (context.run_id, context.run_name, context.status) == (started.run_id, "r", "completed")
    assert (context.parameters, context.metrics) == ({"lr": 1}, {"loss": 0.5, "best": 0.25})
    assert not Path("experiments").exists()
    *said, end = [entry["message"] for entry in written()]
    assert said == ["run r started", "params", "loss", "line", "best"]
    assert end.startswith("run r completed in ")
    assert {entry["run_id"] for entry in written()} == {started.run_id}
    assert "started" not in capsys.readouterr().err


def test_a_block_ends_such_a_run_too(logger: MLLogger) -> None:
    def train() -> None:
        with logger.start_experiment("e", "r") as run:
            run.log_metrics({"loss": 0.5})
            raise ValueError("it broke")

    with pytest.raises(ValueError, match="it broke"):
        train()

    context = logger.get_experiment_context()
    assert context is not None
    assert context.status == "failed"
    assert not Path("experiments").exists()
    assert "ValueError: it broke" in str(written()[-1]["exception"])


def test_entries_and_exports_read_the_loggers_own_lines_and_data(logger: MLLogger) -> None:
    other = MLLogger("other", experiment_tracking=False)
    other.info("not its own")
    logger.info("a", extra={"key": 1})
    logger.log_metrics({"loss": 0.5}, step=3)
    logger.error("b")

    assert [entry.message for entry in logger.get_log_entries()] == ["a", "metrics", "b"]
    assert {entry.logger_name for entry in logger.get_log_entries()} == {"off"}
    assert logger.get_log_entries(level="METRIC")[0].metrics == {"loss": 0.5}
    assert logger.get_log_entries(last_n=1)[0].message == "b"
    assert logger.export_logs("all.json") == 3
    assert [entry["message"] for entry in json.loads(Path("all.json").read_text())] == ["a", "metrics", "b"]


def test_what_is_kept_of_them_is_bounded(logger: MLLogger) -> None:
    for number in range(MAX_RECORDS + 500):
        logger.log_metrics({"n": number}, step=number)

    assert [entry.step for entry in logger.get_log_entries()] == list(range(500, MAX_RECORDS + 500))


def test_tracking_may_be_switched_on_and_off(logger: MLLogger) -> None:
    logger.info("off")
    logger.experiment_tracking = True
    logger.log_metrics({"loss": 1.0})
    logger.experiment_tracking = False
    logger.log_metrics({"loss": 2.0})
    assert [entry.metrics for entry in logger.get_log_entries(level="METRIC")] == [{"loss": 2.0}]
    logger.experiment_tracking = True
    assert [entry.metrics for entry in logger.get_log_entries(level="METRIC")] == [{"loss": 1.0}]


def test_setup_logging_switches_the_default_logger_off() -> None:
    default = setup_logging(experiment_tracking=False)
    default.log_metrics({"loss": 1.0})
    default.flush()

    assert not Path("experiments").exists()
    assert "loss=1" in Path("logs/refunc.log").read_text()
