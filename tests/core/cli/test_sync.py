"""`refunc sync`: what is left of runs arrives, once; and where it does not, the line and the exit code say so."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging.run import ActiveRun

pytestmark = pytest.mark.extras

Calls = Callable[..., list[dict[str, Any]]]
Running = Callable[..., subprocess.Popen[str]]
#: Makes a run with integrations and some lines, of which nobody has delivered anything, and ends it.
MakeWaiting = Callable[..., ActiveRun]

HOSTILE = "[bold red]x[/] \x1b[31m\u202e\ttab\nline"
PROBE = {"name": "probe", "key": "probe-00000000", "path": "probes:ProbeIntegration", "options": {}, "target": ""}


def lines_of(calls: list[dict[str, Any]]) -> list[str]:
    return [message for call in calls if call["hook"] == "log" for message in call["messages"]]


def one_line(result: Any) -> str:
    """Return the one line that a command printed on stdout, single spaces between its words."""
    [line] = result.stdout.splitlines()
    return " ".join(line.split())


# -- all is delivered: exit code 0 ------------------------------------------------------------------------------------


def test_a_run_without_integrations_has_nothing_to_sync(invoke: Any, waiting: MakeWaiting) -> None:
    waiting()

    result = invoke("sync")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "refunc: no run here has an integration.\n"
    as_json = invoke("sync", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout), as_json.stderr) == (0, [], "")


def test_what_is_left_arrives_once_and_takes_one_line(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    run = waiting(probes.ProbeIntegration())

    first, second = invoke("sync"), invoke("sync")

    assert (first.exit_code, first.stderr) == (second.exit_code, second.stderr) == (0, "")
    assert one_line(first) == f"done {run.folder.name} probe 6 records delivered"
    assert one_line(second) == "nothing to do: 1 delivery is complete"
    assert [call["hook"] for call in calls()] == ["start", "log", "end"]
    assert lines_of(calls()) == ["line 0", "line 1", "line 2"]


def test_a_cursor_that_takes_long_to_save_does_not_make_a_whole_delivery_look_unfinished(
    invoke: Any, waiting: MakeWaiting, probes: Any
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
            "dead": 0,
            "last_error": None,
            "dead_letters": None,
        }
        for run, name, records in [(done, "probe", 6), (left, "raises", 3)]
    ]
    assert (result.exit_code, result.stderr) == (0, "")


def test_each_run_gets_its_line_and_a_run_that_is_named_is_the_only_one(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
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
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = waiting(probes.SecretIntegration(key="hunter2"))
    without = invoke("sync")
    monkeypatch.setenv("SECRET_KEY", "hunter2")

    result = invoke("sync")

    assert without.exit_code == 1
    assert one_line(without).endswith("secret: key holds a secret, which no journal does. Set SECRET_KEY.")
    assert result.exit_code == 0
    assert calls("start")[0]["length"] == len("hunter2")
    files = b"".join(path.read_bytes() for path in run.folder.rglob("*") if path.is_file())
    assert b"hunter2" not in (result.stdout + result.stderr + without.stderr).encode() + files


def test_a_default_does_not_take_the_place_of_a_secret(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its token a client may deliver to another place, and call it done."""
    waiting(probes.ProbeIntegration(token="hunter2"))
    without = invoke("sync")
    monkeypatch.setenv("PROBE_TOKEN", "hunter2")

    result = invoke("sync")

    assert without.exit_code == 1
    assert one_line(without).endswith("probe: token holds a secret, which no journal does. Set PROBE_TOKEN.")
    assert result.exit_code == 0
    assert {call["token"] for call in calls()} == {"hunter2"}


def test_what_a_client_prints_is_not_in_the_output(invoke: Any, waiting: MakeWaiting, probes: Any) -> None:
    run = waiting(probes.SlowIntegration(), ends=False)
    put_artifacts(run, "weights")

    result = invoke("sync", "--json")

    assert [each["is_done"] for each in json.loads(result.stdout)] == [True]
    assert result.stderr == "uploaded weights\n"


def put_artifacts(run: ActiveRun, *names: str) -> None:
    """Add artifacts to *run* and end it."""
    for name in names:
        run.put("artifact", {"name": name, "source": f"/nowhere/{name}", "type": "file"})
    run.end("completed")


