"""Attrs classes that also work as dataclasses, with the functions of `dataclasses` and data frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

T = TypeVar("T")


def as_dataclass(kind: type[T]) -> type[T]:
    """Give an attrs class the fields by which `dataclasses.asdict`, `fields` and `replace` know a dataclass."""
    twin = dataclasses.make_dataclass(
        kind.__name__,
        [(each.name, each.type or Any, _field(each)) for each in attrs.fields(kind)],  # type: ignore[arg-type]  # it is one
        init=False,
        repr=False,
        eq=False,
    )
    kind.__dataclass_fields__ = twin.__dataclass_fields__  # type: ignore[attr-defined]
    return kind


class PresentFields:
    """
    The fields of a class, and for an instance those of them that it has, as `dataclasses` sees both.

    So `asdict` gives the same members as a `to_dict` that leaves some out, and `replace` keeps all that there are.
    """

    def __init__(self, fields: dict[str, dataclasses.Field[Any]], is_present: Callable[[Any, str], bool]) -> None:
        """
        Args:
            is_present: Whether an instance has the field of this name.
        """
        self._fields, self._is_present = fields, is_present

    def __get__(self, instance: Any, owner: type | None = None) -> dict[str, dataclasses.Field[Any]]:
        if instance is None:
            return self._fields
        return {name: field for name, field in self._fields.items() if self._is_present(instance, name)}


def _field(attribute: Any) -> Any:
    options: dict[str, Any] = {}
    if isinstance(attribute.default, attrs.Factory):  # type: ignore[arg-type]  # a class, although its stub is a function
        options["default_factory"] = attribute.default.factory
    elif attribute.default is not attrs.NOTHING:
        options["default"] = attribute.default
    return dataclasses.field(kw_only=attribute.kw_only, **options)
