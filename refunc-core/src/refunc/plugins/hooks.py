"""
The hooks, as pluggy knows them. A plugin may implement any subset.

Every hook runs on the integration's own delivery thread, in the delivery process unless the integration cannot travel
there; one call at a time for each integration. Its arguments are frozen. Returning means that the records are as
durable at the backend as its client can promise. `refunc.plugins.errors` lists the errors that a hook may raise. Any
other is judged by its chain of causes: by an HTTP status first, then by a database's error, then by a missing file of
an artifact. If none of these is found, an OSError counts as `Retry`; a TimeoutError is one.

After a crash a hook may see records again, at most one window of them; `(record.writer, record.seq)` identifies one.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

import attrs
import pluggy

from refunc.journal.record import Artifact, LogLine, Metrics, Params, Record, RunEnd, Tags
from refunc.plugins.errors import HookError
from refunc.plugins.run import RunInfo
from refunc.values.texts import short_repr

PROJECT: Final = "refunc"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The specifications. Hook arguments never change; record classes gain optional attributes."""

    @hookspec
    def on_run_start(self, run: RunInfo) -> None:
        """Called once for each run, before any other hook."""

    @hookspec
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Deliver hyperparameters; `run.params` has all of the run so far, these included."""

    @hookspec
    def on_tags(self, run: RunInfo, record: Tags) -> None:
        """Deliver tags of the run; `run.tags` has all so far, these included."""

    @hookspec
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """
        Deliver 1 to 1,000 records of one run, in order for each writer.

        Lines with metrics, such as results, come here as well. If only an epoch was given, it is the step. A step or an
        epoch may have a fraction.
        """

    @hookspec
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Deliver 1 to 1,000 lines of one run, in order for each writer."""

    @hookspec
    def on_artifact(self, run: RunInfo, record: Artifact) -> None:
        """Deliver a file or folder; `run.files_of(record)` returns the paths of its contents."""

    @hookspec
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """
        Deliver the end: status, duration in seconds, final metrics, traceback, and the number of dropped records.

        A run whose process is gone without an end has the status `crashed`. Records of children may come after it.
        """


@attrs.frozen
class Hook:
    """The arguments of a hook besides the run: a record of one class, or `many` of them, or nothing."""

    record: type[Record] | None = None
    many: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of its arguments."""
        if self.record is None:
            return ("run",)
        return ("run", "records") if self.many else ("run", "record")

    def gets(self, records: Sequence[Any]) -> dict[str, Any]:
        """Return *records* as its arguments besides the run; a hook of single records gets the only one."""
        if self.record is None:
            return {}
        return {"records": tuple(records)} if self.many else {"record": records[0]}


#: The hooks with which a run begins and ends; delivery and its cursor treat them specially.
RUN_START: Final = "on_run_start"
RUN_END: Final = "on_run_end"

#: Every hook, in the order in which the records of a window are delivered. Delivery, dead letters and the test kit read
#: this table. `Hooks` has the same in the form that pluggy needs.
HOOKS: Final[dict[str, Hook]] = {
    RUN_START: Hook(),
    "on_hyperparams": Hook(Params),
    "on_tags": Hook(Tags),
    "on_metrics": Hook(Metrics, many=True),
    "on_log": Hook(LogLine, many=True),
    "on_artifact": Hook(Artifact),
    RUN_END: Hook(RunEnd),
}
#: The hook for each class of records.
TAKERS: Final[dict[type[Record], str]] = {hook.record: name for name, hook in HOOKS.items() if hook.record is not None}


def hooks_of(kind: type) -> tuple[str, ...]:
    """
    Return the names of the hooks that the class *kind* implements.

    Raises:
        TypeError: A method looks like a hook but is not a valid one; the text says what to change.
    """
    found = []
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        is_marked = hasattr(method, f"{PROJECT}_impl")
        if not is_marked and not (name in HOOKS and _is_method(method)):
            continue
        where = f"{kind.__name__}.{name}"
        if not is_marked:
            raise TypeError(f"{where} has the name of a hook but is not marked. Put @hookimpl above it, or rename it.")
        if name not in HOOKS:
            raise TypeError(
                f"{where} is marked as a hook, but there is no hook of this name. Hooks: {', '.join(HOOKS)}."
            )
        if not inspect.isfunction(method):
            raise TypeError(f"{where} is a {type(method).__name__}. A hook is a plain method: def {name}(self, ...).")
        if _is_suspended(method):
            raise TypeError(f"{where} is async or a generator, and would never run. A hook is a plain method.")
        parameters = list(inspect.signature(method).parameters.values())[1:]
        # Versions of pluggy treat defaults differently (pluggy#442).
        if any(
            parameter.name not in HOOKS[name].arguments or parameter.default is not parameter.empty
            for parameter in parameters
        ):
            raise TypeError(
                f"{kind.__name__}.{name} must take {', '.join(HOOKS[name].arguments)}: these names, no defaults."
            )
        found.append(name)
    return tuple(found)


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, (staticmethod, classmethod))


def _is_suspended(function: Any) -> bool:
    """Whether calling *function* does not run its code, as for a coroutine or a generator."""
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.isgeneratorfunction(function)
    )


def plugged(integration: object) -> pluggy.HookRelay:
    """Return the hooks of *integration*: each has a pluggy manager of its own, so that calls reach no other one."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(integration)
    manager.check_pending()
    return manager.hook


def perform(hooks: Any, name: str, **arguments: Any) -> None:
    """
    Call the hook *name* of *hooks*, which `plugged` returned.

    Raises:
        HookError: It returned something: a hook that returns `Retry` instead of raising it loses its records.
    """
    returned = getattr(hooks, name)(**arguments)
    if returned:  # pluggy's list of results other than None
        raise HookError(
            f"{name} returned {short_repr(returned[0])}. A hook must return None; "
            "to have records retried or refused, raise `Retry(...)`, `Reject` or `Pause`."
        )


def require_integration(value: Any) -> Any:
    """
    Return *value*, which must be an object with hooks.

    Raises:
        TypeError: It is not; the text says what to pass.
    """
    if isinstance(value, str):
        raise TypeError(
            f"{value!r} is a string. Pass the integration itself, such as MLflowIntegration(...), or give plugins by "
            f"name to setup_logging(integrations={{{value!r}: {{}}}})."
        )
    if isinstance(value, type):
        raise TypeError(f"{value.__name__} is a class. Pass an instance: {value.__name__}(...).")
    if not hooks_of(type(value)):
        raise TypeError(
            f"{value!r} is not an integration. An integration is an object with at least one method that is marked "
            "`@refunc.plugins.hookimpl` and named after a hook, such as on_metrics(self, run, records)."
        )
    return value
