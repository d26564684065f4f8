"""docs/reference/run-format.md is true: its reader reads, and its one-liners open a run complete."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.journal import kinds, record
from refunc.journal.reader import read_journal
from refunc.logging import MLLogger
from refunc.runs import Run
from refunc_commands.upkeep.folding import fold

pytestmark = pytest.mark.once

PAGE = (Path(__file__).parents[2] / "docs/reference/run-format.md").read_text("utf-8")

POINTS = 35_000

#: A run in which metrics appear late and everything changes its type.
LONG_RUN = f"""
import math, sys
import refunc.journal.writer
from refunc.logging import MLLogger, experiment_context
refunc.journal.writer.SEGMENT_BYTES = int(sys.argv[1])
logger = MLLogger("training", level="WARNING")
with experiment_context("vision", "long", logger=logger) as run:
    logger.log_hyperparams({{"lr": 0.1, "depth": 3, "optimizer": {{"name": "adam"}}}})
    logger.log_hyperparams({{"lr": "0.1", "depth": [3, 4], "optimizer": None}})
    for value in (1, 1.5, math.nan, None, "text", [1, 2]):
        logger.log_metrics({{"mixed": value}}, step=0)
    logger.warning("one", extra={{"x": 1}})
    logger.warning("two", extra={{"x": {{"y": [1, "2", None]}}}})
    for step in range({POINTS}):
        logger.log_metrics({{"loss": 1 / (step + 1)}}, step=step)
    logger.warning("three", extra={{"x": "text", "é": "ü"}})
    logger.log_metrics({{"val/late": 0.1}}, step={POINTS})
    logger.warning("four", extra={{"other": [1, 2]}})
"""

#: Two processes write, one of them what JSON cannot say.
TWO_WRITERS = """
import math, os
from refunc.logging import MLLogger, experiment_context
logger = MLLogger("training", level="ERROR")
with experiment_context("vision", "two", logger=logger):
    for step in range(50):
        logger.log_metrics({"loss": math.nan if step % 2 else step, "a/b~c": -math.inf}, step=step)
    logger.log_hyperparams({"bounds": [0, {"upper": math.inf}], "none": None})
    child = os.fork()
    if child == 0:
        logger.log_metrics({"loss": 0.5}, step=50)
        for step in range(51, 80):
            logger.log_metrics({"loss": step}, step=step)
        logger.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