def test_what_was_left_alone_is_tried_again_by_the_next_sync(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path
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
    assert lines_of(calls()) == [f"line {number}" for number in range(20)]


# -- something is left: exit code 1, and why --------------------------------------------------------------------------


def test_a_tracker_that_is_down_is_given_up_after_the_patience(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    began = time.monotonic()

    result = invoke("sync", "--patience", "2")

    assert 2 < time.monotonic() - began < 20
    assert result.exit_code == 1
    assert one_line(result) == f"left {run.folder.name} probe 6 records wait (retrying): the server is down"
    assert result.stderr == "refunc: probe: retrying: the server is down\n"
    assert calls() == []
    [facts] = json.loads(invoke("sync", "--json", "--patience", "0").stdout)
    assert (facts["is_done"], facts["state"], facts["waiting"]) == (False, "retrying", 6)
    assert facts["last_error"] == "the server is down"


def test_an_outage_that_ends_meanwhile_is_waited_for(
    running: Running, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync", "--patience", "60")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))
    (own_folder / "down").unlink()

    out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out.startswith("done")
    assert lines_of(calls()) == ["line 0", "line 1", "line 2"]


def test_two_integrations_that_stand_differently_are_no_progress(
    running: Running, waiting: MakeWaiting, probes: Any, own_folder: Path
) -> None:
    """One has taken all but the end, the other nothing: that is given up like a single one."""
    (own_folder / "down").touch()
    waiting(probes.ProbeIntegration(), probes.EndlessIntegration())

    process = running("sync", "--patience", "2")
    out, err = process.communicate(timeout=30)

    assert process.returncode == 1, err
    assert sorted(line.split(maxsplit=2)[2] for line in out.splitlines()) == [
        "endless  1 records wait (retrying): never ends",
        "probe  7 records wait (retrying): the server is down",
    ]


def test_a_tracker_that_takes_one_artifact_after_the_other_is_not_given_up(
    invoke: Any, waiting: MakeWaiting, probes: Any
) -> None:
    """Together they take longer than the patience, each of them does not."""
    run = waiting(probes.SlowIntegration(), ends=False)
    put_artifacts(run, *"abcde")

    result = invoke("sync", "--patience", "2")

    assert result.exit_code == 0
    assert result.stderr.splitlines() == [f"uploaded {name}" for name in "abcde"]


@pytest.mark.slow
def test_a_call_that_never_returns_is_said_to_be_the_reason(
    running: Running, waiting: MakeWaiting, probes: Any, own_folder: Path
) -> None:
    run = waiting(probes.SleepsIntegration(), ends=False)
    run.put("log", {"level": "INFO", "message": "m", "metrics": {"loss": 1.0}})
    run.end("completed")

    process = running("sync", "--patience", "1")
    out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (1, "")
    assert re.search(r"7 records wait \(stuck\): a hook has not returned for \d s", out)


def test_the_other_integrations_of_a_run_are_delivered_all_the_same(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    gone = {**PROBE, "name": "gone", "key": "gone-00000000", "path": "refunc_gone:GoneIntegration"}
    waiting(gone, probes.ProbeIntegration())

    result = invoke("sync", "--patience", "2")

    assert result.exit_code == 1
    done, left = sorted(" ".join(line.split()[::2]) for line in result.stdout.splitlines())
    assert done.startswith("done probe")
    assert left.startswith("left gone")
    assert lines_of(calls()) == ["line 0", "line 1", "line 2"]


def test_a_plugin_that_is_no_longer_installed_is_the_reason_without_a_traceback(
    invoke: Any, waiting: MakeWaiting
) -> None:
    waiting({**PROBE, "path": "refunc_gone:GoneIntegration"})

    began = time.monotonic()

    result = invoke("sync", "--patience", "60")

    assert time.monotonic() - began < 20  # no patience installs it
    why = (
        "its class 'refunc_gone:GoneIntegration' cannot be imported: ModuleNotFoundError: No module named 'refunc_gone'"
    )
    assert result.exit_code == 1
    assert one_line(result).endswith(f"6 records wait (quarantined): {why}")
    assert result.stderr == f"refunc: probe: left alone until `refunc sync`: {why}\n"


def test_options_that_the_plugin_does_not_have_any_more_are_not_waited_for(invoke: Any, waiting: MakeWaiting) -> None:
    waiting({**PROBE, "options": {"pth": "calls.jsonl"}})
    began = time.monotonic()

    result = invoke("sync", "--patience", "60")

    assert time.monotonic() - began < 20
    assert result.exit_code == 1
    assert "probe: there is no option 'pth'. Did you mean path?" in one_line(result)


def test_a_run_that_goes_on_gets_what_there_is_and_is_left(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    run = waiting(probes.ProbeIntegration(), ends=False)

    result = invoke("sync")

    assert result.exit_code == 1
    assert one_line(result) == f"left {run.folder.name} probe 0 records wait (ok): the run has not ended"
    assert [call["hook"] for call in calls()] == ["start", "log"]
    run.end("completed")
    assert invoke("sync").exit_code == 0
    assert [call["hook"] for call in calls()] == ["start", "log", "end"]


def test_a_run_that_its_training_delivers_is_left_to_it(
    script: Running, invoke: Any, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    script("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "live"):
            log.log_metrics({"a": 1}); log.flush(); time.sleep(60)
    """)
    tools.until(lambda: list((own_folder / "experiments").glob("*/delivery/probe-*.json")))

    result, as_json = invoke("sync"), invoke("sync", "--json")

    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert re.fullmatch(r"busy \S+_live_\S+ probe another process delivers it", one_line(result))
    [facts] = json.loads(as_json.stdout)
    assert (facts["state"], facts["is_done"], facts["delivered"]) == ("delivered elsewhere", False, 0)
    assert facts["waiting"] > 0


def test_a_run_at_rest_that_another_sync_delivers_is_left_to_it(
    running: Running, invoke: Any, waiting: MakeWaiting, probes: Any
) -> None:
    run = waiting(probes.SlowIntegration(), ends=False)
    put_artifacts(run, *"abcdef")
    process = running("sync")
    assert process.stderr is not None
    first = process.stderr.readline()

    result = invoke("sync")

    assert (result.exit_code, one_line(result).split()[0]) == (1, "busy")
    out, rest = process.communicate(timeout=60)
    assert (process.returncode, out.split()[0]) == (0, "done")
    assert (first + rest).splitlines() == [f"uploaded {name}" for name in "abcdef"]


def test_two_syncs_at_once_deliver_a_run_once(
    running: Running, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))

    other = running("sync")
    (own_folder / "down").unlink()
    for each in (process, other):
        each.communicate(timeout=60)
        assert each.returncode == 0
    assert [call["hook"] for call in calls()] == ["start", "log", "end"]


def test_ctrl_c_ends_it_and_the_next_sync_goes_on(
    running: Running, invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync", "--follow")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    (own_folder / "down").unlink()
    assert invoke("sync").exit_code == 0
    assert lines_of(calls()) == ["line 0", "line 1", "line 2"]


# -- --follow ---------------------------------------------------------------------------------------------------------


def test_follow_goes_on_until_the_run_has_ended(
    running: Running, waiting: MakeWaiting, probes: Any, calls: Calls, tools: Any
) -> None:
    run = waiting(probes.ProbeIntegration(), ends=False)
    process = running("sync", "--follow", "--patience", "0")
    tools.until(lambda: len(lines_of(calls())) == 3)
    run.put("log", {"level": "INFO", "message": "a later line"})
    run.writer.flush()
    tools.until(lambda: len(lines_of(calls())) == 4)
    assert process.poll() is None
    run.end("failed")

    out, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (0, "")
    assert out.startswith("done")
    assert calls("end")[0]["status"] == "failed"
    assert len(calls("start")) == 1


def test_follow_waits_for_the_process_that_delivers_and_sends_nothing_again(
    script: Running, running: Running, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    training = script("""
        log.add_integrations([ProbeIntegration(), OnceIntegration(path="once.jsonl")])
        with experiment_context("exp", "live"):
            for step in range(100): log.log_metrics({"a": 1}, step=step)
            log.flush(); sys.stdin.readline()
    """)
    tools.until(lambda: len(list((own_folder / "experiments").glob("*/delivery/*.json"))) == 2)
    process = running("sync", "--follow")
    tools.until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 2)  # it has begun to wait for both
    (own_folder / "down").unlink()
    tools.until(lambda: calls("metrics") and calls("metrics", path="once.jsonl"))
    assert process.poll() is None
    training.communicate("\n", timeout=60)

    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["done", "done"]
    for path in ("calls.jsonl", "once.jsonl"):
        assert [step for call in calls("metrics", path) for step in call["steps"]] == list(range(100))
        assert (len(calls("start", path)), len(calls("end", path))) == (1, 1)


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1, "positions": {}, "delivered": "many"}', b"\xff" * 99])
def test_a_damaged_cursor_means_that_everything_arrives_again(
    damage: bytes, invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    run = waiting(probes.ProbeIntegration())
    assert invoke("sync").exit_code == 0
    [cursor] = (run.folder / "delivery").glob("*.json")
    cursor.write_bytes(damage)

    result = invoke("sync")

    assert result.exit_code == 0
    assert one_line(result) == f"done {run.folder.name} probe 6 records delivered"
    assert lines_of(calls()) == ["line 0", "line 1", "line 2"] * 2


def test_a_damaged_line_that_names_an_integration_costs_that_one_only(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    run = waiting(probes.ProbeIntegration(path="lost.jsonl"), probes.ProbeIntegration())
    [journal] = (run.folder / "journal").iterdir()
    journal.write_bytes(journal.read_bytes().replace(b"lost.jsonl", b"lose.jsonl"))

    result = invoke("sync")

    assert result.exit_code == 0
    assert one_line(result) == f"done {run.folder.name} probe 6 records delivered"
    assert lines_of(calls()) == ["line 0", "line 1", "line 2"]
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
    ("path", "why"),
    [
        ("probes:NobodyIntegration", "AttributeError: module 'probes' has no attribute 'NobodyIntegration'"),
        ("nonsense", "ModuleNotFoundError: No module named 'nonsense'"),
        ("", "ValueError: Empty module name"),
        ("json:dumps", "TypeError: json:dumps is no class with hooks."),
        ("subprocess:Popen", "TypeError: subprocess:Popen is no class with hooks."),
    ],
)
def test_a_path_that_leads_to_no_integration_is_the_reason_and_nothing_is_called(
    path: str, why: str, invoke: Any, waiting: MakeWaiting, own_folder: Path
) -> None:
    """A journal may come from anybody, and must not be a way to have a command run."""
    waiting({**PROBE, "path": path, "options": {"args": ["touch", "called"]}})

    result = invoke("sync", "--patience", "1")

    assert result.exit_code == 1
    assert one_line(result).endswith(f"6 records wait (quarantined): its class {path!r} cannot be imported: {why}")
    assert not (own_folder / "called").exists()


def test_a_run_that_cannot_be_read_is_said_and_is_not_all_delivered(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls
) -> None:
    waiting(probes.ProbeIntegration(), name="good")
    bad = waiting(probes.ProbeIntegration(), name="bad")
    (bad.folder / "run.json").write_text("{")

    result = invoke("sync")

    assert result.exit_code == 1
    assert one_line(result).startswith("done")
    assert re.fullmatch(r"refunc: left out: .*run\.json cannot be read.*\n", result.stderr)
    assert [call["run"] for call in calls("end")] == ["good"]


def test_what_a_journal_says_cannot_act_on_the_terminal(invoke: Any, waiting: MakeWaiting) -> None:
    waiting({**PROBE, "name": HOSTILE, "path": f"{HOSTILE}:Integration"})

    result = invoke("sync", "--patience", "1")

    assert r"[bold red]x[/] \x1b[31m\u202e\ttab\nline" in one_line(result)
    assert re.search(r"[\x00-\x09\x0b-\x1f\u202e]", result.stdout + result.stderr) is None


def test_a_run_removed_meanwhile_is_waited_for_no_longer(
    running: Running, waiting: MakeWaiting, probes: Any, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync", "--follow")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))

    shutil.rmtree(run.folder)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "Traceback" not in err
    assert not run.folder.exists()


# -- what the user can put right: exit code 2 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sync", "resnt"], r"no run 'resnt' in .*\. Did you mean resnet\?"),
        (["sync", "resnet", "nobody"], r"no run 'nobody' in .*"),
        (["sync", ""], r"no run '' in .*"),
        (["sync", "--store", "nowhere"], r"no store at .*/nowhere: there is no such folder\."),
        (["--store", "nowhere", "sync", "resnet"], r"no store at .*/nowhere: there is no such folder\."),
        (["sync", "./probes.py"], r"no run './probes.py' in .*"),
        (["sync", "./experiments"], r".*/experiments: there is no run.json in it, so it is no run\."),
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
    assert re.fullmatch(r"refunc: no runs here: there is no folder `experiments` in .*\n", result.stderr)


def test_an_ambiguous_beginning_brings_the_candidates(
    invoke: Any, waiting: MakeWaiting, probes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refunc.logging import run

    ids = iter(["abcd1111", "abcd2222"])
    monkeypatch.setattr(run, "new_id", lambda: next(ids))
    waiting(name="one")
    waiting(name="two")

    result = invoke("sync", "abcd")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "refunc: 'abcd' is the beginning of 2 run ids: abcd2222 (two), abcd1111 (one).\n"


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
