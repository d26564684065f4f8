"""The table: rows of runs that match an expression, in an order, with the columns that were asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from heapq import nsmallest
from typing import Any, Final

import attrs

from refunc.journal.kinds import UNREADABLE
from refunc.journal.ranks import newest, rank_files
from refunc.runs.answer import Answer
from refunc.runs.errors import ExpressionError
from refunc.runs.expression.asked import Asked as Name
from refunc.runs.expression.asked import Path, last_ending
from refunc.runs.expression.values import MISSING
from refunc.runs.glance import Glance
from refunc.runs.glances import glances
from refunc.runs.groups import by_values
from refunc.runs.query import Query, answer_in
from refunc.runs.run import Run
from refunc.runs.sample import mean_of, spread_of
from refunc.runs.search import names_in
from refunc.values.goals import guessed_goal
from refunc_ui.answers import AskedWronglyError
from refunc_ui.asked import Asked, column_named, place_in
from refunc_ui.entries import Entry
from refunc_ui.held import Held

#: The most rows of one answer, and the rows of one that does not say.
MOST_ROWS: Final = 1_000
_ROWS: Final = 100
_MOST_COLUMNS: Final = 50
#: The most groups, and the most runs that are named of each.
_MOST_GROUPS: Final = 1_000
_MOST_MEMBERS: Final = 1_000
#: The most folders that cannot be read and are listed.
_MOST_UNREADABLE: Final = 50
#: Of params and of metrics, how many are columns as long as none are chosen; and the runs that are read for them if
#: there is no index.
_USUAL: Final = 3
_READ_FOR_NAMES: Final = 20

_TAGS: Final = ("tags",)
_KINDS: Final = {"status": "status", "duration": "duration", "start_time": "time"}


@attrs.frozen
class Wanted:
    """What a table is asked for."""

    where: str | None
    sort: str | None
    columns: tuple[Name, ...]
    groups: tuple[Name, ...]
    offset: int
    limit: int
    removed: bool
    #: Whether the columns are the first params and metrics of the store, and not those that are named.
    is_usual: bool

    @property
    def paths(self) -> frozenset[Path]:
        """The values that the columns and groups need of each run."""
        return frozenset(name.path for name in (*self.columns, *self.groups))

    @classmethod
    def of(cls, asked: Asked) -> Wanted:
        """Return what a request asks for. Raises AskedWronglyError."""
        return cls(
            where=asked.text("where"),
            sort=asked.text("sort"),
            columns=tuple(column_named(word) for word in asked.texts("columns", _MOST_COLUMNS)),
            groups=tuple(column_named(word) for word in asked.texts("group", 5)),
            offset=asked.whole("offset", 0, 0, 10_000_000),
            limit=asked.whole("limit", _ROWS, 0, MOST_ROWS),
            removed=asked.is_on("removed"),
            is_usual=asked.is_on("usual"),
        )


def table(held: Held, wanted: Wanted) -> tuple[dict[str, Any], list[Entry]]:
    """
    Return the table, and the runs that have to be read first to know their values.

    Raises:
        AskedWronglyError: An expression is not valid.
    """
    known = held.entries()
    there = known.removed if wanted.removed else known.runs
    if wanted.is_usual:
        wanted = attrs.evolve(wanted, columns=_usual(held, known.runs[-_READ_FOR_NAMES:]))
    found, unread = _answered(held, there, wanted)
    rows = found.runs if wanted.sort is not None else found.runs[::-1]
    shown = rows[wanted.offset : wanted.offset + wanted.limit]
    values, missing = held.values([held.entry(held.id_of(run)) for run, _ in shown], wanted.paths | {_TAGS})
    by_folder = {run.folder: each for run, each in values.runs}
    of_rows = [by_folder.get(run.folder, {}) for run, _ in shown]
    unreadable = [*known.unreadable, *found.unreadable]
    made = glances(run for run, _ in shown)
    return {
        "total": len(there),
        "matched": len(rows),
        "store": str(held.store.path),
        "columns": [_title(column, [each.get(column.path) for each in of_rows]) for column in wanted.columns],
        "rows": [_row(held, run, glance, wanted, by_folder.get(run.folder)) for run, glance in made],
        **({"groups": _groups(held, wanted, rows)} if wanted.groups else {}),
        "notes": [*found.notes, *_told(len(unread))],
        "unreadable": [
            {"folder": error.folder.name, "error": error.problem} for error in unreadable[:_MOST_UNREADABLE]
        ],
    }, list({entry.name: entry for entry in (*unread, *missing)}.values())


def _usual(held: Held, newest: Sequence[Entry]) -> tuple[Name, ...]:
    """
    Return the columns until some are chosen: the first params, and the first metrics, those with a goal before others.

    Metrics of the system are not among them.
    """
    held.values(newest, frozenset([_TAGS]))  # so that names are known of what the index has
    runs = [entry.run for entry in newest]
    params, metrics = (names_in(runs, space) for space in ("params", "metrics"))
    own = (name for name in metrics if not name.startswith("system/"))
    words = [f"params.{name}" for name in nsmallest(_USUAL, params)]
    words += [f"metrics.{name}{last_ending(name)}" for name in nsmallest(_USUAL, own, key=_rank)]
    found = []
    for word in words:
        with suppress(AskedWronglyError):  # a name that no expression can have
            found.append(column_named(word))
    return tuple(found)


def _rank(metric: str) -> tuple[bool, str]:
    return guessed_goal(metric) is None, metric


def _told(unread: int) -> list[str]:
    if not unread:
        return []
    return [f"{unread:,} runs are being read for the first time; the table has them when they are."]


def _answered(held: Held, entries: Sequence[Entry], wanted: Wanted) -> tuple[Answer, list[Entry]]:
    """Return the runs that match, with the values of groups, and the runs that have to be read first."""
    try:
        query = Query.of(wanted.where, wanted.sort, extra=frozenset(name.path for name in wanted.groups))
        if wanted.groups:
            query = attrs.evolve(query, extra=wanted.paths)
        if not query.paths and query.where is query.order is None:
            return Answer([(entry.run, {}) for entry in entries], []), []
        found, unread = held.values(entries, query.paths)
        # What runs that are not read yet have, no error can know.
        query = attrs.evolve(query, allow_missing=bool(unread))
        runs = [entry.run for entry in entries]
        return answer_in(found, query, lambda space: names_in(runs, space)), unread
    except ExpressionError as error:
        where = "sort" if error.text == wanted.sort and error.text != wanted.where else "where"
        raise AskedWronglyError(error.problem, 400, place_in(error), where) from error


def _groups(held: Held, wanted: Wanted, found: Sequence[tuple[Run, dict[Path, Any]]]) -> list[dict[str, Any]]:
    """Return the groups of runs with equal values, in the order in which they first occur."""
    groups = by_values(((run, values), [values[name.path] for name in wanted.groups]) for run, values in found)
    return [
        {
            "key": list(key),
            "n": len(members),
            "runs": [held.id_of(run) for run, _ in members[:_MOST_MEMBERS]],
            "values": [_spread([values[column.path] for _, values in members]) for column in wanted.columns],
        }
        for key, members in groups[:_MOST_GROUPS]
    ]


def _spread(values: Sequence[Any]) -> list[float | None] | None:
    """Return mean, standard deviation, lowest and highest of the finite numbers in *values*; None without any."""
    numbers = [float(each) for each in values if isinstance(each, (int, float)) and not isinstance(each, bool)]
    numbers = list(filter(math.isfinite, numbers))
    if not numbers:
        return None
    return [mean_of(numbers), spread_of(numbers), min(numbers), max(numbers)]


def _row(held: Held, run: Run, glance: Glance, wanted: Wanted, values: dict[Path, Any] | None) -> dict[str, Any]:
    if glance.status == UNREADABLE:
        held.note_unreadable(run)
    try:
        files = rank_files(run.folder)
    except OSError:
        files = []
    return {
        "id": held.id_of(run),
        "name": run.run_name,
        "experiment": run.experiment_name,
        "status": glance.status,
        "start_time": run.start_time,
        "duration": glance.duration,
        "attempt": files[-1].role.attempt if files else 1,
        "ranks": len(newest(files)) if files else 0,
        "tags": _known((values or {}).get(_TAGS)) or {},
        "values": [_known((values or {}).get(column.path)) for column in wanted.columns],
        "damaged": glance.status == UNREADABLE,
        "pending": values is None and glance.status != UNREADABLE,
    }


def _known(value: Any) -> Any:
    return None if value is MISSING else value


def _title(column: Name, values: Sequence[Any]) -> dict[str, str]:
    key = ".".join(column.path)
    kind = _KINDS.get(key)
    if kind is None:
        known = [value for value in values if value is not MISSING and value is not None]
        is_number = known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known)
        kind = "number" if is_number or (not known and column.path[0] == "metrics") else "text"
    title = ".".join(column.path[1:]) or key
    return {"key": key, "title": title, "kind": kind}
