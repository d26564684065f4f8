"""Errors that the user can fix, reported in one line, and their exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from refunc.values.near import nearest
from refunc_commands.cli.streams import error_line


class Failure(click.ClickException):
    """An error that the user can fix: one line on stderr, no traceback."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the line."""
        error_line(self.message)


class Fault(Failure):
    """An error that the command line did not cause, such as a full disk: one line on stderr, no traceback."""

    exit_code = 1


class Number(click.IntRange):
    """A whole number of at least *least*; for other input the error names the allowed range."""

    def __init__(self, least: int, most: int | None = None) -> None:
        super().__init__(min=least, max=most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises click.BadParameter."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            bounds = f"of {self.min} or more" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"{value!r} is not a whole number {bounds}.", param, ctx)


def misused(error: click.UsageError, command: str) -> Failure:
    """
    Return click's error as one line: the mistake, the allowed values, and the command that shows more help.

    Args:
        command: The command's name, used if the error does not carry one.
    """
    said = " ".join(error.format_message().split())
    said += "" if said.endswith((".", "?")) else "."
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        said = f"no such option {error.option_name!r}. {_hint(error.option_name, error.ctx)}"
        if any(isinstance(each, click.Argument) for each in error.ctx.command.params):
            said += " A name that begins with - comes after --."
    whose = error.ctx.command_path if error.ctx is not None else command
    return Failure(f"{said[:1].lower()}{said[1:]} See `{whose} --help`.")


def _hint(unknown: str, ctx: click.Context) -> str:
    """Return which other commands have an option that the command of *ctx* lacks, or else those that it has."""
    others = [name for name, command in _commands(ctx.find_root()) if unknown in _options_of(command, ctx)]
    if others:
        where = f"Write it after the command, as in `{ctx.command_path} {others[0]} {unknown}`. "
        return where * (ctx.parent is None) + f"It is an option of {', '.join(others)}."
    options = _options_of(ctx.command, ctx)
    by_word = {option.lstrip("-"): option for option in options}
    near = [by_word[word] for word in nearest(unknown.lstrip("-"), by_word, most=3)]
    return f"Did you mean {', '.join(near)}?" if near else f"Options: {', '.join(options)}."


def _commands(root: click.Context) -> Iterator[tuple[str, click.Command]]:
    group = root.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(root):
        if (command := group.get_command(root, name)) is not None:
            yield name, command


def _options_of(command: click.Command, ctx: click.Context) -> list[str]:
    return [option for each in command.get_params(ctx) for option in each.opts if option.startswith("-")]
