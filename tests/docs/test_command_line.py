"""The page of the command line has each command with its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from refunc_commands.cli import root

pytestmark = [pytest.mark.once, pytest.mark.extras]
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text("utf-8")


def commands(group: click.Group, names: list[str], before: str = "refunc") -> Iterator[tuple[str, click.Command]]:
    for name in names:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{before} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, list(command.commands), f"{before} {name}")


COMMANDS = dict(commands(root.refunc, list(root._OWN)))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.count(" ") == 1])
def test_each_command_has_a_section(name: str) -> None:
    assert re.search(rf"^## .*`{name}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_there_in_one_of_its_forms(name: str) -> None:
    options = [option for option in COMMANDS[name].params if isinstance(option, click.Option)]
    missing = [
        option.opts
        for option in options
        if not any(re.search(rf"(?<![\w-]){re.escape(form)}(?![\w-])", PAGE) for form in option.opts)
    ]

    assert missing == []
