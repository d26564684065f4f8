"""kill -9: nothing that a flush or a write-through covered is lost, and no torn line is taken for a record."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Artifact, LogLine, Metrics, Params, RunEnd, RunStart, Tags
from refunc.runs.run import Run

_HAMMER = """
number = 0
log.log_metrics({"n": number}); log.flush()
while True:
    for _ in range(random.randrange(1, 3000)):
        number += 1
        log.log_metrics({"n": number, "padding": 0.123456789})
    log.flush()
    os.write(1, b"%d\\n" % number)
"""


def test_a_few_kills_lose_nothing_that_was_flushed(
    script: Callable[..., subprocess.Popen[str]], only_run: Callable[[], Run], journal: Any
) -> None:
    process = script(_HAMMER)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(20)]
    process.kill()
    acknowledged += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]

    records, account = journal.read(only_run())
    found = journal.values(records, "n")
    assert found == list(range(len(found)))
    assert len(found) > acknowledged[-1]
    assert account == Account(torn=account.torn)


_WRITE_THROUGH = {
    "error": ('log.error("last words")', LogLine, lambda record: record.message == "last words"),
    "critical": ('log.critical("last words")', LogLine, lambda record: record.level == "CRITICAL"),
    "params": ('log.log_hyperparams({"lr": 0.1})', Params, lambda record: record.params == {"lr": 0.1}),
    "tags": ('log.add_tags({"gpu": "a100"})', Tags, lambda record: record.tags == {"gpu": "a100"}),
    "result": ('log.log_result("accuracy", 0.9)', LogLine, lambda record: record.metrics == {"accuracy": 0.9}),
    "artifact": ("log.log_artifact(sys.argv[0])", Artifact, lambda record: record.stored is not None),
    "start": ("pass", RunStart, lambda record: record.experiment_name == "vision"),
    "end": ("log.end_experiment()", RunEnd, lambda record: record.status == "completed"),
}


@pytest.mark.parametrize("name", _WRITE_THROUGH)
def test_write_through_records_are_in_the_journal_when_the_call_returns(
    name: str, finished: Callable[..., tuple[int, str, str]], only_run: Callable[[], Run], journal: Any
) -> None:
    call, kind, is_it = _WRITE_THROUGH[name]

    code, _, err = finished(f"""
    log = MLLogger("train", "ERROR")
    log.start_experiment("vision")
    log.log_metrics({{"before": 1}}) if {name!r} != "start" else None
    {call}
    os.kill(os.getpid(), signal.SIGKILL)
    """)

    assert code == -9, err
    records, account = journal.read(only_run())
    assert any(isinstance(record, kind) and is_it(record) for record in records)
    assert name == "start" or journal.values(records, "before") == [1]
    assert account == Account()


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_with_a_stronger_durability_every_call_is_written_on_return(
    durability: str, finished: Callable[..., tuple[int, str, str]], only_run: Callable[[], Run], journal: Any
) -> None:
    code, _, err = finished(f"""
    log = MLLogger("train", "INFO", durability={durability!r}, colored_output=False)
    for n in range(100):
        log.log_metrics({{"n": n}})
    log.info("a line")
    os.kill(os.getpid(), signal.SIGKILL)
    """)

    assert code == -9, err
    records, account = journal.read(only_run())
    assert journal.values(records, "n") == list(range(100))
    assert isinstance(records[-1], LogLine)
    assert account == Account()


def test_an_idle_moment_is_enough_without_any_flush(
    script: Callable[..., subprocess.Popen[str]], only_run: Callable[[], Run], journal: Any, tools: Any
) -> None:
    process = script("""
    for n in range(100):
        log.log_metrics({"n": n})
    print("idle", flush=True)
    time.sleep(60)
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "idle\n"
    tools.until(lambda: len(journal.values(journal.read(only_run())[0], "n")) == 100)
    process.kill()
    process.wait()

    records, _ = journal.read(only_run())
    assert journal.values(records, "n") == list(range(100))
    assert all(isinstance(record, (Metrics, RunStart)) for record in records)
