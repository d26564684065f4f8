"""The options of commands that put runs with equal values in groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from refunc_commands.cli.completions import complete_names

_Command = TypeVar("_Command", bound=Callable[..., Any])

_CENTERS = click.Choice(("mean", "median"))
_SPREADS = click.Choice(("std", "quartiles", "minmax"))


def group_option(help: str) -> Callable[[_Command], _Command]:
    """Give a command the option `--group NAME`, any number of times, passed on as `groups`; a shell completes it."""
    given: dict[str, Any] = {"multiple": True, "metavar": "NAME", "shell_complete": complete_names}
    return click.option("--group", "groups", help=help, **given)


def band_options(command: _Command) -> _Command:
    """Give a command that draws a group as a curve with a band `--group`, `--center` and `--spread`."""
    command = click.option("--spread", type=_SPREADS, default="std", help="The band of a group.")(command)
    command = click.option("--center", type=_CENTERS, default="mean", help="The curve of a group.")(command)
    return group_option("One band for all runs with the same value, such as params.model.")(command)
