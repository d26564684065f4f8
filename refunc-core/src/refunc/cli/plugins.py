"""`refunc plugins`: what is installed, in what state, and which options each plugin has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.cli.screen import error_line, print_json, print_lines, shown, stdout_on_stderr
from refunc.plugins.discovery import PluginState, states
from refunc.plugins.hooks import hooks_of
from refunc.plugins.options import facts_of, type_text

_STYLES = {"active": "green", "not configured": "yellow", "blocked": "dim", "broken": "red"}


@click.command(
    "plugins",
    short_help="List the installed plugins.",
    epilog="\b\nExamples:\n  refunc plugins\n  REFUNC_PLUGINS=-wandb refunc plugins --json",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead.")
def plugins(as_json: bool) -> None:
    """
    List the installed plugins, and what `auto_configure_integrations()` would make of each here and now.

    Active, blocked by REFUNC_PLUGINS, not configured, or broken, with the reason; below it, the options and the
    environment variables that set them.
    """
    with stdout_on_stderr():
        facts = [_facts(state) for state in states()]
    if as_json:
        print_json(facts)
    elif facts:
        print_lines(_lines(facts))
    else:
        error_line(
            "no plugin is installed. Those of this project: pip install 'refunc[mlflow]', wandb, prometheus, slack."
        )


def _facts(state: PluginState) -> dict[str, Any]:
    plugin = state.plugin
    try:
        kind = plugin.load()
        hooks, options = list(hooks_of(kind)), _options(kind)
    except BaseException:  # a plugin's module may do anything; the state says what
        hooks, options = [], []
    try:
        target = str(getattr(state.integration, "target", ""))
    except Exception as error:  # see above
        target = f"its target cannot be told: {type(error).__name__}"
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
                    "help": facts.help,
                }
            )
    return found


def _lines(facts: list[dict[str, Any]]) -> Iterator[Text]:
    for plugin in facts:
        state = plugin["state"]
        reason = plugin["reason"] or plugin["target"]
        yield Text.assemble(
            (shown(plugin["name"]), "bold"),
            f"  {shown(plugin['distribution'])} {shown(plugin['version'])}  ",
            (state, _STYLES[state]),
            f"  {shown(reason)}",
        )
        for option in plugin["options"]:
            env = f"  ({shown(option['env'])})" if option["env"] else ""
            yield Text.assemble(f"    {option['name']}: {option['type']}", (env, "dim"), f"  {shown(option['help'])}")
