"""The store and the runs that a command line names, with the options and the completion that need them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from refunc.journal.folder import RUN_JSON
from refunc.journal.pieces import segments
from refunc.journal.ranks import rank_files
from refunc.journal.roles import role_of
from refunc.runs.errors import RunFormatError
from refunc.runs.run import Run
from refunc.runs.selection import AGGREGATES
from refunc.runs.store import Store
from refunc.runs.store_folder import find_store, no_store
from refunc.values.paths import absolute
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.options import NAMED_RUN, completion
from refunc_commands.cli.screen import ranges
from refunc_commands.cli.streams import shown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: The most characters of a run's name in a sentence.
_LONGEST_NAME: Final = 100

_Command = TypeVar("_Command", bound=Callable[..., Any])


def metrics_option(help: str) -> Callable[[_Command], _Command]:
    """Give a command that has RUN… the option `-m NAME`, any number of times; a shell completes it."""
    given: dict[str, Any] = {"multiple": True, "metavar": "NAME", "shell_complete": complete_metrics}
    return click.option("-m", "--metric", "metrics", help=help, **given)


def rank_option(help: str, *, words: tuple[str, ...] = AGGREGATES) -> Callable[[_Command], _Command]:
    """Give a command the option `--rank`, a number or one of *words*; None if it is not given."""
    return click.option("--rank", type=_Rank(words), metavar="RANK", help=help)


if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:  # not generic in older versions of click, which refunc supports as well
    _TextType = click.ParamType


class _Rank(_TextType):
    """A rank's number, or a word for all ranks."""

    name = "rank"

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or the word. Raises click.BadParameter."""
        if isinstance(value, int) or value in self._words:
            return value
        if not re.fullmatch("[0-9]{1,7}", value):
            self.fail(f"{value!r} is not a rank. Allowed: {', '.join(['a number', *self._words])}.", param, ctx)
        return int(value)


def refuse_missing(runs: Sequence[Run], rank: int | str | None) -> None:
    """Refuse a *rank* that none of *runs* has: it is a mistake. Raises Failure."""
    if not isinstance(rank, int) or rank == 0 or any(rank in _ranks_of(run) for run in runs):
        return
    if len(runs) > 1:
        raise Failure(f"none of these runs has a rank {rank}.")
    known = sorted(_ranks_of(runs[0]))
    said = f"Its ranks are {ranges(known)}." if known else "It was not started as several ranks."
    raise Failure(f"run {runs[0].run_name} has no rank {rank}. {said}")


def _ranks_of(run: Run) -> set[int]:
    """Return the ranks that have files in the run; no record is read for that."""
    roles = [role_of(writer) for writer in segments(run.folder)]
    roles += [file.role for file in rank_files(run.folder)]
    return {role.rank for role in roles if role.rank is not None}


def run_argument(named: str | None = None, **options: Any) -> Callable[[_Command], _Command]:
    """Give a command the argument RUN, or RUN… with `nargs=-1`, passed on as *named*; a shell completes it."""
    name, metavar = ("runs", "RUN...") if options.get("nargs") == -1 else ("run", "RUN")
    return click.argument(named or name, **{"metavar": metavar, "shell_complete": _begun, **options})


def complete_metrics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the metrics that begin with *incomplete*, of the runs that the line names so far, or of the store's."""
    found: dict[str, None] = {}
    # An option without its value yet leaves the earlier arguments unparsed.
    named = ctx.params.get("runs") or ctx.args
    if not named:
        found.update(dict.fromkeys(completed_values(ctx, "metrics")))
    for name in named:
        try:
            found.update(dict.fromkeys(the_run(ctx, named_store(ctx), name).summary.metrics))
        except (LookupError, RunFormatError, OSError):
            continue
    return [completion(name) for name in found if name.startswith(incomplete) and arrives(name)]


