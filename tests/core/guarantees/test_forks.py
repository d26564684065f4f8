"""Children forked in the midst of logging: none hangs, none ends its parent's run, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.journal.reader import Account
from refunc.journal.record import RunEnd
from refunc.runs.run import Run

_Parent = Callable[..., tuple[int, str, str]]

_FORKS = """
log.start_experiment("parent")
counts = [0] * 4
stop = threading.Event()
def work(number):
    while not stop.is_set():
        log.log_metrics({f"t{number}": counts[number]})
        counts[number] += 1
        if counts[number] % 50 == 0: time.sleep(0.002)
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
hung = 0
for fork in range(100):
    pid = os.fork()
    if not pid:
        for n in range(20):
            log.log_metrics({f"child{fork}": n})
        done = log.flush()
        log.log_metrics({"unflushed": 1})
        if fork % 3 == 0: sys.exit(0)
        if fork % 3 == 1: os._exit(0 if done else 9)
        os.kill(os.getpid(), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            hung += 1; os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0); break
        time.sleep(0.001)
stop.set()
for thread in threads: thread.join()
print(hung, *counts)
"""


def test_a_hundred_forks_while_four_threads_log(parent: _Parent, only_run: Callable[[], Run], journal: Any) -> None:
    """No child hangs; the parent's records are there once and in order, the children's flushed ones too."""
    returned, out, err = parent(_FORKS, deadline=250)

    assert returned == 0, err
    hung, *counts = map(int, out.split())
    assert hung == 0
    records, account = journal.read(only_run())
    assert account == Account()
    for number, count in enumerate(counts):
        assert journal.values(records, f"t{number}") == list(range(count))
    parent = {record.writer for record in records if "t0" in getattr(record, "metrics", {})}
    assert len(parent) == 1
    for fork in range(100):
        assert journal.values(records, f"child{fork}") == list(range(20)), fork
    assert len(journal.values(records, "unflushed")) >= 34  # those that ended by sys.exit
    ends = [record for record in records if isinstance(record, RunEnd)]
    assert [end.writer for end in ends] == list(parent)
    assert only_run().status == "completed"


def test_a_child_that_outlives_a_crashed_parent_does_not_keep_its_run_alive(
    parent: _Parent, only_run: Callable[[], Run]
) -> None:
    returned, out, err = parent(
        """
        log.log_metrics({"n": 1}); log.flush()
        ready, done = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(1); os.close(2)
            os.write(done, b"x")
            time.sleep(20)
            os._exit(0)
        os.read(ready, 1)
        print(pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    import os
    import signal

    assert returned == -9, err
    try:
        assert only_run().status == "crashed"
    finally:
        os.kill(int(out), signal.SIGKILL)


def test_a_fork_within_a_context_ends_only_in_the_parent(
    parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    """A child that leaves the block, by an exception even, has not ended its parent's run."""
    returned, _, err = parent(
        """
        with experiment_context("parent", logger=log) as run:
            if not os.fork():
                run.log_metrics({"child": 1})
                raise SystemExit(5)
            os.wait()
            run.log_metrics({"parent": 1})
        """,
    )

    assert returned == 0, err
    records, _ = journal.read(only_run())
    assert journal.values(records, "child") == [1]
    assert journal.values(records, "parent") == [1]
    assert [record.status for record in records if isinstance(record, RunEnd)] == ["completed"]


def test_switched_off_a_forked_child_leaves_nothing_either(parent: _Parent, tmp_path: Path) -> None:
    code = """
import pathlib
with experiment_context("e", "r"):
    pid = os.fork()
    if not pid:
        log.log_artifact(__file__)
        log.log_metrics({"loss": 1.0})
        os._exit(0)
    os.waitpid(pid, 0)
print(sorted(path.name for path in pathlib.Path().iterdir() if path.is_dir()))
"""
    returned, out, err = parent(code, REFUNC_MODE="disabled")

    assert (returned, out) == (0, "[]\n"), err
