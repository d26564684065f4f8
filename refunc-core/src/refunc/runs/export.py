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

from refunc.journal.names import new_id
from refunc.journal.values import spell_nonfinite
from refunc.runs.entry import LogEntry, column_names

FORMATS = ("json", "jsonl", "csv")

#: Columns that every table has; the rest depends on what the run logged.
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
        ValueError: It is none of json, jsonl, csv.
    """
    wanted = (format or Path(path).suffix.lstrip(".") or "json").lower()
    if wanted not in FORMATS:
        raise ValueError(f"format: {wanted!r} is not an export format. Allowed: {', '.join(FORMATS)}.")
    return wanted


def export(entries: Callable[[], Iterable[LogEntry]], path: str | os.PathLike[str] | int, format: str) -> int:
    """
    Write the entries to *path*, complete or not at all, and return how many there were.

    See `whole_file` for what *path* may be.

    Args:
        entries: Called once or twice (a table needs to know its columns first); entries are streamed, not collected.

    Raises:
        OSError: The file cannot be written; one that was there before is as it was.
    """
    with whole_file(path) as file:
        return _WRITERS[format](entries, file)


@contextmanager
def whole_file(path: str | os.PathLike[str] | int, *, binary: bool = False) -> Iterator[IO[Any]]:
    """
    Open *path* for writing such that it is there complete or not at all.

    A link is followed. What is no regular file, such as a pipe, is written to directly, and so is an open file that is
    given by its number: stdout may be a file with something in it already.

    Raises:
        OSError: The file cannot be written; one that was there before is as it was. Its `filename` is *path*.
    """
    # backslashreplace: a message may hold a lone surrogate, which is no text in any encoding.
    text: dict[str, Any] = {} if binary else {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    kind = "b" if binary else ""
    if isinstance(path, int) or (os.path.exists(path) and not os.path.isfile(path)):
        with open(path, f"w{kind}", closefd=not isinstance(path, int), **text) as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name[:40]}.{new_id()}.tmp")
    try:
        with open(draft, f"x{kind}", **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except OSError as error:
        # A full disk names no file, and the draft's name tells nobody anything.
        if error.errno is not None and error.filename in (None, os.fspath(draft)):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
    finally:
        draft.unlink(missing_ok=True)


def _write_json(entries: Callable[[], Iterable[LogEntry]], file: IO[str]) -> int:
    count = 0
    for count, entry in enumerate(entries(), 1):
        file.write("[\n" if count == 1 else ",\n")
        file.write(entry.to_json())
    file.write("\n]\n" if count else "[]\n")
    return count


def _write_jsonl(entries: Callable[[], Iterable[LogEntry]], file: IO[str]) -> int:
    count = 0
    for count, entry in enumerate(entries(), 1):  # noqa: B007  # the number is what is returned
        file.write(entry.to_json() + "\n")
    return count


def _write_csv(entries: Callable[[], Iterable[LogEntry]], file: IO[str]) -> int:
    columns: dict[str, None] = {}
    count = 0
    for count, entry in enumerate(entries(), 1):  # noqa: B007  # see above
        columns.update(dict.fromkeys(column_names(entry)))
    writer = csv.writer(file)
    writer.writerow([*_COLUMNS, *map(cell, columns)])
    # A live run goes on meanwhile: no row is written whose columns were not counted.
    for entry in islice(entries(), count):
        writer.writerow(_row(entry, columns))
    return count


def _row(entry: LogEntry, columns: Iterable[str]) -> list[Any]:
    row = [cell(getattr(entry, name)) for name in _COLUMNS]
    for column in columns:
        part, _, key = column.partition(".")
        row.append(cell(getattr(entry, part).get(key)))
    return row


def cell(value: Any) -> Any:
    """Return *value* for one cell: numbers as they are, one name in a list bare, other lists and dicts as JSON."""
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
