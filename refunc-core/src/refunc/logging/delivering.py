"""
A logger's integrations, and when they are attached to a run.

Imports nothing of plugins or delivery before there is an integration, so a script without one pays for neither.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from refunc.delivery.begun import is_courier
from refunc.logging import named
from refunc.logging.active.run import ActiveRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from refunc.plugins.integration import Health


class Delivering:
    """The calls that choose where runs are delivered. Subclasses define which run is current."""

    _integrations: tuple[Any, ...] = ()
    _shared_integrations: tuple[Any, ...] = ()
    #: The integrations that it had in the process that pickled it, until they are first needed.
    _packed: tuple[dict[str, Any], ...] = ()
    name: str

    def _current_run(self) -> ActiveRun | None:
        """Return the run that a call belongs to, without opening one."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def add_integration(self, integration: Any) -> None:
        """
        Deliver the runs of this logger to a tracker as well: whole runs, including records from before this call.

        Returns at once. The tracker's code runs in the delivery process, and its failures never reach the caller.

        Args:
            integration: An integration, several, a manager, or the result of `auto_configure_integrations()`.

        Raises:
            TypeError: It is none of these; the text says how an integration is made.
        """
        flattened = _delivering()[0]
        fresh = tuple(each for each in flattened(integration) if all(each is not known for known in self._integrations))
        self._integrations += fresh
        named.note_delivering(self)
        self._deliver_current_run()

    def add_integrations(self, integrations: Any) -> None:
        """Deliver to several trackers; the same as `add_integration`."""
        self.add_integration(integrations)

    def _deliver_current_run(self) -> None:
        """Attach to the run that this logger has logged to already; otherwise its first record does so."""
        run = self._current_run()
        if run is not None and self in run.places:
            self._joined(run)

    def _share(self, integrations: tuple[Any, ...]) -> None:
        """Deliver to the integrations given to `setup_logging`, instead of those given to it before."""
        self._shared_integrations = integrations
        self._deliver_current_run()

    @property
    def integrations(self) -> tuple[Any, ...]:
        """The integrations that this logger's runs are delivered to."""
        if self._packed:
            from refunc.logging.copies import unpacked

            packed, self._packed = self._packed, ()
            self._integrations += unpacked(self.name, packed)
        return (*self._integrations, *self._shared_integrations)

    def health(self) -> dict[str, Health]:
        """
        Return how far delivery to each integration is, by name: delivered, waiting, dead, the last error.

        Reads the runs' files, so do not call it at every step. Two integrations of one name get a suffix.
        """
        from refunc.delivery.handover import health_of_key
        from refunc.plugins.integration import passport_of

        found: dict[str, Health] = {}
        for passport in map(passport_of, self.integrations):
            name = passport.name if passport.name not in found else passport.key
            found[name] = health_of_key(passport.key, passport.name)
        return found

    def _joined(self, run: ActiveRun) -> None:
        if self.integrations and run.is_own and run.is_written and run.is_main:
            _delivering()[1](run, self.integrations)


@cache  # for interpreter shutdown, where `__del__` may log and imports fail
def _delivering() -> tuple[Callable[[Any], list[Any]], Callable[[ActiveRun, Iterable[Any]], None]]:
    """Import delivery, for loggers with an integration."""
    from refunc.logging.integrations import attach, flattened

    return flattened, attach


def deliver_to_all(run: ActiveRun) -> None:
    """
    Attach every logger's integrations to *run*, to which no logger wrote: that it failed at once is worth
    telling.
    """
    for logger in named.all_delivering():
        logger._joined(run)


def is_in_hook() -> bool:
    """
    Whether the caller is an integration's own code, on the thread of its courier in this process.

    Its records go to the open run, or to a run without integrations. Delivering them to it again would never end.
    """
    return is_courier()
