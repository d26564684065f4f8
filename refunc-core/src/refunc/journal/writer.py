"""
The writer of a journal: one per process and run, the only one that writes its segments.

Calls queue the items that cost them least:

    MetricsRow                                    metrics, complete except for the number
    (LOG, time, level, message, step, epoch, …)   a logger's line; see line.QueuedLine
    (kind, time, fields)                          all others; the fields are JSON data

The writer's thread numbers them, encodes them all at once, and puts them into the segment with one `write(2)`.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import astuple

from refunc.journal import kinds
from refunc.journal.codec import MAX_VALUES, encode_line, encode_lines
from refunc.journal.encoded import MetricsRow, column, line_row
from refunc.journal.folder import SEGMENT_BYTES, RunFolder
from refunc.journal.line import EPOCH, LEVEL, LOGGER, MESSAGE, METRICS, STEP, TIME, QueuedRecord
from refunc.journal.own_segments import OwnSegments
from refunc.journal.provenance import mac_of_attach
from refunc.journal.reached import Reached
from refunc.journal.tap import Watch
from refunc.journal.tapped import TappedOutlet
from refunc.outlets.bounded_queue import HIGH_WATER
from refunc.outlets.durability import Durability
from refunc.outlets.file import AppendFile, fsync_file
from refunc.outlets.foreign import own_logger
from refunc.values.levels import ERROR, PROGRESS, RESULT
from refunc.values.masking import mask_record, masked, masks_secrets
from refunc.values.secrets import without_secrets
from refunc.values.texts import short_repr

#: Records of metrics by the class of their values: one a set of names, `dict` for sets without one.
_Met = defaultdict[type, list[MetricsRow]]

#: The level of lines that are kept longest when memory is full.
_KEPT_LEVELS = frozenset({"RESULT", "ERROR", "CRITICAL"})

#: How many records are written alone before their values are read.
_MOST_PUT_OFF = 4_096

own_log = own_logger("refunc.journal")


class JournalWriter(TappedOutlet):
    """
    Writes one run's records from this process, in segments `journal/<writer>.<number>.jsonl`.

    Sequence numbers are given while draining and are contiguous, so a lost record can be detected. After a fork the
    child is another writer, with a name, numbers and files of its own from its first record on.
    """

    def __init__(self, folder: RunFolder, *, logger: str, durability: Durability = "async") -> None:
        """
        Args:
            logger: The name of the logger of most records; its lines leave the name out.
        """
        self.folder = folder
        self.logger = logger
        #: The last value of each metric that this writer has encoded.
        self.latest: dict[str, Any] = {}
        #: The step of the last record of metrics, if its call gave one.
        self.last_step: int | float | None = None
        self.last_epoch: int | float | None = None
        #: The last step and epoch of each logger, of the records that this writer has encoded.
        self.reached = Reached()
        #: Sees the metrics that are encoded, with their step and epoch, in the draining thread.
        self.watch: Watch | None = None
        #: Files of the run that are whole and not yet known to be on disk: artifacts. Forced to disk with the journal.
        self.new_artifacts: deque[Path] = deque()
        self._is_over = False  # whether the lock is to be released
        self._masks = True  # the setting at the time when a batch is encoded
        self._put_off: list[Any] = []  # records that were written alone, whose values were not read yet
        super().__init__(bound=HIGH_WATER, durability=durability)

    def __str__(self) -> str:
        return f"The journal in {self.folder.path}"

    def _reset(self) -> None:
        super()._reset()
        self._segments = OwnSegments(self.folder, self.logger)
        self.name = self._segments.name
        self._has_lost = False  # whether files that were written before have been deleted
        self._told_deleted: Any = None  # the last file of which that was said

    def after_fork_in_child(self) -> None:
        """Become a new writer, and leave the run's lock to the parent."""
        super().after_fork_in_child()
        self.reached.count_from_start()
        self.folder.leave_lock()

    def close(self) -> None:
        """Drain, fsync and close the file, and release the lock if that waited for this; see `FileOutlet`."""
        super().close()
        if self._is_over:
            self.release()

    def release(self) -> None:
        """Release the lock that shows that the run is alive; if its end is behind a write that hangs, after that."""
        self._is_over = True
        if not self.is_closing:
            self.folder.release()

    def fsync(self) -> bool:
        """Force the written records to the disk, new artifacts first. Always False once files were deleted."""
        while self.new_artifacts:
            try:
                fsync_file(self.new_artifacts.popleft())
            except IndexError:  # another thread took the last one
                break
            except OSError as error:
                own_log.warning("%s: an artifact may not survive a power cut: %s.", self, error)
        return super().fsync() and not self._has_lost

    @property
    def is_idle(self) -> bool:
        """Whether a drain would find nothing to do, including the values of records that were written alone."""
        return super().is_idle and not self._put_off

    def _open_next(self) -> AppendFile:
        return self._segments.open_next()

    def _leave_deleted(self, state: Any) -> None:
        """Write the content of the deleted file, which can still be read, to a new one, as soon as one can be made."""
        if state.file is not self._told_deleted:
            self._told_deleted = state.file
            own_log.warning(
                "%s: the file that it writes to was deleted. Its records are written again, and the run goes on; "
                "earlier files of the run, artifacts too, are gone if they were deleted as well.",
                self,
            )
        self._not_on_disk.suspects[state.file] = (0, state.size)
        self._has_lost = not self._segments.are_earlier_there()

    def _is_full(self, size: int) -> bool:
        return size >= SEGMENT_BYTES

    def _header(self) -> bytes:
        return self._segments.header()

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        if len(batch) == 1 and type(batch[0]) is MetricsRow and not drops:
            return self._encode_one(batch[0], seq)
        self._settle()
        rows: list[Any] = []
        passed: list[Any] = []  # those among them that are not metrics
        alike: list[list[MetricsRow]] = []
        met: _Met = defaultdict(list)
        masks = self._masks = masks_secrets()
        for number, item in enumerate(batch, seq):
            if type(item) is MetricsRow:
                item.seq = number
                if item.other is not None and masks:
                    item.other = masked(item.other)
                met[type(item.metrics)].append(item)
                rows.append(item)
                continue
            if type(item) is tuple:  # a line.QueuedLine
                row, level, metrics = self._line(item, number), item[LEVEL], item[METRICS]
                step, epoch, name = item[STEP], item[EPOCH], item[LOGGER]
            else:
                row = self._fields(item, number)
                level, metrics = row.get("level"), row.get("metrics")
                step, epoch, name = row.get("step"), row.get("epoch"), row.get("logger")
            rows.append(row)
            passed.append(row)
            if step is not None or epoch is not None:
                self.reached.see(None if name == self.logger else name, number, item[TIME], step, epoch)
            if metrics and level not in (PROGRESS, "PROGRESS"):
                alike += self._note_all(met)
                self._note(row, metrics)
        alike += self._note_all(met)
        if drops:
            gap = {"seq": seq + len(batch), "time": time.time(), "kind": kinds.GAP, "dropped": drops}
            rows.append(gap)
            passed.append(gap)
        if self.tap is not None:
            self._hand_over(self.tap, batch, passed, alike, seq, seq + len(rows))
        try:
            return encode_lines(rows)
        except Exception:  # one record that cannot be written must not block the others
            return b"".join(map(self._encode_alone, rows))

    def _encode_one(self, row: MetricsRow, seq: int) -> bytes:
        """Return the line of one record of metrics; the watch sees its values at the next drain."""
        row.seq = seq
        if row.other is not None and masks_secrets():
            row.other = masked(row.other)
        if not self._put_off or self._put_off[-1] is not row:  # it is, if its write was refused
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
            alike = self._note_all(met)
            if self.tap is not None:
                first, last = self._put_off[0].seq, self._put_off[-1].seq
                self._hand_over(self.tap, self._put_off, [], alike, first, last + 1)
            self._put_off.clear()

    def _row(self, item: Any, seq: int) -> Any:
        if type(item) is MetricsRow:
            item.seq = seq
            if item.other is not None and masks_secrets():
                item.other = masked(item.other)
            return item
        self._masks = masks_secrets()
        return self._line(item, seq) if type(item) is tuple else self._fields(item, seq)

    def _line(self, item: Any, seq: int) -> Any:
        try:
            return line_row(item, seq, self.logger, masks=self._masks)
        except Exception as error:  # see `_fields`
            message = without_secrets(item[MESSAGE]) if self._masks else item[MESSAGE]
            return self._damaged({"seq": seq, "message": message}, error)

    def _fields(self, item: QueuedRecord, seq: int) -> dict[str, Any]:
        fields = {"seq": seq, "time": item.time, "kind": item.kind, **item.fields}
        try:
            if self._masks:
                mask_record(fields)
        except Exception as error:  # see `_encode`; the record may contain a secret, so it is not written
            return self._damaged({"seq": seq, "kind": item.kind}, error)
        if item.kind is kinds.ATTACH:  # in the form of the journal, so after the masking
            with suppress(Exception):  # the interpreter is ending: without it, `refunc sync` asks
                fields["mac"] = mac_of_attach(self.folder.birth["run_id"], fields)
        if fields.get("logger") == self.logger:
            del fields["logger"]
        return fields

    def _encode_alone(self, row: Any) -> bytes:
        try:
            return encode_lines([row])
        except Exception as error:
            if isinstance(row, dict) and row["kind"] == kinds.END and row.get("metrics"):
                # The end of a run must be written; its metrics were written before.
                return self._encode_alone({**row, "metrics": {}})
            return encode_lines([self._damaged(row, error)])

    def _damaged(self, row: Any, error: Exception) -> dict[str, Any]:
        """Return the fields that are written for a record that cannot be encoded."""
        seq = row["seq"] if isinstance(row, dict) else row.seq
        own_log.warning("%s: record %d could not be encoded (%r); its repr is kept.", self, seq, error)
        return {"seq": seq, "time": time.time(), "kind": kinds.DAMAGED, "repr": short_repr(row)}

    def _note_all(self, met: _Met) -> list[list[MetricsRow]]:
        """Keep the last values of the records in *met*, and pass them to the watch; return them, and empty *met*."""
        # Sets without a class of their own are dicts, each with its own names.
        groups = [[row] for row in met.pop(dict, ())] + list(met.values())
        groups.sort(key=lambda rows: rows[-1].seq)
        for alike in groups:
            last = alike[-1].metrics
            self.reached.see_all(alike)
            self.last_step = None if alike[-1].auto else alike[-1].step
            self.last_epoch = alike[-1].epoch
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
        return groups

    def _note(self, row: Any, metrics: dict[str, Any]) -> None:
        self.latest.update(metrics)
        if self.watch is not None:
            get = row.get if isinstance(row, dict) else partial(getattr, row)
            self.watch.see(metrics, (get("step", None), get("epoch", None)))

    def _is_kept(self, item: Any) -> bool:
        if type(item) is MetricsRow:
            return False
        if type(item) is tuple:
            return bool(item[LEVEL] >= ERROR or item[LEVEL] == RESULT)
        return bool(item.kind is not kinds.LOG or item.fields.get("level") in _KEPT_LEVELS)


def _place_of(rows: list[MetricsRow], at: int) -> tuple[int | float | None, int | float | None]:
    """Return step and epoch of one of *rows*; a count of calls is not a step if there is an epoch."""
    row = rows[at]
    return (None if row.auto and row.epoch is not None else row.step), row.epoch
