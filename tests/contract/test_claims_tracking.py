"""The reference's claims about a logger's experiment tracking methods and its place in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refunc.journal import record as records
from refunc.logging import MLLogger, experiment_context


@pytest.fixture
def logger(user: Any) -> MLLogger:
    """Return a logger with a run open, whose announcement has been seen."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "experiment_001")
    user.console()
    return logger


HYPERPARAMS: dict[str, tuple[str, Any, str]] = {
    '`"learning_rate": 0.001`': ("learning_rate", 0.001, "learning_rate=0.001"),
    '`"batch_size": 32`': ("batch_size", 32, "batch_size=32"),
    '`"optimizer": "adam"`': ("optimizer", "adam", "optimizer=adam"),
    '`"model": "resnet50"`': ("model", "resnet50", "model=resnet50"),
}


@pytest.mark.parametrize("param", HYPERPARAMS)
def test_a_hyperparameter_is_shown_and_kept_as_what_it_is(param: str, logger: MLLogger, user: Any) -> None:
    """`logger.log_hyperparams(`: "Hyperparameter logging", of numbers and of text."""
    name, value, shown = HYPERPARAMS[param]
    logger.log_hyperparams({name: value})

    assert shown in user.console()[0]
    assert user.run().summary.params == {name: value}
    assert type(user.run().summary.params[name]) is type(value)
    context = logger.get_experiment_context()
    assert context is not None
    assert context.parameters == {name: value}


def test_metrics_are_kept_at_their_step(logger: MLLogger, user: Any) -> None:
    """`logger.log_metrics(`, `step=100`: "Metrics logging"."""
    logger.log_metrics({"loss": 0.234, "accuracy": 0.92, "f1_score": 0.89}, step=100)
    logger.flush()

    assert user.points() == [(100, None, {"loss": 0.234, "accuracy": 0.92, "f1_score": 0.89})]
    (line,) = user.console()
    assert line.split(maxsplit=1)[1].split("training")[1].split("  ")[1:] == [
        "loss=0.234 accuracy=0.92 f1_score=0.89",
        "[step 100]",
    ]


def test_an_artifact_is_kept_as_it_was(logger: MLLogger, user: Any) -> None:
    """`logger.log_artifact("model.pkl", artifact_type="model")`: "Artifact logging"."""
    Path("model.pkl").write_bytes(b"the first weights")
    logger.log_artifact("model.pkl", artifact_type="model")
    Path("model.pkl").write_bytes(b"others")

    (artifact,) = user.run().summary.artifacts
    assert (artifact.name, artifact.type) == ("model.pkl", "model")
    assert (user.run().folder / str(artifact.stored)).read_bytes() == b"the first weights"


def test_artifacts_are_kept_together(logger: MLLogger, user: Any) -> None:
    """`logger.log_artifacts(["plot1.png", "plot2.png"], artifact_type="visualization")`."""
    for name in ("plot1.png", "plot2.png"):
        Path(name).write_text(f"content of {name}")
    logger.log_artifacts(["plot1.png", "plot2.png"], artifact_type="visualization")

    run = user.run()
    assert [(each.name, each.type, (run.folder / str(each.stored)).read_text()) for each in run.summary.artifacts] == [
        ("plot1.png", "visualization", "content of plot1.png"),
        ("plot2.png", "visualization", "content of plot2.png"),
    ]


def test_tags_are_added_and_set(logger: MLLogger, user: Any) -> None:
    """`logger.add_tags(`, `logger.set_tag(`: "Tag management"."""
    logger.add_tags({"environment": "production", "version": "v1.2"})
    logger.set_tag("experiment_type", "hyperparameter_tuning")
    assert user.run().summary.tags == {
        "environment": "production",
        "version": "v1.2",
        "experiment_type": "hyperparameter_tuning",
    }

    logger.set_tag("version", "v1.3")
    logger.add_tags({"seed": 1})
    assert (user.run().summary.tags["version"], user.run().summary.tags["seed"]) == ("v1.3", "1")
    assert len(user.run().summary.tags) == 4


def test_a_result_is_kept_with_its_metadata(logger: MLLogger, user: Any) -> None:
    """`logger.log_result("final_accuracy", 0.945, metadata={"dataset": "test"})`: "Result logging"."""
    logger.log_result("final_accuracy", 0.945, metadata={"dataset": "test"})

    assert "final_accuracy=0.945" in user.console()[0]
    assert user.run().summary.results == {"final_accuracy": 0.945}
    (line,) = logger.get_log_entries(level="RESULT")
    assert (line.message, line.metrics) == ("final_accuracy", {"final_accuracy": 0.945})
    assert line.extra == {"metadata": {"dataset": "test"}}


# -- context management


