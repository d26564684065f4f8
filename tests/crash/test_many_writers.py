"""Eight processes write one run at once: every record is there, whole, and in its writer's order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Metrics
from refunc.runs.run import Run

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

PROCESSES = 8
#: Seconds of two cores for 800,000 records.
SECONDS, CORES, MOST = 20, 2, 800_000

_WRITERS = """
import json, multiprocessing
processes, count = int(sys.argv[1]), int(sys.argv[2])
def write(number, together):
    together.wait()
    for n in range(count):
        log.log_metrics({"number": number, "n": n, "loss": 0.123456789})

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with experiment_context("together", logger=log):
        together = context.Barrier(processes + 1)
        children = [context.Process(target=write, args=(number, together)) for number in range(processes)]
        for child in children: child.start()
        together.wait()
        began = time.monotonic()
        for child in children: child.join()
        took = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps([[child.exitcode for child in children], took, used.ru_utime + used.ru_stime]))
"""


def test_eight_processes_write_one_run(
    finished: Callable[..., tuple[int, str, str]], times: Callable[[float, float], int], only_run: Callable[[], Run]
) -> None:
    count = times(20_000, 100_000)
    returned, out, err = finished(_WRITERS, PROCESSES, count, deadline=600)

    assert returned == 0, err
    codes, took, used = json.loads(out)
    assert codes == [0] * PROCESSES, err
    account = Account()
    found: Counter[int] = Counter()
    writers: dict[int, str] = {}
    for record in only_run().records(account):
        if isinstance(record, Metrics):
            number, n, loss = record.metrics.values()
            assert n == found[number], f"process {number}: lost, doubled, or out of order"
            assert loss == 0.123456789
            assert writers.setdefault(number, record.writer) == record.writer
            found[number] += 1
    assert account == Account()
    assert found == dict.fromkeys(range(PROCESSES), count)
    assert len(set(writers.values())) == PROCESSES
    assert only_run().status == "completed"
    print(f"{PROCESSES * count:,} records in {took:.1f} s, with {used:.1f} s of processors")
    # Of processors, not of the clock: this machine may have other things to do.
    assert used < max(5.0, SECONDS * CORES * PROCESSES * count / MOST)
