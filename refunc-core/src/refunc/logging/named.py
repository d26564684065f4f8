"""
The loggers of this process by name.

All loggers of a name share one set of handlers. The one that was made last configures them, and is the logger of that
name. Held weakly: a logger lives as long as it is referenced, unless `get_logger` or a pickle made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

if TYPE_CHECKING:
    from refunc.logging.delivering import Delivering
    from refunc.logging.logger import MLLogger

_latest: WeakValueDictionary[str, MLLogger] = WeakValueDictionary()
#: Those that were given integrations.
_delivering: WeakSet[Delivering] = WeakSet()
#: Loggers that are kept once they have been asked for, as in stdlib logging.
_kept: dict[str, MLLogger] = {}


def remember(logger: MLLogger) -> None:
    """Make *logger* the logger of its name from now on."""
    _latest[logger.name] = logger


def latest(name: str) -> MLLogger | None:
    """Return the logger of that name; None if there is no such logger."""
    return _latest.get(name)


def all_latest() -> list[MLLogger]:
    """Return the logger of each name."""
    # The list of references is one step; items() can meet a name that another thread adds meanwhile.
    return [logger for reference in _latest.valuerefs() if (logger := reference()) is not None]


def kept(name: str) -> MLLogger | None:
    """Return the logger that is kept under that name; None if there is none."""
    return _kept.get(name)


def keep(logger: MLLogger) -> MLLogger:
    """Keep *logger* under its name, unless there is one already; return the one that is kept."""
    return _kept.setdefault(logger.name, logger)


def all_kept() -> list[MLLogger]:
    """Return the loggers that are kept, one for each name."""
    return list(_kept.values())


def note_delivering(logger: Delivering) -> None:
    """Add *logger*, which was given integrations, to those of `all_delivering`."""
    _delivering.add(logger)


def all_delivering() -> list[Delivering]:
    """Return the loggers that were given integrations."""
    return list(_delivering)
