"""
Progress of a training in epochs: a bar of epochs, a bar of the current one's steps, and its metrics in the journal.

`update` and `update_step` only display. Records are written by `log` (at once) and by `end_epoch`: the means of the
metrics from `update_step`, and a PROGRESS line.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from refunc.logging.active.bests import Bests
from refunc.logging.active.place import position
from refunc.logging.bars import drawing
from refunc.logging.bars.arguments import checked_total, counted, shown_metrics
from refunc.logging.bars.bar import Bar
from refunc.logging.bars.loops import ProgressTracker, logger_or_default
from refunc.logging.metrics import split_metrics
from refunc.values.jsonable import number
from refunc.values.quantities import duration

if TYPE_CHECKING:
    from typing_extensions import Self

    from refunc.logging.logger import MLLogger

T = TypeVar("T")

#: Names that `log_metrics` reads as positions; a mean of them would change the run's step.
_POSITIONS = frozenset({"step", "epoch"})

#: Metrics that a line names as best so far.
_MOST_NAMED = 3


class EpochTracker:
    """
    Count epochs and their steps, show both, and write each epoch's metrics.

    Iterating yields the epochs' numbers from 0 and starts and ends each; `start_epoch` and `end_epoch` do the same by
    hand. An epoch that is still open is ended by the next one's start, and by `finish`. Where an exception leaves the
    `with` block, the unfinished epoch writes nothing. As with ProgressTracker, one thread at a time may count.
    """

    def __init__(
        self,
        total_epochs: int | None = None,
        steps_per_epoch: int | None = None,
        logger: MLLogger | None = None,
    ) -> None:
        self.total_epochs = checked_total("total_epochs", total_epochs)
        self.steps_per_epoch = checked_total("steps_per_epoch", steps_per_epoch)
        #: The number of the current epoch, or of the last one between two; None before the first.
        self.epoch: int | float | None = None
        self.completed: float = 0
        self.metrics: Mapping[str, Any] = {}
        self._logger = logger
        self._current: _Epoch | None = None
        self._bar: Bar | None = None
        self._finished = False
        self._bests = Bests()

    @property
    def total(self) -> float | None:
        """Epochs to expect; None if unknown."""
        return self.total_epochs

    def start_epoch(self, epoch: float | None = None) -> None:
        """Start *epoch*, by default the one after the last, and make it the logger's current epoch."""
        self._begin(epoch)

    def update(self, n: float | Mapping[str, Any] = 1, metrics: Mapping[str, Any] | None = None, **values: Any) -> None:
        """Count and show steps as `ProgressTracker.update` does; these metrics do not enter the means."""
        self._open_epoch().update(n, metrics, **values)

    def update_step(
        self, n: float | Mapping[str, Any] = 1, metrics: Mapping[str, Any] | None = None, **values: Any
    ) -> None:
        """
        Count and show steps, and take their metrics into the epoch's means, each weighted with *n*.

        Values that are not numbers are only shown. A tensor on a GPU is read here, in the calling thread.
        """
        self._open_epoch().update_step(n, metrics, **values)

    def track(self, iterable: Iterable[T]) -> Iterator[T]:
        """Yield from *iterable*, counting its items as the current epoch's steps; see `ProgressTracker.track`."""
        return self._open_epoch().track(iterable)

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Write *metrics* for the current epoch, at once; `end_epoch` writes no mean of the same name."""
        logger_or_default(self._logger).log_metrics(metrics, epoch=self.epoch)
        if self._current is not None:
            self._current.logged.update(shown_metrics(metrics))

    def end_epoch(self, metrics: Mapping[str, Any] | None = None) -> None:
        """
        End the current epoch: write its metrics and a PROGRESS line with its duration and the metrics that are best so
        far.

        Written are the means of the step metrics and then *metrics*. A name that is in both, or that `log` wrote during
        this epoch, is not written as a mean: values given for the epoch as a whole win. The same goes for the best
        values, of metrics with a goal from `define_metric` or from their name: means count only if nothing else was
        given.
        """
        epoch = self._open_epoch()
        given = shown_metrics(metrics)
        means = {name: mean for name, mean in epoch.means().items() if name not in epoch.logged}
        written = {**means, **given}
        seconds = epoch.elapsed
        self._current = None
        epoch.finish()
        self.completed += 1
        # Values given for the epoch as a whole come first: a narrow bar has no room for all.
        whole = {**epoch.logged, **given}
        self.metrics = whole | {name: mean for name, mean in means.items() if name not in whole}
        logger = logger_or_default(self._logger)
        if written:
            if hasattr(logger, "_echo"):
                names = tuple(split_metrics(written, warn=False)[0])
                logger._echo.count_as_shown(logger._echo.metric_set(names), time.time())  # the line below shows them
            logger.log_metrics(written, epoch=epoch.number)
        run = logger._current_run() if hasattr(logger, "_current_run") else None
        if run is not None:
            self._bests.copy_goals(run.bests)
        best = self._bests.see(split_metrics(whole or means, warn=False)[0])
        named = [f"{name} ({guess})" if (guess := self._bests.guess_of(name)) else name for name in best[:_MOST_NAMED]]
        marked = f", best {', '.join(named)}" if named else ""
        logger.progress(f"{epoch.description} took {duration(seconds)}{marked}", metrics=dict(self.metrics))

    def finish(self) -> None:
        """End the open epoch, if any, and close the display. May be called again, which does nothing."""
        if self._current is not None:
            self.end_epoch()
        self._close_bars()

    close = finish

    def __iter__(self) -> Iterator[int]:
        total = math.inf if self.total_epochs is None else self.total_epochs
        number = 0
        while number < total:
            epoch = self._begin(number)
            yield number
            if self._current is epoch:
                self.end_epoch()
            number += 1
        self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self._close_bars()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the configuration, as `ProgressTracker` does."""
        return type(self), (self.total_epochs, self.steps_per_epoch, self._logger)

    def _open_epoch(self) -> _Epoch:
        """Return the open epoch; without a `start_epoch`, start the next one."""
        return self._current or self._begin(None)

    def _begin(self, number: float | None) -> _Epoch:
        if self._current is not None:
            self.end_epoch()
        number = None if number is None else position("epoch", number)
        if number is None:
            number = 0 if self.epoch is None else self.epoch + 1
        self.epoch = number
        logger_or_default(self._logger).set_epoch(number)
        if self._bar is None and not self._finished:
            self._bar = drawing.open_bar(self, total=self.total_epochs, description="Epochs", unit="epoch")
        self._current = _Epoch(number, self.steps_per_epoch, self._logger)
        return self._current

    def _close_bars(self) -> None:
        epoch, self._current = self._current, None
        bar, self._bar = self._bar, None
        self._finished = True
        if epoch is not None:
            epoch.finish()
        if bar is not None:
            drawing.close_bar(bar)


