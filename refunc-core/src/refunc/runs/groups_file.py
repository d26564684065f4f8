"""The curves of groups of runs as one table in a file: one row per group, metric and value of the common axis."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from refunc.journal.codec import encodable
from refunc.runs.bands import aligned, by_axis
from refunc.runs.entries_file import whole_file
from refunc.runs.groups import Group, Groups
from refunc.runs.packages import needed
from refunc.runs.points_file import handfuls
from refunc.runs.run import Run
from refunc.runs.sample import DESCRIBED, described
from refunc.runs.series import Series
from refunc.runs.table import columns_of
from refunc.runs.table_file import Part, check_format, write_parquet, write_texts
from refunc.runs.unreadable import Faults

#: The columns behind those of a group's key: `axis` is the name of `x`, and the others are of the runs that reach it.
COLUMNS: Final = ("metric", "axis", "x", *DESCRIBED)


def export_groups(
    groups: Groups, path: str | int, format: str, *, metrics: Sequence[str], most: int | None, faults: Faults
) -> int:
    """
    Write the curves of *groups* to *path*, completely or not at all, and return the number of rows.

    The points of a group's runs are joined as in a band; see `refunc.runs.bands`.

    Args:
        path: As for `whole_file`.
        metrics: By their names; a group need not have them.
        most: The most rows of a curve; by default all, see `aligned`.
        faults: Gets the errors of runs that cannot be read meanwhile; they do not count.

    Raises:
        ValueError: *format* is not parquet, csv, jsonl or json.
        PackageNeededError: parquet needs pyarrow.
        OSError: The file cannot be written; an existing file is unchanged.
    """
    check_format(format)
    keys = _keys(groups)
    with whole_file(path, binary=format == "parquet") as file:
        if format != "parquet":
            parts = _parts(groups, _with_numbers(keys, groups), metrics, most, faults)
            return write_texts(parts, [*keys, *COLUMNS], file, format)
        parts = _parts(groups, keys, metrics, most, faults)
        schema = _schema(keys)
        return write_parquet(_tables(parts, schema), schema, file)


def _keys(groups: Groups) -> dict[str, list[Any]]:
    """Return the keys of *groups* as columns, each of values of one kind, as in a table."""
    rows = [dict(zip(groups.names, group.key, strict=True)) for group in groups]
    return columns_of({name: list(v) if isinstance(v, tuple) else v for name, v in row.items()} for row in rows)


def _with_numbers(keys: dict[str, list[Any]], groups: Groups) -> dict[str, list[Any]]:
    """Return *keys* with the numbers that are texts only since their column has a text, for files without kinds."""
    given = {encodable(name): [group.key[at] for group in groups] for at, name in enumerate(groups.names)}
    return {
        name: [
            own if type(own) in (int, float) and isinstance(value, str) else value
            for own, value in zip(given[name], column, strict=True)
        ]
        for name, column in keys.items()
    }


def _parts(
    groups: Groups, keys: dict[str, list[Any]], metrics: Sequence[str], most: int | None, faults: Faults
) -> Iterator[Part]:
    for at, group in enumerate(groups):
        key = [column[at] for column in keys.values()]
        for name, many in _series(group, metrics, faults):
            for axis, curves in by_axis(many).items():
                x, samples = aligned(curves, most)
                columns = list(zip(*map(described, samples), strict=True))
                if columns:
                    yield Part([*key, encodable(name), encodable(axis)], [x, *columns])


def _series(group: Group, metrics: Sequence[str], faults: Faults) -> Iterator[tuple[str, list[Series]]]:
    """Yield the series of each of *metrics* of all runs of *group*: of as many metrics at once as memory allows."""
    counts: dict[str, int] = {}
    for name, metric in faults.each(group.runs, lambda run: run.summary.metrics.items()):
        counts[name] = counts.get(name, 0) + metric.count
    for names in handfuls({name: counts[name] for name in metrics if name in counts}):
        found: dict[str, list[Series]] = {name: [] for name in names}
        for name, series in faults.each(group.runs, partial(_of_run, found)):
            found[name].append(series)
        yield from found.items()


def _of_run(wanted: Collection[str], run: Run) -> Iterable[tuple[str, Series]]:
    known = run.summary.metrics  # once: each time, the run looks whether its files have changed
    return run.series_of([name for name in wanted if name in known]).items()


def _schema(keys: dict[str, list[Any]]) -> Any:
    pyarrow = needed("pyarrow", "export to parquet")
    kinds = [(name, pyarrow.array(values).type) for name, values in keys.items()]
    texts = [(name, pyarrow.string()) for name in COLUMNS[:2]]
    numbers = [(name, pyarrow.int64() if name == "n" else pyarrow.float64()) for name in COLUMNS[2:]]
    return pyarrow.schema([*kinds, *texts, *numbers])


def _tables(parts: Iterable[Part], schema: Any) -> Iterator[Any]:
    pyarrow = needed("pyarrow", "export to parquet")
    for part in parts:
        kinds = schema.types[: len(part.same)]
        same = [
            pyarrow.repeat(pyarrow.scalar(value, kind), len(part)) for value, kind in zip(part.same, kinds, strict=True)
        ]
        x, *facts = part.columns
        numbers = zip([array("d", x), *facts], schema.types[len(kinds) :], strict=True)
        yield pyarrow.table([*same, *(pyarrow.array(column, kind) for column, kind in numbers)], schema=schema)