def block(needs: str, language: str) -> str:
    """Return the block of the page that is marked as needing this tool."""
    found = re.search(rf"<!-- {needs} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found, needs
    return found[1]


def run_of(script: str, folder: Path, *arguments: str) -> Path:
    subprocess.run([sys.executable, "-c", script, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)
    (run,) = (folder / "experiments").iterdir()
    return run


# -- the reader ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read_run() -> Callable[[Path], tuple[list[dict[str, Any]], int]]:
    code = block("the reader", "python")
    assert len(code.splitlines()) <= 30
    names: dict[str, Any] = {}
    exec(code, names)
    function: Callable[[Path], tuple[list[dict[str, Any]], int]] = names["read_run"]
    return function


def what_refunc_reads(run: Path) -> list[tuple[Any, ...]]:
    return [(one.seq, one.time, getattr(one, "metrics", None)) for one in read_journal(run)]


def same(one: Any, other: Any) -> bool:
    """Whether both are equal, NaN being equal to NaN."""
    return repr(one) == repr(other)


def test_reader_reads_two_writers_and_what_json_cannot_say(read_run, own_folder: Path) -> None:
    run = run_of(TWO_WRITERS, own_folder)

    records, damaged = read_run(run)

    assert damaged == 0
    assert len({path.name.rsplit(".", 2)[0] for path in (run / "journal").iterdir()}) == 2
    ours = what_refunc_reads(run)
    assert same([(one["seq"], one["time"]) for one in records], [one[:2] for one in ours])
    points = [one for one in records if one["kind"] == "metrics"]
    assert [one["step"] for one in points] == [*range(80)]
    assert math.isnan(points[1]["metrics"]["loss"])
    assert points[0]["metrics"] == {"loss": 0, "a/b~c": -math.inf}
    (params,) = [one["params"] for one in records if one["kind"] == "params"]
    assert params == {"bounds": [0, {"upper": math.inf}], "none": None}


def test_reader_gets_past_torn_and_damaged_lines_and_duplicates(read_run, own_folder: Path) -> None:
    run = run_of(TWO_WRITERS, own_folder)
    whole, _ = read_run(run)
    first, second = sorted((run / "journal").iterdir(), key=lambda path: path.stat().st_size)
    lines = second.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b'"step"', b'"stop"')
    second.write_bytes(b"".join([*lines, lines[10], b"no JSON at all\n"]))
    with open(first, "ab") as file:
        file.write(lines[7][:-9])

    records, damaged = read_run(run)

    assert damaged == 2
    assert len(records) == len(whole) - 1
    assert same([(one["seq"], one["time"]) for one in records], [one[:2] for one in what_refunc_reads(run)])


def test_reader_reads_folded_files(read_run, own_folder: Path) -> None:
    """Those that refunc makes, here of two processes that are gone, torn ends and a kill between two steps included."""
    run = run_of(TWO_WRITERS, own_folder)
    paths = sorted((run / "journal").iterdir())
    with open(paths[0], "ab") as file:
        file.write(b'{"seq":900,"ti')
    before = read_run(run)
    kept = paths[1].read_bytes()

    assert fold(run).joined == 2
    assert [path.suffix for path in (run / "journal").iterdir()] == [".folded"]
    (run / "journal" / ".fold-abcdefgh").write_bytes(b"a draft")
    paths[1].write_bytes(kept)

    records, damaged = read_run(run)
    assert same((records, damaged), before)
    assert same([(one["seq"], one["time"]) for one in records], [one[:2] for one in what_refunc_reads(run)])


# -- ranks and attempts ----------------------------------------------------------------------------------------------

#: Two attempts of two ranks: the first is cut off at step 6, the second goes on from step 3.
LAUNCH = """
import os
from refunc.logging import MLLogger, experiment_context
rank, attempt = int(os.environ["RANK"]), 1 + int(os.environ["TORCHELASTIC_RESTART_COUNT"])
with experiment_context("vision", "launched", logger=MLLogger("quiet", level="ERROR")) as run:
    run.log_hyperparams({"rank": rank})
    if attempt == 2:
        run.load_state_dict({"run_id": run.run_id, "step": 3})
    for step in range(4 if attempt == 2 else 0, 7 if attempt == 1 else 6):
        run.log_metrics({"loss": 10 * attempt + rank}, step=step)
    run.log_metrics({"of/one": 1.0}, step=0) if rank == 1 else None
    run.flush()
    if attempt == 1:
        os._exit(1)
"""


@pytest.fixture(scope="module")
def launched_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launched")
    own = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    for count in ("0", "1"):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", LAUNCH],
                cwd=folder,
                env={**os.environ, **own, "RANK": rank, "LOCAL_RANK": rank, "TORCHELASTIC_RESTART_COUNT": count},
            )
            for rank in ("0", "1")
        ]
        assert [process.wait(60) for process in processes] == [int(count == "0")] * 2
    (run,) = (folder / "experiments").iterdir()
    return run


def test_reader_reads_ranks_and_attempts(read_run, launched_run: Path) -> None:
    records, damaged = read_run(launched_run)

    assert damaged == 0
    assert same([(one["seq"], one["time"]) for one in records], [one[:2] for one in what_refunc_reads(launched_run)])
    assert [(one["step"], one["attempt"]) for one in records if one["kind"] == "rewind"] == [(3, 2)] * 2
    assert sum(one["kind"] == "metrics" and "loss" in one["metrics"] for one in records) == 2 * (7 + 2)


def test_names_of_writers_and_files_say_rank_and_attempt(launched_run: Path) -> None:
    journal = [path.name.split(".")[0].rpartition("_")[2] for path in (launched_run / "journal").iterdir()]

    assert sorted(journal) == ["r0", "r0a2", "r1", "r1a2"]
    assert sorted(path.name for path in (launched_run / "ranks").iterdir()) == [
        *("1.0.json", "1.1.json", "2.0.json", "2.1.json")
    ]
    assert re.fullmatch(r"vision_[a-z0-9]{8}", launched_run.name)


