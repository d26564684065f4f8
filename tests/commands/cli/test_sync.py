"""`refunc sync`: records that wait arrive, once, and a run takes one line; a mistake in the call is one line too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Arrived, Calls, MakeWaiting, OneLine

pytestmark = pytest.mark.extras


def test_a_run_without_integrations_has_nothing_to_sync(invoke: Any, waiting: MakeWaiting) -> None:
    waiting()

    result = invoke("sync")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "refunc: no run here has an integration.\n"
    as_json = invoke("sync", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout), as_json.stderr) == (0, [], "")


def test_what_is_left_arrives_once_and_takes_one_line(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, arrived: Arrived, one_line: OneLine
) -> None:
    run = waiting(probes.ProbeIntegration())

    first, second = invoke("sync"), invoke("sync")

    assert (first.exit_code, first.stderr) == (second.exit_code, second.stderr) == (0, "")
    assert one_line(first) == f"done {run.folder.name} probe 6 records delivered"
    assert one_line(second) == "nothing to do: 1 delivery is complete"
    assert [call["hook"] for call in calls()] == ["start", "log", "end"]
    assert arrived() == ["line 0", "line 1", "line 2"]


def test_a_cursor_that_takes_long_to_save_does_not_make_a_whole_delivery_look_unfinished(
    invoke: Any, waiting: MakeWaiting, probes: Any, one_line: OneLine
) -> None:
    run = waiting(probes.EndsIntegration(), ends=False)
    run.put("params", {"params": {f"name {number}": number for number in range(90_000)}})
    run.end("completed")

    result = invoke("sync")

    assert (result.exit_code, one_line(result)) == (0, f"done {run.folder.name} ends 7 records delivered")


def test_json_is_one_strict_document_with_stable_keys(invoke: Any, waiting: MakeWaiting, probes: Any) -> None:
    done = waiting(probes.ProbeIntegration(), name="done")
    assert invoke("sync").exit_code == 0
    left = waiting(probes.RaisesIntegration(), name="left", lines=0)

    result = invoke("sync", "--json")

    facts = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert facts == [
        {
            "run": run.folder.name,
            "integration": name,
            "target": "",
            "is_done": True,
            "state": "ok",
            "delivered": records,
            "waiting": 0,
            "aside": 0,
            "dead": 0,
            "last_error": None,
            "dead_letters": None,
        }
        for run, name, records in [(done, "probe", 6), (left, "raises", 3)]
    ]
    assert (result.exit_code, result.stderr) == (0, "")


def test_each_run_gets_its_line_and_a_run_that_is_named_is_the_only_one(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, one_line: OneLine
) -> None:
    one, two, three = (waiting(probes.ProbeIntegration(), name=name) for name in ("one", "two", "three"))

    # By name, by id, and by the folder: the same run, so one line.
    named = invoke("sync", "two", two.run_id, str(two.folder))
    all_others = invoke("sync")

    assert one_line(named) == f"done {two.folder.name} probe 6 records delivered"
    assert [line.split()[:2] for line in all_others.stdout.splitlines()] == [
        ["done", one.folder.name],
        ["done", three.folder.name],
    ]
    assert [call["run"] for call in calls("end")] == ["two", "one", "three"]


@pytest.mark.parametrize("before", [True, False])
def test_the_store_can_be_named_before_the_command_and_behind_it(
    before: bool, invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path
) -> None:
    waiting(probes.ProbeIntegration())
    (own_folder / "experiments").rename("elsewhere")
    store = ["--store", "elsewhere"]

    result = invoke(*store, "sync") if before else invoke("sync", *store)

    assert result.exit_code == 0
    assert len(calls("end")) == 1


def test_a_secret_comes_from_the_environment_and_is_shown_nowhere(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, monkeypatch: pytest.MonkeyPatch, one_line: OneLine
) -> None:
    run = waiting(probes.SecretIntegration(key="hunter2"))
    without = invoke("sync")
    monkeypatch.setenv("SECRET_KEY", "hunter2")

    result = invoke("sync")

    assert without.exit_code == 1
    assert one_line(without).endswith("secret: key is a secret, and secrets are not stored in the run. Set SECRET_KEY.")
    assert result.exit_code == 0
    assert calls("start")[0]["length"] == len("hunter2")
    files = b"".join(path.read_bytes() for path in run.folder.rglob("*") if path.is_file())
    assert b"hunter2" not in (result.stdout + result.stderr + without.stderr).encode() + files


def test_a_default_does_not_take_the_place_of_a_secret(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, monkeypatch: pytest.MonkeyPatch, one_line: OneLine
) -> None:
    """Without its token a client may deliver to another place, and call it done."""
    waiting(probes.ProbeIntegration(token="hunter2"))
    without = invoke("sync")
    monkeypatch.setenv("PROBE_TOKEN", "hunter2")

    result = invoke("sync")

    assert without.exit_code == 1
    assert one_line(without).endswith(
        "probe: token is a secret, and secrets are not stored in the run. Set PROBE_TOKEN."
    )
    assert result.exit_code == 0
    assert {call["token"] for call in calls()} == {"hunter2"}


def test_what_a_client_prints_is_not_in_the_output(
    invoke: Any, waiting: MakeWaiting, probes: Any, end_with_artifacts: Callable[..., None]
) -> None:
    run = waiting(probes.SlowIntegration(), ends=False)
    end_with_artifacts(run, "weights")

    result = invoke("sync", "--json")

    assert [each["is_done"] for each in json.loads(result.stdout)] == [True]
    assert result.stderr == "uploaded weights\n"


def test_what_was_left_alone_is_tried_again_by_the_next_sync(
    invoke: Any, waiting: MakeWaiting, probes: Any, own_folder: Path, arrived: Arrived, one_line: OneLine
) -> None:
    run = waiting(probes.PickyIntegration(), lines=20)
    (own_folder / "broken").touch()
    left = invoke("sync")
    (own_folder / "broken").unlink()

    result = invoke("sync")

    assert left.exit_code == 1
    assert "23 records wait (quarantined): 10 records in a row failed" in one_line(left)
    assert "Traceback" not in left.stderr
    assert one_line(result).startswith(f"done {run.folder.name} picky 23 records delivered")
    assert arrived() == [f"line {number}" for number in range(20)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sync", "resnt"], r"no run 'resnt' in .*\. Did you mean resnet\?"),
        (["sync", "resnet", "nobody"], r"no run 'nobody' in .*"),
        (["sync", ""], r"no run '' in .*"),
        (["sync", "--store", "nowhere"], r"no store at .*/nowhere: no such folder\."),
        (["--store", "nowhere", "sync", "resnet"], r"no store at .*/nowhere: no such folder\."),
        (["sync", "./probes.py"], r"no run './probes.py' in .*"),
        (["sync", "./experiments"], r".*/experiments: it is not a run: it has no run.json\."),
    ],
)
def test_what_is_not_there_is_one_line_and_nothing_is_delivered(
    arguments: list[str], says: str, invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    waiting(probes.ProbeIntegration(), name="resnet")

    result = invoke(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(rf"refunc: {says}\n", result.stderr)
    assert calls() == []


def test_without_a_store_there_is_nothing_to_sync(invoke: Any) -> None:
    result = invoke("sync")

    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"refunc: no store found: there is no folder `experiments` in .*\n", result.stderr)


def test_an_ambiguous_beginning_brings_the_candidates(
    invoke: Any, waiting: MakeWaiting, probes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refunc.logging.active import opening

    ids = iter(["abcd1111", "abcd2222"])
    monkeypatch.setattr(opening, "new_id", lambda: next(ids))
    waiting(name="one")
    waiting(name="two")

    result = invoke("sync", "abcd")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "refunc: 'abcd' is ambiguous: 2 run ids begin with it: abcd2222 (two), abcd1111 (one).\n"


def test_a_run_of_a_newer_format_that_is_named_is_an_error(invoke: Any, waiting: MakeWaiting, probes: Any) -> None:
    run = waiting(probes.ProbeIntegration())
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))

    result = invoke("sync", run.folder.name)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "format 2 is newer than this refunc reads (1)" in result.stderr


@pytest.mark.parametrize("patience", ["-1", "soon", "nan", "-nan"])
def test_a_patience_that_is_none_is_a_usage_error(patience: str, invoke: Any, waiting: MakeWaiting) -> None:
    waiting()

    result = invoke("sync", "--patience", patience)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--patience" in result.stderr
