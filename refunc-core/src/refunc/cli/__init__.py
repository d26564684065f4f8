"""
The command line `refunc`: the entry point, and what it says where its extra is not installed.

Nothing that a training script imports imports this.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit: 0; 1 or 2 with one line on stderr, see `refunc.cli.root`; 130 after Ctrl-C."""
    try:
        _open_what_is_closed()
        _main()
    except KeyboardInterrupt:  # while modules are loaded; later the command itself sees to it
        sys.exit(130)
    finally:
        _give_up_what_is_refused()


def _main() -> None:
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(_say("the command line needs click and rich. Install the extra `cli` of refunc-core."))
    from refunc.cli.root import refunc

    refunc(prog_name="refunc")


def _open_what_is_closed() -> None:
    """Put the null device where `>&-` closed stdout or stderr: else the next file to be opened gets what is printed."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w"))


def _give_up_what_is_refused() -> None:
    """Drop what stdout has no room for: a line said so, and Python would add two of its own and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _say(message: str) -> int:
    print(f"refunc: {message}", file=sys.stderr)
    return 2
