"""
The reading side: reading runs from their folders, whether they are live or ended.

    answer          the answer to a question about the runs of a store
    around          log lines around one point of a metric
    bands           curves of several runs as one, with a band around it
    births          the births of a store's runs, from the index
    column          columns of steps, epochs and numbers of rows
    columns         one writer's points as columns
    curve           a series as it is drawn: an axis, and the part that a chart shows
    dataclass       attrs classes that `dataclasses` accepts, too
    document        a run as one document of plain values
    ending          reading how a run ended, and its newest metrics
    entries_file    log entries as a file
    entry           log entries and contexts for users
    entry_filter    filtering log entries
    errors          the errors of reading, in one tree
    exporting       several runs as one file
    expression      the language of `find` and `--where`
    extremes        the points of a curve that a plot of it needs
    facts           the facts of a run for expressions
    failure         the host and the error of a failed run
    flat            nested values under joined names
    gathered        the contents of a run's journal, gathered from its writers
    glance          status, duration and newest metrics, as a list shows them
    glances         a glance at each run of a list
    groups          runs in groups, and a metric over each
    groups_file     the curves of groups of runs as a file
    identity        the folder, names, ids and annotations of a run
    index           the index of a store
    keeping         keeping the facts of runs in the index
    line_records    the records of a run besides its metrics
    line_rows       the facts of each log line, for pages
    lines           the log lines of a run, page by page
    liveness        whether a run is still running
    measured        the content of a run: its summary, and the points of its metrics
    metric_names    the metrics that names and patterns mean
    metric_values   the values of a metric in runs, as a table shows them
    naming          the run that a name means
    origin          where an imported run comes from
    packages        optional packages that a call may need
    points          one metric's points as columns
    points_file     the points of runs as a file
    prefetch        reading many runs with several processes
    query           a question about the runs of a store, and its answer
    ranks           the ranks and attempts of a run, with the state of each
    read_on         the index's part of a run, and the rest from its journal
    reader_process  a process that reads journals for this one
    room            bounds on how much of a run is kept in memory
    run             one run
    sample          the mean and the spread of some values
    search          the values that expressions read, of all runs
    segments_ahead  reading a large run with several processes
    selected        the points of a curve, of all ranks' and attempts'
    selection       the ranks and attempts that are asked for
    sent            a writer's content as bytes between processes
    series          one metric's points as arrays and tables
    showing         the page of a store in a notebook
    signature       the state of a run's files
    stale           the error of a part of the index that was rebuilt
    statistics      the names of the values of a metric
    store           a folder of runs
    store_folder    the folder of a store
    summary         params, tags, results, artifacts, and values of metrics
    table           runs as a table
    table_file      a table in a file
    tabular         results that can be had as tables of other libraries
    thinning        curves that are thinned out while they are read
    unchanged       whether a run's files are those that were read
    unreadable      isolating runs that cannot be read
    writer_content  the contents of one writer
    writers         the processes that wrote a run's records
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refunc.runs.bands import Band
    from refunc.runs.curve import Curve, Window
    from refunc.runs.entry import ExperimentContext, LogEntry
    from refunc.runs.errors import (
        ExpressionError,
        NoDescriptorError,
        PackageNeededError,
        PointNotFoundError,
        RunError,
        RunFormatError,
        RunNotFoundError,
        StrangeStoreError,
        UnknownMetricError,
    )
    from refunc.runs.groups import Groups, Runs
    from refunc.runs.run import Run
    from refunc.runs.series import Series
    from refunc.runs.showing import show
    from refunc.runs.store import Listing, Store, open_store
    from refunc.runs.summary import MetricSummary
    from refunc.runs.writers import Writer

__all__ = [
    "Band",
    "Curve",
    "ExperimentContext",
    "ExpressionError",
    "Groups",
    "Listing",
    "LogEntry",
    "MetricSummary",
    "NoDescriptorError",
    "PackageNeededError",
    "PointNotFoundError",
    "Run",
    "RunError",
    "RunFormatError",
    "RunNotFoundError",
    "Runs",
    "Series",
    "Store",
    "StrangeStoreError",
    "UnknownMetricError",
    "Window",
    "Writer",
    "open_store",
    "show",
]

#: The module of each public name, which is loaded when the name is first used (PEP 562): a list needs no curves.
_HOMES = {
    "Band": "bands",
    "Curve": "curve",
    "ExperimentContext": "entry",
    "ExpressionError": "errors",
    "Groups": "groups",
    "Listing": "store",
    "LogEntry": "entry",
    "MetricSummary": "summary",
    "NoDescriptorError": "errors",
    "PackageNeededError": "errors",
    "PointNotFoundError": "errors",
    "Run": "run",
    "RunError": "errors",
    "RunFormatError": "errors",
    "RunNotFoundError": "errors",
    "Runs": "groups",
    "Series": "series",
    "Store": "store",
    "StrangeStoreError": "errors",
    "UnknownMetricError": "errors",
    "Window": "curve",
    "Writer": "writers",
    "open_store": "store",
    "show": "showing",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
