"""`refunc sync` of runs that are damaged, or forged: it says so, delivers the rest, and calls nothing it should not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Arrived, Calls, MakeWaiting, OneLine

pytestmark = [pytest.mark.once, pytest.mark.extras]

HOSTILE = "[bold red]x[/] \x1b[31m\u202e\ttab\nline"
PROBE = {"name": "probe", "key": "probe-00000000", "path": "probes:ProbeIntegration", "options": {}, "target": ""}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1, "positions": {}, "delivered": "many"}', b"\xff" * 99])
def test_a_damaged_cursor_means_that_everything_arrives_again(
    damage: bytes, invoke: Any, waiting: MakeWaiting, probes: Any, arrived: Arrived, one_line: OneLine
) -> None:
    run = waiting(probes.ProbeIntegration())
    assert invoke("sync").exit_code == 0
    [cursor] = (run.folder / "delivery").glob("*.json")
    cursor.write_bytes(damage)

    result = invoke("sync")

    assert result.exit_code == 0
    assert one_line(result) == f"done {run.folder.name} probe 6 records delivered"
    assert arrived() == ["line 0", "line 1", "line 2"] * 2


def test_a_damaged_line_that_names_an_integration_costs_that_one_only(
    invoke: Any, waiting: MakeWaiting, probes: Any, arrived: Arrived, one_line: OneLine
) -> None:
    run = waiting(probes.ProbeIntegration(path="lost.jsonl"), probes.ProbeIntegration())
    [journal] = (run.folder / "journal").iterdir()
    journal.write_bytes(journal.read_bytes().replace(b"lost.jsonl", b"lose.jsonl"))

    result = invoke("sync")

    assert result.exit_code == 0
    assert one_line(result) == f"done {run.folder.name} probe 6 records delivered"
    assert arrived() == ["line 0", "line 1", "line 2"]
    assert not list(Path().glob("los*.jsonl"))


@pytest.mark.parametrize(
    "wrong", [{"path": 5}, {"options": []}, {"key": "../../outside"}, {"key": ""}, {"key": "a\0b"}]
)
def test_an_integration_that_cannot_be_meant_is_none(
    wrong: dict[str, Any], invoke: Any, waiting: MakeWaiting, own_folder: Path
) -> None:
    waiting({**PROBE, **wrong})

    result = invoke("sync", "--patience", "1")

    assert (result.exit_code, result.stderr) == (0, "refunc: no run here has an integration.\n")
    assert not [path for path in own_folder.rglob("*") if "outside" in path.name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "probes:NobodyIntegration"},
        {"path": "nonsense"},
        {"path": ""},
        {"path": "json:dumps"},
        {"path": "subprocess:Popen"},
        {"path": "beside:Integration"},
        {"name": "beside", "path": "beside:BesideIntegration"},
    ],
    ids=str,
)
def test_no_code_is_found_by_what_a_journal_says(
    wrong: dict[str, str], invoke: Any, waiting: MakeWaiting, own_folder: Path, one_line: OneLine
) -> None:
    """Not even by one of this user's: a module may have come into the search path since, with another user's run."""
    (own_folder / "beside.py").write_text("open('called', 'w')")
    run = waiting({**PROBE, **wrong, "options": {"args": ["touch", "called"]}})

    result = invoke("sync", run.run_id, "--trust", "--patience", "1")

    assert result.exit_code == 1
    assert "6 records wait (quarantined): " in one_line(result)
    assert re.search(r"no plugin of this name is installed|the run was recorded with the class", one_line(result))
    assert not (own_folder / "called").exists()


def test_a_run_that_cannot_be_read_is_said_and_is_not_all_delivered(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, one_line: OneLine
) -> None:
    waiting(probes.ProbeIntegration(), name="good")
    bad = waiting(probes.ProbeIntegration(), name="bad")
    (bad.folder / "run.json").write_text("{")

    result = invoke("sync")

    assert result.exit_code == 1
    assert one_line(result).startswith("done")
    assert re.fullmatch(r"refunc: left out: .*run\.json cannot be read.*\n", result.stderr)
    assert [call["run"] for call in calls("end")] == ["good"]


def test_what_a_journal_says_cannot_act_on_the_terminal(invoke: Any, waiting: MakeWaiting, one_line: OneLine) -> None:
    waiting({**PROBE, "name": HOSTILE, "path": f"{HOSTILE}:Integration"})

    result = invoke("sync", "--patience", "1")

    assert r"[bold red]x[/] \x1b[31m\u202e\ttab\nline" in one_line(result)
    assert re.search(r"[\x00-\x09\x0b-\x1f\u202e]", result.stdout + result.stderr) is None
