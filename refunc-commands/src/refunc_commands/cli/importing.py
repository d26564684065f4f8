"""`refunc import`: import runs of other trackers, and compare the counts on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.runs.store import Store
from refunc.runs.store_folder import find_store
from refunc.values.names import new_id
from refunc.values.paths import absolute, store_path
from refunc.values.quantities import counted
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.screen import print_json, print_lines
from refunc_commands.cli.streams import shown
from refunc_commands.importing.detection import TRACKERS, Found, find, tracker_of
from refunc_commands.importing.problems import Problems, SourceError, attempted
from refunc_commands.importing.source import Counts, SourceRun
from refunc_commands.importing.transfer import Outcome, known_runs, transfer

_EXAMPLES = """\b
Examples:
  refunc import mlflow.db
  refunc import mlruns wandb --dry-run
  refunc import lightning_logs --from tensorboard --json"""


@attrs.define
class _Tally:
    """The progress of the import so far."""

    outcomes: list[Outcome] = attrs.Factory(list)
    known: list[SourceRun] = attrs.Factory(list)
    deleted: int = 0
    failed: list[tuple[SourceRun, str]] = attrs.Factory(list)
    problems: Problems = attrs.Factory(Problems)

    def fail(self, run: SourceRun, reason: str) -> None:
        """Record that *run* was left out."""
        self.failed.append((run, reason))

    @property
    def read(self) -> Counts:
        return sum((outcome.read for outcome in self.outcomes), Counts())

    @property
    def wrote(self) -> Counts:
        return sum((outcome.wrote for outcome in self.outcomes), Counts())

    @property
    def numeric(self) -> dict[str, str]:
        """The names of params that are texts which read as numbers in some run, with one of them."""
        return {name: text for outcome in self.outcomes for name, text in outcome.numeric.items()}

    @property
    def is_whole(self) -> bool:
        return not self.failed and all(outcome.is_whole for outcome in self.outcomes)

    @property
    def left_out(self) -> int:
        """How many runs and files of the source are not in the store."""
        return len(self.failed) + self.problems.left_out + sum(outcome.left_out for outcome in self.outcomes)


@click.command("import", epilog=_EXAMPLES)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--from", "tracker", type=click.Choice(TRACKERS), help="The tracker of SOURCE, if it is ambiguous.")
@click.option("--again", is_flag=True, help="Import runs again that were imported before.")
@click.option("--deleted", is_flag=True, help="Also import runs that were deleted in MLflow.")
@click.option("--dry-run", is_flag=True, help="Only show which runs would be imported.")
@json_option()
@store_option
@click.pass_context
def import_command(
    ctx: click.Context,
    /,
    sources: tuple[Path, ...],
    tracker: str | None,
    again: bool,
    deleted: bool,
    dry_run: bool,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Import runs of MLflow, W&B, TensorBoard or Lightning, and verify by counting that all of it arrived.

    SOURCE is a database file of MLflow or its folder `mlruns`, a folder `wandb` or a run's folder in it, a folder with
    event files of TensorBoard, or one with `metrics.csv` files of Lightning. The source is not changed, and none of
    these packages is needed. Runs that were imported before are left out.

    Exit code 0: everything that was read was written. 1: something was not, or a run or file was left out. Damaged
    parts of a source are reported, and the rest is imported. Links that lead out of the source are not followed.
    """
    target = _target(store or ctx.obj)
    tally = _Tally()
    runs: list[SourceRun] = []
    for found in _found(sources, tracker, tally, deleted=deleted):
        runs += found.runs
        tally.deleted += found.deleted
        tally.problems.take(found.problems)
    known = known_runs(target)
    chosen = [run for run in runs if again or not known.has(run)]
    tally.known = [run for run in runs if not again and known.has(run)]
    if not dry_run:
        _import(chosen, known.ids, target, tally, quiet=as_json)
    if as_json:
        print_json(_fields(tally, chosen, target))
    else:
        print_lines(_lines(tally, chosen, dry_run=dry_run))
    if not (runs or tally.deleted):
        ctx.exit(2)
    if not tally.is_whole or tally.problems.counts or tally.left_out:
        ctx.exit(1)


def _found(sources: tuple[Path, ...], tracker: str | None, tally: _Tally, *, deleted: bool) -> list[Found]:
    """Return the runs of each of *sources*; a damaged source is left out, and an error only if all are damaged."""
    reasons: list[str] = []
    found: list[Found | None] = []
    try:
        trackers = [tracker or tracker_of(path) for path in sources]
        for path in sources:
            path.stat()
    except SourceError as error:
        raise Failure(str(error)) from error
    except FileNotFoundError as error:
        raise Failure(f"{error.filename}: no such file or folder.") from error
    for path, each in zip(sources, trackers, strict=True):
        found.append(attempted(partial(find, path, each, deleted=deleted), reasons.append))
        if found[-1] is None:
            tally.problems.leave_out(path, reasons[-1])
    if len(reasons) == len(sources):
        raise Failure(reasons[0])
    return [each for each in found if each is not None]


