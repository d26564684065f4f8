"""Runs and records for tests of plugins: a short plain run, and awkward records from real deliveries."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from refunc.journal.folder import ARTIFACTS
from refunc.journal.record import Artifact, LogLine, Metrics, Params, Record, RunEnd, Tags
from refunc.plugins.hooks import HOOKS, TAKERS
from refunc.plugins.run import RunInfo

WRITER = "host-1-k3f9-test"
#: A name in several scripts, and one that is longer than most backends accept.
UNICODE_NAME, LONG_NAME = "точность/検証 “é” 🙂", "layer/" * 60 + "weight"
#: Statuses of ended runs: those of refunc, and one of a user's own.
ENDINGS = ("completed", "failed", "interrupted", "pruned", "crashed", "stopped by Ada")

#: A hook and its argument: one record, or several.
Call = tuple[str, Any]


def call_of(*records: Record) -> Call:
    """Return the hook for *records* with its argument: all of them, or the only one."""
    hook = TAKERS[type(records[0])]
    if HOOKS[hook].many:
        return hook, list(records)
    [record] = records
    return hook, record


def sample_run(folder: Path, *, run_id: str = "k3f9a2b7", **changes: Any) -> RunInfo:
    """Return a run in *folder* as hooks see one, with params, tags and a stored artifact `model.txt` in it."""
    (folder / ARTIFACTS).mkdir(parents=True, exist_ok=True)
    (folder / ARTIFACTS / "0123456789abcdef-model.txt").write_text("weights")
    run = RunInfo(
        run_id=run_id,
        run_name="baseline",
        experiment_id="digits",
        experiment_name="digits",
        start_time=time.time() - 60,
        params={"lr": 0.01, "optimizer": {"name": "adam"}},
        tags={"dataset": "mnist"},
        folder=folder,
    )
    return attrs.evolve(run, **changes)


def sample_records(count: int = 3, *, start: float | None = None) -> list[Call]:
    """
    Return hooks with their arguments, in the order of a short run: params, tags, metrics, lines, an artifact, the end.

    Among the *count* metrics records are a NaN, an infinity, a step that goes back, and a name with a slash.
    """
    common = _numbered(start)
    values = [0.5, math.nan, math.inf, 0.25]
    params = Params(params={"lr": 0.01, "optimizer": {"name": "adam"}}, **common())
    tags = Tags(tags={"dataset": "mnist"}, **common())
    metrics = [
        Metrics(metrics={"loss": values[n % 4], "val/acc": n / max(1, count)}, step=n if n != 2 else 0, **common())
        for n in range(count)
    ]
    lines = [
        LogLine(level="INFO", message="a line", **common()),
        LogLine(level="ERROR", message="<!channel> it failed", exception="Traceback…\nValueError: no", **common()),
        LogLine(level="RESULT", message="accuracy", metrics={"accuracy": 0.9}, **common()),
    ]
    end = RunEnd(status="completed", duration=12.5, metrics={"accuracy": 0.9}, **common())
    of_metrics = (TAKERS[Metrics], metrics)  # of which there may be none
    return [call_of(params), call_of(tags), of_metrics, call_of(*lines), call_of(_artifact(common())), call_of(end)]


def awkward_calls() -> dict[str, Call]:
    """Return calls as in real deliveries, by the awkward feature of each."""
    common = _numbered(None)

    def metrics(*several: dict[str, Any]) -> Call:
        return call_of(*(Metrics(**{"metrics": {"loss": 0.5}, **each}, **common()) for each in several))

    def lines(*several: dict[str, Any]) -> Call:
        return call_of(*(LogLine(**{"level": "INFO", "message": "a line", **each}, **common()) for each in several))

    result = LogLine(level="RESULT", message="test", metrics={"acc": 0.9}, step=None, **common())
    return {
        "metrics without a step": metrics({"step": None}),
        "a step with a fraction": metrics({"step": 0.5, "epoch": 0.25}),
        "a negative step": metrics({"step": -1}),
        "steps that go back": metrics({"step": 7}, {"step": 3}, {"step": 7}),
        "a step of ten digits": metrics({"step": 2**33}),
        "a step that was counted": metrics({"step": 0, "auto": True}),
        "only values that are not numbers": metrics({"metrics": {}, "other": {"image": "<Tensor 3×8×8>"}, "step": 1}),
        "a value that is missing": metrics({"metrics": {"loss": None, "acc": 0.5}, "step": 1}),
        "NaN and infinities": metrics({"metrics": {"a": math.nan, "b": math.inf, "c": -math.inf}, "step": 1}),
        "a number of 64 bits": metrics({"metrics": {"bytes": 2**63 - 1}, "step": 1}),
        "metrics with names of any kind": metrics(
            {"metrics": {UNICODE_NAME: 1.0, LONG_NAME: 2.0, "a b": 3.0, "": 4.0, "../x": 5.0, "a.b:c#d?e%f": 6.0}}
        ),
        "params with names and values of any kind": call_of(
            Params(
                params={UNICODE_NAME: "é", LONG_NAME: "x" * 10_000, "none": None, "list": [1, {"a": "b"}], "empty": {}},
                **common(),
            )
        ),
        "params again with another value": call_of(Params(params={"lr": 0.02}, **common())),
        "tags with names and values of any kind": call_of(
            Tags(tags={UNICODE_NAME: "é", LONG_NAME: "x" * 10_000, "empty": ""}, **common())
        ),
        "lines of any kind": lines(
            {"message": "два\nlines \x1b[31m🙂", "level": "Level 35"},
            {"message": "x" * 65_536},
            {"message": "", "extra": {"nested": {"a": [1, None]}}, "tags": {"phase": "train"}},
            {"message": "failed", "level": "CRITICAL", "exception": "Traceback…\n" + "x" * 20_000, "step": 0.5},
        ),
        "a result as a line": call_of(result),
        "its metrics as metrics, with the same number": call_of(
            Metrics(metrics={"acc": 0.9}, seq=result.seq, time=result.time, writer=WRITER)
        ),
        "a result that is a table": lines(
            {
                "level": "RESULT",
                "message": "table",
                "other": {"rows": [[1, 2], [3, 4]]},
                "extra": {"metadata": {"n": 2}},
            }
        ),
        "an artifact whose file is gone": call_of(
            attrs.evolve(_artifact(common()), name="gone.bin", stored=f"{ARTIFACTS}/ffffffffffffffff-gone.bin")
        ),
        "an artifact that is a reference": call_of(
            attrs.evolve(_artifact(common()), name="large.bin", stored=None, source="/nowhere/large.bin", type=None)
        ),
        "an artifact with a name of any kind": call_of(
            attrs.evolve(_artifact(common()), name=f"{UNICODE_NAME}#1?.txt", type="odd type", metadata={"a": [1]})
        ),
    }


def thousand_metrics() -> list[Metrics]:
    """Return a full window: a thousand records; an hour of training has hundreds of those."""
    common = _numbered(None)
    return [Metrics(metrics={"loss": 1 / (n + 1)}, step=n, **common()) for n in range(1_000)]


def ending(status: str) -> RunEnd:
    """Return the end of a run with *status*; the end of a crashed run is not in the journal, so it has no number."""
    if status == "crashed":
        return RunEnd(status=status, duration=3.0, time=time.time())
    error = "Traceback…\nValueError: é" if status == "failed" else None
    dropped = 3 if status == "failed" else 0
    return RunEnd(status=status, duration=3.0, error=error, dropped=dropped, **_numbered(None)())


def _numbered(start: float | None) -> Callable[[], dict[str, Any]]:
    """Return a function that makes each record's number, time, writer and logger."""
    moment = start if start is not None else time.time() - 30
    numbers = iter(range(1, 1_000_000))

    def common() -> dict[str, Any]:
        seq = next(numbers)
        return {"seq": seq, "time": moment + seq / 1000, "writer": WRITER, "logger": "train"}

    return common


def _artifact(common: dict[str, Any]) -> Artifact:
    stored = f"{ARTIFACTS}/0123456789abcdef-model.txt"
    moment = common["time"]
    return Artifact(name="model.txt", type="model", source="model.txt", stored=stored, size=7, mtime=moment, **common)
