"""`refunc sync` delivers annotations made since a run's end, once, and again when they have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Calls, MakeWaiting, OneLine

from refunc.runs import Run

pytestmark = [pytest.mark.once, pytest.mark.extras]


def said(calls: Calls) -> list[dict[str, str]]:
    return [call["tags"] for call in calls("tags")]


def test_annotations_arrive_once_and_again_when_they_have_changed(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, one_line: OneLine
) -> None:
    run = waiting(probes.ProbeIntegration(), name="one")
    assert invoke("sync").exit_code == 0
    assert said(calls) == []

    for line in (("tag", "one", "best=yes", "team=vision"), ("note", "one", "Stable."), ("rename", "one", "first")):
        assert invoke(*line).exit_code == 0
    first, second = invoke("sync"), invoke("sync")

    assert one_line(first) == f"done {run.folder.name} probe 6 records delivered"
    assert one_line(second) == "nothing to do: 1 delivery is complete"
    assert said(calls) == [{"best": "yes", "team": "vision", "refunc.name": "first", "refunc.notes": "Stable."}]
    assert [call["hook"] for call in calls()][-2:] == ["end", "tags"]

    assert invoke("tag", "first", "team=text").exit_code == 0
    assert invoke("rm", "first").exit_code == 0
    assert invoke("sync", str(run.folder)).exit_code == 0
    assert (said(calls)[-1]["team"], said(calls)[-1]["refunc.removed"]) == ("text", "yes")
    assert Run.open(run.folder).tags == {"best": "yes", "team": "text"}


def test_tags_that_were_taken_away_are_named(invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls) -> None:
    waiting(probes.ProbeIntegration(), name="one")
    invoke("tag", "one", "best=yes", "team=vision")
    assert invoke("sync").exit_code == 0

    invoke("tag", "one", "--remove", "best")
    assert invoke("sync").exit_code == 0
    invoke("tag", "one", "best=again")
    assert invoke("sync").exit_code == 0

    assert [(call["tags"], call["taken"], call["all"]) for call in calls("tags")] == [
        ({"best": "yes", "team": "vision"}, [], {"best": "yes", "team": "vision"}),
        ({"team": "vision"}, ["best"], {"team": "vision"}),
        ({"best": "again", "team": "vision"}, [], {"best": "again", "team": "vision"}),
    ]


def test_annotations_of_a_run_that_waits_come_behind_its_end(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    waiting(probes.ProbeIntegration(), name="one")
    invoke("tag", "one", "best=yes")

    assert invoke("sync").exit_code == 0

    assert [call["hook"] for call in calls()] == ["start", "log", "end", "tags"]


def test_while_the_tracker_is_down_they_wait(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path
) -> None:
    waiting(probes.ProbeIntegration(), name="one")
    assert invoke("sync").exit_code == 0
    invoke("tag", "one", "best=yes")
    (own_folder / "down").touch()

    down = invoke("sync", "--patience", "0.5")
    (own_folder / "down").unlink()
    up = invoke("sync")

    assert down.exit_code == 1
    assert "annotations wait (retrying): the server is down" in down.stdout
    assert up.exit_code == 0
    assert said(calls) == [{"best": "yes"}]


def test_an_integration_without_tags_is_not_asked(invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls) -> None:
    waiting(probes.EndsIntegration(), name="one")
    assert invoke("sync").exit_code == 0
    before = len(calls())
    invoke("tag", "one", "best=yes")

    result = invoke("sync")

    assert (result.exit_code, result.stdout) == (0, "nothing to do: 1 delivery is complete\n")
    assert len(calls()) == before
