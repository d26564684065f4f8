"""
Finding plugins and their states: by entry points and as files; a plugin is imported only when it is used.

`REFUNC_PLUGIN_PATH` names files. `REFUNC_PLUGINS` selects among all: `mlflow,slack` only these, `-wandb` all except
this one, empty none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import attrs

from refunc.plugins.errors import ConfigurationError, IntegrationNotInstalledError, NotConfigured
from refunc.plugins.files import PluginFile, plugin_files
from refunc.plugins.hooks import hooks_of
from refunc.plugins.integration import build
from refunc.values import settings
from refunc.values.secrets import without_secrets

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
    """
    A plugin as described by its distribution's metadata, or the text of its file, without importing it.

    For a plugin that is a file, `distribution` is the file, and there is no version.
    """

    name: str
    path: str
    distribution: str
    version: str
    entry: Any = attrs.field(repr=False)

    @property
    def class_name(self) -> str:
        """The name of its class; "" if its file has none."""
        return self.path.partition(":")[2]

    @property
    def is_file(self) -> bool:
        """Whether it is a file that `REFUNC_PLUGIN_PATH` names."""
        return isinstance(self.entry, PluginFile)

    def load(self) -> type:
        """Import the class. Raises any exception of its module."""
        return self.entry.load()  # type: ignore[no-any-return]  # an entry point's value is anything


@attrs.frozen
class PluginState:
    """The state of an installed plugin, and the reason."""

    plugin: Installed
    state: State
    reason: str = ""
    integration: Any = None


@attrs.frozen
class _Taken:
    """Replaces an entry point whose name is taken by another distribution."""

    problem: ConfigurationError

    def load(self) -> type:
        raise self.problem


@cache
def installed() -> Mapping[str, Installed]:
    """
    Return the installed plugins by name. Scans all metadata once per process, in some ten milliseconds.

    A second distribution with the same name is included under a key of its own, and its `load` raises the reason.
    """
    # The backport, not the standard library's: editable installs and duplicates are found alike on every Python.
    import importlib_metadata

    found: dict[str, Installed] = {}
    for entry in importlib_metadata.entry_points(group=GROUP):
        plugin = Installed(entry.name, entry.value, *_origin(entry.dist), entry)
        owner = found.setdefault(entry.name, plugin).distribution
        # One distribution can be found twice: an editable install with an egg-info next to it, lib64 linked to lib.
        if not {owner, plugin.distribution} & {"?"} and _plain(owner) != _plain(plugin.distribution):
            taken = ConfigurationError(f"the name {entry.name!r} is taken by {owner}. Uninstall one of the two")
            plugin = attrs.evolve(plugin, path="", entry=_Taken(taken))
            found[f"{entry.name} of {plugin.distribution}"] = plugin
    return dict(sorted(found.items()))


def plugins() -> list[Installed]:
    """
    Return all plugins, the installed ones first.

    Of several with one name, the first gets it; the others, which are files, are included, and their `load` raises.
    """
    found = list(installed().values())
    for file in plugin_files():
        plugin = Installed(file.name, file.path, file.shown, "", file)
        owner = next((each for each in found if each.class_name and each.name == file.name), None) or next(
            (each for each in found if each.class_name and each.class_name == file.class_name), None
        )
        if file.class_name and owner is not None:
            word = f"name {file.name!r}" if owner.name == file.name else f"class name {file.class_name!r}"
            taken = ConfigurationError(
                f"the {word} is taken by {owner.distribution}. Choose another one for this class"
            )
            plugin = attrs.evolve(plugin, path="", entry=attrs.evolve(file, problem=taken))
        found.append(plugin)
    return found


def plugin_named(name: str) -> Installed | None:
    """Return the plugin called *name*, if there is one."""
    return next((plugin for plugin in plugins() if plugin.name == name), None)


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()  # as PEP 503 compares names


def _origin(dist: Any) -> tuple[str, str]:
    """Return a distribution's name and version; question marks if it is partly removed."""
    try:
        return str(dist.name), str(dist.version)
    except Exception:  # metadata files may contain anything
        return "?", "?"


