"""
W&B's run folders, `offline-run-…/run-<id>.wandb` and the `files` beside it: read without W&B.

The numbers of the fields are those of wandb_internal.proto. A resumed run has a folder each time; each is a run here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from refunc.importing.framing import read_wandb
from refunc.importing.source import Problems, SourceError, SourceRun
from refunc.importing.wire import Message, WireError
from refunc.journal import record as records
from refunc.journal.kinds import COMPLETED, FAILED
from refunc.journal.values import number

TRACKER = "wandb"

# Fields of Record.
_HISTORY, _SUMMARY, _CONFIG, _STATS, _OUTPUT, _RUN, _EXIT, _ENVIRONMENT, _OUTPUT_RAW = 2, 3, 5, 7, 4, 17, 18, 26, 13
_DEFINITION = 12
#: What a definition can say, by the numbers of W&B's goals and of the flags of its summary.
_GOALS = {1: "min", 2: "max"}
_SUMMARIES = {6: "none", 1: "min", 2: "max", 3: "mean", 5: "last"}
# Fields of an item of config, history, summary, statistics.
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16
# Fields of a history's item in newer files: its value by type.
_NONE, _BOOLEAN, _INTEGER, _NUMBER, _TEXT, _JSON = 3, 4, 5, 6, 7, 8
#: What W&B adds to history and summary.
_OWN = ("_step", "_runtime", "_timestamp", "_wandb")


def find_runs(path: Path) -> list[Path]:
    """Return the `.wandb` files that *path* means: one, a run's folder, a folder of such, or one with a `wandb`."""
    if path.is_file():
        return [path] if path.suffix == ".wandb" else []
    for pattern in ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb", ".wandb/*run-*/*.wandb"):
        found = sorted(file for file in path.glob(pattern) if file.is_file() and not file.parent.is_symlink())
        if found:
            return found
    return []


def read_run(path: Path) -> SourceRun:
    """
    Return the run in the file *path*.

    Raises:
        SourceError: It is no such file, or does not say which run it is.
        OSError: It cannot be read.
    """
    run, environment, ending = Message(b""), Message(b""), None
    summary: dict[tuple[str, ...], Message] = {}
    logged: set[str] = set()
    last = 0.0
    for record in _records(path, Problems()):
        if _RUN in record:
            run = record.message(_RUN)
        elif _ENVIRONMENT in record:
            environment.update(record.message(_ENVIRONMENT))
        elif _EXIT in record:
            ending = record.message(_EXIT)
        elif _HISTORY in record:
            for place, item in _items(record.message(_HISTORY)):
                logged.add(place[0])
                if place == ("_timestamp",):
                    last = max(last, _seconds(_value(item)))
        elif _SUMMARY in record:
            # W&B writes all of it anew with each step: only what it comes to in the end is looked into.
            summary.update(_items(record.message(_SUMMARY)))
    if not run.text(1):
        raise SourceError(f"{path} does not say which run it is.")
    start = _moment(run.message(17)) or path.stat().st_mtime
    results = [(place, item) for place, item in summary.items() if place[0] not in logged]
    return SourceRun(
        tracker=TRACKER,
        id=f"{run.text(1)}/{path.parent.name}",
        experiment=run.text(3) or "uncategorized",
        name=run.text(8) or run.text(1),
        start_time=start,
        end_time=max(start + ending.integer(2), last) if ending is not None else None,
        status=None if ending is None else FAILED if ending.integer(1) else COMPLETED,
        host=run.text(13) or environment.text(12) or None,
        python=environment.text(2).removeprefix("CPython ") or None,
        script=os.path.basename(environment.text(6)) or None,
        place=path,
        records=lambda problems: _contents(path, start, results, problems),
    )


def _records(path: Path, problems: Problems) -> Iterator[Message]:
    try:
        for data in read_wandb(path, problems.add):
            try:
                yield Message(data)
            except WireError as error:
                problems.add(f"a record is damaged: {error}")
    except ValueError as error:
        raise SourceError(f"{path} is no file of W&B: {error}.") from error


def _contents(path: Path, start: float, results: _Items, problems: Problems) -> Iterator[records.Record]:
    last = start
    line = _Line()
    for record in _records(path, problems):
        try:
            found = list(_converted(record, last, line))
        except (WireError, ValueError, RecursionError) as error:
            problems.add(f"a record is damaged: {error}")
            continue
        for one in found:
            last = max(last, one.time)
            yield one
    yield from line.rest()
    metrics, other = _numbers(_nested(results).items())
    if metrics or other:
        yield records.LogLine(level="RESULT", message="summary", metrics=metrics, other=other, time=last)
    files = path.parent / "files"
    for folder, folders, names in os.walk(files):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            yield records.Artifact(name=file.relative_to(files).as_posix(), source=str(file), time=last)


