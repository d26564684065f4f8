"""`refunc doctor`: problems are found and told in a line each, with the next step, and nothing is changed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker

pytestmark = [pytest.mark.once, pytest.mark.extras]


def finished_run(name: str = "resnet") -> Path:
    with ExperimentTracker("images", name) as tracker:
        tracker.log_metrics({"loss": 0.5})
    assert tracker.folder is not None
    return tracker.folder


@pytest.fixture
def problems(invoke: Any) -> Callable[..., list[dict[str, str]]]:
    """Run `refunc doctor --json` and return the problems, which decide about the exit code."""

    def problems(*arguments: str, state: str = "problem") -> list[dict[str, str]]:
        result = invoke("doctor", "--json", *arguments)
        said = json.loads(result.stdout)
        found = [finding for finding in said["findings"] if finding["state"] == "problem"]
        assert (result.exit_code, said["is_fine"]) == ((1, False) if found else (0, True)), result.stdout
        return [finding for finding in said["findings"] if finding["state"] == state]

    return problems


def test_all_is_well_and_nothing_is_changed(invoke: Any, problems: Any) -> None:
    folder = finished_run()
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}

    result = invoke("doctor")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "no problems found"
    checks = [line.split()[1] for line in result.stdout.splitlines()[:-1]]
    assert {"refunc", "python", "packages", "environment", "plugins", "store", "locks", "clock", "disk", "runs"} <= {
        *checks
    }
    assert {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")} == before
    assert problems() == []


def test_without_a_store_the_rest_is_told(problems: Any) -> None:
    (note,) = problems(state="note")

    assert note["check"] == "store"


def test_damaged_and_missing_lines_are_found(problems: Any) -> None:
    (segment,) = (finished_run() / "journal").iterdir()
    segment.write_bytes(segment.read_bytes().replace(b'"loss"', b'"lass"', 1))

    (problem,) = problems()

    assert (problem["check"], problem["text"].split(": ")[1]) == ("journal", "1 damaged, 1 missing")
    assert problems("--runs", "0") == []


def test_only_the_newest_runs_are_read_unless_all_are_asked_for(problems: Any) -> None:
    (segment,) = (finished_run("old") / "journal").iterdir()
    segment.write_bytes(segment.read_bytes()[:-30] + b"\n")
    finished_run("new")

    assert problems("--runs", "1") == []
    assert [problem["check"] for problem in problems("--all-runs")] == ["journal"]


def test_a_run_that_cannot_be_read_is_found(problems: Any) -> None:
    (finished_run() / "run.json").write_text("{")

    (problem,) = problems()

    assert "run.json cannot be read" in problem["text"]


@pytest.fixture
def prelude() -> str:
    return ""


def test_what_waits_for_an_integration_is_found(
    problems: Any, probes: Any, finished: Any, tools: Any, only_run: Any, own_folder: Path
) -> None:
    (own_folder / "down").touch()
    code = """
        import probes
        from refunc.logging import MLLogger, experiment_context
        logger = MLLogger("train")
        logger.add_integration(probes.ProbeIntegration())
        with experiment_context("images", "undelivered"):
            logger.log_metrics({"loss": 1.0})
    """
    assert finished(code, REFUNC_EXIT_WAIT="0")[0] == 0
    tools.kill_delivery(own_folder)

    (problem,) = problems()

    assert problem["check"] == "delivery"
    assert re.search(r"\d+ records wait for probe", problem["text"])
    assert problem["hint"] == f"refunc sync {only_run().run_id}"


def test_a_mistyped_variable_is_found(problems: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run()
    monkeypatch.setenv("REFUNC_DIRR", "x")

    (problem,) = problems()

    assert (problem["text"], problem["hint"]) == ("REFUNC_DIRR is not a variable of refunc", "Did you mean REFUNC_DIR?")


@pytest.mark.parametrize(
    ("name", "value", "text", "allowed"),
    [
        ("REFUNC_MODE", "disable", "REFUNC_MODE='disable' counts as not set", "disabled"),
        ("REFUNC_EXIT_WAIT", "5s", "REFUNC_EXIT_WAIT='5s' counts as not set", "a number of seconds"),
    ],
)
def test_a_value_that_is_not_allowed_is_found(
    name: str, value: str, text: str, allowed: str, problems: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished_run()
    monkeypatch.setenv(name, value)

    (problem,) = problems()

    assert (problem["text"], problem["hint"]) == (text, f"Allowed: {allowed}.")


def test_every_variable_that_is_asked_for_is_known() -> None:
    from refunc.values.settings import SETTINGS

    sources = [path for path in Path(__file__).parents[3].glob("refunc-*/src/**/*.py") if path.name != "settings.py"]
    asked = {name for path in sources for name in re.findall(r"\bREFUNC_[A-Z_]+\b", path.read_text("utf-8"))}

    assert asked == set(SETTINGS)


def test_a_clock_that_was_wrong_is_found(problems: Any) -> None:
    folder = finished_run()
    birth = json.loads((folder / "run.json").read_text())
    birth["start_time"] = time.time() + 86_400
    (folder / "run.json").write_text(json.dumps(birth))

    assert [problem["check"] for problem in problems()] == ["clock"]


def test_a_run_of_a_newer_format_is_not_to_be_removed(problems: Any) -> None:
    folder = finished_run()
    birth = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**birth, "format": 2}))

    (problem,) = problems()

    assert "Upgrade refunc" in problem["hint"]
    assert "remove" not in problem["hint"]


def test_a_full_disk_and_a_store_that_takes_nothing_are_found(problems: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faked, because root may write everywhere and the disk of tests is not to be filled."""
    finished_run()

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("refunc_commands.upkeep.checks.Draft", denied)
    usage = type(shutil.disk_usage("."))(100 << 30, 99 << 30, 1 << 20)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    found = problems()

    assert [problem["check"] for problem in found] == ["store", "disk"]
    assert "Permission denied" in found[0]["text"]


def test_a_broken_plugin_is_found(problems: Any, install: Callable[..., Path]) -> None:
    finished_run()
    install("raiser")

    (problem,) = problems()

    assert problem["check"] == "plugins"
    assert "raiser 1.0: broken" in problem["text"]


def test_what_is_not_in_a_run_of_its_artifacts_is_told(problems: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunc.logging.artifacts.storing.COPY_BYTES", 10)
    monkeypatch.setattr("refunc.logging.artifacts.storing._reflink", lambda *_: False)
    Path("model").mkdir()
    for name in ("model/a.bin", "model/b.bin", "single.bin"):
        Path(name).write_bytes(b"x" * 100)
    Path("model/link").symlink_to(".")
    with ExperimentTracker("images", "saved") as tracker:
        tracker.log_artifact("model")
        tracker.log_artifact("single.bin")

    there = [note["text"] for note in problems(state="note")]
    Path("model/b.bin").unlink()
    Path("single.bin").write_bytes(b"other")
    gone = [note["text"] for note in problems(state="note")]

    name = tracker.folder.name if tracker.folder else ""
    assert there == [
        f"{name}: 3 files of artifacts, 300 B, were not copied; all are unchanged in their places",
        f"{name}: 1 entries of logged folders were left out (a link to a folder)",
    ]
    assert gone[0] == f"{name}: 3 files of artifacts, 300 B, were not copied; of these, 2 are gone or have changed"
