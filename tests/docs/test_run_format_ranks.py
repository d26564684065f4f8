"""docs/reference/run-format.md is true about runs of several ranks and attempts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from tests.docs.run_format import PAGE, Reader, reader, same, what_refunc_reads

from refunc.runs import Run

pytestmark = pytest.mark.once

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
def read_run() -> Reader:
    return reader()


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
