"""
W&B's run folders, `offline-run-…/run-<id>.wandb` and the `files` next to it, read without W&B.

The field numbers are those of wandb_internal.proto. A resumed run has a folder for each session; each becomes a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from refunc.journal import record as records
from refunc.journal.kinds import COMPLETED, FAILED
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.framing import read_wandb
from refunc_commands.importing.problems import Problems, SourceError, reason_of
from refunc_commands.importing.source import SourceRun, file_records
from refunc_commands.importing.wandb_output import Output
from refunc_commands.importing.wandb_values import (
    OWN,
    Items,
    items_of,
    moment_of,
    nested,
    numbers_in,
    seconds,
    value_of,
    values_of,
)
from refunc_commands.importing.wire import Message, WireError

TRACKER = "wandb"

# Fields of Record.
_HISTORY, _SUMMARY, _CONFIG, _STATS, _OUTPUT, _RUN, _EXIT, _ENVIRONMENT, _OUTPUT_RAW = 2, 3, 5, 7, 4, 17, 18, 26, 13
_DEFINITION = 12
#: The words of a definition, by the numbers of W&B's goals and of its summary's flags.
_GOALS = {1: "min", 2: "max"}
_SUMMARIES = {6: "none", 1: "min", 2: "max", 3: "mean", 5: "last"}
#: The most results of a summary.
_MOST_RESULTS = 20_000


def find_runs(files: SourceFiles, path: Path, problems: Problems) -> list[Path]:
    """Return the `.wandb` files at *path*: of a file, a run, a folder of runs, or the parent of `wandb`."""
    if path.is_file():
        return [path] if path.suffix == ".wandb" else []
    for pattern in ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb", ".wandb/*run-*/*.wandb"):
        found = []
        for file in sorted(path.glob(pattern)):
            reason = files.refusal(file)
            if file.parent.is_symlink() or file.is_dir():  # `latest-run`
                continue
            if reason is None:
                found.append(file)
            else:
                problems.leave_out(file.relative_to(path).as_posix(), reason)
        if found:
            return found
    return []


def read_run(files: SourceFiles, path: Path) -> SourceRun:
    """
    Return the run in the file *path*.

    Raises:
        SourceError: It is not a `.wandb` file, or does not contain the run's id.
        OSError: It cannot be read.
    """
    seen = _Head()
    for record in _records(files, path, Problems()):
        try:
            seen.add(record)
        except (ValueError, RecursionError):
            continue  # reported when the records are converted
    run, ending = seen.run, seen.ending
    if not run.text(1):
        raise SourceError(f"{path} does not contain the id of its run.")
    start = moment_of(run.message(17)) or path.stat().st_mtime
    results = [(key, item) for key, item in seen.summary.items() if key[0] not in seen.logged]
    return SourceRun(
        tracker=TRACKER,
        id=f"{run.text(1)}/{path.parent.name}",
        experiment=run.text(3) or "uncategorized",
        name=run.text(8) or run.text(1),
        start_time=start,
        end_time=max(start + ending.integer(2), seen.last) if ending is not None else None,
        status=None if ending is None else FAILED if ending.integer(1) else COMPLETED,
        host=run.text(13) or seen.environment.text(12) or None,
        python=seen.environment.text(2).removeprefix("CPython ") or None,
        script=os.path.basename(seen.environment.text(6)) or None,
        path=path,
        files=files,
        records=partial(_contents, files, path, start, results, seen.is_cut),
    )


class _Head:
    """The facts about the run as a whole, from the records of a file."""

    def __init__(self) -> None:
        self.run, self.environment = Message(b""), Message(b"")
        self.ending: Message | None = None
        self.summary: dict[tuple[str, ...], Message] = {}
        self.is_cut = False  # whether the summary has more results than are imported
        self.logged: set[str] = set()
        self.last = 0.0

    def add(self, record: Message) -> None:
        """
        Add *record*.

        Raises:
            ValueError: It is damaged.
            RecursionError: The same.
        """
        if _RUN in record:
            self.run = record.message(_RUN)
        elif _ENVIRONMENT in record:
            self.environment.update(record.message(_ENVIRONMENT))
        elif _EXIT in record:
            self.ending = record.message(_EXIT)
        elif _HISTORY in record:
            for key, item in items_of(record.message(_HISTORY)):
                self.logged.add(key[0])
                if key == ("_timestamp",):
                    self.last = max(self.last, seconds(value_of(item)))
        elif _SUMMARY in record:
            # W&B rewrites the summary with each step: only the final one is parsed.
            for key, item in items_of(record.message(_SUMMARY)):
                if key in self.summary or len(self.summary) < _MOST_RESULTS:
                    self.summary[key] = item
                else:
                    self.is_cut = True


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of history in the file *path*, as far as they can be read.

    Raises:
        SourceError: It is not a file of W&B.
        OSError: It cannot be read.
    """
    for record in _records(SourceFiles(path), path, Problems()):
        if _HISTORY in record:
            yield values_of(record.message(_HISTORY))


