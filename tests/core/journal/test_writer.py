"""The writer of a journal: records that become lines, and how it deals with records that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refunc.journal import kinds
from refunc.journal.codec import MAX_VALUES
from refunc.journal.encoded import MetricsRow, values_row
from refunc.journal.folder import RunFolder
from refunc.journal.line import QueuedRecord
from refunc.journal.reader import Account, read_journal
from refunc.journal.record import LogLine, Metrics, RunEnd, Unknown
from refunc.journal.writer import JournalWriter


class Hostile:
    """No JSON, and no repr either."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.fixture
def writer(own_folder: Path) -> Iterator[JournalWriter]:
    folder = RunFolder(own_folder / "run", {"format": kinds.FORMAT, "run_id": "abcdefgh"})
    writer = JournalWriter(folder, logger="train")
    yield writer
    writer.close()
    writer.release()


def test_a_record_that_cannot_be_encoded_holds_up_none_behind_it(writer: JournalWriter) -> None:
    writer.append(QueuedRecord(kinds.LOG, 1.0, {"level": "INFO", "message": "before"}))
    writer.append(QueuedRecord(kinds.ARTIFACT, 2.0, {"name": "model", "type": Hostile()}))
    writer.append(QueuedRecord(kinds.LOG, 3.0, {"level": "INFO", "message": "behind"}))

    assert writer.flush() is True

    account = Account()
    before, damaged, behind = read_journal(writer.folder.path, account)
    assert isinstance(damaged, Unknown)
    assert [line.message for line in (before, behind) if isinstance(line, LogLine)] == ["before", "behind"]
    assert account == Account()


def test_a_record_with_more_values_than_readers_take_is_said_and_hides_none(
    writer: JournalWriter, caplog: pytest.LogCaptureFixture
) -> None:
    many = {f"m{n}": 0.5 for n in range(MAX_VALUES)}
    writer.append(MetricsRow(0, 1.0, kinds.METRICS, step=0, metrics=many))
    writer.append(MetricsRow(0, 2.0, kinds.METRICS, step=1, metrics={"loss": 0.5}))
    writer.flush()

    damaged, metrics = read_journal(writer.folder.path)
    assert isinstance(damaged, Unknown)
    assert damaged.kind == "damaged"
    assert "m0" in damaged.fields["repr"]
    assert isinstance(metrics, Metrics)
    assert [line for line in caplog.messages if "more than 60,000 values" in line]


@pytest.mark.parametrize("length", [5, 1_000])
def test_how_a_run_ended_is_kept_where_its_metrics_are_too_many_for_a_line(length: int, writer: JournalWriter) -> None:
    many = {f"{n:0{length}}": 0.5 for n in range(20_000)}
    many |= {f"x{n}": 0.5 for n in range(MAX_VALUES if length == 5 else 0)}
    writer.append(QueuedRecord(kinds.END, 1.0, {"status": "failed", "metrics": many, "error": "boom"}))
    writer.flush()

    (end,) = read_journal(writer.folder.path)
    assert isinstance(end, RunEnd)
    assert (end.status, end.error, end.metrics) == ("failed", "boom", {})


def test_a_logger_that_is_the_headers_is_left_out_of_lines_and_read_back(writer: JournalWriter) -> None:
    writer.append(MetricsRow(0, 1.0, kinds.METRICS, step=1, metrics={"loss": 0.5}))
    writer.append(MetricsRow(0, 2.0, kinds.METRICS, step=2, metrics={"loss": 0.4}, logger="other"))
    writer.flush()

    (segment,) = (writer.folder.path / "journal").iterdir()
    _, first, second = segment.read_text().splitlines()
    assert '"logger"' not in first
    assert '"logger":"other"' in second
    assert [record.logger for record in read_journal(writer.folder.path)] == ["train", "other"]


def test_a_step_that_nobody_gave_is_marked(writer: JournalWriter) -> None:
    writer.append(MetricsRow(0, 1.0, kinds.METRICS, step=0, auto=True, metrics={"loss": 0.5}))
    writer.flush()

    (record,) = read_journal(writer.folder.path)
    assert isinstance(record, Metrics)
    assert (record.step, record.auto) == (0, True)


