"""
The names that an expression reads, and whether any run has them.

A name that no run has, and a comparison for which no run has a value of the right kind, make a question that nothing
can answer. It would look like an answer: no runs. So both are errors, with the nearest name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from refunc.journal import kinds
from refunc.runs.errors import ExpressionError
from refunc.runs.expression.hints import NAN, in_brackets
from refunc.runs.expression.values import MISSING, ORDERS, are_comparable, number_of
from refunc.runs.statistics import STATISTICS
from refunc.values.near import nearest
from refunc.values.patterns import Patterns
from refunc.values.texts import short_repr

#: The name of a fact, with the names after it: `("metrics", "loss", "min")`.
Path = tuple[str, ...]

#: The names of a run's facts. The first four have values by name.
NAMES: Final = (
    *("params", "metrics", "tags", "results"),
    *("status", "duration", "start_time", "run_id", "run_name", "experiment_id", "experiment_name", "parent_id"),
    *("imported_from", "imported_id", "host", "error", "error_rank"),
)
ROOTS: Final = frozenset(NAMES)
SPACES: Final = frozenset(NAMES[:4])

#: The operator of a name that is a condition by itself, such as `params.amp`.
ALONE: Final = "alone"

#: That of a part of a calculation, such as `params.lr * 2`.
CALCULATED: Final = "calculated"

#: The roots of the value of a metric that a table shows, as in `("shown", "loss")`, and of the word for it, as `max`.
#: Expressions do not have them.
SHOWN: Final = "shown"
CHOSEN: Final = "chosen"

_NOUNS: Final = {"params": "param", "metrics": "metric", "tags": "tag", "results": "result"}
STATUSES: Final = (
    *(kinds.COMPLETED, kinds.FAILED, kinds.RUNNING, kinds.CRASHED, kinds.INTERRUPTED, kinds.PREEMPTED),
    *(kinds.PRUNED, kinds.EXITED, kinds.UNREADABLE),
)
#: The words of other trackers for them.
_ELSEWHERE: Final = {
    **dict.fromkeys(("finished", "success", "succeeded", "done", "ok"), kinds.COMPLETED),
    **dict.fromkeys(("error", "errored", "failure"), kinds.FAILED),
    **dict.fromkeys(("killed", "stopped", "cancelled", "canceled", "aborted"), kinds.INTERRUPTED),
    **dict.fromkeys(("active", "scheduled", "started"), kinds.RUNNING),
}
#: The comparison with nothing; that it is negated makes no difference here.
IS_MISSING: Final = "is missing"
#: The most names that an error lists, and the most that are searched for a similar one.
_MOST_SHOWN: Final = 8
_MOST_SEARCHED: Final = 20_000


@attrs.frozen
class Asked:
    """A name in an expression, and its column."""

    path: Path
    column: int

    @property
    def written(self) -> str:
        """The name as one may write it."""
        return written(self.path)


@attrs.frozen
class Site:
    """A comparison of a name with given values, at a column of the expression."""

    path: Path
    operator: str
    given: tuple[Any, ...]
    column: int
    is_left: bool
    #: Whether a text was given for `in`, without brackets: values are searched for in it.
    is_searched: bool = False

    def fits(self, value: Any) -> bool:
        """Whether *value*, which a run has, can be compared with one of those that were given."""
        if self.operator == IS_MISSING:
            return True
        if self.operator in ("~", "!~"):
            return isinstance(value, str)
        if self.operator in ("in", "not in") and not self.is_left:
            return isinstance(value, (list, tuple, dict)) or (isinstance(value, str) and isinstance(self.given[0], str))
        if self.operator in ORDERS or self.operator == CALCULATED:
            return any(are_comparable(value, each) for each in self.given)
        if self.operator == ALONE:
            return isinstance(value, bool)
        return any(value is None or self._asks_for_any(each) or _are_alike(value, each) for each in self.given)

    def _asks_for_any(self, given: Any) -> bool:
        """Whether each value that is *there* is an answer, as that of `!= None`."""
        return given is None and self.operator in ("!=", "not in")

    @property
    def asks_for_none(self) -> bool:
        """Whether it asks for None and nothing else, as those do who mean runs that do not have a value."""
        return self.given == (None,) and self.operator in ("==", "in")


def written(path: Path) -> str:
    """Return *path* as one writes it in an expression."""
    root, *names = path
    return root + "".join(f".{name}" if name.isidentifier() else f"[{name!r}]" for name in names)


def alike_metrics(asks: Iterable[Asked]) -> dict[Path, Path]:
    """Return the paths of statistics, such as `loss.min`, each with one that has a value if that is also a metric."""
    paths = (each.path for each in asks)
    return {
        path: (CHOSEN, *path[1:]) for path in paths if len(path) > 2 and path[0] == "metrics" and path[-1] in STATISTICS
    }


def refuse_unanswerable(
    text: str,
    asks: Iterable[Asked],
    sites: Iterable[Site],
    runs: Sequence[Mapping[Path, Any]],
    names: Callable[[str], Iterable[str]],
) -> None:
    """
    Raise an error if no run has something that the expression *text* asks for.

    Args:
        runs: The facts of all runs.
        names: Returns the names in one of the SPACES that any run of the store has.

    Raises:
        ExpressionError: It has no answer.
    """
    if not runs:
        return
    for asked in asks:
        space, *parts = asked.path
        if space not in SPACES or any(facts[asked.path] is not MISSING for facts in runs):
            continue
        if ".".join(parts) not in names(space):  # else a run has it that is not asked, such as a removed one
            raise ExpressionError(text, asked.column, _unknown(asked.path, names))
    for site in sites:
        there = [value for facts in runs if (value := facts[site.path]) is not MISSING]
        if site.path == ("status",) and site.operator in ("~", "!~"):
            _check_pattern(text, site, there)
        elif site.path == ("status",) and (site.operator in ("==", "!=") or (site.is_left and "in" in site.operator)):
            _check_status(text, site, there)
        elif site.asks_for_none and None not in there and (there or site.path[0] not in SPACES):
            name = written(site.path)
            problem = f"no run has None as {name}. Write {name} is missing for runs without a value"
            raise ExpressionError(text, site.column, problem)
        elif there and not any(map(site.fits, there)):
            raise ExpressionError(text, site.column, _unfit(site, there[0]))


def _unknown(path: Path, names: Callable[[str], Iterable[str]]) -> str:
    space, *parts = path
    name, noun = ".".join(parts), _NOUNS[space]
    known = list(names(space))
    if space == "metrics" and len(parts) > 1 and (metric := ".".join(parts[:-1])) in known:
        if parts[-1] in STATISTICS:
            return f"no run has a value for {written(path)}: {_why_none(parts[-1])}"
        near = nearest(parts[-1], STATISTICS)
        hint = f"Did you mean {near[0]}? " if near else ""
        return f"the metric {metric!r} has no value {parts[-1]!r}. {hint}It has {', '.join(STATISTICS)}."
    if space == "metrics" and parts[-1] in STATISTICS and len(parts) > 1:
        name = ".".join(parts[:-1])
    for other in ("params", "metrics", "results", "tags"):
        if other != space and name in (known if other == space else names(other)):
            return f"no run has a {noun} {name!r}. There is a {_NOUNS[other]} of this name: {path_text(other, name)}."
    near = nearest_names(name, known)
    if near:
        return f"no run has a {noun} {name!r}. Did you mean {', '.join(path_text(space, each) for each in near)}?"
    shown = ", ".join(sorted(known)[:_MOST_SHOWN])
    more = f" and {len(known) - _MOST_SHOWN:,} more" if len(known) > _MOST_SHOWN else ""
    return f"no run has a {noun} {name!r}. " + (f"Known {noun}s: {shown}{more}." if known else f"No run has {noun}s.")


def _why_none(statistic: str) -> str:
    """Return why a metric that some runs have has no such value in any of them."""
    if statistic in ("best", "best_step"):
        return "define_metric(goal=...) says which value is the best"
    return "its points have no step" if statistic.endswith("_step") else "its points are NaN only"


def nearest_names(name: str, known: Sequence[str], most: int = _MOST_SEARCHED) -> list[str]:
    """
    Return names that are spelled like *name*: in other letters, nested elsewhere, or with other letters.

    Args:
        most: The most names that are compared letter by letter.
    """
    alike = [each for each in known if each.lower() == name.lower()]
    alike += [each for each in known if each.replace("/", ".").endswith(f".{name}")][:3]
    return alike or nearest(name, known[:most], most=3)


def last_ending(metric: str) -> str:
    """Return `.last` if the name of a *metric* ends as that of a statistic does, such as `loss.min`; else nothing."""
    return ".last" if metric.rpartition(".")[2] in STATISTICS else ""


def path_text(space: str, name: str) -> str:
    """Return the name in a space as one writes it: with dots, or in brackets."""
    if all(part.isidentifier() for part in name.split(".")):
        return f"{space}.{name}"
    return in_brackets(space, name) if "." not in name else f"{space}[{name!r}]"


def unknown_status(word: Any, there: Iterable[Any]) -> str | None:
    """Return the sentence that no run can have the status *word*; None if one can. Runs have those that are *there*."""
    known = list(dict.fromkeys((*STATUSES, *map(str, there))))
    if word in known:
        return None
    alike = _ELSEWHERE.get(str(word).lower())
    near = [alike] if alike else nearest(str(word).lower(), known)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
    return f"no run has the status {word!r}. {hint}"


def _check_status(text: str, site: Site, there: Iterable[Any]) -> None:
    for word in site.given:
        if (problem := unknown_status(word, there)) is not None:
            raise ExpressionError(text, site.column, problem)


def _check_pattern(text: str, site: Site, there: Iterable[Any]) -> None:
    known = list(dict.fromkeys((*STATUSES, *map(str, there))))
    patterns = Patterns([site.given[0]])
    if all(patterns.last_match(word) is None for word in known):
        raise ExpressionError(text, site.column, f"no status fits {site.given[0]!r}. Known: {', '.join(known)}.")


def _unfit(site: Site, value: Any) -> str:
    given, name = site.given[0], written(site.path)
    found = f"{name} is {kind_of_value(value)} in every run that has it, such as {short_repr(value, repr)}"
    if site.operator in ("~", "!~"):
        return f"{found}: a pattern fits texts only"
    if site.operator == CALCULATED:
        return f"{found}: a calculation needs numbers"
    if site.operator == ALONE:
        return f"{found}: compare it, or write {name} is not missing for runs that have it"
    if isinstance(value, bool) and isinstance(given, str) and given.lower() in ("true", "false"):
        return f"{found}: write {given.lower().title()} without quotes"
    if _is_nan(given):
        return f"{found}: {NAN}"
    if isinstance(given, bool) and isinstance(value, str):
        return f"{found}: write it in quotes to compare it"
    return f"{found}: it cannot be compared with {kind_of_value(given)}"


def _are_alike(one: Any, other: Any) -> bool:
    """Whether two values may be equal."""
    if type(one) is type(other):
        return True
    return not _is_nan(other) and number_of(one) is not None and number_of(other) is not None


def _is_nan(value: Any) -> bool:
    number = number_of(value)
    return number is not None and number != number


def kind_of_value(value: Any) -> str:
    """Return the kind of a run's value in words."""
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, (int, float)):
        return "a number"
    return {"list": "a list", "dict": "several values", "NoneType": "None"}.get(type(value).__name__, "another value")
