"""Ctrl-C at random points of a logging call, a flush, a close: no hang, nothing lost or doubled, a valid journal."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.fixture_types import Finished

from refunc.journal.reader import Account
from refunc.journal.record import LogLine, Metrics, RunEnd, RunStart
from refunc.runs.run import Run
from refunc.runs.store import open_store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

Times = Callable[[float, float], int]

# One that hangs is shown with all threads' stacks, and ended. `hits` says in which module of refunc an interrupt fell.
_INTERRUPTED = """
import json
seed, rounds = int(sys.argv[1]), int(sys.argv[2])
faulthandler.dump_traceback_later(120 + rounds * 0.05, exit=True)
chance = random.Random(seed)
log = MLLogger("train", "ERROR")
log.handlers[0].setLevel(100)  # no console
signal.signal(signal.SIGALRM, signal.default_int_handler)
hits = {}
def hit(error):
    trace, module = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("refunc."): module = name
        trace = trace.tb_next
    hits[module] = hits.get(module, 0) + 1
def interrupted(call, at_most):
    # The timer is set within the `try`: the interrupt may come at once.
    try:
        deadline = time.monotonic() + 20 * at_most + 1  # an interrupt within a __del__ is swallowed
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00002, at_most))
        while True:
            call()
            if time.monotonic() > deadline: break
    except KeyboardInterrupt as error:
        hit(error)
"""

_CALLS = """
log.start_experiment("interrupted"); log.log_metrics({"started": 1}); log.flush()
number, returned = 0, []
def call():
    global number
    number += 1
    kind = number % 7
    if kind < 3: log.log_metrics({"n": number})
    elif kind < 5: log.error("line", metrics={"n": number})
    elif kind < 6: log.add_tags({"n": number}); log.log_metrics({"n": number}); log.flush()
    # Rarely, since nearly all interrupts would fall into the disk's milliseconds else.
    else: log.log_metrics({"n": number}); log.flush(sync=number % 70 == 6)
    returned.append(number)
for _ in range(rounds): interrupted(call, 0.003)
while not log.flush(): pass  # a call waits for a second, and a busy machine may take longer
print(json.dumps([number, returned, hits]))
"""


def test_ctrl_c_at_random_points(
    finished: Finished, times: Times, chance: random.Random, only_run: Callable[[], Run], journal: Any
) -> None:
    rounds = times(500, 10_000)
    returned, out, err = finished(
        _INTERRUPTED + _CALLS, chance.randrange(1 << 32), rounds, deadline=150 + rounds * 0.05
    )

    assert returned == 0, err
    number, done, hits = json.loads(out)
    records, account = journal.read(only_run())
    found = [
        record.metrics["n"] for record in records if isinstance(record, (Metrics, LogLine)) if "n" in record.metrics
    ]
    assert account == Account()
    assert found == sorted(set(found)), "doubled or out of order"
    assert set(done) <= set(found), "lost, although the call had returned"
    assert set(found) <= set(range(1, number + 1))
    assert only_run().status == "completed"
    _print_hits(rounds, hits)


_ENDS = """
log.start_experiment("warm"); log.log_metrics({"n": 1}); log.end_experiment()
def context():
    with experiment_context("e", logger=log) as run:
        run.log_metrics({"n": 1})
def explicit():
    log.start_experiment("e")
    log.log_metrics({"n": 1})
    log.end_experiment()
took = []
def measure():
    began = time.monotonic(); context(); explicit()
    took.append((time.monotonic() - began) / 2)
for _ in range(4): measure()
for number in range(rounds):
    if number % 10 == 0: measure()  # again and again: other processes come and go
    unit = sorted(took[-5:])[2]  # what the disk takes for a run
    interrupted(chance.choice((context, explicit)), 4 * unit)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
log.start_experiment("after"); log.log_metrics({"n": 1}); log.end_experiment()
print(json.dumps(hits))
"""


def test_interrupted_starts_and_ends_of_runs(
    finished: Finished, times: Times, chance: random.Random, journal: Any
) -> None:
    """A run whose start or end was interrupted is ended by the next one or at exit, and never twice."""
    rounds = times(125, 2_500)  # each makes folders, which take a hundred times as long as a call
    returned, out, err = finished(_INTERRUPTED + _ENDS, chance.randrange(1 << 32), rounds, deadline=150 + rounds * 0.05)

    assert returned == 0, err
    runs = list(open_store())
    assert len(runs) > rounds / 4
    statuses: Counter[str] = Counter()
    for run in runs:
        records, account = journal.read(run)
        assert account == Account(), run.folder
        assert sum(isinstance(record, RunStart) for record in records) == 1, run.folder
        assert sum(isinstance(record, RunEnd) for record in records) == 1, run.folder
        assert len(records) <= 3, run.folder
        statuses[run.status] += 1
    assert statuses.keys() <= {"completed", "interrupted"}
    _print_hits(rounds, json.loads(out))


def _print_hits(rounds: int, hits: dict[str, int]) -> None:
    within = sum(count for module, count in hits.items() if module)
    print(f"{rounds} interrupts, {within} of them within refunc: {dict(sorted(hits.items(), key=lambda hit: -hit[1]))}")
    assert within > rounds / 2, "a harness that interrupts anything but refunc"
