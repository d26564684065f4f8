"""The contract of every integration, whatever its backend."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from refunc.plugins.hooks import RUN_END, hooks_of
from refunc.plugins.integration import build, delivery_of, passport_of
from refunc.plugins.naming import name_of
from refunc.plugins.options import facts_of
from refunc.plugins.run import RunInfo
from refunc.plugins.testing.backend import BackendChecks
from refunc.plugins.testing.driver import Driver
from refunc.plugins.testing.samples import (
    ENDINGS,
    awkward_calls,
    call_of,
    ending,
    sample_records,
    sample_run,
    thousand_metrics,
)

#: The most seconds of CPU for importing a plugin's module: discovery imports it in the training.
_IMPORT_SECONDS = 1.0

_IMPORT = """
import importlib, sys, threading, time
import refunc.plugins, attrs, cattrs
began = time.process_time()
try:
    importlib.import_module(sys.argv[1])
except ModuleNotFoundError as error:
    if error.name not in (sys.argv[1], sys.argv[1].partition(".")[0]):
        raise
    print("NOT A MODULE")
    sys.exit()
print(time.process_time() - began, [t.name for t in threading.enumerate() if t is not threading.main_thread()])
"""


class IntegrationContract(BackendChecks):
    """
    The contract of every integration, whatever its backend. Subclasses add fixtures and tests of their own.

    The fixture `integration` is required. Two more turn on the checks of the backend's contents:

    - `stored` returns a function that takes a run's id and returns a `Stored`: the backend's contents for that run.
    - `failing` returns a context manager that takes a word, `off`, `slow`, `401`, `429` or `500`, and makes the
      backend behave like that during the block.
    """

    #: Texts that must not show up anywhere, besides the values of secret options.
    secrets: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def integration(self) -> Any:
        """Return the integration under test. Its backend must be reachable during the test."""
        raise TypeError(f"{type(self).__name__} needs a fixture `integration` that returns the integration to test.")

    @pytest.fixture
    def run_info(self, tmp_path: Path) -> RunInfo:
        """Return a run of its own for each test."""
        return sample_run(tmp_path / "run", run_id=f"contract{time.time_ns() % 10**9}")

    def test_it_is_an_integration(self, integration: Any) -> None:
        assert hooks_of(type(integration))
        assert name_of(integration)
        assert delivery_of(integration)

    def test_it_travels_to_another_process(self, integration: Any) -> None:
        passport = passport_of(integration)

        assert passport.options is not None, "an option has a value that cannot be written as JSON"
        again = build(type(integration), passport.name, passport.options)
        assert passport_of(again) == passport

    def test_importing_it_is_quick_and_starts_nothing(self, integration: Any) -> None:
        command = [sys.executable, "-c", _IMPORT, type(integration).__module__]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

        if "NOT A MODULE" in done.stdout:  # a class of the test itself, which discovery never imports
            return
        assert done.returncode == 0, done.stderr
        seconds, _, threads = done.stdout.strip().partition(" ")
        assert float(seconds) < _IMPORT_SECONDS, f"importing it takes {seconds} s: import the backend in open()"
        assert threads == "[]", f"importing it starts the threads {threads}"

    def test_secrets_do_not_show(
        self, integration: Any, run_info: RunInfo, caplog: Any, capfd: Any, tmp_path: Path
    ) -> None:
        with caplog.at_level(0), Driver(integration, self.time_limit) as driver:
            driver.deliver(run_info, sample_records())
        out, err = capfd.readouterr()
        shown = [repr(integration), str(passport_of(integration).public), str(getattr(integration, "target", ""))]
        shown += [caplog.text, out, err]
        shown += [path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]

        assert not [secret for secret in self._secrets_of(integration) if any(secret in text for text in shown)]

    def test_it_takes_every_kind_of_record(self, integration: Any, run_info: RunInfo) -> None:
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run_info, sample_records())

    @pytest.mark.parametrize("kind", list(awkward_calls()))
    def test_it_takes_what_deliveries_have(self, integration: Any, run_info: RunInfo, kind: str) -> None:
        with Driver(integration, self.time_limit) as driver:
            driver.start(run_info)
            for name, (hook, what) in awkward_calls().items():
                if name == kind:
                    driver.call(run_info, hook, what)

    @pytest.mark.parametrize("status", ENDINGS)
    def test_it_takes_every_ending(self, integration: Any, run_info: RunInfo, status: str) -> None:
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run_info, [*sample_records()[:3], call_of(ending(status))])

    def test_it_takes_a_run_without_names(self, integration: Any, run_info: RunInfo) -> None:
        bare = attrs.evolve(run_info, run_name=None, params={}, tags={}, parent_id="gone1234", attempt=2)

        with Driver(integration, self.time_limit) as driver:
            driver.deliver(bare, [*sample_records()[2:4], call_of(ending("completed"))])

    def test_it_takes_a_thousand_records_at_once(self, integration: Any, run_info: RunInfo) -> None:
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run_info, [call_of(*thousand_metrics())])

    def test_it_takes_records_again(self, integration: Any, run_info: RunInfo) -> None:
        calls = sample_records()

        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run_info, calls)
            driver.deliver(run_info, calls)

    def test_it_changes_nothing_that_it_gets(self, integration: Any, run_info: RunInfo) -> None:
        calls = [*sample_records(), *awkward_calls().values()]
        before = [copy.deepcopy(call) for call in calls]
        params, tags = copy.deepcopy(run_info.params), copy.deepcopy(run_info.tags)

        with Driver(integration, self.time_limit) as driver:
            driver.start(run_info)
            for hook, what in calls:
                if hook != RUN_END:
                    driver.call(run_info, hook, what)

        assert repr(calls) == repr(before)
        assert (run_info.params, run_info.tags) == (params, tags)

    def test_it_goes_on_in_another_process(self, integration: Any, run_info: RunInfo) -> None:
        calls = sample_records()
        again = build(type(integration), name_of(integration), passport_of(integration).options or {})

        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run_info, calls[:3])
        with Driver(again, self.time_limit) as driver:
            for hook, what in calls[2:]:
                driver.call(run_info, hook, what)

    def test_it_takes_runs_side_by_side(self, integration: Any, tmp_path: Path) -> None:
        runs = [sample_run(tmp_path / name, run_id=f"{name}{time.time_ns() % 10**9}") for name in ("one", "two")]

        with Driver(integration, self.time_limit) as driver:
            for run in runs:
                driver.start(run)
            for hook, what in sample_records():
                for run in runs:
                    driver.call(run, hook, what)

    def test_closing_twice_does_no_harm(self, integration: Any) -> None:
        with Driver(integration, self.time_limit):
            pass
        if hasattr(integration, "close"):
            integration.close()

    def test_nothing_goes_on_behind_close(self, integration: Any, run_info: RunInfo) -> None:
        before = set(threading.enumerate())
        with Driver(integration, self.time_limit) as driver:
            driver.deliver(run_info, sample_records())
        deadline = time.monotonic() + self.end_limit
        # A client's daemon thread ends with the process; any other thread delays its end.
        while left := [each.name for each in set(threading.enumerate()) - before if not each.daemon]:
            assert time.monotonic() < deadline, f"the threads {left} still run after close()"
            time.sleep(0.01)

    def _secrets_of(self, integration: Any) -> list[str]:
        fields = attrs.fields(type(integration)) if attrs.has(type(integration)) else ()
        secret = [field.name for field in fields if (facts := facts_of(field)) is not None and facts.secret]
        values = [getattr(integration, name) for name in secret]
        return [*self.secrets, *(value for value in values if isinstance(value, str) and value)]
