"""Where a logger stands in a run: its step and its epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refunc.journal.values import INT64_MAX, INT64_MIN, number, short_repr
from refunc.logging.report import warn_once

if TYPE_CHECKING:
    from refunc.journal.writer import JournalWriter
    from refunc.logging.nowhere import Nowhere
    from refunc.logging.run import ActiveRun


class Steps:
    """
    Where one logger stands in one run (or, while there is none, outside any); `step` and `epoch` are None until set.

    `is_current` says that whatever this logger records now can only mean `run`, so that a call need not ask which run
    it belongs to: it is the run that the logger started, or the only one that this process has open.
    """

    __slots__ = ("epoch", "is_current", "logger", "run", "step", "writer")

    def __init__(self) -> None:
        self.step: int | None = None
        self.epoch: int | None = None
        self.is_current = False

    run: ActiveRun
    writer: JournalWriter | Nowhere

    #: The logger's name; None where it is the one that records of the run leave out.
    logger: str | None

    def enter(self, run: ActiveRun, logger: str) -> None:
        """Be the place in *run* from now on, of the *logger* of this name."""
        self.run = run
        self.writer = run.writer
        self.logger = None if logger == run.birth["logger"] else logger

    def place(self, step: Any = None, epoch: Any = None) -> tuple[int | None, int | None]:
        """Return the place of a record for which *step* and *epoch* were given, or this one where they were not."""
        given_step = None if step is None else whole("step", step)
        given_epoch = None if epoch is None else whole("epoch", epoch)
        return (
            self.step if given_step is None else given_step,
            self.epoch if given_epoch is None else given_epoch,
        )


def whole(option: str, value: Any) -> int | None:
    """Return *value* as a whole number of 64 bits; a step that is none is left out, with one warning."""
    plain = number(value)
    if plain is not None and INT64_MIN <= plain <= INT64_MAX and plain == int(plain):
        return int(plain)
    warn_once(
        f"{option} {type(value).__name__}", "%s: %s is no whole number; it is left out.", option, short_repr(value)
    )
    return None
