"""An open integration, as a subscription calls it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs

from refunc.delivery.window import Call
from refunc.plugins.hooks import HOOKS, perform
from refunc.plugins.run import RunInfo

#: Seconds for which an answer to `ping` is valid.
_PING_SECONDS = 1.0
#: Seconds for which a failure counts as an outage, during which calls keep their order; and the same if a record was
#: the cause of such a failure of this backend before.
DOUBT, DOUBT_AGAIN = 30.0, 2.0


@attrs.frozen
class Backend:
    """The hooks of an open integration: the object, the names of its hooks, and its way of delivery."""

    hooks: Any
    names: tuple[str, ...]
    delivery: str
    #: The integration's own `ping`, if it has one.
    ping: Callable[[], object] | None = None
    #: By hook: the time at which a call last returned, by the monotonic clock.
    _passed: dict[str, float] = attrs.field(factory=dict, init=False)
    _answer: list[tuple[float, bool]] = attrs.field(factory=list, init=False)
    _blamed: list[str] = attrs.field(factory=list, init=False)

    @property
    def is_once(self) -> bool:
        """Whether nothing may be sent to it twice, even if a crash then loses the records of the current call."""
        return self.delivery == "at-most-once"

    def perform(self, call: Call, run: RunInfo) -> None:
        """
        Make *call* for *run*. Raises any exception of the plugin's code, SystemExit included.

        Raises:
            HookError: The hook returned something: a hook that returns `Retry` instead of raising it loses its records.
        """
        perform(self.hooks, call.hook, run=run, **HOOKS[call.hook].gets(call.records))
        self._passed[call.hook] = time.monotonic()

    def takes_others(self, call: Call) -> bool:
        """
        Whether the backend works although *call* fails as in an outage, so that the call itself is the cause.

        Its `ping` decides, if it has one. Else another call must have succeeded since the first failure: of the same
        hook, or of any other. The latter proves less, because a hook may return without asking the backend: then only a
        single record that has failed for half a minute is blamed.
        """
        if call.since is None:
            return False
        if self.ping is not None:
            return self._is_there()
        if self._passed.get(call.hook, 0.0) > call.since:
            return True
        return call.is_single and self.is_doubtful(call) and self.has_taken_any_since(call)

    def is_doubtful(self, call: Call) -> bool:
        """Whether *call* has failed long enough for others to be tried before it."""
        doubt = DOUBT_AGAIN if self._blamed else DOUBT
        return call.since is not None and time.monotonic() - call.since >= doubt

    def blame(self, call: Call) -> None:
        """Remember that records of this backend can fail as in an outage."""
        self._blamed[:] = [call.hook]

    def has_taken_any_since(self, call: Call) -> bool:
        """Whether a call of any hook has returned since *call* failed first."""
        return call.since is not None and max(self._passed.values(), default=0.0) > call.since

    def _is_there(self) -> bool:
        now = time.monotonic()
        if not self._answer or now - self._answer[-1][0] > _PING_SECONDS:
            try:
                self.ping()  # type: ignore[misc]  # the caller checked that there is one
                answers = True
            except Exception:  # any error counts as no answer
                answers = False
            self._answer[:] = [(time.monotonic(), answers)]
        return self._answer[-1][1]
