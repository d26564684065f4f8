"""`refunc sync` while it goes on, and its last line: how far it is, the meaning of its counts, and the next step."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import MakeWaiting

pytestmark = [pytest.mark.once, pytest.mark.extras]

#: Fails as the word in a file named after a hook says: `denied`, `refused`, `away`, or `returns`.
_MOODY = """
import json
from pathlib import Path
from refunc.plugins import Integration, Pause, Reject, Retry, hookimpl, option

ERRORS = {"denied": Pause, "refused": Reject, "away": Retry}

class MoodyIntegration(Integration):
    token: str | None = option(default=None, env="MOODY_TOKEN", secret=True)
    taken: str = option(default="taken.txt")

    def open(self):
        if Path("open").exists(): raise RuntimeError("no luck")

    def take(self, hook, count=1):
        mood = Path(hook).read_text() if Path(hook).exists() else ""
        if mood in ERRORS: raise ERRORS[mood](f"not {hook}")
        if mood: return mood
        with open(self.taken, "a") as file: file.write(f"{count}\\n")

    @hookimpl
    def on_hyperparams(self, run, record): self.take("params")
    @hookimpl
    def on_metrics(self, run, records): self.take("metrics", len(records))
    @hookimpl
    def on_log(self, run, records): return self.take("lines", len(records))
    @hookimpl
    def on_run_end(self, run, record): self.take("end")
"""


@pytest.fixture
def moody(own_folder: Path, installed_from: Callable[[str], Any]) -> Any:
    (own_folder / "moody.py").write_text(_MOODY)
    return installed_from("moody").MoodyIntegration


@pytest.mark.parametrize(
    ("moods", "step"),
    [
        (
            {"lines": "denied"},
            r"moody refuses the credentials\. Set the right ones in MOODY_TOKEN \(not set here\)\.",
        ),
        ({"lines": "away"}, r"moody does not accept records now\. `refunc sync --follow` waits for it; so does .*"),
        ({"lines": "refused"}, r"dead letters remain; `refunc sync --dead-letters` tries them again\."),
        (
            {"lines": "returns"},
            r"moody: fix the plugin, or the records that it fails on: on_log returned 'returns'\. .*",
        ),
        ({"open": ""}, r"moody cannot be opened\. Fix the cause: RuntimeError: no luck\."),
    ],
)
def test_the_last_line_says_the_next_step(
    moods: dict[str, str], step: str, invoke: Any, waiting: MakeWaiting, moody: Any, own_folder: Path
) -> None:
    waiting(moody(), lines=12)
    for name, mood in moods.items():
        (own_folder / name).write_text(mood)

    result = invoke("sync", "--patience", "1")

    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert re.fullmatch(f"refunc: {step}", last), result.stderr
    assert "until `refunc sync`" not in result.stderr + result.stdout


def test_what_is_set_aside_is_said_to_be_tried_again_and_is(
    invoke: Any, waiting: MakeWaiting, moody: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refunc.delivery import backend

    monkeypatch.setattr(backend, "DOUBT", 0.0)
    run = waiting(moody(), lines=1, ends=False)
    run.put("params", {"params": {"lr": 0.1}})
    run.end("completed")
    (own_folder / "lines").write_text("away")

    aside = invoke("sync", "--patience", "10")
    (own_folder / "lines").unlink()

    assert aside.stderr.splitlines()[-1] == (
        "refunc: each `refunc sync` tries records that were set aside once more: run it when the tracker accepts them."
    )
    assert "1 set aside" in aside.stdout
    assert (invoke("sync").exit_code, (own_folder / "taken.txt").read_text().split()) == (0, ["1"] * 3)


def test_a_token_that_is_there_and_refused_is_said_to_be_set(
    invoke: Any, waiting: MakeWaiting, moody: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOODY_TOKEN", "hunter2-hunter2")
    waiting(moody())
    (own_folder / "lines").write_text("denied")

    result = invoke("sync", "--patience", "0.5")

    assert result.stderr.splitlines()[-1].endswith("Set the right ones in MOODY_TOKEN (set here).")
    assert "hunter2" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    "refused", [(), ("params",), ("lines",), ("metrics",), ("end",), ("lines", "metrics"), ("params", "lines", "end")]
)
def test_delivered_counts_what_was_taken(
    refused: tuple[str, ...], invoke: Any, waiting: MakeWaiting, moody: Any, own_folder: Path
) -> None:
    """And records that the plugin has no hook for; not those that a hook refused. Taken later, a record counts once."""
    run = waiting(moody(), lines=0, ends=False)
    run.put("params", {"params": {"lr": 0.1}})
    for number in range(20):
        run.put("log", {"level": "INFO", "message": f"line {number}", "metrics": {"loss": 0.5}})
    run.end("completed")
    for name in refused:
        (own_folder / name).write_text("refused")
    records = sum(len(path.read_text().splitlines()) - 1 for path in run.folder.rglob("*.jsonl"))
    letters = sum({"lines": 20, "metrics": 20}.get(name, 1) for name in refused)
    refused_records = letters - 20 * ({"lines", "metrics"} <= {*refused})

    [facts] = json.loads(invoke("sync", "--json").stdout)
    for name in refused:
        (own_folder / name).unlink()
    [later] = json.loads(invoke("sync", "--dead-letters", "--json").stdout)

    assert (facts["delivered"], facts["dead"], facts["waiting"]) == (records - refused_records, letters, 0)
    assert (later["delivered"], later["dead"], later["waiting"]) == (records, 0, 0)
    assert sum(map(int, (own_folder / "taken.txt").read_text().split())) == 42


def test_what_is_refused_again_and_again_is_said_once(
    invoke: Any, waiting: MakeWaiting, moody: Any, own_folder: Path
) -> None:
    waiting(moody(), lines=50)
    (own_folder / "lines").write_text("refused")

    result = invoke("sync")

    assert result.stderr.splitlines()[:2] == [
        "refunc: moody: on_log was refused for good: not lines",
        "refunc: moody: on_log was refused for good: not lines (50 times)",
    ]


def test_on_a_terminal_a_line_says_how_far_it_is(
    in_terminal: Callable[..., str], waiting: MakeWaiting, probes: Any, end_with_artifacts: Callable[..., None]
) -> None:
    run = waiting(probes.SlowIntegration(), ends=False)
    end_with_artifacts(run, "weights", "table")

    said = in_terminal("sync", columns=70, NO_COLOR="1", PYTHONPATH=str(Path(probes.__file__).parent))

    pieces = said.split("\r\x1b[J")
    drawn = [piece for piece in pieces if piece.startswith("slow: 8 records wait")]
    assert drawn, said
    assert max(map(len, drawn)) < 70
    # The lines that a client prints stand above the progress line, and nothing of it is left behind.
    rest = "".join(piece for piece in pieces if piece not in drawn)
    assert re.fullmatch(r"uploaded weights\nuploaded table\ndone  .* 8 records delivered\n", rest, re.DOTALL), rest


def test_in_a_pipe_there_is_no_such_line(
    invoke: Any, waiting: MakeWaiting, probes: Any, end_with_artifacts: Callable[..., None]
) -> None:
    run = waiting(probes.SlowIntegration(), ends=False)
    end_with_artifacts(run, "weights")

    result = invoke("sync")

    assert (result.exit_code, result.stderr) == (0, "uploaded weights\n")
