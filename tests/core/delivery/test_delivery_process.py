"""Delivery as a training meets it: whole runs arrive from another process, or from a thread."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Calls, Finished

from refunc.delivery.process import _leave_deleted_folder
from refunc.runs.run import Run

pytestmark = pytest.mark.usefixtures("patient")

Script = Callable[..., subprocess.Popen[str]]
Steps = Callable[[], list[int]]
Trouble = Callable[[str], list[str]]


def test_a_whole_run_arrives_from_another_process(
    finished: Finished,
    calls: Calls,
    own_folder: Path,
    tools: Any,
    steps: Steps,
    ids: Callable[[], list[tuple[str, int]]],
    trouble: Trouble,
) -> None:
    (own_folder / "model.txt").write_text("weights")

    code, out, err = finished("""
        log.info("before any run")
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "outer"):
            log.log_hyperparams({"lr": 0.1}); log.set_tag("gpu", "a100"); log.log_artifact("model.txt")
            for step in range(3000): log.log_metrics({"loss": 1.0}, step=step)
            log.error("it broke"); log.log_result("accuracy", 0.9)
        while any(h.waiting or not h.delivered for h in log.health().values()): time.sleep(0.01)
        print(os.getpid())
    """)

    assert (code, trouble(err)) == (0, [])
    found = calls()
    assert {call["hook"] for call in found} == {"start", "params", "tags", "artifact", "metrics", "log", "end"}
    assert steps()[:3000] == list(range(3000))
    assert len(ids()) == len(set(ids())) == 3001
    assert calls("log")[0]["messages"] == ["before any run"]
    assert calls("artifact")[0]["files"][0][1] == "weights"
    assert calls("end") == [{**found[-1], "status": "completed", "run": "outer"}]
    assert {call["pid"] for call in found} != {int(out)}
    assert len({call["pid"] for call in found}) == 1
    tools.until(lambda: not tools.delivery_pids(own_folder))


def test_two_loggers_deliver_a_run_once_and_a_late_one_gets_its_history(
    finished: Finished, calls: Calls, steps: Steps
) -> None:
    finished("""
        other = MLLogger("other", "CRITICAL")
        with experiment_context("exp", "shared"):
            other.log_metrics({"a": 1}, step=1)
            log.add_integration(ProbeIntegration()); other.add_integration(ProbeIntegration())
            log.log_metrics({"b": 1}, step=2)
            other.log_metrics({"c": 1}, step=3)
    """)

    assert steps() == [1, 2, 3]
    assert len(calls("end")) == 1


def test_nested_runs_each_have_their_delivery(finished: Finished, calls: Calls) -> None:
    finished("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "outer"):
            log.log_metrics({"a": 1}, step=1)
            with experiment_context("exp", "inner"):
                log.log_metrics({"a": 1}, step=2)
    """)

    starts = {call["run"]: call["parent"] for call in calls("start")}
    assert starts["outer"] is None
    assert starts["inner"] is not None
    assert sorted(call["run"] for call in calls("end")) == ["inner", "outer"]


def test_a_tracker_of_logger_and_setup_logging_and_error_lines_open_what_they_need(
    finished: Finished, calls: Calls, only_run: Callable[[], Run]
) -> None:
    finished("""
        log.add_integration(ProbeIntegration())
        log.error("no run is open")
    """)

    assert [call["messages"] for call in calls("log")] == [["no run is open"]]
    assert only_run().summary.lines == 1


@pytest.mark.parametrize(
    "start", ["with experiment_context('exp', 'early'):", "ExperimentTracker('exp', 'early').start_run();"]
)
def test_a_run_that_fails_before_its_first_record_is_told_of(
    start: str, finished: Finished, calls: Calls, tools: Any
) -> None:
    code, _, err = finished(f"""
        from refunc.logging import ExperimentTracker
        log.add_integration(ProbeIntegration())
        {start} raise KeyError("no data")
    """)

    assert code == 1
    [end] = tools.until(lambda: calls("end"))
    assert (end["status"], end["run"]) == ("failed", "early"), err
    assert "no data" in end["error"]
    assert len([line for line in err.splitlines() if "refunc" in line and "KeyError" not in line]) <= 4, err


def test_a_failed_run_and_children_arrive(finished: Finished, calls: Calls, steps: Steps) -> None:
    code, _, _ = finished("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "fails"):
            log.log_metrics({"a": 1}, step=1)
            child = os.fork()
            if child == 0:
                log.log_metrics({"a": 1}, step=2); log.flush(); os._exit(0)
            os.waitpid(child, 0)
            raise ValueError("broken")
    """)

    assert code == 1
    assert sorted(steps()) == [1, 2]
    [end] = calls("end")
    assert end["status"] == "failed"
    assert "ValueError: broken" in end["error"]


def test_a_killed_training_is_delivered_as_far_as_it_was_written_and_ends_as_crashed(
    script: Script, calls: Calls, own_folder: Path, tools: Any, steps: Steps
) -> None:
    process = script("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "killed"):
            for step in range(5000): log.log_metrics({"loss": 1.0}, step=step)
            log.flush()
            print("ready", flush=True)
            time.sleep(60)
    """)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()

    tools.until(lambda: calls("end"))

    assert steps() == list(range(5000))
    assert calls("end")[0]["status"] == "crashed"
    tools.until(lambda: not tools.delivery_pids(own_folder))


def test_no_backend_and_no_delivery_code_runs_in_the_training(finished: Finished) -> None:
    code, out, _ = finished("""
        log.add_integration(ProbeIntegration())
        log.log_metrics({"loss": 1.0})
        print([t.name for t in threading.enumerate()])
    """)

    assert code == 0
    names = json.loads(out.replace("'", '"'))
    assert "refunc-delivery" in names
    assert "refunc-probe" not in names


