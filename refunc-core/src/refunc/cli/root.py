"""`refunc` itself: its options, its commands, and how a failure becomes one line and exit code 2."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from refunc import __version__
from refunc.cli.finding import store_option
from refunc.cli.importing import import_command
from refunc.cli.logs import logs, tail
from refunc.cli.ls import ls
from refunc.cli.plugins import plugins
from refunc.cli.report import report
from refunc.cli.screen import error_line
from refunc.cli.show import show
from refunc.cli.sync import sync_command
from refunc.runs.run import RunFormatError
from refunc.runs.store import RunNotFoundError


class Failure(click.ClickException):
    """What the user can put right: one line on stderr, no traceback."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the line."""
        error_line(self.message)


class Commands(click.Group):
    """A group whose commands fail in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the line names."""
        with _failures():
            return super().invoke(ctx)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # `refunc ls | head -1`: click ends quietly
    except (RunNotFoundError, RunFormatError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{where}{error.strerror or error}") from error


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  refunc ls -n 10\n  refunc show resnet_v1\n  refunc --store /data/experiments ls --json",
)
@click.version_option(__version__, prog_name="refunc", message="%(prog)s %(version)s")
@store_option
@click.pass_context
def refunc(ctx: click.Context, store: str | None) -> None:
    """
    Read the runs that refunc has written, and deliver them to trackers.

    Runs are looked for in the store: --store, else REFUNC_DIR, else the folder `experiments` here or in the nearest
    folder above.
    """
    ctx.obj = store
    for stream in (sys.stdout, sys.stderr):
        # A name in another alphabet must not end the command on a terminal that lacks it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


refunc.add_command(ls)
refunc.add_command(show)
refunc.add_command(logs)
refunc.add_command(tail)
refunc.add_command(sync_command)
refunc.add_command(import_command)
refunc.add_command(report)
refunc.add_command(plugins)
