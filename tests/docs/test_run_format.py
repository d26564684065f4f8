"""docs/reference/run-format.md is true: its reader reads each run, and its tables list every member."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import attrs
import pytest
from tests.docs.run_format import PAGE, Reader, reader, run_of, same, what_refunc_reads

from refunc.journal import kinds, record
from refunc.logging import MLLogger
from refunc_commands.upkeep.folding import fold

pytestmark = pytest.mark.once

#: Two processes write, one of them values that JSON cannot say.
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


@pytest.fixture(scope="module")
def read_run() -> Reader:
    return reader()


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


# -- the lists of the page -------------------------------------------------------------------------------------------


def test_page_lists_every_kind_and_every_member() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE))

    for kind, row in record.KINDS.items():
        own = {one.name for one in attrs.fields(row.record)} - {one.name for one in attrs.fields(record.Record)}
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
