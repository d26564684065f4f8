"""
The test kit for plugins: subclass `IntegrationContract`, give it an integration whose backend is reachable, run pytest.

    from refunc.plugins.testing import IntegrationContract

    class TestPrinter(IntegrationContract):
        @pytest.fixture
        def integration(self):
            return PrinterIntegration(prefix="# ")

Needs pytest; nothing else imports this module. A new check warns for one minor release before it fails.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from refunc.journal.folder import ARTIFACTS
from refunc.journal.record import Artifact, LogLine, Metrics, Params, Record, RunEnd, Tags
from refunc.plugins.hooks import hooks_of, plugged, require_integration
from refunc.plugins.integration import build, delivery_of, name_of, passport_of
from refunc.plugins.run import RunInfo

WRITER = "host-1-k3f9-test"


def sample_run(folder: Path, *, run_id: str = "k3f9a2b7", **changes: Any) -> RunInfo:
    """Return a run in *folder* as hooks see one, with params, tags and a stored artifact `model.txt` in it."""
    (folder / ARTIFACTS).mkdir(parents=True, exist_ok=True)
    (folder / ARTIFACTS / "0123456789abcdef-model.txt").write_text("weights")
    run = RunInfo(
        run_id=run_id,
        run_name="baseline",
        experiment_id="digits",
        experiment_name="digits",
        start_time=time.time() - 60,
        params={"lr": 0.01, "optimizer": {"name": "adam"}},
        tags={"dataset": "mnist"},
        folder=folder,
    )
    return attrs.evolve(run, **changes)


def sample_records(count: int = 3, *, start: float | None = None) -> list[tuple[str, Any]]:
    """
    Return hooks with what they get, in the order of a short run: params, tags, metrics, lines, an artifact, the end.

    Among the *count* metrics records are a NaN, an infinity, a step that goes back, and a name with a slash.
    """
    moment = start if start is not None else time.time() - 30
    numbers = iter(range(1, 1_000_000))

    def common() -> dict[str, Any]:
        seq = next(numbers)
        return {"seq": seq, "time": moment + seq / 1000, "writer": WRITER, "logger": "train"}

    values = [0.5, math.nan, math.inf, 0.25]
    params = Params(params={"lr": 0.01, "optimizer": {"name": "adam"}}, **common())
    tags = Tags(tags={"dataset": "mnist"}, **common())
    metrics = [
        Metrics(metrics={"loss": values[n % 4], "val/acc": n / max(1, count)}, step=n if n != 2 else 0, **common())
        for n in range(count)
    ]
    lines = [
        LogLine(level="INFO", message="a line", **common()),
        LogLine(level="ERROR", message="<!channel> it failed", exception="Traceback…\nValueError: no", **common()),
        LogLine(level="RESULT", message="accuracy", metrics={"accuracy": 0.9}, **common()),
    ]
    artifact = Artifact(
        name="model.txt",
        type="model",
        source="model.txt",
        stored=f"{ARTIFACTS}/0123456789abcdef-model.txt",
        size=7,
        mtime=moment,
        **common(),
    )
    end = RunEnd(status="completed", duration=12.5, metrics={"accuracy": 0.9}, **common())
    return [
        ("on_hyperparams", params),
        ("on_tags", tags),
        ("on_metrics", metrics),
        ("on_log", lines),
        ("on_artifact", artifact),
        ("on_run_end", end),
    ]


@contextmanager
def opened(integration: Any) -> Iterator[Any]:
    """Open *integration* as its delivery thread would, yield its hooks, and close it."""
    require_integration(integration)
    if hasattr(integration, "open"):
        integration.open()
    try:
        yield plugged(integration)
    finally:
        if hasattr(integration, "close"):
            integration.close()


def deliver(hooks: Any, run: RunInfo, calls: Sequence[tuple[str, Record | Sequence[Record]]]) -> None:
    """Call the hooks of a run in order, its start first; raises what they raise."""
    hooks.on_run_start(run=run)
    for name, what in calls:
        argument = {"record": what} if isinstance(what, Record) else {"records": what}
        getattr(hooks, name)(run=run, **argument)


class IntegrationContract:
    """What every integration keeps, whatever its backend. Subclasses add what theirs must hold."""

    #: Texts that must show up nowhere: the secrets that the fixture gives.
    secrets: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def integration(self) -> Any:
        """Return the integration under test. Its backend must be reachable while the test lasts."""
        raise TypeError(f"{type(self).__name__} has no fixture `integration`.")

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

        assert passport.options is not None, "an option has a value that JSON cannot say"
        again = build(type(integration), passport.name, passport.options)
        assert passport_of(again) == passport

    def test_secrets_do_not_show(self, integration: Any) -> None:
        shown = f"{integration!r} {passport_of(integration).public} {getattr(integration, 'target', '')}"

        assert not [secret for secret in self.secrets if secret in shown]

    def test_it_takes_every_kind_of_record(self, integration: Any, run_info: RunInfo) -> None:
        with opened(integration) as hooks:
            deliver(hooks, run_info, sample_records())

    def test_it_takes_records_again(self, integration: Any, run_info: RunInfo) -> None:
        calls = sample_records()

        with opened(integration) as hooks:
            deliver(hooks, run_info, calls)
            deliver(hooks, run_info, calls)

    def test_it_goes_on_in_another_process(self, integration: Any, run_info: RunInfo) -> None:
        calls = sample_records()
        again = build(type(integration), name_of(integration), passport_of(integration).options or {})

        with opened(integration) as hooks:
            deliver(hooks, run_info, calls[:3])
        with opened(again) as hooks:
            for name, what in calls[2:]:
                argument = {"record": what} if isinstance(what, Record) else {"records": what}
                getattr(hooks, name)(run=run_info, **argument)

    def test_it_takes_runs_side_by_side(self, integration: Any, tmp_path: Path) -> None:
        runs = [sample_run(tmp_path / name, run_id=f"{name}{time.time_ns() % 10**9}") for name in ("one", "two")]

        with opened(integration) as hooks:
            for run in runs:
                hooks.on_run_start(run=run)
            for name, what in sample_records():
                for run in runs:
                    argument = {"record": what} if isinstance(what, Record) else {"records": what}
                    getattr(hooks, name)(run=run, **argument)

    def test_closing_twice_does_no_harm(self, integration: Any) -> None:
        with opened(integration):
            pass
        if hasattr(integration, "close"):
            integration.close()