def arrives(name: str) -> bool:
    """
    Whether the completing shell inserts *name* as one word, unchanged.

    In click's scripts, zsh quotes a completion, and so does fish, after cutting it at a comma; bash does not quote.
    """
    shell = os.environ.get("_REFUNC_COMPLETE", "").partition("_")[0]
    if not name.isprintable() or name.startswith("-"):
        return False
    if shell == "fish":
        return "," not in name
    return shell == "zsh" or re.fullmatch(r"[\w@%+=:,./-]+", name) is not None


def named_store(ctx: click.Context) -> str | None:
    """Return the store that the command line names, while it is completed."""
    return ctx.params.get("store") or (ctx.parent.params.get("store") if ctx.parent is not None else None)


def _begun(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """
    Return the names and ids of runs that begin with *incomplete*, newest first; folders if there are none.

    A name that the shell cannot insert is replaced by the id of its run.
    """
    return _named_by(incomplete, completed_runs(ctx)[::-1])


def complete_removed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names and ids of removed runs that begin with *incomplete*, as `_begun` does."""
    return _named_by(incomplete, completed_runs(ctx, removed=True)[::-1])


def completed_runs(ctx: click.Context, *, removed: bool = False) -> list[Run]:
    """Return the runs of the store that the line names, while it is completed."""
    try:
        listing = the_store(ctx, named_store(ctx)).listing()
    except OSError:
        return []
    return listing.removed if removed else listing.runs


def completed_values(ctx: click.Context, space: str) -> list[str]:
    """Return the names in one of the expression's spaces that runs of the store have, while the line is completed."""
    from refunc.runs.search import kept_values_of, names_in

    runs = completed_runs(ctx)
    kept_values_of(runs, frozenset([("params",)]))  # reads runs that are new to the index, as many as are read at once
    return names_in(runs, space)


def _named_by(incomplete: str, runs: Sequence[Run]) -> list[CompletionItem]:
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.run_name, run)
    begun: dict[str, str] = {}
    for name, run in newest.items():
        if name.startswith(incomplete):
            begun.update({name: run.experiment_name} if arrives(name) else {run.run_id: name})
    begun.update({run.run_id: run.run_name for run in runs if run.run_id.startswith(incomplete)})
    items = [completion(word, help=shown(of)) for word, of in begun.items() if arrives(word)]
    return items or [completion(incomplete, type="dir")]


def the_store(ctx: click.Context, path: str | None) -> Store:
    """
    Return the store that the command line names (*path* after the command, `ctx.obj` before it), or the one found.

    Raises:
        OSError: There is no store.
    """
    named = path or ctx.obj
    if named is None:
        return Store(find_store())
    folder = absolute(named)
    if not folder.is_dir():
        raise no_store(folder)
    return Store(folder)


def the_run(ctx: click.Context, path: str | None, name: str) -> Run:
    """
    Return the run *name*: the path of its folder, or its id or name in the store.

    Raises:
        RunNotFoundError, RunFormatError, OSError: There is no such run, or it cannot be read.
    """
    run = with_processes(_named_run(ctx, path, name))
    ctx.meta[NAMED_RUN] = run.folder
    return run


def named(run: Run) -> str:
    """Return the name and the id of *run*."""
    return run.run_id if run.run_name == run.run_id else f"{cut(run.run_name)} ({run.run_id})"


def cut(name: str) -> str:
    """Return the *name* of a run for a sentence: a long one would hide what the sentence says of it."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def with_processes(run: Run) -> Run:
    """Let *run* have its journal read by several processes: this is a command, which ends soon, and not a training."""
    from refunc.runs.reader_process import cores

    run.processes = cores()
    return run


def _named_run(ctx: click.Context, path: str | None, name: str) -> Run:
    is_path = os.path.basename(name) != name
    if is_path and os.path.exists(os.path.join(name, RUN_JSON)):
        return Run.open(Path(name).absolute())
    try:
        return the_store(ctx, path)[name]
    except (LookupError, FileNotFoundError):
        if os.path.exists(os.path.join(name, RUN_JSON)):  # a run's folder in this folder, which is not a store
            return Run.open(Path(name).absolute())
        if is_path and os.path.isdir(name):
            raise RunFormatError(Path(name).absolute(), f"it is not a run: it has no {RUN_JSON}.") from None
        raise
