"""Times as people write them: the same ones are read by every Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.values.moments import moment_of

_ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


_TIMES = st.datetimes(datetime(1971, 1, 2), datetime(2100, 1, 1), timezones=_ZONES)  # noqa: DTZ001


@given(_TIMES, st.sampled_from("T "))
def test_a_time_with_its_zone_is_that_moment(moment: datetime, between: str) -> None:
    written = moment.isoformat(between)
    day, _, rest = written.partition(between)

    assert moment_of(written) == moment.timestamp()
    assert moment_of(f"{day.replace('-', '')}{between}{rest}") == moment.timestamp()
    assert moment_of(f"{written[:-3]}{written[-2:]}") == moment.timestamp()  # +0100


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2026-12-01", (2026, 12, 1)),
        ("20261201", (2026, 12, 1)),
        ("2026-12-01 09:30", (2026, 12, 1, 9, 30)),
        ("2026-12-01T09:30:05", (2026, 12, 1, 9, 30, 5)),
        ("2026-12-01 09:30:05.25", (2026, 12, 1, 9, 30, 5, 250_000)),
    ],
)
def test_a_time_without_a_zone_is_local(written: str, time: tuple[int, ...]) -> None:
    assert moment_of(written) == datetime(*time).timestamp()  # type: ignore[misc, arg-type]  # noqa: DTZ001


@pytest.mark.parametrize(
    "written",
    ["2026-W49-2", "2026-1201", "2026-12", "2026-13-01", "2026-12-01 25:00", "2026-12-01T09", "01.12.2026", "12/01/26"],
)
def test_a_form_that_not_every_python_reads_is_no_moment(written: str) -> None:
    assert moment_of(written) is None
