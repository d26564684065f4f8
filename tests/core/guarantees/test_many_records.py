"""A million records: memory stays bounded, all are there in order, and the newest are found at once."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Metrics
from refunc.runs.run import Run

RECORDS = 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_million_records_in_one_process(
    finished: Callable[..., tuple[int, str, str]], only_run: Callable[[], Run]
) -> None:
    returned, out, err = finished(
        f"""
        import json
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        def bytes_read():
            with open("/proc/self/io") as file:
                return int(file.readline().split()[1])
        log.log_metrics({{"n": 0}}); log.flush(); log.get_log_entries(last_n=1)
        before = most = resident()
        for n in range(1, {RECORDS}):
            log.log_metrics({{"n": n}})
            if n % 10_000 == 0:
                most = max(most, resident())
        log.flush()
        began = bytes_read()
        newest = [entry.metrics["n"] for entry in log.get_log_entries(last_n=10)]
        print(json.dumps([most - before, resident() - before, bytes_read() - began, newest]))
        """,
        deadline=120,
    )

    assert returned == 0, err
    growth, after, read, newest = json.loads(out)
    print(f"+{growth >> 20} MB at most, +{after >> 20} MB after, {read >> 10} KB read for the last 10")
    assert growth < 64 << 20
    assert after < 64 << 20
    assert newest == list(range(RECORDS - 10, RECORDS))
    assert read < 1 << 20  # of about 80 MB
    account = Account()
    expected = 0
    for record in only_run().records(account):
        if isinstance(record, Metrics):
            assert record.metrics["n"] == expected
            expected += 1
    assert expected == RECORDS
    assert account == Account()
