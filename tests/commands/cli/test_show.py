"""`refunc show RUN`: all of one run, for people and as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line
from refunc.logging import ExperimentTracker, experiment_context
from refunc.runs import measured
from refunc.runs.signature import Signature, signature_of

pytestmark = pytest.mark.extras

HOSTILE = "[bold red]x[/] :smile: \x1b[31m\u202e\ttab\nline"
SPELLED = r"[bold red]x[/] :smile: \x1b[31m\u202e\ttab\nline"


def full_run() -> ExperimentTracker:
    Path("model.bin").write_bytes(b"x" * 3_000)
    with ExperimentTracker("images", "resnet_v1") as tracker:
        tracker.log_hyperparams({"lr": 0.001, "optimizer": {"name": "adam", "betas": [0.9, 0.999], "wd": math.nan}})
        tracker.add_tags({"team": "vision"})
        for step in range(10):
            tracker.log_metrics({"loss": 1 / (step + 1)}, step=step)
        tracker.log_result("accuracy", 0.945)
        tracker.log_artifact("model.bin", "model")
    return tracker


def segment(tracker: ExperimentTracker) -> Path:
    assert tracker.folder is not None
    (path,) = (tracker.folder / "journal").iterdir()
    return path


def shown_lines(text: str) -> list[str]:
    """Return the lines, runs of spaces as one."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_run_shows_everything_that_was_recorded(invoke: Any) -> None:
    tracker = full_run()

    result = invoke("show", "resnet_v1")

    lines = shown_lines(result.stdout)
    assert lines[:4] == ["run resnet_v1", f"id {tracker.run_id}", "experiment images", "status completed"]
    assert f"folder {tracker.folder}" in lines
    assert "team vision" in lines
    assert {"lr 0.001", "optimizer.name adam", "optimizer.betas [0.9, 0.999]", "optimizer.wd NaN"} <= set(lines)
    assert {"accuracy 0.945", "accuracy 0.945 0.945 0.945~ 0.945 1", "loss 0.1 0.1~ 1 0.2929 10"} <= set(lines)
    (artifact,) = (line for line in lines if line.startswith("model.bin 2.9 KB artifacts/"))
    assert tracker.folder is not None
    assert (tracker.folder / artifact.split()[-1]).read_bytes() == b"x" * 3_000
    assert "journal" not in lines
    assert "\x1b" not in result.stdout
    assert (result.exit_code, result.stderr) == (0, "")


def test_json_is_one_strict_document_with_stable_keys(invoke: Any) -> None:
    tracker = full_run()

    result = invoke("show", "resnet_v1", "--json")

    run = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert list(run) == [
        *("run_id", "run_name", "experiment_id", "experiment_name", "parent_id", "status", "start_time", "duration"),
        *("folder", "host", "pid", "script", "commit", "python", "refunc", "packages", "tags", "notes", "annotations"),
        *("is_removed", "params", "results", "metrics", "artifacts", "lines", "error", "journal", "left_out"),
    ]
    assert (run["run_id"], run["pid"], run["refunc"]) == (tracker.run_id, os.getpid(), "2.0.0")
    assert run["params"]["optimizer"]["wd"] == "NaN"
    loss = run["metrics"]["loss"]
    assert (loss["last"], loss["min"], loss["max"], loss["first"]) == (0.1, 0.1, 1.0, 1.0)
    assert (loss["last_step"], loss["max_step"], loss["count"], loss["nans"]) == (9, 0, 10, 0)
    assert (run["artifacts"][0]["name"], run["artifacts"][0]["size"]) == ("model.bin", 3_000)
    assert run["journal"] == {"torn": 0, "damaged": 0, "missing": 0, "dropped": 0, "duplicates": 0}


def test_a_run_is_named_by_id_beginning_name_folder_or_path(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = full_run()
    folder, run_id = tracker.folder, tracker.run_id
    assert folder is not None
    assert run_id is not None

    def found(name: str) -> Any:
        return json.loads(invoke("show", name, "--json").stdout)["run_id"]

    names = [run_id, run_id[:5], "resnet_v1", "images", f"images/{run_id}", folder.name, str(folder), f"{folder}/"]
    assert {found(name) for name in [*names, os.path.relpath(folder)]} == {run_id}
    monkeypatch.chdir(folder.parent)
    assert found(f"./{folder.name}") == run_id
    monkeypatch.chdir("/")
    assert found(str(folder)) == run_id


def test_a_run_folder_needs_no_store_around_it(invoke: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = full_run()
    assert tracker.folder is not None
    tracker.folder.rename(tmp_path / "copied")
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "nowhere"))

    assert json.loads(invoke("show", "copied", "--json").stdout)["run_id"] == tracker.run_id


def test_a_failed_run_shows_its_traceback_spelled_out(invoke: Any) -> None:
    with pytest.raises(ValueError), ExperimentTracker("images", "bad"):
        raise ValueError(HOSTILE)

    output = invoke("show", "bad").stdout

    assert "status      failed" in output
    assert "\n  ValueError: [bold red]x[/] :smile: \\x1b[31m\\u202e" in output
    assert "tab\n  line\n" in output


