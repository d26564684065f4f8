"""A plugin that keeps its contract, and thirty that break it in one place each, for `test_kit.py`."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from tests.core.plugins.keeping import KeepIntegration, Server

from refunc.plugins import Metrics, Params, Reject, Retry, RunEnd, hookimpl
from refunc.plugins.testing import IntegrationContract

#: Set behind the last test; what a mutant has left running ends then.
IS_OVER = threading.Event()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    yield Server()
    IS_OVER.set()


class Contract(IntegrationContract):
    kind: ClassVar[type] = KeepIntegration

    @pytest.fixture
    def integration(self, server: Server) -> Any:
        return self.kind(url=server.url)

    @pytest.fixture
    def stored(self, server: Server) -> Any:
        return server.of

    @pytest.fixture
    def failing(self, server: Server) -> Any:
        return server.failing


class TestWhole(Contract):
    pass


# -- the rows that are sent --------------------------------------------------------------------------------------------


class DropsSteps(KeepIntegration):
    def rows(self, run: Any, record: Metrics) -> Any:
        return [{**row, "step": 0} for row in super().rows(run, record)]


class DropsNan(KeepIntegration):
    def rows(self, run: Any, record: Metrics) -> Any:
        return [row for row in super().rows(run, record) if row["value"] == row["value"]]


class SendsTheFirstOnly(KeepIntegration):
    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        self.send(self.rows(run, records[0]))


class TurnsOrderRound(KeepIntegration):
    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        self.send([row for record in reversed(records) for row in self.rows(run, record)])


class MixesNames(KeepIntegration):
    def rows(self, run: Any, record: Metrics) -> Any:
        return [{**row, "name": "loss"} for row in super().rows(run, record)]


class RoundsValues(KeepIntegration):
    def rows(self, run: Any, record: Metrics) -> Any:
        return [{**row, "value": row["value"] and int(row["value"])} for row in super().rows(run, record)]


class MixesRuns(KeepIntegration):
    @hookimpl
    def on_run_start(self, run: Any) -> None:
        self.current = run

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        super().on_metrics(run=self.current, records=records)


class BuffersForEver(KeepIntegration):
    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        self._pending += [row for record in records for row in self.rows(run, record)]
        while len(self._pending) >= 64:
            self.send(self._pending[:64])
            del self._pending[:64]


class SendsTwice(KeepIntegration):
    def row(self, run: Any, record: Any, kind: str, name: str, **fields: Any) -> Any:
        return {**super().row(run, record, kind, name, **fields), "key": f"{time.monotonic_ns()} {name}"}


class CountsOn(KeepIntegration):
    """Numbers its rows itself, which begins again in another process."""

    def rows(self, run: Any, record: Metrics) -> Any:
        self.count = getattr(self, "count", 0) + 1
        return [{**row, "key": f"{run.run_id} {self.count} {row['name']}"} for row in super().rows(run, record)]


class AlwaysCompleted(KeepIntegration):
    def word(self, status: str) -> str:
        return "FINISHED"


class CrashedIsCompleted(KeepIntegration):
    def word(self, status: str) -> str:
        return "FAILED" if status == "failed" else "KILLED" if status == "interrupted" else "FINISHED"


class DropsParams(KeepIntegration):
    @hookimpl
    def on_hyperparams(self, run: Any, record: Params) -> None:
        self.send([self.row(run, record, "param", name, value=None) for name in record.params])


class DropsLines(KeepIntegration):
    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        super().on_log(run=run, records=records[:1])


# -- the records that it takes -----------------------------------------------------------------------------------------


class WantsAStep(KeepIntegration):
    def rows(self, run: Any, record: Metrics) -> Any:
        return [{**row, "step": int(record.step)} for row in super().rows(run, record)]  # type: ignore[arg-type]


class WantsMetrics(KeepIntegration):
    def rows(self, run: Any, record: Metrics) -> Any:
        least = min(record.metrics)
        return [{**row, "least": least} for row in super().rows(run, record)]


class WantsNumbers(KeepIntegration):
    def rows(self, run: Any, record: Metrics) -> Any:
        return [{**row, "value": float(row["value"])} for row in super().rows(run, record)]


class WantsAscii(KeepIntegration):
    def send(self, rows: Any) -> None:
        json.dumps(rows, ensure_ascii=False).encode("ascii")
        super().send(rows)


class WantsShortNames(KeepIntegration):
    def row(self, run: Any, record: Any, kind: str, name: str, **fields: Any) -> Any:
        if len(name) > 250:
            raise ValueError("name too long")
        return super().row(run, record, kind, name, **fields)


class KnowsTwoEndings(KeepIntegration):
    def word(self, status: str) -> str:
        return {"completed": "FINISHED", "failed": "FAILED"}[status]


class SplitsTheWriter(KeepIntegration):
    @hookimpl
    def on_run_end(self, run: Any, record: RunEnd) -> None:
        host = record.writer.split("-")[1]
        self.send([self.row(run, record, "end", "", status=record.status, host=host)])


class ChangesParams(KeepIntegration):
    @hookimpl
    def on_hyperparams(self, run: Any, record: Params) -> None:
        record.params["seen"] = True
        super().on_hyperparams(run=run, record=record)


class ForgetsAfterARestart(KeepIntegration):
    @hookimpl
    def on_run_start(self, run: Any) -> None:
        self.ids = {run.run_id: "1"}

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        assert self.ids[run.run_id]
        super().on_metrics(run=run, records=records)


# -- how it behaves ----------------------------------------------------------------------------------------------------


class Blocks(KeepIntegration):
    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        threading.Event().wait()


class Returns(KeepIntegration):
    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> Any:
        try:
            super().on_metrics(run=run, records=records)
        except Exception as error:
            return error
        return "ok"


class SwallowsErrors(KeepIntegration):
    def send(self, rows: Any) -> None:
        try:
            super().send(rows)
        except Exception:
            logging.getLogger("keep").debug("not sent")


class RejectsOutages(KeepIntegration):
    def told(self, status: int) -> Exception:
        return Reject(f"HTTP {status}")


class RetriesCredentials(KeepIntegration):
    def told(self, status: int) -> Exception:
        return Retry(f"HTTP {status}")


class LogsTheToken(KeepIntegration):
    def send(self, rows: Any) -> None:
        logging.getLogger("keep").info("with %s", self.token)
        super().send(rows)


class SaysTheToken(KeepIntegration):
    def told(self, status: int) -> Exception:
        kind = type(super().told(status))
        return kind(f"HTTP {status} for {self.token}")


class GoesOnBehindClose(KeepIntegration):
    def close(self) -> None:
        threading.Thread(target=IS_OVER.wait, args=(20,), name="keep-alive", daemon=False).start()


class HasNoTimeout(KeepIntegration):
    timeout = 60.0


#: Those that only a limit catches, which would take half a minute. For all others it is as long as that of any plugin,
#: since a busy machine may take seconds for a call.
SHORT = {
    Blocks: {"time_limit": 1.0},
    HasNoTimeout: {"time_limit": 1.0},
    GoesOnBehindClose: {"end_limit": 1.0},
}

#: Each mutant, with the check that is meant for it.
MUTANTS = {
    DropsSteps: "test_stored_metrics_are_whole_and_in_order",
    DropsNan: "test_stored_values_include_those_that_are_not_finite",
    SendsTheFirstOnly: "test_stored_metrics_are_whole_and_in_order",
    TurnsOrderRound: "test_stored_metrics_are_whole_and_in_order",
    MixesNames: "test_stored_metrics_are_whole_and_in_order",
    RoundsValues: "test_stored_metrics_are_whole_and_in_order",
    MixesRuns: "test_stored_runs_do_not_mix",
    BuffersForEver: "test_stored_metrics_are_whole_and_in_order",
    SendsTwice: "test_stored_once_after_a_replay",
    CountsOn: "test_stored_once_after_a_replay",
    AlwaysCompleted: "test_stored_endings_are_told_apart",
    CrashedIsCompleted: "test_stored_endings_are_told_apart",
    DropsParams: "test_stored_params_tags_and_lines_are_those_that_were_given",
    DropsLines: "test_stored_params_tags_and_lines_are_those_that_were_given",
    WantsAStep: "test_it_takes_what_deliveries_have[metrics without a step]",
    WantsMetrics: "test_it_takes_what_deliveries_have[only values that are not numbers]",
    WantsNumbers: "test_it_takes_what_deliveries_have[a value that is missing]",
    WantsAscii: "test_it_takes_what_deliveries_have[metrics with names of any kind]",
    WantsShortNames: "test_it_takes_what_deliveries_have[params with names and values of any kind]",
    KnowsTwoEndings: "test_it_takes_every_ending[interrupted]",
    SplitsTheWriter: "test_it_takes_every_ending[crashed]",
    ChangesParams: "test_it_changes_nothing_that_it_gets",
    ForgetsAfterARestart: "test_it_goes_on_in_another_process",
    Blocks: "test_it_takes_every_kind_of_record",
    Returns: "test_it_takes_every_kind_of_record",
    SwallowsErrors: "test_failures_are_told_apart_and_lose_nothing[500]",
    RejectsOutages: "test_failures_are_told_apart_and_lose_nothing[500]",
    RetriesCredentials: "test_failures_are_told_apart_and_lose_nothing[401]",
    LogsTheToken: "test_secrets_do_not_show",
    SaysTheToken: "test_failures_are_told_apart_and_lose_nothing[401]",
    GoesOnBehindClose: "test_nothing_goes_on_behind_close",
    HasNoTimeout: "test_failures_that_are_slow_end_within_the_limit",
}

for _mutant in MUTANTS:
    _name, _own = f"Test{_mutant.__name__}", {"kind": _mutant, **SHORT.get(_mutant, {})}
    globals()[_name] = type(_name, (Contract,), _own)
