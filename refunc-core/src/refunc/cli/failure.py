"""How a command says what the user can put right."""

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
