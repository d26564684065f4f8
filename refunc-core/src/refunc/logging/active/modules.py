"""
The modules that runs need only at times, each imported at the first use.

The imports are cached: at interpreter shutdown, where `__del__` may log, no import works.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

from refunc.journal.metric_set import encoded_module

if TYPE_CHECKING:
    from refunc.journal.folder import RunFolder
    from refunc.journal.writer import JournalWriter
    from refunc.logging.artifacts.storing import Artifacts
    from refunc.runs import ExperimentContext


class _Journal(NamedTuple):
    """The modules and classes that write a run."""

    RunFolder: type[RunFolder]
    JournalWriter: type[JournalWriter]
    size_of: Callable[[str | PathLike[str]], int]
    host: str
    python: str


@cache
def journal_modules() -> _Journal:
    """Import encoding and folders: they cost 25 ms, and a script that only logs lines does not need them."""
    import platform

    from refunc.journal.folder import RunFolder, size_of
    from refunc.journal.writer import JournalWriter

    encoded_module()
    return _Journal(RunFolder, JournalWriter, size_of, platform.node(), platform.python_version())


@cache
def artifact_class() -> type[Artifacts]:
    """Import hashing and copying, for calls with an artifact."""
    from refunc.logging.artifacts.storing import Artifacts

    return Artifacts


@cache
def context_class() -> type[ExperimentContext]:
    """Import attrs classes, 30 ms, for scripts that ask for a context."""
    from refunc.runs.entry import ExperimentContext

    return ExperimentContext
