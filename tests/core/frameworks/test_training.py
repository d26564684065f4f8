"""The run of a training: the one around it, or one of its own, with its end."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from refunc.frameworks import Training, caller, log_model
from refunc.logging import ExperimentTracker, MLLogger, active_run, experiment_context
from refunc.runs import open_store


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "experiments"))
    return tmp_path / "experiments"


def statuses(store: Path) -> dict[str, str]:
    return {run.experiment_name: run.status for run in open_store(store).runs()}


def test_it_opens_a_run_and_ends_it(store: Path) -> None:
    training = Training("boosting")
    training.begin().log_metrics({"loss": 0.5}, step=1)
    assert statuses(store) == {"boosting": "running"}
    training.end()
    assert statuses(store) == {"boosting": "completed"}


def test_it_is_a_part_of_the_run_around_it_and_does_not_end_it(store: Path) -> None:
    training = Training("boosting")
    with experiment_context("outer") as run:
        assert training.begin().run_id == run.run_id
        training.end("failed")
        assert run.status == "running"
    assert statuses(store) == {"outer": "completed"}


def test_a_run_that_a_logger_started_is_around_it_too(store: Path) -> None:
    logger = MLLogger("train")
    logger.start_experiment("outer")
    assert Training("boosting").begin().run_id == logger.get_experiment_context().run_id
    logger.end_experiment()


class Callbacks:
    """A framework's list of callbacks."""


def test_a_training_that_begins_twice_in_one_list_of_callbacks_is_told(store: Path) -> None:
    training, callbacks, others = Training("boosting"), Callbacks(), Callbacks()
    training.begin(callbacks)
    with pytest.raises(ValueError, match=r"The same callback is given twice\. Give it once"):
        training.begin(callbacks)
    training.rest()
    training.begin(callbacks)
    training.end()
    training.begin(callbacks)
    training.begin(others)
    training.end()
    assert [run.status for run in open_store(store).runs()] == ["completed", "completed", "failed", "completed"]


def test_a_given_tracker_comes_before_all_and_stays_open(store: Path) -> None:
    tracker = ExperimentTracker("mine")
    training = Training("boosting", tracker=tracker)
    with experiment_context("outer"):
        training.begin().log_metrics({"loss": 1.0})
    training.end()
    assert tracker.status == "running"
    tracker.end_run()


def test_a_training_that_raised_is_failed_when_the_next_begins(store: Path) -> None:
    training = Training("boosting")
    first = training.begin()
    second = training.begin()
    training.end()
    assert (first.status, second.status) == ("failed", "completed")
    assert first.run_id != second.run_id


def test_a_training_that_is_over_leaves_its_run_open_until_the_next(store: Path) -> None:
    first, second = Training("first"), Training("second")
    tracker = first.begin()
    first.rest()
    tracker.log_metrics({"val/loss": 1.0}, step=1)
    assert statuses(store) == {"first": "running"}
    assert second.begin().run_id != tracker.run_id
    assert statuses(store) == {"first": "completed", "second": "running"}
    second.end()


def test_the_run_of_a_training_is_not_around_another_one(store: Path) -> None:
    first, second = Training("first"), Training("second")
    assert first.begin().run_id != second.begin().run_id
    second.end()
    first.end()
    assert statuses(store) == {"first": "completed", "second": "completed"}


def test_a_trial_is_a_child_of_the_run_around(store: Path) -> None:
    with experiment_context("search") as around:
        for _ in range(2):
            trial = Training("search", is_trial=True)
            assert trial.begin().run_id != around.run_id
            trial.end()
    assert [run.birth["parent_id"] for run in open_store(store).runs()] == [None, around.run_id, around.run_id]


def test_a_rank_that_no_launcher_knows_opens_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training("one of many")
    training.join()
    assert not training.is_open
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    training.join()
    assert training.is_open
    training.end()


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("training.rest()", "completed"),
        ("training.end()", "completed"),
        ("", "failed"),
        ("raise ValueError", "failed"),
        ("training.rest(); raise ValueError", "failed"),
        ("raise KeyboardInterrupt", "interrupted"),
    ],
)
def test_a_training_that_has_not_come_to_its_end_has_failed(store: Path, ending: str, status: str) -> None:
    script = f"from refunc.frameworks import Training; training = Training('e'); training.begin()\n{ending}"
    subprocess.run([sys.executable, "-c", script], capture_output=True)
    (run,) = open_store(store).runs()
    assert run.status == status
    assert run.summary.end is not None
    assert bool(run.summary.end.error) is (status != "completed")


