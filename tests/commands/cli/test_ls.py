"""`refunc ls`: one line a run that fits the window, nothing cut in a pipe, strict JSON."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker
from refunc.runs.glance import Glance

pytestmark = pytest.mark.extras

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "[bold red]x[/] :smile: \x1b[31m\u202e\ttab\nline"


def make(name: str | None = "resnet", experiment: str = "images", **metrics: Any) -> ExperimentTracker:
    tracker = ExperimentTracker(experiment, name)
    tracker.start_run()
    tracker.log_metrics(metrics or {"loss": 0.5})
    tracker.end_run()
    return tracker


def test_a_run_is_a_line_and_the_newest_comes_last(invoke: Any) -> None:
    first, second = make("first"), make("second", loss=0.123456789, accuracy=0.9)

    result = invoke("ls")

    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["STATUS", "NAME", "EXPERIMENT", "STARTED", "TOOK", "METRICS", "(last)", "ID"]
    assert [line.split()[0:3] for line in lines] == [
        ["completed", "first", "images"],
        ["completed", "second", "images"],
    ]
    assert [line.split()[-1] for line in lines] == [first.run_id, second.run_id]
    assert "loss=0.1235 accuracy=0.9" in lines[1]
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", lines[1])
    assert (result.exit_code, result.stderr) == (0, "")


def test_in_a_pipe_nothing_is_cut_padded_or_coloured(invoke: Any) -> None:
    make("n" * 300, "e" * 300, **{"m" * 300: 1})

    result = invoke("ls")

    assert all(letter * 300 in result.stdout for letter in "nem")
    assert "\x1b" not in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())


def test_running_failed_and_crashed_are_told_apart(invoke: Any, tmp_path: Path) -> None:
    live = ExperimentTracker("images", "live")
    live.start_run()
    assert live.folder is not None
    shutil.copytree(live.folder, tmp_path / "experiments" / "copy")  # no process holds this one
    with pytest.raises(ValueError), ExperimentTracker("images", "bad"):
        raise ValueError

    statuses = sorted(run["status"] for run in json.loads(invoke("ls", "--json").stdout))

    assert statuses == ["crashed", "failed", "running"]
    live.end_run()


def test_n_takes_the_newest(invoke: Any) -> None:
    for number in range(5):
        make(f"run-{number}")

    names = [run["run_name"] for run in json.loads(invoke("ls", "-n", "2", "--json").stdout)]

    assert names == ["run-3", "run-4"]
    assert invoke("ls", "-n", "0").exit_code == 2


def test_experiment_chooses_by_name_or_id(invoke: Any) -> None:
    make("a", "images")
    make("b", "Große Modelle")
    (big,) = json.loads(invoke("ls", "--json", "--experiment", "Große Modelle").stdout)

    assert big["run_name"] == "b"
    assert json.loads(invoke("ls", "--json", "--experiment", big["experiment_id"]).stdout) == [big]


def test_no_runs_is_said_on_stderr_and_is_no_failure(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()

    assert (invoke("ls").exit_code, invoke("ls").stdout) == (0, "")
    assert "no runs in" in invoke("ls").stderr
    assert json.loads(invoke("ls", "--json").stdout) == []
    assert "no runs of the experiment x in" in invoke("ls", "--experiment", "x").stderr


def test_json_is_one_strict_document_with_stable_keys(invoke: Any) -> None:
    tracker = make(None, "images", loss=math.nan, gain=math.inf)

    (run,) = json.loads(invoke("ls", "--json").stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))

    assert list(run) == [
        "run_id",
        "run_name",
        "experiment_id",
        "experiment_name",
        "status",
        "start_time",
        "duration",
        "params",
        "last_metrics",
        "folder",
    ]
    assert (run["run_id"], run["run_name"], run["folder"]) == (tracker.run_id, None, str(tracker.folder))
    assert run["last_metrics"] == {"loss": "NaN", "gain": "Infinity"}


def test_folders_that_cannot_be_read_are_told_on_stderr(invoke: Any) -> None:
    make("good")
    for name in ("bad", "worse"):
        folder = make(name).folder
        assert folder is not None
        (folder / "run.json").write_text("{")

    result = invoke("ls", "--json")

    assert [run["run_name"] for run in json.loads(result.stdout)] == ["good"]
    assert re.fullmatch(r"refunc: left out: .*run\.json cannot be read.*, and 1 more like it\n", result.stderr)


def test_a_journal_that_cannot_be_read_costs_its_own_line_only(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faked, because root may read everything."""
    from refunc.runs.ending import ending_of

    make("good")
    folder = make("closed").folder

    def denied(path: Path) -> object:
        if path == folder:
            raise PermissionError(13, "Permission denied")
        return ending_of(path)

    monkeypatch.setattr("refunc.runs.ending.ending_of", denied)

    statuses = {run["run_name"]: run["status"] for run in json.loads(invoke("ls", "--json").stdout)}

    assert statuses == {"good": "completed", "closed": "unreadable"}


