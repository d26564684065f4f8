"""`refunc ui`: the page, on a server that runs until Ctrl-C."""

from __future__ import annotations

import os
import sys

import click

from refunc_commands.cli.failure import Failure, Number
from refunc_commands.cli.finding import the_store
from refunc_commands.cli.options import store_option
from refunc_commands.cli.streams import error_line
from refunc_ui.serving import FIRST_PORT, Place, PortTakenError, Server, place

_EXAMPLES = """\b
Examples:
  refunc ui
  refunc ui --port 9000 --no-open
  refunc --store /data/experiments ui"""


@click.command(short_help="Show the runs in the browser, live.", epilog=_EXAMPLES)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="NAME", help="The address to listen on.")
@click.option(
    "--port", type=Number(0, 65_535), metavar="N", help=f"The port; by default the first free one from {FIRST_PORT}."
)
@click.option("--token", metavar="TEXT", help="The token in the address; by default a random one.")
@click.option("--no-open", is_flag=True, help="Do not open the browser.")
@store_option
@click.pass_context
def ui(ctx: click.Context, host: str, port: int | None, token: str | None, no_open: bool, store: str | None) -> None:
    """
    Show the runs of the store in the browser, and update them while they run, until Ctrl-C.

    The address that is printed has a token: who knows it can read the runs. On a desktop the browser opens it.
    """
    found = the_store(ctx, store)
    try:
        where = place(host, port, token)
    except PortTakenError as error:
        raise Failure(f"{error.strerror}.") from error
    except OSError as error:
        raise Failure(f"cannot listen on {host}: {error.strerror or error}.") from error
    Server(found, where, lambda: _tell(where, is_opened=not no_open and _has_desktop())).serve_here()


def _tell(where: Place, *, is_opened: bool) -> None:
    """Print the address, and what else there is to say about it."""
    if where.is_moved:
        error_line(f"port {FIRST_PORT} is taken; the page is at {where.port}.")
    if hint := _hint_for_ssh(where):
        error_line(hint)
    click.echo(where.address)
    sys.stdout.flush()
    if is_opened:
        click.launch(where.address)


def _is_over_ssh() -> bool:
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))


def _hint_for_ssh(where: Place) -> str | None:
    """Return how to reach the page from the machine that this one was reached from; None if it is the same."""
    if not _is_over_ssh() or where.host not in ("127.0.0.1", "localhost", "::1"):
        return None
    import socket

    return f"on your own machine: ssh -L {where.port}:localhost:{where.port} {socket.gethostname()}"


def _has_desktop() -> bool:
    """Whether a browser that is opened can be seen."""
    if _is_over_ssh() or not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
