"""
Options of an integration: the attrs class is the schema.

`option()` declares one; its annotation is its type, checked by cattrs without guessing: a port given as `"8000"` is an
error, but `MY_PORT=8000` in the environment, which only has text, is not. The value of a secret never appears in a
repr, a journal or an error text.
"""

from __future__ import annotations

import os
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

import attrs
import cattrs

from refunc.plugins.errors import ConfigurationError, NotConfigured
from refunc.values.jsonable import jsonable
from refunc.values.masking import masked
from refunc.values.near import nearest
from refunc.values.secrets import MASK, given, is_secret_name, without_secrets
from refunc.values.settings import on_or_off

_META: Final = "refunc"
#: For `option(default=...)`: required, from the caller or the environment.
FROM_ENV: Final[Any] = attrs.NOTHING


@attrs.frozen
class OptionFacts:
    """The facts that `option()` declares about an option besides its type."""

    env: str | None
    secret: bool
    required: bool
    help: str
    default: Any


def option(*, default: Any = attrs.NOTHING, env: str | None = None, secret: bool = False, help: str = "") -> Any:
    """
    Declare an option of an integration.

    Args:
        default: The value if neither the caller nor the environment gives one. Without a default, the caller must give
        the option; with `FROM_ENV`, the caller or the environment must, and type checkers accept its absence.
        env: The environment variable that is read, when the integration is made, if the caller gives no value.
        secret: Keep the value out of reprs, the journal and error texts; `refunc sync` then needs the variable.
        help: One sentence for `refunc plugins`.
    """
    facts = OptionFacts(env, secret, default is attrs.NOTHING, help, None if default is attrs.NOTHING else default)
    # _NOT_GIVEN is the value until `resolve` has read the environment: None may be a valid value.
    return attrs.field(default=_NOT_GIVEN, repr=_mask if secret else repr, metadata={_META: facts})


def check_annotations(kind: type) -> None:
    """
    Check that each option of the class *kind*, which is being defined, has a type.

    Raises:
        TypeError: An option has no annotation: attrs would then leave out the annotated ones.
    """
    declared = vars(kind).get("__annotations__", {})
    for name, value in vars(kind).items():
        if type(value) is type(attrs.field()) and name not in declared:
            raise TypeError(
                f"{kind.__name__}.{name} has no type annotation. Add one, such as {name}: str = option(...)."
            )


class _NotGiven:
    def __repr__(self) -> str:
        return "<not given>"


_NOT_GIVEN: Final = _NotGiven()


def _mask(value: object) -> str:
    return repr(value) if value is None else repr(MASK)


def facts_of(attribute: attrs.Attribute[Any]) -> OptionFacts | None:
    """Return the facts that `option()` declared about *attribute*; None for a plain attrs field."""
    facts = attribute.metadata.get(_META)
    return facts if isinstance(facts, OptionFacts) else None


def resolve(instance: Any, name: str) -> None:
    """
    Set every option of *instance*, an integration called *name*: to the given value, the environment's, or the default.

    Raises:
        NotConfigured: A required option has no value.
        ConfigurationError: A value has the wrong type.
    """
    kind = type(instance)
    attrs.resolve_types(kind)
    for attribute in attrs.fields(kind):
        facts = facts_of(attribute)
        if facts is None:
            continue
        value = getattr(instance, attribute.name)
        if value is _NOT_GIVEN:
            value = _default(instance, name, attribute, facts)
        else:
            value = _checked(name, attribute, facts, value, _exact)
        object.__setattr__(instance, attribute.name, value)
        if isinstance(value, str) and facts.secret:
            given.remember(value)
        elif isinstance(value, str) and _has_password(value):
            given.remember_credentials_of(value)


def _default(instance: Any, name: str, attribute: attrs.Attribute[Any], facts: OptionFacts) -> Any:
    text = os.environ.get(facts.env, "") if facts.env else ""
    if text:
        return _checked(name, attribute, facts, text, _from_text)
    if facts.required:
        ways = f"Pass {type(instance).__name__}({attribute.name}=...)" + (f" or set {facts.env}." if facts.env else ".")
        raise NotConfigured(f"{name}: {attribute.name} is not set. {ways}")
    # Instances must not share one default list.
    return type(facts.default)(facts.default) if isinstance(facts.default, (list, dict)) else facts.default


def _checked(name: str, attribute: attrs.Attribute[Any], facts: OptionFacts, value: Any, by: cattrs.Converter) -> Any:
    try:
        return by.structure(value, attribute.type or object)
    except Exception:  # cattrs' own errors locate the mistake, but may quote a secret
        expected = type_text(attribute.type)
        shown = MASK if facts.secret else without_secrets(repr(value))
        where = f" (from {facts.env})" if by is _from_text else ""
        raise ConfigurationError(f"{name}: {attribute.name} is {shown}{where}. Expected: {expected}.") from None


