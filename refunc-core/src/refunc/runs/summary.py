"""The summary of a run: params, tags, results, artifacts, and the main values of each metric."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from refunc.journal import record as records
from refunc.journal.reader import Account
from refunc.runs.room import MAX_METRICS, LeftOut
from refunc.runs.statistics import LAST, MEAN, NONE, STATISTICS
from refunc.values.definitions import Definitions
from refunc.values.goals import MAX, MIN, guessed_goal
from refunc.values.twins import OwnedNames

#: The allowed words of a `define` record; for `step_metric`, any name.
_WORDS: Final[dict[str, frozenset[str] | None]] = {
    "goal": frozenset((MIN, MAX)),
    "summary": frozenset((LAST, MIN, MAX, MEAN, NONE)),
    "step_metric": None,
}


@attrs.frozen(kw_only=True)
class MetricSummary:
    """
    The summary of one metric. `count` and `nans` count its points; `min`, `max` and `mean` ignore NaN.

    A final metric, from the run's end, is the `last` value and may be the lowest or highest, but is not a point:
    `count`, `mean` and `first` ignore it, and its step is None. Missing values are None.

    `goal` is that of `define_metric`; without it, `guessed_goal` is guessed from the metric's name by convention.
    """

    last: int | float | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    first: float | None = None
    last_step: int | float | None = None
    min_step: int | float | None = None
    max_step: int | float | None = None
    first_step: int | float | None = None
    count: int = 0
    nans: int = 0
    goal: str | None = None
    guessed_goal: str | None = None
    step_metric: str | None = None
    summary: str = LAST

    @property
    def best(self) -> float | None:
        """The lowest or highest value, depending on the goal, guessed or not; None without a goal."""
        goal = self.goal or self.guessed_goal
        return getattr(self, goal) if goal else None

    @property
    def best_step(self) -> int | float | None:
        """The step of the best value."""
        goal = self.goal or self.guessed_goal
        return getattr(self, f"{goal}_step") if goal else None

    @property
    def shown(self) -> int | float | None:
        """The value of the metric in a table: the last one, or the one that `define_metric` chose; or None."""
        return None if self.summary == NONE else getattr(self, self.summary)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, without unknown ones."""
        found = {name: getattr(self, name) for name in (*STATISTICS, "goal", "guessed_goal", "step_metric", "summary")}
        return {name: value for name, value in found.items() if value is not None}


def chosen_part(words: Iterable[str]) -> str:
    """
    Return the ending of a metric's name that says which value of each run is shown: `.max`; empty for the last one.

    Runs may differ: ` (last, max)`.

    Args:
        words: The `summary` of the metric in each run that has it.
    """
    parts = sorted(set(words) - {NONE})
    if len(parts) > 1:
        return f" ({', '.join(parts)})"
    return "" if not parts or parts == [LAST] else f".{parts[0]}"


@attrs.frozen(kw_only=True)
class Summary:
    """
    The summary of a run's journal.

    `results` are the logged results; `points` is the number of points of all metrics, as written by `refunc export`,
    `lines` the number of text lines, and `left_out` counts data beyond the bounds of `room`.
    """

    params: dict[str, Any] = attrs.Factory(dict)
    metrics: dict[str, MetricSummary] = attrs.Factory(dict)
    results: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[records.Artifact] = attrs.Factory(list)
    points: int = 0
    lines: int = 0
    last_time: float | None = None
    end: records.RunEnd | None = None
    account: Account = attrs.Factory(Account)
    left_out: LeftOut = attrs.Factory(LeftOut)

    @property
    def last(self) -> dict[str, int | float | None]:
        """The last value of each metric, by its name."""
        return {name: metric.last for name, metric in self.metrics.items()}


class _Defined:
    """Goals, summaries and step metrics, by names and patterns of metrics."""

    def __init__(self) -> None:
        self._words: dict[str, Definitions[str]] = {part: Definitions() for part in _WORDS}
        self.left_out = 0

    def add(self, record: records.Define) -> None:
        """Add the definitions of *record*, unless there are too many."""
        is_used = True
        for part, allowed in _WORDS.items():
            word = getattr(record, part)
            if word is not None and (allowed is None or word in allowed):
                is_used &= self._words[part].add(record.name, word)
        self.left_out += not is_used

    def of(self, name: str) -> dict[str, str]:
        """Return the goal, summary and step metric of the metric *name*, as far as they are defined or guessed."""
        found = {part: defined.of(name) for part, defined in self._words.items()}
        if found["goal"] is None:
            found["guessed_goal"] = guessed_goal(name)
        return {part: word for part, word in found.items() if word is not None}


@attrs.frozen
class Mark:
    """One notable point. `at` is the latest time of its writer's points of this metric until then."""

    at: float
    value: float
    step: int | float | None