def epoch_context(
    total_epochs: int | None = None, steps_per_epoch: int | None = None, *, logger: MLLogger | None = None
) -> EpochTracker:
    """Return a tracker for a `with` block: iterate over it for the epochs, `log` metrics for the current one."""
    return EpochTracker(total_epochs, steps_per_epoch, logger)


class _Epoch(ProgressTracker):
    """One epoch under way: counts its steps and adds their metrics up."""

    def __init__(self, number: float, steps: float | None, logger: MLLogger | None) -> None:
        super().__init__(steps, f"Epoch {number}", logger)
        self.number = number
        self.logged: dict[str, Any] = {}
        self._means: dict[str, _Mean] = {}

    def update_step(
        self, n: float | Mapping[str, Any] = 1, metrics: Mapping[str, Any] | None = None, **values: Any
    ) -> None:
        count, step = counted(n, {**shown_metrics(metrics), **values} if values else metrics)
        self.update(count, step)
        for name, value in self.metrics.items() if step is not None else ():
            plain = value if type(value) is float else number(value)
            if plain is None:
                continue
            mean = self._means.get(name)
            if mean is None:
                mean = self._means[name] = _Mean(plain)
            mean.add(plain, count)

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over the steps that had it."""
        return {name: mean.value for name, mean in self._means.items() if mean.weight and name not in _POSITIONS}

    def _last_line(self) -> None:
        """Write nothing: `end_epoch` writes the line about the whole epoch."""


class _Mean:
    """
    A weighted mean, summed as distances from the first value: the mean of a constant learning rate is exactly that
    rate.
    """

    __slots__ = ("_origin", "_sum", "weight")

    def __init__(self, first: float) -> None:
        self._origin = first if math.isfinite(first) else 0.0
        self._sum = 0.0
        self.weight = 0.0

    def add(self, value: float, weight: float) -> None:
        self._sum += (value - self._origin) * weight
        self.weight += weight

    @property
    def value(self) -> float:
        return self._origin + self._sum / self.weight
