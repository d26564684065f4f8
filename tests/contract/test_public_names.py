"""
The public names with their signatures, one line each, in `public_names.txt`; and who imports which modules.

A line that is gone or changed breaks somebody's program: it needs a major version. A new line is a promise.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
from collections.abc import Iterator
from difflib import unified_diff
from enum import Enum
from pathlib import Path
from typing import Any, get_origin

import attrs
import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "public_names.txt"
MODULES = ("refunc.logging", "refunc.runs", "refunc.plugins", "refunc.plugins.testing", "refunc.frameworks")
#: Every word in code on the pages of the reference: a class may have further members, which are its own business.
DOCUMENTED = frozenset(
    word
    for page in (ROOT / "docs/reference").glob("*.md")
    for code in re.findall(r"```.*?```|`[^`\n]+`", page.read_text("utf-8"), re.DOTALL)
    for word in re.findall(r"\w+", code)
)
#: Sets that the lines are to be written to the file, to be looked at before they are committed.
UPDATE = bool(os.environ.get("REFUNC_UPDATE_GOLDEN"))


def public_lines() -> Iterator[str]:
    """Yield a line for each public name of the public modules, and for each public name of a class."""
    for module in MODULES:
        for name in sorted(importlib.import_module(module).__all__):
            yield from lines_of(f"{module}.{name}", getattr(importlib.import_module(module), name))


def lines_of(name: str, value: Any) -> Iterator[str]:
    if get_origin(value) is not None:
        yield f"{name} = {str(value).removeprefix('typing.')}"
    elif not isinstance(value, type):
        is_function = inspect.isroutine(value)
        yield f"{name}{signature_of(value)}" if is_function else name  # what a library makes differs by its version
    elif issubclass(value, Enum):
        yield f"class {name}: {', '.join(f'{each.name} = {each.value}' for each in value)}"
    else:
        base = next((each.__name__ for each in value.__mro__[1:-1] if is_public(each)), "")
        is_own = is_of_refunc(value.__init__) or is_of_refunc(value.__new__) or issubclass(value, tuple)
        kind = f" is a{'n' * base.startswith(tuple('AEIOU'))} {base}" if base else ""
        yield f"class {name}{signature_of(value) if is_own else ''}{kind}"
        taken = set(inspect.signature(value).parameters) if is_own else set()
        for member, part in sorted(members_of(value).items()):
            if member not in taken:
                yield from member_lines(f"{name}.{member}", part)


def is_of_refunc(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] == "refunc"


def is_public(kind: type) -> bool:
    return not is_of_refunc(kind) or any(kind.__name__ in importlib.import_module(module).__all__ for module in MODULES)


def members_of(kind: type) -> dict[str, Any]:
    """Return what refunc defines in *kind* and its bases, where a page of the reference names it."""
    found: dict[str, Any] = {}
    for base in filter(is_of_refunc, reversed(kind.__mro__)):
        found.update(vars(base))
        found.update(inspect.get_annotations(base))
    return {name: part for name, part in found.items() if name in DOCUMENTED and not name.startswith("_")}


def member_lines(name: str, part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield f"{name}: {part}"
    elif isinstance(part, property):
        yield f"{name}: {annotation_text(inspect.signature(part.fget).return_annotation)}"  # type: ignore[arg-type]
    elif isinstance(part, (staticmethod, classmethod)):
        yield f"{name}{signature_of(part.__func__)}"
    elif inspect.isfunction(part):
        yield f"{name}{signature_of(part)}"


def signature_of(function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [
        each.replace(
            annotation=each.empty if each.annotation is each.empty else _Text(annotation_text(each.annotation)),
            default=each.empty if each.default is each.empty else _Text(default_text(each.default)),
        )
        for each in signature.parameters.values()
        if each.name not in ("self", "cls")
    ]
    returned = signature.return_annotation
    tail = "" if returned is signature.empty or isinstance(function, type) else f" -> {annotation_text(returned)}"
    return f"{signature.replace(parameters=parameters, return_annotation=signature.empty)}{tail}"


def annotation_text(annotation: Any) -> str:
    annotation = getattr(annotation, "__forward_arg__", annotation)  # of a named tuple
    if isinstance(annotation, str):
        return annotation.replace('"', "'")
    return getattr(annotation, "__name__", str(annotation)) if get_origin(annotation) is None else str(annotation)


def default_text(default: Any) -> str:
    if isinstance(default, Enum) and type(default).__module__.startswith("refunc"):
        return str(default.name)
    is_plain = default is None or type(default) in (bool, int, float, str, tuple, list, dict)
    return repr(default) if is_plain and default is not attrs.NOTHING else "..."


class _Text(str):
    """A text that stands in a signature as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def test_the_public_names_and_their_signatures_are_those_that_were_promised() -> None:
    lines = [f"{line}\n" for line in public_lines()]
    if UPDATE:
        KEPT.write_text("".join(lines), "utf-8")

    kept = KEPT.read_text("utf-8").splitlines(keepends=True)
    changed = "".join(unified_diff(kept, lines, f"{KEPT.name}", "the code", n=0))
    assert not changed, f"Mend the code, or change the file as follows (REFUNC_UPDATE_GOLDEN=1 does so):\n{changed}"


@pytest.mark.parametrize("module", MODULES)
def test_a_public_name_is_there_and_has_a_docstring(module: str) -> None:
    loaded = importlib.import_module(module)
    undocumented = {"FROM_ENV", "Delivery"}  # values, which have comments

    assert [name for name in loaded.__all__ if name not in undocumented and not getattr(loaded, name).__doc__] == []


#: Where a plugin imports an inner module, and why.
INNER = {
    ("rows.py", "refunc_commands.importing.wandb"): "the one reader of W&B's own files, which `refunc import` has too",
}


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and module of each import of refunc in *path*; of `from refunc import x`, `refunc.x`."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            names = [f"refunc.{alias.name}" for alias in node.names] if module == "refunc" else [module]
        yield from ((node.lineno, name) for name in names if name.partition(".")[0] == "refunc")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "folder",
    ["refunc-mlflow/src", "refunc-wandb/src", "refunc-prometheus/src", "refunc-slack/src", "docs/examples", "examples"],
)
def test_plugins_of_this_repository_and_examples_import_public_modules_only(folder: str) -> None:
    """They can do no more than the plugin of another author can."""
    sources = sorted((ROOT / folder).rglob("*.py"))
    inner = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in sources
        for line, module in imported_modules(path)
        if module not in MODULES and (path.name, module) not in INNER
    ]

    assert sources
    assert inner == []


def test_the_page_of_public_names_has_the_public_modules() -> None:
    page = (ROOT / "docs/reference/public-names.md").read_text("utf-8")

    assert [module for module in MODULES if f"`{module}`" not in page] == []
