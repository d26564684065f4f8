"""A logger's place in a run: its step and its epoch."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from refunc.logging.notices import warn_once
from refunc.values.jsonable import INT64_MAX, INT64_MIN, number
from refunc.values.texts import short_repr

if TYPE_CHECKING:
    from refunc.journal.writer import JournalWriter
    from refunc.logging.active.aside import Aside
    from refunc.logging.active.nowhere import Nowhere
    from refunc.logging.active.run import ActiveRun


class Place:
    """
    The place of one logger in one run (or outside any run, while there is none); `step` and `epoch` are None until set.

    `is_current` says that every record of this logger belongs to `run` now, so that a call need not look up its run: it
    is the run that the logger started, or the only one that this process has open.
    """

    __slots__ = ("epoch", "epoch_set", "is_current", "logger", "run", "step", "step_set", "writer")

    def __init__(self) -> None:
        self.step: int | float | None = None
        self.epoch: int | float | None = None
        #: When they were set, in seconds since 1970: a record with a step or epoch of its own may be newer.
        self.step_set = self.epoch_set = 0.0
        self.is_current = False

    run: ActiveRun
    writer: JournalWriter | Aside | Nowhere

    #: The logger's name; None if it is the run's own logger, whose name records leave out.
    logger: str | None

    def enter(self, run: ActiveRun, logger: str) -> None:
        """Become the place in *run* of the *logger* of this name."""
        self.run = run
        self.writer = run.writer
        self.logger = None if logger == run.birth["logger"] else logger

    def set_step(self, step: int | float | None) -> int | float | None:
        """Set the step of records that are given none."""
        self.step, self.step_set = step, time()
        return step

    def set_epoch(self, epoch: int | float | None) -> int | float | None:
        """Set the epoch of records that are given none."""
        self.epoch, self.epoch_set = epoch, time()
        return epoch

    def reached(self) -> tuple[Any, Any]:
        """Return the last step and epoch in the run, set or given with a record; writes queued records first."""
        self.writer.flush()
        known = self.writer.reached
        step, epoch = known.steps.get(self.logger), known.epochs.get(self.logger)
        return (
            self.step if step is None or step[1] < self.step_set else step[2],
            self.epoch if epoch is None or epoch[1] < self.epoch_set else epoch[2],
        )

    def place(self, step: Any = None, epoch: Any = None) -> tuple[int | float | None, int | float | None]:
        """Return the step and epoch of a record: *step* and *epoch* if given, otherwise those of this place."""
        given_step = None if step is None else position("step", step)
        given_epoch = None if epoch is None else position("epoch", epoch)
        return (
            self.step if given_step is None else given_step,
            self.epoch if given_epoch is None else given_epoch,
        )


def position(option: str, value: Any) -> int | float | None:
    """
    Return *value* as a step or an epoch: an int of 64 bits, or a float if it has a fraction.

    Anything else is left out, with one warning.
    """
    plain = number(value)
    if plain is not None and INT64_MIN <= plain <= INT64_MAX:  # which NaN is not
        return int(plain) if plain == int(plain) else plain
    warn_once(
        f"{option} {type(value).__name__}",
        "%s: %s is not a 64-bit number; it is left out.",
        *(option, short_repr(value)),
    )
    return None
