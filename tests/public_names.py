"""A line for each public name with its signature, as `public_names.txt` has them."""

from __future__ import annotations

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

ROOT = Path(__file__).parents[1]
MODULES = (
    *("refunc.logging", "refunc.runs", "refunc.annotations"),
    *("refunc.plugins", "refunc.plugins.testing", "refunc.frameworks", "refunc.compat.wandb"),
)
#: Every word in code on the pages of the reference: a class may have further members, which are its own business.
DOCUMENTED = frozenset(
    word
    for page in (ROOT / "docs/reference").glob("*.md")
    for code in re.findall(r"```.*?```|`[^`\n]+`", page.read_text("utf-8"), re.DOTALL)
    for word in re.findall(r"\w+", code)
)
#: Sets that the lines are to be written to the file, to be looked at before they are committed.
UPDATE = bool(os.environ.get("REFUNC_UPDATE_GOLDEN"))


def lines_of_module(name: str) -> Iterator[str]:
    """Yield a line for each public name of a module, and for each public name of a class."""
    module = importlib.import_module(name)
    for each in sorted(module.__all__):
        yield from lines_of(f"{name}.{each}", getattr(module, each))


def lines_of(name: str, value: Any) -> Iterator[str]:
    if get_origin(value) is not None:
        yield f"{name} = {str(value).removeprefix('typing.')}"
    elif not isinstance(value, type):
        is_function = inspect.isroutine(value)
        yield f"{name}{signature_of(value)}" if is_function else name  # a library's objects differ by its version
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
    """Return the members that refunc defines in *kind* and its bases, and that a page of the reference names."""
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


def assert_kept(lines: list[str], kept: Path) -> None:
    """Compare *lines* with a file, which the variable has written instead."""
    found = [f"{line}\n" for line in lines]
    if UPDATE:
        kept.write_text("".join(found), "utf-8")
    changed = "".join(
        unified_diff(kept.read_text("utf-8").splitlines(keepends=True), found, kept.name, "the code", n=0)
    )
    assert not changed, f"Mend the code, or change the file as follows (REFUNC_UPDATE_GOLDEN=1 does so):\n{changed}"
