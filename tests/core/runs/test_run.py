"""One run read from its folder: whole, live, torn, damaged, foreign."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line
from refunc.journal.reader import Account
from refunc.logging import ExperimentTracker
from refunc.runs import Run
from refunc.runs.errors import RunFormatError

WriteRun = Callable[..., Path]
METRICS = {"kind": "metrics", "metrics": {"loss": 0.5}}
END = {"kind": "end", "status": "completed", "duration": 12.5}


def tracked(**options: Any) -> ExperimentTracker:
    tracker = ExperimentTracker("images", "resnet_v1", **options)
    tracker.start_run()
    return tracker


def read(tracker: ExperimentTracker) -> Run:
    assert tracker.folder is not None
    return Run.open(tracker.folder)


def test_identity_comes_from_run_json() -> None:
    tracker = tracked()
    tracker.end_run()

    run = read(tracker)

    assert (run.run_id, run.run_name) == (tracker.run_id, "resnet_v1")
    assert (run.experiment_name, run.experiment_id, run.parent_id) == ("images", "images", None)
    assert abs(run.start_time - (run.folder / "run.json").stat().st_mtime) < 60


def test_a_run_without_a_name_goes_by_its_id() -> None:
    tracker = ExperimentTracker("images")
    tracker.start_run()
    tracker.end_run()

    assert read(tracker).run_name == tracker.run_id


def test_the_summary_is_what_the_journal_comes_to(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    with tracked() as tracker:
        tracker.log_hyperparams({"lr": 0.1, "layers": [1, 2]})
        tracker.log_hyperparams({"lr": 0.2})
        tracker.add_tags({"team": "vision"})
        for step in range(5):
            tracker.log_metrics({"loss": 1.0 / (step + 1)}, step=step)
        tracker.log_artifact("model.bin", "model")
        tracker.log_result("accuracy", 0.9)

    summary = read(tracker).summary

    assert summary.params == {"lr": 0.2, "layers": [1, 2]}
    assert summary.tags == {"team": "vision"}
    assert summary.last == {"loss": 0.2, "accuracy": 0.9}
    assert {name: metric.count for name, metric in summary.metrics.items()} == {"loss": 5, "accuracy": 1}
    assert summary.results == {"accuracy": 0.9}
    assert [(artifact.name, artifact.size) for artifact in summary.artifacts] == [("model.bin", 7)]
    assert (summary.points, summary.account) == (6, Account())
    assert summary.end is not None
    assert summary.end.status == "completed"


def test_a_failed_run_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), tracked() as tracker:
        _ = 1 / 0

    run = read(tracker)

    assert run.status == "failed"
    assert run.summary.end is not None
    assert "ZeroDivisionError" in (run.summary.end.error or "")


def test_a_live_run_can_be_read_while_it_is_written() -> None:
    tracker = tracked()
    run = read(tracker)
    seen = []
    for step in range(3):
        tracker.log_metrics({"loss": float(step)}, step=step)
        tracker.flush()
        seen.append(run.glance().metrics["loss"])

    assert seen == [0.0, 1.0, 2.0]
    tracker.end_run()


def test_reading_changes_nothing(contents: Callable[[Path], Any]) -> None:
    with tracked() as tracker:
        tracker.log_metrics({"loss": 0.5})
    run = read(tracker)
    before = contents(run.folder)

    _ = (run.status, run.duration, run.glance(), run.summary, list(run.entries()), list(run.records()))

    assert contents(run.folder) == before


def test_entries_come_oldest_first_or_newest_first() -> None:
    with tracked() as tracker:
        for step in range(3):
            tracker.log_metrics({"loss": float(step)}, step=step)
    run = read(tracker)

    forward = list(run.entries())

    assert list(run.entries(newest_first=True)) == forward[::-1]
    assert [entry.step for entry in forward if entry.level == "METRIC"] == [0, 1, 2]


# -- status, duration, glance -----------------------------------------------------------------------------------------


def test_the_end_is_found_behind_any_number_of_records_that_children_wrote_later(write_run: WriteRun) -> None:
    """Each writer's own last records are looked at, so no child pushes the opener's end out of sight."""
    later = [{**METRICS, "time": 5_000.0 + n} for n in range(12_000)]
    run = Run.open(write_run("parent__aaaaaaaa", [METRICS, END], others={"child": later}))

    assert (run.status, run.duration) == ("completed", 12.5)


def test_the_end_is_found_behind_lines_that_another_thread_logged_a_little_later(write_run: WriteRun) -> None:
    late = [{"kind": "log", "level": "INFO", "message": "late"}] * 100
    run = Run.open(write_run("late__aaaaaaaa", [METRICS, END, *late]))

    assert run.status == "completed"


def test_the_end_is_found_behind_any_number_of_records_that_its_own_process_logged_later() -> None:
    """Daemon threads log on until the interpreter is gone; such a run was said to have crashed."""
    with ExperimentTracker("e") as tracker:
        tracker.log_metrics({"loss": 1})
    for step in range(1_000):
        tracker.log_metrics({"loss": 1}, step=step)
    tracker.flush()

    assert Run.open(tracker.folder).status == "completed"
    assert Run.open(tracker.folder).glance().status == "completed"


def test_a_crashed_run_lasted_to_its_last_record(write_run: WriteRun) -> None:
    run = Run.open(write_run("crashed__aaaaaaaa", [METRICS, {**METRICS, "time": 1_060.0}]))

    assert (run.status, run.duration) == ("crashed", 60.0)


def test_a_clock_that_was_set_back_makes_no_negative_duration(write_run: WriteRun) -> None:
    run = Run.open(write_run("clock__aaaaaaaa", [{**METRICS, "time": 5.0}]))

    assert run.duration == 0.0


@pytest.mark.parametrize("remove", ["journal files", "journal"])
def test_a_run_that_died_before_its_first_record_is_crashed_and_empty(write_run: WriteRun, remove: str) -> None:
    folder = write_run("early__aaaaaaaa")
    for path in (folder / "journal").iterdir():
        path.unlink()
    if remove == "journal":
        (folder / "journal").rmdir()

    run = Run.open(folder)

    assert (run.status, run.duration, run.glance().metrics, run.summary.metrics) == ("crashed", None, {}, {})


def test_a_glance_puts_final_metrics_and_results_first_and_reads_the_end_alone(write_run: WriteRun) -> None:
    early = [{"kind": "metrics", "metrics": {"warmup": 1.0}}] + [METRICS] * 5_000
    result = {"kind": "log", "level": "RESULT", "message": "best", "metrics": {"best": 0.9}}
    end = {**END, "metrics": {"final": 1.0}}
    run = Run.open(write_run("long__aaaaaaaa", [*early, result, {"kind": "metrics", "metrics": {"loss": 0.1}}, end]))

    assert list(run.glance().metrics.items()) == [("final", 1.0), ("best", 0.9), ("loss", 0.1)]


def test_a_glance_takes_the_newest_value_whether_it_is_a_result_or_a_point(write_run: WriteRun) -> None:
    result = {"kind": "log", "level": "RESULT", "message": "acc", "metrics": {"acc": 0.9}}
    run = Run.open(write_run("result__aaaaaaaa", [result, {"kind": "metrics", "metrics": {"acc": 0.95}}, END]))

    assert run.glance().metrics["acc"] == run.summary.last["acc"] == 0.95


def test_a_glance_at_a_run_with_definitions_has_its_rare_metrics_too(write_run: WriteRun) -> None:
    define = {"kind": "define", "name": "rare", "goal": "max", "summary": "max"}
    rare = [{"kind": "metrics", "metrics": {"rare": value}} for value in (0.2, 0.1)]
    run = Run.open(write_run("rare__aaaaaaaa", [define, *rare, *[METRICS] * 1_000, {**END, "defined": True}]))

    assert run.glance().metrics["rare"] == 0.2


def test_a_glance_takes_the_newest_value_whichever_process_wrote_it(write_run: WriteRun) -> None:
    newer = [{"kind": "metrics", "metrics": {"loss": 0.2}, "time": 9_000.0}]
    run = Run.open(write_run("ranks__aaaaaaaa", [METRICS], others={"rank1": newer}))

    assert run.glance().metrics == run.summary.last == {"loss": 0.2}


def test_of_values_logged_at_one_time_a_glance_takes_the_one_that_the_summary_takes(write_run: WriteRun) -> None:
    same = [{"kind": "metrics", "metrics": {"loss": 0.2}, "time": 1_001.0}]
    run = Run.open(write_run("tie__aaaaaaaa", [METRICS], others={"rank1": same}))

    assert run.glance().metrics == run.summary.last


# -- damage -----------------------------------------------------------------------------------------------------------


def test_a_torn_tail_is_not_there_yet(write_run: WriteRun) -> None:
    torn = encode_line({"seq": 1, "time": 1_002.0, **METRICS})[:-20]
    run = Run.open(write_run("torn__aaaaaaaa", [METRICS, torn]))

    assert run.summary.points == 1
    assert (run.summary.account.torn, run.summary.account.missing) == (1, 0)
    assert (run.status, run.duration) == ("crashed", 1.0)


def test_a_damaged_line_is_skipped_and_counted_and_the_rest_is_read(write_run: WriteRun) -> None:
    good = encode_line({"seq": 1, "time": 1_002.0, **METRICS})
    run = Run.open(write_run("damaged__aaaaaaaa", [METRICS, good.replace(b"0.5", b"0.6"), METRICS, END]))

    account = run.summary.account

    assert (account.damaged, account.missing, run.summary.points, run.status) == (1, 1, 2, "completed")


def test_missing_and_dropped_records_are_in_the_account(write_run: WriteRun) -> None:
    run = Run.open(
        write_run("gap__aaaaaaaa", [METRICS, {**METRICS, "seq": 11}, {"kind": "gap", "dropped": 5, "seq": 12}])
    )

    account = run.summary.account

    assert (account.missing, account.dropped) == (10, 5)


def test_foreign_files_in_the_journal_are_left_alone(write_run: WriteRun) -> None:
    folder = write_run("foreign__aaaaaaaa", [METRICS, END])
    (folder / "journal" / "notes.txt").write_text("mine")
    (folder / "journal" / ".nfs0001.jsonl").write_text("rubbish")
    os.mkfifo(folder / "journal" / "pipe.000000.jsonl")

    assert Run.open(folder).summary.account == Account()


def test_binary_rubbish_is_damage_not_an_error(write_run: WriteRun) -> None:
    folder = write_run("rubbish__aaaaaaaa", [METRICS, os.urandom(300_000).replace(b"\n", b"") + b"\n", METRICS])

    assert Run.open(folder).summary.points == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[1]", "does not name a run"),
        ('{"run_id": 7, "format": 1}', "does not name a run"),
        ('{"run_id": "x"}', "does not name a format"),
        ('{"run_id": "x", "format": true}', "does not name a format"),
        ('{"run_id": "x", "format": 99}', "format 99 is newer than this refunc reads (1). Upgrade refunc."),
        ('{"run_id": "x", "format": 1, "start_time": "yesterday"}', "does not have a valid start time"),
        ('{"run_id": "x", "format": 1, "start_time": NaN}', "does not have a valid start time"),
        ('{"run_id": "x", "format": 1, "start_time": 1e300}', "does not have a valid start time"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_run_json_that_makes_no_sense_is_one_clear_error(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "run.json").write_text(content)

    with pytest.raises(RunFormatError) as caught:
        Run.open(tmp_path)

    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert caught.value.folder == tmp_path


def test_a_folder_without_run_json_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RunFormatError, match=r"run\.json cannot be read \(No such file or directory\)\.$"):
        Run.open(tmp_path)


@pytest.mark.timeout(10)
def test_a_named_pipe_in_place_of_run_json_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")

    with pytest.raises(RunFormatError, match="not a regular file"):
        Run.open(tmp_path)


def test_unknown_members_of_run_json_are_kept(write_run: WriteRun) -> None:
    """A newer refunc of the same format may say more."""
    folder = write_run("more__aaaaaaaa", later={"x": 1})

    assert Run.open(folder).birth["later"] == json.loads((folder / "run.json").read_text())["later"]
