"""
The progress of delivering one run to one integration: the data of `delivery/<key>.json` in the run's folder.

`custody` loads and saves it; `waiting` counts the lines after it.
"""

from __future__ import annotations

import time
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import msgspec

from refunc.journal.codec import MAX_LINE_BYTES, decode_line, encode_line, has_too_many_values
from refunc.journal.folder import DELIVERY
from refunc.journal.record import Count
from refunc.journal.tail import Position
from refunc.plugins.errors import ConfigurationError, DeliveryError, HookError
from refunc.plugins.integration import Health
from refunc.values.printable import printable_line
from refunc.values.secrets import without_secrets
from refunc.values.texts import text, text_of

#: In format 1 a position had the next number and the gaps before it; now it has the ranges of the numbers read.
FORMAT = 2


@attrs.define(eq=False)
class Cursor:
    """A cursor in memory: data only. Nothing here reads or writes a file."""

    folder: Path
    key: str
    name: str
    positions: dict[str, Position] = attrs.Factory(dict)
    params: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    started: bool = False
    ended: bool = False
    #: The attempt that it has come to, and the ends of a run of several processes, by writer.
    attempt: Count = 1
    ends: dict[str, dict[str, Any]] = attrs.Factory(dict)
    #: The fields of an end record that was read but is not delivered yet.
    end: dict[str, Any] | None = None
    dropped: Count = 0
    delivered: Count = 0
    dead: Count = 0
    #: Records that were set aside, to be tried again when nothing else is left.
    aside: Count = 0
    #: The digest of the annotations that were delivered.
    said: str = ""
    state: str = "ok"
    last_error: str | None = None

    @property
    def path(self) -> Path:
        """The path of its file."""
        return cursor_path(self.folder, self.key)

    @classmethod
    def from_line(cls, line: bytes, folder: Path, key: str, name: str) -> Cursor:
        """
        Return the cursor saved as *line*.

        Raises:
            ValueError: It is damaged, or of a format that this version does not know.
        """
        try:
            # Sealed like a line of the journal: a wrong number would skip records for good.
            saved = decode_line(line)
            if saved is None or (written := saved.pop("format")) not in (1, FORMAT):
                raise ValueError(f"not a cursor of format 1 or {FORMAT}")
            of = _position_1 if written == 1 else _position
            positions = {writer: of(*values) for writer, values in saved.pop("positions").items()}
            return msgspec.convert({**saved, "folder": folder, "key": key, "name": name, "positions": positions}, cls)
        except (TypeError, KeyError, AttributeError, msgspec.ValidationError) as error:
            raise ValueError(str(error)) from error

    def to_line(self) -> bytes:
        """Return it as a line for `from_line`."""
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(Cursor) if field.name != "folder"}
        fields["positions"] = {
            writer: [each.segment, each.offset, each.logger, *chain.from_iterable(each.met)]
            for writer, each in self.positions.items()
        }
        fields.update(format=FORMAT, saved=time.time())
        line = encode_line(fields)
        if len(line) > MAX_LINE_BYTES or has_too_many_values(
            line
        ):  # if it could not be read, delivery would begin again
            line = encode_line({**fields, "params": {}, "tags": {}})
        return line

    def note(self, error: BaseException | str) -> None:
        """Keep *error* as the last error, on one line, without characters that control a terminal."""
        said = text_of(error)
        is_readable = isinstance(error, (str, DeliveryError, ConfigurationError, HookError)) and said
        if not is_readable:
            said = f"{type(error).__name__}: {said}" if said else type(error).__name__
        self.last_error = text(printable_line(without_secrets(" ".join(said.split()))), 500)

    def health(self, waiting: int) -> Health:
        """Return the progress of delivery, if *waiting* lines of the journal come after the cursor."""
        if self.end is not None and not self.ended:
            waiting += 1
        waiting += self.aside
        return Health(self.name, self.state, self.delivered, waiting, self.dead, self.last_error, self.aside)


def _position(segment: Any, offset: Any, logger: Any, *bounds: Any) -> dict[str, Any]:
    """Return the fields of a saved position, unchecked."""
    met = list(zip(bounds[::2], bounds[1::2], strict=True))
    return {"segment": segment, "offset": offset, "logger": logger, "met": met}


def _position_1(segment: Any, offset: Any, following: int, holes: list[int], logger: Any) -> dict[str, Any]:
    """Return the same for format 1: all numbers before *following* were read except the *holes*."""
    begins = [0, *(hole + 1 for hole in holes)]
    ends = [*holes, following]
    met = [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]
    return {"segment": segment, "offset": offset, "logger": logger, "met": met}


def cursor_path(folder: Path, key: str) -> Path:
    """Return the path of the cursor of the integration *key* in the run *folder*."""
    return folder / DELIVERY / f"{key}.json"
