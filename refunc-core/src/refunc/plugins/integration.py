"""The base class of integrations with options, and the passport that identifies any integration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from weakref import WeakKeyDictionary, ref

import attrs

from refunc.plugins.errors import ConfigurationError
from refunc.plugins.files import file_of, is_of_file
from refunc.plugins.files import load as load_file
from refunc.plugins.hooks import hooks_of
from refunc.plugins.naming import name_of
from refunc.plugins.options import check_annotations, check_names, option, public_values, resolve
from refunc.values.jsonable import jsonable

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[type], type]:
        """Tell type checkers how attrs changes a class (PEP 681); does nothing at run time."""
        return lambda cls: cls


#: How records that may have been delivered before are treated: see `docs/how-to/write-a-plugin.md`.
Delivery = Literal["at-least-once", "at-most-once", "live"]
DELIVERIES = ("at-least-once", "at-most-once", "live")


@attrs.frozen
class Health:
    """
    The progress of delivery, summed over the runs of an integration.

    `state` is `ok`, `retrying`, `paused`, `quarantined`, `stuck` or `stopped`; `delivered`, `waiting` and `dead` count
    records; `last_error` is the last error, even if it was overcome. `aside` counts those of the waiting records that
    failed while others succeeded: they are tried again at the end of the run.
    """

    name: str = ""
    state: str = "ok"
    delivered: int = 0
    waiting: int = 0
    dead: int = 0
    last_error: str | None = None
    aside: int = 0


#: Set by the delivery layer: the function that returns the health of an integration of this process.
health_of: WeakKeyDictionary[Any, Callable[[], Health]] = WeakKeyDictionary()


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(option, attrs.field))
class Integration:
    """
    An integration with options. A subclass becomes an attrs class whose fields are declared with `option()`.

    Options are given by keyword, checked when the object is made, and read from the environment if they are not given.
    A plugin need not derive from it: any object with hooks is one.
    """

    #: The integration's name in messages and files; by default the class's name without `Integration`.
    name: ClassVar[str] = ""
    #: `at-least-once`; `at-most-once` (a record is given up rather than sent twice); `live` (only the newest matters).
    delivery: ClassVar[Delivery] = "at-least-once"
    #: The options that determine where records go: hosts, ports, folders; None means all. Values that a run of another
    #: user asks for are used only if this machine's environment has the same, see `docs/explanation/trust.md`.
    address_options: ClassVar[Sequence[str] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_annotations(cls)
        # In place, because `super()` would not refer to a second class; hashable, because pluggy requires it.
        attrs.define(cls, slots=False, eq=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        resolve(self, name_of(self))
        self.check()

    def check(self) -> None:
        """
        Check more than types can express, such as the form of an address; called when the integration is made.

        Raises:
            ConfigurationError: An option has a value that cannot work.
            NotConfigured: Something is missing.
        """

    def open(self) -> None:
        """Import and connect the client; called once on the delivery thread, before the first hook."""

    def close(self) -> None:
        """Release the resources of `open` and the hooks; called on the delivery thread at the end."""

    @property
    def stays_open(self) -> float:
        """Seconds for which the delivery process keeps it open after the training and delivery; called repeatedly."""
        return 0.0

    @property
    def target(self) -> str:
        """The destination of records, in a few words for people and without secrets."""
        return ""

    @property
    def health(self) -> Health:
        """The progress of delivery. Reads the run's files: not for a training's inner loop."""
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


def delivery_of(integration: object) -> Delivery:
    """
    Return the way of delivery that *integration* asks for.

    Raises:
        ConfigurationError: Its class has an unknown value.
    """
    said = getattr(integration, "delivery", "at-least-once")
    if said not in DELIVERIES:
        raise ConfigurationError(f"{name_of(integration)}: delivery is {said!r}. Expected: {', '.join(DELIVERIES)}.")
    return said  # type: ignore[return-value]  # checked above


def build(kind: type, name: str, options: Mapping[str, Any]) -> Any:
    """
    Make an integration of the class *kind* from *options*.

    Raises:
        ConfigurationError: An option is not valid; the text names the plugin and the option.
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
    The description of an integration outside its process: a class by its import path, and options.

    `options` may contain secrets and only goes through a pipe; `public` is written to journals, with the names of the
    `withheld` options. `key` distinguishes targets, and names the files with the progress of delivery. `file` is the
    plugin's file, if it is one; it only goes through a pipe, because a journal must not decide which code runs.
    """

    name: str
    path: str
    key: str
    options: dict[str, Any] | None
    public: dict[str, Any]
    delivery: Delivery = "at-least-once"
    target: str = ""
    withheld: tuple[str, ...] = ()
    file: str = ""

    def for_journal(self) -> dict[str, Any]:
        """Return the fields of the record from which `refunc sync` remakes the integration, without secrets."""
        fields = {name: getattr(self, name) for name in ("name", "key", "path", "target")}
        return {**fields, "options": self.public, "withheld": list(self.withheld)}


def path_of(kind: type) -> str:
    """Return a class as in a passport: `module:name`."""
    return f"{kind.__module__}:{kind.__qualname__}"


def load(path: str, file: str = "") -> type:
    """
    Import the class *path* that a training passes to its delivery process, or a pickle to a child; never a journal's.

    Args:
        file: The file, if the plugin is one file.

    Raises:
        TypeError: It is not a class with hooks.
        Exception: Any exception of the module.
    """
    import importlib

    if is_of_file(path):
        return load_file(path, file)
    module, _, name = path.partition(":")
    kind = getattr(importlib.import_module(module), name)
    if not isinstance(kind, type) or not hooks_of(kind):
        raise TypeError(f"{path} is not a class with hooks.")
    return kind


#: By key: objects that options do not distinguish, in the order in which they were first seen.
_alike: dict[str, list[Callable[[], object]]] = {}


def passport_of(integration: object) -> Passport:
    """
    Return the passport of *integration*; its `options` are None if it cannot leave this process.

    An integration that stays in this process may have more state than its options, so each object is a target of its
    own.
    """
    kind, name = type(integration), name_of(integration)
    path = path_of(kind)
    public: dict[str, Any] = {}
    withheld: tuple[str, ...] = ()
    options: dict[str, Any] | None = None
    is_told_by_options = True
    if attrs.has(kind):
        values = {field.name: getattr(integration, field.name) for field in attrs.fields(kind) if field.init}
        plain = jsonable(values)
        is_told_by_options = plain == values
        options = plain if is_told_by_options else None
        public = jsonable(public_values(integration))
        withheld = tuple(name for name, value in values.items() if name not in public and value is not None)
    elif getattr(integration, "__dict__", None) == {} and kind.__init__ is object.__init__:
        options = {}
    else:
        is_told_by_options = False
    if kind.__module__ == "__main__" or "<" in kind.__qualname__ or "." in kind.__qualname__:
        options = None
    told_apart = public if options is None else options
    digest = hashlib.sha256(json.dumps([path, told_apart], sort_keys=True).encode()).hexdigest()
    key = f"{name}-{digest[:8]}"
    if options is None:
        # Running a notebook's cell again makes another class with the same path.
        number = _number_among_alike(key, kind if is_told_by_options else integration)
        key += f"-{number}" * (number > 0)
    target = str(getattr(integration, "target", ""))
    return Passport(name, path, key, options, public, delivery_of(integration), target, withheld, file_of(kind))


def _number_among_alike(key: str, thing: object) -> int:
    """Return how many other objects or classes were seen with *key* before *thing*."""
    alike = _alike.setdefault(key, [])
    for number, other in enumerate(alike):
        if other() is thing:
            return number
    try:
        alike.append(ref(thing))
    except TypeError:  # a class with only slots
        alike.append(lambda: thing)
    return _number_among_alike(key, thing)
