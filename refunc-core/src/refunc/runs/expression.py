"""
A small language for selecting runs: `params.lr < 0.01 and metrics.accuracy.max > 0.9`.

It is a subset of Python's syntax, parsed by `ast` and then interpreted: other syntax is refused with its position, and
`eval` is never used. An expression may come from an untrusted source: its length, its depth and its powers are bounded.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import attrs

from refunc.runs.errors import ExpressionError

_MAX_LENGTH: Final = 2_000
_MAX_DEPTH: Final = 50

#: The names of a run's facts. The first three have values by name.
NAMES: Final = (
    *("params", "metrics", "tags", "results"),
    *("status", "duration", "start_time", "run_id", "run_name", "experiment_id", "experiment_name", "parent_id"),
)
_SPACES: Final = frozenset(NAMES[:4])

#: One run's facts: a value for each of NAMES; for those with values by name, a function of the names after the dot.
Facts = Mapping[str, Any]
Expression = Callable[[Facts], Any]


class _Missing:
    """A value that a run does not have: every comparison with it is false."""

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()

_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda one, other: float(one) ** float(other),  # powers of whole numbers could take forever
}


def compiled(text: str) -> Expression:
    """
    Return *text* as a function of a run's facts.

    Raises:
        ExpressionError: It is not a valid expression of this language.
    """
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(text, _MAX_LENGTH, f"the expression has more than {_MAX_LENGTH:,} characters")
    if "\0" in text:  # versions of the parser differ in the message, and give no place
        raise ExpressionError(text, text.index("\0") + 1, "the expression is not valid: it has a null character")
    lead = len(text) - len(text.lstrip())
    try:
        tree = ast.parse(text.strip().replace("\n", " "), mode="eval")
    except SyntaxError as error:
        column, problem = (error.offset or 0) + lead, error.msg
        if not error.offset:  # the parser's error at the end
            column, problem = len(text.rstrip()) + 1, "it is incomplete"
        raise ExpressionError(text, column, f"the expression is not valid: {problem}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # endless digits or nesting
        raise ExpressionError(
            text, 1, f"the expression is not valid: {str(error) or 'it is nested too deeply'}"
        ) from None
    return _Compiler(text, lead).compile(tree.body, 0)


class _Compiler:
    def __init__(self, text: str, lead: int) -> None:
        self._text = text
        self._lead = lead

    def compile(self, node: ast.expr, depth: int) -> Expression:
        if depth > _MAX_DEPTH:
            raise self._error(node, f"the expression is nested deeper than {_MAX_DEPTH} levels")
        match node:
            case ast.BoolOp():
                return self._boolean(node, [self.compile(part, depth + 1) for part in node.values])
            case ast.Compare():
                parts = [self.compile(part, depth + 1) for part in (node.left, *node.comparators)]
                return self._comparison(node, parts)
            case ast.UnaryOp(op=ast.Not()):
                inner = self.compile(node.operand, depth + 1)
                return lambda facts: not inner(facts)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign):
                inner = self.compile(node.operand, depth + 1)
                factor = -1 if isinstance(sign, ast.USub) else 1
                return lambda facts: _signed(factor, inner(facts))
            case ast.BinOp():
                calculate = _ARITHMETIC.get(type(node.op))
                if calculate is None:
                    raise self._error(node, f"the operation {type(node.op).__name__} is not supported")
                one, other = self.compile(node.left, depth + 1), self.compile(node.right, depth + 1)
                return lambda facts: _calculated(calculate, one(facts), other(facts))
            case ast.Constant(value=str() | int() | float() | None as value):  # bool is an int
                return lambda facts: value
            case ast.Tuple() | ast.List() | ast.Set():
                items = [self.compile(item, depth + 1) for item in node.elts]
                return lambda facts: [item(facts) for item in items]
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._name(node)
            case _:
                raise self._error(node, f"{_kind(node)} is not supported")

    def _boolean(self, node: ast.BoolOp, parts: list[Expression]) -> Expression:
        if isinstance(node.op, ast.And):
            return lambda facts: all(part(facts) for part in parts)
        return lambda facts: any(part(facts) for part in parts)

    def _comparison(self, node: ast.Compare, parts: list[Expression]) -> Expression:
        compares = []
        for place, op in zip(node.comparators, node.ops, strict=True):
            compare = _COMPARISONS.get(type(op))
            if compare is None:
                raise self._error(place, "`is` is not supported; write ==")
            compares.append(compare)

        def compared(facts: Facts) -> bool:
            values = [part(facts) for part in parts]
            return all(
                _holds(compare, one, other) for compare, one, other in zip(compares, values, values[1:], strict=False)
            )

        return compared

    def _name(self, node: ast.expr) -> Expression:
        path: list[str] = []
        place = node
        while not isinstance(place, ast.Name):
            if isinstance(place, ast.Attribute):
                path.append(self._attribute(place))
                place = place.value
            elif isinstance(place, ast.Subscript) and isinstance(place.slice, ast.Constant):
                if not isinstance(place.slice.value, str):
                    raise self._error(place.slice, "a name in brackets must be quoted: params['lr']")
                path.append(place.slice.value)
                place = place.value
            else:
                raise self._error(place, f"{_kind(place)} is not supported")
        root = place.id
        if root not in NAMES:
            near = get_close_matches(root, NAMES, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Known: {', '.join(NAMES)}."
            raise self._error(place, f"unknown name {root!r}.{hint}")
        if root in _SPACES and not path:
            raise self._error(place, f"{root} needs a name after it: {root}.lr or {root}['lr']")
        if root not in _SPACES and path:
            raise self._error(node, f"{root} is a single value and has no names")
        names = tuple(reversed(path))
        if names:
            return lambda facts: facts[root](names)
        return lambda facts: MISSING if facts[root] is None else facts[root]

    def _attribute(self, node: ast.Attribute) -> str:
        """Return the name after the dot as it was typed: the parser normalises it, but names of metrics are not."""
        return self._line[node.value.end_col_offset : node.end_col_offset].decode().rpartition(".")[2].strip()

    @property
    def _line(self) -> bytes:
        """The parsed line as bytes: ast counts bytes, but people count characters."""
        return self._text.strip().replace("\n", " ").encode()

    def _error(self, node: ast.expr, problem: str) -> ExpressionError:
        column = len(self._line[: node.col_offset].decode(errors="replace")) + self._lead + 1
        return ExpressionError(self._text, column, problem)


def _holds(compare: Callable[[Any, Any], Any], one: Any, other: Any) -> bool:
    if one is MISSING or other is MISSING:
        return False
    try:
        return bool(compare(one, other))
    except TypeError:  # a text and a number cannot be compared
        return False


@attrs.frozen(eq=False)
class Descending:
    """A text with a minus sign: it sorts in reverse order, and equals nothing."""

    text: str

    def __lt__(self, other: object) -> bool:
        return other.text < self.text if isinstance(other, Descending) else NotImplemented


def _signed(factor: int, value: Any) -> Any:
    if isinstance(value, str):
        return Descending(value) if factor < 0 else value
    return _calculated(operator.mul, factor, value)


def _calculated(calculate: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
    """Return the result for two numbers; MISSING for other values, or if there is no result."""
    if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
        return MISSING
    try:
        result = calculate(one, other)
    except (ArithmeticError, ValueError):
        return MISSING
    return MISSING if isinstance(result, complex) else result


def _kind(node: ast.AST) -> str:
    return {"Call": "a call", "Lambda": "a lambda", "IfExp": "if … else"}.get(type(node).__name__, type(node).__name__)
