"""Runs without a journal: writing is switched off or refused, or their logger does not track them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc.logging.active.aside import Aside
from refunc.logging.active.nowhere import Nowhere, is_disabled
from refunc.logging.active.run import ActiveRun
from refunc.outlets.durability import Durability

if TYPE_CHECKING:
    from refunc.journal.writer import JournalWriter


class UnwrittenRun(ActiveRun):
    """
    A run with all calls, whose records go only to the log files.

    Under `REFUNC_MODE=disabled` there are no log files either.
    """

    is_written = False

    def _new_writer(self, durability: Durability) -> JournalWriter | Aside | Nowhere:
        return Nowhere() if is_disabled() else Aside(logger=self.birth["logger"], run=self)

    def store(self, source: Path, *, copy: bool | float | None) -> dict[str, Any]:
        return {"stored": None}

    @property
    def size(self) -> int:
        return 0


class UntrackedRun(UnwrittenRun):
    """The run of a logger with `experiment_tracking=False`: no other logger logs to it, and no process finds it."""

    is_tracked = False
