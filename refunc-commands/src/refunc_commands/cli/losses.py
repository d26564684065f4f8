"""The parts of a journal that are lost, as sentences: in `refunc show`, and on stderr where a command uses the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from refunc.values.quantities import counted
from refunc_commands.cli.finding import named
from refunc_commands.cli.streams import error_line

if TYPE_CHECKING:
    from refunc.journal.segments import Account
    from refunc.runs.run import Run


def losses(account: Account, *, torn: bool = False) -> Iterator[str]:
    """
    Yield a sentence for each kind of loss.

    Args:
        torn: Whether unfinished lines count: the last line of a live writer is only not finished yet.
    """
    if account.dropped:
        yield f"{counted(account.dropped, 'record was', 'records were')} dropped by the writer: the disk took no more"
    if account.missing:
        yield f"{counted(account.missing, 'record is', 'records are')} missing: no line has the number"
    if account.damaged:
        were = counted(account.damaged, "line or file is", "lines or files are")
        yield f"{were} damaged or unreadable, and left out"
    if account.torn and torn:
        yield f"{counted(account.torn, 'line is', 'lines are')} unfinished: the writer was stopped while writing"


def tell_losses(runs: Iterable[Run]) -> None:
    """Print on stderr the first of *runs* that lacks a part of its journal, and how many more do: each is read."""
    lossy = [(run, said) for run in runs if (said := list(losses(run.summary.account)))]
    if lossy:
        run, said = lossy[0]
        more = f" (and {counted(len(lossy) - 1, 'more such run')})" if len(lossy) > 1 else ""
        error_line(f"{named(run)} is not whole: {'; '.join(said)}{more}")
