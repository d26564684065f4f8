"""Advice for a mistake, by the way in which it was written: as in SQL, without quotes, without brackets."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping
from typing import Final

from refunc.runs.statistics import STATISTICS
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
#: The words of other trackers for the names of this language.
_ELSEWHERE: Final = {
    **dict.fromkeys(("config", "hparams", "hyperparams", "hyperparameters", "args"), "params"),
    **dict.fromkeys(("summary", "history"), "metrics"),
    **dict.fromkeys(("state",), "status"),
    **dict.fromkeys(("created", "created_at", "started", "started_at", "date"), "start_time"),
    **dict.fromkeys(("runtime", "took", "elapsed"), "duration"),
    **dict.fromkeys(("hostname", "node"), "host"),
}
#: Words that stand before the facts of a run elsewhere, and mean nothing here.
_OWNERS: Final = frozenset(("run", "runs", "attributes", "attribute"))
NAN: Final = "nothing equals NaN; write metrics.loss.nans > 0 for a metric with NaN"
#: The words that may follow a name, here or in another language.
_LINKS: Final = r"(?i:and|or|not|in|is|if|else|for|like|between|contains|startswith|matches|exists|missing|desc|asc)\b"
_SPACE: Final = r"\b (?:params|metrics|tags|results)\."
#: Texts, which may have anything in them, and words of other languages; the group that is set counts.
_FOREIGN: Final = re.compile(
    rf"""
    {_SPACE} (?P<keyword>{"|".join(keyword.kwlist)}) \b
    | (?P<other>{_SPACE}-\w) | (?P<spaced>{_SPACE}\w[\w.]*) [ \t]+ (?!{_LINKS}) \w
    | (?<=[\w\])]) [ ]+ (?P<order>(?i:desc|asc)) \s*$ | (?P<quotes>[“”‘’„‚«»]) | (?<![\w.]) (?P<comma>\d+,0\d)
    | """
    r"""
    (?:(?<=[^\W\d])|(?<=\])) (?P<name>\.) (?=\s*['"]|\d+[^\W\d])
    | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*"
    | (?:[^=!<>:]|^) (?P<equal>=) (?![=<>]) | (?P<equals>===)
    | (?P<end>=[<>]) | (?P<differ><>) | (?P<both>&&?) | (?P<either>\|\|?) | (?P<negation>!) (?![=~]) | (?P<quote>`)
    | \b (?P<word>AND|OR|NOT|IN|IS) \b | \b (?P<like>LIKE|like) \b | (?P<tilde>~)
    | (?<![\w.]) (?P<time>\d{4}-\d{1,2}-\d{1,2}|\d{1,2}:\d\d|\d+(?:\.\d+)?[smhdw]\b)
    | (?<![\w.]) (?<!is\ ) (?<!not\ ) (?P<having>exists|EXISTS|missing|MISSING) \b
    | (?<![\w.]) (?P<between>between|BETWEEN) \b | (?<![\w.]) (?P<search>contains|CONTAINS|startswith|matches) \b
    """,
    re.VERBOSE,
)
_BRACKETS: Final = "a name with other characters is written in brackets and quotes, as in metrics['val/loss']"
_PATTERN: Final = "write ~ for a pattern, as in run_name ~ 'resnet*'"
_ADVICE: Final = {
    "name": _BRACKETS,
    "equal": "write == to compare",
    "equals": "write == to compare",
    "end": "write <= or >=",
    "differ": "write != for values that differ",
    "both": "write `and`",
    "either": "write `or`",
    "negation": "write `not`",
    "quote": _BRACKETS,
    "like": _PATTERN,
    "tilde": "~ stands between a value and its pattern, as in run_name ~ 'resnet*'",
    "having": "write params.lr is missing, or params.lr is not missing",
    "between": "write 0 < params.lr < 1",
    "search": f"{_PATTERN}, or 'net' in run_name",
    "other": _BRACKETS,
    "spaced": _BRACKETS,
    "order": "write a minus to sort the highest first, as in -metrics.loss, and nothing for the lowest",
    "quotes": "write straight quotes, ' or \"",
    "comma": "write a decimal with a point",
}


def hint_for_syntax(line: str) -> tuple[int, str] | None:
    """Return the position in *line*, which Python cannot parse, at which another language was written, and advice."""
    for found in _FOREIGN.finditer(line):
        group = found.lastgroup
        if group is None:
            continue
        if group == "word":
            return found.start(), f"write `{found[0].lower()}`"
        if group == "time":
            return found.start(), f"a time is written in quotes: '{found[0]}'"
        if group == "keyword":
            root, _, name = found[0].partition(".")
            return found.start(), f"{name} is a word of the language: write {root}[{name!r}]"
        return found.start(group), _ADVICE[group]
    return None


def hint_for_name(
    node: ast.Name, parents: Mapping[ast.AST, ast.AST], written: str, spaces: frozenset[str], known: tuple[str, ...]
) -> str:
    """
    Return advice for the unknown name *node*.

    Args:
        written: The characters around it, as typed.
        spaces: The names that have other names after a dot.
        known: All names.
    """
    name = node.id
    if name in _WORDS:
        return f" Write {_WORDS[name]}."
    if name.lower() == "nan":
        return f" For NaN, {NAN}."
    if name == "missing":
        return " Write `is missing` after a name, as in params.lr is missing."
    if name.lower() in _OWNERS and "." in written:
        return f" Leave {name}. out: write status, params.lr or metrics.loss."
    root, _, rest = written.partition(".")
    if root in spaces and rest:
        return f" A name with other characters is written in brackets and quotes: {in_brackets(root, rest)}."
    if _is_compared_with(node, parents):
        return f" If it is a text, quote it: '{name}'."
    near = _near(name, known)
    if near:
        return f" Did you mean {' or '.join(near)}?"
    whole = written if written.startswith(f"{name}.") or "/" in written else name  # but not that of `lr-1`
    param, metric = (_dotted(space, whole) for space in ("params", "metrics"))
    return f" Write {param} for a param, or {metric} for a metric. Known: {', '.join(known)}."


def _near(name: str, known: tuple[str, ...]) -> list[str]:
    """Return those of the *known* names that are meant: in other letters, as a part, or in another tracker's words."""
    low = name.lower()
    parts = [each for each in known if low in each.split("_")]
    if low in known or low in _ELSEWHERE:
        return [_ELSEWHERE.get(low, low)]
    return sorted(parts, key=lambda each: not each.endswith("_name")) or nearest(low, known)


def hint_for_condition(node: ast.expr, parents: Mapping[ast.AST, ast.AST]) -> str | None:
    """Return advice if *node*, which is asked whether it holds, is a value that holds for each run or for none."""
    match node:
        case ast.Constant(value=str() as text):
            other = parents.get(node)
            compared = [each.left for each in getattr(other, "values", ()) if isinstance(each, ast.Compare)]
            name = ast.unparse(compared[0]) if compared else "params.model"
            return f"{text!r} is not a condition; write it as in {name} == {text!r}, or {name} in ('a', 'b')"
        case ast.Tuple():
            return (
                "a comma makes a list, which is not a condition; write 1.5 for a number, and `and` between conditions"
            )
        case ast.List() | ast.Set():
            return "a list is not a condition; write it as in params.model in ('a', 'b')"
        case ast.Constant(value=bool()):
            return None
        case ast.Constant() | ast.BinOp() | ast.UnaryOp(op=ast.USub() | ast.UAdd()) | ast.Name(id="inf"):
            return "a number is not a condition; compare it, as in params.lr < 1"
    return None


def hint_for_call(node: ast.AST) -> str:
    """Return advice for `float('inf')` and the like, as the end of a sentence."""
    match node:
        case ast.Call(args=[ast.Constant(value=str() as text)]) if text.strip("+-").lower() in ("inf", "infinity"):
            return "; write inf"
        case ast.Call(args=[ast.Constant(value=str() as text)]) if text.lower() == "nan":
            return f"; {NAN}"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in STATISTICS:
            return f"; write it as in metrics.loss.{name}"
        case ast.Call(func=ast.Attribute(attr="startswith" | "endswith" | "contains" | "match" | "find" | "lower")):
            return f"; {_PATTERN}"
        case ast.Dict():
            return "; write the names of its values, as in params.optimizer.name == 'adam'"
    return ""


#: The operations that expressions do not have, as one writes them, and those that were meant.
_OPERATIONS: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.BitAnd: ("&", "write `and`"),
    ast.BitOr: ("|", "write `or`"),
    ast.BitXor: ("^", "write ** for a power"),
    ast.LShift: ("<<", "write * to multiply"),
    ast.RShift: (">>", "write / to divide"),
    ast.MatMult: ("@", "write * to multiply"),
}


def hint_for_operation(operation: ast.operator) -> str:
    """Return the error for an *operation* that expressions do not have."""
    sign, advice = _OPERATIONS[type(operation)]
    return f"{sign} is not supported; {advice}"


#: The parts of Python that expressions do not have.
_KINDS: Final = {
    "Call": "a call",
    "Lambda": "a lambda",
    "IfExp": "if … else",
    "Dict": "a dict",
    "JoinedStr": "an f-string",
    "NamedExpr": ":=",
    "Starred": "*",
    "Invert": "~",
    "Constant": "a value of this kind",
    **dict.fromkeys(("Tuple", "List", "Set"), "a list here"),
    **dict.fromkeys(("ListComp", "SetComp", "DictComp", "GeneratorExp"), "a comprehension"),
}


def kind_of(node: ast.AST) -> str:
    """Return the word for a part of Python that expressions do not have."""
    return _KINDS.get(type(node).__name__, type(node).__name__)


def _dotted(root: str, rest: str) -> str:
    """Return `metrics.loss.min` for `metrics` and `loss.min`; a name with other characters in brackets."""
    return f"{root}.{rest}" if all(map(str.isidentifier, rest.split("."))) else in_brackets(root, rest)


def in_brackets(root: str, rest: str) -> str:
    """Return `metrics['val/loss'].min` for `metrics` and `val/loss.min`."""
    name, dot, last = rest.rpartition(".")
    if root == "metrics" and dot and last.isidentifier():
        return f"{root}[{name!r}].{last}"
    return f"{root}[{rest!r}]"


def _is_compared_with(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether *node* is on the right of a comparison, or in a list there."""
    parent = parents.get(node)
    if isinstance(parent, (ast.List, ast.Tuple, ast.Set)):
        node, parent = parent, parents.get(parent)
    return isinstance(parent, ast.Compare) and node in parent.comparators
