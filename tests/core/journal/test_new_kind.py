"""A new kind of record costs a class and a row of the table: all else in the package takes it from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.journal import record as records
from refunc.journal.reader import read_journal
from refunc.logging import ExperimentTracker, MLLogger
from refunc.logging.active.living import living_run
from refunc.runs import open_store
from refunc.runs.read_on import read_content


@attrs.frozen(kw_only=True)
class Checkpoint(records.Record):
    """Where the weights are."""

    path: str
    step: int | float | None = None
    shards: dict[str, int] = attrs.Factory(dict)


@pytest.fixture
def run(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run with a record of the kind, and its log file."""
    monkeypatch.setitem(records.KINDS, "checkpoint", records.Kind(Checkpoint, is_noted=True))
    monkeypatch.setitem(records.KIND_NAMES, Checkpoint, "checkpoint")
    tracker = ExperimentTracker("new", logger=MLLogger("train", json_logging=True))
    with tracker:
        active = living_run(tracker.run_id or "")
        assert active is not None
        active.put("checkpoint", {"path": "last.pt", "step": 3, "logger": "train"})
        tracker.log_metrics({"loss": 0.5}, step=3)
    return open_store()[tracker.run_id or ""]


def test_it_is_read_back_with_its_class(run: Any) -> None:
    (found,) = [record for record in read_journal(run.folder) if isinstance(record, Checkpoint)]

    assert (found.path, found.step, found.shards, found.logger) == ("last.pt", 3, {}, "train")


@pytest.mark.parametrize("reading", ["from the journal", "from the index"])
def test_it_is_kept_for_the_summary(run: Any, reading: str) -> None:
    content = read_content(run.folder)
    if reading == "from the index":
        content = read_content(run.folder)

    (writer,) = content.writers.values()
    assert [note.record.path for note in writer.notes if isinstance(note.record, Checkpoint)] == ["last.pt"]


def test_it_is_an_entry_and_a_line_of_the_log_file(run: Any, own_folder: Path) -> None:
    assert [entry.message for entry in run.entries()][1] == "checkpoint"
    (line,) = [line for line in (own_folder / "logs/train.jsonl").read_text().splitlines() if "checkpoint" in line]
    assert '"path":"last.pt"' in line.replace(": ", ":")


def test_a_version_that_does_not_know_it_reads_all_else(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(records.KINDS, "checkpoint")

    (unknown,) = [record for record in read_journal(run.folder) if isinstance(record, records.Unknown)]
    assert (unknown.kind, unknown.fields["path"]) == ("checkpoint", "last.pt")


def test_a_line_has_the_members_that_say_something() -> None:
    assert records.members_of(Checkpoint(path="last.pt")) == {"path": "last.pt"}
    assert records.members_of(Checkpoint(path="", step=0, shards={"a": 1})) == {
        "path": "",
        "step": 0,
        "shards": {"a": 1},
    }
