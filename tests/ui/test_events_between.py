"""Changes between a table and the stream of its changes: they are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ui


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


def test_a_run_that_comes_between_the_first_table_and_the_first_stream_is_told(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    server = start(store)
    place = server.json("/api/runs")["place"]
    new = live(store, "new")

    events = listen(server, seen=place).until(lambda event: event.kind == "store" and event.data["new"] == 1)
    assert events[-1].data["changed"] == [new.id]


def test_a_run_that_comes_between_a_table_and_a_stream_is_told(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    known = live(store, "known")
    server = start(store)
    other = listen(server)
    other.next()
    place = server.json("/api/runs")["place"]
    new = live(store, "new")
    *_, told = other.until(lambda event: event.kind == "store" and event.data["new"] == 1)

    stream = listen(server, run=known.id, seen=place)
    assert stream.next().id == place
    assert new.id in stream.until(lambda event: event.kind == "store")[-1].data["changed"]
    (*_, first) = listen(server, run=known.id, seen=told.id).until(lambda event: event.kind == "status")
    assert first.data == {"run": known.id, "status": "running"}