def test_a_full_memory_keeps_results_and_errors_longer_than_other_lines(writer: JournalWriter) -> None:
    kept = [
        QueuedRecord(kinds.PARAMS, 0.0, {}),
        QueuedRecord(kinds.LOG, 0.0, {"level": "RESULT"}),
        QueuedRecord(kinds.LOG, 0.0, {"level": "ERROR"}),
    ]
    others = [QueuedRecord(kinds.LOG, 0.0, {"level": "INFO"}), MetricsRow(0, 0.0, kinds.METRICS)]

    assert all(writer._is_kept(item) for item in kept)
    assert not any(writer._is_kept(item) for item in others)


def test_one_record_of_metrics_that_cannot_be_written_stops_nothing_when_it_comes_alone(writer: JournalWriter) -> None:
    many = {f"m{n}": 0.5 for n in range(MAX_VALUES)}
    writer.append(MetricsRow(0, 1.0, kinds.METRICS, step=0, metrics=many))
    assert writer.flush() is True
    writer.append(MetricsRow(0, 2.0, kinds.METRICS, step=1, metrics={"loss": 0.5}))
    assert writer.flush() is True

    damaged, metrics = read_journal(writer.folder.path)
    assert isinstance(damaged, Unknown)
    assert isinstance(metrics, Metrics)
    assert (damaged.seq, metrics.seq) == (0, 1)


def test_names_of_artifacts_on_a_line_are_text_in_any_encoding_also_unmasked(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUNC_REDACT", "0")
    writer = JournalWriter(
        RunFolder(own_folder / "run", {"format": kinds.FORMAT, "run_id": "abcdefgh"}), logger="train"
    )
    values = (None, None, None, ("lone \ud800", "plain"), None, False)
    writer.append((kinds.LOG, 1.0, 20, "saved", None, None, *values, ("train.py", 1), None, None, "train"))
    writer.close()
    writer.release()

    (line,) = read_journal(writer.folder.path)
    assert isinstance(line, LogLine)
    assert list(line.artifacts) == ["lone \\ud800", "plain"]


def test_a_name_of_an_extra_field_whose_own_code_raises_costs_no_line_and_shows_no_secret(
    writer: JournalWriter,
) -> None:
    class Name:
        is_asked = False

        def __hash__(self) -> int:
            if self.is_asked:
                raise RuntimeError("no hash any more")
            return 5

        def __repr__(self) -> str:
            return "Name"

    name = Name()
    values = (None, None, None, None, {name: 1, "password": "hunter2222"}, True)
    name.is_asked = True
    caller = ("train.py", 1)
    writer.append((kinds.LOG, 1.0, 20, "password=hunter2222", None, None, *values, caller, None, None, "train"))
    writer.flush()

    (line,) = read_journal(writer.folder.path)
    assert isinstance(line, LogLine)
    assert (line.message, line.extra) == ("password=***", {"Name": 1, "password": "***"})


@pytest.mark.parametrize(
    ("beside", "clock"),
    [('a"b', [1.0, 2.0, 3.0]), ("acc", [3.0, 2.0, 1.0])],
    ids=["names that JSON escapes", "a clock that is set back"],
)
def test_the_last_value_of_a_metric_is_that_of_the_last_record_whatever_stands_beside_it(
    beside: str, clock: list[float], writer: JournalWriter
) -> None:
    both, alone, others = values_row(("loss", beside)), values_row(("loss",)), values_row(('x"y',))
    for moment, metrics in zip(clock, [both(1.0, 0.1), alone(2.0), others(0.3)], strict=True):
        writer.append(MetricsRow(0, moment, kinds.METRICS, metrics=metrics))
    writer.flush()

    assert writer.latest == {"loss": 2.0, beside: 0.1, 'x"y': 0.3}


def test_the_values_of_a_wide_set_are_not_taken_column_by_column(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each column would go through the whole set once more: a million names would never end."""
    asked: list[int] = []
    monkeypatch.setattr("refunc.journal.writer.column", lambda rows, at: asked.append(at) or [])
    many = {f"m{n}": float(n) for n in range(1_000)}
    writer.append(MetricsRow(0, 1.0, kinds.METRICS, step=0, metrics=many))
    writer.append(MetricsRow(0, 2.0, kinds.METRICS, step=1, metrics={**many, "m0": 7.0}))

    assert writer.flush()
    assert writer.latest == {**many, "m0": 7.0}
    assert asked == []
