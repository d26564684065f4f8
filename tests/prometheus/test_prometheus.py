"""The Prometheus plugin: a real server scrapes it, a real gateway takes its pushes, promtool checks its output."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.prometheus.conftest import INSTALL, MadeWith, answers, get, points, said_by, scrape

from refunc.plugins import ConfigurationError, LogLine, Retry, RunEnd
from refunc.plugins.testing import IntegrationContract, Stored, deliver, opened, sample_records
from refunc_prometheus import LEAVE, PrometheusIntegration

pytestmark = pytest.mark.trackers


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
def train(tmp_path: Path, tools: Any) -> Iterator[Callable[..., None]]:
    """Run a training whose port stays for so many seconds; at the test's end it goes with the delivery process."""

    def train(*arguments: object) -> None:
        command = [sys.executable, "-c", TRAINING, *map(str, arguments)]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True)

    yield train
    tools.kill_delivery(tmp_path)


@pytest.fixture
def shows(tools: Any) -> Callable[[int, str], None]:
    """Wait until a text is among the values at a port, which may change hands meanwhile."""
    return lambda port, text: tools.until(lambda: text in (said_by(f"http://127.0.0.1:{port}/metrics") or ""))


def test_the_last_values_stay_for_a_scrape_behind_the_end(
    train: Callable[..., None], shows: Callable[[int, str], None], tools: Any
) -> None:
    """For as long as it is told, and then they go."""
    long, short = tools.free_port(), tools.free_port()
    train(long, 600, "first", 0.25)
    train(short, 0.5, "second", 0.25)

    tools.until(lambda: not answers(f"http://127.0.0.1:{short}/metrics"))
    shows(long, 'run="first"')
    shows(long, 'status="completed"} 1.0')


def test_a_training_gets_the_port_of_one_that_has_ended(
    train: Callable[..., None], shows: Callable[[int, str], None], tools: Any
) -> None:
    port = tools.free_port()
    train(port, 600, "first", 0.25)
    train(port, 600, "second", 0.5)

    shows(port, 'run="second"')
    train(port, 0, "third", 0.5)
    tools.until(lambda: not answers(f"http://127.0.0.1:{port}/metrics"))


def test_a_training_that_goes_on_keeps_its_port(run: Any, made_with: MadeWith) -> None:
    made = made_with()
    with opened(made) as hooks:
        hooks.on_run_start(run=run)
        ask = urllib.request.Request(f"http://127.0.0.1:{made.port}{LEAVE}", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="409"):
            urllib.request.urlopen(ask, timeout=60)
        assert made.stays_open == 15.0
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))
        assert urllib.request.urlopen(ask, timeout=60).status == 202
        assert made.stays_open == 0.0
