"""
The outlet of records that are in no run: they go to the log files and, with `experiment_tracking=False`, to memory.

Lines that wait for a run come here as well as to `loose_lines`: their log files do not wait.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc.journal.line import Line, QueuedLine, QueuedRecord, line_values
from refunc.journal.reached import Reached
from refunc.logging.active.waiting import Kept, Waiting
from refunc.logging.logfiles.transcript import Transcript
from refunc.logging.logfiles.written import values_of
from refunc.outlets.foreign import own_logger
from refunc.outlets.outlet import Outlet
from refunc.values.levels import PROGRESS
from refunc.values.masking import mask_record, masked, masks_secrets

if TYPE_CHECKING:
    from refunc.journal.tap import Watch
    from refunc.logging.active.run import ActiveRun

_BATCH = 4_096

own_log = own_logger("refunc.journal")


class Aside(Outlet):
    """An outlet without a file of its own, in the role of a journal writer for records that are in no run."""

    def __init__(self, *, logger: str = "", kept: Waiting | None = None, run: ActiveRun | None = None) -> None:
        """
        Args:
            logger: The logger of records that do not name one.
            kept: Keeps records in memory to be read back, with their run.
            run: The run in memory that they belong to.
        """
        self._logger = logger
        self.kept = kept
        self._run = run
        self.tap = Transcript(logger, run)
        self.watch: Watch | None = None
        super().__init__()

    def __str__(self) -> str:
        return "The queue of records outside any run"

    def _reset(self) -> None:
        super()._reset()
        self.latest: dict[str, Any] = {}
        self.last_step: int | float | None = None
        self.last_epoch: int | float | None = None
        self.reached = Reached()
        self.new_artifacts: deque[Path] = deque()
        self._masks = True
        self._state: tuple[int, list[Any]] = (0, [])  # the number of the first record of a batch, and the batch

    def after_fork_in_child(self) -> None:
        """Start empty: records that wait are the parent's."""
        super().after_fork_in_child()
        self.tap.forget()

    @property
    def is_idle(self) -> bool:
        """Whether a drain would find nothing to do."""
        return not (self.queue or self._state[1])

    def known_to_tap(self, items: Iterator[Any], kind: type) -> Iterator[Any]:
        """Return *items* unchanged: only a run on disk takes lines that waited for it."""
        return items

    def write_all(self, items: Iterable[Any]) -> bool:
        """Queue *items*, and have them in the log files when this returns."""
        self.queue.extend(items)
        if not self._served:
            self.relieve()
        return self.flush()

    def flush(self, *, sync: bool = False) -> bool:
        """Write everything that was queued before to the log files; see Outlet."""
        done = super().flush()
        self.tap.flush()
        return done

    def finish(self) -> None:
        """Pass on the records that the transcript holds back."""
        self.tap.finish()

    def close(self) -> None:
        """Drain, pass on the records that are held back, and leave the writer thread."""
        super().close()
        self.tap.finish()
        self.tap.flush()

    def release(self) -> None:
        """Do nothing: there is no lock."""

    # -- within the turn --------------------------------------------------------------------------------------------

    def _step(self) -> int:
        seq, batch = self._state
        if not batch:
            # One call into C, which runs no signal handler halfway.
            batch.extend(map(deque.popleft, repeat(self.queue, min(len(self.queue), _BATCH))))
        if not batch:
            return 0
        upto = seq + len(batch)
        if upto > self.tap.told:
            try:
                self._hand_over(batch, seq, upto)
            except Exception:  # our own error; it must not come again with each drain
                own_log.exception("%s: a batch of records did not reach the log files; please report this.", self)
        self._state = (upto, [])
        return len(batch)

    def _hand_over(self, batch: list[Any], seq: int, upto: int) -> None:
        self._masks = masks_secrets()
        rows: list[Any] = []
        alike: dict[Any, list[Any]] = defaultdict(list)
        for number, item in enumerate(batch, seq):
            if item is None:  # at the end of the interpreter, see `metric_set`
                continue
            try:
                row = self._row(item, number)
            except Exception as error:  # the record may contain a secret, so it is not shown
                own_log.warning("%s: a record could not be passed on: %r.", self, error)
                continue
            if isinstance(item, tuple):
                rows.append(row)
            else:
                metrics = row.metrics
                alike[tuple(metrics) if type(metrics) is dict else type(metrics)].append(row)
            if self.kept is not None:
                self.kept.append(Kept(item, self._run))
        self.tap.take(rows, list(alike.values()), partial(setattr, self.tap, "told", upto))

    def _row(self, item: Any, seq: int) -> Any:
        """Return the row that the log files take for a queued record; see `journal.writer`."""
        if not isinstance(item, tuple):
            item.seq = seq
            if item.other is not None and self._masks:
                item.other = masked(item.other)
            self._note(
                item.logger, seq, item.time, values_of(item.metrics), None if item.auto else item.step, item.epoch
            )
            return item
        if not isinstance(item, QueuedRecord):
            line = QueuedLine._make(item)
            metrics = line.metrics or {} if line.level != PROGRESS else {}
            self._note(line.logger, seq, line.time, metrics, line.step, line.epoch)
            return Line(seq, *line_values(item, self._logger, masks=self._masks))
        fields = {"seq": seq, "time": item.time, "kind": item.kind, **item.fields}
        if self._masks:
            mask_record(fields)
        metrics = (fields.get("metrics") if fields.get("level") != "PROGRESS" else None) or {}
        self._note(fields.get("logger"), seq, item.time, metrics, fields.get("step"), fields.get("epoch"))
        return fields

    def _note(
        self, logger: str | None, seq: int, moment: float, metrics: dict[str, Any], step: Any, epoch: Any
    ) -> None:
        self.reached.see(None if logger == self._logger else logger, seq, moment, step, epoch)
        if metrics:
            self.latest.update(metrics)
            self.last_step, self.last_epoch = step, epoch
            if self.watch is not None:
                self.watch.see(metrics, (step, epoch))
