"""Logging from wherever Python lets code run amid other code: nothing waits for itself, and nothing is lost."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from tests.fixture_types import Finished

from refunc.journal.reader import Account
from refunc.journal.record import LogLine, Metrics
from refunc.runs.run import Run
from refunc.runs.store import open_store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]


def counted(run: Run, *out_of_order: str, inner: Iterable[Run] = ()) -> Counter[str]:
    """
    Return how many points each metric has, having checked that they are 0, 1, 2, and so on, each once; and how many
    lines there are.

    Args:
        out_of_order: Metrics whose numbers two threads take, and log in nearly their order.
        inner: Runs of blocks amid *run*: records logged in those belong to them.
    """
    account = Account()
    found: Counter[str] = Counter()
    numbers: dict[str, list[Any]] = defaultdict(list)
    for each in (run, *inner):
        last: dict[str, Any] = defaultdict(lambda: -1)
        for record in each.records(account):
            if isinstance(record, LogLine):
                found["lines"] += 1
            elif isinstance(record, Metrics):
                for name, value in record.metrics.items():
                    assert value > last[name] or name in out_of_order, name
                    last[name] = value
                    numbers[name].append(value)
    assert account == Account()
    for name, values in numbers.items():
        assert sorted(values) == list(range(len(values))), name
        found[name] = len(values)
    return found


Times = Callable[[float, float], int]

# A process that waits for itself is shown with all threads' stacks, and ended.
_WATCHED = """
import gc, itertools, json
log = MLLogger("train", "ERROR", durability=(sys.argv + ["async"])[2])
log.handlers[0].setLevel(100)  # no console
seconds = float(sys.argv[1])
faulthandler.dump_traceback_later(seconds + 200, exit=True)
stop_at = time.monotonic() + seconds
counts = {}
written = itertools.count()
def goes_on(least=0, *names):
    # A busy machine, or a slow disk, takes longer for enough of each.
    return time.monotonic() < stop_at or any(counts.get(name, 0) < least * seconds for name in names)
def note(name, write=False):
    # One that interrupts another one of its name goes first, so that numbers stand in their order.
    counts[name] = (number := counts.get(name, 0)) + 1
    log.log_metrics({name: number})
    if write:
        next(written)
        log.error("written in the call")
"""

_SIGNALS = """
log.start_experiment("e")
inside = False
def on_signal(number, frame):
    global inside
    if inside: return  # a handler slower than the timer would nest without end
    inside = True
    note("signal", write=counts.get("signal", 0) % 10 == 0)
    if counts["signal"] % 7 == 0: log.flush()
    if counts["signal"] % 50 == 0: log.flush(sync=True)
    if counts["signal"] % 100 == 0: log.add_tags({"n": counts["signal"]}); log.log_hyperparams({"n": 1})
    inside = False
def work():
    while goes_on(60, "signal"):
        note("thread")
        if counts["thread"] % 50 == 0: log.flush(); time.sleep(0.001)
signal.signal(signal.SIGALRM, on_signal)
thread = threading.Thread(target=work); thread.start()
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)  # 2 kHz
while goes_on(60, "signal"):
    note("main", write=counts.get("main", 0) % 100 == 0)
    if counts["main"] % 20 == 0: log.flush()
    if counts["main"] % 500 == 0: log.flush(sync=True)
    if counts["main"] % 1000 == 0:
        with experiment_context("other", logger=log): pass
signal.setitimer(signal.ITIMER_REAL, 0)
thread.join()
log.flush()
print(json.dumps({**counts, "lines": next(written)}))
"""


@pytest.mark.parametrize("durability", ["async", "process", "disk"])
def test_two_thousand_signals_a_second_that_log(
    durability: str, finished: Finished, times: Times, journal: Any
) -> None:
    seconds = times(5, 60)
    returned, out, err = finished(_WATCHED + _SIGNALS, seconds, durability, deadline=seconds + 230)

    assert returned == 0, err
    counts = json.loads(out)
    *inner, run = sorted(open_store(), key=lambda run: run.experiment_name == "e")
    assert [each.experiment_name for each in (*inner, run)] == ["other"] * (counts["main"] // 1000) + ["e"]
    # A signal within a block is logged there.
    assert counted(run, inner=inner) == counts
    print(f"{durability}: {counts} in {seconds} s")
    assert counts["signal"] > 50 * seconds


_DEL = """
log.start_experiment("e")
made = itertools.count()
gone = itertools.count()
class Dropped:
    # In cycles, so that the collector finds them: at any allocation, in whatever call that is.
    def __init__(self): self.me = self; next(made)
    def __del__(self):
        number = next(gone)
        log.log_metrics({"del": number})
        if number % 10 == 0: next(written); log.error("written in the call")
        if number % 25 == 0: log.flush()
        if number % 500 == 0: log.flush(sync=True)
