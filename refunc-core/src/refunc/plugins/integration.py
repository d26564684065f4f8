"""The base class of integrations that have options, and how any integration is named and known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import attrs

from refunc.journal.names import slug
from refunc.journal.values import jsonable
from refunc.plugins.errors import ConfigurationError
from refunc.plugins.options import check_names, option, public_values, resolve

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[type], type]:
        """Say to type checkers what attrs makes of a class (PEP 681); nothing at run time."""
        return lambda cls: cls


#: How an integration takes what it may have had before: see `docs/how-to/write-a-plugin.md`.
Delivery = Literal["at-least-once", "at-most-once", "live"]
DELIVERIES = ("at-least-once", "at-most-once", "live")


@attrs.frozen
class Health:
    """
    How far delivery is, summed up over the runs of an integration.

    `state` is `ok`, `retrying`, `paused`, `quarantined`, `stuck` or `stopped`; `delivered`, `waiting` and `dead` count
    records; `last_error` is the last thing that went wrong, also where it was overcome.
    """

    name: str = ""
    state: str = "ok"
    delivered: int = 0
    waiting: int = 0
    dead: int = 0
    last_error: str | None = None


#: Set by the layer that delivers: how the health of an integration of this process is known.
health_of: WeakKeyDictionary[Any, Callable[[], Health]] = WeakKeyDictionary()


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(option, attrs.field))
class Integration:
    """
    An integration with options. A subclass becomes an attrs class whose fields are declared with `option()`.

    Options are given by keyword, checked when the object is made, and read from the environment where they are not
    given. Deriving is not required of a plugin: any object with hooks is one.
    """

    #: What the integration is called, in messages and files; by default the class's name without `Integration`.
    name: ClassVar[str] = ""
    #: `at-least-once`; `at-most-once` (a record is given up rather than sent twice); `live` (only the newest matters).
    delivery: ClassVar[Delivery] = "at-least-once"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # In place, because a second class would not be the one that `super()` means; hashable, because pluggy wants it.
        attrs.define(cls, slots=False, eq=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        resolve(self, name_of(self))
        self.check()

    def check(self) -> None:
        """
        Check what types cannot say, such as the form of an address; called when the integration is made.

        Raises:
            ConfigurationError: An option has a value that cannot work.
            NotConfigured: Something is missing.
        """

    def open(self) -> None:
        """Import and connect what delivery needs; called once on the delivery thread, before the first hook."""

    def close(self) -> None:
        """Release what `open` and the hooks hold; called on the delivery thread when there is nothing more to do."""

    @property
    def target(self) -> str:
        """Where records go, in a few words for people and without secrets."""
        return ""

    @property
    def health(self) -> Health:
        """How far delivery is. Reads the run's files: not for a training's inner loop."""
        known = health_of.get(self)
        return known() if known is not None else Health(name_of(self))

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """
        Return the integration that *options* describe, as `setup_logging(integrations={name: options})` does.

        Raises:
            ConfigurationError: An unknown option, or one with a wrong value.
        """
        made: Self = build(cls, name_of(cls), options)
        return made


def name_of(integration: object) -> str:
    """Return what an integration, or the class of one, is called: lower-case, safe as a file name."""
    kind = integration if isinstance(integration, type) else type(integration)
    given = getattr(integration, "name", "")
    if isinstance(given, str) and given:
        return slug(given.lower(), "integration")
    return slug(kind.__name__.removesuffix("Integration").lower() or kind.__name__.lower(), "integration")


def delivery_of(integration: object) -> Delivery:
    """
    Return how *integration* wants its records.

    Raises:
        ConfigurationError: Its class says a word that there is not.
    """
    said = getattr(integration, "delivery", "at-least-once")
    if said not in DELIVERIES:
        raise ConfigurationError(f"{name_of(integration)}: delivery is {said!r}. Expected: {', '.join(DELIVERIES)}.")
    return said  # type: ignore[return-value]  # checked above


def build(kind: type, name: str, options: Mapping[str, Any]) -> Any:
    """
    Make an integration of the class *kind* from *options*.

    Raises:
        ConfigurationError: What is wrong with them, by the plugin's and the option's name.
    """
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{name}: its options are {options!r}. Expected: a mapping of option names to values.")
    if attrs.has(kind):
        check_names(name, kind, options)
    try:
        return kind(**options)
    except TypeError as error:
        raise ConfigurationError(f"{name}: {kind.__name__} cannot be made from its options: {error}.") from error


@attrs.frozen
class Passport:
    """
    What an integration is outside its process: a class by its import path, and options.

    `options` may hold secrets and travels through a pipe only; `public` stands in journals, with the names of what is
    `withheld` from it. `key` tells one target from another, and names the files that say how far delivery to it is.
    """

    name: str
    path: str
    key: str
    options: dict[str, Any] | None
    public: dict[str, Any]
    delivery: Delivery = "at-least-once"
    target: str = ""
    withheld: tuple[str, ...] = ()

    def for_journal(self) -> dict[str, Any]:
        """Return the fields of the record by which `refunc sync` makes the integration again; no secret is in them."""
        fields = {name: getattr(self, name) for name in ("name", "key", "path", "target")}
        return {**fields, "options": self.public, "withheld": list(self.withheld)}


def passport_of(integration: object) -> Passport:
    """Return the passport of *integration*; its `options` are None where it cannot leave this process."""
    kind, name = type(integration), name_of(integration)
    path = f"{kind.__module__}:{kind.__qualname__}"
    public: dict[str, Any] = {}
    withheld: tuple[str, ...] = ()
    options: dict[str, Any] | None = None
    if attrs.has(kind):
        values = {field.name: getattr(integration, field.name) for field in attrs.fields(kind) if field.init}
        plain = jsonable(values)
        options = plain if plain == values else None
        public = jsonable(public_values(integration))
        withheld = tuple(name for name, value in values.items() if name not in public and value is not None)
    elif not vars(integration) and kind.__init__ is object.__init__:
        options = {}
    if kind.__module__ == "__main__" or "<" in kind.__qualname__ or "." in kind.__qualname__:
        options = None
    told_apart = public if options is None else options
    digest = hashlib.sha256(json.dumps([path, told_apart], sort_keys=True).encode()).hexdigest()
    key = f"{name}-{digest[:8]}"
    target = str(getattr(integration, "target", ""))
    return Passport(name, path, key, options, public, delivery_of(integration), target, withheld)
