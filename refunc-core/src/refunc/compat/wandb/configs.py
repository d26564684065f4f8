"""`wandb.config`: the params of the run, by attribute and by item."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from refunc.compat.wandb.problems import ConfigError
from refunc.values.terminal import in_notebook

#: The members for each setting in W&B's own files.
_OF_OWN: Final = frozenset({"desc", "value"})


class Config:
    """
    The settings that the run is made with.

    Each change is recorded when the call returns. A value that is there already is changed only with
    `allow_val_change=True`, of `update` or of `init`, and in a notebook.
    """

    def __init__(self, record: Callable[[dict[str, Any]], None], known: Mapping[str, Any], *, is_free: bool) -> None:
        """
        Args:
            record: Records the params that are new or have changed.
            known: The config of an earlier attempt of the run.
            is_free: Whether values may change.
        """
        vars(self).update(_record=record, _items=dict(known), _is_free=is_free or in_notebook())

    def update(self, d: Any, allow_val_change: bool | None = None) -> None:
        """
        Add the settings in *d*: a mapping, an object with fields such as argparse's, absl's flags, or a file's path.

        Raises:
            ConfigError: A value would change. Nothing is added then.
        """
        new = settings_of(d)
        items, is_free = vars(self)["_items"], vars(self)["_is_free"] or allow_val_change
        changed = {name: value for name, value in new.items() if name not in items or not _same(items[name], value)}
        for name, value in changed.items():
            if name in items and not is_free:
                raise ConfigError(
                    f"config: {name!r} is {items[name]!r}, and would become {value!r}. To change it, call "
                    "config.update({...}, allow_val_change=True)."
                )
        items.update(changed)
        if changed:
            vars(self)["_record"](changed)

    def setdefaults(self, d: Any) -> None:
        """Add those settings of *d* that are not there yet."""
        self.update({name: value for name, value in settings_of(d).items() if name not in self})

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or *default*."""
        return vars(self)["_items"].get(key, default)

    def keys(self) -> list[str]:
        """Return the names."""
        return list(vars(self)["_items"])

    def values(self) -> list[Any]:
        """Return the values."""
        return list(vars(self)["_items"].values())

    def items(self) -> list[tuple[str, Any]]:
        """Return names and values."""
        return list(vars(self)["_items"].items())

    def as_dict(self) -> dict[str, Any]:
        """Return a copy as a dict."""
        return dict(vars(self)["_items"])

    def __getitem__(self, key: str) -> Any:
        return vars(self)["_items"][key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getattr__(self, key: str) -> Any:
        items: dict[str, Any] = vars(self).get("_items", {})
        if key in items:
            return items[key]
        near = difflib.get_close_matches(key, items, n=1)
        raise AttributeError(f"config has no {key!r}." + (f" Did you mean {near[0]!r}?" if near else ""))

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __contains__(self, key: object) -> bool:
        return key in vars(self)["_items"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __repr__(self) -> str:
        return repr(vars(self)["_items"])

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return self.as_dict()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.as_dict(),)


def settings_of(given: Any) -> dict[str, Any]:
    """
    Return the settings in *given* by name, nested as they are.

    Raises:
        ConfigError: A file that is not there, or has no mapping.
        TypeError: A value without fields.
    """
    if given is None:
        return {}
    if isinstance(given, (str, Path)):
        return _in_file(Path(given))
    if hasattr(given, "flag_values_dict"):  # absl's
        return dict(given.flag_values_dict())
    if hasattr(given, "keys"):
        return {str(name): given[name] for name in given.keys()}  # noqa: SIM118 -- not each is a mapping
    for call in ("model_dump", "to_dict"):
        if hasattr(given, call):
            return dict(getattr(given, call)())
    if hasattr(given, "__attrs_attrs__"):
        return {field.name: getattr(given, field.name) for field in given.__attrs_attrs__}
    try:
        return dict(vars(given))
    except TypeError:
        raise TypeError(f"config: {type(given).__name__} is not a mapping, and has no fields.") from None


def _in_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"config: there is no file {path}.")
    text = path.read_text("utf-8")
    try:
        found = json.loads(text)
    except ValueError:
        found = _parsed_yaml(text, path)
    if not isinstance(found, dict):
        raise ConfigError(f"config: {path} does not contain a mapping.")
    values = {str(name): value for name, value in found.items() if name != "wandb_version"}
    if all(isinstance(value, dict) and "value" in value and set(value) <= _OF_OWN for value in values.values()):
        return {name: value["value"] for name, value in values.items()}
    return values


def _parsed_yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigError(f"config: reading {path} needs the package PyYAML.") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"config: {path} cannot be read: {error}") from error


def _same(old: Any, new: Any) -> bool:
    try:
        return old is new or bool(old == new) or _text(old) == _text(new)
    except Exception:  # arrays, and values whose comparison raises
        return False


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
