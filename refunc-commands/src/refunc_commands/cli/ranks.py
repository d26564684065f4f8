"""The ranks and attempts of a run as lines: few of them, however many ranks there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich.text import Text

from refunc.values.moments import moment_text
from refunc_commands.cli.screen import STATUS_STYLES, number, ranges, table
from refunc_commands.cli.streams import shown

#: The most lines of ranks, and of attempts; beyond that, ranks are told apart by their state alone.
_MOST_LINES: Final = 8
_HEAD: Final = ("", "host", "status", "points", "lines")

_State = dict[str, Any]


def rank_lines(ranks: list[_State], width: int | None, *, each: bool) -> Iterator[Text]:
    """
    Yield a table of *ranks*, as `RankState` has them: a line for those of one host and state.

    Args:
        each: A line for each rank instead.
    """
    if each:
        groups = [[rank] for rank in ranks]
    else:
        groups = _grouped(ranks, ("host", "status"))
        if len(groups) > _MOST_LINES:
            groups = _grouped(ranks, ("status",))
    head = [Text(title, "dim") for title in _HEAD]
    yield from table(head, [_cells(group) for group in groups], width, dispensable=(4, 3, 1))


def attempt_lines(attempts: list[_State]) -> Iterator[Text]:
    """Yield a line for each of *attempts*, as `AttemptState` has them; of many, the first and the last ones."""
    last = attempts[-1]["attempt"]
    rows = attempts if len(attempts) <= _MOST_LINES else [attempts[0], *attempts[1 - _MOST_LINES :]]
    for at, attempt in enumerate(rows):
        if at == 1 and len(rows) < len(attempts):
            yield Text(f"  {len(attempts) - len(rows):,} more; --json has them all", "dim")
        start, step = attempt["start_time"], attempt["step"]
        text = Text.assemble("  ", (f"{attempt['attempt']:>{len(str(last))}}", "dim"))
        text.append(f"  {moment_text(start) if start is not None else '?'}")
        text.append(f"  from step {number(step)}" if step is not None else "")
        yield text


def _grouped(ranks: Iterable[_State], by: tuple[str, ...]) -> list[list[_State]]:
    groups: dict[tuple[Any, ...], list[_State]] = {}
    for rank in ranks:
        groups.setdefault(tuple(rank[name] for name in by), []).append(rank)
    return list(groups.values())


def _cells(group: list[_State]) -> list[Text]:
    hosts = {rank["host"] for rank in group}
    host = shown(next(iter(hosts))) if len(hosts) == 1 else f"{len(hosts):,} hosts"
    status = group[0]["status"]
    return [
        Text(ranges(rank["rank"] for rank in group), "dim"),
        Text(host),
        Text(shown(status), STATUS_STYLES.get(status, "")),
        Text(_counted([rank["points"] for rank in group])),
        Text(_counted([rank["lines"] for rank in group])),
    ]


def _counted(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    if low != high:
        return f"{low:,}-{high:,}"
    return f"{low:,}" + (" each" if len(numbers) > 1 else "")
