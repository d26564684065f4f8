"""Advice for a mistake, by the way in which it was written: as in SQL, without quotes, without brackets."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Final

from refunc.values.near import nearest

#: The words of other languages, and those of this one.
_WORDS: Final = {
    "true": "True",
    "TRUE": "True",
    "false": "False",
    "FALSE": "False",
    "null": "None",
    "NULL": "None",
    "none": "None",
    "nil": "None",
}
_NAN: Final = "nothing equals NaN; write metrics.loss.nans > 0 for a metric with NaN"
#: Texts, which may have anything in them, and words of other languages; the first group that is set counts.
_FOREIGN: Final = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|([^=!<>:]|^)=(?!=)|(&&?)|(\|\|?)|(<>)|(!)(?![=~])|(`)"""
    r"""|\b(AND|OR|NOT|IN|IS|LIKE|like)\b|(~)"""
)
_ADVICE: Final = {
    2: "write `and`",
    3: "write `or`",
    4: "write != for values that differ",
    5: "write `not`",
    6: "a name with other characters is written in brackets and quotes, as in metrics['val/loss']",
    8: "~ stands between a value and its pattern, as in run_name ~ 'resnet*'",
}


def hint_for_syntax(line: str) -> tuple[int, str] | None:
    """Return the position in *line*, which Python cannot parse, at which another language was written, and advice."""
    for found in _FOREIGN.finditer(line):
        group = found.lastindex
        if group is None:
            continue
        if group == 1:
            return found.end() - 1, "write == to compare"
        if group == 7:
            word = found[7]
            advice = "write ~ for a pattern, as in run_name ~ 'resnet*'" if word.lower() == "like" else None
            return found.start(), advice or f"write `{word.lower()}`"
        return found.start(), _ADVICE[group]
    return None


def hint_for_name(
    node: ast.Name, parents: Mapping[ast.AST, ast.AST], written: str, spaces: frozenset[str], known: tuple[str, ...]
) -> str:
    """
    Return advice for the unknown name *node*.

    Args:
        written: The longest sum, difference or quotient around it, as typed.
        spaces: The names that have other names after a dot.
        known: All names.
    """
    name = node.id
    if name in _WORDS:
        return f" Write {_WORDS[name]}."
    if name.lower() == "nan":
        return f" For NaN, {_NAN}."
    root, _, rest = written.partition(".")
    if root in spaces and rest and "[" not in written and " " not in written:
        return f" A name with other characters is written in brackets and quotes: {in_brackets(root, rest)}."
    near = nearest(name, known)
    if near and not _is_compared_with(node, parents):
        return f" Did you mean {near[0]}?"
    if _is_compared_with(node, parents):
        return f" If it is a text, quote it: '{name}'."
    return f" Write params.{name} for a param, or metrics.{name} for a metric. Known: {', '.join(known)}."


def hint_for_call(node: ast.AST) -> str:
    """Return advice for `float('inf')` and the like, as the end of a sentence."""
    match node:
        case ast.Call(args=[ast.Constant(value=str() as text)]) if text.strip("+-").lower() in ("inf", "infinity"):
            return "; write inf"
        case ast.Call(args=[ast.Constant(value=str() as text)]) if text.lower() == "nan":
            return f"; {_NAN}"
    return ""


def in_brackets(root: str, rest: str) -> str:
    """Return `metrics['val/loss'].min` for `metrics` and `val/loss.min`."""
    name, dot, last = rest.rpartition(".")
    if root == "metrics" and dot and last.isidentifier():
        return f"{root}[{name!r}].{last}"
    return f"{root}[{rest!r}]"


def around(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> ast.expr:
    """Return the longest sum, difference or quotient that *node* is a part of, or its name with all after the dots."""
    top = node
    while isinstance(parent := parents.get(top), (ast.Attribute, ast.Subscript)) or (
        isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Div, ast.Sub, ast.Add, ast.Mod))
    ):
        top = parent
    assert isinstance(top, ast.expr)
    return top


def _is_compared_with(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether *node* is on the right of a comparison, or in a list there."""
    parent = parents.get(node)
    if isinstance(parent, (ast.List, ast.Tuple, ast.Set)):
        node, parent = parent, parents.get(parent)
    return isinstance(parent, ast.Compare) and node in parent.comparators
