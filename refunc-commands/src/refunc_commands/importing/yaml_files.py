"""
YAML as MLflow and Lightning write it, read by PyYAML, which both install; if it is missing, the error names it.

A few lines of YAML can stand for gigabytes, by nested anchors, or be nested without end. So a file is measured before
it is loaded: its bytes, its levels, and its values including those that aliases repeat.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import SourceError, reason_of

_MOST_BYTES = 1 << 20
_MOST_LEVELS = 100
_MOST_VALUES = 200_000
#: A longer number or date stays a text: Python would convert it slowly, or could not convert it back.
_LONGEST_NUMBER = 1_000
#: Characters of text that count as one more value.
_TEXT_PER_VALUE = 100
_TEXT = "tag:yaml.org,2002:str"


def read_yaml(files: SourceFiles, path: Path) -> dict[str, Any]:
    """
    Return the mapping in *path*. Objects of Python classes become texts.

    Raises:
        SourceError: PyYAML is not installed, or the file is not in the source, or too large.
        ValueError: It is not YAML, not a mapping, or has too many values for a file of params.
        OSError: It cannot be read.
    """
    try:
        import yaml  # noqa: F401
    except ModuleNotFoundError:
        raise SourceError(f"reading {path.name} needs the package PyYAML: pip install pyyaml") from None
    text = files.read(path, _MOST_BYTES).decode("utf-8", "backslashreplace")
    try:
        found = _loaded(text)
    except Exception as error:  # PyYAML passes on errors of converting a scalar: KeyError, AttributeError, …
        raise ValueError(f"not valid YAML: {_first_line(error)}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError("no mapping")
    return {str(key): value for key, value in found.items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] if type(error).__module__.startswith("yaml") else reason_of(error)


def _loaded(text: str) -> Any:
    import yaml

    kind = _loader()
    level = 0
    for event in yaml.parse(text, kind):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > _MOST_LEVELS:
            raise ValueError(f"it has more than {_MOST_LEVELS} levels")
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


@cache
def _loader() -> Any:
    """Return a loader of plain values only; libyaml's if available, which takes a fifth of the time."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two classes
        """Loads plain values only."""

    Loader.add_multi_constructor("", _foreign)
    return Loader


def _weigh(root: Any) -> None:
    """
    Check that *root* has no more values than a file of params may have, including those that aliases repeat.

    Raises:
        ValueError: It has more, or contains itself.
    """
    weights: dict[int, int] = {}
    inside: set[int] = set()
    waiting = [(root, False)]
    while waiting:
        node, is_done = waiting.pop()
        children = _children(node)
        if is_done:
            own = 1 if children else 1 + len(node.value) // _TEXT_PER_VALUE
            weights[id(node)] = weight = own + sum(weights[id(child)] for child in children)
            inside.discard(id(node))
            if weight > _MOST_VALUES:
                raise ValueError(f"its aliases make it more than {_MOST_VALUES:,} values")
        elif id(node) in inside:
            raise ValueError("it contains itself")
        elif id(node) not in weights:
            inside.add(id(node))
            waiting.append((node, True))
            waiting.extend((child, False) for child in children)


def _children(node: Any) -> list[Any]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if len(node.value) > _LONGEST_NUMBER:
        node.tag = _TEXT
    return []


def _foreign(loader: Any, suffix: str, node: Any) -> Any:
    """Return the plain value of a node with a tag that only Python could load."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    text = loader.construct_scalar(node)
    return text or suffix.rpartition("/")[2].rpartition(":")[2]
