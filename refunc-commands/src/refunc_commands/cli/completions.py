"""Completion by the shell: names in a store that a word may become."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from refunc.runs.origin import origins_of
from refunc.runs.run import Run
from refunc_commands.cli.finding import arrives, named_store, the_store
from refunc_commands.cli.options import completion
from refunc_commands.cli.streams import shown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_experiments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the experiments that begin with *incomplete*, the newest first."""
    names = dict.fromkeys(run.experiment_name for run in _runs(ctx)[::-1])
    return [completion(name) for name in names if name.startswith(incomplete) and arrives(name)]


def complete_import_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids in other trackers that begin with *incomplete*, the newest first."""
    ids = {name: run.run_name for run in _runs(ctx)[::-1] for name in origins_of(run)}
    begun = (item for item in ids.items() if item[0].startswith(incomplete) and arrives(item[0]))
    return [completion(name, help=shown(of)) for name, of in begun]


def complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of values that the last name in *incomplete* may become."""
    before, word = re.fullmatch(r"(.*?[-,( ]?)([^-,( ]*)", incomplete, re.DOTALL).groups()  # type: ignore[union-attr]
    runs = _runs(ctx)
    names = ["status", "duration", "start_time", "run_name", "experiment_name"]
    space = word.partition(".")[0]
    if space in ("params", "metrics", "tags", "results") and "." in word:
        from refunc.runs.search import names_in

        names = [f"{space}.{name}" for name in names_in(runs, space)]
    else:
        names += ["params.", "metrics.", "tags.", "results."]
    whole = [before + name for name in names if name.startswith(word)]
    return [completion(each) for each in whole if arrives(each) or each.startswith("-")]


def _runs(ctx: click.Context) -> list[Run]:
    try:
        return the_store(ctx, named_store(ctx)).runs()
    except OSError:
        return []
