"""
`refunc` itself: its options, its commands, and the one line and exit code of a failure.

A command is loaded when it is used: `refunc ls` imports no modules that only `refunc sync` needs. Commands are entry
points of the group `refunc.commands`, refunc's own and those of other distributions. A broken one fails when it is
run, and the others work.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from refunc import __version__
from refunc.runs.errors import NoDescriptorError, RunError
from refunc.runs.unreadable import fault_of
from refunc.values.near import nearest
from refunc_commands.cli.docstrings import with_help
from refunc_commands.cli.failure import Failure, Fault, misused
from refunc_commands.cli.options import NAMED_RUN, completion, store_option
from refunc_commands.cli.streams import replace_unencodable, shown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from click.shell_completion import CompletionItem

GROUP: Final = "refunc.commands"
#: The commands of refunc that are in distributions of their own: each with its distribution and its line in the help.
_APART: Final = {"ui": ("refunc-ui", "Show the runs in the browser, live.")}

#: refunc's own commands, the most used ones first: each with its place among the modules here, and its line in the
#: help, which loads none of them. Others cannot take their names. They are entry points like those of other
#: distributions, but looking for these takes as long as a short command does.
_OWN: Final = {
    "ls": ("ls:ls", "List the runs."),
    "show": ("show:show", "Show one run."),
    "compare": ("compare:compare", "Show runs side by side."),
    "plot": ("plot:plot", "Draw curves in the terminal, or as a picture."),
    "export": ("export:export", "Write the points of runs to a file."),
    "logs": ("logs:logs", "Print the log lines of a run."),
    "tail": ("logs:tail", "Print a run's last lines, and follow it."),
    "report": ("report:report", "Write runs to one HTML file."),
    "tag": ("annotating:tag", "Tag runs, or take tags away."),
    "note": ("annotating:note", "Write a note about a run, or take one away."),
    "rename": ("annotating:rename", "Give a run another name."),
    "rm": ("removing:rm_command", "Hide runs; `refunc gc` removes them later."),
    "restore": ("removing:restore_command", "Take `refunc rm` back."),
    "import": ("importing:import_command", "Import runs of other trackers."),
    "merge": ("merge:merge_command", "Bring the folders of one run together."),
    "sync": ("sync:sync_command", "Deliver undelivered records to trackers."),
    "plugins": ("plugins:plugins", "List the plugins, or create one."),
    "doctor": ("doctor:doctor", "Check the installation and the store."),
    "gc": ("gc:gc", "Show and free the space that runs use."),
}

#: The most characters of the line of another distribution's command.
_LONGEST_LINE: Final = 80

#: System errors that naming another path fixes; others, such as a full disk, are not errors of the command line.
_WRONG_KINDS: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
#: Those of them that have no exception of their own.
_WRONG_PATHS: Final = frozenset((errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP))


class Commands(click.Group):
    """A group whose commands are loaded when they are used, and fail in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names: refunc's own, then those of others."""
        return [*_OWN, *_foreign(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command; one of another distribution that cannot be loaded is replaced by one that reports it."""
        if cmd_name in _OWN:
            module, _, name = _OWN[cmd_name][0].partition(":")
            return with_help(getattr(import_module(f"refunc_commands.cli.{module}"), name))
        entry = _foreign(ctx).get(cmd_name)
        return with_help(_loaded(entry)) if entry is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with its line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._line_of(ctx, name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin with *incomplete*, each with its line, and the options."""
        begun = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [completion(name, help=self._line_of(ctx, name)) for name in begun]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def _line_of(self, ctx: click.Context, name: str) -> str:
        for known in (_OWN, _APART):
            if name in known:
                return known[name][1]
        command = self.get_command(ctx, name)
        return command.get_short_help_str(_LONGEST_LINE) if command is not None else ""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with; the error for an unknown one lists the commands."""
        if args[0] == "help" and not ctx.resilient_parsing:  # as git has it: `refunc help ls`
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
            args = [args[1], "--help"]
        if ctx.resilient_parsing or self.get_command(ctx, args[0]) is not None:
            return super().resolve_command(ctx, args)
        known = self.list_commands(ctx)
        near = nearest(args[0], known, most=3)
        hint = f"Did you mean {', '.join(near)}?" if near else f"Commands: {', '.join(known)}."
        if args[0] in _APART:
            owner, _ = _APART[args[0]]
            hint = f"It is in {owner}, which is not installed (pip install ./{owner}, in a copy of refunc)."
        raise click.UsageError(f"no command {args[0]!r}. {hint}", ctx)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Parse the options before the command's name."""
        with _failures(str(info_name)):
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the command line names."""
        with _failures(ctx.command_path, ctx):
            return super().invoke(ctx)


def _foreign(ctx: click.Context) -> dict[str, EntryPoint]:
    """Return the commands of other distributions by name, sorted."""
    known: dict[str, EntryPoint] | None = ctx.meta.get(GROUP)
    if known is None:
        from importlib.metadata import entry_points

        found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
        known = ctx.meta[GROUP] = {entry.name: entry for entry in found if entry.name not in _OWN}
    return known


def _loaded(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.value} is not a click command")
    except (Exception, SystemExit) as error:  # a foreign module may do anything
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
    """Turn the errors of *command*, or of the subcommand that *ctx* has reached, into one line."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    except click.Abort:  # Ctrl-C or Ctrl-D at a question; the cursor is still on its line
        click.echo(err=True)
        raise click.exceptions.Exit(130) from None
    except click.UsageError as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # not an error before 8.2
            raise
        inner = ctx.invoked_subcommand if ctx is not None else None
        raise misused(error, f"{command} {inner}" if inner else command) from error
    except (BrokenPipeError, click.ClickException, click.exceptions.Exit):
        raise  # `refunc ls | head -1`: click ends quietly
    except RunError as error:
        raise Failure(error.problem) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        kind = Failure if error.errno in _WRONG_PATHS or isinstance(error, _WRONG_KINDS) else Fault
        raise kind(f"{where}{error.strerror or error}") from error
    except NoDescriptorError as error:
        raise Fault(str(error)) from error
    except Exception as error:  # from a run's contents, which may be hostile; without a run it is a bug in refunc
        folder = ctx.meta.get(NAMED_RUN) if ctx is not None else None
        if folder is None:
            raise
        raise Failure(str(fault_of(folder, error))) from error


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
    Read runs that refunc has written, and deliver them to trackers.

    The store of runs is --store, else REFUNC_DIR, else the folder `experiments` here or in the nearest folder above.
    """
    ctx.obj = store
    for stream in (sys.stdout, sys.stderr):
        replace_unencodable(stream)


with_help(refunc)
