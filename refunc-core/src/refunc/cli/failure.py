"""How a command says what the user can put right: in one line, whatever is wrong."""

from __future__ import annotations

from typing import Any

import click

from refunc.cli.screen import error_line


class Failure(click.ClickException):
    """What the user can put right: one line on stderr, no traceback."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the line."""
        error_line(self.message)


class Fault(Failure):
    """What the command line is innocent of, such as a full disk: one line on stderr, no traceback."""

    exit_code = 1


class Number(click.IntRange):
    """A whole number from *least* on; what is none is told what one is."""

    def __init__(self, least: int, most: int | None = None) -> None:
        super().__init__(min=least, max=most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises click.BadParameter."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            bounds = f"from {self.min} on" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"{value!r} is no whole number {bounds}.", param, ctx)


def misused(error: click.UsageError, command: str) -> Failure:
    """
    Return in one line what click says in several: what is wrong, what is allowed, and where there is more.

    Args:
        command: Which command it is, where the error does not know it.
    """
    said = " ".join(error.format_message().split())
    said += "" if said.endswith((".", "?")) else "."
    if isinstance(error, click.NoSuchOption) and error.ctx is not None and not error.possibilities:
        options = [option for each in error.ctx.command.get_params(error.ctx) for option in each.opts]
        said += f" There are {', '.join(option for option in options if option.startswith('-'))}."
    whose = error.ctx.command_path if error.ctx is not None else command
    return Failure(f"{said[:1].lower()}{said[1:]} See `{whose} --help`.")
