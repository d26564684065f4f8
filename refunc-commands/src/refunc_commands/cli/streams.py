"""
The standard streams: text that is safe to print, in any encoding, and one line on stderr.

This is all that `refunc` itself prints, so it needs none of the reading side.
"""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TextIO

import click

from refunc.values.printable import printable_line

#: The name of the error handler for characters that the encoding lacks.
_LACKING = "refunc-plain"
_PLAIN = {"…": "~", "≠": "#", "│": "|", "─": "-", "└": "+", "━": "=", "→": ">"}
_BRAILLE = frozenset(map(chr, range(0x2800, 0x2900)))


def shown(value: object) -> str:
    """Return *value* as text on one line, without characters that control a terminal."""
    return printable_line(str(value)).replace("\t", "\\t")


def replace_unencodable(stream: object) -> None:
    """Make *stream* replace characters that its encoding lacks, so that a name cannot end the command."""
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(_LACKING, _in_other_letters)
        stream.reconfigure(errors=_LACKING)


def _in_other_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return one plain letter for each drawing character, so that columns stay aligned, and escapes for the rest."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if letter in _PLAIN:
        return _PLAIN[letter], error.start + 1
    if letter in _BRAILLE:
        return "*", error.start + 1
    return codecs.backslashreplace_errors(
        UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    )


def error_line(message: str) -> None:
    """Print one line on stderr."""
    click.echo(f"refunc: {shown(message)}", err=True)


def left_out(problems: Sequence[Exception]) -> None:
    """Print on stderr the first run that was left out and why, and how many more there are."""
    if problems:
        more = f", and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        error_line(f"left out: {str(problems[0]).removesuffix('.')}{more}")


def stdout_on_stderr() -> redirect_stdout[TextIO]:
    """Reserve stdout for the command's own output: output of plugins and trackers' clients goes to stderr."""
    return redirect_stdout(sys.stderr)