def test_the_rules_of_the_page_give_the_points_that_refunc_gives(read_run, launched_run: Path, tmp_path: Path) -> None:
    """By the names of the segments, the page's reader and the four rules, nothing of refunc."""
    points: dict[int, list[tuple[int, int, float]]] = {}
    rewinds: list[tuple[int, int]] = []
    for number, path in enumerate((launched_run / "journal").iterdir()):
        rank, attempt = re.search(r"_r(\d+)(?:a(\d+))?\.", path.name).groups("1")  # type: ignore[union-attr]
        part = tmp_path / str(number) / "journal"
        part.mkdir(parents=True)
        shutil.copy(path, part)
        for one in read_run(part.parent)[0]:
            if one["kind"] == "rewind":
                rewinds.append((one["attempt"], one["step"]))
            if one["kind"] == "metrics" and "loss" in one["metrics"]:
                points.setdefault(int(rank), []).append((int(attempt), one["step"], one["metrics"]["loss"]))

    run = Run.open(launched_run)
    for rank, found in points.items():
        left = [one for one in found if not any(one[0] < attempt and one[1] > step for attempt, step in rewinds)]
        newest = {step: value for _, step, value in sorted(left)}
        curve = run.metrics("loss", rank=rank)
        assert dict(zip(curve.steps, curve.values, strict=True)) == newest
    assert list(run.metrics("loss").values) == [10.0] * 4 + [20.0] * 2
    assert list(run.metrics("of/one").values) == [1.0]
    assert run.params == {"rank": 0}


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ({0: "completed", 1: "completed"}, "completed"),
        ({0: "completed", 1: "failed"}, "failed"),
        ({0: "interrupted", 1: "failed"}, "failed"),
        ({0: "completed", 1: "interrupted"}, "interrupted"),
        ({0: "completed"}, "crashed"),
        ({1: "failed"}, "failed"),
    ],
)
def test_the_status_follows_from_the_ends_of_all(ends: dict[int, str], status: str, launched_run, tmp_path) -> None:
    run = shutil.copytree(launched_run, tmp_path / "run")
    for path in (run / "journal").glob("*a2.*"):
        header, *lines = path.read_bytes().splitlines()
        rank = json.loads(header)["rank"]
        kept = [line for line in lines if b'"kind":"end"' not in line]
        if rank in ends:
            body = f'{{"seq":{len(kept)},"time":1.0,"kind":"end","status":"{ends[rank]}","duration":1.0}}'.encode()
            kept.append(body[:-1] + b',"crc":"%08x"}' % zlib.crc32(body))
        path.write_bytes(b"\n".join([header, *kept, b""]))

    assert Run.open(run).status == status


def test_page_lists_every_member_of_ranks(launched_run: Path) -> None:
    about_ranks = PAGE.split("## `ranks/`")[1].split("### How it ended")[0]
    [file, *_] = (launched_run / "ranks").iterdir()
    birth = json.loads((launched_run / "run.json").read_text())
    headers = [json.loads(path.read_bytes().splitlines()[0]) for path in (launched_run / "journal").iterdir()]

    assert [name for name in json.loads(file.read_text()) if f"`{name}`" not in about_ranks] == []
    about_birth, about_header = PAGE.split("## Segments")[0], PAGE.split("### The first line")[1].split("### ")[0]
    assert {name for name in [*birth, *birth["launch"]] if f"`{name}`" not in about_birth} == set()
    assert {name for header in headers for name in header if f"`{name}`" not in about_header} == {"crc"}


# -- the one-liners --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[16 << 20, 1 << 20], ids=["one segment", "several segments"])
def long_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of more than 30,000 lines."""
    run = run_of(LONG_RUN, tmp_path_factory.mktemp("long"), str(request.param))
    assert (len(list((run / "journal").iterdir())) > 1) is (request.param == 1 << 20)
    return run


LOSSES = [1 / (step + 1) for step in range(POINTS)]
PARAMS = [
    {"lr": 0.1, "depth": 3, "optimizer": {"name": "adam"}},
    {"lr": "0.1", "depth": [3, 4], "optimizer": None},
]
EXTRA = [{"x": 1}, {"x": {"y": [1, "2", None]}}, {"x": "text", "é": "ü"}, {"other": [1, 2]}]


def test_jq_prints_every_value(long_run: Path, require) -> None:
    require(shutil.which("jq") is not None, "apt-get install jq")

    done = subprocess.run(
        ["sh", "-c", block("needs: jq", "sh")], cwd=long_run, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[2] for row in rows if row[1] == "mixed"] == ["1", "1.5", ""]
    assert [float(row[2]) for row in rows if row[1] == "loss"] == pytest.approx(LOSSES)
    assert [row for row in rows if row[1] == "val/late"] == [[str(POINTS), "val/late", "0.1"]]
    text = subprocess.run(
        ["sh", "-c", r"jq -cR 'fromjson? | .other // .params // .extra // empty' journal/*.jsonl"],
        cwd=long_run,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    others = [{"mixed": None}, {"mixed": "text"}, {"mixed": [1, 2]}]
    assert [json.loads(line) for line in text.splitlines()] == [*PARAMS, *others, *EXTRA]


def after(code: str, run: Path) -> Any:
    """Return what *code*, run in the run's folder in a process of its own, prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=run, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_complete(read: dict[str, Any]) -> None:
    assert read["steps"] == [0] * 6 + [*range(POINTS + 1)]
    assert read["losses"] == pytest.approx(LOSSES, rel=1e-15)  # polars takes the last bit lightly
    assert read["late"] == [[POINTS, 0.1]]
    assert read["mixed"] == [1, 1.5]
    assert read["other"] == [{"mixed": None}, {"mixed": "text"}, {"mixed": [1, 2]}]
    assert read["params"] == PARAMS
    assert read["extra"] == EXTRA


