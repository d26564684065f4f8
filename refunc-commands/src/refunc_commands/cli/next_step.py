"""The user's next steps after `refunc sync` has left something undelivered, one sentence per kind of problem."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

import attrs

from refunc.delivery.origin import kind_of, remake
from refunc.delivery.sync import Target
from refunc.journal.alive import is_alive
from refunc.journal.provenance import missing_key
from refunc.plugins.errors import ConfigurationError
from refunc.plugins.files import is_of_file
from refunc.plugins.options import facts_of
from refunc.values.secrets import without_secrets

FOLLOW = "`refunc sync --follow` waits for"


def next_steps(targets: list[Target], *, revives: bool) -> list[str]:
    """
    Return the next steps for *targets*, each sentence once.

    Args:
        revives: Whether dead letters have just been tried again.
    """
    steps = _about_held([target for target in targets if target.is_held and not target.is_done])
    steps += [_step(target) for target in targets if not target.is_done and not target.is_held]
    if any(target.health.aside for target in targets):
        steps.append(_about_aside(targets))
    if any(target.health.dead or (target.dead_letters and not target.health.aside) for target in targets):
        steps.append(
            "records that were refused again stay in their file. Delete the file to give them up."
            if revives
            else "dead letters remain; `refunc sync --dead-letters` tries them again."
        )
    return list(dict.fromkeys(filter(None, steps)))


def _step(target: Target) -> str:
    name, health = target.passport.name, target.health
    if target.is_taken:
        return f"{name}: another process delivers {target.folder.name}; run `refunc sync` again when it has ended."
    match health.state:
        case "paused":
            return f"{name} refuses the credentials. {_credentials(target)}"
        case "quarantined":
            return f"{name}: {_fix_for(target)}"
        case "broken":
            return f"{name} cannot be opened. Fix the cause: {_sentence(health.last_error)}"
        case "stuck":
            return f"{name}: a call does not return. Check that the tracker answers, and set a timeout in its client."
        case "retrying":
            return f"{name} does not accept records now. {FOLLOW} it; so does a longer --patience."
        case _ if is_alive(target.folder):
            return f"{target.folder.name} is still running. {FOLLOW} its end."
        case _ if health.waiting > health.aside:
            return f"{name} has not answered in time. {FOLLOW} it; so does a longer --patience."
    return ""


def _about_held(targets: list[Target]) -> list[str]:
    """Return for each run why it is held, and how to deliver it anyway."""
    why = missing_key()
    whose = f"no key proves that it is yours ({why})" if why else "another user wrote it, or you on another machine"
    names: dict[str, dict[str, None]] = {}
    for target in targets:
        names.setdefault(target.folder.name, {})[target.passport.name] = None
    return [
        f"{folder}: {whose}. `refunc sync {shlex.quote(folder.rpartition('_')[2])} {_to(to)}` delivers it with your "
        "own settings; --trust instead of --to delivers it as the run asks, to addresses that your settings name too."
        for folder, to in names.items()
    ]


def _to(names: Iterable[str]) -> str:
    """Return the options that name the plugins; a run may name anything, so only valid names are used."""
    plain = [name for name in names if re.fullmatch(r"[a-z][a-z0-9_-]{0,59}", name)]
    return " ".join(f"--to {name}" for name in plain or ["PLUGIN"])


def _about_aside(targets: list[Target]) -> str:
    if any(target.health.aside and is_alive(target.folder) for target in targets):
        return "records that were set aside are tried again when their run ends."
    return "each `refunc sync` tries records that were set aside once more: run it when the tracker accepts them."


def _credentials(target: Target) -> str:
    """Return a sentence on the variables that the credentials come from."""
    try:
        kind = kind_of(target.passport)
        fields = attrs.fields(kind) if attrs.has(kind) else ()
    except Exception:  # a plugin's module may do anything
        fields = ()
    facts = [found for field in fields if (found := facts_of(field)) is not None]
    variables = [each.env for each in facts if each.secret and each.env]
    if not variables:
        return "Its plugin has no variable for them: see how its client reads them."
    states = [f"{variable} ({'set' if os.environ.get(variable) else 'not set'} here)" for variable in variables]
    return f"Set the right ones in {' or '.join(states)}."


def _fix_for(target: Target) -> str:
    """Return the fix for a quarantined integration, by remaking it as a delivery would now."""
    path = target.passport.path
    try:
        kind_of(target.passport)
    except Exception:  # see above
        if is_of_file(path):
            return "name its plugin file with --plugins-dir or in REFUNC_PLUGIN_PATH."
        return (
            f"install or repair the plugin that has {path.replace(':', '.')}; `refunc plugins` lists the plugins here."
        )
    try:
        remake(target.passport, is_own=target.is_own)
    except ConfigurationError as error:
        return without_secrets(str(error)).removeprefix(f"{target.passport.name}: ")
    except Exception as error:  # see above
        return _sentence(without_secrets(f"fix the plugin: {type(error).__name__}: {error}"))
    return f"fix the plugin, or the records that it fails on: {_sentence(target.health.last_error)}"


def _sentence(text: str | None) -> str:
    return f"{text or 'it gave no reason'}".rstrip(".") + "."