def test_an_experiment_is_started_by_its_name_and_its_runs(user: Any) -> None:
    """`logger.start_experiment("image_classification", "experiment_001")`: "Start experiment"."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "experiment_001")

    run = user.run()
    assert (run.experiment_name, run.run_name, run.status) == ("image_classification", "experiment_001", "running")
    assert "run experiment_001 started" in user.console()[0]


@pytest.mark.parametrize("status", ["completed", "failed", "interrupted", "out of budget"])
def test_an_experiment_ends_with_its_status_and_final_metrics(status: str, logger: MLLogger, user: Any) -> None:
    """`logger.end_experiment(status="completed", final_metrics={"accuracy": 0.95})`: "End experiment"."""
    logger.log_metrics({"accuracy": 0.5})
    logger.end_experiment(status=status, final_metrics={"accuracy": 0.95})

    run = user.run()
    assert (run.status, run.summary.last) == (status, {"accuracy": 0.95})
    (end,) = [record for record in run.records() if isinstance(record, records.RunEnd)]
    assert end.metrics == {"accuracy": 0.95}
    assert status in user.console()[-1]
    context = logger.get_experiment_context()
    assert context is not None
    assert (context.status, context.metrics) == (status, {"accuracy": 0.95})
    assert context.end_time is not None
    assert context.start_time <= context.end_time


def test_an_experiment_ends_as_completed_where_nothing_else_is_said(logger: MLLogger, user: Any) -> None:
    """`logger.end_experiment(` without a `status`: a run that was ended is completed."""
    logger.end_experiment()

    assert user.run().status == "completed"


COUNTERS: dict[str, tuple[str, list[int | None]]] = {
    "`logger.step()  # Increment step counter`": ("step", [None, 1, 2]),
    "`logger.epoch()  # Increment epoch counter`": ("epoch", [None, 1, 2]),
}


@pytest.mark.parametrize("claim", COUNTERS)
def test_a_counter_is_incremented(claim: str, logger: MLLogger, user: Any) -> None:
    """ "Step tracking", "Epoch tracking": each call counts one, and the lines after it have the new count."""
    name, expected = COUNTERS[claim]
    seen = []
    for number in range(3):
        if number:
            getattr(logger, name)()
        logger.info("line %d", number)
        seen.append(getattr(logger.get_experiment_context(), name))

    assert [getattr(entry, name) for entry in logger.get_log_entries(level="INFO")] == expected
    assert seen == expected


SETTERS: dict[str, tuple[str, int]] = {
    "`logger.set_step(100)  # Set specific step`": ("step", 100),
    "`logger.set_epoch(10)  # Set specific epoch`": ("epoch", 10),
}


@pytest.mark.parametrize("claim", SETTERS)
def test_a_counter_is_set_and_goes_on_from_there(claim: str, logger: MLLogger, user: Any) -> None:
    """ "Set specific": lines and metrics that follow are there, and counting goes on from it."""
    name, number = SETTERS[claim]
    getattr(logger, f"set_{name}")(number)
    logger.log_metrics({"loss": 0.5})
    assert f"{name} {number}]" in user.console()[-1]
    getattr(logger, name)()
    logger.log_metrics({"loss": 0.25})
    logger.flush()

    place = 0 if name == "step" else 1
    assert [point[place] for point in user.points()] == [number, number + 1]


def test_the_context_says_which_experiment_and_where(logger: MLLogger, user: Any) -> None:
    """`context.experiment_name`, `context.step`: "Get current context", of the open run and of the last one."""
    for _ in range(2):
        logger.set_step(100)
        context = logger.get_experiment_context()
        assert context is not None
        assert f"Experiment: {context.experiment_name}, Step: {context.step}" == (
            "Experiment: image_classification, Step: 100"
        )
        logger.end_experiment()


def test_the_step_of_the_context_is_the_last_one_that_was_logged(logger: MLLogger, user: Any) -> None:
    """`context = logger.get_experiment_context()` after `step=100`: a user does not have to count twice."""
    logger.log_metrics({"loss": 0.5}, step=100)

    context = logger.get_experiment_context()
    assert context is not None
    assert context.step == 100


@pytest.mark.parametrize("put", ["nothing", "a line", "steps", "by the block"])
def test_the_context_is_that_of_the_last_run_whatever_was_put_into_it(put: str, user: Any) -> None:
    """`context = logger.get_experiment_context()` follows `logger.end_experiment(` in the reference's own block."""
    logger = MLLogger("training")
    logger.start_experiment("earlier", "run")
    logger.log_metrics({"loss": 1.0})
    logger.end_experiment()
    if put == "by the block":
        with experiment_context("image_classification", "experiment_001") as experiment:
            experiment.log_metrics({"loss": 0.5})
    else:
        logger.start_experiment("image_classification", "experiment_001")
        if put == "a line":
            logger.info("begin")
        elif put == "steps":
            logger.step()
        logger.end_experiment("completed")

    context = logger.get_experiment_context()
    assert context is not None
    assert (context.experiment_name, context.run_name) == ("image_classification", "experiment_001")
    assert {entry.run_id for entry in logger.get_log_entries()} == {context.run_id}
