"""The public names of the adapters with their signatures, one line each, in `public_names.txt`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.public_names import assert_kept, lines_of_module

import refunc.frameworks

if find_spec("clu") is not None:
    import tests.frameworks.imported_clu  # noqa: F401

KEPT = Path(__file__).parent / "public_names.txt"
ADAPTERS = [
    f"refunc.frameworks.{path.stem}"
    for path in sorted(Path(refunc.frameworks.__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "boosting", "callers", "models", "packages", "training")
]


def test_the_public_names_and_their_signatures_are_those_that_were_promised(
    require: Callable[[bool, str], None],
) -> None:
    kept = KEPT.read_text("utf-8").splitlines()
    lines: list[str] = []
    missing: list[str] = []
    for adapter in ADAPTERS:
        try:
            lines += lines_of_module(adapter)
        except ModuleNotFoundError as error:
            missing.append(str(error.name))
            lines += [line for line in kept if line.removeprefix("class ").startswith(f"{adapter}.")]

    assert_kept(lines, KEPT)
    missing = [name for name in missing if name != "composer"]  # which has an environment of its own
    require(not missing, f"pip install --group frameworks (it has {', '.join(missing)})")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_public_name_has_a_docstring(adapter: str, require: Callable[[bool, str], None]) -> None:
    try:
        module = importlib.import_module(adapter)
    except ModuleNotFoundError as error:
        require(False, f"pip install --group frameworks (it has {error.name})")
        return

    assert [name for name in module.__all__ if not getattr(module, name).__doc__] == []
