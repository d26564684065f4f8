"""
One bar: the values of a tracker that it shows, and tqdm's class as refunc uses it.

tqdm is not imported before a bar is really drawn. Its state between two drawings belongs to the drawing thread.
"""

from __future__ import annotations

import functools
import os
import sys
import time
import weakref
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from typing import Any, Protocol

from refunc.logging.bars.notebook import has_widgets, text_class
from refunc.values.jsonable import number
from refunc.values.loaded import of_loaded
from refunc.values.printable import printable_line
from refunc.values.quantities import figure
from refunc.values.terminal import in_notebook
from refunc.values.texts import text_of

#: Columns that a bar keeps, including the comma after it, when its metrics would take the whole line.
_NARROWEST_BAR = 12


class Counted(Protocol):
    """The values that a bar shows; the drawing thread reads them at any time."""

    @property
    def completed(self) -> float: ...

    @property
    def total(self) -> float | None: ...

    @property
    def metrics(self) -> Mapping[str, Any]: ...


class Bar:
    """
    One open bar.

    It holds its tracker weakly: when an unfinished tracker is garbage-collected, its bar goes with it.
    """

    def __init__(self, source: Counted, drawn: Any, sized: Collection[str]) -> None:
        self.logged: dict[str, Any] = {}
        self._source = weakref.ref(source)
        self._drawn = drawn
        self._sized = sized
        self._completed: float = drawn.n
        self._total: float | None = drawn.total
        self._last_draw = 0.0
        self._interval: float = drawn.mininterval
        # This class decides when to draw; tqdm's own gates would skip redraws that it asks for.
        drawn.mininterval = drawn.miniters = 0
        drawn.dynamic_miniters = False

    def due(self, now: float) -> bool:
        """Whether it is time to draw again."""
        drawn = self._drawn
        return now - self._last_draw >= self._interval and now >= drawn.start_t + drawn.delay

    def read(self) -> bool:
        """
        Take over the tracker's count and metrics, without drawing; False once the tracker is gone.

        Formatting happens here, outside of every lock, because `float()` of a GPU tensor may wait.
        """
        source = self._source()
        if source is None:
            return False
        self._completed, self._total = source.completed, source.total
        if self._sized:
            vars(self._drawn).update(size_of(self._drawn.fp, self._sized))
        room = None
        if isinstance(self._drawn.ncols, int):
            room = self._drawn.ncols - len(_meter_without_bar(self._drawn)) - _NARROWEST_BAR
        own = _copied(source.metrics)
        others = {name: value for name, value in self.logged.items() if name not in own}
        self._drawn.postfix = postfix({**own, **others}, room)
        return True

    def draw(self, now: float) -> None:
        """Draw the values that `read` took over. The caller holds the screen's lock."""
        self._last_draw = now
        self._adopt_total()
        self._drawn.shown = None
        more = self._completed - self._drawn.n
        # tqdm's rate is measured between two calls of `update`; a call without progress would spoil it.
        if not (more and self._drawn.update(more)):
            self._drawn.refresh()

    def close(self) -> None:
        """Draw for the last time and give the line back. The caller holds the screen's lock."""
        self.read()
        self._adopt_total()
        self._drawn.shown = None
        self._drawn.n = self._completed
        self._drawn.close()

    def _adopt_total(self) -> None:
        """Take over a total that became known after the opening; assigning it would not reach a notebook's widget."""
        if self._total is not None and self._total != self._drawn.total:
            start = self._drawn.start_t
            self._drawn.reset(self._total)
            self._drawn.start_t = start

    def fit(self) -> None:
        """Take over the terminal's new size. The caller has cleared it, and holds tqdm's lock."""
        drawn = self._drawn
        if self._sized:
            vars(drawn).update(size_of(drawn.fp, self._sized))
        drawn.shown = None
        # tqdm remembers the length of the last line, and would pad a shorter one beyond the end of the new line.
        drawn.sp = drawn.status_printer(drawn.fp)

    def disown(self) -> None:
        """Forget the bar without drawing: it is the parent process's."""
        self._drawn.disable = True
        type(self._drawn)._instances.discard(self._drawn)


