"""Which points make up a curve, for any ranks and attempts: beside a reading of the rule in plain Python."""

from __future__ import annotations

import math
import sys
from array import array

import pytest

pytest.importorskip("hypothesis")

from hypothesis import assume, given
from hypothesis import strategies as st

from refunc.journal.rewinds import ResumePoint, Rewinds
from refunc.journal.roles import Role, role_of
from refunc.runs.points import Points
from refunc.runs.selected import selected
from refunc.runs.selection import Selection

#: Rank, attempt, and the steps that it logged, with one value each.
_WRITERS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 3), st.lists(st.integers(0, 12), max_size=8)), min_size=1, max_size=6
)
_REWINDS = st.lists(st.tuples(st.integers(2, 3), st.integers(0, 12)), max_size=2)


def points(steps: list[int], first: float, time: float, epochs: list[int] | None = None) -> Points:
    values = array("d", [first + number for number in range(len(steps))])
    times = array("d", [time + number for number in range(len(steps))])
    rows = array("q", range(len(steps)))
    return Points(array("q", steps), values, times, array("q", epochs or []), rows, stepless=False)


def rewinds_to(found: list[tuple[int, int]]) -> Rewinds:
    return Rewinds((attempt, ResumePoint(step)) for attempt, step in found)


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
        got = selected(writers, Selection(rank), rewinds_to(rewinds))
        assert sorted(zip(got.steps, got.values, strict=True) if got else []) == expected
        every = selected(writers, Selection(rank, "all"), rewinds_to(rewinds))
        assert len(every.values if every else ()) == len(of_rank)


#: An attempt's first number, and how many it logged from there, in epochs of four steps each.
_BEGINNINGS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), min_size=1, max_size=4)


@given(_BEGINNINGS, st.lists(st.booleans(), min_size=4, max_size=4), st.booleans())
def test_steps_that_begin_again_in_each_epoch_are_told_apart(
    found: list[tuple[int, int]], went_back: list[bool], whole: bool
) -> None:
    """The same trainings, with steps of their own in each epoch, and with steps that go on: the same points count."""
    assume(len(found) == 1 or _shows_it(found, whole))
    curves = []
    for begins_again in (True, False):
        writers, rewinds = {}, []
        for attempt, (begin, count) in enumerate(found, 1):
            begin = 0 if attempt == 1 and whole else begin
            numbers = range(begin, begin + count)
            steps = [number % 4 if begins_again else number for number in numbers]
            epochs = [number // 4 for number in numbers]
            writers[str(attempt)] = (Role(attempt), points(steps, 100.0 * attempt, 1000.0 * attempt, epochs))
            if attempt > 1 and went_back[attempt - 1] and begin:
                before = begin - 1
                rewinds.append((attempt, ResumePoint(before % 4 if begins_again else before, before // 4)))
        got = selected(writers, Selection(), Rewinds(rewinds))
        assert got is not None
        known = zip(got.steps, got.epochs, got.values, strict=True)
        curves.append([(epoch * 4 + step if begins_again else step, value) for step, epoch, value in known])
    assert curves[0] == curves[1]


def _shows_it(found: list[tuple[int, int]], whole: bool) -> bool:
    """Whether a step falls within an attempt: only then can a reader see that steps begin again."""
    for attempt, (begin, count) in enumerate(found, 1):
        begin = 0 if attempt == 1 and whole else begin
        numbers = range(begin, begin + count)
        if any(number % 4 > (number + 1) % 4 for number in numbers[:-1]):
            return True
    return False


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
    ("values", "mean"),
    [
        ((math.inf, -math.inf), math.nan),
        ((math.inf, 1.0), math.inf),
        ((sys.float_info.max, sys.float_info.max), sys.float_info.max),
        ((math.nan, 2.0), 2.0),
    ],
)
def test_a_rank_that_diverged_has_its_part_in_the_mean(values: tuple[float, float], mean: float) -> None:
    writers = {str(rank): (Role(1, rank), points([1], value, 0.0)) for rank, value in enumerate(values)}

    got = selected(writers, Selection("mean"), Rewinds())

    assert got is not None
    assert list(got.values) == pytest.approx([mean], nan_ok=True)


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
