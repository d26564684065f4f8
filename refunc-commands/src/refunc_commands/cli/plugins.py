"""`refunc plugins`: list the plugins with their states and options; `refunc plugins new`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.plugins.discovery import FIRST_PARTY, PluginState, how_to_install, states
from refunc.plugins.files import also_in
from refunc.plugins.hooks import hooks_of
from refunc.plugins.options import OptionFacts, facts_of, type_text
from refunc.values.jsonable import jsonable
from refunc.values.secrets import MASK, without_secrets
from refunc_commands.cli.new_plugin import new
from refunc_commands.cli.options import json_option, plugins_option
from refunc_commands.cli.screen import print_json, print_lines
from refunc_commands.cli.streams import error_line, shown, stdout_on_stderr

_STYLES = {"active": "green", "not configured": "yellow", "blocked": "dim", "broken": "red"}


_EXAMPLES = """\b
Examples:
  refunc plugins
  REFUNC_PLUGINS=-wandb refunc plugins --json
  refunc plugins --plugins-dir ./plugins
  refunc plugins new acme"""


@click.group("plugins", invoke_without_command=True, epilog=_EXAMPLES)
@json_option("Print one JSON array instead.")
@plugins_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool, folders: tuple[str, ...]) -> None:
    """
    List the plugins, each with the state that `auto_configure_integrations()` would give it here.

    The list has the installed plugins and the files that REFUNC_PLUGIN_PATH and --plugins-dir name. Each is active,
    blocked by REFUNC_PLUGINS, not configured, or broken, with the reason. Below it are its options, with their
    defaults and the environment variables that set them.
    """
    if ctx.invoked_subcommand is not None:
        return
    with stdout_on_stderr(), also_in(folders):
        facts = [_facts(state) for state in states()]
    if as_json:
        print_json(facts)
    elif facts:
        print_lines(_lines(facts))
    else:
        error_line(
            f"no plugin is installed. This project has {', '.join(FIRST_PARTY.values())}. {how_to_install('mlflow')}"
        )


plugins.add_command(new)


def _facts(state: PluginState) -> dict[str, Any]:
    plugin = state.plugin
    try:
        kind = plugin.load()
        hooks, options = list(hooks_of(kind)), _options(kind)
    except BaseException:  # a plugin's module may do anything; the state has the reason
        hooks, options = [], []
    try:
        target = str(getattr(state.integration, "target", ""))
    except Exception as error:  # see above
        target = f"its target is unknown: {type(error).__name__}"
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "state": state.state,
        "reason": state.reason,
        "target": target,
        "class": plugin.class_name,
        "hooks": hooks,
        "options": options,
    }


def _options(kind: type) -> list[dict[str, Any]]:
    if not attrs.has(kind):
        return []
    attrs.resolve_types(kind)
    found = []
    for attribute in attrs.fields(kind):
        facts = facts_of(attribute)
        if facts is not None:
            found.append(
                {
                    "name": attribute.name,
                    "type": type_text(attribute.type),
                    "env": facts.env,
                    "required": facts.required,
                    "secret": facts.secret,
                    "default": _default(facts),
                    "help": facts.help,
                }
            )
    return found


def _default(facts: OptionFacts) -> Any:
    """Return an option's default for JSON; for a secret, only whether there is one."""
    if facts.secret:
        return None if facts.default is None else MASK
    said = jsonable(facts.default)
    return without_secrets(said) if isinstance(said, str) else said


def _lines(facts: list[dict[str, Any]]) -> Iterator[Text]:
    for plugin in facts:
        state = plugin["state"]
        reason = plugin["reason"] or plugin["target"]
        origin = " ".join(filter(None, (shown(plugin["distribution"]), shown(plugin["version"]))))
        yield Text.assemble(
            (shown(plugin["name"]), "bold"), f"  {origin}  ", (state, _STYLES[state]), f"  {shown(reason)}"
        )
        for option in plugin["options"]:
            words = [option["type"], *(["secret"] if option["secret"] else [])]
            words.append("required" if option["required"] else f"default {shown(repr(option['default']))}")
            env = f"  ({shown(option['env'])})" if option["env"] else ""
            yield Text.assemble(f"    {option['name']}: {', '.join(words)}", (env, "dim"), f"  {shown(option['help'])}")