def test_what_cannot_travel_is_delivered_on_a_thread(
    finished: Finished, calls: Calls, steps: Steps, trouble: Trouble
) -> None:
    code, out, err = finished("""
        class Here(ProbeIntegration):
            pass
        log.add_integration(Here())
        with experiment_context("exp", "here"):
            for step in range(10): log.log_metrics({"a": 1}, step=step)
        while any(h.waiting or not h.delivered for h in log.health().values()): time.sleep(0.01)
        print(os.getpid())
    """)

    assert (code, trouble(err)) == (0, [])
    assert steps() == list(range(10))
    assert {call["pid"] for call in calls()} == {int(out)}
    assert len(calls("end")) == 1


def test_a_thread_can_be_asked_for(finished: Finished, calls: Calls) -> None:
    _, out, _ = finished(
        "log.add_integration(ProbeIntegration()); log.log_metrics({'a': 1}); print(os.getpid())",
        REFUNC_DELIVERY="thread",
    )

    assert {call["pid"] for call in calls()} == {int(out)}


def test_switched_off_nothing_is_delivered(
    finished: Finished, own_folder: Path, calls: Calls, trouble: Trouble
) -> None:
    code, _, err = finished(
        "log.add_integration(ProbeIntegration()); log.log_metrics({'a': 1})", REFUNC_MODE="disabled"
    )

    assert (code, trouble(err), calls()) == (0, [], [])
    assert not (own_folder / "experiments").exists()


def test_integration_context_gives_integrations_for_a_block(finished: Finished, calls: Calls, steps: Steps) -> None:
    finished("""
        from refunc.logging import IntegrationsManager, integration_context
        manager = IntegrationsManager()
        manager.add_integration("probe", ProbeIntegration())
        with integration_context(manager) as integrations:
            log.add_integrations(integrations)
            with experiment_context("exp", "inside"): log.log_metrics({"a": 1}, step=1)
        with experiment_context("exp", "outside"): log.log_metrics({"a": 1}, step=2)
        assert manager.health()["probe"].name == "probe"
    """)

    assert [call["run"] for call in calls("end")] == ["inside"]
    assert steps() == [1]


_A_HANDLER_THAT_OPENS_A_RUN = """
    import subprocess
    popen = subprocess.Popen
    def starts_and_is_interrupted(*args, **options):
        process = popen(*args, **options)
        started.append(process)
        if len(started) == 1: os.kill(os.getpid(), signal.SIGUSR1)
        return process
    def opens_a_run(*_):
        with experiment_context("exp", "handler", logger=log): log.log_metrics({"loss": 2.0}, step=1)
    started = []
    subprocess.Popen = starts_and_is_interrupted
    signal.signal(signal.SIGUSR1, opens_a_run)
    log.add_integration(ProbeIntegration())
    with experiment_context("exp", "outer", logger=log): log.log_metrics({"loss": 1.0}, step=0)
    while any(h.waiting or not h.delivered for h in log.health().values()): time.sleep(0.01)
    print(len(started))
"""


def test_a_signal_handler_that_opens_a_run_while_the_process_is_started(
    finished: Finished, calls: Calls, trouble: Trouble
) -> None:
    """The handler's run waits for the start under way: else a second process would start, with a warning."""
    code, out, err = finished(_A_HANDLER_THAT_OPENS_A_RUN)

    assert (code, out, trouble(err)) == (0, "1\n", [])
    assert sorted(call["run"] for call in calls("end")) == ["handler", "outer"]
    assert len({call["pid"] for call in calls()}) == 1


@pytest.mark.skipif(os.name == "nt", reason="a folder that a process works in stays there")
def test_delivery_goes_on_when_its_working_folder_is_deleted(
    finished: Finished, calls: Calls, own_folder: Path, tools: Any, trouble: Trouble
) -> None:
    """As that of a job, which a cluster removes. Clients such as W&B's ask for the folder, and raise if it is gone."""
    code, _, err = finished(f"""
        from probes import AsksIntegration
        os.environ["REFUNC_DIR"] = os.path.abspath("experiments")
        os.mkdir("job")
        os.chdir("job")
        log.add_integration(AsksIntegration(path={str(own_folder / "calls.jsonl")!r}))
        with experiment_context("exp", "run"):
            log.log_metrics({{"loss": 1.0}}, step=1)
            while not log.health()["asks"].delivered: time.sleep(0.01)
            os.rmdir("../job")
            log.log_metrics({{"loss": 1.0}}, step=2)
    """)

    assert (code, trouble(err)) == (0, [])
    tools.until(lambda: calls("end"))
    tools.until(lambda: not tools.delivery_pids(own_folder / "experiments"))
    assert [call["folder"] for call in calls("metrics")] == [str(own_folder / "job"), str(own_folder / "experiments")]


@pytest.mark.parametrize(
    ("number", "is_left"), [(errno.ENOENT, True), (errno.ESTALE, True), (errno.EACCES, False), (errno.EIO, False)]
)
def test_only_a_working_folder_that_is_gone_is_left_and_no_error_ends_the_delivery(
    number: int, is_left: bool, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted folder on NFS is a stale handle. In one that is there, relative paths such as `sqlite:///x.db` work."""

    def refuse() -> str:
        raise OSError(number, os.strerror(number))

    store = own_folder / "experiments"
    store.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getcwd", refuse)
        _leave_deleted_folder(store)
        _leave_deleted_folder(own_folder / "gone")

    assert Path.cwd() == (store if is_left else own_folder)
