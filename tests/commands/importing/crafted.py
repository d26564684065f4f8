"""Sources as their trackers leave them, made by hand: a tree of MLflow, Lightning, TensorBoard, W&B, and a database."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path
from typing import Any

from tests.commands.importing.framed import event, wandb_file


def mlruns(folder: Path) -> Path:
    place = folder / "mlruns" / "0"
    for name in ("bad", "good"):
        for inside in ("metrics", "params", "tags", "artifacts"):
            (place / name / inside).mkdir(parents=True)
        (place / name / "meta.yaml").write_text(
            f"run_id: {name}\nrun_name: {name}\nstart_time: 1700000000000\nstatus: 3\n"
        )
        (place / name / "metrics" / "loss").write_text("1700000000000 0.5 1\n1700000001000 0.25 2\n")
        (place / name / "params" / "lr").write_text("0.1")
        (place / name / "tags" / "team").write_text("vision")
        (place / name / "artifacts" / "a.txt").write_text("text")
    (place / "meta.yaml").write_text("name: digits\n")
    return folder / "mlruns"


def lightning(folder: Path) -> Path:
    for name in ("bad", "good"):
        place = folder / "lightning_logs" / name
        place.mkdir(parents=True)
        (place / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.25\n")
        (place / "hparams.yaml").write_text("lr: 0.1\nsizes: &id001\n- 1\n- 2\nmore: *id001\n")
        (place / "last.ckpt").write_text("weights")
    return folder / "lightning_logs"


def field(number: int, value: Any) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    if isinstance(value, float):
        return _number(number << 3 | 1) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def events(*times: float) -> bytes:
    out = b""
    for step, moment in enumerate(times):
        scalar = field(1, "loss") + _number(2 << 3 | 5) + struct.pack("<f", 0.5)
        data = field(1, moment) + field(2, step) + field(5, field(1, scalar))
        out += event(data)
    return out


def tensorboard(folder: Path) -> Path:
    for name in ("bad", "good"):
        place = folder / "logs" / name
        place.mkdir(parents=True)
        (place / "events.out.tfevents.1").write_bytes(events(1.7e9, 1.7e9 + 1))
    return folder / "logs"


def wandb_run(name: str, *more: bytes, start: int = 1_700_000_000) -> bytes:
    config = field(4, field(1, field(1, "lr") + field(16, "0.1")))
    run = field(17, field(1, name) + field(8, name) + field(17, field(1, start)) + config)
    row = field(2, field(1, field(1, "loss") + field(16, "0.5")) + field(1, field(1, "_step") + field(16, "1")))
    return wandb_file(run, row, *more, field(18, field(2, 5)))


def wandb(folder: Path) -> Path:
    for name in ("bad", "good"):
        place = folder / "wandb" / f"offline-run-20260101_000000-{name}"
        (place / "files").mkdir(parents=True)
        (place / f"run-{name}.wandb").write_bytes(wandb_run(name))
        (place / "files" / "a.txt").write_text("text")
    return folder / "wandb"


SCHEMA = """
create table experiments(experiment_id integer, name text, lifecycle_stage text);
create table runs(run_uuid text, name text, experiment_id integer, start_time bigint, end_time bigint, status text,
    lifecycle_stage text, source_name text, artifact_uri text);
create table params(key text, value text, run_uuid text);
create table metrics(key text, value double, timestamp bigint, run_uuid text, step bigint, is_nan boolean);
create table tags(key text, value text, run_uuid text);
insert into experiments values(1, 'digits', 'active');
"""

RUN = "insert into runs values('{0}','{0}',1,1700000000000,1700000001000,'FINISHED','active','s','/x');"

POINTS = (
    "insert into metrics values('loss', 0.5, 1700000000000, '{0}', 1, 0);insert into params values('lr','1','{0}');"
)


def database(folder: Path, sql: str = "", schema: str = SCHEMA) -> Path:
    connection = sqlite3.connect(folder / "mlflow.db")
    connection.executescript(schema + "".join((RUN + POINTS).format(name) for name in ("bad", "good")) + sql)
    connection.close()
    return folder / "mlflow.db"


SOURCES = {"mlruns": mlruns, "lightning": lightning, "tensorboard": tensorboard, "wandb": wandb, "database": database}
