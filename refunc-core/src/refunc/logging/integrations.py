"""
A logger's integrations: which it has, and when a run gets them.

Imports nothing of plugins or delivery before there is an integration: a script without one pays for neither.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from refunc.logging.run import ActiveRun

if TYPE_CHECKING:
    from refunc.plugins.integration import Health


class Delivering:
    """The calls that say where runs are delivered to. Whoever inherits them says which run is current."""

    _integrations: tuple[Any, ...] = ()
    _shared_integrations: tuple[Any, ...] = ()

    def _current_run(self) -> ActiveRun | None:
        """Return the run that a call belongs to, without opening one."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def add_integration(self, integration: Any) -> None:
        """
        Deliver the runs that this logger logs to, to a tracker as well: whole runs, what was logged before included.

        Returns at once: the tracker's code runs in the delivery process, and no failure of it comes back to here.

        Args:
            integration: An integration, several, a manager, or what `auto_configure_integrations()` returned.

        Raises:
            TypeError: It is none of these; the text says what one is.
        """
        from refunc.logging.delivering import flattened

        fresh = tuple(each for each in flattened(integration) if all(each is not known for known in self._integrations))
        self._integrations += fresh
        _loggers.add(self)
        self._deliver_current_run()

    def add_integrations(self, integrations: Any) -> None:
        """Deliver to several trackers; the same as `add_integration`."""
        self.add_integration(integrations)

    def _deliver_current_run(self) -> None:
        """Attach to the run that this logger has logged to already; else its first record does."""
        run = self._current_run()
        if run is not None and self in run.steps:
            self._joined(run)

    def _share(self, integrations: tuple[Any, ...]) -> None:
        """Deliver to what `setup_logging` says, in place of what it said before."""
        self._shared_integrations = integrations
        self._deliver_current_run()

    @property
    def integrations(self) -> tuple[Any, ...]:
        """What this logger's runs are delivered to."""
        return (*self._integrations, *self._shared_integrations)

    def health(self) -> dict[str, Health]:
        """
        Return how far delivery to each integration is, by name: delivered, waiting, dead, the last error.

        Reads the runs' files, so it is not for every step. Two of one name are told apart by a suffix.
        """
        from refunc.delivery.handover import health_of_key
        from refunc.plugins.integration import passport_of

        found: dict[str, Health] = {}
        for passport in map(passport_of, self.integrations):
            name = passport.name if passport.name not in found else passport.key
            found[name] = health_of_key(passport.key, passport.name)
        return found

    def _joined(self, run: ActiveRun) -> None:
        if self.integrations and run.is_own and run.is_written:
            # Only who has an integration pays for importing what delivers.
            from refunc.logging.delivering import attach

            attach(run, self.integrations)


#: What is to be said on the console with the next run that there is something to say of.
_news: list[str] = []


def tell_with_next_run(line: str) -> None:
    """Have *line* shown at the start of the next run, or when the next integration is attached to one."""
    if line not in _news:
        _news.append(line)


def news() -> list[str]:
    """Return what is to be said, for the last time."""
    lines = _news[:]
    _news.clear()
    return lines


#: The loggers that somebody gave integrations.
_loggers: WeakSet[Delivering] = WeakSet()


def deliver_to_all(run: ActiveRun) -> None:
    """Give *run*, to which no logger wrote, to every logger's integrations: that it failed at once is news too."""
    for logger in tuple(_loggers):
        logger._joined(run)


def forget_integrations(integrations: tuple[Any, ...]) -> None:
    """Have every logger give *integrations* to no further run."""
    for logger in tuple(_loggers):
        logger._integrations = tuple(each for each in logger._integrations if each not in integrations)


def is_in_hook() -> bool:
    """
    Whether an integration's own code is calling, on the thread of its courier in this process.

    What it logs there goes to the run that is open, or to one of nobody: delivered to it again, it would have no end.
    """
    handover = sys.modules.get("refunc.delivery.handover")
    return handover is not None and handover.is_courier()
