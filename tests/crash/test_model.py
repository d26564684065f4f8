"""Any order of logging, flushing, crashing, damaging and delivering, against a model that is a page long."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from refunc.delivery import custody, feed
from refunc.delivery.backend import Backend
from refunc.delivery.subscription import Subscription
from refunc.journal import kinds, writer
from refunc.journal.encoded import MetricsRow
from refunc.journal.folder import RunFolder
from refunc.journal.line import QueuedRecord
from refunc.journal.pieces import segments
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.record import LogLine, Metrics, Params, Record
from refunc.plugins import Retry, hookimpl
from refunc.plugins.hooks import hooks_of, plugged
from refunc.runs.run import Run

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

Id = tuple[str, int]


def _content(record: Record) -> Any:
    """Return the number in a record, by which the model knows it."""
    match record:
        case Metrics():
            return record.metrics["n"]
        case LogLine():
            return int(record.message)
        case Params():
            return record.params["n"]
        case _:
            raise AssertionError(record)


class Collector:
    """A tracker that remembers, and refuses when it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[Id, Any]] = []
        self.refuses = 0
        self.starts = self.ends = 0

    def _take(self, records: Any) -> None:
        if self.refuses > 0:
            self.refuses -= 1
            raise Retry("down", after=0)
        self.got += [((record.writer, record.seq), _content(record)) for record in records]

    @hookimpl
    def on_run_start(self, run: Any) -> None:
        self.starts += 1

    @hookimpl
    def on_hyperparams(self, run: Any, record: Any) -> None:
        self._take([record])

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        self._take(records)

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        self._take(records)

    @hookimpl
    def on_run_end(self, run: Any, record: Any) -> None:
        self.ends += 1


