"""
The command line `refunc`: the entry point.

No module that a training script imports imports this package.

    annotating   `refunc tag`, `refunc note` and `refunc rename`
    choosing     options that choose runs, alike in all commands
    chosen       the runs that they choose
    columns      values that were asked for, as columns of a table
    compare      `refunc compare`
    completions  names that a word on the command line may become
    confirming   asking before files are removed
    docstrings   the help of commands under `python -OO`
    doctor       `refunc doctor`
    export       `refunc export`
    failure      mistakes of a user, and their exit codes
    finding      the store and the runs that a command line names
    folding      `refunc gc --fold`
    gc           `refunc gc`
    grouped      runs in groups, as tables
    grouping     options of commands that put runs in groups
    importing    `refunc import`
    line_choice  the log lines of a run that a command line selects
    lines        log entries as lines
    live_line    a status line at the bottom of the terminal
    losses       lost parts of a journal as sentences
    logs         `refunc logs` and `refunc tail`
    ls           `refunc ls`
    merge        `refunc merge`
    moments      times and ages on the command line
    new_plugin   `refunc plugins new`
    next_step    advice for each problem that `refunc sync` reports
    options      options of several commands
    plot         `refunc plot`
    plugins      `refunc plugins`
    ranks        the ranks and attempts of a run as lines
    removing     `refunc rm` and `refunc restore`
    report       `refunc report`
    root         `refunc` itself, and loading its commands
    screen       printing: tables, colours, JSON
    shells       what a shell asks to complete
    show         `refunc show`
    space        the space of a store, and the runs that `refunc gc` removes, as lines and JSON
    streams      the standard streams: safe text, one line on stderr
    sync         `refunc sync`
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

#: Objects after which the collector looks for circles. A command makes many that stay until its end, modules first.
_MANY: Final = 50_000


def main() -> None:
    """Run the command line and exit: 0; 1 or 2 with one line on stderr, see `cli.root`; 130 after Ctrl-C."""
    try:
        gc.set_threshold(_MANY)
        _open_closed_streams()
        from refunc_commands.cli.root import refunc

        if "_REFUNC_COMPLETE" in os.environ:
            from refunc_commands.cli.shells import mend_completion

            mend_completion()
        refunc(prog_name="refunc")
    except KeyboardInterrupt:  # while modules are loaded; later the command handles it
        sys.exit(130)
    finally:
        _discard_unwritten_output()


def _open_closed_streams() -> None:
    """Open the null device for each standard stream that `>&-` closed: else the next opened file gets its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode))


def _discard_unwritten_output() -> None:
    """Drop output that stdout refused: the error was printed, and Python would add two lines and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
