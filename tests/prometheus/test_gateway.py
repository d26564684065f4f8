"""The Prometheus plugin and a push gateway: a real one takes its pushes, and a failing one is treated by its answer."""

from __future__ import annotations

import contextlib
import http.server
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from tests.prometheus.conftest import MadeWith, get, points

from refunc.plugins import RunEnd
from refunc.plugins.judgement import judge
from refunc.plugins.testing import IntegrationContract, Stored, opened
from refunc_prometheus import PrometheusIntegration

pytestmark = pytest.mark.trackers


class Gateway:
    """A push gateway that takes everything, or fails as `status` says."""

    def __init__(self) -> None:
        self.status, self.seconds = 200, 0.0
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, self.headers["Authorization"]))
                threading.Event().wait(outer.seconds)
                with contextlib.suppress(OSError):  # who asked has hung up
                    self.send_response(outer.status)
                    if 300 <= outer.status < 400:
                        self.send_header("Location", f"{outer.url}/elsewhere")
                    self.end_headers()

            def log_message(self, *given: Any) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.server.shutdown()
    gateway.server.server_close()


class TestContractOfAGateway(IntegrationContract):
    @pytest.fixture
    def integration(self, made_with: MadeWith, gateway: Gateway) -> PrometheusIntegration:
        return made_with(push_gateway=gateway.url)

    @pytest.fixture
    def stored(self) -> Callable[[str], Stored]:
        """Keep nothing: a gateway has the newest values, which are not looked at here."""
        return lambda run_id: Stored()

    @pytest.fixture
    def failing(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
        @contextlib.contextmanager
        def fail(how: str) -> Iterator[None]:
            gateway.status = int(how) if how.isdigit() else 503
            gateway.seconds = 8.0 if how == "slow" else 0.0
            monkeypatch.setattr("refunc_prometheus.PUSH_INTERVAL", 0.0)
            yield
            gateway.status, gateway.seconds = 200, 0.0

        return fail


def test_a_gateway_takes_a_short_job(start: Callable[..., None], run: Any, made_with: MadeWith, tools: Any) -> None:
    port = tools.free_port()
    gateway = f"http://127.0.0.1:{port}"
    start("prometheus-pushgateway", f"{gateway}/-/ready", f"--web.listen-address=127.0.0.1:{port}")
    other = attrs.evolve(run, run_id="another")

    with opened(made_with(push_gateway=gateway)) as hooks:
        for number, each in enumerate((run, other)):
            hooks.on_metrics(run=each, records=points({"loss": float(number)}))
            hooks.on_run_end(run=each, record=RunEnd(status="completed"))

    text = get(f"{gateway}/metrics")
    lines = [line for line in text.splitlines() if line.startswith("ml_loss{")]
    assert sorted(line.rpartition(" ")[2] for line in lines) == ["0", "1"]
    assert all('job="refunc"' in line for line in lines)


def test_a_gateway_is_asked_with_its_password(run: Any, made_with: MadeWith, gateway: Gateway) -> None:
    made = made_with(push_gateway=gateway.url.replace("//", "//ada:s%40cret@"))
    with opened(made) as hooks:
        hooks.on_metrics(run=run, records=points({"loss": 1.0}))

    assert "cret" not in made.target
    assert gateway.asked == [("/metrics/job/refunc/run_id/k3f9a2b7", f"Basic {b64encode(b'ada:s@cret').decode()}")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "refused"), (401, "denied"), (403, "denied"), (503, "away")]
    + [(status, "away") for status in (301, 302, 303, 307, 308)],
)
def test_the_answer_of_a_gateway_means_what_it_says(
    status: int, kind: str, run: Any, made_with: MadeWith, gateway: Gateway
) -> None:
    gateway.status = status
    with opened(made_with(push_gateway=gateway.url)) as hooks, pytest.raises(OSError, match=str(status)) as caught:
        hooks.on_metrics(run=run, records=points({"loss": 1.0}))

    assert judge(caught.value).kind == kind
    assert len(gateway.asked) == 1  # a redirect is not followed


def test_a_gateway_that_shows_no_certificate_of_its_own_gets_nothing(
    run: Any, made_with: MadeWith, untrusted: Any
) -> None:
    made = made_with(push_gateway=untrusted.url.replace("//", "//ada:secret@"))
    with opened(made) as hooks, pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        hooks.on_metrics(run=run, records=points({"loss": 1.0}))

    assert untrusted.asked == []


def test_a_gateway_that_is_not_there_is_tried_again(run: Any, made_with: MadeWith, tools: Any) -> None:
    with opened(made_with(push_gateway=f"http://127.0.0.1:{tools.free_port()}")) as hooks, pytest.raises(OSError):
        hooks.on_run_start(run=run)
