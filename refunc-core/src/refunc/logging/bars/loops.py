"""
Progress of a loop: a bar on a terminal or in a notebook, a PROGRESS line now and then elsewhere.

A tracker counts, and nothing else, in the thread that calls `update`; `bars` draws from a thread of its own. Metrics
given to `update` are shown and not kept: only `log_progress` and the lines off a terminal go through the logger.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from refunc.logging.bars import drawing
from refunc.logging.bars.arguments import MOST, checked_total, counted, shown_metrics
from refunc.logging.bars.bar import Bar
from refunc.logging.bars.pace import Pace
from refunc.logging.bars.texts import finished_text, reached_text

if TYPE_CHECKING:
    from typing_extensions import Self

    from refunc.logging.logger import MLLogger

T = TypeVar("T")

#: `_due` of a tracker that shows nothing yet: below any count, so that the first update opens the display.
_UNOPENED = -math.inf


class ProgressTracker:
    """
    Count steps, and show the progress.

    The display opens at the first step (or `with`, or `track`) and closes at `finish`. One thread at a time may count:
    `update` takes no lock, so counts of two threads can get lost. It never raises and never waits for a terminal.

    Args:
        total: Steps to expect; None if unknown. Going past it is allowed.
        logger: Where lines go to; the default logger unless given.
        unit: The word for a step.
    """

    def __init__(
        self,
        total: float | None = None,
        description: str = "",
        logger: MLLogger | None = None,
        *,
        unit: str = "it",
    ) -> None:
        self.total = checked_total("total", total)
        self.description = str(description)
        self.completed: float = 0
        self.metrics: Mapping[str, Any] = {}
        self.unit = unit
        self._logger = logger
        self._options: dict[str, Any] = {}
        self._initial: float = 0
        self._start = time.monotonic()
        self._due = _UNOPENED
        self._entered = False
        self._bar: Bar | None = None
        self._pace: Pace | None = None

    def update(self, n: float | Mapping[str, Any] = 1, metrics: Mapping[str, Any] | None = None, **values: Any) -> None:
        """
        Count *n* steps and show *metrics* next to the count, until the next update with metrics.

        `update({"loss": x})`, `update(1, {"loss": x})` and `update(1, loss=x)` mean the same. The values are read by
        the drawing thread later: a tensor on a GPU costs this call no synchronisation.
        """
        # This is the hot path. For plain arguments it only counts, keeps a reference and compares.
        if values:
            metrics = {**shown_metrics(metrics), **values}
        if type(n) is not int:
            n, metrics = counted(n, metrics)
        if metrics is not None:
            self.metrics = metrics if type(metrics) is dict else shown_metrics(metrics)
        self.completed = completed = self.completed + n
        if completed >= self._due:
            self._reach()

    def __iter__(self) -> Iterator[int]:
        """
        Count from the tracker's position up to its total, exclusive, as `track(range(total))` does.

        Raises:
            TypeError: The total is not known.
        """
        if self.total is None:
            raise TypeError(
                "a tracker without a total cannot count a loop by itself: write `for item in progress.track(items)`."
            )
        return self.track(range(int(self.completed), int(self.total)))

    def track(self, iterable: Iterable[T]) -> Iterator[T]:
        """
        Yield from *iterable*, counting its items; its length becomes the total if none was given.

        The loop does the counting: an `update` inside it only shows its metrics; its count is ignored. Outside a `with`
        block, the end of the loop, `break` included, finishes the tracker.
        """
        self._expect(_length(iterable))
        self._open()
        completed = self.completed
        try:
            for item in iterable:
                yield item
                self.completed = completed = completed + 1
                if completed >= self._due:
                    self._reach()
        finally:
            if not self._entered:
                self.finish()

    def log_progress(self) -> None:
        """Write a PROGRESS line: the progress, the metrics shown last, and the same numbers as `extra`."""
        rate = float(f"{self.rate:.4g}")
        self._say(self._status(), {"completed": self.completed, "total": self.total, "rate": rate})

    def finish(self) -> None:
        """Close the display; off a terminal, with a last line. May be called again, which does nothing."""
        opened, self._due = self._due != _UNOPENED, math.inf
        bar, self._bar = self._bar, None
        pace, self._pace = self._pace, None
        if bar is not None:
            drawing.close_bar(bar)
        elif opened and pace is not None:
            self._contain(self._last_line)

    close = finish

    @property
    def elapsed(self) -> float:
        """Seconds since the tracker was made or its `with` block entered."""
        return time.monotonic() - self._start

    @property
    def rate(self) -> float:
        """Steps per second since the start."""
        elapsed = self.elapsed
        return (self._shown_count - self._initial) / elapsed if elapsed > 0 else 0.0

    def __enter__(self) -> Self:
        self._entered = True
        self._start = time.monotonic()
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the configuration: another process counts its own steps, in a display of its own."""
        return _made_with, (type(self), self._configuration())

    def _configuration(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "description": self.description,
            "logger": self._logger,
            "unit": self.unit,
        }

    def _expect(self, more: float | None) -> None:
        """Take over a total that was unknown when the tracker was made."""
        if self.total is None and more is not None:
            self.total = self.completed + more
            if self._pace is not None:
                self._pace = Pace(self.total, self.completed, self._start)
                self._due = self.completed

    def _open(self) -> None:
        """Open the display, once: a bar if one can be drawn, otherwise lines."""
        if self._due != _UNOPENED:
            return
        self._due = math.inf
        if self._options.get("disable"):
            return
        self._bar = drawing.open_bar(
            self,
            total=self.total,
            description=self.description,
            unit=self.unit,
            elapsed=self.elapsed,
            options=self._options,
        )
        if self._bar is None:
            self._pace = Pace(self.total, self._initial, self._start)
            self._due = self._initial

    def _reach(self) -> None:
        """Update the display in the counting thread, now that the count has reached `_due`."""
        if self._due == _UNOPENED:
            self._open()
        if self._pace is not None:
            self._contain(self._look, self._pace)

    def _look(self, pace: Pace) -> None:
        due, self._due = pace.look(self._shown_count, time.monotonic())
        if due:
            self._say(self._status())

    @property
    def _shown_count(self) -> float:
        return max(-MOST, min(MOST, self.completed))

    def _status(self) -> str:
        return self._labelled(reached_text(self._shown_count, self.total, self.rate, self.unit))

    def _last_line(self) -> None:
        said = finished_text(self._shown_count, self.total, self.rate, self.unit, self.elapsed)
        self._say(self._labelled(said))

    def _labelled(self, text: str) -> str:
        return f"{self.description}: {text}" if self.description else text

    def _say(self, message: str, numbers: Mapping[str, Any] | None = None) -> None:
        logger_or_default(self._logger).progress(message, metrics=dict(self.metrics), extra=numbers)

    def _contain(self, show: Callable[..., None], *arguments: Any) -> None:
        try:
            show(*arguments)
        except Exception:
            # A line that is only shown must not end the training. Without a working logger there is no other way to
            # show anything, so the display ends here.
            self._pace, self._due = None, math.inf


