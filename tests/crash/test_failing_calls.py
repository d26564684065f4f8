"""The n-th system call of the journal's writer fails, for each n: training goes on, and each loss is counted."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

WRITE, OPEN, SYNC = 1, 2, 3

# One process for all n of a fault: a fault is a line on stdin, and its result a line on stdout.
_TRAINING = """
import ctypes, json, logging, os, sys, time
import refunc.outlets.pump as pump
import refunc.journal.writer as writer
from refunc.journal.reader import Account
from refunc.journal.record import Gap, Metrics
from refunc.logging import ExperimentTracker, MLLogger
from refunc.runs.store import open_store

faults = ctypes.CDLL(os.environ["LD_PRELOAD"])
faults.fault_hits.restype = ctypes.c_long
writer.SEGMENT_BYTES = 600  # so that files are opened now and then
writer.HIGH_WATER = 64  # so that memory is full at once
pump.SYNC_INTERVAL = 3600  # so that the n-th call is one of this thread
said = []
class Heard(logging.Handler):
    def emit(self, record): said.append(self.format(record))  # with the traceback of a fault of refunc's own
logging.getLogger("refunc").addHandler(Heard(logging.WARNING))
log = MLLogger("quiet", "CRITICAL")

def lost():
    found, path, begin, end = [], ctypes.create_string_buffer(4096), ctypes.c_long(), ctypes.c_long()
    while faults.fault_lost(len(found), path, ctypes.byref(begin), ctypes.byref(end)):
        found.append((path.value.decode(), begin.value, end.value))
    return found

def train(store, kind, error, number, lasting, during):
    faults.fault_arm(store.encode(), kind, error, ctypes.c_long(number), lasting)
    said.clear()
    acked = refused = logged = 0
    tracker = ExperimentTracker("e", log_dir=store, logger=log)
    tracker.start_run()
    def step(flushes=True):
        nonlocal acked, refused, logged
        tracker.log_metrics({"n": logged})
        logged += 1
        if flushes and tracker.flush(): acked = logged
        if flushes and logged % 2: refused += not tracker.flush(sync=True)
    while not faults.fault_hits() and logged < 3 * number + 100: step()
    hits = faults.fault_hits()
    for _ in range(during): step()
    before = acked
    if lasting:
        for _ in range(during * 10): step(flushes=False)
    faults.fault_lift()
    deadline = time.monotonic() + 30
    while not tracker.flush(sync=True):
        assert time.monotonic() < deadline, "nothing can be written although nothing fails any more"
    lifted = logged
    for _ in range(during): step()
    outlet = tracker._run.writer
    dropped = outlet.dropped
    tracker.end_run()
    open_files = len(os.listdir("/proc/self/fd"))

    warnings = list(said)
    given_up = lost()
    faults.fault_arm(b"//", 0, 0, ctypes.c_long(0), 0)
    # The power fails: bytes that the disk did not take, and that were not written again, are gone.
    for path, begin, end in given_up:
        if end > begin and os.path.exists(path):
            with open(path, "r+b") as file:
                file.seek(begin)
                file.write(bytes(end - begin))
    [run] = open_store(store)
    account = Account()
    records = list(run.records(account))
    numbers = sorted(record.metrics["n"] for record in records if isinstance(record, Metrics))
    # What was logged while the disk took nothing may be dropped, and is then counted.
    present = set(numbers)
    missing = [n for n in (*range(before), *range(lifted, logged)) if n not in present]
    return dict(hit=hits, refused=refused, missing=missing, logged=logged, numbers=numbers, dropped=dropped,
                gaps=sum(record.dropped for record in records if isinstance(record, Gap)), warnings=warnings,
                account=[account.missing, account.dropped], status=run.status, open_files=open_files)

for line in sys.stdin:
    print(json.dumps(train(*json.loads(line))), flush=True)
"""

#: The call that fails, its error, and how many warnings a user sees: a write that was cut short is simply continued.
FAULTS = {
    "a short write": (WRITE, 0, 0),
    "ENOSPC": (WRITE, errno.ENOSPC, 1),
    "EDQUOT": (WRITE, errno.EDQUOT, 1),
    "EIO": (WRITE, errno.EIO, 1),
    "EMFILE": (OPEN, errno.EMFILE, 1),
    "EIO of fsync": (SYNC, errno.EIO, 1),
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Compile the shim that makes real calls fail; None where there is no compiler, or no LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    target = tmp_path_factory.mktemp("shim") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", target, source, "-ldl", "-lpthread"], check=True)
    return target


@pytest.fixture
def train(shim: Path | None, tmp_path: Path, require: Callable[[bool, str], None]) -> Any:
    """Train once with a fault, in a process that has the shim, and return the result."""
    require(shim is not None, "apt-get install gcc, on Linux")
    process = subprocess.Popen(
        [sys.executable, "-c", _TRAINING],
        env={**os.environ, "LD_PRELOAD": str(shim)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    turns = iter(range(1 << 30))

    def run(kind: int, error: int, number: int, *, lasting: bool, during: int = 8) -> dict[str, Any]:
        assert process.stdin
        assert process.stdout
        store = tmp_path / f"store{next(turns)}"
        process.stdin.write(json.dumps([str(store), kind, error, number, lasting, during]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, "the training ended"
        shutil.rmtree(store)
        found: dict[str, Any] = json.loads(answer)
        return found

    yield run
    process.kill()
    process.communicate()


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_nth_call_fails(fault: str, lasting: bool, train: Any, times: Callable[[float, float], int]) -> None:
    """Real calls of a real process, the write of run.json among them; behind a failed fsync the power is cut."""
    kind, error, warnings = FAULTS[fault]
    before = dropped = 0
    for number in range(1, times(60, 200) + 1):
        found = train(kind, error, number, lasting=lasting)

        assert found["hit"] >= 1, number
        assert found["missing"] == [], (number, found)
        assert found["numbers"] == sorted(set(found["numbers"])), (number, found)
        assert len(found["numbers"]) + found["dropped"] == found["logged"], (number, found)
        assert found["dropped"] == found["gaps"] == found["account"][1], (number, found)
        assert found["account"][0] == 0, (number, found)
        # A sync that finds no descriptor for the folder is refused, and the next one does it.
        told = found["warnings"] or ["refused"] * (kind == OPEN and found["refused"] > 0)
        assert len(told) == warnings, (number, found)
        assert found["status"] == "completed", (number, found)
        before = before or found["open_files"]
        assert found["open_files"] <= before, (number, "files stay open")
        dropped += found["dropped"]
    # Where nothing is ever dropped the fault is too tame; the first fsync is that of run.json, without which is no run.
    assert (dropped > 0) == (lasting and error != 0)
