"""Ctrl-C at any bytecode of a logging call, a flush or an end: no hang, nothing lost or doubled, a valid journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import LogLine, RunEnd, RunStart
from refunc.logging import MLLogger, experiment_context
from refunc.runs.run import Run
from refunc.runs.store import open_store

_Finished = Callable[..., tuple[int, str, str]]

#: Interrupt the main thread `rounds` times at random moments, while it does one thing again and again.
_INTERRUPTED = """
seed = int(sys.argv[1]); rounds = int(sys.argv[2]); chance = random.Random(seed)
log = MLLogger("train", "ERROR", durability="@DURABILITY@")
import logging; logging.getLogger("train").handlers.clear()
log.start_experiment("interrupted"); log.log_metrics({"started": 1}); log.flush()
done = []            # what returned
number = 0
tried = 0
signal.signal(signal.SIGINT, signal.default_int_handler)
while tried < rounds:
    tried += 1
    try:
        deadline = time.monotonic() + 1  # an interrupt within a __del__ is swallowed
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.004))
        while True:
            number += 1
            @CALL@
            done.append(number)
            if time.monotonic() > deadline: break
    except KeyboardInterrupt:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
while not log.flush(): pass  # a call waits for a second, and a busy machine may take longer
print(" ".join(map(str, done)))
"""

_CALLS = {
    "metrics": 'log.log_metrics({"n": number})',
    "error": 'log.error("line", metrics={"n": number})',
    "metrics, each written": 'log.log_metrics({"n": number})',
    "metrics and flush": 'log.log_metrics({"n": number}); log.flush()',
    "tags and sync": 'log.log_metrics({"n": number}); log.flush(sync=True)',
}


@pytest.mark.parametrize("name", _CALLS)
def test_interrupted_calls_lose_and_double_nothing(name: str, finished: _Finished, journal: Any) -> None:
    seed = 20_261_123
    durability = "process" if name.endswith("each written") else "async"
    code = _INTERRUPTED.replace("@CALL@", _CALLS[name]).replace("@DURABILITY@", durability)
    code = code.replace(
        "signal.default_int_handler)",
        "signal.default_int_handler); signal.signal(signal.SIGALRM, signal.default_int_handler)",
    )
    returned, out, err = finished(code, seed, 200)

    assert returned == 0, (seed, err)
    [run] = open_store()
    records, account = journal.read(run)
    found = [
        record.metrics["n"]
        for record in records
        if not isinstance(record, (RunStart, RunEnd)) and "n" in record.metrics
    ]
    assert account == Account(), seed
    assert found == sorted(set(found)), f"doubled or out of order, seed {seed}"
    returned_numbers = {int(number) for number in out.split()}
    assert returned_numbers <= set(found), f"lost, seed {seed}"
    assert run.status == "completed"


_CONTEXTS = """
import logging
seed = int(sys.argv[1]); rounds = int(sys.argv[2]); chance = random.Random(seed)
log = MLLogger("train", "ERROR")
signal.signal(signal.SIGALRM, signal.default_int_handler)
log.info("warm"); log.start_experiment("warm"); log.log_metrics({"n": 1}); log.end_experiment()
took = []
def measure():
    began = time.monotonic()
    with experiment_context("warm", logger=log) as run:
        run.log_metrics({"n": 1})
    took.append(time.monotonic() - began)
for _ in range(4): measure()
for attempt in range(rounds):
    if attempt % 10 == 0: measure()  # again and again: other processes come and go
    unit = sorted(took[-5:])[2]  # what the disk takes for a run
    try:
        deadline = time.monotonic() + 10 * unit + 1  # an interrupt within a __del__ is swallowed
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.3, 4) * unit)
        while True:
            with experiment_context("e", logger=log) as run:
                run.log_metrics({"n": 1})
            if time.monotonic() > deadline: break
    except KeyboardInterrupt:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
