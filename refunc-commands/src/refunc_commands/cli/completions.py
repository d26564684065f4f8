"""Completion by the shell: names in a store that a word may become."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from refunc.runs.origin import origins_of
from refunc.runs.statistics import STATISTICS
from refunc_commands.cli.finding import arrives, completed_runs, completed_values
from refunc_commands.cli.options import completion
from refunc_commands.cli.streams import shown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_experiments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the experiments that begin with *incomplete*, the newest first."""
    names = dict.fromkeys(run.experiment_name for run in completed_runs(ctx)[::-1])
    return [completion(name) for name in names if name.startswith(incomplete) and arrives(name)]


def complete_import_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids in other trackers that begin with *incomplete*, the newest first."""
    ids = {name: run.run_name for run in completed_runs(ctx)[::-1] for name in origins_of(run)}
    begun = (item for item in ids.items() if item[0].startswith(incomplete) and arrives(item[0]))
    return [completion(name, help=shown(of)) for name, of in begun]


def complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of values that the last name in *incomplete* may become."""
    before, word = re.fullmatch(r"(.*?[-,( ]?)([^-,( ]*)", incomplete, re.DOTALL).groups()  # type: ignore[union-attr]
    names = ["status", "duration", "start_time", "run_name", "experiment_name"]
    space, *rest = re.split(r"[.\[]", word, maxsplit=1)
    if space in ("params", "metrics", "tags", "results") and rest:
        from refunc.runs.expression.asked import last_ending, path_text

        known = completed_values(ctx, space)
        # In an expression that may have several names, one with other characters needs brackets.
        texts = {name: path_text(space, name) if param.name == "where" else f"{space}.{name}" for name in known}
        names = list(texts.values())
        if space == "metrics":
            names = [text + last_ending(name) for name, text in texts.items()]
            names += [f"{text}.{each}" for text in texts.values() if word.startswith(f"{text}.") for each in STATISTICS]
        names = list(dict.fromkeys(names))
    else:
        names += ["params.", "metrics.", "tags.", "results."]
    whole = [before + name for name in names if name.startswith(word)]
    return [completion(each) for each in whole if arrives(each) or each.startswith("-")]
