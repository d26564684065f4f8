"""
Choosing runs: the options that are alike in all commands; `chosen` finds the runs.

A command has RUN…, or the options that search the store, or both: then those of the named runs that match. Without
either, it takes all runs, or the newest, as the command says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from refunc.runs.store_folder import elsewhere
from refunc_commands.cli.completions import complete_experiments, complete_import_ids, complete_names
from refunc_commands.cli.failure import Failure, Number
from refunc_commands.cli.finding import complete_removed, run_argument
from refunc_commands.cli.moments import parse_moment
from refunc_commands.cli.options import once_only

if TYPE_CHECKING:
    from refunc.runs.store import Store


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
        hint = "" if removed else elsewhere(store.path)
        return f"no {'removed ' if removed else ''}runs{of} in {store.path}{wanted}.{hint}"


_COMPLETIONS: Final[dict[str, Any]] = {
    "experiment": complete_experiments,
    "import_id": complete_import_ids,
    "where": complete_names,
    "order": complete_names,
}

#: What the rest of an expression without quotes begins with; a shell makes arguments of it.
_OPERATORS: Final = frozenset(("==", "!=", "=", "<", "<=", ">", ">=", "~", "!~", "in", "not", "is", "and", "or"))
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
