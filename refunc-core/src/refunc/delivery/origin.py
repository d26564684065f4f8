"""
The targets that a run asks to be delivered to, and whether to trust them.

Anyone may have written a journal. So it names no code: a class is found by its plugin's name, among the installed
plugins and the files that the environment names. Its hosts, ports and folders are used if this user's own training
recorded them (see `provenance`), or if the user trusts the run on the command line and the environment has the same
addresses.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any, Final

import attrs

from refunc.delivery.feed import Feed
from refunc.journal.folder import RUN_JSON
from refunc.journal.pieces import segments
from refunc.journal.provenance import is_authentic, mac_of_attach
from refunc.journal.reader import read_journal
from refunc.journal.record import Attach
from refunc.plugins import files
from refunc.plugins.discovery import FIRST_PARTY, how_to_install, is_allowed, plugin_named
from refunc.plugins.errors import ConfigurationError, NotConfigured
from refunc.plugins.hooks import hooks_of
from refunc.plugins.integration import Passport, build, path_of
from refunc.plugins.options import check_withheld, facts_of
from refunc.values import settings
from refunc.values.secrets import without_secrets
from refunc.values.texts import text

#: The most integrations of a run of another user; further ones are ignored.
MOST_OF_OTHERS: Final = 100

#: A key is used in file names, so one that would lead elsewhere counts as damaged.
_KEY: Final = re.compile(r"[\w.-]{1,150}")


def asked_for(folder: Path) -> list[tuple[Passport, bool]]:
    """
    Return the integrations that the journal in *folder* names, each once, with whether this user's training wrote it.

    One pass over the journal.
    """
    run_id = Feed(folder, {}).run_id
    is_users = _belongs_to_user(folder)
    found: dict[str, tuple[Passport, bool]] = {}
    for record in read_journal(folder):
        if not isinstance(record, Attach) or not _KEY.fullmatch(record.key):
            continue
        mac = mac_of_attach(run_id, attrs.asdict(record, recurse=False))
        is_own = is_users and is_authentic(record.mac, mac)
        if is_own or (record.key not in found and len(found) < MOST_OF_OTHERS):
            found.setdefault(record.key, (_passport(record), is_own))
            if is_own:  # replaces a foreign one before it
                found[record.key] = (_passport(record), True)
    return list(found.values())


def _belongs_to_user(folder: Path) -> bool:
    """Whether all files of a run's journal belong to this user: records can be copied, but not a file's owner."""
    if not hasattr(os, "geteuid"):  # Windows, where every file has the owner 0
        return True
    paths = {segment.path for pieces in segments(folder).values() for segment in pieces}
    paths |= {os.fspath(folder), os.path.join(folder, RUN_JSON)}
    return all(os.lstat(path).st_uid == os.geteuid() for path in paths)


def _passport(record: Attach) -> Passport:
    fields = {name: getattr(record, name) for name in ("name", "path", "key", "options", "target", "withheld")}
    return Passport(**fields, public=record.options)


def asked_by(passport: Passport) -> str:
    """
    Return the target that a run asks for, for the user who has to decide about it.

    It is told by the options, which delivery would use; the target named in a journal may differ.
    """
    said = {name: value for name, value in (passport.options or {}).items() if value not in (None, "", [], {})}
    # Quoted, so that no value looks like another option; and each is cut, so that none hides the next one.
    options = ", ".join(f"{text(name, 40)}={text(repr(value), 100)}" for name, value in said.items())
    name = text(passport.name, 60)
    return without_secrets(f"{name} ({text(options, 1_000)})" if options else name)


def kind_of(passport: Passport) -> type:
    """
    Return the class of the plugin that *passport* names.

    Raises:
        ConfigurationError: There is no such plugin here, or it has another class now; the text says which.
        Exception: Any exception of the plugin's module.
    """
    name, path = passport.name, passport.path
    if not is_allowed(name):
        raise ConfigurationError(f"{name}: {settings.PLUGINS.shown()} blocks it")
    if files.is_of_file(path):
        kind = files.load(path)
    else:
        plugin = plugin_named(name)
        if plugin is None:
            raise ConfigurationError(f"{name}: {_how_to_find(name, path)}")
        kind = plugin.load()
        if kind.__qualname__ != path.rpartition(":")[2]:  # its module may have been moved
            raise ConfigurationError(
                f"{name}: the run was recorded with the class {path}, but the plugin here, {plugin.distribution}, has "
                f"{path_of(kind)}. To deliver with it, run `refunc sync RUN --to {name}`"
            )
    if not hooks_of(kind):
        raise ConfigurationError(f"{name}: {path} is not a class with hooks")
    return kind


def _how_to_find(name: str, path: str) -> str:
    if name in FIRST_PARTY.values():
        return f"refunc-{name} is not installed. {how_to_install(name)}"
    return (
        f"no plugin of this name is installed. The run was recorded with the class {path}: install the plugin that has "
        f"it, or name its file with --plugins-dir. Without it, only its training can deliver to it"
    )


def remake(passport: Passport, *, is_own: bool = True) -> Any:
    """
    Make the integration that *passport* from a journal describes; withheld options come from the environment.

    Raises:
        ConfigurationError: It cannot be made here; the text says why.
    """
    try:
        kind = kind_of(passport)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # waiting does not help
        if isinstance(error, ConfigurationError):
            raise
        said = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"its class {passport.path!r} cannot be imported: {said}") from error
    if not is_own:
        check_addresses(kind, passport)
    check_withheld(passport.name, kind, passport.withheld)
    return build(kind, passport.name, passport.options or {})


def check_addresses(kind: type, passport: Passport) -> None:
    """
    Check that each host, port and folder that a run of another user asks for is also in this user's settings.

    Raises:
        NotConfigured: One is not; the text says how to set it.
    """
    named = getattr(kind, "address_options", None)
    fields = {field.name: field for field in attrs.fields(kind)} if attrs.has(kind) else {}
    for name, said in (passport.options or {}).items():
        if (named is not None and name not in named) or name not in fields:  # `build` refuses unknown options
            continue
        facts = facts_of(fields[name])
        variable = facts.env if facts is not None else None
        if said == (facts.default if facts is not None else fields[name].default):
            continue
        if variable is None or os.environ.get(variable) != str(said):
            way = f"Set {variable}={shlex.quote(str(said))} to allow it, or deliver" if variable else "Deliver"
            raise NotConfigured(
                f"{passport.name}: the run asks for {name}={said!r}, which is not in this machine's settings. "
                f"{way} with your own settings: `refunc sync RUN --to {passport.name}`."
            )
