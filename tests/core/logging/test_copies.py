"""Loggers, trackers, and objects that are handed around with them, in copies and pickles of this process."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import (
    EpochTracker,
    ExperimentTracker,
    MLLogger,
    ProgressTracker,
    RunHandler,
    TqdmProgressTracker,
    auto_configure_integrations,
    experiment_context,
    get_logger,
)
from refunc.runs import open_store


def through_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


class Holder:
    """As a dataset, a model or a callback holds a logger."""

    def __init__(self, held: Any) -> None:
        self.held = held


LIVING = {
    "logger": lambda: MLLogger("copied", "ERROR"),
    "get_logger": lambda: get_logger("copied by name"),
    "tracker": lambda: ExperimentTracker("e"),
    "progress": lambda: ProgressTracker(10),
    "epochs": lambda: EpochTracker(3),
    "tqdm": lambda: TqdmProgressTracker(10),
}


@pytest.mark.parametrize("make", LIVING.values(), ids=LIVING)
def test_a_copy_is_the_thing_itself(make: Any) -> None:
    thing = make()

    assert copy.copy(thing) is thing
    assert copy.deepcopy(Holder(thing)).held is thing


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_logger_comes_back_as_the_living_one_of_its_name(protocol: int) -> None:
    logger = MLLogger("living", "ERROR")
    logger.start_experiment("e")
    logger.log_metrics({"loss": 1.0})

    assert pickle.loads(pickle.dumps(Holder(logger), protocol)).held is logger
    logger.end_experiment()


def test_a_logger_that_nobody_has_comes_back_with_its_settings() -> None:
    logger = MLLogger(
        "gone", "WARNING", "other logs", False, False, True, max_log_files=3, max_file_size="5MB", durability="process"
    )
    logger.set_level("ERROR")
    settings = _settings(logger)
    data = pickle.dumps(logger)
    del logger
    gc.collect()

    back = pickle.loads(data)

    assert _settings(back) == settings
    assert back.log_dir == Path("other logs").absolute()
    assert get_logger("gone") is back, "as in stdlib logging, it stays"


def _settings(logger: MLLogger) -> Any:
    return {name: vars(logger)[name] for name in ("name", "_look", "_level", "log_dir", "_is_tracking", "_durability")}


def test_a_pickle_of_a_logger_holds_no_secret(probes: Any) -> None:
    logger = MLLogger("with a secret", "ERROR")
    logger.add_integration(probes.ProbeIntegration(token="hunter2"))

    assert b"hunter2" not in pickle.dumps(logger)


def test_a_tracker_that_was_not_started_comes_back_as_it_was_configured() -> None:
    tracker = ExperimentTracker("digits", "net", "elsewhere", logger=MLLogger("shows", "ERROR"), durability="process")

    back = through_pickle(tracker)

    assert (back.run_id, back.folder) == (None, None)
    back.log_metrics({"loss": 1.0})
    back.end_run()
    [run] = open_store("elsewhere")
    assert (run.experiment_name, run.run_name, run.status) == ("digits", "net", "completed")
    assert tracker.run_id is None, "the other one has a run of its own"


def test_a_tracker_comes_back_as_its_run() -> None:
    tracker = ExperimentTracker("digits", "net", logger=MLLogger("shows", "ERROR"))
    tracker.start_run()
    tracker.log_metrics({"loss": 1.0})

    back = through_pickle(Holder(tracker)).held
    back.log_metrics({"loss": 2.0})
    assert back.run_id == tracker.run_id
    tracker.end_run()
    ended = through_pickle(tracker)

    assert (ended.run_id, ended.context.status) == (tracker.run_id, "completed")
    [run] = open_store()
    assert run.summary.points == 2


@pytest.mark.parametrize("how", ["ended", "never ended"])
def test_a_later_program_finds_the_tracker_of_a_run_that_is_over(how: str, finished: Any) -> None:
    code = """
