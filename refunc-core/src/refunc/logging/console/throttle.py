"""How often metrics are shown: 20 of each set of names at once, then one in 10 s on a terminal, in 60 s elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING
from weakref import ref

from refunc.journal.metric_set import MetricSet
from refunc.logging.console.thinning import FREE
from refunc.values.terminal import is_terminal

if TYPE_CHECKING:
    from refunc.logging.bars.bar import Bar

TERMINAL_INTERVAL = 10.0
FILE_INTERVAL = 60.0
#: Sets of names that are remembered; a script that generates names without end must not fill memory.
MAX_SETS = 1_000
#: Logged names that a bar remembers; a line has room for a few.
_MAX_LOGGED = 32

#: The progress bars that are open, outermost first: with one open, all metrics go into it.
open_bars: list[Bar] = []

# No WeakSet: Python swallows a Ctrl-C that comes while a weak reference's callback runs.
_echoes: list[ref[Echo]] = []
#: How many echoes, including those that are gone, before the latter are forgotten.
_most_echoes = 100


def _remember(echo: Echo) -> None:
    global _most_echoes
    _echoes.append(ref(echo))
    if len(_echoes) > _most_echoes:
        for gone in [each for each in tuple(_echoes) if each() is None]:
            with suppress(ValueError):  # by another thread
                _echoes.remove(gone)
        _most_echoes = 2 * len(_echoes) + 100


def bar_opened() -> None:
    """Look at all metrics from now on, because a bar was opened that shows them."""
    for each in tuple(_echoes):
        echo = each()
        if echo is not None:
            echo.look_again()


def show_in_open_bar(metrics: Mapping[str, float]) -> bool:
    """
    Put *metrics* into the innermost open bar of this process; False if none is open.

    Takes no lock and draws nothing: the drawing thread shows them, next to those of the bar's own tracker. An outer bar
    that showed them before, when it was the innermost, gives them up.
    """
    try:
        *outer, bar = open_bars
    except ValueError:
        return False
    for other in outer:
        if other.logged:
            other.logged = {name: value for name, value in other.logged.items() if name not in metrics}
    if len(bar.logged) > _MAX_LOGGED:  # generated names must not fill memory
        bar.logged = {}
    bar.logged.update(metrics)
    return True


class Shown(MetricSet):
    """
    A set of names. Its next record is looked at once `due` has passed, and shown as a line once `line_due` has.

    Both in seconds since 1970, because the hot path has read that clock already; it compares `due` itself.
    """

    __slots__ = ("due", "line_due", "lines")

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.due = self.line_due = 0.0
        self.lines = 0


class Echo:
    """The sets of names that one logger has logged, and when each is shown."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Shown] = {}
        self._interval = TERMINAL_INTERVAL if is_terminal(sys.stderr) else FILE_INTERVAL
        _remember(self)

    def metric_set(self, names: tuple[str, ...]) -> Shown:
        """Return the set of these *names*, which is due if it is new."""
        known = self._known.get(names)
        if known is None:
            if len(self._known) >= MAX_SETS:
                self._known.clear()
            known = self._known[names] = Shown(names)
        return known

    def is_shown(self, metric_set: Shown, moment: float) -> bool:
        """Whether a record of *metric_set* at *moment* is to be shown; if so, it counts as shown."""
        if open_bars:  # they show it, and it does not count as a line
            metric_set.due = 0.0
            return True
        if moment < metric_set.line_due:
            metric_set.due = metric_set.line_due
            return False
        self.count_as_shown(metric_set, moment)
        return True

    def count_as_shown(self, metric_set: Shown, moment: float) -> None:
        """Count *metric_set* as shown at *moment*."""
        metric_set.lines += 1
        if metric_set.lines >= FREE:
            metric_set.line_due = moment + self._interval
        metric_set.due = 0.0 if open_bars else metric_set.line_due

    def look_again(self) -> None:
        """Look at the next record of each set."""
        for metric_set in [*self._known.values()]:
            metric_set.due = 0.0


class Mute(Echo):
    """The sets of names of a logger that shows none."""

    def metric_set(self, names: tuple[str, ...]) -> Shown:
        """Return the set of these *names*, which is never due."""
        found = super().metric_set(names)
        found.due = inf
        return found

    def is_shown(self, metric_set: Shown, moment: float) -> bool:
        """Return False: a bar that was opened has made the set due."""
        metric_set.due = inf
        return False