@pytest.mark.extras
def test_duckdb_opens_a_run_complete(long_run: Path, require) -> None:
    require(find_spec("duckdb") is not None, "python -m pip install duckdb")
    query = block("needs: duckdb", "sql")

    read = after(
        f"""
import duckdb, json
run = duckdb.sql({query!r})
def column(text, where):
    rows = duckdb.sql(f"SELECT {{text}} FROM run WHERE {{where}} ORDER BY seq").fetchall()
    return [row[0] for row in rows]
def nested(name): return [json.loads(text) for text in column(name, f"{{name}} IS NOT NULL")]
def metric(name): return column(f"metrics['{{name}}']", f"metrics['{{name}}'] IS NOT NULL")
late = duckdb.sql("SELECT step, metrics['val/late'] FROM run WHERE metrics['val/late'] IS NOT NULL").fetchall()
print(json.dumps({{
    "steps": column("step", "kind = 'metrics'"), "losses": metric("loss"), "mixed": metric("mixed"), "late": late,
    "other": nested("other"), "params": nested("params"), "extra": nested("extra"),
}}))
""",
        long_run,
    )

    assert_complete(read)


@pytest.mark.extras
def test_pandas_opens_a_run_complete(long_run: Path, require) -> None:
    require(find_spec("pandas") is not None, "python -m pip install pandas")

    read = after(
        block("needs: pandas", "python")
        + """
def metric(name): return frame["metrics." + name].dropna().tolist()
late = frame[frame["metrics.val/late"].notna()]
print(json.dumps({
    "steps": [int(step) for step in frame[frame.kind == "metrics"].step],
    "losses": metric("loss"), "mixed": metric("mixed"),
    "late": [[int(late.step.item()), late["metrics.val/late"].item()]],
    "lr": frame["params.lr"].dropna().tolist(), "depth": frame["params.depth"].dropna().tolist(),
    "other": frame["other.mixed"].dropna().tolist(), "x": frame["extra.x"].dropna().tolist(),
    "é": frame["extra.é"].dropna().tolist(), "list": frame["extra.other"].dropna().tolist(),
}))
""",
        long_run,
    )

    assert read["steps"] == [0] * 6 + [*range(POINTS + 1)]
    assert read["losses"] == LOSSES
    assert read["late"] == [[POINTS, 0.1]]
    assert read["mixed"] == [1, 1.5]
    assert read["other"] == ["text", [1, 2]]  # a null is a null, whatever column it stands in
    assert (read["lr"], read["depth"]) == ([0.1, "0.1"], [3, [3, 4]])
    assert (read["x"], read["é"], read["list"]) == ([1, {"y": [1, "2", None]}, "text"], ["ü"], [[1, 2]])


@pytest.mark.extras
def test_polars_opens_a_run_complete(long_run: Path, require) -> None:
    require(find_spec("polars") is not None, "python -m pip install polars")

    read = after(
        block("needs: polars", "python")
        + """
import json
points = frame.filter(kind="metrics")
def metric(path):
    return points.select("step", value=polars.col("metrics").str.json_path_match(path).cast(float)).drop_nulls()
def nested(name): return [json.loads(text) for text in frame[name].drop_nulls().to_list()]
print(json.dumps({
    "steps": points["step"].to_list(), "losses": metric("$.loss")["value"].to_list(),
    "mixed": metric("$.mixed")["value"].to_list(), "late": metric("$['val/late']").rows(),
    "other": nested("other"), "params": nested("params"), "extra": nested("extra"),
}))
""",
        long_run,
    )

    assert_complete(read)


# -- what the page lists ---------------------------------------------------------------------------------------------


def test_page_lists_every_kind_and_every_member() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE))

    for kind, its_class in record._CLASSES.items():
        own = {one.name for one in attrs.fields(its_class)} - {one.name for one in attrs.fields(record.Record)}
        assert {name for name in own if f"`{name}`" not in rows[kind]} == set(), kind
    assert kinds.FORMAT == 1
    assert f"(format {kinds.FORMAT})" in PAGE


def test_page_lists_every_member_of_run_json_and_of_the_header(own_folder: Path) -> None:
    logger = MLLogger("training")
    logger.start_experiment("vision")
    logger.end_experiment()
    (run,) = (own_folder / "experiments").iterdir()
    (segment,) = (run / "journal").iterdir()

    birth = json.loads((run / "run.json").read_text())
    header = json.loads(segment.read_bytes().splitlines()[0])

    about_birth, about_header = PAGE.split("## Segments")[0], PAGE.split("### The first line")[1].split("### ")[0]
    assert [name for name in birth if f"`{name}`" not in about_birth] == []
    assert [name for name in header if f"`{name}`" not in about_header] == ["crc"]
