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
from refunc.runs.expression.asked import ALONE, CALCULATED, IS_MISSING, NAMES, ROOTS, SPACES, Asked, Path, Site
from refunc.runs.expression.hints import (
    hint_for_call,
    hint_for_condition,
    hint_for_name,
    hint_for_operation,
    kind_of,
)
from refunc.runs.expression.syntax import Syntax, is_name, literal_of, parsed, root_of, unsigned
from refunc.runs.expression.times import CLOCKS, clock_of, seconds_beside
from refunc.runs.expression.values import (
    COMPARISONS,
    MISSING,
    Operation,
    calculated,
    is_true,
    number_in,
)
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


@attrs.frozen
class Expression:
    """A compiled expression: call it with the facts of a run, which must have the paths that it *asks* for."""

    text: str
    read: Read
    asks: tuple[Asked, ...]
    sites: tuple[Site, ...]
    #: Whether it is one name, such as `params.lr`, with or without a sign.
    is_name: bool
    #: Whether the highest value comes first; its own is without the minus that says so.
    descends: bool = False

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
    Return *text* as a function of a run's facts, to group by.

    A single name may have other characters here without brackets: `metrics.val/loss.min`. Raises ExpressionError.
    """
    return _value(text, _Compiler.compile)


def compiled_order(text: str) -> Expression:
    """Return *text* as `compiled_value` does, to sort by: a minus before it reverses the order, of texts too."""
    return _value(text, _Compiler.order)


def _value(text: str, compile: Callable[[_Compiler, ast.expr, int], Read]) -> Expression:
    try:
        found = _expression(text, compile)
    except ExpressionError:
        name = _SINGLE.fullmatch(text.strip())
        if name is None:
            raise
        sign, root, rest = name.groups()
        quoted = "".join(f"[{part!r}]" for part in rest.split("."))
        return attrs.evolve(_expression(f"{sign}{root}{quoted}", compile), text=text)
    if isinstance(parsed(text).body, (ast.Tuple, ast.List, ast.Set)):
        hint = "give each of several groups by itself"
        raise ExpressionError(text, 1, f"a list is not one value to sort or group by; {hint}")
    return found


def _expression(text: str, compile: Callable[[_Compiler, ast.expr, int], Read]) -> Expression:
    syntax = parsed(text)
    compiler = _Compiler(syntax)
    read = compile(compiler, syntax.body, 0)
    named = is_name(unsigned(syntax.body)[0])
    return Expression(text, read, tuple(compiler.asks), tuple(compiler.sites), named, compiler.descends)


class _Compiler:
    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._parents = {child: node for node in ast.walk(syntax.body) for child in ast.iter_child_nodes(node)}
        self.asks: list[Asked] = []
        self.sites: list[Site] = []
        self.descends = False

    def condition(self, node: ast.expr, depth: int) -> Read:
        """
        Compile *node* where it is asked whether it holds.

        A tag holds for each run that has it, and a param if it is True. A text, a number or a list holds for each run:
        it is a mistake, such as `params.model == 'vit' or 'mlp'`.
        """
        read = self.compile(node, depth)
        if (hint := hint_for_condition(node, self._parents)) is not None:
            raise self._syntax.error(node, hint)
        if not isinstance(node, (ast.Attribute, ast.Subscript)):
            return read
        asked = self.asks[-1]
        if asked.path[0] == "tags":
            return lambda facts: read(facts) is not MISSING
        self.sites.append(Site(asked.path, ALONE, (True,), asked.column, is_left=True))
        return lambda facts: is_true(read(facts))

    def order(self, node: ast.expr, depth: int) -> Read:
        """Compile what runs are sorted by, without its sign."""
        bare, self.descends = unsigned(node)
        return self.compile(bare, depth)

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
                factor, inner = -1 if isinstance(sign, ast.USub) else 1, self._number(node.operand, depth)
                return lambda facts: calculated(operator.mul, factor, inner(facts))
            case ast.BinOp():
                calculate = _ARITHMETIC.get(type(node.op))
                if calculate is None:
                    raise self._syntax.error(node, hint_for_operation(node.op))
                one, other = self._number(node.left, depth), self._number(node.right, depth)
                return lambda facts: calculated(calculate, one(facts), other(facts))
            case ast.Constant(value=str() | int() | float() | None):  # bool is an int
                value = self._syntax.value_of(node)
                return lambda facts: value
            case ast.Tuple() | ast.List() | ast.Set():
                items = [self.compile(item, depth + 1) for item in node.elts]
                return lambda facts: [item(facts) for item in items]
            case ast.Name(id="inf"):
                return lambda facts: math.inf
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._name(node)
            case _:
                raise self._syntax.error(node, f"{kind_of(node)} is not supported{hint_for_call(node)}")

    def _number(self, node: ast.expr, depth: int) -> Read:
        """Compile a part of a calculation."""
        read = self.compile(node, depth + 1)
        if is_name(node) and self.asks:
            self.sites.append(Site(self.asks[-1].path, CALCULATED, (0,), self._syntax.column(node), is_left=True))
        return read

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
        if "in" in op and literal_of(other) is not MISSING and self._syntax.is_in_brackets(other):
            other = ast.copy_location(ast.Tuple([other], ast.Load()), other)  # a list of one, as people mean it
        left = self._operand(one, other, op, depth)
        if op in ("~", "!~"):
            return self._pattern(one, left, op, other)
        right = self._operand(other, one, op, depth)
        if "in" in op and not isinstance(literal_of(other), (str, type(MISSING))):
            values = f"({self._syntax.written(other)},)"
            raise self._syntax.error(other, f"`{op}` needs several values, or a text to search: {op} {values}")
        compare = COMPARISONS[op]
        self._note_site(one, op, other)
        return lambda facts: compare(left(facts), right(facts))

    def _operand(self, node: ast.expr, against: ast.expr, op: str, depth: int) -> Read:
        """Compile one side of a comparison: a text beside a time is a time."""
        clock = clock_of(against)
        seconds = seconds_beside(clock, node, op, self._syntax) if clock is not None else None
        if seconds is not None:
            return lambda facts: seconds
        text = literal_of(node)
        if isinstance(against, ast.BinOp) and isinstance(text, str) and number_in(text) is None:
            raise self._syntax.error(node, "a calculation gives a number, and cannot be compared with a text")
        return self.compile(node, depth)

    def _is_missing(self, one: ast.expr, op: str, other: ast.expr, depth: int) -> Read:
        if not (isinstance(other, ast.Name) and other.id == "missing"):
            raise self._syntax.error(other, "`is` needs the word `missing`, as in params.lr is missing; or write ==")
        read, expected = self.compile(one, depth), op == "is"
        if is_name(one) and self.asks:
            self.sites.append(Site(self.asks[-1].path, IS_MISSING, (), self._syntax.column(one), is_left=True))
        return lambda facts: (read(facts) is MISSING) is expected

    def _pattern(self, one: ast.expr, read: Read, op: str, other: ast.expr) -> Read:
        if not (isinstance(other, ast.Constant) and isinstance(other.value, str)):
            raise self._syntax.error(other, "a pattern is a quoted text, in which * is any text and ? any character")
        if (clock := clock_of(one)) is not None:
            seconds_beside(clock, other, op, self._syntax)
        self._note_site(one, op, other)
        patterns, expected = Patterns([other.value]), op == "~"

        def matches(facts: Facts) -> bool:
            value = read(facts)
            return isinstance(value, str) and (patterns.last_match(value) is not None) is expected

        return matches

    def _note_site(self, one: ast.expr, op: str, other: ast.expr) -> None:
        """Remember a comparison of a name with a value, whose kind the runs' values may not have."""
        for node, literal in ((one, other), (other, one)):
            if not is_name(node):
                continue
            listed = literal.elts if isinstance(literal, (ast.Tuple, ast.List, ast.Set)) and "in" in op else None
            given = [literal_of(value) for value in ([literal] if listed is None else listed)]
            path = next((asked.path for asked in self.asks if asked.column == self._syntax.column(root_of(node))), None)
            is_time = path is not None and path[0] in CLOCKS and any(isinstance(each, str) for each in given)
            if path is not None and given and MISSING not in given and not is_time:
                is_left, column = node is one, self._syntax.column(literal)
                is_searched = is_left and "in" in op and listed is None
                self.sites.append(Site(path, op, tuple(given), column, is_left, is_searched))

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
            elif isinstance(inner, ast.Subscript) and isinstance(root_of(inner), ast.Name):
                name = self._syntax.written(inner.slice)
                hint = f"a name in brackets must be quoted: {self._syntax.written(inner.value)}[{name!r}]"
                raise self._syntax.error(inner.slice, hint)
            else:
                raise self._syntax.error(inner, f"{kind_of(inner)} is not supported{hint_for_call(inner)}")
        root = inner.id
        if root not in ROOTS:
            hint = hint_for_name(inner, self._parents, self._syntax.word(inner), SPACES, NAMES)
            raise self._syntax.error(inner, f"unknown name {root!r}.{hint}")
        if root in SPACES and not names:
            hint = " To find runs that have a tag, write tags.NAME is not missing." if root == "tags" else ""
            raise self._syntax.error(inner, f"{root} needs a name after it: {root}.lr or {root}['lr'].{hint}")
        if root not in SPACES and names:
            raise self._syntax.error(node, f"{root} is a single value and has no names")
        path = (root, *names)
        self.asks.append(Asked(path, self._syntax.column(inner)))
        return lambda facts: facts[path]
