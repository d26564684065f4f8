"""
W&B's run folders, `offline-run-…/run-<id>.wandb` and the `files` next to it, read without W&B.

The field numbers are those of wandb_internal.proto. A resumed run has a folder for each session; each becomes a run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from refunc.journal import record as records
from refunc.journal.kinds import COMPLETED, FAILED
from refunc.values.jsonable import MAX_TEXT, number
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.framing import read_wandb
from refunc_commands.importing.problems import Problems, SourceError, reason_of
from refunc_commands.importing.source import SourceRun, file_records, is_moment
from refunc_commands.importing.wire import Message, WireError

TRACKER = "wandb"

# Fields of Record.
_HISTORY, _SUMMARY, _CONFIG, _STATS, _OUTPUT, _RUN, _EXIT, _ENVIRONMENT, _OUTPUT_RAW = 2, 3, 5, 7, 4, 17, 18, 26, 13
_DEFINITION = 12
#: The words of a definition, by the numbers of W&B's goals and of its summary's flags.
_GOALS = {1: "min", 2: "max"}
_SUMMARIES = {6: "none", 1: "min", 2: "max", 3: "mean", 5: "last"}
# Fields of an item of config, history, summary, statistics.
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16
# Fields of a history's item in newer files: its value by type.
_NONE, _BOOLEAN, _INTEGER, _NUMBER, _TEXT, _JSON = 3, 4, 5, 6, 7, 8
#: The keys that W&B adds to history and summary.
_OWN = ("_step", "_runtime", "_timestamp", "_wandb")
#: The most levels of nested names, and the most that nesting may lengthen a record's names, relative to the record.
_MOST_LEVELS, _GROWTH, _LEAST_GROWTH = 100, 20, 1_000
#: The most pieces of a line, before they are joined.
_MOST_PIECES = 1_000
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
    start = _moment(run.message(17)) or path.stat().st_mtime
    results = [(place, item) for place, item in seen.summary.items() if place[0] not in seen.logged]
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
        place=path,
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
            for place, item in _items(record.message(_HISTORY)):
                self.logged.add(place[0])
                if place == ("_timestamp",):
                    self.last = max(self.last, _seconds(_value(item)))
        elif _SUMMARY in record:
            # W&B rewrites the summary with each step: only the final one is parsed.
            for place, item in _items(record.message(_SUMMARY)):
                if place in self.summary or len(self.summary) < _MOST_RESULTS:
                    self.summary[place] = item
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
            yield _values(record.message(_HISTORY))


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
    files: SourceFiles, path: Path, start: float, results: _Items, is_cut: bool, problems: Problems
) -> Iterator[records.Record]:
    last = start
    line = _Line()
    for record in _records(files, path, problems):
        try:
            found = list(_converted(record, last, line))
        except (ValueError, OverflowError, RecursionError) as error:
            problems.add(f"a record is damaged: {reason_of(error)}")
            continue
        for one in found:
            last = max(last, one.time)
            yield one
    yield from line.rest()
    if is_cut:
        problems.add(f"the summary has more than {_MOST_RESULTS:,} values, of which the first were imported")
    try:
        metrics, other = _numbers(_nested(results).items(), sum(item.size for _, item in results))
        if metrics or other:
            yield records.LogLine(level="RESULT", message="summary", metrics=metrics, other=other, time=last)
    except (ValueError, RecursionError) as error:
        problems.add(f"the summary is damaged: {reason_of(error)}")
    yield from file_records(files, path.parent / "files", last, problems)


def _converted(record: Message, last: float, line: _Line) -> Iterator[records.Record]:
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
        values = {f"system/{name}": value for name, value in _values(stats, field=3).items()}
        metrics, other = _numbers(values.items(), stats.size)
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
    metrics, other = _numbers(values.items(), history.size)
    if metrics or other:
        yield records.Metrics(
            metrics=metrics,
            other=other,
            step=step if isinstance(step, int) else None,
            time=_seconds(values.get("_timestamp")) or last,
        )


def _definition(metric: Message, last: float) -> Iterator[records.Define]:
    """Yield the definition of a metric or a pattern, as far as refunc has the same words."""
    name, axis = metric.text(1) or metric.text(2), metric.text(4)
    goal = _GOALS.get(metric.integer(8))
    flags = metric.message(7)
    summary = next((word for flag, word in _SUMMARIES.items() if flags.integer(flag)), None)
    if name and (goal or summary or axis not in ("", *_OWN)):
        axis = "" if axis in _OWN else axis
        yield records.Define(name=name, goal=goal, summary=summary, step_metric=axis or None, time=last)


def _seconds(value: object) -> float:
    return float(value) if is_moment(value) else 0.0  # type: ignore[arg-type]  # a number, as `is_moment` says


def _numbers(values: Iterable[tuple[str, Any]], size: int) -> tuple[dict[str, int | float | None], dict[str, Any]]:
    """
    Return the numbers among *values*, nested ones as `outer.inner`, and all other values; without W&B's own keys.

    Args:
        size: The length of the source record: values whose flat names would be many times longer stay nested.
    """
    metrics: dict[str, int | float | None] = {}
    other: dict[str, Any] = {}
    spare = _LEAST_GROWTH + _GROWTH * size
    waiting = [(name, value) for name, value in values if name not in _OWN][::-1]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict) and value and "_type" not in value and (len(name) + 1) * len(value) <= spare:
            spare -= (len(name) + 1) * len(value)
            waiting.extend((f"{name}.{inner}", item) for inner, item in reversed(value.items()))
        elif isinstance(value, (int, float)) and (plain := number(value)) is not None:
            metrics[name] = plain
        else:
            other[name] = value
    return metrics, other


#: The path of a value, and the value.
_Items = Iterable[tuple[tuple[str, ...], Message]]


def _items(message: Message, field: int = 1) -> _Items:
    """Yield the updated items of config, history, summary or statistics."""
    for item in message.messages(field):
        yield tuple(item.texts(_NESTED_KEY) or [item.text(_KEY)]), item


def _values(message: Message, *, field: int = 1) -> dict[str, Any]:
    """Return the values of the items, nested as they were given."""
    return _nested(_items(message, field))


def _nested(items: _Items) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for (*outer, last), item in items:
        if len(outer) > _MOST_LEVELS:
            raise ValueError("it is nested too deeply")
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
    """Return a google.protobuf.Timestamp in seconds; 0 if it is missing."""
    return timestamp.integer(1) + timestamp.integer(2) / 1e9


class _Line:
    """Joins pieces of a program's output into lines."""

    def __init__(self) -> None:
        self._begun: dict[str, list[str]] = {}
        self._times: dict[str, float] = {}

    def lines(self, output: Message, last: float) -> Iterator[records.LogLine]:
        """Yield the lines that *output* completes."""
        stream = "stdout" if output.integer(1) else "stderr"
        moment = _seconds(_moment(output.message(2))) or last
        begun = self._begun.setdefault(stream, [])
        *whole, rest = output.text(3).split("\n")
        for text in whole:
            yield self._line(stream, "".join([*begun, text]), moment)
            begun.clear()
        begun.append(rest)
        self._times[stream] = moment
        # A bar redraws its line for hours without ending it: only its last state is kept, as in the final line.
        if "\r" in rest or len(begun) > _MOST_PIECES:
            text = "".join(begun)
            begun[:] = [f"{_last_state(text)[: MAX_TEXT + 1]}{chr(13) * text.endswith(chr(13))}"]

    def rest(self) -> Iterator[records.LogLine]:
        """Yield the lines that were not completed."""
        for stream, begun in self._begun.items():
            if text := "".join(begun):
                yield self._line(stream, text, self._times[stream])

    def _line(self, stream: str, text: str, moment: float) -> records.LogLine:
        return records.LogLine(level="INFO", message=_last_state(text), logger=stream, time=moment)


def _last_state(text: str) -> str:
    """Return the last state of a progress bar that redraws its line."""
    return text.rstrip("\r").rpartition("\r")[2]
