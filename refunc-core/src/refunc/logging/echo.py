"""How often metrics are shown: each set of names at once, then every 10 s on a terminal, every 60 s elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from refunc.logging.terminal import is_terminal

if TYPE_CHECKING:
    from refunc.logging.bars import Bar

TERMINAL_INTERVAL = 10.0
FILE_INTERVAL = 60.0
#: Sets of names that are remembered; a script that makes up names without end must not fill memory.
MAX_SETS = 1_000

#: The progress bars that are open, outermost first: with one open, metrics go into it, whenever they come.
open_bars: list[Bar] = []


class Echo:
    """
    When metrics with the same names are to be shown again.

    The hot path looks into `due` itself: a set of names that is not there is due. Times are those of the records, in
    seconds since 1970, because that clock was read already.
    """

    def __init__(self) -> None:
        self.due: dict[tuple[Any, ...], float] = {}
        self._interval = TERMINAL_INTERVAL if is_terminal(sys.stderr) else FILE_INTERVAL

    def shown(self, metrics: Mapping[str, Any], moment: float) -> None:
        """Count metrics with these names as shown at *moment*."""
        if len(self.due) >= MAX_SETS:
            self.due.clear()
        self.due[tuple(metrics)] = moment + self._interval