def _converted(record: Message, last: float, line: _Line) -> Iterator[records.Record]:
    """Yield what *record* stands for; what has no time of its own comes at *last*, the newest before it."""
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
        metrics, other = _numbers((f"system/{name}", value) for name, value in _values(stats, field=3).items())
        yield records.Metrics(metrics=metrics, other=other, time=_moment(stats.message(2)) or last)
    else:
        for field in (_OUTPUT, _OUTPUT_RAW):
            if field in record:
                yield from line.lines(record.message(field), last)


def _params(config: Message, last: float) -> Iterator[records.Params]:
    params = {name: value for name, value in _values(config).items() if name != "_wandb"}
    if params:
        yield records.Params(params=params, time=last)


def _history(history: Message, last: float) -> Iterator[records.Metrics]:
    values = _values(history)
    step = values.get("_step", history.message(2).integer(1))
    metrics, other = _numbers(values.items())
    if metrics or other:
        yield records.Metrics(
            metrics=metrics,
            other=other,
            step=step if isinstance(step, int) else None,
            time=_seconds(values.get("_timestamp")) or last,
        )


def _definition(metric: Message, last: float) -> Iterator[records.Define]:
    """Yield how a metric, or all that a pattern means, is to be read, as far as there is a word for it here."""
    name, axis = metric.text(1) or metric.text(2), metric.text(4)
    goal = _GOALS.get(metric.integer(8))
    flags = metric.message(7)
    summary = next((word for flag, word in _SUMMARIES.items() if flags.integer(flag)), None)
    if name and (goal or summary or axis not in ("", *_OWN)):
        axis = "" if axis in _OWN else axis
        yield records.Define(name=name, goal=goal, summary=summary, step_metric=axis or None, time=last)


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _numbers(values: Iterable[tuple[str, Any]]) -> tuple[dict[str, int | float | None], dict[str, Any]]:
    """Return the numbers among *values*, nested ones as `outer.inner`, and all else; without what is W&B's own."""
    metrics: dict[str, int | float | None] = {}
    other: dict[str, Any] = {}
    waiting = [(name, value) for name, value in values if name not in _OWN][::-1]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict) and value and "_type" not in value:
            waiting.extend((f"{name}.{inner}", item) for inner, item in reversed(value.items()))
        elif isinstance(value, (int, float)) and (plain := number(value)) is not None:
            metrics[name] = plain
        else:
            other[name] = value
    return metrics, other


#: Where a value is, by the names around it; and what stands there.
_Items = Iterable[tuple[tuple[str, ...], Message]]


def _items(message: Message, field: int = 1) -> _Items:
    """Yield the updated items of config, history, summary or statistics."""
    for item in message.messages(field):
        yield tuple(item.texts(_NESTED_KEY) or [item.text(_KEY)]), item


def _values(message: Message, *, field: int = 1) -> dict[str, Any]:
    """Return their values, nested as they were given."""
    return _nested(_items(message, field))


def _nested(items: _Items) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for (*outer, last), item in items:
        place = values
        for name in outer:
            inner = place.setdefault(name, {})
            if not isinstance(inner, dict):
                inner = place[name] = {}
            place = inner
        place[last] = _value(item)
    return values


def _value(item: Message) -> Any:
    if _VALUE_JSON in item or _JSON in item:
        return json.loads(item.text(_VALUE_JSON) or item.text(_JSON))
    if _INTEGER in item:
        return item.zigzag(_INTEGER)
    if _NUMBER in item:
        return item.double(_NUMBER)
    if _BOOLEAN in item:
        return bool(item.integer(_BOOLEAN))
    return item.text(_TEXT) if _TEXT in item else None


def _moment(timestamp: Message) -> float:
    """Return a google.protobuf.Timestamp in seconds; 0 where there is none."""
    return timestamp.integer(1) + timestamp.integer(2) / 1e9


class _Line:
    """Puts what a program printed, in pieces, together into lines."""

    def __init__(self) -> None:
        self._begun: dict[str, str] = {}
        self._times: dict[str, float] = {}

    def lines(self, output: Message, last: float) -> Iterator[records.LogLine]:
        """Yield the lines that *output* finishes."""
        stream = "stdout" if output.integer(1) else "stderr"
        moment = _moment(output.message(2)) or last
        *whole, begun = (self._begun.get(stream, "") + output.text(3)).split("\n")
        for text in whole:
            yield self._line(stream, text, moment)
        self._begun[stream], self._times[stream] = begun, moment

    def rest(self) -> Iterator[records.LogLine]:
        """Yield what was begun and has no end."""
        for stream, text in self._begun.items():
            if text:
                yield self._line(stream, text, self._times[stream])

    def _line(self, stream: str, text: str, moment: float) -> records.LogLine:
        # Of what a progress bar drew over itself, the last state.
        shown = text.rstrip("\r").rpartition("\r")[2]
        return records.LogLine(level="INFO", message=shown, logger=stream, time=moment)
