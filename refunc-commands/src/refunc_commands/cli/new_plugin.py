"""`refunc plugins new`: create a plugin as a distribution of its own, with passing tests."""

from __future__ import annotations

import keyword
import os
import re
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

import click

from refunc import __version__
from refunc.plugins.discovery import FIRST_PARTY, plugin_named
from refunc.values.names import new_id, slug
from refunc.values.paths import absolute
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.streams import shown

_EXAMPLES = """\b
Examples:
  refunc plugins new acme
  refunc plugins new my-tracker --dir ~/code"""

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST: Final = 30
#: The target of each file of the template.
_FILES: Final = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "gitignore.txt": ".gitignore",
    "plugin.py.txt": "src/refunc_$package/__init__.py",
    "test_plugin.py.txt": "tests/test_$package.py",
    "tests.yml.txt": ".github/workflows/tests.yml",
}
_NEXT: Final = """\
{folder}: created a plugin that posts records to a server as JSON. Next:
  cd {quoted}
  pip install -e '.[test]'
  refunc plugins            # lists {name}
  pytest                    # needs no network
Edit src/{package}/__init__.py. The plugin has no license yet: README.md says where to add one."""


@click.command("new", short_help="Create a plugin of your own.", epilog=_EXAMPLES)
@click.argument("name")
@click.option(
    "--dir", "parent", metavar="DIR", default=".", show_default=True, help="Where to create the folder refunc-NAME."
)
def new(name: str, parent: str) -> None:
    """
    Create a plugin: the folder refunc-NAME with a distribution whose tests pass as they are.

    It has the class NameIntegration with three options, an entry point, tests on refunc's test kit with a server of
    their own, a README, and a GitHub workflow. Existing files are never overwritten.
    """
    _check(name)
    package = f"refunc_{name.replace('-', '_')}"
    folder = absolute(parent) / f"refunc-{name}"
    _write(folder, _words(name))
    relative = os.path.relpath(folder)
    quoted = relative if re.fullmatch(r"[\w./-]+", relative) else f"'{relative}'"
    said = _NEXT.format(folder=relative, quoted=quoted, name=name, package=package)
    click.echo("\n".join(map(shown, said.splitlines())))


def _check(name: str) -> None:
    """Raise a Failure if *name* is not a valid plugin name."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        near = re.sub(r"[._]+", "-", slug(name, "").lower()).removeprefix("refunc-").removesuffix("-integration")
        near = near.removesuffix("integration")[:_LONGEST].strip("-")
        hint = f" Did you mean {near}?" if _NAME.fullmatch(near) else ""
        expected = f"lower-case letters, digits and single hyphens, a letter first, {_LONGEST} at most"
        raise Failure(f"{name!r} is not a valid plugin name. Expected: {expected}.{hint}")
    if name.startswith("refunc-"):
        raise Failure(f"{name!r}: leave out `refunc-`, which is added to the name. Did you mean {name[7:]}?")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise Failure(f"{name!r} is a keyword of Python, and cannot be an argument's name. Choose another name.")
    owner = "refunc-core" if name == "core" else f"refunc-{name}" if name in FIRST_PARTY.values() else ""
    if not owner and (taken := plugin_named(name)) is not None:
        owner = taken.distribution
    if owner:
        raise Failure(f"the name {name!r} is taken by {owner}. Choose another name: two plugins cannot share one.")


def _words(name: str) -> dict[str, str]:
    major, minor = __version__.split(".")[:2]
    return {
        "name": name,
        "package": name.replace("-", "_"),
        "title": "".join(part.capitalize() for part in name.split("-")),
        "variable": name.replace("-", "_").upper(),
        "least": f"{major}.{minor}",
        "below": str(int(major) + 1),
    }


def _write(folder: Path, words: dict[str, str]) -> None:
    """
    Create *folder*, completely or not at all.

    Raises:
        Failure: It exists already, or it cannot be created.
    """
    if os.path.lexists(folder):
        raise Failure(f"{folder} exists already. Nothing was written; choose another name, or another --dir.")
    draft = folder.with_name(f".{folder.name}.{new_id(6)}")
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise Failure(f"{folder} cannot be created: {error.strerror}. Choose another place with --dir.") from error
    try:
        for source, target in _FILES.items():
            path = draft / Template(target).substitute(words)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (files("refunc_commands.cli") / "template" / source).read_text("utf-8")
            path.write_text(Template(text).substitute(words), "utf-8")
        (draft / f"src/refunc_{words['package']}/py.typed").touch()
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
