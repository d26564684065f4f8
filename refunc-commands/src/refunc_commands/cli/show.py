"""`refunc show`: everything about one run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import Any

import click
from rich.cells import cell_len
from rich.text import Text

from refunc.annotations import Annotations, Change, Note
from refunc.journal.kinds import RUNNING
from refunc.journal.record import Artifact
from refunc.runs.failure import failure_of
from refunc.runs.flat import flat
from refunc.runs.run import Run
from refunc.runs.selection import Ranks
from refunc.runs.summary import MetricSummary
from refunc.values.moments import moment_text
from refunc.values.printable import printable
from refunc.values.quantities import amount, duration
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import the_one
from refunc_commands.cli.finding import rank_option, refuse_missing
from refunc_commands.cli.losses import losses
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.ranks import attempt_lines, rank_lines
from refunc_commands.cli.screen import (
    BEST,
    BEST_NOTES,
    GUESSED_BEST,
    STATUS_STYLES,
    number,
    of_rank,
    plain,
    print_json,
    print_lines,
    table,
    window_width,
)
from refunc_commands.cli.streams import shown

#: The most characters of a value on a terminal.
_LONGEST = 1_000
#: The most metrics in the table; the names in a run may be without number.
_MOST_METRICS = 1_000

_EXAMPLES = """\b
Examples:
  refunc show
  refunc show resnet_v1
  refunc show k3f9 --rank 3
  refunc show --sort=-metrics.accuracy.max
  refunc show experiments/20261123-144539_resnet_v1_k3f9a2b7 --json"""


@click.command(epilog=_EXAMPLES)
@choosing(one=True)
@rank_option("Metrics of this rank; or all, mean, min or max of all ranks' values.")
@click.option("--all-ranks", "each_rank", is_flag=True, help="A line for each rank, not for each host.")
@json_option()
@store_option
@click.pass_context
def show(ctx: click.Context, choice: Choice, rank: Ranks, each_rank: bool, as_json: bool, store: str | None) -> None:
    """
    Show one run: names, status, notes, params, tags, results, metrics, artifacts, and the error that ended it.

    RUN is an id or the unique beginning of one, also that in the tracker it was imported from, a name (the newest run
    that has it), or the run's folder. Without RUN, it is the newest run, or the newest that matches the options; with
    --sort, the first.

    A run of several ranks also has their hosts, states, points and lines, and its metrics are those of rank 0, or of
    the lowest rank that logged them, unless --rank chooses others. A run that was continued has its attempts, each with
    the step that it went back to.
    """
    run = the_one(ctx, store, choice)
    refuse_missing([run], rank)
    found = run.still()
    if as_json:
        print_json(found.to_dict(rank=rank))
    else:
        lines = _lines(found, found.to_dict(metrics=False), rank, window_width(), each_rank=each_rank)
        print_lines(lines)


def _lines(run: Run, facts: dict[str, Any], rank: Ranks, width: int | None, *, each_rank: bool) -> Iterator[Text]:
    limit = _LONGEST if width is not None else None
    yield from _pairs(_head(run, facts), limit, indent="")
    if facts.get("attempt", 1) > 1:
        yield from _section("attempts")
        yield from attempt_lines(facts["attempts"])
    if facts.get("ranks"):
        yield from _section("ranks")
        yield from rank_lines(facts["ranks"], width, each=each_rank)
    annotations = run.annotations
    if annotations.problem is not None:
        yield from _section("annotations", "left out")
        yield Text(f"  {shown(annotations.problem)}", "yellow")
    if annotations.notes:
        yield from _section("notes")
        yield from map(_note, annotations.notes)
    for title in ("tags", "params", "results"):
        pairs = [(name, Text(plain(value))) for name, value in flat(facts[title])]
        if title == "tags":
            pairs = list(_tags(facts[title], annotations))
        if pairs:
            yield from _section(title)
            yield from _pairs(pairs, limit)
    metrics = run.summary.metrics if rank is None else run.metric_summaries(rank=rank)
    if metrics:
        yield from _section("metrics", of_rank(rank) if rank is not None else "")
        yield from _metrics(metrics, width)
    if facts["artifacts"]:
        yield from _section("artifacts")
        yield from _columns(
            (shown(item.name), amount(item.size), shown(item.stored or f"not copied: {item.source}") + _missing(item))
            for item in run.artifacts
        )
    if facts["error"]:
        failure = failure_of(run, run.summary)
        where = [f"rank {failure['error_rank']}"] * (failure["error_rank"] is not None)
        where += [f"on {shown(failure['host'])}"] * bool(failure["host"])
        yield from _section("error", ", ".join(where))
        yield Text("  " + printable(facts["error"].rstrip("\n"), indent="  "))
    yield from _missing_parts(run, live=facts["status"] == RUNNING)


def _missing_parts(run: Run, *, live: bool) -> Iterator[Text]:
    """Yield the lines about all that is not above: values that a summary has no room for, and damage of the journal."""
    left_out = list(run.summary.left_out.told())
    if left_out:
        yield from _section("left out", "`refunc logs` shows all of it")
        yield from (Text(f"  {line}", "yellow") for line in left_out)
    told = list(losses(run.summary.account, torn=not live))
    if told:
        yield from _section("journal", "not whole")
        yield from (Text(f"  {line}", "yellow") for line in told)


def _tags(tags: dict[str, str], annotations: Annotations) -> Iterator[tuple[str, Text]]:
    """Yield the tags, each with who has annotated it and when, and those that were taken away."""
    later = {name: change for change in annotations.changes for name in change.tags}
    for name in (*tags, *(name for name in later if name not in tags)):
        value = tags.get(name)
        text = Text(plain(value) if value is not None else "-")
        if name in later:
            done = "annotated" if value is not None else "removed"
            text.append(f"  ({done} {_by(later[name])})", "dim")
        yield name, text


def _note(note: Note) -> Text:
    """Return a note with its author and its id, by which it can be removed."""
    text = printable(note.text, indent="    ")
    return Text.assemble(("  " + shown(note.id), "dim"), "  ", text, (f"  ({_by(note)})", "dim"))


def _by(made: Change | Note) -> str:
    return moment_text(made.time) + (f" by {shown(made.by)}" if made.by else "")


def _missing(artifact: Artifact) -> str:
    """Return, in brackets, the missing parts of a folder's copy; empty if it is complete."""
    told = []
    if artifact.references:
        size = amount(artifact.reference_bytes)
        told.append(f"{artifact.references:,} of {artifact.files:,} files, {size}, not copied")
    if artifact.left_out:
        told.append(f"{artifact.left_out:,} left out")
    return f"  ({'; '.join(told)})" if told else ""


