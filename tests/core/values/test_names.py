"""Names that are safe as paths, and ids that are given once."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.values.names import folder_name, new_id, slug, unique_slug, writer_id

_ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


@given(_ANY_TEXT)
def test_a_slug_is_a_safe_path(name: str) -> None:
    for safe in (slug(name), unique_slug(name)):
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,39}", safe)
        assert ".." not in safe
        assert not safe.endswith(".")
    assert len(folder_name(0.0, name, "id")) < 80


@given(_ANY_TEXT, _ANY_TEXT)
def test_unique_slugs_of_different_names_differ(one: str, other: str) -> None:
    assert (unique_slug(one) == unique_slug(other)) == (one == other)


@pytest.mark.parametrize("name", ["con", "NUL", "com1.txt", "aux"])
def test_names_of_devices_are_not_used(name: str) -> None:
    assert unique_slug(name).lower() != name.lower()


def test_ids_and_writers_are_not_given_twice() -> None:
    assert len({new_id() for _ in range(2_000)}) == 2_000
    assert len({writer_id("my-host.local") for _ in range(200)}) == 200
    assert writer_id("my-host.local").split("-")[-3] == str(os.getpid())
