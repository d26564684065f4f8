"""The W&B plugin: the real client, offline and read back by W&B's own command, and online against a stand-in."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from tests.wandb.conftest import KEY, config_in, on_a_thread, points, points_in

from refunc.plugins import ConfigurationError, Metrics, Params, Pause, RunEnd, Tags
from refunc.plugins.testing import IntegrationContract, Stored, deliver, opened, sample_records
from refunc_wandb import WandBIntegration
from refunc_wandb.names import metric_of, tag_of
from refunc_wandb.rows import row_of

pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("default")]
Read = Callable[[Path], list[dict[str, Any]]]


class TestContract(IntegrationContract):
    secrets: ClassVar[tuple[str, ...]] = ("hunt",)
    time_limit: ClassVar[float] = 90.0
    # Offline there is no server that could fail.
    test_failures_are_told_apart_and_lose_nothing = None  # type: ignore[assignment]
    test_failures_that_are_slow_end_within_the_limit = None  # type: ignore[assignment]

    @pytest.fixture
    def integration(self) -> WandBIntegration:
        return WandBIntegration(project="contract", mode="offline", api_key=KEY)

    @pytest.fixture
    def stored(self, tmp_path: Path, read_offline: Read) -> Callable[[str], Stored]:
        """Return the values that W&B's own reader finds in the offline files of a run."""

        def of(run_id: str) -> Stored:
            [folder] = {path.parent.parent for path in tmp_path.glob(f"*/wandb/offline-run-*-{run_id}")}
            records = read_offline(folder)
            rows = [record["history"]["item"] for record in records if record["type"] == "history"]
            ends = [record["exit"]["exit_code"] for record in records if record["type"] == "exit"]
            return Stored(metrics=points_in(rows), status=str(ends[-1]) if ends else None)

        return of


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


def test_offline_a_window_that_comes_again_after_a_kill_is_there_once(
    run: Any, tmp_path: Path, read_offline: Read
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from refunc.plugins import Metrics\nfrom refunc.plugins.testing import opened, sample_run\n"
        "from refunc_wandb import WandBIntegration\n"
        "rows = [Metrics(metrics={'loss': 1.0}, step=n, time=1.7e9, writer='w', seq=n) for n in range(50)]\n"
        "with opened(WandBIntegration(project='p')) as hooks:\n"
        "    hooks.on_metrics(run=sample_run(Path(sys.argv[1]), run_id=sys.argv[2]), records=rows)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, str(script), str(run.folder), run.run_id], timeout=60)
    assert killed.returncode == -9

    def rows() -> list[str]:
        records = read_offline(run.folder)
        return [record["history"]["item"]["refunc/record"] for record in records if record["type"] == "history"]

    left = rows()  # the client may have written all, or none yet
    assert left == [f"w:{n}" for n in range(len(left))]
    with opened(WandBIntegration(project="p")) as hooks:
        hooks.on_metrics(run=run, records=points(*range(60)))
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))

    assert sorted(rows()) == sorted(f"w:{n}" for n in range(60))


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
    assert (row[metric_of("_step")], row["step"], row["refunc/step"], row["_step"]) == (5, 8, 2, 0)


def test_a_step_or_an_epoch_with_a_fraction_is_an_axis_as_given(run: Any, read_offline: Read) -> None:
    places: list[dict[str, Any]] = [{"step": 0.5}, {"step": 1.25, "epoch": 1.25}, {"step": 5, "epoch": 0.3125}]
    with opened(WandBIntegration(project="p")) as hooks:
        given = [Metrics(metrics={"a": 1.0}, time=1.7e9, seq=seq, **place) for seq, place in enumerate(places)]
        hooks.on_metrics(run=run, records=given)

    rows = [record["history"]["item"] for record in read_offline(run.folder) if record["type"] == "history"]
    found = [(row["refunc/step"], row["step"], row.get("epoch"), row["_step"]) for row in rows]
    assert found == [(0.5, 0.5, None, 0), (1.25, 1.25, 1.25, 1), (5, 5, 0.3125, 2)]


def test_a_tag_that_was_taken_away_is_gone(run: Any, read_offline: Read) -> None:
    def work() -> None:
        with opened(WandBIntegration(project="p", mode="offline")) as hooks:
            tagged = attrs.evolve(run, tags={"team": "vision", "best": "yes"})
            hooks.on_run_start(run=tagged)
            hooks.on_tags(run=tagged, record=Tags(tags=tagged.tags))
            hooks.on_tags(run=attrs.evolve(run, tags={"team": "vision"}), record=Tags(tags={}, taken=("best",)))

    on_a_thread(work)

    records = read_offline(run.folder)
    assert [record["run"]["tags"] for record in records if record["type"] == "run"][-1] == ["team:vision"]
    assert config_in(records)["tags"] == {"team": "vision"}


def test_tags_fit_what_wandb_takes() -> None:
    assert tag_of("a", "b") == "a:b"
    assert len(tag_of("a", "x" * 500)) == 64
    assert row_of(Metrics(metrics={"a": 1.0}, epoch=3))["epoch"] == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "sometimes"}, "wandb: mode is 'sometimes'. Expected: 'online' or 'offline' or 'disabled' or None."),
        ({"project": 5}, "wandb: project is 5. Expected: text or None."),
        ({"base_url": "nowhere"}, "wandb: base_url is 'nowhere', which is not a valid address."),
        ({"projekt": "p"}, "wandb: unknown option 'projekt'. Did you mean project?"),
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


def test_nothing_is_written_through_a_link_that_stands_in_a_run(run: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "wandb").symlink_to(elsewhere)

    with (
        opened(WandBIntegration(mode="offline", project="p")) as hooks,
        pytest.raises(Pause, match="is a link, and W&B would write to its target"),
    ):
        hooks.on_run_start(run=run)

    assert list(elsewhere.iterdir()) == []
