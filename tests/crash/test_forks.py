"""Forks amid logging, and children that end in every way: none hangs, and none loses records that it flushed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.fixture_types import Finished

from refunc.journal.reader import Account
from refunc.journal.record import Metrics, RunEnd
from refunc.runs.run import Run

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

#: Seconds that a child has for work of milliseconds.
DEADLINE = 20

_FOUR_THREADS = """
counts = [0] * 4
stop = threading.Event()
def work(number):
    while not stop.is_set():
        log.log_metrics({f"t{number}": counts[number]})
        counts[number] += 1
        if counts[number] % 97 == 0: log.flush()
        if counts[number] % 20 == 0: time.sleep(0.002)
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
"""

# A child says through a pipe how many of its records a flush has covered, and a second generation does the same.
_FORKS = """
import json, select
seed, forks = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)

def child(name, acks, ending, generations):
    for n in range(1000 if ending == "killed" else 20):
        log.log_metrics({name: n})
        if n % 5 == 4 and log.flush():
            os.write(acks, f"{name} {n + 1}\\n".encode())
    if generations:
        pid = os.fork()
        if not pid:
            child(name + "'", acks, ending, generations - 1)
        os.waitpid(pid, 0)
    log.log_metrics({name: n + 1})
    if ending == "exit": sys.exit(0)
    os._exit(0)

log.start_experiment("parent")
for thread in threads: thread.start()
hung, acknowledged, exits = 0, {}, []
for fork in range(forks):
    ending = chance.choice(("exit", "_exit", "killed"))
    generations = chance.choice((0, 0, 1))
    acks, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        child(f"child{fork}", writing, ending, generations)
    os.close(writing)
    if ending == "exit": exits.append(f"child{fork}")
    if ending == "killed":
        time.sleep(chance.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + @DEADLINE@
    told = b""
    while (rest := deadline - time.monotonic()) > 0 and select.select([acks], [], [], rest)[0]:
        part = os.read(acks, 1 << 16)
        if not part: break
        told += part
    else:
        hung += 1
        faulthandler.dump_traceback()
        try: os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError: pass
    os.close(acks)
    os.waitpid(pid, 0)
    acknowledged.update((name, int(count)) for name, count in map(str.split, told.decode().splitlines()))
stop.set()
for thread in threads: thread.join()
print(json.dumps([hung, counts, acknowledged, exits]))
""".replace("@DEADLINE@", str(DEADLINE))


def test_forks_while_four_threads_log(
    finished: Finished,
    only_run: Callable[[], Run],
    journal: Any,
    chance: random.Random,
    times: Callable[[float, float], int],
) -> None:
    forks = times(100, 500)
    returned, out, err = finished(_FOUR_THREADS + _FORKS, chance.randrange(1 << 32), forks, deadline=300 + forks)

    assert returned == 0, err
    hung, counts, acknowledged, exits = json.loads(out)
    assert hung == 0, err
    found = _check_parent(only_run(), counts, journal)
    for name, count in acknowledged.items():
        assert found[name] >= count, f"{name}: {count} acknowledged"
    for name in exits:
        assert found[name] == 21, f"{name} ended by itself, so its last record is written too"
    print(
        f"{forks} forks, {hung} hung, {sum(counts):,} records of the parent, {sum(acknowledged.values()):,} of children"
    )


# Workers of a pool that are replaced all the time, and processes that end in three ways.
_POOL = """
import json, multiprocessing
method, tasks = sys.argv[1], int(sys.argv[2])

def task(number):
    for n in range(20):
        log.log_metrics({f"task{number}": n})
    return log.flush()

def process(number, ending, ready):
    for n in range(20):
        log.log_metrics({f"process{number}": n})
    if not log.flush(): os._exit(9)
    if ending == "_exit": os._exit(0)
    if ending == "killed":
        ready.set()
        while True: log.log_metrics({f"process{number}": (n := n + 1)})

if __name__ == "__main__":
    context = multiprocessing.get_context(method)
    if method == "forkserver": context.set_forkserver_preload(["refunc.logging", "refunc.journal.writer"])
    with experiment_context("parent", logger=log):
        for thread in threads: thread.start()
        with context.Pool(4, maxtasksperchild=5) as pool:
            flushed = pool.map_async(task, range(tasks // 2), chunksize=1).get(@DEADLINE@ + tasks)
        codes, hung = {}, 0
        for first in range(0, tasks - tasks // 2, 4):
            children = []
            for number in range(first, min(first + 4, tasks - tasks // 2)):
                what = number, ("return", "_exit", "killed")[number % 3], context.Event()
                children.append((*what, context.Process(target=process, args=what)))
            for *_, child in children: child.start()
            for number, ending, ready, child in children:
                if ending == "killed":
                    ready.wait(@DEADLINE@)
                    child.kill()
                child.join(@DEADLINE@)
                hung += child.exitcode is None
                codes[number] = ending, child.exitcode
        stop.set()
        for thread in threads: thread.join()
    print(json.dumps([hung, counts, all(flushed), codes]))
""".replace("@DEADLINE@", str(DEADLINE))


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_that_come_and_go_while_four_threads_log(
    method: str,
    finished: Finished,
    only_run: Callable[[], Run],
    journal: Any,
    times: Callable[[float, float], int],
) -> None:
    tasks = times(100, 500)
    returned, out, err = finished(_FOUR_THREADS + _POOL, method, tasks, deadline=300 + tasks)

    assert returned == 0, err
    hung, counts, flushed, codes = json.loads(out)
    assert (hung, flushed) == (0, True), err
    found = _check_parent(only_run(), counts, journal)
    for number in range(tasks // 2):
        assert found[f"task{number}"] == 20
    killed = 0
    for number, (ending, code) in codes.items():
        assert code == (-9 if ending == "killed" else 0), (number, ending, err)
        assert found[f"process{number}"] >= 20
        killed += ending == "killed"
    print(f"{method}: {tasks} tasks and processes, {killed} killed, {hung} hung, {sum(counts):,} records of the parent")


def _check_parent(run: Run, counts: list[int], journal: Any) -> Counter[str]:
    """Check that every writer's records are there once and in order, and return how many each metric has."""
    records, account = journal.read(run)
    assert account == Account(torn=account.torn)
    writers: dict[str, str] = {}
    found: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Metrics):
            [(name, value)] = record.metrics.items()
            assert value == found[name], "lost, doubled, or out of order"
            assert writers.setdefault(name, record.writer) == record.writer
            found[name] += 1
    assert [found[f"t{number}"] for number in range(4)] == counts
    assert len({writers[f"t{number}"] for number in range(4)}) == 1
    assert [end.writer for end in records if isinstance(end, RunEnd)] == [writers["t0"]]
    assert run.status == "completed"
    return found
