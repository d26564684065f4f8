"""Asking before files are removed or joined."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from refunc.values.terminal import is_terminal
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.streams import error_line


def confirm(ctx: click.Context, question: str, lines: Iterable[str], *, as_json: bool) -> None:
    """Print *lines* and ask *question* on stderr; end the command unless the answer is yes. Raises Failure."""
    if as_json or not is_terminal(sys.stdin):
        raise Failure("this needs a confirmation, and there is no terminal to ask on. Pass --yes to confirm.")
    for line in lines:
        error_line(line)
    if not click.confirm(question, err=True):
        ctx.exit(0)
