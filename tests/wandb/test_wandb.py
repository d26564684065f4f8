"""The W&B plugin: the real client, offline and read back by W&B's own command, and online against a stand-in."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

import refunc_wandb
from refunc.plugins import ConfigurationError, Metrics, Params, Pause, Retry, RunEnd
from refunc.plugins.testing import IntegrationContract, deliver, opened, sample_records, sample_run
from refunc_wandb import WandBIntegration
from refunc_wandb.rows import row_of, tag_of

pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("default")]
KEY = "k" * 36 + "hunt"
Read = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run", run_id=f"r{time.time_ns() % 10**9}")


def on_a_thread(call: Callable[[], Any]) -> None:
    """Run *call* as delivery does: not on the main thread."""
    raised: list[BaseException] = []

    def target() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def points(*steps: int, start: int = 0) -> list[Metrics]:
    return [
        Metrics(metrics={"loss": 1 / (1 + step)}, step=step, time=1.7e9 + n, writer="w", seq=n)
        for n, step in enumerate(steps, start)
    ]


class TestContract(IntegrationContract):
    secrets: ClassVar[tuple[str, ...]] = ("hunt",)

    @pytest.fixture
    def integration(self) -> WandBIntegration:
        return WandBIntegration(project="contract", mode="offline", api_key=KEY)


def test_offline_all_of_a_run_is_in_its_file(run: Any, read_offline: Read) -> None:
    made = WandBIntegration(project="p", entity="team", config={"seed": 1}, tags=["t"], notes="n")

    def work() -> None:
        with opened(made) as hooks:
            deliver(hooks, run, sample_records(4))

    on_a_thread(work)

    records = read_offline(run.folder)
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert [row["loss"] for row in rows] == [0.5, "NaN", "Infinity", 0.25]
    assert [row["refunc/step"] for row in rows] == [0, 1, 0, 3]  # a step that goes back is kept
    assert [row["_step"] for row in rows] == [0, 1, 2, 3]
    [first] = [record["run"] for record in records if record["type"] == "run"][:1]
    assert (first["project"], first["entity"], first["notes"], first["run_id"]) == ("p", "team", "n", run.run_id)
    assert first["tags"] == ["t", "dataset:mnist"]
    assert first["config"]["update"]["seed"] == 1
    assert first["config"]["update"]["optimizer"] == {"name": "adam"}
    metrics = [record["metric"] for record in records if record["type"] == "metric"]
    assert {"refunc/step"} == {metric["step_metric"] for metric in metrics if metric.get("glob_name") == "*"}
    summary: dict[str, Any] = {}
    for record in records:
        if record["type"] == "summary":
            summary.update(record["summary"].get("update", {}))
    assert (summary["accuracy"], summary["refunc/status"]) == (0.9, "completed")
    assert [record["artifact"]["type"] for record in records if record["type"] == "artifact"] == ["model"]
    assert [record["exit"] for record in records if record["type"] == "exit"] != []


def test_offline_delivery_that_begins_anew_goes_on_with_higher_steps(run: Any, read_offline: Read) -> None:
    """`wandb sync` sends both folders to one run, where a row with a step that was there is dropped."""

    def work(start: int) -> Callable[[], None]:
        def deliver_some() -> None:
            with opened(WandBIntegration(project="p")) as hooks:
                hooks.on_metrics(run=run, records=points(*range(start, start + 3), start=start))

        return deliver_some

    on_a_thread(work(0))
    on_a_thread(work(3))

    folders = sorted((run.folder / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    rows = [record["history"]["item"] for record in read_offline(run.folder) if record["type"] == "history"]
    assert sorted(row["refunc/step"] for row in rows) == [0, 1, 2, 3, 4, 5]
    by_step = sorted(rows, key=lambda row: row["_step"])
    assert [row["refunc/step"] for row in by_step] == [0, 1, 2, 3, 4, 5]
    assert len({row["_step"] for row in rows}) == 6


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("interrupted", 1), ("crashed", 1), ("completed", 0)])
def test_online_rows_and_exit_code_arrive(status: str, code: int, api: Any, run: Any) -> None:
    made = WandBIntegration(project="p", base_url=api.url, api_key=KEY)
    assert made.target == "wandb p (online)"

    def work() -> None:
        with opened(made) as hooks:
            hooks.on_metrics(run=run, records=points(0, 5, 3, 9))
            hooks.on_run_end(run=run, record=RunEnd(status=status, error="Traceback" if code else None))

    on_a_thread(work)

    assert [row["refunc/step"] for row in api.rows[run.run_id]] == [0, 5, 3, 9]
    assert api.exits[run.run_id] == code
    assert api.summaries[run.run_id]["refunc/status"] == status


def test_online_a_window_that_comes_again_is_sent_once(api: Any, run: Any) -> None:
    first = WandBIntegration(project="p", base_url=api.url, api_key=KEY)
    with opened(first) as hooks:
        hooks.on_metrics(run=run, records=points(0, 1, 2))
        hooks.on_metrics(run=run, records=points(0, 1, 2))
    again = WandBIntegration(project="p", base_url=api.url, api_key=KEY)

    with opened(again) as hooks:
        hooks.on_run_start(run=run)
        hooks.on_metrics(run=run, records=points(0, 1, 2, 3))

    assert [row["refunc/record"] for row in api.rows[run.run_id]] == ["w:0", "w:1", "w:2", "w:3"]


def test_a_server_that_is_not_there_is_told_within_its_bound(
    api: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refunc_wandb, "INIT_TIMEOUT", 3.0)
    api.server.shutdown()
    api.server.server_close()
    began = time.monotonic()

    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks, pytest.raises(Retry):
        hooks.on_run_start(run=run)

    assert time.monotonic() - began < 10


def test_a_server_that_goes_away_holds_up_no_end(api: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refunc_wandb, "FINISH_TIMEOUT", 2.0)
    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks:
        hooks.on_metrics(run=run, records=points(0))
        api.server.shutdown()
        api.server.server_close()
        hooks.on_metrics(run=run, records=points(1, start=1))
        began = time.monotonic()
        try:
            hooks.on_run_end(run=run, record=RunEnd(status="completed"))
        except Retry:
            pass  # the delivery tries again later; either way it came back

    assert time.monotonic() - began < 15


def test_a_key_that_is_refused_pauses(api: Any, run: Any) -> None:
    api.fail_with = 401

    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks, pytest.raises(Pause) as caught:
        hooks.on_run_start(run=run)

    assert KEY not in str(caught.value)


def test_without_a_key_it_asks_nothing_and_goes_offline(run: Any, tmp_path: Path) -> None:
    """On a terminal, where the client would ask."""
    script = tmp_path / "ask.py"
    script.write_text(
        "from pathlib import Path\n"
        "from refunc.plugins.testing import deliver, opened, sample_records, sample_run\n"
        "from refunc_wandb import WandBIntegration\n"
        "made = WandBIntegration(project='p')\n"
        "with opened(made) as hooks: deliver(hooks, sample_run(Path('asked')), sample_records())\n"
        "print('mode', made.target)\n"
    )
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, close_fds=True
    )
    os.close(terminal)
    assert process.wait(60) == 0
    said = os.read(controller, 10_000).decode()
    os.close(controller)

    assert "mode wandb p (offline)" in said
    assert "choice" not in said.lower()
    assert list((tmp_path / "asked").rglob("*.wandb"))


def test_switched_off_by_its_own_variable_nothing_is_written(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with opened(WandBIntegration(project="p")) as hooks:
        deliver(hooks, run, sample_records())

    assert not list(run.folder.rglob("*.wandb"))


def test_params_that_change_and_names_that_are_kept_for_wandb(run: Any, read_offline: Read) -> None:
    with opened(WandBIntegration(project="p")) as hooks:
        hooks.on_hyperparams(run=run, record=Params(params={"lr": 0.1}))
        hooks.on_hyperparams(run=run, record=Params(params={"lr": 0.2}))
        hooks.on_metrics(run=run, records=[Metrics(metrics={"_step": 5.0, "step": 8.0}, step=2, time=1.7e9, seq=0)])

    records = read_offline(run.folder)
    updates = [record["config"]["update"] for record in records if record["type"] == "config"]
    assert [update["lr"] for update in updates if "lr" in update] == [0.1, 0.2]
    [row] = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert (row["metric_step"], row["step"], row["refunc/step"], row["_step"]) == (5, 8, 2, 0)


def test_tags_fit_what_wandb_takes() -> None:
    assert tag_of("a", "b") == "a:b"
    assert len(tag_of("a", "x" * 500)) == 64
    assert row_of(Metrics(metrics={"a": 1.0}, epoch=3))["epoch"] == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "sometimes"}, "wandb: mode is 'sometimes'. Expected: 'online' or 'offline' or 'disabled' or None."),
        ({"project": 5}, "wandb: project is 5. Expected: text or None."),
        ({"base_url": "nowhere"}, "wandb: base_url is 'nowhere', which is no address."),
        ({"projekt": "p"}, "wandb: there is no option 'projekt'. Did you mean project?"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WandBIntegration.from_mapping(options)

    assert str(caught.value).startswith(text)


def test_importing_the_plugin_imports_no_wandb() -> None:
    code = "import sys, refunc_wandb; refunc_wandb.WandBIntegration(); print('wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "False\n", done.stderr