def postfix(metrics: Mapping[str, Any], room: int | None = None) -> str:
    """Return `loss=0.25, lr=0.001`; metrics at the end that do not fit into *room* characters are left out."""
    text = ""
    for name, value in metrics.items():
        longer = f"{text}, {name}={short(value)}" if text else f"{name}={short(value)}"
        if room is not None and text and len(longer) > room:
            break
        text = longer
    return one_line(text)


def short(value: Any) -> str:
    """Return *value* as a few characters: numbers in the form of `figure`, anything else cut to 20."""
    plain = None if type(value) is bool else number(value)
    if plain is not None:
        return figure(plain if abs(plain) < 1e15 else float(plain))
    text = one_line(text_of(value))
    return text if len(text) <= 20 else text[:19] + "…"


def one_line(text: str) -> str:
    """Return *text* without characters that would break a bar: line breaks, tabs, escape sequences."""
    return printable_line(text.replace("\t", " "))


def _copied(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Copy metrics that the training thread may be changing right now; if it is, show none."""
    try:
        return dict(metrics)
    except RuntimeError:
        return {}


def size_of(file: Any, names: Collection[str]) -> dict[str, int]:
    """
    Return the size of the terminal, as those of tqdm's `ncols` and `nrows` that are in *names*.

    tqdm's own `dynamic_ncols` draws nothing on a terminal that says it has no columns, as containers' and CI's do.
    """
    try:
        columns, rows = os.get_terminal_size(file.fileno())
    except Exception:
        columns = rows = 0  # An object that only claims to be a terminal.
    # An interactive interpreter's prompt comes after the bar.
    kept = len(">>> ") + 1 if hasattr(sys, "ps1") else 1
    size = {"ncols": max((columns or 80) - kept, 1), "nrows": rows or 24}
    return {name: size[name] for name in names}


def _meter_without_bar(drawn: Any) -> str:
    """Return the line of *drawn* as it would be with neither bar nor metrics."""
    bar_format = (drawn.bar_format or "{l_bar}{bar}{r_bar}").replace("{bar}", "")
    return str(drawn.format_meter(**{**drawn.format_dict, "bar_format": bar_format, "postfix": None, "ncols": None}))


@functools.lru_cache
def tqdm_class() -> Any:
    """Return tqdm's class for terminals or notebooks, without its monitor thread, which would never end."""
    import tqdm

    base: Any = tqdm.tqdm
    if in_notebook():
        if has_widgets():
            from tqdm.auto import tqdm as base
        else:
            base = text_class(base)
    tqdm.tqdm.get_lock()  # type: ignore[no-untyped-call]  # Made on tqdm's own class, so that its other bars and ours share it.

    def refresh(self: Any, nolock: bool = False, lock_args: object = None) -> bool:
        # tqdm's own keeps the lock for good when drawing raises, and every other thread that logs would wait for it.
        if not self.disable:
            with nullcontext() if nolock else self.get_lock():
                self.display()
        return not self.disable

    def display(self: Any, msg: str | None = None, pos: int | None = None) -> Any:
        # A thread that writes a line redraws the bars unchanged; only the drawing thread updates their text.
        if msg is None:
            msg = self.shown = self.shown or str(self)
        return base.display(self, msg, pos)

    # tqdm puts `time.time` there, with which a bar stops for as long as the clock is set back.
    clock = property(lambda self: time.monotonic, lambda self, value: None)
    ours = {"monitor_interval": 0, "refresh": refresh, "is_of_refunc": True, "shown": None, "_time": clock}
    return type("Tqdm", (base,), ours if in_notebook() else {**ours, "display": display})


def thread_lock() -> Any:
    """Return the part of tqdm's lock that belongs to this process, if there is one."""
    tqdm = of_loaded("tqdm", "tqdm")
    return getattr(getattr(tqdm, "_lock", None), "th_lock", None)
