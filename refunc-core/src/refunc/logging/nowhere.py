"""Where the records of a run go that leaves nothing anywhere: `REFUNC_MODE=disabled`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc.journal.outlet import Outlet

if TYPE_CHECKING:
    from refunc.journal.writer import Watch


class Nowhere(Outlet):
    """An outlet whose queue holds nothing, so that the hot path stays the same and does nothing."""

    def _reset(self) -> None:
        super()._reset()
        self.queue = deque(maxlen=0)
        self.latest: dict[str, Any] = {}
        self.last_step: int | None = None
        self.watch: Watch | None = None
        self.unsynced: deque[Path] = deque()

    def write_all(self, items: Iterable[Any]) -> bool:
        return True

    def flush(self, *, sync: bool = False) -> bool:
        return True

    def close(self) -> None:
        return

    def release(self) -> None:
        return
