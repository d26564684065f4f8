"""`refunc gc --fold`: many files of a run become one, nothing reads otherwise, and a kill loses nothing."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery.lock import DeliveryLock
from refunc.journal.codec import encode_line
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.tail import Tail
from refunc.outlets.locks import is_written
from refunc_commands.upkeep import folding

pytestmark = [pytest.mark.once, pytest.mark.extras]

NAME = "20261128-120000_many_aaaaaaaa"


@pytest.fixture
def made(own_folder: Path) -> Callable[..., Path]:
    """Make a run of processes that are gone in the test's store."""
    from tests.many_writers import make_run

    def make(writers: int = 5, name: str = NAME, **facts: Any) -> Path:
        return make_run(own_folder / "experiments" / name, writers, **facts)

    return make


def files_of(run: Path) -> list[str]:
    return sorted(path.suffix for path in (run / "journal").iterdir())


def read(run: Path) -> tuple[list[str], list[str], Account]:
    account = Account()
    return list(map(repr, read_journal(run, account))), list(map(repr, read_backwards(run))), account


def folds(invoke: Any, *options: str) -> Any:
    result = invoke("gc", "--fold", "--yes", "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_files_of_a_run_become_one(made: Callable[..., Path], invoke: Any) -> None:
    run = made(5)
    before = read(run)

    said = invoke("gc", "--fold", "--yes")

    assert (said.exit_code, said.stderr) == (0, "")
    assert said.stdout == f"folded       5 files  {NAME}\n"
    assert files_of(run) == [".folded"]
    assert read(run) == before
    assert invoke("gc", "--fold", "--yes").stdout == "nothing to fold\n"


def test_a_dry_run_only_says_what_would_be_done(made: Callable[..., Path], invoke: Any) -> None:
    run = made(5)

    said = invoke("gc", "--fold", "--dry-run")

    assert (said.exit_code, said.stdout) == (0, f"would fold       5 files  {NAME}\n")
    assert files_of(run) == [".jsonl"] * 5
    assert json.loads(invoke("gc", "--fold", "--dry-run", "--json").stdout)["folded"][0]["files"] == 5


def test_a_dry_run_of_a_removal_removes_nothing(made: Callable[..., Path], invoke: Any) -> None:
    run = made(2)

    said = invoke("gc", "--older-than", "0s", "--delete", "--dry-run", "--yes")

    assert said.exit_code == 0
    assert "would remove" in said.stdout
    assert run.exists()


def test_without_a_terminal_and_without_yes_nothing_is_done(made: Callable[..., Path], invoke: Any) -> None:
    run = made(5)

    said = invoke("gc", "--fold")

    assert said.exit_code == 2
    assert "--yes" in said.stderr
    assert files_of(run) == [".jsonl"] * 5
    assert invoke("gc", "--fold", "--delete", "--yes").exit_code == 2


def test_only_the_runs_that_are_chosen_are_folded(made: Callable[..., Path], invoke: Any) -> None:
    one, other = made(3), made(3, name="20261128-130000_many_bbbbbbbb", ends=False)

    said = folds(invoke, "--status", "crashed")

    assert [piece["run_id"] for piece in said["folded"]] == ["bbbbbbbb"]
    assert (files_of(one), files_of(other)) == ([".jsonl"] * 3, [".folded"])


def test_one_file_alone_is_left(made: Callable[..., Path], invoke: Any) -> None:
    run = made(1)

    assert (folds(invoke)["folded"], files_of(run)) == ([], [".jsonl"])


# -- runs and files that are left alone --------------------------------------------------------------------------------


def test_a_run_that_is_running_is_left_alone(made: Callable[..., Path], invoke: Any) -> None:
    from refunc.logging import ExperimentTracker

    run = made(3)
    tracker = ExperimentTracker("images", "live")
    tracker.start_run()
    tracker.log_metrics({"loss": 0.5})
    assert tracker.folder is not None
    for path in (run / "journal").iterdir():
        shutil.copy(path, tracker.folder / "journal")

    said = folds(invoke)

    assert [piece["run_id"] for piece in said["folded"]] == ["aaaaaaaa"]
    assert [piece["reason"] for piece in said["kept"]] == ["it is running"]
    assert files_of(tracker.folder) == [".jsonl"] * 4
    tracker.end_run()


def test_a_writer_that_lives_is_left_and_the_others_are_folded(
    made: Callable[..., Path], invoke: Any, script: Callable[..., subprocess.Popen[str]]
) -> None:
    """As a child of a training that has ended: it has its segment open, or writes the next one."""
    from tests.many_writers import header

    run = made(4)
    living = script("import time; print(flush=True); time.sleep(60)")
    assert living.stdout is not None
    living.stdout.readline()
    path = run / "journal" / "node-9-a-b.000000.jsonl"
    path.write_bytes(encode_line(header("node-9-a-b", living.pid)))

    said = folds(invoke)

    assert said["folded"][0]["files"] == 4
    assert said["kept"][0]["reason"] == "1 file: its process may be running"
    assert files_of(run) == [".folded", ".jsonl"]
    living.kill()
    living.wait()
    assert folds(invoke)["folded"] == []  # one file alone


@pytest.mark.skipif(sys.platform != "linux", reason="no other system says who has a file open")
def test_a_file_that_a_process_has_open_for_writing_is_left(made: Callable[..., Path], invoke: Any) -> None:
    """Whatever its first line says of the process, as where that runs in a container."""
    run = made(4)
    path = sorted((run / "journal").iterdir())[1]
    with open(path, "rb") as reading:
        if is_written(reading.fileno()) is None:
            pytest.skip("this file system does not say")
    with open(path, "ab"):
        said = folds(invoke)

    assert said["folded"][0]["files"] == 3
    assert said["kept"][0]["reason"] == "1 file: its process may be running"


def test_writers_of_another_machine_are_left_until_they_were_silent_for_long(
    made: Callable[..., Path], invoke: Any
) -> None:
    run = made(4)
    for path in (run / "journal").iterdir():
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        for row in rows:
            del row["crc"]
        path.write_bytes(b"".join(encode_line({**row, "host": "elsewhere"}) for row in rows))
    assert folds(invoke)["kept"][0]["reason"] == "4 files: its process may be running"
    for path in (run / "journal").iterdir():
        os.utime(path, (time.time() - 8 * 86_400,) * 2)

    assert folds(invoke)["folded"][0]["files"] == 4


def test_what_another_user_wrote_is_left_alone(
    made: Callable[..., Path], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns a file says whose records it has."""
    run = made(3)
    real = os.lstat
    strange = sorted((run / "journal").iterdir())[1]

    def lstat(path: Any, **options: Any) -> os.stat_result:
        info = real(path, **options)
        if os.fspath(path) == str(strange):
            return os.stat_result([*info[:4], info.st_uid + 1, *info[5:]])
        return info

    monkeypatch.setattr(folding.os, "lstat", lstat)

    assert folds(invoke)["kept"][0]["reason"] == "another user wrote a part of it"
    assert files_of(run) == [".jsonl"] * 3


def test_a_run_that_a_process_delivers_is_left_alone(made: Callable[..., Path], invoke: Any) -> None:
    run = made(3)
    (run / "delivery").mkdir()
    lock = DeliveryLock(run, "mlflow-1")
    assert lock.take()
    assert folds(invoke)["kept"][0]["reason"] == "a process is delivering it"
    assert files_of(run) == [".jsonl"] * 3

    lock.release()

    assert folds(invoke)["folded"][0]["files"] == 3
    assert lock.take()


def test_a_file_with_holes_is_left(made: Callable[..., Path], invoke: Any) -> None:
    run = made(4)
    with open(sorted((run / "journal").iterdir())[2], "ab") as file:
        file.truncate(1 << 36)
    before = read(run)

    said = folds(invoke)

    assert said["kept"][0]["reason"] == "1 file: it is a sparse file"
    assert (files_of(run), read(run)) == ([".folded", ".jsonl"], before)


def test_a_file_that_grows_while_it_is_copied_stays(
    made: Callable[..., Path], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(4)
    path = sorted((run / "journal").iterdir())[2]
    real = folding._copy

    def copy(file: Any, fd: int) -> None:
        if file.segment.path == str(path):
            with open(path, "ab") as growing:
                growing.write(encode_line({"seq": 3, "time": 1e9, "kind": "tags", "tags": {}}))
        real(file, fd)

    monkeypatch.setattr(folding, "_copy", copy)

    assert folds(invoke)["kept"][0]["reason"] == "a process is writing to it"
    assert files_of(run) == [".jsonl"] * 4
    assert len(read(run)[0]) == 14


def test_many_segments_go_into_several_files(
    made: Callable[..., Path], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(9)
    before = read(run)
    monkeypatch.setattr(folding, "MOST_FOLDED", 4)

    assert folds(invoke)["folded"][0]["files"] == 8
    assert (files_of(run), read(run)) == ([".folded", ".folded", ".jsonl"], before)


def test_the_file_is_as_closed_to_others_as_those_in_it(made: Callable[..., Path], invoke: Any) -> None:
    run = made(3)
    for path, mode in zip(sorted((run / "journal").iterdir()), (0o664, 0o640, 0o644), strict=True):
        path.chmod(mode)

    folds(invoke)

    (path,) = (run / "journal").iterdir()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_draft_of_a_fold_that_was_killed_is_known_to_gc(made: Callable[..., Path], invoke: Any) -> None:
    run = made(1)
    draft = run / "journal" / ".folded-1-a-b.folded.abcdefgh.refunc.tmp"
    draft.write_bytes(b"x")
    assert json.loads(invoke("gc", "--json").stdout)["drafts"] == 0
    os.utime(draft, (time.time() - 7_200,) * 2)

    invoke("gc", "--drafts", "--delete", "--yes")

    assert not draft.exists()


# -- three thousand ----------------------------------------------------------------------------------------------------


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _all_that_is_read(run: Path, out: Path) -> dict[str, Any]:
    """Return the values that each reader gives, in short."""
    from click.testing import CliRunner

    from refunc.runs import open_store
    from refunc_commands.cli.root import refunc
    from refunc_commands.report.content import content_of

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    forwards, backwards, account = read(run)
    (found,) = list(open_store(run.parent))
    said: dict[str, Any] = {
        "records": [len(forwards), _digest("".join(forwards).encode()), _digest("".join(backwards).encode())],
        "account": repr(account),
        "status": found.status,
        "glance": repr(found.glance),
        "metrics": _digest(repr([*found.metrics("loss")]).encode()),
        "summary": _digest(repr(found.summary).encode()),
        "report": _digest(json.dumps(content_of([found], title="", made="")).encode()),
    }
    for options in (["--to", "csv"], ["--to", "jsonl", "--entries"]):
        path = out / f"points.{options[1]}"
        result = CliRunner().invoke(
            refunc, ["--store", str(run.parent), "export", "aaaaaaaa", *options, "-o", str(path)]
        )
        assert result.exit_code == 0, result.output
        said[options[-1]] = _digest(path.read_bytes())
        path.unlink()
    return said


@pytest.mark.slow
def test_three_thousand_writers_read_the_same_when_they_are_folded(
    made: Callable[..., Path], invoke: Any, tmp_path: Path
) -> None:
    """In processes that may have 256 files open, and with a delivery that is half way."""
    run = made(3_000)

    def asked(cache: str) -> Any:
        command = [sys.executable, __file__, str(run), str(tmp_path)]
        environ = {**os.environ, "REFUNC_CACHE": str(tmp_path / cache)}
        done = subprocess.run(command, capture_output=True, text=True, env=environ)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    before = asked("one")
    tail = Tail(run)
    first = [(record.writer, record.seq) for _ in range(5) for record in tail.read(1_000)]
    assert before["records"][0] == 9_001

    assert folds(invoke)["folded"][0]["files"] == 3_000

    assert files_of(run) == [".folded"]
    assert asked("one") == before  # with an index of the time before
    assert asked("two") == before
    tail = Tail(run, tail.positions)
    rest = [(record.writer, record.seq) for _ in range(5) for record in tail.read(1_000)]
    assert len(first) == len({*first}) == 5_000
    assert len({*first, *rest}) == len(first) + len(rest) == 9_001


if __name__ == "__main__":
    print(json.dumps(_all_that_is_read(Path(sys.argv[1]), Path(sys.argv[2]))))