def _target(named: str | None) -> Store:
    """Return the store that runs are imported to; unlike for reading, it need not exist."""
    if named is not None:
        return Store(absolute(named))
    try:
        return Store(find_store())
    except FileNotFoundError:
        return Store(store_path())


def _import(
    chosen: list[SourceRun], known: dict[tuple[str, str], str], target: Store, tally: _Tally, *, quiet: bool
) -> None:
    # All ids are made before the first run is written: a child may come before its parent.
    ids = {**known, **{(run.tracker, run.id): new_id() for run in chosen}}
    for run in chosen:
        parent = ids.get((run.tracker, run.parent)) if run.parent is not None else None
        read = partial(transfer, run, target.path, run_id=ids[run.tracker, run.id], parent_id=parent)
        outcome = attempted(read, partial(tally.fail, run))
        if outcome is None:
            continue
        tally.outcomes.append(outcome)
        if not quiet:
            print_lines([_line(outcome)])


def _line(outcome: Outcome) -> Text:
    mark = Text("imported", "green") if outcome.is_whole else Text("differs ", "red")
    counts = outcome.read
    return Text.assemble(
        mark,
        f"  {shown(outcome.run.name or outcome.run.id)}  ",
        (
            f"{counted(counts.points, 'point')}, {counted(counts.params, 'param')}  {shown(outcome.folder.name)}",
            "dim",
        ),
    )


def _lines(tally: _Tally, chosen: list[SourceRun], *, dry_run: bool) -> Iterator[Text]:
    if dry_run:
        for run in chosen:
            yield Text(
                f"would import  {shown(run.name or run.id)}  ({shown(run.experiment)}, {run.tracker} {shown(run.id)})"
            )
    elif tally.outcomes:
        yield Text(f"read   {_sentence(tally.read)}")
        yield Text(f"wrote  {_sentence(tally.wrote)}", "" if tally.is_whole else "red")
    if numeric := tally.numeric:
        name, text = next(iter(numeric.items()))
        said = f"{len(numeric):,} params are texts that read as numbers, such as {name} = {text!r}; they are"
        if len(numeric) == 1:
            said = f"1 param is a text that reads as a number, {name} = {text!r}; it is"
        yield Text(shown(f"{said} kept as written"))
    if tally.known:
        count = len(tally.known)
        yield Text(f"{count:,} run{'s were' if count > 1 else ' was'} imported before; --again imports them again")
    if tally.deleted:
        yield Text(f"{tally.deleted:,} deleted in MLflow, left out; --deleted imports them too")
    if not (chosen or tally.known or tally.deleted):
        yield Text("no runs found")
    yield from _trouble(tally)


def _trouble(tally: _Tally) -> Iterator[Text]:
    """Yield a line for each thing that could not be imported."""
    for run, reason in tally.failed:
        yield Text(f"failed  {shown(run.name or run.id)} was left out: {shown(reason)}", "red")
    for line in tally.problems.lines():
        yield Text(shown(line), "yellow")
    for outcome in tally.outcomes:
        for line in outcome.problems:
            yield Text(f"{shown(outcome.run.name or outcome.run.id)}: {shown(line)}", "yellow")
    if tally.left_out:
        left_out = f"{tally.left_out:,} runs or files were" if tally.left_out > 1 else "1 run or file was"
        yield Text(f"{left_out} left out, as reported above", "red")


def _sentence(counts: Counts) -> str:
    return ", ".join(counted(count, _WORDS.get(name, name[:-1])) for name, count in attrs.asdict(counts).items())


#: The singular of names in `Counts`, where it is not the name without the s.
_WORDS = {"others": "other value"}


def _fields(tally: _Tally, chosen: list[SourceRun], target: Store) -> dict[str, Any]:
    return {
        "store": str(target.path),
        "read": attrs.asdict(tally.read),
        "wrote": attrs.asdict(tally.wrote),
        "is_whole": tally.is_whole,
        "chosen": [{"from": run.tracker, "id": run.id, "name": run.name} for run in chosen],
        "imported": [
            {
                "from": outcome.run.tracker,
                "id": outcome.run.id,
                "run_id": outcome.run_id,
                "run_name": outcome.run.name,
                "folder": str(outcome.folder),
                "read": attrs.asdict(outcome.read),
                "wrote": attrs.asdict(outcome.wrote),
                "problems": outcome.problems,
                "left_out": outcome.left_out,
            }
            for outcome in tally.outcomes
        ],
        "known": [{"from": run.tracker, "id": run.id} for run in tally.known],
        "numeric_texts": tally.numeric,
        "deleted": tally.deleted,
        "failed": [{"from": run.tracker, "id": run.id, "reason": reason} for run, reason in tally.failed],
        "problems": tally.problems.lines(),
        "left_out": tally.left_out,
    }
