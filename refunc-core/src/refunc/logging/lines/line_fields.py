"""The fields of a line besides its message, metrics and extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    _ExcInfo = (
        bool
        | BaseException
        | tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None]
        | None
    )


class LineFields(TypedDict, total=False):
    """
    The keywords of every line method, besides its message, metrics and extra.

    Collecting keywords in a dict and passing it on takes Python longer than the rest of a line. So the common fields
    are parameters of each method, and only these few are collected.
    """

    tags: Mapping[str, Any] | None
    artifacts: Sequence[str | PathLike[str]] | None
    step: float | None
    epoch: float | None
    exc_info: _ExcInfo
    stack_info: bool
    stacklevel: int


def line_fields(
    *,
    tags: Any = None,
    artifacts: Any = None,
    step: Any = None,
    epoch: Any = None,
    exc_info: Any = None,
    stack_info: Any = False,
    stacklevel: Any = 1,
) -> tuple[Any, ...]:
    """Return the fields of a line in this order. Raises TypeError for any other name."""
    return tags, artifacts, step, epoch, exc_info, stack_info, stacklevel


def unknown_field(fields: Mapping[str, Any]) -> TypeError:
    """Return the error that names those of *fields* that a line does not take."""
    known = LineFields.__annotations__
    wrong = ", ".join(repr(name) for name in fields if name not in known)
    return TypeError(
        f"a line does not take {wrong}. Allowed: metrics, extra, {', '.join(known)}; put all else into extra={{...}}."
    )