def test_the_state_of_a_checkpoint_goes_on_with_the_run_or_rewinds_the_one_around(store: Path) -> None:
    training = Training("e")
    for step in range(4):
        training.tracker.log_metrics({"loss": 1.0}, step=step)
    state = {**training.tracker.state_dict(), "step": 1}
    training.end()
    Training("e", resume=state).begin().end_run()
    run = open_store(store)[state["run_id"]]
    assert (run.attempt, list(run.metrics("loss").steps)) == (2, [0, 1])
    with experiment_context("e", resume=state["run_id"]) as around:
        around.log_metrics({"loss": 1.0}, step=5)
        assert Training("e", resume={**state, "step": 0}).begin().run_id == around.run_id
    assert list(open_store(store)[state["run_id"]].metrics("loss").steps) == [0, 5]


def test_lines_of_the_framework_are_in_the_run_while_the_training_has_one(store: Path) -> None:
    library = logging.getLogger("framework.loop")
    logging.getLogger("framework").propagate = False
    training = Training("e", lines_of=("framework",))
    library.warning("before")
    run_id = training.begin().run_id
    library.warning("within")
    training.rest()
    library.warning("evaluating")
    training.tracker.end_run()
    library.warning("after")
    training.end()
    library.warning("long after")
    with experiment_context("e"):
        pass
    entries = [
        entry for run in open_store(store).runs() for entry in run.entries() if entry.logger_name == library.name
    ]
    assert [(entry.run_id, entry.message) for entry in entries] == [(run_id, "within"), (run_id, "evaluating")]


@pytest.mark.parametrize("shows", [True, False])
def test_metrics_that_the_framework_shows_are_not_shown_again(
    store: Path, capsys: pytest.CaptureFixture[str], shows: bool
) -> None:
    training = Training("e", shows_metrics=shows)
    for step in range(2):
        training.tracker.log_metrics({"loss": 0.5}, step=step)
    training.end()
    assert capsys.readouterr().err.count(" METRIC ") == (2 if shows else 0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda training: pickle.loads(pickle.dumps(training))])
def test_a_copy_logs_to_the_same_run(store: Path, copied: object) -> None:
    training = Training("boosting")
    tracker = training.begin()
    assert copied(training).tracker.run_id == tracker.run_id  # type: ignore[operator]
    training.end()


class Loop:
    """As a framework's list of callbacks: it lives as long as the training."""

    def run(self, training: Training) -> ExperimentTracker:
        return begin_below(training)


def begin_below(training: Training) -> ExperimentTracker:
    return training.begin(within=caller(Loop))


def test_a_training_that_raised_is_failed_as_soon_as_the_framework_lets_go(store: Path) -> None:
    training, loop = Training("boosting"), Loop()
    tracker = loop.run(training)
    assert tracker.status == "running"
    del loop
    assert tracker.status == "failed"


def test_the_end_of_a_training_does_not_end_the_next(store: Path) -> None:
    training, loop = Training("boosting"), Loop()
    first = loop.run(training)
    training.end()
    second = training.begin()
    del loop
    assert (first.status, second.status) == ("completed", "running")
    training.end()


def test_an_end_that_a_framework_does_not_tell_is_found_out(store: Path) -> None:
    training, loop = Training("boosting"), Loop()
    with experiment_context("outer") as run:
        training.begin(within=loop, ended=lambda: training.tracker.log_result("best", 3))
        del loop
    assert open_store(store)[run.run_id].summary.metrics["best"].last == 3


def test_caller_finds_what_calls() -> None:
    assert caller(Loop) is None


def test_a_training_without_its_end_is_failed_with_the_process(store: Path) -> None:
    script = "from refunc.frameworks import Training; import sys; Training('boosting').begin(within=sys.modules['os'])"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert statuses(store) == {"boosting": "failed"}


def test_trainings_beside_each_other_have_runs_of_their_own(store: Path) -> None:
    together = Barrier(3)

    def train(number: int) -> str | None:
        training = Training("boosting", tracker=None)
        tracker = training.begin()
        together.wait(10)
        tracker.log_metrics({"number": number})
        training.end()
        return tracker.run_id

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(train, range(3)))) == 3
    assert [run.status for run in open_store(store).runs()] == ["completed"] * 3


