"""The Prometheus plugin: a real server scrapes it, a real gateway takes its pushes, promtool checks what it says."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import math
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.names import NAMES, any_name

from refunc.plugins import ConfigurationError, LogLine, Metrics, Retry, RunEnd, text_of
from refunc.plugins.judgement import judge
from refunc.plugins.testing import IntegrationContract, Stored, deliver, opened, sample_records, sample_run
from refunc_prometheus import LEAVE, PrometheusIntegration
from refunc_prometheus.exposition import MAX_NAMES, RunValues
from refunc_prometheus.names import LONGEST_LABEL

pytestmark = pytest.mark.trackers
MadeWith = Callable[..., PrometheusIntegration]
INSTALL = "apt-get install prometheus prometheus-pushgateway"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def answers(url: str) -> bool:
    try:
        return bool(get(url)) or True
    except OSError:
        return False


@pytest.fixture(autouse=True)
def client(require: Callable[[bool, str], None]) -> None:
    require(importlib.util.find_spec("prometheus_client") is not None, "pip install prometheus-client")


@pytest.fixture
def start(require: Callable[[bool, str], None], tmp_path: Path, tools: Any) -> Iterator[Callable[..., None]]:
    """Start one of Debian's programs and wait until it answers; it is stopped by its own id."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, ready: str, *options: str) -> None:
        require(shutil.which(program) is not None, INSTALL)
        with open(tmp_path / f"{program}.log", "wb") as log:
            process = subprocess.Popen([program, *options], cwd=tmp_path, stdout=log, stderr=log)
        started.append(process)
        tools.until(lambda: answers(ready))

    yield start
    for process in started:
        process.kill()
        process.wait(10)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run")


@pytest.fixture
def made_with(tools: Any) -> MadeWith:
    """Make the integration with some options, on a free port."""
    return lambda **options: PrometheusIntegration(**{"port": tools.free_port(), "namespace": "ml", **options})


def scrape(made: PrometheusIntegration) -> str:
    return get(f"http://127.0.0.1:{made.port}/metrics")


def points(values: dict[str, float], **fields: Any) -> list[Metrics]:
    return [Metrics(metrics=values, **fields)]


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


class TestContract(IntegrationContract):
    # The port is the plugin's own: there is no backend that could fail.
    test_failures_are_told_apart_and_lose_nothing = None  # type: ignore[assignment]
    test_failures_that_are_slow_end_within_the_limit = None  # type: ignore[assignment]

    @pytest.fixture
    def integration(self, made_with: MadeWith) -> PrometheusIntegration:
        return made_with()

    @pytest.fixture
    def stored(self, integration: PrometheusIntegration) -> Callable[[str], Stored]:
        """Return the status that a run shows: of metrics there is only the newest value, of lines their number."""

        def of(run_id: str) -> Stored:
            with integration._lock:
                status = integration._runs[run_id].status
            return Stored(status=status)

        return of


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


def test_a_real_server_scrapes_it(
    start: Callable[..., None], run: Any, tmp_path: Path, made_with: MadeWith, tools: Any
) -> None:
    made, port = made_with(), tools.free_port()
    scrape_config = {
        "scrape_configs": [
            {"job_name": "refunc", "static_configs": [{"targets": [f"127.0.0.1:{made.port}"]}]},
        ],
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(scrape_config))  # JSON is YAML
    with opened(made) as hooks:
        hooks.on_run_start(run=run)
        hooks.on_metrics(
            run=run, records=points({"train/loss": 0.5, "bad": math.nan, "big": math.inf}, step=7, epoch=2)
        )
        hooks.on_log(run=run, records=[LogLine(level="ERROR", message="x")] * 3)
        start(
            "prometheus",
            f"http://127.0.0.1:{port}/-/ready",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
        )

        def ask(query: str) -> dict[str, Any] | None:
            text = get(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}")
            found = json.loads(text)["data"]["result"]
            return found[0] if found else None

        loss = tools.until(lambda: ask("ml_train_loss"))
        assert loss["value"][1] == "0.5"
        labels = {name: loss["metric"][name] for name in ("experiment", "run", "run_id")}
        assert labels == {"experiment": "digits", "run": "baseline", "run_id": run.run_id}
        expected = {
            "ml_step": "7",
            "ml_epoch": "2",
            "ml_bad": "NaN",
            "ml_big": "+Inf",
            'ml_run_status{status="running"}': "1",
            'ml_log_lines_total{level="ERROR"}': "3",
            "ml_records_dropped_total": "0",
            "ml_run_info": "1",
        }

        def values(*queries: str) -> dict[str, str | None]:
            return {query: (ask(query) or {"value": [0, None]})["value"][1] for query in queries}

        tools.until(lambda: values(*expected) == expected)  # a scrape that takes too long leaves gaps

        hooks.on_run_end(run=run, record=RunEnd(status="failed", dropped=4))
        ended = {'ml_run_status{status="failed"}': "1", "ml_records_dropped_total": "4"}
        tools.until(lambda: values(*ended) == ended)


