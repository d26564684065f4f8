"""Programs in the form of W&B's public examples: a first script, a resumed one, tables, data sets by version."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.runs import Run, open_store

pytestmark = pytest.mark.once

Stored = Callable[[], Run]


def test_a_first_script(wandb: Any, stored: Stored) -> None:
    """init with a config, a loop that logs accuracy and loss, finish."""
    run = wandb.init(
        entity="my-team",
        project="my-project",
        config={"learning_rate": 0.02, "architecture": "CNN", "dataset": "CIFAR-100", "epochs": 10},
    )
    offset = random.random() / 5
    for epoch in range(2, run.config.epochs):
        acc = 1 - 2**-epoch - random.random() / epoch - offset
        loss = 2**-epoch + random.random() / epoch + offset
        run.log({"acc": acc, "loss": loss})
    run.finish()

    kept = stored()
    assert (kept.params["architecture"], kept.status) == ("CNN", "completed")
    assert len(kept.metrics("acc")) == len(kept.metrics("loss")) == 8
    assert kept.summary.last["loss"] == loss


def test_an_own_axis_for_each_phase(wandb: Any, stored: Stored) -> None:
    """define_metric with two step metrics, one of them for a pattern, and the best of a metric."""
    with wandb.init(project="define-metric") as run:
        run.define_metric("batch_step")
        run.define_metric("epoch")
        run.define_metric("batch_loss", step_metric="batch_step")
        run.define_metric("validation/*", step_metric="epoch")
        run.define_metric("validation/accuracy", summary="max")
        for epoch in range(3):
            for batch in range(4):
                run.log({"batch_loss": 1.0, "batch_step": epoch * 4 + batch})
            run.log({"validation/loss": 0.5, "validation/accuracy": [0.5, 0.8, 0.7][epoch], "epoch": epoch})
        assert run.summary["validation/accuracy"]["max"] == 0.8

    kept = stored()
    assert list(kept.metrics("batch_loss").x) == list(range(12))
    assert list(kept.metrics("validation/loss").x) == [0, 1, 2]
    assert kept.summary.metrics["validation/accuracy"].shown == 0.8


def test_a_table_of_predictions_and_a_confusion_matrix(wandb: Any, stored: Stored, own_folder: Path) -> None:
    (own_folder / "digit.png").write_bytes(b"png")
    with wandb.init(project="mnist-viz") as run:
        table = wandb.Table(columns=["id", "image", "guess", "truth", *[f"score_{digit}" for digit in range(3)]])
        for number in range(4):
            table.add_data(number, wandb.Image("digit.png"), number % 3, number % 2, 0.1, 0.2, 0.7)
        chart = wandb.plot.confusion_matrix(preds=[0, 1, 2, 0], y_true=[0, 1, 0, 1], class_names=["a", "b", "c"])
        run.log({"predictions": table, "matrix": chart, "examples": [wandb.Image("digit.png", caption="one")]})

    kinds = sorted(str(artifact.type) for artifact in stored().artifacts)
    assert kinds == ["chart", *["image"] * 5, "table"]


def test_a_data_set_from_one_run_is_used_in_the_next(wandb: Any, own_folder: Path) -> None:
    (own_folder / "dataset.h5").write_text("rows")
    with wandb.init(project="artifacts-example", job_type="add-dataset") as run:
        artifact = wandb.Artifact(name="example_artifact", type="dataset")
        artifact.add_file(local_path="./dataset.h5", name="training_dataset")
        run.log_artifact(artifact).wait()
    with wandb.init(project="artifacts-example", job_type="train") as run:
        found = run.use_artifact("example_artifact:latest")
        folder = found.download()
        trained = wandb.Artifact("model", type="model", metadata={"epochs": 1})
        with trained.new_file("model.txt") as file:
            file.write("weights")
        run.log_artifact(trained, aliases=["best"])

    assert (Path(folder) / "training_dataset").read_text() == "rows"
    first, second = open_store()
    assert (first.tags["job_type"], second.tags) == (
        "add-dataset", {"job_type": "train", "uses/example_artifact": "example_artifact:v0"}
    )  # fmt: skip
    [model] = second.artifacts
    assert (model.name, model.metadata["metadata"], model.metadata["aliases"]) == ("model", {"epochs": 1}, ["best"])


def test_a_script_that_is_started_again_goes_on(finished: Any, own_folder: Path) -> None:
    """resume="allow" with an id of one's own, and a checkpoint."""
    script = """
    import json, os, sys
    with wandb.init(project="resume", id="my-run", resume="allow", config={"epochs": 6}) as run:
        begin = json.load(open("checkpoint.json"))["epoch"] + 1 if wandb.run.resumed else 0
        for epoch in range(begin, run.config.epochs):
            wandb.log({"epoch": epoch, "loss": 1 / (epoch + 1)})
            with open("checkpoint.json", "w") as file:
                json.dump({"epoch": epoch}, file)
            wandb.save("checkpoint.json", policy="now")
            if epoch == 2 and not run.resumed:
                run._tracker.flush()
                os._exit(1)
    """
    assert [finished(script)[0] for _ in range(2)] == [1, 0]
    [run] = open_store(own_folder / "experiments")

    assert (run.run_id, run.attempt, run.status) == ("my-run", 2, "completed")
    assert list(run.metrics("loss").steps) == list(run.metrics("loss").epochs) == list(range(6))
    assert len(run.artifacts) == 6


def test_alerts_are_lines(wandb: Any, stored: Stored) -> None:
    with wandb.init(project="alerts") as run:
        for _ in range(3):
            run.alert(title="Low accuracy", text="below 0.3", level=wandb.AlertLevel.WARN, wait_duration=300)
        wandb.alert("Low accuracy", "again", level="ERROR", wait_duration=0)
        wandb.alert("Done", "all")
        with pytest.raises(ValueError, match="Allowed: INFO, WARN, ERROR"):
            run.alert("a", "b", level="LOUD")

    lines = [(entry.level, entry.message) for entry in stored().entries() if entry.logger_name == "refunc"]
    assert [line for line in lines if line[0] != "EXPERIMENT"] == [
        ("WARNING", "Low accuracy: below 0.3"), ("ERROR", "Low accuracy: again"), ("INFO", "Done: all")
    ]  # fmt: skip


def test_watch_is_told_once(wandb: Any, caplog: Any) -> None:
    with wandb.init(project="watch") as run:
        for _ in range(3):
            run.watch(object(), log="all", log_freq=10)
        wandb.unwatch()

    assert caplog.text.count("gradients are not recorded") == 1
