"""
Shared by the tests with real frameworks: the marker `frameworks`, and no import of a framework unless it is wanted.

A file imports its framework at the top. With `-m`, the folder is left out unless the marker is named there. A file
whose framework is not installed is skipped; under `REFUNC_REQUIRE_ALL`, as in CI, it is an error.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.conftest import REQUIRE_ALL
from tests.installed import missing_in

#: Composer has an environment of its own, `tox -e composer`: the torchvision that it needs does not load with the torch
#: of the others. Without it, its tests are left out.
HAS_COMPOSER = find_spec("composer") is not None

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras imports TensorFlow otherwise
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores: more threads wait for each other


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out where its marker is not wanted: to import a framework takes seconds."""
    if collection_path.stem == "test_composer" and not HAS_COMPOSER:
        return True
    chosen = config.option.markexpr
    return True if chosen and not re.search(r"(?<!not )\bframeworks\b", chosen) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Mark all that lies here, before `-m` chooses. Frameworks warn; only refunc's warnings are errors.

    To import one takes up to ten seconds of a processor, in each process, and there may be half a one for all.
    """
    if not HAS_COMPOSER:
        items[:] = [item for item in items if "composer" not in item.nodeid]
    for item in items:
        if item.nodeid.startswith("tests/frameworks/"):
            item.add_marker(pytest.mark.frameworks)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))
            item.add_marker(pytest.mark.filterwarnings("error:::refunc"))
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Frameworks warn while they are imported, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        return (yield)


class WithoutFramework(pytest.Module):
    """A file that cannot be imported here."""

    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip(
            "this machine lacks a part; install it with: pip install --group frameworks", allow_module_level=True
        )


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if REQUIRE_ALL or not missing_in(module_path.read_text("utf-8")):
        return None
    return WithoutFramework.from_parent(parent, path=module_path)
