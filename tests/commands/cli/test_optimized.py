"""The command line where Python runs without docstrings and asserts."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("click")

#: Prints the help of each command, and of those that it has.
_HELP = """
import click
from refunc_commands.cli.root import refunc

def show(command, context):
    print(command.get_help(context))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            show(inner, click.Context(inner, context, name))

show(refunc, click.Context(refunc, None, "refunc"))
"""


@pytest.mark.once
def test_help_is_the_same_without_docstrings() -> None:
    plain, optimized = (
        subprocess.run([sys.executable, *flags, "-c", _HELP], capture_output=True, text=True, check=True).stdout
        for flags in ([], ["-OO"])
    )

    assert "Check versions, environment" in plain
    assert optimized == plain
