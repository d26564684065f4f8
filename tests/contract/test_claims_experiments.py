"""The reference's claims about ExperimentTracker, the quick start, and runs that a block stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refunc.journal import record as records
from refunc.logging import ExperimentTracker, MLLogger, experiment_context

# -- ExperimentTracker


@pytest.fixture
def tracker(user: Any) -> ExperimentTracker:
    """Return the reference's own tracker, in a run that has started."""
    tracker = ExperimentTracker(
        experiment_name="image_classification", run_name="resnet_baseline", log_dir="./experiments"
    )
    tracker.start_run()
    return tracker


@pytest.mark.parametrize("folder", ["./experiments", "./elsewhere", Path("deep/er")], ids=str)
def test_a_tracker_keeps_its_run_in_its_folder_under_its_names(folder: str | Path, user: Any) -> None:
    """`tracker = ExperimentTracker(`: its names and its `log_dir="./experiments"`; `tracker.start_run()` opens it."""
    tracker = ExperimentTracker(experiment_name="image_classification", run_name="resnet_baseline", log_dir=folder)
    assert not Path(folder).exists()
    tracker.start_run()

    run = user.run(str(folder))
    assert (run.experiment_name, run.run_name, run.status) == ("image_classification", "resnet_baseline", "running")
    assert "resnet_baseline" in run.folder.name


def test_params_and_tags_are_logged(tracker: ExperimentTracker, user: Any) -> None:
    """`tracker.log_params({"lr": 0.001, "batch_size": 32})`, `tracker.log_tags({`: "Setup experiment"."""
    tracker.log_params({"lr": 0.001, "batch_size": 32})
    tracker.log_tags({"model": "resnet50", "dataset": "imagenet"})

    summary = user.run().summary
    assert summary.params == {"lr": 0.001, "batch_size": 32}
    assert summary.tags == {"model": "resnet50", "dataset": "imagenet"}


def test_metrics_are_logged_at_each_step(tracker: ExperimentTracker, user: Any) -> None:
    """`tracker.log_metrics(metrics, step=step)`: "During training"."""
    for step in range(1000):
        tracker.log_metrics({"loss": 1 / (1 + step), "accuracy": step / 1000}, step=step)
    tracker.flush()

    assert user.points() == [(step, None, {"loss": 1 / (1 + step), "accuracy": step / 1000}) for step in range(1000)]


def test_artifacts_are_logged_with_and_without_a_type(tracker: ExperimentTracker, user: Any) -> None:
    """`tracker.log_artifact("model.pkl")`, `tracker.log_artifact("training_plot.png", artifact_type="plot")`."""
    for name in ("model.pkl", "training_plot.png"):
        Path(name).write_text(f"content of {name}")
    tracker.log_artifact("model.pkl")
    tracker.log_artifact("training_plot.png", artifact_type="plot")

    run = user.run()
    assert [(each.name, each.type, (run.folder / str(each.stored)).read_text()) for each in run.summary.artifacts] == [
        ("model.pkl", None, "content of model.pkl"),
        ("training_plot.png", "plot", "content of training_plot.png"),
    ]


@pytest.mark.parametrize("status", ["completed", "failed", "stopped early"])
def test_a_run_ends_as_it_is_told(status: str, tracker: ExperimentTracker, user: Any) -> None:
    """`tracker.end_run(status="completed")`: "Finish"."""
    tracker.end_run(status=status)

    assert (user.run().status, tracker.status) == (status, status)


def test_a_run_ends_as_completed_where_nothing_else_is_said(tracker: ExperimentTracker, user: Any) -> None:
    """`tracker.end_run(` without a status."""
    tracker.end_run()

    assert user.run().status == "completed"


def test_a_tracker_manages_the_metadata_of_a_run(tracker: ExperimentTracker, user: Any) -> None:
    """ "Advanced experiment tracking with metadata management": the framework, the file and the experiment of a run."""
    Path("model.pkl").write_text("weights")
    tracker.log_artifact("model.pkl", "model", metadata={"framework": "torch"})

    run = user.run()
    assert run.summary.artifacts[0].metadata == {"framework": "torch"}
    assert run.birth["experiment_name"] == "image_classification"
    assert tracker.context is not None
    assert tracker.context.artifacts == ["model.pkl"]


def test_a_run_of_a_tracker_in_a_store_of_its_own_is_found_by_its_experiment(user: Any) -> None:
    """`experiment_id="exp_001"` of `get_log_entries`, where `log_dir` named another folder."""
    tracker = ExperimentTracker("image_classification", "run_001", log_dir="./elsewhere")
    tracker.start_run()
    tracker.log_metrics({"loss": 0.5})
    tracker.end_run()

    entries = MLLogger("training").get_log_entries(experiment_id="image_classification")
    assert [entry.metrics for entry in entries if entry.message == "metrics"] == [{"loss": 0.5}]


# -- experiment_context


