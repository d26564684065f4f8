"""`refunc import`, on Lightning's files: runs that are read are written, counted, and recognised the next time."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.runs import open_store

pytestmark = [pytest.mark.once, pytest.mark.extras]

pytest.importorskip("yaml")

#: Written by Lightning 2.6, its CSVLogger, but for the name of the first column of numbers.
METRICS = """\
epoch,odd,step,train_loss,val_loss
0,,1,0.0382266640663147,
0,nan,3,0.015547509305179119,
0,,4,,0.05788208171725273
1,,5,0.001881320378743112,
1,inf,7,0.004626556299626827,
1,,9,,0.044998835772275925
"""
PARAMS = """\
lr: 0.1
name: =cmd
optimizer: !!python/object:torch.optim.Adam
  betas: [0.9, 0.999]
act: !!python/name:torch.relu ''
sizes: !!python/tuple
- 3
- 4
"""
#: The same, from a call with a step that goes back, from one without a step, and with a name that CSV has to quote.
SPARSE = """\
epoch,nostep,odd,step,train_loss,val/acc,"val/ünï, ""q\"""
0,,,0,0.0,,
0,,,1,0.8414709848078965,,
0,,,2,0.9092974268256817,,
0,,,2,,0.001,1.0
,,nan,1,,,
,,inf,1,,,
,,-inf,-3,,,
,,2.0,0,,,
,2.0,,3,,,
"""
COUNTS = {"runs": 1, "params": 5, "tags": 0, "points": 8, "others": 0, "lines": 0, "artifacts": 1}


@pytest.fixture
def logs(own_folder: Path) -> Path:
    """Return a folder as Lightning leaves it, with one run."""
    folder = own_folder / "lightning_logs" / "version_0"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"weights")
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "hparams.yaml").write_text(PARAMS)
    os.utime(folder / "hparams.yaml", (1_700_000_000, 1_700_000_000))
    os.utime(folder / "metrics.csv", (1_700_000_500, 1_700_000_500))
    return folder.parent


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_run_comes_with_everything(logs: Path, imported: Callable[..., Any], only_run: Callable[[], Any]) -> None:
    before = snapshot(logs)

    result = imported(logs)

    assert result.exit_code == 0
    assert (result.said["read"], result.said["wrote"], result.said["is_whole"]) == (COUNTS, COUNTS, True)
    run = only_run()
    assert (run.run_name, run.experiment_name, run.status) == ("version_0", "lightning_logs", "unknown")
    assert (run.start_time, run.duration) == (1_700_000_000, 500)
    assert run.summary.params == {
        "lr": 0.1,
        "name": "=cmd",
        "optimizer": {"betas": [0.9, 0.999]},
        "act": "torch.relu",
        "sizes": [3, 4],
    }
    points = [
        (record.step, record.epoch, record.metrics) for record in run.records() if type(record).__name__ == "Metrics"
    ]
    assert points[0] == (1, 0, {"train_loss": 0.0382266640663147})
    assert math.isnan(points[1][2]["odd"])
    assert points[4] == (7, 1, {"odd": math.inf, "train_loss": 0.004626556299626827})
    (artifact,) = run.summary.artifacts
    assert artifact.name == "checkpoints/last.ckpt"
    assert (run.folder / artifact.stored).read_bytes() == b"weights"
    assert snapshot(logs) == before


def test_sparse_columns_and_a_run_without_a_row(logs: Path, imported: Callable[..., Any]) -> None:
    (logs / "version_0" / "metrics.csv").write_text(SPARSE, encoding="utf-8")
    (logs / "version_1").mkdir()
    (logs / "version_1" / "hparams.yaml").write_text("a: 1\n")
    cells = [
        (name, text) for row in csv.DictReader(io.StringIO(SPARSE)) for name, text in row.items() if text
    ]  # as the standard library counts them
    expected = Counter(name for name, _ in cells if name not in ("step", "epoch"))

    result = imported(logs)

    assert (result.exit_code, result.said["is_whole"]) == (0, True)
    run, empty = sorted(open_store(), key=lambda run: run.run_name)
    assert Counter({name: len(series) for name, series in run.metrics().items()}) == expected
    assert list(run.metrics('val/ünï, "q"').steps) == [2]
    assert list(map(repr, run.metrics("odd").values)) == ["nan", "inf", "-inf", "2.0"]
    assert list(run.metrics("odd").steps) == [1, 1, -3, 0]
    assert (empty.run_name, empty.params, empty.summary.metrics) == ("version_1", {"a": 1}, {})


def test_a_cell_that_is_no_number_is_kept_as_a_text_and_a_lost_step_is_said(
    logs: Path, imported: Callable[..., Any], only_run: Callable[[], Any]
) -> None:
    rows = "epoch,step,loss\n0.5,0,0.5\n1.7,inf,1_000\nnan,2,\u0661\n-inf,1e1,-1.5E-3\nx,3,abc\n"
    (logs / "version_0" / "metrics.csv").write_text(rows, encoding="utf-8")

    result = imported(logs)

    run = only_run()
    assert list(run.metrics("loss")) == [(0, 0.5), (10, -0.0015)]
    assert list(run.metrics("loss").epochs) == [0.5, None]
    assert [record.other for record in run.records() if getattr(record, "other", None)] == [
        {"loss": "1_000"},
        {"loss": "\u0661"},
        {"loss": "abc"},
    ]
    assert result.said["read"]["others"] == 3
    [outcome] = result.said["imported"]
    assert sorted(outcome["problems"]) == [
        "the epoch of a row is not a finite number, and was left out (3 times)",
        "the step of a row is not a finite number, and was left out",
    ]


def test_a_run_is_imported_once_unless_it_is_asked_for(logs: Path, imported: Callable[..., Any]) -> None:
    imported(logs)
    moved = logs.rename(logs.parent / "elsewhere")
    moved = moved.rename(logs)

    again = imported(moved)
    assert (again.exit_code, len(again.said["known"]), again.said["imported"]) == (0, 1, [])
    assert len(list(open_store())) == 1

    assert len(imported(moved, "--again").said["imported"]) == 1
    assert len(list(open_store())) == 2


def test_a_renamed_run_is_recognised_and_a_new_one_of_its_name_is_not(
    logs: Path, imported: Callable[..., Any], only_run: Callable[[], Any]
) -> None:
    imported(logs)
    only_run().folder.rename(only_run().folder.with_name("mine"))
    assert imported(logs).said["imported"] == []

    with open(logs / "version_0" / "metrics.csv", "a") as file:
        file.write("1,,11,0.5,\n")

    assert len(imported(logs).said["imported"]) == 1


def test_a_dry_run_writes_nothing(logs: Path, imported: Callable[..., Any], own_folder: Path) -> None:
    result = imported(logs, "--dry-run")

    assert [run["name"] for run in result.said["chosen"]] == ["version_0"]
    assert not (own_folder / "experiments").exists()


def test_what_is_damaged_is_told_and_the_rest_imported(logs: Path, imported: Callable[..., Any]) -> None:
    folder = logs / "version_0"
    (folder / "metrics.csv").write_text(METRICS + "1,2\n1,,10,0.25,text\n1,,11,0.5")
    (folder / "hparams.yaml").write_text("a: [")
    broken = logs / "version_1"
    broken.mkdir()
    (broken / "metrics.csv").write_bytes(b"")

    result = imported(logs)

    assert result.exit_code == 0
    first, second = result.said["imported"]
    assert (first["wrote"]["points"], first["wrote"]["others"]) == (9, 1)
    assert [problem.split(":")[0] for problem in first["problems"]] == [
        "hparams.yaml is damaged",
        "the last row is incomplete",
        "a row does not have the 5 cells of the heading",
    ]
    assert second["wrote"]["points"] == 0


def test_less_written_than_read_is_a_failure(logs: Path, imported: Callable[..., Any]) -> None:
    """A record has a bound: of twenty thousand params the journal takes about half."""
    (logs / "version_0" / "hparams.yaml").write_text("".join(f"p{number}: {number}\n" for number in range(20_000)))

    result = imported(logs)

    assert result.exit_code == 1
    assert result.said["is_whole"] is False
    assert result.said["read"]["params"] == 20_000 > result.said["wrote"]["params"]


def test_a_disk_that_takes_nothing_leaves_no_half_run(
    logs: Path, imported: Callable[..., Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, base: int, data: bytes, *, resume: bool) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("refunc.outlets.file.AppendFile.append_from", full)

    result = imported(logs)

    assert result.exit_code == 1
    assert "could not be written completely" in result.said["failed"][0]["reason"]
    assert list((own_folder / "experiments").iterdir()) == []


def test_an_import_that_is_killed_leaves_no_half_run(logs: Path, imported: Callable[..., Any], tools: Any) -> None:
    rows = "".join(f"0,,{step},{step / 7},\n" for step in range(100_000))
    (logs / "version_0" / "metrics.csv").write_text(METRICS + rows)
    command = [sys.executable, "-m", "refunc", "import", str(logs)]
    for _ in range(5):  # a busy machine may let it end before it is killed
        shutil.rmtree("experiments", ignore_errors=True)
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            tools.until(lambda: list(Path("experiments").glob(".import-*/*/journal/*.jsonl")))
            process.kill()
        if not list(open_store()):
            break

    assert process.returncode == -signal.SIGKILL
    assert list(open_store()) == []
    result = imported(logs)
    assert (result.exit_code, result.said["wrote"]["points"]) == (0, 100_008)
    assert len(list(open_store())) == 1


def test_what_reads_yaml_is_asked_for_by_name(
    logs: Path, imported: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    result = imported(logs)

    assert result.exit_code == 1
    assert result.said["failed"][0]["reason"] == "reading hparams.yaml needs the package PyYAML: pip install pyyaml"


def test_hostile_names_stay_text_and_make_no_paths(logs: Path, imported: Callable[..., Any], own_folder: Path) -> None:
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    (logs / "version_0").rename(logs / "\x1b[31m<script>..")

    said = CliRunner().invoke(refunc, ["import", str(logs)]).output

    assert "\x1b" not in said
    assert "\\x1b[31m<script>.." in said
    (folder,) = (own_folder / "experiments").iterdir()
    assert folder.name.split("_")[1] == "31m-script"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no such file or folder"),
        (["."], "has no runs to import"),
        (["lightning_logs", "--from", "excel"], "'excel' is not one of"),
    ],
)
def test_a_mistake_exits_with_2(
    logs: Path, imported: Callable[..., Any], own_folder: Path, arguments: list[str], says: str
) -> None:
    (own_folder / "empty").mkdir()
    os.chdir(own_folder / "empty" if arguments == ["."] else own_folder)

    result = imported(*arguments)

    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_the_folder_that_mlflow_is_in_brings_its_files(own_folder: Path, imported: Callable[..., Any]) -> None:
    (own_folder / "old" / "mlruns" / "0").mkdir(parents=True)
    (own_folder / "old" / "mlruns" / "0" / "meta.yaml").write_text("name: digits")
    (own_folder / "old" / "mlflow.db").write_bytes(b"SQLite format 3\0")

    result = imported("old")

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "Did you mean old/mlflow.db and old/mlruns?" in result.stderr


def test_a_source_without_runs_exits_with_2(own_folder: Path, imported: Callable[..., Any]) -> None:
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    (own_folder / "mlruns" / "0").mkdir(parents=True)
    (own_folder / "mlruns" / "0" / "meta.yaml").write_text("name: digits\nexperiment_id: '0'\nlifecycle_stage: active")

    assert imported("mlruns").exit_code == 2
    result = CliRunner().invoke(refunc, ["import", "mlruns"])
    assert (result.exit_code, result.stdout) == (2, "no runs found\n")


def test_files_of_two_trackers_ask_which(logs: Path, imported: Callable[..., Any]) -> None:
    (logs / "version_0" / "events.out.tfevents.1700000000.host").write_bytes(b"")

    result = imported(logs)

    assert result.exit_code == 2
    assert "tensorboard and lightning. Choose one with --from" in result.stderr
    assert imported(logs, "--from", "lightning").exit_code == 0