log.start_experiment("after"); log.log_metrics({"n": 1}); log.end_experiment()
"""


def test_interrupted_contexts_leave_every_run_with_one_end(finished: _Finished, journal: Any) -> None:
    """A run whose start or end was interrupted is ended at exit at the latest, and never twice."""
    seed = 4
    returned, _, err = finished(_CONTEXTS, seed, 200, deadline=250)

    assert returned == 0, (seed, err)
    runs = list(open_store())
    assert len(runs) > 50
    for run in runs:
        records, account = journal.read(run)
        assert account == Account(), (seed, run.folder)
        assert sum(isinstance(record, RunStart) for record in records) == 1, (seed, run.folder)
        assert sum(isinstance(record, RunEnd) for record in records) == 1, (seed, run.folder)
        assert run.status in ("completed", "interrupted"), (seed, run.folder)


def test_an_interrupted_walk_through_a_runs_files_raises_nothing_else(finished: _Finished) -> None:
    """A run's end looks at its size; CPython 3.12.1 answers a Ctrl-C within os.walk with a TypeError, at times."""
    returned, out, err = finished("""
    from refunc.logging.current import existing_run
    chance = random.Random(7)
    log.start_experiment("e"); log.log_metrics({"n": 1}); log.flush()
    run = existing_run()
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for attempt in range(3000):
        try:
            deadline = time.monotonic() + 1  # an interrupt within a __del__ is swallowed
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0002, 0.001))
            while True:  # no condition: CPython 3.13 forgets the `try` there (https://github.com/python/cpython/issues/130279)
                run.size
                if time.monotonic() > deadline: break
        except KeyboardInterrupt:
            pass
    print("interrupted", attempt + 1)
    """)

    assert returned == 0, err
    assert out.splitlines()[-1:] == ["interrupted 3000"]


def test_a_block_whose_end_the_interpreter_forgets_was_interrupted(
    finished: _Finished, only_run: Callable[[], Run]
) -> None:
    """CPython 3.13 does so at a Ctrl-C in a loop like this one (https://github.com/python/cpython/issues/130279)."""
    returned, out, err = finished("""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    def train():
        step = 0
        with experiment_context("e", logger=log):
            log.log_metrics({"n": 1})
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            while step < 1e12:
                step += 1
    try:
        train()
    except KeyboardInterrupt:
        print("interrupted")
    """)

    assert (returned, out) == (0, "interrupted\n"), err
    assert only_run().status == "interrupted"


def test_a_generator_that_is_closed_in_its_block_completes_the_run(own_folder: Path) -> None:
    def epochs() -> Iterator[int]:
        with experiment_context("e", logger=MLLogger("train", "CRITICAL")) as tracker:
            for epoch in range(3):
                tracker.log_metrics({"epoch": epoch})
                yield epoch

    for epoch in epochs():
        if epoch == 1:
            break
    [run] = open_store(own_folder / "experiments")
    assert run.status == "completed"


def test_sigint_from_outside_while_threads_log(finished: _Finished, only_run: Callable[[], Run], journal: Any) -> None:
    """The signals arrive in the main thread's flush, while two other threads log: theirs is all there, in order."""
    returned, out, err = finished("""
    log.start_experiment("e")
    stop = threading.Event()
    done = []
    shots = 0
    def work(name):
        n = 0
        while n < 20_000 or not shots:  # on a busy machine, all 20,000 may be logged before the first interrupt
            log.log_metrics({name: n})
            n += 1
            if n > 20_000: time.sleep(0.001)
        done.append(name)
    inside = False  # whether an interrupt would come in a `try`: a loop's own jump is in none
    def on_interrupt(number, frame):
        if inside: raise KeyboardInterrupt
    signal.signal(signal.SIGINT, on_interrupt)
    def shoot():
        while not stop.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.002)
    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    shooter = threading.Thread(target=shoot)
    for thread in threads: thread.start()
    shooter.start()
    # Not is_alive(): up to Python 3.12 one that Ctrl-C interrupts takes a running thread for ended (bpo-45274).
    while len(done) < len(threads):
        try:
            inside = True
            log.log_metrics({"main": 1}); log.flush()
            inside = False
        except KeyboardInterrupt:
            inside = False
            shots += 1
    stop.set()
    shooter.join()
    print(shots)
    """)

    assert returned == 0, err
    records, account = journal.read(only_run())
    for name in "ab":
        values = journal.values(records, name)
        assert values == list(range(max(20_000, len(values))))
    assert account == Account()
    assert int(out) > 0
    assert only_run().status == "completed"


def test_an_error_line_interrupted_right_after_is_there(finished: _Finished, journal: Any) -> None:
    """The first interrupt may hit while the run's folder is made: the line is written by the exit then."""
    returned, _, err = finished("""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    import logging; logging.getLogger("train").handlers.clear()
    log.start_experiment("e")
    for n in range(50):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0003 + n * 0.00001)
            log.error("line %d", n)
            time.sleep(1)
        except KeyboardInterrupt:
            pass
    """)

    assert returned == 0, err
    [run] = open_store()
    records, account = journal.read(run)
    lines = [record.message for record in records if isinstance(record, LogLine)]
    assert lines == sorted(set(lines), key=lambda line: int(line.split()[1]))
    assert account == Account()
