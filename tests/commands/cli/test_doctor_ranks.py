"""Lines of `refunc doctor` on runs of several ranks: parts of one run, ranks that are missing, names that differ."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ranked import RUN_ID, ranked

pytestmark = [pytest.mark.once, pytest.mark.extras]

Found = Callable[..., list[dict[str, str]]]


@pytest.fixture
def found(invoke: Any) -> Found:
    def found(check: str = "ranks") -> list[dict[str, str]]:
        said = json.loads(invoke("doctor", "--json").stdout)["findings"]
        return [finding for finding in said if finding["check"] == check and finding["state"] != "ok"]

    return found


def test_nothing_is_said_of_a_run_with_all_its_ranks(found: Found) -> None:
    ranked()
    assert found() == []


def test_a_rank_that_is_missing_is_told(found: Found) -> None:
    ranked(only=(2, 3))
    [finding] = found()
    assert finding["state"] == "problem"
    assert finding["text"] == f"vision_{RUN_ID}: 2 of 4 ranks wrote to it: ranks 2, 3"
    assert "refunc merge" in finding["hint"]


def test_rank_0_alone_is_no_problem(found: Found) -> None:
    """Many programs log on rank 0 alone."""
    ranked(only=(0,))
    [finding] = found()
    assert (finding["state"], finding["text"]) == ("note", f"vision_{RUN_ID}: 1 of 4 ranks wrote to it: rank 0")


def test_a_rank_may_still_come(found: Found) -> None:
    folder = ranked(only=(1, 2), attempts=1, start=time.time() - 60)
    for path in (folder / "journal").iterdir():
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    [finding] = found()
    assert (finding["state"], finding["hint"]) == ("note", "The others may come later.")


def test_folders_of_one_run_are_told_with_the_command_that_merges_them(found: Found, invoke: Any) -> None:
    one = ranked(only=(0, 1))
    other = ranked(only=(2, 3), name="copied from node 2")

    [finding] = [each for each in found() if "one run" in each["text"]]

    assert finding["state"] == "problem"
    assert finding["text"].startswith(f"2 folders are of one run, {RUN_ID}: ")
    command = shlex.split(finding["hint"])[:4]
    assert command[:2] == ["refunc", "merge"]
    assert sorted(command[2:]) == sorted(map(str, (one.absolute(), other.absolute())))
    assert invoke(*command[1:], "--delete").exit_code == 0
    assert found() == []
    assert len(list(Path("experiments").iterdir())) == 1


def test_ranks_that_gave_different_names_are_told(found: Found) -> None:
    for rank, name in enumerate(("vision0", "vision1")):
        ranked(ranks=2, only=(rank,), name=f"{name}_aaaaaaa{rank}", run_id=f"aaaaaaa{rank}", experiment_name=name)
    [finding] = found()
    assert finding["text"] == (
        "ranks of one launch opened runs of different experiments: 'vision0' (rank 0), 'vision1' (rank 1)"
    )


def test_a_sweep_of_rank_0_is_not_taken_for_that(found: Found) -> None:
    for number in range(3):
        ranked(only=(0,), name=f"sweep_aaaaaaa{number}", run_id=f"aaaaaaa{number}", experiment_name=f"sweep {number}")
    assert [finding["state"] for finding in found()] == ["note"] * 3


def test_a_rank_that_no_launcher_sets_is_told(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    ranked()
    monkeypatch.setenv("REFUNC_RANK", "three")
    assert any("REFUNC_RANK='three' is not a whole number" in finding["text"] for finding in found("environment"))


@pytest.mark.parametrize(
    "facts", [{"world_size": "4"}, {"world_size": -1}, {"world_size": 2**70, "key": 3}, {"x": [[]]}]
)
def test_facts_that_no_rank_wrote_are_no_finding(found: Found, facts: dict[str, Any]) -> None:
    folder = ranked(attempts=1)
    (folder / "ranks" / "1.0.json").write_text(json.dumps(facts))
    assert found() == []
