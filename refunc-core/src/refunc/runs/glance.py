"""A run's status, duration and newest metrics, as a list shows them."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Glance:
    """
    The facts from the end of a run's journal, at a cost that does not grow with the run.

    `metrics` are the last values found there, final ones and results first, then the newest first; some may be missing.
    If `define_metric` chose another value, it is that one, and `chosen` says which; see `Ending.is_defined`.
    """

    status: str
    duration: float | None
    metrics: dict[str, Any]
    chosen: dict[str, str] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Ending:
    """
    The facts for a glance, as recorded in the journal; `ending_of` reads them.

    `is_defined` means that the values have to be read from the whole journal: the run has several attempts, or
    `define_metric` was called: anywhere in a run that its opener has ended; by child processes,
    and in other runs, only in the first 64 KB of a writer or among its last records. `is_final` means that it is valid
    until a file of the run changes: there is an end, or the run's process was gone when it was checked.
    """

    status: str | None
    duration: float | None
    last_time: float | None
    metrics: dict[str, Any]
    is_defined: bool
    is_final: bool
