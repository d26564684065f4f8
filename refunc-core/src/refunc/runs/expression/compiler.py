"""From a text to a function of a run's facts."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from refunc.runs.errors import ExpressionError
from refunc.runs.expression.asked import NAMES, ROOTS, SPACES, Asked, Path, Site
from refunc.runs.expression.hints import around, hint_for_call, hint_for_name
from refunc.runs.expression.syntax import Syntax, parsed
from refunc.runs.expression.values import COMPARISONS, MISSING, Operation, calculated, signed
from refunc.values.moments import AGES, MOMENTS, age_of, moment_of
from refunc.values.patterns import Patterns

_MAX_DEPTH: Final = 50
#: One name, without spaces, quotes and brackets.
_SINGLE: Final = re.compile(rf"(-?)({'|'.join(sorted(SPACES))})\.([^\s'\"()\[\]]+)")

#: The values of a run, by the paths that expressions ask for; MISSING for the others.
Facts = Mapping[Path, Any]
Read = Callable[[Facts], Any]

_ARITHMETIC: Final[dict[type[ast.operator], Operation]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda one, other: float(one) ** float(other),  # powers of whole numbers could take forever
}
#: The facts that a text is compared with as a time or as an age, and how it is written.
_TIMES: Final[dict[str, tuple[Callable[[str], float | None], str]]] = {
    "start_time": (moment_of, f"a time: write it as {MOMENTS}"),
    "duration": (age_of, f"a time span: write it as {AGES}"),
}


@attrs.frozen
class Expression:
    """A compiled expression: call it with the facts of a run, which must have the paths that it *asks* for."""

    text: str
    read: Read
    asks: tuple[Asked, ...]
    sites: tuple[Site, ...]

    def __call__(self, facts: Facts) -> Any:
        """Return its value for one run."""
        return self.read(facts)

    @property
    def paths(self) -> frozenset[Path]:
        """The facts that it reads."""
        return frozenset(asked.path for asked in self.asks)


def compiled(text: str) -> Expression:
    """
    Return *text* as a function of a run's facts.

    Raises:
        ExpressionError: It is not a valid expression of this language.
    """
    return _expression(text, _Compiler.condition)


def compiled_value(text: str) -> Expression:
    """
    Return *text* as a function of a run's facts, to sort or to group by.

    A single name may have other characters here without brackets: `-metrics.val/loss.min`.

    Raises:
        ExpressionError: It is not a valid expression of this language.
    """
    try:
        return _expression(text, _Compiler.compile)
    except ExpressionError:
        name = _SINGLE.fullmatch(text.strip())
        if name is None:
            raise
        sign, root, rest = name.groups()
        quoted = "".join(f"[{part!r}]" for part in rest.split("."))
        return attrs.evolve(_expression(f"{sign}{root}{quoted}", _Compiler.compile), text=text)


def _expression(text: str, compile: Callable[[_Compiler, ast.expr, int], Read]) -> Expression:
    syntax = parsed(text)
    compiler = _Compiler(syntax)
    read = compile(compiler, syntax.body, 0)
    return Expression(text, read, tuple(compiler.asks), tuple(compiler.sites))


class _Compiler:
    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._parents = {child: node for node in ast.walk(syntax.body) for child in ast.iter_child_nodes(node)}
        self.asks: list[Asked] = []
        self.sites: list[Site] = []

    def condition(self, node: ast.expr, depth: int) -> Read:
        """Compile *node* where it is asked whether it holds: a tag holds for each run that has it."""
        read = self.compile(node, depth)
        if isinstance(node, (ast.Attribute, ast.Subscript)) and self.asks[-1].path[0] == "tags":
            return lambda facts: read(facts) is not MISSING
        return read

    def compile(self, node: ast.expr, depth: int) -> Read:
        if depth > _MAX_DEPTH:
            raise self._syntax.error(node, f"the expression is nested deeper than {_MAX_DEPTH} levels")
        match node:
            case ast.BoolOp():
                parts = [self.condition(part, depth + 1) for part in node.values]
                if isinstance(node.op, ast.And):
                    return lambda facts: all(part(facts) for part in parts)
                return lambda facts: any(part(facts) for part in parts)
            case ast.Compare():
                return self._comparisons(node, depth)
            case ast.UnaryOp(op=ast.Not()):
                inner = self.condition(node.operand, depth + 1)
                return lambda facts: not inner(facts)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign):
                inner = self.compile(node.operand, depth + 1)
                factor = -1 if isinstance(sign, ast.USub) else 1
                return lambda facts: signed(factor, inner(facts))
            case ast.BinOp():
                calculate = _ARITHMETIC.get(type(node.op))
                if calculate is None:
                    raise self._syntax.error(node, f"the operation {type(node.op).__name__} is not supported")
                one, other = self.compile(node.left, depth + 1), self.compile(node.right, depth + 1)
                return lambda facts: calculated(calculate, one(facts), other(facts))
            case ast.Constant(value=str() | int() | float() | None as value):  # bool is an int
                return lambda facts: value
            case ast.Tuple() | ast.List() | ast.Set():
                items = [self.compile(item, depth + 1) for item in node.elts]
                return lambda facts: [item(facts) for item in items]
            case ast.Name(id="inf"):
                return lambda facts: math.inf
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._name(node)
            case _:
                raise self._syntax.error(node, f"{_kind(node)} is not supported{hint_for_call(node)}")

    # -- comparisons -------------------------------------------------------------------------------------------------

    def _comparisons(self, node: ast.Compare, depth: int) -> Read:
        operands = [node.left, *node.comparators]
        links = [
            self._comparison(one, self._syntax.operator(one, kind, other), other, depth + 1)
            for one, kind, other in zip(operands, node.ops, operands[1:], strict=False)
        ]
        return links[0] if len(links) == 1 else lambda facts: all(link(facts) for link in links)

    def _comparison(self, one: ast.expr, op: str, other: ast.expr, depth: int) -> Read:
        if op in ("is", "is not"):
            return self._is_missing(one, op, other, depth)
        left = self._operand(one, other, op, depth)
        if op in ("~", "!~"):
            return self._pattern(one, left, op, other)
        right = self._operand(other, one, op, depth)
        compare = COMPARISONS[op]
        self._note_site(one, op, other)
        return lambda facts: compare(left(facts), right(facts))

    def _operand(self, node: ast.expr, against: ast.expr, op: str, depth: int) -> Read:
        """Compile one side of a comparison: a text beside a time is a time."""
        known = _TIMES.get(against.id) if isinstance(against, ast.Name) else None
        if known is None or not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            return self.compile(node, depth)
        assert isinstance(against, ast.Name)
        read, expected = known
        value = read(node.value)
        if value is None:
            raise self._syntax.error(node, f"{node.value!r} is not {expected}")
        if op not in ("<", "<=", ">", ">="):
            hint = f"write {against.id} >= and {against.id} < for a span of it"
            raise self._syntax.error(node, f"{against.id} is exact to the microsecond, so {op} never fits; {hint}")
        return lambda facts: value

    def _is_missing(self, one: ast.expr, op: str, other: ast.expr, depth: int) -> Read:
        if not (isinstance(other, ast.Name) and other.id == "missing"):
            raise self._syntax.error(other, "`is` needs the word `missing`, as in params.lr is missing; or write ==")
        read, expected = self.compile(one, depth), op == "is"
        return lambda facts: (read(facts) is MISSING) is expected

    def _pattern(self, one: ast.expr, read: Read, op: str, other: ast.expr) -> Read:
        if not (isinstance(other, ast.Constant) and isinstance(other.value, str)):
            raise self._syntax.error(other, "a pattern is a quoted text, in which * is any text and ? any character")
        self._note_site(one, op, other)
        patterns, expected = Patterns([other.value]), op == "~"

        def matches(facts: Facts) -> bool:
            value = read(facts)
            return isinstance(value, str) and (patterns.last_match(value) is not None) is expected

        return matches

    def _note_site(self, one: ast.expr, op: str, other: ast.expr) -> None:
        """Remember a comparison of a name with a value, whose kind the runs' values may not have."""
        for node, literal in ((one, other), (other, one)):
            if not isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
                continue
            values = [literal]
            if isinstance(literal, (ast.Tuple, ast.List, ast.Set)) and "in" in op:
                values = literal.elts
            given = [_literal(value) for value in values]
            path = next((asked.path for asked in self.asks if asked.column == self._syntax.column(_root(node))), None)
            if path is not None and given and MISSING not in given and path[0] not in _TIMES:
                self.sites.append(Site(path, op, tuple(given), self._syntax.column(literal), is_left=node is one))

    # -- names -------------------------------------------------------------------------------------------------------

    def _name(self, node: ast.expr) -> Read:
        names: list[str] = []
        inner = node
        while not isinstance(inner, ast.Name):
            if isinstance(inner, ast.Attribute):
                names.insert(0, self._syntax.attribute(inner))
                inner = inner.value
            elif isinstance(inner, ast.Subscript) and isinstance(inner.slice, ast.Constant):
                if not isinstance(inner.slice.value, str):
                    raise self._syntax.error(inner.slice, "a name in brackets must be quoted: params['lr']")
                names.insert(0, inner.slice.value)
                inner = inner.value
            else:
                raise self._syntax.error(inner, f"{_kind(inner)} is not supported")
        root = inner.id
        if root not in ROOTS:
            top = around(inner, self._parents)
            hint = hint_for_name(inner, self._parents, self._syntax.written(top), SPACES, NAMES)
            raise self._syntax.error(inner, f"unknown name {root!r}.{hint}")
        if root in SPACES and not names:
            hint = " To find runs that have a tag, write tags.NAME is not missing." if root == "tags" else ""
            raise self._syntax.error(inner, f"{root} needs a name after it: {root}.lr or {root}['lr'].{hint}")
        if root not in SPACES and names:
            raise self._syntax.error(node, f"{root} is a single value and has no names")
        path = (root, *names)
        self.asks.append(Asked(path, self._syntax.column(inner)))
        return lambda facts: facts[path]


def _literal(node: ast.expr) -> Any:
    """Return the value of a constant, also with a minus sign; MISSING for other nodes."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float() as value)):
            return value
        case ast.Name(id="inf"):
            return math.inf
    return MISSING


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node


def _kind(node: ast.AST) -> str:
    return {"Call": "a call", "Lambda": "a lambda", "IfExp": "if … else"}.get(type(node).__name__, type(node).__name__)