class JournalMachine(RuleBasedStateMachine):
    """A run with one writer after the other, and delivery that is killed as well. Everything random is hypothesis'."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model"))
        #: The model: the records written, by their numbers; those of them that may be gone; those in memory only.
        self.written: dict[Id, int] = {}
        self.touched: set[Id] = set()
        self.pending: list[int] = []
        self.places: dict[Path, list[tuple[int, int, Id]]] = {}  # of each line that was not torn: where, and whose
        self.synced: dict[Path, int] = {}
        self.torn = 0
        self.is_damaged = False
        self.count = 0
        self.collector = Collector()
        self.deliveries = 0  # that were killed, and may send again

    @initialize()
    def begin(self) -> None:
        self.writer = self._new_writer(is_made=False)
        self.subscription = self._subscribe()

    def _new_writer(self, *, is_made: bool) -> writer.JournalWriter:
        birth = {"format": 1, "run_id": "model000", "run_name": None, "start_time": 1.0}
        made = writer.JournalWriter(RunFolder(self.folder / "run", birth, is_made=is_made), logger="m")
        # No threads: hypothesis decides when records are drained.
        made._served, made.high_water = True, made._bound
        return made

    def _subscribe(self) -> Subscription:
        return Subscription(self.folder / "run", "probe", "probe")

    @property
    def backend(self) -> Backend:
        return Backend(plugged(self.collector), hooks_of(Collector), "at-least-once")

    # -- the training ------------------------------------------------------------------------------------------------

    @rule(how=st.lists(st.sampled_from([kinds.METRICS, kinds.LOG, kinds.PARAMS]), min_size=1, max_size=12))
    def log(self, how: list[str]) -> None:
        for kind in how:
            n, self.count = self.count, self.count + 1
            moment = float(n)
            if kind == kinds.METRICS:
                self.writer.append(MetricsRow(0, moment, kinds.METRICS, step=n, metrics={"n": n}, logger="m"))
            elif kind == kinds.LOG:
                self.writer.append(
                    QueuedRecord(kinds.LOG, moment, {"level": "INFO", "message": str(n), "logger": "other"})
                )
            else:
                self.writer.append(QueuedRecord(kinds.PARAMS, moment, {"params": {"n": n}}))
            self.pending.append(n)

    @rule(batch=st.integers(1, 5))
    def flush(self, batch: int) -> None:
        """In several writes, so that one may be the last before a crash."""
        self.writer._batch_limit = batch
        assert self.writer.flush()
        self._note_written()

    def _note_written(self) -> None:
        begin = sum(1 for each in self.written if each[0] == self.writer.name)
        self.written.update({(self.writer.name, begin + at): n for at, n in enumerate(self.pending)})
        self.pending.clear()
        self._note_places(self.writer.name, begin)

    def _paths(self, name: str) -> list[Path]:
        return [Path(segment.path) for segment in segments(self.folder / "run").get(name, [])]

    def _note_places(self, name: str, seq: int) -> None:
        """Find where the lines from *seq* on stand, by newlines alone: each but the first of a file is the next one."""
        for path in self._paths(name):
            known = self.places.setdefault(path, [])
            offset = known[-1][1] if known else 0
            data = path.read_bytes()
            if offset and offset < len(data) and data[offset - 1 : offset] != b"\n":
                self.touched.add((name, seq))  # the newline before it was damaged while the writer had the file open
            for line in data[offset:].splitlines(keepends=True):
                if offset > 0 and line.endswith(b"\n"):
                    known.append((offset, offset + len(line), (name, seq)))
                    seq += 1
                elif offset == 0:
                    known.append((0, len(line), (name, -1)))
                offset += len(line)

    @rule()
    def flush_to_disk(self) -> None:
        assert self.writer.flush(sync=True)
        self._note_written()
        for path in self._paths(self.writer.name):
            self.synced[path] = path.stat().st_size

    @rule()
    def rotate(self) -> None:
        """Have the next batch begin a segment."""
        state = self.writer._state
        if state.file is not None and state.data is None:
            self.writer._leave_file(state)

    @rule(part=st.floats(0, 1))
    def crash(self, part: float) -> None:
        """kill -9 in the middle of a write: a part of the batch is there, records only in memory are not."""
        state = self.writer._state
        name = self.writer.name
        if state.file is not None and self.pending:
            data = self.writer._encode(list(self.writer.queue), state.seq, 0)
            there = data[: int(len(data) * part)]
            os.write(state.file.fd, there)
            whole = there.count(b"\n")
            begin = sum(1 for each in self.written if each[0] == name)
            self.written.update({(name, begin + at): n for at, n in enumerate(self.pending[:whole])})
            self.torn += bool(there) and not there.endswith(b"\n")
            self._note_places(name, begin)
        self.pending.clear()
        self._let_go()
        self.writer = self._new_writer(is_made=(self.folder / "run" / "run.json").exists())

    def _let_go(self) -> None:
        for file in [self.writer._state.file, *self.writer._not_on_disk.files()]:
            if file is not None:
                file.close()
        self.writer.release()

    # -- the disk ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.written)
    @rule(which=st.integers(0, 99), part=st.floats(0, 1), size=st.sampled_from([1, 1, 30, 512]), kind=st.integers(0, 2))
    def corrupt(self, which: int, part: float, size: int, kind: int) -> None:
        """Some bytes of some segment become others, the writer's own among them."""
        path = list(self.places)[which % len(self.places)]
        length = path.stat().st_size
        if not length:  # a power cut took it all
            return
        begin = min(int(length * part), length - 1)
        with open(path, "r+b") as file:
            file.seek(begin)
            old = file.read(size)
            noise = random.Random(begin).randbytes(len(old))
            file.seek(begin)
            file.write((bytes(len(old)), noise, bytes([old[0] ^ 4]) + old[1:])[kind])
        self._touch(path, begin, begin + len(old))

    @precondition(lambda self: self.synced)
    @rule(part=st.floats(0, 1))
    def power_cut(self, part: float) -> None:
        """The process is gone, and so are pages that no call forced to disk."""
        self.crash(0.0)
        for path in self.places:
            length, kept = path.stat().st_size, self.synced.get(path, 0)
            end = kept + int((length - kept) * part)
            if end < length:
                os.truncate(path, end)
                self._touch(path, end, length)
                # A later crash finds fewer lines, none of which moved.
                self.places[path] = [each for each in self.places[path] if each[1] <= end]

    def _touch(self, path: Path, begin: int, end: int) -> None:
        self.is_damaged = True
        self.touched |= {owner for first, last, owner in self.places[path] if last > begin and first - 1 < end}

    # -- delivery ----------------------------------------------------------------------------------------------------

    @rule(steps=st.integers(1, 4), refuses=st.integers(0, 1), lags=st.booleans())
    def deliver(self, steps: int, refuses: int, lags: bool) -> None:
        """While the cursor on the disk lags behind, or does not."""
        custody.SAVE_INTERVAL = 1e9 if lags else 0.0
        self.collector.refuses = refuses
        for _ in range(steps):
            if self.subscription.wants():
                self.subscription.advance(self.backend)

    @rule()
    def kill_delivery(self) -> None:
        """Its window may have been taken, and the cursor not saved: it comes again."""
        self.subscription._custody.release()
        self.subscription = self._subscribe()
        self.deliveries += 1

    @rule()
    def sync(self) -> None:
        """As `refunc sync` does it: another process delivers the rest of the records."""
        window = self.subscription._settlement.window
        self.deliveries += not window.is_settled  # stopped within a window, which comes again as a whole
        self.subscription.close()
        self.collector.refuses = 0
        self.subscription = self._subscribe()
        deadline = time.monotonic() + 20
        while self.subscription.wants() or not self.subscription._settlement.window.is_settled:
            assert time.monotonic() < deadline
            self.subscription.advance(self.backend)
        got = {owner for owner, _ in self.collector.got}
        assert set(self.written) - self.touched <= got

    # -- facts that hold at any time ---------------------------------------------------------------------------------

    @invariant()
    def readers_agree_with_the_model(self) -> None:
        folder = self.folder / "run"
        account = Account()
        forwards = {(record.writer, record.seq): _content(record) for record in read_journal(folder, account)}
        backwards = [((record.writer, record.seq), _content(record)) for record in read_backwards(folder)]
        assert len(backwards) == len(dict(backwards))
        for found in (forwards, dict(backwards)):
            assert found.items() <= self.written.items()
            assert set(self.written) - set(found) <= self.touched
        if not self.is_damaged:
            assert account == Account(torn=self.torn)
        else:
            assert (
                set(forwards) == set(self.written)
                or account.damaged + account.torn + account.missing
                or (
                    self.touched  # a segment's end that a power cut took leaves no trace
                )
            )
        if (folder / "run.json").exists():
            assert Run.open(folder).status in ("running", "crashed")

    @invariant()
    def trackers_got_nothing_else(self) -> None:
        for owner, content in self.collector.got:
            assert self.written[owner] == content
        if not self.deliveries:
            assert all(count == 1 for count in Counter(owner for owner, _ in self.collector.got).values())
            assert self.collector.starts <= 1

    def teardown(self) -> None:
        self.sync()
        self._let_go()
        self.subscription.close()
        shutil.rmtree(self.folder)


def test_any_order_of_events_is_what_the_model_says(
    times: Callable[[float, float], int], monkeypatch: pytest.MonkeyPatch, chance: random.Random
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 1_500)
    monkeypatch.setattr(feed, "WINDOW_RECORDS", 7)
    monkeypatch.setattr(custody, "SAVE_INTERVAL", 0.0)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        seed(chance.randrange(1 << 32))(JournalMachine),
        settings=settings(
            max_examples=times(300, 5_000),
            stateful_step_count=30,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