def _records(files: SourceFiles, path: Path, problems: Problems) -> Iterator[Message]:
    try:
        for data in read_wandb(files, path, problems.add):
            try:
                yield Message(data)
            except WireError as error:
                problems.add(f"a record is damaged: {error}")
    except ValueError as error:
        raise SourceError(f"{path} is not a file of W&B: {error}.") from error


def _contents(
    files: SourceFiles, path: Path, start: float, results: Items, is_cut: bool, problems: Problems
) -> Iterator[records.Record]:
    last = start
    output = Output()
    for record in _records(files, path, problems):
        try:
            found = list(_converted(record, last, output))
        except (ValueError, OverflowError, RecursionError) as error:
            problems.add(f"a record is damaged: {reason_of(error)}")
            continue
        for one in found:
            last = max(last, one.time)
            yield one
    yield from output.rest()
    if is_cut:
        problems.add(f"the summary has more than {_MOST_RESULTS:,} values, of which the first were imported")
    try:
        metrics, other = numbers_in(nested(results).items(), sum(item.size for _, item in results))
        if metrics or other:
            yield records.LogLine(level="RESULT", message="summary", metrics=metrics, other=other, time=last)
    except (ValueError, RecursionError) as error:
        problems.add(f"the summary is damaged: {reason_of(error)}")
    yield from file_records(files, path.parent / "files", last, problems)


def _converted(record: Message, last: float, output: Output) -> Iterator[records.Record]:
    """Yield *record* converted; a record without a time gets *last*, the newest time before it."""
    if _RUN in record:
        run = record.message(_RUN)
        tags = {name: run.text(field) for name, field in (("group", 6), ("job_type", 7), ("notes", 9), ("sweep", 12))}
        tags = {name: text for name, text in tags.items() if text} | dict.fromkeys(run.texts(10), "")
        if tags:
            yield records.Tags(tags=tags, time=last)
        yield from _params(run.message(4), last)
    elif _CONFIG in record:
        yield from _params(record.message(_CONFIG), last)
    elif _HISTORY in record:
        yield from _history(record.message(_HISTORY), last)
    elif _DEFINITION in record:
        yield from _definition(record.message(_DEFINITION), last)
    elif _STATS in record:
        stats = record.message(_STATS)
        values = {f"system/{name}": value for name, value in values_of(stats, field=3).items()}
        metrics, other = numbers_in(values.items(), stats.size)
        yield records.Metrics(metrics=metrics, other=other, time=moment_of(stats.message(2)) or last)
    else:
        for field in (_OUTPUT, _OUTPUT_RAW):
            if field in record:
                yield from output.lines(record.message(field), last)


def _params(config: Message, last: float) -> Iterator[records.Params]:
    params = {name: value for name, value in values_of(config).items() if name != "_wandb"}
    if params:
        yield records.Params(params=params, time=last)


def _history(history: Message, last: float) -> Iterator[records.Metrics]:
    values = values_of(history)
    step = values.get("_step", history.message(2).integer(1))
    metrics, other = numbers_in(values.items(), history.size)
    if metrics or other:
        yield records.Metrics(
            metrics=metrics,
            other=other,
            step=step if isinstance(step, int) else None,
            time=seconds(values.get("_timestamp")) or last,
        )


def _definition(metric: Message, last: float) -> Iterator[records.Define]:
    """Yield the definition of a metric or a pattern, as far as refunc has the same words."""
    name, axis = metric.text(1) or metric.text(2), metric.text(4)
    goal = _GOALS.get(metric.integer(8))
    flags = metric.message(7)
    summary = next((word for flag, word in _SUMMARIES.items() if flags.integer(flag)), None)
    if name and (goal or summary or axis not in ("", *OWN)):
        axis = "" if axis in OWN else axis
        yield records.Define(name=name, goal=goal, summary=summary, step_metric=axis or None, time=last)