def _head(run: Run, facts: dict[str, Any]) -> Iterator[tuple[str, Text]]:
    status, seconds = facts["status"], facts["duration"]
    if status == RUNNING:
        seconds = max(0.0, time.time() - run.start_time)  # the clock may have been set back
    name = (shown(facts["run_name"] or "-"), "bold")
    is_renamed = run.annotations.name is not None
    logged = (f"  (logged as {shown(run.logged_name or '-')})" if is_renamed else "", "dim")
    yield "run", Text.assemble(name, logged)
    yield "id", Text(shown(run.run_id))
    same = facts["experiment_id"] == facts["experiment_name"]
    yield "experiment", Text(shown(run.experiment_name) + ("" if same else f" (id {shown(run.experiment_id)})"))
    if run.parent_id is not None:
        yield "parent", Text(shown(run.parent_id))
    yield "status", Text(shown(status), STATUS_STYLES.get(status, ""))
    if (removal := run.annotations.removal) is not None:
        yield "removed", Text(f"{_by(removal)}; `refunc restore {shown(run.run_id)}` takes it back", "yellow")
    yield "started", Text(moment_text(run.start_time))
    if seconds is not None:
        so_far = {"running": " so far", "crashed": " to the last record"}.get(status, "")
        yield "duration", Text(duration(seconds) + so_far)
    if facts["script"]:
        yield "script", Text(shown(facts["script"]))
    if facts["commit"]:
        yield "commit", Text(shown(facts["commit"]))
    if facts["packages"]:
        yield "packages", Text(shown(", ".join(f"{name} {version}" for name, version in facts["packages"].items())))
    if facts["host"]:
        yield "host", Text(shown(facts["host"]))
    yield "folder", Text(shown(run.folder))


def _metrics(metrics: dict[str, MetricSummary], width: int | None) -> Iterator[Text]:
    """Yield a table of the metrics, with the best value of each marked."""
    titles = ["last", "min", "max", "mean", "count"]
    head = [Text(""), *(Text(title, "dim") for title in titles)]
    rows, marks = [], set()
    for name in nsmallest(_MOST_METRICS, metrics):
        metric = metrics[name]
        cells = [Text(number(getattr(metric, title), 5)) for title in titles[:4]]
        goal, mark = (metric.goal, BEST) if metric.goal else (metric.guessed_goal, GUESSED_BEST)
        if goal and metric.best is not None:
            best = titles.index(goal)
            cells[best] = Text(cells[best].plain + mark, "bold green")
            marks.add(mark)
        count = f"{metric.count:,}" + (f" ({metric.nans:,} NaN)" if metric.nans else "")
        rows.append([Text(shown(name), "dim"), *cells, Text(count)])
    yield from table(head, rows, width, dispensable=(4, 5, 2, 3))
    if len(metrics) > len(rows):
        yield Text(f"  and {len(metrics) - len(rows):,} more; --json has them all", "dim")
    for mark, note in BEST_NOTES.items():
        if mark in marks:
            yield Text(f"  {mark} {note}", "dim")


def _section(title: str, note: str = "") -> Iterator[Text]:
    yield Text("")
    yield Text.assemble((title, "bold"), (f"  ({note})" if note else "", "dim"))


def _pairs(pairs: Iterable[tuple[str, Text]], limit: int | None, indent: str = "  ") -> Iterator[Text]:
    """Yield `name  value` with the values aligned; a value longer than *limit* is cut, with a note."""
    rows = [(shown(name), value) for name, value in pairs]
    size = min(40, max((cell_len(name) for name, _ in rows), default=0))
    for name, value in rows:
        if limit is not None and len(value.plain) > limit:
            note = f"… ({len(value.plain):,} characters; --json has them all)"
            value = Text(value.plain[:limit] + note, value.style)
        yield Text.assemble(indent, (name + " " * (size - cell_len(name)), "dim"), "  ", value)


def _columns(rows: Iterable[tuple[str, str, str]]) -> Iterator[Text]:
    """Yield a name, a right-aligned number, and a last cell."""
    table = list(rows)
    first = min(40, max(cell_len(row[0]) for row in table))
    second = max(cell_len(row[1]) for row in table)
    for name, amount_, last in table:
        padded = name + " " * (first - cell_len(name))
        yield Text.assemble("  ", (padded, "dim"), "  ", " " * (second - cell_len(amount_)), amount_, "  ", last)
