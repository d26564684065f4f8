"""`refunc merge`: the folders of one run become one, which reads as if all ranks had written there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ranked import RUN_ID, START, ranked

from refunc.journal.reader import Account, read_journal
from refunc.runs import Run, open_store
from refunc_commands.upkeep.folding import fold
from refunc_commands.upkeep.merging import merge

pytestmark = [pytest.mark.once, pytest.mark.extras]


def reading(folder: Path) -> dict[str, Any]:
    """Return all that readers say of a run, but for its place."""
    run, account = Run.open(folder), Account()
    records = [repr(record) for record in read_journal(folder, account)]
    series = {
        f"{rank} {attempts}": run.metrics("loss", rank=rank, attempts=attempts).to_dict()  # type: ignore[call-overload]
        for rank in (None, *run.ranks, "all", "mean", "min", "max")
        for attempts in ("newest", "all")
    }
    return {**run.to_dict(), "folder": None, "records": records, "account": repr(account), "series": series}


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def two() -> tuple[Path, Path]:
    """A run whose ranks 0 and 1 wrote to one store, and 2 and 3 to another."""
    return ranked("a", only=(0, 1)), ranked("b", only=(2, 3), start_time=START + 1, pid=7)


def test_the_merged_run_reads_as_a_shared_one(invoke: Any, two: tuple[Path, Path]) -> None:
    shared = ranked("shared")

    result = invoke("merge", str(two[0]), str(two[1]))

    assert (result.exit_code, result.stderr) == (0, "")
    assert "copied 8 files (4 of journal, 4 of ranks)" in result.stdout
    assert "1 other folder stayed" in result.stdout
    assert reading(two[0]) == reading(shared)
    assert files_in(two[0]) == files_in(shared)
    assert two[1].is_dir()


def test_the_facts_are_those_of_the_process_that_came_first(invoke: Any, two: tuple[Path, Path]) -> None:
    assert invoke("merge", str(two[1]), str(two[0])).exit_code == 0
    assert reading(two[1]) == reading(ranked("shared"))


def test_a_new_folder_can_be_the_target(invoke: Any, two: tuple[Path, Path]) -> None:
    before = [files_in(folder) for folder in two]
    result = invoke("merge", *map(str, two), "--into", f"c/vision_{RUN_ID}", "--json")

    said = json.loads(result.stdout)
    assert said["copied"] == {"journal": 8, "ranks": 8, "run.json": 1}
    assert reading(Path(said["folder"])) == reading(ranked("shared"))
    assert [files_in(folder) for folder in two] == before


def test_merging_again_changes_nothing(invoke: Any, two: tuple[Path, Path]) -> None:
    invoke("merge", *map(str, two))
    before = {path: path.stat().st_mtime_ns for path in two[0].rglob("*") if path.is_file()}
    assert invoke("merge", *map(str, two)).stdout.startswith("copied 0 files, 0 B")
    assert {path: path.stat().st_mtime_ns for path in two[0].rglob("*") if path.is_file()} == before


def test_a_dry_run_copies_nothing(invoke: Any, two: tuple[Path, Path]) -> None:
    before = files_in(two[0])
    assert invoke("merge", *map(str, two), "--dry-run").stdout.startswith("would copy 8 files")
    assert files_in(two[0]) == before


def test_what_a_writer_has_written_since_is_brought_over(invoke: Any) -> None:
    now = time.time() - 2_000
    two = [ranked(name, only=ranks, start=now) for name, ranks in (("a", (0, 1)), ("b", (2, 3)))]
    segment = next((two[1] / "journal").glob("*_r3a2.*"))
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-700])
    assert "pass --running to merge its files so far" in refused(invoke, *map(str, two))
    assert invoke("merge", *map(str, two), "--running").stdout.startswith("copied 8 files")
    segment.write_bytes(whole)

    assert "has more of one of its files" in refused(invoke, *map(str, two), "--running"), "its writer may be here"

    old = next((two[0] / "journal").glob("*_r3a2.*"))
    for path in (old, *(two[0] / "ranks").glob("2.3.json")):
        path.unlink()
    assert invoke("merge", *map(str, two), "--running").stdout.startswith("copied 2 files")
    assert reading(two[0]) == reading(ranked("shared", start=now))


def test_the_rest_of_a_writer_is_brought_over_after_its_end(invoke: Any, two: tuple[Path, Path]) -> None:
    assert invoke("merge", *map(str, two)).exit_code == 0
    segment = next((two[0] / "journal").glob("*_r3.*"))
    segment.write_bytes(segment.read_bytes()[:-100])

    assert invoke("merge", *map(str, two)).stdout.startswith("copied 1 file,")
    assert reading(two[0]) == reading(ranked("shared"))


def test_a_folded_folder_is_merged_as_well(invoke: Any, two: tuple[Path, Path]) -> None:
    for folder in two:
        for path in (folder / "journal").iterdir():
            os.utime(path, (1e9, 1e9))
        assert fold(folder).joined == 4
        assert len(os.listdir(folder / "ranks")) == 4

    assert invoke("merge", *map(str, two)).exit_code == 0

    assert reading(two[0]) == reading(ranked("shared"))
    assert invoke("merge", *map(str, two)).stdout.startswith("copied 0 files")


def test_artifacts_and_the_state_of_delivery_come_along(invoke: Any, two: tuple[Path, Path]) -> None:
    for folder, name in zip(two, ("aaaa-one", "bbbb-two"), strict=True):
        (folder / "artifacts").mkdir()
        (folder / "artifacts" / name).write_text(name)
    (two[1] / "delivery").mkdir()
    for name in ("mlflow-1.json", "mlflow-1.dead.jsonl", "mlflow-1.lock", "process.log"):
        (two[1] / "delivery" / name).write_text(name)

    assert invoke("merge", *map(str, two)).exit_code == 0

    assert sorted(os.listdir(two[0] / "artifacts")) == ["aaaa-one", "bbbb-two"]
    assert sorted(os.listdir(two[0] / "delivery")) == ["mlflow-1.dead.jsonl", "mlflow-1.json"]


def test_the_others_are_removed_if_asked_and_only_when_all_is_there(invoke: Any, two: tuple[Path, Path]) -> None:
    (two[1] / "notes.txt").write_text("mine")

    result = invoke("merge", *map(str, two), "--delete")
    assert result.exit_code == 1
    assert "has files that are not part of a run, such as notes.txt" in result.stdout
    assert two[1].is_dir()

    (two[1] / "notes.txt").unlink()
    result = invoke("merge", *map(str, two), "--delete")
    assert (result.exit_code, list(Path("b").iterdir())) == (0, [])
    assert reading(two[0]) == reading(ranked("shared"))


# -- folders and files that are refused -------------------------------------------------------------------------------


def refused(invoke: Any, *arguments: str) -> str:
    before = {name: files_in(Path(name)) for name in ("a", "b")}
    result = invoke("merge", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert {name: files_in(Path(name)) for name in before} == before, "nothing was done"
    [line] = result.stderr.splitlines()
    return str(line)


def test_folders_of_different_runs_are_refused(invoke: Any, two: tuple[Path, Path]) -> None:
    birth = json.loads((two[1] / "run.json").read_text())
    (two[1] / "run.json").write_text(json.dumps({**birth, "run_id": "zzzzzzzz"}))
    assert "is of another run than" in refused(invoke, *map(str, two))
    (two[1] / "run.json").write_text(json.dumps({**birth, "experiment_name": "other"}))
    assert "its experiment_name is 'other', not 'vision'" in refused(invoke, *map(str, two))


def test_files_that_contradict_each_other_are_refused(invoke: Any, two: tuple[Path, Path]) -> None:
    segment = next((two[1] / "journal").iterdir())
    (two[0] / "journal" / segment.name).write_bytes(segment.read_bytes().replace(b"metrics", b"Metrics", 1))
    assert "are not the same" in refused(invoke, *map(str, two))


def test_two_starts_of_one_rank_are_refused(invoke: Any, two: tuple[Path, Path]) -> None:
    (two[1] / "ranks" / "1.0.json").write_text(json.dumps({"attempt": 1, "rank": 0, "pid": 99}))
    assert "two processes had this rank in this attempt" in refused(invoke, *map(str, two))


@pytest.mark.parametrize("place", ["journal/x-1-aaaaaaaa-bbbb.000000.jsonl", "artifacts/aaaa-model.pt"])
def test_a_sparse_file_is_refused(invoke: Any, two: tuple[Path, Path], place: str) -> None:
    (two[1] / "artifacts").mkdir()
    with (two[1] / place).open("wb") as file:
        file.truncate(1 << 32)
    os.utime(two[1] / place, (1e9, 1e9))
    result = invoke("merge", *map(str, two))
    assert (result.exit_code, os.path.exists(two[0] / place)) == (2, False)
    assert "it is a sparse file" in result.stderr


def test_links_and_pipes_are_not_copied(invoke: Any, two: tuple[Path, Path]) -> None:
    Path("secret").write_text("secret")
    for part in ("artifacts", "delivery"):
        (two[1] / part).mkdir()
    for place in ("artifacts/link", "delivery/link.json", "ranks/9.0.json", "journal/w-1-a-bbbb.000000.jsonl"):
        os.symlink(Path("secret").absolute(), two[1] / place)
    os.mkfifo(two[1] / "artifacts" / "pipe")
    assert invoke("merge", *map(str, two)).exit_code == 0
    assert files_in(two[0]) == files_in(ranked("shared"))


def test_one_folder_is_nothing_to_merge(invoke: Any, two: tuple[Path, Path]) -> None:
    assert "one folder is nothing to merge" in refused(invoke, str(two[0]))
    assert "one folder is nothing to merge" in refused(invoke, str(two[0]), str(two[0]))


# -- with real processes ----------------------------------------------------------------------------------------------


def test_ranks_without_a_common_store(own_folder: Path, invoke: Any) -> None:
    script = """
