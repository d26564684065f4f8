"""
Isolating a run that cannot be read, so that other runs are not affected.

Damage of a file is found where its bytes are decoded. Any exception that gets past that is caught where a command reads
one of many runs: there it becomes a `RunFormatError`, as for any unreadable run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from refunc.runs.errors import NoDescriptorError, RunFormatError
from refunc.values.texts import short_repr

if TYPE_CHECKING:
    from pathlib import Path

#: The hint for a file that the system does not let the user read.
SEE_RIGHTS = "Check its permissions, and whether its disk is mounted."


class InFolder(Protocol):
    """Anything with the folder of a run."""

    @property
    def folder(self) -> Path: ...


_Run = TypeVar("_Run", bound=InFolder)
_Item = TypeVar("_Item")


def fault_of(folder: Path, error: Exception) -> RunFormatError:
    """
    Return *error*, which reading the run in *folder* raised, as a RunFormatError.

    Raises:
        NoDescriptorError: It is a NoDescriptorError, which is not an error of the run.
    """
    if isinstance(error, NoDescriptorError):
        raise error
    if isinstance(error, RunFormatError):
        return error
    if isinstance(error, OSError):
        fault = RunFormatError(folder, f"its journal cannot be read ({error.strerror or error}).", SEE_RIGHTS)
    else:
        said = f"{type(error).__name__}: {short_repr(error, str)}".removesuffix(": ")
        fault = RunFormatError(folder, f"it cannot be read ({said}).", "Restore it, or remove the folder.")
    fault.__cause__ = error
    return fault


@contextmanager
def containing(folder: Path) -> Iterator[None]:
    """Convert the exceptions of the block, which reads the run in *folder*, by `fault_of`."""
    try:
        yield
    except Exception as error:
        raise fault_of(folder, error) from error


class Faults:
    """The errors of unreadable runs, each run once, over several passes."""

    def __init__(self, known: Iterable[RunFormatError] = (), *, all_needed: bool = False) -> None:
        """
        Args:
            known: Errors that were found before.
            all_needed: Raise the first error, instead of going on with the next run.
        """
        self.found: list[RunFormatError] = []
        self._all_needed = all_needed
        for fault in known:
            self._note(fault)

    def each(self, runs: Iterable[_Run], read: Callable[[_Run], Iterable[_Item]]) -> Iterator[_Item]:
        """
        Yield the results of *read* for each of *runs*; if it raises, note the error and go on with the next run.

        Raises:
            RunFormatError: The first error, if all runs are needed.
        """
        for run in runs:
            try:
                source = iter(read(run))
            except Exception as error:
                self._note(fault_of(run.folder, error))
                continue
            while True:
                try:
                    item = next(source)
                except StopIteration:
                    break
                except Exception as error:
                    self._note(fault_of(run.folder, error))
                    break
                yield item

    def without(self, runs: Iterable[_Run]) -> list[_Run]:
        """Return those of *runs* that could be read completely."""
        return [run for run in runs if all(run.folder != fault.folder for fault in self.found)]

    def _note(self, fault: RunFormatError) -> None:
        if self._all_needed:
            raise fault
        if all(fault.folder != known.folder for known in self.found):
            self.found.append(fault)
