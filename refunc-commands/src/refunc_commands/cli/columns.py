"""Values of runs that were asked for, as columns of a table: those of `--columns`, `--sort` and `--where`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from refunc.runs.expression.values import MISSING
from refunc.values.moments import moment_text
from refunc.values.quantities import narrow_duration
from refunc_commands.cli.screen import STATUS_STYLES, ago, number, plain
from refunc_commands.cli.streams import shown

if TYPE_CHECKING:
    from refunc.runs.expression.asked import Asked, Path
    from refunc.runs.expression.compiler import Expression

#: A name in `--columns`: a comma within brackets belongs to it.
_COLUMN: Final = re.compile(r"(?:\[[^\]]*\]|[^,\[])+|\[")
#: Facts that every line of `refunc ls` has.
_ALWAYS: Final = frozenset(("status", "run_name", "experiment_name", "start_time", "duration", "run_id"))


@attrs.frozen
class Column:
    """A column with a title: the value at a path, or that of an expression."""

    title: str
    path: Path
    expression: Expression | None = None

    def value(self, values: Mapping[Path, Any]) -> Any:
        """Return the value of a run with these *values*; None if there is none."""
        found = values[self.path] if self.expression is None else self.expression(values)
        return None if found is MISSING else found

    def cell(self, values: Mapping[Path, Any], now: float, *, relative: bool) -> tuple[str, str]:
        """Return the text of a run and its style."""
        value = self.value(values)
        if value is None:
            return "-", ""
        match self.path:
            case ("status",):
                return shown(value), STATUS_STYLES.get(value, "")
            case ("start_time",):
                return ago(value, now) if relative else moment_text(value), ""
            case ("duration",):
                return narrow_duration(value), ""
        return (number(value) if isinstance(value, float) else plain(value)), ""


def named_columns(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[Asked, ...] | None:
    """
    Return the names of `--columns`, which are written as in expressions, or with any characters after the first dot.

    Raises:
        ExpressionError, click.BadParameter: One of them is not a name.
    """
    texts = [part.strip() for text in given for part in _COLUMN.findall(text)]
    return tuple(map(named_column, texts)) if given else None


def named_column(word: str) -> Asked:
    """Return one name of `--columns`. Raises as `named_columns` does."""
    from refunc.runs.expression.asked import ROOTS, Asked
    from refunc.runs.expression.compiler import compiled

    parts = word.split()
    if word == "*" or (len(parts) > 1 and all(part.partition(".")[0] in ROOTS for part in parts)):
        raise click.BadParameter("name the columns one by one, with commas between them: params.lr,metrics.loss.")
    root, _, rest = word.partition(".")
    if not rest or "[" in word:
        asked = compiled(word).asks
        if len(asked) != 1:
            raise click.BadParameter(f"{word!r} is not the name of a column, such as params.lr or status.")
        return asked[0]
    compiled(f"{root}.x")  # refuses a root without names
    return Asked((root, *rest.split(".")), 1)


def wanted_columns(
    named: Sequence[Asked] | None, where: str | None, order: str | None
) -> tuple[list[Column], list[Column]]:
    """Return the columns of `--columns`, and those of the other expressions that neither they nor each line has."""
    given = [Column(_title(asked.path), asked.path) for asked in named or ()]
    others: dict[str, Column] = {}
    for text in (order, where):
        if text is None:
            continue
        from refunc.runs.expression.compiler import compiled, compiled_value

        expression = compiled_value(text) if text is order else compiled(text)
        others.update({_title(asked.path): Column(_title(asked.path), asked.path) for asked in expression.asks})
        if text is order and not expression.is_name:
            title = expression.text.strip()
            others[title] = Column(title, (), expression)
    known = {column.title for column in given} | (_ALWAYS if named is None else set())
    return given, [column for title, column in others.items() if title not in known]


def _title(path: Path) -> str:
    """Return *path* as `--columns` takes it: a name with a dot in brackets, which tells `a.b` from a `b` in an `a`."""
    root, *names = path
    return root + "".join(f"[{name!r}]" if "." in name else f".{name}" for name in names)
