"""A question about the runs of a store: which match an expression, in which order, with which values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import Any

import attrs

from refunc.runs.answer import Answer
from refunc.runs.errors import ExpressionError
from refunc.runs.expression.asked import Asked, Path, alike_metrics, refuse_unanswerable
from refunc.runs.expression.compiler import Expression, compiled, compiled_order, compiled_value
from refunc.runs.expression.notes import hidden_metrics, near_values, runs_without, searched_texts, unfit_values
from refunc.runs.expression.values import MISSING, NO_ORDER, sorting_key
from refunc.runs.run import Run
from refunc.runs.search import Found, names_in, values_of


@attrs.frozen
class Query:
    """
    Which runs are wanted, in which order, and which of their values.

    Args:
        columns: Names whose values are wanted besides those in the expressions.
        extra: The same, but no error if no run has them.
        allow_missing: Whether the expressions may ask for something that no run has.
    """

    where: Expression | None = None
    order: Expression | None = None
    columns: tuple[Asked, ...] = ()
    extra: frozenset[Path] = frozenset()
    allow_missing: bool = False

    @classmethod
    def of(cls, where: str | None, order: str | None, **others: Any) -> Query:
        """Return the query with two expressions as texts. Raises ExpressionError."""
        return cls(
            compiled(where) if where is not None else None,
            compiled_order(order) if order is not None else None,
            **others,
        )

    @property
    def is_of_all(self) -> bool:
        """Whether all runs are wanted, in their order."""
        return self.where is self.order is None and not self.columns

    @property
    def asks(self) -> list[Asked]:
        """The names in its expressions and of its columns."""
        return [*self.columns, *(asked for each in (self.where, self.order) if each is not None for asked in each.asks)]

    @property
    def paths(self) -> frozenset[Path]:
        """The values that are needed of each run."""
        asks = self.asks
        return self.extra.union((each.path for each in asks), alike_metrics(asks).values())


def answer(runs: Sequence[Run], query: Query, processes: int = 0) -> Answer:
    """
    Return those of *runs*, all of one store, that match.

    Raises:
        ExpressionError: No run has something that the query asks for.
    """
    paths = query.paths
    if not paths and query.where is query.order is None:
        return Answer([(run, {}) for run in runs], [])
    return answer_in(values_of(runs, paths, processes), query, lambda space: names_in(runs, space))


def answer_in(found: Found, query: Query, names: Callable[[str], list[str]]) -> Answer:
    """
    Return those of the runs that were *found* that match; they have the values at the query's paths.

    Args:
        names: Returns the names in one of the expression's spaces that any run has, for errors.

    Raises:
        ExpressionError: No run has something that the query asks for.
    """
    rows = [values for _, values in found.runs]
    notes: list[str] = []
    for each in (query.where, query.order):
        if each is not None:
            if not query.allow_missing:
                refuse_unanswerable(each.text, each.asks, each.sites, rows, names)
            for notes_on in (runs_without, unfit_values, searched_texts):
                notes += notes_on(each.sites, rows)
    if query.columns and not query.allow_missing:
        for asked in query.columns:
            refuse_unanswerable(asked.written, [asked], [], rows, names)
    notes += hidden_metrics(query.asks, rows, names)
    holds = query.where
    matching = [(run, values) for run, values in found.runs if holds is None or holds(values)]
    if holds is not None and not matching:
        notes += near_values(holds.sites, rows)
    return Answer(_in_order(matching, query), found.unreadable, notes)


def evaluated(runs: Sequence[Run], texts: Sequence[str]) -> list[tuple[Run, list[Any]]]:
    """
    Return the values of expressions such as `params.model` in each of *runs*, None for none; runs of any stores.

    A run that cannot be read is left out.

    Raises:
        ExpressionError: One is not valid, or no run has the values that it asks for.
    """
    expressions = [compiled_value(text) for text in texts]
    found = values_by_run(runs, frozenset().union(*(each.paths for each in expressions)))
    rows = list(found.values())
    for each in expressions:
        refuse_unanswerable(each.text, each.asks, each.sites, rows, lambda space: names_in(runs, space))
    readable = [(run, found[id(run)]) for run in runs if id(run) in found]
    return [(run, [_known(each(values)) for each in expressions]) for run, values in readable]


def values_by_run(runs: Iterable[Run], paths: frozenset[Path]) -> dict[int, dict[Path, Any]]:
    """Return the values at *paths* by the identity of each run that can be read; the runs may be of any stores."""
    by_store: dict[PurePath, list[Run]] = {}
    for run in runs:
        by_store.setdefault(run.folder.parent, []).append(run)
    return {id(run): values for there in by_store.values() for run, values in values_of(there, paths).runs}


def _known(value: Any) -> Any:
    return None if value is MISSING else value


def _in_order(found: list[tuple[Run, dict[Path, Any]]], query: Query) -> list[tuple[Run, dict[Path, Any]]]:
    order = query.order
    if order is None:
        return found
    given = [order(values) for _, values in found]
    keys = [sorting_key(value, descends=order.descends) for value in given]
    if (
        not query.allow_missing
        and {NO_ORDER}.issuperset(keys)
        and any(isinstance(each, (list, dict)) for each in given)
    ):
        raise ExpressionError(order.text, 1, "no run has a number or a text here, so there is nothing to sort by")
    return [found[at] for at in sorted(range(len(found)), key=keys.__getitem__)]
