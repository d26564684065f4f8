"""
Files that real trackers leave where nothing is as it should be, counted twice: by the trackers, and in imported runs.

Lightning's own client needs torch; a file as it writes one stands in `tests/commands/importing`.
"""

from __future__ import annotations

import math
import os
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import LogLine, Metrics
from refunc.runs import open_store

# MLflow's client takes most of a minute for its points where others use the machine too.
pytestmark = [pytest.mark.trackers, pytest.mark.slow, pytest.mark.timeout(600)]

MANY = 100_000

WITH_MLFLOW = f"""
import math, sys, time, mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
here, gone = client.create_experiment("Ünïcode 模型 🎉"), client.create_experiment("gone")
now = int(time.time() * 1000)

def points(run, metrics):
    for begin in range(0, len(metrics), 1000):
        client.log_batch(run, metrics=metrics[begin : begin + 1000])

run = client.create_run(here, run_name="long " * 40 + "名前").info.run_id
points(run, [Metric("many", math.sin(i), now + i, i) for i in range({MANY})])
odd = [(math.nan, 0), (math.inf, 1), (-math.inf, 2), (1e308, 3), (5e-324, 4), (-0.0, 5), (2.0, -7), (3.0, -1),
       (4.0, 2**40), (1.0, 3), (1.0, 3), (1.5, 3)]
points(run, [Metric("odd", value, now + at, step) for at, (value, step) in enumerate(odd)])
points(run, [Metric("same moment", float(i), now, 0) for i in range(50)])
points(run, [Metric("backwards", float(i), now - i * 1000, 100 - i) for i in range(100)])
points(run, [Metric("m" * 240, 1.0, now, 0), Metric("näme/mit/Ünïcode 1", 2.0, now, 0), Metric("never", 3.0, 0, 1)])
client.log_batch(run, params=[Param("long", "x" * 6000), Param("p" * 250, "v"), Param("empty", ""),
    Param("opt/lr", "0.1"), Param("uni 模", "naïve 🎉\\nzwei"), Param("dict", "{{'a': [1, 2]}}")])
client.log_batch(run, tags=[RunTag("t", "x" * 5000), RunTag("Ünï", "c🎉"), RunTag("none", "")])
client.set_terminated(run)
child = client.create_run(here, run_name="child", tags={{"mlflow.parentRunId": run}}).info.run_id
grand = client.create_run(here, run_name="grandchild", tags={{"mlflow.parentRunId": child}}).info.run_id
running = client.create_run(here, run_name="running").info.run_id
deleted = client.create_run(here, run_name="deleted").info.run_id
lost = client.create_run(gone, run_name="lost").info.run_id
for one in (child, grand, running, deleted, lost):
    client.log_metric(one, "x", 1.0)
    if one != running:
        client.set_terminated(one)
client.delete_run(deleted)
client.delete_experiment(gone)
client.set_terminated(client.create_run(here, run_name="empty").info.run_id, "FAILED")
"""

WITH_WANDB = """
import math, wandb
def begun(**options):
    return wandb.init(project="awkward", mode="offline", settings=wandb.Settings(console="off"), **options)
config = {"a": {"b": {"c": [1, {"d": 2}]}}, "ünï": "🎉", "long": "x" * 6000, "none": None, "big": 2**70}
run = begun(name="long " * 20 + "名前", config=config)
for step in range(5_000):
    run.log({"many": math.sin(step)})
run.log({"odd": math.nan, "inf": math.inf, "ninf": -math.inf, "yes": True, "int": 2**60, "none": None, "text": "x",
         "list": [1, 2], "ünï/x y": 1.0, "n": {"d": {"e": 1, "f": "g"}}, "a.b": 5})
run.define_metric("val/*", step_metric="epoch", summary="max"); run.define_metric("many", hidden=True)
for epoch in range(3):
    run.log({"epoch": epoch, "val/acc": (1, 3, 2)[epoch]})
run.log({"late": 1}, step=5_000_000)
run.log({"back": 1}, step=3)  # W&B leaves it out, and says so
run.log({"c1": 1}, commit=False); run.log({"c2": 2}, commit=False); run.log({"c3": 3})
run.summary.update({"best": 0.5, "inner": {"x": 1, "word": "good"}, "odd result": math.nan})
run.finish()
run = begun(name="summary only"); run.summary["best"] = 0.75; run.summary["word"] = "good"; run.finish()
begun(name="nothing").finish()
run = begun(name="changed", config={"x": {"y": 1}})
run.config.update({"x": {"z": 2}}, allow_val_change=True); run.log({"loss": 1}); run.finish(exit_code=1)
for value in (1, 2):
    run = begun(name="resumed", id="abc", resume="allow"); run.log({"loss": value}); run.finish()
"""

