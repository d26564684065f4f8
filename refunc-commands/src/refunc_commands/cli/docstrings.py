"""Command help under `python -OO`, which removes docstrings: it is read from the source files instead."""

from __future__ import annotations

import sys

import click


def with_help(command: click.Command) -> click.Command:
    """Set the help of *command* and its subcommands if Python has dropped their docstrings."""
    if sys.flags.optimize >= 2:
        if command.help is None and command.callback is not None:
            command.help = _docstring_of(command.callback)
        for inner in getattr(command, "commands", {}).values():
            with_help(inner)
    return command


def _docstring_of(function: object) -> str | None:
    import ast
    import inspect
    import textwrap

    try:
        [found] = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body  # type: ignore[arg-type]
    except (OSError, TypeError, ValueError, SyntaxError):  # the source is not available
        return None
    return ast.get_docstring(found) if isinstance(found, ast.FunctionDef) else None
