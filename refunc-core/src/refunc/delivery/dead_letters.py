"""
Dead letters: what an integration refused for good, kept in the run as `delivery/<key>.dead.jsonl`.

A line is sealed like one of the journal: the hook, the error, and the record's fields. A line leaves the file when its
record was delivered after all; the file is replaced as a whole. Only who holds the delivery lock writes it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec

from refunc.delivery.window import Call
from refunc.journal.codec import MAX_LINE_BYTES, decode_line, encode_line
from refunc.journal.file import no_links
from refunc.journal.folder import DELIVERY, refuse_link
from refunc.journal.names import new_id
from refunc.journal.record import Artifact, LogLine, Metrics, Params, Record, RunEnd, Tags

_RECORDS: dict[str, type[Record] | None] = {
    "on_run_start": None,
    "on_hyperparams": Params,
    "on_tags": Tags,
    "on_metrics": Metrics,
    "on_log": LogLine,
    "on_artifact": Artifact,
    "on_run_end": RunEnd,
}


class DeadLetters:
    """The dead letters of one run for one integration."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / DELIVERY / f"{key}.dead.jsonl"
        #: Those that were tried again, each once.
        self.tried: set[bytes] = set()

    def add(self, call: Call, error: str | None) -> None:
        """Keep the record of *call*, which stands alone. Raises OSError."""
        fields = [attrs.asdict(record) for record in call.records] or [{}]
        refuse_link(self.path.parent)
        with open(self.path, "ab", opener=no_links) as file:
            file.writelines(encode_line({"hook": call.hook, "error": error, **each}) for each in fields)

    def lines(self) -> list[bytes]:
        """Return the lines that there are, whole or damaged; none where the file cannot be read."""
        found: list[bytes] = []
        try:
            with open(self.path, "rb", opener=no_links) as file:
                while line := file.readline(MAX_LINE_BYTES):
                    found.append(line)
        except OSError:
            pass
        return found

    def untried(self, lines: Iterable[bytes]) -> list[Call]:
        """Return a call for each of *lines* that can be read and was not tried again, with the line as its `letter`."""
        return [call for line in lines if line not in self.tried and (call := _call_of(line)) is not None]

    @contextlib.contextmanager
    def delivering(self, line: bytes, *, is_once: bool) -> Iterator[None]:
        """
        Take *line* out of the file when the block has delivered it; it stays where the block raises.

        Args:
            is_once: Take it out before the block, where nothing may be sent twice.

        Raises:
            OSError: The file cannot be changed.
        """
        if is_once:
            self.remove(line)
        try:
            yield
        except BaseException:
            if is_once:
                self.put_back(line)
            raise
        if not is_once:
            self.remove(line)

    def remove(self, line: bytes) -> None:
        """Take *line* out of the file, which goes with its last one. Raises OSError."""
        lines = self.lines()
        lines.remove(line)
        refuse_link(self.path.parent)
        draft = self.path.with_name(f".{self.path.name}.{new_id(6)}")
        try:
            draft.write_bytes(b"".join(lines))
            if lines:
                os.replace(draft, self.path)
            else:
                self.path.unlink()
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()

    def put_back(self, line: bytes) -> None:
        """Keep *line* again, which was taken out for a try. Raises OSError."""
        refuse_link(self.path.parent)
        with open(self.path, "ab", opener=no_links) as file:
            file.write(line)


def _call_of(line: bytes) -> Call | None:
    fields: dict[str, Any] = decode_line(line.removesuffix(b"\n")) or {}
    hook = fields.pop("hook", None)
    # An end has an error of its own, which takes the place of what was said about it.
    if not isinstance(hook, str) or hook not in _RECORDS:
        return None
    kind = _RECORDS[hook]
    try:
        return Call(hook, [] if kind is None else [msgspec.convert(fields, kind)], letter=line)
    except msgspec.ValidationError:
        return None
