"""
The writer of a journal: one a process and run, the only one that writes its segments.

What a call queues is what costs it least:

    MetricsRow                                    metrics, ready but for the number
    (LOG, time, level, message, step, epoch, …)   a logger's line; see rows.line_row
    (kind, time, fields)                          the rest; its fields are JSON-able

The writer's thread numbers them, makes lines of them all at once, and puts them into the segment with one `write(2)`.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import astuple

from refunc.journal import kinds
from refunc.journal.appender import FileOutlet
from refunc.journal.codec import MAX_VALUES, encode_line, encode_lines
from refunc.journal.file import AppendFile, sync_file
from refunc.journal.folder import JOURNAL, SEGMENT_SUFFIX, RunFolder, refuse_link
from refunc.journal.levels import ERROR, PROGRESS, RESULT
from refunc.journal.masking import is_wanted, mask_record, masked
from refunc.journal.names import writer_id
from refunc.journal.outlet import HIGH_WATER, Durability, report
from refunc.journal.rows import LINE_ITEM, MetricsRow, column, line_row
from refunc.journal.secrets import without_secrets
from refunc.journal.values import short_repr


class Watch(Protocol):
    """Who looks at the metrics while they are written, on the writer's thread."""

    def see(self, metrics: Mapping[str, Any], place: Any) -> object:
        """Look at *metrics* at a *place*, a step and an epoch."""

    def see_all(
        self, names: tuple[str, ...], column_of: Callable[[int], list[Any]], place_of: Callable[[int], Any]
    ) -> object:
        """Look at many records with these *names*: values by a name's index, places by a record's, oldest first."""


#: Records of metrics by the class of their values: one a set of names, `dict` for what has none.
_Met = defaultdict[type, list[MetricsRow]]

#: Lines that a full memory keeps longer than others.
_KEPT_LEVELS = frozenset({"RESULT", "ERROR", "CRITICAL"})

#: Records written alone before their values are looked at.
_MOST_PUT_OFF = 4_096

#: Size in bytes at which a segment is full.
SEGMENT_BYTES = 16 << 20