class TqdmProgressTracker(ProgressTracker):
    """
    A ProgressTracker that takes tqdm's options: `unit_scale=True`, `colour="green"`, `leave=False`, `file=…`.

    They matter if a bar is drawn; `disable=True` shows nothing anywhere. Drawing is by the clock: `mininterval` holds,
    `miniters` does not.
    """

    def __init__(
        self, total: float | None = None, desc: str = "", *, logger: MLLogger | None = None, **tqdm_options: Any
    ) -> None:
        super().__init__(total, desc, logger, unit=str(tqdm_options.get("unit", "it")))
        self._options = tqdm_options
        self._initial = self.completed = checked_total("initial", tqdm_options.get("initial", 0)) or 0

    def _configuration(self) -> dict[str, Any]:
        options = {name: value for name, value in self._options.items() if name != "file"}  # a stream of this process
        return {**options, "total": self.total, "desc": self.description, "logger": self._logger}


def progress_context(
    description: str = "", total: float | None = None, *, logger: MLLogger | None = None
) -> ProgressTracker:
    """Return a tracker for a `with` block, which shows it from the start, and closes it however the block ends."""
    return ProgressTracker(total, description, logger)


def _made_with(kind: type[T], configuration: dict[str, Any]) -> T:
    return kind(**configuration)


def logger_or_default(logger: MLLogger | None) -> MLLogger:
    """Return *logger*, or the default one, which is made only when it is needed."""
    if logger is not None:
        return logger
    return _default()()


@cache  # for interpreter shutdown, where imports fail
def _default() -> Callable[[], MLLogger]:
    from refunc.logging.shared_loggers import default_logger

    return default_logger


def _length(iterable: Iterable[Any]) -> float | None:
    try:
        return len(iterable)  # type: ignore[arg-type]
    except Exception:
        return None  # A generator, or a data loader whose dataset has no length.
