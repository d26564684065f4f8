"""
Integrations on the writing side: what a logger may be given, and how they come to belong to a run.

An integration belongs to the run. A logger's first record in a run attaches the logger's integrations to it, with a
record in the journal; from then on each receives the whole run, once, whichever logger wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from refunc.journal import kinds
from refunc.logging.integrations import forget_integrations, news, tell_with_next_run
from refunc.logging.run import ActiveRun
from refunc.plugins.discovery import PluginState, configure, states
from refunc.plugins.hooks import hooks_of, require_integration
from refunc.plugins.integration import Health, passport_of


class IntegrationsManager:
    """
    Integrations by name, to be given to loggers together. Iterating gives the integrations.

    `states` says what became of each installed plugin, where `auto_configure_integrations` made the manager.
    """

    def __init__(self) -> None:
        self.states: tuple[PluginState, ...] = ()
        self._integrations: dict[str, Any] = {}

    def add_integration(self, name: str, integration: Any) -> None:
        """
        Add *integration* under *name*; one that has the name already is replaced.

        Raises:
            TypeError: It is no integration; the text says what one is.
        """
        self._integrations[str(name)] = require_integration(integration)

    def remove_integration(self, name: str) -> None:
        """Remove the integration *name*; runs that have it keep it. Raises KeyError where there is none."""
        del self._integrations[name]

    def get_integration(self, name: str) -> Any:
        """Return the integration *name*. Raises KeyError where there is none."""
        return self._integrations[name]

    def health(self) -> dict[str, Health]:
        """Return how far delivery to each is, by name; reads files."""
        from refunc.delivery.handover import health_of_key

        passports = {name: passport_of(each) for name, each in self._integrations.items()}
        return {name: health_of_key(passport.key, name) for name, passport in passports.items()}

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(self._integrations.values()))

    def __len__(self) -> int:
        return len(self._integrations)

    def __contains__(self, name: object) -> bool:
        return name in self._integrations

    def __repr__(self) -> str:
        return f"<IntegrationsManager {', '.join(self._integrations) or 'empty'}>"


def auto_configure_integrations() -> IntegrationsManager:
    """
    Make every installed plugin with what the environment says, and return those that are active.

    Never raises and never prompts: `states` of what is returned says for each plugin whether it is active, blocked by
    `REFUNC_PLUGINS`, not configured or broken, and why; `refunc plugins` shows the same.
    """
    manager = IntegrationsManager()
    manager.states = tuple(states())
    unused: dict[str, list[str]] = {}
    for state in manager.states:
        if state.integration is None:
            reason = state.reason.removeprefix(f"{state.plugin.name}: ").rstrip(".")
            unused.setdefault(reason or state.state, []).append(state.plugin.name)
    if unused:
        reasons = [f"{', '.join(names)}: {reason}" for reason, names in unused.items()]
        tell_with_next_run(f"not delivering to {'; '.join(reasons)}")
    for state in manager.states:
        if state.integration is not None:
            manager.add_integration(state.plugin.name, state.integration)
    return manager


@contextmanager
def integration_context(integrations: Any) -> Iterator[IntegrationsManager]:
    """
    Give integrations to loggers for a block: behind it, loggers give them to no further run.

    Runs that they were attached to in the block keep them, until all is delivered.

    Args:
        integrations: A manager, an integration, or several.
    """
    manager = integrations if isinstance(integrations, IntegrationsManager) else IntegrationsManager()
    if manager is not integrations:
        for each in flattened(integrations):
            manager.add_integration(passport_of(each).key, each)
    try:
        yield manager
    finally:
        forget_integrations(tuple(manager))


def flattened(integrations: Any) -> list[Any]:
    """
    Return what a logger is given as a list: one integration, several, or a manager of them.

    Raises:
        TypeError: Something in it is no integration.
    """
    if hooks_of(type(integrations)):
        return [integrations]
    if isinstance(integrations, Mapping):
        integrations = integrations.values()
    if isinstance(integrations, Iterable) and not isinstance(integrations, (str, bytes, type)):
        return [each for several in integrations for each in flattened(several)]
    return [require_integration(integrations)]


def configured(integrations: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """
    Return the integrations that `setup_logging(integrations={name: options})` describes.

    Raises:
        ConfigurationError: What is wrong, by the plugin's and the option's name.
    """
    return [configure(name, options) for name, options in integrations.items()]


def attach(run: ActiveRun, integrations: Iterable[Any]) -> None:
    """Attach *integrations* to *run*, which this process opened, unless it has them; written on return."""
    from refunc.delivery import handover

    names = []
    for integration in integrations:
        passport = passport_of(integration)
        if passport.key in run.delivered_to:
            continue
        run.delivered_to.add(passport.key)
        run.put_through(kinds.ATTACH, passport.for_journal())
        handover.attach(run.folder, integration, passport)
        names.append(passport.target or passport.name)
    if names:
        run.tell(f"delivering to {', '.join(names)}")
        for line in news():
            run.tell(line)
