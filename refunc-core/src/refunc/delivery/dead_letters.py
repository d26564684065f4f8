"""
Dead letters: records that an integration refused for good, kept in the run as `delivery/<key>.dead.jsonl`.

A line is sealed like one of the journal: the hook, the error, and the record's fields. `aside` in it means that the
record was only set aside, because it failed as in an outage while others succeeded. A line is removed when its record
was delivered after all; if others follow, about a second later, because the file is replaced as a whole. Only the
holder of the delivery lock writes it.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from refunc.delivery.window import Call
from refunc.journal.codec import MAX_LINE_BYTES, decode_line, encode_line
from refunc.journal.folder import DELIVERY, refuse_link
from refunc.journal.opening import opened
from refunc.outlets.foreign import own_logger
from refunc.outlets.opening import no_links, write_whole
from refunc.outlets.replaced import Draft
from refunc.plugins.hooks import HOOKS

#: The least seconds between two rewrites of the file without delivered letters: each writes all remaining lines.
REMOVE_EVERY = 1.0

own_log = own_logger("refunc.delivery")


class DeadLetters:
    """The dead letters of one run for one integration."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / DELIVERY / f"{key}.dead.jsonl"
        #: The letters that were tried again, each once.
        self.tried: set[bytes] = set()
        #: How many letters of each record are left: a line with metrics may have been refused by two hooks.
        self._left: Counter[tuple[str, int]] = Counter()
        #: The delivered letters that are still in the file, with their counts.
        self._delivered: Counter[bytes] = Counter()
        #: The earliest time of the next rewrite for them, by the monotonic clock.
        self._remove_at = 0.0
        self._is_said = False

    def add(self, call: Call, error: str | None, *, is_aside: bool = False) -> None:
        """Keep the single record of *call*; with *is_aside*, it is retried automatically. Raises OSError."""
        # The end of a run has an `error` of its own, which replaces this one.
        said = {"hook": call.hook, "reason": error, "error": error, **({"aside": True} if is_aside else {})}
        fields = [attrs.asdict(record) for record in call.records] or [{}]
        refuse_link(self.path.parent)
        with open(self.path, "ab", opener=no_links) as file:
            file.writelines(encode_line({**said, **each}) for each in fields)

    def lines(self) -> list[bytes]:
        """Return the lines of the file, damaged ones included; empty if the file cannot be read."""
        found: list[bytes] = []
        try:
            refuse_link(self.path.parent)
            with opened(self.path) as file:
                while line := file.readline(MAX_LINE_BYTES):
                    found.append(line)
        except OSError:
            pass
        return found

    def untried(self, lines: Iterable[bytes], *, aside_only: bool = False) -> list[Call]:
        """Return a call for each readable one of *lines* that was not retried yet, with the line as its `letter`."""
        there = [line for line in lines if line not in self._delivered]
        calls = [(line, call) for line in there if (call := _call_of(line)) is not None]
        self._left = Counter((each.writer, each.seq) for _, call in calls for each in call.records)
        wanted = [each for each in calls if each[0] not in self.tried and not (aside_only and not is_aside(each[0]))]
        return [call for _, call in wanted]

    def has_last_of(self, call: Call) -> bool:
        """Whether *call*, a delivered letter, was the last one of its record. Called once for each letter."""
        for record in call.records:
            self._left[record.writer, record.seq] -= 1
            return self._left[record.writer, record.seq] <= 0
        return False

    def count(self) -> tuple[int, int]:
        """Return the numbers of refused letters and of letters that were set aside."""
        lines = self.lines()
        aside = sum(map(is_aside, lines))
        return len(lines) - aside, aside

    @contextlib.contextmanager
    def delivering(self, line: bytes, *, is_once: bool) -> Iterator[None]:
        """
        Remove *line* from the file when the block has delivered it; it stays if the block raises.

        Args:
            is_once: Remove it before the block, because nothing may be sent twice; else `remove_delivered` does.

        Raises:
            OSError: The file cannot be changed, with *is_once*.
        """
        was_there = is_once and self._remove({line: 1})
        try:
            yield
        except BaseException:
            if was_there:
                self.put_back(line)
            raise
        if not is_once:
            self._delivered[line] += 1

    def remove_delivered(self, *, at_once: bool = True) -> None:
        """
        Remove delivered letters from the file; if that fails, they are remembered, and not delivered again.

        Args:
            at_once: Rewrite the file now, and not only when enough letters were delivered.
        """
        began = time.monotonic()
        if not self._delivered or (not at_once and began < self._remove_at):
            return
        try:
            self._remove(self._delivered)
            self._delivered.clear()
        except OSError as error:
            if not self._is_said:
                own_log.warning("%s: delivered letters could not be removed from it: %s", self.path, error)
            self._is_said = True
        now = time.monotonic()
        self._remove_at = now + max(REMOVE_EVERY, 20 * (now - began))

    def _remove(self, gone: Mapping[bytes, int]) -> bool:
        """
        Remove lines from the file, each as often as counted, and the file if it is empty; return whether any was found.

        A line that another process or a user has removed meanwhile is ignored. Raises OSError.
        """
        left = dict(gone)
        kept: list[bytes] = []
        lines = self.lines()
        for line in lines:
            if left.get(line):
                left[line] -= 1
            else:
                kept.append(line)
        if len(kept) == len(lines):
            return False
        refuse_link(self.path.parent)
        with Draft(
            self.path
        ) as draft:  # even if empty: on a disk that cannot take the file, the letter could not be put back
            write_whole(draft.fd, b"".join(kept))
            if kept:
                draft.put()
            else:
                self.path.unlink()
        return True

    def put_back(self, line: bytes) -> None:
        """Put back *line*, which was removed for a try. Raises OSError."""
        refuse_link(self.path.parent)
        with open(self.path, "ab", opener=no_links) as file:
            file.write(line)


def is_aside(line: bytes) -> bool:
    """Whether the record of *line* was only set aside."""
    return (decode_line(line.removesuffix(b"\n")) or {}).get("aside") is True


def _call_of(line: bytes) -> Call | None:
    fields: dict[str, Any] = decode_line(line.removesuffix(b"\n")) or {}
    hook = fields.pop("hook", None)
    fields.pop("aside", None)
    fields.pop("reason", None)
    # An end has an error of its own, which replaces that of the letter.
    if not isinstance(hook, str) or hook not in HOOKS:
        return None
    kind = HOOKS[hook].record
    try:
        return Call(hook, [] if kind is None else [msgspec.convert(fields, kind)], letter=line)
    except msgspec.ValidationError:
        return None
