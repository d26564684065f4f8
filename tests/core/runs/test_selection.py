"""Which points make up a curve, for any ranks and attempts: beside a reading of the rule in plain Python."""

from __future__ import annotations

import math
from array import array

import pytest

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from refunc.journal.roles import Role, role_of
from refunc.runs.points import Points
from refunc.runs.selection import Rewinds, Selection, selected

#: Rank, attempt, and the steps that it logged, with one value each.
_WRITERS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 3), st.lists(st.integers(0, 12), max_size=8)), min_size=1, max_size=6
)
_REWINDS = st.lists(st.tuples(st.integers(2, 3), st.integers(0, 12)), max_size=2)


def points(steps: list[int], first: float, time: float) -> Points:
    values = array("d", [first + number for number in range(len(steps))])
    times = array("d", [time + number for number in range(len(steps))])
    return Points(array("q", steps), values, times, array("q"), array("q", range(len(steps))), stepless=False)


@given(_WRITERS, _REWINDS)
def test_a_step_has_the_value_of_the_newest_attempt_that_passed_it(
    found: list[tuple[int, int, list[int]]], rewinds: list[tuple[int, int]]
) -> None:
    writers, lines = {}, []
    for number, (rank, attempt, steps) in enumerate(found):
        writers[str(number)] = (Role(attempt, rank), points(steps, 100.0 * number, 1000.0 * attempt + 100 * number))
        lines += [(rank, attempt, step, 100.0 * number + at) for at, step in enumerate(steps)]
    limit = {
        attempt: min([step for later, step in rewinds if later > attempt], default=math.inf) for attempt in range(4)
    }

    for rank in range(3):
        of_rank = [line for line in lines if line[0] == rank]
        newest: dict[int, int] = {}
        for _, attempt, step, _ in of_rank:
            if step <= limit[attempt]:
                newest[step] = max(newest.get(step, 0), attempt)
        expected = sorted((step, value) for _, attempt, step, value in of_rank if newest.get(step) == attempt
                          and step <= limit[attempt])  # fmt: skip
        got = selected(writers, Selection(rank), Rewinds(rewinds))
        assert sorted(zip(got.steps, got.values, strict=True) if got else []) == expected
        every = selected(writers, Selection(rank, "all"), Rewinds(rewinds))
        assert len(every.values if every else ()) == len(of_rank)


@given(_WRITERS)
def test_an_aggregate_has_one_value_a_step(found: list[tuple[int, int, list[int]]]) -> None:
    writers = {
        str(number): (Role(1, number), points(sorted(set(steps)), 10.0 * number, 0.0))
        for number, (_, _, steps) in enumerate(found)
    }
    for word, combine in (("mean", lambda values: sum(values) / len(values)), ("min", min), ("max", max)):
        got = selected(writers, Selection(word), Rewinds())  # type: ignore[arg-type]
        at: dict[int, list[float]] = {}
        for _, each in writers.values():
            for step, value in zip(each.steps, each.values, strict=True):
                at.setdefault(step, []).append(value)
        assert got is not None
        assert dict(zip(got.steps, got.values, strict=True)) == pytest.approx({k: combine(v) for k, v in at.items()})
        assert list(got.steps) == sorted(at)


@pytest.mark.parametrize(
    ("writer", "role"),
    [
        ("node7-4711-mwtfezun-n6xe", Role()),
        ("node7-4711-mwtfezun-n6xe_r0", Role(1, 0)),
        ("node7-4711-mwtfezun-n6xe_r12a3", Role(3, 12)),
        ("node7-4711-mwtfezun-n6xe_a2", Role(2, None)),
        ("node_r3-4711-mwtfezun-n6xe", Role()),
        ("x_r3a2", Role()),
        ("node7-4711-mwtfezun-n6xe_r99999999", Role()),
        ("node7-4711-mwtfezun-n6xe_r1a0", Role(1, 1)),
        ("", Role()),
    ],
)
def test_a_writers_name_tells_its_role(writer: str, role: Role) -> None:
    assert role_of(writer) == role
    if role != Role() and not writer.endswith("a0"):
        assert writer.endswith(role.suffix())


@pytest.mark.parametrize("rank", ["median", True, 1.5])
def test_a_rank_that_is_not_one_is_said(rank: object) -> None:
    with pytest.raises((ValueError, TypeError), match=r"rank: .*all, mean, min, max"):
        Selection(rank)  # type: ignore[arg-type]
