"""The W&B plugin online, against a stand-in for W&B's servers: rows that arrive once, refused keys, lost servers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from tests.wandb.conftest import KEY, on_a_thread, points, points_in

from refunc.plugins import Pause, Retry, RunEnd
from refunc.plugins.testing import Stored, opened
from refunc.plugins.testing.backend import BackendChecks
from refunc_wandb import WandBIntegration, client

pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("default")]


class TestBackendOnline(BackendChecks):
    """The checks that look into the backend; the stand-in for W&B's servers knows no artifacts."""

    time_limit: ClassVar[float] = 90.0

    @pytest.fixture
    def integration(self, api: Any) -> WandBIntegration:
        return WandBIntegration(project="contract", mode="online", api_key=KEY, base_url=api.url)

    @pytest.fixture
    def stored(self, api: Any) -> Callable[[str], Stored]:
        """Return the rows that the server was sent."""
        return lambda run_id: Stored(metrics=points_in(api.rows.get(run_id, [])), status=str(api.exits.get(run_id)))

    @pytest.fixture
    def failing(self, api: Any) -> Callable[[str], Any]:
        @contextlib.contextmanager
        def fail(how: str) -> Iterator[None]:
            api.fail_with = int(how) if how.isdigit() else 503
            yield
            api.fail_with = None

        return fail


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("interrupted", 1), ("crashed", 1), ("completed", 0)])
def test_online_rows_and_exit_code_arrive(status: str, code: int, api: Any, run: Any) -> None:
    made = WandBIntegration(project="p", base_url=api.url, api_key=KEY)
    assert made.target == "wandb p (online)"

    def work() -> None:
        with opened(made) as hooks:
            hooks.on_metrics(run=run, records=points(0, 5, 3, 9))
            hooks.on_run_end(run=run, record=RunEnd(status=status, error="Traceback" if code else None))

    on_a_thread(work)

    assert [row["refunc/step"] for row in api.rows[run.run_id]] == [0, 5, 3, 9]
    assert api.exits[run.run_id] == code
    assert api.summaries[run.run_id]["refunc/status"] == status


def test_online_a_window_that_comes_again_is_sent_once(api: Any, run: Any) -> None:
    first = WandBIntegration(project="p", base_url=api.url, api_key=KEY)
    with opened(first) as hooks:
        hooks.on_metrics(run=run, records=points(0, 1, 2))
        hooks.on_metrics(run=run, records=points(0, 1, 2))
    again = WandBIntegration(project="p", base_url=api.url, api_key=KEY)

    with opened(again) as hooks:
        hooks.on_run_start(run=run)
        hooks.on_metrics(run=run, records=points(0, 1, 2, 3))

    assert [row["refunc/record"] for row in api.rows[run.run_id]] == ["w:0", "w:1", "w:2", "w:3"]


def test_a_server_that_is_not_there_is_told_within_its_bound(
    api: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "INIT_TIMEOUT", 3.0)
    api.server.shutdown()
    api.server.server_close()
    began = time.monotonic()

    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks, pytest.raises(Retry):
        hooks.on_run_start(run=run)

    assert time.monotonic() - began < 60  # the client's own bound is 90 s


def test_a_server_that_goes_away_holds_up_no_end(api: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a bound, the client would wait for ever, and so would this test."""
    monkeypatch.setattr(client, "FINISH_TIMEOUT", 2.0)
    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks:
        hooks.on_metrics(run=run, records=points(0))
        api.server.shutdown()
        api.server.server_close()
        hooks.on_metrics(run=run, records=points(1, start=1))
        with contextlib.suppress(Retry):  # the delivery tries again later; either way it came back
            hooks.on_run_end(run=run, record=RunEnd(status="completed"))


@pytest.mark.parametrize("code", [302, 307])
def test_a_redirect_takes_the_key_nowhere_else(
    code: int, api: Any, elsewhere: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "INIT_TIMEOUT", 3.0)
    monkeypatch.setattr(client, "FINISH_TIMEOUT", 3.0)
    api.redirect = (code, elsewhere.url)
    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks:
        while not any(api.credentials):  # on a busy machine, the client may not come to ask within its bound
            # Whether its client follows, and takes the answer for one, is its own matter.
            with contextlib.suppress(Retry, Pause):
                hooks.on_metrics(run=run, records=points(0))

    assert not any(elsewhere.credentials)


def test_a_server_that_shows_no_certificate_of_its_own_gets_nothing(
    untrusted: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "INIT_TIMEOUT", 3.0)
    with opened(WandBIntegration(project="p", base_url=untrusted.url, api_key=KEY)) as hooks, pytest.raises(Retry):
        hooks.on_metrics(run=run, records=points(0))

    assert untrusted.asked == []


def test_a_key_that_is_refused_pauses(api: Any, run: Any) -> None:
    api.fail_with = 401

    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks, pytest.raises(Pause) as caught:
        hooks.on_run_start(run=run)

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(401, Pause), (503, Retry)])
def test_a_run_that_could_not_be_started_starts_when_the_server_takes_it(
    status: int, kind: type[Exception], api: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's process keeps the id of a run whose start failed in use, unless it is told."""
    api.fail_with = status
    with opened(WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks:
        with monkeypatch.context() as patch:
            if kind is Retry:  # which comes when the bound is over
                patch.setattr(client, "INIT_TIMEOUT", 2.0)
            for _ in range(2):
                with pytest.raises(kind):
                    hooks.on_metrics(run=run, records=points(0))
        api.fail_with = None
        hooks.on_metrics(run=run, records=points(0))
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))

    assert [row["refunc/record"] for row in api.rows[run.run_id]] == ["w:0"]


def test_rows_that_a_refused_key_kept_from_the_server_come_when_it_is_taken_again(api: Any, run: Any) -> None:
    with opened(made := WandBIntegration(project="p", base_url=api.url, api_key=KEY)) as hooks:
        hooks.on_metrics(run=run, records=points(0, 1))
        api.fail_with = 401
        hooks.on_metrics(run=run, records=points(2, 3, start=2))
        with pytest.raises(Pause, match="WANDB_API_KEY") as caught:
            hooks.on_run_end(run=run, record=RunEnd(status="completed"))
        assert made.api_key not in str(caught.value)
        api.fail_with = None
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))

    assert [row["refunc/record"] for row in api.rows[run.run_id]] == ["w:0", "w:1", "w:2", "w:3"]
    assert api.exits[run.run_id] == 0
