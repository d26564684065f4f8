"""
Which plugins are installed, and in what state: found by their entry points, imported only when they are asked for.

`REFUNC_PLUGINS` chooses among them: `mlflow,slack` only these, `-wandb` all but this one, empty none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import attrs

from refunc.journal.secrets import without_secrets
from refunc.plugins.errors import ConfigurationError, IntegrationNotInstalledError, NotConfigured
from refunc.plugins.hooks import hooks_of
from refunc.plugins.integration import build

GROUP = "refunc.integrations"
#: The classes of this repository's plugins, by the name of their extra.
FIRST_PARTY = {
    "MLflowIntegration": "mlflow",
    "WandBIntegration": "wandb",
    "PrometheusIntegration": "prometheus",
    "SlackIntegration": "slack",
}

State = Literal["active", "blocked", "not configured", "broken"]


@attrs.frozen
class Installed:
    """A plugin as its distribution's metadata describes it; nothing of it is imported."""

    name: str
    path: str
    distribution: str
    version: str
    entry: Any = attrs.field(repr=False)

    @property
    def class_name(self) -> str:
        """The name of its class."""
        return self.path.partition(":")[2]

    def load(self) -> type:
        """Import the class. Raises whatever its module raises."""
        return self.entry.load()  # type: ignore[no-any-return]  # an entry point's value is anything


@attrs.frozen
class PluginState:
    """What became of an installed plugin, and why."""

    plugin: Installed
    state: State
    reason: str = ""
    integration: Any = None


@cache
def installed() -> Mapping[str, Installed]:
    """Return the installed plugins by name. Scans all metadata, some ten milliseconds, once a process."""
    # The backport, not the standard library's: editable installs and duplicates are found alike on every Python.
    import importlib_metadata

    found: dict[str, Installed] = {}
    for entry in importlib_metadata.entry_points(group=GROUP):
        # One distribution can be found twice: an editable install with an egg-info beside it, lib64 linked to lib.
        found.setdefault(entry.name, Installed(entry.name, entry.value, *_origin(entry.dist), entry))
    return dict(sorted(found.items()))


def _origin(dist: Any) -> tuple[str, str]:
    """Return a distribution's name and version; of one that is half removed, question marks."""
    try:
        return str(dist.name), str(dist.version)
    except Exception:  # its metadata are anybody's files
        return "?", "?"


def class_named(name: str) -> type:
    """
    Return the class called *name* among the installed plugins, for `from refunc.logging import XIntegration`.

    Raises:
        IntegrationNotInstalledError: One of this repository's, which is not installed; the text says how to.
        AttributeError: No plugin has such a class.
    """
    for plugin in installed().values():
        if plugin.class_name == name:
            return plugin.load()
    extra = FIRST_PARTY.get(name)
    if extra is not None:
        # ImportError, because `from … import` replaces the text of an AttributeError by its own.
        raise IntegrationNotInstalledError(f"{name} needs refunc-{extra}: pip install 'refunc[{extra}]'")
    raise AttributeError(f"module 'refunc.logging' has no attribute {name!r}")


def is_wanted(name: str) -> bool:
    """Whether `REFUNC_PLUGINS` lets the plugin *name* be."""
    chosen = os.environ.get("REFUNC_PLUGINS")
    if chosen is None:
        return True
    words = [word.strip() for word in chosen.split(",") if word.strip()]
    refused = {word[1:] for word in words if word.startswith("-")}
    allowed = {word for word in words if not word.startswith("-")}
    return bool(words) and name not in refused and (not allowed or name in allowed)


def configure(name: str, options: Mapping[str, Any]) -> Any:
    """
    Make the installed plugin *name* from *options*.

    Raises:
        ConfigurationError: There is no such plugin, it cannot be imported, or the options are wrong.
    """
    plugin = installed().get(name)
    if plugin is None:
        if name in FIRST_PARTY.values():
            raise ConfigurationError(f"{name}: refunc-{name} is not installed: pip install 'refunc[{name}]'")
        known = ", ".join(installed()) or "none"
        raise ConfigurationError(f"integrations: {name!r} is not installed. Installed: {known}.")
    try:
        kind = plugin.load()
    except Exception as error:
        raise ConfigurationError(f"{name}: {plugin.distribution} cannot be imported: {error!r}.") from error
    return build(kind, name, options)


def states() -> list[PluginState]:
    """
    Try every installed plugin with what the environment says, and return what became of each.

    Never raises and never prompts: a plugin that fails is `broken`, with its reason.
    """
    return [_state(plugin) for plugin in installed().values()]


def _state(plugin: Installed) -> PluginState:
    if not is_wanted(plugin.name):
        return PluginState(plugin, "blocked", f"REFUNC_PLUGINS={os.environ.get('REFUNC_PLUGINS', '')!r}")
    try:
        kind = plugin.load()
        if not hooks_of(kind):
            return PluginState(plugin, "broken", f"{plugin.class_name} has no hooks")
        integration = kind()
    except NotConfigured as error:
        return PluginState(plugin, "not configured", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may call sys.exit() when it is imported
        return PluginState(plugin, "broken", without_secrets(f"{type(error).__name__}: {error}"))
    return PluginState(plugin, "active", integration=integration)
