"""The checks that need the backend's contents: everything is there, once, in order, with its ending."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from refunc.journal.record import LogLine, Metrics, Params, Tags
from refunc.plugins.integration import build, delivery_of, passport_of
from refunc.plugins.judgement import judge
from refunc.plugins.naming import name_of
from refunc.plugins.run import RunInfo
from refunc.plugins.testing.driver import Driver
from refunc.plugins.testing.samples import WRITER, Call, call_of, ending, sample_run
from refunc.plugins.testing.stored import Stored

#: Ways in which a backend fails, and the required meaning of the error.
FAILURES = {"off": "away", "429": "away", "500": "away", "401": "denied"}

_StoredOf = Callable[[str], Stored]
_Failing = Callable[[str], AbstractContextManager[Any]]


class BackendChecks:
    """The checks that use the fixtures `stored` and `failing`; without them, they are skipped."""

    #: Seconds that one call of a hook may take, and that a plugin's own threads have to end after `close`.
    time_limit: ClassVar[float] = 30.0
    end_limit: ClassVar[float] = 5.0

    @pytest.fixture
    def stored(self) -> _StoredOf:
        """Return a function from a run's id to the backend's contents for that run."""
        pytest.skip("no fixture `stored`: the backend's contents are not checked")

    @pytest.fixture
    def failing(self) -> _Failing:
        """Return a function that makes the backend fail during a block, by a word."""
        pytest.skip("no fixture `failing`: failures of the backend are not tested")

    @pytest.fixture
    def fresh_runs(self, tmp_path: Path) -> Iterator[RunInfo]:
        """Return an iterator of runs with ids that are new to the backend."""
        return (sample_run(tmp_path / f"r{n}", run_id=f"stored{time.time_ns() % 10**9}{n}") for n in range(100))

    def test_stored_metrics_are_whole_and_in_order(
        self, integration: Any, stored: _StoredOf, fresh_runs: Iterator[RunInfo]
    ) -> None:
        run = next(fresh_runs)
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run, [_points(0, 20), _points(20, 50), _END])

        self._must_have_points(stored(run.run_id), 50)

    def test_stored_values_include_those_that_are_not_finite(
        self, integration: Any, stored: _StoredOf, fresh_runs: Iterator[RunInfo]
    ) -> None:
        run = next(fresh_runs)
        values = (math.nan, math.inf, -math.inf, 0.5)
        records = [_metrics(seq, {"odd": value}) for seq, value in enumerate(values)]
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run, [call_of(*records), _END])

        found = stored(run.run_id).metrics
        assert found is None or len([name for name, _, _ in found if name == "odd"]) == len(values)

    def test_stored_params_tags_and_lines_are_those_that_were_given(
        self, integration: Any, stored: _StoredOf, fresh_runs: Iterator[RunInfo]
    ) -> None:
        run = next(fresh_runs)
        calls: list[Call] = [
            call_of(Params(params={"lr": 0.01, "name": "adam"}, **_common(1))),
            call_of(Tags(tags={"dataset": "mnist"}, **_common(2))),
            call_of(*(LogLine(level="ERROR", message=f"line {n}", **_recent(3 + n)) for n in range(3))),
            _END,
        ]
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run, calls)

        found = stored(run.run_id)
        if found.params is not None:
            assert {name: str(found.params.get(name)) for name in ("lr", "name")} == {"lr": "0.01", "name": "adam"}
        if found.tags is not None:
            assert found.tags.get("dataset") == "mnist"
        if found.lines is not None:
            assert [line for line in found.lines if line.startswith("line ")] == ["line 0", "line 1", "line 2"]

    def test_stored_endings_are_told_apart(
        self, integration: Any, stored: _StoredOf, fresh_runs: Iterator[RunInfo]
    ) -> None:
        words: dict[str, str | None] = {}
        with Driver(integration, self.time_limit) as driver:
            for status in ("completed", "failed", "crashed", "interrupted"):
                run = next(fresh_runs)
                driver.deliver(run, [_points(0, 1), call_of(ending(status))])
                words[status] = stored(run.run_id).status

        if any(word is not None for word in words.values()):
            assert [status for status, word in words.items() if word == words["completed"]] == ["completed"], words

    def test_stored_runs_do_not_mix(self, integration: Any, stored: _StoredOf, fresh_runs: Iterator[RunInfo]) -> None:
        first, second = next(fresh_runs), next(fresh_runs)
        with Driver(integration, self.time_limit) as driver:
            driver.start(first)
            driver.start(second)
            for start in range(0, 20, 5):
                driver.call(first, *_points(start, start + 5))
                driver.call(second, *_points(start, start + 5, sign=-1))
            driver.call(first, *_END)
            driver.call(second, *_END)

        self._must_have_points(stored(first.run_id), 20)
        self._must_have_points(stored(second.run_id), 20, sign=-1)

    def test_stored_once_after_a_replay(
        self, integration: Any, stored: _StoredOf, fresh_runs: Iterator[RunInfo]
    ) -> None:
        """Delivery dies between the answer and the save of its cursor: another process delivers the window again."""
        if delivery_of(integration) != "at-least-once":
            return
        run = next(fresh_runs)
        again = build(type(integration), name_of(integration), passport_of(integration).options or {})
        window: list[Call] = [_points(10, 20)]
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run, [_points(0, 10), *window])
        with Driver(again, self.time_limit) as driver:
            for call in (*window, _points(20, 30), _END):
                driver.call(run, *call)

        self._must_have_points(stored(run.run_id), 30)

    @pytest.mark.parametrize("how", list(FAILURES))
    def test_failures_are_told_apart_and_lose_nothing(
        self,
        integration: Any,
        stored: _StoredOf,
        failing: _Failing,
        fresh_runs: Iterator[RunInfo],
        how: str,
    ) -> None:
        run = next(fresh_runs)
        errors: list[Exception] = []
        left: list[Call] = []
        line = LogLine(level="ERROR", message="line 0", **_recent(1))
        calls: list[Call] = [_points(0, 5), _points(5, 10), call_of(line), _END]
        with Driver(integration, self.time_limit) as driver:
            driver.start(run)
            with failing(how):
                for call in calls[:3]:
                    try:
                        driver.call(run, *call)
                    except AssertionError:
                        raise
                    except Exception as error:  # judged below
                        errors.append(error)
                        left.append(call)
            for call in (*left, calls[3]):
                driver.call(run, *call)

        meant = {judge(error).kind for error in errors}
        assert meant <= {FAILURES[how]}, f"{how} was judged as {meant}: {errors}"
        shown = [str(error) for error in errors]
        assert not [secret for secret in self._secrets_of(integration) if any(secret in text for text in shown)]
        found = stored(run.run_id)
        self._must_have_points(found, 10)
        assert found.lines is None or found.lines.count("line 0") == 1, found.lines

    def test_failures_that_are_slow_end_within_the_limit(
        self, integration: Any, failing: _Failing, fresh_runs: Iterator[RunInfo]
    ) -> None:
        run = next(fresh_runs)
        errors: list[Exception] = []
        with Driver(integration, self.time_limit) as driver:
            driver.start(run)
            with failing("slow"):
                try:
                    driver.call(run, *_points(0, 5))
                except AssertionError:
                    raise
                except Exception as error:  # a timeout of the client's own
                    errors.append(error)

        assert [judge(error).kind for error in errors] in ([], ["away"]), errors

    def _must_have_points(self, found: Stored, count: int, *, sign: int = 1) -> None:
        if found.metrics is None:
            return
        for name, factor in (("loss", 1), ("acc", 2)):
            points = [(int(step), round(float(value), 3)) for each, step, value in found.metrics if each == name]
            assert points == [(n, sign * factor * n / 8) for n in range(count)], name

    def _secrets_of(self, integration: Any) -> list[str]:
        return []


def _common(seq: int) -> dict[str, Any]:
    return {"seq": seq, "time": 1_700_000_000.0 + seq, "writer": WRITER, "logger": "train"}


def _recent(seq: int) -> dict[str, Any]:
    """Return the same for a record that was logged just now: an old error may not be worth a message."""
    return {**_common(seq), "time": time.time()}


def _metrics(seq: int, values: dict[str, float | int | None]) -> Metrics:
    return Metrics(metrics=values, step=seq, **_common(100 + seq))


def _points(start: int, stop: int, *, sign: int = 1) -> Call:
    """Return a call with records of two metrics whose values are their steps."""
    return call_of(*(_metrics(n, {"loss": sign * n / 8, "acc": sign * n / 4}) for n in range(start, stop)))


_END: Call = call_of(ending("completed"))
