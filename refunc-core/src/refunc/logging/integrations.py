"""
Integrations on the writing side: the forms a logger accepts, and how they are attached to a run.

An integration belongs to the run. A logger's first record in a run attaches the logger's integrations to it, with a
record in the journal. Each then receives the whole run once, including records of other loggers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from refunc.delivery import handover
from refunc.journal import kinds
from refunc.journal.provenance import missing_key
from refunc.logging import named
from refunc.logging.active.run import ActiveRun
from refunc.logging.notices import news, tell_with_next_run, warn_once
from refunc.plugins.discovery import PluginState, configure, states
from refunc.plugins.errors import ConfigurationError
from refunc.plugins.hooks import hooks_of, require_integration
from refunc.plugins.integration import Health, passport_of
from refunc.values.texts import short_repr


class IntegrationsManager:
    """
    Integrations by name, to be given to loggers together. Iterating gives the integrations.

    `states` gives the state of each installed plugin, if `auto_configure_integrations` made the manager.
    """

    def __init__(self) -> None:
        self.states: tuple[PluginState, ...] = ()
        self._integrations: dict[str, Any] = {}

    def add_integration(self, name: str, integration: Any) -> None:
        """
        Add *integration* under *name*, replacing an earlier one of that name.

        Raises:
            TypeError: It is not an integration; the text says how one is made.
        """
        self._integrations[str(name)] = require_integration(integration)

    def remove_integration(self, name: str) -> None:
        """Remove the integration *name*; runs that have it keep it. Raises KeyError if there is none."""
        del self._integrations[name]

    def get_integration(self, name: str) -> Any:
        """Return the integration *name*. Raises KeyError if there is none."""
        return self._integrations[name]

    def health(self) -> dict[str, Health]:
        """Return how far delivery to each is, by name; reads files."""
        passports = {name: passport_of(each) for name, each in self._integrations.items()}
        return {name: handover.health_of_key(passport.key, name) for name, passport in passports.items()}

    def __iter__(self) -> Iterator[Any]:
        return iter([*self._integrations.values()])

    def __len__(self) -> int:
        return len(self._integrations)

    def __contains__(self, name: object) -> bool:
        return name in self._integrations

    def __repr__(self) -> str:
        return f"<IntegrationsManager {', '.join(self._integrations) or 'empty'}>"


def auto_configure_integrations() -> IntegrationsManager:
    """
    Make every installed plugin from the environment, and return those that are active.

    Never raises and never prompts: `states` of the result says for each plugin whether it is active, blocked by
    `REFUNC_PLUGINS`, not configured or broken, and why; `refunc plugins` shows the same.
    """
    manager = IntegrationsManager()
    manager.states = tuple(states())
    unused: dict[str, list[str]] = {}
    for state in manager.states:
        if state.integration is None:
            reason = state.reason.removeprefix(f"{state.plugin.name}: ").rstrip(".")
            is_broken_file = state.plugin.is_file and state.state == "broken"
            name = state.plugin.distribution if is_broken_file else state.plugin.name
            unused.setdefault(reason or state.state, []).append(name)
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
    Give integrations to loggers for a block; runs that begin after the block do not get them.

    Runs that they were attached to in the block keep them until everything is delivered.

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
        given = tuple(manager)
        for logger in named.all_delivering():
            logger._integrations = tuple(each for each in logger._integrations if each not in given)


def flattened(integrations: Any) -> list[Any]:
    """
    Return as a list the integrations that a logger was given: one, several, or a manager of them.

    Raises:
        TypeError: Something in it is not an integration.
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
        ConfigurationError: An option is wrong; the text names the plugin and the option.
    """
    if not isinstance(integrations, Mapping):
        raise ConfigurationError(
            f"integrations: {short_repr(integrations)} is not a mapping. Give plugins by name with their options: "
            'integrations={"slack": {"channel": "#ml"}}, or {} where the environment configures them.'
        )
    return [configure(name, options) for name, options in integrations.items()]


def attach(run: ActiveRun, integrations: Iterable[Any]) -> None:
    """Attach *integrations* to *run*, which this process opened, unless it has them. Written when this returns."""
    names = []
    for integration in integrations:
        passport = passport_of(integration)
        if passport.key in run.delivered_to:
            continue
        run.delivered_to.add(passport.key)
        run.put_through(kinds.ATTACH, passport.for_journal())
        handover.attach(run.folder, integration, passport)
        names.append(passport.target or passport.name)
    if names and (why := missing_key()):
        warn_once(
            "key",
            "no key can be stored (%s): once the delivery process is gone, `refunc sync` treats the runs of this "
            "training as another user's, and asks for --trust.",
            why,
        )
    if names:
        run.tell(f"delivering to {', '.join(names)}")
        for line in news():
            run.tell(line)
