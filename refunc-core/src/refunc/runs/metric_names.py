"""The metrics that are meant by names, and by patterns such as `*/loss`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from refunc.runs.errors import UnknownMetricError
from refunc.values.patterns import Patterns, is_pattern


def metrics_named(wanted: Iterable[str], known: Collection[str], run_name: str | None = None) -> list[str]:
    """
    Return those of the *known* metrics that are *wanted*: by name, or by a pattern with `*`, `?` and `[…]`.

    A metric whose own name has such a letter is found by its name.

    Args:
        run_name: The run that has them; None for several.

    Raises:
        UnknownMetricError: None of them has a name, or fits a pattern.
    """
    found: dict[str, None] = {}
    for name in wanted:
        matching = [name] if name in known else []
        if not matching and is_pattern(name):
            pattern = Patterns([name])
            matching = [each for each in known if pattern.last_match(each) is not None]
        if not matching:
            raise UnknownMetricError(name, run_name, known)
        found.update(dict.fromkeys(matching))
    return list(found)
