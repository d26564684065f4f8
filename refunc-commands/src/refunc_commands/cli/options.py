"""Options that several commands have, and which need nothing of the reading side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: The key in a context's `meta` for the folder of the run that the command took last; errors are reported for it.
NAMED_RUN: Final = "refunc.run"

#: How several values are asked for.
_SEVERAL: Final = {
    "where": " Join the expressions with `and` or `or`.",
    "experiment": " Write --where \"experiment_name in ('one', 'other')\".",
    "order": " Runs are sorted by one expression.",
    "store": " Name runs of another store by their folders.",
}

_Command = TypeVar("_Command", bound=Callable[..., Any])


def store_option(command: _Command) -> _Command:
    """Give *command* the option `--store`, which is allowed before and after the command's name."""
    given: dict[str, Any] = {"metavar": "PATH", "help": "The folder of runs; see `refunc --help`."}
    once: dict[str, Any] = {"multiple": True, "callback": once_only}
    return click.option("--store", shell_complete=_path("dir"), **once, **given)(command)


def once_only(ctx: click.Context, param: click.Parameter, given: tuple[Any, ...]) -> Any:
    """Return the value of an option; raise click.BadParameter if there are several, of which one would be ignored."""
    if len(given) > 1:
        raise click.BadParameter(f"it is given {len(given)} times.{_SEVERAL.get(str(param.name), '')}")
    return given[0] if given else None


def output_option(help: str, default: str | None = None) -> Callable[[_Command], _Command]:
    """Give a command the option `-o FILE`."""
    given: dict[str, Any] = {"show_default": default is not None, "default": default}
    return click.option("-o", "--output", metavar="FILE", help=help, shell_complete=_path("file"), **given)


def json_option(help: str = "Print one JSON object instead.") -> Callable[[_Command], _Command]:
    """Give a command the option `--json`, passed on as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def plugins_option(command: _Command) -> _Command:
    """Give *command* the option `--plugins-dir`, passed on as `folders`."""
    given: dict[str, Any] = {
        "multiple": True,
        "metavar": "PATH",
        "type": click.Path(exists=True),
        "help": "A plugin file or a folder of them; comes before those of REFUNC_PLUGIN_PATH.",
    }
    return click.option("--plugins-dir", "folders", shell_complete=_path("dir"), **given)(command)


def _path(kind: str) -> Callable[..., list[CompletionItem]]:
    return lambda ctx, param, incomplete: [completion(incomplete, type=kind)]


def completion(word: str, **more: Any) -> CompletionItem:
    """Return *word* for the shell that completes a command line."""
    from click.shell_completion import CompletionItem

    return CompletionItem(word, **more)