import pickle, pathlib
from refunc.logging import ExperimentTracker, MLLogger
tracker = ExperimentTracker("digits", "net", logger=MLLogger("shows", "ERROR"))
tracker.start_run(); tracker.log_metrics({"loss": 1.0}, step=0); tracker.log_hyperparams({"lr": 0.1})
if HOW == "ended": tracker.end_run()
pathlib.Path("tracker.pickle").write_bytes(pickle.dumps(tracker))
if HOW == "never ended": tracker.flush(); import os; os._exit(0)
"""
    returned, _, err = finished(code.replace("HOW", repr(how)), prelude="")
    assert returned == 0, err

    tracker = pickle.loads(Path("tracker.pickle").read_bytes())
    [before] = open_store()
    assert tracker.run_id == before.run_id
    assert tracker.context.parameters == {"lr": 0.1}
    tracker.log_metrics({"loss": 0.5}, step=1)
    assert tracker.flush()
    tracker.end_run()

    [run] = open_store()
    assert run.status == ("completed" if how == "ended" else "crashed"), "never ended by who did not open it"
    assert [value for _, value in run.metrics("loss")] == [1.0, 0.5]


def test_a_tracker_whose_run_is_out_of_reach_says_so_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with experiment_context("digits", "net", logger=MLLogger("shows", "ERROR")) as tracker:
        data = pickle.dumps(tracker)
        folder, run_id = tracker.folder, tracker.run_id
    del tracker
    gc.collect()
    assert folder is not None
    folder.rename("taken away")
    _forget_runs()

    back = pickle.loads(data)
    back.log_metrics({"loss": 1.0})
    back.end_run()

    assert f"run {run_id} cannot be found in {folder}" in caplog.text
    [run] = open_store()
    assert (run.run_name, run.summary.points, run.status) == ("net", 1, "completed")
    assert run.birth["parent_id"] is None


def _forget_runs() -> None:
    """Be a process that has never heard of the runs of this one."""
    from refunc.logging import copies, current
    from refunc.logging.active import living

    current.last_ended = None
    living._living.clear()
    copies._trackers.clear()


def test_progress_comes_back_as_it_was_made_without_a_display() -> None:
    logger = MLLogger("shows", "ERROR")
    progress = ProgressTracker(10, "Training", logger, unit="batch")
    epochs = EpochTracker(3, 5, logger)
    with open("bar", "w") as stream, progress, epochs:
        bar = TqdmProgressTracker(10, "Loading", logger=logger, unit="B", unit_scale=True, file=stream)
        progress.update(4, loss=1.0)
        bar.update(4)
        epochs.update_step(1, loss=1.0)
        back, back_bar, back_epochs = through_pickle((progress, bar, epochs))
        bar.finish()

    assert (back.total, back.description, back.unit, back._logger) == (10, "Training", "batch", logger)
    assert (back.completed, back._bar) == (0, None)
    assert (back_bar.total, back_bar.description, back_bar.unit) == (10, "Loading", "B")
    assert back_bar._options == {"unit": "B", "unit_scale": True}
    assert (back_epochs.total_epochs, back_epochs.steps_per_epoch, back_epochs.epoch) == (3, 5, None)
    for each in (back, back_bar):
        each.update(10)
        each.finish()


def test_what_is_read_back_can_be_pickled_and_copied() -> None:
    logger = MLLogger("reads", "INFO")
    with experiment_context("digits", "net", logger=logger, parameters={"lr": 0.1}) as tracker:
        logger.log_metrics({"loss": 1.0}, step=0)
        logger.info("a line", extra={"seconds": 2})
        context = tracker.context
        live_entries = logger.get_log_entries()
    store = open_store()
    run = store["net"]
    entries = list(run.entries())

    for make in (through_pickle, copy.deepcopy):
        assert make(context) == context
        assert make(live_entries) == live_entries
        assert make(entries) == entries
        assert make(list(run.records())) == list(run.records())
        assert [value for _, value in make(run.metrics("loss"))] == [1.0]
        assert make(run).run_id == run.run_id
        assert make(run).summary.points == 1
        assert make(store)["net"].run_id == run.run_id


def test_managers_and_handlers_are_copied_as_those_of_stdlib(probes: Any) -> None:
    manager = auto_configure_integrations()
    manager.add_integration("probe", probes.ProbeIntegration(token="hunter2"))

    for back in (through_pickle(manager), copy.deepcopy(manager)):
        assert "probe" in back
        assert back.get_integration("probe").token == "hunter2"

    handler = through_pickle(RunHandler("ERROR"))
    assert handler._least == logging.ERROR


class OwnLogger(MLLogger):
    """A logger class of a user's."""


def test_a_logger_of_a_class_of_its_own_comes_back_as_one() -> None:
    data = pickle.dumps(OwnLogger("own class", "ERROR"))
    gc.collect()
    MLLogger("own class", "ERROR")

    assert type(pickle.loads(data)) is OwnLogger


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_a_copy_of_what_start_experiment_returns_is_its_context(again: Any) -> None:
    logger = MLLogger("copied")
    started = logger.start_experiment("e", "r", parameters={"layers": [1, 2]}, tags={"fold": "1"})

    copied = again(started)

    context = logger.get_experiment_context()
    assert context is not None
    assert type(copied) is type(context)
    assert copied == started == context == started
    assert [started != context, context != started] == [False, False]
    assert (copied.parameters is started.parameters) == (again is copy.copy)
    logger.log_metric("loss", 0.5)
    assert logger.get_experiment_context() != started != "e"
    logger.end_experiment()
