"""`log`: the rows of history, which are metrics, texts and files at a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final

from refunc.compat.wandb.media import as_media
from refunc.logging.notices import warn_once

_PLAIN: Final = (float, int)
#: Deeper ones are left to refunc, which stops where a mapping contains itself.
_MOST_LEVELS: Final = 8


class History:
    """
    The rows that `log` adds to.

    A row is written when `log` returns, also if a step is given, so a training that is killed has lost none. The
    exception is `commit=False`: those values wait for the next call.
    """

    def __init__(
        self,
        write: Callable[..., None],
        keep: Callable[..., Any],
        note: Callable[..., None],
        *,
        first: int,
    ) -> None:
        """
        Args:
            write: `log_metrics` of the run.
            keep: `Files.keep`, for media.
            note: Gets the values that are not numbers, for the summary.
            first: The step of the first row.
        """
        self._write, self._keep, self._note = write, keep, note
        self.step = first
        self._steps = count(first)
        self._row: dict[str, Any] = {}
        self._owner = os.getpid()
        #: Whether a row without an epoch has that of the row before: it is the x axis of a metric.
        self.carries_epoch = False
        self._epoch: Any = None

    def log(self, data: Any, step: Any = None, commit: bool | None = None) -> None:
        """Add *data* to the row of a step; see `Run.log`."""
        place = _whole(step)
        if commit is False and isinstance(data, Mapping):
            self._hold(data, place)
            return
        if self._row:
            data = self._with_held(data, place)
        if place is None:
            place = next(self._steps)  # atomic, so that rows of several threads have steps of their own
            self.step = place + 1
            self._add(data, place, None)
            return
        if place >= self.step:
            self._go_to(place + 1 if commit else place)
        self._add(data, place, place)

    def flush(self) -> None:
        """Write the values that wait for the next call."""
        if self._row and self._owner == os.getpid():
            row, self._row = self._row, {}
            self._add(row, self.step, None)

    def _hold(self, data: Mapping[str, Any], place: int | None) -> None:
        if place is not None and place < self.step:
            self._add(data, place, place)
            return
        if place is not None and place > self.step:
            self.flush()
            self._go_to(place)
        if self._owner != os.getpid():  # a forked child has a copy of the parent's values
            self._row, self._owner = {}, os.getpid()
        self._row.update(data)

    def _with_held(self, data: Any, place: int | None) -> Any:
        """Return *data* with the values that wait, if they belong to its row; otherwise write these."""
        if self._owner != os.getpid() or not isinstance(data, Mapping):
            return data
        if place is not None and place != self.step:
            if place > self.step:
                self.flush()
            return data
        row, self._row = self._row, {}
        return {**row, **data}

    def _go_to(self, step: int) -> None:
        if step != self.step:
            self.step, self._steps = step, count(step)

    def _add(self, data: Any, step: int, given: int | None) -> None:
        """Write a row; *given* is the step that the call named, if it did."""
        if type(data) is dict:
            for name, value in data.items():
                if type(value) not in _PLAIN or name == "step" or type(name) is not str:
                    break
            else:
                epoch = self._epoch
                if "epoch" in data:
                    data = data.copy()
                    epoch = self._with_epoch(data.pop("epoch"))
                if data or epoch is not None:
                    self._write(data, step, epoch=epoch)
                return
        if isinstance(data, Mapping):
            try:
                self._add_parts(data, step, given)
            except Exception as error:  # of a mapping's own code
                warn_once("wandb-row", "log: the row of step %d is not recorded: %r. The run goes on.", step, error)
        else:
            warn_once("wandb-log", 'log: %s has no names, and is not recorded. Write log({"loss": 0.5}).', type(data))

    def _with_epoch(self, epoch: Any) -> Any:
        """Return the *epoch* of a row, which refunc has as a place and not as a metric."""
        self._note({"epoch": epoch})
        if self.carries_epoch:
            self._epoch = epoch
        return epoch

    def _add_parts(self, data: Mapping[str, Any], step: int, given: int | None) -> None:
        """Write a row with values that are not plain numbers."""
        rest: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        for name, value in _flat(data):
            media = as_media(value)
            if media is not None:
                if isinstance(value, (list, tuple)):
                    shown[name] = [self._keep(name, each, step, f"_{place}") for place, each in enumerate(media)]
                else:
                    shown[name] = self._keep(name, media[0], step)
                continue
            rest[name] = value
            if isinstance(value, (str, list, tuple)) or name == "step":
                shown[name] = value
        if "step" in rest and given is not None:  # the step of a record has one name, and the call has one
            own = rest.pop("step")
            rest.update({} if own == given else {"step_2": own})
        if rest:
            epoch = self._with_epoch(rest.pop("epoch")) if "epoch" in rest else self._epoch
            self._write(rest, None if "step" in rest else step, epoch=epoch)
        self._note(shown, [str(name) for name, value in data.items() if isinstance(value, Mapping) and value])


def _flat(values: Mapping[Any, Any], outer: str = "", level: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield names and values, nested ones as `outer.inner`."""
    for name, value in values.items():
        full = f"{outer}{name}"
        if isinstance(value, Mapping) and value and level < _MOST_LEVELS:
            yield from _flat(value, f"{full}.", level + 1)
        else:
            yield full, value


def _whole(step: Any) -> int | None:
    """Return a step as a number; None, with one warning, if it is not one."""
    if step is None or type(step) is int:
        return step
    try:
        return int(step)
    except Exception:
        warn_once("wandb-step", "log: step=%r is not a number. The row gets the next step.", step)
        return None
