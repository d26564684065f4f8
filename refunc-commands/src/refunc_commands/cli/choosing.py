"""
Choosing runs: the options that are alike in all commands, and the runs that they choose.

A command has RUN…, or the options that search the store, or both: then those of the named runs that match. Without
either, it takes all runs, or the newest, as the command says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from refunc.runs.answer import Answer
from refunc.runs.errors import RunFormatError, RunNotFoundError
from refunc.runs.origin import origins_of
from refunc.runs.run import Run
from refunc.runs.store import Listing, Store
from refunc.values.near import nearest
from refunc_commands.cli.completions import complete_experiments, complete_import_ids, complete_names
from refunc_commands.cli.failure import Failure, Number
from refunc_commands.cli.finding import complete_removed, run_argument, the_run, the_store, with_processes
from refunc_commands.cli.moments import parse_moment
from refunc_commands.cli.streams import error_line, left_out

if TYPE_CHECKING:
    from refunc.runs.expression.asked import Asked
    from refunc.runs.query import Query


@attrs.frozen(kw_only=True)
class Choice:
    """The runs that a command line chooses."""

    names: tuple[str, ...] = ()
    import_id: str | None = None
    where: str | None = None
    experiment: str | None = None
    since: float | None = None
    until: float | None = None
    order: str | None = None
    count: int | None = None
    allow_missing: bool = False

    @property
    def searches(self) -> bool:
        """Whether there is an option that chooses among runs."""
        given = (self.import_id, self.where, self.experiment, self.since, self.until, self.order, self.count)
        return any(each is not None for each in given)

    def __bool__(self) -> bool:
        """Whether anything chooses runs, so that not all are meant."""
        return bool(self.names) or self.searches

    def nothing_in(self, store: Store, *, removed: bool = False) -> str:
        """Return the sentence that *store* has no run, or no *removed* one, that they choose."""
        of = f" of the experiment {self.experiment}" if self.experiment is not None else ""
        of += f" with the id {self.import_id} in another tracker" if self.import_id is not None else ""
        of += " of that time" if self.since is not None or self.until is not None else ""
        wanted = f" that match {self.where}" if self.where is not None else ""
        return f"no {'removed ' if removed else ''}runs{of} in {store.path}{wanted}."


_COMPLETIONS: Final[dict[str, Any]] = {
    "experiment": complete_experiments,
    "import_id": complete_import_ids,
    "where": complete_names,
    "order": complete_names,
}

#: What the rest of an expression without quotes begins with; a shell makes arguments of it.
_OPERATORS: Final = frozenset(("==", "!=", "=", "<", "<=", ">", ">=", "~", "!~", "in", "not", "is", "and", "or"))
#: How several values are asked for.
_SEVERAL: Final = {
    "where": " Join the expressions with `and` or `or`.",
    "experiment": " Write --where \"experiment_name in ('one', 'other')\".",
    "order": " Runs are sorted by one expression.",
}
#: The options by the parameter that each fills.
_OPTIONS: Final[dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "where": (("--where",), {"metavar": "EXPRESSION", "help": "Only runs that match this, as `status == 'failed'`."}),
    "experiment": (("--experiment",), {"metavar": "NAME", "help": "Only runs of this experiment (its name or id)."}),
    "since": (
        ("--since",),
        {"type": parse_moment, "metavar": "TIME", "help": "Only runs that started since: 2d (ago), 14:30, 2026-11-23."},
    ),
    "until": (("--until",), {"type": parse_moment, "metavar": "TIME", "help": "Only runs that started before."}),
    "order": (
        ("--sort", "order"),
        {"metavar": "EXPRESSION", "help": "Sort, lowest first; `-metrics.acc.max`: highest first."},
    ),
    "count": (
        ("-n", "--number", "count"),
        {"type": Number(1), "metavar": "N", "help": "Only the newest N runs; with --sort, the first N."},
    ),
    "import_id": (("--import-id",), {"metavar": "ID", "help": "The run with this id in the tracker it came from."}),
    "allow_missing": (
        ("--allow-missing",),
        {"is_flag": True, "help": "Expressions may name something that no run has."},
    ),
}


def once_only(ctx: click.Context, param: click.Parameter, given: tuple[Any, ...]) -> Any:
    """Return the value of an option; raise click.BadParameter if there are several, of which one would be ignored."""
    if len(given) > 1:
        raise click.BadParameter(f"it is given {len(given)} times.{_SEVERAL.get(str(param.name), '')}")
    return given[0] if given else None


def choosing(
    *, runs: bool = True, one: bool = False, removed: bool = False, without: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Any]:
    """
    Give a command the argument and the options that choose runs; it gets them as `choice`.

    Args:
        runs: Whether it has the argument RUN.
        one: Whether one run is meant.
        removed: Whether removed runs are meant, which a shell completes then.
        without: The options that the command does not have, or has with a meaning of its own.
    """
    taken = [name for name in _OPTIONS if name not in without]

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def chosen(*args: Any, **given: Any) -> Any:
            names = given.pop("runs", ())
            options = {name: given.pop(name) for name in taken}
            named = (names,) if isinstance(names, str) else tuple(names or ())
            if options.get("where") is not None and not _OPERATORS.isdisjoint(named):
                raise Failure('put the expression in quotes, so that it is one argument: --where "params.lr == 0.1".')
            return command(*args, choice=Choice(names=named, **options), **given)

        decorated: Any = chosen
        for name in reversed(taken):
            words, details = _OPTIONS[name]
            once: dict[str, Any] = {} if details.get("is_flag") else {"multiple": True, "callback": once_only}
            decorated = click.option(*words, shell_complete=_COMPLETIONS.get(name), **once, **details)(decorated)
        if runs and one:
            return run_argument(nargs=1, required=False, named="runs", metavar="[RUN]")(decorated)
        completing: dict[str, Any] = {"shell_complete": complete_removed} if removed else {}
        return run_argument(nargs=-1, metavar="[RUN]...", **completing)(decorated) if runs else decorated

    return decorate


# -- the runs ----------------------------------------------------------------------------------------------------------


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
        Failure: It fits no run.
    """
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
