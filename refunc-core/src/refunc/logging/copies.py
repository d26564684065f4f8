"""
Loggers and trackers in pickles: how they are pickled, and how they are restored.

As in stdlib logging, a logger is pickled by name, and restored as the process's logger of that name. A tracker is
pickled by its run, and restored as a writer to that run, which may do everything but end it. If the run cannot be
reached, for instance on another host, the tracker opens a run of its own and warns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from refunc.logging import named
from refunc.logging.active.borrowed import run_in
from refunc.logging.active.run import ActiveRun
from refunc.logging.notices import own_log
from refunc.processes.parent import has_parent

if TYPE_CHECKING:
    from refunc.logging.logger import MLLogger
    from refunc.logging.tracker import ExperimentTracker
    from refunc.plugins.integration import Passport

#: The trackers of this process that were pickled or restored, by their run's id.
_trackers: WeakValueDictionary[str, ExperimentTracker] = WeakValueDictionary()


class RunReference(NamedTuple):
    """A run in a pickle: its folder, the content of its `run.json`, and its state so far."""

    folder: str
    birth: dict[str, Any]
    is_over: bool
    status: str
    end_time: float | None
    params: dict[str, Any]
    tags: dict[str, str]


def reference_to(run: ActiveRun) -> RunReference:
    """Return the reference that represents *run* in a pickle."""
    over = not run.accepts()
    return RunReference(str(run.folder), run.birth, over, run.status, run.end_time, dict(run.params), dict(run.tags))


def run_of(reference: RunReference) -> ActiveRun | None:
    """
    Return this process's own object for the run, the same one for all pickles that name it; None if it is out of
    reach.
    """
    run = run_in(Path(reference.folder), reference.birth, is_over=reference.is_over)
    if run is not None and not run.is_own:
        run.params = {**reference.params, **run.params}
        run.tags = {**reference.tags, **run.tags}
        if reference.is_over and run.accepts():
            run.status, run.end_time = reference.status, reference.end_time
            run.leave()
    return run


# -- loggers -------------------------------------------------------------------------------------------------------


def logger_of(
    kind: type[MLLogger],
    name: str,
    settings: Mapping[str, Any],
    reference: RunReference | None,
    integrations: tuple[dict[str, Any], ...],
) -> MLLogger:
    """Return the process's logger of that name, made with *settings* if there is none; see `MLLogger.__reduce__`."""
    logger = named.latest(name)
    if logger is None or not isinstance(logger, kind):
        logger = kind._plain(name, **settings)
        named.keep(logger)
    if integrations and not logger._integrations and not logger._shared_integrations:
        logger._packed = integrations
    if reference is not None and (logger._run is None or not logger._run.accepts()):
        run = run_of(reference)
        logger._run = run if run is not None and run.accepts() else None
    return logger


def packed(integrations: tuple[Any, ...]) -> tuple[dict[str, Any], ...]:
    """Return *integrations* in the form for a pickle: their class, and their options without secrets."""
    if not integrations:
        return ()
    from refunc.plugins.integration import passport_of

    return tuple(passport_of(integration).for_journal() for integration in integrations)


def unpacked(logger: str, integrations: tuple[dict[str, Any], ...]) -> tuple[Any, ...]:
    """
    Return the integrations that *logger* had where it was pickled, for the runs that this process opens with it.

    Only a child of multiprocessing gets them: a program that loads a pickle later, or elsewhere, did not ask to send
    messages. Integrations that are not restored are reported.
    """
    names = ", ".join(fields["target"] or fields["name"] for fields in integrations)
    if not has_parent():
        own_log.warning(
            "logger %s comes from another process, where its runs were delivered to %s. In this process they are not, "
            "until add_integration() is called; `refunc sync` delivers a run later.",
            logger,
            names,
        )
        return ()
    from refunc.plugins.integration import Passport, build, load
    from refunc.plugins.options import check_withheld

    made = []
    for fields in integrations:
        passport = Passport(delivery="at-least-once", public=fields["options"], **fields)
        try:
            kind = load(passport.path)  # as pickle itself would
            check_withheld(passport.name, kind, passport.withheld)
            made.append(build(kind, passport.name, passport.options or {}))
        except Exception as error:  # importing a plugin may raise anything
            _report_undelivered(logger, passport, error)
    return tuple(made)


def _report_undelivered(logger: str, passport: Passport, error: Exception) -> None:
    own_log.warning(
        "logger %s: its runs in this process are not delivered to %s (%s). `refunc sync` delivers them later.",
        logger,
        passport.target or passport.name,
        error,
    )


# -- trackers ------------------------------------------------------------------------------------------------------


def tracker_of(
    kind: type[ExperimentTracker],
    options: Mapping[str, Any],
    is_default_store: bool,
    reference: RunReference | None,
) -> ExperimentTracker:
    """Return the process's tracker of the run; if there is no run yet, a new tracker that would open such a run."""
    if reference is not None:
        known = _trackers.get(reference.birth["run_id"])
        if known is not None and known.run_id == reference.birth["run_id"]:
            known._run = run_of(reference) or known._run
            return known
    # The default store is that of the folder in which the program runs. Where there is no such folder, on another host
    # or later, it is this process's own.
    store = options["log_dir"]
    is_here = not is_default_store or os.path.isdir(os.path.dirname(store))
    tracker = kind._plain(**{**options, "log_dir": store if is_here else None})
    tracker._is_default_store = is_default_store
    if reference is not None:
        tracker._run = run_of(reference)
        if tracker._run is None:
            tracker._out_of_reach = reference
        remember(tracker, reference.birth["run_id"])
    return tracker


def remember(tracker: ExperimentTracker, run_id: str) -> None:
    """Restore pickles of the run as *tracker* in this process."""
    _trackers[run_id] = tracker
