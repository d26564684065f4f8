"""
How far delivery of one run to one integration is: `delivery/<key>.json` in the run's folder.

The file lags behind the backend and never leads it, but for `at-most-once`, where it leads. It is replaced as a whole;
lost or damaged, delivery begins anew, and `(writer, seq)` tells a backend what it has.
"""

from __future__ import annotations

import contextlib
import os
import time
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import msgspec

from refunc.journal.codec import MAX_LINE_BYTES, decode_line, encode_line, has_too_many_values
from refunc.journal.file import lock, no_links
from refunc.journal.folder import DELIVERY, refuse_link
from refunc.journal.names import new_id
from refunc.journal.secrets import without_secrets
from refunc.journal.tail import Position, Tail
from refunc.journal.values import text
from refunc.plugins.errors import ConfigurationError, DeliveryError
from refunc.plugins.integration import Health

#: In format 1 a position had the next number and the holes before it, where it now has ranges of the numbers met.
FORMAT = 2


@attrs.define(eq=False)
class Cursor:
    """A cursor in memory. `path` is None where none is to be kept."""

    folder: Path
    key: str
    name: str
    positions: dict[str, Position] = attrs.Factory(dict)
    params: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    started: bool = False
    ended: bool = False
    #: The fields of an end record that was read and is not delivered yet.
    end: dict[str, Any] | None = None
    dropped: int = 0
    delivered: int = 0
    dead: int = 0
    state: str = "ok"
    last_error: str | None = None

    @property
    def path(self) -> Path:
        """Where it lies."""
        return cursor_path(self.folder, self.key)

    @classmethod
    def load(cls, folder: Path, key: str, name: str) -> Cursor:
        """Return the saved cursor, or a new one where there is none that can be read."""
        try:
            # Sealed like a line of the journal: a wrong number would leave records out for ever.
            with open(cursor_path(folder, key), "rb") as file:
                saved = decode_line(file.readline(MAX_LINE_BYTES).removesuffix(b"\n"))
            if saved is None or (written := saved.pop("format")) not in (1, FORMAT):
                raise ValueError
            of = _position_1 if written == 1 else _position
            positions = {writer: of(*values) for writer, values in saved.pop("positions").items()}
            return msgspec.convert({**saved, "folder": folder, "key": key, "name": name, "positions": positions}, cls)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, msgspec.ValidationError):
            return cls(folder, key, name)

    def save(self, *, sync: bool = False) -> None:
        """
        Replace the saved cursor by this one.

        Args:
            sync: Force it to disk before returning.

        Raises:
            OSError: The disk refuses; delivery may go on, and may deliver again.
        """
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(Cursor) if field.name != "folder"}
        fields["positions"] = {
            writer: [each.segment, each.offset, each.logger, *chain.from_iterable(each.met)]
            for writer, each in self.positions.items()
        }
        fields.update(format=FORMAT, saved=time.time())
        line = encode_line(fields)
        if len(line) > MAX_LINE_BYTES or has_too_many_values(line):  # unread, it would mean to begin anew
            line = encode_line({**fields, "params": {}, "tags": {}})
        draft = self.path.with_name(f".{self.path.name}.{new_id(6)}")
        self.path.parent.mkdir(exist_ok=True)
        refuse_link(self.path.parent)
        try:
            with open(draft, "xb") as file:
                file.write(line)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(draft, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise

    def note(self, error: BaseException | str) -> None:
        """Keep the last thing that went wrong, on one line."""
        said = str(error)
        is_readable = isinstance(error, (str, DeliveryError, ConfigurationError)) and said
        if not is_readable:
            said = f"{type(error).__name__}: {said}" if said else type(error).__name__
        self.last_error = text(without_secrets(" ".join(said.split())), 500)

    def health(self) -> Health:
        """Return how far delivery is; counts the lines that wait."""
        waiting = Tail(self.folder, self.positions).waiting()
        if self.end is not None and not self.ended:
            waiting += 1
        return Health(self.name, self.state, self.delivered, waiting, self.dead, self.last_error)

    @property
    def is_done(self) -> bool:
        """Whether the run's end is delivered, and nothing was written behind it."""
        return self.ended and Tail(self.folder, self.positions).waiting() == 0


def _position(segment: Any, offset: Any, logger: Any, *bounds: Any) -> dict[str, Any]:
    """Return the fields of a position as it is saved, whatever they are."""
    met = list(zip(bounds[::2], bounds[1::2], strict=True))
    return {"segment": segment, "offset": offset, "logger": logger, "met": met}


def _position_1(segment: Any, offset: Any, following: int, holes: list[int], logger: Any) -> dict[str, Any]:
    """Return the same of one as format 1 has it: all before *following* was read but the *holes*."""
    begins = [0, *(hole + 1 for hole in holes)]
    ends = [*holes, following]
    met = [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]
    return {"segment": segment, "offset": offset, "logger": logger, "met": met}


def cursor_path(folder: Path, key: str) -> Path:
    """Return where the cursor of the integration *key* lies in the run *folder*."""
    return folder / DELIVERY / f"{key}.json"


class DeliveryLock:
    """Held by the one process that delivers a run to an integration; the kernel gives it up with the process."""

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / DELIVERY / f"{key}.lock"
        self._fd = -1

    @property
    def is_held(self) -> bool:
        """Whether this object has taken it."""
        return self._fd >= 0

    def take(self) -> bool:
        """Take the lock; False where another process has it. Raises OSError where it cannot be made."""
        if self.is_held:
            return True
        self._path.parent.mkdir(exist_ok=True)
        refuse_link(self._path.parent)
        fd = no_links(self._path, os.O_RDWR | os.O_CREAT)
        if lock(fd):
            self._fd = fd
            return True
        os.close(fd)
        return False

    def release(self) -> None:
        """Give it up; once is enough."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