@attrs.define
class Statistics:
    """Statistics of one writer's points of a metric; can be continued, and joined with another writer's."""

    count: int = 0
    nans: int = 0
    total: float = 0.0
    first: Mark | None = None
    last: Mark | None = None
    min: Mark | None = None
    max: Mark | None = None

    def joined(self, other: Statistics) -> Statistics:
        """Return the statistics of both writers' points; of equal values the earlier counts, except for the last."""
        return Statistics(
            count=self.count + other.count,
            nans=self.nans + other.nans,
            total=self.total + other.total,
            first=_chosen(self.first, other.first, lambda mark: mark.at),
            last=_chosen(other.last, self.last, lambda mark: -mark.at),
            min=_chosen(self.min, other.min, lambda mark: (mark.value, mark.at)),
            max=_chosen(self.max, other.max, lambda mark: (-mark.value, mark.at)),
        )

    def summary(self, final: int | float | None, words: dict[str, str]) -> MetricSummary:
        """Return the summary, with the final value from the run's end and the *words* of `_Defined`."""
        numbers = self.count - self.nans
        last, low, high = self.last, self.min, self.max
        if final is not None:
            end = Mark(0.0, final, None)
            if last is None or last.value != final:
                last = end
            if final == final:
                low = end if low is None or final < low.value else low
                high = end if high is None or final > high.value else high
        return MetricSummary(
            last=last.value if last else None,
            last_step=last.step if last else None,
            min=low.value if low else None,
            min_step=low.step if low else None,
            max=high.value if high else None,
            max_step=high.step if high else None,
            first=self.first.value if self.first else None,
            first_step=self.first.step if self.first else None,
            mean=self.total / numbers if numbers else None,
            count=self.count,
            nans=self.nans,
            **words,
        )

    def summary_like(self, known: MetricSummary) -> MetricSummary:
        """Return the summary of other points of the metric that *known* is of."""
        words = {name: word for name in (*_WORDS, "guessed_goal") if (word := getattr(known, name)) is not None}
        return self.summary(None, words)


def _chosen(one: Mark | None, other: Mark | None, key: Any) -> Mark | None:
    marks = [mark for mark in (one, other) if mark is not None]
    return min(marks, key=key) if marks else None


@attrs.define
class _Noted:
    """The facts in the notes of a run, which are taken oldest first: later values count."""

    params: dict[str, Any] = attrs.Factory(dict)
    results: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[records.Artifact] = attrs.Factory(list)
    defined: _Defined = attrs.Factory(_Defined)
    end: records.RunEnd | None = None
    _names: OwnedNames = attrs.field(factory=OwnedNames, init=False)

    def take(self, record: records.Record) -> None:
        match record:
            case records.LogLine():
                for name, value in {**record.metrics, **record.other}.items():
                    # A result of `log_result`, which has no location in the code, has its name; another process may
                    # have used the same name for a value of another result.
                    self.results[self._names.of(record.message, name) if record.at is None else name] = value
            case records.Params():
                self.params.update(record.params)
            case records.Tags():
                self.tags.update(record.tags)
            case records.Artifact():
                self.artifacts.append(record)
            case records.Define():
                self.defined.add(record)
            case records.RunEnd():
                self.end = record
            case _:
                pass


def summed_up(
    notes: Iterable[records.Record],
    statistics: dict[str, Statistics],
    *,
    points: int,
    lines: int,
    last_time: float | None,
    account: Account,
    left_out: LeftOut,
) -> Summary:
    """
    Return the summary of a run.

    Args:
        notes: All records of params, tags, artifacts, results, definitions and the end, oldest first.
    """
    noted = _Noted()
    for record in notes:
        noted.take(record)
    end, defined = noted.end, noted.defined
    final = {name: value for name, value in end.metrics.items() if type(value) in (int, float)} if end else {}
    final, beyond = _bounded(final, statistics)
    metrics = {
        name: statistics.get(name, Statistics()).summary(final.get(name), defined.of(name))
        for name in {**statistics, **final}
    }
    return Summary(
        params=noted.params,
        metrics=metrics,
        results=noted.results,
        tags=noted.tags,
        artifacts=noted.artifacts,
        points=points,
        lines=lines,
        last_time=last_time,
        end=end,
        account=account,
        left_out=left_out + LeftOut(definitions=defined.left_out, values=beyond),
    )


def _bounded(final: dict[str, Any], known: dict[str, Statistics]) -> tuple[dict[str, Any], int]:
    """Return the values of *final* that fit besides the *known* metrics, and the number of those that do not."""
    room = max(0, MAX_METRICS - len(known))
    new = [name for name in final if name not in known]
    beyond = set(new[room:])
    return {name: value for name, value in final.items() if name not in beyond}, len(beyond)