def test_what_it_says_passes_promtool(require: Callable[[bool, str], None], run: Any, made_with: MadeWith) -> None:
    require(shutil.which("promtool") is not None, INSTALL)
    made = made_with()
    with opened(made) as hooks:
        deliver(hooks, run, sample_records())
        text = scrape(made)

    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr + text


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


def test_a_port_that_somebody_else_has_is_reported_with_the_next_step(run: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = PrometheusIntegration(port=port)
        with pytest.raises(Retry, match=rf"port {port} cannot be opened .* pass PrometheusIntegration\(port=...\)"):
            made.open()
    made.open()  # as delivery does when it is free again
    made.close()


def test_integrations_of_one_process_share_a_port(run: Any, tools: Any) -> None:
    port = tools.free_port()
    one, other = PrometheusIntegration(port=port, namespace="a"), PrometheusIntegration(port=port, namespace="b")
    with opened(one) as first:
        with opened(other) as second:
            first.on_metrics(run=run, records=points({"loss": 1.0}))
            second.on_metrics(run=run, records=points({"loss": 2.0}))
            text = scrape(one)
        assert "a_loss{" in text
        assert "b_loss{" in text
        assert "b_loss{" not in scrape(one)
    assert not answers(f"http://127.0.0.1:{port}/metrics")


def test_a_step_and_an_epoch_with_a_fraction_are_exported_as_given(run: Any, made_with: MadeWith) -> None:
    one = made_with()
    with opened(one) as hooks:
        hooks.on_metrics(run=run, records=points({"loss": 1.0}, step=2.5, epoch=0.3125))
        lines = scrape(one).splitlines()

    found = {
        line.partition("{")[0]: line.rpartition(" ")[2] for line in lines if line.startswith(("ml_step", "ml_epoch"))
    }
    assert found == {"ml_step": "2.5", "ml_epoch": "0.3125"}


@given(names=st.lists(any_name, unique=True, min_size=2, max_size=40))
def test_names_are_valid_never_meet_and_are_kept(names: list[str]) -> None:
    values, seen = RunValues(sample_run(Path())), {}
    for number, each in enumerate(names):
        values.take(Metrics(metrics={each: float(number)}))
        assert {**values.names, **seen} == values.names  # a series has one owner for good
        seen = dict(values.names)

    assert len(set(seen.values())) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_]{1,210}", name) for name in seen.values())


def test_a_series_never_goes_to_another_metric(run: Any, made_with: MadeWith) -> None:
    made = made_with()

    def shown() -> dict[str, str]:
        lines = [line for line in scrape(made).splitlines() if line.startswith("ml_val_loss")]
        return {re.findall('metric="(.*?)"', line)[0]: line.replace("{", " ").split()[0] for line in lines}

    with opened(made) as hooks:
        hooks.on_metrics(run=run, records=points({"val/loss": 0.25}))
        assert shown() == {"val/loss": "ml_val_loss"}
        hooks.on_metrics(run=run, records=points({"val_loss": 99.0, "val.loss": 3.0}))
        first = shown()
        assert first["val/loss"] == "ml_val_loss"
        assert len(set(first.values())) == 3

    with opened(made) as hooks:  # after a restart
        hooks.on_metrics(run=run, records=points({"val/loss": 0.25}))
        hooks.on_metrics(run=run, records=points({"val_loss": 99.0, "val.loss": 3.0}))
        assert shown() == first


def test_names_and_labels_of_all_kinds_pass_the_parser_and_reach_a_real_server(
    start: Callable[..., None], run: Any, tmp_path: Path, made_with: MadeWith, tools: Any
) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    made, port = made_with(), tools.free_port()
    names = [each for each in NAMES if len(each) != 2]
    scrape_config = {
        "scrape_configs": [{"job_name": "r", "static_configs": [{"targets": [f"127.0.0.1:{made.port}"]}]}],
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(scrape_config))
    with opened(made) as hooks:
        for number, each in enumerate(names):
            named = attrs.evolve(run, run_id=f"r{number}", run_name=each, experiment_name=each)
            hooks.on_metrics(run=named, records=points({each: float(number)}))
        hooks.on_metrics(run=run, records=points({each: float(number) for number, each in enumerate(names)}))
        samples = [
            sample
            for family in text_string_to_metric_families(scrape(made))
            for sample in family.samples
            if "metric" in sample.labels
        ]
        assert len(samples) == 2 * len(names)
        of_one = {sample.labels["metric"]: sample.value for sample in samples if sample.labels["run_id"] == run.run_id}
        assert of_one == {text_of(each, LONGEST_LABEL): float(number) for number, each in enumerate(names)}
        data, ready = "--storage.tsdb.path=data", f"http://127.0.0.1:{port}"
        start(
            "prometheus", f"{ready}/-/ready", "--config.file=prometheus.yml", data, f"--web.listen-address={ready[7:]}"
        )

        def count() -> int:
            query = urllib.parse.quote('count({metric!=""})')
            found = json.loads(get(f"{ready}/api/v1/query?query={query}"))["data"]["result"]
            return int(found[0]["value"][1]) if found else 0

        tools.until(lambda: count() == 2 * (len(names) - 1))  # an empty label is none


