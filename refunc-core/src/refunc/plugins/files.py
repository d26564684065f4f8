"""
Plugins that are one file each, named by `REFUNC_PLUGIN_PATH` as files or folders of files.

A file is read to find its class, and is imported only when that class is used. Files are named only by the environment,
the command line and, through its pipe, the training of a delivery process. A journal names a plugin and a class; its
file is used only if the environment names it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import attrs

from refunc.plugins.errors import ConfigurationError
from refunc.plugins.hooks import HOOKS, hooks_of
from refunc.plugins.naming import called
from refunc.values import settings
from refunc.values.paths import absolute

VARIABLE = settings.PLUGIN_PATH.name
#: The prefix of a plugin file's module name, which keeps it distinct from other modules.
_PREFIX = "refunc_plugin_"


@attrs.frozen
class PluginFile:
    """
    A file with a plugin, and the plugin's name; or a named file or folder without a plugin.

    `problem` is the reason why its class cannot be imported; `name` is then the file's.
    """

    file: Path
    name: str
    class_name: str = ""
    problem: Exception | None = None

    @property
    def path(self) -> str:
        """Its class as in a passport, `module:name`, independent of the file's place."""
        return f"{_PREFIX}{self.name}:{self.class_name}"

    @property
    def shown(self) -> str:
        """The file's path for messages: relative to the working folder if it is inside it."""
        try:
            relative = os.path.relpath(self.file)
        except (OSError, ValueError):  # the working folder is gone; another drive
            return str(self.file)
        return str(self.file) if relative.startswith(os.pardir) else relative

    def load(self) -> type:
        """Import the class. Raises any exception of its module, or `problem`."""
        if self.problem is not None:
            raise self.problem
        return _class_of(self.file, self.name, self.class_name)


def plugin_files() -> list[PluginFile]:
    """Return the files that the environment names, in its order, each once. Reads the files without importing them."""
    named = [absolute(entry) for entry in settings.PLUGIN_PATH.text().split(os.pathsep) if entry.strip()]
    return [_read(file) for file in dict.fromkeys(each for place in named for each in _files_in(place))]


@contextmanager
def also_in(places: tuple[str, ...]) -> Iterator[None]:
    """While this lasts, treat *places* as named by the environment, before its own."""
    before = settings.PLUGIN_PATH.given()
    if places:
        os.environ[VARIABLE] = os.pathsep.join([*places, *([before] if before else [])])
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before
        else:
            os.environ.pop(VARIABLE, None)


def file_of(kind: type) -> str:
    """Return the file that *kind* was imported from by this module; "" for any other class."""
    if not kind.__module__.startswith(_PREFIX):
        return ""
    return str(getattr(sys.modules.get(kind.__module__), "__file__", None) or "")


def is_of_file(path: str) -> bool:
    """Whether *path*, `module:name`, is the class of a plugin file."""
    return path.startswith(_PREFIX)


def load(path: str, file: str = "") -> type:
    """
    Import the class *path* of a plugin file: *file*, or one that the environment names.

    Raises:
        ImportError: The environment does not name a file with this plugin; the text says how to name it.
        Exception: Any exception of its module.
    """
    module, _, class_name = path.partition(":")
    name = module.removeprefix(_PREFIX)
    if file:
        return _class_of(Path(file), name, class_name)
    found = plugin_files()
    for each in found:
        if each.problem is None and each.path == path:
            return each.load()
    unread = "".join(f" {each.shown} is broken: {each.problem}." for each in found if each.problem is not None)
    raise ImportError(
        f"{class_name} is the plugin {name!r} of a file that {VARIABLE} does not name.{unread} "
        f"Name the file or its folder there, or with `--plugins-dir`"
    )


# -- reading -----------------------------------------------------------------------------------------------------------


def _files_in(place: Path) -> list[Path]:
    """Return the plugin files at *place*; *place* itself if it cannot be read, so that this is reported."""
    try:
        if not place.is_dir():
            return [place]
        found = [each for each in sorted(place.iterdir()) if each.suffix == ".py" and not each.name.startswith("_")]
    except OSError:
        return [place]
    return [each for each in found if each.is_file()] or [place]


def _read(file: Path) -> PluginFile:
    try:
        if file.is_dir():
            os.listdir(file)  # raises if the folder cannot be read
            raise ConfigurationError(f"this folder, which {VARIABLE} names, has no plugin file NAME.py")
        if not file.exists():
            raise ConfigurationError(f"no such file or folder, but {VARIABLE} names it")
        if not file.is_file() or file.suffix != ".py":
            raise ConfigurationError("it is not a Python file NAME.py")
        if _is_main(file):
            raise ConfigurationError("it is the running script. Move the class to a file of its own")
        classes = _classes(ast.parse(file.read_bytes(), file.name))
        if len(classes) != 1:
            raise ConfigurationError(_miscounted([class_name for class_name, _ in classes]))
    except Exception as error:  # the file may be unreadable, not Python, or nested too deep for the parser
        return PluginFile(file, file.stem, problem=error)
    class_name, given = classes[0]
    return PluginFile(file, called(given, class_name), class_name)


def _miscounted(names: list[str]) -> str:
    if names:
        return f"it has several plugins: {', '.join(names)}. Move each to a file of its own"
    return "it has no class that derives from Integration or has hooks. If it is not a plugin, start its name with _"


def _is_main(file: Path) -> bool:
    """Whether *file* is the main script of this process: importing it would run it again."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return isinstance(main, str) and os.path.exists(main) and os.path.samefile(main, file)


def _classes(module: ast.Module) -> list[tuple[str, str]]:
    """Return the integrations of *module*, each with its `name`; without base classes of others."""
    kinds = [node for node in module.body if isinstance(node, ast.ClassDef)]
    bases = {kind.name: [_last_name(base) for base in kind.bases] for kind in kinds}
    found: dict[str, str] = {}
    for kind in kinds:
        is_known = any(base.endswith("Integration") or base in found for base in bases[kind.name])
        if is_known or any(map(_is_hook, kind.body)):
            found[kind.name] = _name_in(kind)
    derived_from = {base for kind in kinds for base in bases[kind.name] if base in found}
    return [(name, given) for name, given in found.items() if name not in derived_from and not name.startswith("_")]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_hook(node: ast.stmt) -> bool:
    """Whether *node* is a hook, or looks like one: importing the class then reports what is missing."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    return node.name in HOOKS or any(_last_name(each) == "hookimpl" for each in node.decorator_list)


def _name_in(kind: ast.ClassDef) -> str:
    for node in kind.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        is_name = any(isinstance(target, ast.Name) and target.id == "name" for target in targets)
        if is_name and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return node.value.value
    return ""


# -- importing ---------------------------------------------------------------------------------------------------------


class _Finder:
    """Tells the import system where the modules of plugin files are, so that each is imported once."""

    files: dict[str, str] = {}  # noqa: RUF012  # by the module's name

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a plugin file's module, as a finder of `sys.meta_path`."""
        file = cls.files.get(fullname)
        return importlib.util.spec_from_file_location(fullname, file) if file is not None else None


def _class_of(file: Path, name: str, class_name: str) -> type:
    module_name = _PREFIX + name
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)
    if _Finder.files.get(module_name) != str(file):
        sys.modules.pop(module_name, None)
        _Finder.files[module_name] = str(file)
    kind = getattr(importlib.import_module(module_name), class_name)
    if not isinstance(kind, type) or not hooks_of(kind):
        raise TypeError(f"{class_name} has no hooks")
    return kind
