"""How a delivery process begins, and where there is none to be had: frozen applications, limits, other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Calls, Finished

from refunc.delivery import patience

pytestmark = [
    pytest.mark.usefixtures("patient"),
    pytest.mark.skipif(os.name == "nt", reason="stands for applications by scripts of a shell"),
]


TRAINING = """
log.add_integration(ProbeIntegration())
with experiment_context("exp", "run"):
    log.log_metrics({"loss": 1.0}, step=1)
    while %s: time.sleep(0.01)
print(os.getpid())
"""
#: Threads deliver while the training runs; none can be started at its exit.
LONG, SHORT = TRAINING % "not log.health()['probe'].delivered", TRAINING % "False"


@pytest.fixture
def application(own_folder: Path) -> Callable[[str], str]:
    """Make a program of a shell whose name is like that of a Python; return the line that takes it for one."""

    def make(does: str) -> str:
        path = own_folder / "my-py-app"
        path.write_text(f"#!/bin/sh\necho started >> starts\n{does}\n")
        path.chmod(0o755)
        return f"sys.executable = {str(path)!r}\n"

    return make


@pytest.mark.parametrize(
    "frozen",
    [
        "sys.frozen = True",
        "__compiled__ = object()",
        "sys.executable = ''",
        "sys.executable = None",
        "sys.executable = '/bin/sh'",
    ],
)
def test_a_frozen_application_starts_nothing_and_delivers_by_a_thread(
    frozen: str, finished: Finished, calls: Calls, trouble: Callable[[str], list[str]]
) -> None:
    begun = "import subprocess\nstarted = []\nsubprocess.Popen = lambda *args, **options: started.append(args)\n"

    code, out, err = finished(f"{frozen}\n{begun}{SHORT}print(started)")

    pid, started = out.split("\n", 1)
    assert (code, started.strip(), trouble(err)) == (0, "[]", [])
    assert {call["pid"] for call in calls()} == {int(pid)}
    assert calls("end")


def test_an_application_that_is_taken_for_python_is_started_once_and_writes_nothing(
    application: Callable[[str], str], finished: Finished, calls: Calls, own_folder: Path
) -> None:
    again = application(f'exec "{sys.executable}" script0.py "$@"')

    code, out, err = finished(f"{again}{LONG}")

    assert code == 0
    assert (own_folder / "starts").read_text().count("started") == 1
    assert len(list((own_folder / "experiments").glob("*_run_*"))) == 1
    assert err.count("a delivery process cannot be started") == 1, err
    assert {call["pid"] for call in calls()} == {int(out)}
    assert len(calls("end")) == 1


def test_a_program_that_does_not_begin_with_delivery_is_ended(
    application: Callable[[str], str], finished: Finished, calls: Calls, own_folder: Path
) -> None:
    waits = application("echo $$ > pid\nexec sleep 600")
    soon = "from refunc.delivery import handover\nhandover.BEGIN = 0.3\n"

    code, out, err = finished(f"{waits}{soon}{LONG}")

    assert code == 0
    assert (own_folder / "starts").read_text().count("started") == 1
    assert err.count("a delivery process cannot be started") == 1, err
    assert {call["pid"] for call in calls()} == {int(out)}
    with pytest.raises(ProcessLookupError):
        os.kill(int((own_folder / "pid").read_text()), 0)


def test_no_process_to_be_had_is_said_once_and_what_remains_is_true(
    finished: Finished, calls: Calls, trouble: Callable[[str], list[str]]
) -> None:
    limit = """
        import subprocess
        asked = []
        def refused(*args, **options):
            asked.append(1)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        subprocess.Popen = refused
        log.add_integrations([ProbeIntegration(), PickyIntegration(path="picky.jsonl")])
        with experiment_context("exp", "run"):
            log.log_metrics({"loss": 1.0}, step=1)
            while len(asked) < 3: time.sleep(0.01)
    """

    code, _, err = finished(limit, REFUNC_EXIT_WAIT="1")

    assert (code, calls()) == (0, [])
    refused, remains = trouble(err)
    assert "delivery cannot be started now (BlockingIOError(11" in refused
    assert "still to be delivered" in remains
    assert "background" not in remains
    assert "Run `refunc sync` to deliver it." in remains


def test_it_begins_when_a_process_is_to_be_had_again(finished: Finished, calls: Calls) -> None:
    code, out, _ = finished(f"""
        import subprocess
        popen, refusals = subprocess.Popen, [1, 2]
        def refused(*args, **options):
            if refusals:
                raise BlockingIOError(refusals.pop(), "Resource temporarily unavailable")
            return popen(*args, **options)
        subprocess.Popen = refused
        {LONG.replace(chr(10), chr(10) + " " * 8)}
    """)

    assert code == 0
    assert [call["run"] for call in calls("end")] == ["run"]
    assert int(out) not in {call["pid"] for call in calls()}


# -- the line at exit about delivery that goes on ----------------------------------------------------------------------


@pytest.mark.once
def test_the_first_process_of_a_container_says_that_delivery_ends_with_it(
    own_folder: Path, prelude: str, script: Any
) -> None:
    namespace = ["unshare", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode:
        pytest.skip("this machine gives no PID namespace to its users")
    (own_folder / "down").touch()
    (own_folder / "first.py").write_text(f"{prelude}assert os.getpid() == 1\n{SHORT}")

    done = subprocess.run(
        [*namespace, sys.executable, "first.py"],
        env={**os.environ, "REFUNC_EXIT_WAIT": "0"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "Delivery ends with this process, the first of its container" in done.stderr


@pytest.mark.once
def test_in_a_container_delivery_goes_on_while_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(number: int) -> None:
        monkeypatch.setattr(os, "readlink", lambda path: f"pid:[{number}]")

    link(4026531836)
    assert "background; " in patience._further(True)
    link(4026532208)
    assert "background while this container runs; " in patience._further(True)
    assert patience._further(False) == "Run `refunc sync` to deliver it."
