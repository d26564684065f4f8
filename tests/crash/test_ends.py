"""However a process ends: all that it logged a moment before is kept, and records under delivery arrive."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Metrics
from refunc.runs.run import Run
from refunc.runs.store import open_store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

Script = Callable[..., subprocess.Popen[str]]

#: How it ends; with which exit code; the status of the run then.
ENDS = {
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -15, "crashed"),
    "SIGHUP": (
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGHUP); time.sleep(9)",
        -1,
        "crashed",
    ),
    "_exit": ("os._exit(7)", 7, "crashed"),
    "abort": ("os.abort()", -6, "crashed"),
    "uncaught exception": ("raise ValueError('no data')", 1, "failed"),
    "sys.exit in a thread": (
        "thread = threading.Thread(target=sys.exit); thread.start(); thread.join()",
        0,
        "completed",
    ),
}

STEPS = range(100)

#: A fifth of a second in which nothing is flushed; longer only where the machine is so busy that no thread could write
#: every 50 ms.
IDLE = """
def beat():
    fd = os.open(f"beats-{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for _ in range(4):
        time.sleep(0.05)
        os.write(fd, b"x")
idle = threading.Thread(target=beat); idle.start(); idle.join()
"""


def in_batches(script: Script, codes: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Run each code as a process, four at a time, and yield exit codes and errors."""
    waiting = list(codes)
    while waiting:
        for process in [script(waiting.pop()) for _ in range(min(4, len(waiting)))]:
            _, err = process.communicate(timeout=60)
            yield process.returncode, err


@pytest.mark.parametrize("name", ENDS)
def test_what_was_logged_a_fifth_of_a_second_before_the_end_is_kept(
    name: str, script: Script, times: Callable[[float, float], int], journal: Any
) -> None:
    ending, code, status = ENDS[name]
    training = f"""
log.start_experiment("ending")
for n in range({len(STEPS)}):
    log.log_metrics({{"n": n}})
{IDLE}
{ending}
"""
    processes = times(20, 100)

    for returned, err in in_batches(script, [training] * processes):
        assert returned == code, err

    runs = list(open_store())
    assert len(runs) == processes
    kept = []
    for run in runs:
        records, account = journal.read(run)
        kept.append(journal.values(records, "n") == list(STEPS))
        assert account == Account()
        assert run.status == status
    print(f"{name}: {sum(kept)} of {processes} kept all steps")
    assert all(kept)


_TRACKER = """
from probes import *

class StrollIntegration(ProbeIntegration):
    '''Takes records, each call in its own time.'''

    @hookimpl
    def on_metrics(self, run, records):
        time.sleep(0.05)
        self.note("metrics", steps=[r.step for r in records])
"""

_DELIVERED = """
from pathlib import Path
from tracker import StrollIntegration
path = "calls-@NUMBER@.jsonl"
log.add_integration(StrollIntegration(path=path))
for step in range(500):
    log.log_metrics({"loss": 0.5}, step=step)
    if step == @UNDER_WAY@:
        end = time.monotonic() + 20
        while not Path(path).exists() and time.monotonic() < end: time.sleep(0.001)
"""


@pytest.mark.parametrize("under_way", [-1, 250], ids=["right away", "while delivery is under way"])
def test_a_script_that_just_ends_has_everything_in_the_journal_and_at_the_tracker(
    under_way: int,
    script: Script,
    times: Callable[[float, float], int],
    journal: Any,
    probes: Any,
    calls: Callable[..., list[dict[str, Any]]],
    own_folder: Path,
    tools: Any,
) -> None:
    """No call ends the run, flushes, or waits: five hundred of five hundred, each once."""
    (own_folder / "tracker.py").write_text(_TRACKER)
    processes = times(20, 50)
    trainings = [
        _DELIVERED.replace("@NUMBER@", str(number)).replace("@UNDER_WAY@", str(under_way))
        for number in range(processes)
    ]

    for returned, err in in_batches(script, trainings):
        assert (returned, err) == (0, "")
    tools.until(lambda: not tools.delivery_pids(own_folder))

    runs: list[Run] = list(open_store())
    assert len(runs) == processes
    for run in runs:
        records, account = journal.read(run)
        assert [record.step for record in records if isinstance(record, Metrics)] == list(range(500))
        assert account == Account()
        assert run.status == "completed"
    for number in range(processes):
        path = f"calls-{number}.jsonl"
        assert [step for call in calls("metrics", path) for step in call["steps"]] == list(range(500)), path
        assert [call["status"] for call in calls("end", path)] == ["completed"], path