class JournalWriter(FileOutlet):
    """
    Writes one run's records from this process, in segments `journal/<writer>.<number>.jsonl`.

    Sequence numbers are given while draining and are contiguous, so a lost record is a provable one. After a fork the
    child is another writer: it has a name, numbers and files of its own from its first record on.
    """

    def __init__(self, folder: RunFolder, *, logger: str, durability: Durability = "async") -> None:
        """
        Args:
            logger: The name of the logger that most records come from; lines of it leave the name out.
        """
        self.folder = folder
        self.logger = logger
        #: The last value of each metric that this writer has encoded.
        self.latest: dict[str, Any] = {}
        #: The step of the last record of metrics, where its call gave one.
        self.last_step: int | None = None
        #: Sees the metrics that are encoded, with their step and epoch, in the draining thread.
        self.watch: Watch | None = None
        #: Files of the run that are whole and not yet known to be on disk: artifacts. Synced with the journal.
        self.unsynced: deque[Path] = deque()
        self._masks = is_wanted()
        self._put_off: list[Any] = []  # records that were written alone, whose values were not looked at yet
        super().__init__(bound=HIGH_WATER, durability=durability)

    def __str__(self) -> str:
        return f"The journal in {self.folder.path}"

    def _reset(self) -> None:
        super()._reset()
        self.name = writer_id(platform.node())
        self._segment = 0

    def after_fork_in_child(self) -> None:
        """Be a new writer, and leave the run's lock to the parent alone."""
        super().after_fork_in_child()
        self.release()

    def release(self) -> None:
        """Give up the lock that says that the run is alive."""
        self.folder.release()

    def sync(self) -> bool:
        """Force what is written to the disk, new artifacts first; see FileOutlet."""
        while self.unsynced:
            try:
                sync_file(self.unsynced.popleft())
            except IndexError:  # another thread took the last one
                break
            except OSError as error:
                report.warning("%s: an artifact may not survive a power cut: %s.", self, error)
        return super().sync()

    @property
    def is_idle(self) -> bool:
        """Whether a drain would find nothing to do, the values of records that were written alone included."""
        return super().is_idle and not self._put_off

    def _open_next(self) -> AppendFile:
        self.folder.create()
        refuse_link(self.folder.path / JOURNAL)
        while True:
            path = self._path(self._segment)
            self._segment += 1
            try:
                return AppendFile(path, new=True)
            except FileExistsError:  # an attempt that was interrupted right after the open
                continue

    def _path(self, segment: int) -> Path:
        return self.folder.path / JOURNAL / f"{self.name}.{segment:06d}{SEGMENT_SUFFIX}"

    def _is_full(self, size: int) -> bool:
        return size >= SEGMENT_BYTES

    def _header(self) -> bytes:
        writer, pid = self.name, int(self.name.split("-")[-3])
        return encode_line(
            {
                "kind": kinds.SEGMENT,
                "format": kinds.FORMAT,
                "run": self.folder.birth["run_id"],
                "writer": writer,
                "segment": self._segment - 1,
                "time": time.time(),
                "monotonic": time.monotonic(),
                "host": platform.node(),
                "pid": pid,
                "logger": self.logger,
            }
        )

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        if len(batch) == 1 and type(batch[0]) is MetricsRow and not drops:
            return self._encode_one(batch[0], seq)
        self._settle()
        rows: list[Any] = []
        met: _Met = defaultdict(list)
        masks = self._masks
        for number, item in enumerate(batch, seq):
            if type(item) is MetricsRow:
                item.seq = number
                if item.other is not None and masks:
                    item.other = masked(item.other)
                met[type(item.metrics)].append(item)
                rows.append(item)
                continue
            if len(item) == LINE_ITEM:
                row, level, metrics = self._line(item, number), item[2], item[6]
            else:
                row = self._fields(item, number)
                level, metrics = row.get("level"), row.get("metrics")
            rows.append(row)
            if metrics and level not in (PROGRESS, "PROGRESS"):
                self._note_all(met)
                self._note(row, metrics)
        self._note_all(met)
        if drops:
            rows.append({"seq": seq + len(batch), "time": time.time(), "kind": kinds.GAP, "dropped": drops})
        try:
            return encode_lines(rows)
        except Exception:  # one record that cannot be written must not hold up the others
            return b"".join(map(self._encode_alone, rows))

    def _encode_one(self, row: MetricsRow, seq: int) -> bytes:
        """Return the line of one record of metrics; who wants to know its values learns of them with the next drain."""
        row.seq = seq
        if row.other is not None and self._masks:
            row.other = masked(row.other)
        self._put_off.append(row)
        if len(self._put_off) > _MOST_PUT_OFF:
            self._settle()
        try:
            line = encode_line(row)
        except Exception:  # see `_encode`
            return self._encode_alone(row)
        return line if len(line) <= MAX_VALUES else self._encode_alone(row)

    def _settle(self) -> None:
        if self._put_off:
            met: _Met = defaultdict(list)
            for row in self._put_off:
                met[type(row.metrics)].append(row)
            self._put_off.clear()
            self._note_all(met)

    def _line(self, item: Any, seq: int) -> Any:
        try:
            return line_row(item, seq, self.logger, masks=self._masks)
        except Exception as error:  # see `_fields`
            return self._damaged({"seq": seq, "message": without_secrets(item[3]) if self._masks else item[3]}, error)

    def _fields(self, item: Any, seq: int) -> dict[str, Any]:
        fields = {"seq": seq, "time": item[1], "kind": item[0], **item[2]}
        try:
            if self._masks:
                mask_record(fields)
        except Exception as error:  # see `_encode`; what may have a secret in it is not written
            return self._damaged({"seq": seq, "kind": item[0]}, error)
        if fields.get("logger") == self.logger:
            del fields["logger"]
        return fields

    def _encode_alone(self, row: Any) -> bytes:
        try:
            return encode_lines([row])
        except Exception as error:
            if isinstance(row, dict) and row["kind"] == kinds.END and row.get("metrics"):
                # How a run ended must be known; its metrics were written before.
                return self._encode_alone({**row, "metrics": {}})
            return encode_lines([self._damaged(row, error)])

    def _damaged(self, row: Any, error: Exception) -> dict[str, Any]:
        """Return what is written for a record that cannot be."""
        seq = row["seq"] if isinstance(row, dict) else row.seq
        report.warning("%s: record %d could not be encoded (%r); its repr is kept.", self, seq, error)
        return {"seq": seq, "time": time.time(), "kind": "damaged", "repr": short_repr(row)}

    def _note_all(self, met: _Met) -> None:
        """Keep the last values of the records in *met*, and show them to the watch; then forget them."""
        # Dicts have all the names that get no class of their own, each its own ones.
        groups = [[row] for row in met.pop(dict, ())] + list(met.values())
        for alike in sorted(groups, key=_last_number):
            last = alike[-1].metrics
            self.last_step = None if alike[-1].auto else alike[-1].step
            if type(last) is dict:
                self.latest.update(last)
                if self.watch is not None:
                    self.watch.see(last, _place_of(alike, 0))
                continue
            names = last.__struct_encode_fields__
            self.latest.update(zip(names, astuple(last), strict=True))
            if self.watch is not None:
                self.watch.see_all(names, partial(column, alike), partial(_place_of, alike))
        met.clear()

    def _note(self, row: Any, metrics: dict[str, Any]) -> None:
        self.latest.update(metrics)
        if self.watch is not None:
            get = row.get if isinstance(row, dict) else partial(getattr, row)
            self.watch.see(metrics, (get("step", None), get("epoch", None)))

    def _is_kept(self, item: Any) -> bool:
        if type(item) is MetricsRow:
            return False
        if len(item) == LINE_ITEM:
            return bool(item[2] >= ERROR or item[2] == RESULT)
        return len(item) == 3 and (item[0] is not kinds.LOG or item[2].get("level") in _KEPT_LEVELS)


def _last_number(rows: list[MetricsRow]) -> int:
    return rows[-1].seq


def _place_of(rows: list[MetricsRow], at: int) -> tuple[int | None, int | None]:
    """Return step and epoch of one of *rows*; a count of calls is no place where there is an epoch."""
    row = rows[at]
    return (None if row.auto and row.epoch is not None else row.step), row.epoch
