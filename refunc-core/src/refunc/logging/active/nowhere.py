"""The outlet of a run that writes nothing: `REFUNC_MODE=disabled`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc.journal.reached import Reached
from refunc.outlets.outlet import Outlet
from refunc.values import settings

if TYPE_CHECKING:
    from refunc.journal.tap import Tap, Watch


def is_disabled() -> bool:
    """Whether `REFUNC_MODE=disabled` switches all writing off."""
    return settings.MODE.choice() == "disabled"


class Nowhere(Outlet):
    """An outlet whose queue holds nothing, so that the hot path stays the same and does nothing."""

    def _reset(self) -> None:
        super()._reset()
        self.queue = deque(maxlen=0)
        self.latest: dict[str, Any] = {}
        self.last_step: int | float | None = None
        self.last_epoch: int | float | None = None
        self.reached = Reached()
        self.watch: Watch | None = None
        self.tap: Tap | None = None
        self.new_artifacts: deque[Path] = deque()

    def known_to_tap(self, items: Iterator[Any], kind: type) -> Iterator[Any]:
        return items

    def write_all(self, items: Iterable[Any]) -> bool:
        return True

    def flush(self, *, sync: bool = False) -> bool:
        return True

    def close(self) -> None:
        return

    def release(self) -> None:
        return
