"""refunc's own warnings about runs, on the stdlib logger `refunc.runs`, each given once."""

from __future__ import annotations

from collections import Counter

from refunc.outlets.foreign import own_logger

own_log = own_logger("refunc.runs")

#: Warnings of one kind in a process: a kind may have as many keys as a script has names.
MAX_SAID = 1_000

_said: set[str] = set()
_said_of_kind: Counter[str] = Counter()


def warn_once(key: str, message: str, *args: object) -> None:
    """Warn once per process for each *key*, and at most 1,000 times for all keys with the same first word."""
    kind = key.partition(" ")[0]
    if key in _said or _said_of_kind[kind] >= MAX_SAID:
        return
    _said.add(key)
    _said_of_kind[kind] += 1
    own_log.warning(message, *args)
    if _said_of_kind[kind] == MAX_SAID:
        own_log.warning("%s: %d warnings of this kind were given; further ones are not.", kind, MAX_SAID)


#: Lines to show on the console with the next run that is announced there.
_news: list[str] = []


def tell_with_next_run(line: str) -> None:
    """Show *line* at the start of the next run, or when the next integration is attached to a run."""
    if line not in _news:
        _news.append(line)


def news() -> list[str]:
    """Return the lines that wait for a run. Each is returned once."""
    lines = _news[:]
    _news.clear()
    return lines
