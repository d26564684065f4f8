"""An integration that is open, as what a subscription calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from refunc.delivery.window import Call
from refunc.plugins.run import RunInfo


@attrs.frozen
class Backend:
    """The hooks of an open integration: the object that has them, their names, and how records are delivered to it."""

    hooks: Any
    names: tuple[str, ...]
    delivery: str

    @property
    def is_once(self) -> bool:
        """Whether nothing may be sent to it twice, though a death then loses what was under way."""
        return self.delivery == "at-most-once"

    def perform(self, call: Call, run: RunInfo) -> None:
        """Make *call* for *run*. Raises whatever the plugin's code does, SystemExit too."""
        hook: Callable[..., Any] = getattr(self.hooks, call.hook)
        if call.hook in ("on_metrics", "on_log"):
            hook(run=run, records=tuple(call.records))
        elif call.hook == "on_run_start":
            hook(run=run)
        else:
            hook(run=run, record=call.records[0])