import os
from refunc.logging import MLLogger, experiment_context
rank = int(os.environ["RANK"])
with experiment_context("vision", logger=MLLogger("quiet", "CRITICAL")) as run:
    for step in range(10): run.log_metrics({"loss": step + 100.0 * rank}, step=step)
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMPI", "PMI"))}
    environ |= {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**environ, "RANK": str(rank), "LOCAL_RANK": str(rank % 2), "REFUNC_DIR": f"node{rank // 2}"},
        )
        for rank in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    [[one], [other]] = (list(open_store(name)) for name in ("node0", "node1"))
    assert (one.run_id, one.folder.name) == (other.run_id, other.folder.name)

    assert invoke("merge", str(one.folder), str(other.folder)).exit_code == 0

    [run] = open_store("node0")
    assert (run.status, run.ranks) == ("completed", [0, 1, 2, 3])
    for rank in range(4):
        assert list(run.metrics("loss", rank=rank).values) == [step + 100.0 * rank for step in range(10)]
    assert run.summary.account == Account()


#: Merges copies of two folders in children, of which each ends at another call; reads the files left, and merges again.
KILLED = """
import json, os, shutil, sys
os.fsync = os.fdatasync = lambda fd: None  # no power fails here, and a slow disk would take minutes for all
from pathlib import Path
from refunc.journal.reader import Account, read_journal
from refunc_commands.upkeep.merging import merge

one, other, place = map(Path, sys.argv[1:])
CALLS = ("open", "write", "fchmod", "utime", "fsync", "rename", "replace", "link", "unlink", "close", "mkdir")

def read(folder):
    account = Account()
    return [repr(record) for record in read_journal(folder, account)], repr(account)

def ending_at(step, before, target):
    left = step
    def wrapped(call):
        def counted(*arguments, **options):
            nonlocal left
            left -= 1
            if not left and before: os._exit(9)
            answer = call(*arguments, **options)
            if not left: os._exit(9)
            return answer
        return counted
    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))
    merge([one, other], target)
    os._exit(0)

(whole, account), wrong, steps = read(Path(sys.argv[3]) / "shared" / one.name), [], 0
first = set(read(one)[0])
for before in (True, False):
    for step in range(1, 10_000):
        target = place / f"{step:04}{before:04}"
        shutil.copytree(one, target)
        child = os.fork()
        if not child:
            ending_at(step, before, target)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = read(target)[0]
        if not first <= set(found) <= set(whole) or len(set(found)) != len(found):
            wrong.append([step, before, "a kill lost or doubled records"])
        merge([one, other], target)
        if read(target) != (whole, account):
            wrong.append([step, before, "is not finished"])
        shutil.rmtree(target)
        steps += 1
        if code == 0:
            break
print(json.dumps({"wrong": wrong, "steps": steps}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can be forked")
def test_a_kill_at_any_call_loses_nothing_and_merging_again_finishes_it(
    two: tuple[Path, Path], finished: Callable[..., tuple[int, str, str]], own_folder: Path
) -> None:
    ranked("killed/shared")

    code, out, errors = finished(KILLED, two[0].absolute(), two[1].absolute(), own_folder / "killed", deadline=250)

    assert code == 0, errors
    said = json.loads(out)
    assert said["wrong"] == []
    assert said["steps"] > 60


def test_merge_takes_any_number_of_folders() -> None:
    parts = [ranked(f"node{rank}", only=(rank,)) for rank in range(4)]
    merged = merge(parts, Path("all") / parts[0].name)
    assert merged.copied == {"journal": 8, "ranks": 8, "run.json": 1}
    assert reading(merged.target) == reading(ranked("shared"))