WITH_TENSORBOARD = f"""
import math, numpy
from tensorboardX import SummaryWriter
with SummaryWriter("logs/run") as writer:
    for step in range({MANY}):
        writer.add_scalar("many", math.sin(step), step, walltime=1.7e9 + step / 1000)
odd = [(math.nan, 0), (math.inf, 1), (-math.inf, 2), (1.0, -5), (2.0, 3), (3.0, 3), (4.0, 1), (5.0, 2**40)]
with SummaryWriter("logs/run", filename_suffix=".second") as writer:
    for value, step in odd:
        writer.add_scalar("odd", value, step, walltime=1.7e9 + step % 10)
    writer.add_scalar("no step", 1.0); writer.add_scalar("no step", 2.0)
    writer.add_scalars("group", {{"a": 1.0, "b": 2.0}}, 1)
    writer.add_scalar("l" * 2000, 1.0, 0)
    writer.add_text("said", "naïve 模", 0)
    writer.add_histogram("left out", numpy.arange(10), 0)
"""


def trained(code: str, *arguments: str) -> None:
    """Run *code* with a tracker's client here."""
    environment = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_SILENT": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env={**os.environ, **environment}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def runs() -> dict[str, Any]:
    return {run.run_name: run for run in open_store()}


def counted(run: Any) -> Counter[str]:
    """Return how many points each metric of an imported run has, as people ask for them; without the machine's own."""
    return Counter({name: len(series) for name, series in run.metrics().items() if not name.startswith("system/")})


def points(run: Any, name: str) -> list[tuple[Any, str]]:
    return [
        (record.step, repr(float(record.metrics[name])))
        for record in run.records()
        if isinstance(record, Metrics) and name in record.metrics
    ]


# -- MLflow -----------------------------------------------------------------------------------------------------------


def in_database() -> tuple[dict[str, Counter[str]], dict[str, int]]:
    """Return the points by run and metric, and the params by run, as SQL counts them."""
    with sqlite3.connect("mlflow.db") as database:
        found = database.execute(
            "SELECT name, key, count(*) FROM metrics JOIN runs USING (run_uuid)"
            " WHERE lifecycle_stage = 'active' GROUP BY 1, 2"
        ).fetchall()
        params = database.execute("SELECT name, count(*) FROM params JOIN runs USING (run_uuid) GROUP BY 1").fetchall()
    database.close()
    return by_run(found), dict(params)


def in_folders() -> tuple[dict[str, Counter[str]], dict[str, int]]:
    """Return the same of a folder `mlruns`, as `find` and `wc` would count it."""
    found, params = [], {}
    for meta in Path("mlruns").glob("[0-9]*/*/meta.yaml"):
        if "lifecycle_stage: active" in meta.read_text("utf-8"):
            name = (meta.parent / "tags" / "mlflow.runName").read_text("utf-8")
            folder = meta.parent / "metrics"
            files = [file for file in folder.rglob("*") if file.is_file()]
            found += [(name, str(file.relative_to(folder)), file.read_bytes().count(b"\n")) for file in files]
            params[name] = sum(file.is_file() for file in (meta.parent / "params").rglob("*"))
    return by_run(found), {name: count for name, count in params.items() if count}


