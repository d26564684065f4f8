"""
The hooks, as pluggy knows them: what a plugin may implement, any subset of it.

Every hook runs on the integration's own delivery thread, in the delivery process unless the integration cannot travel
there; one call at a time for each integration. What it gets is frozen. Returning means: as durable at the backend as
its client can promise. What is raised, `refunc.plugins.errors` says; OSError and TimeoutError count as `Retry`.

After a crash a hook may see records again, at most one window of them; `(record.writer, record.seq)` identifies one.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

import pluggy

from refunc.journal.record import Artifact, LogLine, Metrics, Params, RunEnd, Tags
from refunc.plugins.run import RunInfo

PROJECT: Final = "refunc"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The specifications. Hook arguments never change; record classes gain optional attributes."""

    @hookspec
    def on_run_start(self, run: RunInfo) -> None:
        """Meet a run: once, before anything else of it."""

    @hookspec
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Take hyperparameters; `run.params` holds all of the run so far, these included."""

    @hookspec
    def on_tags(self, run: RunInfo, record: Tags) -> None:
        """Take tags of the run; `run.tags` holds all so far, these included."""

    @hookspec
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """
        Take 1 to 1,000 records of one run, in order for each writer.

        Lines that carry metrics, results among them, come here as well. Where only an epoch was given, it is the step.
        """

    @hookspec
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Take 1 to 1,000 lines of one run, in order for each writer."""

    @hookspec
    def on_artifact(self, run: RunInfo, record: Artifact) -> None:
        """Take a file or folder; `run.files_of(record)` says where its bytes lie."""

    @hookspec
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """
        Take the end: status, duration in seconds, final metrics, traceback, how many records were dropped.

        A run whose process is gone without an end has the status `crashed`. Records of children may come behind it.
        """


#: Every hook's name, with the names of its arguments.
HOOKS: Final[dict[str, tuple[str, ...]]] = {
    name: tuple(inspect.signature(value).parameters)[1:]
    for name, value in vars(Hooks).items()
    if name.startswith("on_")
}


def hooks_of(kind: type) -> tuple[str, ...]:
    """
    Return the names of the hooks that the class *kind* implements.

    Raises:
        TypeError: A method is marked as a hook and is none, or has arguments that the hook does not give.
    """
    found = []
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        if not inspect.isfunction(method) or not hasattr(method, f"{PROJECT}_impl"):
            continue
        if name not in HOOKS:
            raise TypeError(
                f"{kind.__name__}.{name} is marked as a hook, but there is none. Hooks: {', '.join(HOOKS)}."
            )
        parameters = list(inspect.signature(method).parameters.values())[1:]
        # What pluggy makes of a default differs between its versions (pluggy#442).
        if any(
            parameter.name not in HOOKS[name] or parameter.default is not parameter.empty for parameter in parameters
        ):
            raise TypeError(
                f"{kind.__name__}.{name} takes {', '.join(HOOKS[name])}, by these names and without defaults."
            )
        found.append(name)
    return tuple(found)


def plugged(integration: object) -> pluggy.HookRelay:
    """Return the hooks of *integration* to call: one pluggy manager for it alone, so that nothing reaches another."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(integration)
    manager.check_pending()
    return manager.hook


def require_integration(value: Any) -> Any:
    """
    Return *value*, which must be an object with hooks.

    Raises:
        TypeError: It is none; the text says what one is.
    """
    if isinstance(value, type):
        raise TypeError(f"{value.__name__} is a class. Pass an instance: {value.__name__}(...).")
    if not hooks_of(type(value)):
        raise TypeError(
            f"{value!r} is no integration. One is an object with at least one method marked "
            "`@refunc.plugins.hookimpl` and named after a hook, such as on_metrics(self, run, records)."
        )
    return value
