"""Which store and which run a command means."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from refunc.journal.folder import RUN_JSON
from refunc.runs.run import Run, RunFormatError
from refunc.runs.store import Store, find_store

_Command = TypeVar("_Command", bound=Callable[..., Any])


def store_option(command: _Command) -> _Command:
    """Give *command* the option `--store`, which stands before or behind the command's name."""
    return click.option("--store", metavar="PATH", help="The folder of runs; see `refunc --help`.")(command)


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
        raise FileNotFoundError(f"no store at {folder}: there is no such folder.")
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
