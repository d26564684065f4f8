"""YAML as MLflow and Lightning write it: read by PyYAML, which both bring along, and which this asks for by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refunc.importing.source import SourceError


def read_yaml(path: Path) -> dict[str, Any]:
    """
    Return the mapping in *path*. An object of some class, which only its own program could load, becomes its text.

    Raises:
        SourceError: PyYAML is not installed.
        ValueError: It is no YAML, or no mapping.
        OSError: It cannot be read.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise SourceError(f"reading {path.name} needs the package PyYAML: pip install pyyaml") from None

    class Loader(yaml.SafeLoader):
        """Loads plain values only."""

    Loader.add_multi_constructor("", _foreign)
    with open(path, encoding="utf-8", errors="backslashreplace") as file:
        try:
            found = yaml.load(file, Loader)  # a SafeLoader: it makes no objects
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(f"no YAML: {str(error).splitlines()[0]}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError("no mapping")
    return {str(key): value for key, value in found.items()}


def _foreign(loader: Any, suffix: str, node: Any) -> Any:
    """Return what stands in a node with a tag that only Python could load."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    text = loader.construct_scalar(node)
    return text or suffix.rpartition("/")[2].rpartition(":")[2]
