"""The command line in this process or in one of its own, runs that wait for delivery, and the output of commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal import kinds
from refunc.journal.codec import encode_line
from refunc.logging.active.run import ActiveRun
from refunc.plugins.integration import passport_of


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """Run a command line here, stdout no terminal; the result has `exit_code`, `stdout` and `stderr`."""
    testing = pytest.importorskip("click.testing")

    def invoke(*arguments: str) -> Any:
        from refunc_commands.cli.root import refunc

        # click 8.1 has to be told that stderr is kept apart; 8.2 always does, and has no such option.
        options = {"mix_stderr": False} if "mix_stderr" in testing.CliRunner.__init__.__code__.co_varnames else {}
        return testing.CliRunner(**options).invoke(refunc, list(arguments))

    return invoke


@pytest.fixture
def errors_into_closed_pipe() -> Callable[[list[str]], str]:
    """Run a command line as in `refunc ls | head -1`, its reader gone before the first line; return its stderr."""

    def errors_into_closed_pipe(command: list[str]) -> str:
        reading, writing = os.pipe()
        os.close(reading)
        with subprocess.Popen(
            [sys.executable, "-m", "refunc", *command], stdout=writing, stderr=subprocess.PIPE, text=True
        ) as process:
            os.close(writing)
            return process.communicate(timeout=60)[1]

    return errors_into_closed_pipe


@pytest.fixture
def running(own_folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command line as a process, stdout and stderr pipes; it is killed at the test's end."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "refunc", *arguments]
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        started.append(subprocess.Popen(command, env={**os.environ, **environ}, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def waiting(make_run: Callable[..., ActiveRun], probes: Any) -> Callable[..., ActiveRun]:
    """Make a run with integrations and some lines, of which nothing is delivered yet, and end it."""

    def make(*integrations: Any, name: str = "made", lines: int = 3, ends: bool = True) -> ActiveRun:
        run = make_run(name)
        for each in integrations:
            run.put_through(kinds.ATTACH, each if isinstance(each, dict) else passport_of(each).for_journal())
        for number in range(lines):
            run.put("log", {"level": "INFO", "message": f"line {number}"})
        run.writer.flush()
        if ends:
            run.end("completed")
        return run

    return make


@pytest.fixture
def end_with_artifacts() -> Callable[..., None]:
    """Add artifacts of some names to a run and end it."""

    def end(run: ActiveRun, *names: str) -> None:
        for name in names:
            run.put("artifact", {"name": name, "source": f"/nowhere/{name}", "type": "file"})
        run.end("completed")

    return end


@pytest.fixture
def arrived(calls: Callable[..., list[dict[str, Any]]]) -> Callable[[], list[str]]:
    """Return the messages of the lines that a probe got."""
    return lambda: [message for call in calls("log") for message in call["messages"]]


@pytest.fixture
def one_line() -> Callable[[Any], str]:
    """Return the one line that a command printed on stdout, single spaces between its words."""

    def one_line(result: Any) -> str:
        [line] = result.stdout.splitlines()
        return " ".join(line.split())

    return one_line


@pytest.fixture
def running_run(script: Callable[..., subprocess.Popen[str]]) -> Path:
    """Open a run in a process of its own, which keeps it open until the test's end; return its folder."""
    process = script(
        """
        with experiment_context("vision", "live", logger=MLLogger("quiet", "CRITICAL")) as run:
            run.log_metrics({"loss": 0.5}, step=1)
            run.flush()
            print(run.folder, flush=True)
            sys.stdin.read()
        """,
        prelude="import sys\nfrom refunc.logging import MLLogger, experiment_context\n",
    )
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


@pytest.fixture
def store(own_folder: Path) -> Path:
    """Return a store of four runs, of which one was imported and has numbers as texts."""
    place = own_folder / "experiments"
    now = time.time()
    imported = {"from": "mlflow", "id": "3f2a99c0ffee", "place": "/elsewhere/mlruns", "time": now}
    place_of_wandb = "/elsewhere/wandb/offline-run-20240101_120000-k3f9a2b7/run-k3f9a2b7.wandb"
    of_wandb = {"from": "wandb", "id": "k3f9a2b7", "place": place_of_wandb, "time": now}
    for number, (name, experiment, params, status, origin) in enumerate(
        [
            ("old", "digits", {"lr": 0.1, "model": "vit"}, "completed", {"imported": of_wandb}),
            ("came", "moved", {"lr": "1e-3", "model": "resnet"}, "failed", {"imported": imported}),
            ("good", "digits", {"lr": 0.01, "model": "resnet"}, "completed", {}),
            ("last", "digits", {"lr": 0.05, "model": "mlp"}, "completed", {}),
        ]
    ):
        folder = place / f"{name}_{number:08}"
        (folder / "journal").mkdir(parents=True)
        started = now - [240, 30, 20, 1][number] * 3_600.0
        birth = {"format": 1, "run_id": f"{number:08}", "run_name": name, "start_time": started}
        birth |= {"experiment_name": experiment, "experiment_id": experiment, **origin}
        (folder / "run.json").write_text(json.dumps(birth))
        lines: list[dict[str, Any]] = [{"kind": "params", "params": params}]
        lines += [{"kind": "define", "name": "acc", "summary": "max"}] if name == "good" else []
        lines += [{"kind": "metrics", "metrics": {"val/loss": 1 / (number + 1), "acc": 0.5}, "step": 0}]
        lines += [{"kind": "log", "level": "INFO", "message": f"line of {name}"}]
        lines += [{"kind": "end", "status": status, "duration": 60.0 * (number + 1), "metrics": {}}]
        numbered = [{"seq": seq, "time": started + seq, **line} for seq, line in enumerate(lines)]
        records = [{"kind": "segment", "format": 1, "logger": "l"}, *numbered]
        (folder / "journal" / "main.000000.jsonl").write_bytes(b"".join(map(encode_line, records)))
    return place
