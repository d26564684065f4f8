"""Exporting points or log entries of many runs as one file, with the result for each run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

import attrs

from refunc.runs import entries_file
from refunc.runs.errors import RunFormatError
from refunc.runs.groups import Runs
from refunc.runs.groups_file import export_groups
from refunc.runs.metric_names import metrics_named
from refunc.runs.points_file import curves, export_points, more_columns
from refunc.runs.prefetch import read_ahead
from refunc.runs.run import Run
from refunc.runs.selection import Selection
from refunc.runs.series import Series
from refunc.runs.store import Listing
from refunc.runs.unreadable import Faults


@attrs.frozen
class Exported:
    """The number of written points or entries, their runs, and the errors of unreadable runs."""

    count: int
    runs: list[Run]
    unreadable: list[RunFormatError]


def export_entries_of(listing: Listing, path: str | int, format: str, *, all_needed: bool = False) -> Exported:
    """
    Write the log entries of the runs of *listing*.

    Args:
        path: As for `whole_file`.
        all_needed: Write nothing if one of the runs cannot be read; by default, it is left out.

    Raises:
        RunFormatError: One of the runs cannot be read, and all are needed.
        OSError: The file cannot be written.
    """
    faults = Faults(listing.unreadable, all_needed=all_needed)
    with read_ahead(listing.runs):
        count = entries_file.export(lambda: faults.each(listing.runs, Run.entries), path, format)
    return Exported(count, faults.without(listing.runs), faults.found)


def export_points_of(
    listing: Listing,
    path: str | int,
    format: str,
    *,
    metrics: Sequence[str],
    most: int | None,
    selection: Selection,
    processes: int,
    all_needed: bool = False,
) -> Exported:
    """
    Write the points of the runs of *listing* that *selection* asks for: of *metrics*, or of all, and at most *most* of
    each.

    Args:
        path: As for `whole_file`.
        metrics: Names or patterns, each of which at least one run must have.
        processes: As for `read_ahead`.
        all_needed: As for `export_entries_of`.

    Raises:
        UnknownMetricError: No run has one of *metrics*.
        RunFormatError: One of the runs cannot be read, and all are needed.
        OSError: The file cannot be written.
    """
    faults = Faults(listing.unreadable, all_needed=all_needed)
    asked = None if selection == Selection() else selection
    wanted: list[str] = []

    def points(run: Run) -> Iterator[tuple[Run, Series]]:
        return curves([run], wanted or None, max_points=most, selection=asked)

    with read_ahead(listing.runs, processes) as in_turn:
        if metrics:
            # Runs that cannot be read are noted by the pass that writes.
            known = Faults(all_needed=all_needed).each(list(in_turn), lambda run: run.summary.metrics)
            wanted += metrics_named(metrics, dict.fromkeys(known))
        passes: Iterator[Iterable[Run]] = chain([] if metrics else [in_turn], repeat(listing.runs))
        count = export_points(lambda: faults.each(next(passes), points), path, format, more_columns(selection))
    return Exported(count, faults.without(listing.runs), faults.found)


def export_groups_of(
    listing: Listing,
    path: str | int,
    format: str,
    *,
    names: Sequence[str],
    metrics: Sequence[str],
    most: int | None,
    processes: int,
    all_needed: bool = False,
) -> Exported:
    """
    Write the curves of the groups in which the runs of *listing* are by the values of *names*, such as `params.model`.

    Raises the same errors as `export_points_of`, and:
        ExpressionError: One of *names* is not valid, or no run has it.
    """
    faults = Faults(listing.unreadable, all_needed=all_needed)
    with read_ahead(listing.runs, processes) as in_turn:
        known = dict.fromkeys(faults.each(in_turn, lambda run: run.summary.metrics))
        runs = faults.without(listing.runs)
        wanted = metrics_named(metrics or known, known)
        groups = Runs(runs).group_by(*names)
        count = export_groups(groups, path, format, metrics=wanted, most=most, faults=faults)
    return Exported(count, faults.without(runs), faults.found)