def test_hostile_names_and_labels_still_scrape(run: Any, made_with: MadeWith) -> None:
    made = made_with()
    odd = attrs.evolve(run, run_name='a"b\\c\nd', experiment_name="λ")
    with opened(made) as hooks:
        hooks.on_metrics(run=odd, records=points({'x"\n# HELP': 1.0, "λ": 2.0, "step": 3.0}))
        text = scrape(made)

    from prometheus_client.parser import text_string_to_metric_families

    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.value for sample in samples if sample.name.startswith(("ml_x", "ml__", "ml_step_"))} == {
        1.0,
        2.0,
        3.0,
    }
    assert samples[0].labels["run"] == 'a"b\\c\nd'


def test_names_without_end_are_bounded_and_counted(run: Any, made_with: MadeWith) -> None:
    made = made_with()
    with opened(made) as hooks:
        for number in range(MAX_NAMES + 50):
            hooks.on_metrics(run=run, records=points({f"m{number}": 1.0}))
        text = scrape(made)

    assert text.count("\nml_m") - text.count("\nml_metrics_ignored") == MAX_NAMES
    [ignored] = [line for line in text.splitlines() if line.startswith("ml_metrics_ignored_total")]
    assert ignored.endswith(" 50.0")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": 0}, "prometheus: port is 0. Expected: a number from 1 to 65535."),
        ({"port": 70_000}, "prometheus: port is 70000"),
        ({"port": "8000"}, "prometheus: port is '8000'. Expected: a whole number."),
        ({"linger": -1.0}, "prometheus: linger is -1.0. Expected: seconds from 0 to 3600."),
        ({"namespace": "a-b"}, "prometheus: namespace is 'a-b'. Expected: letters"),
        ({"job": ""}, "prometheus: job is ''. Expected: a name"),
        ({"push_gateway": "host"}, "prometheus: push_gateway is 'host', which is not a valid address"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PrometheusIntegration(**options)

    assert str(caught.value).startswith(text)


def test_importing_the_plugin_imports_no_client() -> None:
    code = "import sys, refunc_prometheus as p; p.PrometheusIntegration(); print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "False\n", done.stderr


TRAINING = """
import sys
from refunc.logging import experiment_context, MLLogger, PrometheusIntegration
logger = MLLogger("t")
logger.add_integration(PrometheusIntegration(port=int(sys.argv[1]), linger=float(sys.argv[2])))
with experiment_context("digits", sys.argv[3], logger=logger):
    logger.log_metrics({"loss": float(sys.argv[4])}, step=1)
"""


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., None]:
    def train(*arguments: object) -> None:
        command = [sys.executable, "-c", TRAINING, *map(str, arguments)]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True)

    return train


def test_the_last_values_stay_for_a_scrape_behind_the_end(train: Callable[..., None], tools: Any) -> None:
    port = tools.free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    train(port, 2.5, "first", 0.25)
    ended = time.monotonic()

    text = tools.until(lambda: answers(url) and get(url))
    assert 'run="first"' in text
    tools.until(lambda: 'status="completed"} 1.0' in get(url))
    tools.until(lambda: not answers(url))
    assert time.monotonic() - ended > 2


def test_a_training_gets_the_port_of_one_that_has_ended(train: Callable[..., None], tools: Any) -> None:
    port = tools.free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    train(port, 60, "first", 0.25)
    train(port, 60, "second", 0.5)

    tools.until(lambda: answers(url) and 'run="second"' in get(url))
    train(port, 0, "third", 0.5)
    tools.until(lambda: not answers(url))


def test_a_training_that_goes_on_keeps_its_port(run: Any, made_with: MadeWith) -> None:
    made = made_with()
    with opened(made) as hooks:
        hooks.on_run_start(run=run)
        ask = urllib.request.Request(f"http://127.0.0.1:{made.port}{LEAVE}", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="409"):
            urllib.request.urlopen(ask, timeout=5)
        assert made.stays_open == 15.0
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))
        assert urllib.request.urlopen(ask, timeout=5).status == 202
        assert made.stays_open == 0.0
