"""
Fitting a source's records into a journal: valid values, in records of bounded size, and in a bounded amount.

Readers return the contents of the files as they are. Here invalid times are replaced, names and texts are cut to the
same lengths as by a logger, and a record of very many values is split. A run that grows far beyond its files is left
out: a heading that is repeated for each of a million short rows makes a terabyte of some megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import attrs

from refunc.journal import record as records
from refunc.values.jsonable import INT64_MAX, jsonable, number
from refunc.values.texts import MAX_TEXT, text_of
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import Problems, SourceError
from refunc_commands.importing.source import SourceRun, is_moment

Value = TypeVar("Value")

#: Values of one record: a line of the journal takes some more.
_MOST_VALUES = 10_000
#: The most characters of a run's names and texts for each byte of its files, and the amount that any run may have.
GROWTH, LEAST = 64, 256 << 10


class Admission:
    """The records of one run, fitted for the journal. `weight` counts the characters of names and texts so far."""

    def __init__(self, run: SourceRun, problems: Problems) -> None:
        self._run = run
        self._files: SourceFiles = run.files
        self._begin = run.files.taken
        self._problems = problems
        self.weight = 0

    def admitted(self, record: records.Record) -> Iterator[records.Record]:
        """
        Yield *record* as one or several.

        Raises:
            SourceError: The run is many times larger than its files.
        """
        if not is_moment(record.time):
            self._problems.add("a record's time is not valid, and was replaced by the run's start")
            record = attrs.evolve(record, time=self._run.start_time)
        match record:
            case records.Metrics():
                yield from self._metrics(record)
            case records.LogLine():
                self.weight += min(len(record.message), MAX_TEXT)
                yield self._line(record)
            case records.Params():
                yield attrs.evolve(record, params=jsonable(record.params))
            case records.Tags():
                for tags in _parts({text_of(name): self._text(value) for name, value in record.tags.items()}):
                    yield attrs.evolve(record, tags=tags)
            case _:
                yield record
        taken = self._files.taken - self._begin
        if self.weight > LEAST + GROWTH * taken:
            raise SourceError(f"it would be more than {GROWTH} times larger than the {taken:,} bytes that were read")

    def _metrics(self, record: records.Metrics) -> Iterator[records.Metrics]:
        if _is_plain(record):  # nearly all of millions of records are
            self.weight += sum(map(len, record.metrics))
            yield record
            return
        metrics, other = self._numbers(record.metrics, record.other)
        step, epoch = number(record.step), number(record.epoch)
        if len(metrics) + len(other) <= _MOST_VALUES:
            yield attrs.evolve(record, metrics=metrics, other=other, step=step, epoch=epoch)
            return
        for part in _parts(metrics):
            yield attrs.evolve(record, metrics=part, other={}, step=step, epoch=epoch)
        for rest in _parts(other):
            yield attrs.evolve(record, metrics={}, other=rest, step=step, epoch=epoch)

    def _line(self, record: records.LogLine) -> records.LogLine:
        metrics, other = self._numbers(record.metrics, record.other)
        return attrs.evolve(
            record,
            message=self._text(record.message),
            step=number(record.step),
            metrics=metrics,
            other=other,
            extra=jsonable(record.extra) if record.extra else record.extra,
        )

    def _numbers(
        self, values: Mapping[str, Any], more: Mapping[str, Any]
    ) -> tuple[dict[str, int | float | None], dict[str, Any]]:
        metrics: dict[str, int | float | None] = {}
        other: dict[str, Any] = {}
        for name, value in values.items():
            plain = number(value)
            if plain is None:
                other[self._name(name)] = None if value is None else text_of(value)
            else:
                metrics[self._name(name)] = plain
        for name, value in more.items():
            plain = other[self._name(name)] = jsonable(value)
            self.weight += len(plain) if isinstance(plain, (str, list, dict)) else 0
        return metrics, other

    def _name(self, name: object) -> str:
        plain = name if type(name) is str and len(name) <= MAX_TEXT else text_of(name)
        self.weight += len(plain)
        return plain

    def _text(self, value: object) -> str:
        plain = text_of(value)
        if len(plain) > MAX_TEXT:
            self._problems.add(f"a text was cut to {MAX_TEXT:,} characters")
        return plain


def _is_plain(record: records.Metrics) -> bool:
    """Whether *record* can be written to a journal unchanged."""
    metrics = record.metrics
    return (
        not record.other
        and len(metrics) <= _MOST_VALUES
        and all(type(value) is float for value in metrics.values())
        and all(type(name) is str and len(name) <= MAX_TEXT for name in metrics)
        and all(
            number is None or (type(number) is int and abs(number) <= INT64_MAX)
            for number in (record.step, record.epoch)
        )
    )


def _parts(values: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """Yield *values* in parts, one per record."""
    items = iter(values.items())
    while part := dict(islice(items, _MOST_VALUES)):
        yield part
