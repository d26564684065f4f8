"""Log entries as files that other tools open: JSON, JSON lines, CSV."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from refunc.outlets.replaced import Draft, is_draft_name
from refunc.runs.entry import LogEntry, column_names
from refunc.values.jsonable import spell_nonfinite

FORMATS = ("json", "jsonl", "csv")

#: Columns of every table; the others depend on the run.
_COLUMNS = ("timestamp", "level", "logger_name", "message", "experiment_id", "run_id", "step", "epoch", "artifacts")

# Where a text begins, or a part of one for a spreadsheet that begins cells at semicolons, tabs and line ends too, as a
# formula does (https://owasp.org/www-community/attacks/CSV_Injection): there an apostrophe is put in. Those that are
# there already count, so that taking one away gives the text back. A part that is a number is none.
_FORMULA = re.compile(
    r"""
    \A (?='*[=+\-@＝＋－＠\t\r\n])
    | (?<=[;\t\r\n]) (?P<quotes>"*) (?! [+-]\d+(\.\d+)?(e[+-]?\d+)? (?:[;\t\r\n]|\Z) ) (?='*[=+\-@＝＋－＠])
    """,
    re.VERBOSE | re.IGNORECASE,
)


def check_format(path: str | os.PathLike[str], format: str | None) -> str:
    """
    Return the export format: *format*, or the one that the path's suffix names.

    Raises:
        ValueError: It is not json, jsonl or csv.
    """
    wanted = (format or Path(path).suffix.lstrip(".") or "json").lower()
    if wanted not in FORMATS:
        raise ValueError(f"format: {wanted!r} is not an export format. Allowed: {', '.join(FORMATS)}.")
    return wanted


def export(entries: Callable[[], Iterable[LogEntry]], path: str | os.PathLike[str] | int, format: str) -> int:
    """
    Write the entries to *path*, completely or not at all, and return their number.

    See `whole_file` for *path*.

    Args:
        entries: Called once or twice (a table needs to know its columns first); entries are streamed, not collected.

    Raises:
        OSError: The file cannot be written; an existing file is unchanged.
    """
    with whole_file(path) as file:
        return _WRITERS[format](entries, file)


@contextmanager
def whole_file(path: str | os.PathLike[str] | int, *, binary: bool = False) -> Iterator[IO[Any]]:
    """
    Open *path* for writing, so that it appears completely or not at all.

    A link is followed. Files other than regular ones, such as a pipe, are written to directly, and so is an open file
    that is given by its number, because stdout may be a file with contents.

    Raises:
        OSError: The file cannot be written; an existing file is unchanged. Its `filename` is *path*.
    """
    # backslashreplace: a message may have a lone surrogate, which no encoding has.
    text: dict[str, Any] = {} if binary else {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    kind = "b" if binary else ""
    if isinstance(path, int) or (os.path.exists(path) and not os.path.isfile(path)):
        with open(path, f"w{kind}", closefd=not isinstance(path, int), **text) as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Draft(target) as draft, open(draft.path, f"w{kind}", opener=lambda *_: draft.taken(), **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            draft.put()
    except OSError as error:
        # The error of a full disk names no file, and the draft's name does not help the user.
        if error.errno is not None and (error.filename is None or is_draft_name(os.path.basename(error.filename))):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def _write_json(entries: Callable[[], Iterable[LogEntry]], file: IO[str]) -> int:
    count = 0
    for count, entry in enumerate(entries(), 1):
        file.write("[\n" if count == 1 else ",\n")
        file.write(entry.to_json())
    file.write("\n]\n" if count else "[]\n")
    return count


def _write_jsonl(entries: Callable[[], Iterable[LogEntry]], file: IO[str]) -> int:
    count = 0
    for count, entry in enumerate(entries(), 1):  # noqa: B007  # the number is returned
        file.write(entry.to_json() + "\n")
    return count


def _write_csv(entries: Callable[[], Iterable[LogEntry]], file: IO[str]) -> int:
    columns: dict[str, None] = {}
    count = 0
    for count, entry in enumerate(entries(), 1):  # noqa: B007  # see above
        columns.update(dict.fromkeys(column_names(entry)))
    columns = dict.fromkeys(sorted(columns, key=lambda name: "." in name))  # rank and attempt first
    writer = csv.writer(file)
    writer.writerow([*_COLUMNS, *map(cell, columns)])
    # A live run continues meanwhile: rows whose columns were not counted are not written.
    for entry in islice(entries(), count):
        writer.writerow(_row(entry, columns))
    return count


def _row(entry: LogEntry, columns: Iterable[str]) -> list[Any]:
    row = [cell(getattr(entry, name)) for name in _COLUMNS]
    for column in columns:
        part, dot, key = column.partition(".")
        value = getattr(entry, part)
        row.append(cell(value.get(key) if dot else value))
    return row


def cell(value: Any) -> Any:
    """Return *value* for one cell: numbers unchanged, a list of one name as the name, other lists and dicts as JSON."""
    if isinstance(value, list) and len(value) < 2 and all(isinstance(item, str) for item in value):
        value = "".join(value)
    if isinstance(value, (list, dict)):
        value = json.dumps(spell_nonfinite(value), allow_nan=False)
    return _FORMULA.sub(r"\g<quotes>'", value) if isinstance(value, str) else value


_WRITERS: dict[str, Callable[[Callable[[], Iterable[LogEntry]], IO[str]], int]] = {
    "json": _write_json,
    "jsonl": _write_jsonl,
    "csv": _write_csv,
}
