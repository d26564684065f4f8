"""
`refunc` itself: its options, its commands, and how a failure becomes one line and an exit code.

A command is loaded when it is used: `refunc ls` pays for nothing that `refunc sync` needs. Other distributions add
commands by entry points of the group `refunc.commands`; one that is broken says so when it is asked for, and does not
keep anybody from the others.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import click

from refunc import __version__
from refunc.cli.failure import Failure, Fault, misused
from refunc.cli.finding import store_option
from refunc.cli.screen import shown, write_what_it_can
from refunc.runs.around import PointNotFoundError
from refunc.runs.expression import ExpressionError
from refunc.runs.packages import PackageNeededError
from refunc.runs.run import RunFormatError, UnknownMetricError
from refunc.runs.store import RunNotFoundError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "refunc.commands"

#: Where each command is.
_COMMANDS: Final = {
    "ls": "refunc.cli.ls:ls",
    "show": "refunc.cli.show:show",
    "compare": "refunc.cli.compare:compare",
    "plot": "refunc.cli.plot:plot",
    "export": "refunc.cli.export:export",
    "logs": "refunc.cli.logs:logs",
    "tail": "refunc.cli.logs:tail",
    "report": "refunc.cli.report:report",
    "import": "refunc.cli.importing:import_command",
    "sync": "refunc.cli.sync:sync_command",
    "plugins": "refunc.cli.plugins:plugins",
    "doctor": "refunc.cli.doctor:doctor",
    "gc": "refunc.cli.gc:gc",
}

#: What the user can put right, and what its text says in one line.
_MISTAKES: Final = (RunNotFoundError, RunFormatError, UnknownMetricError, PointNotFoundError, PackageNeededError)

#: What the system says where another path is to be named; of all else, such as a full disk, the line is innocent.
_WRONG_PATHS: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


class Commands(click.Group):
    """A group whose commands are loaded when they are used, and fail in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names: refunc's own, then those of others."""
        return [*_COMMANDS, *sorted(_of_others())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command; one of somebody else's that cannot be loaded is one that says so."""
        if cmd_name in _COMMANDS:
            module, _, name = _COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        entry = _of_others().get(cmd_name)
        return _loaded(entry) if entry is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with; one that is not there brings those that are."""
        if ctx.resilient_parsing or self.get_command(ctx, args[0]) is not None:
            return super().resolve_command(ctx, args)
        known = self.list_commands(ctx)
        near = get_close_matches(args[0], known)
        hint = f"Did you mean {', '.join(near)}?" if near else f"There are {', '.join(known)}."
        raise click.UsageError(f"no command {args[0]!r}. {hint}", ctx)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Read what stands before the command's name."""
        with _failures(str(info_name)):
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the line names."""
        with _failures(ctx.command_path, ctx):
            return super().invoke(ctx)


def _of_others() -> dict[str, EntryPoint]:
    """Return the commands of other distributions by name; they cannot take the place of refunc's own."""
    # Costs 30 ms to import, and refunc's own commands need it not.
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in _COMMANDS}


def _loaded(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.value} is no click command")
    except (Exception, SystemExit) as error:  # somebody else's module may do anything
        return _broken(entry, error)
    return command


def _broken(entry: EntryPoint, error: BaseException) -> click.Command:
    owner = f" of {entry.dist.name}" if entry.dist is not None else ""
    problem = f"the command {entry.name!r}{owner} cannot be loaded: {type(error).__name__}: {error}"

    def fail() -> None:
        raise Failure(problem)

    return click.Command(
        entry.name,
        callback=fail,
        short_help=shown(f"(broken: {type(error).__name__}: {error})"),
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
    )


@contextmanager
def _failures(command: str, ctx: click.Context | None = None) -> Iterator[None]:
    """Say in one line what goes wrong in *command*, or in the one of its commands that *ctx* has come to."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    except click.Abort:  # Ctrl-C, or Ctrl-D, at a question, in whose line the cursor still is
        click.echo(err=True)
        raise click.exceptions.Exit(130) from None
    except click.UsageError as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # before 8.2 it is no error
            raise
        inner = ctx.invoked_subcommand if ctx is not None else None
        raise misused(error, f"{command} {inner}" if inner else command) from error
    except BrokenPipeError:
        raise  # `refunc ls | head -1`: click ends quietly
    except ExpressionError as error:
        raise Failure(error.problem) from error
    except _MISTAKES as error:
        raise Failure(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        kind = Failure if isinstance(error, _WRONG_PATHS) else Fault
        raise kind(f"{where}{error.strerror or error}") from error


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
        write_what_it_can(stream)