def class_names() -> list[str]:
    """Return the names of the plugins' classes; empty if their metadata cannot be read."""
    try:
        return [plugin.class_name for plugin in plugins() if plugin.class_name]
    except Exception:  # metadata files may contain anything, and this is only for a list of names
        return []


def class_named(name: str) -> type:
    """
    Return the class called *name* among the plugins, for `from refunc.logging import XIntegration`.

    Raises:
        IntegrationNotInstalledError: It belongs to a plugin of this repository that is not installed; the text says how
        to install it. Or it may be the class of a file that cannot be read; the text says why.
        AttributeError: No plugin has such a class.
    """
    found = plugins()
    for plugin in found:
        if plugin.class_name == name:
            return plugin.load()
    extra = FIRST_PARTY.get(name)
    if extra is not None:
        # ImportError, because `from … import` replaces the text of an AttributeError.
        raise IntegrationNotInstalledError(f"{name} needs refunc-{extra}. {how_to_install(extra)}")
    broken = [plugin.entry for plugin in found if plugin.is_file and plugin.entry.problem is not None]
    if broken and name.endswith("Integration"):
        reasons = "; ".join(f"{file.shown}: {said(file.problem)}" for file in broken)
        raise IntegrationNotInstalledError(f"no plugin has a class {name}. {reasons}")
    raise AttributeError(f"module 'refunc.logging' has no attribute {name!r}")


def how_to_install(extra: str = "") -> str:
    """
    Return a sentence on how to install the command line, and the plugin *extra* of this repository.

    It names paths: on the public package index, `refunc` is another project with the same import name.
    """
    return "In a clone of refunc: pip install ./refunc-core ./refunc-commands" + (f" ./refunc-{extra}" if extra else "")


def said(error: BaseException) -> str:
    """Return the text of *error* for users; errors other than ConfigurationError are prefixed with their class."""
    text = str(error) if isinstance(error, ConfigurationError) else f"{type(error).__name__}: {error}"
    return without_secrets(text)


def is_allowed(name: str) -> bool:
    """Whether `REFUNC_PLUGINS` allows the plugin *name*."""
    chosen = settings.PLUGINS.given()
    if chosen is None:
        return True
    words = [word.strip() for word in chosen.split(",") if word.strip()]
    refused = {word[1:] for word in words if word.startswith("-")}
    allowed = {word for word in words if not word.startswith("-")}
    return bool(words) and name not in refused and (not allowed or name in allowed)


def configure(name: str, options: Mapping[str, Any]) -> Any:
    """
    Make the plugin *name* from *options*.

    Raises:
        ConfigurationError: There is no such plugin, it cannot be imported, or the options are wrong.
    """
    plugin = plugin_named(name)
    if plugin is None:
        if name in FIRST_PARTY.values():
            raise ConfigurationError(f"{name}: refunc-{name} is not installed. {how_to_install(name)}")
        known = ", ".join(dict.fromkeys(each.name for each in plugins())) or "none"
        raise ConfigurationError(f"integrations: {name!r} is not installed. Installed: {known}.")
    try:
        kind = plugin.load()
    except (Exception, SystemExit) as error:
        why = said(error) if plugin.is_file else repr(error)
        raise ConfigurationError(f"{name}: {plugin.distribution} cannot be imported: {why}.") from error
    return build(kind, name, options)


def states() -> list[PluginState]:
    """
    Try every plugin with the settings of the environment, and return the state of each.

    Never raises and never prompts: a plugin that fails is `broken`, with its reason.
    """
    return [_state(plugin) for plugin in plugins()]


def _state(plugin: Installed) -> PluginState:
    if not is_allowed(plugin.name):
        return PluginState(plugin, "blocked", settings.PLUGINS.shown())
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
        return PluginState(plugin, "broken", said(error))
    return PluginState(plugin, "active", integration=integration)
