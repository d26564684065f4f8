"""RefuncTracker in loops with accelerate: the demands on any tracker, and the records of the run."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.logging import get_logger
from accelerate.state import AcceleratorState, PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, register_tracker_class

from refunc.frameworks.accelerate import RefuncTracker
from refunc.logging import experiment_context
from refunc.runs import open_store
from refunc.runs.run import Run

pytestmark = pytest.mark.usefixtures("clean_process")

CONFIG = {"num_iterations": 12, "learning_rate": 1e-2, "some_boolean": False, "some_string": "some_value"}


@pytest.fixture(autouse=True)
def accelerate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    before = set(os.environ)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    assert set(os.environ) - before - {"REFUNC_MODE"} == set()


def runs(store: str = "experiments") -> list[Run]:
    return list(open_store(Path(store)).runs())


def test_an_instance_has_the_config_and_the_values() -> None:
    tracker = RefuncTracker("vision", run_name="first")
    accelerator = Accelerator(log_with=tracker)
    accelerator.init_trackers("not heard", CONFIG)
    accelerator.log({"total_loss": 0.1, "iteration": 1, "my_text": "some_value"}, step=0)
    accelerator.log({"total_loss": torch.tensor(0.5), "epoch": 1}, step=1)
    accelerator.log({"eval": {"accuracy": torch.tensor([0.25])}}, step=1, log_kwargs={"refunc": {"epoch": 2}})
    accelerator.end_training()

    (run,) = runs()
    assert (run.experiment_name, run.run_name, run.status, run.params) == ("vision", "first", "completed", CONFIG)
    assert list(run.metrics("total_loss").values) == [0.1, 0.5]
    assert list(run.metrics("total_loss").epochs)[1] == 1
    accuracy = run.metrics("eval/accuracy")
    assert (list(accuracy.values), list(accuracy.steps), list(accuracy.epochs)) == ([0.25], [1], [2])
    assert "some_value" in [entry.metrics.get("my_text") for entry in run.entries()]


def test_it_can_be_named_once_it_is_registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("accelerate.tracking.LOGGER_TYPE_TO_CLASS", LOGGER_TYPE_TO_CLASS)
    register_tracker_class(RefuncTracker)
    try:
        accelerator = Accelerator(log_with=["refunc"], project_dir="project")
        options = {"run_name": "named", "logging_dir": tmp_path / "store"}
        accelerator.init_trackers("by name", CONFIG, init_kwargs={"refunc": options})
        accelerator.log({"loss": 1.0})
        found = accelerator.get_tracker("refunc")
        assert accelerator.get_tracker("refunc", unwrap=True) is found.tracker
        accelerator.end_training()
    finally:
        del LOGGER_TYPE_TO_CLASS["refunc"]
    (run,) = runs(str(tmp_path / "store"))
    assert (run.experiment_name, run.run_name, run.status) == ("by name", "named", "completed")


def test_a_value_without_a_step_is_at_the_next_one() -> None:
    accelerator = Accelerator(log_with=RefuncTracker())
    accelerator.init_trackers("e")
    values = {"loss": 0.5}
    for step in (None, None, 3, None):
        accelerator.log(values, step=step)
    accelerator.log({"loss": 0.5, "step": 9})
    accelerator.log(values)
    accelerator.end_training()
    assert values == {"loss": 0.5}
    assert list(runs()[0].metrics("loss").steps) == [0, 1, 3, 4, 9, 10]


def test_to_make_one_touches_no_state_of_processes() -> None:
    PartialState._reset_state()
    tracker = RefuncTracker("e")
    assert PartialState._shared_state == {}
    assert isinstance(tracker, GeneralTracker)
    assert tracker.tracker is None
    assert not Path("experiments").exists()


def test_the_run_around_is_the_run_and_stays_open() -> None:
    with experiment_context("mine") as around:
        accelerator = Accelerator(log_with=RefuncTracker())
        accelerator.init_trackers("e", CONFIG)
        accelerator.log({"loss": 1.0})
        accelerator.end_training()
        assert around.status == "running"
    assert [run.params for run in runs()] == [CONFIG]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("lost"), "failed"), (KeyboardInterrupt(), "interrupted"), (None, "completed")]
)
def test_the_end_tells_of_the_exception_that_is_the_reason(error: BaseException | None, status: str) -> None:
    accelerator = Accelerator(log_with=RefuncTracker())
    try:
        raise RuntimeError("another training, which is made up for in this handler")
    except RuntimeError:
        accelerator.init_trackers("e")
        try:
            if error is not None:
                raise error
        except BaseException:
            accelerator.end_training()
        else:
            accelerator.end_training()
    assert [run.status for run in runs()] == [status]


def test_lines_of_every_logger_are_in_the_run_while_it_is_open() -> None:
    accelerator = Accelerator(log_with=RefuncTracker())
    lines = [get_logger("project.data"), get_logger("__main__"), get_logger("accelerate.tracking")]
    lines[0].warning("before")
    accelerator.init_trackers("e")
    for logger in lines:
        logger.warning("within")
    accelerator.end_training()
    lines[0].warning("after")
    found = [(entry.logger_name, entry.message) for entry in runs()[0].entries() if entry.level == "WARNING"]
    assert found == [(logger.logger.name, "[RANK 0] within") for logger in lines]


def a_training(tracker: RefuncTracker, *, resume: str = "", first: bool = False) -> None:
    """Train up to step 6 with a checkpoint at step 2, or from there on."""
    accelerator = Accelerator(log_with=tracker)
    accelerator.register_for_checkpointing(tracker)
    if resume and first:
        accelerator.load_state(resume)
    accelerator.init_trackers("e", CONFIG)
    if resume and not first:
        accelerator.load_state(resume)
    for step in range(3 if resume else 0, 6):
        accelerator.log({"loss": 2.0 if resume else 1.0})
        if step == 2:
            accelerator.save_state("checkpoint")
    accelerator.end_training()


@pytest.mark.parametrize("first", [True, False])
def test_a_training_goes_on_in_its_run_from_the_step_of_the_checkpoint(first: bool) -> None:
    a_training(RefuncTracker("vision"))
    AcceleratorState._reset_state(reset_partial_state=True)
    a_training(RefuncTracker("vision"), resume="checkpoint", first=first)
    run, *others = runs()
    assert (run.attempt, run.status, [other.status for other in others]) == (
        2,
        "completed",
        [] if first else ["superseded"],
    )
    loss = run.metrics("loss")
    assert (list(loss.steps), list(loss.values)) == ([0, 1, 2, 3, 4, 5], [1.0] * 3 + [2.0] * 3)


def test_a_run_that_is_open_goes_back_to_the_checkpoint_of_its_own() -> None:
    tracker = RefuncTracker("vision")
    a_training(tracker)
    AcceleratorState._reset_state(reset_partial_state=True)
    a_training(RefuncTracker("vision", resume=True), resume="checkpoint")
    (run,) = runs()
    assert (run.attempt, list(run.metrics("loss").values)) == (2, [1.0] * 3 + [2.0] * 3)


def test_a_checkpoint_whose_run_is_not_here_gets_a_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    a_training(RefuncTracker("vision"))
    AcceleratorState._reset_state(reset_partial_state=True)
    capsys.readouterr()
    a_training(RefuncTracker("vision", logging_dir="elsewhere"), resume="checkpoint", first=True)
    assert capsys.readouterr().err.count("WARNING") == 1
    assert [list(run.metrics("loss").steps) for run in runs("elsewhere")] == [[3, 4, 5]]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda tracker: pickle.loads(pickle.dumps(tracker))])
def test_a_copy_logs_to_the_same_run(copied: Any) -> None:
    tracker = copied(RefuncTracker("e"))
    accelerator = Accelerator(log_with=tracker)
    accelerator.init_trackers("e")
    copied(tracker).log({"loss": 1.0})
    accelerator.log({"loss": 2.0})
    accelerator.end_training()
    assert sorted(runs()[0].metrics("loss").values) == [1.0, 2.0]
    copied(tracker)


@pytest.mark.parametrize("trouble", ["disabled", "a file"])
def test_no_trouble_reaches_the_training(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if trouble == "disabled":
        monkeypatch.setenv("REFUNC_MODE", "disabled")
    else:
        Path("experiments").write_text("no folder")
    tracker = RefuncTracker()
    a_training(tracker)
    tracker.log({"loss": object(), "step": "no step"})
    tracker.log({}, "no step")  # type: ignore[arg-type]