@pytest.mark.parametrize("block", ["resnet_v1", "run_001"])
def test_a_block_is_a_run_for_whatever_logger_logs_in_it(block: str, user: Any) -> None:
    """`with experiment_context("image_classification", "resnet_v1") as exp:`, "Use experiment contexts"."""
    before, inside = MLLogger("my_experiment"), MLLogger("data")
    with experiment_context("image_classification", block) as exp:
        before.log_hyperparams({"lr": 0.001, "epochs": 100})
        before.log_metrics({"loss": 0.5}, step=4)
        inside.info("loaded")
        exp.log_metrics({"seen_by": 1})
    before.info("after it")

    run = user.run()
    assert (run.experiment_name, run.run_name, run.status) == ("image_classification", block, "completed")
    assert run.summary.params == {"lr": 0.001, "epochs": 100}
    assert [values for _, _, values in user.points()] == [{"loss": 0.5}, {"seen_by": 1}]
    messages = [entry.message for entry in run.entries()]
    assert "loaded" in messages
    assert "after it" not in messages


ENDS: dict[str, tuple[type[BaseException], str]] = {
    "an error": (ValueError, "failed"),
    "Ctrl-C": (KeyboardInterrupt, "interrupted"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_block_ends_as_its_code_does(end: str, user: Any) -> None:
    """`experiment_context` "for consistency": no run is left open, and none says that it was completed."""
    kind, status = ENDS[end]
    with pytest.raises(kind), experiment_context("image_classification", "run_001"):
        raise kind("stop")

    assert user.run().status == status


# -- quick start


def test_simple_logging_needs_no_run(user: Any) -> None:
    """`logger.metric("Training started", {"lr": 0.001, "batch_size": 32})`: "Simple logging"."""
    logger = MLLogger("my_experiment")
    logger.info("Starting training process")
    logger.metric("Training started", {"lr": 0.001, "batch_size": 32})

    first, second = user.console()
    assert first.split(maxsplit=3)[1:] == ["INFO", "my_experiment", "Starting training process"]
    assert second.split(maxsplit=3)[1:] == ["METRIC", "my_experiment", "Training started  lr=0.001 batch_size=32"]
    assert user.runs() == []


def test_a_step_among_the_metrics_is_the_step(user: Any) -> None:
    """`logger.log_metrics({"loss": loss, "step": step})`."""
    logger = MLLogger("my_experiment")
    for step in (0, 100, 200):
        logger.log_metrics({"loss": 0.5, "step": step})
    logger.flush()

    assert user.points() == [(step, None, {"loss": 0.5}) for step in (0, 100, 200)]


def test_an_epoch_among_the_metrics_is_the_epoch(user: Any) -> None:
    """`"epoch": epoch` among those of "Log epoch results"."""
    logger = MLLogger("training")
    for epoch in range(3):
        logger.log_metrics({"epoch": epoch, "train_loss": 0.5, "val_accuracy": 0.9})
    logger.flush()

    assert [(epoch, values) for _, epoch, values in user.points()] == [
        (epoch, {"train_loss": 0.5, "val_accuracy": 0.9}) for epoch in range(3)
    ]


def test_the_results_of_every_epoch_are_on_the_console(user: Any) -> None:
    """ "Log epoch results" of "Complete Training Example": ten lines with `"val_accuracy": val_accuracy`."""
    logger = MLLogger("training")
    with experiment_context("image_classification", "resnet_v1"):
        for epoch in range(10):
            for step in range(0, 1000, 100):
                logger.log_metrics({"train_loss": 0.5}, step=step)
            logger.log_metrics({"epoch": epoch, "train_loss": 0.5, "val_accuracy": epoch / 10})

    shown = [line for line in user.console() if "val_accuracy" in line and "METRIC" in line]
    assert [f"val_accuracy={epoch / 10:g}" in line for epoch, line in enumerate(shown)] == [True] * 10


def test_a_result_may_have_a_name_of_several_words(user: Any) -> None:
    """`logger.log_result("Final accuracy", 0.95)`."""
    logger = MLLogger("my_experiment")
    logger.log_result("Final accuracy", 0.95)

    assert user.run().summary.results == {"Final accuracy": 0.95}


def test_a_result_may_be_a_dict(user: Any) -> None:
    """`logger.log_result("Training completed", {"final_accuracy": 0.95})`."""
    logger = MLLogger("training")
    logger.log_result("Training completed", {"final_accuracy": 0.95})

    assert user.run().summary.results == {"final_accuracy": 0.95}
    (line,) = logger.get_log_entries(level="RESULT")
    assert (line.message, line.metrics) == ("Training completed", {"final_accuracy": 0.95})


def test_a_better_model_replaces_the_artifact_of_its_name(user: Any) -> None:
    """`logger.log_artifact("best_model.pkl", artifact_type="model")` under "Save best model": each version is kept."""
    logger = MLLogger("training")
    for accuracy in (0.5, 0.7):
        Path("best_model.pkl").write_text(f"weights of {accuracy}")
        logger.log_artifact("best_model.pkl", artifact_type="model")

    run = user.run()
    assert [(run.folder / str(each.stored)).read_text() for each in run.summary.artifacts][-1] == "weights of 0.7"
    kept = [record for record in run.records() if isinstance(record, records.Artifact)]
    stored = [(record.name, (run.folder / str(record.stored)).read_text()) for record in kept]
    assert stored == [("best_model.pkl", "weights of 0.5"), ("best_model.pkl", "weights of 0.7")]