def work(name):
    for threshold in itertools.cycle(range(5, 41)):
        gc.set_threshold(threshold, 5, 5)
        for _ in range(20):
            Dropped(); note(name)
            if not goes_on(220, "main", "thread"): return
        log.flush(); time.sleep(0.001)
thread = threading.Thread(target=work, args=("thread",)); thread.start()
work("main")
thread.join()
gc.set_threshold(0); gc.collect()
log.flush()
counts["made"], counts["del"] = next(made), next(gone)
print(json.dumps({**counts, "lines": next(written)}))
"""


def test_objects_that_log_when_the_collector_finds_them(
    finished: Finished, times: Times, only_run: Callable[[], Run], journal: Any
) -> None:
    seconds = times(5, 60)
    returned, out, err = finished(_WATCHED + _DEL, seconds, deadline=seconds + 230)

    assert returned == 0, err
    counts = json.loads(out)
    assert counts.pop("made") == counts["del"] > 200 * seconds
    assert counted(only_run(), "del") == counts
    assert counts["thread"] > 200 * seconds
    print(f"{counts} in {seconds} s")


_HOOKS = """
log.start_experiment("e")
def log_it(what):
    note(what, write=True)
    if counts[what] % 10 == 0: log.flush(sync=True)
threading.excepthook = lambda args: log_it("thread")
sys.unraisablehook = lambda args: log_it("unraisable")
sys.excepthook = lambda *args: log_it("main")
class Raises:
    def __del__(self): raise ValueError("in __del__")
def work(): 1 / 0
def log_much():
    while goes_on(22, "busy", "thread", "unraisable", "main", "steps"):
        note("busy")
        if counts["busy"] % 10 == 0: time.sleep(0.0005)  # else it would have the interpreter nearly to itself
busy = threading.Thread(target=log_much); busy.start()
while goes_on(22, "busy", "thread", "unraisable", "main", "steps"):
    thread = threading.Thread(target=work); thread.start(); thread.join()
    Raises()
    try: work()
    except ZeroDivisionError: sys.excepthook(*sys.exc_info())
    note("steps")
busy.join()
print(json.dumps({**counts, "lines": next(written)}), flush=True)
raise ValueError("the end")
"""


def test_hooks_for_exceptions_that_log(
    finished: Finished, times: Times, only_run: Callable[[], Run], journal: Any
) -> None:
    """At the end Python itself calls the hook, which was put in the place of refunc's own."""
    seconds = times(5, 60)
    returned, out, err = finished(_WATCHED + _HOOKS, seconds, deadline=seconds + 230)

    assert returned == 1, err
    counts = json.loads(out)
    counts["main"] += 1  # the end itself
    counts["lines"] += 1
    assert counted(only_run()) == counts
    assert min(counts.values()) > 20 * seconds
    assert only_run().status == "failed"
    print(f"{counts} in {seconds} s")


_TALKS = """
from chatty import ChattyIntegration
log.add_integration(ChattyIntegration())
def called():
    with open("calls.jsonl", "a+") as file:
        file.seek(0)
        return file.read().count('"metrics"')
with experiment_context("e", "talks", logger=log):
    while goes_on() or called() <= seconds:
        note("main")
        if counts["main"] % 100 == 0: log.flush()
        time.sleep(0.0005)
faulthandler.dump_traceback_later(40, exit=True)
print(json.dumps({**counts, "lines": next(written)}))
"""


@pytest.mark.parametrize("where", ["thread", "process"])
def test_an_integration_that_logs_in_its_hook(
    where: str,
    finished: Finished,
    times: Times,
    journal: Any,
    chatty: None,
    calls: Callable[..., list[dict[str, Any]]],
    own_folder: Any,
    tools: Any,
) -> None:
    """Records it logs of a delivery are delivered too, so that there would be no end, were it not for the run's."""
    seconds = max(5, times(5, 60))  # in a second, a delivery of its own may be called once
    returned, out, err = finished(
        _WATCHED + _TALKS, seconds, REFUNC_DELIVERY=where, REFUNC_EXIT_WAIT="20", deadline=seconds + 230
    )

    assert returned == 0, err
    counts = json.loads(out)
    tools.until(lambda: not tools.delivery_pids(own_folder))
    [run] = [run for run in open_store() if run.run_name == "talks"]
    found = counted(run)
    assert found["main"] == counts["main"]
    assert run.status == "completed"
    delivered = [step for call in calls("metrics") for step in call["steps"]]
    assert len(delivered) == len(set(delivered)) == counts["main"]
    # None from a process of its own. From a thread one of each call, but for those behind the end of the run: how often
    # it is called is a matter of the machine.
    called = len(calls("metrics"))
    assert called > seconds
    for logged in (found["hook"], found["lines"]):
        assert called - 3 <= logged <= called if where == "thread" else logged == 0
    print(f"{where}: {counts}, {len(calls('metrics'))} calls, {found['lines']} lines from the hook in the run")
