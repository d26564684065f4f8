"""The processes that wrote a run's records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from refunc.runs.gathered import Content


@attrs.frozen
class Writer:
    """
    One process in one run; `rank` is None without a launch, and `host` the beginning of its name.

    A worker of a rank has that rank. `points` counts its records of metrics, and `last_time` is in seconds since 1970.
    """

    name: str
    rank: int | None
    attempt: int
    host: str
    pid: int | None
    points: int
    lines: int
    last_time: float | None


def writers_of(content: Content) -> list[Writer]:
    """Return the writers of *content*, by attempt and rank."""
    found = []
    for name, writer in content.writers.items():
        role = content.roles[name]
        parts = name.split("-")
        pid = int(parts[-3]) if len(parts) > 3 and parts[-3].isascii() and parts[-3].isdigit() else None
        host = "-".join(parts[:-3]) if pid is not None else name
        found.append(
            Writer(name, role.rank, role.attempt, host, pid, writer.columns.count, writer.lines, writer.last_time)
        )
    return sorted(found, key=lambda each: (each.attempt, each.rank or 0, each.name))