def by_run(found: list[tuple[str, str, int]]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for run, metric, count in found:
        counts.setdefault(run, Counter())[metric] = count
    return counts


@pytest.mark.parametrize("source", ["mlflow.db", "mlruns"])
def test_mlflow(source: str, imported: Callable[..., Any]) -> None:
    pytest.importorskip("mlflow")
    is_database = source == "mlflow.db"
    trained(WITH_MLFLOW, "sqlite:///mlflow.db" if is_database else Path(source).absolute().as_uri())
    metrics, params = in_database() if is_database else in_folders()

    result = imported(source)

    assert (result.exit_code, result.said["is_whole"], result.said["deleted"]) == (0, True, 2)
    found = runs()
    long = next(name for name in found if name.startswith("long "))
    assert {name: counted(run) for name, run in found.items()} == {**metrics, "empty": Counter()}
    assert metrics[long]["many"] == MANY
    assert {name: len(run.params) for name, run in found.items() if run.params} == params
    assert (found[long].params["long"], found[long].tags["Ünï"]) == ("x" * 6000, "c🎉")
    assert found[long].experiment_name == "Ünïcode 模型 🎉"
    odd = {(0, "nan"), (1, "inf"), (2, "-inf"), (4, "5e-324"), (-7, "2.0"), (2**40, "4.0")}
    # SQLite keeps no sign of a zero.
    assert odd | {(5, "0.0" if is_database else "-0.0")} <= set(points(found[long], "odd"))
    assert points(found[long], "backwards") == [(100 - at, repr(float(at))) for at in range(99, -1, -1)]
    assert (found["child"].parent_id, found["grandchild"].parent_id) == (found[long].run_id, found["child"].run_id)
    assert [found[name].status for name in ("running", "empty", long)] == ["crashed", "failed", "completed"]
    assert sorted(run["run_name"] for run in imported(source, "--deleted").said["imported"]) == ["deleted", "lost"]


# -- W&B --------------------------------------------------------------------------------------------------------------


def messages(file: Path) -> Iterator[Any]:
    """Yield W&B's records, put together as LevelDB says and decoded by W&B's own classes, as far as they are whole."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, begun = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32_768 - at % 32_768 < 7:  # no header fits there
            at += 32_768 - at % 32_768
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        if kind == 0 or at + 7 + length > len(data):
            return
        begun += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(begun)
            yield record
            begun = b""


def logged(file: Path) -> Counter[str]:
    """Return how many steps have each name, the outermost one of nested names."""
    found: Counter[str] = Counter()
    for record in messages(file):
        items = record.history.item if record.WhichOneof("record_type") == "history" else ()
        names = {item.nested_key[0] if item.nested_key else item.key for item in items}
        found.update(name for name in names if not name.startswith("_"))
    return found


def with_steps(run: Any) -> Counter[str]:
    """Return the same of an imported run."""
    found: Counter[str] = Counter()
    for record in run.records():
        if isinstance(record, Metrics) and record.step is not None:
            # `a.b` was logged as one name, and `n` with others in it.
            names = {*record.metrics, *record.other}
            found.update({"n" if name.startswith("n.") else name for name in names})
    return found


def test_wandb(own_folder: Path, imported: Callable[..., Any]) -> None:
    pytest.importorskip("wandb")
    trained(WITH_WANDB)
    files = sorted(own_folder.glob("wandb/offline-run-*/*.wandb"))

    result = imported("wandb")

    assert (result.exit_code, result.said["is_whole"], len(result.said["imported"])) == (0, True, len(files))
    by_folder = {Path(run.birth["imported"]["place"]): run for run in open_store()}
    assert {file: with_steps(by_folder[file]) for file in files} == {file: logged(file) for file in files}
    found = runs()
    long = next(run for name, run in found.items() if name.startswith("long "))
    assert (counted(long)["many"], counted(long)["n.d.e"], points(long, "late")) == (5_000, 1, [(5_000_000, "1.0")])
    assert "back" not in counted(long)
    accuracy = long.summary.metrics["val/acc"]
    assert (accuracy.last, accuracy.shown, list(long.metrics("val/acc").x)) == (2, 3, [0, 1, 2])
    assert [long.summary.last[name] for name in ("inf", "ninf", "yes", "int")] == [math.inf, -math.inf, 1, 2**60]
    assert long.params["a"] == {"b": {"c": [1, {"d": 2}]}}
    assert (long.params["long"], long.params["ünï"]) == ("x" * 6000, "🎉")
    assert long.results["inner.word"] == "good"
    assert found["summary only"].results == {"best": 0.75, "word": "good"}
    assert (found["changed"].params, found["changed"].status) == ({"x": {"z": 2}}, "failed")
    assert (counted(found["nothing"]), found["nothing"].status) == (Counter(), "completed")
    assert sorted(run.summary.last["loss"] for run in open_store() if run.run_name == "resumed") == [1, 2]


def test_wandb_files_torn_anywhere(own_folder: Path, imported: Callable[..., Any]) -> None:
    pytest.importorskip("wandb")
    trained("import wandb\nrun = wandb.init(mode='offline')\nfor i in range(900): run.log({'x': i})\nrun.finish()")
    (file,) = own_folder.glob("wandb/offline-run-*/*.wandb")
    data = file.read_bytes()
    sizes = [1 << 15, (1 << 15) + 3, (1 << 15) + 7, (1 << 16) - 1, len(data) // 2, len(data) - 40, len(data) - 1]
    assert max(sizes[:4]) < len(data)

    for size in sizes:
        file.write_bytes(data[:size])
        run = imported(file, "--again").said["imported"][0]
        found = open_store()[run["run_id"]]
        assert with_steps(found) == logged(file)
        assert (run["read"], found.status) == (run["wrote"], "crashed")


# -- TensorBoard ------------------------------------------------------------------------------------------------------


def in_events(folder: Path) -> Counter[str]:
    """Return how many scalars of each tag TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return Counter(
        value.tag
        for file in sorted(folder.glob("*.tfevents.*"))
        for event in LegacyEventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.HasField("simple_value")
    )


@pytest.mark.filterwarnings("ignore")
def test_tensorboard(own_folder: Path, imported: Callable[..., Any]) -> None:
    pytest.importorskip("tensorboard")
    trained(WITH_TENSORBOARD)
    folders = sorted({file.parent for file in own_folder.glob("logs/**/*.tfevents.*")})

    result = imported("logs")

    assert (result.exit_code, result.said["is_whole"], len(folders)) == (0, True, 3)
    by_folder = {Path(run.birth["imported"]["place"]): run for run in open_store()}
    assert {folder: counted(by_folder[folder]) for folder in folders} == {
        folder: in_events(folder) for folder in folders
    }
    run = by_folder[own_folder / "logs" / "run"]
    assert counted(run)["many"] == MANY
    assert {(0, "nan"), (1, "inf"), (2, "-inf"), (-5, "1.0"), (2**40, "5.0")} <= set(points(run, "odd"))
    assert [record.message for record in run.records() if isinstance(record, LogLine)] == ["naïve 模"]


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_with_one_damaged_event(own_folder: Path, imported: Callable[..., Any]) -> None:
    """TensorBoard itself ends its reading of the file there."""
    pytest.importorskip("tensorboard")
    trained(WITH_TENSORBOARD)
    file = min(own_folder.glob("logs/run/*.tfevents.*"))
    data = bytearray(file.read_bytes())
    at = 0
    for _ in range(MANY // 2):
        at += struct.unpack_from("<Q", data, at)[0] + 16
    data[at + 20] ^= 0xFF
    file.write_bytes(data)

    result = imported("logs")

    (run,) = [run for run in result.said["imported"] if run["run_name"] == "run"]
    assert "an event fails its checksum" in run["problems"]
    assert in_events(file.parent)["many"] < MANY - 1 == counted(open_store()[run["run_id"]])["many"]
