"""A tracker that refuses for ever, a million records, half an hour of faults: memory stays where it was."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Metrics
from refunc.runs.run import Run
from refunc.runs.store import open_store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

Script = Callable[..., subprocess.Popen[str]]

RECORDS = 1_000_000
MOST = 64 << 20


def rss(pid: int) -> int:
    import psutil  # the other environments, which have none, collect this file too

    return int(psutil.Process(pid).memory_info().rss)


def middle(samples: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the middle value of each column."""
    return tuple(sorted(column)[len(column) // 2] for column in zip(*samples, strict=True))


@contextlib.contextmanager
def watched(look: Callable[[], None], pause: float) -> Iterator[None]:
    """Call *look* again and again during a block."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(pause):
            look()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_MILLION = """
from probes import ProbeIntegration
log.add_integration(ProbeIntegration())
log.start_experiment("memory")
log.log_metrics({"n": 0}, step=0)
log.flush()
print("ready", flush=True); sys.stdin.readline()
began = time.monotonic()
for n in range(1, @RECORDS@): log.log_metrics({"n": n}, step=n)
log.flush()
print(time.monotonic() - began, flush=True); sys.stdin.readline()
""".replace("@RECORDS@", str(RECORDS))


def test_a_tracker_that_is_down_costs_disk_and_no_memory(
    script: Script, own_folder: Path, probes: Any, tools: Any, only_run: Callable[[], Run]
) -> None:
    """A million records wait in the journal: neither the training nor the delivery process holds them."""
    (own_folder / "down").touch()
    training = script(_MILLION, REFUNC_EXIT_WAIT="0")
    assert training.stdin is not None
    assert training.stdout is not None
    assert training.stdout.readline() == "ready\n", training.stderr.read() if training.stderr else ""

    def refusals() -> int:
        return sum(
            path.read_text().count("server is down") for path in own_folder.glob("experiments/*/delivery/*.json")
        )

    tools.until(refusals)
    [delivery] = tools.delivery_pids(own_folder)
    before = {pid: rss(pid) for pid in (training.pid, delivery)}
    most = dict(before)

    def look() -> None:
        most.update({pid: max(known, rss(pid)) for pid, known in most.items()})

    with watched(look, 0.02):
        training.stdin.write("go\n")
        training.stdin.flush()
        took = float(training.stdout.readline())
        (own_folder / "down").unlink()  # and now all of it is delivered, a window at a time
        run = only_run()
        cursor = next(run.folder.glob("delivery/probe-*.json"))
        tools.until(lambda: json.loads(cursor.read_bytes())["delivered"] >= 20_000, deadline=120)
    assert tools.delivery_pids(own_folder) == [delivery]

    training_growth, delivery_growth = (most[pid] - before[pid] for pid in (training.pid, delivery))
    print(
        f"{RECORDS:,} records in {took:.1f} s; the training grew by {training_growth / 2**20:.1f} MB, "
        f"the delivery process by {delivery_growth / 2**20:.1f} MB"
    )
    assert training_growth <= MOST
    assert delivery_growth <= MOST
    training.stdin.write("end\n")
    training.communicate(timeout=60)
    assert training.returncode == 0
    account = Account()
    points = 0
    for record in run.records(account):
        if isinstance(record, Metrics):
            assert record.metrics["n"] == points
            points += 1
    assert points == RECORDS
    assert account == Account()


MINUTES = 30
#: A usual training logs so many records a second; this one fifty times that.
USUAL, TIMES = 10, 50
#: Seconds between two faults.
FAULTS = 5.0
#: Bytes that a process may grow: a megabyte for each of the twenty-five hours of a usual training that this stands for.
GROWTH = 25 << 20

# The disk refuses for as long as the file `quota` is there, in the call by which the journal writes.
_SOAK = """
import errno
from pathlib import Path
from probes import ProbeIntegration
from refunc.outlets import file
write_whole = file.write_whole
def refusing(fd, data):
    if os.path.exists("quota"): raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    write_whole(fd, data)
file.write_whole = refusing
seconds, rate = float(sys.argv[1]), float(sys.argv[2])
log.add_integration(ProbeIntegration())
log.start_experiment("soak")
began, n = time.monotonic(), 0
print("ready", flush=True)
while (now := time.monotonic() - began) < seconds:
    while n < now * rate:
        log.log_metrics({"n": n, "loss": 0.5}, step=n); n += 1
        if n % 1000 == 0: log.error("a line"); log.add_tags({"n": n})
    time.sleep(0.01)
print(log.flush(), n, flush=True)
sys.stdin.readline()
"""


def test_half_an_hour_of_faults_leaves_memory_threads_and_files_as_they_were(
    script: Script,
    own_folder: Path,
    probes: Any,
    tools: Any,
    chance: random.Random,
    times: Callable[[float, float], int],
    only_run: Callable[[], Run],
    calls: Callable[..., list[dict[str, Any]]],
) -> None:
    seconds = times(0, MINUTES * 60)
    if seconds < 60:
        pytest.skip("a soak: it takes half an hour, and runs in `tox -e crash` only")
    training = script(_SOAK, seconds, USUAL * TIMES, REFUNC_EXIT_WAIT="60")
    assert training.stdout is not None
    assert training.stdin is not None
    assert training.stdout.readline() == "ready\n", training.stderr.read() if training.stderr else ""
    import psutil

    process = psutil.Process(training.pid)
    down, quota = own_folder / "down", own_folder / "quota"
    samples: list[tuple[int, ...]] = []
    delivery: dict[int, list[int]] = {}
    faults = dict.fromkeys(("delivery killed", "tracker down", "quota exceeded"), 0)

    def look() -> None:
        samples.append((process.memory_info().rss, process.num_threads(), process.num_fds()))
        for pid in tools.delivery_pids(own_folder):
            with contextlib.suppress(psutil.Error):
                delivery.setdefault(pid, []).append(rss(pid))

    with watched(look, 0.5):
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > FAULTS:
            fault = chance.choice(list(faults))
            faults[fault] += 1
            match fault:
                case "delivery killed":
                    for pid in tools.delivery_pids(own_folder):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                case "tracker down":
                    down.touch()
                case _:
                    quota.touch()
            time.sleep(chance.uniform(0, FAULTS))  # for so long it is there; then it is not, until the next one
            down.unlink(missing_ok=True)
            quota.unlink(missing_ok=True)
            time.sleep(min(max(0.0, rest - FAULTS), chance.uniform(0, FAULTS)))
        flushed, count = training.stdout.readline().split()
    assert flushed == "True"
    _, err = training.communicate("end\n", timeout=120)
    assert training.returncode == 0, err
    tools.until(lambda: not tools.delivery_pids(own_folder), deadline=120)

    run = only_run()
    account = Account()
    steps = [record.step for record in run.records(account) if isinstance(record, Metrics)]
    assert steps == list(range(int(count)))
    assert account == Account()
    delivered = {step for call in calls("metrics") for step in call["steps"]}
    assert delivered == set(steps)
    # The usual values at the beginning, and at the end: the middle value of a fifth of all looks.
    fifth = len(samples) // 5
    first, last = middle(samples[fifth : 2 * fifth]), middle(samples[-fifth:])
    growth = last[0] - first[0]
    lives = {pid: values for pid, values in delivery.items() if len(values) > 20}
    delivery_growth = max((max(values[10:]) - values[10] for values in lives.values()), default=0)
    print(
        f"{int(count):,} records, {faults}; the training's memory, threads, files: {first} and then {last}; "
        f"delivery processes: {len(delivery)}, grown by {delivery_growth / 2**20:.1f} MB at most"
    )
    assert growth <= GROWTH * seconds / (MINUTES * 60)
    assert delivery_growth <= GROWTH
    assert last[1:] == first[1:]
    assert len(list(open_store())) == 1
