"""Records that a tracker refused for good: told, no success, and tried again by `refunc sync --dead-letters`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Calls, OneLine

from refunc.journal import kinds
from refunc.journal.codec import encode_line
from refunc.journal.encoded import MetricsRow
from refunc.logging.active.run import ActiveRun

pytestmark = [pytest.mark.once, pytest.mark.extras]

#: Refuses each record that the file `refuses` has a word of; takes all where there is no file.
_FUSSY = """
import json, os
from pathlib import Path
from refunc.plugins import Integration, Reject, Retry, hookimpl

class FussyIntegration(Integration):
    def note(self, hook, what, record):
        if Path("down").exists(): raise Retry("the server is down")
        if Path("dies").exists() and what in Path("dies").read_text().split(): os._exit(9)
        if Path("refuses").exists() and what in Path("refuses").read_text().split(): raise Reject(f"no {what}")
        with open("calls.jsonl", "a") as file:
            file.write(json.dumps({"hook": hook, "what": what, "id": [record.writer, record.seq]}) + "\\\\n")
    @hookimpl
    def on_run_start(self, run): self.note("start", "start", type("R", (), {"writer": "", "seq": -1}))
    @hookimpl
    def on_hyperparams(self, run, record):
        for name in record.params: self.note("params", name, record)
    @hookimpl
    def on_metrics(self, run, records):
        if len(records) > 1: raise Reject("one at a time")
        for record in records:
            for name in record.metrics: self.note("metrics", name, record)
    @hookimpl
    def on_log(self, run, records):
        if len(records) > 1: raise Reject("one at a time")
        for record in records: self.note("log", record.message, record)
    @hookimpl
    def on_run_end(self, run, record): self.note("end", record.status, record)

class FussyOnceIntegration(FussyIntegration):
    delivery = "at-most-once"
