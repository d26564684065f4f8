"""The reference of `refunc.plugins`: every public name, every hook with its arguments."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

import refunc.plugins
import refunc.plugins.testing
from refunc.plugins import Artifact, Health, LogLine, Metrics, Params, RunEnd, RunInfo, Tags
from refunc.plugins.hooks import HOOKS

pytestmark = pytest.mark.once
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "plugins.md").read_text()


def test_every_public_name_is_there() -> None:
    names = {*refunc.plugins.__all__, *refunc.plugins.testing.__all__}

    assert {name for name in names if f"`{name}" not in PAGE} == set()


def test_every_hook_is_there_with_its_arguments() -> None:
    assert {name for name, hook in HOOKS.items() if f"`{name}({', '.join(hook.arguments)})`" not in PAGE} == set()


@pytest.mark.parametrize("kind", [Metrics, LogLine, Params, Tags, Artifact, RunEnd, RunInfo, Health])
def test_every_attribute_is_there(kind: type) -> None:
    names = {field.name for field in attrs.fields(kind)} - {"defined"}  # of the reading side

    assert {name for name in names if f"`{name}`" not in PAGE} == set()
