"""What a run comes to: params, tags, results, artifacts, and of each metric the values that people ask for."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

import attrs

from refunc.journal import record as records
from refunc.journal.reader import Account

#: What `define_metric` may name as standing for a metric; `none` leaves it out of tables.
LAST, MIN, MAX, MEAN, NONE = "last", "min", "max", "mean", "none"
#: What can be asked of a metric, in expressions and as columns.
STATISTICS: Final = (
    *("last", "min", "max", "mean", "first", "best", "count", "nans"),
    *("last_step", "min_step", "max_step", "first_step", "best_step"),
)


@attrs.frozen(kw_only=True)
class MetricSummary:
    """
    What one metric comes to. `count` and `nans` count its points; `min`, `max` and `mean` leave NaN out.

    A final metric, of the run's end, is the `last` value and may be the lowest or highest, but is no point: `count`,
    `mean` and `first` do not see it, and its step is None. A value is None where there is none.
    """

    last: int | float | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    first: float | None = None
    last_step: int | None = None
    min_step: int | None = None
    max_step: int | None = None
    first_step: int | None = None
    count: int = 0
    nans: int = 0
    goal: str | None = None
    step_metric: str | None = None
    summary: str = LAST

    @property
    def best(self) -> float | None:
        """The lowest or highest value, whichever the goal is; None without a goal."""
        return getattr(self, self.goal) if self.goal else None

    @property
    def best_step(self) -> int | None:
        """The step of the best value."""
        return getattr(self, f"{self.goal}_step") if self.goal else None

    @property
    def shown(self) -> int | float | None:
        """The value that stands for the metric in a table: the last one, or what `define_metric` said; or None."""
        return None if self.summary == NONE else getattr(self, self.summary)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, what is not known left out."""
        found = {name: getattr(self, name) for name in (*STATISTICS, "goal", "step_metric", "summary")}
        return {name: value for name, value in found.items() if value is not None}


@attrs.frozen(kw_only=True)
class Summary:
    """
    What a run's journal comes to.

    `results` is what was logged as a result; `points` how many records of metrics there are, `lines` how many of text.
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

    @property
    def last(self) -> dict[str, int | float | None]:
        """The last value of each metric, by its name."""
        return {name: metric.last for name, metric in self.metrics.items()}


@attrs.frozen
class Definitions:
    """What a run's `define` records say, in their order."""

    records: list[records.Define]

    def of(self, name: str) -> dict[str, str]:
        """Return the goal, step metric and summary of the metric *name*, as far as they are defined."""
        words: dict[str, str] = {}
        for record in self.records:
            if record.name == name or fnmatchcase(name, record.name):
                if record.goal in (MIN, MAX):
                    words["goal"] = record.goal
                if record.summary in (LAST, MIN, MAX, MEAN, NONE):
                    words["summary"] = record.summary
                if record.step_metric is not None:
                    words["step_metric"] = record.step_metric
        return words


@attrs.frozen
class Mark:
    """One point that stands out. `at` is the latest time of its writer's points of this metric until then."""

    at: float
    value: float
    step: int | None


@attrs.define
class Statistics:
    """What the points of one metric come to, of one writer: can be continued, and joined with another writer's."""

    count: int = 0
    nans: int = 0
    total: float = 0.0
    first: Mark | None = None
    last: Mark | None = None
    min: Mark | None = None
    max: Mark | None = None

    def joined(self, other: Statistics) -> Statistics:
        """Return what both writers' points come to; of equals the earlier counts, but for the last."""
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
        """Return the summary, with the final value that the run's end gave and what is defined."""
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


def _chosen(one: Mark | None, other: Mark | None, key: Any) -> Mark | None:
    marks = [mark for mark in (one, other) if mark is not None]
    return min(marks, key=key) if marks else None


def summed_up(
    notes: Iterable[records.Record],
    statistics: dict[str, Statistics],
    *,
    points: int,
    lines: int,
    last_time: float | None,
    account: Account,
) -> Summary:
    """
    Return the summary of a run.

    Args:
        notes: All records of params, tags, artifacts, results, definitions and the end, oldest first.
    """
    params: dict[str, Any] = {}
    results: dict[str, Any] = {}
    tags: dict[str, str] = {}
    artifacts: list[records.Artifact] = []
    defined: list[records.Define] = []
    end: records.RunEnd | None = None
    for record in notes:
        match record:
            case records.LogLine():
                results.update({**record.metrics, **record.other})
            case records.Params():
                params.update(record.params)
            case records.Tags():
                tags.update(record.tags)
            case records.Artifact():
                artifacts.append(record)
            case records.Define():
                defined.append(record)
            case records.RunEnd():
                end = record
            case _:
                pass
    final = {name: value for name, value in end.metrics.items() if type(value) in (int, float)} if end else {}
    definitions = Definitions(defined)
    metrics = {
        name: statistics.get(name, Statistics()).summary(final.get(name), definitions.of(name))
        for name in {**statistics, **final}
    }
    return Summary(
        params=params,
        metrics=metrics,
        results=results,
        tags=tags,
        artifacts=artifacts,
        points=points,
        lines=lines,
        last_time=last_time,
        end=end,
        account=account,
    )
