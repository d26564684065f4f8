"""The runs that a command line chooses: named, searched for, or the newest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from refunc.runs.answer import Answer
from refunc.runs.errors import RunFormatError, RunNotFoundError
from refunc.runs.origin import origins_of
from refunc.runs.run import Run
from refunc.runs.store import Listing, Store
from refunc.values.near import nearest
from refunc_commands.cli.choosing import Choice
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.finding import the_run, the_store, with_processes
from refunc_commands.cli.streams import error_line, left_out

if TYPE_CHECKING:
    from refunc.runs.expression.asked import Asked
    from refunc.runs.query import Query


def answered(
    ctx: click.Context,
    store: str | None,
    choice: Choice,
    *,
    columns: Iterable[Asked] = (),
    params: bool = False,
    removed: bool = False,
) -> Answer:
    """
    Return the runs that *choice* chooses, with the values of *columns*, and their nested params if *params*.

    Args:
        removed: Choose among the runs that `refunc rm` has marked, and only among them.

    Raises:
        ExpressionError: An expression is not valid, or asks for something that no run has.
        RunNotFoundError, RunFormatError, OSError: A named run does not exist or cannot be read; there is no store.
    """
    query = _question(choice, tuple(columns), params=params)
    if choice.names:
        named = list({run.folder: run for run in (the_run(ctx, store, name) for name in choice.names)}.values())
        found = _among(named, query)
    else:
        listing = the_store(ctx, store).listing()
        runs_there = listing.removed if removed else listing.runs
        _refuse_unknown_experiment(choice, runs_there)
        found = _answer(runs_there, query)
        unreadable = [*listing.unreadable, *found.unreadable]
        found = attrs.evolve(found, unreadable=unreadable, hidden=len(listing.removed))
        if query is not None and query.is_of_all:  # nothing depends on runs that cannot be read
            missing = dict.fromkeys(query.paths)
            values = {run.folder: each for run, each in found.runs}
            kept = [(run, values.get(run.folder, missing)) for run in runs_there]
            found = attrs.evolve(found, runs=kept, unreadable=listing.unreadable)
    runs = [each for each in found.runs if _fits(choice, each[0])]
    if choice.count is not None:
        runs = runs[-choice.count :] if choice.order is None else runs[: choice.count]
    for note in found.notes:
        error_line(note)
    return attrs.evolve(found, runs=runs)


def chosen(
    ctx: click.Context, store: str | None, choice: Choice, *, newest: int | None = None, needed: bool = False
) -> Listing:
    """
    Return the runs that *choice* chooses, at least one.

    Args:
        newest: The number of the newest runs to take if it chooses none; by default all runs.
        needed: At least one run is needed, also if it chooses none; so it is with *newest*.

    Raises:
        Failure: It fits no run.
        RunFormatError: It is unknown whether a named run fits, because it cannot be read.
    """
    if not choice and newest is not None:
        choice = Choice(count=newest)
    found = answered(ctx, store, choice)
    if choice.names and found.unreadable:
        raise found.unreadable[0]
    if not found.runs and (choice.searches or newest is not None or needed):
        raise Failure(choice.nothing_in(the_store(ctx, store)))
    return Listing([with_processes(run) for run, _ in found.runs], found.unreadable)


def readable(ctx: click.Context, store: str | None, choice: Choice, *, newest: int | None = None) -> list[Run]:
    """
    Return the runs that *choice* chooses, at least one, without those that cannot be read: stderr says that.

    A run that was named stays, so that its error ends the command.

    Raises:
        Failure: It fits no run.
        RunFormatError: None of them can be read.
    """
    found = chosen(ctx, store, choice, newest=newest, needed=True)
    if choice.names:
        return found.runs
    listing = found.listable()
    if not listing.runs:
        raise listing.unreadable[-1]
    left_out(listing.unreadable)
    return listing.runs


def the_one(ctx: click.Context, store: str | None, choice: Choice) -> Run:
    """
    Return the run that *choice* names, or the newest or first of those that it fits.

    Raises:
        Failure: It fits no run, or asks for several.
    """
    if choice.count is not None and choice.count > 1:
        raise Failure(f"one run is shown. `refunc compare -n {choice.count}` shows several.")
    if choice.names and not choice.searches:
        return the_run(ctx, store, choice.names[0])
    found = chosen(ctx, store, choice, newest=1).runs
    run = found[0] if choice.order is not None else found[-1]
    return the_run(ctx, store, str(run.folder))


def _question(choice: Choice, columns: tuple[Asked, ...], *, params: bool) -> Query | None:
    """Return the question to the values of runs; None if there is none, as in a plain list."""
    if choice.where is choice.order is None and not columns and not params:
        return None
    from refunc.runs.query import Query

    return Query.of(
        choice.where,
        choice.order,
        columns=columns,
        extra=frozenset([("params",)] if params else []),
        allow_missing=choice.allow_missing,
    )


def _answer(runs: Sequence[Run], query: Query | None) -> Answer:
    """Return the answer about *runs*, all of one store."""
    if query is None:
        return Answer([(run, {}) for run in runs], [])
    from refunc.runs.query import answer
    from refunc.runs.reader_process import cores

    return answer(runs, query, cores())


def _among(named: Sequence[Run], query: Query | None) -> Answer:
    """Return the answer about the *named* runs, of any stores; errors are about all runs of these stores."""
    if query is None:
        return _answer(named, None)
    wanted = [run.folder.resolve() for run in named]
    found: dict[Path, tuple[Run, dict[Any, Any]]] = {}
    unreadable: list[RunFormatError] = []
    notes: list[str] = []
    for store in dict.fromkeys(run.folder.parent for run in named):
        listing = Store(store).listing()
        there = _answer(listing.runs, query)
        notes += there.notes
        unreadable += [fault for fault in there.unreadable if fault.folder.resolve() in wanted]
        found.update({run.folder.resolve(): (run, values) for run, values in there.runs})
    order = list(found) if query.order is not None else wanted
    return Answer([found[folder] for folder in order if folder in found and folder in wanted], unreadable, notes)


def _fits(choice: Choice, run: Run) -> bool:
    return (
        (choice.experiment is None or choice.experiment in (run.experiment_name, run.experiment_id))
        and (choice.since is None or run.start_time >= choice.since)
        and (choice.until is None or run.start_time < choice.until)
        and (choice.import_id is None or any(each.startswith(choice.import_id) for each in origins_of(run)))
    )


def _refuse_unknown_experiment(choice: Choice, runs: Sequence[Run]) -> None:
    """Refuse an experiment that no run has, unless it may be missing. Raises RunNotFoundError."""
    if choice.experiment is None or choice.allow_missing or not runs:
        return
    known = dict.fromkeys(name for run in runs for name in (run.experiment_name, run.experiment_id))
    if choice.experiment not in known:
        near = nearest(choice.experiment, known, most=3, alike=0.5)
        hint = f" Did you mean {', '.join(near)}?" if near else f" Known: {', '.join([*known][:8])}."
        raise RunNotFoundError(f"no run of an experiment {choice.experiment!r}.{hint}", near)