def test_a_run_removed_while_it_is_listed_is_left_out(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from refunc.runs.ending import ending_of

    make("stays")
    gone = make("goes").folder

    def remove(path: Path) -> object:
        if path == gone:
            shutil.rmtree(path)
            raise FileNotFoundError(2, "No such file or directory")
        return ending_of(path)

    monkeypatch.setattr("refunc.runs.ending.ending_of", remove)

    assert [run["run_name"] for run in json.loads(invoke("ls", "--json").stdout)] == ["stays"]


def test_what_a_user_wrote_stays_text(invoke: Any) -> None:
    tracker = ExperimentTracker(HOSTILE, HOSTILE)
    tracker.start_run()
    tracker.log_metrics({HOSTILE: 1.0})
    tracker.end_run(HOSTILE)

    heading, line = invoke("ls").stdout.splitlines()

    assert line.count(r"[bold red]x[/] :smile: \x1b[31m\u202e\ttab\nline") == 4
    assert heading.startswith("STATUS")


@pytest.mark.parametrize(
    ("age", "text"), [(0, "just now"), (-5, "just now"), (61, "1m ago"), (7_300, "2h ago"), (90_000, "1d ago")]
)
def test_starts_are_told_from_now(age: float, text: str) -> None:
    from refunc_commands.cli.screen import ago

    assert ago(1e9 - age, 1e9) == text
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", ago(1e9, 2e9))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", ago(2e9, 1e9))


# -- on a terminal ----------------------------------------------------------------------------------------------------


@pytest.fixture
def varied() -> None:
    """Make runs that need more room than any terminal has."""
    make("short")
    make("名前が長い" * 20, "e" * 60, **{"validation/accuracy": 0.123456, "validation/loss": 1e9})
    make(None, "other")
    tracker = ExperimentTracker("images", HOSTILE)
    tracker.start_run()
    tracker.end_run("a status of one's own that goes on")


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 160])
@pytest.mark.usefixtures("varied")
def test_every_line_fits_the_window(in_terminal: Callable[..., str], columns: int) -> None:
    cells = pytest.importorskip("rich.cells")

    lines = ESCAPES.sub("", in_terminal("ls", columns=columns)).splitlines()

    assert len(lines) == 5
    assert max(cells.cell_len(line) for line in lines) <= columns
    assert all(re.search(r"  [0-9a-z]{8}$", line) for line in lines[1:])


@pytest.mark.parametrize(
    ("width", "text"), [(None, "m=0.5 loss=2"), (12, "m=0.5 loss=2"), (11, "m=0.5"), (4, ""), (5, "m=0.5")]
)
def test_metrics_come_in_whole_pairs(width: int | None, text: str) -> None:
    from refunc_commands.cli.ls import _metrics

    assert _metrics(Glance(status="completed", duration=1.0, metrics={"m": 0.5, "loss": 2}), width) == text


