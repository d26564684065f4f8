"""Logging from a signal handler and from `__del__`, in the midst of another logging call or a drain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import LogLine
from refunc.runs.run import Run

_Finished = Callable[..., tuple[int, str, str]]

_REENTRANT = """
import gc, logging
seconds = float(sys.argv[1]); durability = sys.argv[2]
log = MLLogger("train", "ERROR", durability=durability)
logging.getLogger("train").handlers.clear()
log.start_experiment("e")
counts = {"main": 0, "signal": 0, "del": 0, "thread": 0, "error": 0}
def note(name):
    counts[name] += 1
    log.log_metrics({name: counts[name]})
inside = []
def on_signal(number, frame):
    if inside:  # a handler slower than the timer would nest without end
        return
    inside.append(1)
    note("signal")
    if counts["signal"] % 10 == 0:
        counts["error"] += 1
        log.error("from a handler", metrics={"error": counts["error"]})
    inside.clear()
class Dropped:
    def __init__(self): self.me = self
    def __del__(self): note("del")
gc.set_threshold(20, 5, 5)
signal.signal(signal.SIGALRM, on_signal)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
stop = time.monotonic() + seconds
def goes_on():
    # A thread that waits in `flush` gets little of the interpreter beside one that never does, and a disk may be slow.
    return time.monotonic() < stop or min(counts["signal"], counts["del"]) <= 100
def work():
    while goes_on():
        note("thread")
        if counts["thread"] % 50 == 0: log.flush()
thread = threading.Thread(target=work); thread.start()
while goes_on():
    note("main"); Dropped()
    if counts["main"] % 20 == 0: log.flush()
signal.setitimer(signal.ITIMER_REAL, 0)
thread.join()
gc.set_threshold(0); gc.collect()
while not log.flush(): pass  # a call waits for a second, and a busy machine may take longer
print(repr(counts))
"""


@pytest.mark.parametrize("durability", ["async", "process", "disk"])
def test_logging_from_handlers_and_del_never_deadlocks(
    durability: str, finished: _Finished, only_run: Callable[[], Run], journal: Any
) -> None:
    """All sources' records are there, each source's in its order where one thread makes them."""
    returned, out, err = finished(_REENTRANT, 1.0, durability, deadline=250)

    assert returned == 0, err
    counts = eval(out)
    records, account = journal.read(only_run())
    assert account == Account()
    for name in ("main", "signal", "thread"):
        assert journal.values(records, name) == list(range(1, counts[name] + 1)), name
    errors = [record.metrics["error"] for record in records if isinstance(record, LogLine)]
    assert errors == list(range(1, counts["error"] + 1))
    # `__del__` runs in either thread, and its counter is not theirs alone.
    assert len(journal.values(records, "del")) > 100
    assert counts["signal"] > 100


def test_a_full_queue_drops_nothing_because_a_handler_cannot_drain(
    finished: _Finished, only_run: Callable[[], Run], journal: Any
) -> None:
    """Within a drain of its own thread a handler finds the queue above its bound: that is no reason to drop."""
    returned, _, err = finished("""
    log.start_experiment("e")
    count = 0
    inside = False
    def on_signal(number, frame):
        global count, inside
        if inside: return  # a handler slower than the timer would nest without end
        inside = True
        for _ in range(50):
            count += 1
            log.log_metrics({"signal": count})
        inside = False
    signal.signal(signal.SIGALRM, on_signal)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for n in range(200_000):
        log.log_metrics({"main": n})
    signal.setitimer(signal.ITIMER_REAL, 0)
    """)

    assert returned == 0, err
    records, account = journal.read(only_run())
    assert account == Account()
    assert journal.values(records, "main") == list(range(200_000))
    found = sorted(journal.values(records, "signal"))
    assert found == list(range(1, len(found) + 1))


def test_a_signal_in_the_first_record_of_all_is_recorded(
    finished: _Finished, only_run: Callable[[], Run], journal: Any
) -> None:
    """While the threads start and the folder is made, a handler logs as well."""
    returned, _, err = finished("""
    count = 0
    def on_signal(number, frame):
        global count
        count += 1
        log.log_metrics({"signal": count})
    log.start_experiment("e")
    signal.signal(signal.SIGALRM, on_signal)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    while count < 200:
        log.add_tags({"n": count})
    signal.setitimer(signal.ITIMER_REAL, 0)
    """)

    assert returned == 0, err
    records, account = journal.read(only_run())
    found = sorted(journal.values(records, "signal"))
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 200
    assert account == Account()