def test_a_training_again_after_one_that_raised_is_not_a_part_of_it(store: Path) -> None:
    failed = Training("boosting")  # a notebook keeps the exception, and with it the framework's objects
    first = failed.begin()
    second = Training("boosting").begin()
    third = Training("another").begin()
    assert (first.status, second.status, third.status) == ("failed", "running", "running")
    assert len({first.run_id, second.run_id, third.run_id}) == 3
    for tracker in (third, second):
        tracker.end_run()


def test_active_run_does_not_guess(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = ExperimentTracker("first"), ExperimentTracker("second")
    first.start_run()
    second.start_run()
    assert active_run() is None
    assert "which one is meant" not in capsys.readouterr().err
    second.end_run()
    first.end_run()


def test_active_run_opens_nothing(store: Path) -> None:
    assert active_run() is None
    assert not store.exists()
    with experiment_context("outer") as run:
        inner = active_run()
        assert inner is not None
        assert inner.run_id == run.run_id
        inner.log_metrics({"loss": 1.0}, step=3)
    assert active_run() is None
    assert list(open_store(store)[run.run_id].metrics("loss").steps) == [3]


def test_what_begins_again_may_go_on_with_the_run_of_its_own(store: Path) -> None:
    training = Training("vision", goes_on=True)
    first = training.begin()
    training.end("failed")
    with experiment_context("around"):
        assert training.tracker.run_id == first.run_id
    training.end()
    assert statuses(store) == {"vision": "completed", "around": "completed"}
    assert open_store(store)[first.run_id or ""].attempt == 2


def test_two_trainings_that_go_on_do_not_end_each_other(store: Path) -> None:
    first, second = Training("vision", goes_on=True), Training("vision", goes_on=True)
    trackers = [first.begin(), second.begin()]
    assert [tracker.status for tracker in trackers] == ["running", "running"]
    first.end()
    second.end()


def test_a_run_that_a_call_has_opened_is_around_nothing(store: Path) -> None:
    MLLogger("script").log_metrics({"x": 1.0})
    training = Training("vision")
    assert training.begin().experiment_name == "vision"
    training.end()


def test_lines_go_to_the_run_of_the_training_while_others_are_open(store: Path) -> None:
    library = logging.getLogger("library")
    with experiment_context("another"):
        training = Training("vision", tracker=ExperimentTracker("vision"), lines_of=("library",))
        run_id = training.begin().start_run()
        library.warning("a line")
        training.end()
        library.warning("behind the training")
        training.tracker.end_run()
    lines = [entry.message for entry in open_store(store)[run_id].entries() if entry.logger_name == "library"]
    assert lines == ["a line"]


def test_a_model_that_goes_on_rewinds_the_run_that_is_resumed(store: Path) -> None:
    training = Training("boosting")
    tracker = training.begin()
    for step in range(6):
        tracker.log_metrics({"loss": 1.0}, step=step)
    training.end()
    training = Training("boosting", resume=True)
    training.begin(first_step=4).log_metrics({"loss": 0.5}, step=4)
    training.end()

    (run,) = open_store(store).runs()
    assert list(run.metrics("loss").values) == [1, 1, 1, 1, 0.5]


def test_a_model_is_kept_and_one_that_cannot_be_is_a_warning(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuses(path: str) -> None:
        raise OSError("no space left")

    with experiment_context("study") as tracker:
        log_model(tracker, "model.txt", lambda path: Path(path).write_text("weights"))
        log_model(tracker, "other.txt", refuses)

    (run,) = open_store(store).runs()
    assert [(each.name, each.type, each.size) for each in run.artifacts] == [("model.txt", "model", 7)]
    assert "other.txt could not be written: no space left" in capsys.readouterr().err


def test_what_is_no_tracker_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="not an ExperimentTracker"):
        Training("boosting", tracker=MLLogger("mine"))  # type: ignore[arg-type]


def test_a_training_that_rests_outlives_the_frameworks_object(store: Path) -> None:
    training, loop = Training("boosting"), Loop()
    tracker = loop.run(training)
    training.rest()
    del loop
    assert tracker.status == "running"
    training.leave()
    assert tracker.status == "completed"


def test_an_exception_that_was_handled_before_is_not_the_reason(store: Path) -> None:
    """A script trains again, with less, where the first training has raised."""
    training = Training("boosting")
    try:
        raise MemoryError
    except MemoryError as error:
        again = training.begin()
        training.end(error=error)
    training.begin()
    training.end(error=ValueError("another"))
    assert again.status == "completed"
    assert sorted(run.status for run in open_store(store)) == ["completed", "failed"]
