"""
Objects that hold several values: their parts, one by one, so that a part that cannot be read costs only itself.

If an object describes itself in several ways, the most deliberate one counts: a method that makes plain data, then
declared fields, then its attributes.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from typing import Any, Final, NamedTuple

from refunc.values.scalars import has, is_of

#: How many elements a library's sequence, or attributes an object may have: one with more is data, not a setting.
MAX_MEMBERS: Final = 1_000
#: How many attributes an object inside another one may have.
_MAX_ATTRIBUTES: Final = 100

#: Methods of well-known libraries that make a mapping of an object.
_MAPPINGS: Final = ("model_dump", "to_dict", "get_config", "_asdict")

#: Attributes that objects with settings do not have. They mark a model, an optimizer, a data set, a lock, a file.
_LIVE: Final = (
    *("__call__", "__iter__", "__next__", "__len__", "__getitem__", "__await__", "__enter__", "__aenter__", "__del__"),
    *("state_dict", "close", "fileno"),
)


class Unreadable(NamedTuple):
    """Represents a value that could not be read."""

    error: Exception


#: Names with values, or with `Unreadable`.
Pairs = Iterator[tuple[Any, Any]]


def pairs_of(value: Any, *, is_given: bool = False) -> Pairs | None:
    """
    Return the names and values in *value*; None if it does not hold values by name.

    A mapping holds values by name, and so does an object that describes itself as one, or has fields. Any other object
    is *simple*, and read by its attributes without a leading underscore, unless it is live (see `_LIVE`) or has a
    `repr` of its own, which is its author's choice of description.

    Args:
        is_given: The object is itself the argument of the call: then its `repr` does not matter, and a class is read
            like its instances.
    """
    if isinstance(value, Mapping):
        return _items(value)
    if isinstance(value, type):
        return _attributes(value, _class_names(value)) if is_given and not _is_live(value) else None
    if is_of(value, "pandas", "Series") and all(isinstance(label, str) for label in value.index[:MAX_MEMBERS]):
        return iter(list(zip(value.index, value.tolist(), strict=True)))
    if has(value, "tolist") or is_large(value):
        return None
    described = _self_described(value)
    if described is not None:
        return _items(described)
    names = _field_names(value)
    if names is not None:
        return _attributes(value, names)
    if has(value, "keys") and has(value, "__getitem__") and not callable(value):
        return ((key, _read(value.__getitem__, key)) for key in value.keys())  # noqa: SIM118  # not a mapping by its type
    if _is_simple(value, is_given=is_given):
        names = [*dict.fromkeys((*_class_names(type(value)), *_own_names(value)))]
        return _attributes(value, names) if 0 < len(names) <= (MAX_MEMBERS if is_given else _MAX_ATTRIBUTES) else None
    return None


def _self_described(value: Any) -> Mapping[Any, Any] | None:
    """Return *value*'s description of itself as a mapping."""
    if is_of(value, "absl.flags", "FlagValues"):
        return _flags_of(value)
    for name in _MAPPINGS:
        if has(value, name):
            try:
                plain = getattr(value, name)()
            except Exception:  # a field cannot be read: read field by field
                continue
            if isinstance(plain, Mapping):
                return plain
    return None


def _flags_of(flags: Any) -> dict[str, Any]:
    """Return the values of absl's *flags*, without those that absl itself defines; they need not be parsed."""
    modules = flags.flags_by_module_dict()
    return {flag.name: flag.value for module, own in modules.items() if not module.startswith("absl.") for flag in own}


def elements_of(value: Any) -> Iterator[Any] | None:
    """Return the elements of a sequence, a set, or a view of a mapping; None for any other value."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        # Reading elements of another library's object may read files; a config has them in memory.
        is_plain = isinstance(value, (list, tuple)) or type(value).__module__.split(".")[0] in (
            "collections",
            "omegaconf",
        )
        return _elements(value) if is_plain or len(value) <= MAX_MEMBERS else None
    return iter(list(value)) if isinstance(value, (Set, KeysView, ValuesView, ItemsView)) else None


def is_large(value: Any) -> bool:
    """Whether *value* is an array or a table of more elements than are kept."""
    count = size_of(value)
    return count is not None and count > MAX_MEMBERS


def size_of(value: Any) -> int | None:
    """Return the number of elements of an array or a table; None if *value* has no shape."""
    shape = getattr(value, "shape", None) if has(value, "shape") else None
    if not isinstance(shape, tuple) or not all(isinstance(length, int) for length in shape):
        return None
    count = 1
    for length in shape:
        count *= length
    return count


def _read(read: Any, name: Any) -> Any:
    try:
        return read(name)
    except Exception as error:  # a user's object may raise anything, but a logging call must not
        return Unreadable(error)


def _items(mapping: Mapping[Any, Any]) -> Pairs:
    if type(mapping) is dict:
        return iter(mapping.items())
    return ((key, _read(mapping.__getitem__, key)) for key in mapping)


def _attributes(value: object, names: Iterable[str]) -> Pairs:
    return ((name, _read(lambda name: getattr(value, name), name)) for name in names)


def _elements(values: Sequence[Any]) -> Iterator[Any]:
    """Yield the elements; after one that cannot be read, the others are read one by one."""
    count = 0
    iterator = iter(values)
    while True:
        try:
            value = next(iterator)
        except StopIteration:
            return
        except Exception as error:  # see `_read`
            yield Unreadable(error)
            break
        yield value
        count += 1
    for at in range(count + 1, len(values)):
        yield _read(values.__getitem__, at)


def _field_names(value: object) -> Collection[str] | None:
    """Return the names of the fields that the class of *value* declares, or None."""
    kind: Any = type(value)
    declared: Any = getattr(kind, "__dataclass_fields__", None)
    if isinstance(declared, Mapping):
        return list(declared)
    attributes: Any = getattr(kind, "__attrs_attrs__", None)
    if isinstance(attributes, tuple):
        return [attribute.name for attribute in attributes]
    for name in ("model_fields", "__fields__"):  # pydantic, whose `model_dump` raised, or which has none
        declared = getattr(kind, name, None)
        if isinstance(declared, Mapping):
            return list(declared)
    if is_of(value, "argparse", "Namespace") or is_of(value, "types", "SimpleNamespace"):
        return list(vars(value))
    return None


def _is_live(kind: type) -> bool:
    return issubclass(kind, BaseException) or any(name in vars(base) for base in kind.__mro__ for name in _LIVE)


def _is_simple(value: object, *, is_given: bool) -> bool:
    kind = type(value)
    if _is_live(kind) or type(sys) is kind:
        return False
    return is_given or (kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__)


def _class_names(kind: type) -> Iterator[str]:
    """Yield the names of the settings that a class has for all its instances."""
    for base in reversed(kind.__mro__):
        if base.__module__ == "builtins":
            continue
        for name, value in vars(base).items():
            if not name.startswith("_") and not callable(value) and not hasattr(type(value), "__get__"):
                yield name


def _own_names(value: Any) -> Iterator[str]:
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if not name.startswith("_") and hasattr(value, name):
                yield name
    for name in getattr(value, "__dict__", ()):
        if isinstance(name, str) and not name.startswith("_"):
            yield name
