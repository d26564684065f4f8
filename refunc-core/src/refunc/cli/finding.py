"""Which store and which run a command means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from refunc.cli.screen import shown
from refunc.journal.folder import RUN_JSON
from refunc.runs.run import Run, RunFormatError
from refunc.runs.store import Store, find_store, missing

_Command = TypeVar("_Command", bound=Callable[..., Any])


def store_option(command: _Command) -> _Command:
    """Give *command* the option `--store`, which stands before or behind the command's name."""
    given: dict[str, Any] = {"metavar": "PATH", "help": "The folder of runs; see `refunc --help`."}
    return click.option("--store", shell_complete=_path("dir"), **given)(command)


def output_option(help: str, default: str | None = None) -> Callable[[_Command], _Command]:
    """Give a command the option `-o FILE`."""
    given: dict[str, Any] = {"show_default": default is not None, "default": default}
    return click.option("-o", "--output", metavar="FILE", help=help, shell_complete=_path("file"), **given)


def metrics_option(help: str, *, required: bool = False) -> Callable[[_Command], _Command]:
    """Give a command that has RUN… the option `-m NAME`, any number of times; a shell completes it."""
    given: dict[str, Any] = {"multiple": True, "required": required, "metavar": "NAME", "shell_complete": _measured}
    return click.option("-m", "--metric", "metrics", help=help, **given)


if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:  # not generic in older versions of click, with which refunc runs as well
    _TextType = click.ParamType


def run_argument(**options: Any) -> Callable[[_Command], _Command]:
    """Give a command the argument RUN, or RUN… with `nargs=-1`; a shell completes it."""
    name, metavar = ("runs", "RUN...") if options.get("nargs") == -1 else ("run", "RUN")
    return click.argument(name, **{"metavar": metavar, "shell_complete": _begun, **options})


def _path(kind: str) -> Callable[..., list[CompletionItem]]:
    return lambda ctx, param, incomplete: [CompletionItem(incomplete, type=kind)]


def _measured(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the metrics that begin like that of the runs that the line names so far."""
    found: dict[str, None] = {}
    # An option that still lacks its value leaves the arguments before it where they are.
    for name in ctx.params.get("runs") or ctx.args:
        try:
            found.update(dict.fromkeys(the_run(ctx, _named_store(ctx), name).summary.metrics))
        except (LookupError, RunFormatError, OSError):
            continue
    return [CompletionItem(name) for name in found if name.startswith(incomplete) and _arrives(name)]


def _arrives(name: str) -> bool:
    """
    Return whether the shell that asks brings *name* into the line as one word that means just that.

    By click's scripts: zsh quotes it, and so does fish, which has cut it at a comma; bash and others quote nothing.
    """
    shell = os.environ.get("_REFUNC_COMPLETE", "").partition("_")[0]
    if not name.isprintable() or name.startswith("-"):
        return False
    if shell == "fish":
        return "," not in name
    return shell == "zsh" or re.fullmatch(r"[\w@%+=:,./-]+", name) is not None


def _named_store(ctx: click.Context) -> str | None:
    return ctx.params.get("store") or (ctx.parent.params.get("store") if ctx.parent is not None else None)


def _begun(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """
    Return the names and ids of runs that begin like that, the newest first; without any, a folder is meant.

    Where a name cannot be brought into the line, the id of the run that it means stands for it.
    """
    try:
        runs = the_store(ctx, _named_store(ctx)).runs()[::-1]
    except OSError:
        runs = []
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.run_name, run)
    begun: dict[str, str] = {}
    for name, run in newest.items():
        if name.startswith(incomplete):
            begun.update({name: run.experiment_name} if _arrives(name) else {run.run_id: name})
    begun.update({run.run_id: run.run_name for run in runs if run.run_id.startswith(incomplete)})
    items = [CompletionItem(word, help=shown(of)) for word, of in begun.items() if _arrives(word)]
    return items or [CompletionItem(incomplete, type="dir")]


def the_store(ctx: click.Context, path: str | None) -> Store:
    """
    Return the store that the command line names (*path* behind the command, `ctx.obj` before it), or the one found.

    Raises:
        OSError: There is none.
    """
    named = path or ctx.obj
    if named is None:
        return Store(find_store())
    folder = Path(named).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"no store at {folder}: {missing(folder)}.")
    return Store(folder)


def the_run(ctx: click.Context, path: str | None, name: str) -> Run:
    """
    Return the run that *name* means: a path to its folder, or whatever the store knows it by.

    Raises:
        RunNotFoundError, RunFormatError, OSError: There is none, or it cannot be read.
    """
    is_path = os.path.basename(name) != name
    if is_path and os.path.exists(os.path.join(name, RUN_JSON)):
        return Run.open(Path(name).absolute())
    try:
        return the_store(ctx, path)[name]
    except (LookupError, FileNotFoundError):
        if os.path.exists(os.path.join(name, RUN_JSON)):  # a run's folder in this folder, which is no store
            return Run.open(Path(name).absolute())
        if is_path and os.path.isdir(name):
            raise RunFormatError(Path(name).absolute(), f"there is no {RUN_JSON} in it, so it is no run.") from None
        raise
