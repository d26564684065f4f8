"""
From a text to Python's syntax tree.

Python has no binary `~`. For its parser, `~` is written as `<` and `!~` as `!=`, which are as long and bind as
strongly, and `Syntax.operator` reads the original text.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any, Final

import attrs

from refunc.runs.errors import ExpressionError
from refunc.runs.expression.hints import hint_for_syntax
from refunc.runs.expression.values import MISSING

_MAX_LENGTH: Final = 2_000
#: A quoted text, whose inside is no operator; or the operator for patterns. Each character is looked at once.
_PATTERN: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(!?~)(?!=)""")
#: Two texts side by side, which Python would join.
_JOINED: Final = re.compile(r"""(?!'''|\"{3})(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*['"]""")
#: A name as it was typed, with all characters that a metric's name may have but those of the language.
_WORD: Final = re.compile(rb"[^\s()\[\]<>=!~,*+'\"]+")
#: What stands for a byte of a command line that is not UTF-8.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WRITTEN: Final = {"~": "<", "!~": "!="}
_OPERATORS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}


@attrs.frozen
class Syntax:
    """An expression as a tree, and the positions of its parts in the *text* that the user wrote."""

    text: str
    body: ast.expr
    #: The parsed line as bytes: ast counts bytes, but people count characters.
    _line: bytes
    #: The characters before it.
    _lead: int

    def operator(self, before: ast.expr, kind: ast.cmpop, after: ast.expr) -> str:
        """Return the comparison between two nodes as the user wrote it."""
        between = self._line[before.end_col_offset : after.col_offset]
        written = _OPERATORS[type(kind)]
        return {"<": "~", "!=": "!~"}[written] if b"~" in between else written

    def attribute(self, node: ast.Attribute) -> str:
        """Return the name after the dot as it was typed: the parser normalises it, but names of metrics are not."""
        return self._line[node.value.end_col_offset : node.end_col_offset].decode().rpartition(".")[2].strip()

    def written(self, node: ast.expr) -> str:
        """Return *node* as it was typed."""
        return self._line[node.col_offset : node.end_col_offset].decode(errors="replace")

    def is_in_brackets(self, node: ast.expr) -> bool:
        """Whether round brackets stand directly around *node*: the parser leaves them out."""
        before, after = self._line[: node.col_offset].rstrip(), self._line[node.end_col_offset :].lstrip()
        return before.endswith(b"(") and after.startswith(b")")

    def value_of(self, node: ast.Constant) -> Any:
        """Return the value of *node*; raise an error if it is two texts that Python would join."""
        if isinstance(node.value, str) and _JOINED.match(self.written(node)):
            raise self.error(node, "nothing stands between two texts; write a comma, as in ('a', 'b')")
        return node.value

    def word(self, node: ast.Name) -> str:
        """Return the name around *node* as it was typed: `metrics.val/loss` of the `loss` in it."""
        words = (found for found in _WORD.finditer(self._line) if found.start() <= node.col_offset < found.end())
        return "".join(found[0].decode(errors="replace").lstrip("-") for found in words)

    def column(self, node: ast.expr) -> int:
        """Return the position of *node* in the text, from 1 on."""
        return len(self._line[: node.col_offset].decode(errors="replace")) + self._lead + 1

    def error(self, node: ast.expr, problem: str) -> ExpressionError:
        """Return the error that *node* has a *problem*."""
        return ExpressionError(self.text, self.column(node), problem)


def parsed(text: str) -> Syntax:
    """
    Return the syntax tree of *text*.

    Raises:
        ExpressionError: It does not have one.
        TypeError: It is not a text.
    """
    if not isinstance(text, str):
        raise TypeError(f"an expression is a text, such as 'params.lr < 0.01', and not {type(text).__name__}")
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(text, _MAX_LENGTH, f"the expression has more than {_MAX_LENGTH:,} characters")
    if "\0" in text:  # versions of the parser differ in the message, and give no position
        raise ExpressionError(text, text.index("\0") + 1, "the expression is not valid: it has a null character")
    if (broken := _SURROGATE.search(text)) is not None:
        problem = "the expression is not valid: it has a character that is half of another one"
        raise ExpressionError(text, broken.start() + 1, problem)
    lead = len(text) - len(text.lstrip())
    line = text.strip().replace("\n", " ")
    try:
        tree = ast.parse(_PATTERN.sub(_for_python, line), mode="eval")
    except SyntaxError as error:
        column, problem = (error.offset or 0) + lead, error.msg
        if not error.offset:  # the parser's error at the end
            column, problem = len(text.rstrip()) + 1, "it is incomplete"
        found = hint_for_syntax(line)
        if found is not None:
            at, problem = found
            column = at + lead + 1
        raise ExpressionError(text, column, f"the expression is not valid: {problem}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # endless digits or nesting
        problem = str(error) or "it is nested too deeply"
        raise ExpressionError(text, 1, f"the expression is not valid: {problem}") from None
    return Syntax(text, tree.body, line.encode(), lead)


def _for_python(found: re.Match[str]) -> str:
    return _WRITTEN[found[1]] if found[1] else found[0]


def literal_of(node: ast.expr) -> Any:
    """Return the value of a constant, also with a minus sign; MISSING for other nodes."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float() as value)):
            return value
        case ast.Name(id="inf"):
            return math.inf
    return MISSING


def is_name(node: ast.expr) -> bool:
    """Whether *node* is the name of a run's fact, such as `params.lr`."""
    return isinstance(node, (ast.Attribute, ast.Subscript)) or (isinstance(node, ast.Name) and node.id != "inf")


def root_of(node: ast.expr) -> ast.expr:
    """Return the `params` of `params.optimizer.name`."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node


def unsigned(node: ast.expr) -> tuple[ast.expr, bool]:
    """Return *node* without the signs before it, and whether they are a minus together."""
    is_negative = False
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        is_negative ^= isinstance(node.op, ast.USub)
        node = node.operand
    return node, is_negative
