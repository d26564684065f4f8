"""A disk that is really full: the training keeps its pace, memory is bounded, and dropped records are counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.crash, pytest.mark.clock, pytest.mark.timeout(3600)]

# One training on two disks by turns, so that whatever else the machine does slows both of them down.
_TRAINING = """
import json, logging, os, statistics, sys, time
from refunc.journal.reader import Account
from refunc.journal.record import Gap, Metrics
from refunc.logging import ExperimentTracker, MLLogger
from refunc.runs.store import open_store

roomy, small, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
ballast = os.path.join(small, "ballast")
said = []
class Heard(logging.Handler):
    def emit(self, record): said.append(record.getMessage())
logging.getLogger("refunc").addHandler(Heard(logging.WARNING))
log = MLLogger("quiet", "CRITICAL")
trackers = [ExperimentTracker("e", log_dir=os.path.join(folder, "store"), logger=log) for folder in (roomy, small)]
for tracker in trackers:
    tracker.start_run()
    assert tracker.flush(sync=True)

def memory():
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def work(): return sum(number * number for number in range(600))  # short: a long one hides what logging costs

logged = 0
def turn(tracker, seconds):
    global logged
    steps, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        work()
        tracker.log_metrics({"n": float(logged), "loss": 0.5})
        steps += 1
        logged += tracker is trackers[1]
    if tracker is trackers[0]: tracker.flush()  # what it logged is written in its own turn, not in the other one's
    return steps / (time.perf_counter() - began)

for tracker in trackers: turn(tracker, 0.3)
assert trackers[1].flush(sync=True)
acknowledged, before = logged, memory()
with open(ballast, "wb", buffering=0) as file:  # to the last byte
    for size in (1 << 16, 1):
        try:
            while file.write(bytes(size)): pass
        except OSError: pass
full = os.statvfs(small)
while trackers[1].flush():  # what is left of the page that the journal ends in
    turn(trackers[1], 0.01)
    acknowledged = logged
# The outage begins with a full memory: then each call drops one.
outlet = trackers[1]._run.writer
while not outlet.dropped: turn(trackers[1], 0.05)
deadline = time.monotonic() + seconds
ratios, peak, pair = [], before, 0
while time.monotonic() < deadline:
    order = (0, 1) if (pair := pair + 1) % 2 else (1, 0)
    rates = {}
    for which in order: rates[which] = turn(trackers[which], 0.1)
    ratios.append(rates[1] / rates[0])
    peak = max(peak, memory())
refused, waiting, dropped_then = not trackers[1].flush(), outlet.waiting, outlet.dropped
os.unlink(ballast)
lifted, deadline = logged, time.monotonic() + 60
while not trackers[1].flush(sync=True): assert time.monotonic() < deadline, "there is room and nothing is written"
turn(trackers[1], 0.3)
dropped = outlet.dropped
for tracker in trackers: tracker.end_run()

[run] = open_store(os.path.join(small, "store"))
account = Account()
records = list(run.records(account))
numbers = [record.metrics["n"] for record in records if isinstance(record, Metrics)]
present = set(numbers)
print(json.dumps(dict(
    free=full.f_bavail, ratio=statistics.median(ratios), worst=min(ratios), pairs=len(ratios), grown=peak - before,
    refused=refused, waiting=waiting, dropped=dropped, dropped_then=dropped_then, logged=logged,
    twice=len(numbers) - len(present), there=len(present), status=run.status, warnings=said,
    gaps=sum(record.dropped for record in records if isinstance(record, Gap)),
    lost=len([n for n in (*range(acknowledged), *range(lifted, logged)) if n not in present]),
    account=[account.missing, account.damaged, account.torn, account.duplicates, account.dropped])))
"""


def test_a_full_disk_costs_the_training_nothing_and_records_that_are_counted(
    tmp_path: Path, require: Callable[[bool, str], None], times: Callable[[float, float], int]
) -> None:
    """For its whole length, with a memory that is full as well: the worst there is."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(small)], capture_output=True)
    require(mounted.returncode == 0, "run as root on Linux, where mounting is allowed")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRAINING, str(tmp_path), str(small), str(times(10, 60))],
            env=dict(os.environ),
            capture_output=True,
            text=True,
        )
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print({name: found[name] for name in ("ratio", "worst", "pairs", "grown", "logged", "dropped")})

    assert found["free"] == 0
    assert found["refused"]
    assert found["ratio"] >= 0.95
    assert found["grown"] <= 64 << 20
    assert found["waiting"] <= 32_768 + 4_096
    assert len([line for line in found["warnings"] if "cannot be written" in line]) == len(found["warnings"]) == 1
    assert found["dropped"] == found["dropped_then"] > 0
    assert found["gaps"] == found["dropped"] == found["logged"] - found["there"]
    assert (found["lost"], found["twice"]) == (0, 0)
    assert found["account"] == [0, 0, 0, 0, found["dropped"]]
    assert found["status"] == "completed"