""".replace("\\\\n", "\\n")


@pytest.fixture
def fussy(own_folder: Path, installed_from: Callable[[str], Any]) -> Any:
    (own_folder / "fussy.py").write_text(_FUSSY)
    return installed_from("fussy")


@pytest.fixture
def refused(invoke: Any, make_run: Callable[..., ActiveRun], fussy: Any, own_folder: Path) -> Callable[..., ActiveRun]:
    """Make a run of which the words given were refused."""
    from refunc.plugins.integration import passport_of

    def make(*words: str, integration: Any = None) -> ActiveRun:
        run = make_run()
        run.put_through(kinds.ATTACH, passport_of(integration or fussy.FussyIntegration()).for_journal())
        run.put_through(kinds.PARAMS, {"params": {"lr": 0.1}})
        for name in ("loss", "accuracy"):
            run.writer.append(MetricsRow(0, 1.0, kinds.METRICS, step=1, metrics={name: 0.5}))
        run.put(kinds.LOG, {"level": "INFO", "message": "line"})
        run.writer.flush()
        run.end("completed")
        (own_folder / "refuses").write_text(" ".join(words))
        assert invoke("sync").exit_code == (1 if words else 0)
        return run

    return make


def file_of(run: ActiveRun) -> Path:
    [path] = (run.folder / "delivery").glob("*.dead.jsonl")
    return path


def letters(run: ActiveRun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file_of(run).read_text().splitlines()]


def whats(calls: Calls) -> list[str]:
    return [call["what"] for call in calls()]


def test_dead_letters_are_counted_and_shown_and_are_no_success(
    invoke: Any, waiting: Callable[..., ActiveRun], probes: Any, calls: Calls, one_line: OneLine
) -> None:
    run = waiting(probes.PickyIntegration(), ends=False)
    run.put("log", {"level": "INFO", "message": "a bad line"})
    run.end("completed")

    result = invoke("sync")

    assert result.exit_code == 1
    found = re.fullmatch(
        r"dead .* 6 records delivered; 1 dead letter in (experiments/.*\.dead\.jsonl)", one_line(result)
    )
    assert found is not None
    assert Path(found[1]).is_file()
    assert [letter["message"] for letter in letters(run)] == ["a bad line"]
    assert [message for call in calls("log") for message in call["messages"]] == ["line 0", "line 1", "line 2"]
    refused, hint = result.stderr.splitlines()
    assert refused == "refunc: picky: on_log was refused for good: a bad line"
    assert hint == "refunc: dead letters remain; `refunc sync --dead-letters` tries them again."
    again, as_json = invoke("sync"), invoke("sync", "--json")
    assert (again.exit_code, again.stdout, again.stderr.splitlines()) == (1, result.stdout, [hint])
    [later] = json.loads(as_json.stdout)
    assert (later["dead"], later["is_done"], Path(later["dead_letters"])) == (1, True, Path(found[1]).absolute())
    assert as_json.exit_code == 1


@pytest.mark.parametrize("once", [False, True])
def test_those_that_succeed_leave_the_file_and_the_others_stay(
    once: bool,
    invoke: Any,
    refused: Callable[..., ActiveRun],
    fussy: Any,
    calls: Calls,
    own_folder: Path,
    one_line: OneLine,
) -> None:
    run = refused("lr", "loss", "line", integration=fussy.FussyOnceIntegration() if once else None)
    assert [letter["hook"] for letter in letters(run)] == ["on_hyperparams", "on_metrics", "on_log"]
    stays = letters(run)[1]
    (own_folder / "refuses").write_text("loss")

    result = invoke("sync", "--dead-letters")

    assert result.exit_code == 1
    assert "1 dead letter in" in one_line(result)
    assert letters(run) == [stays]
    assert whats(calls) == ["start", "accuracy", "completed", "lr", "line"]
    (own_folder / "refuses").unlink()
    last = invoke("sync", "--dead-letters")
    assert last.exit_code == 0
    assert re.fullmatch(rf"done {run.folder.name} \S+ 7 records delivered", one_line(last))
    assert whats(calls)[5:] == ["loss"]
    assert calls()[-1]["id"] == [stays["writer"], stays["seq"]]
    assert list((run.folder / "delivery").glob("*dead*")) == []
    assert invoke("sync", "--dead-letters").exit_code == invoke("sync").exit_code == 0
    assert len(calls()) == 6


def test_start_and_end_of_a_run_are_letters_too(
    invoke: Any, refused: Callable[..., ActiveRun], calls: Calls, own_folder: Path
) -> None:
    run = refused("start", "completed")
    assert [letter["hook"] for letter in letters(run)] == ["on_run_start", "on_run_end"]
    (own_folder / "refuses").unlink()

    assert invoke("sync", "--dead-letters").exit_code == 0

    assert whats(calls) == ["lr", "loss", "accuracy", "line", "start", "completed"]


def test_a_run_without_dead_letters_is_left_alone(
    invoke: Any, refused: Callable[..., ActiveRun], calls: Calls, one_line: OneLine
) -> None:
    refused()

    result = invoke("sync", "--dead-letters")

    assert (result.exit_code, one_line(result)) == (0, "nothing to do: 1 delivery is complete")
    assert len(calls()) == 6


@pytest.mark.parametrize("once", [False, True])
def test_a_tracker_that_is_down_costs_none(
    once: bool,
    invoke: Any,
    refused: Callable[..., ActiveRun],
    fussy: Any,
    calls: Calls,
    own_folder: Path,
    one_line: OneLine,
) -> None:
    run = refused("loss", "line", integration=fussy.FussyOnceIntegration() if once else None)
    before = letters(run)
    (own_folder / "refuses").unlink()
    (own_folder / "down").touch()

    result = invoke("sync", "--dead-letters", "--patience", "1")

    assert result.exit_code == 1
    assert "2 dead letters in" in one_line(result)
    assert "the server is down" in result.stderr
    assert sorted(letters(run), key=str) == sorted(before, key=str)
    (own_folder / "down").unlink()
    assert invoke("sync", "--dead-letters").exit_code == 0
    assert sorted(whats(calls)[4:]) == ["line", "loss"]


@pytest.mark.parametrize("once", [False, True])
def test_a_sync_that_dies_meanwhile_loses_none_or_sends_none_twice(
    once: bool, running: Any, invoke: Any, refused: Callable[..., ActiveRun], fussy: Any, calls: Calls, own_folder: Path
) -> None:
    run = refused("loss", "accuracy", "line", integration=fussy.FussyOnceIntegration() if once else None)
    (own_folder / "refuses").unlink()
    (own_folder / "dies").write_text("accuracy")
    process = running("sync", "--dead-letters")
    process.communicate(timeout=60)
    assert process.returncode == 9
    assert [letter.get("message") or next(iter(letter["metrics"])) for letter in letters(run)] == [
        *([] if once else ["accuracy"]),
        "line",
    ]

    (own_folder / "dies").unlink()
    assert invoke("sync", "--dead-letters").exit_code == 0

    assert whats(calls)[3:] == ["loss", *([] if once else ["accuracy"]), "line"]


def test_what_cannot_be_read_stays_and_is_counted(
    invoke: Any, refused: Callable[..., ActiveRun], calls: Calls, own_folder: Path, one_line: OneLine
) -> None:
    run = refused("loss")
    damaged = [
        b"not sealed\n",
        encode_line({"hook": "on_fire"}),
        encode_line({"hook": "on_log", "message": 7}),
        b"torn",
    ]
    with open(file_of(run), "ab") as file:
        file.writelines(damaged)
    (own_folder / "refuses").unlink()

    result = invoke("sync", "--dead-letters")

    assert result.exit_code == 1
    assert "4 dead letters in" in one_line(result)
    assert file_of(run).read_bytes() == b"".join(damaged)
    assert whats(calls)[-1] == "loss"
    file_of(run).unlink()  # a user who can do without them removes the file
    assert invoke("sync").exit_code == 0
