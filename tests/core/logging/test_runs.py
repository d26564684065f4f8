"""Which run a call belongs to, and how runs begin and end."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refunc.logging import ExperimentTracker, MLLogger, RunHandler, experiment_context
from refunc.runs import Run, Store, open_store


def only_run() -> Run:
    (run,) = open_store()
    return run


def named(name: str) -> Run:
    return open_store()[name]


def values(run: Run, metric: str = "loss") -> list[float]:
    return [entry.metrics[metric] for entry in run.entries() if metric in entry.metrics]


def test_a_logger_made_outside_a_context_logs_into_it() -> None:
    logger = MLLogger("outside")

    with experiment_context("images", "resnet_v1") as run:
        logger.log_hyperparams({"lr": 0.001})
        logger.log_metrics({"loss": 0.5}, step=1)

    found = only_run()
    assert (found.run_id, found.run_name, found.experiment_name) == (run.run_id, "resnet_v1", "images")
    assert found.summary.params == {"lr": 0.001}
    assert found.status == "completed"


def test_nested_contexts_restore_the_outer_run_and_the_inner_one_knows_its_parent() -> None:
    logger = MLLogger("nested")

    with experiment_context("search", "outer") as outer:
        with experiment_context("search", "inner"):
            logger.log_metrics({"loss": 1.0})
        logger.log_metrics({"loss": 2.0})

    assert values(named("inner")) == [1.0]
    assert values(named("outer")) == [2.0]
    assert named("inner").birth["parent_id"] == outer.run_id
    assert named("outer").birth["parent_id"] is None


def test_an_explicit_run_comes_before_the_ambient_one_in_whose_block_it_was_started() -> None:
    explicit, ambient = MLLogger("explicit"), MLLogger("ambient")

    with experiment_context("theirs", "ambient-run"):
        explicit.start_experiment("mine", "explicit-run")
        explicit.log_metrics({"loss": 1.0})
        ambient.log_metrics({"loss": 2.0})
    explicit.end_experiment()

    assert values(named("explicit-run")) == [1.0]
    assert values(named("ambient-run")) == [2.0]


def test_asyncio_tasks_stay_apart() -> None:
    logger = MLLogger("tasks")

    async def train(number: int) -> None:
        with experiment_context("tasks", f"task-{number}"):
            for step in range(100):
                logger.log_metrics({"loss": float(number)}, step=step)
                if step % 10 == 0:
                    await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(train(1), train(2))

    asyncio.run(main())

    assert values(named("task-1")) == [1.0] * 100
    assert values(named("task-2")) == [2.0] * 100


def test_a_pool_of_threads_logs_into_the_only_open_run() -> None:
    logger = MLLogger("pool")

    with experiment_context("pool", "the-run"), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda value: logger.log_metrics({"loss": float(value)}), range(100)))

    assert sorted(values(named("the-run"))) == [float(value) for value in range(100)]


def test_a_thread_that_cannot_know_its_run_uses_the_implicit_one_and_one_warning_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = MLLogger("lost")

    with experiment_context("e", "one"), experiment_context("e", "two"):
        for _ in range(2):
            thread = threading.Thread(target=logger.log_metrics, args=({"loss": 7.0},))
            thread.start()
            thread.join()
    logger.flush()

    assert values(named("lost")) == [7.0, 7.0]
    assert [record.name for record in caplog.records if "2 runs are open" in record.getMessage()] == ["refunc.runs"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(3), "failed"),
        (SystemExit("message"), "failed"),
        (SystemExit(0), "completed"),
        (SystemExit(None), "completed"),
    ],
)
def test_a_context_ends_as_its_block_does(error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), experiment_context("ends", "badly"):
        raise error

    found = only_run()
    assert found.status == status
    trace = found.summary.end and found.summary.end.error
    assert (type(error).__name__ in (trace or "")) == (status != "completed")


@pytest.mark.parametrize("seconds", [-3_600, 3_600])
def test_a_clock_that_is_set_makes_no_duration_of_it(
    seconds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import time

    real = time.time
    with experiment_context("clock", "set"):
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    end = only_run().summary.end
    assert end is not None
    assert 0 <= end.duration < 60
    assert end.time == pytest.approx(real() + seconds, abs=60)
    assert "completed in 0." in capsys.readouterr().err


def test_the_same_name_again_is_a_new_run_and_the_name_finds_the_newest() -> None:
    for value in (1.0, 2.0):
        with experiment_context("again", "same") as run:
            run.log_metrics({"loss": value})

    assert len(list(open_store())) == 2
    assert values(named("same")) == [2.0]


def test_starting_while_one_is_open_ends_that_one_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("twice")

    logger.start_experiment("e", "first")
    logger.start_experiment("e", "second")

    assert named("first").status == "completed"
    assert named("second").status == "running"
    assert sum("first was still open" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("by_tracker", [True, False])
@pytest.mark.parametrize(
    ("given", "status", "tags"),
    [
        ("running", "completed", {"status": "running"}),
        ("Crashed", "completed", {"status": "Crashed"}),
        ("unreadable", "completed", {"status": "unreadable"}),
        ("COMPLETED", "completed", {}),
        ("Failed", "failed", {}),
        ("Gave up", "Gave up", {}),
    ],
)
def test_a_run_ends_with_a_status_that_says_so(
    given: str, status: str, tags: dict[str, str], by_tracker: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if by_tracker:
        tracker = ExperimentTracker("e")
        tracker.start_run()
        tracker.end_run(given)
    else:
        logger = MLLogger("ends")
        logger.start_experiment("e")
        logger.end_experiment(given)

    found = only_run()
    assert (found.status, found.summary.tags) == (status, tags)
    assert sum("is for runs that have not ended" in record.getMessage() for record in caplog.records) == len(tags)


def test_end_experiment_records_status_and_final_metrics() -> None:
    logger = MLLogger("final")

    logger.start_experiment("images", "experiment_001", parameters={"lr": 1}, tags={"team": "a"})
    logger.end_experiment(status="stopped early", final_metrics={"accuracy": 0.95})

    found = only_run()
    assert found.status == "stopped early"
    assert found.summary.end is not None
    assert found.summary.end.metrics == {"accuracy": 0.95}
    assert (found.summary.params, found.summary.tags) == ({"lr": 1}, {"team": "a"})
    assert values(found, "accuracy")[0] == 0.95


def test_a_data_call_outside_any_run_opens_one_implicit_run_and_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, two = MLLogger("one"), MLLogger("two")

    one.log_metrics({"loss": 1.0})
    two.log_metrics({"loss": 2.0})
    one.set_tag("kind", "implicit")

    assert values(only_run()) == [1.0, 2.0]
    shown = capsys.readouterr().err
    assert shown.count("an implicit run was opened: experiments/") == 1


def test_the_context_is_that_of_the_last_run_after_its_end() -> None:
    logger = MLLogger("after")
    logger.start_experiment("image_classification", "experiment_001")
    logger.log_metrics({"loss": 0.5}, step=1)
    logger.log_metrics({"loss": 0.25}, step=2)
    logger.end_experiment()
    logger.set_step(100)

    context = logger.get_experiment_context()

    assert context is not None
    assert (context.experiment_name, context.status, context.step) == ("image_classification", "completed", 100)
    assert context.metrics == {"loss": 0.25}


def test_a_tracker_names_its_store_and_starts_by_itself() -> None:
    tracker = ExperimentTracker("images", "baseline", log_dir="elsewhere")
    assert not Path("elsewhere").exists()

    tracker.log_params({"lr": 0.001})
    tracker.log_tags({"model": "resnet50"})
    tracker.end_run(status="completed")

    (found,) = Store(Path("elsewhere"))
    assert (found.summary.params, found.summary.tags) == ({"lr": 0.001}, {"model": "resnet50"})
    assert not Path("experiments").exists()


def test_the_store_is_where_refunc_dir_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUNC_DIR", "named")

    MLLogger("there").log_metrics({"loss": 1.0})

    assert len(list(Store(Path("named")))) == 1


def test_a_run_keeps_to_its_folder_when_the_working_folder_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = MLLogger("moving")
    Path("other").mkdir()
    with experiment_context("e", "run"):
        monkeypatch.chdir("other")
        logger.log_metrics({"loss": 1.0})
    monkeypatch.chdir("..")

    assert values(only_run()) == [1.0]
    assert list(Path("other").iterdir()) == []


def test_two_trackers_side_by_side_are_not_parent_and_child() -> None:
    one, two = ExperimentTracker("e", "one"), ExperimentTracker("e", "two")

    one.start_run()
    two.start_run()

    assert named("two").birth["parent_id"] is None


def test_what_is_logged_to_a_tracker_after_its_end_is_added_to_its_run(caplog: pytest.LogCaptureFixture) -> None:
    with experiment_context("e", "run") as run:
        run.log_metrics({"loss": 1.0})
    run.log_metrics({"loss": 2.0})
    run.flush()

    assert values(only_run()) == [1.0, 2.0]
    assert only_run().status == "completed"
    assert sum("has ended" in record.getMessage() for record in caplog.records) == 1


def test_an_implicit_run_says_at_exit_where_it_is(tmp_path: Path) -> None:
    script = "from refunc.logging import MLLogger; MLLogger('plain').log_metrics({'loss': 1.0})"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert re.search(r"run plain/\w{8} completed in [\d.]+ s, .*: experiments/", done.stderr.splitlines()[-1])


def test_a_failed_runs_traceback_begins_in_the_users_code() -> None:
    with pytest.raises(ValueError, match="bad"), experiment_context("ends", "badly"):
        raise ValueError("bad")

    end = only_run().summary.end
    assert end is not None
    assert end.error is not None
    assert end.error.splitlines()[1].lstrip().startswith(f'File "{__file__}"')


def test_after_nested_runs_the_last_one_is_the_one_that_ended_last() -> None:
    logger = MLLogger("nested")
    with experiment_context("e", "outer"):
        logger.log_metrics({"loss": 1.0})
        with experiment_context("e", "inner"):
            logger.log_metrics({"loss": 2.0})

    context = logger.get_experiment_context()
    assert context is not None
    assert context.run_name == "outer"


def test_a_huge_traceback_keeps_its_beginning_and_its_end() -> None:
    with pytest.raises(ValueError, match="x"), experiment_context("ends", "hugely"):
        raise ValueError("x" * 3_000_000 + "the end")

    end = only_run().summary.end
    assert end is not None
    assert end.error is not None
    assert len(end.error) < 70_000
    assert end.error.startswith("Traceback")
    assert end.error.rstrip().endswith("the end")


def test_a_line_that_cannot_know_its_run_goes_to_the_implicit_one_not_to_the_next() -> None:
    logger = MLLogger("lost")
    handler = RunHandler()
    logging.getLogger("theirs").addHandler(handler)

    def work() -> None:
        logger.error("worker error")
        logging.getLogger("theirs").warning("their warning")

    with experiment_context("e", "one"), experiment_context("e", "two"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    with experiment_context("e", "unrelated"):
        pass
    logger.flush()

    assert [entry.message for entry in named("lost").entries()][1:3] == ["worker error", "their warning"]
    assert "worker error" not in [entry.message for entry in named("unrelated").entries()]


def test_a_level_may_be_assigned_by_name_and_a_wrong_one_is_said_at_once() -> None:
    logger = MLLogger("assigned")

    logger.level = "DEBUG"
    logger.debug("seen")
    with pytest.raises(ValueError, match="level: 'LOUD'"):
        logger.level = "LOUD"

    assert [entry.message for entry in logger.get_log_entries()] == ["seen"]
