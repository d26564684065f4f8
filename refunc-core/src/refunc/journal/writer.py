"""
The writer of a journal: one a process and run, the only one that writes its segments.

What a call queues is a tuple, because a tuple of twelve costs a tenth of an object with twelve attributes:

    (METRICS, time, metrics, step, epoch, automatic, logger, other)     the hot one
    (kind, time, fields)                                                everything else, its fields JSON-able already

The writer's thread numbers them, makes lines of them, and puts a batch into the segment with one `write(2)`.
"""

from __future__ import annotations

import platform
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from refunc.journal import kinds
from refunc.journal.appender import FileOutlet
from refunc.journal.codec import MAX_LINE_BYTES, MAX_VALUES, encode_line, has_too_many_values
from refunc.journal.file import AppendFile, sync_file
from refunc.journal.folder import JOURNAL, SEGMENT_SUFFIX, RunFolder, refuse_link
from refunc.journal.names import writer_id
from refunc.journal.outlet import HIGH_WATER, Durability, report
from refunc.journal.secrets import is_wanted, mask_record, masked
from refunc.journal.values import short_repr

#: Lines that a full memory keeps longer than others.
_KEPT_LEVELS = frozenset({"RESULT", "ERROR", "CRITICAL"})

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
        #: Sees the metrics that are encoded, with their step and epoch, in the draining thread.
        self.watch: Callable[[Mapping[str, Any], Any], object] | None = None
        #: Files of the run that are whole and not yet known to be on disk: artifacts. Synced with the journal.
        self.unsynced: deque[Path] = deque()
        self._masks = is_wanted()
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
        lines = [self._encode_item(item, number) for number, item in enumerate(batch, seq)]
        if drops:
            number = seq + len(batch)
            lines.append(encode_line({"seq": number, "time": time.time(), "kind": kinds.GAP, "dropped": drops}))
        return b"".join(lines)

    def _encode_item(self, item: Any, seq: int) -> bytes:
        try:
            if item[0] is kinds.METRICS:
                return _bounded(encode_line(self._metrics_fields(item, seq)))
            fields = {"seq": seq, "time": item[1], "kind": item[0], **item[2]}
            if self._masks:
                mask_record(fields)
            if fields.get("logger") == self.logger:
                del fields["logger"]
            if "metrics" in fields and fields.get("level") != "PROGRESS":
                self._note(fields["metrics"], fields.get("step"), fields.get("epoch"))
            return _bounded(encode_line(fields))
        except Exception as error:  # one record that cannot be written must not hold up all behind it
            if item[0] == kinds.END and item[2].get(
                "metrics"
            ):  # how a run ended must be known; they were written before
                return self._encode_item((*item[:2], {**item[2], "metrics": {}}), seq)
            report.warning("%s: record %d could not be encoded (%r); its repr is kept.", self, seq, error)
            return encode_line({"seq": seq, "time": time.time(), "kind": "damaged", "repr": short_repr(item)})

    def _metrics_fields(self, item: Any, seq: int) -> dict[str, Any]:
        _, moment, metrics, step, epoch, automatic, logger, other = item
        fields: dict[str, Any] = {"seq": seq, "time": moment, "kind": kinds.METRICS}
        if step is not None:
            fields["step"] = step
            if automatic:
                fields["auto"] = True
        if epoch is not None:
            fields["epoch"] = epoch
        fields["metrics"] = metrics
        if other:
            fields["other"] = masked(other) if self._masks else other
        if logger != self.logger:
            fields["logger"] = logger
        self._note(metrics, None if automatic and epoch is not None else step, epoch)
        return fields

    def _note(self, metrics: Mapping[str, Any], step: Any, epoch: Any) -> None:
        self.latest.update(metrics)
        if self.watch is not None:
            self.watch(metrics, (step, epoch))

    def _is_kept(self, item: Any) -> bool:
        return item[0] is not kinds.METRICS and (item[0] is not kinds.LOG or item[2].get("level") in _KEPT_LEVELS)


def _bounded(line: bytes) -> bytes:
    """Return *line*; one that readers would take for damage is refused here, where it can be said what it was."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"its line has {len(line):,} bytes")
    if has_too_many_values(line):
        raise ValueError(f"its line has more than {MAX_VALUES:,} values")
    return line