def type_text(hint: Any) -> str:
    """Return a type in words for users: `text`, `a whole number or None`, `a list of text`."""
    words = {str: "text", int: "a whole number", float: "a number", bool: "True or False", type(None): "None"}
    if hint in words:
        return words[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(type_text(arg) for arg in args)
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin is list:
        return f"a list of {type_text(args[0])}"
    if origin is dict:
        return f"a mapping of {type_text(args[0])} to {type_text(args[1])}"
    return "anything" if hint is Any else getattr(hint, "__name__", str(hint))


def _build_converter(*, from_text: bool) -> cattrs.Converter:
    """Return a converter that accepts only values of the right type; with *from_text*, also their texts."""
    converter = cattrs.Converter()

    def exact(*allowed: type) -> Any:
        def structure(value: Any, kind: type) -> Any:
            if from_text and isinstance(value, str):
                return _parsed(value, kind)
            if type(value) not in allowed and not (str in allowed and isinstance(value, str)):
                raise TypeError
            return kind(value)

        return structure

    converter.register_structure_hook(str, exact(str))
    converter.register_structure_hook(int, exact(int))
    converter.register_structure_hook(float, exact(int, float))
    converter.register_structure_hook(bool, exact(bool))
    converter.register_structure_hook_func(_is_union, lambda value, kind: _any_of(converter, value, kind))
    converter.register_structure_hook_func(_is_list, lambda value, kind: _list_of(converter, value, kind, from_text))
    return converter


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _any_of(converter: cattrs.Converter, value: Any, kind: Any) -> Any:
    members = get_args(kind)
    if value is None and type(None) in members:
        return None
    for member in members:
        if member is not type(None):
            try:
                return converter.structure(value, member)
            except Exception:  # see `_checked`: the next member may accept it
                continue
    raise TypeError


def _list_of(converter: cattrs.Converter, value: Any, kind: Any, from_text: bool) -> list[Any]:
    if from_text and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise TypeError
    (member,) = get_args(kind)
    return [converter.structure(item, member) for item in value]


def _parsed(text: str, kind: type) -> Any:
    if kind is bool:
        is_on = on_or_off(text)
        if is_on is None:
            raise ValueError
        return is_on
    return kind(text)


_exact: Final = _build_converter(from_text=False)
_from_text: Final = _build_converter(from_text=True)


def check_names(name: str, kind: type, given: Iterable[object]) -> None:
    """Raise a ConfigurationError that names the first of *given* that is not an option of *kind*."""
    known = [attribute.name for attribute in attrs.fields(kind) if attribute.init]
    for key in given:
        if key not in known:
            near = nearest(str(key), known)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{name}: unknown option {str(key)!r}.{hint} Options: {', '.join(known)}.")


def check_withheld(name: str, kind: type, withheld: Iterable[str]) -> None:
    """
    Check that the environment sets the options that a journal does not contain; defaults could mean another target.

    Raises:
        NotConfigured: It does not set one; the text names the variable.
    """
    for option_name in withheld:
        attribute = getattr(attrs.fields(kind), option_name, None) if attrs.has(kind) else None
        env = facts.env if attribute is not None and (facts := facts_of(attribute)) is not None else None
        if env is None or not os.environ.get(env):
            way = f"Set {env}." if env else "It has no variable: only a training that passes it again can deliver."
            raise NotConfigured(f"{name}: {option_name} is a secret, and secrets are not stored in the run. {way}")


def public_values(instance: Any) -> dict[str, Any]:
    """
    Return the options of *instance* that may be written to a journal.

    A secret is left out, and so is a text that contains one, such as an address: a part of it would lead elsewhere. In
    a mapping or a list, such as a config, only the secrets are masked.
    """
    values = {}
    for attribute in attrs.fields(type(instance)):
        facts = facts_of(attribute)
        value = getattr(instance, attribute.name)
        if not attribute.init or (facts is not None and facts.secret) or _has_password(value):
            continue
        plain = jsonable({attribute.name: value})
        clean = masked(plain)
        if clean is plain or not (isinstance(value, (str, Path)) or is_secret_name(attribute.name)):
            values.update(clean)
    return values


def _has_password(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_password, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_password, value))
    try:
        return isinstance(value, str) and "://" in value and "@" in urlsplit(value).netloc
    except ValueError:
        return True


def check_url(name: str, attribute: str, value: str, schemes: tuple[str, ...], *, secret: bool = False) -> None:
    """Raise a ConfigurationError unless *value* is an address with one of *schemes* and a host."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname) and (parts.port or True)
    except ValueError:
        good = False
    if not good:
        shown = MASK if secret or _has_password(value) else repr(value)
        expected = " or ".join(f"{scheme}://host" for scheme in schemes)
        raise ConfigurationError(f"{name}: {attribute} is {shown}, which is not a valid address. Expected: {expected}.")
