"""An integration's calls as delivery makes them: opened, called and closed on one thread, each within a time limit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from refunc.journal.record import Record
from refunc.plugins.hooks import HOOKS, RUN_START, perform, plugged, require_integration
from refunc.plugins.run import RunInfo
from refunc.plugins.testing.samples import Call


@contextmanager
def opened(integration: Any) -> Iterator[Any]:
    """Open *integration* as its delivery thread would, yield its hooks, and close it."""
    require_integration(integration)
    if hasattr(integration, "open"):
        integration.open()
    try:
        yield plugged(integration)
    finally:
        if hasattr(integration, "close"):
            integration.close()


def deliver(hooks: Any, run: RunInfo, calls: Sequence[Call]) -> None:
    """Call the hooks of a run in order, its start first; raises their exceptions."""
    for name, what in ((RUN_START, None), *calls):
        getattr(hooks, name)(run=run, **_arguments(name, what))


def _arguments(hook: str, what: Any) -> dict[str, Any]:
    return HOOKS[hook].gets([what] if isinstance(what, Record) else what or ())


class Driver:
    """The thread that makes the calls of one integration; an exception of a call is raised in the test."""

    def __init__(self, integration: Any, seconds: float) -> None:
        """
        Args:
            seconds: How long each call may take.
        """
        self._integration = integration
        self._seconds = seconds
        self._hooks: Any = None
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="refunc-contract", daemon=True).start()

    def __enter__(self) -> Driver:
        if hasattr(self._integration, "open"):
            self._within("open", self._integration.open)
        self._hooks = plugged(self._integration)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if hasattr(self._integration, "close"):
                self._within("close", self._integration.close)
        finally:
            self._waiting.put(None)

    def start(self, run: RunInfo) -> None:
        """Call the hook with which a run begins."""
        self.call(run, RUN_START)

    def call(self, run: RunInfo, hook: str, what: Any = None) -> None:
        """Call *hook* with *what*: one record, or several. Raises its exception, or HookError if it returns a value."""
        self._within(hook, lambda: perform(self._hooks, hook, run=run, **_arguments(hook, what)))

    def deliver(self, run: RunInfo, calls: Sequence[Call]) -> None:
        """Call the hooks of a run in order, its start first."""
        self.start(run)
        for hook, what in calls:
            self.call(run, hook, what)

    def _within(self, name: str, call: Callable[[], Any]) -> None:
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting.put((call, answer))
        try:
            error = answer.get(timeout=self._seconds)
        except queue.Empty:
            raise AssertionError(f"{name} has not returned within {self._seconds:.0f} s") from None
        if error is not None:
            raise error

    def _serve(self) -> None:
        while (task := self._waiting.get()) is not None:
            call, answer = task
            try:
                call()
            except BaseException as error:  # a plugin's code may raise anything, SystemExit too
                answer.put(error if isinstance(error, Exception) else AssertionError(f"it raised {error!r}"))
            else:
                answer.put(None)