def test_a_running_run_says_so_far_and_a_nested_one_its_parent(invoke: Any) -> None:
    with experiment_context("images", "outer") as outer, experiment_context("images", "inner"):
        lines = shown_lines(invoke("show", "inner").stdout)

    assert "status running" in lines
    assert f"parent {outer.run_id}" in lines
    assert any(line.startswith("duration ") and line.endswith(" so far") for line in lines)


def test_what_is_not_whole_is_accounted_for(invoke: Any) -> None:
    path = segment(full_run())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[4], b"rubbish\n", *lines[5:-1], lines[-1][:-9]]))

    output = invoke("show", "resnet_v1").stdout

    account = output.partition("journal  (not whole)\n")[2].splitlines()
    assert [line.split()[:3] for line in account] == [
        ["1", "record", "is"],
        ["1", "line", "or"],
        ["1", "line", "is"],
    ]
    assert "status      crashed" in output


def test_an_unfinished_line_of_a_live_run_is_no_loss(invoke: Any) -> None:
    tracker = ExperimentTracker("images", "live")
    tracker.start_run()
    with open(segment(tracker), "ab") as file:
        file.write(b'{"seq":1')

    assert "not whole" not in invoke("show", "live").stdout
    tracker.end_run()


def test_what_a_user_wrote_stays_text(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("x")
    with ExperimentTracker(HOSTILE, "hostile") as tracker:
        tracker.log_hyperparams({HOSTILE: HOSTILE, "list": [HOSTILE]})
        tracker.add_tags({HOSTILE: HOSTILE})
        tracker.log_metrics({HOSTILE: 1.0})
        tracker.log_result("r", {HOSTILE: 2.0})
        tracker.log_artifact("file", name=HOSTILE)

    output = invoke("show", "hostile").stdout

    assert output.count(SPELLED) == 8
    assert not [letter for letter in output if not letter.isprintable() and letter != "\n"]


def test_a_long_value_is_cut_on_a_terminal_only_and_says_so(in_terminal: Callable[..., str], invoke: Any) -> None:
    with ExperimentTracker("images", "long") as tracker:
        tracker.log_hyperparams({"prompt": "p" * 5_000})

    assert "p" * 5_000 in invoke("show", "long").stdout
    on_terminal = " ".join(in_terminal("show", "long").split())
    assert "p" * 1_001 not in on_terminal
    assert "… (5,000 characters; --json has them all)" in on_terminal


def test_colour_on_a_terminal_unless_unwanted(in_terminal: Callable[..., str]) -> None:
    full_run()

    assert "\x1b[32mcompleted\x1b[0m" in in_terminal("show", "resnet_v1")
    assert "\x1b" not in in_terminal("show", "resnet_v1", NO_COLOR="1")


def test_without_a_name_it_is_the_newest_run(invoke: Any, own_folder: Path) -> None:
    (own_folder / "experiments").mkdir()
    result = invoke("show")
    assert (result.exit_code, result.stderr) == (2, f"refunc: no runs in {own_folder / 'experiments'}.\n")

    for name in ("older", "newer"):
        with ExperimentTracker("images", name):
            pass
    assert json.loads(invoke("show", "--json").stdout)["run_name"] == "newer"


def folder_run() -> ExperimentTracker:
    """A run with a folder of which one file is a reference and one entry is left out."""
    folder = Path("checkpoint")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with open(folder / "model.bin", "wb") as file:
        file.truncate(70 << 20)
    os.mkfifo(folder / "pipe")
    with ExperimentTracker("images", "saved") as tracker:
        tracker.log_artifact(folder)
    return tracker


def test_what_is_missing_of_a_folder_is_shown(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunc.logging.artifacts.storing._reflink", lambda *_: False)
    folder_run()

    line = next(line for line in shown_lines(invoke("show", "saved").stdout) if line.startswith("checkpoint"))
    (artifact,) = json.loads(invoke("show", "saved", "--json").stdout)["artifacts"]

    assert line.endswith(".files.json (1 of 2 files, 70.0 MB, not copied; 1 left out)")
    assert artifact["largest_references"] == {"model.bin": 70 << 20}
    assert artifact["left_out_paths"] == {"pipe": "a pipe"}


@pytest.mark.parametrize("options", [(), ("--json",), ("--rank", "mean"), ("--json", "--rank", "mean")])
def test_a_run_that_grows_at_each_look_is_read_once(
    options: tuple[str, ...], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = segment(full_run())
    looks = []

    def grow(folder: Path) -> Signature:
        looks.append(len(path.read_bytes().splitlines()))
        row = {"seq": looks[-1] - 1, "time": 1.0, "kind": "metrics", "step": looks[-1], "metrics": {"loss": 1.0}}
        with path.open("ab") as file:
            file.write(encode_line(row))
        return signature_of(folder)

    monkeypatch.setattr(measured, "signature_of", grow)

    result = invoke("show", "resnet_v1", *options)

    assert result.exit_code == 0
    assert len(looks) == 1