def test_where_a_metric_does_not_fit_its_name_is_cut_and_not_its_number() -> None:
    from refunc_commands.cli.ls import _metrics

    assert _metrics(Glance(status="completed", duration=1.0, metrics={"final_accuracy": 0.945}), 12) == "final…=0.945"


@pytest.mark.usefixtures("varied")
def test_room_is_used_where_there_is_some(in_terminal: Callable[..., str]) -> None:
    output = in_terminal("ls", columns=160)

    assert "validation/accuracy=0.1235" in output
    assert "just now" in output


def test_colour_on_a_terminal_and_on_request_only(in_terminal: Callable[..., str], invoke: Any) -> None:
    make()

    assert "\x1b[32mcompleted" in in_terminal("ls")
    assert "\x1b" not in in_terminal("ls", NO_COLOR="1")
    assert "\x1b" not in in_terminal("ls", TERM="dumb")
    assert "\x1b" not in invoke("ls").stdout


def test_where_colours_are_forced_and_refused_they_are_forced(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExperimentTracker("images", "resnet"):
        pass
    monkeypatch.setenv("FORCE_COLOR", "1")
    forced = invoke("ls").stdout
    monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b[32m" in forced
    assert invoke("ls").stdout == forced


def test_force_color_colours_a_pipe(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make("n" * 200)
    monkeypatch.setenv("FORCE_COLOR", "1")

    result = invoke("ls")

    assert "\x1b[32mcompleted" in result.stdout
    assert "n" * 200 in result.stdout
    assert "\x1b" not in invoke("ls", "--json").stdout


# -- which runs, and in which order ------------------------------------------------------------------------------------


def tuned(name: str, lr: float, *accuracies: float) -> None:
    with ExperimentTracker("images", name) as tracker:
        tracker.log_hyperparams({"lr": lr})
        for accuracy in accuracies:
            tracker.log_metrics({"accuracy": accuracy})


def listed(result: Any) -> list[str]:
    return [run["run_name"] for run in json.loads(result.stdout)]


def test_runs_can_be_chosen_and_ordered_by_expressions(invoke: Any) -> None:
    tuned("first", 0.1, 0.5, 0.9, 0.7)
    tuned("second", 0.01, 0.8)
    tuned("third", 0.001, 0.95)

    assert listed(invoke("ls", "--json", "--where", "params.lr < 0.05")) == ["second", "third"]
    assert listed(invoke("ls", "--json", "--sort=-metrics.accuracy.max")) == ["third", "first", "second"]
    assert listed(invoke("ls", "--json", "--sort=-metrics.accuracy.max", "-n", "1")) == ["third"]
    assert "no runs in" in invoke("ls", "--where", "status == 'failed'").stderr


def test_a_metric_that_is_defined_in_the_middle_shows_what_was_defined(invoke: Any) -> None:
    with ExperimentTracker("images", "defined") as tracker:
        for step in range(2_000):
            tracker.log_metrics({"accuracy": 0.5 if step == 900 else 0.1}, step=step)
            if step == 1_000:
                tracker.define_metric("accuracy", summary="max")

    for _ in "again":
        assert "accuracy.max=0.5" in invoke("ls").stdout


def test_a_defined_metric_shows_what_was_defined(invoke: Any) -> None:
    with ExperimentTracker("images", "defined") as tracker:
        tracker.define_metric("accuracy", summary="max")
        tracker.define_metric("noise", summary="none")
        for accuracy in (0.5, 0.9, 0.7):
            tracker.log_metrics({"accuracy": accuracy, "noise": 1.0})

    (run,) = json.loads(invoke("ls", "--json").stdout)
    assert run["last_metrics"] == {"accuracy": 0.9}


def test_a_second_look_reads_no_journal(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    make("one")
    first = invoke("ls", "--json").stdout
    monkeypatch.setattr("refunc.runs.ending.ending_of", lambda path: pytest.fail("the journal was read again"))

    assert invoke("ls", "--json").stdout == first
