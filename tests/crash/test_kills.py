"""kill -9 at any point: acknowledged records are there, with none missing before them, and no line is a false one."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Metrics, RunStart
from refunc.runs.run import Run

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

# A warm process forks one child after the other: a kill costs milliseconds, and may hit the child's very first call.
# A child hammers its own run, alone or with two children of its own, and writes each acknowledged number into a pipe.
_NURSERY = """
import json, select, struct
import refunc.journal.folder, refunc.journal.writer, refunc.runs.store  # else each child would
ACK = struct.Struct("<IQ")
#: Seconds that a child lives at most, from its fork on: well into the rhythm of the writer's thread.
LIFE = 0.1

def hammer(log, writer, durability, size, acks):
    number = 0
    padding = "x" * size
    while True:
        for _ in range(random.randrange(1, 2000 if not size else 40) if durability == "async" else 1):
            log.log_metrics({"writer": writer, "n": number, "check": number * 7 + writer, "padding": padding})
            number += 1
        if durability != "async" or log.flush():
            os.write(acks, ACK.pack(writer, number))

def live(attempt, writers, durability, size, acks):
    os.setpgid(0, 0)
    random.seed(attempt)
    os.environ["REFUNC_DIR"] = f"store{attempt}"
    log = MLLogger("train", "CRITICAL", durability=durability)
    logging.getLogger("refunc").setLevel("CRITICAL")  # it would warn of the padding, which is no number
    log.start_experiment("killed")
    writer = 0
    for other in range(1, writers):
        if not os.fork():
            writer = other
            break
    random.seed(attempt * 10 + writer)
    hammer(log, writer, durability, size, acks)

for line in sys.stdin:
    attempt, writers, durability, size, life = json.loads(line)
    acks, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(acks)
        live(attempt, writers, durability, size, writing)
    os.close(writing)
    try: os.setpgid(pid, pid)  # parent or child, the first of them
    except PermissionError: pass
    deadline = time.monotonic() + life * LIFE
    told = b""
    while (rest := deadline - time.monotonic()) > 0:
        if select.select([acks], [], [], rest)[0]:
            told += os.read(acks, 1 << 16)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while part := os.read(acks, 1 << 16):
        told += part
    os.close(acks)
    acknowledged = {}
    for writer, count in ACK.iter_unpack(told[: len(told) - len(told) % ACK.size]):
        acknowledged[writer] = count
    print(json.dumps([attempt, acknowledged]), flush=True)
"""


def test_whatever_was_acknowledged_survives_kill_9(
    script: Callable[..., subprocess.Popen[str]],
    own_folder: Path,
    chance: random.Random,
    times: Callable[[float, float], int],
    tools: Any,
) -> None:
    kills = times(200, 5_000)
    nursery = script(_NURSERY)
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    seen: Counter[str] = Counter()
    attempt = 0
    while seen["kills"] < kills:
        attempt += 1
        writers = chance.choice((1, 1, 3))
        # Lines of a megabyte are torn oftener; small ones come in greater numbers.
        size = chance.choice((0, 0, 60_000))
        durability = chance.choice(("async", "async", "process", "disk"))
        nursery.stdin.write(json.dumps([attempt, writers, durability, size, chance.random()]) + "\n")
        nursery.stdin.flush()
        answer = nursery.stdout.readline()
        assert answer, nursery.stderr.read() if nursery.stderr is not None else ""
        _, acknowledged = json.loads(answer)
        store = own_folder / f"store{attempt}"
        acknowledged = {int(writer): count for writer, count in acknowledged.items()}
        if _check(store, acknowledged, size, seen, tools):
            seen["kills"] += writers
        shutil.rmtree(store, ignore_errors=True)

    print(", ".join(f"{count:,} {name}" for name, count in seen.items()))
    assert seen["torn"] > 0 or kills < 1_000, "a harness under which nothing is ever torn does not kill in a write"


def _check(store: Path, acknowledged: dict[int, int], size: int, seen: Counter[str], tools: Any) -> bool:
    """Check the run that a kill left; False where there is none, since the kill came before it."""
    folders = [folder for folder in store.glob("*") if (folder / "run.json").exists()]
    if not folders:
        assert not acknowledged
        seen["killed before there was a run"] += 1
        return False
    [folder] = folders
    run = Run.open(folder)
    account = Account()
    found: dict[str, list[int]] = {}
    padding = "x" * size
    for record in run.records(account):
        if isinstance(record, RunStart):
            continue
        assert isinstance(record, Metrics)
        metrics = record.metrics
        numbers = found.setdefault(record.writer, [int(metrics["writer"])])
        assert metrics["writer"] == numbers[0]
        assert metrics["check"] == metrics["n"] * 7 + metrics["writer"]
        assert record.other == {"padding": padding}
        numbers.append(int(metrics["n"]))
    assert account == Account(torn=account.torn)
    tools.until(lambda: run.status == "crashed")  # the lock of a child killed in its fork goes a moment later
    written = {numbers[0]: numbers[1:] for numbers in found.values()}
    assert len(written) == len(found), "one child wrote under two names"
    for numbers in written.values():
        assert numbers == list(range(len(numbers)))
    for writer, count in acknowledged.items():
        assert len(written.get(writer, [])) >= count, f"writer {writer}: {count} acknowledged"
        seen["acknowledged"] += count
    seen["records"] += sum(map(len, written.values()))
    seen["torn"] += account.torn
    return True
